/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names, places and bus numbers of what is written as arguments of QEMU. The plan numbers controllers of the XML, which
 * does not have them then; so what the arguments of an earlier expansion say is what stays.
 */
#include "viommu_expand_priv.h"
#include "viommu_view.h"

#include <string.h>

#define PLACES (EXPAND_SLOTS * EXPAND_FUNCTIONS)
#define BUS_LAST 255

/* Controllers and bridges that libvirt adds to a domain without saying so (viommu_plan_implied.h, a bridge, its port),
 * at most. */
#define ADDED_MAX 8

typedef struct {
    expandState *state;
    const viommuView *view; /* NULL: nothing was there before */
    bool taken[BUS_LAST + 1];
} numbering;

static int
compareSMMUs(const void *a, const void *b)
{
    const viommuVSMMU *one = *(viommuVSMMU *const *)a;
    const viommuVSMMU *two = *(viommuVSMMU *const *)b;
    int order = strcmp(one->smmu->name, two->smmu->name);

    return order ? order : one->controller < two->controller ? -1 : one->controller > two->controller;
}

static int
compareDevices(const void *a, const void *b)
{
    const viommuPlanDevice *one = *(viommuPlanDevice *const *)a;
    const viommuPlanDevice *two = *(viommuPlanDevice *const *)b;

    int order = virPCIAddrCompare(&one->host->addr, &two->host->addr);

    /* Several interfaces on one network stand for its PF. */
    return order ? order : one->device->line < two->device->line ? -1 : one->device->line > two->device->line;
}

static int
comparePlaces(const void *a, const void *b, void *data)
{
    const expandState *state = data;
    unsigned one = state->places[(*(viommuPlanDevice *const *)a)->addr.bus];
    unsigned two = state->places[(*(viommuPlanDevice *const *)b)->addr.bus];

    return one < two ? -1 : one > two;
}

GPtrArray *
expandOrderDevices(const expandState *state, const viommuVSMMU *vsmmu)
{
    GPtrArray *devices = g_ptr_array_copy(vsmmu->devices, NULL, NULL);

    g_ptr_array_set_free_func(devices, NULL);
    g_ptr_array_sort_with_data(devices, comparePlaces, (void *)state);
    return devices;
}

/* Where @device was, or NULL: on a port of the arguments. */
static const viommuViewPlace *
findBefore(const numbering *work, const viommuDevice *device)
{
    size_t i;

    for (i = 0; work->view && i < work->view->places->len; i++) {
        const viommuViewPlace *place = g_ptr_array_index(work->view->places, i);

        if (place->device == device)
            return place->bus && place->bus->busNr > 0 && place->stepCount == 2 ? place : NULL;
    }
    return NULL;
}

/* The bus that @vsmmu had: that of the first of its devices. No other vSMMU had it, as all devices of a bus were
 * behind one SMMU; of several vSMMUs of that one the first takes it. */
static const viommuViewBus *
findBus(const numbering *work, const GPtrArray *devices, GHashTable *claimed)
{
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const viommuViewPlace *place = findBefore(work, ((viommuPlanDevice *)g_ptr_array_index(devices, i))->device);

        if (place && g_hash_table_add(claimed, (void *)place->bus))
            return place->bus;
    }
    return NULL;
}

/* Ports keep their places on @bus. A port whose function 0 has gone is not found by guests: it counts as new. */
static void
keepPlaces(const numbering *work, const GPtrArray *devices, const viommuViewBus *bus, unsigned places[], bool taken[])
{
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const viommuViewPlace *place = findBefore(work, ((viommuPlanDevice *)g_ptr_array_index(devices, i))->device);
        unsigned number = place ? (place->steps[0] & 7u) * EXPAND_SLOTS + (place->steps[0] >> 3) : PLACES;

        places[i] = PLACES;
        if (!place || place->bus != bus || taken[number])
            continue;
        places[i] = number;
        taken[number] = true;
    }
    for (i = 0; i < devices->len; i++) {
        if (places[i] < PLACES && !taken[places[i] % EXPAND_SLOTS]) {
            taken[places[i]] = false;
            places[i] = PLACES;
        }
    }
}

