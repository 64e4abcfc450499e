/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bus numbers (P5). An expander bus needs one number for itself and one for each port and bridge below it;
 * the firmware counts upwards from busNr and nobody checks that the next expander bus leaves room.
 */
#include "viommu_plan_implied.h"

#define BUS_BITS (PLAN_LAST_BUS + 1)

typedef struct {
    planState *state;
    bool taken[BUS_BITS];
    unsigned below[PLAN_INDEX_MAX + 1]; /* buses below each expander bus, by its index */
    unsigned rootTree;                  /* bus numbers of pcie.0 and what hangs below it */
} busNumbers;

/* Ports that libvirt will make on pcie.0 for what has no address, at most: free ones are not counted off. A
 * conventional device comes with a bridge, and the bridge with a port. */
static unsigned
countPortsToCome(const planState *state)
{
    const viommuDomain *dom = state->dom;
    planImplied needs;
    unsigned count = 0;
    bool conventional;
    size_t i;

    planFindImplied(dom, &needs);
    for (i = 0; i < PLAN_IMPLIED_LAST; i++)
        count += needs.wanted[i];
    count += needs.unmet ? 1 + needs.unmetIndex : 0;
    conventional = g_strcmp0(needs.unmetType, "sata") == 0;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        count += device->kind == VIOMMU_DEVICE_PCIE && !device->hasAddr;
        conventional = conventional || (device->kind == VIOMMU_DEVICE_PCI && !device->hasAddr);
    }
    return count + (conventional ? 2 : 0);
}

/* Indexes below the highest that nobody has: libvirt fills them with root ports on pcie.0. */
static unsigned
countGaps(planState *state)
{
    unsigned highest = 0;
    unsigned gaps = 0;
    unsigned i;

    for (i = 0; i <= PLAN_INDEX_MAX; i++) {
        if (state->used[i])
            highest = i;
    }
    for (i = 1; i < highest; i++)
        gaps += !state->used[i];
    if (gaps)
        planReason(state, "P6", "domain",
                   "%u controller index%s below %u free, which libvirt fills with root ports on pcie.0: "
                   "what stands keeps its index", gaps, gaps == 1 ? " is" : "es are", highest);
    return gaps;
}

/* Root ports that libvirt makes because an address names their bus. */
static unsigned
countNamed(const planState *state)
{
    unsigned named = 0;
    unsigned i;

    for (i = 1; i <= PLAN_INDEX_MAX; i++)
        named += state->named[i];
    return named;
}

static void
countBuses(busNumbers *numbers)
{
    planState *state = numbers->state;
    const viommuDomain *dom = state->dom;
    size_t i;
    size_t j;

    numbers->rootTree = 1 + state->plan->plainPorts->len + countGaps(state) + countNamed(state);
    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);
        const viommuController *expander;

        if (state->dropped[controller->index] || controller->model == VIOMMU_PCI_ROOT ||
            controller->model == VIOMMU_PCI_EXPANDER)
            continue;
        expander = planFindExpander(state, controller->index);
        if (expander)
            numbers->below[expander->index]++;
        else
            numbers->rootTree++;
    }
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; j < vsmmu->ports->len; j++) {
            const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);

            if (!planFindController(state, port->controller))
                numbers->below[vsmmu->controller]++;
        }
    }
    if (state->plan->plainPorts->len == 0)
        numbers->rootTree += countPortsToCome(state);
}

static bool
isFree(const busNumbers *numbers, unsigned first, unsigned last)
{
    unsigned i;

    if (first < 1 || first > PLAN_BUS_NR_MAX || last > PLAN_LAST_BUS)
        return false;
    for (i = first; i <= last; i++) {
        if (numbers->taken[i])
            return false;
    }
    return true;
}

static void
take(busNumbers *numbers, unsigned first, unsigned last)
{
    unsigned i;

    for (i = first; i <= last; i++)
        numbers->taken[i] = true;
}

