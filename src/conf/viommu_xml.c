/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxml2's SAX2 parser builds the tree; two of its callbacks are wrapped to note where each element stands.
 * Changes are collected as replacements of byte ranges and applied in one pass.
 */
#include "viommu_xml.h"

#include "viommuerror.h"

#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <string.h>

struct viommuXML {
    char *text;
    size_t len;
    xmlDoc *doc;
    GArray *spans;  /* of viommuSpan; xmlNode._private is the index + 1 */
};

/* libxml2 2.9 compares every attribute of an element with every other one, and looks a prefix up among all
 * namespaces that are declared around it: more would take it minutes. */
#define ATTRIBUTES_MAX 1000
#define ATTRIBUTE_BYTES 4 /* at least: a='' */
#define NAMESPACES_MAX 1000
#define XMLNS "xmlns"

/* State of one parse; reached through xmlParserCtxt._private. */
typedef struct {
    viommuXML *xml;
    bool stopped;  /* by us */
    char *message; /* the first error */
    int code;      /* of libxml2 (xmlParserErrors); 0: ours */
    unsigned line;
    size_t counted;      /* bytes of the text, in which ... */
    unsigned lineBreaks; /* ... there are so many */
    startDocumentSAXFunc startDocument;
    startElementNsSAX2Func start;
    endElementNsSAX2Func end;
} parseState;

static size_t
parsePosition(xmlParserCtxtPtr ctxt)
{
    return ctxt->input->consumed + (size_t)(ctxt->input->cur - ctxt->input->base);
}

/* Ends the parse with @message, unless there is an error already. */
G_GNUC_PRINTF(2, 3) static void
stop(xmlParserCtxtPtr ctxt, const char *format, ...)
{
    parseState *state = ctxt->_private;
    va_list args;

    state->stopped = true;
    if (!state->message) {
        va_start(args, format);
        state->message = g_strdup_vprintf(format, args);
        va_end(args);
        state->line = (unsigned)ctxt->input->line;
    }
    xmlStopParser(ctxt);
}

/* Behind the XML declaration: another encoding would have to be converted, and then no element would stand
 * where libxml2 says. */
static void
onStartDocument(void *data)
{
    xmlParserCtxtPtr ctxt = data;
    parseState *state = ctxt->_private;
    const xmlChar *encoding = ctxt->encoding ? ctxt->encoding : ctxt->input->encoding;

    state->startDocument(data);
    if (!encoding || g_ascii_strcasecmp((const char *)encoding, "UTF-8") == 0)
        return;
    stop(ctxt, "the document says that it is in encoding '%s'; convert it to UTF-8",
         (const char *)encoding);
    state->line = 1;
}

/* The line at @pos, which never goes back. */
static unsigned
lineAt(parseState *state, size_t pos)
{
    const char *text = state->xml->text;
    const char *at;

    while ((at = memchr(text + state->counted, '\n', pos - state->counted))) {
        state->counted = (size_t)(at - text) + 1;
        state->lineBreaks++;
    }
    state->counted = pos;
    return state->lineBreaks + 1;
}

static void
onStart(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int nNamespaces,
        const xmlChar **namespaces, int nAttributes, int nDefaulted, const xmlChar **attributes)
{
    xmlParserCtxtPtr ctxt = data;
    parseState *state = ctxt->_private;
    viommuXML *xml = state->xml;
    size_t pos = parsePosition(ctxt);
    viommuSpan span = { 0 };
    const char *open;

    state->start(data, name, prefix, uri, nNamespaces, namespaces, nAttributes, nDefaulted, attributes);
    if (!ctxt->node || pos > xml->len)
        return;
    /* pos is behind the attributes; "<" cannot stand in one (XML 1.0, 2.4). */
    open = memrchr(xml->text, '<', pos);
    if (!open)
        return;
    span.begin = (size_t)(open - xml->text);
    span.content = pos;
    span.line = lineAt(state, span.begin);
    g_array_append_val(xml->spans, span);
    ctxt->node->_private = GSIZE_TO_POINTER((gsize)xml->spans->len);
}

