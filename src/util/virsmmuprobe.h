/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading the registers of a host's SMMUs: through which devices.
 */
#pragma once

#include "viriommufd.h"
#include "virsysfs.h"

/* What became of one SMMU. */
typedef struct {
    char *smmu;
    char *device; /* through which it was read; NULL: it was not */
    char *why;    /* what was wrong with the devices that could not be used; NULL: nothing */
} virSMMUProbe;

/* Reads the registers of every SMMUv3 of the running host @fs, and adds them to it below probe/, as a record has them
 * (docs/hosts.rst), and how many bits of address KVM gives guests. Of each SMMU one device is bound for it and let go,
 * which resets it: one that is bound to a driver of the VFIO family, that nobody uses, and whose reset takes nothing
 * else away; virtual functions first, displays last. Returns an array of virSMMUProbe, by name of the SMMU; one that
 * could not be read is no error. On a host without SMMUv3 nothing is opened, and the array is empty. NULL with @error
 * (VIOMMU_ERROR_HOST): iommufd cannot be used at all, or the host cannot be read. */
GPtrArray *virSMMUProbeHost(virSysfs *fs, const virIOMMUFDCalls *calls, GError **error);
