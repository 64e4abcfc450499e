/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: a domain. What can be read is checked and planned on a small host; what can be planned is
 * expanded, read again and checked; and what is then good is expanded again, which changes nothing.
 */
#include "fuzztarget.h"
#include "viommu_check.h"
#include "viommu_expand.h"

#include <string.h>

/* Three SMMUs; the devices have the addresses that are most used in tests/qemuxml2argvdata. 0000:03:00.0
 * shares its group, 0000:04:00.0 is behind no SMMU. */
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

static virSMMUTopology *topology;

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

static void
makeHost(void)
{
    g_autoptr(GString) manifest = g_string_new("sys/bus/acpi/devices\n");
    g_autoptr(virSysfs) fs = NULL;
    g_autoptr(GError) error = NULL;
    const GPtrArray *all;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(smmus); i++)
        g_string_append_printf(manifest, "sys/class/iommu/%s -> ../../devices/platform/s%zu/iommu/%s\n"
                               "sys/devices/platform/s%zu/numa_node = 0\n"
                               "sys/devices/platform/s%zu/iommu/%s/device -> ../../../s%zu\n", smmus[i], i + 1,
                               smmus[i], i + 1, i + 1, smmus[i], i + 1);
    for (i = 0; i < G_N_ELEMENTS(devices); i++)
        appendDevice(manifest, i);
    fs = virSysfsNewManifest(manifest->str, manifest->len, &error);
    g_assert_no_error(error);
    topology = virSMMUTopologyRead(fs, &error);
    g_assert_no_error(error);
    all = virSMMUTopologyDevices(topology);
    g_assert_cmpuint(all->len, ==, G_N_ELEMENTS(devices));
    for (i = 0; i < all->len; i++) {
        virSMMUTopologyLoadDetails(topology, fs, g_ptr_array_index(all, i), &error);
        g_assert_no_error(error);
    }
}

/* Reads @text; every network gives virtual functions of the last device. */
static viommuDomain *
parse(const char *text, size_t len, GError **error)
{
    viommuDomain *dom = viommuDomainParse(text, len, error);
    const virPCIAddr vf = { 6, 1, 0, 1 };

    if (dom)
        viommuDomainBindNetwork(dom, "vfs", &vf);
    return dom;
}

static bool
check(const viommuDomain *dom)
{
    const viommuCheckContext context = { .host = topology };
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    size_t i;

    viommuCheckDomain(dom, &context, findings);
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        g_assert_cmpuint(finding->line, >, 0);
        if (finding->severity != VIOMMU_SEVERITY_NOTE)
            g_assert_nonnull(finding->remedy);
    }
    return !viommuFindingsHaveError(findings);
}

/* The expansion of @dom; NULL if it is refused. */
static char *
expand(const viommuDomain *dom, viommuDialect dialect, size_t *ret_len)
{
    const viommuPlanOptions options = { VIOMMU_VERSION_QEMU(11, 1) };
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(viommuPlan) plan = viommuPlanMake(dom, topology, &options, findings);

    g_assert(!plan == viommuFindingsHaveError(findings));
    return plan ? viommuExpand(dom, plan, dialect, ret_len, NULL) : NULL;
}

static void
tryDialect(const viommuDomain *dom, viommuDialect dialect)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) read = NULL;
    g_autofree char *text = NULL;
    g_autofree char *again = NULL;
    size_t len = 0;
    size_t lenAgain = 0;

    text = expand(dom, dialect, &len);
    if (!text)
        return;
    read = parse(text, len, &error);
    g_assert_no_error(error);
    /* What is wrong elsewhere in the domain is found now; the tools give out nothing then. Notes of an earlier
     * expansion that are not true are put right step by step. */
    if (!check(read) || dom->metadata)
        return;
    again = expand(read, dialect, &lenAgain);
    g_assert_nonnull(again);
    g_assert_cmpuint(lenAgain, ==, len);
    g_assert_cmpint(memcmp(again, text, len), ==, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) dom = NULL;

    if (!topology)
        makeHost();
    dom = parse((const char *)data, size, &error);
    g_assert(!dom == !!error);
    if (!dom)
        return 0;
    check(dom);
    tryDialect(dom, VIOMMU_DIALECT_NATIVE);
    tryDialect(dom, VIOMMU_DIALECT_VIOMMU);
    return 0;
}
