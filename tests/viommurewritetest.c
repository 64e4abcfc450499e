/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of domains on their way to libvirt: what passes unseen, what is asked and
 * in which order, what is remembered, and the words of refusals. That each placement is right is shown by
 * viommurewritegoldentest.
 */
#include "rewritetestutils.h"
#include "viommuerror.h"

#include <string.h>

#define ALONE VIOMMU_REWRITE_DOMAIN
#define EMBEDDED VIOMMU_REWRITE_EMBEDDED

/* Nothing of the host, the networks or libvirt is looked at for a text that asks for nothing. */
static void
testPassing(void)
{
    static const struct {
        const char *name;
        const char *text;
        viommuPolicy policy;
    } cases[] = {
        { "empty", "", VIOMMU_POLICY_AARCH64 },
        { "no XML", "domain", VIOMMU_POLICY_AARCH64 },
        { "cut off", HEAD NESTED, VIOMMU_POLICY_AARCH64 },
        { "tags that do not fit", "<domain><iommu nested='yes'></domain></iommu>", VIOMMU_POLICY_AARCH64 },
        { "two roots", "<domain/>" ASKING, VIOMMU_POLICY_OFF },
        { "another root", "<network><name>n</name></network>", VIOMMU_POLICY_OFF },
        { "an empty domain", "<domain/>", VIOMMU_POLICY_AARCH64 },
        { "no request", HEAD DEVICE("2", "1") ON_NETWORK("fast") TAIL, VIOMMU_POLICY_OFF },
        { "by hand", HEAD DEVICE("2", "1") ON_NETWORK("fast") "<iommu model='smmuv3'/>" TAIL, VIOMMU_POLICY_OFF },
        { "the word", HEAD DEVICE("2", "1") TAIL "<!-- viommu: nested='yes' -->", VIOMMU_POLICY_OFF },
        { "not nested", HEAD DEVICE("2", "1") "<iommu model='smmuv3' nested='no'/>" TAIL, VIOMMU_POLICY_AARCH64 },
        { "another IOMMU", HEAD DEVICE("2", "1") "<iommu model='virtio'/>" TAIL, VIOMMU_POLICY_AARCH64 },
        { "placed by hand", HEAD DEVICE("2", "1") "<iommu model='smmuv3'><driver pciBus='1'/></iommu>" TAIL,
          VIOMMU_POLICY_SMMUV3 },
        { "accelerated by hand", HEAD DEVICE("2", "1") "<iommu model='smmuv3'><driver accel='on'/></iommu>" TAIL,
          VIOMMU_POLICY_SMMUV3 },
        { "no smmuv3", HEAD DEVICE("2", "1") TAIL, VIOMMU_POLICY_SMMUV3 },
        { "no device", HEAD TAIL, VIOMMU_POLICY_AARCH64 },
        { "another architecture", "<domain type='kvm'><os><type arch='armv7l' machine='virt'>hvm</type></os><devices>"
          DEVICE("2", "1") TAIL, VIOMMU_POLICY_AARCH64 },
        { "another machine", "<domain type='kvm'><os><type arch='aarch64' machine='sbsa-ref'>hvm</type></os><devices>"
          DEVICE("2", "1") TAIL, VIOMMU_POLICY_AARCH64 },
        { "another hypervisor", "<domain type='xen'><os><type arch='aarch64' machine='virt'>hvm</type></os><devices>"
          DEVICE("2", "1") TAIL, VIOMMU_POLICY_AARCH64 },
        { "notes of ours that ask for nothing", "<domain type='kvm'><metadata><viommu:domain "
          "xmlns:viommu='urn:viommu:domain:1'/></metadata><os><type arch='aarch64' machine='virt'>hvm</type></os><devices>"
          DEVICE("2", "1") TAIL, VIOMMU_POLICY_AARCH64 },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        testWorld world = testWorldOf(NULL);

        g_test_message("%s", cases[i].name);
        world.policy = cases[i].policy;
        testPasses(&world, ALONE, 0, cases[i].text, "");
    }
}

