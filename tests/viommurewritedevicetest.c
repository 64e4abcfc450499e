/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of devices that are plugged into, or changed in, domains that have vSMMUs.
 */
#include "rewritetestutils.h"

#include <string.h>

#define ATTACH VIOMMU_REWRITE_ATTACH
#define UPDATE VIOMMU_REWRITE_UPDATE
#define LIVE VIOMMU_REWRITE_LIVE
#define CONFIG VIOMMU_REWRITE_CONFIG

/* That the text alone decides: each with the address that goes into it, and nothing else changes. */
static void
testTexts(void)
{
    static const struct {
        const char *before;
        const char *after;
    } cases[] = {
        { HOSTDEV SOURCE("2", "3", "0", "0"), "</hostdev>" },
        { "<?xml version='1.0' encoding='utf-8'?>\n<!-- <hostdev> -->\n" HOSTDEV SOURCE("2", "3", "0", "0"),
          "</hostdev>\n<!-- </hostdev> -->\n\n" },
        { HOSTDEV "\r\n\t" SOURCE("2", "3", "0", "0") "\r\n<!-- <address type='pci'/> --><alias name='ua-a'/>",
          "\n</hostdev\n>" },
        { HOSTDEV "<driver name='vfio'/>" SOURCE("2", "3", "0", "0") "<rom bar='off'/>", "</hostdev> \t\n" },
        { "<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:99'/>"
          "<source><address type='pci' domain='2' bus='3' slot='0' function='0'/></source>", "</interface>" },
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    size_t i;

    world.live = domain;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat(cases[i].before, cases[i].after, NULL);
        g_autofree char *expected = g_strconcat(cases[i].before, ADDRESS("0x03"), cases[i].after, NULL);

        g_test_message("case %zu", i);
        testReplaces(&world, ATTACH, LIVE, text, expected);
    }
}

/* An address that says nothing is replaced by one that does. */
static void
testEmptyAddresses(void)
{
    static const char *const addresses[] = {
        "<address type='pci'/>",
        "<address type='pci'></address>",
        ADDRESS("0x00"),
        "<address type='pci' domain='0' bus='0' slot='0' function='0' multifunction='off'/>",
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    size_t i;

    world.live = domain;
    for (i = 0; i < G_N_ELEMENTS(addresses); i++) {
        g_autofree char *text =
            g_strconcat(HOSTDEV "\n", addresses[i], "\n", SOURCE("2", "3", "0", "0"), "</hostdev>\n", NULL);

        g_test_message("%s", addresses[i]);
        testReplaces(&world, ATTACH, LIVE, text,
                     HOSTDEV "\n" ADDRESS("0x03") "\n" SOURCE("2", "3", "0", "0") "</hostdev>\n");
    }
}

/* An element without content gets some. */
static void
testSelfClosed(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, HEAD PORT("1") PORT("2") DEVICE("2", "1") SPARE("1") TAIL);

    world.live = domain;
    testReplaces(&world, ATTACH, LIVE, "<rng model='virtio'/>",
                 "<rng model='virtio'>" ADDRESS("0x01") "</rng>");
    testReplaces(&world, ATTACH, LIVE, "<?a?>\n<rng\n model='virtio' /><!-- > -->\n",
                 "<?a?>\n<rng\n model='virtio'>\n  " ADDRESS("0x01") "\n</rng><!-- > -->\n");
    testReplaces(&world, ATTACH, LIVE, "<rng model='virtio'></rng>",
                 "<rng model='virtio'>" ADDRESS("0x01") "</rng>");
}

/* What is asked, and of which domain. */
static void
testQuestions(void)
{
    static const struct {
        unsigned flags;
        const char *asked;
    } cases[] = {
        { 0, "domain, host" },
        { LIVE, "domain, host" },
        { CONFIG, "inactive, host" },
        { LIVE | CONFIG, "domain, inactive, host" },
        { 4, "domain, host" },
        { 4 | CONFIG, "inactive, host" },
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    size_t i;

    world.live = world.inactive = domain;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(testOutcome) outcome =
            testRewrite(&world, ATTACH, cases[i].flags, DEVICE("2", "3"), -1, NULL);

        g_assert_cmpstr(outcome->asked, ==, cases[i].asked);
        g_assert_cmpstr(outcome->text, ==, DEVICE_AT("2", "3", "0x03"));
        g_assert_cmpstr(outcome->words, ==, "hostdev '0002:03:00.0' at 0000:03:00.0");
        g_assert_cmpstr(outcome->name, ==, "d");
    }
}

