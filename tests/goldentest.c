/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Golden cases, as data in qemuxml2argvdata/:
 *
 *     CASE.xml              a domain
 *     CASE.HOST.xml         what `viommu expand` makes of it on hosts/HOST.sysfs, and beside it
 *     CASE.HOST.args        what `viommu argv --format json` prints (no file: nothing)
 *     CASE.HOST.viommu.xml  optional: `viommu expand --dialect viommu`
 *     CASE.HOST.DIALECT.args  optional: `viommu argv --format json --dialect DIALECT`, of a patched QEMU,
 *     CASE.HOST.DIALECT.err   or how that refuses the placement
 *     CASE.HOST.err         or, alone: how it is refused, as on standard error
 *     CASE.network.xml      optional: the --network of the case
 *     CASE.opts             optional: options, lines such as "qemu 11.0"
 *
 * Files are found, not listed; one that belongs to no case fails, as does a host that no case uses.
 * Every expansion is also checked for what holds for all: see holdsAlways().
 *
 * VIOMMU_TEST_REGENERATE=1 rewrites what differs, and fails.
 */
#include "goldencase.h"
#include "goldencut.h"

#include <glib/gstdio.h>
#include <string.h>

/* A run for every order in which a host is read. */
static const guint32 seeds[] = { 1, 2020 };

/* Reports the first line in which two texts differ; NULL is no text. Returns true if they are
 * equal. */
static bool
same(const char *what, const char *expected, const char *actual)
{
    g_auto(GStrv) want = g_strsplit(expected ? expected : "(nothing)", "\n", -1);
    g_auto(GStrv) have = g_strsplit(actual ? actual : "(nothing)", "\n", -1);
    size_t i = 0;

    if (g_strcmp0(expected, actual) == 0)
        return true;
    while (want[i] && have[i] && strcmp(want[i], have[i]) == 0)
        i++;
    g_test_fail_printf("%s: line %zu: expected '%s', got '%s'", what, i + 1,
                       want[i] ? want[i] : "(end)", have[i] ? have[i] : "(end)");
    return false;
}

static void
compare(const goldenCase *item, const char *suffix, const char *actual)
{
    g_autofree char *expected = goldenRead(item, suffix);
    g_autofree char *what = g_strconcat(item->name, suffix, NULL);

    if (same(what, expected, actual) || !g_getenv("VIOMMU_TEST_REGENERATE"))
        return;
    goldenWrite(item, suffix, actual);
    g_test_message("%s was rewritten", what);
}

/* Of a QEMU's dialect there is one file or none: arguments, or why there are none. */
static void
compareDialect(const goldenCase *item, const goldenResult *result, qemuViommuDialect dialect)
{
    const char *name = qemuViommuDialectName(dialect);
    g_autofree char *args = g_strdup_printf(".%s.args", name);
    g_autofree char *err = g_strdup_printf(".%s.err", name);
    g_autofree char *hasArgs = goldenRead(item, args);
    g_autofree char *hasErr = goldenRead(item, err);
    g_autofree char *refusal = NULL;
    g_autofree char *text = NULL;

    if (!hasArgs && !hasErr)
        return;
    text = result->err ? NULL : goldenDialect(result, dialect, &refusal);
    compare(item, args, text);
    compare(item, err, refusal);
}

/* Whether a dialect is expected is for the file to say. */
static void
compareAll(const goldenCase *item, const goldenResult *result)
{
    g_autofree char *dialect = goldenRead(item, ".viommu.xml");
    qemuViommuDialect i;

    compare(item, ".err", result->err);
    compare(item, ".xml", result->err ? NULL : result->native);
    compare(item, ".args", result->err ? NULL : result->args);
    if (dialect)
        compare(item, ".viommu.xml", result->err ? NULL : result->viommu);
    for (i = QEMU_VIOMMU_DIALECT_RFC_V3; i <= QEMU_VIOMMU_DIALECT_RFC_MACHINE; i++)
        compareDialect(item, result, i);
}

static char *
writeTemporary(const char *text)
{
    g_autoptr(GError) error = NULL;
    char *name = NULL;
    int fd = g_file_open_tmp("viommu-golden-XXXXXX", &name, &error);

    g_assert_no_error(error);
    g_close(fd, &error);
    g_assert_no_error(error);
    g_file_set_contents_full(name, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error);
    g_assert_no_error(error);
    return name;
}

