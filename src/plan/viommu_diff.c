/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compares two views: first which root buses are the same, then which devices, then where they are.
 */
#include "viommu_diff.h"

#include <string.h>

/* The two sides are told apart by where they stand in arrays of two. */
enum { OLD, NEW, SIDES };

typedef struct {
    viommuDiff *diff;
    const viommuView *views[SIDES];
    GHashTable *pairs[SIDES]; /* viommuViewBus -> the same on the other side */
    GHashTable *ports[SIDES]; /* key of a port's place -> viommuViewPlace */
} comparing;

void
viommuDiffFree(viommuDiff *diff)
{
    if (!diff)
        return;
    g_ptr_array_unref(diff->buses);
    g_ptr_array_unref(diff->devices);
    g_ptr_array_unref(diff->ports);
    g_free(diff);
}

int
viommuBusFieldOf(const viommuViewBus *bus, viommuBusField field)
{
    const viommuFeatures *features = &bus->features;

    switch (field) {
    case VIOMMU_BUS_NUMBER:
        return bus->busNr;
    case VIOMMU_BUS_SLOT:
        return bus->slot;
    case VIOMMU_BUS_NODE:
        return bus->node;
    case VIOMMU_BUS_VSMMU:
        return bus->vsmmu;
    case VIOMMU_BUS_ACCEL:
        return bus->vsmmu ? bus->accel : VIOMMU_UNSET;
    case VIOMMU_BUS_CMDQV:
        return bus->vsmmu ? features->cmdqv : VIOMMU_UNSET;
    case VIOMMU_BUS_ATS:
        return bus->vsmmu ? features->ats : VIOMMU_UNSET;
    case VIOMMU_BUS_RIL:
        return bus->vsmmu ? features->ril : VIOMMU_UNSET;
    case VIOMMU_BUS_SSIDSIZE:
        return bus->vsmmu ? features->ssidsize : VIOMMU_UNSET;
    case VIOMMU_BUS_OAS:
        return bus->vsmmu ? features->oas : VIOMMU_UNSET;
    case VIOMMU_BUS_FIELDS:
        break;
    }
    return VIOMMU_UNSET;
}

/* ---- root buses */

typedef bool (*isPairFunc)(const viommuViewBus *one, const viommuViewBus *two);

static bool
isRoot(const viommuViewBus *one, const viommuViewBus *two)
{
    return one->busNr == 0 && two->busNr == 0;
}

static bool
isSameSMMU(const viommuViewBus *one, const viommuViewBus *two)
{
    return one->smmu && two->smmu && strcmp(one->smmu, two->smmu) == 0;
}

static bool
isSameSMMUAndNumber(const viommuViewBus *one, const viommuViewBus *two)
{
    return isSameSMMU(one, two) && one->busNr == two->busNr;
}

static bool
isSameNumber(const viommuViewBus *one, const viommuViewBus *two)
{
    return one->busNr >= 0 && one->busNr == two->busNr;
}

/* A vSMMU may come to a bus that has none, or go from it. */
static bool
isSameNumberWithout(const viommuViewBus *one, const viommuViewBus *two)
{
    return isSameNumber(one, two) && !(one->smmu && two->smmu);
}

static bool
isUnnumbered(const viommuViewBus *one, const viommuViewBus *two)
{
    return !one->smmu && !two->smmu && (one->busNr < 0 || two->busNr < 0);
}

static void
pairBuses(comparing *work, isPairFunc isPair)
{
    const GPtrArray *old = work->views[OLD]->buses;
    const GPtrArray *new = work->views[NEW]->buses;
    size_t i;
    size_t j;

    for (i = 0; i < old->len; i++) {
        viommuViewBus *one = g_ptr_array_index(old, i);

        for (j = 0; j < new->len && !g_hash_table_contains(work->pairs[OLD], one); j++) {
            viommuViewBus *two = g_ptr_array_index(new, j);

            if (g_hash_table_contains(work->pairs[NEW], two) || !isPair(one, two))
                continue;
            g_hash_table_insert(work->pairs[OLD], one, two);
            g_hash_table_insert(work->pairs[NEW], two, one);
        }
    }
}

