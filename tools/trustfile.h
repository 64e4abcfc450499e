/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a program that somebody's document names may be run: one that only root can have put there.
 */
#pragma once

#include <glib.h>

/* The path of the program @path without links, for execution. NULL with @error: VIOMMU_ERROR_FILE if there is no such
 * program, so that nobody can run it; VIOMMU_ERROR_REFUSED with what and why if it, or a directory on that path,
 * belongs to another than root or can be written by others, if the path is not absolute, or if it cannot be looked at
 * or may not be run by all. Free with g_free. */
char *viommuTrustProgram(const char *path, GError **error);
