/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt 12.8 adds to a domain of an aarch64 "virt" machine when it is defined, and where it
 * puts the devices without address: tried with that version, one kind of device at a time
 * (docs/libvirt.rst).
 *
 * PCIe devices take free root or downstream ports, lowest index first, wherever these are: also
 * below an expander bus. Conventional ones share a pcie-to-pci-bridge, which takes such a port
 * itself. Ports that are missing are added on pcie.0.
 */
#include "viommu_check_priv.h"

#define BRIDGE_SLOTS 31 /* 1-31; slot 0 of a pcie-to-pci-bridge stays empty */

typedef struct {
    viommuChecker *checker;
    viommuCheckBus *root;
    unsigned lastIndex; /* highest that is used */
    GPtrArray *ports;   /* of viommuCheckBus: free ports, by index */
    size_t nextPort;
    GPtrArray *pciBuses; /* of viommuCheckBus: conventional, by index */
    size_t nextPCI;
} completion;

static unsigned
highestIndex(const viommuChecker *checker)
{
    unsigned highest = 0;
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);

        highest = MAX(highest, bus->index);
        if (bus->controller && bus->controller->hasAddr)
            highest = MAX(highest, bus->controller->addr.bus);
    }
    for (i = 0; i < checker->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(checker->dom->devices, i);

        if (device->hasAddr)
            highest = MAX(highest, device->addr.bus);
    }
    return highest;
}

void
viommuCheckAddGaps(viommuChecker *checker)
{
    unsigned highest = highestIndex(checker);
    unsigned index;

    for (index = 1; index <= highest; index++) {
        if (!checker->byIndex[index])
            viommuCheckerAddBus(checker, index, VIOMMU_PCI_ROOT_PORT, checker->byIndex[0]);
    }
}

static int
compareIndex(const void *a, const void *b)
{
    const viommuCheckBus *one = *(viommuCheckBus *const *)a;
    const viommuCheckBus *two = *(viommuCheckBus *const *)b;

    return one->index < two->index ? -1 : one->index > two->index;
}

/* The first pass added as many as it takes. */
static viommuCheckBus *
takePort(completion *todo)
{
    viommuCheckBus *port;

    if (todo->nextPort >= todo->ports->len)
        return NULL;
    port = g_ptr_array_index(todo->ports, todo->nextPort++);
    port->users++;
    return port;
}

static viommuCheckBus *
takeBridgeSlot(completion *todo)
{
    viommuCheckBus *bus;

    for (; todo->nextPCI < todo->pciBuses->len; todo->nextPCI++) {
        bus = g_ptr_array_index(todo->pciBuses, todo->nextPCI);
        if (bus->users < BRIDGE_SLOTS) {
            bus->users++;
            return bus;
        }
    }
    return NULL;
}

/* As libvirt's list has them: those whose index it chose come first, then by index. */
static int
compareNeedy(const void *a, const void *b)
{
    const viommuCheckBus *one = *(viommuCheckBus *const *)a;
    const viommuCheckBus *two = *(viommuCheckBus *const *)b;
    bool oneChosen = one->controller && !one->controller->indexGiven;
    bool twoChosen = two->controller && !two->controller->indexGiven;

    return oneChosen != twoChosen ? twoChosen - oneChosen : compareIndex(a, b);
}

/* True for controllers that take a port of their own and do not say which. */
static bool
needsPort(const viommuCheckBus *bus)
{
    return (bus->model == VIOMMU_PCI_UPSTREAM || bus->model == VIOMMU_PCI_TO_PCI_BRIDGE) &&
           !bus->parent && !(bus->controller && bus->controller->hasAddr);
}

static GPtrArray *
listNeedy(const viommuChecker *checker)
{
    GPtrArray *needy = g_ptr_array_new();
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);

        if (needsPort(bus))
            g_ptr_array_add(needy, bus);
    }
    g_ptr_array_sort(needy, compareNeedy);
    return needy;
}

/* A controller that libvirt adds; ports hang on pcie.0, bridges are given a port later. */
static void
addController(completion *todo, viommuPCIModel model)
{
    bool port = model == VIOMMU_PCI_ROOT_PORT;

    viommuCheckerAddBus(todo->checker, ++todo->lastIndex, model, port ? todo->root : NULL);
    if (port)
        todo->root->users++;
}

/* Takes one of @free, or adds a port. */
static void
countPort(completion *todo, size_t *free)
{
    if (*free > 0)
        (*free)--;
    else
        addController(todo, VIOMMU_PCI_ROOT_PORT);
}

static size_t
countFreeSlots(const completion *todo)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < todo->pciBuses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(todo->pciBuses, i);

        count += bus->users < BRIDGE_SLOTS ? BRIDGE_SLOTS - bus->users : 0;
    }
    return count;
}

