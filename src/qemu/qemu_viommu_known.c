/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One table of what the translation of a whole domain knows, so that nothing is left out unseen. What it
 * knows and leaves out on purpose is told in docs/argv.rst.
 */
#include "qemu_viommu_known.h"
#include "viommuerror.h"

#include <string.h>

/* Everything below such an element says nothing to QEMU. */
#define ANYTHING "*"

#define PCI_ADDRESS "alias address "
#define CHARDEV "alias address log protocol source target "

static const struct {
    const char *path;     /* below <domain> */
    const char *attrs;    /* separated by spaces */
    const char *children;
} known[] = {
    { "", "type id",
      "name uuid title description metadata memory currentMemory maxMemory memoryBacking vcpu iothreads "
      "numatune iommufd os features cpu clock on_poweroff on_reboot on_crash devices resource seclabel" },
    { "/metadata", ANYTHING, ANYTHING },
    { "/resource", ANYTHING, ANYTHING },
    { "/seclabel", ANYTHING, ANYTHING },
    { "/memory", "unit dumpCore", "" },
    { "/currentMemory", "unit", "" },
    { "/maxMemory", "unit slots", "" },
    { "/memoryBacking", "", "hugepages source access allocation locked nosharepages discard" },
    { "/memoryBacking/hugepages", "", "page" },
    { "/memoryBacking/hugepages/page", "size unit nodeset", "" },
    { "/memoryBacking/source", "type", "" },
    { "/memoryBacking/access", "mode", "" },
    { "/memoryBacking/allocation", "mode threads", "" },
    { "/vcpu", "placement", "" },
    { "/numatune", "", "memory memnode" },
    { "/numatune/memory", "mode nodeset", "" },
    { "/numatune/memnode", "cellid mode nodeset", "" },
    { "/iommufd", "enabled", "" },
    { "/os", "firmware",
      "type firmware loader nvram boot bootmenu kernel initrd cmdline dtb" },
    { "/os/type", "arch machine", "" },
    { "/os/firmware", "type", "feature" },
    { "/os/firmware/feature", "name enabled", "" },
    { "/os/loader", "readonly type secure format stateless", "" },
    { "/os/nvram", "type template templateFormat format", "" },
    { "/os/boot", "dev", "" },
    { "/os/bootmenu", "enable timeout", "" },
    { "/features", "", "acpi apic pae gic vmcoreinfo ioapic pmu ras" },
    { "/features/apic", "eoi", "" },
    { "/features/gic", "version", "" },
    { "/features/vmcoreinfo", "state", "" },
    { "/features/ioapic", "driver", "" },
    { "/features/pmu", "state", "" },
    { "/features/ras", "state", "" },
    { "/cpu", "mode match check migratable", "model topology feature numa" },
    { "/cpu/model", "fallback", "" },
    { "/cpu/topology", "sockets dies clusters cores threads", "" },
    { "/cpu/feature", "policy name", "" },
    { "/cpu/numa", "", "cell" },
    { "/cpu/numa/cell", "id cpus memory unit memAccess discard", "distances" },
    { "/cpu/numa/cell/distances", "", "sibling" },
    { "/cpu/numa/cell/distances/sibling", "id value", "" },
    { "/clock", "offset", "timer" },
    { "/clock/timer", "name tickpolicy present", "" },

    { "/devices", "",
      "emulator disk controller interface hostdev serial console channel input graphics video rng "
      "memballoon watchdog panic vsock audio iommu" },
    { "/devices/audio", "id type", "" },
    { "/devices/iommu", ANYTHING, ANYTHING },
    { "/devices/hostdev", "mode type managed",
      "driver source boot rom acpi teaming " PCI_ADDRESS },
    { "/devices/hostdev/driver", "name iommufd", "" },
    { "/devices/hostdev/source", "", "address" },
    { "/devices/hostdev/source/address", "type domain bus slot function", "" },
    { "/devices/hostdev/acpi", "nodeset", "" },
    { "/devices/hostdev/rom", "bar file enabled", "" },
    { "/devices/hostdev/boot", "order", "" },
    { "/devices/hostdev/teaming", "type persistent", "" },

    { "/devices/controller", "type index model ports",
      "model target pcihole64 serial driver " PCI_ADDRESS },
    { "/devices/controller/model", "name", "" },
    { "/devices/controller/target", "chassis port busNr hotplug memReserve", "node" },
    { "/devices/controller/pcihole64", "unit", "" },
    { "/devices/controller/driver", "queues iothread", "" },

    { "/devices/disk", "type device model snapshot",
      "driver source backingStore target boot readonly shareable serial wwn blockio " PCI_ADDRESS },
    { "/devices/disk/driver",
      "name type cache io discard detect_zeroes iothread queues error_policy rerror_policy", "" },
    { "/devices/disk/source", "file dev startupPolicy index", "" },
    { "/devices/disk/target", "dev bus rotation_rate", "" },
    { "/devices/disk/boot", "order", "" },
    { "/devices/disk/blockio", "logical_block_size physical_block_size", "" },

    { "/devices/interface", "type managed",
      "mac source model target driver mtu link boot rom script acpi teaming " PCI_ADDRESS },
    { "/devices/interface/mac", "address type", "" },
    { "/devices/interface/source", "network", "address" },
    { "/devices/interface/source/address", "type domain bus slot function", "" },
    { "/devices/interface/model", "type", "" },
    { "/devices/interface/target", "dev managed", "" },
    { "/devices/interface/driver", "name queues rx_queue_size tx_queue_size iommufd", "" },
    { "/devices/interface/mtu", "size", "" },
    { "/devices/interface/link", "state", "" },
    { "/devices/interface/boot", "order", "" },
    { "/devices/interface/rom", "bar file enabled", "" },
    { "/devices/interface/script", "path", "" },
    { "/devices/interface/acpi", "nodeset", "" },
    { "/devices/interface/teaming", "type persistent", "" },

    { "/devices/serial", "type", CHARDEV },
    { "/devices/serial/target", "type port", "model" },
    { "/devices/serial/target/model", "name", "" },
    { "/devices/console", "type tty", CHARDEV },
    { "/devices/console/target", "type port", "" },
    { "/devices/channel", "type", CHARDEV },
    { "/devices/channel/target", "type name state", "" },
    { "/devices/*/log", "file append", "" },
    { "/devices/*/protocol", "type", "" },
    { "/devices/serial/source", "path mode host service append", "" },
    { "/devices/console/source", "path mode host service append", "" },
    { "/devices/channel/source", "path mode host service append", "" },

    { "/devices/input", "type bus model", PCI_ADDRESS },
    { "/devices/graphics", "type port autoport listen websocket keymap sharePolicy", "listen" },
    { "/devices/graphics/listen", "type address socket", "" },
    { "/devices/video", "", "model " PCI_ADDRESS },
    { "/devices/video/model", "type heads primary device", "acceleration resolution" },
    { "/devices/video/model/acceleration", "accel3d", "" },
    { "/devices/video/model/resolution", "x y", "" },
    { "/devices/rng", "model", "backend rate " PCI_ADDRESS },
    { "/devices/rng/backend", "model", "" },
    { "/devices/rng/rate", "bytes period", "" },
    { "/devices/memballoon", "model autodeflate freePageReporting", "stats " PCI_ADDRESS },
    { "/devices/memballoon/stats", "period", "" },
    { "/devices/watchdog", "model action", PCI_ADDRESS },
    { "/devices/panic", "model", PCI_ADDRESS },
    { "/devices/vsock", "model", "cid " PCI_ADDRESS },
    { "/devices/vsock/cid", "auto address", "" },
    { "/devices/*/alias", "name", "" },
    { "/devices/*/address",
      "type domain bus slot function multifunction controller target unit port", "" },
};

