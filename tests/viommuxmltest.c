/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documents as text: where elements stand, what a change does to the bytes, and what is refused.
 */
#include "viommu_xml.h"
#include "viommuerror.h"

#include <string.h>

static viommuXML *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    viommuXML *xml = viommuXMLParse(text, strlen(text), &error);

    g_assert_no_error(error);
    g_assert_nonnull(xml);
    return xml;
}

/* The first element of that name, in document order. */
static xmlNode *
find(xmlNode *node, const char *name)
{
    for (; node; node = node->next) {
        xmlNode *below;

        if (node->type != XML_ELEMENT_NODE)
            continue;
        if (strcmp((const char *)node->name, name) == 0)
            return node;
        below = find(node->children, name);
        if (below)
            return below;
    }
    return NULL;
}

static xmlNode *
findIn(const viommuXML *xml, const char *name)
{
    xmlNode *node = find(viommuXMLRoot(xml), name);

    g_assert_nonnull(node);
    return node;
}

static void
testSpans(void)
{
    static const struct {
        const char *text;
        const char *name;
        const char *whole;
        const char *content; /* NULL: it is an empty element */
        unsigned line;
    } cases[] = {
        { "<a/>", "a", "<a/>", NULL, 1 },
        { "<a></a>", "a", "<a></a>", "", 1 },
        { "<a >x</a >", "a", "<a >x</a >", "x", 1 },
        { "<a\n b='1'\n/>", "a", "<a\n b='1'\n/>", NULL, 1 },
        { "<a b='/'></a>", "a", "<a b='/'></a>", "", 1 },
        { "<a b='>'/>", "a", "<a b='>'/>", NULL, 1 },
        { "<a b=\"/>\">t</a>", "a", "<a b=\"/>\">t</a>", "t", 1 },
        { "<r>\n  <a>1</a>\n  <b/>\n</r>", "b", "<b/>", NULL, 3 },
        { "<r>\r\n  <a>1</a>\r\n  <b>\r\n</b></r>", "b", "<b>\r\n</b>", "\r\n", 3 },
        { "<?xml version='1.0'?>\n<!-- <b/> --><r><b/></r>", "b", "<b/>", NULL, 2 },
        { "<r><![CDATA[<b/>]]>\n<b>\n</b></r>", "b", "<b>\n</b>", "\n", 2 },
        { "<r>&lt;b/&gt;<b>&amp;</b></r>", "b", "<b>&amp;</b>", "&amp;", 1 },
        { "<r t='\xc3\xa4\xe2\x82\xac'>\xc3\xb6<b x='\xf0\x9f\x98\x80'/></r>", "b", "<b x='\xf0\x9f\x98\x80'/>",
          NULL, 1 },
        { "<r><b><b/></b></r>", "b", "<b><b/></b>", "<b/>", 1 },
        { "\xef\xbb\xbf<r><b/></r>", "b", "<b/>", NULL, 1 },
        { "<r\n\n>\n<b\n/></r>\n\n", "b", "<b\n/>", NULL, 4 },
        { "<p:r xmlns:p='u'><p:b>x</p:b></p:r>", "b", "<p:b>x</p:b>", "x", 1 },
        { "<r><b>1</b   ></r>", "b", "<b>1</b   >", "1", 1 },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(viommuXML) xml = parse(cases[i].text);
        const xmlNode *node = findIn(xml, cases[i].name);
        const viommuSpan *span = viommuXMLSpan(xml, node);
        size_t len;
        const char *text = viommuXMLText(xml, &len);
        g_autofree char *whole = g_strndup(text + span->begin, span->end - span->begin);
        g_autofree char *content = g_strndup(text + span->content, span->contentEnd - span->content);

        g_test_message("%s", cases[i].text);
        g_assert_cmpuint(len, ==, strlen(cases[i].text));
        g_assert_cmpstr(whole, ==, cases[i].whole);
        if (cases[i].content) {
            g_assert_cmpstr(content, ==, cases[i].content);
        } else {
            g_assert_cmpuint(span->content, ==, span->end);
            g_assert_cmpuint(span->contentEnd, ==, span->end);
        }
        g_assert_cmpuint(viommuXMLLine(xml, node), ==, cases[i].line);
    }
}

