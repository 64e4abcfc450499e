/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices in wrong places, and wrong devices in right ones.
 */
#include "mutate.h"

#include <string.h>

size_t
mutateCount(void)
{
    return mutationsOfPlacesCount + mutationsOfBusesCount + mutationsOfDomainCount;
}

const mutation *
mutateKind(size_t i)
{
    if (i < mutationsOfPlacesCount)
        return &mutationsOfPlaces[i];
    i -= mutationsOfPlacesCount;
    return i < mutationsOfBusesCount ? &mutationsOfBuses[i]
                                     : &mutationsOfDomain[i - mutationsOfBusesCount];
}

char *
mutateApply(const mutation *kind, const char *xml, const randomHost *host, GRand *rand)
{
    mutant mut;
    char *text = NULL;

    mutantInit(&mut, xml, host, rand);
    if (kind->apply(&mut))
        text = mutantFormat(&mut);
    mutantClear(&mut);
    return text;
}

static bool
isBelow(const mutant *mut, const mutantSeat *seat, const void *data)
{
    return seat->top > 0;
}

static bool
hasHost(const mutant *mut, const mutantSeat *seat, const void *data)
{
    return seat->host && seat->top > 0;
}

/* Below another vSMMU than @data, and of another physical SMMU. */
static bool
isStranger(const mutant *mut, const mutantSeat *seat, const void *data)
{
    const mutantSeat *other = data;

    return hasHost(mut, seat, NULL) && seat->top != other->top && seat->host->smmu != other->host->smmu;
}

static bool
moveToOtherSMMU(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, hasHost, NULL);
    mutantSeat *other = seat ? mutantPickSeat(mut, isStranger, seat) : NULL;
    int function = other ? mutantFreeFunction(mut, other->bus) : -1;

    if (function < 0)
        return false;
    mutantSetAddr(seat->node, other->bus, 0, (unsigned)function);
    return true;
}

static bool
moveToRoot(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, isBelow, NULL);
    int slot = seat ? mutantFreeSlot(mut, 0) : -1;

    if (slot < 0)
        return false;
    mutantSetAddr(seat->node, 0, (unsigned)slot, 0);
    return true;
}

static bool
isFreePlainPort(const mutant *mut, const mutantBus *bus, const void *data)
{
    return strcmp(bus->model, "pcie-root-port") == 0 && bus->users == 0 && mutantTop(mut, bus->index) == 0;
}

static bool
moveToPlainPort(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, isBelow, NULL);
    const mutantBus *port = seat ? mutantPickBus(mut, isFreePlainPort, NULL) : NULL;

    if (!port)
        return false;
    mutantSetAddr(seat->node, port->index, 0, 0);
    return true;
}

static bool
moveOntoExpander(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, isBelow, NULL);
    int slot = seat ? mutantFreeSlot(mut, (unsigned)seat->top) : -1;

    if (slot < 0)
        return false;
    mutantSetAddr(seat->node, (unsigned)seat->top, (unsigned)slot, 0);
    return true;
}

static bool
moveToNowhere(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, isBelow, NULL);
    int index = seat ? mutantFreeIndex(mut) : -1;

    if (index < 0)
        return false;
    mutantSetAddr(seat->node, (unsigned)index, 0, 0);
    return true;
}

static bool
isNotThis(const mutant *mut, const mutantSeat *seat, const void *data)
{
    return seat != data;
}

static bool
shareAddress(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, NULL, NULL);
    mutantSeat *other = seat ? mutantPickSeat(mut, isNotThis, seat) : NULL;

    if (!other)
        return false;
    mutantSetAddr(seat->node, other->bus, other->slot, other->function);
    return true;
}

static bool
isAlone(const mutant *mut, const mutantSeat *seat, const void *data)
{
    const mutantBus *bus = mutantFindBus(mut, seat->bus);

    return seat->top > 0 && bus && bus->users == 1;
}

static bool
loseFunctionZero(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, isAlone, NULL);

    if (!seat)
        return false;
    mutantSetAddr(seat->node, seat->bus, 0, 1);
    return true;
}

