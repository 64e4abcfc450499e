/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * <qemu:override>: properties of devices that the domain sets over what was translated.
 */
#pragma once

#include "qemu_viommu_args.h"

/* Changes @args. Like libvirt it passes over an alias that no device has; what libvirt refuses is refused. */
bool qemuViommuApplyOverride(const viommuDomain *dom, const viommuPlan *plan, GPtrArray *args,
                             GError **error);
