/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu argv: the placement as arguments of QEMU.
 */
#include "load.h"
#include "qemu_viommu.h"
#include "report.h"
#include "viommu.h"

#include <string.h>

static viommuExit
cmdArgv(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, args[0], error);
    g_autoptr(viommuPlacement) placement = NULL;
    g_autoptr(GPtrArray) argv = NULL;
    g_autofree char *text = NULL;
    bool json = strcmp(opts->format, "json") == 0;

    if (!input || !viommuInputLoad(input, error))
        return VIOMMU_EXIT_UNREACHABLE;
    placement = viommuInputPlace(input, error);
    if (!placement)
        return VIOMMU_EXIT_UNREACHABLE;
    viommuReportFindings(placement->findings, opts->quiet);
    if (placement->refused)
        return VIOMMU_EXIT_REFUSED;
    if (opts->full)
        argv = qemuViommuFullArgs(input->dom, placement->plan, NULL, error);
    else
        argv = qemuViommuArgs(input->dom, placement->plan, NULL,
                              json ? QEMU_VIOMMU_OPEN_BY_CALLER : QEMU_VIOMMU_OPEN_BY_QEMU, error);
    if (!argv) {
        viommuLoadPrefix(error, args[0]);
        return VIOMMU_EXIT_REFUSED;
    }
    text = json ? qemuViommuFormatLines(argv) : qemuViommuFormatShell(argv);
    g_string_append(out, text);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdArgv = {
    .name = "argv",
    .args = "DOMAIN.xml",
    .help = "print QEMU's arguments for the vSMMUs of a domain",
    .formats = "shell|json",
    .options = VIOMMU_OPTION_NETWORK | VIOMMU_OPTION_POLICY | VIOMMU_OPTION_QEMU_VERSION |
               VIOMMU_OPTION_FULL | VIOMMU_OPTION_PROBE,
    .minArgs = 1,
    .maxArgs = 1,
    .run = cmdArgv,
};