static bool
takeSlotOfPort(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, isAlone, NULL);

    if (!seat)
        return false;
    mutantSetAddr(seat->node, seat->bus, 1, 0);
    return true;
}

static bool
isPortBelow(const mutant *mut, const mutantBus *bus, const void *data)
{
    int top = mutantTop(mut, bus->index);

    return strcmp(bus->model, "pcie-root-port") == 0 && top > 0 && mutantFindIOMMU(mut, top) &&
           mutantFreeFunction(mut, bus->index) >= 0;
}

static void
addEmulated(const mutant *mut, unsigned bus, unsigned slot, unsigned function)
{
    xmlNode *node = xmlNewChild(mut->devices, NULL, BAD_CAST "input", NULL);

    mutantSet(node, "type", "mouse");
    mutantSet(node, "bus", "virtio");
    mutantSetAddr(node, bus, slot, function);
}

static bool
addEmulatedBelow(mutant *mut)
{
    const mutantBus *port = mutantPickBus(mut, isPortBelow, NULL);

    if (!port)
        return false;
    addEmulated(mut, port->index, 0, (unsigned)mutantFreeFunction(mut, port->index));
    return true;
}

static bool
addEmulatedOnExpander(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);
    int slot = iommu ? mutantFreeSlot(mut, (unsigned)iommu->pciBus) : -1;

    if (slot < 0)
        return false;
    addEmulated(mut, (unsigned)iommu->pciBus, (unsigned)slot, 0);
    return true;
}

static bool
isFreePort(const mutant *mut, const mutantBus *bus)
{
    return strcmp(bus->model, "pcie-root-port") == 0 && bus->users == 0;
}

/* An emulated device loses its address where libvirt will then choose a spare port: a free one below a vSMMU
 * with a lower index than any free one on pcie.0, and than any index that libvirt gives such a port. */
static bool
loosenEmulated(mutant *mut)
{
    unsigned spare = G_MAXUINT;
    unsigned plain = G_MAXUINT;
    guint i;

    for (i = 0; i < mut->buses->len; i++) {
        const mutantBus *bus = &g_array_index(mut->buses, mutantBus, i);
        unsigned *lowest = mutantTop(mut, bus->index) > 0 ? &spare : &plain;

        if (isFreePort(mut, bus))
            *lowest = MIN(*lowest, bus->index);
    }
    for (i = 1; mutantFindBus(mut, i); i++)
        ;
    plain = MIN(plain, i);
    for (i = 0; i < mut->emulated->len && spare < plain; i++) {
        mutantSeat *seat = &g_array_index(mut->emulated, mutantSeat, i);
        const mutantBus *port = mutantFindBus(mut, seat->bus);

        if (!port || strcmp(port->model, "pcie-root-port") != 0 || port->users != 1 || port->index < spare ||
            !mutantFindIOMMU(mut, mutantTop(mut, spare)))
            continue;
        mutantRemove(mutantChild(seat->node, "address"));
        return true;
    }
    return false;
}

static bool
isHostdev(const mutant *mut, const mutantSeat *seat, const void *data)
{
    return seat->host != NULL;
}

static bool
addTwin(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, isHostdev, NULL);
    xmlNode *copy;

    if (!seat)
        return false;
    copy = xmlAddNextSibling(seat->node, xmlCopyNode(seat->node, 1));
    mutantRemove(mutantChild(copy, "address"));
    return true;
}

static void
setSource(const mutantSeat *seat, const randomDevice *device)
{
    xmlNode *addr = mutantChild(mutantChild(seat->node, "source"), "address");

    mutantSet(addr, "domain", "0x%04x", device->segment);
    mutantSet(addr, "bus", "0x%02x", device->bus);
    mutantSet(addr, "slot", "0x%02x", device->slot);
    mutantSet(addr, "function", "0x%x", device->function);
}

static bool
isAssigned(const mutant *mut, const randomDevice *device)
{
    guint i;

    for (i = 0; i < mut->assigned->len; i++) {
        if (g_array_index(mut->assigned, mutantSeat, i).host == device)
            return true;
    }
    return false;
}

