/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes for a guest from one document to another.
 *
 * A device stays where it is if it is reached through the same slots and functions from the same root bus. An expander
 * bus is the same if it is for the same physical SMMU, or else if it has the same number.
 */
#pragma once

#include "viommu_view.h"

typedef enum {
    VIOMMU_CHANGE_REMOVED,
    VIOMMU_CHANGE_ADDED,
    VIOMMU_CHANGE_MOVED,
    VIOMMU_CHANGE_RENUMBERED, /* it stays, but a bus on its way has another number */
    VIOMMU_CHANGE_OPEN,       /* libvirt chooses its place in one of the two */
} viommuChangeKind;

typedef struct {
    viommuChangeKind kind;
    const viommuViewPlace *from; /* NULL: added */
    const viommuViewPlace *to;   /* NULL: removed */
    bool spareUsed;              /* it goes to a port that was there, and empty */
    bool spareLeft;              /* the port that it leaves stays, empty */
} viommuPlaceChange;

/* Only where something differs. */
typedef struct {
    const viommuViewBus *from; /* NULL: added */
    const viommuViewBus *to;   /* NULL: removed */
} viommuBusChange;

typedef struct {
    GPtrArray *buses;   /* of viommuBusChange, by number, the old one if there is one */
    GPtrArray *devices; /* of viommuPlaceChange: host devices first, then by name and place */
    GPtrArray *ports;   /* the same, by place: added or removed ones that are empty */
    uint64_t fromHole64KiB; /* both 0: the 64-bit window is the same */
    uint64_t toHole64KiB;
    int machineWide;    /* an SMMU for the whole machine: 1: added, -1: removed, 0: neither */
} viommuDiff;

/* Compares, and borrows from both. Free with viommuDiffFree. */
viommuDiff *viommuDiffNew(const viommuView *from, const viommuView *to);
void viommuDiffFree(viommuDiff *diff);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuDiff, viommuDiffFree)

/* What can change of a bus. */
typedef enum {
    VIOMMU_BUS_NUMBER,
    VIOMMU_BUS_SLOT,
    VIOMMU_BUS_NODE,
    VIOMMU_BUS_VSMMU,
    VIOMMU_BUS_ACCEL,
    VIOMMU_BUS_CMDQV,
    VIOMMU_BUS_ATS,
    VIOMMU_BUS_RIL,
    VIOMMU_BUS_SSIDSIZE,
    VIOMMU_BUS_OAS,
    VIOMMU_BUS_FIELDS,
} viommuBusField;

/* Its value, below 0 where nothing is given; of a bus without vSMMU what is of the vSMMU is not. */
int viommuBusFieldOf(const viommuViewBus *bus, viommuBusField field);