static bool
isListed(const char *list, const char *name)
{
    size_t length = strlen(name);
    const char *found;

    for (found = strstr(list, name); found; found = strstr(found + length, name)) {
        if ((found == list || found[-1] == ' ') && (found[length] == '\0' || found[length] == ' '))
            return true;
    }
    return false;
}

/* The row of @path; "/devices/X/NAME" may stand in the table as any device's, "/devices/" "*" "/NAME". */
static size_t
findRow(const char *path)
{
    const char *tail = NULL;
    size_t i;

    if (g_str_has_prefix(path, "/devices/"))
        tail = strchr(path + strlen("/devices/"), '/');
    for (i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcmp(known[i].path, path) == 0)
            return i;
        if (tail && g_str_has_prefix(known[i].path, "/devices/*/") &&
            strcmp(known[i].path + strlen("/devices/*"), tail) == 0)
            return i;
    }
    return G_N_ELEMENTS(known);
}

static bool
refuse(const viommuDomain *dom, const xmlNode *node, const char *what, GError **error)
{
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(dom->xml, node),
                  "%s is not translated to QEMU arguments; remove it, or let libvirt start the domain",
                  what);
    return false;
}

static bool
checkAttrs(const viommuDomain *dom, const xmlNode *node, const char *attrs, GError **error)
{
    const xmlAttr *attr;

    for (attr = node->properties; attr; attr = attr->next) {
        const char *name = (const char *)attr->name;
        g_autofree char *what = NULL;

        if (isListed(attrs, name))
            continue;
        what = g_strdup_printf("attribute '%s' of <%s>", name, (const char *)node->name);
        return refuse(dom, node, what, error);
    }
    return true;
}

static bool
checkElement(const viommuDomain *dom, const xmlNode *node, const char *path, GError **error)
{
    size_t row = findRow(path);
    const char *attrs = row < G_N_ELEMENTS(known) ? known[row].attrs : "";
    const char *children = row < G_N_ELEMENTS(known) ? known[row].children : "";
    const xmlNode *child;

    if (strcmp(children, ANYTHING) == 0)
        return true;
    if (!checkAttrs(dom, node, attrs, error))
        return false;
    for (child = node->children; child; child = child->next) {
        const char *name = (const char *)child->name;
        g_autofree char *childPath = NULL;
        g_autofree char *what = NULL;

        if (child->type != XML_ELEMENT_NODE)
            continue;
        if (!*path && (viommuXMLIsNS(child, VIOMMU_NS_QEMU, "commandline") ||
                       viommuXMLIsNS(child, VIOMMU_NS_QEMU, "override")))
            continue;
        if (child->ns || !isListed(children, name)) {
            what = g_strdup_printf("<%s> in <%s>", name, (const char *)node->name);
            return refuse(dom, child, what, error);
        }
        childPath = g_strdup_printf("%s/%s", path, name);
        if (!checkElement(dom, child, childPath, error))
            return false;
    }
    return true;
}

bool
qemuViommuCheckKnown(const viommuDomain *dom, GError **error)
{
    return checkElement(dom, dom->root, "", error);
}
