/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Controllers and vSMMUs: numbers, places, features.
 */
#include "mutate.h"

#include <string.h>

static bool
isExpander(const mutant *mut, const mutantBus *bus, const void *data)
{
    return strcmp(bus->model, "pcie-expander-bus") == 0 && bus->busNr > 0;
}

static bool
isOtherExpander(const mutant *mut, const mutantBus *bus, const void *data)
{
    return bus != data && isExpander(mut, bus, NULL);
}

static void
setBusNr(const mutantBus *bus, int busNr)
{
    mutantSet(mutantChild(bus->node, "target"), "busNr", "%d", busNr);
}

static bool
setBusNrZero(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, isExpander, NULL);

    if (!bus)
        return false;
    setBusNr(bus, 0);
    return true;
}

/* The highest that libvirt takes leaves room for one port, and any is too many with two. */
static bool
setBusNrHigh(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, isExpander, NULL);

    if (!bus)
        return false;
    setBusNr(bus, bus->users < 2 ? 255 : 254);
    return true;
}

static bool
setBusNrTwin(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, isExpander, NULL);
    const mutantBus *other = bus ? mutantPickBus(mut, isOtherExpander, bus) : NULL;

    if (!other)
        return false;
    setBusNr(bus, other->busNr);
    return true;
}

static bool
setBusNrOverlap(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, isExpander, NULL);
    const mutantBus *other = bus ? mutantPickBus(mut, isOtherExpander, bus) : NULL;

    if (!other || bus->users == 0 || other->busNr < 2)
        return false;
    setBusNr(bus, other->busNr - 1);
    return true;
}

static bool
isPlainPort(const mutant *mut, const mutantBus *bus, const void *data)
{
    return strcmp(bus->model, "pcie-root-port") == 0 && mutantTop(mut, bus->index) == 0;
}

/* Into the numbers of the ports on pcie.0. */
static bool
setBusNrLow(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, isExpander, NULL);

    if (!bus || !mutantPickBus(mut, isPlainPort, NULL))
        return false;
    setBusNr(bus, 1);
    return true;
}

static bool
moveExpander(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, isExpander, NULL);
    const mutantBus *other = bus ? mutantPickBus(mut, isOtherExpander, bus) : NULL;
    int slot = other ? mutantFreeSlot(mut, other->index) : -1;

    if (slot < 0)
        return false;
    mutantSetAddr(bus->node, other->index, (unsigned)slot, 0);
    return true;
}

static bool
hasVSMMU(const mutant *mut, const mutantBus *bus, const void *data)
{
    return isExpander(mut, bus, NULL) && mutantFindIOMMU(mut, (int)bus->index);
}

static bool
removeExpander(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, hasVSMMU, NULL);

    if (!bus)
        return false;
    mutantRemove(bus->node);
    return true;
}

static bool
nameMissingCell(mutant *mut)
{
    const mutantBus *bus = mutantPickBus(mut, isExpander, NULL);
    xmlNode *node;

    if (!bus)
        return false;
    node = mutantNeedChild(mutantChild(bus->node, "target"), "node");
    xmlNodeSetContent(node, BAD_CAST "77");
    return true;
}

/* A port on an expander bus with an assigned device in it. */
static bool
isPortInUse(const mutant *mut, const mutantBus *bus, const void *data)
{
    guint i;

    for (i = 0; i < mut->assigned->len && strcmp(bus->model, "pcie-root-port") == 0; i++) {
        const mutantSeat *seat = &g_array_index(mut->assigned, mutantSeat, i);

        if (seat->bus == bus->index && seat->host && seat->top > 0)
            return true;
    }
    return false;
}

static bool
movePortToRoot(mutant *mut)
{
    const mutantBus *port = mutantPickBus(mut, isPortInUse, NULL);
    int slot = port ? mutantFreeSlot(mut, 0) : -1;

    if (slot < 0)
        return false;
    mutantSetAddr(port->node, 0, (unsigned)slot, 0);
    return true;
}

static const randomDevice *
deviceIn(const mutant *mut, const mutantBus *port)
{
    guint i;

    for (i = 0; i < mut->assigned->len; i++) {
        const mutantSeat *seat = &g_array_index(mut->assigned, mutantSeat, i);

        if (seat->bus == port->index && seat->host)
            return seat->host;
    }
    return NULL;
}

static bool
isPortOfOther(const mutant *mut, const mutantBus *bus, const void *data)
{
    const mutantBus *port = data;

    return isPortInUse(mut, bus, NULL) && bus->bus != port->bus &&
           deviceIn(mut, bus)->smmu != deviceIn(mut, port)->smmu;
}

