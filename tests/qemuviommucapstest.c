/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What follows from the answers of QEMUs: qmpdata/NAME.qmp, and in NAME.caps what was made of it. The first line of
 * each says whose answers these are. And what is no answer.
 *
 * VIOMMU_TEST_REGENERATE=1 rewrites what differs, and fails.
 */
#include "qemu_viommu_caps.h"

#include "viommuerror.h"

#include <glib/gstdio.h>
#include <string.h>

static char *
describe(const qemuViommuCaps *caps)
{
    const char *why;
    const char *name = qemuViommuDialectName(qemuViommuCapsDialect(caps, &why));
    unsigned plan = qemuViommuCapsPlanVersion(caps);
    g_autofree char *properties = qemuViommuCapsDescribe(caps);

    g_assert_true(!name == !!why);
    return g_strdup_printf("version: %u.%u.%u\npackage: %s\ndialect: %s\nplanned as: %u.%u\nproperties: %s\n",
                           caps->major, caps->minor, caps->micro, caps->package ? caps->package : "-",
                           name ? name : why, plan / 1000, plan % 1000, properties);
}

static char *
readFile(const char *path, size_t *ret_len)
{
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, ret_len, &error);
    g_assert_no_error(error);
    return text;
}

static void
testAnswers(gconstpointer data)
{
    const char *path = data;
    g_autofree char *stem = g_strndup(path, strlen(path) - strlen(".qmp"));
    g_autofree char *expectation = g_strconcat(stem, ".caps", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *expected = NULL;
    size_t len;
    g_autofree char *text = readFile(path, &len);
    g_autoptr(qemuViommuCaps) caps = qemuViommuCapsParse(text, len, &error);
    g_autofree char *actual = NULL;

    g_assert_no_error(error);
    actual = describe(caps);
    g_file_get_contents(expectation, &expected, NULL, NULL);
    if (g_strcmp0(expected, actual) == 0)
        return;
    g_test_fail_printf("%s: expected '%s', got '%s'", expectation, expected ? expected : "", actual);
    if (g_getenv("VIOMMU_TEST_REGENERATE"))
        g_file_set_contents(expectation, actual, -1, NULL);
}

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n"
#define VERSION \
    "{\"return\": {\"qemu\": {\"major\": 11, \"minor\": 1, \"micro\": 0}, \"package\": \"\"}, \"id\": \"version\"}\n"
#define LIST(id) "{\"return\": [], \"id\": \"" id "\"}\n"
#define NO_SUCH(id) "{\"id\": \"" id "\", \"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"\"}}\n"
#define LISTS LIST("arm-smmuv3") NO_SUCH("arm-smmuv3-accel") NO_SUCH("arm-smmuv3-nested") LIST("vfio-pci") \
    LIST("virt-machine")
#define WRONG "not the answers of a QEMU: "

static const struct {
    const char *text;
    const char *error; /* NULL: none */
} sessions[] = {
    { GREETING VERSION LISTS, NULL },
    /* Events, answers without id, empty lines, and an answer that comes twice, where the first counts. */
    { "\n" GREETING "{\"return\": {}}\n{\"event\": \"STOP\"}\r\n" VERSION LISTS NO_SUCH("version"), NULL },
    { "", WRONG "QMP's greeting is missing" },
    { VERSION LISTS, WRONG "QMP's greeting is missing" },
    { VERSION GREETING LISTS, WRONG "the answer is missing to 'version'" },
    { GREETING, WRONG "the answer is missing to 'version', 'arm-smmuv3', 'arm-smmuv3-accel', 'arm-smmuv3-nested', "
      "'vfio-pci', 'virt-machine'" },
    { GREETING VERSION "{\"id\": \"arm-smmuv3\"}\n" LISTS, WRONG "the answer is missing to 'arm-smmuv3'" },
    { GREETING VERSION "{\"id\": \"arm-smmuv3\", \"error\": 1}\n" LISTS,
      WRONG "the answer is missing to 'arm-smmuv3'" },
    { GREETING NO_SUCH("version") LISTS, WRONG "the answer is missing to 'version'" },
    { GREETING "{\"return\": {\"qemu\": {\"major\": \"11\"}}, \"id\": \"version\"}\n" LISTS,
      WRONG "the answer to 'version' has no version" },
    { GREETING "{\"return\": {\"qemu\": {\"major\": 11, \"minor\": -1, \"micro\": 0}}, \"id\": \"version\"}\n" LISTS,
      WRONG "the answer to 'version' has no version" },
    { GREETING "{\"return\": {\"qemu\": {\"major\": 1000, \"minor\": 1, \"micro\": 0}}, \"id\": \"version\"}\n" LISTS,
      WRONG "the answer to 'version' has no version" },
    { GREETING "{\"return\": [], \"id\": \"version\"}\n" LISTS, WRONG "the answer to 'version' has no version" },
    { GREETING "qemu-system-aarch64: error\n", WRONG "line 2 is no JSON object" },
    { "[1]\n", WRONG "line 1 is no JSON object" },
    { "{\"QMP\": \n", WRONG "line 1 is no JSON object" },
    { "{\"QMP\": \"\xff\"}\n", WRONG "no text in UTF-8" },
};

static void
testSessions(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(sessions); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(qemuViommuCaps) caps =
            qemuViommuCapsParse(sessions[i].text, strlen(sessions[i].text), &error);

        g_assert_true(!caps == !!error);
        if (error)
            g_assert_true(g_error_matches(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE));
        g_assert_cmpstr(error ? error->message : NULL, ==, sessions[i].error);
    }
}

