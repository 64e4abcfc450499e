/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks an emulator what it can do, by running it.
 */
#pragma once

#include "qemu_viommu_caps.h"

/* Starts the QEMU at @path without a machine, reads its answers and ends it; at most 10 seconds. What it answered is
 * kept in the user's cache directory as long as the file stays the same, but not of a script, behind which anything can
 * change. Returns NULL with VIOMMU_ERROR_FILE if it cannot be run or does not answer; what it says itself is in the
 * message. Free with qemuViommuCapsFree. */
qemuViommuCaps *viommuQemuAsk(const char *path, GError **error);

/* The same for a program that the administrator has not named, but a document has: it is run only if nobody but root
 * can have put it there (viommuTrustProgram), with an environment of its own, and for root without any rights, as the
 * user nobody. VIOMMU_ERROR_REFUSED, and why, if it is not run for that. */
qemuViommuCaps *viommuQemuAskNamed(const char *path, GError **error);
