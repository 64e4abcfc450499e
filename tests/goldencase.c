/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Golden cases: files and runs.
 */
#include "goldencase.h"

#include "qemu_viommu.h"
#include "report.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY "qemuxml2argvdata"
#define NETWORK ".network.xml"
#define HOSTS "../hosts"
#define HOST_SUFFIX ".sysfs"

/* What stands behind CASE.HOST; the longest that fits counts. */
static const char *const expectations[] = {
    ".viommu.xml",
    ".rfc-v3.args",
    ".rfc-v3.err",
    ".rfc-accel.args",
    ".rfc-accel.err",
    ".rfc-nested.args",
    ".rfc-nested.err",
    ".rfc-machine.args",
    ".rfc-machine.err",
    ".xml",
    ".args",
    ".err",
};

void
goldenEnter(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, DIRECTORY, NULL);

    g_assert_cmpint(chdir(path), ==, 0);
}

static void
caseFree(void *data)
{
    goldenCase *item = data;

    g_free(item->name);
    g_free(item->input);
    g_free(item->host);
    g_free(item);
}

static int
compareStrings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *
listDirectory(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    g_assert_no_error(error);
    while ((name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compareStrings);
    return names;
}

/* Returns CASE.HOST if @file is an expectation; a case's own files have no dot in front of their
 * suffix. */
static char *
expectationOf(const char *file)
{
    size_t i;

    if (g_str_has_suffix(file, NETWORK))
        return NULL;
    for (i = 0; i < G_N_ELEMENTS(expectations); i++) {
        g_autofree char *stem = NULL;

        if (!g_str_has_suffix(file, expectations[i]))
            continue;
        stem = g_strndup(file, strlen(file) - strlen(expectations[i]));
        return strchr(stem, '.') ? g_steal_pointer(&stem) : NULL;
    }
    return NULL;
}

GPtrArray *
goldenCases(void)
{
    g_autoptr(GPtrArray) files = listDirectory(".");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *cases = g_ptr_array_new_with_free_func(caseFree);
    size_t i;

    for (i = 0; i < files->len; i++) {
        g_autofree char *name = expectationOf(g_ptr_array_index(files, i));
        goldenCase *item;
        const char *dot;

        if (!name || !g_hash_table_add(seen, g_strdup(name)))
            continue;
        dot = strchr(name, '.');
        item = g_new0(goldenCase, 1);
        item->input = g_strndup(name, (size_t)(dot - name));
        item->host = g_strdup(dot + 1);
        item->name = g_steal_pointer(&name);
        g_ptr_array_add(cases, item);
    }
    return cases;
}

static bool
isUsed(const GPtrArray *cases, const char *input, const char *host)
{
    size_t i;

    for (i = 0; i < cases->len; i++) {
        const goldenCase *item = g_ptr_array_index(cases, i);

        if ((!input || strcmp(item->input, input) == 0) && (!host || strcmp(item->host, host) == 0))
            return true;
    }
    return false;
}

static bool
isThere(const char *stem, const char *suffix)
{
    g_autofree char *path = g_strconcat(stem, suffix, NULL);

    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

static void
addFileProblems(GPtrArray *problems, const GPtrArray *cases)
{
    g_autoptr(GPtrArray) files = listDirectory(".");
    size_t i;

    for (i = 0; i < files->len; i++) {
        const char *file = g_ptr_array_index(files, i);
        g_autofree char *name = expectationOf(file);
        g_autofree char *stem = g_strndup(file, strcspn(file, "."));
        const char *suffix = file + strlen(stem);
        const char *wrong = NULL;

        if (name)
            wrong = isThere(stem, ".xml") ? NULL : "no case";
        else if (strcmp(suffix, ".xml") == 0)
            wrong = isUsed(cases, stem, NULL) ? NULL : "no expectation";
        else if (strcmp(suffix, NETWORK) == 0 || strcmp(suffix, ".opts") == 0)
            wrong = isThere(stem, ".xml") ? NULL : "no case";
        else
            wrong = "not the name of a file of a case";
        if (wrong)
            g_ptr_array_add(problems, g_strdup_printf("%s: %s", file, wrong));
    }
}

static void
addCaseProblems(GPtrArray *problems, const goldenCase *item)
{
    g_autofree char *host = g_strconcat(HOSTS "/", item->host, NULL);

    if (!isThere(host, HOST_SUFFIX))
        g_ptr_array_add(problems, g_strdup_printf("%s: there is no such host", item->name));
    if (isThere(item->name, ".err") == isThere(item->name, ".xml"))
        g_ptr_array_add(problems,
                        g_strdup_printf("%s: a case has either .err or .xml", item->name));
    if (isThere(item->name, ".err") &&
        (isThere(item->name, ".args") || isThere(item->name, ".viommu.xml")))
        g_ptr_array_add(problems, g_strdup_printf("%s: .err stands alone", item->name));
}

GPtrArray *
goldenProblems(const GPtrArray *cases)
{
    GPtrArray *problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) hosts = listDirectory(HOSTS);
    size_t i;

    addFileProblems(problems, cases);
    for (i = 0; i < cases->len; i++)
        addCaseProblems(problems, g_ptr_array_index(cases, i));
    for (i = 0; i < hosts->len; i++) {
        const char *file = g_ptr_array_index(hosts, i);
        g_autofree char *host = g_strndup(file, strcspn(file, "."));

        if (g_str_has_suffix(file, HOST_SUFFIX) && !isUsed(cases, NULL, host))
            g_ptr_array_add(problems, g_strdup_printf("host %s: no case uses it", host));
    }
    return problems;
}

static char *
readFile(const char *path)
{
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, &error))
        g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    return text;
}

