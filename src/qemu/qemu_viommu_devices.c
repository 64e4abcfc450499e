/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small devices: random numbers, balloon, input, panic, watchdog, vsock.
 */
#include "qemu_viommu_full.h"

#include <string.h>

/* A virtio device that has nothing but an id and a place. */
static JsonObject *
virtioNew(qemuViommuFull *full, const viommuDevice *device, const char *base, GError **error)
{
    const char *model = viommuXMLAttr(device->node, "model");
    g_autofree char *driver = qemuViommuVirtioDriver(base, model);

    if (!driver) {
        qemuViommuRefuseValue(full, device->node, "model", "'virtio' or 'virtio-non-transitional'", error);
        return NULL;
    }
    return qemuViommuDeviceNew(driver);
}

bool
qemuViommuRngArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *backend = viommuXMLChild(device->node, "backend");
    const xmlNode *rate = viommuXMLChild(device->node, "rate");
    const char *model = qemuViommuAttrOr(backend, "model", "");
    g_autofree char *path = viommuXMLContent(backend);
    g_autofree char *id = qemuViommuMakeId(full, device->node, "rng");
    g_autofree char *objectId = g_strdup_printf("obj%s", id);
    g_autoptr(JsonObject) object = NULL;
    g_autoptr(JsonObject) props = virtioNew(full, device, "virtio-rng", error);

    if (!props)
        return false;
    if (!backend)
        return qemuViommuRefuse(full, device->node, error,
                                "the <rng> has no <backend>; add <backend model='builtin'/>");
    if (g_str_equal(model, "random")) {
        object = qemuViommuObjectNew("rng-random", objectId);
        json_object_set_string_member(object, "filename", path ? path : "/dev/urandom");
    } else if (g_str_equal(model, "builtin")) {
        object = qemuViommuObjectNew("rng-builtin", objectId);
    } else {
        return qemuViommuRefuseValue(full, backend, "model", "'random' or 'builtin'", error);
    }
    qemuViommuArgsAddJSON(full->args, "-object", object);
    json_object_set_string_member(props, "rng", objectId);
    json_object_set_string_member(props, "id", id);
    if (!qemuViommuSetNumber(full, props, "max-bytes", rate, "bytes", error) ||
        !qemuViommuSetNumber(full, props, "period", rate, "period", error) ||
        !qemuViommuSetPlace(full, props, device, error))
        return false;
    /* QEMU wants both or none; a second is libvirt's default */
    if (rate && !viommuXMLAttr(rate, "period"))
        json_object_set_int_member(props, "period", 1000);
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

bool
qemuViommuBalloonArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *node = device->node;
    g_autoptr(JsonObject) props = NULL;
    g_autofree char *id = NULL;

    if (g_str_equal(qemuViommuAttrOr(node, "model", "virtio"), "none"))
        return true;
    props = virtioNew(full, device, "virtio-balloon", error);
    if (!props)
        return false;
    id = qemuViommuMakeId(full, node, "balloon");
    json_object_set_string_member(props, "id", id);
    if (!qemuViommuSetSwitch(full, props, "deflate-on-oom", node, "autodeflate", error) ||
        !qemuViommuSetSwitch(full, props, "free-page-reporting", node, "freePageReporting", error) ||
        !qemuViommuSetPlace(full, props, device, error))
        return false;
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

