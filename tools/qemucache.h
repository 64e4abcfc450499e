/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The answers of emulators, kept in $XDG_CACHE_HOME/viommu/qemu: one private file for each, with the name of the
 * emulator and how its file was in the first line. All that goes wrong means that nothing is kept or found.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

/* What tells one state of an emulator from another: its absolute path, size, times of change. Free with g_free. */
char *viommuQemuCacheKey(const char *path, const struct stat *st);

/* What is kept for @key, or NULL. A file or directory that belongs to another user, or that others may write, is none;
 * nor is a longer text than @limit. Free with g_free. */
char *viommuQemuCacheRead(const char *key, size_t limit, size_t *ret_len);

/* Keeps @text. It is seen whole or not at all. */
void viommuQemuCacheWrite(const char *key, const char *text, size_t len);