/* The same case, with another text for its domain. */
static goldenResult *
runText(const goldenCase *item, const char *text)
{
    g_autofree char *file = writeTemporary(text);
    goldenResult *result = goldenRun(item, file, NULL);

    g_unlink(file);
    return result;
}

/* The lines of @manifest in another order. */
static char *
shuffle(const char *manifest, guint32 seed)
{
    g_auto(GStrv) lines = g_strsplit(manifest, "\n", -1);
    GRand *random = g_rand_new_with_seed(seed);
    guint i;

    for (i = g_strv_length(lines); i > 1; i--) {
        size_t other = (size_t)g_rand_int_range(random, 0, (gint32)i);
        char *line = lines[i - 1];

        lines[i - 1] = lines[other];
        lines[other] = line;
    }
    g_rand_free(random);
    return g_strjoinv("\n", lines);
}

/* P12: the host's order is no input. */
static void
holdsForShuffledHosts(const goldenCase *item, const goldenResult *result)
{
    g_autofree char *manifest = NULL;
    g_autoptr(GError) error = NULL;
    size_t i;

    g_file_get_contents(result->host, &manifest, NULL, &error);
    g_assert_no_error(error);
    for (i = 0; i < G_N_ELEMENTS(seeds); i++) {
        g_autofree char *shuffled = shuffle(manifest, seeds[i]);
        g_autofree char *file = writeTemporary(shuffled);
        g_autoptr(goldenResult) again = goldenRun(item, NULL, file);

        g_unlink(file);
        same("on a shuffled host, refusal", result->err, again->err);
        same("on a shuffled host, expansion", result->native, again->native);
        same("on a shuffled host, arguments", result->args, again->args);
    }
}

/* P12: an expanded domain stays as it is, and means the same. */
static void
holdsForExpanded(const goldenCase *item, const goldenResult *result)
{
    g_autoptr(goldenResult) again = runText(item, result->native);

    if (!same("expanded again, refusal", NULL, again->err))
        return;
    same("expanded again", result->native, again->native);
    /* An older libvirt gets aliases for the vSMMUs, which are names of QEMU. */
    if (!result->opts.libvirtVersion || result->opts.libvirtVersion >= VIOMMU_LIBVIRT_NATIVE)
        same("expanded again, arguments", result->args, again->args);
}

/* Our own dialect is the same plan in other words. */
static void
holdsForDialect(const goldenCase *item, const goldenResult *result)
{
    g_autoptr(goldenResult) again = runText(item, result->viommu);

    if (!same("viommu dialect, refusal", NULL, again->err))
        return;
    same("viommu dialect, arguments", result->args, again->args);
    /* A withdrawn request is one no more. */
    same("viommu dialect, expanded again", result->viommu,
         again->viommu ? again->viommu : again->native);
}

/* P13: only what the plan owns changes. */
static void
holdsForTheRest(const goldenResult *result, const char *expanded)
{
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;

    goldenCut(result->input->text, expanded, &before, &after);
    same("what the plan does not own", before, after);
}

/* Older libvirts: what lacks words at first, and what got them one by one. A device's <driver iommufd=> of 12.1 stays
 * when <iommufd> comes. */
static const unsigned libvirts[] = { 8002, 11003, 11010, 12001, 12006 };

/* P13 but for white space: where elements went it may stay. */
static void
holdsForTheWords(const goldenResult *result, const char *expanded)
{
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_auto(GStrv) had = NULL;
    g_auto(GStrv) has = NULL;
    g_autofree char *hadText = NULL;
    g_autofree char *hasText = NULL;

    goldenCut(result->input->text, expanded, &before, &after);
    had = g_strsplit_set(before, " \t\r\n", -1);
    has = g_strsplit_set(after, " \t\r\n", -1);
    hadText = g_strjoinv("", had);
    hasText = g_strjoinv("", has);
    same("what the plan does not own", hadText, hasText);
}

/* The plan in the words of @libvirt, from any text that was made of it; NULL: it cannot be said. */
static char *
sayFor(const goldenResult *result, unsigned libvirt)
{
    size_t len;

    return result->err ? NULL
                       : viommuExpandFor(result->input->dom, result->placement->plan, libvirt, &len, NULL);
}

