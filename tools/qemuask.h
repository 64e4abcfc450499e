/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks an emulator what it can do, by running it. The program is one that the administrator names; a domain's
 * <emulator> is never run for that.
 */
#pragma once

#include "qemu_viommu_caps.h"

/* Starts the QEMU at @path without a machine, reads its answers and ends it; at most 10 seconds. What it answered is
 * kept in the user's cache directory as long as the file stays the same, but not of a script, behind which anything can
 * change. Returns NULL with VIOMMU_ERROR_FILE if it cannot be run or does not answer; what it says itself is in the
 * message. Free with qemuViommuCapsFree. */
qemuViommuCaps *viommuQemuAsk(const char *path, GError **error);
