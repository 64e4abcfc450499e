/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the expansion share. Each writes one kind of node, and only where it differs from what
 * stands there: an expanded document stays as it is.
 */
#pragma once

#include "viommu_expand.h"

typedef struct {
    const viommuDomain *dom;
    const viommuPlan *plan;
    viommuDialect dialect;
    viommuEdits *edits;
    bool madeIommufd;  /* <iommufd> is ours */
    bool madeHole64;   /* <pcihole64> is ours ... */
    uint64_t userHole64KiB; /* ... over this one */
} expandState;

void expandControllers(expandState *state);
void expandIOMMUs(expandState *state);
void expandOverride(expandState *state);
void expandMetadata(expandState *state); /* last: it notes what the others made */
