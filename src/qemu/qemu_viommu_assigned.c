/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host devices as vfio-pci.
 */
#include "qemu_viommu_assigned.h"
#include "qemu_viommu_bus.h"
#include "virtext.h"

#include <string.h>

/* One object serves all devices: the vSMMUs' iommufd objects live in one context. */
#define IOMMUFD_ID "iommufd0"

#define RANK_LAST 2

static void
assignedFree(void *data)
{
    qemuViommuAssigned *assigned = data;

    g_free(assigned->id);
    g_free(assigned);
}

/* Where libvirt's list of host devices has it: interfaces are read first, those on a network are put in
 * when the domain starts. */
static unsigned
rankOf(const viommuDevice *device)
{
    if (device->network)
        return RANK_LAST;
    return g_str_equal(device->element, "interface") ? 0 : 1;
}

/* hostdevN of every device that counts there: assigned interfaces first, then each <hostdev>, whatever its
 * type; a user alias takes no number. */
static GHashTable *
makeIds(const viommuDomain *dom)
{
    GHashTable *ids = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    unsigned next = 0;
    unsigned pass;
    size_t i;

    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < dom->devices->len; i++) {
            viommuDevice *device = g_ptr_array_index(dom->devices, i);
            bool hostdev = g_str_equal(device->element, "hostdev");
            const char *alias = qemuViommuUserAlias(device->alias);

            if (pass == 0 ? hostdev || device->kind != VIOMMU_DEVICE_ASSIGNED : !hostdev)
                continue;
            g_hash_table_insert(ids, device,
                                alias ? g_strdup(alias) : g_strdup_printf("hostdev%u", next));
            if (!alias)
                next++;
        }
    }
    return ids;
}

/* All assigned devices of the domain in the order of the command line. */
static GPtrArray *
listAssigned(const viommuDomain *dom, const viommuPlan *plan)
{
    /* What an earlier expansion made goes with the last vSMMU. */
    bool some = plan->vsmmus->len > 0;
    bool iommufd = dom->iommufd == 1 && (!dom->ownsIommufd || some);
    GPtrArray *list = g_ptr_array_new_with_free_func(assignedFree);
    g_autoptr(GHashTable) ids = makeIds(dom);
    unsigned rank;
    size_t i;

    for (rank = 0; rank <= RANK_LAST; rank++) {
        for (i = 0; i < dom->devices->len; i++) {
            const viommuDevice *device = g_ptr_array_index(dom->devices, i);
            qemuViommuAssigned *assigned;

            if (device->kind != VIOMMU_DEVICE_ASSIGNED || rankOf(device) != rank)
                continue;
            assigned = g_new0(qemuViommuAssigned, 1);
            assigned->device = device;
            assigned->host = device->source;
            assigned->addr = device->addr;
            assigned->id = g_strdup(g_hash_table_lookup(ids, device));
            assigned->iommufd = device->iommufd == VIOMMU_UNSET || (device->iommufdMade && !some)
                                    ? iommufd : device->iommufd == 1;
            g_ptr_array_add(list, assigned);
        }
    }
    return list;
}

static GHashTable *
mapPlanned(const viommuPlan *plan)
{
    GHashTable *planned = g_hash_table_new(NULL, NULL);
    size_t i;
    size_t j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        for (j = 0; j < vsmmu->devices->len; j++) {
            viommuPlanDevice *device = g_ptr_array_index(vsmmu->devices, j);

            g_hash_table_insert(planned, (void *)device->device, device);
        }
    }
    return planned;
}

GPtrArray *
qemuViommuAssignedOfDomain(const viommuDomain *dom, const viommuPlan *plan)
{
    GPtrArray *list = listAssigned(dom, plan);
    g_autoptr(GHashTable) planned = mapPlanned(plan);
    size_t i;

    for (i = 0; i < list->len; i++) {
        qemuViommuAssigned *assigned = g_ptr_array_index(list, i);
        const viommuPlanDevice *device = g_hash_table_lookup(planned, assigned->device);

        if (!device)
            continue;
        assigned->placed = true;
        assigned->host = device->host->addr;
        assigned->addr = device->addr;
        assigned->iommufd = plan->accel;
    }
    return list;
}

static void
writeAssigned(const viommuDomain *dom, const qemuViommuAssigned *assigned, qemuViommuOpen open,
              GPtrArray *args)
{
    const xmlNode *node = assigned->device->node;
    const xmlNode *teaming = viommuXMLChild(node, "teaming");
    g_autofree char *bus = qemuViommuBusName(dom, assigned->addr.bus);
    g_autoptr(JsonObject) props = qemuViommuDeviceNew("vfio-pci");
    char host[VIR_PCI_ADDR_BUFLEN];

    if (!assigned->iommufd || open == QEMU_VIOMMU_OPEN_BY_QEMU)
        json_object_set_string_member(props, "host", virPCIAddrFormat(&assigned->host, host));
    json_object_set_string_member(props, "id", assigned->id);
    qemuViommuSetBootIndex(props, dom, node);
    qemuViommuSetString(props, "failover_pair_id", viommuXMLAttr(teaming, "persistent"));
    if (assigned->iommufd)
        json_object_set_string_member(props, "iommufd", IOMMUFD_ID);
    if (!assigned->byQEMU)
        qemuViommuSetAddress(props, bus, &assigned->addr);
    qemuViommuSetROM(props, node);
    qemuViommuArgsAddJSON(args, "-device", props);
}

