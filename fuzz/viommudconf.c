/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: viommud.conf. What is read is within its ranges, and reads back the same when it is written out; what
 * is not has an error with a line of the file.
 */
#include "fuzztarget.h"
#include "viommu_config.h"
#include "viommuerror.h"

#include <string.h>

#define NAME "f"

static void
checkRanges(const viommuConfig *config)
{
    g_assert_true(config->sockDir[0] == '/');
    g_assert_true(!config->libvirtSock || config->libvirtSock[0] == '/');
    g_assert_true(!config->libvirtSockRO || config->libvirtSockRO[0] == '/');
    g_assert_cmpuint(config->policy, <=, VIOMMU_POLICY_AARCH64);
    g_assert_cmpuint(config->rwPerms, <=, 0777);
    g_assert_cmpuint(config->roPerms, <=, 0777);
    g_assert_cmpuint(config->maxClients - 1, <, 100000);
    g_assert_cmpuint(config->maxClientsPerUser, <=, 100000);
    g_assert_cmpuint(config->drainTimeout, <=, 3600);
    g_assert_cmpuint(config->queryTimeout - 1, <, 3600);
}

static void
appendText(GString *out, const char *key, const char *text)
{
    g_autoptr(GVariant) value = text ? g_variant_ref_sink(g_variant_new_string(text)) : NULL;
    g_autofree char *quoted = value ? g_variant_print(value, FALSE) : NULL;

    if (quoted)
        g_string_append_printf(out, "%s = %s\n", key, quoted);
}

/* The configuration as a file. */
static char *
format(const viommuConfig *config)
{
    static const char *const policies[] = { "off", "smmuv3", "aarch64" };
    GString *out = g_string_new("# written\n");

    appendText(out, "policy", policies[config->policy]);
    appendText(out, "unix_sock_dir", config->sockDir);
    appendText(out, "unix_sock_group", config->sockGroup);
    appendText(out, "libvirt_sock", config->libvirtSock);
    appendText(out, "libvirt_sock_ro", config->libvirtSockRO);
    g_string_append_printf(out, "unix_sock_rw_perms = \"%o\"\nunix_sock_ro_perms=\"0%o\"\n", config->rwPerms,
                           config->roPerms);
    g_string_append_printf(out, "max_clients = %u\nmax_clients_per_user = %u # per user\n", config->maxClients,
                           config->maxClientsPerUser);
    g_string_append_printf(out, "drain_timeout = %u\r\n\tquery_timeout\t=\t%u", config->drainTimeout,
                           config->queryTimeout);
    return g_string_free(out, FALSE);
}

static void
checkBack(const viommuConfig *config)
{
    g_autoptr(viommuConfig) again = viommuConfigNew();
    g_autoptr(GError) error = NULL;
    g_autofree char *first = format(config);
    g_autofree char *second = NULL;

    g_assert_true(viommuConfigParse(again, NAME, first, &error));
    second = format(again);
    g_assert_cmpstr(second, ==, first);
}

/* "f:LINE: WHY", with a line that there is; "f: WHY" of a text that has no lines. */
static void
checkError(const GError *error, const char *text)
{
    const char *at = error->message;
    guint64 lines = 1;
    guint64 line;
    char *end = NULL;

    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
    if (!g_utf8_validate(text, -1, NULL)) {
        g_assert_true(g_str_has_prefix(at, NAME ": "));
        return;
    }
    for (; *text; text++)
        lines += *text == '\n';
    g_assert_true(g_str_has_prefix(at, NAME ":"));
    line = g_ascii_strtoull(at + strlen(NAME ":"), &end, 10);
    g_assert_cmpuint(line, >, 0);
    g_assert_cmpuint(line, <=, lines);
    g_assert_true(g_str_has_prefix(end, ": ") && end[strlen(": ")]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(GError) error = NULL;
    bool good;

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    good = viommuConfigParse(config, NAME, text, &error);
    g_assert(good == !error);
    checkRanges(config);
    checkBack(config);
    if (error)
        checkError(error, text);
    return 0;
}