/* libxml2 counts lines in 16 bits. */
static void
testManyLines(void)
{
    GString *text = g_string_new("<r>");
    g_autoptr(viommuXML) xml = NULL;
    unsigned i;

    for (i = 0; i < 100000; i++)
        g_string_append_c(text, '\n');
    g_string_append(text, "<b/></r>");
    xml = parse(text->str);
    g_assert_cmpuint(viommuXMLLine(xml, findIn(xml, "b")), ==, 100001);
    g_assert_cmpuint(viommuXMLLine(xml, NULL), ==, 0);
    g_string_free(text, TRUE);
}

typedef enum {
    REPLACE,
    REMOVE,
    AFTER,
    BEFORE,
    APPEND,
    ATTRIBUTE, /* n='LINES' */
    WITHOUT,   /* the attribute n */
} operation;

static void
change(viommuEdits *edits, operation what, const xmlNode *node, const char *lines)
{
    switch (what) {
    case REPLACE:
        viommuEditsReplace(edits, node, lines);
        break;
    case REMOVE:
        viommuEditsRemove(edits, node);
        break;
    case AFTER:
        viommuEditsInsertAfter(edits, node, lines);
        break;
    case BEFORE:
        viommuEditsInsertBefore(edits, node, lines);
        break;
    case APPEND:
        viommuEditsAppendChild(edits, node, lines);
        break;
    case ATTRIBUTE:
        viommuEditsAddAttr(edits, node, "n", lines);
        break;
    case WITHOUT:
        viommuEditsRemoveAttr(edits, node, "n");
        break;
    }
}

