/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virSysfs over a manifest: one text line per path of a recorded host. The lines are read here, the
 * tree that they make is virsysfstree.c.
 *
 *     # comment
 *     path                   a directory
 *     path = text            a file; C escapes, the final newline is implied
 *     path -> target         a link, relative to its directory
 *     path : base64          a binary file
 */
#include "virsysfs.h"

#include "viommuerror.h"
#include "virsysfspriv.h"
#include "virsysfstree.h"

#include <string.h>

typedef struct {
    virSysfs parent;
    virSysfsTree *tree;
} virSysfsManifest;

static const virSysfsNode *
findFile(virSysfs *fs, const char *path, virSysfsNodeKind kind)
{
    const virSysfsManifest *manifest = (const virSysfsManifest *)fs;
    const virSysfsNode *node =
        virSysfsTreeLookup(manifest->tree, path, kind != VIR_SYSFS_NODE_LINK);

    return node && node->kind == kind ? node : NULL;
}

static uint8_t *
manifestRead(virSysfs *fs, const char *path, size_t limit, size_t *ret_len,
             GError **error G_GNUC_UNUSED)
{
    const virSysfsNode *file = findFile(fs, path, VIR_SYSFS_NODE_FILE);
    size_t len;
    uint8_t *data;

    if (!file)
        return NULL;
    len = MIN(file->len, limit);
    data = g_malloc(len + 1);
    memcpy(data, file->data, len);
    data[len] = '\0';
    *ret_len = len;
    return data;
}

static char *
manifestReadLink(virSysfs *fs, const char *path)
{
    const virSysfsNode *link = findFile(fs, path, VIR_SYSFS_NODE_LINK);

    return link ? g_strdup(link->data) : NULL;
}

static GPtrArray *
manifestList(virSysfs *fs, const char *path, GError **error G_GNUC_UNUSED)
{
    const virSysfsNode *directory = findFile(fs, path, VIR_SYSFS_NODE_DIRECTORY), *child;
    GPtrArray *names;

    if (!directory)
        return NULL;
    names = g_ptr_array_new_with_free_func(g_free);
    for (child = directory->children; child; child = child->next)
        g_ptr_array_add(names, g_strdup(child->name));
    return names;
}

static bool
manifestExists(virSysfs *fs, const char *path)
{
    return virSysfsTreeLookup(((const virSysfsManifest *)fs)->tree, path, true) != NULL;
}

static void
manifestFree(virSysfs *fs)
{
    virSysfsManifest *manifest = (virSysfsManifest *)fs;

    virSysfsTreeFree(manifest->tree);
    g_free(manifest);
}

static const virSysfsBackend manifestBackend = {
    .read = manifestRead,
    .readLink = manifestReadLink,
    .list = manifestList,
    .exists = manifestExists,
    .free = manifestFree,
};

/* The value of @digits digits of @text in base 8 or 16, or -1. */
static int
escapeNumber(const char *text, size_t digits, int base)
{
    int value = 0;
    size_t i;

    for (i = 0; i < digits; i++) {
        int digit = g_ascii_xdigit_value(text[i]);

        if (digit < 0 || digit >= base)
            return -1;
        value = value * base + digit;
    }
    return value;
}

/* Reads the escape behind a backslash; *text is moved behind it. Returns the byte, or -1. NUL has
 * no escape, because text has none; \x takes two digits, an octal escape three. */
static int
readEscape(const char **text)
{
    static const char letters[] = "abfnrtv\\\"'", bytes[] = "\a\b\f\n\r\t\v\\\"'";
    const char *at = *text, *letter;
    int value;

    if (at[0] == 'x' || (at[0] >= '0' && at[0] <= '3')) {
        value = at[0] == 'x' ? escapeNumber(at + 1, 2, 16) : escapeNumber(at, 3, 8);
        *text += 3;
        return value ? value : -1;
    }
    letter = at[0] ? strchr(letters, at[0]) : NULL;
    *text += 1;
    return letter ? bytes[letter - letters] : -1;
}

/* Undoes the escapes of @text in place, and returns the new length, or -1. */
static gssize
unescape(char *text)
{
    const char *from = text;
    char *to = text;

    while (*from) {
        int byte = (unsigned char)*from++;

        if (byte == '\\')
            byte = readEscape(&from);
        if (byte < 0)
            return -1;
        *to++ = (char)byte;
    }
    *to = '\0';
    return to - text;
}

static bool
setEscapeError(unsigned line, GError **error)
{
    viommuErrorAt(
        error, VIOMMU_ERROR_HOST, line,
        "a backslash is followed by no known escape: there are \\n \\t \\\\ \\xHH and C's others, none for NUL");
    return false;
}

/* GLib's decoder skips what it does not know, so the text is judged here. */
static bool
isBase64(const char *text, size_t len)
{
    size_t digits = len;

    if (len % 4)
        return false;
    while (digits && len - digits < 2 && text[digits - 1] == '=')
        digits--;
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") ==
           digits;
}

