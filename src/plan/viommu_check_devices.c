/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host devices of a domain, one by one: is there such a device behind an SMMUv3 (V02), is it
 * alone in its IOMMU group (V16), free of 1:1 mappings and shared StreamIDs (V17), given once only
 * (V20), and on the NUMA node that its bus claims (V21).
 */
#include "viommu_check_priv.h"

#include <string.h>

static void
add(viommuChecker *checker, const char *id, const viommuCheckSeat *seat, const char *consequence,
    const char *remedy, const char *wrong)
{
    viommuFindingsAdd(checker->findings, id, VIOMMU_SEVERITY_ERROR, seat->line, consequence, remedy,
                      "%s %s", seat->what, wrong);
}

static void
checkHost(viommuChecker *checker, const viommuCheckSeat *seat)
{
    static const char remedy[] = "name a device that 'viommu host' lists below an SMMU";
    const virSMMU *smmu;

    if (!seat->device->haveSource)
        return;
    if (!seat->host) {
        add(checker, "V02", seat, "libvirt cannot start the domain: the device is not found",
            remedy, "is not on this host");
        return;
    }
    smmu = seat->host->smmu;
    if (!smmu) {
        add(checker, "V02", seat, "VFIO and iommufd refuse a device that nothing isolates", remedy,
            "is behind no IOMMU that the kernel drives");
    } else if (checker->nested && smmu->kind != VIR_SMMU_KIND_SMMUV3) {
        viommuFindingsAdd(checker->findings, "V02", VIOMMU_SEVERITY_ERROR, seat->line,
                          "QEMU refuses to start: Wrong data type for Host SMMUv3 device info",
                          remedy, "%s is behind '%s', which is no SMMUv3", seat->what, smmu->name);
    }
    if (checker->nested && seat->host->haveDetails && seat->host->bridge)
        add(checker, "V02", seat, "VFIO takes no bridges", "pass through an endpoint",
            "is a PCI bridge");
}

/* What follows from sharing a group with @other, by what that is. */
static const char *
sharingWords(const viommuChecker *checker, const char *other, GHashTable *assigned)
{
    const virSMMUDevice *device = NULL;
    virPCIAddr addr;

    if (g_hash_table_contains(assigned, other))
        return "QEMU refuses to start: error attach, pasid 0: Invalid argument";
    if (virPCIAddrParse(other, &addr))
        device = virSMMUTopologyFindDevice(checker->context->host, &addr);
    if (device && device->haveIds && (device->class >> 8) == 0x0604)
        return "QEMU starts, and the device fails in the guest: No such file or directory, then "
               "Illegal "
               "command";
    if (device && device->haveIds && device->driver && !strstr(device->driver, "vfio"))
        return "QEMU refuses to start: error bind device: Operation not permitted";
    return "QEMU starts, and the device fails in the guest: CMDQ error, Illegal command";
}

static void
checkGroup(viommuChecker *checker, const viommuCheckSeat *seat, GHashTable *assigned)
{
    const virSMMUGroup *group = virSMMUTopologyFindGroup(checker->context->host, seat->host->group);
    const char *other = NULL;
    size_t i;

    if (!group || group->members->len < 2)
        return;
    for (i = 0; !other && i < 2; i++) {
        const char *member = g_ptr_array_index(group->members, i);

        if (strcmp(member, seat->host->name) != 0)
            other = member;
    }
    if (!other)
        return;
    viommuFindingsAdd(checker->findings, "V16", VIOMMU_SEVERITY_ERROR, seat->line,
                      sharingWords(checker, other, assigned),
                      "use a device that is alone in its group, or a slot whose ports have ACS",
                      "%s shares IOMMU group %d with '%s'%s", seat->what, group->number, other,
                      group->members->len > 2 ? " and others" : "");
}

static void
checkRegions(viommuChecker *checker, const viommuCheckSeat *seat)
{
    const virSMMUGroup *group = virSMMUTopologyFindGroup(checker->context->host, seat->host->group);

    if (group && group->direct)
        add(checker, "V17", seat,
            "the kernel refuses it: Firmware has requested this device have a 1:1 IOMMU mapping, "
            "rejecting "
            "configuring the device without a 1:1 mapping",
            "pass through another device, or have the firmware give up its reserved region",
            "has a 'direct' reserved region");
    if (seat->host->behindBridge)
        add(checker, "V17", seat,
            "QEMU starts, and the device fails in the guest: IOMMU_VDEVICE_ALLOC failed: Operation "
            "not "
            "supported",
            "move the card to a PCI Express slot",
            "is behind a conventional PCI bridge and shares its StreamID");
}

/* The same in the guest: below a conventional bridge a device uses the bridge's StreamID. */
static void
checkGuestBridge(viommuChecker *checker, const viommuCheckSeat *seat)
{
    const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);

    if (!vsmmu || !vsmmu->accel || seat->bus->model != VIOMMU_PCI_TO_PCI_BRIDGE)
        return;
    add(checker, "V17", seat, "QEMU refuses to start: memory listener initialization failed",
        "give it an address on a root port of its own",
        "is below a pcie-to-pci-bridge of the guest and shares its StreamID");
}

/* NULL unless the domain says which host device @seat is. */
static const char *
sourceOf(const viommuCheckSeat *seat)
{
    bool named = seat->kind == VIOMMU_DEVICE_ASSIGNED && seat->device && !seat->device->network;

    return named ? seat->device->key : NULL;
}

