/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the domain reader share.
 */
#pragma once

#include "viommu_conf.h"

/* Numbers as libvirt reads them (virXMLPropUInt, base 0): decimal, 0x hex, 0 octal. False if @text is
 * NULL, not a number or above @max. */
bool viommuConfParseNumber(const char *text, unsigned max, unsigned *ret_value);

/* An attribute with a number up to @max: the number, VIOMMU_UNSET or VIOMMU_BAD. */
int viommuConfAttrInt(const xmlNode *elem, const char *name, unsigned max);

/* "yes"/"no" or "on"/"off" as 1/0; VIOMMU_UNSET for NULL, VIOMMU_BAD for anything else. */
int viommuConfYesNo(const char *text);
int viommuConfOnOff(const char *text);

/* The attributes domain, bus, slot, function of @elem; an absent one is 0. False with @error set if one is
 * no number or out of range; @what says whose they are. */
bool viommuConfParseAddr(const viommuXML *xml, const xmlNode *elem, const char *what, unsigned maxDomain,
                         viommuGuestAddr *ret_addr, GError **error);

/* Reads one child of <devices> that is neither a PCI controller nor an <iommu>. */
viommuDevice *viommuDeviceParse(const viommuXML *xml, xmlNode *node, GError **error);
void viommuDeviceFree(void *device);

viommuIOMMU *viommuIOMMUParse(const viommuXML *xml, xmlNode *node);
void viommuIOMMUFree(void *iommu);
void viommuRequestFree(void *request);
void viommuPlacedFree(void *placed);

/* Fills in dom->requests, placed and owns* from dom->iommus and from our metadata. */
bool viommuConfParseRequests(viommuDomain *dom, GError **error);