/* <acpi nodeset='2-9'/>: the guest's NUMA nodes whose initiator the device is. */
static void
writeInitiators(const qemuViommuAssigned *assigned, unsigned *next, GPtrArray *args)
{
    const char *text = viommuXMLAttr(viommuXMLChild(assigned->device->node, "acpi"), "nodeset");
    g_autoptr(GArray) nodes = text ? virTextParseSet(text) : NULL;
    size_t i;

    for (i = 0; nodes && i < nodes->len; i++) {
        g_autofree char *id = g_strdup_printf("gi%u", (*next)++);
        g_autoptr(JsonObject) props = qemuViommuObjectNew("acpi-generic-initiator", id);

        json_object_set_string_member(props, "pci-dev", assigned->id);
        json_object_set_int_member(props, "node", g_array_index(nodes, unsigned, i));
        qemuViommuArgsAddJSON(args, "-object", props);
    }
}

void
qemuViommuAssignedArgs(const viommuDomain *dom, const GPtrArray *assigned, qemuViommuOpen open,
                       GPtrArray *args)
{
    bool haveObject = false;
    unsigned nextInitiator = 0;
    size_t i;

    for (i = 0; i < assigned->len; i++) {
        const qemuViommuAssigned *one = g_ptr_array_index(assigned, i);

        if (!one->placed)
            continue;
        if (one->iommufd && !haveObject) {
            g_autoptr(JsonObject) props = qemuViommuObjectNew("iommufd", IOMMUFD_ID);

            qemuViommuArgsAddJSON(args, "-object", props);
            haveObject = true;
        }
        writeAssigned(dom, one, open, args);
    }
    for (i = 0; i < assigned->len; i++)
        writeInitiators(g_ptr_array_index(assigned, i), &nextInitiator, args);
}

/* Shorter names first, so that vdz comes before vdaa. */
static bool
isBefore(const char *one, const char *two)
{
    size_t lengthOne = strlen(one);
    size_t lengthTwo = strlen(two);

    return lengthOne != lengthTwo ? lengthOne < lengthTwo : strcmp(one, two) < 0;
}

/* libvirt keeps the disks of one bus sorted by target. */
static const xmlNode *
firstDisk(const viommuDomain *dom, const char *kind)
{
    const xmlNode *best = NULL;
    const xmlNode *node;

    for (node = viommuXMLChild(dom->devicesNode, "disk"); node; node = viommuXMLNext(node, "disk")) {
        const char *device = viommuXMLAttr(node, "device");
        const xmlNode *target = viommuXMLChild(node, "target");
        const xmlNode *bestTarget = viommuXMLChild(best, "target");
        const char *dev = viommuXMLAttr(target, "dev");

        if (!g_str_equal(device ? device : "disk", kind) || !dev)
            continue;
        if (!best || (g_strcmp0(viommuXMLAttr(target, "bus"), viommuXMLAttr(bestTarget, "bus")) == 0 &&
                      isBefore(dev, viommuXMLAttr(bestTarget, "dev"))))
            best = node;
    }
    return best;
}

static const xmlNode *
firstOf(const viommuDomain *dom, const char *dev)
{
    if (g_str_equal(dev, "hd"))
        return firstDisk(dom, "disk");
    if (g_str_equal(dev, "cdrom"))
        return firstDisk(dom, "cdrom");
    if (g_str_equal(dev, "network"))
        return viommuXMLChild(dom->devicesNode, "interface");
    return NULL;
}

static bool
anyBootOrder(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (viommuXMLChild(device->node, "boot"))
            return true;
    }
    return false;
}

unsigned
qemuViommuBootIndex(const viommuDomain *dom, const xmlNode *node)
{
    const char *order = viommuXMLAttr(viommuXMLChild(node, "boot"), "order");
    const xmlNode *boot = viommuXMLChild(viommuXMLChild(dom->root, "os"), "boot");
    unsigned index;

    if (order)
        return (unsigned)g_ascii_strtoull(order, NULL, 10);
    /* libvirt's default is the first disk */
    if (!boot)
        return firstOf(dom, "hd") == node && !anyBootOrder(dom) ? 1 : 0;
    for (index = 1; boot; boot = viommuXMLNext(boot, "boot"), index++) {
        const char *dev = viommuXMLAttr(boot, "dev");

        if (dev && firstOf(dom, dev) == node)
            return index;
    }
    return 0;
}

void
qemuViommuSetBootIndex(JsonObject *props, const viommuDomain *dom, const xmlNode *node)
{
    unsigned index = qemuViommuBootIndex(dom, node);

    if (index > 0)
        json_object_set_int_member(props, "bootindex", index);
}

void
qemuViommuSetROM(JsonObject *props, const xmlNode *node)
{
    const xmlNode *rom = viommuXMLChild(node, "rom");
    const char *bar = viommuXMLAttr(rom, "bar");

    if (g_strcmp0(viommuXMLAttr(rom, "enabled"), "no") == 0) {
        json_object_set_string_member(props, "romfile", "");
        return;
    }
    if (bar)
        json_object_set_int_member(props, "rombar", g_str_equal(bar, "on"));
    qemuViommuSetString(props, "romfile", viommuXMLAttr(rom, "file"));
}