/* Seats by the name of their host device: the first of each; the others are reported. */
static GHashTable *
checkTwice(viommuChecker *checker)
{
    GHashTable *first = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        const char *key = sourceOf(seat);
        const viommuCheckSeat *before = key ? g_hash_table_lookup(first, key) : NULL;

        if (before)
            viommuFindingsAdd(
                checker->findings, "V20", VIOMMU_SEVERITY_ERROR, seat->line,
                "libvirt refuses it: Hostdev already exists in the domain configuration",
                "remove one of the two", "%s is given twice, first in line %u", seat->what,
                before->line);
        else if (key)
            g_hash_table_insert(first, (char *)key, seat);
    }
    return first;
}

/* Once a PF is the guest's, its virtual functions are gone. */
static void
checkParents(viommuChecker *checker, GHashTable *assigned)
{
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        char name[VIR_PCI_ADDR_BUFLEN];
        const viommuCheckSeat *parent;

        if (!seat->host || !seat->host->haveDetails || !seat->host->virtualFunction)
            continue;
        parent = g_hash_table_lookup(assigned, virPCIAddrFormat(&seat->host->physfn, name));
        if (parent)
            viommuFindingsAdd(checker->findings, "V20", VIOMMU_SEVERITY_ERROR, seat->line,
                              "binding the physical function to a vfio driver removes the virtual one",
                              "remove one of the two",
                              "%s is a virtual function of %s in line %u, which is passed through too",
                              seat->what, parent->what, parent->line);
    }
}

static void
checkUsers(viommuChecker *checker, GHashTable *assigned)
{
    const GPtrArray *users = checker->context->users;
    size_t i;

    for (i = 0; users && !checker->context->later && i < users->len; i++) {
        const viommuDeviceUser *user = g_ptr_array_index(users, i);
        char name[VIR_PCI_ADDR_BUFLEN];
        const viommuCheckSeat *seat;

        if (g_strcmp0(user->domain, checker->dom->name) == 0)
            continue;
        seat = g_hash_table_lookup(assigned, virPCIAddrFormat(&user->addr, name));
        if (seat)
            viommuFindingsAdd(checker->findings, "V20", VIOMMU_SEVERITY_ERROR, seat->line,
                              "libvirt cannot start the domain: the device is in use",
                              "stop that domain, or use another device",
                              "%s is in use by the running domain '%s'", seat->what, user->domain);
    }
}

static const viommuCell *
findCell(const viommuDomain *dom, unsigned id)
{
    size_t i;

    for (i = 0; i < dom->cells->len; i++) {
        const viommuCell *cell = &g_array_index(dom->cells, viommuCell, i);

        if (cell->id == id)
            return cell;
    }
    return NULL;
}

static bool
isBoundTo(const viommuCell *cell, int node)
{
    size_t i;

    for (i = 0; i < cell->hostNodes->len; i++) {
        if (g_array_index(cell->hostNodes, unsigned, i) == (unsigned)node)
            return true;
    }
    return cell->hostNodes->len == 0;
}

static void
checkNode(viommuChecker *checker, const viommuCheckVSMMU *vsmmu, const viommuCell *cell)
{
    const viommuController *controller = vsmmu->bus->controller;
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    size_t i;

    for (i = 0; i < vsmmu->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(vsmmu->seats, i);
        const virSMMU *smmu = seat->host ? seat->host->smmu : NULL;

        if (!smmu || smmu->numaNode < 0 || !g_hash_table_add(seen, (void *)smmu) ||
            isBoundTo(cell, smmu->numaNode))
            continue;
        viommuFindingsAdd(
            checker->findings, "V21", VIOMMU_SEVERITY_WARNING,
            viommuCheckLine(checker, controller->node, "target"),
            "the guest takes memory far from the device for near",
            "name the cell that <memnode> binds to that node, or no node",
            "expander bus %u is on cell %u, whose memory is not from node %d, where '%s' is",
            controller->index, cell->id, smmu->numaNode, smmu->name);
    }
}

static void
checkNodes(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);
        const viommuCell *cell;

        if (bus->model != VIOMMU_PCI_EXPANDER || !bus->controller || bus->controller->numaNode < 0)
            continue;
        cell = findCell(checker->dom, (unsigned)bus->controller->numaNode);
        if (!cell)
            viommuFindingsAdd(
                checker->findings, "V21", VIOMMU_SEVERITY_ERROR,
                viommuCheckLine(checker, bus->controller->node, "target"),
                "libvirt refuses it: configured for a NUMA node not present in the domain's "
                "<cpu><numa> array",
                "name a cell that <numa> has",
                "expander bus %u is on cell %d, which there is "
                "not",
                bus->index, bus->controller->numaNode);
        else if (bus->vsmmu)
            checkNode(checker, bus->vsmmu, cell);
    }
}

void
viommuCheckDevices(viommuChecker *checker)
{
    g_autoptr(GHashTable) assigned = checkTwice(checker);
    size_t i;

    checkParents(checker, assigned);
    checkUsers(checker, assigned);
    checkNodes(checker);
    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);
        bool accel = checker->open ? checker->accel : vsmmu && vsmmu->accel;

        if (seat->kind != VIOMMU_DEVICE_ASSIGNED)
            continue;
        if (checker->context->host)
            checkHost(checker, seat);
        checkGuestBridge(checker, seat);
        /* which VF of a network it will be is not known */
        if (!accel || !seat->host || !seat->host->haveDetails || seat->device->network)
            continue;
        checkGroup(checker, seat, assigned);
        checkRegions(checker, seat);
    }
}
