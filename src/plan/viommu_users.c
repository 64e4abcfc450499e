/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counts what running domains hold.
 */
#include "viommu_users.h"

#include "viommu_expand_priv.h"

#include <string.h>

static void
freeUser(void *data)
{
    viommuDeviceUser *user = data;

    g_free(user->domain);
    g_free(user);
}

GPtrArray *
viommuUsersNew(void)
{
    return g_ptr_array_new_with_free_func(freeUser);
}

/* What stands behind @head in the argument that begins so, or NULL. */
static const char *
findArgument(const viommuDomain *dom, const char *head)
{
    const xmlNode *commandline = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "commandline");
    const xmlNode *node;

    for (node = viommuXMLChildNS(commandline, VIOMMU_NS_QEMU, "arg"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "arg")) {
        const char *value = viommuXMLAttr(node, "value");

        if (value && g_str_has_prefix(value, head))
            return value + strlen(head);
    }
    return NULL;
}

/* The bus on which <qemu:override> puts the device @alias, or NULL. */
static const char *
findBus(const viommuDomain *dom, const char *alias)
{
    const xmlNode *override = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "override");
    const xmlNode *device;
    const xmlNode *node;

    for (device = viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device"); device;
         device = viommuXMLNextNS(device, VIOMMU_NS_QEMU, "device")) {
        node = viommuXMLChildNS(device, VIOMMU_NS_QEMU, "frontend");
        if (g_strcmp0(viommuXMLAttr(device, "alias"), alias) != 0)
            continue;
        for (node = viommuXMLChildNS(node, VIOMMU_NS_QEMU, "property"); node;
             node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
            if (g_strcmp0(viommuXMLAttr(node, "name"), "bus") == 0)
                return viommuXMLAttr(node, "value");
        }
    }
    return NULL;
}

/* findQueues() for a vSMMU that is an argument, as for a libvirt without pciBus: the number in its name. */
static int
findArgumentQueues(const viommuDomain *dom, const viommuDevice *dev)
{
    const char *bus = findBus(dom, dev->alias);
    g_autofree char *port = g_strdup_printf("pcie-root-port,id=%s,bus=" EXPAND_ID, bus ? bus : "");
    const char *number = findArgument(dom, port);
    int vsmmu = number ? (int)g_ascii_strtoull(number, NULL, 10) : 0;
    g_autofree char *head = g_strdup_printf("arm-smmuv3,id=" EXPAND_ID "%d.smmu,", vsmmu);
    const char *smmu = findArgument(dom, head);

    return smmu && strstr(smmu, ",accel=on") && !strstr(smmu, ",cmdqv=off") ? vsmmu : VIOMMU_UNSET;
}

/* What QEMU may give command queues to: 'auto' is what it does unasked. */
static int
findQueues(const viommuDomain *dom, const viommuDevice *dev)
{
    const viommuController *expander = dev->hasAddr ? viommuDomainFindExpander(dom, dev->addr.bus) : NULL;
    int top = expander ? (int)expander->index : 0;
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->pciBus == top && iommu->accel == 1 && iommu->features.cmdqv != 0)
            return iommu->pciBus;
    }
    return findArgumentQueues(dom, dev);
}

void
viommuUsersAdd(GPtrArray *users, const viommuDomain *dom)
{
    size_t i;

    for (i = 0; dom->name && i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);
        viommuDeviceUser *user;

        if (dev->kind != VIOMMU_DEVICE_ASSIGNED || !dev->haveSource)
            continue;
        user = g_new0(viommuDeviceUser, 1);
        user->addr = dev->source;
        user->domain = g_strdup(dom->name);
        user->vsmmu = findQueues(dom, dev);
        g_ptr_array_add(users, user);
    }
}

unsigned
viommuUsersCountQueues(const GPtrArray *users, const virSMMUTopology *host, const virSMMU *smmu)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t i;

    for (i = 0; users && i < users->len; i++) {
        const viommuDeviceUser *user = g_ptr_array_index(users, i);
        const virSMMUDevice *dev = virSMMUTopologyFindDevice(host, &user->addr);

        if (user->vsmmu != VIOMMU_UNSET && dev && dev->smmu == smmu)
            g_hash_table_add(seen, g_strdup_printf("%d %s", user->vsmmu, user->domain));
    }
    return g_hash_table_size(seen);
}
