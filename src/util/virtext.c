/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values as libvirt writes them in text.
 */
#include "virtext.h"

#include <string.h>

/* Longer words are no names. */
#define WORD_MAX 32

#define SIMILAR_MAX 2

bool
virTextParseSize(const char *text, const char *unit, uint64_t *ret_bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        { "b", 1 },                { "bytes", 1 },
        { "KB", 1000 },            { "k", 1ull << 10 },  { "KiB", 1ull << 10 },
        { "MB", 1000000 },         { "M", 1ull << 20 },  { "MiB", 1ull << 20 },
        { "GB", 1000000000 },      { "G", 1ull << 30 },  { "GiB", 1ull << 30 },
        { "TB", 1000000000000 },   { "T", 1ull << 40 },  { "TiB", 1ull << 40 },
        { "PB", 1000000000000000 }, { "P", 1ull << 50 }, { "PiB", 1ull << 50 },
        { "EB", 1000000000000000000 }, { "E", 1ull << 60 }, { "EiB", 1ull << 60 },
    };
    guint64 value;
    size_t i;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &value, NULL))
        return false;
    for (i = 0; i < G_N_ELEMENTS(units); i++) {
        if (g_ascii_strcasecmp(unit ? unit : "KiB", units[i].name) == 0)
            break;
    }
    if (i == G_N_ELEMENTS(units) || value > UINT64_MAX / units[i].bytes)
        return false;
    *ret_bytes = value * units[i].bytes;
    return true;
}

/* One part of a set: "N", "N-M" or "^N". */
static bool
parsePart(char *part, bool members[VIR_TEXT_SET_MAX + 1])
{
    char *text = g_strstrip(part);
    bool add = *text != '^';
    char *dash;
    guint64 first;
    guint64 last;

    if (!add)
        text++;
    dash = strchr(text, '-');
    if (dash)
        *dash++ = '\0';
    if (!g_ascii_string_to_unsigned(text, 10, 0, VIR_TEXT_SET_MAX, &first, NULL))
        return false;
    last = first;
    if (dash && (!add || !g_ascii_string_to_unsigned(dash, 10, first, VIR_TEXT_SET_MAX, &last, NULL)))
        return false;
    for (; first <= last; first++)
        members[first] = add;
    return true;
}

GArray *
virTextParseSet(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    g_autofree bool *members = g_new0(bool, VIR_TEXT_SET_MAX + 1);
    GArray *set;
    unsigned i;

    for (i = 0; parts[i]; i++) {
        if (!parsePart(parts[i], members))
            return NULL;
    }
    set = g_array_new(FALSE, FALSE, sizeof(unsigned));
    for (i = 0; i <= VIR_TEXT_SET_MAX; i++) {
        if (members[i])
            g_array_append_val(set, i);
    }
    return set;
}

void
virTextAppendClean(GString *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        /* C1 control characters are U+0080 to U+009F: 0xc2 and 0x80 to 0x9f in UTF-8. */
        if (c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] <= 0x9f) {
            text++;
            c = '\0';
        }
        g_string_append_c(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

/* @text in lower case and without '-' and '_'; false: it is no name. */
static bool
foldWord(const char *text, char word[WORD_MAX + 1])
{
    size_t len = 0;

    for (; *text; text++) {
        if (*text == '-' || *text == '_')
            continue;
        if (len == WORD_MAX)
            return false;
        word[len++] = g_ascii_tolower(*text);
    }
    word[len] = '\0';
    return true;
}

/* How many letters have to be put in, left out or replaced (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t len = strlen(b);
    size_t i, j;

    for (j = 0; j <= len; j++)
        row[j] = (unsigned)j;
    for (i = 0; a[i]; i++) {
        unsigned before = row[0]++;

        for (j = 1; j <= len; j++) {
            unsigned replaced = before + (a[i] != b[j - 1]);

            before = row[j];
            row[j] = MIN(replaced, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[len];
}

const char *
virTextSimilar(const char *word, const char *const *known)
{
    char folded[WORD_MAX + 1], other[WORD_MAX + 1];
    const char *nearest = NULL;
    unsigned least = SIMILAR_MAX + 1;
    size_t i;

    for (i = 0; known[i] && foldWord(word, folded); i++) {
        unsigned found = foldWord(known[i], other) ? distance(folded, other) : least;

        if (found < least && 2 * found < strlen(other)) {
            nearest = known[i];
            least = found;
        }
    }
    return nearest;
}
