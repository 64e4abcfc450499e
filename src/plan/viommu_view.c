/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's view of a domain: root buses, what stands below them, and the numbers that firmware gives to buses.
 */
#include "viommu_view.h"

#include "viommu_plan_implied.h"
#include "viommu_view_priv.h"

#include <string.h>

static void
freeNode(void *data)
{
    viewNode *node = data;

    g_ptr_array_unref(node->children);
    g_free(node);
}

static void
freePlace(void *data)
{
    viommuViewPlace *place = data;

    g_free(place->name);
    g_free(place);
}

void
viommuViewFree(viommuView *view)
{
    if (!view)
        return;
    g_ptr_array_unref(view->buses);
    g_ptr_array_unref(view->places);
    g_free(view);
}

viewNode *
viewAddNode(viewState *state)
{
    viewNode *node = g_new0(viewNode, 1);

    node->children = g_ptr_array_new();
    node->number = -1;
    g_ptr_array_add(state->nodes, node);
    return node;
}

viommuViewBus *
viewAddRoot(viewState *state, viewNode *node, int busNr)
{
    viommuViewBus *bus = g_new0(viommuViewBus, 1);

    bus->busNr = busNr;
    bus->slot = -1;
    bus->node = -1;
    node->root = bus;
    g_ptr_array_add(state->view->buses, bus);
    return bus;
}

viommuViewPlace *
viewAddPlace(viewState *state, viommuViewKind kind, const char *name)
{
    viommuViewPlace *place = g_new0(viommuViewPlace, 1);

    place->kind = kind;
    place->name = g_strdup(name);
    g_ptr_array_add(state->view->places, place);
    return place;
}

void
viewLink(viewNode *node, viewNode *parent, unsigned devfn)
{
    node->parent = parent;
    node->devfn = devfn;
    parent->used = true;
    g_ptr_array_add(parent->children, node);
}

static bool
isRoot(viommuPCIModel model)
{
    return model == VIOMMU_PCI_ROOT || model == VIOMMU_PCI_EXPANDER;
}

static void
addController(viewState *state, const viommuController *controller)
{
    bool port = controller->model == VIOMMU_PCI_ROOT_PORT || controller->model == VIOMMU_PCI_DOWNSTREAM;
    g_autofree char *name = NULL;
    viewNode *node;

    if (controller->model == VIOMMU_PCI_ROOT)
        return;
    node = viewAddNode(state);
    state->byIndex[controller->index] = node;
    if (controller->model == VIOMMU_PCI_EXPANDER) {
        viommuViewBus *bus = viewAddRoot(state, node, controller->busNr >= 0 ? controller->busNr : -1);

        bus->slot = controller->hasAddr ? (int)controller->addr.slot : -1;
        bus->node = controller->numaNode;
        return;
    }
    if (!port)
        name = g_strdup_printf("controller '%s'", viommuPCIModelName(controller->model));
    node->place = viewAddPlace(state, port ? VIOMMU_VIEW_PORT : VIOMMU_VIEW_BRIDGE, name);
}

/* pcie.0 comes first. */
static void
addControllers(viewState *state)
{
    const GPtrArray *controllers = state->dom->controllers;
    const viommuController *root = viommuDomainFindRoot(state->dom);
    size_t i;

    state->byIndex[0] = viewAddNode(state);
    viewAddRoot(state, state->byIndex[0], 0);
    state->view->hole64KiB = root ? root->hole64KiB : 0;
    for (i = 0; i < controllers->len; i++)
        addController(state, g_ptr_array_index(controllers, i));
    for (i = 0; i < controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(controllers, i);
        viewNode *parent = controller->hasAddr ? state->byIndex[controller->addr.bus] : NULL;

        if (isRoot(controller->model))
            continue;
        if (parent)
            viewLink(state->byIndex[controller->index], parent,
                     controller->addr.slot << 3 | controller->addr.function);
        else
            state->view->settled = false;
    }
}

static int
choice(int value)
{
    return value >= 0 ? value : VIOMMU_AUTO;
}

