/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guest of a domain sees of its PCI buses, as the XML stands: no plan is needed, so that any document can be
 * looked at, expanded by viommu or not. What libvirt would still choose is not known.
 */
#pragma once

#include "viommu_conf.h"
#include "virsmmu.h"

#include <glib.h>

/* A way from a root bus through ports and bridges goes over no more buses than a guest has. */
#define VIOMMU_VIEW_STEPS_MAX 256

/* A root bus: pcie.0, which is always there, or an expander bus. */
typedef struct {
    int busNr;            /* -1: libvirt chooses it */
    int slot;             /* on pcie.0; -1: libvirt chooses it, or it is pcie.0 */
    int node;             /* guest NUMA cell, -1: none */
    bool vsmmu;
    bool accel;
    viommuFeatures features; /* VIOMMU_AUTO where QEMU chooses */
    const char *smmu;     /* the physical SMMU as far as it is known, or NULL; borrowed from the domain or the host */
} viommuViewBus;

typedef enum {
    VIOMMU_VIEW_ASSIGNED, /* a host device */
    VIOMMU_VIEW_EMULATED,
    VIOMMU_VIEW_BRIDGE,   /* a PCI controller that is neither a port nor an expander bus */
    VIOMMU_VIEW_PORT,     /* a root port, or the downstream port of a switch */
} viommuViewKind;

/* Something with a place on a bus. */
typedef struct {
    viommuViewKind kind;
    char *name;           /* "0002:01:00.0", "disk 'vda'": what it is known by in two documents; not of ports */
    const viommuDevice *device; /* borrowed; NULL: it is a controller, or libvirt will add it */
    const viommuViewBus *bus; /* the root bus that it is below of; NULL: libvirt chooses the place */
    uint8_t steps[VIOMMU_VIEW_STEPS_MAX]; /* slot << 3 | function, from the root bus down */
    int16_t numbers[VIOMMU_VIEW_STEPS_MAX]; /* of the bus of each step, as firmware counts them; -1: not known */
    unsigned stepCount;
    bool empty;           /* of a port: nothing is on it */
} viommuViewPlace;

typedef struct {
    GPtrArray *buses;     /* of viommuViewBus; pcie.0 first */
    GPtrArray *places;    /* of viommuViewPlace: first ports, then the others as they stand in the document */
    bool settled;         /* libvirt has nothing left to place */
    bool machineWide;     /* there is an SMMU for all of pcie.0 and expander buses without one of their own */
    uint64_t hole64KiB;   /* 64-bit window, 0: QEMU's own */
} viommuView;

/* Looks at @dom; @host tells which SMMU devices are behind. Borrows from both. Free with viommuViewFree. */
viommuView *viommuViewNew(const viommuDomain *dom, const virSMMUTopology *host);
void viommuViewFree(viommuView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuView, viommuViewFree)

/* The place of @device on a port that an earlier expansion wrote as an argument of QEMU, if @view (NULL: nothing) is of
 * such a domain; NULL: it has none. Borrowed. */
const viommuViewPlace *viommuViewArgumentPlace(const viommuView *view, const viommuDevice *device);

/* The number of the bus that @place is on, which has one (its bus is not NULL); -1: not known. */
int viommuViewNumber(const viommuViewPlace *place);

/* The way to @place as "lspci -PP" prints it ("fa:00.0/fb:00.0"), or without numbers that are not known, as "lspci -P"
 * does ("00:01.0/00.0"); NULL if libvirt chooses it. Free with g_free. */
char *viommuViewPath(const viommuViewPlace *place);
