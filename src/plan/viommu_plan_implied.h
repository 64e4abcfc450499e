/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Controllers and video cards that libvirt adds to an aarch64 guest of type virt by itself, each of which
 * takes a port (seen with 12.8, docs/libvirt.rst).
 */
#pragma once

#include "viommu_plan_priv.h"

typedef enum {
    PLAN_IMPLIED_SERIAL,
    PLAN_IMPLIED_SCSI,
    PLAN_IMPLIED_NVME,
    PLAN_IMPLIED_VIDEO,
    PLAN_IMPLIED_LAST,
} planImpliedKind;

typedef struct {
    bool wanted[PLAN_IMPLIED_LAST];
    const viommuDevice *unmet; /* the first that needs a controller of another kind or index; NULL: none */
    const char *unmetType;     /* "sata", "scsi", "nvme" */
    unsigned unmetIndex;
} planImplied;

/* What @dom lacks and libvirt will add. */
void planFindImplied(const viommuDomain *dom, planImplied *ret_needs);

/* How one of them is written out. Static. */
const viommuPlanImplied *planImpliedForm(planImpliedKind kind);
