/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Second half of placing: new devices take free ports, then new ports, then new buses (P2-P4); spare ports
 * are filled up.
 */
#include "viommu_plan_claim.h"

#include <string.h>

static viommuPlanPort *
addPort(viommuVSMMU *vsmmu, unsigned controller)
{
    viommuPlanPort *port = g_new0(viommuPlanPort, 1);

    port->controller = controller;
    port->spare = true;
    g_ptr_array_add(vsmmu->ports, port);
    return port;
}

static viommuPlanPort *
findPort(const viommuVSMMU *vsmmu, unsigned controller)
{
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (port->controller == controller)
            return port;
    }
    return NULL;
}

/* The root ports that stand on the expander bus of @vsmmu. */
static void
takePorts(planState *state, viommuVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; i < state->dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(state->dom->controllers, i);
        viommuPlanPort *port;

        if (controller->model != VIOMMU_PCI_ROOT_PORT || !controller->hasAddr ||
            controller->addr.bus != vsmmu->controller)
            continue;
        port = addPort(vsmmu, controller->index);
        port->slot = controller->addr.slot;
        port->function = controller->addr.function;
        port->multifunction = controller->addr.multifunction;
        port->chassis = controller->chassis >= 0 ? (unsigned)controller->chassis : controller->index;
        port->port = controller->port >= 0 ? (unsigned)controller->port
                                           : port->slot << 3 | port->function;
        port->generated = viommuDomainIsGenerated(state->dom, controller);
    }
}

static int
comparePortIndexes(const void *a, const void *b)
{
    const viommuPlanPort *one = *(viommuPlanPort *const *)a;
    const viommuPlanPort *two = *(viommuPlanPort *const *)b;

    return one->controller < two->controller ? -1 : one->controller > two->controller;
}

static int
comparePortPlaces(const void *a, const void *b)
{
    const viommuPlanPort *one = *(viommuPlanPort *const *)a;
    const viommuPlanPort *two = *(viommuPlanPort *const *)b;
    unsigned left = one->slot << 3 | one->function;
    unsigned right = two->slot << 3 | two->function;

    return left < right ? -1 : left > right;
}

/* Says that the port of that index, if it is one of a vSMMU's, holds something. */
static void
markPort(const planState *state, unsigned index)
{
    const viommuController *expander = planFindExpander(state, index);
    viommuVSMMU *vsmmu = expander ? planFindVSMMU(state, expander->index) : NULL;
    viommuPlanPort *port = vsmmu ? findPort(vsmmu, index) : NULL;

    if (port)
        port->spare = false;
}

/* A port that holds a switch, a host device or something else is not free. */
static void
markOccupied(planState *state)
{
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        const planDevice *item = g_ptr_array_index(state->devices, i);
        viommuPlanPort *port = item->where ? findPort(item->where, item->addr.bus) : NULL;

        if (port)
            port->spare = false;
    }
    for (i = 0; i < state->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(state->dom->devices, i);

        if (device->hasAddr && device->kind != VIOMMU_DEVICE_ASSIGNED)
            markPort(state, device->addr.bus);
    }
    for (i = 0; i < state->dom->controllers->len; i++) {
        const viommuController *below = g_ptr_array_index(state->dom->controllers, i);

        if (below->hasAddr && below->model != VIOMMU_PCI_ROOT_PORT && !state->dropped[below->index])
            markPort(state, below->addr.bus);
    }
}

/* Functions of one physical device that the user put into one slot stay together on one port. */
static void
findPartners(planState *state)
{
    unsigned sets = 0;
    size_t i;
    size_t j;

    for (i = 0; i < state->devices->len; i++) {
        planDevice *first = g_ptr_array_index(state->devices, i);

        if (first->where || first->partners || !first->device->hasAddr || first->device->addr.function)
            continue;
        /* Functions of one device follow each other in the order of host addresses. */
        for (j = i + 1; j < state->devices->len; j++) {
            planDevice *other = g_ptr_array_index(state->devices, j);

            if (other->device->source.domain != first->device->source.domain ||
                other->device->source.bus != first->device->source.bus ||
                other->device->source.slot != first->device->source.slot)
                break;
            if (other->where || !other->device->hasAddr || other->host->smmu != first->host->smmu ||
                other->device->addr.bus != first->device->addr.bus ||
                other->device->addr.slot != first->device->addr.slot ||
                other->device->addr.function == 0)
                continue;
            if (!first->partners)
                first->partners = ++sets;
            other->partners = first->partners;
            other->functionKept = other->device->addr.function;
            first->multifunction = true;
        }
    }
}

