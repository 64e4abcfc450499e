/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words that are near to others.
 */
#include "virtext.h"

#include <glib.h>

static void
testSimilar(void)
{
    static const char *const known[] = { "nested", "sparePorts", "ats", "oas", "plan", NULL };
    static const struct {
        const char *word;
        const char *similar; /* NULL: none */
    } cases[] = {
        { "nested", "nested" },         { "Nes_ted", "nested" },  { "nestd", "nested" },
        { "netsed", "nested" },         { "nsted", "nested" },    { "nesteds", "nested" },
        { "neted", "nested" },          { "nesting", NULL },      { "spareport", "sparePorts" },
        { "spare-ports", "sparePorts" }, { "sparPort", "sparePorts" }, { "at", "ats" },
        { "as", "ats" },                { "bats", "ats" },        { "cat", NULL },
        { "a", NULL },                  { "", NULL },             { "pln", "plan" },
        { "plant", "plan" },            { "pl", NULL },           { "xplanx", NULL },
        { "spareprs", "sparePorts" },   { "spareps", NULL },
        { "nestednestednestednestednestednested", NULL },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpstr(virTextSimilar(cases[i].word, known), ==, cases[i].similar);
    g_assert_null(virTextSimilar("nested", known + G_N_ELEMENTS(known) - 1));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtext/similar", testSimilar);
    return g_test_run();
}
