/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu-stdio(1): the helper of libvirt's "ext" transport. It runs as the client, with the client on standard
 * input and output.
 */
#include "viommu_log.h"
#include "viommu_program.h"
#include "viommu_serve.h"

#include <stdlib.h>
#include <unistd.h>

static const char summary[] =
    "Relays libvirt's RPC between standard input and output and libvirt, and places\n"
    "the host devices of domains that ask for nested SMMUs. It is for\n"
    "qemu+ext:///system?command=/usr/bin/viommu-stdio";

static char *configPath;
static char *socketPath;
static gboolean readOnly;

static const GOptionEntry entries[] = {
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &configPath,
      "read FILE (default: " VIOMMU_SYSCONFDIR "/viommu/viommud.conf, if it is there)", "FILE" },
    { "socket", 0, 0, G_OPTION_ARG_FILENAME, &socketPath, "connect to libvirt at PATH", "PATH" },
    { "readonly", 'r', 0, G_OPTION_ARG_NONE, &readOnly, "use libvirt's read-only socket", NULL },
    { 0 },
};

int
main(int argc, char **argv)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(GError) error = NULL;
    g_autofree char *client = g_strdup_printf("uid %u", (unsigned)getuid());
    viommuConnCounts counts = { 0 };
    viommuConnOptions options = { .config = config, .client = client, .untrustedWire = true,
                                  .counts = &counts };
    int status;

    if (!viommuProgramBegin("viommu-stdio", NULL, summary, entries, &argc, &argv, &status))
        return status;
    if (isatty(STDIN_FILENO))
        return viommuProgramFail(
            VIOMMU_PROGRAM_USAGE,
            "this is started by libvirt's client library, and speaks its protocol; see viommu-stdio(1)");
    /* libvirt's client reads standard error only when the connection fails. */
    viommuLogOpen("viommu-stdio", VIOMMU_LOG_SYSLOG);
    if (!viommuConfigLoad(config, configPath, &error))
        return viommuProgramFail(VIOMMU_PROGRAM_UNREACHABLE, error->message);
    if (socketPath) {
        char **given = readOnly ? &config->libvirtSockRO : &config->libvirtSock;

        g_free(*given);
        *given = g_strdup(socketPath);
    }
    options.rewrite = viommuServeRewrites(config);
    if (!viommuServe(STDIN_FILENO, STDOUT_FILENO, readOnly, &options, &error))
        return viommuProgramFail(VIOMMU_PROGRAM_UNREACHABLE, error->message);
    return EXIT_SUCCESS;
}
