/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu plan --diff.
 */
#pragma once

#include "load.h"
#include "viommu.h"

/* Appends what changes for a guest that has the domain of --diff when it gets the loaded @input, expanded. */
viommuExit viommuPlanDiff(viommuInput *input, GString *out, GError **error);
