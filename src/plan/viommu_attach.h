/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hotplug: which root ports of a domain that has vSMMUs a new device may take. Buses, ports and vSMMUs
 * themselves cannot be plugged, so only what is there counts.
 */
#pragma once

#include "viommu_conf.h"
#include "viommu_finding.h"
#include "virsmmu.h"

/* True if @dom has a vSMMU on an expander bus, or asks for some, so that it matters where a device goes. */
bool viommuAttachMatters(const viommuDomain *dom);

/* Free root ports for @dev, a device of @dom that is to come and whose address does not count: for a host
 * device those below the vSMMUs of its physical SMMU, for an emulated one those outside of all expander
 * buses. Indexes of controllers, of unsigned, those to take first in front; if there are none, @findings
 * says why, unless an emulated one may stand anywhere. In a running guest those are left out whose window is
 * known to be too small for the device. Free with g_array_unref. Details of the host devices of @dom must be
 * loaded. */
GArray *viommuAttachPorts(const viommuDomain *dom, const virSMMUTopology *host,
                          const viommuDevice *dev, GPtrArray *findings);

/* Adds an error if @dev, a device of @dom that is to come to a running guest, has an address on a port whose windows
 * are known to be too small for it. Details of the host devices of its SMMU must be loaded. */
void viommuAttachCheckAddress(const viommuDomain *dom, const virSMMUTopology *host, const viommuDevice *dev,
                              GPtrArray *findings);

/* True if libvirt may put @dev where it should not be: a host device without address anywhere, and with one too if the
 * vSMMUs stand in arguments; an emulated one without address below a vSMMU with a free port. */
bool viommuAttachNeedsAddress(const viommuDomain *dom, const viommuDevice *dev);
