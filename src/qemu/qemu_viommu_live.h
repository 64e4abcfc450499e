/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PCI tree of a running QEMU as its monitor tells it: which device is on which bus, and which vSMMU serves that.
 *
 * It is a walk through QEMU's object tree by qom-list-types, qom-list and qom-get, which change nothing. query-pci
 * would be one command instead, but shows the tree as the guest has numbered it, and before its firmware has done so
 * no device below a port. Whoever has the monitor asks what the walk wants to know, and gives it the answers.
 */
#pragma once

#include "viommu_conf.h"
#include "virpciaddr.h"

#include <glib.h>
#include <stdbool.h>

/* Longest answer that is read, and most objects that are looked at: a guest has 65536 functions at most, and nobody
 * comes near. */
#define QEMU_VIOMMU_ANSWER_MAX (1024 * 1024)
#define QEMU_VIOMMU_LIVE_MAX 4096

typedef enum {
    QEMU_VIOMMU_LIVE_EMULATED, /* an endpoint that QEMU emulates */
    QEMU_VIOMMU_LIVE_BRIDGE,   /* ports, bridges, expander buses */
    QEMU_VIOMMU_LIVE_ASSIGNED, /* a host device */
    QEMU_VIOMMU_LIVE_VSMMU,
} qemuViommuLiveKind;

typedef struct qemuViommuLiveDevice qemuViommuLiveDevice;

struct qemuViommuLiveDevice {
    qemuViommuLiveKind kind;
    char *path;  /* "/machine/peripheral/hostdev0" */
    char *type;  /* "vfio-pci" */
    const char *id; /* the last part of path: libvirt's alias */
    char *bus;   /* path of the bus that it is on, or that a vSMMU serves; NULL: none */
    const qemuViommuLiveDevice *port; /* whose bus that is; NULL: a root bus */
    const char *root;                 /* path of the root bus above; NULL: none, or its bus is in a loop */
    bool expander;                    /* that root bus is an expander's, and not the machine's own */

    /* of an expander bus */
    int busNr;         /* -1: not known, and of all others */
    int numaNode;      /* the guest's node that it is on; -1: none, or not known */
    GArray *hostNodes; /* of unsigned: where that node's memory comes from, none: from anywhere; NULL: not known */

    /* of a vSMMU */
    bool accel;
    char *planned; /* the SMMU that an expansion made it for; NULL: not known */

    /* of a host device */
    const qemuViommuLiveDevice *vsmmu; /* that serves its root bus; NULL: none */
    char *iommufd;  /* id of the object; NULL: legacy VFIO */
    bool hotplugged;
    bool mediated;  /* made by a driver of the host (mdev): no PCI device there, and none of ours */
    bool haveHost;
    virPCIAddr host; /* as QEMU or libvirt says */
    bool haveOpened;
    virPCIAddr opened; /* what the process has behind its descriptor, if somebody has looked */
};

typedef struct {
    GPtrArray *devices; /* of qemuViommuLiveDevice: PCI devices and vSMMUs, in the order of their ids */
} qemuViommuLive;

typedef struct qemuViommuWalk qemuViommuWalk;

qemuViommuWalk *qemuViommuWalkNew(void);
void qemuViommuWalkFree(qemuViommuWalk *walk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(qemuViommuWalk, qemuViommuWalkFree)

/* The next command, as one line of JSON, or NULL when all is known. It is borrowed, and stays the same until it has its
 * answer. */
const char *qemuViommuWalkNext(qemuViommuWalk *walk);

/* Takes the answer to that command. False with @error (VIOMMU_ERROR_LIBVIRT) if it is none, or if something that was
 * listed before has left meanwhile. */
bool qemuViommuWalkTake(qemuViommuWalk *walk, const char *answer, size_t len, GError **error);

/* What was found, after qemuViommuWalkNext() gave NULL. Free with qemuViommuLiveFree. */
qemuViommuLive *qemuViommuWalkEnd(qemuViommuWalk *walk);
void qemuViommuLiveFree(qemuViommuLive *live);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(qemuViommuLive, qemuViommuLiveFree)

/* Gives host devices their addresses by the aliases of @dom, the domain's XML as it runs: libvirt opens them and QEMU
 * only has descriptors; and vSMMUs what our metadata in it says they are for. */
void qemuViommuLiveBind(qemuViommuLive *live, const viommuDomain *dom);

/* The name of a bus: the last part of its path. NULL gives NULL. */
const char *qemuViommuLiveName(const char *path);

/* Whether @dev is an expander bus, which is a bridge here. */
bool qemuViommuLiveIsExpander(const qemuViommuLiveDevice *dev);