/* Domains in which it does not matter where a device goes are not even read, nor is the host. */
static void
testOtherDomains(void)
{
    static const char *const domains[] = {
        NULL,
        "",
        HEAD TAIL,
        HEAD DEVICE("2", "1") "<iommu model='virtio'/>" TAIL,
        "this is no domain",
        /* smmuv3, but on no expander bus */
        HEAD "<iommu model='smmuv3'/>" TAIL,
        HEAD "<iommu model='smmuv3'><driver pciBus='0'/></iommu>" TAIL,
        HEAD "<iommu model='smmuv3'><driver pciBus='7'/></iommu>" TAIL,
        HEAD PORT("1") "<iommu model='smmuv3'><driver pciBus='1'/></iommu>" TAIL,
        HEAD "<controller type='pci' index='1' model='pcie-expander-bus'/>"
             "<iommu model='intel'><driver pciBus='1'/></iommu><!-- smmuv3 -->" TAIL,
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(domains); i++) {
        testWorld world = testWorldOf(NULL);

        g_test_message("case %zu", i);
        world.live = domains[i];
        world.inactive = domains[i];
        testPasses(&world, ATTACH, LIVE, DEVICE("0x99", "3"), "domain");
        testPasses(&world, ATTACH, CONFIG, DEVICE("0x99", "3"), "inactive");
        testPasses(&world, UPDATE, LIVE | CONFIG, DEVICE("0x99", "3"), "domain, inactive");
    }
}

/* A domain that asks, and has no vSMMU as it has no device yet. */
static void
testNoVSMMU(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testGoldenRead("again-none-left.grace.xml");
    g_autoptr(testOutcome) outcome = NULL;

    world.live = domain;
    outcome = testRewrite(&world, ATTACH, LIVE, DEVICE("2", "1"), -1, NULL);
    testBegins(outcome, "viommu: V05: hostdev '0002:01:00.0' is behind smmu3.0x0000000011000000, and the domain has no vSMMU for that (");
    g_assert_cmpstr(outcome->asked, ==, "domain, host");
    testPasses(&world, ATTACH, LIVE, "<rng model='virtio'/>", "domain, host");
    /* There is no place for a device in it. */
    world.live = "<domain><metadata><viommu:domain xmlns:viommu='urn:viommu:domain:1'><viommu:request/></viommu:domain>"
                 "</metadata><devices/></domain>";
    testPasses(&world, ATTACH, LIVE, DEVICE("2", "1"), "domain");
}

/* One that cannot be read, and has vSMMUs perhaps. */
static void
testUnreadableDomain(void)
{
    testWorld world = testWorldOf("grace");

    world.live = "<domain><iommu model='smmuv3'></domain>";
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"),
                "viommu: line 1: opening and ending tag mismatch: iommu line 1 and domain");
}

/* Each goes below the vSMMU of its own SMMU, or nowhere. */
static void
testRightSMMU(void)
{
#define V05 "V05: hostdev "
#define ANEW ", and start it anew"
    static const struct {
        const char *device;
        const char *text; /* NULL: refused */
        const char *words;
    } cases[] = {
        { DEVICE("7", "1"), DEVICE_AT("7", "1", "0x05"), "hostdev '0007:01:00.0' at 0000:05:00.0" },
        { DEVICE("2", "3"), NULL,
          "viommu: " V05 "'0002:03:00.0' is behind smmu3.0x0000000011000000, and no root port below its vSMMU is free (libvirt would put it on pcie.0, outside of all vSMMUs); to fix it, unplug another device of that SMMU; or define the domain with the device in it, or with <placement sparePorts='1'/> in its request" ANEW },
        { DEVICE("9", "1"), NULL,
          "viommu: " V05 "'0009:01:00.0' is behind smmu3.0x0000000016000000, and the domain has no vSMMU for that (libvirt would put it on pcie.0 or below another vSMMU); to fix it, define the domain with the device in it, or with a request for that SMMU (<source smmu='smmu3.0x0000000016000000'/> and <placement sparePorts='1'/>)" ANEW },
        { DEVICE("0x99", "1"), NULL,
          "viommu: V02: hostdev '0099:01:00.0' is not on this host; to fix it, give the guest a device that is behind an SMMUv3" },
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testGoldenRead("spare-per-source.grace.xml");
    size_t i;

    world.live = world.inactive = domain;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(testOutcome) outcome = testRewrite(&world, ATTACH, LIVE, cases[i].device, -1, NULL);
        g_autoptr(testOutcome) both = NULL;

        g_assert_cmpstr(outcome->words, ==, cases[i].words);
        g_assert_cmpstr(outcome->text, ==, cases[i].text);
        g_assert_cmpstr(outcome->name, ==, "spare-per-source");
        /* The running domain and its configuration have the same to say, which is said once. */
        both = testRewrite(&world, ATTACH, LIVE | CONFIG, cases[i].device, -1, NULL);
        g_assert_cmpstr(both->words, ==, cases[i].words);
    }
}

