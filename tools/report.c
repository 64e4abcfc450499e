/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors and findings as text.
 */
#include "report.h"

#include <stdio.h>
#include <unistd.h>

#define INDENT "    "

bool
viommuTermHasColour(int fd)
{
    const char *no = g_getenv("NO_COLOR");
    const char *term = g_getenv("TERM");

    return !(no && *no) && term && g_strcmp0(term, "dumb") != 0 && isatty(fd);
}

bool
viommuTermIsUnicode(void)
{
    return g_get_charset(NULL);
}

void
viommuAppendColoured(GString *out, bool coloured, viommuColour colour, const char *text)
{
    if (coloured)
        g_string_append_printf(out, "\033[%dm", (int)colour);
    virTextAppendClean(out, text);
    if (coloured)
        g_string_append(out, "\033[0m");
}

static void
appendSeverity(GString *out, viommuSeverity severity, bool coloured)
{
    viommuColour colour = VIOMMU_COLOUR_RED;

    switch (severity) {
    case VIOMMU_SEVERITY_NOTE:
        colour = VIOMMU_COLOUR_BLUE;
        break;
    case VIOMMU_SEVERITY_WARNING:
        colour = VIOMMU_COLOUR_YELLOW;
        break;
    case VIOMMU_SEVERITY_ERROR:
        break;
    }
    viommuAppendColoured(out, coloured, colour, viommuSeverityName(severity));
    g_string_append(out, ": ");
}

void
viommuReport(viommuSeverity severity, const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);

    appendSeverity(out, severity, viommuTermHasColour(STDERR_FILENO));
    virTextAppendClean(out, text);
    fprintf(stderr, "%s\n", out->str);
}

void
viommuReportError(const char *text)
{
    viommuReport(VIOMMU_SEVERITY_ERROR, text);
}

void
viommuFormatFindings(GString *out, const GPtrArray *findings, bool quiet, bool coloured)
{
    size_t i;

    for (i = 0; i < findings->len; i++) {
        const viommuFinding *f = g_ptr_array_index(findings, i);

        if (quiet && f->severity != VIOMMU_SEVERITY_ERROR)
            continue;
        appendSeverity(out, f->severity, coloured);
        if (f->line)
            g_string_append_printf(out, "line %u: ", f->line);
        g_string_append_printf(out, "%s: ", f->id);
        virTextAppendClean(out, f->text);
        if (f->consequence) {
            g_string_append(out, "\n" INDENT);
            virTextAppendClean(out, f->consequence);
        }
        if (f->remedy) {
            g_string_append(out, "\n" INDENT "fix: ");
            virTextAppendClean(out, f->remedy);
        }
        g_string_append_c(out, '\n');
    }
}

void
viommuReportFindings(const GPtrArray *findings, bool quiet)
{
    g_autoptr(GString) out = g_string_new(NULL);

    viommuFormatFindings(out, findings, quiet, viommuTermHasColour(STDERR_FILENO));
    fputs(out->str, stderr);
}
