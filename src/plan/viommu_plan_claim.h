/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First half of placing: what is there and stays.
 */
#pragma once

#include "viommu_plan_priv.h"

/* Finds the expander buses that belong to a physical SMMU of the plan, makes a vSMMU for each, and settles
 * the devices that keep their addresses. Returns false with errors added where the user's own addresses
 * contradict the host. */
bool planClaimBuses(planState *state);

/* Adds a vSMMU for the SMMU of @group on the expander bus of that index. Returns it, borrowed from the plan. */
viommuVSMMU *planAddVSMMU(planState *state, planGroup *group, unsigned controller, bool generated);