static unsigned
countDevices(const planState *state, const viommuVSMMU *vsmmu)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        const planDevice *item = g_ptr_array_index(state->devices, i);

        count += item->where == vsmmu;
    }
    return count;
}

/* Is there room for another device below @vsmmu? */
static bool
hasRoom(const planState *state, const viommuVSMMU *vsmmu)
{
    const viommuRequest *request = planFindRequest(state, vsmmu->smmu, vsmmu->controller);

    return request->features.cmdqv != 1 || !state->plan->accel ||
           countDevices(state, vsmmu) < PLAN_CMDQV_DEVICES_MAX;
}

/* @kept: it is one that the guest had. */
static viommuVSMMU *
addVSMMU(planState *state, planGroup *group, bool kept)
{
    unsigned index = planTakeIndex(state, group->request->line);

    if (!index)
        return NULL;
    if (group->vsmmus->len && kept)
        planReason(state, "P12", group->smmu->name, "a further vSMMU, on expander bus %u, as the guest had several",
                   index);
    else if (group->vsmmus->len)
        planReason(state, "P9", group->smmu->name,
                   "a further vSMMU, on expander bus %u: one with cmdqv='on' has room for %d devices",
                   index, PLAN_CMDQV_DEVICES_MAX);
    else if (group->devices->len)
        planReason(state, "P2", group->smmu->name, "a vSMMU of its own, on expander bus %u, for %u host "
                   "device%s", index, group->devices->len, group->devices->len == 1 ? "" : "s");
    return planAddVSMMU(state, group, index, true);
}

static viommuPlanPort *
addNewPort(planState *state, viommuVSMMU *vsmmu, unsigned line)
{
    unsigned index = planTakeIndex(state, line);
    viommuPlanPort *port;

    if (!index)
        return NULL;
    port = addPort(vsmmu, index);
    port->generated = true;
    port->slot = PLAN_SLOTS; /* not placed yet */
    return port;
}

static viommuPlanPort *
findFreePort(const planState *state, const planGroup *group, viommuVSMMU **ret_vsmmu)
{
    size_t i;
    size_t j;

    for (i = 0; i < group->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(group->vsmmus, i);

        if (!hasRoom(state, vsmmu))
            continue;
        for (j = 0; j < vsmmu->ports->len; j++) {
            viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);

            if (port->spare) {
                *ret_vsmmu = vsmmu;
                return port;
            }
        }
    }
    return NULL;
}

static viommuPlanPort *
findOrAddPort(planState *state, planGroup *group, unsigned line, viommuVSMMU **ret_vsmmu)
{
    viommuPlanPort *port = findFreePort(state, group, ret_vsmmu);
    size_t i;

    if (port)
        return port;
    for (i = 0; i < group->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(group->vsmmus, i);

        if (hasRoom(state, vsmmu)) {
            *ret_vsmmu = vsmmu;
            return addNewPort(state, vsmmu, line);
        }
    }
    *ret_vsmmu = addVSMMU(state, group, false);
    return *ret_vsmmu ? addNewPort(state, *ret_vsmmu, line) : NULL;
}

/* A port for @item where its neighbours of before are, or on a bus of its own if it is the first of them. */
static viommuPlanPort *
addPortBeside(planState *state, planGroup *group, const planDevice *item, viommuVSMMU **ret_vsmmu)
{
    size_t i;

    for (i = 0; i < group->devices->len; i++) {
        const planDevice *other = g_ptr_array_index(group->devices, i);

        if (!other->where || other->before != item->before || !hasRoom(state, other->where))
            continue;
        *ret_vsmmu = other->where;
        return addNewPort(state, other->where, item->device->line);
    }
    *ret_vsmmu = addVSMMU(state, group, true);
    return *ret_vsmmu ? addNewPort(state, *ret_vsmmu, item->device->line) : NULL;
}

static void
settle(planState *state, planDevice *item, viommuVSMMU *vsmmu, const viommuPlanPort *port)
{
    item->where = vsmmu;
    item->addr = (viommuGuestAddr){ .bus = port->controller,
                                    .function = item->functionKept,
                                    .multifunction = item->multifunction };
    if (item->device->hasAddr)
        planReason(state, "P3", item->device->key,
                   "moved from controller %u to port %u, below the vSMMU of its SMMU",
                   item->device->addr.bus, port->controller);
}

