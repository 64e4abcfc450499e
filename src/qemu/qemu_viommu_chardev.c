/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serial ports, consoles and channels: the host's end as -chardev, the guest's as a device.
 */
#include "qemu_viommu_full.h"

#include <string.h>

static bool
appendFile(const xmlNode *source, GString *out)
{
    const char *path = viommuXMLAttr(source, "path");
    g_autofree char *escaped = path ? qemuViommuEscapeComma(path) : NULL;

    if (!path)
        return false;
    g_string_append_printf(out, ",path=%s", escaped);
    return true;
}

/* libvirt makes up a socket in its own directory for a channel that names none; here it stands in the
 * directory that QEMU is started in. */
static void
appendMadeUpPath(const qemuViommuFull *full, const xmlNode *node, GString *out)
{
    const char *target = qemuViommuAttrOr(viommuXMLChild(node, "target"), "name", "socket");
    g_autofree char *path = g_strdup_printf("%s.%s.sock", full->dom->name ? full->dom->name : "domain",
                                            target);

    g_strcanon(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", '_');
    g_string_append_printf(out, ",path=%s", path);
}

static bool
appendSocket(const qemuViommuFull *full, const xmlNode *node, const xmlNode *source, GString *out,
             GError **error)
{
    const char *mode = qemuViommuAttrOr(source, "mode", "bind");
    bool bind = g_str_equal(mode, "bind");

    if (!bind && !g_str_equal(mode, "connect"))
        return qemuViommuRefuseValue(full, source, "mode", "'bind' or 'connect'", error);
    if (!appendFile(source, out)) {
        if (!bind)
            return qemuViommuRefuse(full, node, error, "<source mode='connect'> needs path=");
        appendMadeUpPath(full, node, out);
    }
    if (bind)
        g_string_append(out, ",server=on,wait=off");
    return true;
}

static bool
appendTCP(const qemuViommuFull *full, const xmlNode *node, const xmlNode *source, GString *out,
          GError **error)
{
    const xmlNode *protocol = viommuXMLChild(node, "protocol");
    const char *kind = qemuViommuAttrOr(protocol, "type", "raw");
    const char *service = viommuXMLAttr(source, "service");
    g_autofree char *host = qemuViommuEscapeComma(qemuViommuAttrOr(source, "host", "127.0.0.1"));

    if (!service || strchr(service, ','))
        return qemuViommuRefuse(full, node, error, "<source> of a tcp character device needs service=");
    if (!g_str_equal(kind, "raw") && !g_str_equal(kind, "telnet"))
        return qemuViommuRefuseValue(full, protocol, "type", "'raw' or 'telnet'", error);
    g_string_append_printf(out, ",host=%s,port=%s,telnet=%s", host, service,
                           g_str_equal(kind, "telnet") ? "on" : "off");
    if (!g_str_equal(qemuViommuAttrOr(source, "mode", "connect"), "connect"))
        g_string_append(out, ",server=on,wait=off");
    return true;
}

static bool
appendBackend(const qemuViommuFull *full, const xmlNode *node, const char *type, const char *id,
              GString *out, GError **error)
{
    const xmlNode *source = viommuXMLChild(node, "source");

    if (g_str_equal(type, "pty") || g_str_equal(type, "null") || g_str_equal(type, "stdio")) {
        g_string_append_printf(out, "%s,id=%s", type, id);
        return true;
    }
    if (g_str_equal(type, "file") || g_str_equal(type, "dev")) {
        g_string_append_printf(out, "%s,id=%s", g_str_equal(type, "file") ? "file" : "serial", id);
        if (!appendFile(source, out))
            return qemuViommuRefuse(full, node, error, "<source> needs path=");
        if (g_strcmp0(viommuXMLAttr(source, "append"), "on") == 0)
            g_string_append(out, ",append=on");
        return true;
    }
    if (g_str_equal(type, "unix") || g_str_equal(type, "tcp")) {
        g_string_append_printf(out, "socket,id=%s", id);
        return g_str_equal(type, "unix") ? appendSocket(full, node, source, out, error)
                                         : appendTCP(full, node, source, out, error);
    }
    return qemuViommuRefuseValue(full, node, "type",
                                 "'pty', 'file', 'unix', 'tcp', 'dev', 'stdio' or 'null'", error);
}

/* Writes the host's end and returns its id (free with g_free), or NULL. */
static char *
chardevArgs(qemuViommuFull *full, const viommuDevice *device, const char *prefix, GError **error)
{
    const xmlNode *node = device->node;
    const xmlNode *log = viommuXMLChild(node, "log");
    const char *file = viommuXMLAttr(log, "file");
    g_autofree char *id = g_strdup_printf("%s%u", prefix, qemuViommuCount(full, prefix));
    g_autoptr(GString) out = g_string_new(NULL);

    if (!appendBackend(full, node, qemuViommuAttrOr(node, "type", "pty"), id, out, error))
        return NULL;
    if (file) {
        g_autofree char *escaped = qemuViommuEscapeComma(file);

        g_string_append_printf(out, ",logfile=%s,logappend=%s", escaped,
                               g_str_equal(qemuViommuAttrOr(log, "append", "off"), "on") ? "on" : "off");
    }
    qemuViommuArgsAdd(full->args, "-chardev", g_strdup(out->str));
    return g_steal_pointer(&id);
}

/* The board's own UART. */
static bool
uartArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    g_autofree char *chardev = chardevArgs(full, device, "charserial", error);

    if (!chardev)
        return false;
    qemuViommuArgsAddf(full->args, "-serial", "chardev:%s", chardev);
    return true;
}

