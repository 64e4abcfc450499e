/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a plan into the domain's XML, touching nothing else.
 */
#pragma once

#include "viommu_plan.h"

/* 1000 * major + minor of the first libvirt with <qemu:override>, and of the first with words for everything. */
#define VIOMMU_LIBVIRT_OVERRIDE 8002u
#define VIOMMU_LIBVIRT_NATIVE 12007u

typedef enum {
    VIOMMU_DIALECT_NATIVE, /* libvirt >= 12.7 */
    VIOMMU_DIALECT_OVERRIDE, /* libvirt >= 8.2: what it lacks, by <qemu:override> and <qemu:commandline> */
    VIOMMU_DIALECT_VIOMMU, /* our own words: every vSMMU a request of its own */
} viommuDialect;

/* Returns the expanded document (free with g_free). For a domain that asks for nothing, and for one that is
 * as the plan wants it, that is the input byte for byte. */
char *viommuExpand(const viommuDomain *dom, const viommuPlan *plan, viommuDialect dialect,
                   size_t *ret_len, GError **error);

/* The same for a libvirt of that version, with the words that it has: native where it has them all.
 * VIOMMU_ERROR_REFUSED if the plan cannot be said in them. */
char *viommuExpandFor(const viommuDomain *dom, const viommuPlan *plan, unsigned libvirtVersion, size_t *ret_len,
                      GError **error);

/* Whether a libvirt of that version has words for the buses and ports of vSMMUs; else they are arguments of QEMU. */
bool viommuExpandHasBuses(unsigned libvirtVersion);

/* Whether it knows <driver iommufd='yes'> of a device. */
bool viommuExpandHasDeviceIommufd(unsigned libvirtVersion);

/* Whether the iommufd object of @dom is an argument of QEMU. libvirt does not know of it: for a host device that goes
 * through iommufd by its own <driver> it makes one of the same name. */
bool viommuExpandMadeObject(const viommuDomain *dom);
