/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is wrong with a domain or a host: a class (docs/findings.rst), a line, and what to do.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
    VIOMMU_SEVERITY_NOTE,
    VIOMMU_SEVERITY_WARNING,
    VIOMMU_SEVERITY_ERROR,
} viommuSeverity;

typedef struct {
    const char *id;        /* "V16", "P15": static */
    const char *title;     /* what of a host was checked: static; NULL: it is about a domain */
    viommuSeverity severity;
    unsigned line;         /* of the domain XML; 0 only if there is no domain */
    char *text;            /* what is wrong */
    char *consequence;     /* what would happen, with QEMU's or libvirt's own words; NULL: plain from text */
    char *remedy;          /* what to change; NULL only for notes */
} viommuFinding;

/* An array that owns viommuFinding. */
GPtrArray *viommuFindingsNew(void);

/* Adds a finding; @consequence and @remedy may be NULL, the text is formatted. Returns it, borrowed. */
viommuFinding *viommuFindingsAdd(GPtrArray *findings, const char *id, viommuSeverity severity,
                                 unsigned line, const char *consequence, const char *remedy,
                                 const char *format, ...) G_GNUC_PRINTF(7, 8);

/* True if one of them is an error. */
bool viommuFindingsHaveError(const GPtrArray *findings);

/* Sorts by line, id, text: the order of every output. */
void viommuFindingsSort(GPtrArray *findings);

const char *viommuSeverityName(viommuSeverity severity);
