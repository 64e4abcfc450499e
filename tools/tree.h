/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trees drawn with lines, as lsblk does.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct viommuTree viommuTree;

struct viommuTree {
    GString *text;
    GPtrArray *children; /* of viommuTree */
};

/* A node; free the root of a tree with viommuTreeFree. */
viommuTree *viommuTreeNew(void);
void viommuTreeFree(viommuTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuTree, viommuTreeFree)

/* A new last child of @parent, which owns it. */
viommuTree *viommuTreeAdd(viommuTree *parent);

/* Draws @root: its children stand at the left margin if @root has no text. */
void viommuTreeDraw(const viommuTree *root, bool unicode, GString *out);
