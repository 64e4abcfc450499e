/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of devices for which libvirt has no word: they go through <qemu:override>, by the alias of the device. No
 * libvirt has one for the windows of ports kept for hotplug (pref64-reserve, io-reserve); older ones lack more.
 */
#include "viommu_expand_priv.h"

#include <string.h>

typedef struct {
    char *alias;
    const char *name; /* static */
    const char *type; /* static: of <qemu:property> */
    char *value;
    bool keep;        /* what the user wrote for it counts */
} property;

/* Those that place a device, and what it goes through. */
static const char *const placing[] = { "iommufd", "bus", "addr", "multifunction", NULL };

static void
freeProperty(void *data)
{
    property *prop = data;

    g_free(prop->alias);
    g_free(prop->value);
    g_free(prop);
}

static const property *
findWanted(const GPtrArray *wanted, const char *alias, const char *name)
{
    size_t i;

    for (i = 0; i < wanted->len; i++) {
        const property *prop = g_ptr_array_index(wanted, i);

        if (g_strcmp0(prop->alias, alias) == 0 && g_strcmp0(prop->name, name) == 0)
            return prop;
    }
    return NULL;
}

/* Takes @value. An alias is the user's, and may be given twice: the first counts. */
static void
want(GPtrArray *wanted, const char *alias, const char *name, const char *type, char *value, bool keep)
{
    property *prop;

    if (findWanted(wanted, alias, name)) {
        g_free(value);
        return;
    }
    prop = g_new0(property, 1);
    prop->alias = g_strdup(alias);
    prop->name = name;
    prop->type = type;
    prop->value = value;
    prop->keep = keep;
    g_ptr_array_add(wanted, prop);
}

static char *
portAlias(const viommuDomain *dom, unsigned index)
{
    const viommuController *there = viommuDomainFindController(dom, index);

    if (there && there->alias && g_str_has_prefix(there->alias, "ua-"))
        return g_strdup(there->alias);
    return g_strdup_printf("pci.%u", index);
}

/* Does the user's own port have libvirt's word for the window below 4 GiB? Those of viommu do. */
static bool
saysMemReserve(const viommuDomain *dom, unsigned index)
{
    const viommuController *there = viommuDomainFindController(dom, index);

    return there && viommuXMLAttr(viommuXMLChild(there->node, "target"), "memReserve");
}

static void
wantWindows(const expandState *state, const viommuVSMMU *vsmmu, GPtrArray *wanted)
{
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);
        g_autofree char *alias = port->keeps.pref64 ? portAlias(state->dom, port->controller) : NULL;

        if (alias)
            want(wanted, alias, VIOMMU_RESERVE_PREF64, "unsigned",
                 g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)port->keeps.pref64), !port->generated);
        if (alias && port->keeps.mem && !port->generated && !saysMemReserve(state->dom, port->controller))
            want(wanted, alias, VIOMMU_RESERVE_MEM, "unsigned",
                 g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)port->keeps.mem), true);
        if (alias && port->noIO)
            want(wanted, alias, VIOMMU_RESERVE_IO, "unsigned", g_strdup("0"), !port->generated);
    }
}

static void
wantFeatures(const expandState *state, const viommuVSMMU *vsmmu, GPtrArray *wanted)
{
    g_autofree char *alias = expandSMMUAlias(state, vsmmu);
    unsigned i;

    if (!state->plan->accel)
        return;
    want(wanted, alias, "accel", "bool", g_strdup("true"), false);
    for (i = 0; i < EXPAND_FEATURES; i++) {
        const char *name;
        char *text = expandFeature(&vsmmu->features, i, &name);

        if (text)
            want(wanted, alias, name, "string", text, false);
    }
}

