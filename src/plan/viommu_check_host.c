/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the domain needs of the host as a whole, whatever its devices: iommufd (H03).
 */
#include "viommu_check_priv.h"

/* The line of the first accel vSMMU; where there is none (a request that was not expanded, or has lost
 * its vSMMUs), of the first device that is to be below one. 0: nothing needs iommufd. */
static unsigned
findNeed(const viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->vsmmus->len; i++) {
        const viommuCheckVSMMU *vsmmu = g_ptr_array_index(checker->vsmmus, i);

        if (vsmmu->accel)
            return vsmmu->iommu->line;
    }
    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        if (seat->kind == VIOMMU_DEVICE_ASSIGNED)
            return seat->line;
    }
    return 0;
}

void
viommuCheckHost(viommuChecker *checker)
{
    const virSMMUTopology *host = checker->context->host;
    unsigned line = checker->accel ? findNeed(checker) : 0;

    if (line == 0 || !host || virSMMUTopologyHasIommufd(host) != VIR_TRISTATE_NO)
        return;
    viommuFindingsAdd(checker->findings, "H03", VIOMMU_SEVERITY_ERROR, line,
                      "libvirt cannot start it: cannot open VFIO device /dev/vfio/devices/vfioN",
                      "use a host kernel with CONFIG_IOMMUFD, CONFIG_VFIO_DEVICE_CDEV and "
                      "CONFIG_ARM_SMMU_V3_IOMMUFD; if it has them as modules, load 'iommufd'",
                      "the host has no /dev/iommu");
}
