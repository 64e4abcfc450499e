/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host is laid out by asking the reader for all that it has, so that no second parser is needed
 * here.
 */
#include "hosttestutils.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".sysfs"

static int
compareNames(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
testHostNames(void)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *directory = g_test_build_filename(G_TEST_DIST, "hosts", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(directory, 0, &error);
    const char *name;

    g_assert_no_error(error);
    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, SUFFIX))
            g_ptr_array_add(names, g_strndup(name, strlen(name) - strlen(SUFFIX)));
    }
    g_assert_cmpuint(names->len, >, 0);
    g_ptr_array_sort(names, compareNames);
    return names;
}

char *
testHostPath(const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);

    return g_test_build_filename(G_TEST_DIST, "hosts", file, NULL);
}

virSysfs *
testHostParse(const char *manifest)
{
    g_autoptr(GError) error = NULL;
    virSysfs *fs = virSysfsNewManifest(manifest, strlen(manifest), &error);

    g_assert_no_error(error);
    g_assert_nonnull(fs);
    return fs;
}

virSysfs *
testHostRead(const char *name)
{
    g_autofree char *path = testHostPath(name, SUFFIX);
    g_autofree char *manifest = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(path, &manifest, NULL, &error);
    g_assert_no_error(error);
    return testHostParse(manifest);
}

static void
unpack(virSysfs *fs, const char *path, const char *to)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *target = virSysfsReadLink(fs, path);
    g_auto(GStrv) names = target ? NULL : virSysfsList(fs, path, &error);
    g_autofree uint8_t *data = NULL;
    size_t len = 0, i;

    g_assert_no_error(error);
    if (target) {
        g_assert_cmpint(symlink(target, to), ==, 0);
        return;
    }
    if (!names) {
        data = virSysfsReadBytes(fs, path, &len, &error);
        g_assert_no_error(error);
        /* Not g_file_set_contents: it waits for the disk. */
        g_assert_true(g_file_set_contents_full(to, (const char *)data, (gssize)len,
                                               G_FILE_SET_CONTENTS_NONE, 0644, &error));
        return;
    }
    g_assert_cmpint(g_mkdir_with_parents(to, 0755), ==, 0);
    for (i = 0; names[i]; i++) {
        g_autofree char *below = g_strconcat(path, "/", names[i], NULL);
        g_autofree char *belowTo = g_strconcat(to, "/", names[i], NULL);

        unpack(fs, below, belowTo);
    }
}

char *
testHostUnpack(virSysfs *fs)
{
    static const char *const tops[] = { "sys", "proc", "dev", "probe" };
    /* Thousands of small files: in memory where that can be. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
    char *directory = g_mkdtemp(g_build_filename(base, "viommu-host-XXXXXX", NULL));
    size_t i;

    g_assert_nonnull(directory);
    for (i = 0; i < G_N_ELEMENTS(tops); i++) {
        g_autofree char *to = g_strconcat(directory, "/", tops[i], NULL);

        if (virSysfsExists(fs, tops[i]))
            unpack(fs, tops[i], to);
    }
    return directory;
}

static int
removeEntry(const char *path, const struct stat *info G_GNUC_UNUSED, int type G_GNUC_UNUSED,
            struct FTW *where G_GNUC_UNUSED)
{
    remove(path);
    return 0;
}

void
testHostRemove(const char *path)
{
    nftw(path, removeEntry, 16, FTW_DEPTH | FTW_PHYS);
}

char **
testKeepGoing(int *argc, char **argv)
{
    char **args = g_new0(char *, (size_t)*argc + 2);

    memcpy(args, argv, (size_t)*argc * sizeof(*args));
    args[(*argc)++] = (char *)"-k";
    return args;
}
