/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recorded hosts for tests: in memory, or laid out as files.
 */
#pragma once

#include "virsysfs.h"

#include <glib.h>

/* The sorted names of tests/hosts, without ".sysfs". */
GPtrArray *testHostNames(void);

/* The path of tests/hosts/@name@suffix. */
char *testHostPath(const char *name, const char *suffix);

/* Reads a recorded host; anything wrong with it ends the test. */
virSysfs *testHostRead(const char *name);
virSysfs *testHostParse(const char *manifest);

/* Lays out everything of @fs below a new directory, and returns its name. Ends with testHostRemove.
 */
char *testHostUnpack(virSysfs *fs);

/* @argv with "-k", so that a case that fails does not hide the others; for g_test_init. Free with g_free. */
char **testKeepGoing(int *argc, char **argv);

/* Removes the tree or file at @path; it need not be there. */
void testHostRemove(const char *path);
