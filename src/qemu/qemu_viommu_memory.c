/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a domain: size, backing, and the host nodes that it is bound to; I/O threads.
 */
#include "qemu_viommu_full.h"
#include "virtext.h"

#include <string.h>

#define KIB 1024

static const xmlNode *
backingChild(const qemuViommuFull *full, const char *name)
{
    return viommuXMLChild(viommuXMLChild(full->dom->root, "memoryBacking"), name);
}

bool
qemuViommuReadSize(const qemuViommuFull *full, const xmlNode *node, const char *text, const char *unit,
         uint64_t *ret_bytes, GError **error)
{
    if (virTextParseSize(text, unit, ret_bytes))
        return true;
    return qemuViommuRefuse(full, node, error, "<%s> has no size; give a number and libvirt's unit, "
                            "such as unit='MiB'", (const char *)node->name);
}

uint64_t
qemuViommuRoundMemory(uint64_t bytes)
{
    return (bytes + KIB * KIB - 1) / (KIB * KIB) * (KIB * KIB);
}

static bool
totalMemory(const qemuViommuFull *full, uint64_t *ret_bytes, GError **error)
{
    const xmlNode *memory = viommuXMLChild(full->dom->root, "memory");
    const xmlNode *current = viommuXMLChild(full->dom->root, "currentMemory");
    g_autofree char *text = viommuXMLContent(memory);
    g_autofree char *currentText = viommuXMLContent(current);
    uint64_t bytes;

    if (!memory)
        return qemuViommuRefuse(full, full->dom->root, error, "the domain has no <memory>; add it");
    if (!qemuViommuReadSize(full, memory, text, viommuXMLAttr(memory, "unit"), ret_bytes, error))
        return false;
    if (!currentText)
        return true;
    if (!qemuViommuReadSize(full, current, currentText, viommuXMLAttr(current, "unit"), &bytes, error))
        return false;
    if (bytes < *ret_bytes)
        return qemuViommuRefuse(full, current, error,
                                "<currentMemory> below <memory> is what libvirt tells a running guest's "
                                "balloon; make them equal");
    return true;
}

/* Bytes of huge page that the memory of @cell (-1: all of the domain) is to have; 0: the host's default
 * size. */
static bool
hugePageSize(const qemuViommuFull *full, int cell, uint64_t *ret_size, bool *ret_huge, GError **error)
{
    const xmlNode *huge = backingChild(full, "hugepages");
    const xmlNode *page = viommuXMLChild(huge, "page");

    *ret_size = 0;
    *ret_huge = huge && !page;
    for (; page; page = viommuXMLNext(page, "page")) {
        const char *nodeset = viommuXMLAttr(page, "nodeset");
        g_autoptr(GArray) nodes = nodeset ? virTextParseSet(nodeset) : NULL;
        bool here = !nodeset;
        size_t i;

        if (nodeset && !nodes)
            return qemuViommuRefuseValue(full, page, "nodeset", "a set of cells such as '0-1'", error);
        for (i = 0; nodes && i < nodes->len; i++)
            here = here || cell == (int)g_array_index(nodes, unsigned, i);
        if (!here || (*ret_huge && !nodeset))
            continue;
        if (!qemuViommuReadSize(full, page, viommuXMLAttr(page, "size"), viommuXMLAttr(page, "unit"),
                                ret_size, error))
            return false;
        *ret_huge = true;
    }
    return true;
}

/* host-nodes and policy by <numatune>; @cell -1: a domain without cells. */
static bool
setPolicy(const qemuViommuFull *full, JsonObject *props, int cell, GError **error)
{
    static const char *const modes[][2] = {
        { "strict", "bind" }, { "preferred", "preferred" }, { "interleave", "interleave" },
    };
    const xmlNode *tune = viommuXMLChild(full->dom->root, "numatune");
    const xmlNode *memory = viommuXMLChild(tune, "memory");
    g_autofree char *id = g_strdup_printf("%d", cell);
    g_autoptr(GArray) nodes = NULL;
    const xmlNode *node;
    const char *mode;
    const char *nodeset;
    JsonArray *list;
    size_t i;

    for (node = viommuXMLChild(tune, "memnode"); node; node = viommuXMLNext(node, "memnode")) {
        if (g_strcmp0(viommuXMLAttr(node, "cellid"), id) == 0)
            memory = node;
    }
    nodeset = viommuXMLAttr(memory, "nodeset");
    if (!nodeset)
        return true;
    nodes = virTextParseSet(nodeset);
    if (!nodes)
        return qemuViommuRefuseValue(full, memory, "nodeset", "a set of host nodes such as '0-1'", error);
    mode = qemuViommuAttrOr(memory, "mode", "strict");
    for (i = 0; i < G_N_ELEMENTS(modes) && !g_str_equal(modes[i][0], mode); i++)
        ;
    if (i == G_N_ELEMENTS(modes))
        return qemuViommuRefuseValue(full, memory, "mode", "'strict', 'preferred' or 'interleave'", error);
    list = json_array_new();
    json_object_set_array_member(props, "host-nodes", list);
    json_object_set_string_member(props, "policy", modes[i][1]);
    for (i = 0; i < nodes->len; i++)
        json_array_add_int_element(list, g_array_index(nodes, unsigned, i));
    return true;
}