static void
testEdits(void)
{
    static const struct {
        operation what;
        const char *before;
        const char *name;
        const char *lines;
        const char *after;
    } cases[] = {
        /* Replacing keeps what is around. */
        { REPLACE, "<r>\n  <b>1</b> <!-- c -->\n</r>", "b", "<x/>", "<r>\n  <x/> <!-- c -->\n</r>" },
        { REPLACE, "<r>\n  <b/>\n</r>", "b", "<x>\n  <y/>\n</x>",
          "<r>\n  <x>\n    <y/>\n  </x>\n</r>" },
        { REPLACE, "<r>\n\t<b/>\n</r>", "b", "<x>\n  <y/>\n</x>", "<r>\n\t<x>\n\t\t<y/>\n\t</x>\n</r>" },
        { REPLACE, "<r>\n    <b/>\n</r>", "b", "<x>\n  <y/>\n</x>",
          "<r>\n    <x>\n        <y/>\n    </x>\n</r>" },
        { REPLACE, "<r>\r\n  <b/>\r\n</r>\r\n", "b", "<x>\n  <y/>\n</x>",
          "<r>\r\n  <x>\r\n    <y/>\r\n  </x>\r\n</r>\r\n" },
        { REPLACE, "<r><b/></r>", "b", "<x>\n  <y/>\n</x>", "<r><x><y/></x></r>" },
        /* Removing takes the line break in front, and nothing of the next line. */
        { REMOVE, "<r>\n  <a/>\n  <b/>\n  <c/>\n</r>", "b", NULL, "<r>\n  <a/>\n  <c/>\n</r>" },
        { REMOVE, "<r>\r\n  <b/>\r\n  <c/>\r\n</r>", "b", NULL, "<r>\r\n  <c/>\r\n</r>" },
        { REMOVE, "<r><a/><b/><c/></r>", "b", NULL, "<r><a/><c/></r>" },
        { REMOVE, "<r>\n  <a/> <b/>\n</r>", "b", NULL, "<r>\n  <a/> \n</r>" },
        { REMOVE, "<r>\n  text <b/> more\n</r>", "b", NULL, "<r>\n  text  more\n</r>" },
        { REMOVE, "<r>\n  <!-- b -->\n  <b>\n    <c/>\n  </b>\n</r>", "b", NULL,
          "<r>\n  <!-- b -->\n</r>" },
        /* Siblings. */
        { AFTER, "<r>\n  <b/>\n  <c/>\n</r>", "b", "<x/>\n<y/>",
          "<r>\n  <b/>\n  <x/>\n  <y/>\n  <c/>\n</r>" },
        { AFTER, "<r><b/><c/></r>", "b", "<x/>\n<y/>", "<r><b/><x/><y/><c/></r>" },
        { AFTER, "<r>\r\n\t<b/>\r\n</r>", "b", "<x/>", "<r>\r\n\t<b/>\r\n\t<x/>\r\n</r>" },
        { BEFORE, "<r>\n  <b/>\n</r>", "b", "<x/>\n<y/>", "<r>\n  <x/>\n  <y/>\n  <b/>\n</r>" },
        { BEFORE, "<r><b/></r>", "b", "<x/>", "<r><x/><b/></r>" },
        /* Children. */
        { APPEND, "<r>\n  <b>\n    <c/>\n  </b>\n</r>", "b", "<x/>",
          "<r>\n  <b>\n    <c/>\n    <x/>\n  </b>\n</r>" },
        { APPEND, "<r>\n  <b/>\n</r>", "b", "<x/>", "<r>\n  <b>\n    <x/>\n  </b>\n</r>" },
        { APPEND, "<r>\n  <b a='1' />\n</r>", "b", "<x/>", "<r>\n  <b a='1'>\n    <x/>\n  </b>\n</r>" },
        { APPEND, "<r>\n  <b></b>\n</r>", "b", "<x/>", "<r>\n  <b>\n    <x/>\n  </b>\n</r>" },
        { APPEND, "<r><b/></r>", "b", "<x/>", "<r><b><x/></b></r>" },
        { APPEND, "<r><b></b></r>", "b", "<x/>", "<r><b><x/></b></r>" },
        { APPEND, "<r>\n\t<b/>\n</r>", "b", "<x/>", "<r>\n\t<b>\n\t\t<x/>\n\t</b>\n</r>" },
        { APPEND, "<p:r xmlns:p='u'>\n  <p:b/>\n</p:r>", "b", "<p:x/>",
          "<p:r xmlns:p='u'>\n  <p:b>\n    <p:x/>\n  </p:b>\n</p:r>" },
        /* Attributes stand last, and are escaped. */
        { ATTRIBUTE, "<r><b/></r>", "b", "v", "<r><b n='v'/></r>" },
        { ATTRIBUTE, "<r><b /></r>", "b", "v", "<r><b n='v' /></r>" },
        { ATTRIBUTE, "<r><b a=\"/\">x</b></r>", "b", "v", "<r><b a=\"/\" n='v'>x</b></r>" },
        { ATTRIBUTE, "<r><b\n  a='1'\n>x</b></r>", "b", "v", "<r><b\n  a='1' n='v'\n>x</b></r>" },
        { ATTRIBUTE, "<r><b></b></r>", "b", "<'&\">", "<r><b n='&lt;&apos;&amp;&quot;&gt;'></b></r>" },
        /* One goes with the space in front of it. */
        { WITHOUT, "<r><b n='v'/></r>", "b", NULL, "<r><b/></r>" },
        { WITHOUT, "<r><b a='1' n='v' nn='2'/></r>", "b", NULL, "<r><b a='1' nn='2'/></r>" },
        { WITHOUT, "<r><b a=\" n='1'/\"\n  n = \"'\" >x</b></r>", "b", NULL, "<r><b a=\" n='1'/\" >x</b></r>" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(viommuXML) xml = parse(cases[i].before);
        g_autoptr(viommuEdits) edits = viommuEditsNew(xml);
        g_autofree char *after = NULL;
        size_t len;

        g_test_message("%zu: %s", i, cases[i].before);
        g_assert_true(viommuEditsEmpty(edits));
        change(edits, cases[i].what, findIn(xml, cases[i].name), cases[i].lines);
        g_assert_false(viommuEditsEmpty(edits));
        after = viommuEditsApply(edits, &len);
        g_assert_cmpstr(after, ==, cases[i].after);
        g_assert_cmpuint(len, ==, strlen(after));
        viommuXMLFree(parse(after));
    }
}

static void
testNoEdit(void)
{
    static const char text[] = "<?xml version=\"1.0\"?>\r\n<r  a = '1'\t>\n <b ></b ><!-- & --></r>\n\n";
    g_autoptr(viommuXML) xml = parse(text);
    g_autoptr(viommuEdits) edits = viommuEditsNew(xml);
    size_t len;
    g_autofree char *after = viommuEditsApply(edits, &len);

    g_assert_cmpstr(after, ==, text);
}

/* Several changes at one place keep the order in which they were made. */
static void
testOrder(void)
{
    g_autoptr(viommuXML) xml = parse("<r>\n  <a/>\n  <b/>\n</r>");
    g_autoptr(viommuEdits) edits = viommuEditsNew(xml);
    g_autofree char *after = NULL;
    size_t len;

    viommuEditsInsertAfter(edits, findIn(xml, "a"), "<x1/>");
    viommuEditsReplace(edits, findIn(xml, "b"), "<y/>");
    viommuEditsInsertAfter(edits, findIn(xml, "a"), "<x2/>");
    viommuEditsInsertBefore(edits, findIn(xml, "b"), "<x3/>");
    viommuEditsAddAttr(edits, findIn(xml, "a"), "n", "1");
    viommuEditsAddAttr(edits, findIn(xml, "a"), "m", "2");
    after = viommuEditsApply(edits, &len);
    g_assert_cmpstr(after, ==, "<r>\n  <a n='1' m='2'/>\n  <x1/>\n  <x2/>\n  <x3/>\n  <y/>\n</r>");
}

/* An element without children takes several, whether it has an end tag or not. */
static void
testFill(void)
{
    static const char *const texts[] = { "<r>\n  <b/>\n</r>", "<r>\n  <b></b>\n</r>" };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(viommuXML) xml = parse(texts[i]);
        g_autoptr(viommuEdits) edits = viommuEditsNew(xml);
        g_autofree char *after = NULL;
        size_t len;

        viommuEditsAppendChild(edits, findIn(xml, "b"), "<x/>");
        viommuEditsAppendChild(edits, findIn(xml, "b"), "<y/>");
        after = viommuEditsApply(edits, &len);
        g_assert_cmpstr(after, ==, "<r>\n  <b>\n    <x/>\n    <y/>\n  </b>\n</r>");
    }
}

