/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Video devices, and VNC to look at them.
 */
#include "qemu_viommu_full.h"

#include <string.h>

/* The first port of VNC, display 0 (RFC 6143), and the last that libvirt takes. */
#define VNC_FIRST 5900
#define VNC_LAST 65535

static bool
setVirtioGPU(qemuViommuFull *full, JsonObject *props, const xmlNode *model, GError **error)
{
    const xmlNode *resolution = viommuXMLChild(model, "resolution");
    const xmlNode *acceleration = viommuXMLChild(model, "acceleration");

    if (!g_str_equal(qemuViommuAttrOr(model, "device", "virtio-gpu"), "virtio-gpu"))
        return qemuViommuRefuseValue(full, model, "device", "'virtio-gpu'", error);
    if (g_strcmp0(viommuXMLAttr(acceleration, "accel3d"), "yes") == 0)
        return qemuViommuRefuseValue(full, acceleration, "accel3d", "'no'", error);
    return qemuViommuSetNumber(full, props, "max_outputs", model, "heads", error) &&
           qemuViommuSetNumber(full, props, "xres", resolution, "x", error) &&
           qemuViommuSetNumber(full, props, "yres", resolution, "y", error);
}

/* @device NULL: the virtio-gpu that libvirt adds where there are graphics and no video. */
bool
qemuViommuVideoArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *node = device ? device->node : NULL;
    const xmlNode *model = viommuXMLChild(node, "model");
    const char *type = qemuViommuAttrOr(model, "type", "virtio");
    g_autofree char *id = NULL;
    g_autoptr(JsonObject) props = NULL;

    if (g_str_equal(type, "none"))
        return true;
    id = qemuViommuMakeId(full, node, "video");
    if (g_str_equal(type, "virtio"))
        props = qemuViommuDeviceNew("virtio-gpu-pci");
    else if (g_str_equal(type, "bochs"))
        props = qemuViommuDeviceNew("bochs-display");
    else if (g_str_equal(type, "ramfb"))
        props = qemuViommuDeviceNew("ramfb");
    else
        return qemuViommuRefuseValue(full, model, "type", "'virtio', 'bochs', 'ramfb' or 'none'", error);
    json_object_set_string_member(props, "id", id);
    if (g_str_equal(type, "virtio") && !setVirtioGPU(full, props, model, error))
        return false;
    if (!g_str_equal(type, "ramfb") &&
        (device ? !qemuViommuSetPlace(full, props, device, error)
                : !qemuViommuSetImpliedPlace(full, props, "video", "", error)))
        return false;
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

/* "HOST:DISPLAY", where a port of libvirt's own choice becomes a search for a free one. */
static bool
appendPort(const qemuViommuFull *full, const xmlNode *node, GString *out, GError **error)
{
    const char *port = qemuViommuAttrOr(node, "port", "-1");
    guint64 number;

    if (g_str_equal(port, "-1") || g_str_equal(qemuViommuAttrOr(node, "autoport", "no"), "yes")) {
        g_string_append_printf(out, ":0,to=%d", VNC_LAST - VNC_FIRST);
        return true;
    }
    if (!g_ascii_string_to_unsigned(port, 10, VNC_FIRST, VNC_LAST, &number, NULL))
        return qemuViommuRefuseValue(full, node, "port", "a port from 5900 to 65535", error);
    g_string_append_printf(out, ":%d", (int)number - VNC_FIRST);
    return true;
}

static bool
appendListen(const qemuViommuFull *full, const xmlNode *node, GString *out, GError **error)
{
    const xmlNode *listen = viommuXMLChild(node, "listen");
    const char *type = qemuViommuAttrOr(listen, "type", "address");
    const char *address = viommuXMLAttr(listen, "address");
    const char *socket = viommuXMLAttr(listen, "socket");

    if (g_str_equal(type, "none")) {
        g_string_append(out, "none");
        return true;
    }
    if (g_str_equal(type, "socket") && socket) {
        g_autofree char *escaped = qemuViommuEscapeComma(socket);

        g_string_append_printf(out, "unix:%s", escaped);
        return true;
    }
    if (!g_str_equal(type, "address"))
        return qemuViommuRefuseValue(full, listen, "type",
                                     "'address', 'none', or 'socket' with socket=", error);
    if (!address)
        address = qemuViommuAttrOr(node, "listen", "127.0.0.1");
    if (strspn(address, "0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ.:-") !=
        strlen(address))
        return qemuViommuRefuse(full, node, error, "'%s' is no address to listen on", address);
    g_string_append_printf(out, strchr(address, ':') ? "[%s]" : "%s", address);
    return appendPort(full, node, out, error);
}

bool
qemuViommuGraphicsArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    static const char *const policies[] = { "allow-exclusive", "force-shared", "ignore", NULL };
    const xmlNode *node = device->node;
    const char *policy = viommuXMLAttr(node, "sharePolicy");
    const char *keymap = viommuXMLAttr(node, "keymap");
    const char *websocket = viommuXMLAttr(node, "websocket");
    g_autoptr(GString) out = g_string_new(NULL);
    guint64 number;

    if (!g_str_equal(qemuViommuAttrOr(node, "type", ""), "vnc"))
        return qemuViommuRefuseValue(full, node, "type", "'vnc'", error);
    if (!appendListen(full, node, out, error))
        return false;
    if (policy && !g_strv_contains((const gchar *const *)policies, policy))
        return qemuViommuRefuseValue(full, node, "sharePolicy",
                                     "'allow-exclusive', 'force-shared' or 'ignore'", error);
    if (policy)
        g_string_append_printf(out, ",share=%s", policy);
    if (websocket && g_str_equal(websocket, "-1"))
        g_string_append(out, ",websocket=on");
    else if (websocket && !g_ascii_string_to_unsigned(websocket, 10, 1, VNC_LAST, &number, NULL))
        return qemuViommuRefuseValue(full, node, "websocket", "a port, or -1", error);
    else if (websocket)
        g_string_append_printf(out, ",websocket=%s", websocket);
    qemuViommuArgsAdd(full->args, "-vnc", g_strdup(out->str));
    if (keymap)
        qemuViommuArgsAdd(full->args, "-k", g_strdup(keymap));
    return true;
}