/* What is asked for is not there yet. */
static void
addVSMMUs(viewState *state)
{
    size_t i;

    for (i = 0; i < state->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(state->dom->iommus, i);
        viewNode *node = iommu->pciBus >= 0 ? state->byIndex[iommu->pciBus] : NULL;
        viommuViewBus *bus = node ? node->root : NULL;

        if (iommu->nested != VIOMMU_UNSET)
            continue;
        if (iommu->pciBus == VIOMMU_UNSET)
            state->view->machineWide = true;
        if (!bus)
            continue;
        bus->vsmmu = true;
        bus->accel = iommu->accel == 1;
        bus->features = (viommuFeatures){ .cmdqv = choice(iommu->features.cmdqv),
                                          .ats = choice(iommu->features.ats),
                                          .ril = choice(iommu->features.ril),
                                          .ssidsize = choice(iommu->features.ssidsize),
                                          .oas = choice(iommu->features.oas) };
    }
}

static void
nameSMMUs(viewState *state)
{
    size_t i;

    for (i = 0; i < state->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(state->dom->placed, i);
        viewNode *node = state->byIndex[placed->controller];

        if (node && node->root)
            node->root->smmu = placed->smmu;
    }
}

/* Steps from the root of @node to it; 0 if libvirt chooses its place, or it is in a loop. */
static unsigned
countSteps(const viewNode *node)
{
    unsigned count = 1;

    for (; node && !node->root && count < VIOMMU_VIEW_STEPS_MAX; node = node->parent)
        count++;
    return node && node->root ? count : 0;
}

static void
seat(viommuViewPlace *place, viewNode *node, unsigned devfn)
{
    unsigned i = countSteps(node);

    if (node)
        node->used = true;
    place->stepCount = i;
    while (i--) {
        place->steps[i] = (uint8_t)devfn;
        place->numbers[i] = (int16_t)node->number;
        place->bus = node->root;
        devfn = node->devfn;
        node = node->parent;
    }
}

/* An interface is known by its MAC address, which its guest knows it by too. */
static char *
nameDevice(const viommuDevice *device)
{
    const char *mac = viommuXMLAttr(viommuXMLChild(device->node, "mac"), "address");

    if (device->kind == VIOMMU_DEVICE_ASSIGNED && !device->network)
        return g_strdup(device->key);
    if (mac && strcmp(device->element, "interface") == 0)
        return g_strdup_printf("interface '%s'", mac);
    return g_strdup(device->what);
}

static void
addDevice(viewState *state, const viommuDevice *device, const virSMMUTopology *host)
{
    bool assigned = device->kind == VIOMMU_DEVICE_ASSIGNED;
    const viewSeat *other = assigned && device->alias ? g_hash_table_lookup(state->seats, device->alias) : NULL;
    const virSMMUDevice *source = assigned && device->haveSource && host
                                      ? virSMMUTopologyFindDevice(host, &device->source) : NULL;
    g_autofree char *name = nameDevice(device);
    viommuViewPlace *place = viewAddPlace(state, assigned ? VIOMMU_VIEW_ASSIGNED : VIOMMU_VIEW_EMULATED, name);
    viommuViewBus *bus;

    place->device = device;
    if (other)
        seat(place, other->bus, other->devfn);
    else
        seat(place, device->hasAddr ? state->byIndex[device->addr.bus] : NULL,
             device->addr.slot << 3 | device->addr.function);
    bus = (viommuViewBus *)place->bus;
    if (bus && bus->vsmmu && !bus->smmu && source && source->smmu)
        bus->smmu = source->smmu->name;
}

/* What libvirt will add: its places are not known. */
static void
addImplied(viewState *state, const planImplied *needs)
{
    static const char *const names[PLAN_IMPLIED_LAST] = {
        [PLAN_IMPLIED_SERIAL] = "controller 'virtio-serial'",
        [PLAN_IMPLIED_SCSI] = "controller 'scsi'",
        [PLAN_IMPLIED_NVME] = "controller 'nvme'",
        [PLAN_IMPLIED_VIDEO] = "video 'virtio'",
    };
    size_t i;

    for (i = 0; i < PLAN_IMPLIED_LAST; i++) {
        if (needs->wanted[i])
            seat(viewAddPlace(state, VIOMMU_VIEW_EMULATED, names[i]), NULL, 0);
    }
}