static void
testNoSMMU(void)
{
    testWorld world = testWorldOf("kunpeng920");
    g_autofree char *domain =
        testPlace(&world, HEAD HOSTDEV SOURCE("0", "0x7d", "2", "1") "</hostdev>" SPARE("1") TAIL);

    world.live = domain;
    testRefuses(&world, ATTACH, LIVE, HOSTDEV SOURCE("0", "0x7a", "1", "0") "</hostdev>",
                "viommu: V02: hostdev '0000:7a:01.0' is behind no SMMUv3; to fix it, give the guest a device that is behind an SMMUv3");
    world.host = "x86-vtd";
    testRefuses(&world, ATTACH, LIVE, DEVICE("0", "1"),
                "viommu: V02: hostdev '0000:01:00.0' is behind no SMMUv3; to fix it, give the guest a device that is behind an SMMUv3");
}

/* One that has an address stays as it is, if that is right. */
static void
testOwnAddress(void)
{
    static const struct {
        const char *device;
        const char *words; /* NULL: it passes */
    } cases[] = {
        { DEVICE_AT("7", "1", "6"), NULL },
        { DEVICE_AT("7", "1", "0x05"), NULL },
        { "<?xml version='1.0'?>\n" DEVICE_AT("7", "1", "0x05") "\n", NULL },
        { "<rng model='virtio'><address type='pci' slot='9'/></rng>", NULL },
        /* taken; on the bus itself */
        { DEVICE_AT("7", "1", "0x04"),
          "viommu: V25: hostdev '0007:01:00.0' has the guest address 0000:04:00.0, as hostdev '0006:01:00.0' has (" },
        { HOSTDEV SOURCE("7", "1", "0", "0") "<address type='pci' bus='3' slot='9'/></hostdev>",
          "viommu: V25: hostdev '0007:01:00.0' has the guest address 0000:03:09.0, which is on a controller that does not take it (" },
        { HOSTDEV SOURCE("7", "1", "0", "0") "<address type='pci' bus='5' slot='1'/></hostdev>",
          "viommu: V25: hostdev '0007:01:00.0' has the guest address 0000:05:01.0, but a port has only slot 0 (" },
        /* below the vSMMU of another one, for which there is a vSMMU or not */
        { DEVICE_AT("2", "3", "5"),
          "viommu: V01: hostdev '0002:03:00.0' is behind 'smmu3.0x0000000011000000', but below the same vSMMU as hostdev '0006:01:00.0', which is behind 'smmu3.0x0000000015000000' (" },
        { DEVICE_AT("9", "1", "5"),
          "viommu: V01: hostdev '0009:01:00.0' is behind 'smmu3.0x0000000016000000', but below the same vSMMU as hostdev '0006:01:00.0', which is behind 'smmu3.0x0000000015000000' (" },
        /* outside of all, and nowhere */
        { HOSTDEV SOURCE("7", "1", "0", "0") "<address type='pci' slot='9'/></hostdev>",
          "viommu: V05: hostdev '0007:01:00.0' is on controller 0, below no vSMMU (" },
        { DEVICE_AT("7", "1", "0x20"), "viommu: V05: hostdev '0007:01:00.0' is on controller 32, below no vSMMU (" },
        { DEVICE_AT("0x99", "1", "5"), "viommu: V02: hostdev '0099:01:00.0' is not on this host (" },
        { "<rng model='virtio'>" ADDRESS("5") "</rng>",
          "viommu: V03: rng 'virtio' is emulated and has its address below the accel vSMMU of controller 3 (QEMU" },
        { "<rng model='virtio'>" ADDRESS("7") "</rng>",
          "viommu: V25: rng 'virtio' has the guest address 0000:07:00.0, as disk 'vda' has (" },
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testGoldenRead("spare-per-source.grace.xml");
    size_t i;

    world.live = domain;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(testOutcome) outcome = testRewrite(&world, ATTACH, LIVE, cases[i].device, -1, NULL);

        g_test_message("case %zu", i);
        testBegins(outcome, cases[i].words);
    }
}

