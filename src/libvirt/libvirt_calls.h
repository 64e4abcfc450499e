/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's functions as pointers of their own types, found in libvirt.so.0 at run time. Only
 * viommu_libvirt.c and viommu_libvirt_monitor.c use them.
 */
#pragma once

#include <glib.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#define LIBVIRT_CALLS(CALL)                                                                        \
    CALL(virConnectClose)                                                                          \
    CALL(virConnectGetDomainCapabilities)                                                          \
    CALL(virConnectGetHostname)                                                                    \
    CALL(virConnectGetLibVersion)                                                                  \
    CALL(virConnectGetType)                                                                        \
    CALL(virConnectGetVersion)                                                                     \
    CALL(virConnectListAllDomains)                                                                 \
    CALL(virConnectOpenAuth)                                                                       \
    CALL(virDomainAttachDeviceFlags)                                                               \
    CALL(virDomainDefineXMLFlags)                                                                  \
    CALL(virDomainDetachDeviceFlags)                                                               \
    CALL(virDomainFree)                                                                            \
    CALL(virDomainGetName)                                                                         \
    CALL(virDomainGetXMLDesc)                                                                      \
    CALL(virDomainIsActive)                                                                        \
    CALL(virDomainLookupByID)                                                                      \
    CALL(virDomainLookupByName)                                                                    \
    CALL(virDomainLookupByUUIDString)                                                              \
    CALL(virGetLastError)                                                                          \
    CALL(virNetworkFree)                                                                           \
    CALL(virNetworkGetXMLDesc)                                                                     \
    CALL(virNetworkLookupByName)                                                                   \
    CALL(virSetErrorFunc)

typedef struct {
#define CALL(name) __typeof__(name) *name;
    LIBVIRT_CALLS(CALL)
#undef CALL
    virConnectAuthPtr auth; /* virConnectAuthPtrDefault: asks on the terminal */
} libvirtCalls;

/* The functions, or NULL with @error set (VIOMMU_ERROR_LIBVIRT) if there is no libvirt.so.0 here.
 * The library stays loaded. */
const libvirtCalls *libvirtCallsGet(GError **error);

typedef __typeof__(virDomainQemuMonitorCommand) libvirtMonitorCall;

/* virDomainQemuMonitorCommand, which stands in a library of its own, libvirt-qemu.so.0; as above. */
libvirtMonitorCall *libvirtMonitorCallGet(GError **error);
