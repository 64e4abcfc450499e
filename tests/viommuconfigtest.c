/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommud.conf: each key with its values, and the words for what is wrong.
 */
#include "viommu_config.h"
#include "viommuerror.h"

#include "hosttestutils.h"

#include <glib/gstdio.h>
#include <string.h>

#define NAME "a.conf"

/* A configuration as text, so that all of it is compared. */
static char *
format(const viommuConfig *config)
{
    return g_strdup_printf("%d %s %s %04o %04o %s %s %u %u %u %u", config->policy, config->sockDir,
                           config->sockGroup ? config->sockGroup : "-", config->rwPerms,
                           config->roPerms, config->libvirtSock ? config->libvirtSock : "-",
                           config->libvirtSockRO ? config->libvirtSockRO : "-", config->maxClients,
                           config->maxClientsPerUser, config->drainTimeout, config->queryTimeout);
}

#define DEFAULTS "0 /run/viommu - 0666 0666 - - 5000 200 10 15"

static void
checkGood(const char *text, const char *expected)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;

    g_test_message("%s", text);
    g_assert_true(viommuConfigParse(config, NAME, text, &error));
    g_assert_no_error(error);
    found = format(config);
    g_assert_cmpstr(found, ==, expected);
}

static void
checkBad(const char *text, const char *message)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(GError) error = NULL;

    g_test_message("%s", text);
    g_assert_false(viommuConfigParse(config, NAME, text, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
    g_assert_cmpstr(error ? error->message : NULL, ==, message);
}

/* Each key changes its own field and no other. */
static void
testKeys(void)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        { "", DEFAULTS },
        { "policy = \"off\"", DEFAULTS },
        { "policy = \"smmuv3\"", "1 /run/viommu - 0666 0666 - - 5000 200 10 15" },
        { "policy = \"aarch64\"", "2 /run/viommu - 0666 0666 - - 5000 200 10 15" },
        { "unix_sock_dir = \"/a\"", "0 /a - 0666 0666 - - 5000 200 10 15" },
        { "unix_sock_group = \"kvm\"", "0 /run/viommu kvm 0666 0666 - - 5000 200 10 15" },
        { "unix_sock_rw_perms = \"0770\"", "0 /run/viommu - 0770 0666 - - 5000 200 10 15" },
        { "unix_sock_ro_perms = \"0700\"", "0 /run/viommu - 0666 0700 - - 5000 200 10 15" },
        { "libvirt_sock = \"/l\"", "0 /run/viommu - 0666 0666 /l - 5000 200 10 15" },
        { "libvirt_sock_ro = \"/r\"", "0 /run/viommu - 0666 0666 - /r 5000 200 10 15" },
        { "max_clients = 7", "0 /run/viommu - 0666 0666 - - 7 200 10 15" },
        { "max_clients_per_user = 7", "0 /run/viommu - 0666 0666 - - 5000 7 10 15" },
        { "drain_timeout = 7", "0 /run/viommu - 0666 0666 - - 5000 200 7 15" },
        { "query_timeout = 7", "0 /run/viommu - 0666 0666 - - 5000 200 10 7" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        checkGood(cases[i].text, cases[i].expected);
}

/* The ends of ranges. */
static void
testRanges(void)
{
    static const struct {
        const char *key;
        const char *least;
        const char *most;
        const char *tooMuch;
        const char *tooLittle; /* NULL: there is none */
        const char *wants;
    } keys[] = {
        { "max_clients", "1", "100000", "100001", "0", "a number from 1 to 100000" },
        { "max_clients_per_user", "0", "100000", "100001", NULL, "a number from 0 to 100000" },
        { "drain_timeout", "0", "3600", "3601", NULL, "a number from 0 to 3600" },
        { "query_timeout", "1", "3600", "3601", "0", "a number from 1 to 3600" },
        { "unix_sock_rw_perms", "\"0\"", "\"0777\"", "\"1000\"", NULL, "an octal mode in double quotes, \"0666\"" },
        { "unix_sock_ro_perms", "\"0\"", "\"777\"", "\"07777\"", NULL, "an octal mode in double quotes, \"0666\"" },
    };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *const bad[] = { keys[i].tooMuch, keys[i].tooLittle, "-1", "4294967296", "2147483648", "\"x\"",
                                    "1.5", "true" };
        g_autoptr(viommuConfig) config = viommuConfigNew();
        g_autofree char *good =
            g_strdup_printf("%s = %s\n%s = %s", keys[i].key, keys[i].most, keys[i].key, keys[i].least);

        g_assert_true(viommuConfigParse(config, NAME, good, NULL));
        for (j = 0; j < G_N_ELEMENTS(bad); j++) {
            g_autofree char *text = bad[j] ? g_strdup_printf("%s = %s", keys[i].key, bad[j]) : NULL;
            g_autofree char *message = g_strdup_printf(NAME ":1: %s wants %s", keys[i].key, keys[i].wants);

            if (text)
                checkBad(text, message);
        }
    }
}