/* Numbers that the user gave come first, also those of buses that are none of ours. */
static void
takeUsers(busNumbers *numbers)
{
    planState *state = numbers->state;
    size_t i;

    for (i = 0; i < state->dom->controllers->len; i++) {
        const viommuController *expander = g_ptr_array_index(state->dom->controllers, i);
        viommuVSMMU *vsmmu = planFindVSMMU(state, expander->index);
        unsigned first = (unsigned)expander->busNr;
        unsigned last = first + numbers->below[expander->index];

        if (expander->model != VIOMMU_PCI_EXPANDER || expander->busNr == VIOMMU_UNSET ||
            state->dropped[expander->index] || (vsmmu && vsmmu->generated))
            continue;
        if (expander->busNr < 0 || !isFree(numbers, first, last)) {
            planRefuse(state, "V10", expander->line,
                       "firmware numbers the buses below it over those of another one",
                       "remove busNr; viommu computes it",
                       "expander bus %u has busNr %d, but needs %u free numbers from there",
                       expander->index, expander->busNr, 1 + numbers->below[expander->index]);
            continue;
        }
        if (first < numbers->rootTree)
            planRefuse(state, "V10", expander->line,
                       "firmware gives the same numbers to the buses below pcie.0",
                       "remove busNr; viommu computes it",
                       "expander bus %u has busNr %u, but pcie.0 and its ports need 0 to %u",
                       expander->index, first, numbers->rootTree - 1);
        take(numbers, first, last);
        if (vsmmu)
            vsmmu->busNr = first;
    }
}

/* Numbers of an earlier expansion stay if what hangs below still fits. */
static void
keepOurs(busNumbers *numbers)
{
    size_t i;

    for (i = 0; i < numbers->state->plan->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(numbers->state->plan->vsmmus, i);
        const viommuController *expander = planFindController(numbers->state, vsmmu->controller);
        unsigned last;

        if (vsmmu->busNr || !expander || expander->busNr < 1)
            continue;
        last = (unsigned)expander->busNr + numbers->below[vsmmu->controller];
        if ((unsigned)expander->busNr < numbers->rootTree ||
            !isFree(numbers, (unsigned)expander->busNr, last))
            continue;
        vsmmu->busNr = (unsigned)expander->busNr;
        take(numbers, vsmmu->busNr, last);
    }
}

/* Takes the highest place that is free for the expander bus of that index, from 255 down; 0 if there is none
 * above the tree of pcie.0. */
static unsigned
pack(busNumbers *numbers, unsigned controller)
{
    unsigned below = numbers->below[controller];
    unsigned first;

    for (first = PLAN_BUS_NR_MAX; first >= numbers->rootTree; first--) {
        if (isFree(numbers, first, first + below)) {
            take(numbers, first, first + below);
            return first;
        }
    }
    return 0;
}

static bool
packRest(busNumbers *numbers)
{
    const planState *state = numbers->state;
    size_t i;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        if (!vsmmu->busNr)
            vsmmu->busNr = pack(numbers, vsmmu->controller);
        if (!vsmmu->busNr)
            return false;
    }
    for (i = 0; i < state->plan->otherBuses->len; i++) {
        viommuPlanBus *bus = g_ptr_array_index(state->plan->otherBuses, i);

        bus->busNr = pack(numbers, bus->controller->index);
        if (!bus->busNr)
            return false;
    }
    return true;
}

static void
findOtherBuses(planState *state)
{
    size_t i;

    for (i = 0; i < state->dom->controllers->len; i++) {
        const viommuController *expander = g_ptr_array_index(state->dom->controllers, i);
        viommuPlanBus *bus;

        if (expander->model != VIOMMU_PCI_EXPANDER || expander->busNr != VIOMMU_UNSET ||
            state->dropped[expander->index] || planFindVSMMU(state, expander->index))
            continue;
        bus = g_new0(viommuPlanBus, 1);
        bus->controller = expander;
        g_ptr_array_add(state->plan->otherBuses, bus);
        planReason(state, "P5", "domain", "expander bus %u gets a busNr too: libvirt's own choice would "
                   "leave room for one port", expander->index);
    }
}

