/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that libvirt 12.8 adds to a domain because others need them
 * (virDomainDefAddImplicitControllers, virDomainDefAddImplicitVideo): controllers for disks,
 * channels and consoles, a display for graphics.
 */
#include "viommu_check_priv.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 255 /* controllers of one type; more are the XML's own trouble */

/* Types of controllers, and how many disks libvirt puts on one (7 and 6 as on real cables). */
static const struct {
    const char *type;
    viommuDeviceKind kind;
    unsigned disks;
} types[] = {
    { "scsi", VIOMMU_DEVICE_PCIE, 7 },
    { "nvme", VIOMMU_DEVICE_PCIE, 0 },
    { "sata", VIOMMU_DEVICE_PCI, 6 },
    { "virtio-serial", VIOMMU_DEVICE_PCIE, 0 },
};

/* The type of the controller that @device needs, or NULL. */
static const char *
typeNeeded(const viommuDevice *device)
{
    const xmlNode *target = viommuXMLChild(device->node, "target");
    const char *bus = viommuXMLAttr(target, "bus");

    if (strcmp(device->element, "disk") == 0) {
        const char *name = viommuXMLAttr(target, "dev");

        return bus ? bus : name && g_str_has_prefix(name, "sd") ? "scsi" : NULL;
    }
    if (strcmp(device->element, "channel") == 0 || strcmp(device->element, "console") == 0)
        return g_strcmp0(viommuXMLAttr(target, "type"), "virtio") == 0 ? "virtio-serial" : NULL;
    if (strcmp(device->element, "hostdev") == 0)
        return g_strcmp0(viommuXMLAttr(device->node, "type"), "scsi") == 0 ? "scsi" : NULL;
    return NULL;
}

/* 0 for names of another form, as in libvirt. */
static unsigned
diskNumber(const viommuDevice *device)
{
    const char *name = viommuXMLAttr(viommuXMLChild(device->node, "target"), "dev");

    return name && g_str_has_prefix(name, "sd") ? (unsigned)MAX(viommuCheckDiskNumber(name), 0) : 0;
}

static unsigned
numberNeeded(const viommuDevice *device, unsigned disks)
{
    const char *given = viommuXMLAttr(viommuXMLChild(device->node, "address"), "controller");
    unsigned number = 0;

    if (given)
        number = (unsigned)MIN(strtoul(given, NULL, 0), NUMBER_MAX);
    else if (disks > 0)
        number = diskNumber(device) / disks;
    return MIN(number, NUMBER_MAX);
}

static viommuCheckSeat *
add(viommuChecker *checker, const viommuDevice *because, const char *element, const char *what,
    viommuDeviceKind kind)
{
    viommuCheckSeat *seat = g_new0(viommuCheckSeat, 1);

    seat->element = element;
    seat->what = g_strdup_printf("the %s that libvirt adds for %s", what, because->what);
    seat->line = because->line;
    seat->kind = kind;
    g_ptr_array_add(checker->seats, seat);
    return seat;
}

/* @have: the numbers that controllers of @type have; those without take the lowest that are free.
 */
static void
readNumbers(const viommuDomain *dom, const char *type, bool have[NUMBER_MAX + 1])
{
    unsigned unnumbered = 0;
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);
        const char *index = viommuXMLAttr(device->node, "index");

        if (strcmp(device->element, "controller") != 0 ||
            g_strcmp0(viommuXMLAttr(device->node, "type"), type) != 0)
            continue;
        if (index)
            have[MIN(strtoul(index, NULL, 0), NUMBER_MAX)] = true;
        else
            unnumbered++;
    }
    for (i = 0; i <= NUMBER_MAX && unnumbered > 0; i++) {
        if (!have[i]) {
            have[i] = true;
            unnumbered--;
        }
    }
}

/* All controllers of one type, from 0 to the highest that a device needs. */
static void
addControllers(viommuChecker *checker, size_t type)
{
    const viommuDevice *because[NUMBER_MAX + 1] = { NULL };
    const viommuDevice *last = NULL;
    g_autofree char *what = g_strdup_printf("%s controller", types[type].type);
    bool have[NUMBER_MAX + 1] = { false };
    size_t i;

    for (i = 0; i < checker->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(checker->dom->devices, i);
        unsigned number;

        if (g_strcmp0(typeNeeded(device), types[type].type) != 0)
            continue;
        number = numberNeeded(device, types[type].disks);
        if (!because[number])
            because[number] = device;
    }
    readNumbers(checker->dom, types[type].type, have);
    for (i = NUMBER_MAX + 1; i-- > 0;) {
        last = because[i] ? because[i] : last;
        if (last && !have[i]) {
            viommuCheckSeat *seat = add(checker, last, "controller", what, types[type].kind);

            seat->type = types[type].type;
            seat->number = (int)i;
        }
    }
}

static void
addVideo(viommuChecker *checker)
{
    const viommuDevice *graphics = NULL;
    size_t i;

    for (i = 0; i < checker->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(checker->dom->devices, i);

        if (strcmp(device->element, "video") == 0)
            return;
        if (!graphics && strcmp(device->element, "graphics") == 0)
            graphics = device;
    }
    if (graphics)
        add(checker, graphics, "video", "video device", VIOMMU_DEVICE_PCIE);
}

void
viommuCheckAddImplicit(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(types); i++)
        addControllers(checker, i);
    addVideo(checker);
}
