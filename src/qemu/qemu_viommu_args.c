/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of QEMU arguments, its JSON values, and its two printed forms.
 */
#include "qemu_viommu_args.h"

#include <string.h>

/* Characters that no shell looks at, wherever they stand. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"

static void
argFree(void *data)
{
    qemuViommuArg *arg = data;

    g_free(arg->value);
    g_free(arg);
}

GPtrArray *
qemuViommuArgsNew(void)
{
    return g_ptr_array_new_with_free_func(argFree);
}

void
qemuViommuArgsAdd(GPtrArray *args, const char *option, char *value)
{
    qemuViommuArg *arg = g_new0(qemuViommuArg, 1);

    arg->option = option;
    arg->value = value;
    g_ptr_array_add(args, arg);
}

void
qemuViommuArgsAddf(GPtrArray *args, const char *option, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    qemuViommuArgsAdd(args, option, g_strdup_vprintf(format, list));
    va_end(list);
}

void
qemuViommuArgsAddJSON(GPtrArray *args, const char *option, JsonObject *props)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

    json_node_set_object(node, props);
    qemuViommuArgsAdd(args, option, json_to_string(node, FALSE));
}

void
qemuViommuArgsAppend(GPtrArray *args, GPtrArray *more)
{
    g_ptr_array_extend_and_steal(args, more);
}

JsonObject *
qemuViommuDeviceNew(const char *driver)
{
    JsonObject *props = json_object_new();

    json_object_set_string_member(props, "driver", driver);
    return props;
}

JsonObject *
qemuViommuObjectNew(const char *type, const char *id)
{
    JsonObject *props = json_object_new();

    json_object_set_string_member(props, "qom-type", type);
    json_object_set_string_member(props, "id", id);
    return props;
}

void
qemuViommuSetString(JsonObject *props, const char *name, const char *value)
{
    if (value)
        json_object_set_string_member(props, name, value);
}

char *
qemuViommuEscapeComma(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    return g_strjoinv(",,", parts);
}

/* In single quotes nothing is special but the quote itself, which is written as '\''. */
static void
appendQuoted(GString *out, const char *text)
{
    const char *c;

    if (*text && strspn(text, PLAIN) == strlen(text)) {
        g_string_append(out, text);
        return;
    }
    g_string_append_c(out, '\'');
    for (c = text; *c; c++) {
        if (*c == '\'')
            g_string_append(out, "'\\''");
        else
            g_string_append_c(out, *c);
    }
    g_string_append_c(out, '\'');
}

static char *
formatArgs(const GPtrArray *args, const char *separator)
{
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; i < args->len; i++) {
        const qemuViommuArg *arg = g_ptr_array_index(args, i);

        if (i > 0)
            g_string_append(out, separator);
        appendQuoted(out, arg->option);
        if (arg->value) {
            g_string_append_c(out, ' ');
            appendQuoted(out, arg->value);
        }
    }
    if (args->len > 0)
        g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}

char *
qemuViommuFormatShell(const GPtrArray *args)
{
    return formatArgs(args, " \\\n  ");
}

char *
qemuViommuFormatLines(const GPtrArray *args)
{
    return formatArgs(args, "\n");
}
