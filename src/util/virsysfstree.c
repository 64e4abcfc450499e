/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree is one hash table over (directory, name), so that a path costs one look-up per
 * component. Where a link ends is found once and kept: checking all of them stays linear, however
 * they are chained.
 */
#include "virsysfstree.h"

#include "viommuerror.h"
#include "virsysfs.h"

#include <string.h>

struct virSysfsTree {
    virSysfsNode root;
    GHashTable *byName; /* of virSysfsNode, by parent and name; owns them */
    GPtrArray *links;   /* of virSysfsNode, borrowed, in the order of their lines */
    GStringChunk *text; /* names and contents */
};

static guint
nodeHash(gconstpointer key)
{
    const virSysfsNode *node = key;

    return g_str_hash(node->name) ^ (g_direct_hash(node->parent) * 31);
}

static gboolean
nodeEqual(gconstpointer a, gconstpointer b)
{
    const virSysfsNode *left = a, *right = b;

    return left->parent == right->parent && g_str_equal(left->name, right->name);
}

virSysfsTree *
virSysfsTreeNew(void)
{
    virSysfsTree *tree = g_new0(virSysfsTree, 1);

    tree->root.name = "";
    tree->root.parent = &tree->root;
    tree->byName = g_hash_table_new_full(nodeHash, nodeEqual, g_free, NULL);
    tree->links = g_ptr_array_new();
    tree->text = g_string_chunk_new(4096);
    return tree;
}

void
virSysfsTreeFree(virSysfsTree *tree)
{
    if (!tree)
        return;
    g_hash_table_unref(tree->byName);
    g_ptr_array_unref(tree->links);
    g_string_chunk_free(tree->text);
    g_free(tree);
}

static virSysfsNode *
findChild(const virSysfsTree *tree, const virSysfsNode *directory, const char *name)
{
    const virSysfsNode key = { .name = name, .parent = (virSysfsNode *)directory };

    return g_hash_table_lookup(tree->byName, &key);
}

static virSysfsNode *
addChild(virSysfsTree *tree, virSysfsNode *directory, const char *name)
{
    virSysfsNode *node = g_new0(virSysfsNode, 1);

    node->name = g_string_chunk_insert(tree->text, name);
    node->parent = directory;
    node->next = directory->children;
    directory->children = node;
    g_hash_table_add(tree->byName, node);
    return node;
}

/* Copies the next component of *path into @name and moves on. False at the end. A component longer
 * than a name can be is cut, one byte too long, so that it matches nothing. */
static bool
nextComponent(const char **path, char name[static VIR_SYSFS_NAME_MAX + 2])
{
    const char *start = *path + strspn(*path, "/");
    size_t len = strcspn(start, "/"), kept = MIN(len, VIR_SYSFS_NAME_MAX + 1);

    memcpy(name, start, kept);
    name[kept] = '\0';
    *path = start + len;
    return len > 0;
}

static bool
isPlainPath(const char *path)
{
    char name[VIR_SYSFS_NAME_MAX + 2];

    if (!path[0] || path[0] == '/' || path[strlen(path) - 1] == '/' || strstr(path, "//") ||
        strlen(path) > VIR_SYSFS_PATH_MAX)
        return false;
    while (nextComponent(&path, name)) {
        if (g_str_equal(name, ".") || g_str_equal(name, "..") || strlen(name) > VIR_SYSFS_NAME_MAX)
            return false;
    }
    return true;
}

static bool
checkTarget(const virSysfsNode *node, const char *target, unsigned line, GError **error)
{
    if (!target[0] || strlen(target) > VIR_SYSFS_PATH_MAX) {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, line,
                      "link '%s' has no target that a link can have", node->name);
        return false;
    }
    if (target[0] == '/') {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, line,
                      "link '%s' has an absolute target: write it relative to the link's directory",
                      node->name);
        return false;
    }
    return true;
}

/* Finds or makes the directory that holds @path's last component, which is put into @name. */
static virSysfsNode *
makeParents(virSysfsTree *tree, const char *path, char name[static VIR_SYSFS_NAME_MAX + 2],
            unsigned line, GError **error)
{
    virSysfsNode *node = &tree->root;

    nextComponent(&path, name);
    while (path[0]) {
        virSysfsNode *child = findChild(tree, node, name);

        if (!child)
            child = addChild(tree, node, name);
        if (child->kind != VIR_SYSFS_NODE_DIRECTORY) {
            viommuErrorAt(error, VIOMMU_ERROR_HOST, line,
                          "'%s' of line %u is a %s, so that nothing can be below it", child->name,
                          child->line, child->kind == VIR_SYSFS_NODE_LINK ? "link" : "file");
            return NULL;
        }
        node = child;
        nextComponent(&path, name);
    }
    return node;
}

static bool
checkUnused(const virSysfsNode *node, virSysfsNodeKind kind, const char *path, unsigned line,
            GError **error)
{
    if (node->line) {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, line, "path '%s' was already given in line %u",
                      path, node->line);
        return false;
    }
    if (kind != VIR_SYSFS_NODE_DIRECTORY) {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, line,
                      "path '%s' is a directory, because earlier lines name paths below it", path);
        return false;
    }
    return true;
}