/* Nova's domains ask by extra specs, or not at all without a policy. */
static void
testNova(void)
{
    static const struct {
        const char *file;
        viommuPolicy policy;
        bool asks;
    } cases[] = {
        { "nova-no-viommu.xml", VIOMMU_POLICY_OFF, false },
        { "policy-aarch64-auto.xml", VIOMMU_POLICY_OFF, false },
        { "policy-aarch64-auto.xml", VIOMMU_POLICY_SMMUV3, false },
        { "policy-aarch64-auto.xml", VIOMMU_POLICY_AARCH64, true },
        { "policy-smmuv3.xml", VIOMMU_POLICY_OFF, false },
        { "policy-smmuv3.xml", VIOMMU_POLICY_SMMUV3, true },
        { "policy-smmuv3.xml", VIOMMU_POLICY_AARCH64, true },
        { "extra-specs-no.xml", VIOMMU_POLICY_AARCH64, false },
        { "extra-specs-auto.xml", VIOMMU_POLICY_OFF, true },
        { "nova-two-gpus.xml", VIOMMU_POLICY_OFF, true },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = testGoldenRead(cases[i].file);
        testWorld world = testWorldOf("grace");
        g_autoptr(testOutcome) outcome = NULL;

        g_test_message("%s", cases[i].file);
        world.policy = cases[i].policy;
        outcome = testRewrite(&world, ALONE, 0, text, -1, NULL);
        g_assert_cmpint(outcome->verdict, ==, cases[i].asks ? VIOMMU_REWRITE_REPLACE : VIOMMU_REWRITE_PASS);
        g_assert_cmpstr(outcome->asked, ==, cases[i].asks ? "host, libvirt, qemu" : "");
    }
}

/* What the log says of placements. */
static void
testWords(void)
{
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        { ASKING, "vSMMU for smmu3.0x0000000011000000 on bus 1 (0002:01:00.0)" },
        { HEAD DEVICE("2", "1") DEVICE("6", "1") DEVICE("7", "1") NESTED TAIL,
          "vSMMU for smmu3.0x0000000011000000 on bus 1 (0002:01:00.0), "
          "vSMMU for smmu3.0x0000000015000000 on bus 3 (0006:01:00.0 0007:01:00.0)" },
        { HEAD "<iommu model='smmuv3' nested='yes'><driver ats='off' ril='off' ssidsize='0' oas='44'/>"
               "<placement sparePorts='1'/><source smmu='smmu3.0x0000000012000000'/></iommu>" TAIL,
          "vSMMU for smmu3.0x0000000012000000 on bus 1 (no device)" },
    };
    const testWorld world = testWorldOf("grace");
    g_autofree char *withdrawn = testGoldenRead("again-withdrawn.xml");
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(testOutcome) outcome = testRewrite(&world, ALONE, 0, cases[i].text, -1, NULL);

        g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
        g_assert_cmpstr(outcome->words, ==, cases[i].words);
        g_assert_cmpstr(outcome->name, ==, "d");
    }
    {
        g_autoptr(testOutcome) outcome = testRewrite(&world, ALONE, 0, withdrawn, -1, NULL);

        g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
        g_assert_cmpstr(outcome->words, ==, "no vSMMU left");
    }
}