static bool
isSameBus(const viommuViewBus *one, const viommuViewBus *two)
{
    unsigned i;

    for (i = 0; i < VIOMMU_BUS_FIELDS; i++) {
        if (viommuBusFieldOf(one, (viommuBusField)i) != viommuBusFieldOf(two, (viommuBusField)i))
            return false;
    }
    return true;
}

static void
addBus(comparing *work, const viommuViewBus *from, const viommuViewBus *to)
{
    viommuBusChange *change = g_new0(viommuBusChange, 1);

    change->from = from;
    change->to = to;
    g_ptr_array_add(work->diff->buses, change);
}

/* By number, the old one if it had one. The sort is stable: of one number, what goes stays in front of what comes. */
static int
compareBuses(const void *a, const void *b)
{
    const viommuBusChange *one = *(viommuBusChange *const *)a;
    const viommuBusChange *two = *(viommuBusChange *const *)b;
    int first = (one->from ? one->from : one->to)->busNr;
    int second = (two->from ? two->from : two->to)->busNr;

    return first < second ? -1 : first > second;
}

static void
compareAllBuses(comparing *work)
{
    /* Which SMMU is behind a vSMMU the guest does not see, so that in the end the number is enough. */
    static const isPairFunc rules[] = { isRoot, isSameSMMUAndNumber, isSameNumberWithout, isSameSMMU, isSameNumber,
                                        isUnnumbered };
    const GPtrArray *old = work->views[OLD]->buses;
    const GPtrArray *new = work->views[NEW]->buses;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rules); i++)
        pairBuses(work, rules[i]);
    for (i = 0; i < old->len; i++) {
        const viommuViewBus *from = g_ptr_array_index(old, i);
        const viommuViewBus *to = g_hash_table_lookup(work->pairs[OLD], from);

        if (!to || !isSameBus(from, to))
            addBus(work, from, to);
    }
    for (i = 0; i < new->len; i++) {
        const viommuViewBus *to = g_ptr_array_index(new, i);

        if (!g_hash_table_contains(work->pairs[NEW], to))
            addBus(work, NULL, to);
    }
    g_ptr_array_sort(work->diff->buses, compareBuses);
}

/* ---- places */

/* The place that is @count steps from the root of @place, in words that are the same on both sides for the same place;
 * NULL if libvirt chooses it. */
static char *
placeKey(const comparing *work, int side, const viommuViewPlace *place, unsigned count)
{
    const viommuViewBus *bus = place->bus;
    const viommuViewBus *old = side == OLD || !bus ? bus : g_hash_table_lookup(work->pairs[NEW], bus);
    GString *key;
    unsigned i;

    if (!bus || !count)
        return NULL;
    key = g_string_new(NULL);
    g_string_printf(key, "%p", (const void *)(old ? old : bus));
    for (i = 0; i < count; i++)
        g_string_append_printf(key, "/%02x", place->steps[i]);
    return g_string_free(key, FALSE);
}

static void
listPorts(comparing *work, int side)
{
    const GPtrArray *places = work->views[side]->places;
    size_t i;

    work->ports[side] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (i = 0; i < places->len; i++) {
        viommuViewPlace *place = g_ptr_array_index(places, i);
        char *key = place->kind == VIOMMU_VIEW_PORT ? placeKey(work, side, place, place->stepCount) : NULL;

        if (key)
            g_hash_table_insert(work->ports[side], key, place);
    }
}

/* Is the port of @place, which is of @side, on the other side there and empty? */
static bool
isEmptyOpposite(const comparing *work, int side, const viommuViewPlace *place)
{
    g_autofree char *key = place && place->stepCount > 1 ? placeKey(work, side, place, place->stepCount - 1) : NULL;
    const viommuViewPlace *port = key ? g_hash_table_lookup(work->ports[!side], key) : NULL;

    return port && port->empty;
}

