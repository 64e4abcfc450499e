/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks a host.
 */
#include "hostcheck.h"

#include "report.h"
#include "viommu_finding.h"

static void
freeVerdict(void *data)
{
    viommuVerdict *verdict = data;

    g_free(verdict->text);
    g_free(verdict->hint);
    g_free(verdict);
}

static viommuVerdict *
add(GPtrArray *verdicts, const char *id, const char *title)
{
    viommuVerdict *verdict = g_new0(viommuVerdict, 1);

    verdict->id = id;
    verdict->title = title;
    g_ptr_array_add(verdicts, verdict);
    return verdict;
}

static void
judge(viommuVerdict *verdict, int how, const char *text, const char *hint)
{
    verdict->verdict = how;
    verdict->text = g_strdup(text);
    verdict->hint = g_strdup(hint);
}

static void
checkUnits(const virSMMUTopology *topo, GPtrArray *verdicts)
{
    viommuVerdict *units = add(verdicts, "H01", "for SMMUv3 units");
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    g_autofree char *lacks = NULL;
    unsigned count = 0, able = 0, unknown = 0;
    viommuVerdict *nesting;
    size_t i;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);
        const char *why = NULL;
        virTristate nest;

        if (smmu->kind != VIR_SMMU_KIND_SMMUV3)
            continue;
        count++;
        nest = virSMMUCanServe(smmu, &why);
        able += nest == VIR_TRISTATE_YES;
        unknown += nest == VIR_TRISTATE_UNKNOWN;
        if (nest == VIR_TRISTATE_NO && !lacks)
            lacks = g_strdup_printf("'%s' cannot nest: %s", smmu->name, why);
    }
    if (!count) {
        judge(units, VIOMMU_VERDICT_FAIL, "the kernel drives no SMMUv3",
              "switch them on in the firmware, and use a kernel with CONFIG_ARM_SMMU_V3");
        return;
    }
    units->hint = g_strdup_printf("%u found", count);
    nesting = add(verdicts, "H02", "for nested translation");
    if (able) {
        nesting->hint = g_strdup_printf("%u of %u", able, count);
    } else if (unknown) {
        judge(nesting, VIOMMU_VERDICT_NOTE,
              "not known: the kernel tells it only to who holds a device through iommufd",
              "'viommu check --probe' asks it");
    } else {
        judge(nesting, VIOMMU_VERDICT_FAIL, lacks, NULL);
    }
}

static void
checkIommufd(const virSMMUTopology *topo, GPtrArray *verdicts)
{
    viommuVerdict *verdict = add(verdicts, "H03", "if device '/dev/iommu' exists");

    switch (virSMMUTopologyHasIommufd(topo)) {
    case VIR_TRISTATE_YES:
        break;
    case VIR_TRISTATE_NO:
        judge(verdict, VIOMMU_VERDICT_FAIL, "there is no /dev/iommu",
              "load the module 'iommufd' of a kernel with CONFIG_IOMMUFD");
        break;
    case VIR_TRISTATE_UNKNOWN:
        judge(verdict, VIOMMU_VERDICT_NOTE, "not known: nothing of /dev is recorded", NULL);
        break;
    }
}

static bool
checkDevices(virSMMUTopology *topo, virSysfs *fs, GPtrArray *verdicts, GError **error)
{
    viommuVerdict *verdict = add(verdicts, "H04", "for PCI devices bound to a VFIO driver");
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    unsigned bound = 0;
    size_t i;

    for (i = 0; i < devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(devices, i);

        if (!dev->smmu || dev->smmu->kind != VIR_SMMU_KIND_SMMUV3)
            continue;
        if (!virSMMUTopologyLoadDetails(topo, fs, dev, error))
            return false;
        bound += dev->vfio;
    }
    if (bound) {
        verdict->hint = g_strdup_printf("%u found", bound);
        return true;
    }
    judge(verdict, VIOMMU_VERDICT_WARN, "no PCI device behind an SMMUv3 is bound to a VFIO driver",
          "bind the devices to 'vfio-pci', or let libvirt do so with managed='yes'");
    return true;
}

GPtrArray *
viommuHostCheck(virSMMUTopology *topo, virSysfs *fs, GError **error)
{
    g_autoptr(GPtrArray) verdicts = g_ptr_array_new_with_free_func(freeVerdict);

    checkUnits(topo, verdicts);
    checkIommufd(topo, verdicts);
    if (!checkDevices(topo, fs, verdicts, error))
        return NULL;
    return g_steal_pointer(&verdicts);
}

void
viommuHostCheckFormat(const GPtrArray *verdicts, bool coloured, GString *out)
{
    static const struct {
        const char *name;
        viommuColour colour;
    } names[] = {
        [VIOMMU_VERDICT_PASS] = { "PASS", VIOMMU_COLOUR_GREEN },
        [VIOMMU_VERDICT_NOTE] = { "NOTE", VIOMMU_COLOUR_BLUE },
        [VIOMMU_VERDICT_WARN] = { "WARN", VIOMMU_COLOUR_YELLOW },
        [VIOMMU_VERDICT_FAIL] = { "FAIL", VIOMMU_COLOUR_RED },
    };
    size_t i;

    for (i = 0; i < verdicts->len; i++) {
        const viommuVerdict *verdict = g_ptr_array_index(verdicts, i);
        g_autofree char *title = g_strdup_printf("Checking %s", verdict->title);

        g_string_append_printf(out, "%6s: %-69s: ", "VSMMU", title);
        viommuAppendColoured(out, coloured, names[verdict->verdict].colour,
                             names[verdict->verdict].name);
        if (verdict->text || verdict->hint) {
            g_string_append(out, " (");
            virTextAppendClean(out, verdict->text ? verdict->text : "");
            g_string_append(out, verdict->text && verdict->hint ? ": " : "");
            virTextAppendClean(out, verdict->hint ? verdict->hint : "");
            g_string_append_c(out, ')');
        }
        g_string_append_c(out, '\n');
    }
}

GPtrArray *
viommuHostCheckFindings(const GPtrArray *verdicts)
{
    static const viommuSeverity severities[] = {
        [VIOMMU_VERDICT_NOTE] = VIOMMU_SEVERITY_NOTE,
        [VIOMMU_VERDICT_WARN] = VIOMMU_SEVERITY_WARNING,
        [VIOMMU_VERDICT_FAIL] = VIOMMU_SEVERITY_ERROR,
    };
    GPtrArray *findings = viommuFindingsNew();
    size_t i;

    for (i = 0; i < verdicts->len; i++) {
        const viommuVerdict *verdict = g_ptr_array_index(verdicts, i);

        if (verdict->verdict != VIOMMU_VERDICT_PASS)
            viommuFindingsAdd(findings, verdict->id, severities[verdict->verdict], 0, NULL,
                              verdict->hint, "%s", verdict->text);
    }
    return findings;
}
