/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a single PCI device and its IOMMU group say. A domain has a few devices and a host
 * thousands, so each is read when it is asked for.
 */
#include "virsmmu.h"

#include "viommuerror.h"
#include "virpciconfig.h"
#include "virsmmupriv.h"

#include <stdlib.h>
#include <string.h>

#define IOMMU_GROUPS "sys/kernel/iommu_groups"
#define NET_CLASS "sys/class/net"

/* include/linux/pci_ids.h: PCI_CLASS_BRIDGE_PCI */
#define CLASS_BRIDGE_PCI 0x0604

/* include/linux/ioport.h: IORESOURCE_MEM, IORESOURCE_PREFETCH, IORESOURCE_MEM_64 */
#define RESOURCE_MEM 0x00000200
#define RESOURCE_PREFETCH 0x00002000
#define RESOURCE_MEM_64 0x00100000

/* PCI_STD_NUM_BARS: the first lines of a device's "resource" */
#define BARS 6

static char *
devicePath(const char *name, const char *file)
{
    return g_strconcat(VIR_SMMU_PCI_DEVICES "/", name, "/", file, NULL);
}

bool
virSMMUCheckPresent(virSysfs *fs, const char *name, GError **error)
{
    /* The kernel takes the uevent of a device away first (device_del() in drivers/base/core.c). A
     * record may have been made without one. */
    g_autofree char *path = devicePath(name, virSysfsIsRecorded(fs) ? "." : "uevent");

    if (virSysfsExists(fs, path))
        return true;
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                "host device '%s' has gone while the host was read; run it again", name);
    return false;
}

/* The value of variable @name in @uevent, up to the end of its line, or NULL. */
static char *
ueventValue(const char *uevent, const char *name)
{
    size_t len = strlen(name);

    while (uevent) {
        if (strncmp(uevent, name, len) == 0 && uevent[len] == '=')
            return g_strndup(uevent + len + 1, strcspn(uevent + len + 1, "\n"));
        uevent = strchr(uevent, '\n');
        if (uevent)
            uevent++;
    }
    return NULL;
}

static int
parseHex(const char *text, unsigned max)
{
    guint64 value = 0;

    if (!text || !g_ascii_string_to_unsigned(text, 16, 0, max, &value, NULL))
        return -1;
    return (int)value;
}

/* drivers/pci/pci-driver.c, pci_uevent(): PCI_CLASS=%04X, PCI_ID=%04X:%04X; DRIVER is the driver
 * core's. */
static void
parseUevent(virSMMUDevice *dev, const char *uevent)
{
    g_autofree char *class = ueventValue(uevent, "PCI_CLASS");
    g_autofree char *id = ueventValue(uevent, "PCI_ID");
    char *colon = id ? strchr(id, ':') : NULL;

    dev->driver = ueventValue(uevent, "DRIVER");
    dev->class = parseHex(class, 0xffffff);
    dev->bridge = dev->class >= 0 && dev->class >> 8 == CLASS_BRIDGE_PCI;
    if (colon) {
        *colon = '\0';
        dev->vendor = parseHex(id, 0xffff);
        dev->device = parseHex(colon + 1, 0xffff);
    }
}

bool
virSMMUTopologyLoadIds(virSMMUTopology *topo G_GNUC_UNUSED, virSysfs *fs, virSMMUDevice *dev,
                       GError **error)
{
    g_autofree char *ueventPath = devicePath(dev->name, "uevent");
    g_autofree char *groupPath = devicePath(dev->name, "iommu_group");
    g_autofree char *uevent = NULL;
    g_autofree char *group = NULL;
    gint64 number = -1;

    if (dev->haveIds)
        return true;
    if (!virSysfsFetchText(fs, ueventPath, &uevent, error))
        return false;
    group = virSysfsReadLinkName(fs, groupPath);
    /* A device that an IOMMU translates is always in a group. */
    if ((!uevent || (!group && dev->smmu)) && !virSMMUCheckPresent(fs, dev->name, error))
        return false;
    if (group && !g_ascii_string_to_signed(group, 10, 0, G_MAXINT32, &number, NULL)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "the iommu_group of host device '%s' is no number", dev->name);
        return false;
    }
    if (uevent)
        parseUevent(dev, uevent);
    dev->group = (int)number;
    dev->haveIds = true;
    return true;
}

bool
virSMMUTopologyLoadNuma(virSMMUTopology *topo G_GNUC_UNUSED, virSysfs *fs, virSMMUDevice *dev,
                        GError **error)
{
    g_autofree char *path = devicePath(dev->name, "numa_node");
    int node = G_MININT;

    if (!virSMMUReadNumaNode(fs, path, &node, error))
        return false;
    if (node == G_MININT)
        return virSMMUCheckPresent(fs, dev->name, error);
    dev->numaNode = node;
    return true;
}

