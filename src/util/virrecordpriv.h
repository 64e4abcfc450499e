/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of a manifest as they are gathered. virrecord.c says which paths; this says how each is
 * written. Nothing else includes this.
 */
#pragma once

#include "virsysfs.h"

#include <glib.h>

typedef struct virRecord virRecord;

virRecord *virRecordNew(virSysfs *fs);
void virRecordFree(virRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virRecord, virRecordFree)

/* Each adds the line of what is at @path, and of the links on the way. Without @error, false means
 * that nothing of that kind is there. */
bool virRecordDirectory(virRecord *record, const char *path);
bool virRecordText(virRecord *record, const char *path, GError **error);
/* Of @text, the file at @path, only the lines in which one of @words is; they end with NULL. */
void virRecordLines(virRecord *record, const char *path, const char *text, const char *const *words);
bool virRecordBytes(virRecord *record, const char *path, size_t limit, GError **error);

/* For what must not be opened, such as device nodes: an empty file. */
bool virRecordExistence(virRecord *record, const char *path);

/* With the directory that the link points at. */
bool virRecordLink(virRecord *record, const char *path);

/* All lines, sorted; directories that other lines imply are left out. */
char *virRecordFormat(const virRecord *record);
