/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service says about itself: lines on standard error, with the level that journald reads
 * in front if it is there; or to syslog, where standard error is the client's.
 */
#pragma once

#include <glib.h>

typedef enum {
    VIOMMU_LOG_STDERR,
    VIOMMU_LOG_SYSLOG,
} viommuLogTarget;

/* @ident stands in front of each line. Where the text comes from a document, control characters
 * become '?'. */
void viommuLogOpen(const char *ident, viommuLogTarget target);

/* A syslog(3) level: LOG_ERR, LOG_WARNING, LOG_INFO. */
void viommuLog(int level, const char *format, ...) G_GNUC_PRINTF(2, 3);
