/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading viommud.conf. GVariant's text form is that of libvirt's values.
 */
#include "viommu_config.h"

#include "viommuerror.h"

#include <stddef.h>
#include <string.h>

/* libvirtd's own defaults (libvirtd.conf): max_clients, and as many as that for its keepalive. */
#define MAX_CLIENTS 5000
#define MAX_CLIENTS_PER_USER 200
#define DRAIN_TIMEOUT 10
/* Before a client's keepalive gives up: 5 s * (5 + 1). */
#define QUERY_TIMEOUT 15

#define PERMS_ALL 0666

viommuConfig *
viommuConfigNew(void)
{
    viommuConfig *config = g_new0(viommuConfig, 1);

    config->sockDir = g_strdup(VIOMMU_RUNSTATEDIR "/viommu");
    config->rwPerms = PERMS_ALL;
    config->roPerms = PERMS_ALL;
    config->maxClients = MAX_CLIENTS;
    config->maxClientsPerUser = MAX_CLIENTS_PER_USER;
    config->drainTimeout = DRAIN_TIMEOUT;
    config->queryTimeout = QUERY_TIMEOUT;
    return config;
}

void
viommuConfigFree(viommuConfig *config)
{
    if (!config)
        return;
    g_free(config->registers);
    g_free(config->sockDir);
    g_free(config->sockGroup);
    g_free(config->libvirtSock);
    g_free(config->libvirtSockRO);
    g_free(config);
}

typedef enum {
    KEY_PATH,   /* an absolute one */
    KEY_STRING,
    KEY_PERMS,  /* octal, as a string */
    KEY_NUMBER,
    KEY_POLICY,
} keyKind;

static const struct {
    const char *name;
    keyKind kind;
    size_t offset;
    unsigned min, max;
} keys[] = {
    { "policy", KEY_POLICY, offsetof(viommuConfig, policy), 0, 0 },
    { "registers", KEY_PATH, offsetof(viommuConfig, registers), 0, 0 },
    { "unix_sock_dir", KEY_PATH, offsetof(viommuConfig, sockDir), 0, 0 },
    { "unix_sock_group", KEY_STRING, offsetof(viommuConfig, sockGroup), 0, 0 },
    { "unix_sock_rw_perms", KEY_PERMS, offsetof(viommuConfig, rwPerms), 0, 0777 },
    { "unix_sock_ro_perms", KEY_PERMS, offsetof(viommuConfig, roPerms), 0, 0777 },
    { "libvirt_sock", KEY_PATH, offsetof(viommuConfig, libvirtSock), 0, 0 },
    { "libvirt_sock_ro", KEY_PATH, offsetof(viommuConfig, libvirtSockRO), 0, 0 },
    { "max_clients", KEY_NUMBER, offsetof(viommuConfig, maxClients), 1, 100000 },
    { "max_clients_per_user", KEY_NUMBER, offsetof(viommuConfig, maxClientsPerUser), 0, 100000 },
    { "drain_timeout", KEY_NUMBER, offsetof(viommuConfig, drainTimeout), 0, 3600 },
    { "query_timeout", KEY_NUMBER, offsetof(viommuConfig, queryTimeout), 1, 3600 },
};

static bool
setString(viommuConfig *config, size_t key, const char *text)
{
    char **field = (char **)((char *)config + keys[key].offset);

    if (!*text || (keys[key].kind == KEY_PATH && *text != '/'))
        return false;
    g_free(*field);
    *field = g_strdup(text);
    return true;
}

static bool
setNumber(viommuConfig *config, size_t key, guint64 value)
{
    unsigned *field = (unsigned *)(void *)((char *)config + keys[key].offset);

    if (value < keys[key].min || value > keys[key].max)
        return false;
    *field = (unsigned)value;
    return true;
}

