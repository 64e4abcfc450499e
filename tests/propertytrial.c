/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Planning for the properties, and complaining.
 */
#include "propertytrial.h"

#include "viommu_expand.h"

#include <string.h>

static void
save(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    if (text)
        g_file_set_contents(path, text, -1, NULL);
}

void
trialComplain(const trial *one, const char *other, const char *format, ...)
{
    g_autofree char *directory = g_strdup_printf("%s/viommu-property-%u", g_get_tmp_dir(), one->seed);
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_mkdir_with_parents(directory, 0755);
    save(directory, "host.sysfs", one->manifest);
    save(directory, "domain.xml", one->input);
    save(directory, "other.xml", other);
    save(directory, "what", text);
    g_test_message("seed %u: %s (see %s)", one->seed, text, directory);
    g_test_fail();
}

bool
trialLoadDetails(const trial *one, virSysfs *fs, virSMMUTopology *topology, viommuDomain *dom)
{
    g_autoptr(GError) error = NULL;
    const GPtrArray *devices = virSMMUTopologyDevices(topology);
    virPCIAddr network;
    size_t i;

    if (one->dom->network && virPCIAddrParse(one->dom->network, &network))
        viommuDomainBindNetwork(dom, "vfs", &network);
    /* Of all: a spare port keeps room for any of its SMMU, so that no plan must depend on those before. */
    for (i = 0; i < devices->len; i++) {
        if (!virSMMUTopologyLoadDetails(topology, fs, g_ptr_array_index(devices, i), &error)) {
            trialComplain(one, NULL, "the host cannot be read: %s", error->message);
            return false;
        }
    }
    return true;
}

void
trialClearOutcome(outcome *out)
{
    g_clear_pointer(&out->plan, viommuPlanFree);
    g_clear_pointer(&out->dom, viommuDomainFree);
    g_clear_pointer(&out->findings, g_ptr_array_unref);
    g_clear_pointer(&out->text, g_free);
}

bool
trialPlanOn(const trial *one, virSysfs *fs, virSMMUTopology *topology, const char *xml, viommuDialect dialect,
       outcome *out)
{
    g_autoptr(GError) error = NULL;
    size_t len = 0;

    *out = (outcome){ .findings = viommuFindingsNew() };
    out->dom = viommuDomainParse(xml, strlen(xml), &error);
    if (!out->dom) {
        trialComplain(one, xml, "the domain cannot be read: %s", error->message);
        return false;
    }
    if (!trialLoadDetails(one, fs, topology, out->dom))
        return false;
    out->plan = viommuPlanMake(out->dom, topology, &one->options, out->findings);
    if (!out->plan)
        return true;
    out->text = viommuExpand(out->dom, out->plan, dialect, &len, &error);
    if (!out->text)
        trialComplain(one, xml, "the plan cannot be written: %s", error->message);
    return out->text != NULL;
}

bool
trialPlan(const trial *one, const char *xml, viommuDialect dialect, outcome *out)
{
    return trialPlanOn(one, one->fs, one->topology, xml, dialect, out);
}

char *
trialFormatFindings(const GPtrArray *findings)
{
    GString *text = g_string_new(NULL);
    size_t i;

    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        if (finding->severity != VIOMMU_SEVERITY_NOTE)
            g_string_append_printf(text, "\n  %s %s line %u: %s", finding->id,
                                   viommuSeverityName(finding->severity), finding->line, finding->text);
    }
    return g_string_free(text, FALSE);
}
