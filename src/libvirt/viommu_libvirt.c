/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What viommu asks of libvirt.
 */
#include "viommu_libvirt.h"

#include "viommu_libvirt_priv.h"
#include "viommu_users.h"
#include "viommuerror.h"

#include <string.h>

static void
ignoreError(void *data, virErrorPtr err)
{
}

/* True where the daemon, the way to it or the credentials failed, rather than what was asked. */
static bool
isUnreachable(const virError *err)
{
    return err->domain == VIR_FROM_RPC || err->domain == VIR_FROM_REMOTE ||
           err->code == VIR_ERR_NO_CONNECT || err->code == VIR_ERR_INVALID_CONN ||
           err->code == VIR_ERR_AUTH_FAILED || err->code == VIR_ERR_AUTH_CANCELLED ||
           err->code == VIR_ERR_AUTH_UNAVAILABLE || err->code == VIR_ERR_SYSTEM_ERROR;
}

void
viommuLibvirtSetError(const libvirtCalls *calls, GError **error, const char *what)
{
    const virError *err = calls->virGetLastError();

    if (!err || !err->message) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "%s: libvirt gave no reason", what);
        return;
    }
    g_set_error(error, VIOMMU_ERROR,
                isUnreachable(err) ? VIOMMU_ERROR_LIBVIRT : VIOMMU_ERROR_REFUSED, "%s: %s", what,
                err->message);
}