/* libvirt's first pass: what must be added for all that wants a place. With a bridge comes a port
 * for it, even where one is free; the bridge takes the first that is, all the same. */
static void
addMissing(completion *todo, const GPtrArray *needy, const GPtrArray *waiting)
{
    size_t ports = todo->ports->len;
    size_t slots = countFreeSlots(todo);
    size_t bridges = needy->len;
    size_t i;

    for (; bridges > 0; bridges--)
        countPort(todo, &ports);
    for (i = 0; i < waiting->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(waiting, i);

        if (seat->kind == VIOMMU_DEVICE_PCI) {
            if (slots == 0) {
                addController(todo, VIOMMU_PCI_ROOT_PORT);
                addController(todo, VIOMMU_PCI_TO_PCI_BRIDGE);
                ports++;
                slots = BRIDGE_SLOTS;
                bridges++;
            }
            slots--;
        } else if (seat->kind != VIOMMU_DEVICE_ROOT) {
            countPort(todo, &ports);
        }
    }
    for (; bridges > 0; bridges--)
        countPort(todo, &ports);
}

/* A downstream port without address goes to the first switch that has room. */
static void
placeDownstream(viommuChecker *checker)
{
    viommuCheckBus *upstream = NULL;
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);

        if (bus->model == VIOMMU_PCI_UPSTREAM && (!upstream || bus->index < upstream->index))
            upstream = bus;
    }
    for (i = 0; upstream && i < checker->buses->len; i++) {
        viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);

        if (bus->model == VIOMMU_PCI_DOWNSTREAM && bus->controller && !bus->controller->hasAddr) {
            bus->parent = upstream;
            upstream->users++;
        }
    }
}

static void
placeSeat(completion *todo, viommuCheckSeat *seat)
{
    seat->chosen = true;
    switch (seat->kind) {
    case VIOMMU_DEVICE_ASSIGNED:
    case VIOMMU_DEVICE_PCIE:
        seat->bus = takePort(todo);
        break;
    case VIOMMU_DEVICE_PCI:
        seat->bus = takeBridgeSlot(todo);
        break;
    case VIOMMU_DEVICE_ROOT:
        seat->bus = todo->root;
        seat->bus->users++;
        break;
    case VIOMMU_DEVICE_NONE:
        break;
    }
}

/* The free ports and the conventional buses, as they are now. */
static void
listFree(completion *todo)
{
    size_t i;

    g_ptr_array_set_size(todo->ports, 0);
    g_ptr_array_set_size(todo->pciBuses, 0);
    for (i = 0; i < todo->checker->buses->len; i++) {
        viommuCheckBus *bus = g_ptr_array_index(todo->checker->buses, i);
        bool port = bus->model == VIOMMU_PCI_ROOT_PORT || bus->model == VIOMMU_PCI_DOWNSTREAM;

        todo->lastIndex = MAX(todo->lastIndex, bus->index);
        if (port && bus->users == 0)
            g_ptr_array_add(todo->ports, bus);
        else if (bus->model == VIOMMU_PCI_TO_PCI_BRIDGE)
            g_ptr_array_add(todo->pciBuses, bus);
    }
    g_ptr_array_sort(todo->ports, compareIndex);
    g_ptr_array_sort(todo->pciBuses, compareIndex);
}

/* The second pass: controllers come first, the added ones too. */
static void
placeAll(completion *todo, const GPtrArray *needy, const GPtrArray *waiting)
{
    size_t i;

    for (i = 0; i < needy->len; i++)
        ((viommuCheckBus *)g_ptr_array_index(needy, i))->parent = takePort(todo);
    for (i = 0; i < waiting->len; i++)
        placeSeat(todo, g_ptr_array_index(waiting, i));
}

/* Those that want a place, in the order in which they get it. */
static GPtrArray *
listWaiting(const viommuChecker *checker)
{
    GPtrArray *waiting = g_ptr_array_new();
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        if (seat->device && seat->device->hasAddr)
            continue;
        g_ptr_array_add(waiting, seat);
    }
    viommuCheckSortSeats(checker, waiting);
    return waiting;
}

void
viommuCheckComplete(viommuChecker *checker)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    g_autoptr(GPtrArray) pciBuses = g_ptr_array_new();
    g_autoptr(GPtrArray) needy = NULL;
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GPtrArray) waiting = NULL;
    completion todo = {
        .checker = checker, .root = checker->byIndex[0], .ports = ports, .pciBuses = pciBuses
    };

    if (!todo.root || todo.root->model != VIOMMU_PCI_ROOT)
        return;
    viommuCheckAddImplicit(checker);
    placeDownstream(checker);
    waiting = listWaiting(checker);
    needy = listNeedy(checker);
    listFree(&todo);
    addMissing(&todo, needy, waiting);
    all = listNeedy(checker);
    listFree(&todo);
    placeAll(&todo, all, waiting);
}
