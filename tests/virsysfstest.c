/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both ways to read a host, a manifest and a directory, and everything that a manifest may not say.
 */
#include "hosttestutils.h"
#include "viommuerror.h"
#include "virsysfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char small[] = "# a comment\n"
                            "\n"
                            "sys/empty\n"
                            "sys/a/text = hello\n"
                            "sys/a/lines = one\\ntwo\\\\\\ttab\\x41\\101\n"
                            "sys/a/nothing =\n"
                            "sys/a/space = \n"
                            "sys/a/inner =  x = y \\x20\n"
                            "sys/a/binary : AAEC/w==\n"
                            "sys/a/none :\n"
                            "sys/b/up -> ../a\n"
                            "sys/b/file -> up/text\n"
                            "sys/b/dangling -> ../nowhere\n"
                            "sys/b/self -> .\n"
                            "sys/b/far -> ../../sys/./b/up/../b/file\n"
                            "sys/odd\\x20name/x = 1\r\n"
                            "sys/after -> b/late\n"
                            "sys/b/late -> file";

static void
checkText(virSysfs *fs, const char *path, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = virSysfsReadText(fs, path, &error);

    g_test_message("%s", path);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, expected);
}

static void
checkList(virSysfs *fs, const char *path, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) names = virSysfsList(fs, path, &error);
    g_autofree char *joined = names ? g_strjoinv(" ", names) : NULL;

    g_test_message("%s", path);
    g_assert_no_error(error);
    g_assert_cmpstr(joined, ==, expected);
}

static void
checkTexts(virSysfs *fs)
{
    checkText(fs, "sys/a/text", "hello");
    checkText(fs, "sys/a/lines", "one\ntwo\\\ttabAA");
    checkText(fs, "sys/a/nothing", "");
    checkText(fs, "sys/a/space", "");
    checkText(fs, "sys/a/inner", " x = y  ");
    checkText(fs, "sys/a/none", "");
    checkText(fs, "sys/odd name/x", "1");
    checkText(fs, "sys/b/file", "hello");
    checkText(fs, "sys/b/far", "hello");
    checkText(fs, "sys/after", "hello");
    checkText(fs, "sys/b/self/self/self/up/text", "hello");
    checkText(fs, "sys/b/up/../a//./text", "hello");
    checkText(fs, "sys/a", NULL);
    checkText(fs, "sys/b/dangling", NULL);
    checkText(fs, "sys/b/dangling/x", NULL);
    checkText(fs, "sys/a/text/x", NULL);
    checkText(fs, "sys/nowhere", NULL);
    checkText(fs, "sys/nowhere/../a/text", NULL);
    checkText(fs, "", NULL);
    checkText(fs, "/sys/a/text", NULL);
}