viommuLibvirt *
viommuLibvirtOpen(const char *uri, viommuLibvirtAccess access, GError **error)
{
    const libvirtCalls *calls = libvirtCallsGet(error);
    g_autoptr(viommuLibvirt) self = NULL;

    if (!calls)
        return NULL;
    calls->virSetErrorFunc(NULL, ignoreError);
    self = g_new0(viommuLibvirt, 1);
    self->calls = calls;
    if (access == VIOMMU_LIBVIRT_MOST)
        self->conn = calls->virConnectOpenAuth(uri, NULL, 0);
    if (!self->conn)
        self->conn = calls->virConnectOpenAuth(uri, calls->auth, access == VIOMMU_LIBVIRT_WRITE ? 0 : VIR_CONNECT_RO);
    if (!self->conn) {
        g_autoptr(GError) local = NULL;

        viommuLibvirtSetError(calls, &local, "cannot connect to libvirt");
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, local->message);
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
viommuLibvirtFree(viommuLibvirt *self)
{
    if (!self || self->stuck)
        return;
    if (self->conn)
        self->calls->virConnectClose(self->conn);
    g_free(self);
}

char *
viommuLibvirtHostname(viommuLibvirt *self, GError **error)
{
    char *name = self->calls->virConnectGetHostname(self->conn);

    if (!name)
        viommuLibvirtSetError(self->calls, error, "cannot ask libvirt for its host's name");
    return name;
}

/* 0: the QEMU driver does not tell, as that of 9.0 where there is none for the host's own architecture. */
static bool
getQEMUVersion(viommuLibvirt *self, unsigned long *ret_version)
{
    const virError *err;

    *ret_version = 0;
    if (self->calls->virConnectGetVersion(self->conn, ret_version) == 0)
        return true;
    err = self->calls->virGetLastError();
    return err && err->domain == VIR_FROM_QEMU;
}

bool
viommuLibvirtGetVersions(viommuLibvirt *self, viommuLibvirtVersions *ret_versions, GError **error)
{
    const char *type = self->calls->virConnectGetType(self->conn);
    unsigned long libvirt, qemu;

    ret_versions->libvirt = 0;
    ret_versions->qemu = 0;
    if (g_strcmp0(type, "QEMU") != 0)
        return true;
    if (self->calls->virConnectGetLibVersion(self->conn, &libvirt) < 0 || !getQEMUVersion(self, &qemu)) {
        viommuLibvirtSetError(self->calls, error, "cannot ask libvirt for its version");
        return false;
    }
    /* Both are 1000000 * major + 1000 * minor + release. */
    ret_versions->libvirt = libvirt / 1000;
    ret_versions->qemu = qemu / 1000;
    return true;
}

char *
viommuLibvirtDomainCaps(viommuLibvirt *self, const char *emulator, const char *machine, const char *type,
                        GError **error)
{
    char *xml = self->calls->virConnectGetDomainCapabilities(self->conn, emulator, "aarch64", machine, type, 0);
    const virError *err = xml ? NULL : self->calls->virGetLastError();
    bool refused = err && err->message && err->domain == VIR_FROM_QEMU && err->code != VIR_ERR_NO_SUPPORT;

    if (!xml)
        g_set_error_literal(error, VIOMMU_ERROR, refused ? VIOMMU_ERROR_REFUSED : VIOMMU_ERROR_LIBVIRT,
                            err && err->message ? err->message : "libvirt gave no reason");
    return xml;
}

char *
viommuLibvirtNetworkXML(viommuLibvirt *self, const char *name, GError **error)
{
    virNetworkPtr net = self->calls->virNetworkLookupByName(self->conn, name);
    char *xml;

    if (!net) {
        g_autofree char *what = g_strdup_printf("cannot look up the network '%s'", name);

        viommuLibvirtSetError(self->calls, error, what);
        return NULL;
    }
    xml = self->calls->virNetworkGetXMLDesc(net, 0);
    if (!xml)
        viommuLibvirtSetError(self->calls, error, "cannot read a network from libvirt");
    self->calls->virNetworkFree(net);
    return xml;
}

/* Adds the host devices of @dom. A domain whose XML cannot be had any more has ended; one that
 * cannot be read holds nothing that could be named. */
static void
addUsers(viommuLibvirt *self, virDomainPtr dom, const char *except, GPtrArray *users)
{
    const char *name = self->calls->virDomainGetName(dom);
    g_autofree char *text = NULL;
    g_autoptr(viommuDomain) parsed = NULL;

    if (g_strcmp0(name, except) == 0)
        return;
    text = self->calls->virDomainGetXMLDesc(dom, 0);
    if (text)
        parsed = viommuDomainParse(text, strlen(text), NULL);
    if (parsed)
        viommuUsersAdd(users, parsed);
}

GPtrArray *
viommuLibvirtDeviceUsers(viommuLibvirt *self, const char *except, GError **error)
{
    g_autoptr(GPtrArray) users = viommuUsersNew();
    virDomainPtr *doms = NULL;
    int count =
        self->calls->virConnectListAllDomains(self->conn, &doms, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    int i;

    if (count < 0) {
        viommuLibvirtSetError(self->calls, error, "cannot list the running domains");
        return NULL;
    }
    for (i = 0; i < count; i++) {
        addUsers(self, doms[i], except, users);
        self->calls->virDomainFree(doms[i]);
    }
    g_free(doms);
    return g_steal_pointer(&users);
}

struct viommuLibvirtDomain {
    const libvirtCalls *calls;
    virDomainPtr dom;
};

/* A number that is no id may be a name. */
static virDomainPtr
findByID(viommuLibvirt *self, const char *name)
{
    guint64 id = 0;

    if (!g_ascii_string_to_unsigned(name, 10, 0, G_MAXINT, &id, NULL))
        return NULL;
    return self->calls->virDomainLookupByID(self->conn, (int)id);
}

virDomainPtr
viommuLibvirtLookup(viommuLibvirt *self, const char *name, GError **error)
{
    virDomainPtr found = findByID(self, name);

    if (!found && g_uuid_string_is_valid(name))
        found = self->calls->virDomainLookupByUUIDString(self->conn, name);
    if (!found)
        found = self->calls->virDomainLookupByName(self->conn, name);
    if (!found) {
        g_autofree char *what = g_strdup_printf("cannot find the domain '%s'", name);

        viommuLibvirtSetError(self->calls, error, what);
    }
    return found;
}

viommuLibvirtDomain *
viommuLibvirtDomainFind(viommuLibvirt *self, const char *name, GError **error)
{
    virDomainPtr found = viommuLibvirtLookup(self, name, error);
    viommuLibvirtDomain *dom;

    if (!found)
        return NULL;
    dom = g_new0(viommuLibvirtDomain, 1);
    dom->calls = self->calls;
    dom->dom = found;
    return dom;
}

void
viommuLibvirtDomainFree(viommuLibvirtDomain *self)
{
    if (!self)
        return;
    self->calls->virDomainFree(self->dom);
    g_free(self);
}

bool
viommuLibvirtDomainIsActive(viommuLibvirtDomain *self, bool *ret_active, GError **error)
{
    int active = self->calls->virDomainIsActive(self->dom);

    *ret_active = active == 1;
    if (active < 0)
        viommuLibvirtSetError(self->calls, error, "cannot ask libvirt whether the domain runs");
    return active >= 0;
}

char *
viommuLibvirtDomainXML(viommuLibvirtDomain *self, bool inactive, GError **error)
{
    char *xml = self->calls->virDomainGetXMLDesc(self->dom, inactive ? VIR_DOMAIN_XML_INACTIVE : 0);

    if (!xml)
        viommuLibvirtSetError(self->calls, error, "cannot read the domain from libvirt");
    return xml;
}

char *
viommuLibvirtDefinedXML(viommuLibvirt *self, const char *uuid)
{
    virDomainPtr found = self->calls->virDomainLookupByUUIDString(self->conn, uuid);
    char *xml;

    if (!found)
        return NULL;
    xml = self->calls->virDomainGetXMLDesc(found, VIR_DOMAIN_XML_INACTIVE);
    self->calls->virDomainFree(found);
    return xml;
}

bool
viommuLibvirtAttach(viommuLibvirtDomain *self, const char *xml, unsigned flags, GError **error)
{
    if (self->calls->virDomainAttachDeviceFlags(self->dom, xml, flags) == 0)
        return true;
    viommuLibvirtSetError(self->calls, error, "libvirt does not attach the device");
    return false;
}

bool
viommuLibvirtDetach(viommuLibvirtDomain *self, const char *xml, unsigned flags, GError **error)
{
    if (self->calls->virDomainDetachDeviceFlags(self->dom, xml, flags) == 0)
        return true;
    viommuLibvirtSetError(self->calls, error, "libvirt does not detach the device");
    return false;
}

char *
viommuLibvirtDefine(viommuLibvirt *self, const char *xml, bool validate, GError **error)
{
    unsigned flags = validate ? VIR_DOMAIN_DEFINE_VALIDATE : 0;
    virDomainPtr dom = self->calls->virDomainDefineXMLFlags(self->conn, xml, flags);
    char *name;

    if (!dom) {
        viommuLibvirtSetError(self->calls, error, "libvirt does not define the domain");
        return NULL;
    }
    name = g_strdup(self->calls->virDomainGetName(dom));
    self->calls->virDomainFree(dom);
    if (!name)
        viommuLibvirtSetError(self->calls, error, "libvirt defined the domain, but does not tell its name");
    return name;
}
