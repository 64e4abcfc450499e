/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Paths are written without links in them, so that each thing has one line: walking a path adds a
 * line for each link that it meets.
 */
#include "virrecordpriv.h"

#include <stdlib.h>
#include <string.h>

struct virRecord {
    virSysfs *fs;
    GHashTable *lines;   /* canonical path -> what follows it in its line */
    GHashTable *targets; /* canonical path -> target of the link there, "" if it is none */
};

virRecord *
virRecordNew(virSysfs *fs)
{
    virRecord *record = g_new0(virRecord, 1);

    record->fs = fs;
    record->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    record->targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return record;
}

void
virRecordFree(virRecord *record)
{
    if (!record)
        return;
    g_hash_table_unref(record->lines);
    g_hash_table_unref(record->targets);
    g_free(record);
}

/* In a path a space would end it; at the end of a line an editor may take it away. */
static void
appendEscaped(GString *out, const char *text, bool isPath)
{
    for (; *text; text++) {
        if (*text == '\\')
            g_string_append(out, "\\\\");
        else if (*text == '\n')
            g_string_append(out, "\\n");
        else if (*text == '\t')
            g_string_append(out, "\\t");
        else if (!g_ascii_isprint(*text) || (*text == ' ' && (isPath || !text[1])) ||
                 (*text == '#' && isPath))
            g_string_append_printf(out, "\\x%02x", (unsigned char)*text);
        else
            g_string_append_c(out, *text);
    }
}

static void
addLine(virRecord *record, const char *path, const char *mark, const char *text)
{
    GString *line = g_string_new(mark);

    if (text && text[0]) {
        g_string_append_c(line, ' ');
        appendEscaped(line, text, false);
    }
    g_hash_table_insert(record->lines, g_strdup(path), g_string_free(line, FALSE));
}

/* The target of the link at canonical path @path, or NULL; each is read once. */
static const char *
linkTarget(virRecord *record, const char *path)
{
    const char *known = g_hash_table_lookup(record->targets, path);

    if (!known) {
        char *target = virSysfsReadLink(record->fs, path);

        known = target ? target : g_strdup("");
        g_hash_table_insert(record->targets, g_strdup(path), (char *)known);
    }
    return known[0] ? known : NULL;
}

static void
cutLast(GString *path)
{
    const char *slash = strrchr(path->str, '/');

    g_string_truncate(path, slash ? (gsize)(slash - path->str) : 0);
}

/* A name that a manifest can hold. */
static bool
isWritable(const char *name)
{
    const char *at;

    for (at = name; *at; at++) {
        if (g_ascii_iscntrl(*at))
            return false;
    }
    return g_utf8_validate(name, -1, NULL);
}

/* Goes one component on from directory @done. Where that is a link to follow, its line is added and
 * *rest becomes its target and what was left. False where a manifest cannot follow. */
static bool
walkComponent(virRecord *record, GString *done, char **rest, bool follow)
{
    const char *start = *rest + strspn(*rest, "/");
    size_t len = strcspn(start, "/");
    g_autofree char *name = g_strndup(start, len);
    g_autofree char *left = g_strdup(start + len);
    const char *target;

    if (!isWritable(name))
        return false;
    if (g_str_equal(name, "..")) {
        if (!done->len)
            return false;
        cutLast(done);
    } else if (!g_str_equal(name, ".") && name[0]) {
        g_string_append_printf(done, "%s%s", done->len ? "/" : "", name);
        target = follow || left[0] ? linkTarget(record, done->str) : NULL;
        if (target) {
            if (target[0] == '/')
                return false;
            addLine(record, done->str, " ->", target);
            cutLast(done);
            g_free(*rest);
            *rest = g_strconcat(target, left, NULL);
            return true;
        }
    }
    g_free(*rest);
    *rest = g_steal_pointer(&left);
    return true;
}