static void
wantPlace(const expandState *state, const viommuPlanDevice *device, GPtrArray *wanted)
{
    const char *alias = g_hash_table_lookup(state->aliases, device->device);
    const viommuGuestAddr *addr = &device->addr;

    if (!alias)
        return;
    if (expandNeedsObject(state, device->device))
        want(wanted, alias, "iommufd", "string", g_strdup(EXPAND_IOMMUFD), false);
    if (state->words.pciBus)
        return;
    want(wanted, alias, "bus", "string", g_strdup_printf(EXPAND_ID "%u", state->numbers[addr->bus]), false);
    want(wanted, alias, "addr", "string",
         addr->function ? g_strdup_printf("0x%x.0x%x", addr->slot, addr->function)
                        : g_strdup_printf("0x%x", addr->slot),
         false);
    if (addr->multifunction)
        want(wanted, alias, "multifunction", "bool", g_strdup("true"), false);
}

static GPtrArray *
wantAll(const expandState *state)
{
    GPtrArray *wanted = g_ptr_array_new_with_free_func(freeProperty);
    size_t i;
    size_t j;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        wantWindows(state, vsmmu, wanted);
        if (state->words.pciBus && !state->words.accel)
            wantFeatures(state, vsmmu, wanted);
        for (j = 0; j < vsmmu->devices->len; j++)
            wantPlace(state, g_ptr_array_index(vsmmu->devices, j), wanted);
    }
    return wanted;
}

/* The ports whose windows were or are ours: by alias. A window on a port of the user's may be the user's; what was
 * written for an index that is ours now was for no device. */
static GHashTable *
listPorts(const expandState *state)
{
    GHashTable *ports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t i;
    size_t j;

    for (i = 0; i < state->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(state->dom->placed, i);

        for (j = 0; j < placed->ports->len; j++) {
            const viommuPlacedPort *port = g_ptr_array_index(placed->ports, j);

            if (port->generated)
                g_hash_table_add(ports, portAlias(state->dom, port->controller));
        }
    }
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; j < vsmmu->ports->len; j++) {
            const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);

            if (port->generated)
                g_hash_table_add(ports, portAlias(state->dom, port->controller));
        }
    }
    return ports;
}

static bool
isFeature(const char *name)
{
    const viommuFeatures none = { 0 };
    unsigned i;

    for (i = 0; i < EXPAND_FEATURES; i++) {
        const char *feature;
        g_autofree char *text = expandFeature(&none, i, &feature);

        if (strcmp(name, feature) == 0)
            return true;
    }
    return strcmp(name, "accel") == 0;
}

static bool
isVSMMU(const viommuDomain *dom, const char *alias)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->overridden && g_strcmp0(viommuXMLAttr(viommuXMLChild(iommu->node, "alias"), "name"), alias) == 0)
            return true;
    }
    return false;
}

static bool
isAssigned(const viommuDomain *dom, const char *alias)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (device->kind == VIOMMU_DEVICE_ASSIGNED && g_strcmp0(device->alias, alias) == 0)
            return true;
    }
    return false;
}

/* An alias of ours whose device has left the domain. */
static bool
isGone(const viommuDomain *dom, const char *alias)
{
    size_t i;

    if (!g_str_has_prefix(alias, VIOMMU_ALIAS_PREFIX))
        return false;
    for (i = 0; i < dom->devices->len; i++) {
        if (g_strcmp0(((viommuDevice *)g_ptr_array_index(dom->devices, i))->alias, alias) == 0)
            return false;
    }
    return true;
}

/* Is the device of the property @node on a bus of ours? */
static bool
isMoved(const xmlNode *node)
{
    const xmlNode *other = viommuXMLChildNS(node->parent, VIOMMU_NS_QEMU, "property");

    for (; other; other = viommuXMLNextNS(other, VIOMMU_NS_QEMU, "property")) {
        const char *value = viommuXMLAttr(other, "value");

        if (g_strcmp0(viommuXMLAttr(other, "name"), "bus") == 0 && value && g_str_has_prefix(value, EXPAND_ID))
            return true;
    }
    return false;
}

