/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a libvirt before pciBus cannot say at all: expander buses, root ports and vSMMUs as arguments of QEMU. QEMU
 * makes devices that are given as key=value before those that are given in JSON, as libvirt gives all of its own (seen
 * with QEMU 11.1): so these are there when a host device is put below them.
 */
#include "viommu_expand_priv.h"

#include <string.h>

#define WINDOW "highmem-mmio-size="

static void
add(GPtrArray *args, const char *option, char *value)
{
    g_ptr_array_add(args, g_strdup(option));
    g_ptr_array_add(args, value);
}

/* @followed: another function of its slot has a port, too. */
static char *
formatPort(unsigned number, unsigned bus, unsigned place, bool followed, unsigned chassis)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "pcie-root-port,id=" EXPAND_ID "%u,bus=" EXPAND_ID "%u,addr=0x%x", number, bus,
                           place % EXPAND_SLOTS);
    if (place >= EXPAND_SLOTS)
        g_string_append_printf(out, ".0x%x", place / EXPAND_SLOTS);
    else if (followed)
        g_string_append(out, ",multifunction=on");
    g_string_append_printf(out, ",chassis=%u,port=%u", chassis, place);
    return g_string_free(out, FALSE);
}

static char *
formatSMMU(const expandState *state, const viommuVSMMU *vsmmu, unsigned bus)
{
    GString *out = g_string_new(NULL);
    unsigned i;

    g_string_append_printf(out, "arm-smmuv3,id=" EXPAND_ID "%u.smmu,primary-bus=" EXPAND_ID "%u", bus, bus);
    if (state->plan->accel)
        g_string_append(out, ",accel=on");
    for (i = 0; state->plan->accel && i < EXPAND_FEATURES; i++) {
        const char *name;
        g_autofree char *text = expandFeature(&vsmmu->features, i, &name);

        if (text)
            g_string_append_printf(out, ",%s=%s", name, text);
    }
    return g_string_free(out, FALSE);
}

static unsigned
placeOf(const expandState *state, const GPtrArray *devices, size_t i)
{
    return state->places[((const viommuPlanDevice *)g_ptr_array_index(devices, i))->addr.bus];
}

static bool
isFollowed(const expandState *state, const GPtrArray *devices, size_t i)
{
    unsigned slot = placeOf(state, devices, i) % EXPAND_SLOTS;
    size_t j;

    for (j = i + 1; j < devices->len; j++) {
        if (placeOf(state, devices, j) % EXPAND_SLOTS == slot)
            return true;
    }
    return false;
}

static void
addVSMMU(const expandState *state, const viommuVSMMU *vsmmu, GPtrArray *args)
{
    g_autofree char *node = vsmmu->node >= 0 ? g_strdup_printf(",numa_node=%d", vsmmu->node) : g_strdup("");
    g_autoptr(GPtrArray) devices = expandOrderDevices(state, vsmmu);
    unsigned bus = state->numbers[vsmmu->controller];
    unsigned i;

    add(args, "-device",
        g_strdup_printf("pxb-pcie,id=" EXPAND_ID "%u,bus=pcie.0,addr=0x%x,bus_nr=%u%s", bus,
                        state->slots[vsmmu->controller], state->busNrs[vsmmu->controller], node));
    for (i = 0; i < devices->len; i++) {
        unsigned port = ((viommuPlanDevice *)g_ptr_array_index(devices, i))->addr.bus;

        add(args, "-device", formatPort(bus + 1 + i, bus, state->places[port], isFollowed(state, devices, i),
                                        state->chassis[port]));
    }
    add(args, "-device", formatSMMU(state, vsmmu, bus));
}

/* Of the same name libvirt makes one itself, if it takes the word of a single device. */
static bool
needsObject(const expandState *state)
{
    bool needed = false;
    size_t i;
    size_t j;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; j < vsmmu->devices->len; j++) {
            needed = expandNeedsObject(state, ((viommuPlanDevice *)g_ptr_array_index(vsmmu->devices, j))->device);
            if (!needed)
                return false;
        }
    }
    return needed;
}

