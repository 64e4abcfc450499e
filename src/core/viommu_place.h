/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a domain to a judged placement: plan, expand, read the expansion again, check it. plan,
 * expand, argv, define and the service all go this way, so that none of them gives what the others
 * would refuse.
 */
#pragma once

#include "viommu_host.h"
#include "viommu_plan.h"

typedef struct {
    const viommuDomain *dom; /* what was placed: borrowed, or inherited */
    viommuDomain *inherited; /* that with what it took over from the domain before; NULL: nothing */
    viommuPlan *plan;    /* NULL: refused */
    GPtrArray *findings; /* of planner and checker, sorted; lines are those of the input */
    char *text;          /* the expansion for libvirt, native until viommuPlacementFit */
    size_t textLen;
    viommuDomain *result; /* that, read again, as native */
    viommuPlan *native;   /* the plan of @result; NULL: @plan, as the domain was not written around an older libvirt */
    bool byArguments;     /* viommuPlacementFit: buses and ports are in <qemu:commandline>, with numbers of their own */
    bool refused;         /* a finding is an error */
} viommuPlacement;

/* Places @dom, which is bound to @host (viommuHostBind), for that QEMU (0: the newest that is known).
 * NULL with @error set only where something cannot be read; a refusal is in the findings. Borrows
 * from @dom and @host. Free with viommuPlacementFree. */
viommuPlacement *viommuPlacementNew(const viommuDomain *dom, viommuHost *host, unsigned qemuVersion,
                                    GError **error);

/* The same for a domain that comes in the place of @before (NULL: of none), which @dom may know nothing of: what can
 * stay stays. Where that is refused, all is placed anew. */
viommuPlacement *viommuPlacementNewAfter(const viommuDomain *dom, const viommuDomain *before, viommuHost *host,
                                         unsigned qemuVersion, GError **error);
void viommuPlacementFree(viommuPlacement *placement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuPlacement, viommuPlacementFree)

/* Refuses a libvirt that cannot describe any placement; 0, an unknown one, is taken to be able. */
bool viommuPlacementFitsLibvirt(unsigned libvirtVersion, GError **error);

/* Lets @placement, which is not refused, say the same to a libvirt of that version (0: the newest): with
 * <qemu:override> where it lacks words. False with VIOMMU_ERROR_REFUSED where it cannot be said. */
bool viommuPlacementFit(viommuPlacement *placement, unsigned libvirtVersion, GError **error);
