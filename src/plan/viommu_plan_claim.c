/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands already and stays (P12): which expander bus belongs to which physical SMMU, by what an earlier
 * expansion noted, by what a request says, or because a device of that SMMU has its address there; and which
 * devices can keep theirs.
 */
#include "viommu_plan_claim.h"

#include <string.h>

static planGroup *
findGroup(const planState *state, const char *smmu)
{
    size_t i;

    for (i = 0; smmu && i < state->groups->len; i++) {
        planGroup *group = g_ptr_array_index(state->groups, i);

        if (strcmp(group->smmu->name, smmu) == 0)
            return group;
    }
    return NULL;
}

static bool
isGenerated(const planState *state, unsigned controller)
{
    const viommuController *there = viommuDomainFindController(state->dom, controller);

    return there && viommuDomainIsGenerated(state->dom, there);
}

/* Notes and requests come before addresses. */
static void
claimByWord(planState *state, planGroup *owners[])
{
    const viommuDomain *dom = state->dom;
    size_t i;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);
        const viommuController *expander = viommuDomainFindController(dom, placed->controller);

        if (expander && expander->model == VIOMMU_PCI_EXPANDER)
            owners[placed->controller] = findGroup(state, placed->smmu);
    }
    for (i = 0; i < dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(dom->requests, i);
        const viommuController *expander;

        if (request->pciBus == VIOMMU_UNSET)
            continue;
        /* planCheckDomain has seen to it that it is one. */
        expander = viommuDomainFindController(dom, (unsigned)request->pciBus);
        owners[expander->index] = findGroup(state, request->smmu);
    }
}

static void
refuseMixed(planState *state, const planDevice *item, const planGroup *group, const planGroup *owner,
            unsigned expander)
{
    planRefuse(state, "V01", item->device->line,
               "the guest starts, and then every device below that vSMMU fails: IOMMU_VDEVICE_ALLOC "
               "failed: Invalid argument", "remove its <address>; viommu places it",
               "%s is behind '%s', but has its address below expander bus %u, which is for '%s'",
               item->device->what, group->smmu->name, expander, owner->smmu->name);
}

/* A user's address below an expander bus makes that bus the one of the device's SMMU. */
static void
claimByAddress(planState *state, planGroup *owners[])
{
    size_t i;
    size_t j;

    for (i = 0; i < state->groups->len; i++) {
        planGroup *group = g_ptr_array_index(state->groups, i);

        for (j = 0; j < group->devices->len; j++) {
            planDevice *item = g_ptr_array_index(group->devices, j);
            const viommuController *expander;

            if (!item->device->hasAddr)
                continue;
            expander = viommuDomainFindExpander(state->dom, item->device->addr.bus);
            if (!expander)
                continue;
            if (!owners[expander->index] && !isGenerated(state, expander->index))
                owners[expander->index] = group;
            if (owners[expander->index] == group) {
                item->kept = true;
                item->addr = item->device->addr;
            } else if (!isGenerated(state, expander->index)) {
                refuseMixed(state, item, group, owners[expander->index], expander->index);
            }
        }
    }
}

/* The group that all host devices below @expander are of; NULL: of none, or of several. */
static planGroup *
findOnlyGroup(const planState *state, const viommuController *expander)
{
    planGroup *only = NULL;
    size_t i;
    size_t j;

    for (i = 0; i < state->groups->len; i++) {
        planGroup *group = g_ptr_array_index(state->groups, i);

        for (j = 0; j < group->devices->len; j++) {
            const planDevice *item = g_ptr_array_index(group->devices, j);

            if (!item->device->hasAddr ||
                viommuDomainFindExpander(state->dom, item->device->addr.bus) != expander)
                continue;
            if (only && only != group)
                return NULL;
            only = group;
        }
    }
    return only;
}

/* Has @group a bus that was not noted for @smmu? Of one SMMU there can be several. */
static bool
hasOtherBus(const planState *state, const planGroup *group, planGroup *owners[], const char *smmu)
{
    bool same[PLAN_INDEX_MAX + 1] = { false };
    size_t i;

    for (i = 0; i < state->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(state->dom->placed, i);

        same[placed->controller] = strcmp(placed->smmu, smmu) == 0;
    }
    for (i = 0; i <= PLAN_INDEX_MAX; i++) {
        if (owners[i] == group && !same[i])
            return true;
    }
    return false;
}

