/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names, places and numbers of what is written as arguments of QEMU. The plan numbers controllers of the XML, which
 * does not have them then; so what the arguments of an earlier expansion say is what stays. libvirt knows nothing of
 * them and counts for itself.
 */
#include "viommu_expand_priv.h"
#include "viommu_view.h"
#include "viommuerror.h"

#include <string.h>

#define PLACES (EXPAND_SLOTS * EXPAND_FUNCTIONS)
#define BUS_LAST 255

/* Of 8 bits. libvirt numbers the chassis of its own root ports from 1 up, and QEMU takes none twice: "Can't add chassis
 * slot, error -16" (seen with 11.1). */
#define CHASSIS_LAST 255

/* pcie.0's, highest first: libvirt places its own from slot 1 up. */
#define ROOT_SLOT_LAST (EXPAND_SLOTS - 1)

typedef struct {
    expandState *state;
    const viommuView *view; /* NULL: nothing was there before */
    unsigned rootBuses;     /* bus numbers of pcie.0 and all below it */
    unsigned rootSlots;     /* slots of pcie.0 that libvirt chooses */
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
findBefore(const numbering *work, const viommuPlanDevice *device)
{
    return viommuViewArgumentPlace(work->view, device->device);
}

/* The bus that @vsmmu had: that of the first of its devices. No other vSMMU had it, as all devices of a bus were
 * behind one SMMU; of several vSMMUs of that one the first takes it. */
static const viommuViewBus *
findBus(const numbering *work, const GPtrArray *devices, GHashTable *claimed)
{
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const viommuViewPlace *place = findBefore(work, g_ptr_array_index(devices, i));

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
        const viommuViewPlace *place = findBefore(work, g_ptr_array_index(devices, i));
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

static bool
refuse(const numbering *work, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool
refuse(const numbering *work, GError **error, const char *format, ...)
{
    const viommuDomain *dom = work->state->dom;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(dom->xml, dom->root),
                  "this libvirt has no pciBus (11.10 has), and so makes a root port on pcie.0 for every host device, too: "
                  "%s", text);
    return false;
}

static unsigned
countBuses(const numbering *work)
{
    const GPtrArray *vsmmus = work->state->ordered;
    unsigned count = work->rootBuses;
    size_t i;

    for (i = 0; i < vsmmus->len; i++)
        count += 1 + ((viommuVSMMU *)g_ptr_array_index(vsmmus, i))->devices->len;
    return count;
}

/* @buses: of before, in the order of the vSMMUs; NULL: none. */
static bool
chooseNumbers(numbering *work, const GPtrArray *buses, GError **error)
{
    const GPtrArray *vsmmus = work->state->ordered;
    size_t i;

    for (i = 0; i < vsmmus->len; i++) {
        const viommuViewBus *bus = g_ptr_array_index(buses, i);

        if (bus)
            takeNumbers(work, g_ptr_array_index(vsmmus, i), (unsigned)bus->busNr);
    }
    if (packNumbers(work) >= work->rootBuses)
        return true;
    /* Gaps between those that stay may leave too little: all of them anew. */
    memset(work->taken, 0, sizeof(work->taken));
    memset(work->state->busNrs, 0, sizeof(work->state->busNrs));
    if (packNumbers(work) >= work->rootBuses)
        return true;
    return refuse(work, error, "the guest would have %u buses, and can have %d; give it fewer host devices, remove root "
                  "ports that hold nothing, or update libvirt", countBuses(work), BUS_LAST + 1);
}

/* The highest chassis number below @chassis that no port of the domain has; 0: there is none. */
static unsigned
nextChassis(const viommuDomain *dom, unsigned chassis)
{
    size_t i = 0;

    for (chassis -= chassis > 0; chassis && i < dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(dom->controllers, i);

        if (there->chassis == (int)chassis && !viommuDomainIsGenerated(dom, there))
            return nextChassis(dom, chassis);
    }
    return chassis;
}

static bool
chooseChassis(const numbering *work, GError **error)
{
    expandState *state = work->state;
    unsigned chassis = CHASSIS_LAST + 1;
    size_t i;
    size_t j;

    for (i = 0; i < state->ordered->len; i++) {
        g_autoptr(GPtrArray) devices = expandOrderDevices(state, g_ptr_array_index(state->ordered, i));

        for (j = 0; j < devices->len; j++) {
            chassis = nextChassis(state->dom, chassis);
            state->chassis[((viommuPlanDevice *)g_ptr_array_index(devices, j))->addr.bus] = chassis;
        }
    }
    if (chassis >= work->rootBuses)
        return true;
    return refuse(work, error, "it numbers their chassis up to %u, and above that the domain's own ports leave too few "
                  "for those of the vSMMUs; remove chassis from the <target> of root ports, or update libvirt",
                  work->rootBuses - 1);
}

static void
take(bool used[], const viommuGuestAddr *addr)
{
    if (addr->domain == 0 && addr->bus == 0 && addr->slot < EXPAND_SLOTS)
        used[addr->slot] = true;
}

/* Slots of pcie.0 that the domain names, or will name, and those that libvirt will take: the lowest. */
static void
markSlots(const numbering *work, bool used[])
{
    const viommuDomain *dom = work->state->dom;
    unsigned left = work->rootSlots;
    unsigned slot;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(dom->controllers, i);

        if (there->hasAddr && !viommuDomainIsGenerated(dom, there))
            take(used, &there->addr);
    }
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (device->hasAddr)
            take(used, &device->addr);
    }
    for (slot = 1; left && slot <= ROOT_SLOT_LAST; slot++) {
        left -= !used[slot];
        used[slot] = true;
    }
}

/* Those of before, the highest for the others. */
static bool
chooseSlots(const numbering *work, GError **error)
{
    expandState *state = work->state;
    bool used[EXPAND_SLOTS] = { false };
    unsigned slot = ROOT_SLOT_LAST;
    size_t i;

    markSlots(work, used);
    for (i = 0; i < state->ordered->len; i++) {
        unsigned *where = &state->slots[((viommuVSMMU *)g_ptr_array_index(state->ordered, i))->controller];

        if (used[*where])
            *where = 0;
        used[*where] = true;
    }
    for (i = 0; i < state->ordered->len; i++) {
        unsigned *where = &state->slots[((viommuVSMMU *)g_ptr_array_index(state->ordered, i))->controller];

        while (!*where && slot && used[slot])
            slot--;
        if (!*where && !slot)
            return refuse(work, error, "it needs %u slots of pcie.0, and too few are left for %u expander buses; give the "
                          "guest fewer host devices, remove root ports that hold nothing, or update libvirt",
                          work->rootSlots, state->ordered->len);
        if (!*where)
            *where = slot--;
    }
    return true;
}

bool
expandNumbers(expandState *state, GError **error)
{
    g_autoptr(viommuView) view = state->dom->madeArguments ? viommuViewNew(state->dom, NULL) : NULL;
    g_autoptr(GHashTable) claimed = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) buses = g_ptr_array_new();
    numbering work = { .state = state, .view = view };
    unsigned next = 1;
    size_t i;
    size_t j;

    if (state->words.pciBus || !state->plan->vsmmus->len)
        return true;
    expandCountRoot(state->dom, &work.rootBuses, &work.rootSlots);
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
    return chooseNumbers(&work, buses, error) && chooseChassis(&work, error) && chooseSlots(&work, error);
}