static void
testLookUp(void)
{
    g_autoptr(viommuXML) xml = parse("<r xmlns:p='u'><p:b i='0'/><b i='1' p:i='x' e=''/> <c/>"
                                     "<b i='2'> t &amp; <![CDATA[<]]>\n</b><p:b i='3'/></r>");
    const xmlNode *root = viommuXMLRoot(xml);
    const xmlNode *first = viommuXMLChild(root, "b");
    const xmlNode *second = viommuXMLNext(first, "b");
    const xmlNode *foreign = viommuXMLChildNS(root, "u", "b");
    g_autofree char *content = viommuXMLContent(second);
    g_autofree char *none = viommuXMLContent(first);

    g_assert_cmpstr(viommuXMLAttr(first, "i"), ==, "1");
    g_assert_cmpstr(viommuXMLAttr(first, "e"), ==, "");
    g_assert_null(viommuXMLAttr(first, "x"));
    g_assert_null(viommuXMLAttr(NULL, "i"));
    g_assert_cmpstr(viommuXMLAttr(second, "i"), ==, "2");
    g_assert_null(viommuXMLNext(second, "b"));
    g_assert_cmpstr(viommuXMLAttr(foreign, "i"), ==, "0");
    g_assert_cmpstr(viommuXMLAttr(viommuXMLNextNS(foreign, "u", "b"), "i"), ==, "3");
    g_assert_true(viommuXMLIsNS(foreign, "u", "b"));
    g_assert_false(viommuXMLIs(foreign, "b"));
    g_assert_false(viommuXMLIsNS(first, "u", "b"));
    g_assert_null(viommuXMLChild(NULL, "b"));
    g_assert_null(viommuXMLChild(root, "d"));
    g_assert_cmpstr(content, ==, "t & <");
    g_assert_null(none);
    g_assert_null(viommuXMLContent(NULL));
}