/* Where the host has no SMMU of the noted name, it has got another one, or the domain has come from another host: the
 * bus stays with the devices below it. */
static void
claimRenamed(planState *state, planGroup *owners[])
{
    size_t i;

    for (i = 0; i < state->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(state->dom->placed, i);
        const viommuController *expander = viommuDomainFindController(state->dom, placed->controller);
        planGroup *group;

        if (!expander || expander->model != VIOMMU_PCI_EXPANDER || owners[expander->index] ||
            virSMMUTopologyFindSMMU(state->host, placed->smmu))
            continue;
        group = findOnlyGroup(state, expander);
        if (!group || hasOtherBus(state, group, owners, placed->smmu))
            continue;
        owners[expander->index] = group;
        planReason(state, "P12", group->smmu->name,
                   "expander bus %u stays: it was made for '%s', which this host does not have, and its devices are behind this one now",
                   expander->index, placed->smmu);
    }
}

static bool
isPort(const planState *state, unsigned controller)
{
    const viommuController *there = viommuDomainFindController(state->dom, controller);

    return there && (there->model == VIOMMU_PCI_ROOT_PORT || there->model == VIOMMU_PCI_DOWNSTREAM);
}

/* A device that lost its address (detached and attached, say) goes back to the port noted for it. */
static void
restoreNoted(planState *state, planGroup *owners[])
{
    g_autoptr(GHashTable) byKey = g_hash_table_new(g_str_hash, g_str_equal);
    bool occupied[PLAN_INDEX_MAX + 1] = { false };
    size_t i;
    size_t j;

    for (i = 0; i < state->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(state->dom->placed, i);

        for (j = 0; j < placed->ports->len; j++) {
            viommuPlacedPort *port = g_ptr_array_index(placed->ports, j);

            if (port->device)
                g_hash_table_insert(byKey, port->device, port);
        }
    }
    for (i = 0; i < state->devices->len; i++) {
        const planDevice *item = g_ptr_array_index(state->devices, i);

        if (item->kept)
            occupied[item->addr.bus] = true;
    }
    for (i = 0; i < state->groups->len; i++) {
        planGroup *group = g_ptr_array_index(state->groups, i);

        for (j = 0; j < group->devices->len; j++) {
            planDevice *item = g_ptr_array_index(group->devices, j);
            const viommuPlacedPort *port = g_hash_table_lookup(byKey, item->device->key);
            const viommuController *expander;

            if (item->kept || !port || occupied[port->controller] || !isPort(state, port->controller))
                continue;
            expander = viommuDomainFindExpander(state->dom, port->controller);
            if (!expander || owners[expander->index] != group)
                continue;
            item->kept = true;
            item->addr = (viommuGuestAddr){ .bus = port->controller };
            occupied[port->controller] = true;
        }
    }
}

/* Guests look at function 0 first, and at no other if there is none: where the device at function 0 has
 * gone, the next one takes its place. */
static void
fillFirstFunctions(planState *state, GHashTable *seen)
{
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        planDevice *item = g_ptr_array_index(state->devices, i);
        unsigned slot = item->addr.bus << 8 | item->addr.slot << 3;
        bool first = true;
        bool others = false;
        unsigned function;

        if (!item->kept || item->addr.function == 0)
            continue;
        for (function = 0; function <= VIR_PCI_ADDR_MAX_FUNCTION; function++) {
            bool there = g_hash_table_contains(seen, GUINT_TO_POINTER((slot | function) + 1));

            first = first && !(there && function < item->addr.function);
            others = others || (there && function > item->addr.function);
        }
        if (!first)
            continue;
        planReason(state, "P12", item->device->key, "takes function 0 of port %u: the device there has gone",
                   item->addr.bus);
        item->addr.function = 0;
        item->addr.multifunction = others;
    }
}