/* Slots first, then functions. */
static void
choosePlaces(numbering *work, const viommuVSMMU *vsmmu, const viommuViewBus *bus, const GPtrArray *devices)
{
    g_autofree unsigned *places = g_new0(unsigned, devices->len + 1);
    bool taken[PLACES] = { false };
    unsigned next = 0;
    size_t i;

    keepPlaces(work, devices, bus, places, taken);
    for (i = 0; i < devices->len; i++) {
        const viommuPlanDevice *device = g_ptr_array_index(devices, i);

        while (places[i] == PLACES && taken[next])
            next++;
        if (places[i] == PLACES)
            places[i] = next++;
        work->state->places[device->addr.bus] = places[i];
    }
    work->state->slots[vsmmu->controller] = bus && bus->slot > 0 ? (unsigned)bus->slot : 0;
}

static bool
takeNumbers(numbering *work, const viommuVSMMU *vsmmu, unsigned first)
{
    unsigned last = first + vsmmu->devices->len;
    unsigned i;

    for (i = first; i <= last; i++) {
        if (i > BUS_LAST || work->taken[i])
            return false;
    }
    for (i = first; i <= last; i++)
        work->taken[i] = true;
    work->state->busNrs[vsmmu->controller] = first;
    return true;
}

/* Those that have none take the highest that are free. Returns the lowest that is taken. */
static unsigned
packNumbers(numbering *work)
{
    const GPtrArray *vsmmus = work->state->ordered;
    unsigned lowest = BUS_LAST;
    size_t i;

    for (i = 0; i < vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(vsmmus, i);
        unsigned first = BUS_LAST;

        while (first && !work->state->busNrs[vsmmu->controller] && !takeNumbers(work, vsmmu, first))
            first--;
        lowest = MIN(lowest, work->state->busNrs[vsmmu->controller]);
    }
    return lowest;
}

/* More than pcie.0 and all below it can need. */
static unsigned
countRootTree(const viommuDomain *dom)
{
    unsigned highest = VIOMMU_PCI_INDEX_MAX;

    while (highest && !dom->byIndex[highest])
        highest--;
    return 1 + highest + dom->devices->len + ADDED_MAX;
}

/* @buses: of before, in the order of the vSMMUs; NULL: none. */
static void
chooseNumbers(numbering *work, const GPtrArray *buses)
{
    const GPtrArray *vsmmus = work->state->ordered;
    size_t i;

    for (i = 0; i < vsmmus->len; i++) {
        const viommuViewBus *bus = g_ptr_array_index(buses, i);

        if (bus)
            takeNumbers(work, g_ptr_array_index(vsmmus, i), (unsigned)bus->busNr);
    }
    if (packNumbers(work) >= countRootTree(work->state->dom))
        return;
    /* Gaps between those that stay may leave too little: all of them anew. */
    memset(work->taken, 0, sizeof(work->taken));
    memset(work->state->busNrs, 0, sizeof(work->state->busNrs));
    packNumbers(work);
}

void
expandNumbers(expandState *state)
{
    g_autoptr(viommuView) view = state->dom->madeArguments ? viommuViewNew(state->dom, NULL) : NULL;
    g_autoptr(GHashTable) claimed = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) buses = g_ptr_array_new();
    numbering work = { .state = state, .view = view };
    unsigned next = 1;
    size_t i;
    size_t j;

    if (state->words.pciBus)
        return;
    for (i = 0; i < state->plan->vsmmus->len; i++)
        g_ptr_array_add(state->ordered, g_ptr_array_index(state->plan->vsmmus, i));
    g_ptr_array_sort(state->ordered, compareSMMUs);
    for (i = 0; i < state->ordered->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->ordered, i);
        g_autoptr(GPtrArray) devices = g_ptr_array_copy(vsmmu->devices, NULL, NULL);
        const viommuViewBus *bus;

        g_ptr_array_set_free_func(devices, NULL);
        g_ptr_array_sort(devices, compareDevices);
        bus = findBus(&work, devices, claimed);
        choosePlaces(&work, vsmmu, bus, devices);
        g_ptr_array_add(buses, (void *)bus);
        state->numbers[vsmmu->controller] = next++;
        g_ptr_array_sort_with_data(devices, comparePlaces, state);
        for (j = 0; j < devices->len; j++)
            state->numbers[((viommuPlanDevice *)g_ptr_array_index(devices, j))->addr.bus] = next++;
    }
    chooseNumbers(&work, buses);
}