/* On USB unless it says virtio: there is no PS/2 on this machine. */
bool
qemuViommuInputArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    static const struct {
        const char *type;
        const char *usb;
        const char *virtio;
    } kinds[] = {
        { "tablet", "usb-tablet", "virtio-tablet-pci" },
        { "mouse", "usb-mouse", "virtio-mouse-pci" },
        { "keyboard", "usb-kbd", "virtio-keyboard-pci" },
    };
    const xmlNode *node = device->node;
    const xmlNode *addr = viommuXMLChild(node, "address");
    const char *type = qemuViommuAttrOr(node, "type", "");
    const char *bus = qemuViommuAttrOr(node, "bus", "usb");
    const char *controller = qemuViommuControllerId(full, "usb", qemuViommuAttrOr(addr, "bus", "0"));
    g_autofree char *id = qemuViommuMakeId(full, node, "input");
    g_autofree char *busName = NULL;
    g_autoptr(JsonObject) props = NULL;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(kinds) && !g_str_equal(kinds[i].type, type); i++)
        ;
    if (i == G_N_ELEMENTS(kinds))
        return qemuViommuRefuseValue(full, node, "type", "'tablet', 'mouse' or 'keyboard'", error);
    if (g_str_equal(bus, "virtio")) {
        if (!g_str_equal(qemuViommuAttrOr(node, "model", "virtio"), "virtio"))
            return qemuViommuRefuseValue(full, node, "model", "'virtio'", error);
        props = qemuViommuDeviceNew(kinds[i].virtio);
        json_object_set_string_member(props, "id", id);
        if (!qemuViommuSetPlace(full, props, device, error))
            return false;
        qemuViommuArgsAddJSON(full->args, "-device", props);
        return true;
    }
    if (!g_str_equal(bus, "usb"))
        return qemuViommuRefuseValue(full, node, "bus", "'usb' or 'virtio'", error);
    if (!controller)
        return qemuViommuRefuse(full, node, error,
                                "there is no USB controller for this device; add <controller type='usb' "
                                "model='qemu-xhci'/>");
    busName = g_strdup_printf("%s.0", controller);
    props = qemuViommuDeviceNew(kinds[i].usb);
    json_object_set_string_member(props, "id", id);
    json_object_set_string_member(props, "bus", busName);
    qemuViommuSetString(props, "port", viommuXMLAttr(addr, "port"));
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

/* libvirt's names of actions in QEMU's; a dump is libvirt's to make, of a guest that stands still. */
bool
qemuViommuWatchdogArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    static const char *const actions[] = { "reset", "shutdown", "poweroff", "pause", "none",
                                           "inject-nmi", NULL };
    const xmlNode *node = device->node;
    const char *action = qemuViommuAttrOr(node, "action", "reset");
    g_autofree char *id = qemuViommuMakeId(full, node, "watchdog");
    g_autoptr(JsonObject) props = qemuViommuDeviceNew("i6300esb");

    if (!g_str_equal(qemuViommuAttrOr(node, "model", ""), "i6300esb"))
        return qemuViommuRefuseValue(full, node, "model", "'i6300esb'", error);
    if (!g_strv_contains((const gchar *const *)actions, action))
        return qemuViommuRefuseValue(full, node, "action",
                                     "'reset', 'shutdown', 'poweroff', 'pause', 'none' or 'inject-nmi'",
                                     error);
    json_object_set_string_member(props, "id", id);
    if (!qemuViommuSetPlace(full, props, device, error))
        return false;
    qemuViommuArgsAddJSON(full->args, "-device", props);
    qemuViommuArgsAddf(full->args, "-action", "watchdog=%s", action);
    return true;
}

bool
qemuViommuPanicArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    g_autoptr(JsonObject) props = qemuViommuDeviceNew("pvpanic-pci");

    if (!g_str_equal(qemuViommuAttrOr(device->node, "model", "pvpanic"), "pvpanic"))
        return qemuViommuRefuseValue(full, device->node, "model", "'pvpanic'", error);
    if (!qemuViommuSetPlace(full, props, device, error))
        return false;
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

bool
qemuViommuVsockArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *node = device->node;
    const xmlNode *cid = viommuXMLChild(node, "cid");
    g_autofree char *id = qemuViommuMakeId(full, node, "vsock");
    g_autoptr(JsonObject) props = NULL;

    if (!viommuXMLAttr(cid, "address") || g_str_equal(qemuViommuAttrOr(cid, "auto", "no"), "yes"))
        return qemuViommuRefuse(full, node, error,
                                "libvirt chooses a vsock's CID; give it <cid auto='no' address='...'/>");
    props = virtioNew(full, device, "vhost-vsock", error);
    if (!props)
        return false;
    json_object_set_string_member(props, "id", id);
    if (!qemuViommuSetNumber(full, props, "guest-cid", cid, "address", error) ||
        !qemuViommuSetPlace(full, props, device, error))
        return false;
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}
