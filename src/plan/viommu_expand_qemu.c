/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elements of QEMU's namespace: how they are spelt in this document, and new ones at its end.
 */
#include "viommu_expand_priv.h"

#include <string.h>

#define PREFIX "qemu:"

char *
expandPrefixInside(const xmlNode *node)
{
    return node->ns->prefix ? g_strconcat((const char *)node->ns->prefix, ":", NULL) : g_strdup("");
}

/* The prefix that the root declares for QEMU's elements, with its colon. NULL: none, and *ret_taken says
 * whether "qemu" is another namespace's. */
static char *
prefixOfRoot(const viommuDomain *dom, bool *ret_taken)
{
    const xmlNs *ns;

    *ret_taken = false;
    for (ns = dom->root->nsDef; ns; ns = ns->next) {
        if (ns->prefix && ns->href && strcmp((const char *)ns->href, VIOMMU_NS_QEMU) == 0) {
            *ret_taken = false;
            return g_strconcat((const char *)ns->prefix, ":", NULL);
        }
        *ret_taken = *ret_taken || g_strcmp0((const char *)ns->prefix, "qemu") == 0;
    }
    return NULL;
}

char *
expandPrefix(const expandState *state)
{
    bool taken;
    char *prefix = prefixOfRoot(state->dom, &taken);

    return prefix ? prefix : g_strdup(PREFIX);
}

/* Where "qemu" means something else at the root, it means QEMU in there. */
void
expandAppendQemu(expandState *state, const char *name, const char *lines)
{
    bool taken;
    g_autofree char *declared = prefixOfRoot(state->dom, &taken);
    const char *prefix = declared ? declared : PREFIX;
    g_auto(GStrv) parts = g_strsplit(lines, "\n", -1);
    g_autofree char *body = g_strjoinv("\n  ", parts);
    g_autofree char *whole = g_strdup_printf("<%s%s%s>\n  %s\n</%s%s>", prefix, name,
                                             taken ? " xmlns:qemu='" VIOMMU_NS_QEMU "'" : "", body, prefix, name);

    if (!declared && !taken && !state->declaredQemu) {
        viommuEditsAddAttr(state->edits, state->dom->root, "xmlns:qemu", VIOMMU_NS_QEMU);
        state->declaredQemu = true;
    }
    viommuEditsAppendChild(state->edits, state->dom->root, whole);
}

bool
expandIsEmptied(const xmlNode *node, GHashTable *going, GHashTable *staying)
{
    const xmlNode *child;
    bool some = false;

    if (g_hash_table_contains(going, node))
        return true;
    if (g_hash_table_contains(staying, node))
        return false;
    for (child = node->children; child; child = child->next) {
        if (child->type != XML_ELEMENT_NODE)
            continue;
        if (!expandIsEmptied(child, going, staying))
            return false;
        some = true;
    }
    return some;
}

bool
expandHasComment(const xmlNode *node)
{
    const xmlNode *child = node->children;

    while (child && child->type != XML_COMMENT_NODE)
        child = child->next;
    return child != NULL;
}

void
expandRemove(expandState *state, const xmlNode *node, GHashTable *going, GHashTable *staying)
{
    const xmlNode *child;

    if (expandIsEmptied(node, going, staying)) {
        viommuEditsRemove(state->edits, node);
        return;
    }
    for (child = node->children; child; child = child->next) {
        if (child->type == XML_ELEMENT_NODE)
            expandRemove(state, child, going, staying);
    }
}
