/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The QEMU that places host devices by itself (-machine virt,iommu=nested-smmuv3): whether it does so as planned.
 */
#pragma once

#include "qemu_viommu_args.h"
#include "qemu_viommu_words.h"

/* True if that QEMU, told of the host devices alone, makes what @plan of @dom says: each device below the one vSMMU of
 * its SMMU, in a port of its own. Else VIOMMU_ERROR_REFUSED: what it would do otherwise, and what to change. */
bool qemuViommuPlacesFit(const qemuViommuWords *words, const viommuDomain *dom, const viommuPlan *plan,
                         GError **error);

/* Writes the machine's property for a plan that fits and has vSMMUs. */
void qemuViommuPlacesArgs(const qemuViommuWords *words, const viommuPlan *plan, GPtrArray *args);

/* Rewrites the vfio-pci devices among @args as DRIVER,NAME=VALUE...: the form in which alone that QEMU finds them. */
void qemuViommuPlacesDevices(GPtrArray *args);
