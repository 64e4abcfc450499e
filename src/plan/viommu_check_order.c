/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order in which libvirt 12.8 gives PCI addresses to the devices that have none: that of
 * qemuDomainAssignDevicePCISlots() (src/qemu/qemu_domain_address.c), and within it that of
 * libvirt's own lists, where disks stand by their names and controllers by type and index
 * (virDomainDiskInsert, virDomainControllerInsertPreAlloced), whatever the document's order is.
 */
#include "viommu_check_priv.h"

#include <stdlib.h>
#include <string.h>

#define DISK_NUMBER_MAX 1000000

/* Controllers of type pci come before all of these. */
enum {
    RANK_FILESYSTEM,
    RANK_INTERFACE,
    RANK_SOUND,
    RANK_CONTROLLER,
    RANK_DISK,
    RANK_INTERFACE_HOSTDEV, /* libvirt lists them with the hostdevs, first */
    RANK_HOSTDEV,
    RANK_MEMBALLOON,
    RANK_RNG,
    RANK_WATCHDOG,
    RANK_VIDEO,
    RANK_SHMEM,
    RANK_INPUT,
    RANK_SERIAL,
    RANK_VSOCK,
    RANK_MEMORY,
    RANK_CRYPTO,
    RANK_OTHER,
};

static const struct {
    const char *element;
    unsigned rank;
} ranks[] = {
    { "filesystem", RANK_FILESYSTEM },
    { "interface", RANK_INTERFACE },
    { "sound", RANK_SOUND },
    { "controller", RANK_CONTROLLER },
    { "disk", RANK_DISK },
    { "hostdev", RANK_HOSTDEV },
    { "memballoon", RANK_MEMBALLOON },
    { "rng", RANK_RNG },
    { "watchdog", RANK_WATCHDOG },
    { "video", RANK_VIDEO },
    { "shmem", RANK_SHMEM },
    { "input", RANK_INPUT },
    { "serial", RANK_SERIAL },
    { "vsock", RANK_VSOCK },
    { "memory", RANK_MEMORY },
    { "crypto", RANK_CRYPTO },
};

static unsigned
rankOf(const viommuCheckSeat *seat)
{
    const viommuDevice *device = seat->device;
    size_t i;

    if (device && device->kind == VIOMMU_DEVICE_ASSIGNED && !device->network &&
        strcmp(seat->element, "interface") == 0)
        return RANK_INTERFACE_HOSTDEV;
    for (i = 0; i < G_N_ELEMENTS(ranks); i++) {
        if (strcmp(seat->element, ranks[i].element) == 0)
            return ranks[i].rank;
    }
    return RANK_OTHER;
}

int
viommuCheckDiskNumber(const char *name)
{
    static const char *const prefixes[] = { "vd", "sd", "hd", "xvd", "fd", "ubd" };
    const char *letter = NULL;
    int number = 0;
    size_t i;

    for (i = 0; name && i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(name, prefixes[i])) {
            letter = name + strlen(prefixes[i]);
            break;
        }
    }
    if (!letter)
        return -1;
    for (; g_ascii_islower(*letter); letter++)
        number = MIN(number * 26 + (*letter - 'a') + 1, DISK_NUMBER_MAX);
    return number - 1;
}

/* Type and number of what the document holds; of what libvirt adds they are there. */
static void
readOrder(viommuCheckSeat *seat)
{
    const xmlNode *node = seat->device ? seat->device->node : NULL;

    seat->rank = rankOf(seat);
    if (!node)
        return;
    seat->number = -1;
    if (seat->rank == RANK_CONTROLLER) {
        const char *index = viommuXMLAttr(node, "index");

        seat->type = viommuXMLAttr(node, "type");
        if (index)
            seat->number = atoi(index);
    } else if (seat->rank == RANK_DISK) {
        seat->number = viommuCheckDiskNumber(viommuXMLAttr(viommuXMLChild(node, "target"), "dev"));
    }
}

/* Controllers of one type stand together, where the first of them does. */
static void
groupControllers(const viommuChecker *checker)
{
    g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        gpointer group = NULL;

        if (seat->rank != RANK_CONTROLLER || !seat->type)
            continue;
        if (!g_hash_table_lookup_extended(groups, seat->type, NULL, &group)) {
            group = GUINT_TO_POINTER(g_hash_table_size(groups) + 1);
            g_hash_table_insert(groups, (char *)seat->type, group);
        }
        seat->group = GPOINTER_TO_UINT(group);
    }
}

static int
compareSeats(const void *a, const void *b)
{
    const viommuCheckSeat *one = *(viommuCheckSeat *const *)a;
    const viommuCheckSeat *two = *(viommuCheckSeat *const *)b;

    if (one->rank != two->rank)
        return one->rank < two->rank ? -1 : 1;
    if (one->group != two->group)
        return one->group < two->group ? -1 : 1;
    return one->number < two->number ? -1 : one->number > two->number;
}

void
viommuCheckSortSeats(const viommuChecker *checker, GPtrArray *waiting)
{
    size_t i;

    for (i = 0; i < checker->seats->len; i++)
        readOrder(g_ptr_array_index(checker->seats, i));
    groupControllers(checker);
    g_ptr_array_sort(waiting, compareSeats);
}
