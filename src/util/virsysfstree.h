/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file tree in memory: directories, files and relative links, resolved as the kernel resolves
 * them. Filled line by line from a manifest, read-only afterwards.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest name and path that Linux knows (include/uapi/linux/limits.h: NAME_MAX, PATH_MAX). */
#define VIR_SYSFS_NAME_MAX 255
#define VIR_SYSFS_PATH_MAX 4095

typedef enum {
    VIR_SYSFS_NODE_DIRECTORY,
    VIR_SYSFS_NODE_FILE,
    VIR_SYSFS_NODE_LINK,
} virSysfsNodeKind;

typedef struct virSysfsNode virSysfsNode;
struct virSysfsNode {
    const char *name;
    virSysfsNode *parent; /* the root is its own */
    virSysfsNode *children, *next;
    const char *data; /* what the file holds, or where the link points; NUL-terminated */
    size_t len;
    const virSysfsNode *target; /* of a link, once checked; NULL: points nowhere */
    unsigned line;              /* where it stands; 0 for a directory that only other paths name */
    virSysfsNodeKind kind;
    uint8_t hops; /* links followed to get to @target, with the link itself */
    bool resolved;
};

typedef struct virSysfsTree virSysfsTree;

virSysfsTree *virSysfsTreeNew(void);
void virSysfsTreeFree(virSysfsTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSysfsTree, virSysfsTreeFree)

/* Adds what stands in @line: @data is a copied file content, or a link's target. Directories on the
 * way are made. An error (VIOMMU_ERROR_HOST, with the line) if the path or the target is not
 * allowed. */
bool virSysfsTreeAdd(virSysfsTree *tree, virSysfsNodeKind kind, const char *path, const char *data,
                     size_t len, unsigned line, GError **error);

/* Resolves all links, after the last virSysfsTreeAdd. An error if one runs in a circle or leaves
 * the root; one that points nowhere is none. */
bool virSysfsTreeCheckLinks(virSysfsTree *tree, GError **error);

/* The node at @path, or NULL. A link at the end is followed only if @follow. */
const virSysfsNode *virSysfsTreeLookup(const virSysfsTree *tree, const char *path, bool follow);
