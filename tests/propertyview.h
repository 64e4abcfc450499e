/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of what guests see (viommu_diff.h): what stays in a domain does not move in its guest.
 */
#pragma once

#include "propertytrial.h"

/* No device that is in both documents, host device or emulated, has another place in @after than in @before; and what
 * has another number has it for a reason. Where a function 0 has gone another function of its slot may take its place:
 * guests see none without. */
void propertyViewStays(const trial *one, const char *what, const char *before, const char *after);

/* The plan @out stays what it is for the guest if devices change their order in the document, if features are asked
 * for anew, and if the words are those for an older libvirt. */
void propertyView(const trial *one, const outcome *out);

/* After all seeds: enough was tried. Says how often numbers changed. */
void propertyViewCounts(void);
