/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network interfaces that QEMU emulates, on user mode networking or an existing tap device.
 */
#include "qemu_viommu_full.h"

/* The other end; its id is hostN. */
static bool
netdevArgs(qemuViommuFull *full, const xmlNode *node, const char *id, GError **error)
{
    const char *type = qemuViommuAttrOr(node, "type", "");
    const xmlNode *script = viommuXMLChild(node, "script");
    const xmlNode *driver = viommuXMLChild(node, "driver");
    const char *dev = viommuXMLAttr(viommuXMLChild(node, "target"), "dev");
    g_autoptr(JsonObject) props = json_object_new();

    if (g_str_equal(type, "user")) {
        json_object_set_string_member(props, "type", "user");
    } else if (g_str_equal(type, "ethernet")) {
        /* Without a name the kernel gives one, as it does when libvirt makes the device. */
        json_object_set_string_member(props, "type", "tap");
        qemuViommuSetString(props, "ifname", dev);
        json_object_set_string_member(props, "script", "no");
        json_object_set_string_member(props, "downscript", "no");
        if (g_strcmp0(viommuXMLAttr(driver, "name"), "vhost") == 0)
            json_object_set_boolean_member(props, "vhost", TRUE);
        if (!qemuViommuSetNumber(full, props, "queues", driver, "queues", error))
            return false;
    } else {
        return qemuViommuRefuse(full, node, error,
                                "<interface type='%s'> needs libvirt or a privileged helper to plug the "
                                "guest in; use type='ethernet' with an existing tap device in "
                                "<target dev=>, or type='user'", type);
    }
    if (*qemuViommuAttrOr(script, "path", ""))
        return qemuViommuRefuseValue(full, script, "path", "a tap device that is set up before", error);
    json_object_set_string_member(props, "id", id);
    qemuViommuArgsAddJSON(full->args, "-netdev", props);
    return true;
}

static char *
driverOf(const char *model)
{
    static const char *const same[] = { "e1000e", "igb", "e1000", "rtl8139", NULL };

    if (model && g_strv_contains((const gchar *const *)same, model))
        return g_strdup(model);
    return qemuViommuVirtioDriver("virtio-net", model);
}

static bool
setVirtio(qemuViommuFull *full, JsonObject *props, const xmlNode *node, GError **error)
{
    const xmlNode *driver = viommuXMLChild(node, "driver");
    const char *queues = viommuXMLAttr(driver, "queues");
    guint64 count;

    if (queues) {
        if (!g_ascii_string_to_unsigned(queues, 10, 1, 256, &count, NULL))
            return qemuViommuRefuseValue(full, driver, "queues", "a number from 1 to 256", error);
        /* one vector for each direction of a queue, one for control and one for configuration */
        if (count > 1) {
            json_object_set_boolean_member(props, "mq", TRUE);
            json_object_set_int_member(props, "vectors", (gint64)(2 * count + 2));
        }
    }
    if (g_strcmp0(viommuXMLAttr(viommuXMLChild(node, "teaming"), "type"), "persistent") == 0)
        json_object_set_boolean_member(props, "failover", TRUE);
    return qemuViommuSetNumber(full, props, "rx_queue_size", driver, "rx_queue_size", error) &&
           qemuViommuSetNumber(full, props, "tx_queue_size", driver, "tx_queue_size", error) &&
           qemuViommuSetNumber(full, props, "host_mtu", viommuXMLChild(node, "mtu"), "size", error);
}

/* What only virtio's device has. */
static bool
checkPlain(qemuViommuFull *full, const xmlNode *node, GError **error)
{
    const xmlNode *driver = viommuXMLChild(node, "driver");

    if (viommuXMLChild(node, "mtu") || viommuXMLAttr(driver, "queues") ||
        viommuXMLAttr(driver, "rx_queue_size") || viommuXMLAttr(driver, "tx_queue_size"))
        return qemuViommuRefuse(full, node, error,
                                "<mtu> and queues are for <model type='virtio'/>; remove them");
    return true;
}

bool
qemuViommuInterfaceArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *node = device->node;
    const xmlNode *modelNode = viommuXMLChild(node, "model");
    const char *model = viommuXMLAttr(modelNode, "type");
    g_autofree char *driver = driverOf(model);
    g_autofree char *netdev = NULL;
    g_autofree char *id = NULL;
    g_autoptr(JsonObject) props = NULL;

    if (device->kind == VIOMMU_DEVICE_ASSIGNED)
        return true;
    if (!driver)
        return qemuViommuRefuseValue(full, modelNode, "type",
                                     "'virtio', 'virtio-non-transitional', 'e1000e', 'igb', 'e1000' or "
                                     "'rtl8139'", error);
    if (g_strcmp0(viommuXMLAttr(viommuXMLChild(node, "link"), "state"), "down") == 0)
        return qemuViommuRefuseValue(full, viommuXMLChild(node, "link"), "state",
                                     "'up'; QEMU takes a link down in its monitor only", error);
    netdev = g_strdup_printf("hostnet%u", qemuViommuCount(full, "hostnet"));
    if (!netdevArgs(full, node, netdev, error))
        return false;
    id = qemuViommuMakeId(full, node, "net");
    props = qemuViommuDeviceNew(driver);
    if (g_str_has_prefix(driver, "virtio") ? !setVirtio(full, props, node, error)
                                           : !checkPlain(full, node, error))
        return false;
    json_object_set_string_member(props, "netdev", netdev);
    json_object_set_string_member(props, "id", id);
    qemuViommuSetString(props, "mac", viommuXMLAttr(viommuXMLChild(node, "mac"), "address"));
    qemuViommuSetBootIndex(props, full->dom, node);
    if (!qemuViommuSetPlace(full, props, device, error))
        return false;
    qemuViommuSetROM(props, node);
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}