/* Emulated devices, in a domain with no port for them, and in one that has two. */
static void
testEmulated(void)
{
    static const struct {
        const char *before;
        const char *after;
        const char *words; /* without a port; NULL: it passes in both domains */
    } cases[] = {
        { "<rng model='virtio'>", "</rng>", "viommu: V22: libvirt would put rng 'virtio' below a vSMMU, as no other root port is free (Emulated endpoint devices are not allowed when using arm-smmuv3,accel=on); to fix it, add <controller type='pci' model='pcie-root-port'/> to the domain, and start it anew" },
        { "<disk type='file'><target dev='vdb' bus='virtio'/>", "</disk>",
          "viommu: V22: libvirt would put disk 'vdb' below" },
        { "<interface type='bridge'><source bridge='b'/>", "</interface>",
          "viommu: V22: libvirt would put interface 'bridge' below" },
        { "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>", "</hostdev>",
          "viommu: V22: libvirt would put hostdev 'mdev' below" },
        { "<controller type='scsi' model='virtio-scsi'>", "</controller>",
          "viommu: V22: libvirt would put controller 'scsi' below" },
        { "<memory model='virtio-mem'>", "</memory>", "viommu: V22: libvirt would put memory 'virtio-mem' below" },
        /* no devices of PCI, or not by themselves */
        { "<hostdev mode='subsystem' type='usb'>", "</hostdev>", NULL },
        { "<hostdev>", "</hostdev>", NULL },
        { "<memory model='dimm'>", "</memory>", NULL },
        { "<vsock model='virtio'><address type='virtio-mmio'/>", "</vsock>", NULL },
        { "<vsock model='virtio'><address type='ccw' cssid='0xfe'/>", "</vsock>", NULL },
        { HOSTDEV SOURCE("2", "3", "0", "0") "<address type='unassigned'/>", "</hostdev>", NULL },
        /* one that libvirt puts on pcie.0 itself */
        { "<panic model='pvpanic'>", "</panic>", NULL },
        /* no devices at all */
        { "<controller type='pci' model='pcie-root-port'>", "</controller>", NULL },
        { "<iommu model='smmuv3'>", "</iommu>", NULL },
        { "<domain>", "</domain>", NULL },
        { "<x:hostdev xmlns:x='urn:x'>", "</x:hostdev>", NULL },
    };
    testWorld full = testWorldOf("grace");
    testWorld free = testWorldOf("grace");
    g_autofree char *fullDomain = testGoldenRead("spare-per-source.grace.xml");
    g_autofree char *freeDomain = testPlace(&free, HEAD PORT("1") PORT("2") DEVICE("2", "1") SPARE("1") TAIL);
    size_t i;

    full.live = fullDomain;
    free.live = freeDomain;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strconcat(cases[i].before, cases[i].after, NULL);
        g_autofree char *placed = g_strconcat(cases[i].before, ADDRESS("0x01"), cases[i].after, NULL);
        g_autoptr(testOutcome) outcome = testRewrite(&full, ATTACH, LIVE, text, -1, NULL);

        g_test_message("case %zu", i);
        testBegins(outcome, cases[i].words);
        if (cases[i].words)
            testReplaces(&free, ATTACH, LIVE, text, placed);
        else
            testPasses(&free, ATTACH, LIVE, text, NULL);
    }
}

