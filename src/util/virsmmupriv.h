/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What virsmmu.c (the map), virsmmufirmware.c, virsmmudevice.c (the details) and virrecord.c share.
 * Nothing else includes this.
 */
#pragma once

#include "virsmmu.h"

#define VIR_SMMU_PCI_DEVICES "sys/bus/pci/devices"
#define VIR_SMMU_CLASS "sys/class/iommu"

/* Beside the registers of the SMMUs: what KVM says (virkvm.h). */
#define VIR_SMMU_PROBED_BITS "probe/kvm/ipa-bits"

struct virSMMUTopology {
    GPtrArray *smmus;   /* of virSMMU, sorted by name */
    GPtrArray *devices; /* of virSMMUDevice, sorted by address */
    GHashTable *groups; /* number -> virSMMUGroup */
    virTristate iommufd;
    unsigned addressBits; /* 0: not known */
};

/* Reads from firmware into the map which SMMU surely has no CMDQV, and which device has CANWBS. */
bool virSMMUReadFirmware(virSMMUTopology *topo, virSysfs *fs, GError **error);

/* Reads the NUMA node at @path; *ret_node stays as it is where there is no such file. False, with
 * @error, if the file holds no number from -1 on. */
bool virSMMUReadNumaNode(virSysfs *fs, const char *path, int *ret_node, GError **error);

/* False, with an @error that says that the host has changed, if PCI device @name has gone or is
 * going. Asked where something of it is not there that may well be absent, and when all of it was
 * read. */
bool virSMMUCheckPresent(virSysfs *fs, const char *name, GError **error);

void virSMMUGroupFree(virSMMUGroup *group);
