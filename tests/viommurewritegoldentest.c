/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every golden case through the rewriter: alone, and in a snapshot. What 'viommu expand' writes and refuses, a
 * client of libvirt gets, too.
 */
#include "hosttestutils.h"
#include "rewritetestutils.h"

#include <stdio.h>
#include <string.h>

/* Cases that end otherwise than the command: the words of the refusal, or NULL for those that pass. */
static const struct {
    const char *name;
    const char *words;
} others[] = {
    /* It asks for nothing, and libvirt says so itself. */
    { "not-a-domain.one-smmu", NULL },
    /* The command reads a file, the service asks. */
    { "network-unknown.one-smmu",
      "viommu: the network 'elsewhere' may hand out host devices, and libvirt does not give it (see 'virsh net-dumpxml'): not here" },
    { "network-names-none.one-smmu",
      "viommu: the network 'none' may hand out host devices, and libvirt does not give it (see 'virsh net-dumpxml'): line 3: network 'none' forwards to host devices but names none; give it <pf dev=/> or <address type='pci' .../>" },
    { "network-other-document.one-smmu",
      "viommu: the network 'none' may hand out host devices, and libvirt does not give it (see 'virsh net-dumpxml'): line 1: the document is not a <network> with a <name>; give the output of virsh net-dumpxml" },
};

/* CASE.opts and CASE.network.xml */
static testWorld
readWorld(const char *input, const char *host, char **ret_network)
{
    g_autofree char *optsName = g_strconcat(input, ".opts", NULL);
    g_autofree char *networkName = g_strconcat(input, ".network.xml", NULL);
    g_autofree char *opts = testGoldenRead(optsName);
    g_auto(GStrv) lines = g_strsplit(opts ? g_strchomp(opts) : "", "\n", -1);
    testWorld world = testWorldOf(host);
    size_t i;

    for (i = 0; lines[i]; i++) {
        unsigned major, minor;

        if (g_str_has_prefix(lines[i], "policy "))
            g_assert_true(viommuPolicyParse(lines[i] + strlen("policy "), &world.policy));
        else if (sscanf(lines[i], "qemu %u.%u", &major, &minor) == 2)
            world.qemu = 1000000 * major + 1000 * minor;
        else if (sscanf(lines[i], "libvirt %u.%u", &major, &minor) == 2)
            world.libvirt = 1000000 * major + 1000 * minor;
        else
            g_error("%s: '%s'", optsName, lines[i]);
    }
    world.network = *ret_network = testGoldenRead(networkName);
    return world;
}

static bool
isFinding(const char *line, const char *severity)
{
    g_autofree char *pattern = g_strdup_printf("^%s: line [0-9]+: [A-Z][0-9][0-9]: ", severity);

    return g_regex_match_simple(pattern, line, 0, 0);
}

/* The words of the service for the lines of the command: errors alone, in one line, and not of @file. */
static char *
wordsOf(const char *err, const char *file)
{
    g_auto(GStrv) lines = g_strsplit(err, "\n", -1);
    g_autofree char *prefix = g_strconcat("error: ", file, ": ", NULL);
    GString *out = g_string_new(NULL);
    bool open = false;
    size_t i;

    for (i = 0; lines[i] && *lines[i]; i++) {
        if (isFinding(lines[i], "warning") || isFinding(lines[i], "note")) {
            open = false;
        } else if (g_str_has_prefix(lines[i], "error: ")) {
            size_t skip = g_str_has_prefix(lines[i], prefix) ? strlen(prefix) : strlen("error: ");

            g_string_append_printf(out, "%s%s", out->len ? "; also " : "viommu: ", lines[i] + skip);
            open = true;
        } else if (open && g_str_has_prefix(lines[i], "    fix: ")) {
            g_string_append_printf(out, "; to fix it, %s", lines[i] + strlen("    fix: "));
        } else if (open) {
            g_string_append_printf(out, " (%s)", lines[i] + strlen("    "));
        }
    }
    return g_string_free(out, FALSE);
}

