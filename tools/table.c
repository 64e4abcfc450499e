/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables.
 */
#include "table.h"

#include "report.h"

#include <string.h>

#define GAP 3

struct viommuTable {
    size_t columns;
    GPtrArray *cells; /* of char *, row by row, the header first */
};

viommuTable *
viommuTableNew(const char *const *header)
{
    viommuTable *table = g_new0(viommuTable, 1);

    table->columns = g_strv_length((char **)header);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    viommuTableAdd(table, header);
    return table;
}

void
viommuTableFree(viommuTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->cells);
    g_free(table);
}

void
viommuTableAdd(viommuTable *table, const char *const *cells)
{
    size_t i;

    for (i = 0; i < table->columns; i++) {
        GString *clean = g_string_new(NULL);

        virTextAppendClean(clean, cells[i] ? cells[i] : "-");
        g_ptr_array_add(table->cells, g_string_free(clean, FALSE));
    }
}

static size_t
width(const char *text)
{
    return g_utf8_validate(text, -1, NULL) ? (size_t)g_utf8_strlen(text, -1) : strlen(text);
}

static void
appendRepeated(GString *out, char c, size_t count)
{
    while (count--)
        g_string_append_c(out, c);
}

void
viommuTablePrint(const viommuTable *table, GString *out)
{
    g_autofree size_t *widths = g_new0(size_t, table->columns);
    size_t i, total = 1;

    for (i = 0; i < table->cells->len; i++) {
        size_t *most = &widths[i % table->columns];

        *most = MAX(*most, width(g_ptr_array_index(table->cells, i)));
    }
    for (i = 0; i < table->columns; i++)
        total += widths[i] + (i ? GAP : 0);
    for (i = 0; i < table->cells->len; i++) {
        const char *cell = g_ptr_array_index(table->cells, i);
        size_t column = i % table->columns;

        appendRepeated(out, ' ', column ? GAP : 1);
        g_string_append(out, cell);
        if (column + 1 < table->columns) {
            appendRepeated(out, ' ', widths[column] - width(cell));
            continue;
        }
        g_string_append_c(out, '\n');
        if (i + 1 == table->columns) {
            appendRepeated(out, '-', total);
            g_string_append_c(out, '\n');
        }
    }
}
