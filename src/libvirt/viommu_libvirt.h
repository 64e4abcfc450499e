/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only place that calls libvirt. libvirt's client library is loaded when a connection is opened
 * and not before: most runs of viommu need none, and it costs more memory and start-up time than
 * everything else.
 *
 * Errors carry libvirt's own text: VIOMMU_ERROR_LIBVIRT where libvirt or its daemon could not be
 * reached, VIOMMU_ERROR_REFUSED where it answered with an error.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct viommuLibvirt viommuLibvirt;

typedef enum {
    VIOMMU_LIBVIRT_READ, /* read-only: no privileges are asked for */
    VIOMMU_LIBVIRT_WRITE,
    VIOMMU_LIBVIRT_MOST, /* to write, if that can be had without credentials, else read-only */
} viommuLibvirtAccess;

/* Versions as 1000 * major + minor; 0: unknown, both with drivers that run no QEMU. */
typedef struct {
    unsigned libvirt;
    unsigned qemu;
} viommuLibvirtVersions;

/* Connects to @uri; NULL means libvirt's default (LIBVIRT_DEFAULT_URI, libvirt.conf). It may ask
 * for credentials on the terminal, as virsh does. Free with viommuLibvirtFree. */
viommuLibvirt *viommuLibvirtOpen(const char *uri, viommuLibvirtAccess access, GError **error);
void viommuLibvirtFree(viommuLibvirt *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuLibvirt, viommuLibvirtFree)

/* The name of the host that libvirt runs on. Free with g_free. */
char *viommuLibvirtHostname(viommuLibvirt *conn, GError **error);

bool viommuLibvirtGetVersions(viommuLibvirt *conn, viommuLibvirtVersions *ret_versions,
                              GError **error);

/* The document <domainCapabilities> of aarch64 guests with that emulator, machine and type ("kvm", "qemu"); NULL: those
 * that libvirt takes if a domain does not say. VIOMMU_ERROR_REFUSED where it would define no such domain, which it says
 * in the same words then; VIOMMU_ERROR_LIBVIRT where it does not tell, as by a read-only connection: it runs the
 * emulator for that. Free with g_free. */
char *viommuLibvirtDomainCaps(viommuLibvirt *conn, const char *emulator, const char *machine, const char *type,
                              GError **error);

/* The XML of the network @name. Free with g_free. */
char *viommuLibvirtNetworkXML(viommuLibvirt *conn, const char *name, GError **error);

/* The host devices of all running domains but the one named @except (NULL: of all): an array that
 * owns viommuDeviceUser. A domain that ends meanwhile is left out. */
GPtrArray *viommuLibvirtDeviceUsers(viommuLibvirt *conn, const char *except, GError **error);

/* A domain of a connection, which has to outlive it. */
typedef struct viommuLibvirtDomain viommuLibvirtDomain;

/* VIR_DOMAIN_AFFECT_LIVE and _CONFIG (libvirt-domain.h); neither: the domain as it is now. */
#define VIOMMU_LIBVIRT_LIVE (1u << 0)
#define VIOMMU_LIBVIRT_CONFIG (1u << 1)

/* The domain with that id, UUID or name, in this order, as virsh does. Free with viommuLibvirtDomainFree. */
viommuLibvirtDomain *viommuLibvirtDomainFind(viommuLibvirt *conn, const char *name, GError **error);
void viommuLibvirtDomainFree(viommuLibvirtDomain *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuLibvirtDomain, viommuLibvirtDomainFree)

bool viommuLibvirtDomainIsActive(viommuLibvirtDomain *dom, bool *ret_active, GError **error);

/* Its XML as it is now, or, @inactive, as it will be when it starts next. Free with g_free. */
char *viommuLibvirtDomainXML(viommuLibvirtDomain *dom, bool inactive, GError **error);

/* The XML of the domain with that UUID, as it will be when it starts next; NULL, if there is none or libvirt does not
 * give it. Free with g_free. */
char *viommuLibvirtDefinedXML(viommuLibvirt *conn, const char *uuid);

/* Attaches or detaches the device @xml; of a running domain detaching may have only begun. */
bool viommuLibvirtAttach(viommuLibvirtDomain *dom, const char *xml, unsigned flags, GError **error);
bool viommuLibvirtDetach(viommuLibvirtDomain *dom, const char *xml, unsigned flags, GError **error);

/* Defines @xml, after validating it against libvirt's schema if @validate; returns the domain's
 * name. Free with g_free. */
char *viommuLibvirtDefine(viommuLibvirt *conn, const char *xml, bool validate, GError **error);

/* A running domain of QEMU, and its monitor. */
typedef struct viommuLibvirtMonitor viommuLibvirtMonitor;

/* Looks up @name as virsh does: by number, UUID or name. Refused (VIOMMU_ERROR_REFUSED) if there is none, or it is
 * not running, or runs in no QEMU. Needs VIOMMU_LIBVIRT_WRITE to be asked anything. Borrows @conn; free with
 * viommuLibvirtMonitorFree before it. */
viommuLibvirtMonitor *viommuLibvirtMonitorOpen(viommuLibvirt *conn, const char *name, GError **error);
void viommuLibvirtMonitorFree(viommuLibvirtMonitor *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuLibvirtMonitor, viommuLibvirtMonitorFree)

/* The XML as it runs. Free with g_free. */
char *viommuLibvirtMonitorXML(viommuLibvirtMonitor *dom, GError **error);

/* QEMU's answer to the QMP command @command, which libvirt passes on as it is; libvirt taints the domain by that
 * (custom-monitor). Errors are VIOMMU_ERROR_LIBVIRT. After @seconds without answer the call is given up, which leaves
 * the connection unusable, and a thread behind. Free with g_free. */
char *viommuLibvirtMonitorAsk(viommuLibvirtMonitor *dom, const char *command, unsigned seconds, GError **error);
