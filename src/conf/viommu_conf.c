/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a libvirt domain: the frame of it and its PCI controllers. Devices, <iommu> and our metadata have
 * files of their own beside this one.
 */
#include "viommu_conf.h"

#include "viommu_conf_priv.h"
#include "viommuerror.h"
#include "virtext.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_MAX VIOMMU_PCI_INDEX_MAX

/* QEMU: MAX_NODES, include/system/numa.h. */
#define CELLS_MAX 128

/* More than a port can keep: Arm has 52 bits of physical addresses. */
#define RESERVE_MAX (UINT64_C(1) << 52)

/* Longest way from a controller up to pcie.0 that is followed. */
#define DEPTH_MAX 256

static const char *const modelNames[] = {
    [VIOMMU_PCI_ROOT] = "pcie-root",
    [VIOMMU_PCI_ROOT_PORT] = "pcie-root-port",
    [VIOMMU_PCI_EXPANDER] = "pcie-expander-bus",
    [VIOMMU_PCI_UPSTREAM] = "pcie-switch-upstream-port",
    [VIOMMU_PCI_DOWNSTREAM] = "pcie-switch-downstream-port",
    [VIOMMU_PCI_TO_PCI_BRIDGE] = "pcie-to-pci-bridge",
};

const char *
viommuPCIModelName(viommuPCIModel model)
{
    return model == VIOMMU_PCI_OTHER ? "other" : modelNames[model];
}

bool
viommuConfParseNumber(const char *text, unsigned max, unsigned *ret_value)
{
    char *end;
    unsigned long long value;

    if (!text || !g_ascii_isdigit(*text) || strlen(text) > 20)
        return false;
    value = strtoull(text, &end, 0);
    if (*end || value > max)
        return false;
    *ret_value = (unsigned)value;
    return true;
}

int
viommuConfAttrInt(const xmlNode *elem, const char *name, unsigned max)
{
    const char *text = viommuXMLAttr(elem, name);
    unsigned value;

    if (!text)
        return VIOMMU_UNSET;
    return viommuConfParseNumber(text, max, &value) ? (int)value : VIOMMU_BAD;
}

static int
parsePair(const char *text, const char *yes, const char *no)
{
    if (!text)
        return VIOMMU_UNSET;
    if (strcmp(text, yes) == 0)
        return 1;
    return strcmp(text, no) == 0 ? 0 : VIOMMU_BAD;
}

int
viommuConfYesNo(const char *text)
{
    return parsePair(text, "yes", "no");
}

int
viommuConfOnOff(const char *text)
{
    return parsePair(text, "on", "off");
}

bool
viommuConfParseAddr(const viommuXML *xml, const xmlNode *elem, const char *what, unsigned maxDomain,
                    viommuGuestAddr *ret_addr, GError **error)
{
    viommuGuestAddr addr = { 0 };
    const struct {
        const char *name;
        unsigned max;
        unsigned *value;
    } parts[] = {
        { "domain", maxDomain, &addr.domain },
        { "bus", 0xff, &addr.bus },
        { "slot", VIR_PCI_ADDR_MAX_SLOT, &addr.slot },
        { "function", VIR_PCI_ADDR_MAX_FUNCTION, &addr.function },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        const char *text = viommuXMLAttr(elem, parts[i].name);

        if (text && !viommuConfParseNumber(text, parts[i].max, parts[i].value)) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(xml, elem),
                          "the address of %s has %s='%s'; give a number from 0 to 0x%x, in hexadecimal "
                          "with 0x", what, parts[i].name, text, parts[i].max);
            return false;
        }
    }
    addr.multifunction = viommuConfOnOff(viommuXMLAttr(elem, "multifunction")) == 1;
    *ret_addr = addr;
    return true;
}

static void
controllerFree(void *data)
{
    viommuController *controller = data;

    g_free(controller->alias);
    g_free(controller);
}

