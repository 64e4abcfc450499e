/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt fills the first free root port that it finds, also one below an expander bus (P6). Where ports are
 * kept free there, every emulated PCI device gets an address: its own free port on pcie.0, or a new one.
 */
#include "viommu_plan_implied.h"

#include <string.h>

typedef struct {
    planState *state;
    bool busy[PLAN_INDEX_MAX + 1];     /* ports of pcie.0 that hold something */
    unsigned slot;                     /* of pcie.0, for new ports; 0: none yet */
    unsigned function;
    bool bridgeSlots[PLAN_SLOTS];      /* of the first pcie-to-pci-bridge */
    const viommuController *bridge;
} sparing;

static bool
hasFreePlaces(const sparing *work)
{
    const planState *state = work->state;
    size_t i;

    for (i = 0; i < state->dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(state->dom->controllers, i);
        bool port = there->model == VIOMMU_PCI_ROOT_PORT || there->model == VIOMMU_PCI_DOWNSTREAM;

        if (state->dropped[there->index] || !planFindExpander(state, there->index))
            continue;
        if ((port && !work->busy[there->index]) || there->model == VIOMMU_PCI_TO_PCI_BRIDGE)
            return true;
    }
    return false;
}

static bool
hasSparePorts(const viommuPlan *plan)
{
    size_t i;
    size_t j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        for (j = 0; j < vsmmu->ports->len; j++) {
            if (((viommuPlanPort *)g_ptr_array_index(vsmmu->ports, j))->spare)
                return true;
        }
    }
    return false;
}

static void
findBusy(sparing *work)
{
    const viommuDomain *dom = work->state->dom;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);

        if (controller->hasAddr && controller->addr.bus <= PLAN_INDEX_MAX)
            work->busy[controller->addr.bus] = true;
        if (controller->model == VIOMMU_PCI_TO_PCI_BRIDGE && !work->bridge && controller->hasAddr &&
            !planFindExpander(work->state, controller->index))
            work->bridge = controller;
    }
    for (i = 0; i < work->state->devices->len; i++) {
        const planDevice *item = g_ptr_array_index(work->state->devices, i);

        work->busy[item->addr.bus] = true;
    }
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (!device->hasAddr || device->kind == VIOMMU_DEVICE_ASSIGNED)
            continue;
        work->busy[device->addr.bus] = true;
        if (work->bridge && device->addr.bus == work->bridge->index)
            work->bridgeSlots[device->addr.slot] = true;
    }
}

static bool
isFreePort(const sparing *work, const viommuController *port)
{
    return port->model == VIOMMU_PCI_ROOT_PORT && !work->busy[port->index] &&
           !work->state->dropped[port->index] && !planFindExpander(work->state, port->index);
}

static bool
addPlainPort(sparing *work, unsigned *ret_bus)
{
    planState *state = work->state;
    viommuPlanPort *port;
    unsigned index;

    if (!work->slot || work->function == PLAN_FUNCTIONS) {
        work->slot = planTakeRootSlot(state);
        work->function = 0;
        if (!work->slot)
            return false;
    }
    index = planTakeIndex(state, 0);
    if (!index)
        return false;
    if (work->function == 1)
        ((viommuPlanPort *)g_ptr_array_index(state->plan->plainPorts, state->plan->plainPorts->len - 1))
            ->multifunction = true;
    port = g_new0(viommuPlanPort, 1);
    port->controller = index;
    port->slot = work->slot;
    port->function = work->function++;
    port->chassis = planTakeChassis(state, index);
    port->port = port->slot << 3 | port->function;
    port->generated = true;
    g_ptr_array_add(state->plan->plainPorts, port);
    *ret_bus = index;
    return true;
}

/* A port on pcie.0 for one PCIe device. */
static bool
takePort(sparing *work, viommuGuestAddr *ret_addr)
{
    const viommuDomain *dom = work->state->dom;
    const viommuController *best = NULL;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *port = g_ptr_array_index(dom->controllers, i);

        if (isFreePort(work, port) && (!best || port->index < best->index))
            best = port;
    }
    if (!best)
        return addPlainPort(work, &ret_addr->bus);
    work->busy[best->index] = true;
    ret_addr->bus = best->index;
    return true;
}