static bool
isRenumbered(const viommuViewPlace *from, const viommuViewPlace *to)
{
    unsigned i;

    for (i = 0; i < from->stepCount; i++) {
        if (from->numbers[i] >= 0 && to->numbers[i] >= 0 && from->numbers[i] != to->numbers[i])
            return true;
    }
    return false;
}

static bool
findChange(const comparing *work, const viommuViewPlace *from, const viommuViewPlace *to, viommuChangeKind *ret_kind)
{
    g_autofree char *old = from ? placeKey(work, OLD, from, from->stepCount) : NULL;
    g_autofree char *new = to ? placeKey(work, NEW, to, to->stepCount) : NULL;

    *ret_kind = VIOMMU_CHANGE_MOVED;
    if (!from || !to) {
        *ret_kind = from ? VIOMMU_CHANGE_REMOVED : VIOMMU_CHANGE_ADDED;
        return true;
    }
    if (!old || !new) {
        *ret_kind = VIOMMU_CHANGE_OPEN;
        return old || new;
    }
    if (strcmp(old, new) != 0)
        return true;
    *ret_kind = VIOMMU_CHANGE_RENUMBERED;
    return isRenumbered(from, to);
}

static void
addPlace(comparing *work, GPtrArray *list, const viommuViewPlace *from, const viommuViewPlace *to)
{
    viommuChangeKind kind;
    viommuPlaceChange *change;

    if (!findChange(work, from, to, &kind))
        return;
    change = g_new0(viommuPlaceChange, 1);
    change->kind = kind;
    change->from = from;
    change->to = to;
    if (kind == VIOMMU_CHANGE_ADDED || kind == VIOMMU_CHANGE_MOVED)
        change->spareUsed = isEmptyOpposite(work, NEW, to);
    if (kind == VIOMMU_CHANGE_REMOVED || kind == VIOMMU_CHANGE_MOVED)
        change->spareLeft = isEmptyOpposite(work, OLD, from);
    g_ptr_array_add(list, change);
}

static int
comparePlaces(const viommuViewPlace *one, const viommuViewPlace *two)
{
    int first = one->bus ? one->bus->busNr : -1;
    int second = two->bus ? two->bus->busNr : -1;
    int order;

    if (first != second)
        return first < second ? -1 : 1;
    order = memcmp(one->steps, two->steps, MIN(one->stepCount, two->stepCount));
    return order ? order : (int)one->stepCount - (int)two->stepCount;
}

static int
compareChanges(const void *a, const void *b)
{
    const viommuPlaceChange *one = *(viommuPlaceChange *const *)a;
    const viommuPlaceChange *two = *(viommuPlaceChange *const *)b;
    const viommuViewPlace *first = one->from ? one->from : one->to;
    const viommuViewPlace *second = two->from ? two->from : two->to;
    int order = g_strcmp0(first->name, second->name);

    if ((first->kind == VIOMMU_VIEW_ASSIGNED) != (second->kind == VIOMMU_VIEW_ASSIGNED))
        return first->kind == VIOMMU_VIEW_ASSIGNED ? -1 : 1;
    return order ? order : comparePlaces(first, second);
}

/* ---- devices: those of one name that have the same place are the same, and then in their order */

/* "NAME PLACE" */
static char *
fullKey(const comparing *work, int side, const viommuViewPlace *place)
{
    g_autofree char *key = placeKey(work, side, place, place->stepCount);

    return g_strdup_printf("%s %s", place->name, key ? key : "");
}

/* The devices of @side by @key, in their order: key -> GQueue. */
static GHashTable *
listDevices(const comparing *work, int side, bool full, GHashTable *taken)
{
    const GPtrArray *places = work->views[side]->places;
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_queue_free);
    size_t i;

    for (i = 0; i < places->len; i++) {
        viommuViewPlace *place = g_ptr_array_index(places, i);
        g_autofree char *key = NULL;
        GQueue *queue;

        if (!place->name || g_hash_table_contains(taken, place))
            continue;
        key = full ? fullKey(work, side, place) : g_strdup(place->name);
        queue = g_hash_table_lookup(table, key);
        if (!queue) {
            queue = g_queue_new();
            g_hash_table_insert(table, g_steal_pointer(&key), queue);
        }
        g_queue_push_tail(queue, place);
    }
    return table;
}

