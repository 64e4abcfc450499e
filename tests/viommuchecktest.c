/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The classes of findings, as data: checkdata/CLASS-fail[-VARIANT].HOST.xml has findings of that
 * class, and CLASS-pass[-VARIANT].HOST.xml has none of it and no error at all. What exactly is
 * found stands beside it in .err (no file: nothing). HOST is one of hosts/, or "none": nothing is
 * known of the host. A .users file lists "ADDRESS DOMAIN" of host devices in use. Every class has
 * both kinds; files that belong to no case fail.
 *
 * VIOMMU_TEST_REGENERATE=1 rewrites the .err files, and fails.
 */
#include "hosttestutils.h"
#include "viommu_check.h"

#include <stdlib.h>
#include <string.h>

static const char *const classes[] = {
    "V01", "V02", "V03", "V04", "V05", "V06", "V07", "V08", "V09", "V10", "V11", "V12", "V13",
    "V14", "V15", "V16", "V17", "V18", "V19", "V20", "V21", "V22", "V23", "V24", "V25", "H03",
};

typedef struct {
    char *name; /* "V01-fail-swapped.grace" */
    char class[4];
    bool fails;
    char *host;
} checkCase;

static char *
dataPath(const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);

    return g_test_build_filename(G_TEST_DIST, "checkdata", file, NULL);
}

static char *
readData(const char *name, const char *suffix)
{
    g_autofree char *path = dataPath(name, suffix);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static bool
isKnownClass(const char *id)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(classes); i++) {
        if (strcmp(classes[i], id) == 0)
            return true;
    }
    return false;
}

/* NULL if @file is no case. */
static checkCase *
parseName(const char *file)
{
    g_autofree char *name = NULL;
    const char *host;
    checkCase *item;

    if (!g_str_has_suffix(file, ".xml") || strlen(file) < strlen("V00-fail.x.xml"))
        return NULL;
    name = g_strndup(file, strlen(file) - strlen(".xml"));
    host = strrchr(name, '.');
    if (!host || (!g_str_has_prefix(name + 3, "-fail") && !g_str_has_prefix(name + 3, "-pass")))
        return NULL;
    item = g_new0(checkCase, 1);
    memcpy(item->class, name, 3);
    item->fails = g_str_has_prefix(name + 3, "-fail");
    item->host = g_strdup(host + 1);
    item->name = g_steal_pointer(&name);
    if (isKnownClass(item->class))
        return item;
    g_free(item->host);
    g_free(item->name);
    g_free(item);
    return NULL;
}

static void
caseFree(void *data)
{
    checkCase *item = data;

    g_free(item->name);
    g_free(item->host);
    g_free(item);
}

static GPtrArray *
readUsers(const char *name)
{
    g_autofree char *text = readData(name, ".users");
    g_auto(GStrv) lines = text ? g_strsplit(g_strchomp(text), "\n", -1) : NULL;
    GPtrArray *users = lines ? viommuUsersNew() : NULL;
    size_t i;

    for (i = 0; lines && lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 2);
        char *vsmmu = strchr(words[0], '@');
        viommuDeviceUser *user = g_new0(viommuDeviceUser, 1);

        g_ptr_array_add(users, user);
        user->vsmmu = vsmmu ? atoi(vsmmu + 1) : VIOMMU_UNSET;
        if (vsmmu)
            *vsmmu = '\0';
        g_assert_true(virPCIAddrParse(words[0], &user->addr));
        user->domain = g_strdup(words[1]);
    }
    return users;
}

/* Reads the host @name with the details of the devices of @dom; NULL for "none". */
static virSMMUTopology *
readHost(const char *name, const viommuDomain *dom)
{
    g_autoptr(virSysfs) fs = NULL;
    g_autoptr(GError) error = NULL;
    virSMMUTopology *topo;
    const GPtrArray *devices;
    size_t i;

    if (strcmp(name, "none") == 0)
        return NULL;
    fs = testHostRead(name);
    topo = virSMMUTopologyRead(fs, &error);
    g_assert_no_error(error);
    devices = virSMMUTopologyDevices(topo);
    for (i = 0; i < devices->len; i++) {
        virSMMUTopologyLoadDetails(topo, fs, g_ptr_array_index(devices, i), &error);
        g_assert_no_error(error);
    }
    return topo;
}