/* What may stand around keys and values. */
static void
testForm(void)
{
    static const char *const same[] = {
        "\n\n",
        "# a comment\n   # max_clients = 1\n\t\n",
        "#",
        "policy=\"off\"",
        "  policy\t =\t\"off\"  \r\n",
        "policy = \"off\" # as before",
        "policy = \"off\"#max_clients = 1",
        "policy = 'off'",
        "max_clients = 5000\t# as many",
        "max_clients = +5000",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(same); i++)
        checkGood(same[i], DEFAULTS);
    checkGood("unix_sock_dir = \"/a#b = c\\\"\" # d\"", "0 /a#b = c\" - 0666 0666 - - 5000 200 10 15");
    checkGood("unix_sock_dir = \"/\xc3\xa4\"", "0 /\xc3\xa4 - 0666 0666 - - 5000 200 10 15");
}

/* What is written last counts, also over what stood in the configuration before. */
static void
testOrder(void)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autofree char *found = NULL;

    checkGood("max_clients = 7\nlibvirt_sock = \"/a\"\nmax_clients = 8\nlibvirt_sock = \"/b\"\npolicy = \"aarch64\"\n"
              "policy = \"smmuv3\"\n",
              "1 /run/viommu - 0666 0666 /b - 8 200 10 15");
    g_assert_true(viommuConfigParse(config, NAME, "max_clients = 7\nunix_sock_group = \"a\"", NULL));
    g_assert_true(viommuConfigParse(config, NAME, "unix_sock_group = \"b\"", NULL));
    found = format(config);
    g_assert_cmpstr(found, ==, "0 /run/viommu b 0666 0666 - - 7 200 10 15");
}

static void
testBad(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "policy", NAME ":1: write KEY = VALUE" },
        { "\n# a\nmax_clients 5\n", NAME ":3: write KEY = VALUE" },
        { "\"policy = off\"", NAME ":1: there is no key '\"policy'; viommud.conf(5) has them" },
        { "= 5", NAME ":1: there is no key ''; viommud.conf(5) has them" },
        { "max_clients = 1\r\nmax_client = 5", NAME ":2: there is no key 'max_client'; viommud.conf(5) has them" },
        { "Policy = \"off\"", NAME ":1: there is no key 'Policy'; viommud.conf(5) has them" },
        { "max_clients_ = 5", NAME ":1: there is no key 'max_clients_'; viommud.conf(5) has them" },
        { "max clients = 5", NAME ":1: there is no key 'max clients'; viommud.conf(5) has them" },
        { "policy = \"on\"", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = \"OFF\"", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = \"\"", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = off", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = 0", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy =", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = \"off", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = \"off\" \"off\"", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = \"off\";", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = [\"off\"]", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "policy = @s \"off\" 1", NAME ":1: policy wants \"off\", \"smmuv3\" or \"aarch64\"" },
        { "unix_sock_dir = \"run\"", NAME ":1: unix_sock_dir wants an absolute path in double quotes" },
        { "unix_sock_dir = \"\"", NAME ":1: unix_sock_dir wants an absolute path in double quotes" },
        { "unix_sock_dir = 5", NAME ":1: unix_sock_dir wants an absolute path in double quotes" },
        { "libvirt_sock = \"./a\"", NAME ":1: libvirt_sock wants an absolute path in double quotes" },
        { "libvirt_sock_ro = \"a\"", NAME ":1: libvirt_sock_ro wants an absolute path in double quotes" },
        { "unix_sock_group = 5", NAME ":1: unix_sock_group wants a name in double quotes" },
        { "unix_sock_group = \"\"", NAME ":1: unix_sock_group wants a name in double quotes" },
        { "unix_sock_group = kvm", NAME ":1: unix_sock_group wants a name in double quotes" },
        { "unix_sock_rw_perms = 0666",
          NAME ":1: unix_sock_rw_perms wants an octal mode in double quotes, \"0666\"" },
        { "unix_sock_ro_perms = \"0688\"",
          NAME ":1: unix_sock_ro_perms wants an octal mode in double quotes, \"0666\"" },
        { "unix_sock_ro_perms = \"\"",
          NAME ":1: unix_sock_ro_perms wants an octal mode in double quotes, \"0666\"" },
        { "unix_sock_ro_perms = \" 0666\"",
          NAME ":1: unix_sock_ro_perms wants an octal mode in double quotes, \"0666\"" },
        { "max_clients = \"5\"", NAME ":1: max_clients wants a number from 1 to 100000" },
        { "max_clients = 5 6", NAME ":1: max_clients wants a number from 1 to 100000" },
        { "max_clients = 5a", NAME ":1: max_clients wants a number from 1 to 100000" },
        { "max_clients = int64 5", NAME ":1: max_clients wants a number from 1 to 100000" },
        { "max_clients = 010", NAME ":1: max_clients wants a number from 1 to 100000" },
        { "max_clients = 0x10", NAME ":1: max_clients wants a number from 1 to 100000" },
        { "# \xfc\nmax_clients = 5", NAME ": not UTF-8 text; convert it" },
        { "max_clients = ", NAME ":1: max_clients wants a number from 1 to 100000" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        checkBad(cases[i].text, cases[i].message);
}

/* What stood in front of a bad line has been read; what is behind it, not. */
static void
testBadLater(void)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autofree char *found = NULL;

    g_assert_false(viommuConfigParse(config, NAME, "max_clients = 7\nx = 1\ndrain_timeout = 7", NULL));
    found = format(config);
    g_assert_cmpstr(found, ==, "0 /run/viommu - 0666 0666 - - 7 200 10 15");
}

