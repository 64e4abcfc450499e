/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words for people: errors and findings, and what the terminal can show.
 */
#pragma once

#include "viommu_finding.h"
#include "virtext.h"

#include <glib.h>
#include <stdbool.h>

/* True if @fd is a terminal that shows colours, and NO_COLOR (no-color.org) is not set. */
bool viommuTermHasColour(int fd);

/* True if the locale's character set is UTF-8. */
bool viommuTermIsUnicode(void);

typedef enum {
    VIOMMU_COLOUR_RED = 31,
    VIOMMU_COLOUR_GREEN = 32,
    VIOMMU_COLOUR_YELLOW = 33,
    VIOMMU_COLOUR_BLUE = 34,
    VIOMMU_COLOUR_CYAN = 36,
} viommuColour;

/* Appends @text with control characters as '?', in @colour if @coloured. */
void viommuAppendColoured(GString *out, bool coloured, viommuColour colour, const char *text);

/* "error: TEXT" on standard error; with other severities their names. */
void viommuReport(viommuSeverity severity, const char *text);
void viommuReportError(const char *text);

/* The findings, one after the other; without warnings and notes if @quiet:
 *
 *     error: line 12: V16: what is wrong
 *         what would happen
 *         fix: what to change
 */
void viommuFormatFindings(GString *out, const GPtrArray *findings, bool quiet, bool coloured);

/* The same on standard error. */
void viommuReportFindings(const GPtrArray *findings, bool quiet);