static int
compareNodes(const void *a, const void *b)
{
    const viewNode *one = *(viewNode *const *)a;
    const viewNode *two = *(viewNode *const *)b;

    return one->devfn < two->devfn ? -1 : one->devfn > two->devfn;
}

/* As firmware does: downwards first, in the order of slots and functions. Returns the last number. */
static int
number(viewNode *node, int first)
{
    size_t i;

    node->number = first <= VIOMMU_PCI_INDEX_MAX ? first : -1;
    g_ptr_array_sort(node->children, compareNodes);
    for (i = 0; i < node->children->len; i++)
        first = number(g_ptr_array_index(node->children, i), first + 1);
    return first;
}

/* libvirt fills gaps with root ports on pcie.0. */
static bool
hasGaps(const viewState *state)
{
    unsigned highest = VIOMMU_PCI_INDEX_MAX;

    while (!state->byIndex[highest])
        highest--;
    while (highest && state->byIndex[highest])
        highest--;
    return highest > 0;
}

static void
numberBuses(viewState *state)
{
    size_t i;

    for (i = 0; i < state->nodes->len; i++) {
        viewNode *node = g_ptr_array_index(state->nodes, i);
        bool known = node == state->byIndex[0] ? state->view->settled : node->root && node->root->busNr >= 0;

        if (known)
            number(node, node->root->busNr);
    }
}

/* Ports and bridges are on the bus of their parents. */
static void
placeNodes(viewState *state)
{
    size_t i;

    for (i = 0; i < state->nodes->len; i++) {
        viewNode *node = g_ptr_array_index(state->nodes, i);

        if (!node->place)
            continue;
        seat(node->place, node->parent, node->devfn);
        node->place->empty = !node->used;
    }
}

static bool
isUnplaced(const viommuDevice *device)
{
    return device->kind != VIOMMU_DEVICE_NONE && !device->hasAddr;
}

/* Will libvirt make or place anything? */
static void
settle(viewState *state, const planImplied *needs)
{
    size_t i;

    for (i = 0; i < PLAN_IMPLIED_LAST; i++)
        state->view->settled = state->view->settled && !needs->wanted[i];
    for (i = 0; i < state->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(state->dom->devices, i);
        bool there = device->alias && g_hash_table_contains(state->seats, device->alias);

        if ((isUnplaced(device) && !there) || (device->hasAddr && !state->byIndex[device->addr.bus]))
            state->view->settled = false;
    }
    if (needs->unmet || hasGaps(state))
        state->view->settled = false;
}

viommuView *
viommuViewNew(const viommuDomain *dom, const virSMMUTopology *host)
{
    viommuView *view = g_new0(viommuView, 1);
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(freeNode);
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) seats = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    viewState state = { .dom = dom, .view = view, .nodes = nodes, .byName = names, .seats = seats };
    planImplied needs;
    size_t i;

    planFindImplied(dom, &needs);
    view->buses = g_ptr_array_new_with_free_func(g_free);
    view->places = g_ptr_array_new_with_free_func(freePlace);
    view->settled = true;
    addControllers(&state);
    addVSMMUs(&state);
    nameSMMUs(&state);
    viewReadArguments(&state);
    settle(&state, &needs);
    numberBuses(&state);
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (device->kind != VIOMMU_DEVICE_NONE)
            addDevice(&state, device, host);
    }
    addImplied(&state, &needs);
    placeNodes(&state);
    return view;
}

int
viommuViewNumber(const viommuViewPlace *place)
{
    return place->numbers[place->stepCount - 1];
}

char *
viommuViewPath(const viommuViewPlace *place)
{
    GString *out;
    unsigned i;

    if (!place->bus)
        return NULL;
    out = g_string_new(place->bus->busNr < 0 ? "?:" : NULL);
    for (i = 0; i < place->stepCount; i++) {
        int bus = i ? place->numbers[i] : place->bus->busNr;

        if (i)
            g_string_append_c(out, '/');
        if (bus >= 0)
            g_string_append_printf(out, "%02x:", (unsigned)bus);
        g_string_append_printf(out, "%02x.%x", place->steps[i] >> 3, place->steps[i] & 7);
    }
    return g_string_free(out, FALSE);
}