/* Did an earlier expansion write the property @node? By an alias of the user's it wrote these values. */
static bool
isOurs(const viommuDomain *dom, GHashTable *ports, const char *alias, const xmlNode *node)
{
    const char *name = viommuXMLAttr(node, "name");
    bool named = alias && g_str_has_prefix(alias, VIOMMU_ALIAS_PREFIX);

    if (!alias || !name)
        return false;
    if (viommuIsReserve(name))
        return ports && g_hash_table_contains(ports, alias);
    if (!dom->madeOverride)
        return false;
    if (isFeature(name))
        return isVSMMU(dom, alias) || isGone(dom, alias);
    if (!isAssigned(dom, alias) && !isGone(dom, alias))
        return false;
    if (strcmp(name, "iommufd") == 0)
        return named || g_strcmp0(viommuXMLAttr(node, "value"), EXPAND_IOMMUFD) == 0;
    return dom->madeArguments && g_strv_contains((const gchar *const *)placing, name) && (named || isMoved(node));
}

/* Fills @going with what is ours and not wanted, and notes what is there of @wanted; what has another value is
 * replaced. */
static void
compareDevice(expandState *state, const xmlNode *frontend, const char *alias, const GPtrArray *wanted,
              GHashTable *ports, GHashTable *there, GHashTable *going)
{
    g_autofree char *inside = expandPrefixInside(frontend);
    const xmlNode *node;

    for (node = viommuXMLChildNS(frontend, VIOMMU_NS_QEMU, "property"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        const char *name = viommuXMLAttr(node, "name");
        const property *prop = findWanted(wanted, alias, name);

        if (!prop) {
            if (isOurs(state->dom, ports, alias, node))
                g_hash_table_add(going, (void *)node);
            continue;
        }
        g_hash_table_add(there, (void *)prop);
        if (!prop->keep && g_strcmp0(viommuXMLAttr(node, "value"), prop->value) != 0) {
            g_autofree char *line = g_strdup_printf("<%sproperty name='%s' type='%s' value='%s'/>", inside, prop->name,
                                                    prop->type, prop->value);

            viommuEditsReplace(state->edits, node, line);
        }
    }
}

static xmlNode *
findDevice(const xmlNode *override, const char *alias)
{
    xmlNode *node;

    for (node = viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "device")) {
        if (g_strcmp0(viommuXMLAttr(node, "alias"), alias) == 0)
            return node;
    }
    return NULL;
}

bool
expandOverrideHasOthers(const viommuDomain *dom, const char *alias)
{
    const xmlNode *device = findDevice(viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "override"), alias);
    const xmlNode *node = viommuXMLChildNS(viommuXMLChildNS(device, VIOMMU_NS_QEMU, "frontend"), VIOMMU_NS_QEMU,
                                           "property");

    for (; node; node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        if (!isOurs(dom, NULL, alias, node))
            return true;
    }
    return false;
}

const xmlNode *
expandOverrideTaken(const expandState *state, const viommuDevice *device)
{
    const xmlNode *there = findDevice(viommuXMLChildNS(state->dom->root, VIOMMU_NS_QEMU, "override"), device->alias);
    const xmlNode *node = viommuXMLChildNS(viommuXMLChildNS(there, VIOMMU_NS_QEMU, "frontend"), VIOMMU_NS_QEMU,
                                           "property");

    for (; node; node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        const char *name = viommuXMLAttr(node, "name");

        if (name && !isOurs(state->dom, NULL, device->alias, node) &&
            ((expandNeedsObject(state, device) && strcmp(name, "iommufd") == 0) ||
             (!state->words.pciBus && g_strv_contains((const gchar *const *)placing, name))))
            return node;
    }
    return NULL;
}

