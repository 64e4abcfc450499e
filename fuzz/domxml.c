/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: a domain. What can be read is checked and planned on a small host; what can be planned is
 * expanded, read again and checked; and what is then good is expanded again, which changes nothing. Whatever can be
 * read looks to a guest as itself.
 */
#include "fuzzhost.h"
#include "fuzztarget.h"
#include "viommu_check.h"
#include "viommu_diff.h"
#include "viommu_expand.h"

#include <string.h>

static virSMMUTopology *topology;

static void
makeHost(void)
{
    g_autoptr(GString) manifest = fuzzHostRecord();
    g_autoptr(virSysfs) fs = NULL;
    g_autoptr(GError) error = NULL;
    const GPtrArray *all;
    size_t i;

    fs = virSysfsNewManifest(manifest->str, manifest->len, &error);
    g_assert_no_error(error);
    topology = virSMMUTopologyRead(fs, &error);
    g_assert_no_error(error);
    all = virSMMUTopologyDevices(topology);
    g_assert_cmpuint(all->len, ==, FUZZ_HOST_DEVICES);
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

/* What an older libvirt gets is a domain. */
static void
tryOlder(const viommuDomain *dom, unsigned libvirt)
{
    const viommuPlanOptions options = { VIOMMU_VERSION_QEMU(11, 1) };
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(viommuPlan) plan = viommuPlanMake(dom, topology, &options, findings);
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) read = NULL;
    size_t len = 0;
    g_autofree char *text = plan ? viommuExpandFor(dom, plan, libvirt, &len, NULL) : NULL;

    if (!text)
        return;
    read = parse(text, len, &error);
    g_assert_no_error(error);
    check(read);
}

static void
look(const viommuDomain *dom)
{
    g_autoptr(viommuView) one = viommuViewNew(dom, topology);
    g_autoptr(viommuView) two = viommuViewNew(dom, topology);
    g_autoptr(viommuDiff) diff = viommuDiffNew(one, two);

    g_assert_cmpuint(diff->buses->len + diff->devices->len + diff->ports->len, ==, 0);
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
    look(dom);
    tryDialect(dom, VIOMMU_DIALECT_NATIVE);
    tryDialect(dom, VIOMMU_DIALECT_VIOMMU);
    tryDialect(dom, VIOMMU_DIALECT_OVERRIDE);
    tryOlder(dom, 11010);
    tryOlder(dom, 12001);
    return 0;
}
