/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers are read as libvirt does (base 0), controllers without index get the lowest free one.
 */
#include "mutant.h"

#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>

#define INDEXES 256
#define SLOTS 32
#define FUNCTIONS 8

xmlNode *
mutantChild(const xmlNode *parent, const char *name)
{
    xmlNode *node;

    for (node = parent ? parent->children : NULL; node; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0)
            return node;
    }
    return NULL;
}

xmlNode *
mutantNeedChild(xmlNode *parent, const char *name)
{
    xmlNode *node = mutantChild(parent, name);

    return node ? node : xmlNewChild(parent, NULL, BAD_CAST name, NULL);
}

void
mutantRemove(xmlNode *node)
{
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}

void
mutantSet(xmlNode *node, const char *name, const char *format, ...)
{
    g_autofree char *value = NULL;
    va_list args;

    va_start(args, format);
    value = g_strdup_vprintf(format, args);
    va_end(args);
    xmlSetProp(node, BAD_CAST name, BAD_CAST value);
}

char *
mutantGet(const xmlNode *node, const char *name)
{
    xmlChar *value = node ? xmlGetNoNsProp(node, BAD_CAST name) : NULL;
    char *copy = g_strdup((const char *)value);

    xmlFree(value);
    return copy;
}

static unsigned
getNumber(const xmlNode *node, const char *name, unsigned otherwise)
{
    g_autofree char *text = mutantGet(node, name);

    return text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

static bool
has(const xmlNode *node, const char *name, const char *value)
{
    g_autofree char *text = mutantGet(node, name);

    return g_strcmp0(text, value) == 0;
}

void
mutantSetAddr(xmlNode *node, unsigned bus, unsigned slot, unsigned function)
{
    xmlNode *addr = mutantNeedChild(node, "address");

    mutantSet(addr, "type", "pci");
    mutantSet(addr, "domain", "0x0000");
    mutantSet(addr, "bus", "0x%02x", bus);
    mutantSet(addr, "slot", "0x%02x", slot);
    mutantSet(addr, "function", "0x%x", function);
}

mutantBus *
mutantFindBus(const mutant *mut, unsigned index)
{
    guint i;

    for (i = 0; i < mut->buses->len; i++) {
        mutantBus *bus = &g_array_index(mut->buses, mutantBus, i);

        if (bus->index == index)
            return bus;
    }
    return NULL;
}

int
mutantTop(const mutant *mut, unsigned index)
{
    unsigned hops;

    for (hops = 0; hops < INDEXES; hops++) {
        const mutantBus *bus = mutantFindBus(mut, index);

        if (index == 0)
            return 0;
        if (!bus)
            return -1;
        if (strcmp(bus->model, "pcie-expander-bus") == 0)
            return (int)bus->index;
        index = bus->bus; /* libvirt puts a port without address on pcie.0 */
    }
    return -1;
}

mutantIOMMU *
mutantFindIOMMU(const mutant *mut, int pciBus)
{
    guint i;

    for (i = 0; i < mut->iommus->len; i++) {
        mutantIOMMU *iommu = &g_array_index(mut->iommus, mutantIOMMU, i);

        if (iommu->pciBus == pciBus)
            return iommu;
    }
    return NULL;
}

static bool
isTaken(const mutant *mut, unsigned bus, unsigned slot, unsigned function, bool anyFunction)
{
    const GArray *lists[] = { mut->assigned, mut->emulated };
    guint i;
    size_t j;

    for (i = 0; i < mut->buses->len; i++) {
        const mutantBus *at = &g_array_index(mut->buses, mutantBus, i);

        if (at->hasAddr && at->bus == bus && at->slot == slot && (anyFunction || at->function == function))
            return true;
    }
    for (j = 0; j < G_N_ELEMENTS(lists); j++) {
        for (i = 0; i < lists[j]->len; i++) {
            const mutantSeat *at = &g_array_index(lists[j], mutantSeat, i);

            if (at->bus == bus && at->slot == slot && (anyFunction || at->function == function))
                return true;
        }
    }
    return false;
}

int
mutantFreeSlot(const mutant *mut, unsigned bus)
{
    unsigned slot;

    for (slot = bus == 0; slot < SLOTS; slot++) {
        if (!isTaken(mut, bus, slot, 0, true))
            return (int)slot;
    }
    return -1;
}

int
mutantFreeFunction(const mutant *mut, unsigned bus)
{
    unsigned function;

    for (function = 0; function < FUNCTIONS; function++) {
        if (!isTaken(mut, bus, 0, function, false))
            return (int)function;
    }
    return -1;
}

int
mutantFreeIndex(const mutant *mut)
{
    unsigned highest = 0;
    guint i;

    for (i = 0; i < mut->buses->len; i++)
        highest = MAX(highest, g_array_index(mut->buses, mutantBus, i).index);
    return highest + 1 < INDEXES ? (int)highest + 1 : -1;
}

unsigned
mutantCountBelow(const mutant *mut, int top)
{
    unsigned count = 0;
    guint i;

    for (i = 0; i < mut->assigned->len; i++)
        count += g_array_index(mut->assigned, mutantSeat, i).top == top;
    return count;
}

static void
readBus(mutant *mut, xmlNode *node, bool *taken)
{
    g_autofree char *index = mutantGet(node, "index");
    const xmlNode *addr = mutantChild(node, "address");
    const xmlNode *target = mutantChild(node, "target");
    mutantBus bus = { .node = node, .busNr = -1 };
    xmlAttr *model = xmlHasProp(node, BAD_CAST "model");

    bus.model = model && model->children ? (const char *)model->children->content : "";
    if (index) {
        bus.index = (unsigned)strtoul(index, NULL, 0);
    } else {
        while (bus.index < INDEXES - 1 && taken[bus.index])
            bus.index++;
    }
    taken[bus.index] = true;
    bus.hasAddr = addr != NULL;
    bus.bus = getNumber(addr, "bus", 0);
    bus.slot = getNumber(addr, "slot", 0);
    bus.function = getNumber(addr, "function", 0);
    bus.busNr = (int)getNumber(target, "busNr", (unsigned)-1);
    bus.chassis = getNumber(target, "chassis", bus.index);
    g_array_append_val(mut->buses, bus);
}

static void
readBuses(mutant *mut)
{
    bool taken[INDEXES] = { false };
    bool haveRoot = false;
    bool indexed;
    xmlNode *node;

    for (node = mut->devices->children; node; node = node->next) {
        if (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, "controller") != 0 ||
            !has(node, "type", "pci"))
            continue;
        haveRoot = haveRoot || has(node, "model", "pcie-root");
        if (xmlHasProp(node, BAD_CAST "index"))
            taken[getNumber(node, "index", 0)] = true;
    }
    if (!haveRoot)
        taken[0] = true;
    for (indexed = false;; indexed = true) {
        for (node = mut->devices->children; node; node = node->next) {
            if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "controller") == 0 &&
                has(node, "type", "pci") && (xmlHasProp(node, BAD_CAST "index") != NULL) == indexed)
                readBus(mut, node, taken);
        }
        if (indexed)
            break;
    }
}