/* The lines of all of @wanted for @alias that are not @there; "" if there are none. */
static char *
formatMissing(const GPtrArray *wanted, const char *alias, GHashTable *there, const char *prefix)
{
    GString *lines = g_string_new(NULL);
    size_t i;

    for (i = 0; i < wanted->len; i++) {
        const property *prop = g_ptr_array_index(wanted, i);

        if (strcmp(prop->alias, alias) == 0 && !g_hash_table_contains(there, prop))
            g_string_append_printf(lines, "%s<%sproperty name='%s' type='%s' value='%s'/>", lines->len ? "\n" : "",
                                   prefix, prop->name, prop->type, prop->value);
    }
    return g_string_free(lines, FALSE);
}

/* @lines with two spaces more in front of each. */
static char *
indent(const char *lines)
{
    g_auto(GStrv) parts = g_strsplit(lines, "\n", -1);
    g_autofree char *body = g_strjoinv("\n  ", parts);

    return g_strconcat("  ", body, NULL);
}

static char *
wrapFrontend(const char *prefix, const char *lines)
{
    g_autofree char *inner = indent(lines);

    return g_strdup_printf("<%sfrontend>\n%s\n</%sfrontend>", prefix, inner, prefix);
}

/* Adds what is missing for @alias to its element; where it has none, to @fresh. */
static void
addMissing(expandState *state, const xmlNode *override, const char *alias, const GPtrArray *wanted, GHashTable *there,
           GHashTable *staying, GString *fresh)
{
    xmlNode *device = override ? findDevice(override, alias) : NULL;
    const xmlNode *frontend = viommuXMLChildNS(device, VIOMMU_NS_QEMU, "frontend");
    const xmlNode *place = frontend ? frontend : device ? device : override;
    g_autofree char *prefix = place ? expandPrefixInside(place) : expandPrefix(state);
    g_autofree char *lines = formatMissing(wanted, alias, there, prefix);
    g_autofree char *wrapped = NULL;
    g_autofree char *inner = NULL;
    g_autofree char *escaped = viommuXMLEscape(alias);

    if (!*lines)
        return;
    if (device)
        g_hash_table_add(staying, (void *)place);
    wrapped = wrapFrontend(prefix, lines);
    if (device) {
        viommuEditsAppendChild(state->edits, place, frontend ? lines : wrapped);
        return;
    }
    inner = indent(wrapped);
    g_string_append_printf(fresh, "%s<%sdevice alias='%s'>\n%s\n</%sdevice>", fresh->len ? "\n" : "", prefix, escaped,
                           inner, prefix);
}

static void
addAllMissing(expandState *state, const xmlNode *override, const GPtrArray *wanted, GHashTable *there,
              GHashTable *staying, GString *fresh)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;

    for (i = 0; i < wanted->len; i++) {
        const property *prop = g_ptr_array_index(wanted, i);

        if (g_hash_table_add(done, prop->alias))
            addMissing(state, override, prop->alias, wanted, there, staying, fresh);
    }
}

void
expandOverride(expandState *state)
{
    const xmlNode *override = viommuXMLChildNS(state->dom->root, VIOMMU_NS_QEMU, "override");
    g_autoptr(GPtrArray) wanted = wantAll(state);
    g_autoptr(GHashTable) ports = listPorts(state);
    g_autoptr(GHashTable) there = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) going = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) staying = g_hash_table_new(NULL, NULL);
    g_autoptr(GString) fresh = g_string_new(NULL);
    const xmlNode *node;

    for (node = viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "device")) {
        const xmlNode *frontend = viommuXMLChildNS(node, VIOMMU_NS_QEMU, "frontend");

        if (frontend)
            compareDevice(state, frontend, viommuXMLAttr(node, "alias"), wanted, ports, there, going);
    }
    addAllMissing(state, override, wanted, there, staying, fresh);
    if (override && (fresh->len || expandHasComment(override)))
        g_hash_table_add(staying, (void *)override);
    if (override)
        expandRemove(state, override, going, staying);
    if (override && fresh->len)
        viommuEditsAppendChild(state->edits, override, fresh->str);
    else if (fresh->len)
        expandAppendQemu(state, "override", fresh->str);
}
