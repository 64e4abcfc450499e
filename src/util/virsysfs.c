/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What readers of a host call: text, bytes, links and listings, the same for a running host
 * (virsysfsroot.c) and a recorded one (virsysfsmanifest.c).
 */
#include "virsysfs.h"

#include "viommuerror.h"
#include "virsysfspriv.h"

#include <string.h>

/* Below this stands what was read of the host by other means than its files. */
#define PROBE "probe"

static bool
isUsable(const char *path)
{
    return path[0] && path[0] != '/';
}

/* The file system that has @path. */
static virSysfs *
at(virSysfs *fs, const char *path)
{
    size_t len = strlen(PROBE);

    return fs->probed && strncmp(path, PROBE, len) == 0 && (path[len] == '/' || !path[len]) ? fs->probed : fs;
}

static int
compareNames(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
virSysfsFree(virSysfs *fs)
{
    if (!fs)
        return;
    virSysfsFree(fs->probed);
    fs->backend->free(fs);
}

void
virSysfsSetProbed(virSysfs *fs, virSysfs *probed)
{
    virSysfsFree(fs->probed);
    fs->probed = probed;
}

bool
virSysfsHasProbed(const virSysfs *fs)
{
    return fs->recorded || fs->probed;
}

bool
virSysfsIsRecorded(const virSysfs *fs)
{
    return fs->recorded;
}

uint8_t *
virSysfsReadHead(virSysfs *fs, const char *path, size_t limit, size_t *ret_len, GError **error)
{
    if (!isUsable(path))
        return NULL;
    fs = at(fs, path);
    return fs->backend->read(fs, path, limit, ret_len, error);
}

uint8_t *
virSysfsReadBytes(virSysfs *fs, const char *path, size_t *ret_len, GError **error)
{
    size_t len = 0;
    g_autofree uint8_t *data = virSysfsReadHead(fs, path, VIR_SYSFS_FILE_MAX + 1, &len, error);

    if (!data)
        return NULL;
    if (len > VIR_SYSFS_FILE_MAX) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "host file '%s' is larger than %d bytes", path, VIR_SYSFS_FILE_MAX);
        return NULL;
    }
    *ret_len = len;
    return g_steal_pointer(&data);
}

char *
virSysfsReadText(virSysfs *fs, const char *path, GError **error)
{
    size_t len = 0;
    g_autofree uint8_t *data = virSysfsReadBytes(fs, path, &len, error);

    if (!data)
        return NULL;
    if (memchr(data, '\0', len)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "host file '%s' holds binary data where text is expected", path);
        return NULL;
    }
    if (len && data[len - 1] == '\n')
        data[len - 1] = '\0';
    return (char *)g_steal_pointer(&data);
}

char *
virSysfsReadLink(virSysfs *fs, const char *path)
{
    fs = at(fs, path);
    return isUsable(path) ? fs->backend->readLink(fs, path) : NULL;
}

char *
virSysfsReadLinkName(virSysfs *fs, const char *path)
{
    g_autofree char *target = virSysfsReadLink(fs, path);
    const char *slash;

    if (!target)
        return NULL;
    slash = strrchr(target, '/');
    return slash ? g_strdup(slash + 1) : g_steal_pointer(&target);
}

char **
virSysfsList(virSysfs *fs, const char *path, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;

    fs = at(fs, path);
    names = isUsable(path) ? fs->backend->list(fs, path, error) : NULL;
    if (!names)
        return NULL;
    g_ptr_array_sort(names, compareNames);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_steal(names, NULL);
}

/* Hands @failure, which may be NULL, over; returns whether there was none. */
static bool
passOn(GError **error, GError *failure)
{
    if (!failure)
        return true;
    g_propagate_error(error, failure);
    return false;
}

bool
virSysfsFetchText(virSysfs *fs, const char *path, char **ret_text, GError **error)
{
    GError *failure = NULL;

    *ret_text = virSysfsReadText(fs, path, &failure);
    return passOn(error, failure);
}

bool
virSysfsFetchList(virSysfs *fs, const char *path, char ***ret_names, GError **error)
{
    GError *failure = NULL;

    *ret_names = virSysfsList(fs, path, &failure);
    return passOn(error, failure);
}

bool
virSysfsExists(virSysfs *fs, const char *path)
{
    fs = at(fs, path);
    return isUsable(path) && fs->backend->exists(fs, path);
}
