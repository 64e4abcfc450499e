/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads libvirt's client library.
 */
#include "libvirt_calls.h"

#include "viommuerror.h"

#include <dlfcn.h>

static const struct {
    const char *name;
    size_t offset;
} calls[] = {
#define CALL(name) { #name, G_STRUCT_OFFSET(libvirtCalls, name) },
    LIBVIRT_CALLS(CALL)
#undef CALL
};

const libvirtCalls *
libvirtCallsGet(GError **error)
{
    static libvirtCalls table;
    virConnectAuthPtr *auth;
    void *library;
    size_t i;

    if (table.auth)
        return &table;
    library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT,
                    "libvirt's client library is not installed (Debian: libvirt0): %s", dlerror());
        return NULL;
    }
    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        void *address = dlsym(library, calls[i].name);

        if (!address) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT,
                        "libvirt.so.0 has no function '%s'", calls[i].name);
            return NULL;
        }
        G_STRUCT_MEMBER(void *, &table, calls[i].offset) = address;
    }
    auth = dlsym(library, "virConnectAuthPtrDefault");
    if (!auth || !*auth) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT,
                            "libvirt.so.0 has no default authentication");
        return NULL;
    }
    table.auth = *auth;
    return &table;
}

libvirtMonitorCall *
libvirtMonitorCallGet(GError **error)
{
    static const char name[] = "virDomainQemuMonitorCommand";
    static libvirtMonitorCall *call;
    void *library = call ? NULL : dlopen("libvirt-qemu.so.0", RTLD_NOW | RTLD_LOCAL);

    if (call)
        return call;
    if (library)
        call = (libvirtMonitorCall *)dlsym(library, name);
    if (!call)
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT,
                    "libvirt's client library for QEMU is not installed (Debian: libvirt0): %s", dlerror());
    return call;
}