static void
pairDevices(comparing *work, bool full, GHashTable *taken)
{
    const GPtrArray *old = work->views[OLD]->places;
    g_autoptr(GHashTable) there = listDevices(work, NEW, full, taken);
    size_t i;

    for (i = 0; i < old->len; i++) {
        viommuViewPlace *from = g_ptr_array_index(old, i);
        g_autofree char *key = NULL;
        viommuViewPlace *to;
        GQueue *queue;

        if (!from->name || g_hash_table_contains(taken, from))
            continue;
        key = full ? fullKey(work, OLD, from) : g_strdup(from->name);
        queue = g_hash_table_lookup(there, key);
        to = queue ? g_queue_pop_head(queue) : NULL;
        if (!to)
            continue;
        g_hash_table_add(taken, from);
        g_hash_table_add(taken, to);
        addPlace(work, work->diff->devices, from, to);
    }
}

static void
compareDevices(comparing *work)
{
    g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
    int side;
    size_t i;

    pairDevices(work, true, taken);
    pairDevices(work, false, taken);
    for (side = OLD; side < SIDES; side++) {
        const GPtrArray *places = work->views[side]->places;

        for (i = 0; i < places->len; i++) {
            viommuViewPlace *place = g_ptr_array_index(places, i);

            if (place->name && !g_hash_table_contains(taken, place))
                addPlace(work, work->diff->devices, side == OLD ? place : NULL, side == OLD ? NULL : place);
        }
    }
    g_ptr_array_sort(work->diff->devices, compareChanges);
}

/* On pcie.0 libvirt makes ports as it needs them. */
static bool
isPortKnown(const viommuView *view, const viommuViewBus *bus)
{
    return view->settled || bus->busNr != 0;
}

static void
comparePorts(comparing *work)
{
    int side;
    size_t i;

    for (side = OLD; side < SIDES; side++) {
        const GPtrArray *places = work->views[side]->places;

        for (i = 0; i < places->len; i++) {
            viommuViewPlace *place = g_ptr_array_index(places, i);
            g_autofree char *key = place->kind == VIOMMU_VIEW_PORT && place->empty
                                       ? placeKey(work, side, place, place->stepCount) : NULL;

            if (key && !g_hash_table_contains(work->ports[!side], key) &&
                isPortKnown(work->views[!side], place->bus))
                addPlace(work, work->diff->ports, side == OLD ? place : NULL, side == OLD ? NULL : place);
        }
    }
    g_ptr_array_sort(work->diff->ports, compareChanges);
}

viommuDiff *
viommuDiffNew(const viommuView *from, const viommuView *to)
{
    viommuDiff *diff = g_new0(viommuDiff, 1);
    comparing work = { .diff = diff, .views = { from, to } };
    int side;

    diff->buses = g_ptr_array_new_with_free_func(g_free);
    diff->devices = g_ptr_array_new_with_free_func(g_free);
    diff->ports = g_ptr_array_new_with_free_func(g_free);
    if (from->hole64KiB != to->hole64KiB) {
        diff->fromHole64KiB = from->hole64KiB;
        diff->toHole64KiB = to->hole64KiB;
    }
    diff->machineWide = to->machineWide - from->machineWide;
    for (side = OLD; side < SIDES; side++)
        work.pairs[side] = g_hash_table_new(NULL, NULL);
    compareAllBuses(&work);
    for (side = OLD; side < SIDES; side++)
        listPorts(&work, side);
    compareDevices(&work);
    comparePorts(&work);
    for (side = OLD; side < SIDES; side++) {
        g_hash_table_unref(work.pairs[side]);
        g_hash_table_unref(work.ports[side]);
    }
    return diff;
}
