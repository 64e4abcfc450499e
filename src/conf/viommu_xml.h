/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An XML document of which the bytes matter: libxml2 reads it, and every element knows where it stands in
 * the text, so that a change touches the changed bytes only. Quotes, comments, attribute order and white
 * space of everything else stay as the user wrote them.
 */
#pragma once

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

/* libvirt takes no longer string over its RPC (REMOTE_STRING_MAX, src/remote/remote_protocol.x). */
#define VIOMMU_XML_MAX (4 * 1024 * 1024)

typedef struct viommuXML viommuXML;

/* Where an element stands, as byte offsets into the text: "<a b='c'>" is begin..content, the whole with its
 * end tag begin..end; for "<a/>" content equals end. */
typedef struct {
    size_t begin;
    size_t content;
    size_t contentEnd;
    size_t end;
    unsigned line; /* of begin, from 1 */
} viommuSpan;

/* Reads @len bytes of UTF-8. Errors have the line: VIOMMU_ERROR_SYNTAX where tags do not fit
 * together, VIOMMU_ERROR_XML for what another parser may let pass: not well-formed otherwise, larger than
 * VIOMMU_XML_MAX, empty, another encoding, or with a document type declaration (no libvirt document has
 * one, and entities are defined there). Free with viommuXMLFree. */
viommuXML *viommuXMLParse(const char *text, size_t len, GError **error);
void viommuXMLFree(viommuXML *xml);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuXML, viommuXMLFree)

xmlNode *viommuXMLRoot(const viommuXML *xml);
const char *viommuXMLText(const viommuXML *xml, size_t *ret_len);
const viommuSpan *viommuXMLSpan(const viommuXML *xml, const xmlNode *elem);

/* The line of the start tag of @elem, from 1; 0 for NULL. */
unsigned viommuXMLLine(const viommuXML *xml, const xmlNode *elem);

/* True if @node is an element of that name without (or, NS: with that) namespace. */
bool viommuXMLIs(const xmlNode *node, const char *name);
bool viommuXMLIsNS(const xmlNode *node, const char *uri, const char *name);

/* The first child element of that name (no namespace), or NULL; and the next sibling of the same name. */
xmlNode *viommuXMLChild(const xmlNode *parent, const char *name);
xmlNode *viommuXMLNext(const xmlNode *node, const char *name);
xmlNode *viommuXMLChildNS(const xmlNode *parent, const char *uri, const char *name);
xmlNode *viommuXMLNextNS(const xmlNode *node, const char *uri, const char *name);

/* The value of an attribute without namespace, or NULL. Borrowed from the document. */
const char *viommuXMLAttr(const xmlNode *elem, const char *name);

/* The text of an element, without white space around it; NULL if there is no element or no text.
 * Free with g_free. */
char *viommuXMLContent(const xmlNode *elem);

/* @value as it has to be written in quotes, so that it reads back the same: a line break in an attribute
 * would be read as a space. Free with g_free. */
char *viommuXMLEscape(const char *value);

/* A list of changes to one document. None may lie inside another. */
typedef struct viommuEdits viommuEdits;
viommuEdits *viommuEditsNew(const viommuXML *xml);
void viommuEditsFree(viommuEdits *edits);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuEdits, viommuEditsFree)

/* New elements are given as lines of XML with relative indentation of two spaces, without a final newline;
 * they take the indentation of their place. In a document without line breaks there, none are added. */
void viommuEditsReplace(viommuEdits *edits, const xmlNode *elem, const char *lines);
void viommuEditsRemove(viommuEdits *edits, const xmlNode *elem);
void viommuEditsInsertAfter(viommuEdits *edits, const xmlNode *elem, const char *lines);
void viommuEditsInsertBefore(viommuEdits *edits, const xmlNode *elem, const char *lines);
void viommuEditsAppendChild(viommuEdits *edits, const xmlNode *parent, const char *lines);
/* Adds an attribute that @elem does not have; @value is escaped here. */
void viommuEditsAddAttr(viommuEdits *edits, const xmlNode *elem, const char *name, const char *value);

/* Takes the attribute @name from @elem. */
void viommuEditsRemoveAttr(viommuEdits *edits, const xmlNode *elem, const char *name);

/* True if nothing was changed. */
bool viommuEditsEmpty(const viommuEdits *edits);

/* The changed text (free with g_free). */
char *viommuEditsApply(viommuEdits *edits, size_t *ret_len);
