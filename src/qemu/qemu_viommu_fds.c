/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors in arguments. QEMU 11.1 takes fd= of a vfio-pci device only with an iommufd object and an id, which all
 * of ours have.
 */
#include "qemu_viommu_fds.h"

#include "qemu_viommu_args.h"
#include "qemu_viommu_json.h"

#include <limits.h>
#include <string.h>

/* Opening brackets of a device's properties: one object, and lists in it that a vfio-pci has not. */
#define OPENING_MAX 100

/* The properties of @arg if it is in JSON and of that option and kind, else NULL. Free with json_object_unref. */
static JsonObject *
readKind(const qemuViommuArg *arg, const char *option, const char *key, const char *kind)
{
    g_autoptr(JsonNode) node = NULL;
    JsonObject *props;
    JsonNode *named;

    if (strcmp(arg->option, option) != 0 || !arg->value || arg->value[0] != '{')
        return NULL;
    node = json_from_string(arg->value, NULL);
    props = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    named = props ? json_object_get_member(props, key) : NULL;
    if (!named || !JSON_NODE_HOLDS_VALUE(named) || g_strcmp0(json_node_get_string(named), kind) != 0)
        return NULL;
    return json_object_ref(props);
}

/* A host device that goes through iommufd, or NULL. */
static JsonObject *
readDevice(const qemuViommuArg *arg)
{
    g_autoptr(JsonObject) props = readKind(arg, "-device", "driver", "vfio-pci");

    JsonNode *host = props && json_object_has_member(props, "iommufd") ? json_object_get_member(props, "host") : NULL;

    return host && JSON_NODE_HOLDS_VALUE(host) && json_node_get_string(host) ? g_steal_pointer(&props) : NULL;
}

static void
setFd(qemuViommuArg *arg, JsonObject *props, int fd)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = g_strdup_printf("%d", fd);

    json_object_remove_member(props, "host");
    json_object_set_string_member(props, "fd", text);
    json_node_set_object(node, props);
    g_free(arg->value);
    arg->value = json_to_string(node, FALSE);
}

GPtrArray *
qemuViommuFdDevices(const GPtrArray *args)
{
    GPtrArray *devices = g_ptr_array_new_with_free_func(g_free);
    size_t i;

    for (i = 0; i < args->len; i++) {
        g_autoptr(JsonObject) props = readDevice(g_ptr_array_index(args, i));

        if (props)
            g_ptr_array_add(devices, g_strdup(json_object_get_string_member(props, "host")));
    }
    return devices;
}

char *
qemuViommuFdMissing(const GPtrArray *args)
{
    size_t i;

    for (i = 0; i < args->len; i++) {
        g_autoptr(JsonObject) props = readKind(g_ptr_array_index(args, i), "-device", "driver", "vfio-pci");
        bool without = props && !json_object_has_member(props, "iommufd");
        JsonNode *host = without ? json_object_get_member(props, "host") : NULL;

        if (host && JSON_NODE_HOLDS_VALUE(host) && json_node_get_string(host))
            return g_strdup(json_node_get_string(host));
    }
    return NULL;
}

void
qemuViommuGiveFds(GPtrArray *args, int iommufd, const GArray *fds)
{
    size_t next = 0;
    size_t i;

    for (i = 0; i < args->len; i++) {
        qemuViommuArg *arg = g_ptr_array_index(args, i);
        g_autoptr(JsonObject) object = readKind(arg, "-object", "qom-type", "iommufd");
        g_autoptr(JsonObject) device = readDevice(arg);

        if (object && iommufd >= 0)
            setFd(arg, object, iommufd);
        else if (device && next < fds->len)
            setFd(arg, device, g_array_index(fds, int, next++));
    }
}

int
qemuViommuFdOf(const char *value, const char *id)
{
    g_autoptr(JsonNode) node = value[0] == '{' ? qemuViommuJsonParse(value, OPENING_MAX) : NULL;
    JsonObject *props = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *fd = qemuViommuJsonString(props, "fd");
    guint64 number;

    if (!fd || g_strcmp0(qemuViommuJsonString(props, "driver"), "vfio-pci") != 0 ||
        g_strcmp0(qemuViommuJsonString(props, "id"), id) != 0)
        return -1;
    return g_ascii_string_to_unsigned(fd, 10, 0, INT_MAX, &number, NULL) ? (int)number : -1;
}
