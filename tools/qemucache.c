/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps the answers of emulators.
 */
#include "qemucache.h"

#include "qemu_viommu_caps.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* Of the first line; other commands have other answers, so that their text is in the key. */
#define FORM "viommu qemu 1"

/* A key is a path and some numbers. */
#define KEY_MAX (2 * 4096)

/* True if nobody else can have written it: for a directory, what is in it. */
static bool
isOurs(const struct stat *st)
{
    return st->st_uid == geteuid() && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The directory, opened; -1 if there is none that is ours. With @make it is made. Under sudo the cache directory can be
 * that of the user before: nothing of it is used. */
static int
openDirectory(bool make)
{
    const char *base = g_get_user_cache_dir();
    g_autofree char *path = g_build_filename(base, "viommu", "qemu", NULL);
    struct stat st;
    int fd;

    if (!g_path_is_absolute(base) || (stat(base, &st) == 0 && !isOurs(&st)))
        return -1;
    if (make)
        g_mkdir_with_parents(path, 0700);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || (fstat(fd, &st) == 0 && isOurs(&st)))
        return fd;
    close(fd);
    return -1;
}

char *
viommuQemuCacheKey(const char *path, const struct stat *st)
{
    g_autofree char *commands =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, qemuViommuCapsCommands, -1);
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    g_autofree char *escaped = g_strescape(absolute, NULL);

    return g_strdup_printf(FORM " %.16s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld %" G_GINT64_FORMAT
                           ".%09ld %s\n", commands, (gint64)st->st_size, (gint64)st->st_mtim.tv_sec,
                           st->st_mtim.tv_nsec, (gint64)st->st_ctim.tv_sec, st->st_ctim.tv_nsec, escaped);
}

static char *
fileName(const char *key)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);

    return g_strdup_printf("%.32s.qmp", sum);
}

static ssize_t
readUpTo(int fd, char *data, size_t size)
{
    size_t have = 0;

    while (have < size) {
        ssize_t n = read(fd, data + have, size - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* The content of an open file that begins with @key, without it. */
static char *
readBehind(int fd, const char *key, size_t limit, size_t *ret_len)
{
    size_t keyLen = strlen(key);
    size_t size = keyLen + limit + 1;
    g_autofree char *data = g_malloc(size);
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !isOurs(&st))
        return NULL;
    n = readUpTo(fd, data, size);
    if (n < (ssize_t)keyLen || (size_t)n == size || memcmp(data, key, keyLen) != 0)
        return NULL;
    *ret_len = (size_t)n - keyLen;
    return g_strndup(data + keyLen, *ret_len);
}

char *
viommuQemuCacheRead(const char *key, size_t limit, size_t *ret_len)
{
    g_autofree char *name = fileName(key);
    int dir = openDirectory(false);
    int fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char *text = fd < 0 || strlen(key) > KEY_MAX ? NULL : readBehind(fd, key, limit, ret_len);

    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return text;
}

static bool
writeAll(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

void
viommuQemuCacheWrite(const char *key, const char *text, size_t len)
{
    g_autofree char *name = fileName(key);
    g_autofree char *temporary = g_strdup_printf("%s.%ld.new", name, (long)getpid());
    int dir = strlen(key) > KEY_MAX ? -1 : openDirectory(true);
    int fd = dir < 0 ? -1 : openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good;

    if (fd >= 0) {
        good = writeAll(fd, key, strlen(key)) && writeAll(fd, text, len);
        good = close(fd) == 0 && good;
        if (!good || renameat(dir, temporary, dir, name) < 0)
            unlinkat(dir, temporary, 0);
    }
    if (dir >= 0)
        close(dir);
}