/* @value is a string (then @text) or a number; false if the key wants something else. */
static bool
setKey(viommuConfig *config, size_t key, const char *text, gint64 number)
{
    guint64 perms;

    switch (keys[key].kind) {
    case KEY_PATH:
    case KEY_STRING:
        return text && setString(config, key, text);
    case KEY_PERMS:
        return text && g_ascii_string_to_unsigned(text, 8, 0, 0777, &perms, NULL) &&
               setNumber(config, key, perms);
    case KEY_NUMBER:
        return !text && number >= 0 && setNumber(config, key, (guint64)number);
    case KEY_POLICY:
        return text && viommuPolicyParse(text, &config->policy);
    }
    return false;
}

static const char *
wanted(keyKind kind)
{
    switch (kind) {
    case KEY_PATH:
        return "an absolute path in double quotes";
    case KEY_STRING:
        return "a name in double quotes";
    case KEY_PERMS:
        return "an octal mode in double quotes, \"0666\"";
    case KEY_NUMBER:
        return "a number";
    case KEY_POLICY:
        return "\"off\", \"smmuv3\" or \"aarch64\"";
    }
    return "";
}

/* Reads "value", which may be followed by a comment; NULL: neither a string nor a number. */
static GVariant *
readValue(const char *text)
{
    const char *end = NULL;
    g_autoptr(GVariant) value = g_variant_parse(NULL, text, NULL, &end, NULL);

    /* Numbers are decimal, as in libvirt's files. */
    if (!value || (text[0] == '0' && g_ascii_isalnum(text[1])))
        return NULL;
    while (g_ascii_isspace(*end))
        end++;
    if (*end && *end != '#')
        return NULL;
    if (!g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) &&
        !g_variant_is_of_type(value, G_VARIANT_TYPE_INT32))
        return NULL;
    return g_steal_pointer(&value);
}

static bool
parseLine(viommuConfig *config, char *line, char **ret_why)
{
    char *equals = strchr(line, '=');
    g_autoptr(GVariant) value = NULL;
    const char *text = NULL;
    gint64 number = 0;
    size_t i;

    if (!equals) {
        *ret_why = g_strdup("write KEY = VALUE");
        return false;
    }
    *equals = '\0';
    g_strchomp(line);
    for (i = 0; i < G_N_ELEMENTS(keys) && strcmp(line, keys[i].name) != 0; i++)
        ;
    if (i == G_N_ELEMENTS(keys)) {
        *ret_why = g_strdup_printf("there is no key '%s'; viommud.conf(5) has them", line);
        return false;
    }
    value = readValue(g_strstrip(equals + 1));
    if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        text = g_variant_get_string(value, NULL);
    else if (value)
        number = g_variant_get_int32(value);
    if (!value || !setKey(config, i, text, number)) {
        *ret_why = keys[i].max && keys[i].kind == KEY_NUMBER
                       ? g_strdup_printf("%s wants a number from %u to %u", keys[i].name,
                                         keys[i].min, keys[i].max)
                       : g_strdup_printf("%s wants %s", keys[i].name, wanted(keys[i].kind));
        return false;
    }
    return true;
}

bool
viommuConfigParse(viommuConfig *config, const char *name, const char *text, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    size_t i;

    if (!g_utf8_validate(text, -1, NULL)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "%s: not UTF-8 text; convert it", name);
        return false;
    }
    for (i = 0; lines[i]; i++) {
        g_autofree char *why = NULL;

        g_strstrip(lines[i]);
        if (!*lines[i] || *lines[i] == '#')
            continue;
        if (!parseLine(config, lines[i], &why)) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "%s:%zu: %s", name, i + 1, why);
            return false;
        }
    }
    return true;
}

bool
viommuConfigLoad(viommuConfig *config, const char *path, GError **error)
{
    static const char installed[] = VIOMMU_SYSCONFDIR "/viommu/viommud.conf";
    g_autoptr(GError) local = NULL;
    g_autofree char *text = NULL;
    gsize len;

    if (!g_file_get_contents(path ? path : installed, &text, &len, &local)) {
        if (!path && g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return true;
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, local->message);
        return false;
    }
    if (strlen(text) != len) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "%s: a NUL byte in it; is it a text file?",
                    path ? path : installed);
        return false;
    }
    return viommuConfigParse(config, path ? path : installed, text, error);
}
