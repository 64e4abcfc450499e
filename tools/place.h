/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a domain to a judged placement: plan, expand, read the expansion again, check it. plan,
 * expand, argv and define all go this way, so that none of them gives what the others would refuse.
 */
#pragma once

#include "load.h"
#include "viommu_plan.h"

typedef struct {
    viommuPlan *plan;    /* NULL: refused */
    GPtrArray *findings; /* of planner and checker, sorted; lines are those of the input */
    char *native;        /* the expansion for libvirt */
    size_t nativeLen;
    viommuDomain *result; /* that, read again */
    bool refused;         /* a finding is an error */
} viommuPlacement;

/* Places the loaded @input. NULL with @error set only where something cannot be read; a refusal is
 * in the findings. Borrows from @input. Free with viommuPlacementFree. */
viommuPlacement *viommuPlacementNew(viommuInput *input, GError **error);
void viommuPlacementFree(viommuPlacement *placement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuPlacement, viommuPlacementFree)

/* Refuses a libvirt, that of the options or else of the connection of @input, that cannot describe
 * any placement. */
bool viommuPlacementFitsLibvirt(const viommuInput *input, GError **error);
