/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who sits where in the guest: keeps the addresses that are given, and finds places for what has none.
 */
#include "qemu_viommu_place.h"
#include "viommuerror.h"

#include <string.h>

#define INDEX_MAX 255

/* True if an earlier expansion made the controller and the plan, which does not have it, drops it. */
static bool
isStale(const viommuDomain *dom, unsigned index)
{
    size_t i;
    size_t j;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        if (placed->controller == index && placed->generated)
            return true;
        for (j = 0; j < placed->ports->len; j++) {
            const viommuPlacedPort *port = g_ptr_array_index(placed->ports, j);

            if (port->controller == index && port->generated)
                return true;
        }
    }
    return false;
}

bool
qemuViommuBusesHasAddress(const GPtrArray *buses, const viommuDomain *dom, const viommuDevice *device)
{
    return device->hasAddr &&
           (qemuViommuBusFind(buses, device->addr.bus) || !isStale(dom, device->addr.bus));
}

static bool
useAddress(GPtrArray *buses, const viommuGuestAddr *addr, unsigned line, GError **error)
{
    qemuViommuBus *bus = qemuViommuBusFind(buses, addr->bus);

    if (addr->domain != 0) {
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                      "the guest has one PCI segment; write domain='0x0000' in the <address>");
        return false;
    }
    if (!bus) {
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                      "the <address> names bus 0x%02x, but there is no PCI controller with index='%u'; "
                      "add it or remove the <address>", addr->bus, addr->bus);
        return false;
    }
    if (bus->used[addr->slot] & (1u << addr->function)) {
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                      "the address 0000:%02x:%02x.%x is used twice; give each device its own", addr->bus,
                      addr->slot, addr->function);
        return false;
    }
    bus->used[addr->slot] |= (uint8_t)(1u << addr->function);
    return true;
}

/* The lowest slot of pcie.0 without any function. */
static bool
freeRootSlot(GPtrArray *buses, unsigned line, viommuGuestAddr *ret_addr, GError **error)
{
    const qemuViommuBus *root = qemuViommuBusFind(buses, 0);
    unsigned slot;

    for (slot = 1; slot < QEMU_VIOMMU_SLOTS; slot++) {
        if (root->used[slot] == 0) {
            *ret_addr = (viommuGuestAddr){ .slot = slot };
            return useAddress(buses, ret_addr, line, error);
        }
    }
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                  "all %d slots of pcie.0 are in use; put root ports into functions of one slot",
                  QEMU_VIOMMU_SLOTS - 1);
    return false;
}

/* Root ports without address share slots, eight in each, as libvirt packs them. */
static bool
placePort(GPtrArray *buses, qemuViommuBus *port, GError **error)
{
    const qemuViommuBus *root = qemuViommuBusFind(buses, 0);
    size_t i;

    port->hasAddr = true;
    for (i = 0; i < buses->len; i++) {
        qemuViommuBus *first = g_ptr_array_index(buses, i);
        unsigned function;

        if (first == port || !first->packed || root->used[first->addr.slot] == 0xff)
            continue;
        for (function = 1; root->used[first->addr.slot] & (1u << function); function++)
            ;
        port->addr = (viommuGuestAddr){ .slot = first->addr.slot, .function = function };
        port->port = port->addr.slot * QEMU_VIOMMU_FUNCTIONS + function;
        return useAddress(buses, &port->addr, port->line, error);
    }
    port->packed = true;
    if (!freeRootSlot(buses, port->line, &port->addr, error))
        return false;
    port->port = port->addr.slot * QEMU_VIOMMU_FUNCTIONS;
    return true;
}

static bool
placeOnPort(GPtrArray *buses, unsigned line, viommuGuestAddr *ret_addr, GError **error)
{
    static const uint8_t empty[QEMU_VIOMMU_SLOTS] = { 0 };
    qemuViommuBus *best = NULL;
    unsigned last = 0;
    size_t i;

    for (i = 0; i < buses->len; i++) {
        qemuViommuBus *bus = g_ptr_array_index(buses, i);

        last = MAX(last, bus->index);
        if (bus->model == VIOMMU_PCI_ROOT_PORT && bus->hasAddr && bus->addr.bus == 0 &&
            memcmp(bus->used, empty, sizeof(empty)) == 0 && (!best || bus->index < best->index))
            best = bus;
    }
    if (!best && last == INDEX_MAX) {
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                      "there is no PCI controller index left for a root port; remove unused controllers");
        return false;
    }
    if (!best) {
        best = g_new0(qemuViommuBus, 1);
        best->index = last + 1;
        best->indexGiven = true;
        best->model = VIOMMU_PCI_ROOT_PORT;
        best->node = -1;
        best->chassis = best->index;
        best->id = g_strdup_printf("pci.%u", best->index);
        g_ptr_array_add(buses, best);
        if (!placePort(buses, best, error))
            return false;
    }
    *ret_addr = (viommuGuestAddr){ .bus = best->index };
    return useAddress(buses, ret_addr, line, error);
}

bool
qemuViommuBusesPlace(GPtrArray *buses, viommuDeviceKind kind, unsigned line, viommuGuestAddr *ret_addr,
                     GError **error)
{
    switch (kind) {
    case VIOMMU_DEVICE_PCIE:
    case VIOMMU_DEVICE_ASSIGNED:
        return placeOnPort(buses, line, ret_addr, error);
    case VIOMMU_DEVICE_PCI:
    case VIOMMU_DEVICE_ROOT:
        return freeRootSlot(buses, line, ret_addr, error);
    case VIOMMU_DEVICE_NONE:
        break;
    }
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                  "only <address type='pci'> is translated for this device; use it or no <address>");
    return false;
}

