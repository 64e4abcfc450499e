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
    static const char ellipsis[] = "...";
    char *room, *end;

    if (!text || strlen(text) <= VIOMMU_ERROR_TEXT_MAX)
        return;
    /* The last place where a character begins and the ellipsis fits. */
    room = text + VIOMMU_ERROR_TEXT_MAX - strlen(ellipsis);
    end = g_utf8_find_prev_char(text, room + 1);
    strcpy(end ? end : room, ellipsis);
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
