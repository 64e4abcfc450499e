/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of findings: collecting and ordering. What is found is decided elsewhere.
 */
#include "viommu_finding.h"

#include "viommuerror.h"

#include <stdarg.h>
#include <string.h>

static void
findingFree(void *data)
{
    viommuFinding *finding = data;

    g_free(finding->text);
    g_free(finding->consequence);
    g_free(finding->remedy);
    g_free(finding);
}

GPtrArray *
viommuFindingsNew(void)
{
    return g_ptr_array_new_with_free_func(findingFree);
}

viommuFinding *
viommuFindingsAdd(GPtrArray *findings, const char *id, viommuSeverity severity, unsigned line,
                  const char *consequence, const char *remedy, const char *format, ...)
{
    viommuFinding *finding = g_new0(viommuFinding, 1);
    va_list args;

    finding->id = id;
    finding->severity = severity;
    finding->line = line;
    finding->consequence = g_strdup(consequence);
    finding->remedy = g_strdup(remedy);
    va_start(args, format);
    finding->text = g_strdup_vprintf(format, args);
    va_end(args);
    viommuErrorCut(finding->text);
    viommuErrorCut(finding->remedy);
    g_ptr_array_add(findings, finding);
    return finding;
}

bool
viommuFindingsHaveError(const GPtrArray *findings)
{
    size_t i;

    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        if (finding->severity == VIOMMU_SEVERITY_ERROR)
            return true;
    }
    return false;
}

static int
compareFindings(const void *a, const void *b)
{
    const viommuFinding *one = *(const viommuFinding *const *)a;
    const viommuFinding *two = *(const viommuFinding *const *)b;
    int order;

    if (one->line != two->line)
        return one->line < two->line ? -1 : 1;
    order = strcmp(one->id, two->id);
    return order ? order : strcmp(one->text, two->text);
}

void
viommuFindingsSort(GPtrArray *findings)
{
    g_ptr_array_sort(findings, compareFindings);
}

const char *
viommuSeverityName(viommuSeverity severity)
{
    switch (severity) {
    case VIOMMU_SEVERITY_NOTE:
        return "note";
    case VIOMMU_SEVERITY_WARNING:
        return "warning";
    case VIOMMU_SEVERITY_ERROR:
        return "error";
    }
    return "unknown";
}