static viommuPCIModel
parseModel(const char *text)
{
    size_t i;

    for (i = 0; text && i < G_N_ELEMENTS(modelNames); i++) {
        if (strcmp(text, modelNames[i]) == 0)
            return (viommuPCIModel)i;
    }
    return VIOMMU_PCI_OTHER;
}

/* <pcihole64 unit='KiB'>: libvirt's scaled integer; no unit means KiB. */
static bool
parseHole64(const xmlNode *node, uint64_t *ret_kib)
{
    g_autofree char *text = viommuXMLContent(node);
    uint64_t bytes;

    if (!virTextParseSize(text, viommuXMLAttr(node, "unit"), &bytes))
        return false;
    *ret_kib = bytes / 1024;
    return true;
}

static viommuController *
controllerParse(const viommuXML *xml, xmlNode *node, GError **error)
{
    viommuController *controller = g_new0(viommuController, 1);
    const xmlNode *target = viommuXMLChild(node, "target");
    const xmlNode *addr = viommuXMLChild(node, "address");
    const xmlNode *hole = viommuXMLChild(node, "pcihole64");
    g_autofree char *numaNode = viommuXMLContent(viommuXMLChild(target, "node"));
    const char *index = viommuXMLAttr(node, "index");
    const char *memReserve = viommuXMLAttr(target, "memReserve");
    unsigned value;

    controller->node = node;
    controller->line = viommuXMLLine(xml, node);
    controller->model = parseModel(viommuXMLAttr(node, "model"));
    controller->alias = g_strdup(viommuXMLAttr(viommuXMLChild(node, "alias"), "name"));
    controller->busNr = viommuConfAttrInt(target, "busNr", 255);
    controller->chassis = viommuConfAttrInt(target, "chassis", 255);
    controller->port = viommuConfAttrInt(target, "port", 255);
    if (memReserve && viommuConfParseNumber(memReserve, G_MAXUINT, &value))
        controller->keeps.mem = (uint64_t)value * 1024;
    controller->numaNode = VIOMMU_UNSET;
    if (numaNode)
        controller->numaNode = viommuConfParseNumber(numaNode, 65535, &value) ? (int)value : VIOMMU_BAD;
    if (hole)
        controller->hole64Bad = !parseHole64(hole, &controller->hole64KiB);
    if (index) {
        controller->indexGiven = true;
        if (!viommuConfParseNumber(index, INDEX_MAX, &controller->index)) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, controller->line,
                          "a PCI controller has index='%s'; give a number from 0 to %d", index, INDEX_MAX);
            goto fail;
        }
    }
    if (addr) {
        g_autofree char *what = index ? g_strdup_printf("PCI controller %s", index)
                                      : g_strdup("a PCI controller");

        if (!viommuConfParseAddr(xml, addr, what, 0xffff, &controller->addr, error))
            goto fail;
        /* libvirt takes 0000:00:00.0 for "no address" */
        controller->hasAddr = controller->addr.domain || controller->addr.bus ||
                              controller->addr.slot || controller->addr.function;
    }
    return controller;

fail:
    controllerFree(controller);
    return NULL;
}

