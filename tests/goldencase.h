/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The golden cases of qemuxml2argvdata/, found by walking the directory, and the way of a domain
 * through viommu as the commands expand and argv go it.
 */
#pragma once

#include "load.h"
#include "qemu_viommu_caps.h"

#include <glib.h>
#include <stdbool.h>

typedef struct {
    char *name;  /* "two-smmus.grace" */
    char *input; /* "two-smmus": the domain is input.xml */
    char *host;  /* "grace": hosts/grace.sysfs */
} goldenCase;

/* Makes the directory of the cases the working directory: errors then name files as they are called
 * there. */
void goldenEnter(void);

/* All cases, sorted; and what is wrong with the files: an array of char *. */
GPtrArray *goldenCases(void);
GPtrArray *goldenProblems(const GPtrArray *cases);

/* The content of @item's file with that suffix (".err"), or NULL if there is none. Free with
 * g_free. */
char *goldenRead(const goldenCase *item, const char *suffix);

/* Writes that file, or removes it if @text is NULL. */
void goldenWrite(const goldenCase *item, const char *suffix, const char *text);

/* What became of a domain. */
typedef struct {
    viommuOptions opts;
    char *host; /* these two: for opts */
    char *networks[2];
    viommuInput *input;
    viommuPlacement *placement;
    char *err;    /* all that is said on standard error if it was refused; else NULL, and: */
    char *native; /* what the command expand prints: of a domain that asks for nothing, itself */
    char *args;   /* what the command argv prints as JSON; NULL: nothing */
    char *viommu; /* expand --dialect viommu; NULL for a domain that asks for nothing */
} goldenResult;

/* Takes the domain in @file (NULL: the case's own) through viommu, on the host recorded in
 * @manifest (NULL: the case's own), with the options of the case. Free with goldenResultFree. */
goldenResult *goldenRun(const goldenCase *item, const char *file, const char *manifest);

/* What `argv --format json --dialect` prints of a domain that was not refused; NULL if it is refused so, with what is
 * said on standard error in *@ret_refusal. Free with g_free. */
char *goldenDialect(const goldenResult *result, qemuViommuDialect dialect, char **ret_refusal);
void goldenResultFree(goldenResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(goldenResult, goldenResultFree)
