/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Domains that come in the place of one that was expanded, without notes of it: what they take over, and when. That
 * host devices then stay where they are is also a property of propertyview.c.
 */
#include "rewritetestutils.h"
#include "viommu_inherit.h"
#include "viommuerror.h"

#include <string.h>

#define ID "c7a5fdbd-cdaf-9455-926a-d65c16db1809"
#define UUID "<uuid>" ID "</uuid>"
#define OTHER_UUID "<uuid>c7a5fdbd-cdaf-9455-926a-d65c16db180a</uuid>"
#define NAMED(uuid, devices) "<domain type='kvm'><name>d</name>" uuid "<os firmware='efi'>" \
    "<type arch='aarch64' machine='virt'>hvm</type></os><features><acpi/><gic version='3'/></features><devices>" devices \
    TAIL
#define OWN(devices) NAMED(UUID, devices)

/* On grace these are behind an SMMU each: 11, 12 and 15. */
#define GPU DEVICE("2", "1")
#define NVME DEVICE("3", "1")
#define FAR_GPU DEVICE("6", "1")

static viommuDomain *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    viommuDomain *dom = viommuDomainParse(text, strlen(text), &error);

    g_assert_no_error(error);
    return dom;
}

/* The expansion of @text, as libvirt has it. */
static char *
place(const char *text)
{
    const testWorld world = testWorldOf("grace");

    return testPlace(&world, text);
}

static char *
inherit(const char *own, const char *before)
{
    g_autoptr(viommuDomain) dom = parse(own);
    g_autoptr(viommuDomain) old = parse(before);
    size_t len = 0;
    char *text = viommuInherit(dom, old, &len);

    if (text)
        g_assert_cmpuint(len, ==, strlen(text));
    return text;
}

/* What is put in, word for word. */
static void
testText(void)
{
    static const char before[] =
        "<domain type='kvm'>\n  <name>d</name>\n  " UUID "\n  <metadata>\n"
        "    <viommu:domain xmlns:viommu='urn:viommu:domain:1'>\n      <viommu:request sparePorts='1'/>\n"
        "      <viommu:vsmmu smmu='smmu3.0x&amp;1' controller='3'>\n"
        "        <viommu:port controller='4' device='0002:01:00.0'/>\n        <viommu:port controller='5'/>\n"
        "      </viommu:vsmmu>\n    </viommu:domain>\n  </metadata>\n  <devices>\n"
        "    <controller type='pci' index='3' model='pcie-expander-bus'>\n      <target busNr='253'/>\n"
        "    </controller>\n    <controller type='pci' index='1' model='pcie-root-port'/>\n"
        "    <controller type='pci' index='4' model='pcie-root-port'>\n"
        "      <address type='pci' bus='0x03' slot='0x00'/>\n    </controller>\n"
        "    <controller type='pci' index='5' model='pcie-root-port'>\n"
        "      <address type='pci' bus='0x03' slot='0x01'/>\n    </controller>\n"
        "    <hostdev mode='subsystem' type='pci'>\n      " SOURCE("2", "1", "0", "0") "\n"
        "      <address type='pci'\n        bus='0x04'/>\n    </hostdev>\n"
        "    <memballoon model='virtio'>\n      <address type='pci' bus='0x01'/>\n    </memballoon>\n"
        "  </devices>\n</domain>\n";
    static const char notes[] =
        "<viommu:domain xmlns:viommu='urn:viommu:domain:1'><viommu:vsmmu smmu=\"smmu3.0x&amp;1\" controller=\"3\">"
        "<viommu:port controller=\"4\" device=\"0002:01:00.0\"/><viommu:port controller=\"5\"/></viommu:vsmmu>"
        "</viommu:domain>";
    static const char controllers[] =
        "<controller type='pci' index='3' model='pcie-expander-bus'><target busNr='253'/></controller>"
        "<controller type='pci' index='4' model='pcie-root-port'>"
        "<address type='pci' bus='0x03' slot='0x00'/></controller>"
        "<controller type='pci' index='5' model='pcie-root-port'>"
        "<address type='pci' bus='0x03' slot='0x01'/></controller>";
    static const char addr[] = "<address type='pci'\n        bus='0x04'/>";
    static const struct {
        const char *own;
        bool metadata; /* <metadata> comes with the notes */
        const char *own2; /* the parts of it between the insertions */
        const char *own3;
        const char *own4;
    } cases[] = {
        { "<domain>" UUID "<devices>" HOSTDEV SOURCE("2", "1", "0", "0"), true, "</hostdev>" NVME NESTED, "</devices>",
          "</domain>" },
        { "<domain>\n" UUID "<devices>\n" HOSTDEV SOURCE("2", "1", "0", "0") "\n", true,
          "</hostdev>\n" NESTED "<memballoon model='virtio'/>", "</devices>\n", "</domain>\n<!-- end -->" },
    };
    g_autofree char *squashed = g_strdelimit(g_strdup(addr), "\n", ' ');
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *own = g_strconcat(cases[i].own, cases[i].own2, cases[i].own3, cases[i].own4, NULL);
        g_autofree char *expected = g_strconcat(cases[i].own, squashed, cases[i].own2, controllers, cases[i].own3,
                                                "<metadata>", notes, "</metadata>", cases[i].own4, NULL);
        g_autofree char *text = inherit(own, before);

        g_test_message("case %zu", i);
        g_assert_cmpstr(text, ==, expected);
    }
    {
        static const char own[] = "<domain>" UUID "<metadata><a/></metadata><devices>" NESTED "</devices></domain>";
        g_autofree char *text = inherit(own, before);
        g_autofree char *expected = g_strconcat("<domain>" UUID "<metadata><a/>", notes, "</metadata><devices>" NESTED,
                                                controllers, "</devices></domain>", NULL);

        g_assert_cmpstr(text, ==, expected);
    }
}