static void
onEnd(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    xmlParserCtxtPtr ctxt = data;
    parseState *state = ctxt->_private;
    viommuXML *xml = state->xml;
    xmlNode *node = ctxt->node;
    size_t pos = parsePosition(ctxt);

    if (node && node->_private && pos <= xml->len) {
        viommuSpan *span = &g_array_index(xml->spans, viommuSpan,
                                          GPOINTER_TO_SIZE(node->_private) - 1);

        span->end = pos;
        if (pos >= 2 && span->content + 2 >= pos && xml->text[pos - 2] == '/') {
            span->content = span->contentEnd = pos; /* <a/> */
        } else {
            const char *close = memrchr(xml->text, '<', pos);
            const char *gt = memchr(xml->text + span->content, '>', pos - span->content);

            span->contentEnd = close ? (size_t)(close - xml->text) : pos;
            span->content = gt ? (size_t)(gt - xml->text) + 1 : pos;
        }
    }
    state->end(data, name, prefix, uri);
}

static void
onDoctype(void *data, const xmlChar *name, const xmlChar *externalID, const xmlChar *systemID)
{
    stop(data, "document type declarations are refused; remove <!DOCTYPE>");
}

static void
onError(void *data, xmlErrorPtr problem)
{
    xmlParserCtxtPtr ctxt = data;
    parseState *state = ctxt->_private;

    if (state->message || problem->level < XML_ERR_ERROR)
        return;
    state->message = g_strdup(problem->message ? problem->message : "not well-formed");
    g_strchomp(state->message);
    if (state->message[0] && !g_ascii_isupper(state->message[1]))
        state->message[0] = g_ascii_tolower(state->message[0]);
    g_strdelimit(state->message, "\n", ' ');
    state->code = problem->code;
    state->line = problem->line > 0 ? (unsigned)problem->line : 1;
}

/* What libxml2 would say on standard error: what it has against a conversion of bytes belongs to no parser. */
static void
ignoreError(void *data, xmlErrorPtr problem)
{
}

/* The first byte of what is no character of XML (XML 1.0, 2.2), else NULL; *ret_ascii: all is ASCII. libxml2 reads on
 * behind such a one, as if no comment or section had been open. */
static const char *
findNoCharacter(const char *text, size_t len, bool *ret_ascii)
{
    unsigned char all = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];

        all |= byte;
        if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r')
            return text + i;
        /* U+FFFE, U+FFFF */
        if (byte == 0xef && i + 2 < len && (unsigned char)text[i + 1] == 0xbf && (unsigned char)text[i + 2] >= 0xbe)
            return text + i;
    }
    *ret_ascii = all < 0x80;
    return NULL;
}

static unsigned
countLines(const char *text, const char *end)
{
    unsigned line = 1;

    for (; text < end; text++)
        line += *text == '\n';
    return line;
}

static bool
checkBytes(const char *text, size_t len, GError **error)
{
    const char *bad = NULL;
    bool ascii = false;

    if (len > VIOMMU_XML_MAX) {
        viommuErrorAt(error, VIOMMU_ERROR_XML, 0,
                      "the document is larger than %d bytes, libvirt's limit for one string",
                      VIOMMU_XML_MAX);
        return false;
    }
    if (len == 0) {
        viommuErrorAt(error, VIOMMU_ERROR_XML, 1, "the document is empty");
        return false;
    }
    bad = findNoCharacter(text, len, &ascii);
    if (!bad && (ascii || g_utf8_validate_len(text, len, &bad)))
        return true;
    viommuErrorAt(error, VIOMMU_ERROR_XML, countLines(text, bad),
                  "byte 0x%02x is not UTF-8 text; convert the document to UTF-8", (unsigned char)*bad);
    return false;
}

/* Behind what begins at @at and is no tag: a comment, a section, an instruction. NULL: it is a tag, or has
 * no end. */
static const char *
skipNoTag(const char *at, const char *end)
{
    static const struct {
        const char *begin;
        const char *end;
    } kinds[] = { { "<!--", "-->" }, { "<![CDATA[", "]]>" }, { "<?", "?>" } };
    size_t i;

    if (end - at < 2 || (at[1] != '!' && at[1] != '?'))
        return NULL;
    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        size_t len = strlen(kinds[i].begin);
        const char *found;

        if ((size_t)(end - at) < len || memcmp(at, kinds[i].begin, len) != 0)
            continue;
        at += len;
        found = memmem(at, (size_t)(end - at), kinds[i].end, strlen(kinds[i].end));
        return found ? found + strlen(kinds[i].end) : end;
    }
    return NULL;
}

