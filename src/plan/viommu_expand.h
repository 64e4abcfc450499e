/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a plan into the domain's XML, touching nothing else.
 */
#pragma once

#include "viommu_plan.h"

typedef enum {
    VIOMMU_DIALECT_NATIVE, /* libvirt >= 12.7 */
    VIOMMU_DIALECT_VIOMMU, /* our own words: every vSMMU a request of its own */
} viommuDialect;

/* Returns the expanded document (free with g_free). For a domain that asks for nothing, and for one that is
 * as the plan wants it, that is the input byte for byte. */
char *viommuExpand(const viommuDomain *dom, const viommuPlan *plan, viommuDialect dialect,
                   size_t *ret_len, GError **error);