/* Some that libvirt gives a port by itself would get one below a vSMMU only if there is no other. */
static void
testEmulatedChosen(void)
{
    static const char disk[] = "<disk type='file' device='disk'><target dev='sdb' bus='scsi'/></disk>";
    testWorld full = testWorldOf("grace");
    testWorld free = testWorldOf("grace");
    g_autofree char *fullDomain = testGoldenRead("spare-per-source.grace.xml");
    g_autofree char *freeDomain = testPlace(&free, HEAD PORT("1") PORT("2") DEVICE("2", "1") SPARE("1") TAIL);
    g_autofree char *noPlain = testPlace(&free, HEAD DEVICE("2", "1") SPARE("1") TAIL);
    g_autofree char *plain = NULL;
    g_autofree char *plainFull = NULL;
    g_autofree char *noSpares = testPlace(&free, HEAD DEVICE("2", "1") "<iommu model='smmuv3' nested='yes'/>" TAIL);
    g_autoptr(testOutcome) outcome = NULL;

    full.live = fullDomain;
    outcome = testRewrite(&full, ATTACH, LIVE, disk, -1, NULL);
    testBegins(outcome,
                "viommu: V03: libvirt puts the scsi controller that libvirt adds for disk 'sdb' on controller 5, below the accel vSMMU of controller 3 (QEMU");
    free.live = freeDomain;
    testPasses(&free, ATTACH, LIVE, disk, NULL);
    /* Where no port below a vSMMU is free, libvirt may choose. */
    free.live = noSpares;
    testPasses(&free, ATTACH, LIVE, "<rng model='virtio'/>", "domain, host");
    testPasses(&free, ATTACH, CONFIG, disk, NULL);
    /* A vSMMU that is not accelerated does not mind, but other ports are better. */
    plain = testChange(freeDomain, " accel='on'", "");
    free.live = plain;
    testReplaces(&free, ATTACH, LIVE, "<rng model='virtio'/>",
                 "<rng model='virtio'>" ADDRESS("0x01") "</rng>");
    plainFull = testChange(noPlain, " accel='on'", "");
    free.live = plainFull;
    testPasses(&free, ATTACH, LIVE, "<rng model='virtio'/>", "domain, host");
}

/* What cannot be read as a device. */
static void
testBadDevices(void)
{
    static const struct {
        const char *device;
        const char *words;
        const char *asked;
    } cases[] = {
        { "", NULL, "" },
        { "text", NULL, "" },
        { HOSTDEV SOURCE("2", "3", "0", "0"), NULL, "" },
        { DEVICE("2", "3") DEVICE("2", "3"), NULL, "" },
        { "</devices>" DEVICE("2", "3"), NULL, "" },
        { "<!DOCTYPE a>" DEVICE("2", "3"), "viommu: line 1: document type declarations are refused; remove <!DOCTYPE>", "" },
        { "<!DOCTYPE a><interface type='network'/>", "viommu: line 1: document type", "" },
        { "<!DOCTYPE a [<!ENTITY n ''>]><rng/>", "viommu: line 1: document type", "" },
        { "<!DOCTYPE a><rng a='&#49;'/>", "viommu: line 1: document type", "" },
        { "<!DOCTYPE a><rng/>", NULL, "" },
        { "<hostdev a='\xfc'/>", "viommu: line 1: byte 0xfc is not UTF-8 text", "" },
        /* Lines are those of the device's own text. */
        { HOSTDEV "</hostdev>", "viommu: line 1: the hostdev names no host device; give it <source>", "domain" },
        { "<?xml version='1.0'?>\n\n" HOSTDEV "\n" SOURCE("2", "3", "0", "8") "</hostdev>",
          "viommu: line 4: the address of a host device has function='8'; give", "domain" },
        { HOSTDEV SOURCE("2", "3", "0", "0") "\n<address type='drive'/></hostdev>",
          "viommu: line 2: hostdev '0002:03:00.0' has an address of type 'drive'; write", "domain" },
        { "<controller type='pci' index='300' model='pcie-root-port'/>",
          "viommu: line 1: a PCI controller has index='300'; give a number from 0 to 255", "domain" },
        /* what is wrong only together with the domain */
        { "<controller type='pci' index='3' model='pcie-root-port'/>", "viommu: line ", "domain" },
        /* a request is no device */
        { "<iommu model='smmuv3' nested='yes'/>",
          "viommu: nested SMMUs cannot be attached: define the domain with this <iommu> in it", "" },
        { "<iommu model='smmuv3' nested='no'><driver/></iommu>", "viommu: nested SMMUs cannot be attached", "" },
        { "<iommu model='smmuv3'/>", NULL, "domain" },
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    size_t i;

    world.live = domain;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(testOutcome) outcome = testRewrite(&world, ATTACH, LIVE, cases[i].device, -1, NULL);

        g_test_message("case %zu", i);
        testBegins(outcome, cases[i].words);
        g_assert_cmpstr(outcome->asked, ==, cases[i].asked);
    }
}

