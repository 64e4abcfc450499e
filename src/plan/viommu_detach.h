/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hot-unplug: what QEMU does not let go.
 */
#pragma once

#include "viommu_conf.h"
#include "viommu_finding.h"
#include "virsmmu.h"

/* Adds V12 to @findings if @dev, a host device of the running @dom, is the one through which its vSMMU got its command
 * queues (CMDQV): QEMU keeps it as long as the guest runs (unplug_blocker in hw/arm/smmuv3-accel.h). It is the first
 * below the vSMMU in the order of libvirt's aliases, which is that of QEMU's command line. What is not certain is left
 * to QEMU. */
void viommuDetachCheck(const viommuDomain *dom, const virSMMUTopology *host, const viommuDevice *dev,
                       GPtrArray *findings);
