/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu plan: the placement of a domain as a tree, as JSON, or for Graphviz.
 */
#include "load.h"
#include "plandiff.h"
#include "planshow.h"
#include "report.h"
#include "viommu.h"

#include <string.h>

static viommuExit
cmdPlan(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, args[0], error);
    g_autoptr(viommuPlacement) placement = NULL;

    if (!input || !viommuInputLoad(input, error))
        return VIOMMU_EXIT_UNREACHABLE;
    if (opts->diff)
        return viommuPlanDiff(input, out, error);
    placement = viommuInputPlace(input, error);
    if (!placement)
        return VIOMMU_EXIT_UNREACHABLE;
    if (!placement->refused && viommuDomainIsRequest(input->dom) && !viommuInputFitLibvirt(input, placement, error))
        return VIOMMU_EXIT_REFUSED;
    if (placement->byArguments && !opts->quiet)
        viommuReport(VIOMMU_SEVERITY_NOTE, "for this libvirt buses and ports are arguments of QEMU, with numbers of "
                                           "their own");
    if (strcmp(opts->format, "json") == 0) {
        viommuPlanShowJSON(placement, out);
    } else {
        viommuReportFindings(placement->findings, opts->quiet);
        if (placement->refused)
            return VIOMMU_EXIT_REFUSED;
        if (strcmp(opts->format, "dot") == 0)
            viommuPlanShowDot(placement, out);
        else
            viommuPlanShowTree(placement, out);
    }
    return placement->refused ? VIOMMU_EXIT_REFUSED : VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdPlan = {
    .name = "plan",
    .args = "DOMAIN.xml",
    .help = "show where a domain's host devices go, and why",
    .formats = "text|json|dot",
    .options = VIOMMU_OPTION_NETWORK | VIOMMU_OPTION_POLICY | VIOMMU_OPTION_LIBVIRT_VERSION |
               VIOMMU_OPTION_QEMU_VERSION | VIOMMU_OPTION_EMULATOR | VIOMMU_OPTION_PROBE | VIOMMU_OPTION_DIFF,
    .minArgs = 1,
    .maxArgs = 1,
    .run = cmdPlan,
};
