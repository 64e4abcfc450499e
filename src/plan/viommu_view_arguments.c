/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's view where an expansion for an older libvirt has written buses, ports and vSMMUs as arguments of QEMU.
 */
#include "viommu_view_priv.h"

#include <stdlib.h>
#include <string.h>

/* A bus number has 8 bits; guest cells have smaller numbers. */
#define NUMBER_MAX 255ul

/* The value of @key in "DRIVER,KEY=VALUE,...", NULL: none. */
static const char *
findValue(char *const *words, const char *key)
{
    size_t len = strlen(key);
    size_t i;

    for (i = 0; words[i]; i++) {
        if (strncmp(words[i], key, len) == 0 && words[i][len] == '=')
            return words[i] + len + 1;
    }
    return NULL;
}

/* -1: none that makes sense for buses and nodes. */
static int
findNumber(char *const *words, const char *key)
{
    const char *text = findValue(words, key);
    unsigned long number = text ? strtoul(text, NULL, 0) : NUMBER_MAX + 1;

    return number <= NUMBER_MAX ? (int)number : -1;
}

/* "0x1f" or "0x1f.0x7", as QEMU reads it. */
static unsigned
parseDevfn(const char *text)
{
    const char *dot = text ? strchr(text, '.') : NULL;

    return text ? (unsigned)((strtoul(text, NULL, 16) & 31) << 3 | (dot ? strtoul(dot + 1, NULL, 16) & 7 : 0)) : 0;
}

static int
parseSwitch(const char *text)
{
    return !text || strcmp(text, "auto") == 0 ? VIOMMU_AUTO : strcmp(text, "on") == 0;
}

static int
parseSize(const char *text)
{
    return !text || strcmp(text, "auto") == 0 ? VIOMMU_AUTO : (int)strtoul(text, NULL, 0);
}

static void
addBus(viewState *state, char *const *words)
{
    viewNode *node = viewAddNode(state);
    viommuViewBus *bus = viewAddRoot(state, node, findNumber(words, "bus_nr"));

    bus->slot = (int)(parseDevfn(findValue(words, "addr")) >> 3);
    bus->node = findNumber(words, "numa_node");
    g_hash_table_insert(state->byName, g_strdup(findValue(words, "id")), node);
}

static void
addPort(viewState *state, char *const *words)
{
    const char *bus = findValue(words, "bus");
    viewNode *parent = bus ? g_hash_table_lookup(state->byName, bus) : NULL;
    viewNode *node;

    if (!parent)
        return;
    node = viewAddNode(state);
    node->place = viewAddPlace(state, VIOMMU_VIEW_PORT, NULL);
    viewLink(node, parent, parseDevfn(findValue(words, "addr")));
    g_hash_table_insert(state->byName, g_strdup(findValue(words, "id")), node);
}

static void
addVSMMU(viewState *state, char *const *words)
{
    const char *name = findValue(words, "primary-bus");
    viewNode *node = name ? g_hash_table_lookup(state->byName, name) : NULL;
    viommuViewBus *bus = node ? node->root : NULL;

    if (!bus)
        return;
    bus->vsmmu = true;
    bus->accel = g_strcmp0(findValue(words, "accel"), "on") == 0;
    bus->features = (viommuFeatures){ .cmdqv = parseSwitch(findValue(words, "cmdqv")),
                                      .ats = parseSwitch(findValue(words, "ats")),
                                      .ril = parseSwitch(findValue(words, "ril")),
                                      .ssidsize = parseSize(findValue(words, "ssidsize")),
                                      .oas = parseSize(findValue(words, "oas")) };
}

static void
readPair(viewState *state, const char *option, const char *value)
{
    g_auto(GStrv) words = g_strsplit(value, ",", -1);
    const char *window = findValue(words, "highmem-mmio-size");

    if (strcmp(option, "-machine") == 0 && window)
        state->view->hole64KiB = g_ascii_strtoull(window, NULL, 10); /* always in KiB: "1073741824K" */
    if (!state->dom->madeArguments || strcmp(option, "-device") != 0 || !words[0] || !findValue(words, "id"))
        return;
    if (strcmp(words[0], "pxb-pcie") == 0)
        addBus(state, words);
    else if (strcmp(words[0], "pcie-root-port") == 0)
        addPort(state, words);
    else if (strcmp(words[0], "arm-smmuv3") == 0)
        addVSMMU(state, words);
}

static void
readSeat(viewState *state, const char *alias, const xmlNode *frontend)
{
    const xmlNode *node;
    viewSeat seat = { NULL, 0 };

    for (node = viommuXMLChildNS(frontend, VIOMMU_NS_QEMU, "property"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        const char *name = viommuXMLAttr(node, "name");
        const char *value = viommuXMLAttr(node, "value");

        if (value && g_strcmp0(name, "bus") == 0)
            seat.bus = g_hash_table_lookup(state->byName, value);
        if (value && g_strcmp0(name, "addr") == 0)
            seat.devfn = parseDevfn(value);
    }
    if (seat.bus)
        g_hash_table_insert(state->seats, g_strdup(alias), g_memdup2(&seat, sizeof(seat)));
}

void
viewReadArguments(viewState *state)
{
    const xmlNode *root = state->dom->root;
    const xmlNode *node = viommuXMLChildNS(viommuXMLChildNS(root, VIOMMU_NS_QEMU, "commandline"), VIOMMU_NS_QEMU,
                                           "arg");
    const char *option = NULL;

    if (!state->dom->madeOverride)
        return;
    for (; node; node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "arg")) {
        const char *value = viommuXMLAttr(node, "value");

        if (option && value)
            readPair(state, option, value);
        option = value; /* the user's options may have no value */
    }
    node = viommuXMLChildNS(viommuXMLChildNS(root, VIOMMU_NS_QEMU, "override"), VIOMMU_NS_QEMU, "device");
    for (; node; node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "device")) {
        const char *alias = viommuXMLAttr(node, "alias");

        if (alias)
            readSeat(state, alias, viommuXMLChildNS(node, VIOMMU_NS_QEMU, "frontend"));
    }
}

const viommuViewPlace *
viommuViewArgumentPlace(const viommuView *view, const viommuDevice *device)
{
    size_t i;

    for (i = 0; view && i < view->places->len; i++) {
        const viommuViewPlace *place = g_ptr_array_index(view->places, i);

        if (place->device == device)
            return place->bus && place->bus->busNr > 0 && place->stepCount == 2 ? place : NULL;
    }
    return NULL;
}