static bool
movePortToOther(mutant *mut)
{
    const mutantBus *port = mutantPickBus(mut, isPortInUse, NULL);
    const mutantBus *other = port ? mutantPickBus(mut, isPortOfOther, port) : NULL;
    int slot = other ? mutantFreeSlot(mut, other->bus) : -1;

    if (slot < 0)
        return false;
    mutantSetAddr(port->node, other->bus, (unsigned)slot, 0);
    return true;
}

static bool
removePort(mutant *mut)
{
    const mutantBus *port = mutantPickBus(mut, isPortInUse, NULL);

    if (!port)
        return false;
    mutantRemove(port->node);
    return true;
}

static bool
hangPortOnItself(mutant *mut)
{
    const mutantBus *port = mutantPickBus(mut, isPortInUse, NULL);

    if (!port)
        return false;
    mutantSetAddr(port->node, port->index, 0, 0);
    return true;
}

static bool
repeatIndex(mutant *mut)
{
    const mutantBus *port = mutantPickBus(mut, isPortInUse, NULL);

    if (!port)
        return false;
    mutantSet(port->node, "index", "%u", port->bus);
    return true;
}

static bool
isOtherPort(const mutant *mut, const mutantBus *bus, const void *data)
{
    return bus != data && strcmp(bus->model, "pcie-root-port") == 0;
}

static bool
repeatChassis(mutant *mut)
{
    const mutantBus *port = mutantPickBus(mut, isPortInUse, NULL);
    const mutantBus *other = port ? mutantPickBus(mut, isOtherPort, port) : NULL;

    if (!other)
        return false;
    mutantSet(mutantNeedChild(port->node, "target"), "chassis", "%u", other->chassis);
    return true;
}

/* vSMMUs */

static bool
hasDevices(const mutant *mut, const mutantIOMMU *iommu, const void *data)
{
    return iommu->pciBus > 0 && mutantCountBelow(mut, iommu->pciBus) > 0;
}

static bool
hasNone(const mutant *mut, const mutantIOMMU *iommu, const void *data)
{
    return iommu->pciBus > 0 && mutantCountBelow(mut, iommu->pciBus) == 0;
}

static bool
nameMissingBus(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);
    int index = iommu ? mutantFreeIndex(mut) : -1;

    if (index < 0)
        return false;
    mutantSet(iommu->driver, "pciBus", "%d", index);
    return true;
}

static bool
nameRoot(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, hasDevices, NULL);

    if (!iommu)
        return false;
    mutantSet(iommu->driver, "pciBus", "0");
    return true;
}

static bool
namePort(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);
    const mutantBus *port = iommu ? mutantPickBus(mut, isOtherPort, NULL) : NULL;

    if (!port)
        return false;
    mutantSet(iommu->driver, "pciBus", "%u", port->index);
    return true;
}

static bool
isOtherIOMMU(const mutant *mut, const mutantIOMMU *iommu, const void *data)
{
    return iommu != data;
}

static bool
nameBusOfOther(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);
    const mutantIOMMU *other = iommu ? mutantPickIOMMU(mut, isOtherIOMMU, iommu) : NULL;

    if (!other)
        return false;
    mutantSet(iommu->driver, "pciBus", "%d", other->pciBus);
    return true;
}

static bool
nameNoBus(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, hasDevices, NULL);

    if (!iommu)
        return false;
    xmlUnsetProp(iommu->driver, BAD_CAST "pciBus");
    return true;
}

static bool
dropAccel(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);

    if (!iommu)
        return false;
    xmlUnsetProp(iommu->driver, BAD_CAST "accel");
    return true;
}

static bool
turnAccelOff(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);

    if (!iommu)
        return false;
    mutantSet(iommu->driver, "accel", "off");
    return true;
}

static bool
removeIOMMU(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, hasDevices, NULL);

    if (!iommu)
        return false;
    mutantRemove(iommu->node);
    return true;
}

static bool
addTwin(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);

    if (!iommu)
        return false;
    xmlAddNextSibling(iommu->node, xmlCopyNode(iommu->node, 1));
    return true;
}

static bool
addIOMMU(mutant *mut, const char *model)
{
    if (mut->iommus->len == 0)
        return false;
    mutantSet(xmlNewChild(mut->devices, NULL, BAD_CAST "iommu", NULL), "model", "%s", model);
    return true;
}

static bool
addVirtioIOMMU(mutant *mut)
{
    return addIOMMU(mut, "virtio");
}

static bool
addWholeMachine(mutant *mut)
{
    return addIOMMU(mut, "smmuv3");
}

