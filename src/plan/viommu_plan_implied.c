/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt adds by itself to aarch64 guests of type virt.
 */
#include "viommu_plan_implied.h"

#include <string.h>

/* libvirt 12.8 hangs so many SCSI disks on one controller, by the letters of their names. */
#define SCSI_DISKS 7

const viommuPlanImplied *
planImpliedForm(planImpliedKind kind)
{
    static const viommuPlanImplied forms[PLAN_IMPLIED_LAST] = {
        [PLAN_IMPLIED_SERIAL] = { "controller", "type='virtio-serial' index='0'", NULL },
        [PLAN_IMPLIED_SCSI] = { "controller", "type='scsi' index='0' model='virtio-scsi'", NULL },
        [PLAN_IMPLIED_NVME] = { "controller", "type='nvme' index='0'", NULL },
        [PLAN_IMPLIED_VIDEO] = { "video", "", "<model type='virtio'/>" },
    };

    return &forms[kind];
}

/* The controllers of the domain as "TYPE INDEX", and "video" if there is a video card. */
static GHashTable *
listGiven(const viommuDomain *dom)
{
    GHashTable *given = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);
        const char *type = viommuXMLAttr(device->node, "type");
        const char *index = viommuXMLAttr(device->node, "index");

        if (strcmp(device->element, "video") == 0)
            g_hash_table_add(given, g_strdup("video"));
        if (strcmp(device->element, "controller") == 0 && type)
            g_hash_table_add(given, g_strdup_printf("%s %" G_GUINT64_FORMAT, type,
                                                    index ? g_ascii_strtoull(index, NULL, 0) : 0));
    }
    return given;
}

static bool
isGiven(GHashTable *given, const char *type, unsigned index)
{
    g_autofree char *name = g_strdup_printf("%s %u", type, index);

    return g_hash_table_contains(given, name);
}

static bool
isVirtioSerial(const viommuDevice *device)
{
    const xmlNode *target = viommuXMLChild(device->node, "target");

    return (strcmp(device->element, "channel") == 0 || strcmp(device->element, "console") == 0) &&
           g_strcmp0(viommuXMLAttr(target, "type"), "virtio") == 0;
}

/* The controller on which a disk or SCSI host device hangs: what its address says, else by the number that
 * the letters of its name make (sda 0, sdz 25, sdaa 26). */
static unsigned
controllerOf(const viommuDevice *device)
{
    const char *given = viommuXMLAttr(device->addrNode, "controller");
    const char *name = viommuXMLAttr(viommuXMLChild(device->node, "target"), "dev");
    unsigned number = 0;
    size_t i;

    if (given)
        return (unsigned)g_ascii_strtoull(given, NULL, 0);
    for (i = 2; name && strlen(name) > 2 && g_ascii_islower(name[i]) && i < 6; i++)
        number = number * 26 + (unsigned)(name[i] - 'a') + 1;
    return number ? (number - 1) / SCSI_DISKS : 0;
}

/* The type of controller that a disk or a SCSI host device hangs on, if it takes a port; NULL. */
static const char *
controllerType(const viommuDevice *device)
{
    static const char *const types[] = { "scsi", "nvme", "sata", NULL };
    const char *bus = NULL;

    if (strcmp(device->element, "disk") == 0)
        bus = viommuDiskBus(device->node);
    else if (strcmp(device->element, "hostdev") == 0)
        bus = viommuXMLAttr(device->node, "type");
    return bus && g_strv_contains((const gchar *const *)types, bus) ? bus : NULL;
}

static void
noteController(planImplied *needs, GHashTable *given, const viommuDevice *device)
{
    const char *type = controllerType(device);
    unsigned index = g_strcmp0(type, "scsi") == 0 ? controllerOf(device) : 0;

    if (!type || isGiven(given, type, index))
        return;
    if (index == 0 && strcmp(type, "sata") != 0) {
        needs->wanted[strcmp(type, "scsi") == 0 ? PLAN_IMPLIED_SCSI : PLAN_IMPLIED_NVME] = true;
    } else if (!needs->unmet) {
        needs->unmet = device;
        needs->unmetType = type;
        needs->unmetIndex = index;
    }
}

void
planFindImplied(const viommuDomain *dom, planImplied *ret_needs)
{
    g_autoptr(GHashTable) given = listGiven(dom);
    size_t i;

    *ret_needs = (planImplied){ 0 };
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (isVirtioSerial(device))
            ret_needs->wanted[PLAN_IMPLIED_SERIAL] = !isGiven(given, "virtio-serial", 0);
        if (strcmp(device->element, "graphics") == 0)
            ret_needs->wanted[PLAN_IMPLIED_VIDEO] = !g_hash_table_contains(given, "video");
        noteController(ret_needs, given, device);
    }
}