static bool
addBinary(virSysfsTree *tree, const char *path, char *base64, unsigned line, GError **error)
{
    gsize len = strlen(base64);

    if (!isBase64(base64, len)) {
        viommuErrorAt(
            error, VIOMMU_ERROR_HOST, line,
            "what follows ':' is not base64, or was cut off: it comes in fours of digits");
        return false;
    }
    if (len)
        g_base64_decode_inplace(base64, &len);
    return virSysfsTreeAdd(tree, VIR_SYSFS_NODE_FILE, path, base64, len, line, error);
}

static bool
addText(virSysfsTree *tree, const char *path, char *text, unsigned line, GError **error)
{
    gssize len = unescape(text);

    if (len < 0)
        return setEscapeError(line, error);
    text[len] = '\n'; /* in place of the NUL */
    return virSysfsTreeAdd(tree, VIR_SYSFS_NODE_FILE, path, text, (size_t)len + 1, line, error);
}

/* Splits @line at its mark and returns what follows; @ret_mark is '\0' where there is none. */
static char *
splitLine(char *line, char *ret_mark)
{
    static const struct {
        const char *mark;
        char is;
    } marks[] = { { "= ", '=' }, { "-> ", '>' }, { ": ", ':' } };
    char *space = strchr(line, ' ');
    size_t i;

    *ret_mark = '\0';
    if (!space)
        return line;
    for (i = 0; i < G_N_ELEMENTS(marks); i++) {
        size_t len = strlen(marks[i].mark);

        if (g_str_has_prefix(space + 1, marks[i].mark)) {
            *space = '\0';
            *ret_mark = marks[i].is;
            return space + 1 + len;
        }
        /* Nothing follows, and an editor has taken the space away. */
        if (strlen(space + 1) == len - 1 && strncmp(space + 1, marks[i].mark, len - 1) == 0) {
            *space = '\0';
            *ret_mark = marks[i].is;
            return space + len;
        }
    }
    return NULL;
}

/* Names are shown to people, so that no control characters are let in, escaped or not. */
static bool
isPrintable(const char *path)
{
    const char *at;

    for (at = path; *at; at++) {
        if (g_ascii_iscntrl(*at))
            return false;
    }
    return g_utf8_validate(path, -1, NULL);
}

/* @line is a copy with room behind its NUL, and is overwritten. */
static bool
addLine(virSysfsTree *tree, char *line, unsigned number, GError **error)
{
    char mark = '\0';
    char *rest = splitLine(line, &mark);

    if (!rest) {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, number,
                      "not a line of a recorded host: it takes the form 'path', 'path = text', "
                      "'path -> target' or 'path : base64'");
        return false;
    }
    if (unescape(line) < 0)
        return setEscapeError(number, error);
    if (!isPrintable(line)) {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, number,
                      "the path holds control characters, or is not UTF-8");
        return false;
    }
    switch (mark) {
    case '=':
        return addText(tree, line, rest, number, error);
    case ':':
        return addBinary(tree, line, rest, number, error);
    case '>':
        if (unescape(rest) < 0)
            return setEscapeError(number, error);
        return virSysfsTreeAdd(tree, VIR_SYSFS_NODE_LINK, line, rest, strlen(rest), number, error);
    }
    return virSysfsTreeAdd(tree, VIR_SYSFS_NODE_DIRECTORY, line, NULL, 0, number, error);
}

static bool
addLines(virSysfsTree *tree, const char *data, size_t len, GError **error)
{
    g_autoptr(GString) line = g_string_new(NULL);
    const char *at = data, *end = data + len;
    unsigned number;

    for (number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline : end) - at);

        if (memchr(at, '\0', length)) {
            viommuErrorAt(error, VIOMMU_ERROR_HOST, number,
                          "holds a NUL byte: write binary content as 'path : base64'");
            return false;
        }
        g_string_truncate(line, 0);
        g_string_append_len(line, at, (gssize)length);
        if (line->len && line->str[line->len - 1] == '\r')
            g_string_truncate(line, line->len - 1);
        if (line->len && line->str[0] != '#' && !addLine(tree, line->str, number, error))
            return false;
        if (!newline)
            break;
        at = newline + 1;
    }
    return virSysfsTreeCheckLinks(tree, error);
}

virSysfs *
virSysfsNewManifest(const char *data, size_t len, GError **error)
{
    g_autoptr(virSysfsTree) tree = virSysfsTreeNew();
    virSysfsManifest *manifest;

    if (len > VIR_SYSFS_MANIFEST_MAX) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "the recorded host is larger than %d bytes", VIR_SYSFS_MANIFEST_MAX);
        return NULL;
    }
    if (!addLines(tree, data, len, error))
        return NULL;
    manifest = g_new0(virSysfsManifest, 1);
    manifest->parent.backend = &manifestBackend;
    manifest->parent.recorded = true;
    manifest->tree = g_steal_pointer(&tree);
    return &manifest->parent;
}