char *
goldenRead(const goldenCase *item, const char *suffix)
{
    g_autofree char *path = g_strconcat(item->name, suffix, NULL);

    return readFile(path);
}

void
goldenWrite(const goldenCase *item, const char *suffix, const char *text)
{
    g_autofree char *path = g_strconcat(item->name, suffix, NULL);
    g_autoptr(GError) error = NULL;

    /* GLib writes into the old file and leaves what is behind the new end. */
    g_unlink(path);
    if (text)
        g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, &error);
    g_assert_no_error(error);
}

/* CASE.opts: lines of "qemu 11.0", "libvirt 12.6" or "policy smmuv3", as --qemu-version, --libvirt-version
 * and --policy. */
static void
readOptions(const goldenCase *item, viommuOptions *opts)
{
    g_autofree char *path = g_strconcat(item->input, ".opts", NULL);
    g_autofree char *text = readFile(path);
    g_auto(GStrv) lines = text ? g_strsplit(g_strchomp(text), "\n", -1) : NULL;
    size_t i;

    for (i = 0; lines && lines[i]; i++) {
        char peer[16] = "";
        unsigned major = 0;
        unsigned minor = 0;

        if (g_str_has_prefix(lines[i], "policy ")) {
            g_assert_true(viommuPolicyParse(lines[i] + strlen("policy "), &opts->policy));
            continue;
        }
        g_assert_cmpint(sscanf(lines[i], "%15s %u.%u", peer, &major, &minor), ==, 3);
        if (strcmp(peer, "qemu") == 0)
            opts->qemuVersion = VIOMMU_VERSION_QEMU(major, minor);
        else if (strcmp(peer, "libvirt") == 0)
            opts->libvirtVersion = VIOMMU_VERSION_QEMU(major, minor);
        else
            g_error("%s: no option '%s'", path, peer);
    }
}

/* Appends what is said on standard error. */
static void
appendError(GString *out, const GError *error)
{
    g_string_append(out, "error: ");
    virTextAppendClean(out, error->message);
    g_string_append_c(out, '\n');
}

/* The results of a placement that was not refused. */
static void
render(goldenResult *result, GError **error)
{
    const viommuInput *input = result->input;
    viommuPlacement *placement = result->placement;
    bool native = placement->native != NULL;
    g_autoptr(GPtrArray) args = NULL;
    size_t len = 0;

    if (!viommuInputFit(input, placement, error))
        return;
    args = qemuViommuArgs(native ? placement->result : input->dom, native ? placement->native : placement->plan, NULL,
                          QEMU_VIOMMU_OPEN_BY_CALLER, error);
    result->args = qemuViommuFormatLines(args);
    if (!*result->args)
        g_clear_pointer(&result->args, g_free);
    result->native = g_strdup(placement->text);
    result->viommu = viommuExpand(input->dom, placement->plan, VIOMMU_DIALECT_VIOMMU, &len, error);
}

goldenResult *
goldenRun(const goldenCase *item, const char *file, const char *manifest)
{
    g_autoptr(goldenResult) result = g_new0(goldenResult, 1);
    g_autofree char *own = g_strconcat(item->input, ".xml", NULL);
    g_autofree char *network = g_strconcat(item->input, NETWORK, NULL);
    g_autoptr(GString) err = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    result->host =
        manifest ? g_strdup(manifest) : g_strconcat(HOSTS "/", item->host, HOST_SUFFIX, NULL);
    result->opts.host = result->host;
    if (g_file_test(network, G_FILE_TEST_EXISTS)) {
        result->networks[0] = g_steal_pointer(&network);
        result->opts.networks = result->networks;
    }
    readOptions(item, &result->opts);
    result->input = viommuInputNew(&result->opts, file ? file : own, &error);
    if (result->input && viommuInputIsRequest(result->input))
        viommuInputLoad(result->input, &error);
    if (result->input && !error && !viommuDomainIsRequest(result->input->dom)) {
        result->native = g_strndup(result->input->text, result->input->len);
        return g_steal_pointer(&result);
    }
    if (!error)
        result->placement = viommuInputPlace(result->input, &error);
    if (result->placement && !result->placement->refused)
        render(result, &error);
    if (result->placement && (result->placement->refused || error))
        viommuFormatFindings(err, result->placement->findings, false, false);
    if (error)
        appendError(err, error);
    if (err->len)
        result->err = g_string_free(g_steal_pointer(&err), FALSE);
    return g_steal_pointer(&result);
}

char *
goldenDialect(const goldenResult *result, qemuViommuDialect dialect, char **ret_refusal)
{
    g_autoptr(GString) err = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) args = NULL;
    qemuViommuWords words;

    qemuViommuWordsInit(&words, dialect, NULL);
    args = qemuViommuArgs(result->input->dom, result->placement->plan, &words, QEMU_VIOMMU_OPEN_BY_CALLER, &error);
    if (args)
        return qemuViommuFormatLines(args);
    appendError(err, error);
    *ret_refusal = g_string_free(g_steal_pointer(&err), FALSE);
    return NULL;
}

void
goldenResultFree(goldenResult *result)
{
    if (!result)
        return;
    viommuPlacementFree(result->placement);
    viommuInputFree(result->input);
    g_free(result->host);
    g_free(result->networks[0]);
    g_free(result->err);
    g_free(result->native);
    g_free(result->args);
    g_free(result->viommu);
    g_free(result);
}