static void
forgetOurs(busNumbers *numbers)
{
    size_t i;

    for (i = 0; i < BUS_BITS; i++)
        numbers->taken[i] = false;
    for (i = 0; i < numbers->state->plan->vsmmus->len; i++)
        ((viommuVSMMU *)g_ptr_array_index(numbers->state->plan->vsmmus, i))->busNr = 0;
    takeUsers(numbers);
}

static bool
refuseFull(planState *state)
{
    planRefuse(state, "V10", viommuXMLLine(state->dom->xml, state->dom->root),
               "a guest has one PCI segment of 256 buses",
               "give the guest fewer devices or spare ports",
               "the bus numbers do not suffice for the ports below the expander buses");
    return false;
}

static bool
chooseSlots(planState *state)
{
    size_t i;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);
        const viommuController *expander = planFindController(state, vsmmu->controller);

        if (!expander || !expander->hasAddr) {
            vsmmu->slot = planTakeRootSlot(state);
            if (!vsmmu->slot)
                return false;
            continue;
        }
        vsmmu->slot = expander->addr.slot;
        if (expander->addr.bus == 0 && vsmmu->slot)
            continue;
        planRefuse(state, "V25", expander->line, "PCI: pxb devices cannot reside on a non-root bus",
                   "remove its <address>; viommu places it",
                   "expander bus %u has its address at bus %u, slot %u, but can only be in a slot of "
                   "pcie.0 from 1 up", expander->index, expander->addr.bus, vsmmu->slot);
        return false;
    }
    return true;
}

/* Slots of pcie.0 that libvirt will need for what has no address: ports stand eight in a slot. */
static unsigned
countSlotsToCome(const planState *state)
{
    const viommuDomain *dom = state->dom;
    bool guarded = state->plan->emulated->len > 0;
    unsigned ports = guarded ? 0 : countPortsToCome(state);
    unsigned slots = 0;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);

        if (controller->hasAddr || state->dropped[controller->index])
            continue;
        ports += controller->model == VIOMMU_PCI_ROOT_PORT;
        slots += controller->model == VIOMMU_PCI_EXPANDER && !planFindVSMMU(state, controller->index);
    }
    for (i = 0; !guarded && i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        slots += device->kind == VIOMMU_DEVICE_ROOT && !device->hasAddr;
    }
    return slots + (ports + PLAN_FUNCTIONS - 1) / PLAN_FUNCTIONS;
}

static bool
checkRootSlots(planState *state)
{
    unsigned free = 0;
    unsigned slot;

    for (slot = 1; slot < PLAN_SLOTS; slot++)
        free += !state->rootSlots[slot];
    if (countSlotsToCome(state) <= free)
        return true;
    planRefuse(state, "V11", viommuXMLLine(state->dom->xml, state->dom->root),
               "No more available PCI slots", "give the guest fewer devices on pcie.0",
               "pcie.0 has %d slots, and %u are left for what libvirt must place there", PLAN_SLOTS, free);
    return false;
}

bool
planNumberBuses(planState *state)
{
    busNumbers numbers = { .state = state };

    if (!chooseSlots(state) || !checkRootSlots(state))
        return false;
    findOtherBuses(state);
    countBuses(&numbers);
    takeUsers(&numbers);
    if (viommuFindingsHaveError(state->findings))
        return false;
    keepOurs(&numbers);
    if (!packRest(&numbers)) {
        forgetOurs(&numbers);
        if (!packRest(&numbers))
            return refuseFull(state);
        planReason(state, "P5", "domain", "all bus numbers are given anew: the old ones left no room");
    }
    return true;
}
