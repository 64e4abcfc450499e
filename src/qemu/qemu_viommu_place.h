/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who sits where in a guest that QEMU is to start without libvirt's help.
 */
#pragma once

#include "qemu_viommu_bus.h"

/* All controllers of the planned domain, the root first, each with an address; the addresses that devices
 * have are noted as used. Fails (VIOMMU_ERROR_REFUSED) for kinds of controllers that are not translated,
 * for addresses on buses that do not exist or given twice, and for a full pcie.0. */
GPtrArray *qemuViommuBusesOfDomain(const viommuDomain *dom, const viommuPlan *plan, GError **error);

/* A place for a device without address: PCIe devices take the lowest free root port on pcie.0, or a new
 * one; the others a slot of pcie.0. So nothing without address comes below an expander bus. */
bool qemuViommuBusesPlace(GPtrArray *buses, viommuDeviceKind kind, unsigned line,
                          viommuGuestAddr *ret_addr, GError **error);

/* True if @device has an address of its own, and not one on a bus that an earlier expansion made and the plan
 * drops. */
bool qemuViommuBusesHasAddress(const GPtrArray *buses, const viommuDomain *dom,
                               const viommuDevice *device);
