/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu argv: the placement as arguments of QEMU.
 */
#include "placed.h"
#include "qemu_viommu.h"

#include <string.h>

static viommuExit
cmdArgv(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, args[0], error);
    g_autoptr(viommuPlacement) placement = NULL;
    g_autoptr(GPtrArray) argv = NULL;
    g_autofree char *text = NULL;
    viommuExit status;

    if (!input || !viommuInputLoad(input, error))
        return VIOMMU_EXIT_UNREACHABLE;
    status = viommuInputPlaceAndSay(input, &placement, error);
    if (status != VIOMMU_EXIT_DONE)
        return status;
    argv = viommuInputArgs(input, placement, opts->full, error);
    if (!argv)
        return VIOMMU_EXIT_REFUSED;
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
