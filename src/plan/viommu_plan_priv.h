/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the planner share. A plan is made in steps, each a function below, in this order.
 */
#pragma once

#include "viommu_plan.h"
#include "viommu_view.h"

#define PLAN_INDEX_MAX 255     /* bus in a PCI address has 8 bits */
#define PLAN_SLOTS 32
#define PLAN_FUNCTIONS 8
#define PLAN_BUS_NR_MAX 254    /* libvirt's own limit for busNr (seen with 12.8) */
#define PLAN_LAST_BUS 255

/* QEMU: PLATFORM_BUS_NUM_IRQS 64 in hw/arm/virt.c, 4 for each SMMU, 5 with a CMDQV. */
#define PLAN_VSMMUS_MAX 16
#define PLAN_VSMMUS_CMDQV_MAX 12
/* QEMU: CMDQV_NUM_SID_PER_VI_LOG2 4 in hw/arm/tegra241-cmdqv.h: stream slots of one VINTF. */
#define PLAN_CMDQV_DEVICES_MAX 16

/* One host device on its way to a place. */
typedef struct {
    const viommuDevice *device;
    const virSMMUDevice *host;
    viommuVSMMU *where;      /* NULL: no place yet */
    viommuGuestAddr addr;    /* valid with where */
    bool kept;               /* addr is the one in the domain */
    unsigned functionKept;   /* function in the guest that the user asked for */
    bool multifunction;
    const viommuViewBus *before; /* where arguments of QEMU had it; NULL: nowhere. Valid while devices are placed */
    unsigned partners;       /* number of the set of functions that share one slot; 0: alone */
} planDevice;

/* A physical SMMU that gets vSMMUs. */
typedef struct {
    const virSMMU *smmu;
    const viommuRequest *request; /* what applies to its next vSMMU */
    GPtrArray *devices;           /* of planDevice, by host address */
    GPtrArray *vsmmus;            /* of viommuVSMMU, borrowed from the plan */
} planGroup;

typedef struct {
    const viommuDomain *dom;
    const virSMMUTopology *host;
    const viommuPlanOptions *options;
    GPtrArray *findings;
    viommuPlan *plan;
    GPtrArray *devices; /* of planDevice, owned */
    GPtrArray *groups;  /* of planGroup, owned, by name of the SMMU */
    bool used[PLAN_INDEX_MAX + 1];    /* controller indexes that are taken */
    bool dropped[PLAN_INDEX_MAX + 1]; /* generated before, not needed any more */
    bool named[PLAN_INDEX_MAX + 1];   /* used by addresses only: libvirt makes a root port there */
    bool chassis[PLAN_INDEX_MAX + 1]; /* chassis numbers that are taken */
    bool rootSlots[PLAN_SLOTS];       /* slots of pcie.0 that are taken */
} planState;

void planReason(planState *state, const char *rule, const char *about, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
void planRefuse(planState *state, const char *id, unsigned line, const char *consequence,
                const char *remedy, const char *format, ...) G_GNUC_PRINTF(6, 7);

/* Each returns false if it added an error that makes going on pointless. */
bool planCheckDomain(planState *state);    /* P15, P8 and what <iommu> says */
bool planCollectDevices(planState *state); /* devices, their SMMUs, the groups */
bool planCheckHost(planState *state);      /* what any vSMMU needs of the host */
bool planPlaceDevices(planState *state);   /* vSMMUs, buses, ports, spare ports */
bool planGuardSparePorts(planState *state); /* P6 */
bool planNumberBuses(planState *state);    /* slots on pcie.0, busNr */
bool planChooseFeatures(planState *state); /* P9, P11 */
void planChooseNodes(planState *state);    /* P7 */
bool planSizeWindow(planState *state);     /* P10; and the windows of ports kept for hotplug */

/* Controllers and slots that are taken: src/plan/viommu_plan_index.c */

/* Marks the indexes that the domain uses itself. */
void planMarkIndexes(planState *state);

/* The lowest free index, now taken; 0 if there is none, with an error added for @line (0: the domain's). */
unsigned planTakeIndex(planState *state, unsigned line);

/* A chassis number for the root port of that index: its index, unless another port has that. libvirt gives
 * QEMU no slot number, so that chassis alone must differ (seen with QEMU 11.1). */
unsigned planTakeChassis(planState *state, unsigned index);

/* The highest free slot of pcie.0, now taken; 0 if there is none, with an error added. Explicit addresses
 * are settled before libvirt places anything, which it does from slot 1 up (seen with 12.8). */
unsigned planTakeRootSlot(planState *state);

/* The controller of the domain with that index, unless it was dropped. */
viommuController *planFindController(const planState *state, unsigned index);

/* The expander bus above @index, as viommuDomainFindExpander, among those not dropped. */
viommuController *planFindExpander(const planState *state, unsigned index);

/* What is asked for a vSMMU of @smmu on the expander bus of that index (or, 0, on a bus to come): the request
 * for that bus, else for that SMMU, else for all; never NULL. */
const viommuRequest *planFindRequest(const planState *state, const virSMMU *smmu, unsigned controller);

/* The vSMMU on the expander bus of that index, or NULL. */
viommuVSMMU *planFindVSMMU(const planState *state, unsigned controller);