/* The path without links of what is at @path, or NULL. */
static char *
canonicalPath(virRecord *record, const char *path, bool follow)
{
    g_autoptr(GString) done = g_string_new(NULL);
    g_autofree char *rest = g_strdup(path);
    size_t steps;

    /* More than any path can take: names of one letter, and as many links as are followed. */
    for (steps = 0; rest[0]; steps++) {
        if (steps > 4096 || !walkComponent(record, done, &rest, follow))
            return NULL;
    }
    return done->len ? g_string_free(g_steal_pointer(&done), FALSE) : NULL;
}

bool
virRecordDirectory(virRecord *record, const char *path)
{
    g_autofree char *real = NULL;

    if (!virSysfsExists(record->fs, path))
        return false;
    real = canonicalPath(record, path, true);
    if (real && !g_hash_table_contains(record->lines, real))
        addLine(record, real, "", NULL);
    return real != NULL;
}

bool
virRecordText(virRecord *record, const char *path, GError **error)
{
    g_autofree char *text = virSysfsReadText(record->fs, path, error);
    g_autofree char *real = text ? canonicalPath(record, path, true) : NULL;

    if (real)
        addLine(record, real, " =", text);
    return real != NULL;
}

static bool
hasOne(const char *line, const char *const *words)
{
    for (; *words; words++) {
        if (strstr(line, *words))
            return true;
    }
    return false;
}

void
virRecordLines(virRecord *record, const char *path, const char *text, const char *const *words)
{
    g_autofree char *real = canonicalPath(record, path, true);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) kept = g_string_new(NULL);
    size_t i;

    for (i = 0; lines[i]; i++) {
        if (hasOne(lines[i], words))
            g_string_append_printf(kept, "%s%s", kept->len ? "\n" : "", lines[i]);
    }
    /* Where a link to it cannot be written, it stands where the link is. */
    addLine(record, real ? real : path, " =", kept->str);
}

bool
virRecordBytes(virRecord *record, const char *path, size_t limit, GError **error)
{
    size_t len = 0;
    g_autofree uint8_t *data = virSysfsReadHead(record->fs, path, limit, &len, error);
    g_autofree char *real = data ? canonicalPath(record, path, true) : NULL;
    g_autofree char *base64 = real ? g_base64_encode(data, len) : NULL;

    if (real)
        addLine(record, real, " :", base64);
    return real != NULL;
}

bool
virRecordExistence(virRecord *record, const char *path)
{
    g_autofree char *real = NULL;

    if (virSysfsExists(record->fs, path))
        real = canonicalPath(record, path, true);
    if (real)
        addLine(record, real, " =", NULL);
    return real != NULL;
}

bool
virRecordLink(virRecord *record, const char *path)
{
    g_autofree char *target = virSysfsReadLink(record->fs, path);
    g_autofree char *real = target ? canonicalPath(record, path, false) : NULL;

    if (!real || target[0] == '/')
        return false;
    addLine(record, real, " ->", target);
    virRecordDirectory(record, path);
    return true;
}

/* The names of all directories that a line is below. */
static GHashTable *
impliedDirectories(GHashTable *lines)
{
    GHashTable *implied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, lines);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        g_autoptr(GString) up = g_string_new(path);

        for (cutLast(up); up->len; cutLast(up)) {
            if (!g_hash_table_add(implied, g_strdup(up->str)))
                break;
        }
    }
    return implied;
}

static int
comparePaths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *
virRecordFormat(const virRecord *record)
{
    g_autoptr(GHashTable) implied = impliedDirectories(record->lines);
    g_autofree const char **paths =
        (const char **)g_hash_table_get_keys_as_array(record->lines, NULL);
    size_t count = g_hash_table_size(record->lines), i;
    GString *out = g_string_new(NULL);

    qsort(paths, count, sizeof(*paths), comparePaths);
    for (i = 0; i < count; i++) {
        const char *rest = g_hash_table_lookup(record->lines, paths[i]);

        if (!rest[0] && g_hash_table_contains(implied, paths[i]))
            continue;
        appendEscaped(out, paths[i], true);
        g_string_append_printf(out, "%s\n", rest);
    }
    return g_string_free(out, FALSE);
}