/* From one to another, and there again. With iommufd in whatever words it has, if the plan has vSMMUs with accel. */
static void
holdsForChange(const goldenCase *item, const char *text, unsigned libvirt)
{
    g_autoptr(goldenResult) from = runText(item, text);
    g_autofree char *once = sayFor(from, libvirt);
    g_autoptr(goldenResult) to = once ? runText(item, once) : NULL;
    g_autofree char *twice = to ? sayFor(to, libvirt) : NULL;

    if (!to || to->err || !to->placement)
        return;
    same("another libvirt, expanded again", once, twice);
    /* Where each device says it (12.1), it takes a device. */
    if (to->placement->plan->accel && to->placement->plan->vsmmus->len && strstr(once, "<hostdev") &&
        !strstr(once, "iommufd"))
        g_test_fail_printf("another libvirt: there is no iommufd for %u", libvirt);
}

static unsigned
countOf(const char *text, const char *words)
{
    unsigned count = 0;

    for (; (text = strstr(text, words)); text++)
        count++;
    return count;
}

static void
holdsForLibvirt(const goldenCase *item, const goldenResult *result, unsigned libvirt)
{
    g_autofree char *text = sayFor(result, libvirt);
    g_autoptr(goldenResult) back = NULL;
    g_autofree char *again = NULL;
    g_autofree char *native = NULL;
    g_autofree char *atOnce = NULL;
    g_autoptr(goldenResult) newest = NULL;
    size_t i;

    if (!text)
        return;
    holdsForTheWords(result, text);
    back = runText(item, text);
    if (!same("older libvirt, refusal", NULL, back->err) || !back->placement)
        return;
    again = sayFor(back, libvirt);
    same("older libvirt, expanded again", text, again);
    for (i = 0; i < G_N_ELEMENTS(libvirts); i++)
        holdsForChange(item, text, libvirts[i]);
    /* Updated: nothing of it is left, but an alias for which the user has set something. */
    native = sayFor(back, VIOMMU_LIBVIRT_NATIVE);
    atOnce = sayFor(result, VIOMMU_LIBVIRT_NATIVE);
    g_assert_true(!strstr(native, "ua-viommu-") || strstr(atOnce, "ua-viommu-"));
    g_assert_null(strstr(native, "id=viommu."));
    g_assert_cmpuint(countOf(native, "iommufd='yes'"), ==, countOf(atOnce, "iommufd='yes'"));
    newest = runText(item, native);
    if (!same("updated libvirt, refusal", NULL, newest->err))
        return;
    g_free(again);
    again = sayFor(newest, VIOMMU_LIBVIRT_NATIVE);
    same("updated libvirt, expanded again", native, again);
    if (libvirt >= 11010)
        same("updated libvirt, arguments", result->args, newest->args);
}

/* Planner and checker agree: what one makes, the other takes; what one refuses was not made. */
static void
holdsForChecker(const goldenResult *result)
{
    const viommuPlacement *placement = result->placement;
    size_t i;

    if (!placement || !placement->refused || !placement->plan)
        return;
    for (i = 0; i < placement->findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(placement->findings, i);

        if (finding->severity == VIOMMU_SEVERITY_ERROR)
            g_test_fail_printf("planned, and then refused by the checker: %s: %s", finding->id,
                               finding->text);
    }
}

static void
holdsAlways(const goldenCase *item, const goldenResult *result)
{
    size_t i;

    holdsForChecker(result);
    holdsForShuffledHosts(item, result);
    if (result->err)
        return;
    holdsForExpanded(item, result);
    holdsForTheRest(result, result->native);
    if (!result->viommu)
        return;
    for (i = 0; i < G_N_ELEMENTS(libvirts); i++)
        holdsForLibvirt(item, result, libvirts[i]);
    holdsForDialect(item, result);
    holdsForTheRest(result, result->viommu);
}

static void
testCase(gconstpointer data)
{
    const goldenCase *item = data;
    g_autoptr(goldenResult) result = goldenRun(item, NULL, NULL);

    compareAll(item, result);
    holdsAlways(item, result);
}