/* Ports that are not free, though no device says so. */
static void
testTaken(void)
{
    static const struct {
        const char *more;
        const char *bus;
    } cases[] = {
        { "<controller type='pci' index='9' model='pcie-switch-upstream-port'>" ADDRESS("3") "</controller>", "0x04" },
        { "<rng model='virtio'>" ADDRESS("3") "</rng>", "0x04" },
        /* one that takes nothing while the domain runs */
        { VF_AT("1", "3") DEVICE_AT("0", "1", "4") VF_AT("3", "5")
              "<controller type='pci' index='8' model='pcie-root-port'><target hotplug='off'/><address type='pci' bus='1' slot='9'/></controller>"
              "<controller type='pci' index='9' model='pcie-root-port'><target hotplug='on'/><address type='pci' bus='1' slot='10'/></controller>",
          "0x09" },
        /* further ports below the bus; their order is that of their indexes, and switch ports are none */
        { "<controller type='pci' index='8' model='pcie-root-port'><address type='pci' bus='1' slot='9'/></controller>",
          "0x03" },
        { VF_AT("1", "3") DEVICE_AT("0", "1", "4")
              VF_AT("3", "5")
              "<controller type='pci' index='12' model='pcie-root-port'><address type='pci' bus='1' slot='9'/></controller>"
              "<controller type='pci' index='14' model='pcie-root-port'><address type='pci' bus='1' slot='11'/></controller>"
              "<controller type='pci' index='11' model='pcie-root-port'><address type='pci' bus='1' slot='10'/></controller>"
              "<controller type='pci' index='8' model='pcie-switch-downstream-port'><address type='pci' bus='12'/></controller>"
              "<controller type='pci' index='13' model='pcie-root-port'><address type='pci' slot='9'/></controller>",
          "0x0b" },
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *live = testAdd(domain, cases[i].more);
        g_autofree char *address = g_strdup_printf(ADDRESS("%s"), cases[i].bus);
        g_autofree char *expected = g_strconcat(HOSTDEV SOURCE("2", "3", "0", "2"), address, "</hostdev>", NULL);

        g_test_message("case %zu", i);
        world.live = live;
        testReplaces(&world, ATTACH, LIVE, VF("2"), expected);
    }
}

/* vSMMUs without device stand for what was noted, or for what comes first; written by hand, for what is there. */
static void
testStandsFor(void)
{
#define EMPTY "<iommu model='smmuv3'><driver pciBus='1' accel='on' ats='off' ril='off' ssidsize='0' oas='44'/></iommu>"
#define BUS "<controller type='pci' index='1' model='pcie-expander-bus'><target busNr='250'/></controller>"
#define BELOW(index, slot)                                                                         \
    "<controller type='pci' index='" index "' model='pcie-root-port'><address type='pci' bus='1' slot='" slot "'/></controller>"
#define FRAME(devices) "<domain type='kvm'><iommufd enabled='yes'/><os firmware='efi'>"            \
    "<type arch='aarch64' machine='virt'>hvm</type></os><features><acpi/><gic version='3'/></features><devices>" devices TAIL
    static const char byHand[] = FRAME(BUS BELOW("2", "0") EMPTY);
    static const char byHandTwo[] = FRAME(BUS BELOW("2", "0") BELOW("3", "1") EMPTY DEVICE_AT("6", "1", "3"));
    static const char noted[] = HEAD
        "<iommu model='smmuv3' nested='yes'><driver ats='off' ril='off' ssidsize='0' oas='44'/>"
        "<placement sparePorts='1'/><source smmu='smmu3.0x0000000012000000'/></iommu>" TAIL;
    testWorld world = testWorldOf("grace");
    g_autofree char *notedDomain = testPlace(&world, noted);
    g_autoptr(testOutcome) outcome = NULL;

    world.live = notedDomain;
    testReplaces(&world, ATTACH, LIVE, DEVICE("3", "1"), DEVICE_AT("3", "1", "0x02"));
    outcome = testRewrite(&world, ATTACH, LIVE, DEVICE("2", "3"), -1, NULL);
    testBegins(outcome, "viommu: V05: hostdev '0002:03:00.0' is behind smmu3.0x0000000011000000, and the domain has no vSMMU for that (");
    world.live = byHand;
    testReplaces(&world, ATTACH, LIVE, DEVICE("3", "1"), DEVICE_AT("3", "1", "0x02"));
    testReplaces(&world, ATTACH, LIVE, DEVICE("9", "1"), DEVICE_AT("9", "1", "0x02"));
    /* Its networks matter, though it asks for nothing. */
    world.network = "<network><name>n</name><forward mode='hostdev'><pf dev='enP2p3s0np0'/></forward></network>";
    testReplaces(&world, ATTACH, LIVE, "<interface type='network'><source network='n'/></interface>",
                 "<interface type='network'><source network='n'/>" ADDRESS("0x02") "</interface>");
    world.network = NULL;
    world.live = byHandTwo;
    testReplaces(&world, ATTACH, LIVE, DEVICE("7", "1"), DEVICE_AT("7", "1", "0x02"));
    testOutcomeFree(outcome);
    outcome = testRewrite(&world, ATTACH, LIVE, DEVICE("9", "1"), -1, NULL);
    testBegins(outcome, "viommu: V05: hostdev '0009:01:00.0' is behind smmu3.0x0000000016000000, and the domain has no vSMMU for that (");
}

