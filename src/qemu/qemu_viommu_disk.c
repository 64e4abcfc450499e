/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks: an image as -blockdev, and the device that shows it to the guest.
 */
#include "qemu_viommu_full.h"

#include <string.h>

/* libvirt counts SCSI disks without an address as if the bus were narrow. */
#define SCSI_NARROW 7

typedef struct {
    unsigned controller;
    unsigned bus;
    unsigned target;
    unsigned unit;
} driveAddr;

/* How a cache mode reads in QEMU's three switches (qemu(1), -drive cache=). */
static const struct {
    const char *name;
    bool direct;
    bool noFlush;
    bool writeBack;
} cacheModes[] = {
    { "none", true, false, true },          { "writeback", false, false, true },
    { "writethrough", false, false, false }, { "directsync", true, false, false },
    { "unsafe", false, true, true },
};

static bool
isIn(const char *text, const char *const *list)
{
    return g_strv_contains((const gchar *const *)list, text);
}

static bool
setCache(const qemuViommuFull *full, JsonObject *props, const xmlNode *driver, GError **error)
{
    const char *cache = qemuViommuAttrOr(driver, "cache", "default");
    JsonObject *value;
    size_t i;

    if (g_str_equal(cache, "default"))
        return true;
    for (i = 0; i < G_N_ELEMENTS(cacheModes); i++) {
        if (!g_str_equal(cacheModes[i].name, cache))
            continue;
        value = json_object_new();
        json_object_set_boolean_member(value, "direct", cacheModes[i].direct);
        json_object_set_boolean_member(value, "no-flush", cacheModes[i].noFlush);
        json_object_set_object_member(props, "cache", value);
        return true;
    }
    return qemuViommuRefuseValue(full, driver, "cache", "one of libvirt's modes", error);
}

/* write-cache of the device, which the cache mode implies. */
static void
setWriteCache(JsonObject *props, const xmlNode *driver)
{
    const char *cache = qemuViommuAttrOr(driver, "cache", "default");
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cacheModes); i++) {
        if (g_str_equal(cacheModes[i].name, cache))
            json_object_set_string_member(props, "write-cache", cacheModes[i].writeBack ? "on" : "off");
    }
}

/* The file or device itself; owned by the caller. */
static JsonObject *
storageNew(const qemuViommuFull *full, const xmlNode *node, const char *path, GError **error)
{
    static const char *const aio[] = { "native", "threads", "io_uring", NULL };
    const xmlNode *driver = viommuXMLChild(node, "driver");
    const char *io = viommuXMLAttr(driver, "io");
    bool block = g_strcmp0(viommuXMLAttr(node, "type"), "block") == 0;
    g_autoptr(JsonObject) props = qemuViommuDeviceNew(block ? "host_device" : "file");

    json_object_set_string_member(props, "filename", path);
    if (io && !isIn(io, aio)) {
        qemuViommuRefuseValue(full, driver, "io", "'native', 'threads' or 'io_uring'", error);
        return NULL;
    }
    qemuViommuSetString(props, "aio", io);
    if (!setCache(full, props, driver, error))
        return NULL;
    return g_steal_pointer(&props);
}

static bool
setFormat(const qemuViommuFull *full, JsonObject *props, const xmlNode *driver, GError **error)
{
    static const char *const discards[] = { "unmap", "ignore", NULL };
    static const char *const zeroes[] = { "on", "off", "unmap", NULL };
    const char *discard = viommuXMLAttr(driver, "discard");
    const char *detect = viommuXMLAttr(driver, "detect_zeroes");

    if (discard && !isIn(discard, discards))
        return qemuViommuRefuseValue(full, driver, "discard", "'unmap' or 'ignore'", error);
    if (detect && !isIn(detect, zeroes))
        return qemuViommuRefuseValue(full, driver, "detect_zeroes", "'on', 'off' or 'unmap'", error);
    qemuViommuSetString(props, "discard", discard);
    qemuViommuSetString(props, "detect-zeroes", detect);
    return setCache(full, props, driver, error);
}