/* <access> and <allocation>, and what a cell says instead. <discard> spares a file that there is none of. */
static bool
setBacking(const qemuViommuFull *full, JsonObject *props, const xmlNode *cell, bool huge, GError **error)
{
    const xmlNode *access = backingChild(full, "access");
    const xmlNode *allocation = backingChild(full, "allocation");
    const char *mode = viommuXMLAttr(cell, "memAccess");

    if (!mode)
        mode = qemuViommuAttrOr(access, "mode", "private");
    if (!g_str_equal(mode, "private") && !g_str_equal(mode, "shared"))
        return qemuViommuRefuse(full, cell ? cell : access, error,
                                "memory access '%s' is not translated; use 'private' or 'shared'", mode);
    if (g_str_equal(mode, "shared"))
        json_object_set_boolean_member(props, "share", TRUE);
    if (huge || g_strcmp0(viommuXMLAttr(allocation, "mode"), "immediate") == 0)
        json_object_set_boolean_member(props, "prealloc", TRUE);
    return qemuViommuSetNumber(full, props, "prealloc-threads", allocation, "threads", error);
}

/* Huge pages need no mounted hugetlbfs this way: the kernel makes
 * them for memfd. */
bool
qemuViommuBackendArgs(qemuViommuFull *full, const char *id, const xmlNode *cell, int cellId, uint64_t bytes,
            GError **error)
{
    const xmlNode *source = backingChild(full, "source");
    const char *type = qemuViommuAttrOr(source, "type", "anonymous");
    g_autoptr(JsonObject) props = NULL;
    uint64_t pageSize;
    bool huge;
    bool memfd;

    if (!g_str_equal(type, "anonymous") && !g_str_equal(type, "memfd"))
        return qemuViommuRefuseValue(full, source, "type", "'memfd' or 'anonymous'", error);
    if (!hugePageSize(full, cellId, &pageSize, &huge, error))
        return false;
    memfd = huge || g_str_equal(type, "memfd");
    props = qemuViommuObjectNew(memfd ? "memory-backend-memfd" : "memory-backend-ram", id);
    if (huge) {
        json_object_set_boolean_member(props, "hugetlb", TRUE);
        if (pageSize)
            json_object_set_int_member(props, "hugetlbsize", (gint64)pageSize);
    }
    if (!setBacking(full, props, cell, huge, error))
        return false;
    json_object_set_int_member(props, "size", (gint64)bytes);
    if (!setPolicy(full, props, cellId, error))
        return false;
    qemuViommuArgsAddJSON(full->args, "-object", props);
    return true;
}

static bool
sizeArgs(qemuViommuFull *full, uint64_t bytes, GError **error)
{
    const xmlNode *max = viommuXMLChild(full->dom->root, "maxMemory");
    g_autofree char *text = viommuXMLContent(max);
    g_autoptr(GString) out = g_string_new(NULL);
    uint64_t maxBytes;

    g_string_append_printf(out, "size=%" G_GUINT64_FORMAT "k", bytes / KIB);
    if (max) {
        const char *slots = qemuViommuAttrOr(max, "slots", "0");
        guint64 number;

        if (!qemuViommuReadSize(full, max, text, viommuXMLAttr(max, "unit"), &maxBytes, error))
            return false;
        if (!g_ascii_string_to_unsigned(slots, 10, 0, 256, &number, NULL))
            return qemuViommuRefuseValue(full, max, "slots", "a number from 0 to 256", error);
        g_string_append_printf(out, ",slots=%s,maxmem=%" G_GUINT64_FORMAT "k", slots, maxBytes / KIB);
    }
    qemuViommuArgsAdd(full->args, "-m", g_strdup(out->str));
    return true;
}

static bool
threadArgs(qemuViommuFull *full, GError **error)
{
    const xmlNode *node = viommuXMLChild(full->dom->root, "iothreads");
    g_autofree char *text = viommuXMLContent(node);
    guint64 count;
    guint64 i;

    if (!text)
        return true;
    if (!g_ascii_string_to_unsigned(text, 10, 0, 1024, &count, NULL))
        return qemuViommuRefuse(full, node, error, "<iothreads> wants a number from 0 to 1024");
    for (i = 1; i <= count; i++) {
        g_autofree char *id = g_strdup_printf("iothread%" G_GUINT64_FORMAT, i);
        g_autoptr(JsonObject) props = qemuViommuObjectNew("iothread", id);

        qemuViommuArgsAddJSON(full->args, "-object", props);
    }
    return true;
}

bool
qemuViommuMemoryArgs(qemuViommuFull *full, GError **error)
{
    GPtrArray *args = full->args;
    g_autoptr(GPtrArray) cells = qemuViommuArgsNew();
    uint64_t total;
    bool good = true;

    if (!totalMemory(full, &total, error))
        return false;
    total = qemuViommuRoundMemory(total);
    if (full->dom->cells->len > 0) {
        full->args = cells;
        good = qemuViommuNumaArgs(full, &total, error);
        full->args = args;
    }
    if (!good || !sizeArgs(full, total, error))
        return false;
    if (full->dom->cells->len == 0 && !qemuViommuBackendArgs(full, "mach-virt.ram", NULL, -1, total, error))
        return false;
    qemuViommuArgsAppend(args, g_steal_pointer(&cells));
    qemuViommuArgsAddf(args, "-overcommit", "mem-lock=%s", backingChild(full, "locked") ? "on" : "off");
    return threadArgs(full, error);
}
