/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A difference of two guests' views as lines for people, and as JSON.
 */
#pragma once

#include "viommu_diff.h"

#include <glib.h>

/* Nothing if there is no difference. */
void viommuDiffShowText(const viommuDiff *diff, GString *out);

/* @diff: NULL where @findings refuse the new domain. */
void viommuDiffShowJSON(const viommuDiff *diff, const GPtrArray *findings, GString *out);