/* Some refusals word for word; viommurewritegoldentest has all of them. */
static void
testRefusals(void)
{
    static const struct {
        const char *host;
        const char *text;
        const char *words;
    } cases[] = {
        { "grace", HEAD "\n" DEVICE("0x99", "1") NESTED TAIL,
          "viommu: line 2: V02: hostdev '0099:01:00.0' is not on this host (libvirt cannot start the domain: the device is not found); to fix it, name a device that 'viommu host' lists below an SMMU; addresses change with slots and firmware" },
        { "grace", HEAD DEVICE("2", "1") "\n\n<iommu model='smmuv3' nested='maybe'/>" TAIL,
          "viommu: line 3: V13: nested='maybe' means nothing; to fix it, write nested='yes' or nested='no'" },
        { "grace", HEAD DEVICE("2", "1") "\n<iommu model='smmuv3' nEs-ted='yes'/>" TAIL,
          "viommu: line 2: V13: the attribute 'nEs-ted' is not known; 'nested' is; to fix it, write nested='yes'" },
        { "one-smmu",
          "<domain type='hvf'><os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os><features><acpi/>"
          "<gic version='3'/></features><devices>" DEVICE("0", "1") NESTED TAIL,
          "viommu: line 1: V18: the domain is of type 'hvf', neither kvm nor qemu (nested translation is a thing of QEMU with KVM); to fix it, write <domain type='kvm'>" },
        { "switch-group", HEAD DEVICE("0", "3") NESTED TAIL,
          "viommu: line 1: V16: hostdev '0000:03:00.0' shares IOMMU group 2 with '0000:02:00.0' (QEMU refuses two members of one group, and a single one is broken in the guest); to fix it, use a device that is alone in its group, or a slot whose switch or root port has ACS" },
        { "no-iommufd", HEAD DEVICE("0", "1") NESTED TAIL,
          "viommu: line 1: H03: the host has no /dev/iommu (libvirt cannot start it: cannot open VFIO device /dev/vfio/devices/vfioN); to fix it, boot the host with a kernel that has CONFIG_IOMMUFD, CONFIG_VFIO_DEVICE_CDEV and CONFIG_ARM_SMMU_V3_IOMMUFD; if they are modules, load 'iommufd'" },
        { NULL, ASKING, "viommu: no host here" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        const testWorld world = testWorldOf(cases[i].host);

        testRefuses(&world, ALONE, 0, cases[i].text, cases[i].words);
    }
}

/* Two findings, and control characters of the client's. */
static void
testRefusalsOfMany(void)
{
    const testWorld world = testWorldOf("grace");

    testRefuses(&world, ALONE, 0, HEAD DEVICE("0x99", "1") "<iommu model='smmuv3' nested='a&#9;&#xa;&#x85;b'/>" TAIL,
                "viommu: line 1: V13: nested='a???b' means nothing; to fix it, write nested='yes' or nested='no'");
    testRefuses(&world, ALONE, 0, HEAD NESTED "<hub><address type='pci' slot='1&#9;&#x9b;2'/></hub>" TAIL,
                "viommu: line 1: the address of hub has slot='1??2'; give a number from 0 to 0x1f, in hexadecimal with 0x");
    testRefuses(&world, ALONE, 0, HEAD DEVICE("0x99", "1") DEVICE("0x98", "1") NESTED TAIL,
                "viommu: line 1: V02: hostdev '0098:01:00.0' is not on this host (libvirt cannot start the domain: the device is not found); to fix it, name a device that 'viommu host' lists below an SMMU; addresses change with slots and firmware; also "
                "line 1: V02: hostdev '0099:01:00.0' is not on this host (libvirt cannot start the domain: the device is not found); to fix it, name a device that 'viommu host' lists below an SMMU; addresses change with slots and firmware");
}

/* Values of any length are cut off where the text of a finding has 2000 bytes, and between characters. */
static void
testLongValues(void)
{
    static const char front[] = "viommu: line 1: V13: ";
    const testWorld world = testWorldOf("grace");
    size_t len;

    for (len = 1950; len < 2010; len++) {
        g_autofree char *letters = g_strnfill(len, len % 2 ? 'x' : '-');
        g_autofree char *value = len % 4 ? g_strdup(letters) : g_strconcat(letters, "\xe2\x98\x83\xe2\x98\x83", NULL);
        g_autofree char *request = g_strconcat("<iommu model='smmuv3' nested='", value, "'/>", NULL);
        g_autofree char *text = g_strconcat(HEAD DEVICE("2", "1"), request, TAIL, NULL);
        g_autoptr(testOutcome) outcome = testRewrite(&world, ALONE, 0, text, -1, NULL);
        g_autofree char *whole = g_strdup_printf("nested='%s' means nothing", value);
        const char *end = strstr(outcome->words, "; to fix it, ");
        g_autofree char *all = g_strndup(outcome->words, end ? (size_t)(end - outcome->words) : 0);
        const char *told = all + strlen(front);

        if (!g_str_has_prefix(all, front))
            g_error("%s", outcome->words);
        g_assert_true(g_utf8_validate(outcome->words, -1, NULL));
        if (strlen(whole) <= VIOMMU_ERROR_TEXT_MAX) {
            g_assert_cmpstr(told, ==, whole);
            continue;
        }
        g_assert_cmpuint(strlen(told), <=, VIOMMU_ERROR_TEXT_MAX);
        g_assert_cmpuint(strlen(told), >=, VIOMMU_ERROR_TEXT_MAX - strlen("...") - 3);
        g_assert_true(g_str_has_suffix(told, "..."));
    }
}

/* Who asked by policy learns how to keep the domain out. */
static void
testRefusalByPolicy(void)
{
    testWorld world = testWorldOf("grace");

    world.policy = VIOMMU_POLICY_AARCH64;
    testRefuses(&world, ALONE, 0, HEAD DEVICE("0x99", "1") TAIL,
                "viommu: line 1: V02: hostdev '0099:01:00.0' is not on this host (libvirt cannot start the domain: the device is not found); to fix it, name a device that 'viommu host' lists below an SMMU; addresses change with slots and firmware"
                " (the policy of the service asks for it; the extra spec viommu:nested=no keeps a domain out)");
}

static void
testVersions(void)
{
    static const char old[] =
        "viommu: libvirt 8.1 cannot describe a vSMMU per expander bus (8.2 can, by <qemu:override>, and 12.7 in words of its own): update it, or start QEMU with the arguments of 'viommu argv'";
    static const struct {
        uint64_t libvirt;
        uint64_t qemu;
        const char *words; /* NULL: replaced */
    } cases[] = {
        { 8001000, 11001000, old },
        { 8001999, 11001000, old },
        { 8002000, 11001000, NULL },
        { 12006999, 11001000, NULL },
        { 12007000, 11001000, NULL },
        { 13000000, 11001000, NULL },
        { 0, 0, NULL },
        { G_MAXUINT64, G_MAXUINT64, NULL },
        /* more than a number of ours holds, and what is left of it would be old */
        { 4294967301000, 4294967301000, NULL },
        { 12008000, 11000000, NULL },
        { 12008000, 10002050, "viommu: line 1: V18: QEMU 10.2 has no accelerated SMMUv3; to fix it, use QEMU 11.0 or newer" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        testWorld world = testWorldOf("grace");
        g_autoptr(testOutcome) outcome = NULL;

        world.libvirt = cases[i].libvirt;
        world.qemu = cases[i].qemu;
        outcome = testRewrite(&world, ALONE, 0, ASKING, -1, NULL);
        g_test_message("case %zu", i);
        g_assert_cmpstr(outcome->asked, ==, "host, libvirt, qemu");
        g_assert_cmpint(outcome->verdict, ==,
                        cases[i].words ? VIOMMU_REWRITE_REFUSE : VIOMMU_REWRITE_REPLACE);
        if (cases[i].words)
            g_assert_cmpstr(outcome->words, ==, cases[i].words);
        else /* in the words that it has */
            g_assert_cmpint(strstr(outcome->text, "<qemu:override>") != NULL, ==,
                            cases[i].libvirt >= 8002000 && cases[i].libvirt < 12007000);
    }
}

/* An unknown QEMU is as the newest that is known, not as an old one. */
static void
testVersionsMatter(void)
{
    testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) newest = testRewrite(&world, ALONE, 0, ASKING, -1, NULL);
    g_autoptr(testOutcome) unknown = NULL;
    g_autoptr(testOutcome) older = NULL;

    world.qemu = 0;
    unknown = testRewrite(&world, ALONE, 0, ASKING, -1, NULL);
    world.qemu = 11000000;
    older = testRewrite(&world, ALONE, 0, ASKING, -1, NULL);
    g_assert_cmpstr(unknown->text, ==, newest->text);
    g_assert_cmpstr(older->text, !=, newest->text);
}

/* Networks are asked for first, each once, in the order of the domain; then the host is read; versions come
 * last. */
static void
testQuestions(void)
{
    static const struct {
        const char *text;
        viommuPolicy policy;
        const char *network;
        const char *asked;
    } cases[] = {
        { ASKING, VIOMMU_POLICY_OFF, NULL, "host, libvirt, qemu" },
        { HEAD ON_NETWORK("fast") ON_NETWORK("fast") NESTED TAIL, VIOMMU_POLICY_OFF, HOSTDEV_NETWORK,
          "network fast, host, libvirt, qemu" },
        /* an interface that is no network's, and one without a name */
        { HEAD DEVICE("2", "1") "<interface type='bridge'><source network='b'/></interface><interface type='network'/>"
          NESTED TAIL, VIOMMU_POLICY_OFF, NULL, "host, libvirt, qemu" },
        /* a policy finds out whether there is a host device, and no more if there is none */
        { HEAD ON_NETWORK("fast") TAIL, VIOMMU_POLICY_AARCH64, NAT_NETWORK, "network fast, host" },
        { HEAD ON_NETWORK("fast") TAIL, VIOMMU_POLICY_AARCH64, NULL, "network fast, host" },
        { HEAD ON_NETWORK("fast") TAIL, VIOMMU_POLICY_AARCH64, HOSTDEV_NETWORK,
          "network fast, host, libvirt, qemu" },
        { HEAD ON_NETWORK("b") ON_NETWORK("a") ON_NETWORK("b") ON_NETWORK("c") DEVICE("2", "1") TAIL,
          VIOMMU_POLICY_AARCH64, NULL, "network b, network a, network c, host, libvirt, qemu" },
        { HEAD ON_NETWORK("fast") TAIL, VIOMMU_POLICY_SMMUV3, NULL, "" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        testWorld world = testWorldOf("grace");
        g_autoptr(testOutcome) outcome = NULL;

        world.policy = cases[i].policy;
        world.network = cases[i].network;
        outcome = testRewrite(&world, ALONE, 0, cases[i].text, -1, NULL);
        g_assert_cmpstr(outcome->asked, ==, cases[i].asked);
        g_assert_cmpint(outcome->verdict, ==,
                        g_str_has_suffix(cases[i].asked, "qemu") ? VIOMMU_REWRITE_REPLACE
                                                                 : VIOMMU_REWRITE_PASS);
    }
}

static void
testNetworkAnswers(void)
{
#define NOT_GIVEN "viommu: the network 'fast' may hand out host devices, and libvirt does not give it (see 'virsh net-dumpxml'): "
    static const struct {
        const char *network;
        const char *words;
    } cases[] = {
        { NULL, NOT_GIVEN "not here" },
        { "", NOT_GIVEN "line 1: the document is empty" },
        { "<network><name>other</name></network>", NOT_GIVEN "it gives another network" },
        { "<network/>", NOT_GIVEN
          "line 1: the document is not a <network> with a <name>; give the output of virsh net-dumpxml" },
        { "<domain><name>fast</name></domain>", NOT_GIVEN
          "line 1: the document is not a <network> with a <name>; give the output of virsh net-dumpxml" },
        { "<!DOCTYPE network>" HOSTDEV_NETWORK, NOT_GIVEN
          "line 1: document type declarations are refused; remove <!DOCTYPE>" },
        { "<network><name>fast</name><forward mode='hostdev'><pf dev='eth9'/></forward></network>",
          "viommu: line 1: the network 'fast' hands out VFs of 'eth9', and the host has no network interface of that name on PCI" },
        { "<network><name>fast</name><forward mode='hostdev'>"
          "<address type='pci' domain='0x99' bus='1' slot='0' function='0'/></forward></network>",
          "viommu: line 1: the network 'fast' hands out '0099:01:00.0', which the host does not have" },
        { NAT_NETWORK, NULL },
        { HOSTDEV_NETWORK, NULL },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        testWorld world = testWorldOf("grace");
        g_autoptr(testOutcome) outcome = NULL;

        world.network = cases[i].network;
        outcome = testRewrite(&world, ALONE, 0, HEAD ON_NETWORK("fast") DEVICE("6", "1") NESTED TAIL, -1, NULL);
        g_assert_cmpint(outcome->verdict, ==,
                        cases[i].words ? VIOMMU_REWRITE_REFUSE : VIOMMU_REWRITE_REPLACE);
        if (cases[i].words) {
            g_assert_cmpstr(outcome->words, ==, cases[i].words);
            continue;
        }
        g_assert_true(strstr(outcome->words, "smmu3.0x0000000015000000 on bus"));
        g_assert_true(!strstr(outcome->words, "smmu3.0x0000000011000000 on bus") ==
                      !strstr(cases[i].network, "hostdev"));
    }
}

/* For a policy, a network that nobody knows has no host devices; for a request it might have. */
static void
testNetworkUnknown(void)
{
    testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) outcome = NULL;

    world.policy = VIOMMU_POLICY_AARCH64;
    outcome = testRewrite(&world, ALONE, 0, HEAD ON_NETWORK("fast") DEVICE("6", "1") TAIL, -1, NULL);
    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_cmpstr(outcome->words, ==, "vSMMU for smmu3.0x0000000015000000 on bus 1 (0006:01:00.0)");
    testRefuses(&world, ALONE, 0, outcome->text, NOT_GIVEN "not here");
}

/* What a connection remembers: versions for good, networks for one call, the host as long as its mark. */
static void
testPeer(void)
{
    static const char text[] = HEAD ON_NETWORK("fast") NESTED TAIL;
    static const struct {
        bool marks;
        const char *mark;
        const char *host;
        const char *asked;
    } calls[] = {
        { true, "1", "grace", "network fast, host, libvirt, qemu" },
        { true, "1", "grace", "network fast" },
        { true, "1", "grace", "network fast" },
        { true, "2", "grace", "network fast, host" },
        { true, "2", "grace", "network fast" },
        { true, NULL, "grace", "network fast, host" },
        { true, NULL, "grace", "network fast, host" },
        { true, "2", "grace", "network fast, host" },
        { true, "2", NULL, "network fast" },
        { true, "3", NULL, "network fast, host" },
        { true, "2", "grace", "network fast, host" },
        { false, NULL, "grace", "network fast, host" },
        { true, "", "grace", "network fast, host" },
        { true, "", "grace", "network fast" },
    };
    viommuPeer peer = { 0 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        testWorld world = testWorldOf(calls[i].host);
        bool fails = !calls[i].host && g_str_has_suffix(calls[i].asked, "host");
        g_autoptr(testOutcome) outcome = NULL;

        g_test_message("call %zu", i);
        world.network = HOSTDEV_NETWORK;
        world.marks = calls[i].marks;
        world.mark = calls[i].mark;
        outcome = testRewrite(&world, ALONE, 0, text, -1, &peer);
        g_assert_cmpstr(outcome->asked, ==, calls[i].asked);
        g_assert_cmpint(outcome->verdict, ==, fails ? VIOMMU_REWRITE_REFUSE : VIOMMU_REWRITE_REPLACE);
    }
    g_assert_cmpuint(peer.libvirt, ==, 12008);
    g_assert_cmpuint(peer.qemu, ==, 11001);
    viommuPeerClear(&peer);
    g_assert_null(peer.host);
    g_assert_null(peer.hostMark);
    g_assert_false(peer.libvirt || peer.qemu);
}

/* What was read of the host for another domain changes nothing in the next one. */
static void
testPeerDetails(void)
{
    static const char text[] = HEAD
        "<controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='pcie-expander-bus'>"
        "<target busNr='200'/></controller><controller type='pci' index='2' model='pcie-root-port'>" ADDRESS("1")
        "</controller><controller type='pci' index='3' model='pcie-root-port'>"
        "<address type='pci' bus='1' slot='1'/></controller>" VF_AT("1", "2") NESTED TAIL;
    testWorld world = testWorldOf("grace");
    viommuPeer peer = { 0 };
    g_autoptr(testOutcome) first = NULL;
    g_autoptr(testOutcome) other = NULL;
    g_autoptr(testOutcome) again = NULL;

    world.marks = true;
    world.mark = "a";
    first = testRewrite(&world, ALONE, 0, text, -1, &peer);
    other = testRewrite(&world, ALONE, 0, HEAD DEVICE("2", "1") NESTED TAIL, -1, &peer);
    again = testRewrite(&world, ALONE, 0, text, -1, &peer);
    g_assert_cmpint(first->verdict, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_cmpint(other->verdict, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_cmpstr(first->text, ==, again->text);
    viommuPeerClear(&peer);
}

/* What libvirt does not tell is asked for again in the next call. */
static void
testPeerSilent(void)
{
    static const struct {
        uint64_t libvirt, qemu;
        const char *asked;
    } calls[] = {
        { 0, 0, "host, libvirt, qemu" },
        { 0, 11001000, "host, libvirt, qemu" },
        { 12008000, 0, "host, libvirt" },
        { 0, 0, "host" },
    };
    viommuPeer peer = { 0 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        testWorld world = testWorldOf("grace");
        g_autoptr(testOutcome) outcome = NULL;

        world.libvirt = calls[i].libvirt;
        world.qemu = calls[i].qemu;
        outcome = testRewrite(&world, ALONE, 0, ASKING, -1, &peer);
        g_assert_cmpstr(outcome->asked, ==, calls[i].asked);
        g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
    }
    viommuPeerClear(&peer);
}

/* Another host with another mark is seen, and another policy, too. */
static void
testPeerChanges(void)
{
    testWorld world = testWorldOf("grace");
    viommuPeer peer = { 0 };
    g_autoptr(testOutcome) there = NULL;
    g_autoptr(testOutcome) gone = NULL;
    g_autoptr(testOutcome) passed = NULL;

    world.marks = true;
    world.mark = "a";
    world.policy = VIOMMU_POLICY_AARCH64;
    there = testRewrite(&world, ALONE, 0, HEAD DEVICE("2", "1") TAIL, -1, &peer);
    g_assert_cmpint(there->verdict, ==, VIOMMU_REWRITE_REPLACE);
    world.host = "one-smmu";
    world.mark = "b";
    gone = testRewrite(&world, ALONE, 0, HEAD DEVICE("2", "1") TAIL, -1, &peer);
    g_assert_cmpint(gone->verdict, ==, VIOMMU_REWRITE_REFUSE);
    g_assert_true(g_str_has_prefix(gone->words, "viommu: line 1: V02: hostdev '0002:01:00.0' is not on this host"));
    world.policy = VIOMMU_POLICY_OFF;
    passed = testRewrite(&world, ALONE, 0, HEAD DEVICE("2", "1") TAIL, -1, &peer);
    g_assert_cmpint(passed->verdict, ==, VIOMMU_REWRITE_PASS);
    viommuPeerClear(&peer);
}

/* A text of so many bytes that asks. */
static char *
makeLong(size_t size)
{
    g_autofree char *padding = g_strnfill(size - strlen(ASKING), ' ');

    return g_strconcat(ASKING, padding, NULL);
}

static void
testTooLarge(void)
{
    static const char refused[] =
        "viommu: the expanded document would be larger than 4194304 bytes, libvirt's limit for one string";
    const testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) small = testRewrite(&world, ALONE, 0, ASKING, -1, NULL);
    size_t more = strlen(small->text) - strlen(ASKING);
    g_autofree char *fits = makeLong(VIOMMU_XML_MAX - more);
    g_autofree char *tooLong = makeLong(VIOMMU_XML_MAX - more + 1);
    g_autofree char *muchTooLong = makeLong(VIOMMU_XML_MAX + 1);
    g_autoptr(testOutcome) outcome = testRewrite(&world, ALONE, 0, fits, -1, NULL);

    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_cmpuint(strlen(outcome->text), ==, VIOMMU_XML_MAX);
    testRefuses(&world, ALONE, 0, tooLong, refused);
    testRefuses(&world, ALONE, 0, muchTooLong,
                "viommu: the document is larger than 4194304 bytes, libvirt's limit for one string");
}

/* <a><a>...</a></a> around @middle */
static char *
makeDeep(size_t depth, const char *middle)
{
    GString *out = g_string_new("<domain>");
    size_t i;

    for (i = 0; i < depth; i++)
        g_string_append(out, "<a>");
    g_string_append(out, middle);
    for (i = 0; i < depth; i++)
        g_string_append(out, "</a>");
    g_string_append(out, "</domain>");
    return g_string_free(out, FALSE);
}

static char *
makeAttributes(size_t count, const char *more)
{
    GString *out = g_string_new("<domain>\n<hub");
    size_t i;

    for (i = 0; i < count; i++)
        g_string_append_printf(out, " a%zu='%s'", i, i == 0 ? more : "");
    g_string_append(out, "/></domain>");
    return g_string_free(out, FALSE);
}

static char *
makeDevices(const char *more)
{
    GString *out = g_string_new("<domain><devices>");
    size_t i;

    for (i = 0; i < VIOMMU_DEVICES_MAX; i++)
        g_string_append(out, "<hub/>");
    g_string_append_printf(out, "%s<hub/></devices></domain>", more);
    return g_string_free(out, FALSE);
}

/* What another parser may read, though ours does not, passes only if it cannot ask for anything. */
static void
checkUnreadable(const char *text, gssize len, viommuPolicy policy, const char *words)
{
    testWorld world = testWorldOf(NULL);
    g_autofree char *snapshot =
        len < 0 && g_str_has_prefix(text, "<domain") ? g_strconcat("<s>", text, "</s>", NULL) : NULL;
    g_autoptr(testOutcome) outcome = NULL;

    world.policy = policy;
    outcome = testRewrite(&world, ALONE, 0, text, len, NULL);
    g_assert_cmpstr(outcome->words, ==, words);
    g_assert_cmpstr(outcome->asked, ==, "");
    if (snapshot && words) {
        g_autoptr(testOutcome) embedded = testRewrite(&world, EMBEDDED, 0, snapshot, -1, NULL);

        g_assert_cmpint(embedded->verdict, ==, VIOMMU_REWRITE_REFUSE);
    }
}

static void
testUnreadable(void)
{
#define OFF VIOMMU_POLICY_OFF
#define AARCH64 VIOMMU_POLICY_AARCH64
    static const char doctype[] = "viommu: line 1: document type declarations are refused; remove <!DOCTYPE>";
    static const char latin[] =
        "viommu: line 1: the document says that it is in encoding 'ISO-8859-1'; convert it to UTF-8";
    static const char hidden[] =
        "viommu: line 1: the document says that it is in encoding 'UTF-7'; convert it to UTF-8";
    static const char bytes[] = "viommu: line 1: byte 0xfc is not UTF-8 text; convert the document to UTF-8";
    static const char nul[] = "viommu: line 1: byte 0x00 is not UTF-8 text; convert the document to UTF-8";
    static const char slot[] =
        "viommu: line 1: the address of hub has slot='32'; give a number from 0 to 0x1f, in hexadecimal with 0x";
    static const struct {
        const char *text;
        gssize len;
        viommuPolicy policy;
        const char *words; /* NULL: it passes */
    } cases[] = {
        { "<!DOCTYPE domain>" ASKING, -1, OFF, doctype },
        { "<!DOCTYPE domain><domain><a name='viommu:cmdqv'/></domain>", -1, OFF, doctype },
        { "<!DOCTYPE domain><domain><hostdev/></domain>", -1, OFF, NULL },
        { "<!DOCTYPE domain><domain><hostdev/></domain>", -1, AARCH64, doctype },
        { "<!DOCTYPE domain><domain type='network'/>", -1, OFF, NULL },
        { "<!DOCTYPE domain><domain type='network'/>", -1, VIOMMU_POLICY_SMMUV3, doctype },
        { "<!DOCTYPE domain><domain/>", -1, AARCH64, NULL },
        { "<!DOCTYPE domain [<!ENTITY n \"yes\">]><domain/>", -1, OFF, doctype },
        { "<!DOCTYPE domain><domain><a>&#110;este&#x64;</a></domain>", -1, OFF, doctype },
        { "<!DOCTYPE domain><domain><a>&amp; #110;</a></domain>", -1, OFF, NULL },
        { "<?xml version='1.0' encoding='ISO-8859-1'?>" ASKING, -1, OFF, latin },
        { "<?xml version='1.0' encoding='ISO-8859-1'?><domain/>", -1, OFF, NULL },
        { "<?xml version=\"1.0\" encoding = \"us-ascii\"?><domain/>", -1, OFF, NULL },
        /* one that can hide ASCII: here "nested" */
        { "<?xml version='1.0' encoding='UTF-7'?><domain><iommu +AG4-ested='yes'/></domain>", -1, OFF, hidden },
        { "<?xml\nversion='1.0'\nencoding='UTF-7'\nstandalone='yes'?><domain/>", -1, OFF, hidden },
        { "<domain><iommu model='smmuv3\xfc'/></domain>", -1, OFF, bytes },
        { "<domain><hostdev a='\xfc'/></domain>", -1, OFF, NULL },
        { "<domain><hostdev a='\xfc'/></domain>", -1, AARCH64, bytes },
        { "<domain smmuv3=''/>\0", 20, OFF, nul },
        { "<domain/>\0<a smmuv3=''/>", 24, OFF, nul },
        { "<domain/>\0", 10, AARCH64, NULL },
        /* namespaces that are not declared, which libxml2 notes only */
        { "<domain><x:a smmuv3=''/></domain>", -1, OFF,
          "viommu: line 1: namespace prefix x on a is not defined" },
        { "<domain><x:a/></domain>", -1, AARCH64, NULL },
        /* read, but no domain that libvirt takes */
        { "<domain><devices>" NESTED "<hub><address type='pci' slot='32'/></hub></devices></domain>", -1, OFF, slot },
        { "<domain><devices><hub><address type='pci' slot='32'/></hub></devices></domain>", -1, AARCH64, NULL },
        { "<domain><devices><hub><address type='pci' slot='32'/></hub><hostdev/></devices></domain>", -1, OFF, NULL },
        { "<domain><devices><hub><address type='pci' slot='32'/></hub><hostdev/></devices></domain>", -1, AARCH64,
          slot },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %zu", i);
        checkUnreadable(cases[i].text, cases[i].len, cases[i].policy, cases[i].words);
    }
}

/* Texts that are made. */
static void
testUnreadableBig(void)
{
    static const char attributes[] = "viommu: line 2: an element has more than 1000 attributes; remove some";
    static const char devices[] = "viommu: line 1: the domain has more than 20000 devices; remove some";
    g_autofree char *deep = makeDeep(3000, "");
    g_autofree char *deepAsking = makeDeep(3000, NESTED);
    g_autofree char *deepNetwork = makeDeep(3000, "<network/>");
    g_autofree char *many = makeAttributes(1001, "");
    g_autofree char *manyAsking = makeAttributes(1001, "smmuv3");
    g_autofree char *notSoMany = makeAttributes(1000, "smmuv3");
    g_autofree char *full = makeDevices("");
    g_autofree char *fullAsking = makeDevices(NESTED);
    const testWorld world = testWorldOf(NULL);
    g_autoptr(testOutcome) outcome = testRewrite(&world, ALONE, 0, deepAsking, -1, NULL);

    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REFUSE);
    checkUnreadable(deepAsking, -1, OFF, outcome->words);
    checkUnreadable(deepNetwork, -1, AARCH64, outcome->words);
    checkUnreadable(deep, -1, AARCH64, NULL);
    checkUnreadable(many, -1, AARCH64, NULL);
    checkUnreadable(manyAsking, -1, OFF, attributes);
    checkUnreadable(notSoMany, -1, OFF, NULL);
    checkUnreadable(full, -1, AARCH64, NULL);
    checkUnreadable(fullAsking, -1, OFF, devices);
}

/* 300 levels are too many for the libxml2 here, or not; one that asks does not pass either way. */
static void
testUnreadableHere(void)
{
    g_autofree char *deep = makeDeep(300, "");
    g_autofree char *inside = testChange(ASKING, "<devices>", "<metadata/><devices>");
    g_autofree char *metadata = g_strdup_printf("<metadata>%s</metadata>", deep);
    g_autofree char *asking = testChange(inside, "<metadata/>", metadata);
    const testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) outcome = testRewrite(&world, ALONE, 0, asking, -1, NULL);

    testPasses(&world, ALONE, 0, deep, "");
    g_assert_cmpint(outcome->verdict, !=, VIOMMU_REWRITE_PASS);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/rewrite/passing", testPassing);
    g_test_add_func("/rewrite/nova", testNova);
    g_test_add_func("/rewrite/words", testWords);
    g_test_add_func("/rewrite/refusals", testRefusals);
    g_test_add_func("/rewrite/refusals-of-many", testRefusalsOfMany);
    g_test_add_func("/rewrite/long-values", testLongValues);
    g_test_add_func("/rewrite/refusal-by-policy", testRefusalByPolicy);
    g_test_add_func("/rewrite/versions", testVersions);
    g_test_add_func("/rewrite/versions-matter", testVersionsMatter);
    g_test_add_func("/rewrite/questions", testQuestions);
    g_test_add_func("/rewrite/network-answers", testNetworkAnswers);
    g_test_add_func("/rewrite/network-unknown", testNetworkUnknown);
    g_test_add_func("/rewrite/peer", testPeer);
    g_test_add_func("/rewrite/peer-details", testPeerDetails);
    g_test_add_func("/rewrite/peer-silent", testPeerSilent);
    g_test_add_func("/rewrite/peer-changes", testPeerChanges);
    g_test_add_func("/rewrite/too-large", testTooLarge);
    g_test_add_func("/rewrite/unreadable", testUnreadable);
    g_test_add_func("/rewrite/unreadable-big", testUnreadableBig);
    g_test_add_func("/rewrite/unreadable-here", testUnreadableHere);
    return g_test_run();
}
