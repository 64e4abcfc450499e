/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The windows of a root port that the BARs of a host device behind it need.
 */
#pragma once

#include "viommu_conf.h"
#include "virsmmu.h"

/* @value rounded up to a power of two; saturates. */
uint64_t viommuWindowRound(uint64_t value);

/* What @host needs, each a power of two or 0. A bridge has one window for 64-bit prefetchable memory, and all other
 * memory goes into the one below 4 GiB (PCI-to-PCI Bridge 1.2, 3.2.5.8 and 3.2.5.9). 0 as well where its details are
 * not loaded. */
viommuWindows viommuWindowsOf(const virSMMUDevice *host);