static char *
formatFindings(const GPtrArray *findings)
{
    g_autoptr(GString) out = g_string_new(NULL);
    size_t i;

    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        g_string_append_printf(out, "line %u: %s: %s: %s\n", finding->line, finding->id,
                               viommuSeverityName(finding->severity), finding->text);
        if (finding->consequence)
            g_string_append_printf(out, "  then: %s\n", finding->consequence);
        if (finding->remedy)
            g_string_append_printf(out, "  change: %s\n", finding->remedy);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool
hasClass(const GPtrArray *findings, const char *id)
{
    size_t i;

    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        if (strcmp(finding->id, id) == 0)
            return true;
    }
    return false;
}

static void
compareOrRegenerate(const char *name, const char *actual)
{
    g_autofree char *path = dataPath(name, ".err");
    g_autofree char *expected = readData(name, ".err");
    g_autoptr(GError) error = NULL;

    if (strcmp(expected ? expected : "", actual) == 0)
        return;
    if (!g_getenv("VIOMMU_TEST_REGENERATE")) {
        g_test_fail_printf("expected:\n%sfound:\n%s", expected ? expected : "", actual);
        return;
    }
    if (*actual)
        g_file_set_contents(path, actual, -1, &error);
    else
        testHostRemove(path);
    g_assert_no_error(error);
    g_test_fail_printf("%s was rewritten", path);
}

/* What a finding must have, whatever it says. */
static void
checkForm(const viommuFinding *finding)
{
    g_assert_true(isKnownClass(finding->id));
    g_assert_cmpuint(finding->line, >, 0);
    g_assert_cmpuint(strlen(finding->text), >, 0);
    if (finding->severity != VIOMMU_SEVERITY_NOTE)
        g_assert_nonnull(finding->remedy);
}

static void
testCase(const void *data)
{
    const checkCase *item = data;
    g_autofree char *text = readData(item->name, ".xml");
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) dom = viommuDomainParse(text, strlen(text), &error);
    g_autoptr(virSMMUTopology) host = NULL;
    g_autoptr(GPtrArray) users = readUsers(item->name);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    viommuCheckContext context = { 0 };
    g_autofree char *actual = NULL;
    size_t i;

    g_assert_no_error(error);
    host = readHost(item->host, dom);
    context.host = host;
    context.users = users;
    viommuCheckDomain(dom, &context, findings);
    for (i = 0; i < findings->len; i++)
        checkForm(g_ptr_array_index(findings, i));
    actual = formatFindings(findings);
    compareOrRegenerate(item->name, actual);
    if (hasClass(findings, item->class) != item->fails)
        g_test_fail_printf("%s %s found", item->class, item->fails ? "was not" : "was");
    if (!item->fails && viommuFindingsHaveError(findings))
        g_test_fail_printf("an error was found");
}

/* Each class has a case that fails and one that passes. */
static void
testComplete(const void *data)
{
    const GPtrArray *cases = data;
    size_t i;
    size_t j;

    for (i = 0; i < G_N_ELEMENTS(classes); i++) {
        bool fails = false;
        bool passes = false;

        for (j = 0; j < cases->len; j++) {
            const checkCase *item = g_ptr_array_index(cases, j);

            if (strcmp(item->class, classes[i]) == 0) {
                fails = fails || item->fails;
                passes = passes || !item->fails;
            }
        }
        if (!fails || !passes)
            g_test_fail_printf("%s has no %s case", classes[i], fails ? "passing" : "failing");
    }
}

/* Files that no case reads. */
static void
testOrphans(const void *data)
{
    static const char *const suffixes[] = { ".err", ".users" };
    const GPtrArray *cases = data;
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *path = dataPath("", "");
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *file;
    size_t i;
    size_t j;

    for (i = 0; i < cases->len; i++) {
        const checkCase *item = g_ptr_array_index(cases, i);

        g_hash_table_add(known, g_strconcat(item->name, ".xml", NULL));
        for (j = 0; j < G_N_ELEMENTS(suffixes); j++)
            g_hash_table_add(known, g_strconcat(item->name, suffixes[j], NULL));
    }
    while ((file = g_dir_read_name(dir))) {
        if (!g_hash_table_contains(known, file))
            g_test_fail_printf("checkdata/%s belongs to no case", file);
    }
}

