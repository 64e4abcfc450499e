/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counts what running domains hold.
 */
#include "viommu_users.h"

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

/* What QEMU may give command queues to: 'auto' is what it does unasked. */
static int
findQueues(const viommuDomain *dom, const viommuDevice *dev)
{
    const viommuController *expander = dev->hasAddr ? viommuDomainFindExpander(dom, dev->addr.bus) : NULL;
    int top = expander ? (int)expander->index : 0;
    size_t i;

    for (i = 0; dev->hasAddr && i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->pciBus == top && iommu->accel == 1 && iommu->features.cmdqv != 0)
            return iommu->pciBus;
    }
    return VIOMMU_UNSET;
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
