/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Controller indexes and slots of pcie.0: which are taken, which are free.
 *
 * libvirt fills every gap below the highest index with a root port, and makes controllers up to the highest
 * bus that an address names. New controllers therefore take the lowest index that is really free.
 */
#include "viommu_plan_priv.h"

static void
markBus(planState *state, unsigned bus, unsigned *highest)
{
    if (bus <= PLAN_INDEX_MAX && !state->dropped[bus] && bus > *highest)
        *highest = bus;
}

void
planMarkIndexes(planState *state)
{
    const viommuDomain *dom = state->dom;
    unsigned highest = 0;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);

        if (state->dropped[controller->index])
            continue;
        state->used[controller->index] = true;
        /* Others have none in QEMU, whatever their <target> says. */
        if (controller->model == VIOMMU_PCI_ROOT_PORT || controller->model == VIOMMU_PCI_DOWNSTREAM)
            state->chassis[controller->chassis >= 0 ? controller->chassis : (int)controller->index] = true;
        if (controller->hasAddr)
            markBus(state, controller->addr.bus, &highest);
        if (controller->hasAddr && controller->addr.bus == 0)
            state->rootSlots[controller->addr.slot] = true;
    }
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        /* Addresses of host devices that get another one do not count. */
        if (!device->hasAddr || device->kind == VIOMMU_DEVICE_ASSIGNED)
            continue;
        markBus(state, device->addr.bus, &highest);
        if (device->addr.bus == 0)
            state->rootSlots[device->addr.slot] = true;
    }
    for (i = 0; i < state->devices->len; i++) {
        const planDevice *item = g_ptr_array_index(state->devices, i);

        if (item->kept)
            markBus(state, item->addr.bus, &highest);
    }
    for (i = 1; i <= highest; i++) {
        state->named[i] = !state->used[i];
        state->used[i] = true;
    }
    state->used[0] = true;
}

unsigned
planTakeIndex(planState *state, unsigned line)
{
    unsigned i;

    for (i = 1; i <= PLAN_INDEX_MAX; i++) {
        if (!state->used[i]) {
            state->used[i] = true;
            return i;
        }
    }
    planRefuse(state, "V11", line ? line : viommuXMLLine(state->dom->xml, state->dom->root), NULL,
               "give the guest fewer devices or spare ports",
               "the guest needs more than %d PCI buses", PLAN_INDEX_MAX + 1);
    return 0;
}

unsigned
planTakeChassis(planState *state, unsigned index)
{
    unsigned chassis = index;

    /* From the top, as libvirt gives its own ports to come their indexes. Each port has an index of its own from
     * 1 to 255, so that the others leave one free. */
    if (state->chassis[index])
        chassis = PLAN_INDEX_MAX;
    while (state->chassis[chassis])
        chassis--;
    state->chassis[chassis] = true;
    return chassis;
}

unsigned
planTakeRootSlot(planState *state)
{
    unsigned slot;

    for (slot = PLAN_SLOTS - 1; slot > 0; slot--) {
        if (!state->rootSlots[slot]) {
            state->rootSlots[slot] = true;
            return slot;
        }
    }
    planRefuse(state, "V11", viommuXMLLine(state->dom->xml, state->dom->root), NULL,
               "give the guest fewer devices on pcie.0",
               "all %d slots of pcie.0 are taken", PLAN_SLOTS);
    return 0;
}

viommuController *
planFindController(const planState *state, unsigned index)
{
    if (index > PLAN_INDEX_MAX || state->dropped[index])
        return NULL;
    return viommuDomainFindController(state->dom, index);
}

viommuController *
planFindExpander(const planState *state, unsigned index)
{
    viommuController *expander = viommuDomainFindExpander(state->dom, index);

    return expander && !state->dropped[expander->index] ? expander : NULL;
}

viommuVSMMU *
planFindVSMMU(const planState *state, unsigned controller)
{
    size_t i;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        if (vsmmu->controller == controller)
            return vsmmu;
    }
    return NULL;
}