/* Puts files with that content, one per name, into a new directory; the array ends with NULL. */
static char *
makeDirectory(const char *parent, const char *name, const char *const *files)
{
    char *path = g_build_filename(parent, name, NULL);
    size_t i;

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    for (i = 0; files[i]; i++) {
        g_autofree char *file = g_build_filename(path, files[i], NULL);

        g_assert_true(g_file_set_contents_full(file, "x", 1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    }
    return path;
}

static void
removeDirectory(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
    }
    g_rmdir(path);
}

/* That files which belong to nothing are found. */
static void
testProblems(void)
{
    static const char *const data[] = { "good.h.xml", "good.xml",   "good.network.xml",
                                        "idle.xml",   "lost.h.err", "lost.opts",
                                        "README",     "both.xml",   "both.h.xml",
                                        "both.h.err", "far.xml",    "far.moon.err",
                                        NULL };
    static const char *const hosts[] = { "h.sysfs", "h.topo", "unused.sysfs", NULL };
    static const char *const expected[] = {
        "README: not the name of a file of a case",
        "idle.xml: no expectation",
        "lost.h.err: no case",
        "lost.opts: no case",
        "both.h: a case has either .err or .xml",
        "far.moon: there is no such host",
        "host unused: no case uses it",
    };
    g_autofree char *home = g_get_current_dir();
    g_autofree char *top = g_dir_make_tmp("viommu-golden-XXXXXX", NULL);
    g_autofree char *dataDir = makeDirectory(top, "data", data);
    g_autofree char *hostDir = makeDirectory(top, "hosts", hosts);
    g_autoptr(GPtrArray) cases = NULL;
    g_autoptr(GPtrArray) problems = NULL;
    size_t i;

    g_assert_cmpint(g_chdir(dataDir), ==, 0);
    cases = goldenCases();
    problems = goldenProblems(cases);
    g_assert_cmpint(g_chdir(home), ==, 0);
    removeDirectory(dataDir);
    removeDirectory(hostDir);
    g_rmdir(top);
    g_assert_cmpuint(problems->len, ==, G_N_ELEMENTS(expected));
    for (i = 0; i < problems->len; i++)
        g_assert_cmpstr(g_ptr_array_index(problems, i), ==, expected[i]);
}

/* That a change of what the plan does not own is found, and a change of its own is none. */
static void
testCut(void)
{
    static const char *const domain =
        "<domain type='kvm'>\n  <name>a</name>\n  <devices><!-- b -->\n    <disk type='file'>\n"
        "      <address type='pci' bus='0x01'/>\n    </disk>\n    <rng model='virtio'/>\n"
        "    <hostdev type='pci'/>\n    <iommu model='smmuv3' nested='yes'/>\n  </devices>\n</domain>\n";
    static const struct {
        const char *from;
        const char *to;
        bool equal;
    } changes[] = {
        { " nested='yes'/>",
          "/>\n    <iommu model='smmuv3'>\n      <driver pciBus='3'/>\n    </iommu>", true },
        { "<hostdev type='pci'/>",
          "<hostdev type='pci'>\n      <address type='pci' bus='0x05'/>\n    </hostdev>", true },
        { "<rng model='virtio'/>", "<rng model='virtio'>\n      <address type='pci'/>\n    </rng>",
          true },
        { "  <devices>", "  <metadata>\n    <viommu:domain/>\n  </metadata>\n  <devices>", true },
        { "\n  </devices>",
          "\n    <controller type='pci' index='1' model='pcie-root-port'/>\n  </devices>", true },
        { "\n  </devices>", "\n    <rng model='virtio'/>\n  </devices>", false },
        { "bus='0x01'", "bus='0x02'", false },
        { "<name>a", "<name>c", false },
        { "type='file'", "type=\"file\"", false },
        { "<!-- b -->", "", false },
        { "\n    <rng", "\n   <rng", false },
        { "</domain>\n", "</domain>", false },
        { "<rng model='virtio'/>", "", false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_auto(GStrv) parts = g_strsplit(domain, changes[i].from, 2);
        g_autofree char *changed = g_strjoinv(changes[i].to, parts);
        g_autofree char *before = NULL;
        g_autofree char *after = NULL;

        g_assert_nonnull(parts[1]);
        goldenCut(domain, changed, &before, &after);
        if (changes[i].equal)
            g_assert_cmpstr(before, ==, after);
        else
            g_assert_cmpstr(before, !=, after);
    }
}

static void
testFiles(gconstpointer data)
{
    g_autoptr(GPtrArray) problems = goldenProblems(data);
    size_t i;

    for (i = 0; i < problems->len; i++)
        g_test_fail_printf("%s", (const char *)g_ptr_array_index(problems, i));
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) cases = NULL;
    size_t i;

    g_test_init(&argc, &argv, NULL);
    goldenEnter();
    cases = goldenCases();
    g_test_add_func("/golden/problems", testProblems);
    g_test_add_func("/golden/cut", testCut);
    g_test_add_data_func("/golden/files", cases, testFiles);
    for (i = 0; i < cases->len; i++) {
        const goldenCase *item = g_ptr_array_index(cases, i);
        g_autofree char *path = g_strconcat("/golden/", item->name, NULL);

        g_test_add_data_func(path, item, testCase);
    }
    return g_test_run();
}
