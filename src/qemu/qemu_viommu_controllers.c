/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Controllers that disks, consoles and USB devices sit on. Those that libvirt adds by itself are added here
 * too; a USB controller is not among them on aarch64 "virt".
 */
#include "qemu_viommu_full.h"

#include <string.h>

static char *
makeKey(const char *type, const char *index)
{
    return g_strdup_printf("%s %s", type, index);
}

const char *
qemuViommuControllerId(const qemuViommuFull *full, const char *type, const char *index)
{
    g_autofree char *key = makeKey(type, index);

    return g_hash_table_lookup(full->ids, key);
}

/* Notes the id under the type and index by which devices name the controller. */
static const char *
noteId(qemuViommuFull *full, const viommuDevice *device, const char *type, const char *index)
{
    const char *alias = device ? qemuViommuUserAlias(device->alias) : NULL;
    char *id;

    if (alias)
        id = g_strdup(alias);
    else if (g_str_equal(type, "usb") && g_str_equal(index, "0"))
        id = g_strdup("usb");
    else
        id = g_strdup_printf("%s%s", type, index);
    g_hash_table_insert(full->ids, makeKey(type, index), id);
    return id;
}

static bool
setUSB(qemuViommuFull *full, JsonObject *props, const viommuDevice *device, GError **error)
{
    guint64 ports;
    const char *text = viommuXMLAttr(device->node, "ports");

    if (!text)
        return true;
    if (!g_ascii_string_to_unsigned(text, 10, 1, 15, &ports, NULL))
        return qemuViommuRefuseValue(full, device->node, "ports", "a number from 1 to 15", error);
    json_object_set_int_member(props, "p2", (gint64)ports);
    json_object_set_int_member(props, "p3", (gint64)ports);
    return true;
}

static bool
setSCSI(qemuViommuFull *full, JsonObject *props, const viommuDevice *device, GError **error)
{
    const xmlNode *driver = viommuXMLChild(device->node, "driver");
    const char *thread = viommuXMLAttr(driver, "iothread");
    g_autofree char *id = thread ? g_strdup_printf("iothread%s", thread) : NULL;

    qemuViommuSetString(props, "iothread", id);
    return qemuViommuSetNumber(full, props, "num_queues", driver, "queues", error);
}

/* An NVMe controller has a serial number of its own: <serial>, or that of its first disk. */
static void
setNVMe(qemuViommuFull *full, JsonObject *props, const viommuDevice *device, const char *index)
{
    g_autofree char *serial = device ? viommuXMLContent(viommuXMLChild(device->node, "serial")) : NULL;
    const xmlNode *disk;

    for (disk = viommuXMLChild(full->dom->devicesNode, "disk"); disk && !serial;
         disk = viommuXMLNext(disk, "disk")) {
        if (g_strcmp0(viommuXMLAttr(viommuXMLChild(disk, "target"), "bus"), "nvme") == 0)
            serial = viommuXMLContent(viommuXMLChild(disk, "serial"));
    }
    if (!serial)
        serial = g_strdup_printf("nvme%s", index);
    json_object_set_string_member(props, "serial", serial);
}

/* The QEMU device for a controller, or NULL if its model is not translated. */
static char *
driverOf(const char *type, const char *model)
{
    if (g_str_equal(type, "usb") && (!model || g_str_equal(model, "qemu-xhci")))
        return g_strdup("qemu-xhci");
    if (g_str_equal(type, "usb") && g_str_equal(model, "nec-xhci"))
        return g_strdup("nec-usb-xhci");
    if (g_str_equal(type, "scsi") && (!model || g_str_equal(model, "virtio-scsi")))
        return g_strdup("virtio-scsi-pci");
    if (g_str_equal(type, "scsi") && g_str_equal(model, "virtio-non-transitional"))
        return g_strdup("virtio-scsi-pci-non-transitional");
    if (g_str_equal(type, "virtio-serial"))
        return qemuViommuVirtioDriver("virtio-serial", model);
    if (g_str_equal(type, "nvme") && !model)
        return g_strdup("nvme");
    return NULL;
}

