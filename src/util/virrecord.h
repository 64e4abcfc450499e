/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a host down as a manifest, which virSysfsNewManifest reads.
 */
#pragma once

#include "virsysfs.h"

#include <glib.h>

/* Returns the manifest of @fs (free: g_free): what readers of a host look at, one sorted line each,
 * without comments. The record of a recorded host is that host again. What is not there, cannot be
 * read by this user or is an absolute link is left out. NULL with @error (VIOMMU_ERROR_HOST) if the
 * host fails or loses a device meanwhile. */
char *virRecordHost(virSysfs *fs, GError **error);
