/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu record: this host as one text file.
 */
#include "load.h"
#include "viommu.h"
#include "virrecord.h"

static viommuExit
cmdRecord(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(virSysfs) fs = viommuLoadHost(opts, error);
    g_autofree char *manifest = fs ? virRecordHost(fs, error) : NULL;

    if (!manifest)
        return VIOMMU_EXIT_UNREACHABLE;
    g_string_append(out, "# Written by 'viommu record' " VIOMMU_VERSION ".\n");
    g_string_append(out, manifest);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdRecord = {
    .name = "record",
    .help = "print this host as a record for --host",
    .options = VIOMMU_OPTION_PROBE,
    .run = cmdRecord,
};
