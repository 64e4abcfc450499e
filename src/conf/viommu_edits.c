/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes to the text of a document: replacements of byte ranges, applied in one pass.
 */
#include "viommu_xml.h"

#include <string.h>

typedef struct {
    size_t begin;
    size_t end;
    size_t order; /* of two at one place, the earlier comes first */
    char *text;
    const xmlNode *filled; /* the element that gets its first child elements by this, or NULL */
    size_t tail;           /* what of text is behind these */
} textEdit;

/* White space in front of an element beyond this is not repeated in front of others. */
#define GAP_MAX 256

struct viommuEdits {
    const viommuXML *xml;
    char *step; /* white space by which the document indents one level */
    GArray *list; /* of textEdit */
};

static void
clearEdit(void *edit)
{
    g_free(((textEdit *)edit)->text);
}

char *
viommuXMLEscape(const char *value)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *escaped = g_markup_escape_text(value, -1);
    const char *at;

    for (at = escaped; *at; at++) {
        if (*at == '\n' || *at == '\t' || *at == '\r')
            g_string_append_printf(out, "&#%d;", *at);
        else
            g_string_append_c(out, *at);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* Where the white space before offset @pos begins, its line break included; @pos itself if something else
 * stands before it in its line. */
static size_t
lineBreakBefore(const char *text, size_t pos)
{
    size_t at = pos;

    while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t'))
        at--;
    if (at == 0 || text[at - 1] != '\n')
        return pos;
    at--;
    if (at > 0 && text[at - 1] == '\r')
        at--;
    return at;
}

/* What stands before the first element below the root, more than before the root; two spaces if that does
 * not tell. */
static char *
findStep(const viommuXML *xml)
{
    const xmlNode *node = viommuXMLRoot(xml)->children;
    size_t len;
    const char *text = viommuXMLText(xml, &len);
    size_t begin;
    size_t at;

    while (node && node->type != XML_ELEMENT_NODE)
        node = node->next;
    if (!node)
        return g_strdup("  ");
    begin = viommuXMLSpan(xml, node)->begin;
    at = lineBreakBefore(text, begin);
    at += strspn(text + at, "\r\n");
    return at < begin && begin - at <= 8 ? g_strndup(text + at, begin - at) : g_strdup("  ");
}

viommuEdits *
viommuEditsNew(const viommuXML *xml)
{
    viommuEdits *edits = g_new0(viommuEdits, 1);

    edits->xml = xml;
    edits->step = findStep(xml);
    edits->list = g_array_new(FALSE, FALSE, sizeof(textEdit));
    g_array_set_clear_func(edits->list, clearEdit);
    return edits;
}

void
viommuEditsFree(viommuEdits *edits)
{
    if (!edits)
        return;
    g_array_unref(edits->list);
    g_free(edits->step);
    g_free(edits);
}

bool
viommuEditsEmpty(const viommuEdits *edits)
{
    return edits->list->len == 0;
}

static void
addEdit(viommuEdits *edits, size_t begin, size_t end, char *text)
{
    textEdit edit = { .begin = begin, .end = end, .order = edits->list->len, .text = text };

    g_array_append_val(edits->list, edit);
}

/* @lines with @gap (a line break and indentation, or nothing) between them, each level of two spaces as the
 * document's own step. */
static char *
indentLines(const viommuEdits *edits, const char *lines, const char *gap)
{
    g_auto(GStrv) parts = g_strsplit(lines, "\n", -1);
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; parts[i]; i++) {
        size_t spaces = strspn(parts[i], " ");
        size_t level;

        if (i > 0)
            g_string_append(out, gap);
        for (level = 0; *gap && level < spaces / 2; level++)
            g_string_append(out, edits->step);
        g_string_append(out, parts[i] + spaces);
    }
    return g_string_free(out, FALSE);
}

/* The line break and indentation in front of @elem. */
static char *
gapBefore(const viommuEdits *edits, const xmlNode *elem)
{
    size_t len;
    const char *text = viommuXMLText(edits->xml, &len);
    size_t begin = viommuXMLSpan(edits->xml, elem)->begin;
    size_t at = lineBreakBefore(text, begin);

    return g_strndup(text + at, MIN(begin - at, GAP_MAX));
}

void
viommuEditsReplace(viommuEdits *edits, const xmlNode *elem, const char *lines)
{
    const viommuSpan *span = viommuXMLSpan(edits->xml, elem);
    g_autofree char *gap = gapBefore(edits, elem);

    addEdit(edits, span->begin, span->end, indentLines(edits, lines, gap));
}

void
viommuEditsRemove(viommuEdits *edits, const xmlNode *elem)
{
    const viommuSpan *span = viommuXMLSpan(edits->xml, elem);
    size_t len;
    const char *text = viommuXMLText(edits->xml, &len);

    addEdit(edits, lineBreakBefore(text, span->begin), span->end, g_strdup(""));
}

void
viommuEditsInsertAfter(viommuEdits *edits, const xmlNode *elem, const char *lines)
{
    size_t end = viommuXMLSpan(edits->xml, elem)->end;
    g_autofree char *gap = gapBefore(edits, elem);
    g_autofree char *body = indentLines(edits, lines, gap);

    addEdit(edits, end, end, g_strconcat(gap, body, NULL));
}

void
viommuEditsInsertBefore(viommuEdits *edits, const xmlNode *elem, const char *lines)
{
    size_t begin = viommuXMLSpan(edits->xml, elem)->begin;
    g_autofree char *gap = gapBefore(edits, elem);
    g_autofree char *body = indentLines(edits, lines, gap);

    addEdit(edits, begin, begin, g_strconcat(body, gap, NULL));
}

