/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words of placements that the libvirt that is to read the domain does not have: it drops what it does not know (V13).
 */
#include "viommu_check_priv.h"

/* formatdomain of libvirt 12.8, "since": 11.10.0, 12.1.0, 12.2.0, 12.7.0. */
#define HAS_PCI_BUS 11010u
#define HAS_DEVICE_IOMMUFD 12001u
#define HAS_IOMMUFD 12002u
#define HAS_ACCEL 12007u

static void
add(viommuChecker *checker, unsigned line, const char *word, unsigned since, const char *consequence)
{
    unsigned libvirt = checker->context->libvirt;
    g_autofree char *remedy = g_strdup_printf("use libvirt %u.%u or newer, or have viommu expand the domain for this "
                                              "one", since / 1000, since % 1000);

    viommuFindingsAdd(checker->findings, "V13", VIOMMU_SEVERITY_ERROR, line, consequence, remedy,
                      "libvirt %u.%u does not know %s, and drops it", libvirt / 1000, libvirt % 1000, word);
}

static void
checkIOMMUs(viommuChecker *checker)
{
    unsigned libvirt = checker->context->libvirt;
    bool bus = libvirt < HAS_PCI_BUS;
    bool accel = libvirt < HAS_ACCEL;
    size_t i;

    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);
        unsigned line = viommuCheckLine(checker, iommu->node, "driver");

        if (bus && iommu->pciBus >= 0)
            add(checker, line, "pciBus", HAS_PCI_BUS,
                checker->dom->iommus->len == 1
                    ? "the guest has one SMMU for the whole machine"
                    : "libvirt refuses several: XML error: only a single IOMMU device is supported");
        else if (accel && iommu->accel == 1 && !iommu->overridden)
            add(checker, line, "accel", HAS_ACCEL, "the vSMMU does not nest, and no host device works below it");
        else
            continue;
        return; /* the others are like the first */
    }
}

static void
checkDevices(viommuChecker *checker)
{
    static const char consequence[] = "QEMU refuses to start: vfio-pci endpoint devices without an iommufd backend not "
                                      "allowed when using arm-smmuv3,accel=on";
    const viommuDomain *dom = checker->dom;
    size_t i;

    if (checker->context->libvirt < HAS_IOMMUFD && dom->iommufd == 1)
        add(checker, viommuXMLLine(dom->xml, dom->iommufdNode), "<iommufd>", HAS_IOMMUFD, consequence);
    for (i = 0; checker->context->libvirt < HAS_DEVICE_IOMMUFD && i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (device->iommufd != 1 || device->iommufdOverridden || device->network)
            continue;
        add(checker, viommuCheckLine(checker, device->node, "driver"), "iommufd of a device", HAS_DEVICE_IOMMUFD,
            consequence);
        return;
    }
}

void
viommuCheckLibvirt(viommuChecker *checker)
{
    if (!checker->context->libvirt || checker->open || !checker->nested)
        return;
    checkIOMMUs(checker);
    if (checker->accel)
        checkDevices(checker);
}
