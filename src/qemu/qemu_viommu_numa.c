/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The NUMA cells of a domain: CPUs, memory, distances.
 */
#include "qemu_viommu_full.h"
#include "virtext.h"

/* QEMU's MAX_NODES (include/system/numa.h). */
#define CELLS_MAX 128

/* ACPI SLIT: a cell to itself, and libvirt's guess to others. */
#define DISTANCE_LOCAL 10
#define DISTANCE_REMOTE 20

typedef struct {
    const xmlNode *node;
    unsigned id;
    uint64_t bytes;
} cellDef;

static bool
readCells(const qemuViommuFull *full, GArray *cells, GError **error)
{
    const xmlNode *numa = viommuXMLChild(viommuXMLChild(full->dom->root, "cpu"), "numa");
    const xmlNode *node;

    for (node = viommuXMLChild(numa, "cell"); node; node = viommuXMLNext(node, "cell")) {
        const char *text = viommuXMLAttr(node, "id");
        guint64 id = cells->len;
        cellDef cell = { .node = node };

        if ((text && !g_ascii_string_to_unsigned(text, 10, 0, CELLS_MAX - 1, &id, NULL)) ||
            id >= CELLS_MAX)
            return qemuViommuRefuseValue(full, node, "id", "a number from 0 to 127", error);
        cell.id = (unsigned)id;
        if (!qemuViommuReadSize(full, node, viommuXMLAttr(node, "memory"), viommuXMLAttr(node, "unit"),
                                &cell.bytes, error))
            return false;
        cell.bytes = qemuViommuRoundMemory(cell.bytes);
        g_array_append_val(cells, cell);
    }
    return true;
}

/* "cpus=0-3,cpus=8": QEMU takes one range at a time. */
static void
appendCPUs(GString *out, const GArray *cpus)
{
    size_t i;
    size_t j;

    for (i = 0; i < cpus->len; i = j) {
        unsigned first = g_array_index(cpus, unsigned, i);

        for (j = i + 1; j < cpus->len && g_array_index(cpus, unsigned, j) == first + (j - i); j++)
            ;
        g_string_append_printf(out, ",cpus=%u", first);
        if (j - i > 1)
            g_string_append_printf(out, "-%u", g_array_index(cpus, unsigned, j - 1));
    }
}

/* One cell; a cell without memory is there for devices that bring their own. */
static bool
cellArgs(qemuViommuFull *full, const cellDef *cell, GError **error)
{
    g_autofree char *name = g_strdup_printf("ram-node%u", cell->id);
    g_autoptr(GString) out = g_string_new(NULL);
    const char *text = viommuXMLAttr(cell->node, "cpus");
    g_autoptr(GArray) cpus = text ? virTextParseSet(text) : NULL;

    if (text && !cpus)
        return qemuViommuRefuseValue(full, cell->node, "cpus", "a set of CPUs such as '0-3'", error);
    if (cell->bytes > 0 &&
        !qemuViommuBackendArgs(full, name, cell->node, (int)cell->id, cell->bytes, error))
        return false;
    g_string_append_printf(out, "node,nodeid=%u", cell->id);
    if (cpus)
        appendCPUs(out, cpus);
    if (cell->bytes > 0)
        g_string_append_printf(out, ",memdev=%s", name);
    qemuViommuArgsAdd(full->args, "-numa", g_strdup(out->str));
    return true;
}

/* The distance that @from gives for the way to @to; 0 if it says nothing. */
static bool
readDistance(const qemuViommuFull *full, const cellDef *from, unsigned to, guint64 *ret_value,
             GError **error)
{
    const xmlNode *node = viommuXMLChild(viommuXMLChild(from->node, "distances"), "sibling");

    *ret_value = 0;
    for (; node; node = viommuXMLNext(node, "sibling")) {
        guint64 id;
        guint64 value;

        if (!g_ascii_string_to_unsigned(qemuViommuAttrOr(node, "id", ""), 10, 0, CELLS_MAX - 1, &id, NULL) ||
            !g_ascii_string_to_unsigned(qemuViommuAttrOr(node, "value", ""), 10, 10, 255, &value, NULL))
            return qemuViommuRefuse(full, node, error, "<sibling> needs an id= and a value= from 10 to 255");
        if (id == to)
            *ret_value = value;
    }
    return true;
}

/* QEMU wants the whole matrix; what one cell leaves out, the other's word or the usual stands for. */
static bool
distanceArgs(qemuViommuFull *full, const GArray *cells, GError **error)
{
    size_t i;
    size_t j;

    for (i = 0; i < cells->len; i++) {
        const cellDef *from = &g_array_index(cells, cellDef, i);

        for (j = 0; j < cells->len; j++) {
            const cellDef *to = &g_array_index(cells, cellDef, j);
            guint64 value;
            guint64 back;

            if (!readDistance(full, from, to->id, &value, error) ||
                !readDistance(full, to, from->id, &back, error))
                return false;
            if (!value)
                value = back ? back : i == j ? DISTANCE_LOCAL : DISTANCE_REMOTE;
            qemuViommuArgsAddf(full->args, "-numa", "dist,src=%u,dst=%u,val=%" G_GUINT64_FORMAT, from->id,
                               to->id, value);
        }
    }
    return true;
}

bool
qemuViommuNumaArgs(qemuViommuFull *full, uint64_t *ret_total, GError **error)
{
    g_autoptr(GArray) cells = g_array_new(FALSE, FALSE, sizeof(cellDef));
    bool distances = false;
    size_t i;

    *ret_total = 0;
    if (!readCells(full, cells, error))
        return false;
    for (i = 0; i < cells->len; i++) {
        const cellDef *cell = &g_array_index(cells, cellDef, i);

        if (!cellArgs(full, cell, error))
            return false;
        *ret_total += cell->bytes;
        distances = distances || viommuXMLChild(cell->node, "distances");
    }
    return !distances || distanceArgs(full, cells, error);
}