bool
qemuViommuSerialArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *target = viommuXMLChild(device->node, "target");
    const xmlNode *model = viommuXMLChild(target, "model");

    if (!g_str_equal(qemuViommuAttrOr(target, "type", "system-serial"), "system-serial"))
        return qemuViommuRefuseValue(full, target, "type", "'system-serial'", error);
    if (!g_str_equal(qemuViommuAttrOr(model, "name", "pl011"), "pl011"))
        return qemuViommuRefuseValue(full, model, "name", "'pl011'", error);
    return uartArgs(full, device, error);
}

/* A device on the virtio-serial controller that <address> names. */
static bool
portArgs(qemuViommuFull *full, const viommuDevice *device, const char *driver, const char *prefix,
         const char *name, GError **error)
{
    const xmlNode *addr = viommuXMLChild(device->node, "address");
    const char *controller =
        qemuViommuControllerId(full, "virtio-serial", qemuViommuAttrOr(addr, "controller", "0"));
    g_autofree char *charPrefix = g_strdup_printf("char%s", prefix);
    g_autofree char *chardev = chardevArgs(full, device, g_intern_string(charPrefix), error);
    g_autofree char *bus = g_strdup_printf("%s.0", controller);
    g_autofree char *id = NULL;
    g_autoptr(JsonObject) props = NULL;

    if (!chardev)
        return false;
    id = qemuViommuMakeId(full, device->node, prefix);
    props = qemuViommuDeviceNew(driver);
    json_object_set_string_member(props, "bus", bus);
    if (!qemuViommuSetNumber(full, props, "nr", addr, "port", error))
        return false;
    json_object_set_string_member(props, "chardev", chardev);
    json_object_set_string_member(props, "id", id);
    qemuViommuSetString(props, "name", name);
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

/* The first console of target type 'serial' is another name for the first serial port. */
bool
qemuViommuConsoleArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *target = viommuXMLChild(device->node, "target");
    const char *type = qemuViommuAttrOr(target, "type", "serial");

    if (g_str_equal(type, "virtio"))
        return portArgs(full, device, "virtconsole", "console", NULL, error);
    if (!g_str_equal(type, "serial"))
        return qemuViommuRefuseValue(full, target, "type", "'serial' or 'virtio'", error);
    if (viommuXMLChild(full->dom->devicesNode, "console") != device->node)
        return qemuViommuRefuse(full, device->node, error,
                                "only the first <console> can be the serial port; give this one "
                                "<target type='virtio'/>");
    return viommuXMLChild(full->dom->devicesNode, "serial") || uartArgs(full, device, error);
}

bool
qemuViommuChannelArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *target = viommuXMLChild(device->node, "target");

    if (!target)
        return qemuViommuRefuse(full, device->node, error,
                                "the <channel> has no <target>; add <target type='virtio' name='...'/>");
    if (!g_str_equal(qemuViommuAttrOr(target, "type", ""), "virtio"))
        return qemuViommuRefuseValue(full, target, "type", "'virtio'", error);
    return portArgs(full, device, "virtserialport", "channel", viommuXMLAttr(target, "name"), error);
}