/* Options and values by turns. */
static GPtrArray *
wantArgs(const expandState *state)
{
    const expandWords *words = &state->words;
    GPtrArray *args = g_ptr_array_new_with_free_func(g_free);
    unsigned i;

    if (!state->plan->vsmmus->len)
        return args;
    if (!words->accel && state->plan->hole64KiB)
        add(args, "-machine",
            g_strdup_printf(WINDOW "%" G_GUINT64_FORMAT "K", (guint64)state->plan->hole64KiB));
    if (needsObject(state))
        add(args, "-object", g_strdup("iommufd,id=" EXPAND_IOMMUFD));
    for (i = 0; i < state->ordered->len; i++)
        addVSMMU(state, g_ptr_array_index(state->ordered, i), args);
    return args;
}

/* Did an earlier expansion write that pair? */
static bool
isOurs(const viommuDomain *dom, const char *option, const char *value)
{
    if (!dom->madeOverride || !option || !value)
        return false;
    if (strcmp(option, "-device") == 0)
        return strstr(value, ",id=" EXPAND_ID) != NULL;
    if (strcmp(option, "-object") == 0)
        return strcmp(value, "iommufd,id=" EXPAND_IOMMUFD) == 0;
    return strcmp(option, "-machine") == 0 && g_str_has_prefix(value, WINDOW);
}

bool
viommuExpandMadeObject(const viommuDomain *dom)
{
    const xmlNode *commandline = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "commandline");
    const xmlNode *node;

    for (node = viommuXMLChildNS(commandline, VIOMMU_NS_QEMU, "arg"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "arg")) {
        if (isOurs(dom, "-object", viommuXMLAttr(node, "value")))
            return true;
    }
    return false;
}

/* Fills @going with the elements of pairs that are ours; returns what they say. */
static GPtrArray *
readArgs(const expandState *state, const xmlNode *commandline, GHashTable *going)
{
    GPtrArray *args = g_ptr_array_new();
    xmlNode *node = viommuXMLChildNS(commandline, VIOMMU_NS_QEMU, "arg");

    while (node) {
        xmlNode *next = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "arg");
        const char *option = viommuXMLAttr(node, "value");
        const char *value = next ? viommuXMLAttr(next, "value") : NULL;

        if (!isOurs(state->dom, option, value)) {
            node = next;
            continue;
        }
        g_hash_table_add(going, node);
        g_hash_table_add(going, next);
        g_ptr_array_add(args, (void *)option);
        g_ptr_array_add(args, (void *)value);
        node = viommuXMLNextNS(next, VIOMMU_NS_QEMU, "arg");
    }
    return args;
}

static bool
isSame(const GPtrArray *one, const GPtrArray *two)
{
    size_t i;

    for (i = 0; one->len == two->len && i < one->len; i++) {
        if (strcmp(g_ptr_array_index(one, i), g_ptr_array_index(two, i)) != 0)
            return false;
    }
    return one->len == two->len;
}

static char *
formatArgs(const GPtrArray *args, const char *prefix)
{
    GString *lines = g_string_new(NULL);
    size_t i;

    for (i = 0; i < args->len; i++)
        g_string_append_printf(lines, "%s<%sarg value='%s'/>", i ? "\n" : "", prefix,
                               (const char *)g_ptr_array_index(args, i));
    return g_string_free(lines, FALSE);
}

void
expandCommandline(expandState *state)
{
    const xmlNode *commandline = viommuXMLChildNS(state->dom->root, VIOMMU_NS_QEMU, "commandline");
    g_autoptr(GHashTable) going = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) staying = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) wanted = wantArgs(state);
    g_autoptr(GPtrArray) there = readArgs(state, commandline, going);
    g_autofree char *prefix = commandline ? expandPrefixInside(commandline) : expandPrefix(state);
    g_autofree char *lines = formatArgs(wanted, prefix);

    if (isSame(wanted, there))
        return;
    if (commandline && (wanted->len || expandHasComment(commandline)))
        g_hash_table_add(staying, (void *)commandline);
    if (commandline)
        expandRemove(state, commandline, going, staying);
    if (commandline && wanted->len)
        viommuEditsAppendChild(state->edits, commandline, lines);
    else if (wanted->len)
        expandAppendQemu(state, "commandline", lines);
}
