/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms in which a placement is shown. Each appends to @out.
 */
#pragma once

#include "load.h"

/* Only of a placement that was not refused. */
void viommuPlanShowTree(const viommuPlacement *placement, GString *out);
void viommuPlanShowDot(const viommuPlacement *placement, GString *out);

/* Of any; what is refused has no vsmmus. */
void viommuPlanShowJSON(const viommuPlacement *placement, GString *out);

/* "on", "off", "auto" of a feature that is one of these. */
const char *viommuPlanSwitchName(int value);

/* "512 GiB": in the largest unit that needs no fraction. */
void viommuPlanAppendBytes(GString *out, uint64_t bytes);