static void
checkRest(virSysfs *fs)
{
    static const uint8_t bytes[] = { 0, 1, 2, 0xff };
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *all = NULL;
    g_autofree uint8_t *head = NULL;
    g_autofree uint8_t *text = NULL;
    g_autofree char *link = virSysfsReadLink(fs, "sys/b/self/far");
    g_autofree char *name = virSysfsReadLinkName(fs, "sys/b/far");
    g_autofree char *plain = virSysfsReadLinkName(fs, "sys/b/late");
    size_t len = 0;

    checkList(fs, "sys", "a after b empty odd name");
    checkList(fs, "sys/b/up", "binary inner lines none nothing space text");
    checkList(fs, "sys/empty", "");
    checkList(fs, "sys/a/text", NULL);
    checkList(fs, "sys/nowhere", NULL);

    all = virSysfsReadBytes(fs, "sys/a/binary", &len, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(all, len, bytes, sizeof(bytes));
    head = virSysfsReadHead(fs, "sys/b/up/binary", 3, &len, &error);
    g_assert_cmpmem(head, len, bytes, 3);
    text = virSysfsReadBytes(fs, "sys/a/text", &len, &error);
    g_assert_cmpmem(text, len, "hello\n", 6);

    g_assert_cmpstr(link, ==, "../../sys/./b/up/../b/file");
    g_assert_cmpstr(name, ==, "file");
    g_assert_cmpstr(plain, ==, "file");
    g_assert_null(virSysfsReadLink(fs, "sys/a/text"));
    g_assert_null(virSysfsReadLink(fs, "sys/nowhere"));
    g_assert_null(virSysfsReadLinkName(fs, "sys/b"));

    g_assert_true(virSysfsExists(fs, "sys/b/far"));
    g_assert_true(virSysfsExists(fs, "sys/empty"));
    g_assert_false(virSysfsExists(fs, "sys/b/dangling"));
    g_assert_false(virSysfsExists(fs, "sys/a/text/.."));
    g_assert_true(virSysfsIsRecorded(fs));

    g_assert_null(virSysfsReadText(fs, "sys/a/binary", &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==,
                    "host file 'sys/a/binary' holds binary data where text is expected");
}

static void
testManifest(void)
{
    g_autoptr(virSysfs) fs = testHostParse(small);

    checkTexts(fs);
    checkRest(fs);
}

/* The kernel resolves the same links in the same way. */
static void
testRoot(void)
{
    g_autoptr(virSysfs) manifest = testHostParse(small);
    g_autofree char *directory = testHostUnpack(manifest);
    g_autoptr(GError) error = NULL;
    g_autoptr(virSysfs) fs = virSysfsOpenRoot(directory, &error);

    g_assert_no_error(error);
    checkTexts(fs);
    checkRest(fs);
    testHostRemove(directory);
}

static void
testThisHost(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSysfs) fs = virSysfsOpenRoot("/", &error);

    g_assert_no_error(error);
    g_assert_false(virSysfsIsRecorded(fs));
    if (virSysfsExists(fs, "proc/self/smaps")) {
        /* Several pages of whole lines, so that the first read is short and not the end. */
        g_autofree char *text = virSysfsReadText(fs, "proc/self/smaps", &error);

        g_assert_no_error(error);
        g_assert_nonnull(strstr(text, "[stack]"));
    }
    g_assert_null(virSysfsOpenRoot("/proc/self/no-such-directory", &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(
        error->message, ==,
        "cannot open host directory '/proc/self/no-such-directory': No such file or directory");
}

/* What a directory can hold and a manifest cannot. */
static void
testRootOdd(void)
{
    g_autoptr(virSysfs) manifest = testHostParse("sys/big = 1\n");
    g_autofree char *directory = testHostUnpack(manifest);
    g_autofree char *big = g_strconcat(directory, "/sys/big", NULL);
    g_autofree char *fifo = g_strconcat(directory, "/sys/fifo", NULL);
    g_autofree char *loop = g_strconcat(directory, "/sys/loop", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(virSysfs) fs = virSysfsOpenRoot(directory, &error);
    g_autofree uint8_t *whole = NULL;
    size_t len = 0;

    g_assert_no_error(error);
    g_assert_cmpint(truncate(big, VIR_SYSFS_FILE_MAX), ==, 0);
    whole = virSysfsReadBytes(fs, "sys/big", &len, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(len, ==, VIR_SYSFS_FILE_MAX);
    g_assert_cmpint(truncate(big, VIR_SYSFS_FILE_MAX + 1), ==, 0);
    g_assert_null(virSysfsReadBytes(fs, "sys/big", &len, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, "host file 'sys/big' is larger than 1048576 bytes");

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    checkText(fs, "sys/fifo", "");
    g_assert_cmpint(symlink("loop", loop), ==, 0);
    checkText(fs, "sys/loop", NULL);
    g_assert_false(virSysfsExists(fs, "sys/loop"));
    testHostRemove(directory);
    checkText(fs, "sys/big", NULL);
    checkList(fs, "sys", NULL);
}

#define NO_ESCAPE                                                                                  \
    "a backslash is followed by no known escape: there are \\n \\t \\\\ \\xHH and C's others, "    \
    "none for NUL"
#define NO_BASE64 "what follows ':' is not base64, or was cut off: it comes in fours of digits"
#define NO_PATH                                                                                    \
    "not a path below the root of the host: write it like 'sys/class/iommu', without '.', '..' "   \
    "and double slashes"
#define NO_LINE                                                                                    \
    "not a line of a recorded host: it takes the form 'path', 'path = text', 'path -> target' or " \
    "'path : base64'"
#define NO_NAME "the path holds control characters, or is not UTF-8"
#define NO_ROOT "leads out of the root of the host: too many '..'"
#define NO_END "leads in a circle or through more than 40 links"

static const struct {
    const char *manifest;
    const char *message;
} refused[] = {
    /* targets */
    { "a/b -> /etc/passwd\n",
      "line 1: link 'b' has an absolute target: write it relative to the link's directory" },
    { "a\na/b -> ../..\n", "line 2: link 'b' " NO_ROOT },
    { "b -> ..\n", "line 1: link 'b' " NO_ROOT },
    { "c\na/b -> ../c/../../d/e\n", "line 2: link 'b' " NO_ROOT },
    { "a/b/c/up -> ../../..\nz -> a/b/c/up/../sys\n", "line 2: link 'z' " NO_ROOT },
    { "a -> b\nb -> ..\n", "line 1: link 'a' " NO_ROOT },
    { "a/b ->\n", "line 1: link 'b' has no target that a link can have" },
    { "a/b -> \n", "line 1: link 'b' has no target that a link can have" },
    /* circles */
    { "a -> a\n", "line 1: link 'a' " NO_END },
    { "x\na -> b\nb -> a\n", "line 2: link 'a' " NO_END },
    { "d/a -> ../d/b/x\nd/b -> ./a\n", "line 1: link 'a' " NO_END },
    { "a/b -> ../a/b/c\n", "line 1: link 'b' " NO_END },
    /* paths */
    { "a = 1\nb = 2\na = 1\n", "line 3: path 'a' was already given in line 1" },
    { "a\na\n", "line 2: path 'a' was already given in line 1" },
    { "a -> b\na -> b\n", "line 2: path 'a' was already given in line 1" },
    { "a = 1\na -> b\n", "line 2: path 'a' was already given in line 1" },
    { "a/b = 1\na = 2\n",
      "line 2: path 'a' is a directory, because earlier lines name paths below it" },
    { "a = 1\n# c\na/b = 2\n", "line 3: 'a' of line 1 is a file, so that nothing can be below it" },
    { "x/a -> b\nx/a/b = 2\n", "line 2: 'a' of line 1 is a link, so that nothing can be below it" },
    { "/sys/a = 1\n", "line 1: " NO_PATH },
    { "sys/../a = 1\n", "line 1: " NO_PATH },
    { "./a = 1\n", "line 1: " NO_PATH },
    { ".. = 1\n", "line 1: " NO_PATH },
    { "a//b = 1\n", "line 1: " NO_PATH },
    { "a/ = 1\n", "line 1: " NO_PATH },
    { "a/\n", "line 1: " NO_PATH },
    /* lines */
    { " = 1\n", "line 1: " NO_PATH },
    { "a b\n", "line 1: " NO_LINE },
    { "a  = b\n", "line 1: " NO_LINE },
    { "a => b\n", "line 1: " NO_LINE },
    { "a =b\n", "line 1: " NO_LINE },
    { "a = 1\n \n", "line 2: " NO_LINE },
    { "a\tb = 1\n", "line 1: " NO_NAME },
    { "a\\n = 1\n", "line 1: " NO_NAME },
    { "a\\x1b = 1\n", "line 1: " NO_NAME },
    { "a\\xff = 1\n", "line 1: " NO_NAME },
    { "\xff = 1\n", "line 1: " NO_NAME },
    /* escapes */
    { "a = \\q\n", "line 1: " NO_ESCAPE },
    { "a = x\\\n", "line 1: " NO_ESCAPE },
    { "a = \\x\n", "line 1: " NO_ESCAPE },
    { "a = \\x1\n", "line 1: " NO_ESCAPE },
    { "a = \\x1g\n", "line 1: " NO_ESCAPE },
    { "a = \\x00\n", "line 1: " NO_ESCAPE },
    { "a = \\000\n", "line 1: " NO_ESCAPE },
    { "a = \\0\n", "line 1: " NO_ESCAPE },
    { "a = \\18\n", "line 1: " NO_ESCAPE },
    { "a = \\777\n", "line 1: " NO_ESCAPE },
    { "a\\ = 1\n", "line 1: " NO_ESCAPE },
    { "a -> b\\z\n", "line 1: " NO_ESCAPE },
    /* base64 */
    { "a : AAEC/w=\n", "line 1: " NO_BASE64 },
    { "a : AAEC/w\n", "line 1: " NO_BASE64 },
    { "a : A===\n", "line 1: " NO_BASE64 },
    { "a : =AAA\n", "line 1: " NO_BASE64 },
    { "a : AA=A\n", "line 1: " NO_BASE64 },
    { "a : AA A\n", "line 1: " NO_BASE64 },
    { "a : AA\\nA\n", "line 1: " NO_BASE64 },
    { "a : AAAA  \n", "line 1: " NO_BASE64 },
};

static void
checkRefused(const char *manifest, size_t len, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSysfs) fs = virSysfsNewManifest(manifest, len, &error);

    g_assert_null(fs);
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, message);
}

static void
testRefused(void)
{
    static const char nul[] = "a = 1\nb = x\0y\n";
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autofree char *shown = g_strescape(refused[i].manifest, NULL);

        g_test_message("%s", shown);
        checkRefused(refused[i].manifest, strlen(refused[i].manifest), refused[i].message);
    }
    checkRefused(nul, sizeof(nul) - 1,
                 "line 2: holds a NUL byte: write binary content as 'path : base64'");
}

static void
testLongNames(void)
{
    g_autofree char *name = g_strnfill(255, 'n');
    g_autofree char *good = g_strconcat("a/", name, " = 1\n", NULL);
    g_autofree char *tooLong = g_strconcat("a/", name, "n = 1\n", NULL);
    g_autoptr(GString) deep = g_string_new("a");
    g_autofree char *path = g_strconcat("a/", name, NULL);
    g_autofree char *pathTooLong = g_strconcat("a/", name, "n", NULL);
    g_autoptr(virSysfs) fs = testHostParse(good);
    g_autofree char *target = NULL;

    checkText(fs, path, "1");
    checkText(fs, pathTooLong, NULL);
    checkRefused(tooLong, strlen(tooLong), "line 1: " NO_PATH);
    while (deep->len <= 4095)
        g_string_append(deep, "/a");
    checkRefused(deep->str, deep->len, "line 1: " NO_PATH);
    target = g_strconcat("l -> ", deep->str, NULL);
    checkRefused(target, strlen(target), "line 1: link 'l' has no target that a link can have");
}

/* @count links, each to the next; the last to a file. */
static char *
chainOfLinks(unsigned count, bool forwards)
{
    GString *out = g_string_new("l0 = end\n");
    unsigned i;

    for (i = 0; i < count; i++) {
        unsigned n = forwards ? i + 1 : count - i;

        g_string_append_printf(out, "l%u -> l%u\n", n, n - 1);
    }
    return g_string_free(out, FALSE);
}

static void
testChains(void)
{
    g_autofree char *good = chainOfLinks(40, true);
    g_autofree char *goodBack = chainOfLinks(40, false);
    g_autofree char *bad = chainOfLinks(41, true);
    g_autofree char *badBack = chainOfLinks(41, false);
    g_autofree char *endless = chainOfLinks(100000, false);
    g_autoptr(virSysfs) fs = testHostParse(good);
    g_autoptr(virSysfs) back = testHostParse(goodBack);

    checkText(fs, "l40", "end");
    checkText(back, "l40", "end");
    checkRefused(bad, strlen(bad), "line 42: link 'l41' " NO_END);
    checkRefused(badBack, strlen(badBack), "line 2: link 'l41' " NO_END);
    checkRefused(endless, strlen(endless), "line 2: link 'l100000' " NO_END);
}

/* Each link goes through the one before twice: 2^n links, if they were counted one by one. */
static void
testBomb(void)
{
    GString *out = g_string_new("d\nl0 -> d\n");
    g_autofree char *bomb = NULL;
    unsigned i;

    for (i = 1; i < 64; i++)
        g_string_append_printf(out, "l%u -> l%u/../l%u\n", i, i - 1, i - 1);
    bomb = g_string_free(out, FALSE);
    checkRefused(bomb, strlen(bomb), "line 7: link 'l5' " NO_END);
}

static void
testLimits(void)
{
    size_t len = VIR_SYSFS_MANIFEST_MAX + 1;
    g_autofree char *big = g_malloc0(len);
    g_autoptr(GString) many = g_string_new(NULL);
    unsigned i;

    checkRefused(big, len, "the recorded host is larger than 67108864 bytes");
    for (i = 0; i <= VIR_SYSFS_ENTRIES_MAX; i++)
        g_string_append_printf(many, "%x\n", i);
    checkRefused(many->str, many->len, "line 1000001: more than 1000000 paths and directories");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sysfs/manifest", testManifest);
    g_test_add_func("/sysfs/root", testRoot);
    g_test_add_func("/sysfs/root/this-host", testThisHost);
    g_test_add_func("/sysfs/root/odd", testRootOdd);
    g_test_add_func("/sysfs/refused", testRefused);
    g_test_add_func("/sysfs/refused/long-names", testLongNames);
    g_test_add_func("/sysfs/refused/chains", testChains);
    g_test_add_func("/sysfs/refused/bomb", testBomb);
    g_test_add_func("/sysfs/refused/limits", testLimits);
    return g_test_run();
}