/* Gives controllers without index the lowest free ones, as libvirt does (seen with 12.8). */
static bool
assignIndexes(viommuDomain *dom, GError **error)
{
    const viommuController *taken[INDEX_MAX + 1] = { 0 };
    bool haveRoot = false;
    unsigned next = 0;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);

        haveRoot = haveRoot || controller->model == VIOMMU_PCI_ROOT;
        if (!controller->indexGiven)
            continue;
        if (taken[controller->index]) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, controller->line,
                          "PCI controller index %u is given twice, first in line %u; give each its own",
                          controller->index, taken[controller->index]->line);
            return false;
        }
        taken[controller->index] = controller;
    }
    dom->implicitRoot = !haveRoot;
    if (!haveRoot)
        next = 1;
    for (i = 0; i < dom->controllers->len; i++) {
        viommuController *controller = g_ptr_array_index(dom->controllers, i);

        if (controller->indexGiven)
            continue;
        while (next <= INDEX_MAX && taken[next])
            next++;
        if (next > INDEX_MAX) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, controller->line,
                          "there are more than %d PCI controllers; remove some", INDEX_MAX + 1);
            return false;
        }
        controller->index = next;
        taken[next] = controller;
    }
    for (i = 0; i < dom->controllers->len; i++) {
        viommuController *controller = g_ptr_array_index(dom->controllers, i);
        bool first = controller->index == 0;

        dom->byIndex[controller->index] = controller;
        /* libvirt refuses both; conventional machines have a pci-root there. */
        if (controller->model != VIOMMU_PCI_OTHER && first != (controller->model == VIOMMU_PCI_ROOT)) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, controller->line,
                          "PCI controller %u is a %s, but index 0 and pcie-root go together; give it "
                          "%s", controller->index, viommuPCIModelName(controller->model),
                          first ? "another index" : "index='0'");
            return false;
        }
    }
    return true;
}

/* Interfaces on one network without MAC address share a key: the second becomes "network NAME 2". */
static void
numberKeys(viommuDomain *dom)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        viommuDevice *device = g_ptr_array_index(dom->devices, i);
        unsigned count;

        if (!device->network)
            continue;
        count = GPOINTER_TO_UINT(g_hash_table_lookup(seen, device->key)) + 1;
        g_hash_table_insert(seen, g_strdup(device->key), GUINT_TO_POINTER(count));
        if (count > 1) {
            char *key = g_strdup_printf("%s %u", device->key, count);

            g_free(device->key);
            device->key = key;
        }
    }
}

/* Of several libvirt reads the first. */
static void
parseEmulator(viommuDomain *dom, const xmlNode *node)
{
    if (dom->emulatorLine)
        return;
    dom->emulator = viommuXMLContent(node);
    dom->emulatorLine = viommuXMLLine(dom->xml, node);
}

static bool
parseDevices(viommuDomain *dom, GError **error)
{
    xmlNode *node;
    unsigned count = 0;

    dom->devicesNode = viommuXMLChild(dom->root, "devices");
    node = dom->devicesNode ? viommuXMLNext(dom->devicesNode, "devices") : NULL;
    if (node) {
        /* libvirt would read both. */
        viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(dom->xml, node),
                      "a second <devices>; put all devices into the first, in line %u",
                      viommuXMLLine(dom->xml, dom->devicesNode));
        return false;
    }
    for (node = dom->devicesNode ? dom->devicesNode->children : NULL; node; node = node->next) {
        const char *type;

        if (node->type != XML_ELEMENT_NODE || node->ns)
            continue;
        if (++count > VIOMMU_DEVICES_MAX) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(dom->xml, node),
                          "the domain has more than %d devices; remove some", VIOMMU_DEVICES_MAX);
            return false;
        }
        type = viommuXMLAttr(node, "type");
        if (viommuXMLIs(node, "controller") && g_strcmp0(type, "pci") == 0) {
            viommuController *controller = controllerParse(dom->xml, node, error);

            if (!controller)
                return false;
            g_ptr_array_add(dom->controllers, controller);
        } else if (viommuXMLIs(node, "iommu")) {
            g_ptr_array_add(dom->iommus, viommuIOMMUParse(dom->xml, node));
        } else if (viommuXMLIs(node, "emulator")) {
            parseEmulator(dom, node);
        } else {
            viommuDevice *device = viommuDeviceParse(dom->xml, node, error);

            if (!device)
                return false;
            g_ptr_array_add(dom->devices, device);
        }
    }
    numberKeys(dom);
    return assignIndexes(dom, error);
}

static int
compareCells(const void *a, const void *b)
{
    const viommuCell *one = a;
    const viommuCell *two = b;

    return one->id < two->id ? -1 : one->id > two->id;
}

