/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the devices of a domain: which are host devices, and which take a PCI slot of which kind. The kinds
 * are what libvirt 12.8 does with each on aarch64 "virt" (docs/libvirt.rst, tried one by one).
 */
#include "viommu_conf_priv.h"
#include "viommuerror.h"

#include <string.h>

void
viommuDeviceFree(void *data)
{
    viommuDevice *device = data;

    if (!device)
        return;
    g_free(device->what);
    g_free(device->alias);
    g_free(device->network);
    g_free(device->key);
    g_free(device);
}

static bool
isOneOf(const char *text, const char *const *list)
{
    return text && g_strv_contains((const gchar *const *)list, text);
}

/* Kind of a device by what its model says: these are conventional PCI, the rest PCIe. */
static viommuDeviceKind
kindByModel(const char *model, const char *const *conventional)
{
    return isOneOf(model, conventional) ? VIOMMU_DEVICE_PCI : VIOMMU_DEVICE_PCIE;
}

static const char *const noModels[] = { NULL };
static const char *const transitional[] = { "virtio-transitional", NULL };

static viommuDeviceKind
controllerKind(const xmlNode *node)
{
    static const char *const usbPCIe[] = { "qemu-xhci", "nec-xhci", NULL };
    static const char *const scsiPCI[] = { "lsilogic", "lsisas1068", "lsisas1078", "am53c974",
                                           "dc390", "buslogic", "vmpvscsi", "virtio-transitional", NULL };
    const char *type = viommuXMLAttr(node, "type");
    const char *model = viommuXMLAttr(node, "model");

    if (g_strcmp0(type, "usb") == 0) {
        if (g_strcmp0(model, "none") == 0)
            return VIOMMU_DEVICE_NONE;
        return !model || isOneOf(model, usbPCIe) ? VIOMMU_DEVICE_PCIE : VIOMMU_DEVICE_PCI;
    }
    if (g_strcmp0(type, "scsi") == 0)
        return kindByModel(model, scsiPCI);
    if (g_strcmp0(type, "virtio-serial") == 0)
        return kindByModel(model, transitional);
    if (g_strcmp0(type, "nvme") == 0)
        return VIOMMU_DEVICE_PCIE;
    return g_strcmp0(type, "sata") == 0 ? VIOMMU_DEVICE_PCI : VIOMMU_DEVICE_NONE;
}

static viommuDeviceKind
interfaceKind(const xmlNode *node)
{
    static const char *const conventional[] = { "e1000", "rtl8139", "ne2k_pci",
                                                "virtio-transitional", NULL };
    const char *model = viommuXMLAttr(viommuXMLChild(node, "model"), "type");

    if (g_strcmp0(viommuXMLAttr(node, "type"), "hostdev") == 0)
        return VIOMMU_DEVICE_ASSIGNED;
    if (g_strcmp0(model, "usb-net") == 0)
        return VIOMMU_DEVICE_NONE;
    return kindByModel(model, conventional);
}

static viommuDeviceKind
hostdevKind(const xmlNode *node)
{
    const char *type = viommuXMLAttr(node, "type");
    const char *mode = viommuXMLAttr(node, "mode");

    if (mode && strcmp(mode, "subsystem") != 0)
        return VIOMMU_DEVICE_NONE;
    if (g_strcmp0(type, "pci") == 0)
        return VIOMMU_DEVICE_ASSIGNED;
    if (g_strcmp0(type, "mdev") == 0)
        return g_strcmp0(viommuXMLAttr(node, "model"), "vfio-pci") == 0 ? VIOMMU_DEVICE_PCIE
                                                                        : VIOMMU_DEVICE_NONE;
    return g_strcmp0(type, "scsi_host") == 0 ? VIOMMU_DEVICE_PCIE : VIOMMU_DEVICE_NONE;
}

static viommuDeviceKind
videoKind(const xmlNode *node)
{
    static const char *const none[] = { "ramfb", "none", NULL };
    static const char *const conventional[] = { "vga", "cirrus", "vmvga", "xen", NULL };
    const char *type = viommuXMLAttr(viommuXMLChild(node, "model"), "type");

    return isOneOf(type, none) ? VIOMMU_DEVICE_NONE : kindByModel(type, conventional);
}

static viommuDeviceKind
soundKind(const xmlNode *node)
{
    static const char *const none[] = { "usb", "sb16", "pcspk", NULL };
    const char *model = viommuXMLAttr(node, "model");

    if (isOneOf(model, none))
        return VIOMMU_DEVICE_NONE;
    return g_strcmp0(model, "virtio") == 0 ? VIOMMU_DEVICE_PCIE : VIOMMU_DEVICE_PCI;
}