static const randomDevice *
findSource(const mutant *mut, const xmlNode *addr)
{
    g_autofree char *name = g_strdup_printf("%04x:%02x:%02x.%x", getNumber(addr, "domain", 0),
                                            getNumber(addr, "bus", 0), getNumber(addr, "slot", 0),
                                            getNumber(addr, "function", 0));

    return randomHostFind(mut->host, name);
}

static void
readDevice(mutant *mut, xmlNode *node)
{
    const xmlNode *addr = mutantChild(node, "address");
    const xmlNode *source = mutantChild(node, "source");
    const char *name = (const char *)node->name;
    bool interface = strcmp(name, "interface") == 0;
    mutantSeat seat = { .node = node };

    if (!addr || !has(addr, "type", "pci") || (strcmp(name, "controller") == 0 && has(node, "type", "pci")))
        return;
    seat.bus = getNumber(addr, "bus", 0);
    seat.slot = getNumber(addr, "slot", 0);
    seat.function = getNumber(addr, "function", 0);
    seat.top = mutantTop(mut, seat.bus);
    seat.network = interface && has(node, "type", "network");
    if ((strcmp(name, "hostdev") == 0 && has(node, "type", "pci")) ||
        (interface && has(node, "type", "hostdev")))
        seat.host = findSource(mut, mutantChild(source, "address"));
    if (seat.host || seat.network)
        g_array_append_val(mut->assigned, seat);
    else
        g_array_append_val(mut->emulated, seat);
}

