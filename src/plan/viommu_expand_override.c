/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Windows of ports kept for hotplug: libvirt has no attribute for pref64-reserve, so that it goes through
 * <qemu:override>, by the alias of the port.
 */
#include "viommu_expand_priv.h"

#include <string.h>

#define PROPERTY "pref64-reserve"

/* What stands before the names of elements inside @node, which is one of QEMU's: "qemu:", or nothing where
 * that is the default namespace. Free with g_free. */
static char *
prefixInside(const xmlNode *node)
{
    return node->ns->prefix ? g_strconcat((const char *)node->ns->prefix, ":", NULL) : g_strdup("");
}

/* The prefix that the root declares for QEMU's elements, with its colon. NULL: none; *ret_taken says
 * whether "qemu" is another namespace's. */
static char *
prefixOfRoot(const viommuDomain *dom, bool *ret_taken)
{
    const xmlNs *ns;

    *ret_taken = false;
    for (ns = dom->root->nsDef; ns; ns = ns->next) {
        if (ns->prefix && ns->href && strcmp((const char *)ns->href, VIOMMU_NS_QEMU) == 0)
            return g_strconcat((const char *)ns->prefix, ":", NULL);
        *ret_taken = *ret_taken || g_strcmp0((const char *)ns->prefix, "qemu") == 0;
    }
    return NULL;
}

static char *
portAlias(const viommuDomain *dom, unsigned index)
{
    const viommuController *there = viommuDomainFindController(dom, index);

    if (there && there->alias && g_str_has_prefix(there->alias, "ua-"))
        return g_strdup(there->alias);
    return g_strdup_printf("pci.%u", index);
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

static xmlNode *
findProperty(const xmlNode *device)
{
    const xmlNode *frontend = viommuXMLChildNS(device, VIOMMU_NS_QEMU, "frontend");
    xmlNode *node;

    for (node = viommuXMLChildNS(frontend, VIOMMU_NS_QEMU, "property"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        if (g_strcmp0(viommuXMLAttr(node, "name"), PROPERTY) == 0)
            return node;
    }
    return NULL;
}

static unsigned
countElements(const xmlNode *parent)
{
    const xmlNode *node;
    unsigned count = 0;

    for (node = parent->children; node; node = node->next)
        count += node->type == XML_ELEMENT_NODE;
    return count;
}

/* The largest node around our property in @device that holds nothing else. */
static xmlNode *
wholeOf(xmlNode *device)
{
    xmlNode *property = findProperty(device);
    xmlNode *frontend = property->parent;

    if (countElements(frontend) > 1)
        return property;
    return countElements(device) > 1 ? frontend : device;
}

/* Notes the entry for the window of port @controller, which has none any more. */
static void
addStale(const expandState *state, const xmlNode *override, GHashTable *done, GPtrArray *stale,
         unsigned controller)
{
    char *alias = portAlias(state->dom, controller);
    xmlNode *device = findDevice(override, alias);

    if (g_hash_table_add(done, alias) && device && findProperty(device))
        g_ptr_array_add(stale, wholeOf(device));
}

/* Entries of an earlier expansion for ports that keep no window any more; @done: aliases that are settled. */
static GPtrArray *
findStale(const expandState *state, const xmlNode *override, GHashTable *done)
{
    GPtrArray *stale = g_ptr_array_new();
    size_t i;
    size_t j;

    for (i = 0; override && i < state->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(state->dom->placed, i);

        for (j = 0; j < placed->ports->len; j++) {
            const viommuPlacedPort *port = g_ptr_array_index(placed->ports, j);

            /* A window on a port of the user's may be the user's. */
            if (port->generated)
                addStale(state, override, done, stale, port->controller);
        }
    }
    /* What was written for an index that is ours now was for no device. */
    for (i = 0; override && i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; j < vsmmu->ports->len; j++) {
            const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);

            if (port->generated)
                addStale(state, override, done, stale, port->controller);
        }
    }
    return stale;
}

