/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of this layer share.
 */
#pragma once

#include "libvirt_calls.h"
#include "viommu_libvirt.h"

struct viommuLibvirt {
    const libvirtCalls *calls;
    virConnectPtr conn;
    bool stuck; /* a call was given up while another thread is still in it: it is never closed */
};

/* Sets @error to "WHAT: libvirt's last words in this thread". */
void viommuLibvirtSetError(const libvirtCalls *calls, GError **error, const char *what);

/* The domain with that id, UUID or name, in this order, as virsh does; free it with virDomainFree. */
virDomainPtr viommuLibvirtLookup(viommuLibvirt *conn, const char *name, GError **error);