/* Reads one line "START END FLAGS" of "resource" into @bars. False if it is not one. */
static bool
parseBar(const char *line, GArray *bars)
{
    guint64 start, end, flags;
    char *at;

    start = g_ascii_strtoull(line, &at, 16);
    if (at == line || *at != ' ')
        return false;
    end = g_ascii_strtoull(line = at, &at, 16);
    if (at == line || *at != ' ')
        return false;
    flags = g_ascii_strtoull(line = at, &at, 16);
    if (at == line || (*at && *at != '\n') || end < start)
        return false;
    if (flags & RESOURCE_MEM && end > start && end - start < G_MAXINT64) {
        const virSMMUBar bar = {
            .size = end - start + 1,
            .memory64 = (flags & RESOURCE_MEM_64) != 0,
            .prefetch = (flags & RESOURCE_PREFETCH) != 0,
        };

        g_array_append_val(bars, bar);
    }
    return true;
}

static bool
loadBars(virSysfs *fs, virSMMUDevice *dev, GError **error)
{
    g_autofree char *path = devicePath(dev->name, "resource");
    g_autofree char *text = NULL;
    const char *line;
    size_t i;

    if (!virSysfsFetchText(fs, path, &text, error))
        return false;
    g_array_set_size(dev->bars, 0);
    for (line = text, i = 0; line && i < BARS; i++) {
        if (!parseBar(line, dev->bars)) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                        "line %zu of host file '%s' is not 'START END FLAGS'", i + 1, path);
            return false;
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return true;
}

/* The PCI devices in the device's own path are what it is below. */
static void
loadParents(virSysfs *fs, virSMMUDevice *dev)
{
    g_autofree char *path = g_strconcat(VIR_SMMU_PCI_DEVICES "/", dev->name, NULL);
    g_autofree char *target = virSysfsReadLink(fs, path);
    g_auto(GStrv) parts = target ? g_strsplit(target, "/", -1) : NULL;
    virPCIAddr addr;
    size_t i;

    g_ptr_array_set_size(dev->parents, 0);
    for (i = 0; parts && parts[i] && parts[i + 1]; i++) {
        if (virPCIAddrParse(parts[i], &addr))
            g_ptr_array_add(dev->parents, g_strdup(parts[i]));
    }
}

/* Reads which of the ports above stand for what is below them. */
static bool
loadBridges(virSysfs *fs, virSMMUDevice *dev, GError **error)
{
    size_t i;

    dev->behindBridge = false;
    for (i = 0; i < dev->parents->len; i++) {
        g_autofree char *path = devicePath(g_ptr_array_index(dev->parents, i), "config");
        g_autofree uint8_t *config = NULL;
        GError *failure = NULL;
        size_t len = 0;

        config = virSysfsReadHead(fs, path, VIR_PCI_CONFIG_SIZE, &len, &failure);
        if (failure) {
            g_propagate_error(error, failure);
            return false;
        }
        if (config && virPCIPortAliases(virPCIConfigPortType(config, len)))
            dev->behindBridge = true;
    }
    return true;
}

void
virSMMUGroupFree(virSMMUGroup *group)
{
    if (!group)
        return;
    g_ptr_array_unref(group->members);
    g_free(group);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSMMUGroup, virSMMUGroupFree)

/* True if a line "START END TYPE" has the type "direct": firmware wants a 1:1 mapping there, which
 * no guest can be given (iommu_group_resv_type_string in Linux' drivers/iommu/iommu.c). */
static bool
hasDirectRegion(const char *regions)
{
    g_auto(GStrv) lines = g_strsplit(regions, "\n", -1);
    size_t i;

    for (i = 0; lines[i]; i++) {
        if (g_str_has_suffix(lines[i], " direct"))
            return true;
    }
    return false;
}

static bool
loadMembers(virSMMUTopology *topo, virSysfs *fs, const virSMMUGroup *group, GError **error)
{
    size_t i;

    for (i = 0; i < group->members->len; i++) {
        virSMMUDevice *member;
        virPCIAddr addr;

        if (!virPCIAddrParse(g_ptr_array_index(group->members, i), &addr))
            continue;
        member = virSMMUTopologyFindDevice(topo, &addr);
        if (member && !virSMMUTopologyLoadIds(topo, fs, member, error))
            return false;
    }
    return true;
}