bool
virSysfsTreeAdd(virSysfsTree *tree, virSysfsNodeKind kind, const char *path, const char *data,
                size_t len, unsigned line, GError **error)
{
    char name[VIR_SYSFS_NAME_MAX + 2];
    virSysfsNode *parent, *node;

    if (!isPlainPath(path)) {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, line,
                      "not a path below the root of the host: write it like 'sys/class/iommu', "
                      "without '.', '..' and double slashes");
        return false;
    }
    parent = makeParents(tree, path, name, line, error);
    if (!parent)
        return false;
    node = findChild(tree, parent, name);
    if (node && !checkUnused(node, kind, path, line, error))
        return false;
    if (!node)
        node = addChild(tree, parent, name);
    if (kind == VIR_SYSFS_NODE_LINK && !checkTarget(node, data, line, error))
        return false;
    node->kind = kind;
    node->line = line;
    if (kind != VIR_SYSFS_NODE_DIRECTORY) {
        node->data = g_string_chunk_insert_len(tree->text, data, (gssize)len);
        node->len = len;
    }
    if (kind == VIR_SYSFS_NODE_LINK)
        g_ptr_array_add(tree->links, node);
    if (g_hash_table_size(tree->byName) > VIR_SYSFS_ENTRIES_MAX) {
        viommuErrorAt(error, VIOMMU_ERROR_HOST, line, "more than %d paths and directories",
                      VIR_SYSFS_ENTRIES_MAX);
        return false;
    }
    return true;
}

/* One path being walked. */
typedef struct {
    unsigned links; /* followed so far */
    unsigned depth; /* links that are being resolved */
    bool tooMany;   /* links; what is returned is then NULL */
    bool leftRoot;  /* likewise */
} Walk;

static const virSysfsNode *walkPath(const virSysfsTree *tree, const virSysfsNode *from,
                                    const char *path, bool follow, Walk *walk);

/* Finds out where @link ends, once. */
static bool
resolveLink(const virSysfsTree *tree, virSysfsNode *link, Walk *walk)
{
    Walk inner = { .links = 1, .depth = walk->depth + 1 };

    if (inner.depth > VIR_SYSFS_LINKS_MAX)
        inner.tooMany = true;
    else
        link->target = walkPath(tree, link->parent, link->data, true, &inner);
    walk->tooMany = inner.tooMany;
    walk->leftRoot = inner.leftRoot;
    link->hops = (uint8_t)inner.links;
    link->resolved = !inner.tooMany && !inner.leftRoot;
    return link->resolved;
}

static const virSysfsNode *
followLink(const virSysfsTree *tree, virSysfsNode *link, Walk *walk)
{
    if (!link->resolved && !resolveLink(tree, link, walk))
        return NULL;
    walk->links += link->hops;
    if (walk->links > VIR_SYSFS_LINKS_MAX) {
        walk->tooMany = true;
        return NULL;
    }
    return link->target;
}

static const virSysfsNode *
goUp(const virSysfsNode *node, Walk *walk)
{
    walk->leftRoot = node == node->parent;
    return walk->leftRoot ? NULL : node->parent;
}

static const virSysfsNode *
walkPath(const virSysfsTree *tree, const virSysfsNode *from, const char *path, bool follow,
         Walk *walk)
{
    char name[VIR_SYSFS_NAME_MAX + 2];
    const virSysfsNode *node = from;

    while (node && nextComponent(&path, name)) {
        virSysfsNode *child;

        if (node->kind != VIR_SYSFS_NODE_DIRECTORY)
            return NULL;
        if (g_str_equal(name, "."))
            continue;
        if (g_str_equal(name, "..")) {
            node = goUp(node, walk);
            continue;
        }
        child = findChild(tree, node, name);
        if (child && child->kind == VIR_SYSFS_NODE_LINK && (follow || path[0]))
            node = followLink(tree, child, walk);
        else
            node = child;
    }
    return node;
}

bool
virSysfsTreeCheckLinks(virSysfsTree *tree, GError **error)
{
    size_t i;

    for (i = 0; i < tree->links->len; i++) {
        virSysfsNode *link = g_ptr_array_index(tree->links, i);
        Walk walk = { 0 };

        followLink(tree, link, &walk);
        if (walk.leftRoot) {
            viommuErrorAt(error, VIOMMU_ERROR_HOST, link->line,
                          "link '%s' leads out of the root of the host: too many '..'", link->name);
            return false;
        }
        if (walk.tooMany) {
            viommuErrorAt(error, VIOMMU_ERROR_HOST, link->line,
                          "link '%s' leads in a circle or through more than %d links", link->name,
                          VIR_SYSFS_LINKS_MAX);
            return false;
        }
    }
    return true;
}

const virSysfsNode *
virSysfsTreeLookup(const virSysfsTree *tree, const char *path, bool follow)
{
    Walk walk = { 0 };

    return walkPath(tree, &tree->root, path, follow, &walk);
}