/* Attributes of the tag from @at to @end. */
static unsigned
countAttributes(const char *at, const char *end)
{
    unsigned count = 0;

    for (at++; at < end && *at != '>'; at++) {
        if (*at != '"' && *at != '\'')
            continue;
        count++;
        at = memchr(at + 1, *at, (size_t)(end - at - 1));
        if (!at)
            break;
    }
    return count;
}

/* Counts before libxml2 compares. What is not well-formed is left to it. */
static bool
checkTags(const char *text, size_t len, GError **error)
{
    const char *end = text + len;
    const char *at = text;

    while (at < end && (at = memchr(at, '<', (size_t)(end - at)))) {
        const char *after = skipNoTag(at, end);

        if (after) {
            at = after;
            continue;
        }
        after = memchr(at + 1, '<', (size_t)(end - at - 1));
        after = after ? after : end;
        if (after - at > ATTRIBUTES_MAX * ATTRIBUTE_BYTES && countAttributes(at, after) > ATTRIBUTES_MAX) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, countLines(text, at),
                          "an element has more than %d attributes; remove some", ATTRIBUTES_MAX);
            return false;
        }
        at = after;
    }
    return true;
}

/* The same for declarations of namespaces: behind an error libxml2 reads on, and tells us nothing of it. */
static bool
checkNamespaces(const char *text, size_t len, GError **error)
{
    const char *end = text + len;
    const char *at = text;
    unsigned count = 0;

    while ((at = memmem(at, (size_t)(end - at), XMLNS, strlen(XMLNS)))) {
        if (++count > NAMESPACES_MAX) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, countLines(text, at),
                          "the document declares more than %d namespaces; remove some", NAMESPACES_MAX);
            return false;
        }
        at += strlen(XMLNS);
    }
    return true;
}