/* Writes the image and returns its node name (free with g_free). *ret_name is NULL for an empty drive. */
static bool
imageArgs(qemuViommuFull *full, const xmlNode *node, bool readOnly, char **ret_name, GError **error)
{
    static const char *const formats[] = { "raw", "qcow2", "vmdk", "vdi", "vhdx", NULL };
    const xmlNode *driver = viommuXMLChild(node, "driver");
    const xmlNode *source = viommuXMLChild(node, "source");
    const char *type = qemuViommuAttrOr(node, "type", "file");
    const char *format = qemuViommuAttrOr(driver, "type", "raw");
    const char *path = viommuXMLAttr(source, g_str_equal(type, "block") ? "dev" : "file");
    g_autofree char *name = NULL;
    g_autoptr(JsonObject) props = NULL;
    g_autoptr(JsonObject) storage = NULL;

    *ret_name = NULL;
    if (!g_str_equal(type, "file") && !g_str_equal(type, "block"))
        return qemuViommuRefuseValue(full, node, "type", "'file' or 'block'", error);
    if (!isIn(format, formats))
        return qemuViommuRefuseValue(full, driver, "type", "'raw', 'qcow2', 'vmdk', 'vdi' or 'vhdx'",
                                     error);
    if (!g_str_equal(qemuViommuAttrOr(driver, "name", "qemu"), "qemu"))
        return qemuViommuRefuseValue(full, driver, "name", "'qemu'", error);
    if (viommuXMLChild(viommuXMLChild(node, "backingStore"), "source"))
        return qemuViommuRefuse(full, node, error, "a <backingStore> is not translated; leave it out, and "
                                "QEMU reads the chain from the image");
    if (!path)
        return true;
    storage = storageNew(full, node, path, error);
    if (!storage)
        return false;
    name = g_strdup_printf("image%u", qemuViommuCount(full, "image"));
    props = qemuViommuDeviceNew(format);
    json_object_set_string_member(props, "node-name", name);
    json_object_set_boolean_member(props, "read-only", readOnly);
    if (!setFormat(full, props, driver, error))
        return false;
    json_object_set_object_member(props, "file", g_steal_pointer(&storage));
    qemuViommuArgsAddJSON(full->args, "-blockdev", props);
    *ret_name = g_steal_pointer(&name);
    return true;
}

/* The place of "sdb" or "nvme0n2" in its row, from 0. */
static unsigned
indexOf(const char *dev)
{
    unsigned value = 0;

    if (g_str_has_prefix(dev, "nvme")) {
        const char *number = strrchr(dev, 'n') + 1;
        guint64 space = g_ascii_strtoull(number, NULL, 10);

        return space > 0 ? (unsigned)space - 1 : 0;
    }
    if (strlen(dev) > 2) {
        for (dev += 2; g_ascii_islower(*dev); dev++)
            value = value * 26 + (unsigned)(*dev - 'a' + 1);
    }
    return value > 0 ? value - 1 : 0;
}

static unsigned
readPart(const xmlNode *addr, const char *attr)
{
    return (unsigned)g_ascii_strtoull(qemuViommuAttrOr(addr, attr, "0"), NULL, 10);
}

/* <address type='drive'>, or what libvirt makes of the target's name: seven SCSI disks on a controller,
 * and for NVMe what the name says. */
static void
getDrive(const xmlNode *node, driveAddr *ret_addr)
{
    const xmlNode *addr = viommuXMLChild(node, "address");
    const char *dev = qemuViommuAttrOr(viommuXMLChild(node, "target"), "dev", "");

    *ret_addr = (driveAddr){ 0 };
    if (addr) {
        ret_addr->controller = readPart(addr, "controller");
        ret_addr->bus = readPart(addr, "bus");
        ret_addr->target = readPart(addr, "target");
        ret_addr->unit = readPart(addr, "unit");
    } else if (g_str_has_prefix(dev, "nvme")) {
        ret_addr->controller = (unsigned)g_ascii_strtoull(dev + strlen("nvme"), NULL, 10);
        ret_addr->unit = indexOf(dev);
    } else {
        ret_addr->controller = indexOf(dev) / SCSI_NARROW;
        ret_addr->unit = indexOf(dev) % SCSI_NARROW;
    }
}

char *
qemuViommuDiskController(const xmlNode *node)
{
    driveAddr addr;

    getDrive(node, &addr);
    return g_strdup_printf("%u", addr.controller);
}