/* What is behind the end does not count. */
static void
testEnd(void)
{
    static const char text[] = GREETING VERSION LISTS "no JSON";
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuCaps) caps = qemuViommuCapsParse(text, strlen(text) - strlen("no JSON"), &error);

    g_assert_no_error(error);
    g_assert_nonnull(caps);
}

/* A list whose members are of other types than QEMU's. */
static void
testOddTypes(void)
{
    static const char text[] =
        GREETING VERSION
        "{\"return\": [1, null, [], {}, {\"name\": 1}, {\"name\": \"ats\"}, {\"name\": \"ril\", \"type\": {}}, "
        "{\"name\": \"accel\"}, {\"name\": \"oas\", \"type\": \"uint8\", \"default-value\": [\"auto\"]}], "
        "\"id\": \"arm-smmuv3\"}\n"
        "{\"return\": {\"a\": 1}, \"id\": \"vfio-pci\"}\n{\"return\": null, \"id\": \"virt-machine\"}\n"
        NO_SUCH("arm-smmuv3-accel") LIST("arm-smmuv3-nested");
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuCaps) caps = qemuViommuCapsParse(text, strlen(text), &error);
    g_autofree char *properties = NULL;
    const char *why;

    g_assert_no_error(error);
    properties = qemuViommuCapsDescribe(caps);
    g_assert_cmpstr(properties, ==, "arm-smmuv3 (accel), oas (number)");
    g_assert_false(caps->features[QEMU_VIOMMU_OAS].automatic);
    g_assert_cmpint(qemuViommuCapsDialect(caps, &why), ==, QEMU_VIOMMU_DIALECT_NONE);
}

static void
refusedAs(GString *text, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(qemuViommuCapsParse(text->str, text->len, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
    g_assert_cmpstr(error->message, ==, message);
    g_string_free(text, TRUE);
}

/* More than is ever said, as deep as it gets, and a NUL. */
static void
testHuge(void)
{
    GString *deep = g_string_new(GREETING);
    GString *comments = g_string_new(GREETING);
    GString *longText = g_string_new(GREETING);
    GString *nul = g_string_new(GREETING);
    size_t i;

    for (i = 0; i < 100000; i++) {
        g_string_append(deep, "{\"a\":");
        g_string_append(comments, "[/*\"]*/");
    }
    while (longText->len <= QEMU_VIOMMU_CAPS_MAX)
        g_string_append(longText, VERSION);
    g_string_append_len(nul, "{}\0", 3);
    refusedAs(deep, WRONG "line 2 is no JSON object");
    refusedAs(comments, WRONG "line 2 is no JSON object");
    refusedAs(longText, WRONG "more than QEMU would ever say");
    refusedAs(nul, WRONG "no text in UTF-8");
}

static void
testNames(void)
{
    qemuViommuDialect dialect;

    g_assert_null(qemuViommuDialectName(QEMU_VIOMMU_DIALECT_NONE));
    g_assert_cmpint(qemuViommuDialectParse(NULL), ==, QEMU_VIOMMU_DIALECT_NONE);
    g_assert_cmpint(qemuViommuDialectParse("rfc"), ==, QEMU_VIOMMU_DIALECT_NONE);
    for (dialect = QEMU_VIOMMU_DIALECT_NATIVE; dialect <= QEMU_VIOMMU_DIALECT_RFC_MACHINE; dialect++)
        g_assert_cmpint(qemuViommuDialectParse(qemuViommuDialectName(dialect)), ==, dialect);
}

/* Each command is a line of JSON, as QEMU reads them. */
static void
testCommands(void)
{
    g_auto(GStrv) lines = g_strsplit(qemuViommuCapsCommands, "\n", -1);
    guint count = g_strv_length(lines);

    g_assert_cmpuint(strlen(qemuViommuCapsCommands), <, 4096); /* PIPE_BUF: written in one piece */
    g_assert_cmpstr(lines[0], ==, "{\"execute\":\"qmp_capabilities\"}");
    g_assert_cmpstr(lines[count - 2], ==, "{\"execute\":\"quit\"}");
    g_assert_cmpstr(lines[count - 1], ==, "");
}

/* One test for each recorded or made-up QEMU; a file that belongs to none fails. */
static void
addAnswers(const char *dir)
{
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    const char *name;
    size_t count = 0;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *test = g_strdup_printf("/qemuviommucaps/%s", name);
        g_autofree char *stem = g_strndup(name, strlen(name) - MIN(strlen(name), strlen(".caps")));
        g_autofree char *source = g_strdup_printf("%s/%s.qmp", dir, stem);

        if (g_str_has_suffix(name, ".qmp")) {
            g_test_add_data_func_full(test, g_build_filename(dir, name, NULL), testAnswers, g_free);
            count++;
        } else if (!g_str_has_suffix(name, ".caps") || !g_file_test(source, G_FILE_TEST_EXISTS)) {
            g_error("%s/%s belongs to no NAME.qmp", dir, name);
        }
    }
    g_assert_cmpuint(count, >, 0);
}

int
main(int argc, char **argv)
{
    g_autofree char *dir = NULL;

    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    g_test_add_func("/qemuviommucaps/sessions", testSessions);
    g_test_add_func("/qemuviommucaps/end", testEnd);
    g_test_add_func("/qemuviommucaps/odd-types", testOddTypes);
    g_test_add_func("/qemuviommucaps/huge", testHuge);
    g_test_add_func("/qemuviommucaps/names", testNames);
    g_test_add_func("/qemuviommucaps/commands", testCommands);
    dir = g_test_build_filename(G_TEST_DIST, "qmpdata", NULL);
    addAnswers(dir);
    return g_test_run();
}