/* Is that an error of which no version of libxml2 thinks otherwise? Depths, lengths and entities are no such. */
static bool
isSyntax(int code)
{
    static const int codes[] = {
        XML_ERR_DOCUMENT_START,     XML_ERR_DOCUMENT_EMPTY,          XML_ERR_DOCUMENT_END,
        XML_ERR_LT_IN_ATTRIBUTE,    XML_ERR_ATTRIBUTE_NOT_STARTED,   XML_ERR_ATTRIBUTE_NOT_FINISHED,
        XML_ERR_ATTRIBUTE_WITHOUT_VALUE, XML_ERR_ATTRIBUTE_REDEFINED, XML_ERR_SPACE_REQUIRED,
        XML_ERR_NAME_REQUIRED,      XML_ERR_GT_REQUIRED,             XML_ERR_LTSLASH_REQUIRED,
        XML_ERR_EQUAL_REQUIRED,     XML_ERR_TAG_NAME_MISMATCH,       XML_ERR_TAG_NOT_FINISHED,
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

viommuXML *
viommuXMLParse(const char *text, size_t len, GError **error)
{
    g_autoptr(viommuXML) xml = NULL;
    xmlStructuredErrorFunc handler = xmlStructuredError;
    void *handlerData = xmlStructuredErrorContext;
    parseState state = { 0 };
    xmlParserCtxtPtr ctxt;
    bool good;

    if (!checkBytes(text, len, error) || !checkTags(text, len, error) || !checkNamespaces(text, len, error))
        return NULL;
    xml = g_new0(viommuXML, 1);
    xml->text = g_strndup(text, len);
    xml->len = len;
    xml->spans = g_array_new(FALSE, FALSE, sizeof(viommuSpan));

    ctxt = xmlCreateMemoryParserCtxt(xml->text, (int)len);
    if (!ctxt) {
        viommuErrorAt(error, VIOMMU_ERROR_XML, 0, "libxml2 has no memory for the document");
        return NULL;
    }
    state.xml = xml;
    ctxt->_private = &state;
    /* NOENT: attribute values become one text node each. There are no entities but the predefined five. Blank text is
     * half of all nodes, and nobody looks at it. */
    xmlCtxtUseOptions(ctxt, XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_NOCDATA | XML_PARSE_COMPACT |
                                XML_PARSE_NOBLANKS);
    state.startDocument = ctxt->sax->startDocument;
    state.start = ctxt->sax->startElementNs;
    state.end = ctxt->sax->endElementNs;
    ctxt->sax->startDocument = onStartDocument;
    ctxt->sax->startElementNs = onStart;
    ctxt->sax->endElementNs = onEnd;
    ctxt->sax->internalSubset = onDoctype;
    ctxt->sax->serror = onError;
    xmlSetStructuredErrorFunc(NULL, ignoreError);
    xmlParseDocument(ctxt);
    xmlSetStructuredErrorFunc(handlerData, handler);
    good = ctxt->wellFormed && !state.stopped && ctxt->myDoc && !state.message;
    xml->doc = ctxt->myDoc;
    xmlFreeParserCtxt(ctxt);

    if (!good) {
        viommuErrorAt(error, isSyntax(state.code) ? VIOMMU_ERROR_SYNTAX : VIOMMU_ERROR_XML, state.line, "%s",
                      state.message ? state.message : "not well-formed XML");
        g_free(state.message);
        return NULL;
    }
    return g_steal_pointer(&xml);
}

void
viommuXMLFree(viommuXML *xml)
{
    if (!xml)
        return;
    g_clear_pointer(&xml->doc, xmlFreeDoc);
    g_array_unref(xml->spans);
    g_free(xml->text);
    g_free(xml);
}

xmlNode *
viommuXMLRoot(const viommuXML *xml)
{
    return xmlDocGetRootElement(xml->doc);
}

const char *
viommuXMLText(const viommuXML *xml, size_t *ret_len)
{
    *ret_len = xml->len;
    return xml->text;
}

const viommuSpan *
viommuXMLSpan(const viommuXML *xml, const xmlNode *elem)
{
    return &g_array_index(xml->spans, viommuSpan, GPOINTER_TO_SIZE(elem->_private) - 1);
}

unsigned
viommuXMLLine(const viommuXML *xml, const xmlNode *elem)
{
    return elem ? viommuXMLSpan(xml, elem)->line : 0;
}

bool
viommuXMLIs(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && !node->ns && strcmp((const char *)node->name, name) == 0;
}

bool
viommuXMLIsNS(const xmlNode *node, const char *uri, const char *name)
{
    return node->type == XML_ELEMENT_NODE && node->ns && node->ns->href &&
           strcmp((const char *)node->name, name) == 0 &&
           strcmp((const char *)node->ns->href, uri) == 0;
}

static xmlNode *
findFrom(xmlNode *node, const char *uri, const char *name)
{
    for (; node; node = node->next) {
        if (uri ? viommuXMLIsNS(node, uri, name) : viommuXMLIs(node, name))
            return node;
    }
    return NULL;
}

xmlNode *
viommuXMLChild(const xmlNode *parent, const char *name)
{
    return parent ? findFrom(parent->children, NULL, name) : NULL;
}

xmlNode *
viommuXMLNext(const xmlNode *node, const char *name)
{
    return findFrom(node->next, NULL, name);
}

xmlNode *
viommuXMLChildNS(const xmlNode *parent, const char *uri, const char *name)
{
    return parent ? findFrom(parent->children, uri, name) : NULL;
}

xmlNode *
viommuXMLNextNS(const xmlNode *node, const char *uri, const char *name)
{
    return findFrom(node->next, uri, name);
}

const char *
viommuXMLAttr(const xmlNode *elem, const char *name)
{
    const xmlAttr *attr;

    if (!elem)
        return NULL;
    for (attr = elem->properties; attr; attr = attr->next) {
        if (!attr->ns && strcmp((const char *)attr->name, name) == 0)
            return attr->children ? (const char *)attr->children->content : "";
    }
    return NULL;
}

char *
viommuXMLContent(const xmlNode *elem)
{
    xmlChar *content;
    char *text;

    if (!elem)
        return NULL;
    content = xmlNodeGetContent(elem);
    text = content ? g_strstrip(g_strdup((const char *)content)) : NULL;
    xmlFree(content);
    if (text && !*text)
        g_clear_pointer(&text, g_free);
    return text;
}