static void
clearCell(void *cell)
{
    g_array_unref(((viommuCell *)cell)->hostNodes);
}

static void
bindCell(viommuDomain *dom, unsigned id, const char *nodeset)
{
    g_autoptr(GArray) nodes = nodeset ? virTextParseSet(nodeset) : NULL;
    size_t i;

    for (i = 0; nodes && i < dom->cells->len; i++) {
        viommuCell *cell = &g_array_index(dom->cells, viommuCell, i);

        if (cell->id == id)
            g_array_append_vals(cell->hostNodes, nodes->data, nodes->len);
    }
}

static bool
parseNuma(viommuDomain *dom, GError **error)
{
    bool bound[CELLS_MAX] = { false };
    const xmlNode *numa = viommuXMLChild(viommuXMLChild(dom->root, "cpu"), "numa");
    const xmlNode *tune = viommuXMLChild(dom->root, "numatune");
    const char *all = viommuXMLAttr(viommuXMLChild(tune, "memory"), "nodeset");
    const xmlNode *node;
    unsigned next = 0;
    unsigned id;

    for (node = viommuXMLChild(numa, "cell"); node; node = viommuXMLNext(node, "cell")) {
        viommuCell cell = { .hostNodes = g_array_new(FALSE, FALSE, sizeof(unsigned)) };

        if (!viommuConfParseNumber(viommuXMLAttr(node, "id"), 65535, &cell.id))
            cell.id = next; /* libvirt: its place */
        next++;
        g_array_append_val(dom->cells, cell);
        if (dom->cells->len > CELLS_MAX) {
            viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(dom->xml, node),
                          "the guest has more than %d NUMA cells; remove some", CELLS_MAX);
            return false;
        }
        bindCell(dom, cell.id, all);
    }
    for (node = viommuXMLChild(tune, "memnode"); node; node = viommuXMLNext(node, "memnode")) {
        bool fresh = false;
        size_t i;

        if (!viommuConfParseNumber(viommuXMLAttr(node, "cellid"), 65535, &id))
            continue;
        for (i = 0; i < dom->cells->len; i++) {
            viommuCell *cell = &g_array_index(dom->cells, viommuCell, i);

            /* libvirt refuses a second one. */
            if (cell->id != id || bound[i])
                continue;
            fresh = bound[i] = true;
            g_array_set_size(cell->hostNodes, 0);
        }
        if (fresh)
            bindCell(dom, id, viommuXMLAttr(node, "nodeset"));
    }
    g_array_sort(dom->cells, compareCells);
    return true;
}

/* The size that @name of the domain says, 0 if it says none. */
static uint64_t
readSize(const viommuDomain *dom, const char *name)
{
    const xmlNode *node = viommuXMLChild(dom->root, name);
    g_autofree char *text = viommuXMLContent(node);
    uint64_t bytes;

    return text && virTextParseSize(text, viommuXMLAttr(node, "unit"), &bytes) ? bytes : 0;
}

#define SLOTS_MAX 256 /* ACPI_MAX_RAM_SLOTS of QEMU (include/hw/acpi/memory_hotplug.h) */
#define GIB (UINT64_C(1) << 30)
#define MEMORY_MAX (UINT64_C(1) << 62)

static uint64_t
readMemory(const viommuDomain *dom)
{
    const xmlNode *max = viommuXMLChild(dom->root, "maxMemory");
    const xmlNode *numa = viommuXMLChild(viommuXMLChild(dom->root, "cpu"), "numa");
    const xmlNode *cell;
    uint64_t cells = 0, most, bytes;
    unsigned slots = 0;

    /* Of cells libvirt takes the sum. */
    for (cell = viommuXMLChild(numa, "cell"); cell; cell = viommuXMLNext(cell, "cell")) {
        const char *text = viommuXMLAttr(cell, "memory");

        if (text && virTextParseSize(text, viommuXMLAttr(cell, "unit"), &bytes))
            cells = MIN(cells + MIN(bytes, MEMORY_MAX), MEMORY_MAX);
    }
    most = MAX(cells ? cells : readSize(dom, "memory"), readSize(dom, "maxMemory"));
    if (!viommuConfParseNumber(viommuXMLAttr(max, "slots"), SLOTS_MAX, &slots))
        slots = 0;
    return MIN(most, MEMORY_MAX) + slots * GIB;
}

