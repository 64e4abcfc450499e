/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu complete: what may follow on the command line, for the shell (completion/viommu). It is
 * given
 * "--" and the words after "viommu", the last of them the one to complete.
 */
#include "viommu.h"

#include <string.h>

typedef struct {
    const char *word;  /* name of the option that is looked for, without dashes */
    const char *value; /* of that option: NULL if it takes none, or is none */
    const char *start; /* to be completed */
    GString *out;
} Search;

static void
offer(GString *out, const char *start, const char *prefix, const char *text)
{
    g_autofree char *word = g_strconcat(prefix, text, NULL);

    if (g_str_has_prefix(word, start))
        g_string_append_printf(out, "%s\n", word);
}

static void
matchOption(const char *name, char letter, const char *value, const char *help, void *data)
{
    Search *search = data;
    const char *word = search->word;

    if (strcmp(word, name) == 0 || (letter && word[0] == letter && !word[1]))
        search->value = value;
}

static void
offerOption(const char *name, char letter, const char *value, const char *help, void *data)
{
    const Search *search = data;

    offer(search->out, search->start, "--", name);
}

/* The value that the option @word of @cmd wants as the next word, or NULL. */
static const char *
wantsValue(const viommuCmd *cmd, const char *word)
{
    Search search = { .word = word + strspn(word, "-") };

    if (word[0] != '-' || strchr(word, '='))
        return NULL;
    viommuOptionsEach(cmd, matchOption, &search);
    return search.value;
}

static void
offerCommands(const char *start, GString *out)
{
    const viommuCmd *const *cmd;

    for (cmd = viommuCmdTable(); *cmd; cmd++) {
        if (!(*cmd)->hidden)
            offer(out, start, "", (*cmd)->name);
    }
}

/* Values in lower case are choices; the shell knows best about files and the like. */
static void
offerValues(const char *value, const char *start, GString *out)
{
    g_auto(GStrv) choices = NULL;
    size_t i;

    if (!g_ascii_islower(value[0]))
        return;
    choices = g_strsplit(value, "|", -1);
    for (i = 0; choices[i]; i++)
        offer(out, start, "", choices[i]);
}

static viommuExit
cmdComplete(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    const viommuCmd *cmd = NULL;
    const char *value = NULL;
    Search search = { .out = out };

    if (args[0] && strcmp(args[0], "--") == 0)
        args++;
    for (; args[0] && args[1]; args++) {
        if (strcmp(args[0], "=") == 0)
            continue; /* bash gives --option=value as three words */
        if (!value && !cmd && args[0][0] != '-')
            cmd = viommuCmdFind(args[0]);
        value = value ? NULL : wantsValue(cmd, args[0]);
    }
    search.start = args[0] && strcmp(args[0], "=") != 0 ? args[0] : "";
    if (value)
        offerValues(value, search.start, out);
    else if (search.start[0] == '-')
        viommuOptionsEach(cmd, offerOption, &search);
    else if (!cmd || cmd == &viommuCmdHelp)
        offerCommands(search.start, out);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdComplete = {
    .name = "complete",
    .help = "list what may follow, for the shell",
    .maxArgs = G_MAXINT,
    .hidden = true,
    .run = cmdComplete,
};
