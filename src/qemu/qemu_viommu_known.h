/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which elements and attributes of a domain are translated into QEMU arguments, or have no bearing on them.
 */
#pragma once

#include "viommu_conf.h"

/* True if every element and attribute of @dom is one of them; else VIOMMU_ERROR_REFUSED with the line. */
bool qemuViommuCheckKnown(const viommuDomain *dom, GError **error);
