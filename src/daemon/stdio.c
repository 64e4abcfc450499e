/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu-stdio(1): the helper of libvirt's "ext" transport. It runs as the client, with the client on standard
 * input and output.
 */
#include "viommu_log.h"
#include "viommu_serve.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* As of viommu(1). */
#define EXIT_USAGE 2
#define EXIT_UNREACHABLE 3

static char *configPath;
static char *socketPath;
static gboolean readOnly;
static gboolean showVersion;

static const GOptionEntry entries[] = {
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &configPath,
      "read FILE (default: " VIOMMU_SYSCONFDIR "/viommu/viommud.conf, if it is there)", "FILE" },
    { "socket", 0, 0, G_OPTION_ARG_FILENAME, &socketPath, "connect to libvirt at PATH", "PATH" },
    { "readonly", 'r', 0, G_OPTION_ARG_NONE, &readOnly, "use libvirt's read-only socket", NULL },
    { "version", 'V', 0, G_OPTION_ARG_NONE, &showVersion, "show the version", NULL },
    { 0 },
};

static bool
parse(int *argc, char ***argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, "Relays libvirt's RPC between standard input and output and libvirt, "
                                          "and places\nthe host devices of domains that ask for nested SMMUs. "
                                          "It is for\nqemu+ext:///system?command=/usr/bin/viommu-stdio");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return false;
    if (*argc > 1)
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "unexpected argument '%s'",
                    (*argv)[1]);
    return *argc == 1;
}

static int
fail(int status, const GError *error)
{
    fprintf(stderr, "error: %s\n", error->message);
    return status;
}

int
main(int argc, char **argv)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(GError) error = NULL;
    g_autofree char *client = g_strdup_printf("uid %u", (unsigned)getuid());
    viommuConnCounts counts = { 0 };
    viommuConnOptions options = { .config = config, .client = client, .untrustedWire = true,
                                  .counts = &counts };

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    if (!parse(&argc, &argv, &error))
        return fail(EXIT_USAGE, error);
    if (showVersion) {
        puts("viommu-stdio " VIOMMU_VERSION);
        return EXIT_SUCCESS;
    }
    if (isatty(STDIN_FILENO)) {
        fputs("error: this is started by libvirt's client library, and speaks its protocol; see "
              "viommu-stdio(1)\n", stderr);
        return EXIT_USAGE;
    }
    /* libvirt's client reads standard error only when the connection fails. */
    viommuLogOpen("viommu-stdio", VIOMMU_LOG_SYSLOG);
    if (!viommuConfigLoad(config, configPath, &error))
        return fail(EXIT_UNREACHABLE, error);
    if (socketPath) {
        char **given = readOnly ? &config->libvirtSockRO : &config->libvirtSock;

        g_free(*given);
        *given = g_strdup(socketPath);
    }
    options.rewrite = viommuServeRewrites(config);
    if (!viommuServe(STDIN_FILENO, STDOUT_FILENO, readOnly, &options, &error))
        return fail(EXIT_UNREACHABLE, error);
    return EXIT_SUCCESS;
}