/* A snapshot of two domains: @domain as it was, and as it will be. NULL if @domain is not an element alone. */
static char *
makeSnapshot(const char *domain)
{
    g_autofree char *chomped = g_strchomp(g_strdup(domain));
    g_autofree char *middle = NULL;

    if (!g_str_has_prefix(chomped, "<domain") || !g_str_has_suffix(chomped, "</domain>"))
        return NULL;
    middle = g_strndup(chomped + strlen("<domain"), strlen(chomped) - strlen("<domain" "domain>"));
    return g_strdup_printf("<?xml version='1.0'?>\n<domainsnapshot>\n  <name>s</name>\n  <domain%sdomain\n>\n"
                           "  <!-- <domain/> -->\n<inactiveDomain%sinactiveDomain><parent/>\n"
                           "</domainsnapshot><!-- end -->\n", middle, middle);
}

static void
checkReplaced(const testWorld *world, const char *input, const char *expected)
{
    g_autofree char *snapshot = makeSnapshot(input);
    g_autofree char *newSnapshot = makeSnapshot(expected);

    if (strcmp(input, expected) == 0)
        testPasses(world, VIOMMU_REWRITE_DOMAIN, 0, input, NULL);
    else
        testReplaces(world, VIOMMU_REWRITE_DOMAIN, 0, input, expected);
    /* What is expanded stays. */
    testPasses(world, VIOMMU_REWRITE_DOMAIN, 0, expected, NULL);
    if (!snapshot || !newSnapshot)
        return;
    if (strcmp(input, expected) == 0)
        testPasses(world, VIOMMU_REWRITE_EMBEDDED, 0, snapshot, NULL);
    else
        testReplaces(world, VIOMMU_REWRITE_EMBEDDED, 0, snapshot, newSnapshot);
    testPasses(world, VIOMMU_REWRITE_EMBEDDED, 0, newSnapshot, NULL);
}

static void
checkRefused(const testWorld *world, const char *name, const char *file, const char *input, const char *err)
{
    g_autofree char *words = wordsOf(err, file);
    const char *expected = words;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(others); i++) {
        if (strcmp(others[i].name, name) == 0)
            expected = others[i].words;
    }
    if (expected)
        testRefuses(world, VIOMMU_REWRITE_DOMAIN, 0, input, expected);
    else
        testPasses(world, VIOMMU_REWRITE_DOMAIN, 0, input, NULL);
}

/* @data: "CASE.HOST" */
static void
testCase(const void *data)
{
    const char *name = data;
    g_autofree char *input = g_strndup(name, strcspn(name, "."));
    g_autofree char *file = g_strconcat(input, ".xml", NULL);
    g_autofree char *expectedFile = g_strconcat(name, ".xml", NULL);
    g_autofree char *errFile = g_strconcat(name, ".err", NULL);
    g_autofree char *text = testGoldenRead(file);
    g_autofree char *expected = testGoldenRead(expectedFile);
    g_autofree char *err = testGoldenRead(errFile);
    g_autofree char *network = NULL;
    testWorld world = readWorld(input, strchr(name, '.') + 1, &network);

    g_assert_nonnull(text);
    if (expected)
        checkReplaced(&world, text, expected);
    else
        checkRefused(&world, name, file, text, err);
}

static int
compareNames(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "CASE.HOST" of each expectation */
static GPtrArray *
listCases(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "qemuxml2argvdata", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    GPtrArray *cases = g_ptr_array_new_with_free_func(g_free);
    const char *file;

    g_assert_no_error(error);
    while ((file = g_dir_read_name(dir))) {
        g_auto(GStrv) parts = g_strsplit(file, ".", -1);

        if (g_strv_length(parts) == 3 && strcmp(parts[1], "network") != 0 &&
            (strcmp(parts[2], "xml") == 0 || strcmp(parts[2], "err") == 0))
            g_ptr_array_add(cases, g_strdup_printf("%s.%s", parts[0], parts[1]));
    }
    g_ptr_array_sort(cases, compareNames);
    return cases;
}

int
main(int argc, char **argv)
{
    g_autofree char **args = testKeepGoing(&argc, argv);
    g_autoptr(GPtrArray) cases = NULL;
    size_t i;

    g_test_init(&argc, &args, NULL);
    g_test_set_nonfatal_assertions();
    cases = listCases();
    for (i = 0; i < cases->len; i++) {
        g_autofree char *path = g_strconcat("/rewrite/golden/", g_ptr_array_index(cases, i), NULL);

        g_test_add_data_func(path, g_ptr_array_index(cases, i), testCase);
    }
    return g_test_run();
}