static bool
refuseController(const viommuController *controller, const char *remedy, GError **error)
{
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, controller->line, "PCI controller %u: %s",
                  controller->index, remedy);
    return false;
}

/* The number that the plan gives an expander bus that is no vSMMU's; 0: none. */
static unsigned
plannedNumber(const viommuPlan *plan, const viommuController *controller)
{
    size_t i;

    for (i = 0; i < plan->otherBuses->len; i++) {
        const viommuPlanBus *bus = g_ptr_array_index(plan->otherBuses, i);

        if (bus->controller == controller)
            return bus->busNr;
    }
    return 0;
}

static bool
checkController(const viommuController *controller, const viommuPlan *plan, GError **error)
{
    if (controller->model == VIOMMU_PCI_OTHER)
        return refuseController(controller,
                                "only pcie-root, pcie-root-port, pcie-expander-bus, "
                                "pcie-switch-upstream-port, pcie-switch-downstream-port and "
                                "pcie-to-pci-bridge are translated", error);
    if (controller->model == VIOMMU_PCI_EXPANDER && controller->busNr <= 0 &&
        !plannedNumber(plan, controller))
        return refuseController(controller,
                                "give the pcie-expander-bus a <target busNr='...'/> from 1 to 254", error);
    if (controller->model == VIOMMU_PCI_DOWNSTREAM && !controller->hasAddr)
        return refuseController(controller,
                                "give the pcie-switch-downstream-port an <address> on its upstream port",
                                error);
    return true;
}

/* Gives each controller that has no address a place as libvirt would: ports packed, the rest by kind. */
static bool
placeControllers(GPtrArray *buses, GError **error)
{
    size_t count = buses->len;
    size_t i;

    for (i = 0; i < count; i++) {
        qemuViommuBus *bus = g_ptr_array_index(buses, i);

        if (bus->hasAddr || bus->model == VIOMMU_PCI_ROOT)
            continue;
        if (bus->model == VIOMMU_PCI_ROOT_PORT) {
            if (!placePort(buses, bus, error))
                return false;
        } else if (bus->model == VIOMMU_PCI_EXPANDER) {
            bus->hasAddr = true;
            if (!freeRootSlot(buses, bus->line, &bus->addr, error))
                return false;
        }
    }
    for (i = 0; i < count; i++) {
        qemuViommuBus *bus = g_ptr_array_index(buses, i);

        if (bus->hasAddr || bus->model == VIOMMU_PCI_ROOT)
            continue;
        bus->hasAddr = true;
        if (!placeOnPort(buses, bus->line, &bus->addr, error))
            return false;
    }
    return true;
}

/* Notes the addresses that devices have: from the plan, else from the XML. */
static bool
usePlanned(GPtrArray *buses, const viommuPlan *plan, GHashTable *planned, GError **error)
{
    size_t i;
    size_t j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        for (j = 0; j < vsmmu->devices->len; j++) {
            const viommuPlanDevice *device = g_ptr_array_index(vsmmu->devices, j);

            g_hash_table_add(planned, (void *)device->device);
            if (!useAddress(buses, &device->addr, device->device->line, error))
                return false;
        }
    }
    for (i = 0; i < plan->emulated->len; i++) {
        const viommuPlanEmulated *emulated = g_ptr_array_index(plan->emulated, i);

        if (emulated->device)
            g_hash_table_add(planned, (void *)emulated->device);
        if (!useAddress(buses, &emulated->addr, emulated->device ? emulated->device->line : 0, error))
            return false;
    }
    return true;
}

static bool
useAddresses(GPtrArray *buses, const viommuDomain *dom, const viommuPlan *plan, GError **error)
{
    g_autoptr(GHashTable) planned = g_hash_table_new(NULL, NULL);
    size_t i;

    for (i = 0; i < buses->len; i++) {
        qemuViommuBus *bus = g_ptr_array_index(buses, i);

        if (bus->model == VIOMMU_PCI_ROOT)
            bus->used[0] = 0xff;
        else if (bus->hasAddr && !useAddress(buses, &bus->addr, bus->line, error))
            return false;
    }
    if (!usePlanned(buses, plan, planned, error))
        return false;
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (!g_hash_table_contains(planned, device) && qemuViommuBusesHasAddress(buses, dom, device) &&
            !useAddress(buses, &device->addr, device->line, error))
            return false;
    }
    return true;
}

GPtrArray *
qemuViommuBusesOfDomain(const viommuDomain *dom, const viommuPlan *plan, GError **error)
{
    g_autoptr(GPtrArray) buses = qemuViommuBusesNew();
    size_t i;

    qemuViommuBusAdd(buses, dom, 0, VIOMMU_PCI_ROOT);
    qemuViommuBusAddPlan(buses, dom, plan);
    for (i = 0; i < plan->plainPorts->len; i++)
        qemuViommuBusAddPort(buses, dom, 0, g_ptr_array_index(plan->plainPorts, i));
    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);

        if (controller->model != VIOMMU_PCI_OTHER &&
            (qemuViommuBusFind(buses, controller->index) || isStale(dom, controller->index)))
            continue;
        if (!checkController(controller, plan, error))
            return NULL;
        qemuViommuBusAddController(buses, dom, controller, plannedNumber(plan, controller));
    }
    g_ptr_array_sort(buses, qemuViommuBusCompare);
    if (!useAddresses(buses, dom, plan, error) || !placeControllers(buses, error))
        return NULL;
    return g_steal_pointer(&buses);
}
