/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Members by name and type.
 */
#include "qemu_viommu_json.h"

#include <stdbool.h>

/* json-glib goes down by recursion, and takes comments and more for JSON, so that how deep a text is cannot be told
 * from outside: it is not deeper than it has opening brackets. */
static bool
isShallow(const char *text, unsigned most)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '[' || *text == '{';
    return count <= most;
}

JsonNode *
qemuViommuJsonParse(const char *text, unsigned most)
{
    return isShallow(text, most) && g_utf8_validate(text, -1, NULL) ? json_from_string(text, NULL) : NULL;
}

JsonObject *
qemuViommuJsonObject(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *
qemuViommuJsonArray(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

const char *
qemuViommuJsonString(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : NULL;
}