/* Nothing is taken over. */
static void
testNothing(void)
{
    static const struct {
        const char *name;
        const char *own;
        const char *before; /* NULL: the expansion of what follows */
        const char *asks;
    } cases[] = {
        { "no UUID", HEAD GPU NESTED TAIL, NULL, OWN(GPU NESTED) },
        { "no UUID before", OWN(GPU NESTED), NULL, HEAD GPU NESTED TAIL },
        { "another UUID", NAMED(OTHER_UUID, GPU NESTED), NULL, OWN(GPU NESTED) },
        { "a UUID that is none", NAMED("<uuid>1</uuid>", GPU NESTED), NULL, NAMED("<uuid>1</uuid>", GPU NESTED) },
        { "it asks for nothing", OWN(GPU), NULL, OWN(GPU NESTED) },
        { "it is withdrawn", OWN(GPU "<iommu model='smmuv3' nested='no'/>"), NULL, OWN(GPU NESTED) },
        { "it has notes",
          NAMED(UUID "<metadata><viommu:domain xmlns:viommu='urn:viommu:domain:1'/></metadata>", GPU NESTED), NULL,
          OWN(GPU NESTED) },
        { "nothing was expanded", OWN(GPU NESTED), OWN(GPU NESTED), NULL },
        { "a controller of that index",
          OWN(GPU NESTED "<controller type='pci' index='2' model='pcie-root-port'/>"), NULL, OWN(GPU NESTED) },
        { "a controller below",
          OWN(GPU NESTED "<controller type='pci' index='9' model='pcie-root-port'>" ADDRESS("0x01") "</controller>"),
          NULL, OWN(GPU NESTED) },
        { "a device on a port", OWN(GPU NESTED "<memballoon model='virtio'>" ADDRESS("0x02") "</memballoon>"), NULL,
          OWN(GPU NESTED) },
        { "a vSMMU on the bus", OWN(GPU NESTED "<iommu model='smmuv3'><driver pciBus='1'/></iommu>"), NULL,
          OWN(GPU NESTED) },
        { "a bus of the user's",
          OWN(GPU NESTED), NULL,
          OWN("<controller type='pci' index='1' model='pcie-expander-bus'/>"
              "<controller type='pci' index='2' model='pcie-root-port'>" ADDRESS("0x01") "</controller>"
              DEVICE_AT("2", "1", "0x02") NESTED) },
        { "a port of the user's", OWN(GPU NESTED),
          NAMED(UUID "<metadata><viommu:domain xmlns:viommu='urn:viommu:domain:1'>"
                "<viommu:vsmmu smmu='a' controller='1'><viommu:port controller='2' own='no'/></viommu:vsmmu></viommu:domain></metadata>",
                "<controller type='pci' index='1' model='pcie-expander-bus'/>"), NULL },
        { "metadata without an end", NAMED(UUID "<metadata/>", GPU NESTED), NULL, OWN(GPU NESTED) },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *placed = cases[i].before ? g_strdup(cases[i].before) : place(cases[i].asks);
        g_autofree char *text = inherit(cases[i].own, placed);

        g_test_message("%s", cases[i].name);
        g_assert_cmpstr(text, ==, NULL);
    }
}

