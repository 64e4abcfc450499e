/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virSysfs over the files below a directory. Everything is opened relative to that directory's
 * descriptor, and each read costs as few system calls as there can be: a host has thousands of
 * devices.
 */
#include "virsysfs.h"

#include "viommuerror.h"
#include "virsysfspriv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* sysfs gives an attribute whole, below one page (fs/sysfs/file.c), a binary file page by page. */
#define CHUNK 4096

/* One getdents64 takes some 800 PCI devices. */
#define DIRENTS_SIZE (64 * 1024)

typedef struct {
    virSysfs parent;
    int fd;
} virSysfsRoot;

/* Sets @error where @err is a failure of the host. All else means that there is nothing to read
 * here: absent, gone meanwhile, not for this user, or not offered by the driver. */
static void
setHostError(GError **error, int err, const char *path)
{
    if (err == EIO || err == EMFILE || err == ENFILE || err == ENOMEM)
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "cannot read host file '%s': %s", path,
                    g_strerror(err));
}

static int
rootOpen(virSysfs *fs, const char *path, int flags, GError **error)
{
    const virSysfsRoot *root = (const virSysfsRoot *)fs;
    int fd;

    do {
        /* O_NONBLOCK: a FIFO in a copied tree must not hang the reader. */
        fd = openat(root->fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        setHostError(error, errno, path);
    return fd;
}

static ssize_t
readChunk(int fd, void *buf, size_t len)
{
    ssize_t n;

    do {
        n = read(fd, buf, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Reads until the end or @limit. Below sys/ a short read is the end; /proc may give less than
 * asked. */
static uint8_t *
readAll(int fd, const char *path, size_t limit, size_t *ret_len, GError **error)
{
    bool shortIsEnd = g_str_has_prefix(path, "sys/");
    g_autoptr(GByteArray) all = NULL;
    uint8_t chunk[CHUNK];

    for (;;) {
        size_t want = MIN(sizeof(chunk), limit - (all ? all->len : 0));
        ssize_t n = want ? readChunk(fd, chunk, want) : 0;

        if (n < 0) {
            setHostError(error, errno, path);
            return NULL;
        }
        if (!all)
            all = g_byte_array_sized_new((guint)n + 1);
        g_byte_array_append(all, chunk, (guint)n);
        if (n == 0 || all->len == limit || (shortIsEnd && (size_t)n < want))
            break;
    }
    *ret_len = all->len;
    g_byte_array_append(all, (const uint8_t *)"", 1);
    return g_byte_array_free(g_steal_pointer(&all), FALSE);
}

static uint8_t *
rootRead(virSysfs *fs, const char *path, size_t limit, size_t *ret_len, GError **error)
{
    int fd = rootOpen(fs, path, 0, error);
    uint8_t *data;

    if (fd < 0)
        return NULL;
    data = readAll(fd, path, limit, ret_len, error);
    close(fd);
    return data;
}

static char *
rootReadLink(virSysfs *fs, const char *path)
{
    const virSysfsRoot *root = (const virSysfsRoot *)fs;
    char target[PATH_MAX];
    ssize_t n = readlinkat(root->fd, path, target, sizeof(target));

    if (n < 0 || n == sizeof(target))
        return NULL;
    return g_strndup(target, (size_t)n);
}

static bool
isDots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static GPtrArray *
rootList(virSysfs *fs, const char *path, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autofree char *buf = NULL;
    int fd = rootOpen(fs, path, O_DIRECTORY, error);
    ssize_t n;

    if (fd < 0)
        return NULL;
    names = g_ptr_array_new_with_free_func(g_free);
    buf = g_malloc(DIRENTS_SIZE);
    while ((n = getdents64(fd, buf, DIRENTS_SIZE)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

            if (!isDots(entry->d_name))
                g_ptr_array_add(names, g_strdup(entry->d_name));
            at += entry->d_reclen;
        }
    }
    if (n < 0)
        setHostError(error, errno, path);
    close(fd);
    return n < 0 ? NULL : g_steal_pointer(&names);
}

static bool
rootExists(virSysfs *fs, const char *path)
{
    const virSysfsRoot *root = (const virSysfsRoot *)fs;
    struct stat st;

    /* Not faccessat(): for a device that asks the device cgroup too, which systemd may have closed. */
    return fstatat(root->fd, path, &st, 0) == 0;
}

static void
rootFree(virSysfs *fs)
{
    virSysfsRoot *root = (virSysfsRoot *)fs;

    if (root->fd >= 0)
        close(root->fd);
    g_free(root);
}

static const virSysfsBackend rootBackend = {
    .read = rootRead,
    .readLink = rootReadLink,
    .list = rootList,
    .exists = rootExists,
    .free = rootFree,
};

/* True if the directory @fd is not the root of this machine. */
static bool
isElsewhere(int fd)
{
    struct stat there = { 0 }, here = { 0 };

    return fstat(fd, &there) != 0 || stat("/", &here) != 0 || there.st_dev != here.st_dev ||
           there.st_ino != here.st_ino;
}

virSysfs *
virSysfsOpenRoot(const char *root, GError **error)
{
    g_autofree virSysfsRoot *fs = g_new0(virSysfsRoot, 1);

    fs->parent.backend = &rootBackend;
    fs->fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs->fd < 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "cannot open host directory '%s': %s",
                    root, g_strerror(errno));
        return NULL;
    }
    fs->parent.recorded = isElsewhere(fs->fd);
    return &g_steal_pointer(&fs)->parent;
}