const char *
viommuDiskBus(const xmlNode *node)
{
    const xmlNode *target = viommuXMLChild(node, "target");
    const char *bus = viommuXMLAttr(target, "bus");
    const char *dev = viommuXMLAttr(target, "dev");

    if (bus || !dev)
        return bus;
    if (g_str_has_prefix(dev, "vd"))
        return "virtio";
    return g_str_has_prefix(dev, "sd") ? "scsi" : NULL;
}

static viommuDeviceKind
diskKind(const xmlNode *node)
{
    if (g_strcmp0(viommuDiskBus(node), "virtio") != 0)
        return VIOMMU_DEVICE_NONE;
    return kindByModel(viommuXMLAttr(node, "model"), transitional);
}

static viommuDeviceKind
inputKind(const xmlNode *node)
{
    const char *type = viommuXMLAttr(node, "type");
    const char *bus = viommuXMLAttr(node, "bus");

    if (g_strcmp0(type, "passthrough") == 0 || g_strcmp0(bus, "virtio") == 0)
        return kindByModel(viommuXMLAttr(node, "model"), transitional);
    return VIOMMU_DEVICE_NONE;
}

static viommuDeviceKind
balloonKind(const xmlNode *node)
{
    const char *model = viommuXMLAttr(node, "model");

    return g_strcmp0(model, "none") == 0 ? VIOMMU_DEVICE_NONE : kindByModel(model, transitional);
}

static viommuDeviceKind
memoryKind(const xmlNode *node)
{
    static const char *const virtio[] = { "virtio-mem", "virtio-pmem", NULL };

    return isOneOf(viommuXMLAttr(node, "model"), virtio) ? VIOMMU_DEVICE_PCIE : VIOMMU_DEVICE_NONE;
}

static viommuDeviceKind
serialKind(const xmlNode *node)
{
    const char *type = viommuXMLAttr(viommuXMLChild(node, "target"), "type");

    return g_strcmp0(type, "pci-serial") == 0 ? VIOMMU_DEVICE_PCI : VIOMMU_DEVICE_NONE;
}

static viommuDeviceKind
watchdogKind(const xmlNode *node)
{
    return g_strcmp0(viommuXMLAttr(node, "model"), "i6300esb") == 0 ? VIOMMU_DEVICE_PCI
                                                                    : VIOMMU_DEVICE_NONE;
}

static viommuDeviceKind
panicKind(const xmlNode *node)
{
    const char *model = viommuXMLAttr(node, "model");

    return !model || strcmp(model, "pvpanic") == 0 ? VIOMMU_DEVICE_ROOT : VIOMMU_DEVICE_NONE;
}

static viommuDeviceKind
virtioKind(const xmlNode *node)
{
    return kindByModel(viommuXMLAttr(node, "model"), transitional);
}

static viommuDeviceKind
conventionalKind(const xmlNode *node)
{
    return VIOMMU_DEVICE_PCI;
}

static viommuDeviceKind
pcieKind(const xmlNode *node)
{
    return kindByModel(NULL, noModels);
}

static const struct {
    const char *element;
    viommuDeviceKind (*kind)(const xmlNode *node);
} kinds[] = {
    { "controller", controllerKind }, { "crypto", conventionalKind }, { "disk", diskKind },
    { "filesystem", pcieKind },       { "hostdev", hostdevKind },     { "input", inputKind },
    { "interface", interfaceKind },   { "memballoon", balloonKind },  { "memory", memoryKind },
    { "panic", panicKind },           { "pstore", conventionalKind }, { "rng", virtioKind },
    { "serial", serialKind },         { "shmem", conventionalKind },  { "sound", soundKind },
    { "video", videoKind },           { "vsock", virtioKind },        { "watchdog", watchdogKind },
};

static viommuDeviceKind
deviceKind(const xmlNode *node)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (viommuXMLIs(node, kinds[i].element))
            return kinds[i].kind(node);
    }
    return VIOMMU_DEVICE_NONE;
}

/* "disk 'vda'", "controller 'usb'", "rng": enough to find it. */
static char *
describe(const xmlNode *node)
{
    const char *name = viommuXMLAttr(viommuXMLChild(node, "target"), "dev");

    if (!name)
        name = viommuXMLAttr(node, "type");
    if (!name)
        name = viommuXMLAttr(viommuXMLChild(node, "model"), "type");
    if (!name)
        name = viommuXMLAttr(node, "model");
    if (!name)
        return g_strdup((const char *)node->name);
    return g_strdup_printf("%s '%s'", (const char *)node->name, name);
}