/* The text of @outcome, which is one that replaces, is that of expanding @expected. */
static void
assertDefined(const testOutcome *outcome, const char *expected)
{
    g_autofree char *text = place(expected);
    g_autoptr(viommuDomain) one = parse(outcome->text ? outcome->text : outcome->words);
    g_autoptr(viommuDomain) two = parse(text);
    size_t i;

    g_assert_cmpuint(one->devices->len, ==, two->devices->len);
    for (i = 0; i < one->devices->len; i++) {
        const viommuDevice *is = g_ptr_array_index(one->devices, i);
        const viommuDevice *shall = g_ptr_array_index(two->devices, i);

        g_assert_cmpstr(is->key, ==, shall->key);
        g_assert_cmpuint(is->addr.bus, ==, shall->addr.bus);
    }
}

/* Where a host device of @text is: "bus of the expander bus its port is on / index of the port". */
static char *
whereIs(const char *text, const char *key)
{
    g_autoptr(viommuDomain) dom = parse(text);
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (g_strcmp0(device->key, key) == 0)
            return g_strdup_printf("%d/%u", viommuDomainFindExpander(dom, device->addr.bus)->busNr, device->addr.bus);
    }
    return NULL;
}

/* A definition asks for the domain of its UUID, once, and after all else; what else carries a domain does not. */
static void
testAsked(void)
{
    static const struct {
        viommuRewriteKind kind;
        const char *text;
        const char *asked;
    } cases[] = {
        { VIOMMU_REWRITE_DEFINE, OWN(GPU NESTED), "host, libvirt, qemu, defined " ID },
        { VIOMMU_REWRITE_DOMAIN, OWN(GPU NESTED), "host, libvirt, qemu" },
        { VIOMMU_REWRITE_DEFINE, HEAD GPU NESTED TAIL, "host, libvirt, qemu" },
        { VIOMMU_REWRITE_DEFINE, OWN(GPU), "" },
        { VIOMMU_REWRITE_EMBEDDED, "<domainsnapshot>" OWN(GPU NESTED) "</domainsnapshot>", "host, libvirt, qemu" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        const testWorld world = testWorldOf("grace");
        g_autoptr(testOutcome) outcome = testRewrite(&world, cases[i].kind, 0, cases[i].text, -1, NULL);

        g_assert_cmpstr(outcome->asked, ==, cases[i].asked);
    }
}

/* One more device, and one less: the others stay where they are. Without what was before they would not. */
static void
testDefined(void)
{
    static const struct {
        const char *before;
        const char *own;
        bool moves; /* without it */
    } cases[] = {
        { OWN(GPU FAR_GPU NESTED), OWN(GPU NVME FAR_GPU NESTED), true },
        { OWN(GPU NVME FAR_GPU NESTED), OWN(GPU FAR_GPU NESTED), true },
        { OWN(GPU FAR_GPU NESTED), OWN(FAR_GPU GPU NESTED), false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        testWorld world = testWorldOf("grace");
        g_autofree char *before = place(cases[i].before);
        g_autofree char *alone = place(cases[i].own);
        g_autofree char *was = whereIs(before, "0006:01:00.0");
        g_autofree char *without = whereIs(alone, "0006:01:00.0");
        g_autofree char *is = NULL;
        g_autoptr(testOutcome) outcome = NULL;

        world.inactive = before;
        outcome = testRewrite(&world, VIOMMU_REWRITE_DEFINE, 0, cases[i].own, -1, NULL);
        g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
        is = whereIs(outcome->text, "0006:01:00.0");
        g_assert_cmpstr(is, ==, was);
        g_assert_true((strcmp(without, was) != 0) == cases[i].moves);
    }
}

/* What libvirt has is no use, or no domain at all: the file is placed as if there were nothing. */
static void
testUseless(void)
{
    static const char *const cases[] = { NULL, "", "no XML", "<domain>", "<network/>", OWN(GPU NESTED) };
    static const char own[] = OWN(GPU NESTED);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        testWorld world = testWorldOf("grace");
        g_autoptr(testOutcome) outcome = NULL;

        world.inactive = cases[i];
        outcome = testRewrite(&world, VIOMMU_REWRITE_DEFINE, 0, own, -1, NULL);
        g_test_message("case %zu", i);
        assertDefined(outcome, own);
    }
}

/* The domain before has its bus where the user now wants a device: all is placed anew, and not refused. */
static void
testFallback(void)
{
    static const char taken[] =
        OWN(GPU NESTED "<memballoon model='virtio'><address type='pci' bus='0' slot='0x1f'/></memballoon>");
    testWorld world = testWorldOf("grace");
    g_autofree char *before = place(OWN(GPU NESTED));
    g_autoptr(testOutcome) outcome = NULL;

    g_assert_nonnull(strstr(before, "slot='0x1f'"));
    world.inactive = before;
    outcome = testRewrite(&world, VIOMMU_REWRITE_DEFINE, 0, taken, -1, NULL);
    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
    assertDefined(outcome, taken);
}

/* A policy asks for no domain that has notes, and so nothing is taken over: the domain is placed as if there were
 * nothing, and keeps its vSMMUs. */
static void
testPolicy(void)
{
    static const char own[] = OWN(GPU FAR_GPU "<iommu model='smmuv3'/>");
    testWorld world = testWorldOf("grace");
    g_autofree char *before = NULL;
    g_autoptr(testOutcome) outcome = NULL;

    world.policy = VIOMMU_POLICY_SMMUV3;
    before = testPlace(&world, own);
    world.inactive = before;
    outcome = testRewrite(&world, VIOMMU_REWRITE_DEFINE, 0, own, -1, NULL);
    g_assert_cmpstr(outcome->asked, ==, "host, libvirt, qemu");
    g_assert_cmpstr(outcome->text, ==, before);
}

/* Lines are those of the user's file. */
static void
testLines(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *before = place(OWN(GPU NESTED));
    g_autoptr(testOutcome) outcome = NULL;

    world.inactive = before;
    outcome = testRewrite(&world, VIOMMU_REWRITE_DEFINE, 0, OWN("\n" GPU "\n" NESTED "\n" DEVICE("0x99", "1")), -1,
                          NULL);
    testBegins(outcome, "viommu: line 4: V02: hostdev '0099:01:00.0' is not on this host");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inherit/text", testText);
    g_test_add_func("/inherit/nothing", testNothing);
    g_test_add_func("/inherit/asked", testAsked);
    g_test_add_func("/inherit/defined", testDefined);
    g_test_add_func("/inherit/useless", testUseless);
    g_test_add_func("/inherit/fallback", testFallback);
    g_test_add_func("/inherit/policy", testPolicy);
    g_test_add_func("/inherit/lines", testLines);
    return g_test_run();
}
