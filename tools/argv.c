/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu argv: the placement as arguments of QEMU.
 */
#include "load.h"
#include "qemu_viommu.h"
#include "report.h"
#include "viommu.h"

#include <string.h>

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

static GPtrArray *
makeArgs(const viommuInput *input, const viommuPlan *plan, GError **error)
{
    const viommuOptions *opts = input->opts;
    qemuViommuOpen open = strcmp(opts->format, "json") == 0 ? QEMU_VIOMMU_OPEN_BY_CALLER : QEMU_VIOMMU_OPEN_BY_QEMU;
    const char *why;
    qemuViommuDialect dialect = opts->qemuDialect;
    qemuViommuWords words;
    GPtrArray *args;

    if (!dialect && input->caps)
        dialect = qemuViommuCapsDialect(input->caps, &why);
    qemuViommuWordsInit(&words, dialect ? dialect : QEMU_VIOMMU_DIALECT_NATIVE, input->caps);
    words.hostSMMUs = countSMMUs(input->host->topo);
    if (!opts->full)
        return qemuViommuArgs(input->dom, plan, &words, open, error);
    args = qemuViommuFullArgs(input->dom, plan, &words, error);
    if (args && opts->emulator)
        ((qemuViommuArg *)g_ptr_array_index(args, 0))->option = opts->emulator;
    return args;
}

static viommuExit
cmdArgv(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, args[0], error);
    g_autoptr(viommuPlacement) placement = NULL;
    g_autoptr(GPtrArray) argv = NULL;
    g_autofree char *text = NULL;

    if (!input || !viommuInputLoad(input, error))
        return VIOMMU_EXIT_UNREACHABLE;
    placement = viommuInputPlace(input, error);
    if (!placement)
        return VIOMMU_EXIT_UNREACHABLE;
    viommuReportFindings(placement->findings, opts->quiet);
    if (placement->refused)
        return VIOMMU_EXIT_REFUSED;
    argv = makeArgs(input, placement->plan, error);
    if (!argv) {
        viommuLoadPrefix(error, args[0]);
        return VIOMMU_EXIT_REFUSED;
    }
    text = strcmp(opts->format, "json") == 0 ? qemuViommuFormatLines(argv) : qemuViommuFormatShell(argv);
    g_string_append(out, text);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdArgv = {
    .name = "argv",
    .args = "DOMAIN.xml",
    .help = "print QEMU's arguments for the vSMMUs of a domain",
    .formats = "shell|json",
    .options = VIOMMU_OPTION_NETWORK | VIOMMU_OPTION_POLICY | VIOMMU_OPTION_QEMU_VERSION |
               VIOMMU_OPTION_QEMU_DIALECT | VIOMMU_OPTION_EMULATOR |
               VIOMMU_OPTION_FULL | VIOMMU_OPTION_PROBE,
    .minArgs = 1,
    .maxArgs = 1,
    .run = cmdArgv,
};