/* The name that libvirt gives it, so that <qemu:override> finds it. */
static char *
makeDiskId(const xmlNode *node, const char *bus)
{
    const char *alias = qemuViommuUserAlias(viommuXMLAttr(viommuXMLChild(node, "alias"), "name"));
    const char *dev = qemuViommuAttrOr(viommuXMLChild(node, "target"), "dev", "");
    driveAddr addr;

    getDrive(node, &addr);
    if (alias)
        return g_strdup(alias);
    if (g_str_equal(bus, "scsi"))
        return g_strdup_printf("scsi%u-%u-%u-%u", addr.controller, addr.bus, addr.target, addr.unit);
    if (g_str_equal(bus, "nvme"))
        return g_strdup_printf("nvme%u-%u-%u", addr.controller, addr.bus, addr.unit);
    return g_strdup_printf("%s-disk%u", bus, indexOf(dev));
}

static bool
virtioDisk(qemuViommuFull *full, const viommuDevice *device, JsonObject *props, GError **error)
{
    const xmlNode *driver = viommuXMLChild(device->node, "driver");
    const char *thread = viommuXMLAttr(driver, "iothread");
    g_autofree char *id = thread ? g_strdup_printf("iothread%s", thread) : NULL;

    qemuViommuSetString(props, "iothread", id);
    return qemuViommuSetNumber(full, props, "num-queues", driver, "queues", error) &&
           qemuViommuSetPlace(full, props, device, error);
}

static bool
scsiDisk(qemuViommuFull *full, const viommuDevice *device, JsonObject *props, GError **error)
{
    g_autofree char *index = qemuViommuDiskController(device->node);
    g_autofree char *bus = g_strdup_printf("%s.0", qemuViommuControllerId(full, "scsi", index));
    g_autofree char *name = NULL;
    driveAddr addr;

    getDrive(device->node, &addr);
    name = g_strdup_printf("drive-scsi%u-%u-%u-%u", addr.controller, addr.bus, addr.target, addr.unit);
    json_object_set_string_member(props, "bus", bus);
    json_object_set_int_member(props, "channel", addr.bus);
    json_object_set_int_member(props, "scsi-id", addr.target);
    json_object_set_int_member(props, "lun", addr.unit);
    json_object_set_string_member(props, "device_id", name);
    return qemuViommuSetNumber(full, props, "rotation_rate", viommuXMLChild(device->node, "target"),
                               "rotation_rate", error);
}

static bool
nvmeDisk(qemuViommuFull *full, const viommuDevice *device, JsonObject *props, GError **error)
{
    g_autofree char *index = qemuViommuDiskController(device->node);
    driveAddr addr;

    getDrive(device->node, &addr);
    json_object_set_string_member(props, "bus", qemuViommuControllerId(full, "nvme", index));
    json_object_set_int_member(props, "nsid", addr.unit + 1);
    return true;
}

static bool
usbDisk(qemuViommuFull *full, const viommuDevice *device, JsonObject *props, GError **error)
{
    const xmlNode *addr = viommuXMLChild(device->node, "address");
    const char *controller = qemuViommuControllerId(full, "usb", qemuViommuAttrOr(addr, "bus", "0"));
    g_autofree char *bus = g_strdup_printf("%s.0", controller);

    if (!controller)
        return qemuViommuRefuse(full, device->node, error,
                                "there is no USB controller for this disk; add <controller type='usb' "
                                "model='qemu-xhci'/>");
    json_object_set_string_member(props, "bus", bus);
    qemuViommuSetString(props, "port", viommuXMLAttr(addr, "port"));
    return true;
}

static const struct {
    const char *bus;
    const char *disk;     /* QEMU's device, NULL: by model */
    const char *cdrom;    /* NULL: no such drive */
    const char *serial;   /* the property for <serial>, NULL: the controller has it */
    bool (*place)(qemuViommuFull *full, const viommuDevice *device, JsonObject *props, GError **error);
} disks[] = {
    { "virtio", NULL, NULL, "serial", virtioDisk },
    { "scsi", "scsi-hd", "scsi-cd", "serial", scsiDisk },
    { "nvme", "nvme-ns", NULL, NULL, nvmeDisk },
    { "usb", "usb-storage", NULL, "serial", usbDisk },
};

