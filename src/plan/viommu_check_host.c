/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the domain needs of the host as a whole, whatever its devices: iommufd (H03).
 */
#include "viommu_check_priv.h"

/* The line to complain at: the first SMMU of the domain, else its first host device. */
static unsigned
findLine(const viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);

        if (g_strcmp0(iommu->model, "smmuv3") == 0)
            return iommu->line;
    }
    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        if (seat->kind == VIOMMU_DEVICE_ASSIGNED)
            return seat->line;
    }
    return 1;
}

void
viommuCheckHost(viommuChecker *checker)
{
    const virSMMUTopology *host = checker->context->host;

    if (!checker->accel || !host || virSMMUTopologyHasIommufd(host) != VIR_TRISTATE_NO)
        return;
    viommuFindingsAdd(checker->findings, "H03", VIOMMU_SEVERITY_ERROR, findLine(checker),
                      "libvirt cannot start it: cannot open VFIO device /dev/vfio/devices/vfioN",
                      "use a host kernel with CONFIG_IOMMUFD, CONFIG_VFIO_DEVICE_CDEV and "
                      "CONFIG_ARM_SMMU_V3_IOMMUFD; if it has them as modules, load 'iommufd'",
                      "the host has no /dev/iommu");
}
