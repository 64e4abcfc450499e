/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Beginning a program.
 */
#include "viommu_program.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int
viommuProgramFail(int status, const char *text)
{
    fprintf(stderr, "error: %s\n", text);
    return status;
}

int
viommuProgramMisused(const char *name, const char *text)
{
    viommuProgramFail(VIOMMU_PROGRAM_USAGE, text);
    fprintf(stderr, "See '%s --help'.\n", name);
    return VIOMMU_PROGRAM_USAGE;
}

bool
viommuProgramBegin(const char *name, const char *args, const char *summary, const GOptionEntry *entries, int *argc,
                   char ***argv, int *ret_status)
{
    g_autoptr(GOptionContext) context = g_option_context_new(args);
    g_autoptr(GError) error = NULL;
    gboolean showVersion = FALSE;
    const GOptionEntry version[] = {
        { "version", 'V', 0, G_OPTION_ARG_NONE, &showVersion, "show the version", NULL },
        { 0 },
    };

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    g_option_context_set_summary(context, summary);
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_main_entries(context, version, NULL);
    if (g_option_context_parse(context, argc, argv, &error) && !args && *argc > 1)
        g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "unexpected argument '%s'", (*argv)[1]);
    if (error) {
        *ret_status = viommuProgramMisused(name, error->message);
        return false;
    }
    if (showVersion)
        printf("%s " VIOMMU_VERSION "\n", name);
    *ret_status = EXIT_SUCCESS;
    return !showVersion;
}