/* An empty vSMMU is not for an SMMU that has one. */
static void
testStandsForNone(void)
{
    static const char domain[] = FRAME(
        BUS BELOW("2", "0") "<controller type='pci' index='5' model='pcie-expander-bus'><target busNr='200'/></controller>"
        "<controller type='pci' index='6' model='pcie-root-port'><address type='pci' bus='5'/></controller>" EMPTY
        "<iommu model='smmuv3'><driver pciBus='5' accel='on' ats='off' ril='off' ssidsize='0' oas='44'/></iommu>"
        DEVICE_AT("2", "1", "2"));
    testWorld world = testWorldOf("grace");
    g_autoptr(testOutcome) outcome = NULL;

    world.live = domain;
    outcome = testRewrite(&world, ATTACH, LIVE, VF("1"), -1, NULL);
    testBegins(outcome, "viommu: V05: hostdev '0002:03:00.1' is behind smmu3.0x0000000011000000, and no root port below its vSMMU is free (");
    testReplaces(&world, ATTACH, LIVE, DEVICE("9", "1"), DEVICE_AT("9", "1", "0x06"));
}

/* Two vSMMUs for one SMMU: ports of the first come first. */
static void
testSplit(void)
{
    static const char domain[] = FRAME(
        BUS BELOW("2", "0") BELOW("3", "1")
        "<controller type='pci' index='5' model='pcie-expander-bus'><target busNr='200'/></controller>"
        "<controller type='pci' index='6' model='pcie-root-port'><address type='pci' bus='5'/></controller>"
        "<controller type='pci' index='7' model='pcie-root-port'><address type='pci' bus='5' slot='1'/></controller>"
        "<iommu model='smmuv3'><driver pciBus='5' accel='on'/></iommu>" EMPTY
        DEVICE_AT("2", "1", "2") DEVICE_AT("0", "1", "6"));
    testWorld world = testWorldOf("grace");
    g_autofree char *full = testAdd(domain, VF_AT("1", "7"));

    world.live = domain;
    testReplaces(&world, ATTACH, LIVE, VF("2"), VF_AT("2", "0x07"));
    world.live = full;
    testReplaces(&world, ATTACH, LIVE, VF("2"), VF_AT("2", "0x03"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/rewrite/device/texts", testTexts);
    g_test_add_func("/rewrite/device/empty-addresses", testEmptyAddresses);
    g_test_add_func("/rewrite/device/self-closed", testSelfClosed);
    g_test_add_func("/rewrite/device/questions", testQuestions);
    g_test_add_func("/rewrite/device/other-domains", testOtherDomains);
    g_test_add_func("/rewrite/device/no-vsmmu", testNoVSMMU);
    g_test_add_func("/rewrite/device/unreadable-domain", testUnreadableDomain);
    g_test_add_func("/rewrite/device/right-smmu", testRightSMMU);
    g_test_add_func("/rewrite/device/no-smmu", testNoSMMU);
    g_test_add_func("/rewrite/device/own-address", testOwnAddress);
    g_test_add_func("/rewrite/device/emulated", testEmulated);
    g_test_add_func("/rewrite/device/emulated-chosen", testEmulatedChosen);
    g_test_add_func("/rewrite/device/bad-devices", testBadDevices);
    g_test_add_func("/rewrite/device/taken", testTaken);
    g_test_add_func("/rewrite/device/stands-for", testStandsFor);
    g_test_add_func("/rewrite/device/stands-for-none", testStandsForNone);
    g_test_add_func("/rewrite/device/split", testSplit);
    return g_test_run();
}
