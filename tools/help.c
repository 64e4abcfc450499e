/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Help from the tables.
 */
#include "help.h"

#define INDENT "  "
#define COLUMN 30

static void
addOption(const char *name, char letter, const char *value, const char *help, void *data)
{
    g_autofree char *left = NULL;

    if (letter)
        left = g_strdup_printf("-%c, --%s%s%s", letter, name, value ? " " : "", value ? value : "");
    else
        left = g_strdup_printf("--%s%s%s", name, value ? " " : "", value ? value : "");
    g_string_append_printf(data, INDENT "%-*s %s\n", COLUMN, left, help);
}

char *
viommuHelp(void)
{
    GString *out = g_string_new(
        "NAME\n" INDENT
        "viommu - virtual SMMUs for libvirt domains, placed as the host's physical ones ask\n\n"
        "SYNOPSIS\n" INDENT "viommu [OPTION]... COMMAND [OPTION]... [ARG]...\n\n"
        "COMMANDS\n");
    const viommuCmd *const *cmd;

    for (cmd = viommuCmdTable(); *cmd; cmd++) {
        g_autofree char *left = NULL;

        if ((*cmd)->hidden)
            continue;
        left = g_strdup_printf("%s%s%s", (*cmd)->name, (*cmd)->args ? " " : "",
                               (*cmd)->args ? (*cmd)->args : "");
        g_string_append_printf(out, INDENT "%-*s %s\n", COLUMN, left, (*cmd)->help);
    }
    g_string_append(out, "\nOPTIONS\n");
    viommuOptionsEach(NULL, addOption, out);
    g_string_append(
        out,
        "\nA file '-' is standard input. 'viommu help COMMAND' tells the options of a command.\n"
        "Exit status: 0 done, 1 refused or errors found, 2 usage, 3 the host, a file or libvirt cannot be reached.\n");
    return g_string_free(out, FALSE);
}

char *
viommuHelpCommand(const viommuCmd *cmd)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "NAME\n" INDENT "%s - %s\n\n", cmd->name, cmd->help);
    g_string_append_printf(out, "SYNOPSIS\n" INDENT "viommu %s [OPTION]...%s%s\n\nOPTIONS\n",
                           cmd->name, cmd->args ? " " : "", cmd->args ? cmd->args : "");
    viommuOptionsEach(cmd, addOption, out);
    return g_string_free(out, FALSE);
}

static viommuExit
cmdHelp(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    const viommuCmd *cmd = args[0] ? viommuCmdFind(args[0]) : NULL;
    g_autofree char *text = NULL;

    if (args[0] && !cmd)
        return viommuCmdUnknown(args[0]);
    text = cmd ? viommuHelpCommand(cmd) : viommuHelp();
    g_string_append(out, text);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdHelp = {
    .name = "help",
    .args = "[COMMAND]",
    .help = "show this help, or that of a command",
    .maxArgs = 1,
    .run = cmdHelp,
};
