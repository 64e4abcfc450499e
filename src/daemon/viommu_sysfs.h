/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host as the programs here read it: with the registers of viommud.conf, which nobody can ask the kernel for.
 */
#pragma once

#include "viommu_config.h"
#include "virsysfs.h"

/* Opens the host below the directory @path, or recorded in that file. Free with virSysfsFree. */
virSysfs *viommuSysfsOpen(const viommuConfig *config, const char *path, GError **error);
