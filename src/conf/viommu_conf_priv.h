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

/* Lets @iommu have what the properties of its device say over it, if they make it one with accel. */
void viommuConfOverrideIOMMU(viommuIOMMU *iommu, const viommuXML *xml, const xmlNode *frontend);
void viommuRequestFree(void *request);
void viommuPlacedFree(void *placed);

/* Words that mean nothing: an array of viommuStray, and a new one in it. */
GPtrArray *viommuConfStraysNew(void);
void viommuConfAddStray(GPtrArray *strays, unsigned line, const char *name, const char *value,
                        const char *meant);

/* The same of a name that is none of @known (static), but can be near to one. */
void viommuConfAddUnknown(GPtrArray *strays, unsigned line, const char *name, const char *value,
                          const char *const *known);

/* The word of @known that differs from @name only in case, "_" and "-"; or NULL. */
const char *viommuConfSimilarTo(const char *name, const char *const *known);

/* Where a request says its words: the text of the attribute @name and its line, or NULL. */
typedef const char *(*viommuConfTextFunc)(const void *data, const char *name, unsigned *ret_line);

/* Reads the words of <driver>, and those of <placement>. */
void viommuConfReadFeatures(viommuConfTextFunc get, const void *data, viommuFeatures *ret_features,
                            GPtrArray *strays);
void viommuConfReadPlacement(viommuConfTextFunc get, const void *data, unsigned *ret_sparePorts,
                             viommuReserve *ret_reserve, bool *ret_allSMMUs, GPtrArray *strays);

/* Adds what @iommu asks for; what it does not say is automatic. */
void viommuConfAddRequest(viommuDomain *dom, const viommuIOMMU *iommu);

/* Adds what the extra specs of Nova's flavor ask for. */
void viommuConfAskExtraSpecs(viommuDomain *dom);

/* Fills in dom->requests, placed and owns* from dom->iommus and from our metadata. */
bool viommuConfParseRequests(viommuDomain *dom, GError **error);