static bool
misspellFeature(mutant *mut)
{
    static const struct {
        const char *name;
        const char *value;
    } all[] = {
        { "ssidsize", "21" }, { "oas", "52" }, { "ats", "yes" }, { "cmdqv", "1" }, { "SSIDSize", "4" },
    };
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, NULL, NULL);
    size_t i = (size_t)g_rand_int_range(mut->rand, 0, G_N_ELEMENTS(all));

    if (!iommu)
        return false;
    mutantSet(iommu->driver, all[i].name, "%s", all[i].value);
    return true;
}

/* What the physical SMMU under @iommu does not have. */
static bool
askTooMuch(const mutant *mut, const mutantIOMMU *iommu)
{
    guint i;

    for (i = 0; i < mut->assigned->len; i++) {
        const mutantSeat *seat = &g_array_index(mut->assigned, mutantSeat, i);
        const randomSMMU *smmu = seat->host ? g_ptr_array_index(mut->host->smmus, seat->host->smmu) : NULL;

        if (seat->top != iommu->pciBus || !smmu || !smmu->probed)
            continue;
        if (!smmu->ats)
            mutantSet(iommu->driver, "ats", "on");
        else if (!smmu->ril)
            mutantSet(iommu->driver, "ril", "on");
        else if (smmu->outputBits == 44)
            mutantSet(iommu->driver, "oas", "48");
        else if (smmu->ssidBits < 20)
            mutantSet(iommu->driver, "ssidsize", "20");
        else if (!smmu->cmdqv)
            mutantSet(iommu->driver, "cmdqv", "on");
        else
            return false;
        return true;
    }
    return false;
}

static bool
askForMissing(mutant *mut)
{
    guint i;

    for (i = 0; i < mut->iommus->len; i++) {
        if (askTooMuch(mut, &g_array_index(mut->iommus, mutantIOMMU, i)))
            return true;
    }
    return false;
}

static bool
isCrowded(const mutant *mut, const mutantIOMMU *iommu, const void *data)
{
    return iommu->pciBus > 0 && mutantCountBelow(mut, iommu->pciBus) > 16;
}

static bool
crowdCmdqv(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, isCrowded, NULL);

    if (!iommu)
        return false;
    mutantSet(iommu->driver, "cmdqv", "on");
    return true;
}

static bool
emptyWithCmdqv(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, hasNone, NULL);

    if (!iommu)
        return false;
    mutantSet(iommu->driver, "cmdqv", "on");
    return true;
}

static bool
emptyWithAuto(mutant *mut)
{
    const mutantIOMMU *iommu = mutantPickIOMMU(mut, hasNone, NULL);

    if (!iommu)
        return false;
    xmlUnsetProp(iommu->driver, BAD_CAST "ril");
    return true;
}

const mutation mutationsOfBuses[] = {
    { "busNr 0", false, setBusNrZero },
    { "busNr too high for the ports", false, setBusNrHigh },
    { "busNr of another expander bus", false, setBusNrTwin },
    { "busNr that reaches into another expander bus", false, setBusNrOverlap },
    { "busNr among those of pcie.0", false, setBusNrLow },
    { "expander bus on an expander bus", false, moveExpander },
    { "expander bus removed", false, removeExpander },
    { "expander bus on a cell that is not there", false, nameMissingCell },
    { "port moved to pcie.0", false, movePortToRoot },
    { "port moved to the vSMMU of another SMMU", false, movePortToOther },
    { "port removed", false, removePort },
    { "port on itself", false, hangPortOnItself },
    { "index given twice", false, repeatIndex },
    { "chassis given twice", false, repeatChassis },
    { "pciBus of no controller", false, nameMissingBus },
    { "pciBus of pcie-root", false, nameRoot },
    { "pciBus of a port", false, namePort },
    { "pciBus of another vSMMU", false, nameBusOfOther },
    { "pciBus dropped", false, nameNoBus },
    { "accel dropped", true, dropAccel },
    { "accel off", true, turnAccelOff },
    { "iommu removed", false, removeIOMMU },
    { "two iommus on one bus", false, addTwin },
    { "virtio-iommu beside", false, addVirtioIOMMU },
    { "smmuv3 of the whole machine beside", false, addWholeMachine },
    { "feature with a value that means nothing", false, misspellFeature },
    { "feature that the SMMU does not have", true, askForMissing },
    { "cmdqv with more than 16 devices", true, crowdCmdqv },
    { "cmdqv without device", true, emptyWithCmdqv },
    { "auto without device", true, emptyWithAuto },
};
const size_t mutationsOfBusesCount = G_N_ELEMENTS(mutationsOfBuses);