static bool
takeBridgeSlot(sparing *work, const viommuDevice *device, viommuGuestAddr *ret_addr)
{
    unsigned slot = 1;

    while (work->bridge && slot < PLAN_SLOTS && work->bridgeSlots[slot])
        slot++;
    if (!work->bridge || slot == PLAN_SLOTS) {
        planRefuse(work->state, "V22", device->line,
                   "libvirt would put a bridge for it on a port that is kept for hotplug",
                   "give it an <address>, or a model that is a PCI Express device, or write "
                   "sparePorts='0'", "%s is a conventional PCI device without address", device->what);
        return false;
    }
    work->bridgeSlots[slot] = true;
    ret_addr->bus = work->bridge->index;
    ret_addr->slot = slot;
    return true;
}

static bool
takeAddress(sparing *work, const viommuDevice *device, viommuGuestAddr *ret_addr)
{
    switch (device->kind) {
    case VIOMMU_DEVICE_PCIE:
        return takePort(work, ret_addr);
    case VIOMMU_DEVICE_PCI:
        return takeBridgeSlot(work, device, ret_addr);
    case VIOMMU_DEVICE_ROOT:
        ret_addr->slot = planTakeRootSlot(work->state);
        return ret_addr->slot != 0;
    case VIOMMU_DEVICE_ASSIGNED:
    case VIOMMU_DEVICE_NONE:
        break;
    }
    return true;
}

static void
addEmulated(planState *state, const viommuDevice *device, const viommuPlanImplied *what,
            const viommuGuestAddr *addr)
{
    viommuPlanEmulated *emulated = g_new0(viommuPlanEmulated, 1);

    emulated->device = device;
    emulated->implied = what;
    emulated->addr = *addr;
    g_ptr_array_add(state->plan->emulated, emulated);
}

/* A bridge or switch without address needs a port as well, and libvirt takes the first that is free. */
static bool
checkBridges(sparing *work)
{
    size_t i;

    for (i = 0; i < work->state->dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(work->state->dom->controllers, i);

        if (there->hasAddr || (there->model != VIOMMU_PCI_TO_PCI_BRIDGE &&
                               there->model != VIOMMU_PCI_UPSTREAM && there->model != VIOMMU_PCI_DOWNSTREAM))
            continue;
        planRefuse(work->state, "V22", there->line,
                   "libvirt would put it on a port that is kept for hotplug",
                   "give it an <address> on pcie.0's own ports, or write sparePorts='0'",
                   "controller %u, a %s, has no address", there->index, viommuPCIModelName(there->model));
        return false;
    }
    return true;
}

static bool
placeImplied(sparing *work)
{
    planImplied needs;
    size_t i;

    planFindImplied(work->state->dom, &needs);
    if (needs.unmet) {
        planRefuse(work->state, "V22", needs.unmet->line,
                   "libvirt would add it, on a port that is kept for hotplug",
                   "write the controller with an <address>, or write sparePorts='0'",
                   "%s needs a %s controller %u that is not there", needs.unmet->what, needs.unmetType,
                   needs.unmetIndex);
        return false;
    }
    for (i = 0; i < PLAN_IMPLIED_LAST; i++) {
        viommuGuestAddr addr = { 0 };

        if (!needs.wanted[i])
            continue;
        if (!takePort(work, &addr))
            return false;
        addEmulated(work->state, NULL, planImpliedForm((planImpliedKind)i), &addr);
    }
    return true;
}

bool
planGuardSparePorts(planState *state)
{
    sparing work = { .state = state };
    bool one;
    size_t i;

    findBusy(&work);
    if (!hasSparePorts(state->plan) && !hasFreePlaces(&work))
        return true;
    for (i = 0; i < state->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(state->dom->devices, i);
        viommuGuestAddr addr = { 0 };

        if (device->hasAddr || device->kind == VIOMMU_DEVICE_ASSIGNED ||
            device->kind == VIOMMU_DEVICE_NONE)
            continue;
        if (!takeAddress(&work, device, &addr))
            return false;
        addEmulated(state, device, NULL, &addr);
    }
    if (!checkBridges(&work) || !placeImplied(&work))
        return false;
    one = state->plan->emulated->len == 1;
    if (state->plan->emulated->len)
        planReason(state, "P6", "domain",
                   "%u emulated device%s an address on pcie.0, so that libvirt does not put %s into spare ports",
                   state->plan->emulated->len, one ? " gets" : "s get", one ? "it" : "them");
    return true;
}