/* Reads group @number; one of which nothing is known stays unknown. */
static bool
loadGroup(virSMMUTopology *topo, virSysfs *fs, int number, GError **error)
{
    g_autofree char *devicesPath = g_strdup_printf(IOMMU_GROUPS "/%d/devices", number);
    g_autofree char *regionsPath = g_strdup_printf(IOMMU_GROUPS "/%d/reserved_regions", number);
    g_autoptr(virSMMUGroup) group = NULL;
    g_auto(GStrv) names = NULL;
    g_autofree char *regions = NULL;
    size_t i;

    if (number < 0 || virSMMUTopologyFindGroup(topo, number))
        return true;
    if (!virSysfsFetchList(fs, devicesPath, &names, error) ||
        !virSysfsFetchText(fs, regionsPath, &regions, error))
        return false;
    if (!names)
        return true;
    group = g_new0(virSMMUGroup, 1);
    group->number = number;
    group->members = g_ptr_array_new_with_free_func(g_free);
    for (i = 0; names[i]; i++)
        g_ptr_array_add(group->members, g_strdup(names[i]));
    group->direct = regions && hasDirectRegion(regions);
    if (!loadMembers(topo, fs, group, error))
        return false;
    g_hash_table_insert(topo->groups, GINT_TO_POINTER(number), g_steal_pointer(&group));
    return true;
}

const virSMMUGroup *
virSMMUTopologyFindGroup(const virSMMUTopology *topo, int number)
{
    return g_hash_table_lookup(topo->groups, GINT_TO_POINTER(number));
}

/* The map comes from the SMMUs' own listings; here the device's side must agree. Asked last,
 * because of a device that went meanwhile little can have been read. */
static bool
checkIOMMULink(virSysfs *fs, const virSMMUDevice *dev, GError **error)
{
    g_autofree char *path = devicePath(dev->name, "iommu");
    g_autofree char *name = virSysfsReadLinkName(fs, path);

    if (!virSMMUCheckPresent(fs, dev->name, error))
        return false;
    if (g_strcmp0(name, dev->smmu ? dev->smmu->name : NULL) == 0)
        return true;
    g_set_error(
        error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
        "host device '%s' is listed behind %s, but its iommu link names %s; if the host was changing, run it again",
        dev->name, dev->smmu ? dev->smmu->name : "no IOMMU", name ? name : "none");
    return false;
}

bool
virSMMUDeviceFetchCdev(virSysfs *fs, const virSMMUDevice *dev, char **ret_name, GError **error)
{
    g_autofree char *path = devicePath(dev->name, "vfio-dev");
    g_auto(GStrv) names = NULL;

    if (!virSysfsFetchList(fs, path, &names, error))
        return false;
    *ret_name = names ? g_strdup(names[0]) : NULL;
    return true;
}

bool
virSMMUTopologyLoadDetails(virSMMUTopology *topo, virSysfs *fs, virSMMUDevice *dev, GError **error)
{
    g_autofree char *vfioPath = devicePath(dev->name, "vfio-dev");
    g_autofree char *physfnPath = devicePath(dev->name, "physfn");
    g_autofree char *physfn = NULL;

    if (dev->haveDetails)
        return true;
    if (!virSMMUTopologyLoadIds(topo, fs, dev, error) ||
        !virSMMUTopologyLoadNuma(topo, fs, dev, error) || !loadBars(fs, dev, error))
        return false;
    loadParents(fs, dev);
    dev->vfio = virSysfsExists(fs, vfioPath);
    physfn = virSysfsReadLinkName(fs, physfnPath);
    dev->virtualFunction = physfn && virPCIAddrParse(physfn, &dev->physfn);
    if (!loadBridges(fs, dev, error) || !loadGroup(topo, fs, dev->group, error))
        return false;
    if (!checkIOMMULink(fs, dev, error))
        return false;
    dev->haveDetails = true;
    return true;
}

virSMMUDevice *
virSMMUTopologyFindNetdev(const virSMMUTopology *topo, virSysfs *fs, const char *name)
{
    g_autofree char *path = g_strconcat(NET_CLASS "/", name, NULL);
    g_autofree char *target = strchr(name, '/') ? NULL : virSysfsReadLink(fs, path);
    g_auto(GStrv) parts = target ? g_strsplit(target, "/", -1) : NULL;
    virPCIAddr addr, last = { 0 };
    bool found = false;
    size_t i;

    /* The device nearest to the interface: there can be a virtio device between the two. */
    for (i = 0; parts && parts[i]; i++) {
        if (virPCIAddrParse(parts[i], &addr)) {
            last = addr;
            found = true;
        }
    }
    return found ? virSMMUTopologyFindDevice(topo, &last) : NULL;
}
