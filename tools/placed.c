/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What expand, define, argv and run do alike.
 */
#include "placed.h"

#include "qemu_viommu.h"
#include "report.h"
#include "viommu_check.h"

#include <string.h>

viommuExit
viommuInputPlaceAndSay(viommuInput *input, viommuPlacement **ret_placement, GError **error)
{
    g_autoptr(viommuPlacement) placement = viommuInputPlace(input, error);

    if (!placement)
        return VIOMMU_EXIT_UNREACHABLE;
    viommuReportFindings(placement->findings, input->opts->quiet);
    if (placement->refused)
        return VIOMMU_EXIT_REFUSED;
    *ret_placement = g_steal_pointer(&placement);
    return VIOMMU_EXIT_DONE;
}

void
viommuInputSayWords(const viommuInput *input)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();

    viommuCheckWords(input->dom, findings);
    viommuFindingsSort(findings);
    viommuReportFindings(findings, input->opts->quiet);
}

static unsigned
countSMMUs(const virSMMUTopology *topo)
{
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    unsigned count = 0;
    size_t i;

    for (i = 0; i < smmus->len; i++)
        count += ((virSMMU *)g_ptr_array_index(smmus, i))->kind == VIR_SMMU_KIND_SMMUV3;
    return count;
}

GPtrArray *
viommuInputArgs(const viommuInput *input, const viommuPlacement *placement, bool full, GError **error)
{
    const viommuDomain *dom = placement->native ? placement->result : input->dom;
    const viommuPlan *plan = placement->native ? placement->native : placement->plan;
    const viommuOptions *opts = input->opts;
    bool json = g_strcmp0(opts->format, "json") == 0;
    const char *why;
    qemuViommuDialect dialect = opts->qemuDialect;
    qemuViommuWords words;
    GPtrArray *args;

    if (!dialect && input->caps)
        dialect = qemuViommuCapsDialect(input->caps, &why);
    qemuViommuWordsInit(&words, dialect ? dialect : QEMU_VIOMMU_DIALECT_NATIVE, input->caps);
    words.hostSMMUs = countSMMUs(input->host->topo);
    if (full)
        args = qemuViommuFullArgs(dom, plan, &words, error);
    else
        args = qemuViommuArgs(dom, plan, &words, json ? QEMU_VIOMMU_OPEN_BY_CALLER : QEMU_VIOMMU_OPEN_BY_QEMU, error);
    if (args && full && input->emulator)
        ((qemuViommuArg *)g_ptr_array_index(args, 0))->option = input->emulator;
    if (!args)
        viommuLoadPrefix(error, input->file);
    return args;
}
