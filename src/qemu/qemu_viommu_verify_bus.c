/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The expander buses of a running QEMU: do their numbers suffice (V10), and are they on the node of their SMMU (V21).
 */
#include "qemu_viommu_verify_priv.h"

#include <string.h>

#define BUS_MAX 255 /* 8 bits of a PCI requester id */

/* An expander bus with what firmware counts. */
typedef struct {
    const qemuViommuLiveDevice *expander;
    unsigned first; /* its number */
    unsigned below; /* ports and bridges below it, each with a bus of its own */
} numbers;

static const char lost[] = "the guest's firmware runs out of numbers there, and the ports that get none, or another "
                           "bus's, are lost with their devices";
static const char moreRoom[] = "define the domain again with a busNr for each expander bus that leaves 1 and one for "
                               "each controller below it, counted down from 255, and restart it";

/* Below the bus that @expander makes, at whatever depth. */
static bool
isBelow(const qemuViommuLiveDevice *dev, const qemuViommuLiveDevice *expander)
{
    return dev->expander && strcmp(qemuViommuLiveName(dev->root), expander->id) == 0;
}

/* A finding about @expander, in which the devices below it have part: those behind @smmu, or all if that is NULL. */
static void
addAbout(const GPtrArray *devices, GPtrArray *findings, const char *id, viommuSeverity severity,
         const qemuViommuLiveDevice *expander, const virSMMU *smmu, const char *consequence, const char *remedy,
         const char *text)
{
    size_t i;

    viommuFindingsAdd(findings, id, severity, 0, consequence, remedy, "expander bus '%s' %s", expander->id, text);
    for (i = 0; i < devices->len; i++) {
        qemuViommuVerified *item = g_ptr_array_index(devices, i);

        if (isBelow(item->device, expander) && (!smmu || item->smmu == smmu))
            qemuViommuVerifyMark(item, id, severity);
    }
}

/* ---- V10 */

static int
compareNumbers(const void *a, const void *b)
{
    const numbers *one = a;
    const numbers *two = b;

    if (one->first != two->first)
        return one->first < two->first ? -1 : 1;
    return strverscmp(one->expander->id, two->expander->id);
}

static unsigned
countBelow(const qemuViommuLive *live, const qemuViommuLiveDevice *expander)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        count += dev->kind == QEMU_VIOMMU_LIVE_BRIDGE && isBelow(dev, expander);
    }
    return count;
}

/* Ports and bridges of the root bus that @expander itself is on. */
static unsigned
countBeside(const qemuViommuLive *live, const qemuViommuLiveDevice *expander)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        count += dev->kind == QEMU_VIOMMU_LIVE_BRIDGE && !qemuViommuLiveIsExpander(dev) &&
                 g_strcmp0(dev->root, expander->root) == 0;
    }
    return count;
}

/* In the order of their numbers. */
static GArray *
collectNumbers(const qemuViommuLive *live)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(numbers));
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);
        numbers entry = { .expander = dev };

        if (dev->busNr < 0)
            continue;
        entry.first = (unsigned)dev->busNr;
        entry.below = countBelow(live, dev);
        g_array_append_val(all, entry);
    }
    g_array_sort(all, compareNumbers);
    return all;
}

static void
verifyRange(const numbers *entry, const numbers *next, const GPtrArray *devices, GPtrArray *findings)
{
    static const char twice[] =
        "the guest's firmware gives numbers twice: a Linux guest panics when it scans the buses";
    unsigned last = entry->first + entry->below;
    g_autofree char *until = NULL;
    g_autofree char *text = NULL;

    if (last > BUS_MAX)
        until = g_strdup_printf("%d is the last there is", BUS_MAX);
    else if (next && last >= next->first)
        until = g_strdup_printf("expander bus '%s' begins at %u", next->expander->id, next->first);
    else
        return;
    text = g_strdup_printf("needs %u bus numbers from %u on, up to %u, but %s", entry->below + 1, entry->first, last,
                           until);
    addAbout(devices, findings, "V10", VIOMMU_SEVERITY_ERROR, entry->expander, NULL, last > BUS_MAX ? lost : twice,
             moreRoom, text);
}

static void
verifyRoot(const qemuViommuLive *live, const numbers *lowest, const GPtrArray *devices, GPtrArray *findings)
{
    unsigned beside = countBeside(live, lowest->expander);
    g_autofree char *text = NULL;

    if (beside < lowest->first)
        return;
    text = g_strdup_printf("begins at %u, but '%s' needs the bus numbers up to %u", lowest->first,
                           qemuViommuLiveName(lowest->expander->root), beside);
    addAbout(devices, findings, "V10", VIOMMU_SEVERITY_ERROR, lowest->expander, NULL, lost, moreRoom, text);
}

void
qemuViommuVerifyNumbers(const qemuViommuLive *live, const GPtrArray *devices, GPtrArray *findings)
{
    g_autoptr(GArray) all = collectNumbers(live);
    size_t i;

    for (i = 0; i < all->len; i++) {
        const numbers *entry = &g_array_index(all, numbers, i);

        verifyRange(entry, i + 1 < all->len ? entry + 1 : NULL, devices, findings);
    }
    if (all->len)
        verifyRoot(live, &g_array_index(all, numbers, 0), devices, findings);
}

/* ---- V21 */

static bool
isFrom(const qemuViommuLiveDevice *expander, int node)
{
    size_t i;

    for (i = 0; i < expander->hostNodes->len; i++) {
        if (g_array_index(expander->hostNodes, unsigned, i) == (unsigned)node)
            return true;
    }
    return expander->hostNodes->len == 0;
}

/* @expander has a vSMMU, and memory of which is known where it comes from. */
static void
verifyNode(const qemuViommuLiveDevice *expander, const GPtrArray *devices, GPtrArray *findings)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const qemuViommuVerified *item = g_ptr_array_index(devices, i);
        g_autofree char *text = NULL;

        if (!isBelow(item->device, expander) || !item->device->vsmmu || !item->smmu || item->smmu->numaNode < 0 ||
            isFrom(expander, item->smmu->numaNode) || !g_hash_table_add(seen, (void *)item->smmu))
            continue;
        text = g_strdup_printf("is on the guest's node %d, whose memory is not from node %d, where '%s' is",
                               expander->numaNode, item->smmu->numaNode, item->smmu->name);
        addAbout(devices, findings, "V21", VIOMMU_SEVERITY_WARNING, expander, item->smmu,
                 "the guest takes memory far from the device for near",
                 "name the cell that <memnode> binds to that node, or no node, and restart the domain", text);
    }
}

void
qemuViommuVerifyNodes(const qemuViommuLive *live, const GPtrArray *devices, GPtrArray *findings)
{
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (dev->hostNodes)
            verifyNode(dev, devices, findings);
    }
}