static bool
setWWN(const qemuViommuFull *full, JsonObject *props, const xmlNode *node, const char *bus, GError **error)
{
    const xmlNode *wwn = viommuXMLChild(node, "wwn");
    g_autofree char *text = viommuXMLContent(wwn);
    guint64 value;

    if (!wwn)
        return true;
    if (!g_str_equal(bus, "scsi"))
        return qemuViommuRefuse(full, wwn, error, "<wwn> is for disks on bus='scsi'; remove it");
    if (!text || !g_ascii_string_to_unsigned(text, 16, 0, G_MAXINT64, &value, NULL))
        return qemuViommuRefuse(full, wwn, error, "<wwn> wants 16 hexadecimal digits, the first below 8");
    json_object_set_int_member(props, "wwn", (gint64)value);
    return true;
}

static bool
frontendArgs(qemuViommuFull *full, const viommuDevice *device, size_t kind, bool cdrom, const char *image,
             bool shareable, GError **error)
{
    const xmlNode *node = device->node;
    g_autofree char *driver = g_strdup(cdrom ? disks[kind].cdrom : disks[kind].disk);
    g_autofree char *id = makeDiskId(node, disks[kind].bus);
    g_autofree char *serial = viommuXMLContent(viommuXMLChild(node, "serial"));
    g_autoptr(JsonObject) props = NULL;

    if (!driver)
        driver = qemuViommuVirtioDriver("virtio-blk", viommuXMLAttr(node, "model"));
    if (!driver)
        return qemuViommuRefuseValue(full, node, "model", "'virtio' or 'virtio-non-transitional'", error);
    props = qemuViommuDeviceNew(driver);
    qemuViommuSetString(props, "drive", image);
    json_object_set_string_member(props, "id", id);
    if (disks[kind].serial)
        qemuViommuSetString(props, disks[kind].serial, serial);
    if (!setWWN(full, props, node, disks[kind].bus, error))
        return false;
    if (shareable)
        json_object_set_boolean_member(props, "share-rw", TRUE);
    if (image && !cdrom)
        setWriteCache(props, viommuXMLChild(node, "driver"));
    if (!disks[kind].place(full, device, props, error) ||
        !qemuViommuSetNumber(full, props, "logical_block_size", viommuXMLChild(node, "blockio"),
                             "logical_block_size", error) ||
        !qemuViommuSetNumber(full, props, "physical_block_size", viommuXMLChild(node, "blockio"),
                             "physical_block_size", error))
        return false;
    qemuViommuSetBootIndex(props, full->dom, node);
    qemuViommuArgsAddJSON(full->args, "-device", props);
    return true;
}

bool
qemuViommuDiskArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    const xmlNode *node = device->node;
    const xmlNode *target = viommuXMLChild(node, "target");
    const char *kind = qemuViommuAttrOr(node, "device", "disk");
    bool cdrom = g_str_equal(kind, "cdrom");
    const char *bus = viommuDiskBus(node);
    bool readOnly = cdrom || viommuXMLChild(node, "readonly");
    g_autofree char *image = NULL;
    size_t i;

    if (!cdrom && !g_str_equal(kind, "disk"))
        return qemuViommuRefuseValue(full, node, "device", "'disk' or 'cdrom'", error);
    if (!bus)
        return qemuViommuRefuse(full, node, error, "the disk names no bus; add <target dev='vda' bus='virtio'/>");
    for (i = 0; i < G_N_ELEMENTS(disks) && !g_str_equal(disks[i].bus, bus); i++)
        ;
    if (i == G_N_ELEMENTS(disks))
        return qemuViommuRefuseValue(full, target, "bus", "'virtio', 'scsi', 'nvme' or 'usb'", error);
    if (cdrom && !disks[i].cdrom)
        return qemuViommuRefuseValue(full, target, "bus", "'scsi' for a cdrom", error);
    if (!imageArgs(full, node, readOnly, &image, error))
        return false;
    if (!image && !cdrom)
        return qemuViommuRefuse(full, node, error, "the disk has no <source>; name a file or a device");
    return frontendArgs(full, device, i, cdrom, image, viommuXMLChild(node, "shareable") != NULL, error);
}