static void
countUsers(mutant *mut)
{
    const GArray *lists[] = { mut->assigned, mut->emulated };
    guint i;
    size_t j;

    for (i = 0; i < mut->buses->len; i++) {
        const mutantBus *below = &g_array_index(mut->buses, mutantBus, i);
        mutantBus *bus = below->hasAddr ? mutantFindBus(mut, below->bus) : NULL;

        if (bus)
            bus->users++;
    }
    for (j = 0; j < G_N_ELEMENTS(lists); j++) {
        for (i = 0; i < lists[j]->len; i++) {
            mutantBus *bus = mutantFindBus(mut, g_array_index(lists[j], mutantSeat, i).bus);

            if (bus)
                bus->users++;
        }
    }
}

void
mutantInit(mutant *mut, const char *xml, const randomHost *host, GRand *rand)
{
    xmlNode *node;

    *mut = (mutant){ .host = host, .rand = rand };
    mut->doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);
    g_assert_nonnull(mut->doc);
    mut->root = xmlDocGetRootElement(mut->doc);
    mut->devices = mutantChild(mut->root, "devices");
    mut->buses = g_array_new(FALSE, FALSE, sizeof(mutantBus));
    mut->assigned = g_array_new(FALSE, FALSE, sizeof(mutantSeat));
    mut->emulated = g_array_new(FALSE, FALSE, sizeof(mutantSeat));
    mut->iommus = g_array_new(FALSE, FALSE, sizeof(mutantIOMMU));
    readBuses(mut);
    for (node = mut->devices->children; node; node = node->next) {
        mutantIOMMU iommu = { .node = node };

        if (node->type != XML_ELEMENT_NODE)
            continue;
        readDevice(mut, node);
        if (strcmp((const char *)node->name, "iommu") != 0 || !has(node, "model", "smmuv3"))
            continue;
        iommu.driver = mutantChild(node, "driver");
        iommu.pciBus = (int)getNumber(iommu.driver, "pciBus", (unsigned)-1);
        g_array_append_val(mut->iommus, iommu);
    }
    countUsers(mut);
}

void
mutantClear(mutant *mut)
{
    g_array_unref(mut->buses);
    g_array_unref(mut->assigned);
    g_array_unref(mut->emulated);
    g_array_unref(mut->iommus);
    xmlFreeDoc(mut->doc);
}

char *
mutantFormat(const mutant *mut)
{
    xmlChar *text = NULL;
    int len = 0;
    char *copy;

    xmlDocDumpMemory(mut->doc, &text, &len);
    copy = g_strndup((const char *)text, (gsize)len);
    xmlFree(text);
    return copy;
}

mutantSeat *
mutantPickSeat(const mutant *mut, bool (*test)(const mutant *, const mutantSeat *, const void *),
               const void *data)
{
    guint len = mut->assigned->len;
    guint first = len ? (guint)g_rand_int_range(mut->rand, 0, (gint32)len) : 0;
    guint i;

    for (i = 0; i < len; i++) {
        mutantSeat *seat = &g_array_index(mut->assigned, mutantSeat, (first + i) % len);

        if (!test || test(mut, seat, data))
            return seat;
    }
    return NULL;
}

mutantBus *
mutantPickBus(const mutant *mut, bool (*test)(const mutant *, const mutantBus *, const void *),
              const void *data)
{
    guint len = mut->buses->len;
    guint first = len ? (guint)g_rand_int_range(mut->rand, 0, (gint32)len) : 0;
    guint i;

    for (i = 0; i < len; i++) {
        mutantBus *bus = &g_array_index(mut->buses, mutantBus, (first + i) % len);

        if (!test || test(mut, bus, data))
            return bus;
    }
    return NULL;
}

mutantIOMMU *
mutantPickIOMMU(const mutant *mut, bool (*test)(const mutant *, const mutantIOMMU *, const void *),
                const void *data)
{
    guint len = mut->iommus->len;
    guint first = len ? (guint)g_rand_int_range(mut->rand, 0, (gint32)len) : 0;
    guint i;

    for (i = 0; i < len; i++) {
        mutantIOMMU *iommu = &g_array_index(mut->iommus, mutantIOMMU, (first + i) % len);

        if (!test || test(mut, iommu, data))
            return iommu;
    }
    return NULL;
}