static void
testRefused(void)
{
    static const struct {
        const char *text;
        const char *message; /* its begin */
        bool syntax;         /* every parser says so */
    } cases[] = {
        { "", "line 1: the document is empty" },
        { "<a>", "line 1: premature end of data in tag a line 1", true },
        { "<a>\n<b>\n</a>", "line 3: opening and ending tag mismatch: b line 2 and a", true },
        { "x", "line 1: start tag expected, '<' not found", true },
        { "<a/><b/>", "line 1: extra content at the end of the document", true },
        { "<a>\n\xff</a>", "line 2: byte 0xff is not UTF-8 text; convert the document to UTF-8" },
        { "<a>\n\n\xc3", "line 3: byte 0xc3 is not UTF-8 text; convert the document to UTF-8" },
        { "<!DOCTYPE a>\n<a/>", "line 1: document type declarations are refused; remove <!DOCTYPE>" },
        { "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>\n<a>&e;</a>",
          "line 1: document type declarations are refused; remove <!DOCTYPE>" },
        { "<a>\n&e;</a>", "line 2: entity 'e' not defined" },
        { "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
          "line 1: the document says that it is in encoding 'ISO-8859-1'; convert it to UTF-8" },
        { "<a b='1' b='2'/>", "line 1: attribute b redefined", true },
        { "<p:a/>", "line 1: namespace prefix p on a is not defined" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(viommuXMLParse(cases[i].text, strlen(cases[i].text), &error));
        g_assert_error(error, VIOMMU_ERROR, cases[i].syntax ? (gint)VIOMMU_ERROR_SYNTAX : (gint)VIOMMU_ERROR_XML);
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

static void
testTooLarge(void)
{
    GString *text = g_string_new("<a>");
    g_autoptr(GError) error = NULL;
    viommuXML *xml;

    while (text->len < VIOMMU_XML_MAX - strlen("</a>"))
        g_string_append_c(text, 'x');
    g_string_append(text, "</a>");
    xml = viommuXMLParse(text->str, text->len, &error);
    g_assert_no_error(error);
    viommuXMLFree(xml);
    g_string_append_c(text, '\n');
    g_assert_null(viommuXMLParse(text->str, text->len, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_XML);
    g_assert_cmpstr(error->message, ==,
                    "the document is larger than 4194304 bytes, libvirt's limit for one string");
    g_string_free(text, TRUE);
}

/* libxml2 would speak on standard error of its own accord. */
static void
testQuiet(void)
{
    static const char text[] = "<?xml version='1.0' encoding='EUC-JP'?>\n<a>\xc3\xa4\xe2\x82\xac</a>";

    if (g_test_subprocess()) {
        g_autoptr(GError) error = NULL;

        g_assert_null(viommuXMLParse(text, strlen(text), &error));
        g_assert_cmpstr(error->message, ==, "line 1: the document says that it is in encoding 'EUC-JP'; "
                                            "convert it to UTF-8");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("");
}

/* A NUL does not end the document. */
static void
testNul(void)
{
    static const char text[] = "<a/>\0<b/>";
    g_autoptr(GError) error = NULL;

    g_assert_null(viommuXMLParse(text, sizeof(text) - 1, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_XML);
}

/* At the limits, and what looks like more than it is. */
static void
testLimits(void)
{
    g_autoptr(GString) namespaces = g_string_new("<r>");
    g_autoptr(GString) comment = g_string_new("<r><!-- <a");
    size_t i;

    for (i = 0; i < 1000; i++)
        g_string_append_printf(namespaces, "<a xmlns:n%zu='u'/>", i);
    for (i = 0; i < 1001; i++)
        g_string_append(comment, " a=''");
    g_string_append(comment, "/> --></r>");
    for (i = 0; i < 2; i++) {
        g_autofree char *text = g_strconcat(namespaces->str, i ? "<a xmlns:m='u'/>" : "", "</r>", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(viommuXML) xml = viommuXMLParse(text, strlen(text), &error);

        g_assert_cmpint(xml != NULL, ==, i == 0);
        g_assert_cmpstr(error ? error->message : NULL, ==,
                        i ? "line 1: the document declares more than 1000 namespaces; remove some" : NULL);
    }
    viommuXMLFree(parse(comment->str));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xml/spans", testSpans);
    g_test_add_func("/xml/many-lines", testManyLines);
    g_test_add_func("/xml/edits", testEdits);
    g_test_add_func("/xml/no-edit", testNoEdit);
    g_test_add_func("/xml/order", testOrder);
    g_test_add_func("/xml/fill", testFill);
    g_test_add_func("/xml/look-up", testLookUp);
    g_test_add_func("/xml/refused", testRefused);
    g_test_add_func("/xml/too-large", testTooLarge);
    g_test_add_func("/xml/nul", testNul);
    g_test_add_func("/xml/quiet", testQuiet);
    g_test_add_func("/xml/limits", testLimits);
    return g_test_run();
}