static void
checkKept(planState *state)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        planDevice *item = g_ptr_array_index(state->devices, i);
        const viommuController *port;
        const planDevice *other;
        unsigned place;

        if (!item->kept)
            continue;
        port = viommuDomainFindController(state->dom, item->addr.bus);
        if (!isPort(state, item->addr.bus))
            planRefuse(state, "V25", item->device->line,
                       "PCI: Only PCI/PCIe bridges can be plugged into pxb-pcie",
                       "remove its <address>; viommu places it",
                       "%s has its address on controller %u, a %s, not on a port", item->device->what,
                       port->index, viommuPCIModelName(port->model));
        place = item->addr.bus << 8 | item->addr.slot << 3 | item->addr.function;
        other = g_hash_table_lookup(seen, GUINT_TO_POINTER(place + 1));
        if (other)
            planRefuse(state, "V25", item->device->line, "Attempted double use of PCI Address",
                       "remove one <address>; viommu places the device",
                       "%s has the address of %s", item->device->what, other->device->what);
        g_hash_table_insert(seen, GUINT_TO_POINTER(place + 1), item);
    }
    fillFirstFunctions(state, seen);
}

static void
dropPorts(planState *state, unsigned expander)
{
    size_t i;

    for (i = 0; i < state->dom->controllers->len; i++) {
        const viommuController *port = g_ptr_array_index(state->dom->controllers, i);

        if (port->hasAddr && port->addr.bus == expander && viommuDomainIsGenerated(state->dom, port))
            state->dropped[port->index] = true;
    }
}

/* Buses that viommu made and that are nobody's any more go, with their ports. */
static void
dropBuses(planState *state, planGroup *owners[])
{
    size_t i;

    for (i = 0; i < state->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(state->dom->placed, i);
        const viommuController *there = viommuDomainFindController(state->dom, placed->controller);

        if (!there || there->model != VIOMMU_PCI_EXPANDER || owners[there->index] ||
            !viommuDomainIsGenerated(state->dom, there))
            continue;
        state->dropped[placed->controller] = true;
        dropPorts(state, placed->controller);
        planReason(state, "P12", placed->smmu, "the vSMMU on expander bus %u goes: no device is left "
                   "for it", placed->controller);
    }
}

viommuVSMMU *
planAddVSMMU(planState *state, planGroup *group, unsigned controller, bool generated)
{
    viommuVSMMU *vsmmu = g_new0(viommuVSMMU, 1);

    vsmmu->smmu = group->smmu;
    vsmmu->controller = controller;
    vsmmu->generated = generated;
    vsmmu->node = -1;
    vsmmu->ports = g_ptr_array_new_with_free_func(g_free);
    vsmmu->devices = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(state->plan->vsmmus, vsmmu);
    g_ptr_array_add(group->vsmmus, vsmmu);
    return vsmmu;
}

static void
adoptBus(planState *state, planGroup *group, unsigned expander)
{
    bool generated = isGenerated(state, expander);

    planAddVSMMU(state, group, expander, generated);
    if (!generated)
        planReason(state, "P12", group->smmu->name, "expander bus %u is taken as the user wrote it",
                   expander);
}

/* Below an accelerated vSMMU stand host devices only. */
static void
refuseEmulated(planState *state, planGroup *owners[])
{
    size_t i;

    for (i = 0; state->plan->accel && i < state->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(state->dom->devices, i);
        const viommuController *expander;

        if (!device->hasAddr || device->kind == VIOMMU_DEVICE_ASSIGNED ||
            device->kind == VIOMMU_DEVICE_NONE)
            continue;
        expander = viommuDomainFindExpander(state->dom, device->addr.bus);
        if (expander && owners[expander->index])
            planRefuse(state, "V03", device->line,
                       "Emulated endpoint devices are not allowed when using arm-smmuv3,accel=on",
                       "remove its <address>, or give it one on pcie.0",
                       "%s has its address below expander bus %u, which is for the host devices of '%s'",
                       device->what, expander->index, owners[expander->index]->smmu->name);
    }
}

bool
planClaimBuses(planState *state)
{
    planGroup *owners[PLAN_INDEX_MAX + 1] = { NULL };
    size_t i;

    claimByWord(state, owners);
    claimRenamed(state, owners);
    claimByAddress(state, owners);
    restoreNoted(state, owners);
    checkKept(state);
    refuseEmulated(state, owners);
    if (viommuFindingsHaveError(state->findings))
        return false;
    dropBuses(state, owners);
    for (i = 0; i <= PLAN_INDEX_MAX; i++) {
        if (owners[i])
            adoptBus(state, owners[i], (unsigned)i);
    }
    for (i = 0; i < state->devices->len; i++) {
        planDevice *item = g_ptr_array_index(state->devices, i);

        if (item->kept)
            item->where = planFindVSMMU(state, planFindExpander(state, item->addr.bus)->index);
    }
    return true;
}
