/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the guest's view share.
 */
#pragma once

#include "viommu_view.h"

/* A bus: that of a controller, or of an argument of QEMU's. */
typedef struct viewNode viewNode;
struct viewNode {
    viewNode *parent;       /* the bus that it stands on; NULL: it is a root, or libvirt chooses */
    unsigned devfn;         /* its place there */
    viommuViewBus *root;    /* it is a root; owned by the view */
    viommuViewPlace *place; /* of ports and bridges; owned by the view */
    GPtrArray *children;    /* of viewNode, borrowed */
    int number;             /* -1: not known */
    bool used;              /* something stands on it */
};

typedef struct {
    const viommuDomain *dom;
    viommuView *view;
    GPtrArray *nodes; /* of viewNode, owned */
    viewNode *byIndex[VIOMMU_PCI_INDEX_MAX + 1];
    GHashTable *byName; /* viewNode by the name that QEMU's arguments have for it */
    GHashTable *seats;  /* the same for host devices: alias -> viewSeat */
} viewState;

/* Where <qemu:override> puts a device. */
typedef struct {
    viewNode *bus;
    unsigned devfn;
} viewSeat;

viewNode *viewAddNode(viewState *state);
viommuViewBus *viewAddRoot(viewState *state, viewNode *node, int busNr);
viommuViewPlace *viewAddPlace(viewState *state, viommuViewKind kind, const char *name);

/* Puts @node on @parent. */
void viewLink(viewNode *node, viewNode *parent, unsigned devfn);

/* Adds what <qemu:commandline> and <qemu:override> say for a libvirt without words for buses, and the window. */
void viewReadArguments(viewState *state);
