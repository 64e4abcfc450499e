/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu-hook(8): what libvirt runs when a domain starts, or comes from elsewhere. It never asks libvirt, which waits
 * for it.
 */
#include "viommu_program.h"
#include "viommu_start.h"
#include "viommu_sysfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFUSED 1

/* libvirt's own call: HOOK GUEST OPERATION SUB-OPERATION EXTRA. */
#define LIBVIRT_ARGC 5
#define SUB_OPERATION 3

/* More than any domain that libvirt takes (VIOMMU_XML_MAX): of what is longer, the beginning tells that it is. */
#define READ_MAX ((size_t)4 * VIOMMU_XML_MAX)

static const char args[] = "GUEST OPERATION SUB-OPERATION [EXTRA]";
static const char summary[] =
    "Stops a domain whose placement of host devices below virtual SMMUs does not fit\n"
    "this host any more. libvirt calls it, with the domain on standard input, where it\n"
    "is linked into /etc/libvirt/hooks/qemu.d. Of the operations 'prepare begin',\n"
    "'migrate begin' and 'restore begin' are looked at.";

static char *hostPath;
static char *configPath;

static const GOptionEntry entries[] = {
    { "host", 0, 0, G_OPTION_ARG_FILENAME, &hostPath, "look at the host below a directory, or recorded in a file",
      "FILE|DIR" },
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &configPath,
      "read FILE (default: " VIOMMU_SYSCONFDIR "/viommu/viommud.conf, if it is there)", "FILE" },
    { 0 },
};

typedef enum {
    OPERATION_OTHER,
    OPERATION_START,  /* libvirt takes an exit status */
    OPERATION_ARRIVE, /* and another domain */
} operation;

static operation
findOperation(const char *name, const char *sub)
{
    if (strcmp(sub, "begin") != 0)
        return OPERATION_OTHER;
    if (strcmp(name, "prepare") == 0)
        return OPERATION_START;
    return strcmp(name, "migrate") == 0 || strcmp(name, "restore") == 0 ? OPERATION_ARRIVE : OPERATION_OTHER;
}

/* The configuration is read for a domain that is judged, and not before. */
static virSysfs *
openHost(const void *data, GError **error)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();

    if (!viommuConfigLoad(config, configPath, error))
        return NULL;
    return viommuSysfsOpen(config, hostPath ? hostPath : "/", error);
}

/* What cannot be read is no domain with vSMMUs. */
static GString *
readInput(void)
{
    GString *text = g_string_new(NULL);
    char part[4096];
    ssize_t got;

    while (text->len < READ_MAX) {
        got = read(STDIN_FILENO, part, sizeof(part));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        g_string_append_len(text, part, got);
    }
    return text;
}

/* libvirt takes what is there only if the status is 0. */
static bool
writeOutput(const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t done = write(STDOUT_FILENO, text, left);

        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            text += done;
            left -= (size_t)done;
        }
    }
    return true;
}

static int
run(operation what)
{
    static const viommuRewriteContext context = { .openHost = openHost };
    g_autoptr(GString) input = readInput();
    g_autofree char *words = NULL;
    g_autofree char *text = NULL;

    if (what == OPERATION_START)
        viommuStartJudge(input->str, input->len, &context, &words);
    else
        viommuStartFilter(input->str, input->len, &context, &text, &words);
    if (!words && text && !writeOutput(text))
        words = g_strdup_printf("viommu: the corrected domain cannot be written: %s", g_strerror(errno));
    if (!words)
        return EXIT_SUCCESS;
    fprintf(stderr, "%s\n", words);
    return REFUSED;
}

/* A guest can be called "--help". With an option there are as many words, and another in that place. */
static bool
isByLibvirt(int argc, char **argv)
{
    static const char *const subs[] = { "begin", "end", "-", NULL };

    return argc == LIBVIRT_ARGC && (argv[1][0] != '-' || g_strv_contains(subs, argv[SUB_OPERATION]));
}

int
main(int argc, char **argv)
{
    bool byLibvirt = isByLibvirt(argc, argv);
    operation what;
    int status;

    /* Most calls are for others. */
    if (!byLibvirt && !viommuProgramBegin("viommu-hook", args, summary, entries, &argc, &argv, &status))
        return status;
    if (argc < LIBVIRT_ARGC - 1 || argc > LIBVIRT_ARGC)
        return viommuProgramMisused("viommu-hook", "it takes a guest, an operation and a sub-operation, as libvirt gives them");
    what = findOperation(argv[2], argv[3]);
    if (what == OPERATION_OTHER)
        return EXIT_SUCCESS;
    if (isatty(STDIN_FILENO))
        return viommuProgramMisused("viommu-hook", "the domain is read from standard input; give it a file there");
    return run(what);
}
