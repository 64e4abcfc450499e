/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Read access to the kernel's file trees (sys, proc, dev) of one host: the running one below a root
 * directory, or a recorded one (docs/hosts.rst) kept in memory. Readers of topology see no difference.
 *
 * Paths are relative to the root and have no leading slash. "Not there" is an answer, not an error: the
 * readers return NULL or false without touching @error. Errors are VIOMMU_ERROR_HOST.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest file that is read: the IORT of a big server has some 16 KiB; a page is sysfs' own limit. */
#define VIR_SYSFS_FILE_MAX (1024 * 1024)

/* Largest manifest that is accepted, and most entries in it. */
#define VIR_SYSFS_MANIFEST_MAX (64 * 1024 * 1024)
#define VIR_SYSFS_ENTRIES_MAX 1000000

/* Most links followed for one path, as the kernel's own limit (MAXSYMLINKS, include/linux/namei.h). */
#define VIR_SYSFS_LINKS_MAX 40

typedef struct virSysfs virSysfs;

/* Opens the tree below the directory @root ("/" for this host). Free with virSysfsFree. */
virSysfs *virSysfsOpenRoot(const char *root, GError **error);

/* Reads a manifest of @len bytes. The message of an error names the line. Refused are absolute link
 * targets, "..": leaving the root, paths given twice, an entry below a file, escapes that do not exist.
 * Free with virSysfsFree. */
virSysfs *virSysfsNewManifest(const char *data, size_t len, GError **error);

void virSysfsFree(virSysfs *fs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSysfs, virSysfsFree)

/* True if this is a recorded host; its /proc, /dev and probe/ are then as recorded. */
bool virSysfsIsRecorded(const virSysfs *fs);

/* Lets @fs have what stands in @probed below "probe", instead of its own. Takes @probed over. */
void virSysfsSetProbed(virSysfs *fs, virSysfs *probed);

/* True if something below "probe" can be meant: a running host has nothing there that was not set. */
bool virSysfsHasProbed(const virSysfs *fs);

/* The content of the file at @path without its final newline, or NULL if there is none or it cannot be
 * read by this user. @error is set only where the host itself fails (EIO, too large). Free with g_free. */
char *virSysfsReadText(virSysfs *fs, const char *path, GError **error);

/* The same for binary files; *ret_len is its length. */
uint8_t *virSysfsReadBytes(virSysfs *fs, const char *path, size_t *ret_len, GError **error);

/* At most the first @limit bytes: reading on can have effects, as in PCI configuration space. */
uint8_t *virSysfsReadHead(virSysfs *fs, const char *path, size_t limit, size_t *ret_len, GError **error);

/* The target of the link at @path exactly as it stands, or NULL if there is no link. Costs one readlink. */
char *virSysfsReadLink(virSysfs *fs, const char *path);

/* The last component of that target, or NULL. */
char *virSysfsReadLinkName(virSysfs *fs, const char *path);

/* The sorted names in the directory @path (NULL-terminated; free with g_strfreev), or NULL if there is
 * no such directory. "." and ".." are left out. */
char **virSysfsList(virSysfs *fs, const char *path, GError **error);

/* The same for callers to whom "not there" is no reason to stop: false only with @error set. */
bool virSysfsFetchText(virSysfs *fs, const char *path, char **ret_text, GError **error);
bool virSysfsFetchList(virSysfs *fs, const char *path, char ***ret_names, GError **error);

/* True if there is something at @path; where it is a link, at its end. */
bool virSysfsExists(virSysfs *fs, const char *path);
