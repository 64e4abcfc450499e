/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing the record of the host that is fuzzed on.
 */
#include "fuzzhost.h"

static const struct {
    const char *name;
    unsigned smmu; /* 0: none */
    unsigned group;
} devices[] = {
    { "0000:01:00.0", 1, 1 }, { "0000:02:00.0", 1, 2 }, { "0000:02:00.1", 1, 3 },
    { "0000:03:00.0", 1, 4 }, { "0000:03:00.1", 1, 4 }, { "0000:04:00.0", 0, 0 },
    { "0002:01:00.0", 2, 5 }, { "0006:01:00.0", 3, 6 }, { "0006:01:00.1", 3, 7 },
};
static const char *const smmus[] = { "smmu3.0x0000000009050000", "smmu3.0x0000000011000000",
                                     "smmu3.0x0000000015000000" };

static void
appendDevice(GString *out, size_t i)
{
    const char *name = devices[i].name;
    unsigned smmu = devices[i].smmu;
    unsigned group = devices[i].group;

    g_string_append_printf(out, "sys/bus/pci/devices/%s -> ../../../devices/pci/%s\n"
                           "sys/devices/pci/%s/uevent = DRIVER=vfio-pci\\nPCI_CLASS=30200\\nPCI_ID=10DE:2342\n"
                           "sys/devices/pci/%s/resource = 0x0000100000000000 0x00001003ffffffff "
                           "0x000000000014220c\n", name, name, name, name);
    if (!smmu)
        return;
    g_string_append_printf(out, "sys/devices/pci/%s/iommu -> ../../platform/s%u/iommu/%s\n"
                           "sys/devices/pci/%s/iommu_group -> ../../../kernel/iommu_groups/%u\n"
                           "sys/kernel/iommu_groups/%u/devices/%s -> ../../../../devices/pci/%s\n"
                           "sys/devices/platform/s%u/iommu/%s/devices/%s -> ../../../../../pci/%s\n", name,
                           smmu, smmus[smmu - 1], name, group, group, name, name, smmu, smmus[smmu - 1], name,
                           name);
}

GString *
fuzzHostRecord(void)
{
    GString *manifest = g_string_new("sys/bus/acpi/devices\n");
    size_t i;

    G_STATIC_ASSERT(G_N_ELEMENTS(devices) == FUZZ_HOST_DEVICES);
    for (i = 0; i < G_N_ELEMENTS(smmus); i++)
        g_string_append_printf(manifest, "sys/class/iommu/%s -> ../../devices/platform/s%zu/iommu/%s\n"
                               "sys/devices/platform/s%zu/numa_node = 0\n"
                               "sys/devices/platform/s%zu/iommu/%s/device -> ../../../s%zu\n", smmus[i], i + 1,
                               smmus[i], i + 1, i + 1, smmus[i], i + 1);
    for (i = 0; i < G_N_ELEMENTS(devices); i++)
        appendDevice(manifest, i);
    return manifest;
}
