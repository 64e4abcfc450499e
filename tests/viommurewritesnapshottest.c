/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots and checkpoints with domains in them, on their way to libvirt.
 */
#include "rewritetestutils.h"

#include <string.h>

#define ALONE VIOMMU_REWRITE_DOMAIN
#define EMBEDDED VIOMMU_REWRITE_EMBEDDED

/* Snapshots and checkpoints with nothing in them for us. */
static void
testEmbeddedPassing(void)
{
    static const char *const cases[] = {
        "",
        "no XML",
        "<domainsnapshot/>",
        "<domainsnapshot><name>s</name><description>nested viommu</description></domainsnapshot>",
        "<domainsnapshot><domain/><inactiveDomain/></domainsnapshot>",
        "<domainsnapshot>" HEAD DEVICE("2", "1") ON_NETWORK("fast") TAIL "</domainsnapshot>",
        "<domainsnapshot><domain>not nested</domain></domainsnapshot>",
        "<domainsnapshot><!-- " ASKING " --><![CDATA[" ASKING "]]></domainsnapshot>",
        "<domainsnapshot><parent>" ASKING "</parent></domainsnapshot>",
        "<domainsnapshot xmlns='urn:x'>" ASKING "</domainsnapshot>",
        "<x:s xmlns:x='urn:x'><x:domain>" NESTED "</x:domain></x:s>",
        ASKING,
        /* cut off, and with a word that another parser could not see either */
        "<domainsnapshot>" ASKING,
        "<domainsnapshot><domain></domainsnapshot></domain>nested",
        "<!DOCTYPE s><s/>",
        "<s encoding='\xfc'/>",
    };
    testWorld world = testWorldOf(NULL);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %zu", i);
        testPasses(&world, EMBEDDED, 0, cases[i], "");
    }
}

/* What surrounds the domains stays, whatever it is. */
static void
testEmbedded(void)
{
    static const struct {
        const char *before;
        const char *name;
        const char *after;
    } cases[] = {
        { "<domainsnapshot>", "domain", "</domainsnapshot>" },
        { "<domaincheckpoint>\n<name>c</name>", "domain", "</domaincheckpoint>" },
        { "<domainsnapshot>", "inactiveDomain", "</domainsnapshot>" },
        { "<?xml version='1.0'?>\r\n<!-- <domain> -->\n<s a='>'>\t<domain/>", "domain",
          "<!-- </domain> --><domain></domain>\n</s>\n<?end?>\n\n" },
        { "<s>" HEAD TAIL, "inactiveDomain", HEAD TAIL "</s >" },
    };
    const testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) alone = testRewrite(&world, ALONE, 0, ASKING, -1, NULL);
    size_t front = strlen("<domain"), back = strlen("domain>");
    g_autofree char *old = g_strndup(ASKING + front, strlen(ASKING) - front - back);
    g_autofree char *new = g_strndup(alone->text + front, strlen(alone->text) - front - back);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strconcat(cases[i].before, "<", cases[i].name, old, cases[i].name, "\n >", cases[i].after, NULL);
        g_autofree char *expected =
            g_strconcat(cases[i].before, "<", cases[i].name, new, cases[i].name, "\n >", cases[i].after, NULL);

        g_test_message("case %zu", i);
        testReplaces(&world, EMBEDDED, 0, text, expected);
        testPasses(&world, EMBEDDED, 0, expected, "host, libvirt, qemu");
    }
}

/* Several domains are one conversation; the first refusal ends it. */
static void
testEmbeddedSeveral(void)
{
    static const char two[] = "<s>" HEAD ON_NETWORK("fast") NESTED TAIL "<domain><name>e</name></domain>" HEAD
        ON_NETWORK("fast") ON_NETWORK("more") TAIL HEAD ON_NETWORK("fast") ON_NETWORK("fast") NESTED TAIL "</s>";
    testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) outcome = NULL;

    world.network = HOSTDEV_NETWORK;
    outcome = testRewrite(&world, EMBEDDED, 0, two, -1, NULL);
    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_cmpstr(outcome->asked, ==, "network fast, host, libvirt, qemu");
    g_assert_true(g_str_has_prefix(outcome->words, "vSMMU for smmu3.0x0000000011000000 on bus 1 ("));
    g_assert_true(strstr(outcome->words, "), vSMMU for smmu3.0x0000000011000000 on bus 1 ("));
    g_assert_cmpstr(outcome->name, ==, "d");
    testRefuses(&world, EMBEDDED, 0, "<s>\n\n" ASKING "\n" HEAD "\n" DEVICE("0x99", "1") NESTED TAIL "\n</s>",
                "viommu: line 5: V02: hostdev '0099:01:00.0' is not on this host (libvirt cannot start the domain: the device is not found); to fix it, name a device that 'viommu host' lists below an SMMU; addresses change with slots and firmware");
    testRefuses(&world, EMBEDDED, 0, "<s>\n<domain type='kvm'>\n<x:y/>" NESTED "</domain></s>",
                "viommu: line 3: namespace prefix x on y is not defined");
}

/* Each domain of a snapshot may fit, and the whole not. */
static void
testTooLargeTogether(void)
{
    static const char frame[] = "<s></s>";
    const testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) small = testRewrite(&world, ALONE, 0, ASKING, -1, NULL);
    size_t padding = VIOMMU_XML_MAX - strlen(small->text) - strlen(frame);
    g_autofree char *spaces = g_strnfill(padding, ' ');
    g_autofree char *fits = g_strconcat("<s>", ASKING, spaces, "</s>", NULL);
    g_autofree char *tooLong = g_strconcat("<s>", ASKING, spaces, "</s>\n", NULL);
    g_autoptr(testOutcome) outcome = testRewrite(&world, EMBEDDED, 0, fits, -1, NULL);

    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_cmpuint(strlen(outcome->text), ==, VIOMMU_XML_MAX);
    testRefuses(&world, EMBEDDED, 0, tooLong,
                "viommu: the expanded domain has more than the 4194304 bytes that libvirt takes; remove devices");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/rewrite/snapshot/too-large", testTooLargeTogether);
    g_test_add_func("/rewrite/snapshot/passing", testEmbeddedPassing);
    g_test_add_func("/rewrite/snapshot/text", testEmbedded);
    g_test_add_func("/rewrite/snapshot/several", testEmbeddedSeveral);
    return g_test_run();
}