/* @before: those that were on that bus of QEMU's arguments; NULL: all that are left. */
static bool
placeDevices(planState *state, planGroup *group, const viommuViewBus *before)
{
    size_t i;
    size_t j;

    for (i = 0; i < group->devices->len; i++) {
        planDevice *item = g_ptr_array_index(group->devices, i);
        viommuVSMMU *vsmmu = NULL;
        viommuPlanPort *port;

        if (item->where || (before && item->before != before))
            continue;
        port = before ? addPortBeside(state, group, item, &vsmmu)
                      : findOrAddPort(state, group, item->device->line, &vsmmu);
        if (!port)
            return false;
        port->spare = false;
        settle(state, item, vsmmu, port);
        for (j = i + 1; item->partners && j < group->devices->len; j++) {
            planDevice *other = g_ptr_array_index(group->devices, j);

            if (other->partners == item->partners)
                settle(state, other, vsmmu, port);
        }
    }
    return true;
}

/* Where nothing is noted of the places, as buses are no controllers for an older libvirt, what was below one vSMMU
 * stays together. */
static bool
placeGroup(planState *state, planGroup *group, const viommuView *view)
{
    bool anew = group->vsmmus->len == 0;
    size_t i;

    for (i = 0; anew && view && i < view->buses->len; i++) {
        if (!placeDevices(state, group, g_ptr_array_index(view->buses, i)))
            return false;
    }
    return placeDevices(state, group, NULL);
}

/* Spare ports that @vsmmu is to have; one without any device has at least one. */
static unsigned
wantedSpare(const planState *state, const planGroup *group, const viommuVSMMU *vsmmu)
{
    unsigned asked = planFindRequest(state, group->smmu, vsmmu->controller)->sparePorts;

    return MAX(asked, group->devices->len == 0);
}

/* Ports that viommu made and that nothing needs go, the last ones first. */
static void
dropSurplus(planState *state, const planGroup *group)
{
    unsigned keep = 0;
    size_t i;
    size_t j;

    for (i = 0; i < group->devices->len; i++)
        keep += ((planDevice *)g_ptr_array_index(group->devices, i))->where == NULL;
    for (i = 0; i < group->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(group->vsmmus, i);
        unsigned allowed = keep + wantedSpare(state, group, vsmmu);
        unsigned spare = 0;

        g_ptr_array_sort(vsmmu->ports, comparePortIndexes);
        for (j = 0; j < vsmmu->ports->len;) {
            const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);

            spare += port->spare;
            if (port->spare && port->generated && spare > allowed) {
                state->dropped[port->controller] = true;
                planReason(state, "P12", group->smmu->name, "port %u goes: nothing is left in it",
                           port->controller);
                g_ptr_array_remove_index(vsmmu->ports, (guint)j);
            } else {
                j++;
            }
        }
    }
}

static void
dropController(planState *state, unsigned controller)
{
    state->dropped[controller] = true;
    state->used[controller] = false;
}

/* A vSMMU that no device needs goes, unless it is the one kept for hotplug, or a request names its bus. A bus
 * of the user's stays. */
static void
dropEmpty(planState *state, planGroup *group)
{
    size_t i;
    size_t j;

    for (i = group->vsmmus->len; i-- > 0;) {
        viommuVSMMU *vsmmu = g_ptr_array_index(group->vsmmus, i);

        if (countDevices(state, vsmmu) > 0 ||
            (group->devices->len == 0 && group->vsmmus->len == 1) ||
            planFindRequest(state, group->smmu, vsmmu->controller)->pciBus == (int)vsmmu->controller)
            continue;
        planReason(state, "P12", group->smmu->name, "the vSMMU on expander bus %u goes: no device is "
                   "left for it", vsmmu->controller);
        for (j = 0; vsmmu->generated && j < vsmmu->ports->len; j++)
            dropController(state, ((viommuPlanPort *)g_ptr_array_index(vsmmu->ports, j))->controller);
        if (vsmmu->generated)
            dropController(state, vsmmu->controller);
        g_ptr_array_remove_index(group->vsmmus, (guint)i);
        g_ptr_array_remove(state->plan->vsmmus, vsmmu);
    }
}

static bool
fillSparePorts(planState *state, planGroup *group)
{
    size_t i;
    size_t j;

    if (group->devices->len == 0 && group->vsmmus->len == 0) {
        if (!addVSMMU(state, group, false))
            return false;
        planReason(state, "P2", group->smmu->name, "a vSMMU without device, as the request says");
    }
    for (i = 0; i < group->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(group->vsmmus, i);
        unsigned wanted = wantedSpare(state, group, vsmmu);
        unsigned spare = 0;

        for (j = 0; j < vsmmu->ports->len; j++)
            spare += ((viommuPlanPort *)g_ptr_array_index(vsmmu->ports, j))->spare;
        for (; spare < wanted; spare++) {
            if (!addNewPort(state, vsmmu, group->request->line))
                return false;
        }
    }
    return true;
}

