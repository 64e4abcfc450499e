/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a libvirt can do with one emulator, machine and type: the document <domainCapabilities>
 * (virConnectGetDomainCapabilities; "virsh domcapabilities"). It says nothing of vSMMUs.
 */
#pragma once

#include "viommu_conf.h"
#include "virsmmu.h"

typedef struct {
    char *path;              /* of the emulator */
    char *machine;           /* "virt-11.1": what a shorter name stands for; NULL: not said */
    viommuVirtType virtType; /* that the document is about */
    virTristate gicV3;       /* a GICv3 for guests */
    virTristate iommufd;     /* host devices through iommufd: since libvirt 12.1 */
} viommuDomainCaps;

/* Reads the document. What it does not say is unknown. NULL with VIOMMU_ERROR_XML, and the line, if it is not one, or
 * names no emulator. Free with viommuDomainCapsFree. */
viommuDomainCaps *viommuDomainCapsParse(const char *text, size_t len, GError **error);
void viommuDomainCapsFree(viommuDomainCaps *caps);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuDomainCaps, viommuDomainCapsFree)

/* What they lack for guests with accelerated vSMMUs, and what to do about it: static; NULL: nothing that is known. */
const char *viommuDomainCapsLack(const viommuDomainCaps *caps, const char **ret_remedy);
