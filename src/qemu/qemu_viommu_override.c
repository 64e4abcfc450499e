/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <qemu:override>, applied to the finished arguments.
 */
#include "qemu_viommu_override.h"
#include "qemu_viommu_bus.h"
#include "viommuerror.h"

#include <string.h>

static bool
refuse(const viommuDomain *dom, const xmlNode *node, const char *text, GError **error)
{
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(dom->xml, node), "<%s> of <qemu:override>: %s",
                  (const char *)node->name, text);
    return false;
}

/* The -device with that id, and its properties; NULL if there is none. */
static qemuViommuArg *
findDevice(const GPtrArray *args, const char *id, JsonNode **ret_props)
{
    size_t i;

    for (i = 0; i < args->len; i++) {
        qemuViommuArg *arg = g_ptr_array_index(args, i);
        g_autoptr(JsonNode) props = NULL;

        if (!g_str_equal(arg->option, "-device") || !arg->value || !strstr(arg->value, id))
            continue;
        props = json_from_string(arg->value, NULL);
        if (g_strcmp0(json_object_get_string_member_with_default(json_node_get_object(props), "id", NULL),
                      id) == 0) {
            *ret_props = g_steal_pointer(&props);
            return arg;
        }
    }
    return NULL;
}

/* The value in the type that <qemu:property type=> names; NULL if it does not fit. */
static JsonNode *
makeValue(const char *type, const char *value)
{
    guint64 number;
    gint64 signedNumber;

    if (g_strcmp0(type, "string") == 0)
        return json_node_init_string(json_node_alloc(), value);
    if (g_strcmp0(type, "unsigned") == 0 &&
        g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL))
        return json_node_init_int(json_node_alloc(), (gint64)number);
    if (g_strcmp0(type, "signed") == 0 &&
        g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, &signedNumber, NULL))
        return json_node_init_int(json_node_alloc(), signedNumber);
    if (g_strcmp0(type, "bool") == 0 && (g_str_equal(value, "true") || g_str_equal(value, "false")))
        return json_node_init_boolean(json_node_alloc(), g_str_equal(value, "true"));
    return NULL;
}

/* True if an earlier expansion may have written the window of the port @id, and the plan has its own word:
 * another window for a port of its own, or none. */
static bool
isPlanned(const viommuDomain *dom, const viommuPlan *plan, const char *id)
{
    size_t i;
    size_t j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        for (j = 0; j < vsmmu->ports->len; j++) {
            const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);
            g_autofree char *name = qemuViommuBusName(dom, port->controller);

            if (port->generated && g_str_equal(name, id))
                return true;
        }
    }
    return false;
}

static bool
applyProperty(const viommuDomain *dom, JsonObject *props, const xmlNode *node, GError **error)
{
    const char *name = viommuXMLAttr(node, "name");
    const char *type = viommuXMLAttr(node, "type");
    const char *value = viommuXMLAttr(node, "value");
    JsonNode *made;

    if (!viommuXMLIsNS(node, VIOMMU_NS_QEMU, "property") || !name)
        return refuse(dom, node, "only <qemu:property name=> is translated; remove the rest", error);
    if (g_strcmp0(type, "remove") == 0) {
        json_object_remove_member(props, name);
        return true;
    }
    made = value ? makeValue(type, value) : NULL;
    if (!made)
        return refuse(dom, node, "the value does not fit the type; types are 'string', 'unsigned', "
                      "'signed', 'bool' (true, false) and 'remove'", error);
    json_object_set_member(props, name, made);
    return true;
}

static bool
applyDevice(const viommuDomain *dom, const viommuPlan *plan, GPtrArray *args, const xmlNode *node,
            GError **error)
{
    const xmlNode *frontend = viommuXMLChildNS(node, VIOMMU_NS_QEMU, "frontend");
    const char *alias = viommuXMLAttr(node, "alias");
    const xmlNode *child;
    g_autoptr(JsonNode) props = NULL;
    qemuViommuArg *arg;

    if (!viommuXMLIsNS(node, VIOMMU_NS_QEMU, "device") || !alias || !frontend)
        return refuse(dom, node, "only <qemu:device alias=> with <qemu:frontend> is translated", error);
    arg = findDevice(args, alias, &props);
    if (!arg)
        return true;
    for (child = frontend->children; child; child = child->next) {
        const char *name = viommuXMLAttr(child, "name");

        if (child->type != XML_ELEMENT_NODE || (name && viommuIsReserve(name) && isPlanned(dom, plan, alias)))
            continue;
        if (!applyProperty(dom, json_node_get_object(props), child, error))
            return false;
    }
    g_free(arg->value);
    arg->value = json_to_string(props, FALSE);
    return true;
}

bool
qemuViommuApplyOverride(const viommuDomain *dom, const viommuPlan *plan, GPtrArray *args, GError **error)
{
    const xmlNode *parent = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "override");
    const xmlNode *node;

    for (node = parent ? parent->children : NULL; node; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && !applyDevice(dom, plan, args, node, error))
            return false;
    }
    return true;
}