static bool
slotHasFirst(const viommuVSMMU *vsmmu, unsigned slot)
{
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (port->slot == slot && port->function == 0)
            return true;
    }
    return false;
}

/* Slots first, and several ports in a slot (functions 1-7) once all 32 slots hold one: a port in function 0
 * can then go without leaving its neighbours unseen. */
static void
placePorts(planState *state, viommuVSMMU *vsmmu)
{
    bool taken[PLAN_SLOTS * PLAN_FUNCTIONS] = { false };
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        /* A generated port whose function 0 has gone needs a new place: guests do not look for it. */
        if (port->slot < PLAN_SLOTS && port->generated && port->function &&
            !slotHasFirst(vsmmu, port->slot))
            port->slot = PLAN_SLOTS;
        if (port->slot < PLAN_SLOTS)
            taken[port->function * PLAN_SLOTS + port->slot] = true;
    }
    for (i = 0; i < vsmmu->ports->len; i++) {
        viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);
        unsigned place = 0;

        if (port->slot < PLAN_SLOTS)
            continue;
        while (taken[place])
            place++;
        taken[place] = true;
        port->slot = place % PLAN_SLOTS;
        port->function = place / PLAN_SLOTS;
        port->port = port->slot << 3 | port->function;
        if (!port->chassis)
            port->chassis = planTakeChassis(state, port->controller);
    }
    for (i = 0; i < vsmmu->ports->len; i++) {
        viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);
        unsigned function;

        if (!port->generated)
            continue;
        port->multifunction = false;
        for (function = 1; port->function == 0 && function < PLAN_FUNCTIONS; function++)
            port->multifunction = port->multifunction || taken[function * PLAN_SLOTS + port->slot];
    }
    g_ptr_array_sort(vsmmu->ports, comparePortPlaces);
}

static int
comparePlanDevices(const void *a, const void *b)
{
    const viommuPlanDevice *one = *(viommuPlanDevice *const *)a;
    const viommuPlanDevice *two = *(viommuPlanDevice *const *)b;
    unsigned left = one->addr.bus << 8 | one->addr.slot << 3 | one->addr.function;
    unsigned right = two->addr.bus << 8 | two->addr.slot << 3 | two->addr.function;

    return left < right ? -1 : left > right;
}

static void
listDevices(planState *state)
{
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        const planDevice *item = g_ptr_array_index(state->devices, i);
        viommuPlanDevice *device = g_new0(viommuPlanDevice, 1);
        const viommuPlanPort *port;

        device->device = item->device;
        device->host = item->host;
        device->addr = item->addr;
        port = findPort(item->where, item->addr.bus);
        device->generated = !item->kept || (port && port->generated);
        g_ptr_array_add(item->where->devices, device);
    }
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        g_ptr_array_sort(vsmmu->devices, comparePlanDevices);
    }
}

static void
findBefore(planState *state, const viommuView *view)
{
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        planDevice *item = g_ptr_array_index(state->devices, i);
        const viommuViewPlace *place = viommuViewArgumentPlace(view, item->device);

        item->before = place ? place->bus : NULL;
    }
}

bool
planPlaceDevices(planState *state)
{
    g_autoptr(viommuView) view = state->dom->madeArguments ? viommuViewNew(state->dom, NULL) : NULL;
    size_t i;

    if (!planClaimBuses(state))
        return false;
    for (i = 0; i < state->plan->vsmmus->len; i++)
        takePorts(state, g_ptr_array_index(state->plan->vsmmus, i));
    markOccupied(state);
    findPartners(state);
    findBefore(state, view);
    for (i = 0; i < state->groups->len; i++)
        dropSurplus(state, g_ptr_array_index(state->groups, i));
    planMarkIndexes(state);
    for (i = 0; i < state->groups->len; i++) {
        planGroup *group = g_ptr_array_index(state->groups, i);

        if (!placeGroup(state, group, view))
            return false;
        dropEmpty(state, group);
        if (!fillSparePorts(state, group))
            return false;
    }
    for (i = 0; i < state->plan->vsmmus->len; i++)
        placePorts(state, g_ptr_array_index(state->plan->vsmmus, i));
    listDevices(state);
    return true;
}
