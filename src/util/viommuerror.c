/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The error domain of viommu.
 */
#include "viommuerror.h"

#include <string.h>

GQuark
viommuErrorQuark(void)
{
    return g_quark_from_static_string("viommu-error-quark");
}

void
viommuErrorCut(char *text)
{
    char *end;

    if (!text || strlen(text) <= VIOMMU_ERROR_TEXT_MAX)
        return;
    end = g_utf8_find_prev_char(text, text + VIOMMU_ERROR_TEXT_MAX);
    strcpy(end ? end : text + VIOMMU_ERROR_TEXT_MAX - 1, "...");
}

void
viommuErrorAt(GError **error, viommuError code, unsigned line, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    viommuErrorCut(text);
    if (line)
        g_set_error(error, VIOMMU_ERROR, code, "line %u: %s", line, text);
    else
        g_set_error_literal(error, VIOMMU_ERROR, code, text);
}
