/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host that a domain is placed on, as far as it is known: the map of its SMMUs, the libvirt
 * networks that hand out its devices, and what its administrator asks for.
 */
#pragma once

#include "viommu_conf.h"
#include "viommu_users.h"
#include "virsmmu.h"
#include "virsysfs.h"

#include <glib.h>

typedef struct {
    viommuPolicy policy; /* OFF at first */
    virSysfs *fs; /* this and topo: NULL before viommuHostRead */
    virSMMUTopology *topo;
    GPtrArray *networks; /* of viommuNetwork */
    GPtrArray *users;    /* of viommuDeviceUser: what other domains hold that run; owned; NULL: not known */
} viommuHost;

/* A host of which nothing is known. Free with viommuHostFree. */
viommuHost *viommuHostNew(void);
void viommuHostFree(viommuHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuHost, viommuHostFree)

/* Reads the map of SMMUs from @fs, which it takes over, in the place of what was read before. */
bool viommuHostRead(viommuHost *host, virSysfs *fs, GError **error);

/* The network of that name, or NULL. */
const viommuNetwork *viommuHostFindNetwork(const viommuHost *host, const char *name);

/* Takes all networks out. */
void viommuHostForgetNetworks(viommuHost *host);

/* Takes over @net, of which no other of that name may be there. */
void viommuHostAddNetwork(viommuHost *host, viommuNetwork *net);

/* Names of the networks that decide something about @dom and are not known, as they stand in it.
 * Free with g_ptr_array_unref; the names are borrowed from @dom. */
GPtrArray *viommuHostMissingNetworks(const viommuHost *host, const viommuDomain *dom);

/* Finds the host devices behind the networks of @dom, applies the policy to it, and reads the
 * details of all its host devices. A network that is not known is an error, or with @notes a note there. */
bool viommuHostBind(viommuHost *host, viommuDomain *dom, GPtrArray *notes, GError **error);

/* Reads the details of all that can come to spare ports of @dom, which keep room for any device of their SMMU: some
 * ten system calls for each, and so only for who plans, or plugs. */
void viommuHostLoadComing(viommuHost *host, const viommuDomain *dom);