static bool
controllerArgs(qemuViommuFull *full, const viommuDevice *device, const char *type, const char *index,
               GError **error)
{
    const char *model = device ? viommuXMLAttr(device->node, "model") : NULL;
    g_autofree char *driver = driverOf(type, model);
    g_autofree char *attrs = g_strdup_printf("type='%s' index='%s'", type, index);
    g_autoptr(JsonObject) props = NULL;

    if (!driver)
        return qemuViommuRefuse(full, device->node, error,
                                "<controller type='%s' model='%s'> is not translated; use type='usb' "
                                "model='qemu-xhci', type='scsi' model='virtio-scsi', type='virtio-serial' "
                                "or type='nvme'", type, model ? model : "");
    props = qemuViommuDeviceNew(driver);
    if (device && g_str_equal(type, "usb") && !setUSB(full, props, device, error))
        return false;
    json_object_set_string_member(props, "id", noteId(full, device, type, index));
    if (device && g_str_equal(type, "scsi") && !setSCSI(full, props, device, error))
        return false;
    if (g_str_equal(type, "nvme"))
        setNVMe(full, props, device, index);
    if (device ? !qemuViommuSetPlace(full, props, device, error)
               : !qemuViommuSetImpliedPlace(full, props, "controller", attrs, error))
        return false;
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

/* The index that is written, or the lowest that no other controller of the type has taken so far. */
static char *
indexOf(const qemuViommuFull *full, const viommuDevice *device, const char *type)
{
    const char *written = viommuXMLAttr(device->node, "index");
    unsigned next = 0;
    char *index;

    if (written)
        return g_strdup(written);
    for (;;) {
        index = g_strdup_printf("%u", next++);
        if (!qemuViommuControllerId(full, type, index))
            return index;
        g_free(index);
    }
}

/* The index of the controller of @type that @device sits on; NULL if it sits on none. */
static char *
neededIndex(const viommuDevice *device, const char *type)
{
    const xmlNode *target = viommuXMLChild(device->node, "target");
    const char *index = qemuViommuAttrOr(viommuXMLChild(device->node, "address"), "controller", "0");

    if (g_str_equal(device->element, "disk"))
        return g_strcmp0(viommuDiskBus(device->node), type) == 0 ? qemuViommuDiskController(device->node)
                                                                 : NULL;
    if ((g_str_equal(device->element, "channel") || g_str_equal(device->element, "console")) &&
        g_str_equal(type, "virtio-serial") && g_strcmp0(viommuXMLAttr(target, "type"), "virtio") == 0)
        return g_strdup(index);
    return NULL;
}

/* The controllers of @type in the XML, and then those that devices need beside them. libvirt adds none for
 * USB. */
static bool
typeArgs(qemuViommuFull *full, const char *type, GError **error)
{
    const GPtrArray *devices = full->dom->devices;
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(devices, i);
        g_autofree char *index = NULL;

        if (!g_str_equal(device->element, "controller") ||
            !g_str_equal(qemuViommuAttrOr(device->node, "type", ""), type) ||
            g_strcmp0(viommuXMLAttr(device->node, "model"), "none") == 0)
            continue;
        index = indexOf(full, device, type);
        if (!controllerArgs(full, device, type, index, error))
            return false;
    }
    for (i = 0; i < devices->len && !g_str_equal(type, "usb"); i++) {
        g_autofree char *index = neededIndex(g_ptr_array_index(devices, i), type);

        if (index && !qemuViommuControllerId(full, type, index) &&
            !controllerArgs(full, NULL, type, index, error))
            return false;
    }
    return true;
}

bool
qemuViommuControllersArgs(qemuViommuFull *full, GError **error)
{
    /* libvirt's order */
    static const char *const types[] = { "usb", "scsi", "virtio-serial", "nvme", NULL };
    size_t i;

    for (i = 0; i < full->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(full->dom->devices, i);
        const char *type = qemuViommuAttrOr(device->node, "type", "");

        if (g_str_equal(device->element, "controller") &&
            !g_strv_contains((const gchar *const *)types, type))
            return qemuViommuRefuseValue(full, device->node, "type",
                                         "'pci', 'usb', 'scsi', 'virtio-serial' or 'nvme'", error);
    }
    for (i = 0; types[i]; i++) {
        if (!typeArgs(full, types[i], error))
            return false;
    }
    return true;
}
