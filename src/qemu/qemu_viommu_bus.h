/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PCI controllers of the guest as QEMU devices.
 */
#pragma once

#include "qemu_viommu_args.h"

#define QEMU_VIOMMU_SLOTS 32
#define QEMU_VIOMMU_FUNCTIONS 8

typedef struct {
    unsigned index;
    bool indexGiven;         /* libvirt writes those without index first */
    viommuPCIModel model;
    bool hasAddr;
    viommuGuestAddr addr;
    unsigned busNr;          /* of expander buses */
    int node;                /* of expander buses, -1: none */
    unsigned chassis;        /* of ports */
    unsigned port;           /* of ports */
    viommuWindows keeps;     /* of ports */
    bool noIO;               /* the same: no I/O space */
    bool generated;          /* a port of the plan's own */
    const xmlNode *xml;      /* NULL: not in the domain */
    unsigned line;           /* of xml, 0: none */
    char *id;                /* QEMU's name for it and for its bus */
    bool packed;             /* a root port without address; others like it may share its slot */
    bool written;
    uint8_t used[QEMU_VIOMMU_SLOTS]; /* functions in use of each slot, a bit each */
} qemuViommuBus;

/* The id of a device: its user alias ("ua-..."), or NULL for a name that libvirt would make. */
const char *qemuViommuUserAlias(const char *alias);

/* The name of the bus of controller @index. Free with g_free. */
char *qemuViommuBusName(const viommuDomain *dom, unsigned index);

/* An array that owns qemuViommuBus. */
GPtrArray *qemuViommuBusesNew(void);

/* The controllers that @plan's vSMMUs need, those below switch ports too, in the order in which libvirt
 * 12.8 writes controllers: without index first, then by index. */
GPtrArray *qemuViommuBusesOfPlan(const viommuDomain *dom, const viommuPlan *plan);

/* Pieces of such an array: a controller of its own, one of the domain (an expander bus without number gets
 * @number), a root port of the plan on @parent, everything below the plan's vSMMUs; and its order. */
qemuViommuBus *qemuViommuBusAdd(GPtrArray *buses, const viommuDomain *dom, unsigned index,
                                viommuPCIModel model);
void qemuViommuBusAddController(GPtrArray *buses, const viommuDomain *dom,
                                const viommuController *controller, unsigned number);
void qemuViommuBusAddPort(GPtrArray *buses, const viommuDomain *dom, unsigned parent,
                          const viommuPlanPort *port);
void qemuViommuBusAddPlan(GPtrArray *buses, const viommuDomain *dom, const viommuPlan *plan);
int qemuViommuBusCompare(const void *a, const void *b);

/* NULL if there is no such controller. */
qemuViommuBus *qemuViommuBusFind(const GPtrArray *buses, unsigned index);

/* Function 0 of a slot with several must say so; libvirt adds it where the user did not. */
void qemuViommuBusesFixAddress(const GPtrArray *buses, viommuGuestAddr *addr);

/* Writes the controllers as -device, each after the one that it sits on. */
void qemuViommuBusesArgs(GPtrArray *buses, const viommuDomain *dom, GPtrArray *args);

/* Sets the properties bus and addr. */
void qemuViommuSetAddress(JsonObject *props, const char *bus, const viommuGuestAddr *addr);
