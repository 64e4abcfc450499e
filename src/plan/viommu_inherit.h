/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain that comes in the place of one that viommu has expanded, and brings no notes of that: an administrator's own
 * file, say. It takes over buses, ports and addresses, so that no device moves that can stay (P12).
 */
#pragma once

#include "viommu_conf.h"

/* True if @dom can take something over from the domain that libvirt has under its UUID: it asks by
 * <iommu nested='yes'>, and has no notes itself. */
bool viommuInheritWants(const viommuDomain *dom);

/* The text of @dom with the controllers that viommu has made for @before, our notes of them, and the addresses that its
 * host devices have there. Lines are those of @dom. NULL if there is nothing to take over, if @before is another
 * domain, or if @dom uses the indexes itself. Free with g_free. */
char *viommuInherit(const viommuDomain *dom, const viommuDomain *before, size_t *ret_len);
