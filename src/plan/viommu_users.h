/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the running domains of a host hold of it.
 */
#pragma once

#include "viommu_conf.h"
#include "virsmmu.h"

/* A virtual interface (VINTF) of a CMDQV serves one vSMMU; it has 64, and Linux keeps one
 * (drivers/iommu/arm/arm-smmu-v3/tegra241-cmdqv.c). */
#define VIOMMU_CMDQV_VSMMUS_MAX 63

/* A host device that a domain holds. */
typedef struct {
    virPCIAddr addr;
    char *domain; /* its name */
    int vsmmu;    /* pciBus, or number, of the vSMMU above it, if that may have command queues; else VIOMMU_UNSET */
} viommuDeviceUser;

/* An array that owns them; free with g_ptr_array_unref. */
GPtrArray *viommuUsersNew(void);

/* Adds the host devices of @dom, which runs: its devices have addresses. One without a name is left out. */
void viommuUsersAdd(GPtrArray *users, const viommuDomain *dom);

/* How many vSMMUs of @users (NULL: not known, 0) may hold command queues of @smmu. */
unsigned viommuUsersCountQueues(const GPtrArray *users, const virSMMUTopology *host, const virSMMU *smmu);
