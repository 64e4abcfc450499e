/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log lines.
 */
#include "viommu_log.h"

#include "virtext.h"

#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

static struct {
    const char *ident;
    viommuLogTarget target;
    gboolean journal; /* standard error goes to journald */
} logState;

void
viommuLogOpen(const char *ident, viommuLogTarget target)
{
    logState.ident = ident;
    logState.target = target;
    logState.journal = g_getenv("JOURNAL_STREAM") != NULL;
    if (target == VIOMMU_LOG_SYSLOG)
        openlog(ident, LOG_PID, LOG_DAEMON);
}

void
viommuLog(int level, const char *format, ...)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (logState.target == VIOMMU_LOG_SYSLOG) {
        virTextAppendClean(line, text);
        syslog(level, "%s", line->str);
        return;
    }
    if (logState.journal)
        g_string_append_printf(line, "<%d>", level);
    else
        g_string_append_printf(line, "%s[%d]: ", logState.ident, (int)getpid());
    virTextAppendClean(line, text);
    g_string_append_c(line, '\n');
    /* One call per line, so that lines of several processes do not mix. */
    fputs(line->str, stderr);
}