static bool
parseFrame(viommuDomain *dom, GError **error)
{
    const char *virt = viommuXMLAttr(dom->root, "type");
    const xmlNode *os = viommuXMLChild(dom->root, "os");
    const xmlNode *type = viommuXMLChild(os, "type");
    const xmlNode *features = viommuXMLChild(dom->root, "features");
    const xmlNode *gic = viommuXMLChild(features, "gic");
    const xmlNode *backing = viommuXMLChild(dom->root, "memoryBacking");
    const char *version = viommuXMLAttr(gic, "version");

    dom->name = viommuXMLContent(viommuXMLChild(dom->root, "name"));
    dom->uuid = viommuXMLContent(viommuXMLChild(dom->root, "uuid"));
    dom->virtType = g_strcmp0(virt, "kvm") == 0    ? VIOMMU_VIRT_KVM
                    : g_strcmp0(virt, "qemu") == 0 ? VIOMMU_VIRT_QEMU
                                                   : VIOMMU_VIRT_OTHER;
    dom->arch = g_strdup(viommuXMLAttr(type, "arch"));
    dom->machine = g_strdup(viommuXMLAttr(type, "machine"));
    dom->osLine = viommuXMLLine(dom->xml, type ? type : os ? os : dom->root);
    if (viommuXMLChild(os, "loader") && viommuXMLChild(os, "loader")->children)
        dom->firmware = VIOMMU_FIRMWARE_LOADER;
    else if (g_strcmp0(viommuXMLAttr(os, "firmware"), "efi") == 0)
        dom->firmware = VIOMMU_FIRMWARE_AUTO;
    dom->featuresLine = viommuXMLLine(dom->xml, features ? features : dom->root);
    dom->acpi = viommuXMLChild(features, "acpi") != NULL;
    dom->ioapic = viommuXMLChild(features, "ioapic");
    dom->gicVersion = viommuConfAttrInt(gic, "version", 16);
    if (g_strcmp0(version, "host") == 0)
        dom->gicVersion = 0;
    dom->memoryBytes = readMemory(dom);
    dom->hugepages = viommuXMLChild(backing, "hugepages") != NULL;
    dom->iommufdNode = viommuXMLChild(dom->root, "iommufd");
    dom->iommufd = viommuConfYesNo(viommuXMLAttr(dom->iommufdNode, "enabled"));
    return parseNuma(dom, error);
}

/* The <iommu> that libvirt knows by @alias: its own, or that of its place. */
static viommuIOMMU *
findIOMMU(const viommuDomain *dom, const char *alias)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);
        const char *own = viommuXMLAttr(viommuXMLChild(iommu->node, "alias"), "name");
        g_autofree char *place = g_strdup_printf("iommu%zu", i);

        if (g_strcmp0(own ? own : place, alias) == 0)
            return iommu;
    }
    return NULL;
}

