/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host devices given to the guest: vfio-pci, the iommufd object before the first of them, and the ACPI
 * generic initiators after the last.
 */
#pragma once

#include "qemu_viommu_args.h"

#include "virpciaddr.h"

typedef struct {
    const viommuDevice *device;
    virPCIAddr host;
    viommuGuestAddr addr;
    bool placed;           /* addr is where it sits: planned, or found by who builds the whole */
    bool byQEMU;           /* QEMU finds a place below a vSMMU by itself: no address is written */
    bool iommufd;          /* else the device goes through a VFIO group */
    char *id;
} qemuViommuAssigned;

/* All assigned devices, in the order and with the ids of libvirt 12.8: interfaces come before hostdevs,
 * those on a network last. The array owns qemuViommuAssigned. */
GPtrArray *qemuViommuAssignedOfDomain(const viommuDomain *dom, const viommuPlan *plan);

/* Writes those that have a place. */
void qemuViommuAssignedArgs(const viommuDomain *dom, const GPtrArray *assigned, qemuViommuOpen open,
                            GPtrArray *args);

/* The place of a device in the order of boot, from 1; 0: none. From its <boot order>, else by <os>'s
 * <boot dev>, which stands for the first device of its kind. */
unsigned qemuViommuBootIndex(const viommuDomain *dom, const xmlNode *node);

/* Sets bootindex if the device has one. */
void qemuViommuSetBootIndex(JsonObject *props, const viommuDomain *dom, const xmlNode *node);

/* Sets rombar and romfile by <rom>. */
void qemuViommuSetROM(JsonObject *props, const xmlNode *node);
