/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at who can have written a program, and can exchange it.
 */
#include "trustfile.h"

#include "viommuerror.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool
refuse(GError **error, const char *path, const char *why)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED, "'%s': %s", path, why);
    return false;
}

static bool
failErrno(GError **error, const char *path, int code)
{
    bool absent = code == ENOENT || code == ENOTDIR || code == ELOOP || code == ENAMETOOLONG;

    if (!absent)
        return refuse(error, path, g_strerror(code));
    g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, g_strerror(code));
    return false;
}

/* The ACL of a file that has one shows in the bits of its group. */
static bool
checkOwner(const char *path, const struct stat *st, GError **error)
{
    if (st->st_uid != 0)
        return refuse(error, path, "it belongs to another user than root");
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return refuse(error, path, "others than root can write it");
    return true;
}

/* @path has no links in it: what is one now was exchanged meanwhile, by whoever may write what is above. */
static bool
checkDirectory(const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return failErrno(error, path, errno);
    return S_ISDIR(st.st_mode) ? checkOwner(path, &st, error) : refuse(error, path, "it was exchanged just now");
}

/* From the top: where only root can write, it stays as it is seen. */
static bool
checkAbove(const char *path, GError **error)
{
    const char *slash;

    for (slash = path; slash; slash = strchr(slash + 1, '/')) {
        g_autofree char *directory = g_strndup(path, MAX((size_t)(slash - path), 1));

        if (!checkDirectory(directory, error))
            return false;
    }
    return true;
}

static bool
checkProgram(const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return failErrno(error, path, errno);
    if (!S_ISREG(st.st_mode) || !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH))) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "not a program");
        return false;
    }
    if (!checkOwner(path, &st, error))
        return false;
    return (st.st_mode & S_IXOTH) || refuse(error, path, "not everybody may run it");
}

char *
viommuTrustProgram(const char *path, GError **error)
{
    /* realpath allocates with malloc, as GLib does. */
    g_autofree char *real = g_path_is_absolute(path) ? realpath(path, NULL) : NULL;

    if (!g_path_is_absolute(path)) {
        refuse(error, path, "not an absolute path");
        return NULL;
    }
    if (!real) {
        failErrno(error, path, errno);
        return NULL;
    }
    return checkAbove(real, error) && checkProgram(real, error) ? g_steal_pointer(&real) : NULL;
}