/* Is all of @override stale? */
static bool
isAll(const GPtrArray *stale, const xmlNode *override)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < stale->len; i++)
        count += ((xmlNode *)g_ptr_array_index(stale, i))->parent == override;
    return count && count == countElements(override);
}

static void
appendDevice(GString *out, const expandState *state, const xmlNode *override, const char *prefix,
             const viommuPlanPort *port, const char *alias)
{
    xmlNode *device = override ? findDevice(override, alias) : NULL;
    const xmlNode *frontend = viommuXMLChildNS(device, VIOMMU_NS_QEMU, "frontend");
    const xmlNode *there = device ? findProperty(device) : NULL;
    g_autofree char *inside = device ? prefixInside(frontend ? frontend : device) : g_strdup(prefix);
    g_autofree char *value = g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)port->reserve);
    g_autofree char *line = g_strdup_printf("<%sproperty name='" PROPERTY "' type='unsigned' value='%s'/>",
                                            inside, value);
    g_autofree char *wrapped = g_strdup_printf("<%sfrontend>\n  %s\n</%sfrontend>", inside, line, inside);
    g_autofree char *escaped = viommuXMLEscape(alias);

    if (there) {
        if (port->generated && g_strcmp0(viommuXMLAttr(there, "value"), value) != 0)
            viommuEditsReplace(state->edits, there, line);
        return;
    }
    if (device) {
        viommuEditsAppendChild(state->edits, frontend ? frontend : device, frontend ? line : wrapped);
        return;
    }
    g_string_append_printf(out, "%s<%sdevice alias='%s'>\n  <%sfrontend>\n    %s\n  </%sfrontend>\n"
                           "</%sdevice>", out->len ? "\n" : "", prefix, escaped, prefix, line, prefix,
                           prefix);
}

/* An <override> of its own for @lines. Where "qemu" means something else at the root, it means QEMU in
 * there. */
static void
writeOverride(expandState *state, const char *lines, const char *prefix, bool declared, bool taken)
{
    g_auto(GStrv) parts = g_strsplit(lines, "\n", -1);
    g_autofree char *body = g_strjoinv("\n  ", parts);
    g_autofree char *whole = g_strdup_printf("<%soverride%s>\n  %s\n</%soverride>", prefix,
                                             taken ? " xmlns:qemu='" VIOMMU_NS_QEMU "'" : "", body, prefix);

    if (!declared && !taken)
        viommuEditsAddAttr(state->edits, state->dom->root, "xmlns:qemu", VIOMMU_NS_QEMU);
    viommuEditsAppendChild(state->edits, state->dom->root, whole);
}

void
expandOverride(expandState *state)
{
    const xmlNode *override = viommuXMLChildNS(state->dom->root, VIOMMU_NS_QEMU, "override");
    bool taken = false;
    g_autofree char *declared = prefixOfRoot(state->dom, &taken);
    g_autofree char *prefix = override ? prefixInside(override) : g_strdup(declared ? declared : "qemu:");
    g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) stale = NULL;
    g_autoptr(GString) lines = g_string_new(NULL);
    size_t i;
    size_t j;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; j < vsmmu->ports->len; j++) {
            const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);
            char *alias = port->reserve ? portAlias(state->dom, port->controller) : NULL;

            if (alias && g_hash_table_add(done, alias))
                appendDevice(lines, state, override, prefix, port, alias);
        }
    }
    stale = findStale(state, override, done);
    if (override && lines->len == 0 && isAll(stale, override)) {
        viommuEditsRemove(state->edits, override);
        return;
    }
    for (i = 0; i < stale->len; i++)
        viommuEditsRemove(state->edits, g_ptr_array_index(stale, i));
    if (lines->len && override)
        viommuEditsAppendChild(state->edits, override, lines->str);
    else if (lines->len)
        writeOverride(state, lines->str, prefix, declared != NULL, taken);
}
