/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzz target without libFuzzer: over each file of the given patterns, and over a few inputs
 * made from each (cut short, bytes changed, lines moved), the same ones in every run. Speaks TAP: a
 * test per file.
 */
#include "fuzztarget.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Inputs made from one file; big files get fewer, because each costs more. */
#define VARIANTS_MAX 200
#define VARIANTS_MIN 8
#define VARIANTS_BYTES (512 * 1024)

static uint32_t
nextRandom(uint32_t *state)
{
    /* xorshift32 (G. Marsaglia, 2003) */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static size_t
below(uint32_t *state, size_t limit)
{
    return limit ? nextRandom(state) % limit : 0;
}

/* Exactly as long as the input, so that a read behind its end is seen. */
static void
runInput(const char *data, size_t len)
{
    g_autofree uint8_t *copy = g_memdup2(data, len);

    LLVMFuzzerTestOneInput(copy, len);
}

static void
runVariant(const char *data, size_t len, uint32_t *state)
{
    static const char interesting[] = "\0\n\\/.-=:># 0x<&'\"\xff";
    g_autoptr(GString) variant = g_string_new_len(data, (gssize)len);
    size_t changes = 1 + below(state, 4), at, cut;

    while (changes-- > 0 && variant->len) {
        at = below(state, variant->len);
        switch (below(state, 4)) {
        case 0:
            g_string_truncate(variant, at);
            break;
        case 1:
            variant->str[at] = interesting[below(state, sizeof(interesting) - 1)];
            break;
        case 2:
            cut = 1 + below(state, 64);
            g_string_erase(variant, (gssize)at, (gssize)MIN(cut, variant->len - at));
            break;
        default:
            cut = below(state, MIN(variant->len - at, 256));
            {
                g_autofree char *piece = g_memdup2(variant->str + at, cut);

                g_string_insert_len(variant, (gssize)below(state, variant->len), piece ? piece : "",
                                    (gssize)cut);
            }
            break;
        }
    }
    runInput(variant->str, variant->len);
}

static bool
runFile(const char *path)
{
    g_autofree char *data = NULL;
    gsize len = 0;
    uint32_t state = 0x9e3779b9;
    size_t variants, i;

    if (!g_file_get_contents(path, &data, &len, NULL))
        return false;
    runInput(data, len);
    variants = CLAMP(VARIANTS_BYTES / (len + 1), VARIANTS_MIN, VARIANTS_MAX);
    for (i = 0; i < variants; i++)
        runVariant(data, len, &state);
    return true;
}

static int
compareNames(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds the paths of the files that match @pattern, "DIRECTORY/GLOB". */
static void
listFiles(GPtrArray *files, const char *pattern)
{
    g_autofree char *directory = g_path_get_dirname(pattern);
    g_autofree char *glob = g_path_get_basename(pattern);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        if (g_pattern_match_simple(glob, name) && g_file_test(path, G_FILE_TEST_IS_REGULAR))
            g_ptr_array_add(files, g_steal_pointer(&path));
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    int failed = 0, i;

    for (i = 1; i < argc; i++)
        listFiles(files, argv[i]);
    g_ptr_array_sort(files, compareNames);
    printf("1..%u\n", files->len);
    for (i = 0; i < (int)files->len; i++) {
        const char *path = g_ptr_array_index(files, i);
        g_autofree char *name = g_path_get_basename(path);
        bool good;

        fflush(stdout); /* so that a crash is the next file's */
        good = runFile(path);
        failed += !good;
        printf("%s %d %s\n", good ? "ok" : "not ok", i + 1, name);
    }
    if (!files->len)
        printf("Bail out! no inputs\n");
    return failed || !files->len;
}
