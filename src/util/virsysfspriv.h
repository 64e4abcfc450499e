/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two backends of virSysfs (a directory tree, a manifest) give to virsysfs.c. Nothing else
 * includes this.
 */
#pragma once

#include "virsysfs.h"

#include <stdint.h>

/* Paths are never empty and never start with a slash. "Not there" is NULL or false, no @error. */
typedef struct {
    /* At most @limit bytes of the file at @path, from its start, with a NUL behind them. */
    uint8_t *(*read)(virSysfs *fs, const char *path, size_t limit, size_t *ret_len, GError **error);
    char *(*readLink)(virSysfs *fs, const char *path);
    /* Names in any order, without "." and "..", as an array that frees them. */
    GPtrArray *(*list)(virSysfs *fs, const char *path, GError **error);
    bool (*exists)(virSysfs *fs, const char *path);
    void (*free)(virSysfs *fs);
} virSysfsBackend;

/* The first member of a backend's own type. */
struct virSysfs {
    const virSysfsBackend *backend;
    bool recorded;
    virSysfs *probed; /* what is below "probe"; NULL: see the backend */
};
