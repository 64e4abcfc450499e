/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Draws trees.
 */
#include "tree.h"

typedef struct {
    const char *fork;
    const char *last;
    const char *pass;
} Lines;

#define BLANK "   "

static const Lines unicodeLines = { "├─ ", "└─ ", "│  " };
static const Lines asciiLines = { "|- ", "`- ", "|  " };

static void
freeTree(void *data)
{
    viommuTreeFree(data);
}

viommuTree *
viommuTreeNew(void)
{
    viommuTree *tree = g_new0(viommuTree, 1);

    tree->text = g_string_new(NULL);
    tree->children = g_ptr_array_new_with_free_func(freeTree);
    return tree;
}

void
viommuTreeFree(viommuTree *tree)
{
    if (!tree)
        return;
    g_string_free(tree->text, TRUE);
    g_ptr_array_unref(tree->children);
    g_free(tree);
}

viommuTree *
viommuTreeAdd(viommuTree *parent)
{
    viommuTree *child = viommuTreeNew();

    g_ptr_array_add(parent->children, child);
    return child;
}

static void
drawChildren(const viommuTree *tree, const Lines *lines, GString *margin, GString *out)
{
    size_t i;

    for (i = 0; i < tree->children->len; i++) {
        const viommuTree *child = g_ptr_array_index(tree->children, i);
        bool last = i + 1 == tree->children->len;
        gsize had = margin->len;

        g_string_append_printf(out, "%s%s%s\n", margin->str, last ? lines->last : lines->fork,
                               child->text->str);
        g_string_append(margin, last ? BLANK : lines->pass);
        drawChildren(child, lines, margin, out);
        g_string_truncate(margin, had);
    }
}

void
viommuTreeDraw(const viommuTree *root, bool unicode, GString *out)
{
    const Lines *lines = unicode ? &unicodeLines : &asciiLines;
    g_autoptr(GString) margin = g_string_new(NULL);
    size_t i;

    if (root->text->len) {
        g_string_append_printf(out, "%s\n", root->text->str);
        drawChildren(root, lines, margin, out);
        return;
    }
    for (i = 0; i < root->children->len; i++) {
        const viommuTree *child = g_ptr_array_index(root->children, i);

        g_string_append_printf(out, "%s\n", child->text->str);
        drawChildren(child, lines, margin, out);
    }
}
