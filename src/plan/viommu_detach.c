/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device on which a vSMMU with command queues depends.
 */
#include "viommu_detach.h"

#include <string.h>

#define ALIAS "hostdev"

/* 'auto', which is QEMU's default too, takes what the physical one has. */
static bool
hasQueues(const viommuIOMMU *iommu, const virSMMU *smmu)
{
    int cmdqv = iommu->features.cmdqv;

    return cmdqv == 1 || ((cmdqv == VIOMMU_UNSET || cmdqv == VIOMMU_AUTO) && smmu &&
                          smmu->cmdqv == VIR_TRISTATE_YES && virSMMUCmdqvFits(smmu, NULL) == VIR_TRISTATE_YES);
}

/* The N of "hostdevN", which libvirt counts on as devices come; false for another name. */
static bool
readNumber(const viommuDevice *dev, guint64 *ret_number)
{
    return dev->alias && g_str_has_prefix(dev->alias, ALIAS) &&
           g_ascii_string_to_unsigned(dev->alias + strlen(ALIAS), 10, 0, G_MAXUINT, ret_number, NULL);
}

static bool
isFirst(const viommuDomain *dom, const viommuController *bus, const viommuDevice *dev)
{
    guint64 own = 0;
    bool numbered = readNumber(dev, &own);
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *other = g_ptr_array_index(dom->devices, i);
        guint64 number = 0;

        if (other == dev || other->kind != VIOMMU_DEVICE_ASSIGNED || !other->hasAddr ||
            viommuDomainFindExpander(dom, other->addr.bus) != bus)
            continue;
        if (!numbered || !readNumber(other, &number) || number < own)
            return false;
    }
    return true;
}

void
viommuDetachCheck(const viommuDomain *dom, const virSMMUTopology *host, const viommuDevice *dev, GPtrArray *findings)
{
    const virSMMUDevice *found = virSMMUTopologyFindDevice(host, &dev->source);
    const viommuController *bus = dev->hasAddr ? viommuDomainFindExpander(dom, dev->addr.bus) : NULL;
    const viommuIOMMU *iommu = bus ? viommuDomainFindSMMU(dom, bus->index) : NULL;

    if (!iommu || iommu->accel != 1 || !hasQueues(iommu, found ? found->smmu : NULL) || !isFirst(dom, bus, dev))
        return;
    viommuFindingsAdd(findings, "V12", VIOMMU_SEVERITY_ERROR, dev->line,
                      "CMDQV is active: removing the device that established the viommu association would break the "
                      "guest CMDQV",
                      "shut the guest down and detach it with --config, or define the domain with cmdqv='off'",
                      "%s is the first below the vSMMU of controller %u, which has its command queues (CMDQV) through "
                      "it, and QEMU does not let it go while the guest runs",
                      dev->what, bus->index);
}
