/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one error domain of viommu. What a domain or a host does not allow is a finding
 * (plan/viommu_finding.h), not an error; errors are for input and peers that cannot be read.
 */
#pragma once

#include <glib.h>

#define VIOMMU_ERROR (viommuErrorQuark())

typedef enum {
    VIOMMU_ERROR_SYNTAX,  /* a document that is not well-formed, as every XML parser will say */
    VIOMMU_ERROR_XML,     /* a document that is not a domain, says something impossible, or goes beyond our limits */
    VIOMMU_ERROR_REFUSED, /* understood, but cannot be done */
    VIOMMU_ERROR_HOST,    /* the host or its record could not be read */
    VIOMMU_ERROR_FILE,    /* a file could not be read or written */
    VIOMMU_ERROR_LIBVIRT, /* libvirt could not be reached or refused */
} viommuError;

GQuark viommuErrorQuark(void);

/* Longest text that is about a value of the input: a value can have megabytes. */
#define VIOMMU_ERROR_TEXT_MAX 2000

/* Cuts @text, which may be NULL, off there, with an ellipsis. */
void viommuErrorCut(char *text);

/* Sets @error to "line N: TEXT", or to TEXT alone where @line is 0 (unknown). */
void viommuErrorAt(GError **error, viommuError code, unsigned line, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