static bool
parseAssigned(const viommuXML *xml, viommuDevice *device, GError **error)
{
    const xmlNode *source = viommuXMLChild(device->node, "source");
    const xmlNode *addr = viommuXMLChild(source, "address");
    char name[VIR_PCI_ADDR_BUFLEN];
    viommuGuestAddr host;

    if (!addr) {
        viommuErrorAt(error, VIOMMU_ERROR_XML, device->line,
                      "the %s names no host device; give it <source><address domain= bus= slot= "
                      "function=/></source>", device->element);
        return false;
    }
    if (!viommuConfParseAddr(xml, addr, "a host device", 0xffffffff, &host, error))
        return false;
    device->source = (virPCIAddr){ .domain = host.domain,
                                   .bus = (uint8_t)host.bus,
                                   .slot = (uint8_t)host.slot,
                                   .function = (uint8_t)host.function };
    device->haveSource = true;
    virPCIAddrFormat(&device->source, name);
    device->key = g_strdup(name);
    g_free(device->what);
    device->what = g_strdup_printf("%s '%s'", device->element, name);
    return true;
}

static void
parseNetwork(viommuDevice *device)
{
    const char *mac = viommuXMLAttr(viommuXMLChild(device->node, "mac"), "address");
    const char *network = viommuXMLAttr(viommuXMLChild(device->node, "source"), "network");

    if (!network)
        return;
    device->network = g_strdup(network);
    device->key = g_strdup_printf("network %s%s%s", network, mac ? " " : "", mac ? mac : "");
    g_free(device->what);
    device->what = g_strdup_printf("interface on network '%s'", network);
}

static bool
parseGuestAddr(const viommuXML *xml, viommuDevice *device, GError **error)
{
    const char *type;

    device->addrNode = viommuXMLChild(device->node, "address");
    type = viommuXMLAttr(device->addrNode, "type");
    if (!device->addrNode)
        return true;
    if (g_strcmp0(type, "pci") != 0) {
        /* <address type='unassigned'/> keeps a host device out of the guest (libvirt's formatdomain). */
        if (device->kind == VIOMMU_DEVICE_ASSIGNED && g_strcmp0(type, "unassigned") != 0) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(xml, device->addrNode),
                          "%s has an address of type '%s'; write type='pci', or remove the <address>",
                          device->what, type ? type : "");
            return false;
        }
        device->kind = VIOMMU_DEVICE_NONE;
        return true;
    }
    if (!viommuConfParseAddr(xml, device->addrNode, device->what, 0xffff, &device->addr, error))
        return false;
    /* libvirt takes 0000:00:00.0, and type='pci' alone, for "no address" */
    device->hasAddr = device->addr.domain || device->addr.bus || device->addr.slot ||
                      device->addr.function;
    return true;
}

viommuDevice *
viommuDeviceParse(const viommuXML *xml, xmlNode *node, GError **error)
{
    viommuDevice *device = g_new0(viommuDevice, 1);
    const xmlNode *driver = viommuXMLChild(node, "driver");

    device->node = node;
    device->line = viommuXMLLine(xml, node);
    device->element = (const char *)node->name;
    device->kind = deviceKind(node);
    device->what = describe(node);
    device->alias = g_strdup(viommuXMLAttr(viommuXMLChild(node, "alias"), "name"));
    device->iommufd = viommuConfYesNo(viommuXMLAttr(driver, "iommufd"));
    device->managed = g_strcmp0(viommuXMLAttr(node, "managed"), "yes") == 0;
    if (device->kind == VIOMMU_DEVICE_ASSIGNED && !parseAssigned(xml, device, error))
        goto fail;
    if (viommuXMLIs(node, "interface") && g_strcmp0(viommuXMLAttr(node, "type"), "network") == 0)
        parseNetwork(device);
    if (!parseGuestAddr(xml, device, error))
        goto fail;
    return device;

fail:
    viommuDeviceFree(device);
    return NULL;
}

void
viommuDomainBindNetwork(viommuDomain *dom, const char *name, const virPCIAddr *source)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (g_strcmp0(device->network, name) != 0)
            continue;
        device->kind = VIOMMU_DEVICE_ASSIGNED;
        device->source = *source;
        device->haveSource = true;
    }
}