static void
overrideDevices(viommuDomain *dom, const char *alias, const xmlNode *frontend)
{
    const xmlNode *node;
    size_t i;

    for (node = viommuXMLChildNS(frontend, VIOMMU_NS_QEMU, "property"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        if (g_strcmp0(viommuXMLAttr(node, "name"), "iommufd") != 0 ||
            g_strcmp0(viommuXMLAttr(node, "type"), "remove") == 0)
            continue;
        for (i = 0; i < dom->devices->len; i++) {
            viommuDevice *device = g_ptr_array_index(dom->devices, i);

            if (g_strcmp0(device->alias, alias) != 0 || device->iommufd != VIOMMU_UNSET)
                continue;
            device->iommufd = 1;
            device->iommufdOverridden = true;
        }
    }
}

bool
viommuIsReserve(const char *name)
{
    static const char *const properties[] = { VIOMMU_RESERVE_PREF64, VIOMMU_RESERVE_MEM, VIOMMU_RESERVE_IO, NULL };

    return g_strv_contains(properties, name);
}

/* The port that libvirt knows by @alias. */
static viommuController *
findPort(const viommuDomain *dom, const char *alias)
{
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        viommuController *port = g_ptr_array_index(dom->controllers, i);
        bool plugs = port->model == VIOMMU_PCI_ROOT_PORT || port->model == VIOMMU_PCI_DOWNSTREAM;
        bool own = port->alias && g_str_has_prefix(port->alias, "ua-");
        g_autofree char *place = g_strdup_printf("pci.%u", port->index);

        if (plugs && strcmp(own ? port->alias : place, alias) == 0)
            return port;
    }
    return NULL;
}

static void
overridePort(viommuDomain *dom, const char *alias, const xmlNode *frontend)
{
    const xmlNode *node;
    viommuController *port;
    guint64 size;

    for (node = viommuXMLChildNS(frontend, VIOMMU_NS_QEMU, "property"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        const char *name = viommuXMLAttr(node, "name");
        const char *value = viommuXMLAttr(node, "value");

        if (!name || !value || !g_ascii_string_to_unsigned(value, 10, 0, RESERVE_MAX, &size, NULL))
            continue;
        port = viommuIsReserve(name) ? findPort(dom, alias) : NULL;
        if (port && strcmp(name, VIOMMU_RESERVE_PREF64) == 0)
            port->keeps.pref64 = size;
        else if (port && strcmp(name, VIOMMU_RESERVE_MEM) == 0)
            port->keeps.mem = size;
    }
}

/* What <qemu:override> makes of vSMMUs, host devices and ports, for which libvirt has no words. */
static void
parseOverride(viommuDomain *dom)
{
    const xmlNode *override = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "override");
    const xmlNode *node;

    for (node = viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "device")) {
        const xmlNode *frontend = viommuXMLChildNS(node, VIOMMU_NS_QEMU, "frontend");
        const char *alias = viommuXMLAttr(node, "alias");
        viommuIOMMU *iommu = alias ? findIOMMU(dom, alias) : NULL;

        if (iommu && frontend)
            viommuConfOverrideIOMMU(iommu, dom->xml, frontend);
        else if (alias && frontend)
            overrideDevices(dom, alias, frontend);
        if (alias && frontend)
            overridePort(dom, alias, frontend);
    }
}

viommuDomain *
viommuDomainParse(const char *text, size_t len, GError **error)
{
    g_autoptr(viommuDomain) dom = g_new0(viommuDomain, 1);

    dom->controllers = g_ptr_array_new_with_free_func(controllerFree);
    dom->devices = g_ptr_array_new_with_free_func(viommuDeviceFree);
    dom->iommus = g_ptr_array_new_with_free_func(viommuIOMMUFree);
    dom->requests = g_ptr_array_new_with_free_func(viommuRequestFree);
    dom->placed = g_ptr_array_new_with_free_func(viommuPlacedFree);
    dom->strays = viommuConfStraysNew();
    dom->cells = g_array_new(FALSE, FALSE, sizeof(viommuCell));
    g_array_set_clear_func(dom->cells, clearCell);

    dom->xml = viommuXMLParse(text, len, error);
    if (!dom->xml)
        return NULL;
    dom->root = viommuXMLRoot(dom->xml);
    if (!viommuXMLIs(dom->root, "domain")) {
        viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(dom->xml, dom->root),
                      "the document is a <%s>, not a <domain>; give a domain's XML",
                      (const char *)dom->root->name);
        return NULL;
    }
    if (!parseFrame(dom, error) || !parseDevices(dom, error))
        return NULL;
    parseOverride(dom);
    if (!viommuConfParseRequests(dom, error))
        return NULL;
    return g_steal_pointer(&dom);
}

