/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host devices of a domain, one by one: is there such a device behind an SMMUv3 (V02), is it
 * alone in its IOMMU group (V16), free of 1:1 mappings and shared StreamIDs (V17), given once only
 * (V20), and on the NUMA node that its bus claims (V21).
 */
#include "viommu_check_priv.h"
#include "viommu_words.h"

#include <string.h>

/* Where it was when the domain was placed tells which of the host's devices it is now. */
static void
checkAbsent(viommuChecker *checker, const viommuCheckSeat *seat)
{
    const char *noted = viommuDomainNotedSMMU(checker->dom, seat->device->key);
    g_autofree char *anew = viommuCheckAnew(checker->dom, "write the address that 'viommu host' shows for it now, and ");

    if (!noted)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_ABSENT, seat->line, seat->what, NULL);
    else
        viommuFindingsAdd(checker->findings, "V02", VIOMMU_SEVERITY_ERROR, seat->line,
                          "libvirt cannot start the domain: the device is not found", anew,
                          "%s is not on this host; it was behind '%s' when it was placed", seat->what, noted);
}

static void
checkHost(viommuChecker *checker, const viommuCheckSeat *seat)
{
    const virSMMU *smmu;

    if (!seat->device->haveSource)
        return;
    if (!seat->host) {
        checkAbsent(checker, seat);
        return;
    }
    smmu = seat->host->smmu;
    if (!smmu)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_NO_IOMMU, seat->line, seat->what, NULL);
    else if (checker->nested && smmu->kind != VIR_SMMU_KIND_SMMUV3)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_NO_SMMUV3, seat->line, seat->what, smmu->name);
    if (checker->nested && seat->host->haveDetails && seat->host->bridge)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_BRIDGE, seat->line, seat->what, NULL);
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
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_DIRECT, seat->line, seat->what, NULL);
    if (seat->host->behindBridge)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_ALIASED, seat->line, seat->what, NULL);
}

/* The same in the guest: below a conventional bridge a device uses the bridge's StreamID. */
static void
checkGuestBridge(viommuChecker *checker, const viommuCheckSeat *seat)
{
    const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);

    if (!vsmmu || !vsmmu->accel || seat->bus->model != VIOMMU_PCI_TO_PCI_BRIDGE)
        return;
    viommuFindingsAdd(checker->findings, "V17", VIOMMU_SEVERITY_ERROR, seat->line,
                      "QEMU refuses to start: memory listener initialization failed",
                      "give it an address on a root port of its own",
                      "%s is below a pcie-to-pci-bridge of the guest and shares its StreamID", seat->what);
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

        g_autofree char *line = before ? g_strdup_printf("%u", before->line) : NULL;

        if (before)
            viommuWordsAdd(checker->findings, VIOMMU_WORDS_TWICE, seat->line, seat->what, line);
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
        if (parent) {
            g_autofree char *other = g_strdup_printf("%s in line %u", parent->what, parent->line);

            viommuWordsAdd(checker->findings, VIOMMU_WORDS_CHILD, seat->line, seat->what, other);
        }
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
