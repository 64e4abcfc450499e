/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the programs begin: options, and what is said when they cannot go on.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Exit statuses, as of viommu(1). */
#define VIOMMU_PROGRAM_USAGE 2
#define VIOMMU_PROGRAM_UNREACHABLE 3

/* Begins the program @name, and reads its options. Of other arguments @args says what they are, for the help; NULL:
 * none may be there. False if it is to end with
 * *@ret_status: with wrong usage, of which it was told on standard error, or if it only was to show its version,
 * for which there is an option besides @entries. */
bool viommuProgramBegin(const char *name, const char *args, const char *summary, const GOptionEntry *entries, int *argc,
                        char ***argv, int *ret_status);

/* What the command line asks is wrong, for @text; returns the status. */
int viommuProgramMisused(const char *name, const char *text);

/* "error: TEXT" on standard error; returns @status. */
int viommuProgramFail(int status, const char *text);