/* Sorted by line, id and text, whatever came first. */
static void
testOrder(void)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autofree char *actual = NULL;

    viommuFindingsAdd(findings, "V10", VIOMMU_SEVERITY_NOTE, 10, NULL, NULL, "later");
    viommuFindingsAdd(findings, "V10", VIOMMU_SEVERITY_NOTE, 9, NULL, NULL, "b%d", 1);
    viommuFindingsAdd(findings, "V10", VIOMMU_SEVERITY_WARNING, 9, "then", "do", "a");
    viommuFindingsAdd(findings, "V01", VIOMMU_SEVERITY_NOTE, 9, NULL, NULL, "z");
    g_assert_false(viommuFindingsHaveError(findings));
    viommuFindingsSort(findings);
    actual = formatFindings(findings);
    g_assert_cmpstr(actual, ==,
                    "line 9: V01: note: z\n"
                    "line 9: V10: warning: a\n  then: then\n  change: do\n"
                    "line 9: V10: note: b1\n"
                    "line 10: V10: note: later\n");
    viommuFindingsAdd(findings, "V10", VIOMMU_SEVERITY_ERROR, 1, NULL, "do", "worse");
    g_assert_true(viommuFindingsHaveError(findings));
}

/* Ten thousand devices without address: each finds its port, and there are too few bus numbers. */
static void
testMany(void)
{
    static const char head[] =
        "<domain type='kvm'><os firmware='efi'>"
        "<type arch='aarch64' machine='virt'>hvm</type></os><features><acpi/></features>"
        "<iommufd enabled='yes'/><devices>\n"
        "<controller type='pci' index='1' model='pcie-expander-bus'>"
        "<target busNr='250'/></controller>\n";
    static const char tail[] =
        "<iommu model='smmuv3'><driver pciBus='1' accel='on' ats='off' ril='off' "
        "ssidsize='0'/></iommu></devices></domain>";
    enum { COUNT = 10000, FIRST_LINE = 3 };
    g_autoptr(GString) text = g_string_new(head);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(viommuDomain) dom = NULL;
    g_autoptr(GError) error = NULL;
    const viommuCheckContext context = { 0 };
    unsigned misplaced = 0;
    size_t i;

    for (i = 0; i < COUNT; i++)
        g_string_append_printf(text,
                               "<hostdev mode='subsystem' type='pci'><source><address domain='%zu' "
                               "bus='1' slot='0' function='0'/></source></hostdev>\n",
                               i);
    g_string_append(text, tail);
    dom = viommuDomainParse(text->str, text->len, &error);
    g_assert_no_error(error);
    viommuCheckDomain(dom, &context, findings);
    g_assert_cmpuint(findings->len, ==, COUNT + 1);
    g_assert_cmpstr(((viommuFinding *)g_ptr_array_index(findings, 0))->id, ==, "V10");
    for (i = 1; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        misplaced += strcmp(finding->id, "V05") == 0 && finding->line == i - 1 + FIRST_LINE;
    }
    g_assert_cmpuint(misplaced, ==, COUNT);
}

static int
compareCases(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const checkCase *const *)a)->name, (*(const checkCase *const *)b)->name);
}

static GPtrArray *
readCases(void)
{
    GPtrArray *cases = g_ptr_array_new_with_free_func(caseFree);
    g_autofree char *path = dataPath("", "");
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    const char *file;

    g_assert_no_error(error);
    while ((file = g_dir_read_name(dir))) {
        checkCase *item = parseName(file);

        if (item)
            g_ptr_array_add(cases, item);
    }
    g_ptr_array_sort(cases, compareCases);
    return cases;
}

int
main(int argc, char **argv)
{
    g_autofree char **args = testKeepGoing(&argc, argv);
    g_autoptr(GPtrArray) cases = NULL;
    size_t i;

    g_test_init(&argc, &args, NULL);
    cases = readCases();
    for (i = 0; i < cases->len; i++) {
        const checkCase *item = g_ptr_array_index(cases, i);
        g_autofree char *path = g_strdup_printf("/check/%s", item->name);

        g_test_add_data_func(path, item, testCase);
    }
    g_test_add_data_func("/check/complete", cases, testComplete);
    g_test_add_data_func("/check/orphans", cases, testOrphans);
    g_test_add_func("/check/order", testOrder);
    g_test_add_func("/check/many", testMany);
    return g_test_run();
}
