/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The placement of a domain's host devices below virtual SMMUs (vSMMU): one vSMMU, on a PCIe expander bus
 * of its own, for every physical SMMU that translates one of them. Rules P1-P16: docs/design.rst.
 *
 * Planning is a function of the domain, the host and the options: no order of elements, of sysfs or of a
 * hash changes a result.
 */
#pragma once

#include "viommu_conf.h"
#include "viommu_finding.h"
#include "viommu_users.h"
#include "virsmmu.h"

#include <glib.h>

#define VIOMMU_VERSION_QEMU(major, minor) ((major) * 1000u + (minor))

typedef struct {
    unsigned qemuVersion;   /* VIOMMU_VERSION_QEMU(11, 1), the default, understands "auto" for everything */
    const GPtrArray *users; /* of viommuDeviceUser: what other domains hold that run; NULL: not known */
} viommuPlanOptions;

typedef struct {
    const char *rule; /* "P7": static */
    char *about;      /* what it is about: a name of an SMMU, a device, "domain" */
    char *text;
} viommuReason;

/* A root port below an expander bus. */
typedef struct {
    unsigned controller; /* its index */
    unsigned slot;       /* its place on the expander bus */
    unsigned function;
    bool multifunction;  /* others follow in its slot */
    unsigned chassis;
    unsigned port;
    bool generated;      /* made by viommu; else it stands in the domain as the user wrote it */
    bool spare;          /* has no device */
    viommuWindows keeps; /* for hotplug */
    bool noIO;           /* and no I/O space */
} viommuPlanPort;

typedef struct {
    const viommuDevice *device; /* borrowed from the domain */
    const virSMMUDevice *host;  /* borrowed from the topology */
    viommuGuestAddr addr;
    bool generated;             /* the address is viommu's, not the user's */
} viommuPlanDevice;

typedef struct {
    const virSMMU *smmu;  /* borrowed from the topology */
    unsigned controller;  /* index of the expander bus */
    unsigned slot;        /* of the expander bus on pcie.0 */
    unsigned busNr;       /* 1-254 */
    int node;             /* guest NUMA cell, -1: none */
    bool generated;       /* the expander bus is viommu's */
    viommuFeatures features; /* VIOMMU_AUTO: left to QEMU */
    viommuReserve reserve; /* what spare ports were asked to keep */
    unsigned vcmdqs;      /* of the SMMU's CMDQV, if it may have some and they are known; else 0 */
    unsigned streamSlots; /* the same: the devices that these can serve */
    GPtrArray *ports;     /* of viommuPlanPort, by place on the bus */
    GPtrArray *devices;   /* of viommuPlanDevice, by address */
} viommuVSMMU;

/* A controller or video card that libvirt adds to a domain by itself. */
typedef struct {
    const char *element; /* "controller" */
    const char *attrs;   /* "type='virtio-serial' index='0'", or "" */
    const char *child;   /* "<model type='virtio'/>", NULL: none */
} viommuPlanImplied;

/* An emulated device that gets an explicit address so that libvirt leaves the spare ports alone. */
typedef struct {
    const viommuDevice *device;       /* NULL: implied is to be written out */
    const viommuPlanImplied *implied; /* static; NULL with device */
    viommuGuestAddr addr;
} viommuPlanEmulated;

/* An expander bus of the user's that is no vSMMU's and has no number: libvirt's own choice leaves room for one
 * port only. */
typedef struct {
    const viommuController *controller; /* borrowed from the domain */
    unsigned busNr;
} viommuPlanBus;

typedef struct {
    bool accel;            /* false for TCG */
    GPtrArray *vsmmus;     /* of viommuVSMMU, by controller index */
    GPtrArray *emulated;   /* of viommuPlanEmulated */
    GPtrArray *plainPorts; /* of viommuPlanPort: root ports on pcie.0 for these */
    GPtrArray *otherBuses; /* of viommuPlanBus */
    uint64_t hole64KiB;    /* 64-bit window that pcie-root shall have, 0: none, QEMU's own will do */
    GPtrArray *reasons;    /* of viommuReason, by rule, about, text */
} viommuPlan;

/* Plans @dom on @host, whose details of the domain's devices must be loaded. Returns NULL if it cannot be
 * done; @findings then holds at least one error, and in any case notes and warnings. A domain that asks
 * for nothing gives a plan without vSMMUs. Borrows from @dom and @host. Free with viommuPlanFree. */
viommuPlan *viommuPlanMake(const viommuDomain *dom, const virSMMUTopology *host,
                           const viommuPlanOptions *options, GPtrArray *findings);
void viommuPlanFree(viommuPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuPlan, viommuPlanFree)