void
viommuDomainFree(viommuDomain *dom)
{
    if (!dom)
        return;
    g_free(dom->name);
    g_free(dom->uuid);
    g_free(dom->arch);
    g_free(dom->machine);
    g_free(dom->emulator);
    g_ptr_array_unref(dom->controllers);
    g_ptr_array_unref(dom->devices);
    g_ptr_array_unref(dom->iommus);
    g_ptr_array_unref(dom->requests);
    g_ptr_array_unref(dom->placed);
    g_ptr_array_unref(dom->strays);
    g_array_unref(dom->cells);
    viommuXMLFree(dom->xml);
    g_free(dom);
}

bool
viommuDomainIsRequest(const viommuDomain *dom)
{
    return dom->requests->len > 0 || dom->withdrawn;
}

bool
viommuDomainHasSMMUv3(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        if (strcmp(((viommuIOMMU *)g_ptr_array_index(dom->iommus, i))->model, "smmuv3") == 0)
            return true;
    }
    return false;
}

bool
viommuDomainHasAccel(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        if (((viommuIOMMU *)g_ptr_array_index(dom->iommus, i))->accel == 1)
            return true;
    }
    return false;
}

viommuController *
viommuDomainFindController(const viommuDomain *dom, unsigned index)
{
    return index <= INDEX_MAX ? dom->byIndex[index] : NULL;
}

viommuController *
viommuDomainFindRoot(const viommuDomain *dom)
{
    viommuController *first = viommuDomainFindController(dom, 0);

    return first && first->model == VIOMMU_PCI_ROOT ? first : NULL;
}

viommuController *
viommuDomainFindExpander(const viommuDomain *dom, unsigned index)
{
    unsigned depth;

    for (depth = 0; depth < DEPTH_MAX && index != 0; depth++) {
        viommuController *controller = viommuDomainFindController(dom, index);

        if (!controller)
            return NULL;
        if (controller->model == VIOMMU_PCI_EXPANDER)
            return controller;
        if (!controller->hasAddr)
            return NULL;
        index = controller->addr.bus;
    }
    return NULL;
}

viommuIOMMU *
viommuDomainFindSMMU(const viommuDomain *dom, unsigned index)
{
    const viommuController *bus = viommuDomainFindExpander(dom, index);
    size_t i;

    for (i = 0; bus && i < dom->iommus->len; i++) {
        viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") == 0 && iommu->pciBus == (int)bus->index)
            return iommu;
    }
    return NULL;
}

static bool
isPlacedPort(const viommuPlaced *placed, const viommuController *controller)
{
    size_t i;

    if (!controller->hasAddr || controller->addr.bus != placed->controller)
        return false;
    for (i = 0; i < placed->ports->len; i++) {
        const viommuPlacedPort *port = g_ptr_array_index(placed->ports, i);

        if (port->controller == controller->index)
            return port->generated;
    }
    return false;
}

const char *
viommuDomainNotedSMMU(const viommuDomain *dom, const char *key)
{
    size_t i, j;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        for (j = 0; j < placed->ports->len; j++) {
            if (g_strcmp0(((viommuPlacedPort *)g_ptr_array_index(placed->ports, j))->device, key) == 0)
                return placed->smmu;
        }
    }
    return NULL;
}

bool
viommuDomainIsGenerated(const viommuDomain *dom, const viommuController *controller)
{
    size_t i;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        if (controller->model == VIOMMU_PCI_EXPANDER && placed->controller == controller->index)
            return placed->generated;
        if (controller->model == VIOMMU_PCI_ROOT_PORT && isPlacedPort(placed, controller))
            return true;
    }
    return false;
}