static const xmlNode *
lastElement(const xmlNode *parent)
{
    const xmlNode *node = parent->last;

    while (node && node->type != XML_ELEMENT_NODE)
        node = node->prev;
    return node;
}

static textEdit *
findFilled(const viommuEdits *edits, const xmlNode *parent)
{
    size_t i;

    for (i = 0; i < edits->list->len; i++) {
        textEdit *edit = &g_array_index(edits->list, textEdit, i);

        if (edit->filled == parent)
            return edit;
    }
    return NULL;
}

/* The edit that gives @parent, which has no child element, a place for some. */
static textEdit *
fill(viommuEdits *edits, const xmlNode *parent, const char *outer)
{
    const viommuSpan *span = viommuXMLSpan(edits->xml, parent);
    const char *prefix = parent->ns && parent->ns->prefix ? (const char *)parent->ns->prefix : "";
    g_autofree char *tail = NULL;
    size_t at = span->content;
    size_t len;
    const char *text = viommuXMLText(edits->xml, &len);
    textEdit *edit;

    if (span->content != span->end) {
        tail = g_strdup(span->contentEnd == span->content ? outer : "");
        addEdit(edits, at, at, g_strdup(tail));
    } else {
        /* <a/>: the slash goes and an end tag comes. */
        at = span->end - 2;
        while (at > span->begin && g_ascii_isspace(text[at - 1]))
            at--;
        tail = g_strconcat(outer, "</", prefix, *prefix ? ":" : "", (const char *)parent->name, ">", NULL);
        addEdit(edits, at, span->end, g_strconcat(">", tail, NULL));
    }
    edit = &g_array_index(edits->list, textEdit, edits->list->len - 1);
    edit->filled = parent;
    edit->tail = strlen(tail);
    return edit;
}

void
viommuEditsAppendChild(viommuEdits *edits, const xmlNode *parent, const char *lines)
{
    const xmlNode *last = lastElement(parent);
    g_autofree char *outer = NULL;
    g_autofree char *inner = NULL;
    g_autofree char *body = NULL;
    g_autofree char *before = NULL;
    textEdit *edit;
    size_t head;

    if (last) {
        viommuEditsInsertAfter(edits, last, lines);
        return;
    }
    outer = gapBefore(edits, parent);
    inner = *outer ? g_strconcat(outer, edits->step, NULL) : g_strdup("");
    body = indentLines(edits, lines, inner);
    edit = findFilled(edits, parent);
    if (!edit)
        edit = fill(edits, parent, outer);
    before = edit->text;
    head = strlen(before) - edit->tail;
    edit->text = g_strdup_printf("%.*s%s%s%s", (int)head, before, inner, body, before + head);
}

void
viommuEditsAddAttr(viommuEdits *edits, const xmlNode *elem, const char *name, const char *value)
{
    const viommuSpan *span = viommuXMLSpan(edits->xml, elem);
    g_autofree char *escaped = viommuXMLEscape(value);
    size_t len;
    const char *text = viommuXMLText(edits->xml, &len);
    size_t at = span->content - 1;

    if (span->content == span->end && text[at - 1] == '/')
        at--;
    while (at > span->begin && g_ascii_isspace(text[at - 1]))
        at--;
    addEdit(edits, at, at, g_strdup_printf(" %s='%s'", name, escaped));
}

void
viommuEditsRemoveAttr(viommuEdits *edits, const xmlNode *elem, const char *name)
{
    const viommuSpan *span = viommuXMLSpan(edits->xml, elem);
    size_t len;
    const char *text = viommuXMLText(edits->xml, &len);
    size_t at = span->begin + strcspn(text + span->begin, " \t\r\n/>");

    /* The document is well-formed: each attribute has a name, "=" and a value in quotes. */
    while (at < span->content) {
        size_t first = at + strspn(text + at, " \t\r\n");
        size_t size = strcspn(text + first, " \t\r\n=/>");
        size_t quote = first + size + strcspn(text + first + size, "'\"");
        size_t end;

        if (!size)
            return;
        end = quote + 1;
        while (text[end] != text[quote])
            end++;
        end++;
        if (size == strlen(name) && strncmp(text + first, name, size) == 0) {
            addEdit(edits, at, end, g_strdup(""));
            return;
        }
        at = end;
    }
}

static int
compareEdits(const void *a, const void *b)
{
    const textEdit *one = a;
    const textEdit *two = b;

    if (one->begin != two->begin)
        return one->begin < two->begin ? -1 : 1;
    if ((one->begin == one->end) != (two->begin == two->end))
        return one->begin == one->end ? -1 : 1; /* what is put in front of something comes first */
    return one->order < two->order ? -1 : one->order > two->order;
}

char *
viommuEditsApply(viommuEdits *edits, size_t *ret_len)
{
    size_t len;
    const char *text = viommuXMLText(edits->xml, &len);
    GString *out = g_string_sized_new(len + 4096);
    size_t at = 0;
    size_t i;

    g_array_sort(edits->list, compareEdits);
    for (i = 0; i < edits->list->len; i++) {
        const textEdit *edit = &g_array_index(edits->list, textEdit, i);

        g_assert(edit->begin >= at); /* none lies inside another */
        g_string_append_len(out, text + at, (gssize)(edit->begin - at));
        g_string_append(out, edit->text);
        at = edit->end;
    }
    g_string_append_len(out, text + at, (gssize)(len - at));
    *ret_len = out->len;
    return g_string_free(out, FALSE);
}