static void
testFile(void)
{
    g_autofree char *directory = g_dir_make_tmp("viommu-config-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "c", NULL);
    g_autofree char *missing = g_strdup_printf("Failed to open file “%s”: No such file or directory", path);
    g_autofree char *bad = g_strdup_printf("%s:2: write KEY = VALUE", path);
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(GError) error = NULL;

    g_assert_false(viommuConfigLoad(config, path, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
    g_assert_cmpstr(error->message, ==, missing);
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "\nx", -1, NULL));
    g_assert_false(viommuConfigLoad(config, path, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
    g_assert_cmpstr(error->message, ==, bad);
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "max_clients = 7\n", -1, NULL));
    g_assert_true(viommuConfigLoad(config, path, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(config->maxClients, ==, 7);
    g_assert_true(g_file_set_contents(path, "max_clients = 8\n\0x", strlen("max_clients = 8\n") + 2, NULL));
    g_assert_false(viommuConfigLoad(config, path, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
    g_assert_true(g_str_has_suffix(error->message, "/c: a NUL byte in it; is it a text file?"));
    g_assert_cmpuint(config->maxClients, ==, 7);
    g_clear_error(&error);
    g_assert_false(viommuConfigLoad(config, directory, &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
    testHostRemove(directory);
}

/* Without a path, the installed file, which need not be there. */
static void
testInstalled(void)
{
    static const char installed[] = VIOMMU_SYSCONFDIR "/viommu/viommud.conf";
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(viommuConfig) same = viommuConfigNew();
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;
    g_autofree char *expected = NULL;

    g_assert_true(viommuConfigLoad(config, NULL, &error));
    g_assert_no_error(error);
    found = format(config);
    if (g_file_test(installed, G_FILE_TEST_EXISTS)) {
        g_assert_true(viommuConfigLoad(same, installed, &error));
        g_assert_no_error(error);
    }
    expected = format(same);
    g_assert_cmpstr(found, ==, expected);
}

/* The file that is installed says what counts without it. */
static void
testShipped(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "data", "viommud.conf", NULL);
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;

    g_assert_true(viommuConfigLoad(config, path, &error));
    g_assert_no_error(error);
    found = format(config);
    g_assert_cmpstr(found, ==, DEFAULTS);
}

/* What has no default. */
static void
testRegisters(void)
{
    g_autoptr(viommuConfig) config = viommuConfigNew();
    g_autofree char *found = NULL;

    g_assert_null(config->registers);
    g_assert_true(viommuConfigParse(config, NAME, "registers = \"/r\"", NULL));
    g_assert_cmpstr(config->registers, ==, "/r");
    found = format(config);
    g_assert_cmpstr(found, ==, DEFAULTS);
    checkBad("registers = \"r\"", NAME ":1: registers wants an absolute path in double quotes");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/config/keys", testKeys);
    g_test_add_func("/config/ranges", testRanges);
    g_test_add_func("/config/form", testForm);
    g_test_add_func("/config/order", testOrder);
    g_test_add_func("/config/bad", testBad);
    g_test_add_func("/config/bad-later", testBadLater);
    g_test_add_func("/config/file", testFile);
    g_test_add_func("/config/installed", testInstalled);
    g_test_add_func("/config/registers", testRegisters);
    g_test_add_func("/config/shipped", testShipped);
    return g_test_run();
}
