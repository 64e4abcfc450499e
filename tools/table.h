/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables as virsh prints them: a header, a line below it, columns as wide as they need be.
 */
#pragma once

#include <glib.h>

typedef struct viommuTable viommuTable;

/* @header: names of the columns, ending with NULL. Free with viommuTableFree. */
viommuTable *viommuTableNew(const char *const *header);
void viommuTableFree(viommuTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuTable, viommuTableFree)

/* Adds a row of as many cells as there are columns; NULL is shown as "-". */
void viommuTableAdd(viommuTable *table, const char *const *cells);

void viommuTablePrint(const viommuTable *table, GString *out);