/* There is another device below the same vSMMU. */
static bool
hasCompany(const mutant *mut, const mutantSeat *seat, const void *data)
{
    guint i;

    for (i = 0; hasHost(mut, seat, NULL) && i < mut->assigned->len; i++) {
        const mutantSeat *other = &g_array_index(mut->assigned, mutantSeat, i);

        if (other != seat && other->host && other->top == seat->top)
            return true;
    }
    return false;
}

static bool
changeSource(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, hasCompany, NULL);
    guint i;

    for (i = 0; seat && i < mut->host->devices->len; i++) {
        const randomDevice *device = g_ptr_array_index(mut->host->devices, i);

        if (!randomDeviceIsGood(mut->host, device) || device->smmu == seat->host->smmu ||
            isAssigned(mut, device))
            continue;
        setSource(seat, device);
        return true;
    }
    return false;
}

static bool
changeSourceToNone(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, hasHost, NULL);

    if (!seat)
        return false;
    mutantSet(mutantChild(mutantChild(seat->node, "source"), "address"), "domain", "0xfffe");
    return true;
}

static bool
changeSourceToBad(mutant *mut, randomDeviceKind kind)
{
    mutantSeat *seat = mutantPickSeat(mut, hasHost, NULL);
    guint i;

    for (i = 0; seat && i < mut->host->devices->len; i++) {
        const randomDevice *device = g_ptr_array_index(mut->host->devices, i);

        if (device->kind != kind)
            continue;
        setSource(seat, device);
        return true;
    }
    return false;
}

static bool
changeSourceToPort(mutant *mut)
{
    return changeSourceToBad(mut, RANDOM_DEVICE_PORT);
}

static bool
changeSourceToUntranslated(mutant *mut)
{
    return changeSourceToBad(mut, RANDOM_DEVICE_UNTRANSLATED);
}

static bool
changeSourceToGrouped(mutant *mut)
{
    return changeSourceToBad(mut, RANDOM_DEVICE_GROUPED);
}

static bool
changeSourceToDirect(mutant *mut)
{
    return changeSourceToBad(mut, RANDOM_DEVICE_DIRECT);
}

static bool
changeSourceToAliased(mutant *mut)
{
    return changeSourceToBad(mut, RANDOM_DEVICE_ALIASED);
}

static bool
refuseIommufd(mutant *mut)
{
    mutantSeat *seat = mutantPickSeat(mut, hasHost, NULL);

    if (!seat)
        return false;
    mutantSet(mutantNeedChild(seat->node, "driver"), "iommufd", "no");
    return true;
}

const mutation mutationsOfPlaces[] = {
    { "device below the vSMMU of another SMMU", false, moveToOtherSMMU },
    { "device on pcie.0", false, moveToRoot },
    { "device on a port of pcie.0", false, moveToPlainPort },
    { "device directly on an expander bus", false, moveOntoExpander },
    { "device on a bus that is not there", false, moveToNowhere },
    { "two devices at one guest address", false, shareAddress },
    { "device without its function 0", false, loseFunctionZero },
    { "device in slot 1 of a port", false, takeSlotOfPort },
    { "emulated device below a vSMMU", true, addEmulatedBelow },
    { "emulated device directly on an expander bus", false, addEmulatedOnExpander },
    { "emulated device that libvirt puts into a spare port", true, loosenEmulated },
    { "hostdev twice", false, addTwin },
    { "source behind another SMMU", false, changeSource },
    { "source that is not there", false, changeSourceToNone },
    { "source that is a port", false, changeSourceToPort },
    { "source behind no SMMU", false, changeSourceToUntranslated },
    { "source that shares its group", true, changeSourceToGrouped },
    { "source with a direct region", true, changeSourceToDirect },
    { "source behind a conventional bridge", true, changeSourceToAliased },
    { "device with iommufd='no'", true, refuseIommufd },
};
const size_t mutationsOfPlacesCount = G_N_ELEMENTS(mutationsOfPlaces);
