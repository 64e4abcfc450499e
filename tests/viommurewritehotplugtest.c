/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that are plugged into, or changed in, domains that have vSMMUs: live, in the configuration or in both, by
 * networks and by policy. Where in a domain they go is viommurewritedevicetest.c's.
 */
#include "rewritetestutils.h"

#include <string.h>

#define ATTACH VIOMMU_REWRITE_ATTACH
#define UPDATE VIOMMU_REWRITE_UPDATE
#define LIVE VIOMMU_REWRITE_LIVE
#define CONFIG VIOMMU_REWRITE_CONFIG

/* Both domains at once: a port that is free in both, and no other. */
static void
testBoth(void)
{
    static const char apart[] =
        "viommu: V05: no root port is free both in the running domain and in its configuration; attach the device to one after the other";
    static const struct {
        const char *live;
        const char *inactive;
        const char *bus; /* NULL: refused */
    } cases[] = {
        { "", "", "0x03" },
        { VF_AT("1", "3"), "", "0x04" },
        { "", VF_AT("1", "3"), "0x04" },
        { DEVICE_AT("0", "1", "4"), VF_AT("1", "3"), "0x05" },
        { DEVICE_AT("0", "1", "4") VF_AT("3", "5"),
          VF_AT("1", "3"), NULL },
    };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    g_autofree char *other = g_strdup(HEAD DEVICE("2", "1") TAIL);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *live = testAdd(domain, cases[i].live);
        g_autofree char *inactive = testAdd(domain, cases[i].inactive);
        g_autofree char *address = g_strdup_printf(ADDRESS("%s"), cases[i].bus);
        g_autofree char *expected = g_strconcat(HOSTDEV SOURCE("2", "3", "0", "2"), address, "</hostdev>", NULL);

        g_test_message("case %zu", i);
        world.live = live;
        world.inactive = inactive;
        if (cases[i].bus)
            testReplaces(&world, ATTACH, LIVE | CONFIG, VF("2"), expected);
        else
            testRefuses(&world, ATTACH, LIVE | CONFIG, VF("2"), apart);
    }
    /* One of them alone has vSMMUs. */
    world.live = other;
    world.inactive = domain;
    testReplaces(&world, ATTACH, LIVE | CONFIG, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
    world.live = NULL;
    testReplaces(&world, ATTACH, LIVE | CONFIG, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
    world.live = domain;
    world.inactive = other;
    testReplaces(&world, ATTACH, LIVE | CONFIG, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
}

/* What one domain alone needs, is done. */
static void
testBothNeed(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, HEAD PORT("1") PORT("2") DEVICE("2", "1") SPARE("1") TAIL);
    g_autofree char *used = testAdd(domain, DEVICE_AT("2", "3", "5"));
    static const char placed[] = "<rng model='virtio'>" ADDRESS("0x01") "</rng>";

    world.live = used;
    world.inactive = domain;
    testReplaces(&world, ATTACH, LIVE | CONFIG, "<rng model='virtio'/>", placed);
    world.live = domain;
    world.inactive = used;
    testReplaces(&world, ATTACH, LIVE | CONFIG, "<rng model='virtio'/>", placed);
    world.live = used;
    testPasses(&world, ATTACH, LIVE | CONFIG, "<rng model='virtio'/>", NULL);
}

/* An address of its own is judged in both. */
static void
testBothJudged(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    g_autofree char *taken = testAdd(domain, DEVICE_AT("0", "1", "4"));
    g_autoptr(testOutcome) outcome = NULL;

    world.live = domain;
    world.inactive = taken;
    outcome = testRewrite(&world, ATTACH, LIVE | CONFIG, DEVICE_AT("2", "3", "4"), -1, NULL);
    testBegins(outcome, "viommu: V25: hostdev '0002:03:00.0' has the guest address 0000:04:00.0, as hostdev '0000:01:00.0' has (");
    testPasses(&world, ATTACH, LIVE | CONFIG, DEVICE_AT("2", "3", "5"), "domain, inactive, host");
    testPasses(&world, ATTACH, LIVE, DEVICE_AT("2", "3", "4"), "domain, host");
}

#define OLDER \
    "viommu: V05: hostdev '0002:03:00.0' is behind smmu3.0x0000000011000000, and the vSMMUs of the domain stand in <qemu:commandline> " \
    "(libvirt knows nothing of them, and would put it on pcie.0); to fix it, " \
    "define the domain with the device in it, and start it anew; libvirt 12.1 can plug"

/* A domain for an older libvirt, whose ports libvirt does not know. */
static void
testOlder(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = NULL;

    world.libvirt = 11003000;
    domain = testPlace(&world, HEAD DEVICE("2", "1") "<iommu model='smmuv3' nested='yes'/>" TAIL);
    g_assert_nonnull(strstr(domain, "id=viommu.1"));
    world.live = domain;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"), OLDER);
    testRefuses(&world, ATTACH, LIVE, DEVICE_AT("2", "3", "1"), OLDER);
    testPasses(&world, ATTACH, LIVE, "<rng model='virtio'/>", NULL);
}

/* One that knows ports, and iommufd of a device alone, or not even that. */
static void
testOlderPorts(void)
{
    static const char none[] =
        "viommu: V05: hostdev '0002:03:00.0' is behind smmu3.0x0000000011000000, and no root port below its vSMMU is free "
        "(libvirt would put it on pcie.0, outside of all vSMMUs); to fix it, "
        "define the domain with the device in it, and start it anew; libvirt 12.1 can plug";
    static const char cannot[] =
        "viommu: V04: libvirt 11.10 gives no iommufd to a device that is plugged, which hostdev '0002:03:00.0' needs "
        "below its vSMMU: define the domain with the device in it, and start it anew; libvirt 12.1 can plug";
    static const char second[] =
        "viommu: V04: the iommufd object of the domain is in <qemu:commandline>, and libvirt would make it once more for "
        "hostdev '0002:01:00.0': define the domain with the device in it, and start it anew";
    static const char other[] =
        "viommu: V05: hostdev '0006:01:00.0' is behind smmu3.0x0000000015000000, and the domain has no vSMMU for that "
        "(libvirt would put it on pcie.0 or below another vSMMU); to fix it, define the domain with the device in it, and "
        "start it anew; libvirt 12.1 can plug";
    testWorld world = testWorldOf("grace");
    g_autofree char *networked = NULL;
    g_autofree char *used = NULL;
    g_autofree char *domain = NULL;
    g_autofree char *full = NULL;
    g_autofree char *empty = NULL;
    g_autofree char *both = NULL;
    g_autofree char *freed = NULL;
    g_autoptr(testOutcome) known = NULL;
    g_autoptr(testOutcome) outcome = NULL;

    world.libvirt = 12001000;
    domain = testPlace(&world, GRACE_DOMAIN);
    g_assert_nonnull(strstr(domain, "<driver iommufd='yes'/>"));
    world.live = domain;
    testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"),
                 HOSTDEV SOURCE("2", "3", "0", "0") "<driver iommufd='yes'/>" ADDRESS("0x03") "</hostdev>");
    testReplaces(&world, ATTACH, LIVE, HOSTDEV "<driver name='vfio'/>" SOURCE("2", "3", "0", "0") "</hostdev>",
                 HOSTDEV "<driver name='vfio' iommufd='yes'/>" SOURCE("2", "3", "0", "0") ADDRESS("0x03") "</hostdev>");
    /* That libvirt knows the word is seen in the domain. */
    known = testRewrite(&world, ATTACH, LIVE, DEVICE("2", "3"), -1, NULL);
    g_assert_cmpstr(known->asked, ==, "domain, host");
    /* One that says so itself. */
    testReplaces(&world, ATTACH, LIVE, HOSTDEV "<driver iommufd='yes'/>" SOURCE("2", "3", "0", "0") "</hostdev>",
                 HOSTDEV "<driver iommufd='yes'/>" SOURCE("2", "3", "0", "0") ADDRESS("0x03") "</hostdev>");
    /* With no device to learn it from. */
    empty = testPlace(&world, HEAD "<iommu model='smmuv3' nested='yes'><placement smmus='all' sparePorts='1'/></iommu>"
                      TAIL);
    world.live = empty;
    outcome = testRewrite(&world, ATTACH, LIVE, DEVICE("2", "3"), -1, NULL);
    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_nonnull(strstr(outcome->text, "</source><driver iommufd='yes'/><address"));
    g_assert_cmpstr(outcome->asked, ==, "domain, host, libvirt");
    world.libvirt = 11010000;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"), cannot);
    full = testPlace(&world, HEAD DEVICE("2", "1") NESTED TAIL);
    world.live = full;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"), none);
    /* What a network gives takes no such word. */
    world.libvirt = 12001000;
    world.network = HOSTDEV_NETWORK;
    world.live = domain;
    testRefuses(&world, ATTACH, LIVE, ON_NETWORK("fast"),
                "viommu: V04: interface on network 'fast' is below an accel vSMMU without iommufd (QEMU refuses to start: "
                "vfio-pci endpoint devices without an iommufd backend not allowed when using arm-smmuv3,accel=on); to fix "
                "it, define the domain with it, and start it anew; or give the function itself, by <interface "
                "type='hostdev'>");
    /* The object for those is an argument, and one of the same name would come with a device that has the word. */
    networked = testPlace(&world, HEAD ON_NETWORK("fast") SPARE("1") TAIL);
    g_assert_nonnull(strstr(networked, "'iommufd,id=iommufd0'"));
    world.live = networked;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "1"), second);
    testRefuses(&world, ATTACH, LIVE, HOSTDEV "<driver iommufd='yes'/>" SOURCE("2", "1", "0", "0") "</hostdev>",
                second);
    testRefuses(&world, ATTACH, LIVE, HOSTDEV "<driver iommufd='yes'/>" SOURCE("2", "1", "0", "0") ADDRESS("0x03")
                "</hostdev>", second);
    used = testPlace(&world, HEAD ON_NETWORK("fast") NESTED TAIL);
    world.live = used;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "1"),
                "viommu: V05: hostdev '0002:01:00.0' is behind smmu3.0x0000000011000000, and no root port below its vSMMU "
                "is free (libvirt would put it on pcie.0, outside of all vSMMUs); to fix it, define the domain with the "
                "device in it, and start it anew");
    world.libvirt = 11010000;
    world.live = full;
    testRefuses(&world, ATTACH, LIVE, DEVICE("6", "1"), other);
    /* A port from which a device was unplugged. */
    both = testPlace(&world, HEAD DEVICE("2", "1") VF("1") NESTED TAIL);
    freed = testChange(both, HOSTDEV SOURCE("2", "3", "0", "1") ADDRESS("0x03") "<alias name='ua-viommu-1'/></hostdev>",
                       "");
    world.live = freed;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"), cannot);
}

/* A device with others in its group, which QEMU refuses and the guest cannot use. */
static void
testGroups(void)
{
    testWorld world = testWorldOf("switch-group");
    g_autofree char *domain = testPlace(&world, HEAD DEVICE("0", "4") SPARE("2") TAIL);

    world.live = domain;
    testRefuses(&world, ATTACH, LIVE, DEVICE("0", "5"),
                "viommu: V16: hostdev '0000:05:00.0' shares IOMMU group 6 with '0000:05:00.1' (QEMU starts, and the device fails in the guest: CMDQ error, Illegal command); to fix it, use a device that is alone in its group, or a slot whose ports have ACS");
}

/* What is wrong already is not the new device's fault. */
static void
testKnown(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    g_autofree char *wrong = testAdd(domain, DEVICE_AT("9", "1", "5") "<rng model='virtio'>" ADDRESS("7") "</rng>");

    world.live = wrong;
    testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
}

/* One that is there already, perhaps only until it has gone: libvirt would put it anywhere then. */
static void
testTwice(void)
{
#define THERE(what) "viommu: V20: the domain has " what " already; if it is being detached, wait until it has gone"
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    g_autofree char *more = testAdd(domain, DEVICE_AT("2", "3", "3"));

    world.live = domain;
    world.inactive = more;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "1"), THERE("hostdev '0002:01:00.0'"));
    testRefuses(&world, ATTACH, LIVE, DEVICE_AT("2", "1", "4"), THERE("hostdev '0002:01:00.0'"));
    testRefuses(&world, ATTACH, LIVE, DEVICE_AT("2", "1", "2"), THERE("hostdev '0002:01:00.0'"));
    testRefuses(&world, ATTACH, LIVE, "<interface type='hostdev'>" SOURCE("2", "1", "0", "0") "</interface>",
                THERE("interface '0002:01:00.0'"));
    testRefuses(&world, ATTACH, CONFIG, DEVICE("2", "3"), THERE("hostdev '0002:03:00.0'"));
    testRefuses(&world, ATTACH, CONFIG | LIVE, DEVICE("2", "3"), THERE("hostdev '0002:03:00.0'"));
    testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
}

/* Interfaces on networks that hand out host devices, or do not. */
static void
testNetworks(void)
{
#define ON_FAST(mac) "<interface type='network'><mac address='52:54:00:00:00:" mac "'/><source network='fast'/>"
    static const char fast[] =
        "<network><name>fast</name><forward mode='hostdev'><pf dev='enP2p3s0np0'/></forward></network>";
    static const char nat[] = "<network><name>fast</name><forward mode='nat'/></network>";
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);
    g_autofree char *other = NULL;
    g_autoptr(testOutcome) outcome = NULL;

    world.live = domain;
    world.network = fast;
    outcome = testRewrite(&world, ATTACH, LIVE, ON_FAST("01") "</interface>", -1, NULL);
    g_assert_cmpstr(outcome->asked, ==, "domain, network fast, host");
    g_assert_cmpstr(outcome->text, ==, ON_FAST("01") ADDRESS("0x03") "</interface>");
    g_assert_cmpstr(outcome->words, ==, "interface on network 'fast' at 0000:03:00.0");
    world.network = nat;
    outcome = (testOutcomeFree(outcome), testRewrite(&world, ATTACH, LIVE, ON_FAST("01") "</interface>", -1, NULL));
    testBegins(outcome, "viommu: V22: libvirt would put interface on network 'fast' below a vSMMU");
    world.network = NULL;
    testRefuses(&world, ATTACH, LIVE, ON_FAST("01") "</interface>",
                "viommu: the network 'fast' may hand out host devices, and libvirt does not give it (see 'virsh net-dumpxml'): not here");
    /* one that the domain has already, and another of the same network */
    world.network = fast;
    other = testPlace(&world, HEAD ON_FAST("01") "</interface>" ON_FAST("0a") "</interface>" SPARE("2") TAIL);
    world.live = other;
    testRefuses(&world, ATTACH, LIVE, ON_FAST("01") "</interface>", THERE("interface on network 'fast'"));
    testReplaces(&world, ATTACH, LIVE, ON_FAST("02") "</interface>", ON_FAST("02") ADDRESS("0x04") "</interface>");
    /* A device of the host needs the network of its neighbour, too. */
    outcome = (testOutcomeFree(outcome), testRewrite(&world, ATTACH, LIVE, DEVICE("2", "1"), -1, NULL));
    g_assert_cmpstr(outcome->asked, ==, "domain, network fast, host");
    g_assert_cmpstr(outcome->text, ==, DEVICE_AT("2", "1", "0x04"));
    /* One that is changed is known by its MAC address. */
    testReplaces(&world, UPDATE, LIVE, ON_FAST("01") "</interface>", ON_FAST("01") ADDRESS("0x02") "</interface>");
    testReplaces(&world, UPDATE, LIVE,
                 "<interface type='network'><mac address='52:54:00:00:00:0A'/><source network='fast'/></interface>",
                 "<interface type='network'><mac address='52:54:00:00:00:0A'/><source network='fast'/>" ADDRESS("0x03")
                 "</interface>");
    testPasses(&world, UPDATE, LIVE, ON_FAST("02") "</interface>", "domain, network fast, host");
    testPasses(&world, UPDATE, LIVE, "<interface type='network'><source network='fast'/></interface>", NULL);
}

/* A device that is changed keeps the address that it has; nothing is judged. */
static void
testUpdate(void)
{
    static const char interface[] = "<interface type='hostdev'>" SOURCE("2", "3", "0", "0");
    testWorld world = testWorldOf("grace");
    g_autofree char *placed = testPlace(&world, GRACE_DOMAIN);
    g_autofree char *domain = testAdd(placed, "<interface type='hostdev'>" SOURCE("2", "3", "0", "0")
                                              "<address type='pci' bus='4' slot='0' function='3' multifunction='on'/></interface>"
                                              "<rng model='virtio'>" ADDRESS("7") "</rng>");
    g_autofree char *text = g_strconcat(interface, "<link state='down'/></interface>\n", NULL);
    g_autofree char *expected =
        g_strconcat(interface, "<link state='down'/><address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x3'/></interface>\n", NULL);
    g_autofree char *own = g_strconcat(interface, ADDRESS("5"), "</interface>", NULL);
    g_autoptr(testOutcome) outcome = NULL;

    world.live = domain;
    world.inactive = placed;
    testReplaces(&world, UPDATE, LIVE, text, expected);
    testReplaces(&world, UPDATE, LIVE | CONFIG, text, expected);
    outcome = testRewrite(&world, UPDATE, 0, text, -1, NULL);
    g_assert_cmpstr(outcome->words, ==, "interface '0002:03:00.0' at 0000:04:00.3");
    g_assert_cmpstr(outcome->asked, ==, "domain, host");
    testPasses(&world, UPDATE, LIVE, own, "domain, host");
    testPasses(&world, UPDATE, CONFIG, text, "inactive, host");
    testPasses(&world, UPDATE, LIVE, "<rng model='virtio'/>", "domain, host");
    testPasses(&world, UPDATE, LIVE, DEVICE("0x99", "1"), "domain, host");
    testPasses(&world, UPDATE, LIVE, DEVICE_AT("9", "1", "5"), "domain, host");
    testPasses(&world, UPDATE, LIVE, "<disk type='file'><target dev='vda' bus='virtio'/></disk>", "domain, host");
    testRefuses(&world, UPDATE, LIVE, "<!DOCTYPE a><hostdev/>",
                "viommu: line 1: document type declarations are refused; remove <!DOCTYPE>");
}

/* The host cannot be read. */
static void
testNoHost(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);

    world.host = NULL;
    world.live = domain;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"), "viommu: no host here");
}

/* A domain for which the policy would ask is not given its first host device without a vSMMU; of a running one it is
 * too late to ask. */
static void
testPolicy(void)
{
    static const char asked[] =
        "viommu: V05: the policy of the service asks for a vSMMU for hostdev '0002:01:00.0': define the domain with the device in it";
    static const struct {
        const char *domain;
        viommuPolicy policy;
        bool refused;
    } cases[] = {
        { HEAD TAIL, VIOMMU_POLICY_AARCH64, true },
        { HEAD TAIL, VIOMMU_POLICY_SMMUV3, false },
        { HEAD TAIL, VIOMMU_POLICY_OFF, false },
        { HEAD "<iommu model='smmuv3'/>" TAIL, VIOMMU_POLICY_SMMUV3, true },
        { HEAD "<iommu model='smmuv3'/>" TAIL, VIOMMU_POLICY_OFF, false },
        { HEAD "<iommu model='virtio'/>" TAIL, VIOMMU_POLICY_AARCH64, false },
        /* one that has a host device already, and no vSMMU: somebody wanted it so */
        { HEAD DEVICE("6", "1") TAIL, VIOMMU_POLICY_AARCH64, false },
        { "<domain type='kvm'><os><type arch='x86_64' machine='q35'>hvm</type></os><devices></devices></domain>",
          VIOMMU_POLICY_AARCH64, false },
        { "<domain><devices/></domain>", VIOMMU_POLICY_AARCH64, false },
        /* one that we do not read, and that has nothing to do with it */
        { "<domain type='kvm'><os><type arch='x86_64'>hvm</type></os><devices><controller type='pci' index='999'/>"
          "</devices></domain>", VIOMMU_POLICY_AARCH64, false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        testWorld world = testWorldOf(NULL);

        g_test_message("case %zu", i);
        world.policy = cases[i].policy;
        world.live = world.inactive = cases[i].domain;
        testPasses(&world, ATTACH, LIVE, DEVICE("2", "1"), "domain");
        testPasses(&world, UPDATE, CONFIG, DEVICE("2", "1"), "inactive");
        testPasses(&world, ATTACH, CONFIG, "<rng model='virtio'/>", "inactive");
        testPasses(&world, ATTACH, CONFIG, ON_NETWORK("fast"), "inactive");
        testPasses(&world, ATTACH, CONFIG, "<controller type='pci' model='pcie-root-port'/>", "inactive");
        if (cases[i].refused) {
            testRefuses(&world, ATTACH, CONFIG, DEVICE("2", "1"), asked);
            testRefuses(&world, ATTACH, LIVE | CONFIG, DEVICE("2", "1"), asked);
        } else {
            testPasses(&world, ATTACH, CONFIG, DEVICE("2", "1"), "inactive");
        }
    }
}

/* One that the policy may fit, and that we do not read. */
static void
testPolicyUnreadable(void)
{
    static const char domain[] =
        "<domain type='kvm'><os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os><devices>"
        "<controller type='pci' index='999'/></devices></domain>";
    testWorld world = testWorldOf(NULL);

    world.policy = VIOMMU_POLICY_AARCH64;
    world.live = world.inactive = domain;
    testRefuses(&world, ATTACH, CONFIG, DEVICE("2", "1"),
                "viommu: line 1: a PCI controller has index='999'; give a number from 0 to 255");
    testPasses(&world, ATTACH, LIVE, DEVICE("2", "1"), "domain");
    testPasses(&world, ATTACH, CONFIG, "<rng model='virtio'/>", "inactive");
    world.policy = VIOMMU_POLICY_SMMUV3;
    testPasses(&world, ATTACH, CONFIG, DEVICE("2", "1"), "inactive");
}

/* A port whose window is too small for the device is passed over in a running guest, and not in what starts next. */
static void
testWindows(void)
{
    static const char small[] =
        "viommu: V22: hostdev '0002:03:00.0' needs a 64-bit window of 32768 KiB, and no free root port below its vSMMU "
        "keeps as much (the guest would move the windows of its neighbours, and a running device loses its BARs); "
        "to fix it, define the domain with the device in it, or with <placement sparePorts='1' pref64Reserve='32768'/> in "
        "its request, and start it anew";
    static const char addressed[] =
        "viommu: V22: hostdev '0002:03:00.0' needs a 64-bit window of 32768 KiB, and the port of its address, 3, keeps less "
        "(the guest would move the windows of its neighbours, and a running device loses its BARs); to fix it, define the "
        "domain with the device in it, or with <placement sparePorts='1' pref64Reserve='32768'/> in its request, and start "
        "it anew";
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(
        &world, HEAD DEVICE("2", "1") "<iommu model='smmuv3' nested='yes'><placement sparePorts='2' pref64Reserve='2048'/>"
                "</iommu>" TAIL);
    g_autofree char *running = testChange(domain, "<domain type='kvm'", "<domain type='kvm' id='1'");
    g_autofree char *left = testChange(running, ADDRESS("0x02"), ADDRESS("0x04"));
    g_autofree char *large = testChange(
        running,
        "'pci.4'><qemu:frontend><qemu:property name='pref64-reserve' type='unsigned' value='2097152'/>",
        "'pci.4'><qemu:frontend><qemu:property name='pref64-reserve' type='unsigned' value='33554432'/>");

    world.live = running;
    world.inactive = domain;
    testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"), small);
    testRefuses(&world, ATTACH, LIVE | CONFIG, DEVICE("2", "3"), small);
    testRefuses(&world, ATTACH, LIVE, DEVICE_AT("2", "3", "0x03"), addressed);
    testRefuses(&world, ATTACH, LIVE | CONFIG, DEVICE_AT("2", "3", "0x03"), addressed);
    testPasses(&world, ATTACH, CONFIG, DEVICE_AT("2", "3", "0x03"), NULL);
    testPasses(&world, ATTACH, LIVE, VF_AT("1", "0x03"), NULL);
    testReplaces(&world, ATTACH, CONFIG, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
    /* 1 MiB */
    testReplaces(&world, ATTACH, LIVE, VF("1"), VF_AT("1", "0x03"));
    world.live = large;
    testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x04"));
    testPasses(&world, ATTACH, LIVE, DEVICE_AT("2", "3", "0x04"), NULL);
    /* What was there at start made the window of its port. */
    world.live = left;
    testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x02"));
    testPasses(&world, ATTACH, LIVE, DEVICE_AT("2", "3", "0x02"), NULL);
}

/* Ports that are not passed over in a running guest: one that is known to have been made for as large a device, one of
 * which nothing is known, and for a network one that is large enough for the VFs that it hands out. */
static void
testWindowsTaken(void)
{
#define TINY(ports)                                                                                                   \
    "viommu: V22: interface on network 'fast' needs a 64-bit window of 1024 KiB, and " ports " (the guest would move " \
    "the windows of its neighbours, and a running device loses its BARs); to fix it, define the domain with the "     \
    "device in it, or with <placement sparePorts='1' pref64Reserve='2048'/> in its request, and start it anew"
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(
        &world, HEAD DEVICE("2", "1") DEVICE("2", "3")
                "<iommu model='smmuv3' nested='yes'><placement sparePorts='1' pref64Reserve='2048'/></iommu>" TAIL);
    g_autofree char *running = testChange(domain, "<domain type='kvm'", "<domain type='kvm' id='1'");
    g_autofree char *gone = testChange(
        running, HOSTDEV SOURCE("2", "3", "0", "0") ADDRESS("0x03") "</hostdev>", "");
    g_autofree char *tiny = testChange(
        running, "'pci.4'><qemu:frontend><qemu:property name='pref64-reserve' type='unsigned' value='2097152'/>",
        "'pci.4'><qemu:frontend><qemu:property name='pref64-reserve' type='unsigned' value='524288'/>");
    g_autofree char *unknown = testAdd(
        running, "<controller type='pci' index='9' model='pcie-root-port'>"
                 "<address type='pci' domain='0x0000' bus='0x01' slot='0x05' function='0x0'/></controller>");

    world.live = gone;
    testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
    world.live = unknown;
    testReplaces(&world, ATTACH, LIVE, DEVICE("0", "1"), DEVICE_AT("0", "1", "0x09"));
    world.live = running;
    world.network = HOSTDEV_NETWORK;
    testReplaces(&world, ATTACH, LIVE, ON_NETWORK("fast"),
                 "<interface type='network'><source network='fast'/>" ADDRESS("0x04") "</interface>");
    testPasses(&world, ATTACH, LIVE, "<interface type='network'><source network='fast'/>" ADDRESS("0x04") "</interface>",
               NULL);
    world.live = tiny;
    testRefuses(&world, ATTACH, LIVE, ON_NETWORK("fast"),
                TINY("no free root port below its vSMMU keeps as much"));
    testRefuses(&world, ATTACH, LIVE,
                "<interface type='network'><source network='fast'/>" ADDRESS("0x04") "</interface>",
                TINY("the port of its address, 4, keeps less"));
#undef TINY
}

/* All other BARs are in the window below 4 GiB, which is judged in the same way. */
static void
testOtherBars(void)
{
    static const char bar[] = "= 0x0000124002000000 0x0000124003ffffff 0x000000000014220c";
    static const char *const others[] = {
        "= 0x0000124002000000 0x0000124003ffffff 0x0000000000140204", /* not prefetchable */
        "= 0x0000124002000000 0x0000124003ffffff 0x0000000000042208", /* of 32 bits */
    };
    static const char small[] =
        "viommu: V22: hostdev '0002:03:00.0' needs a window below 4 GiB of 32768 KiB, and no free root port below its "
        "vSMMU keeps as much (the guest would move the windows of its neighbours, and a running device loses its BARs); "
        "to fix it, define the domain with the device in it, or with <placement sparePorts='1' memReserve='32768'/> in "
        "its request, and start it anew";
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(
        &world, HEAD DEVICE("2", "1") "<iommu model='smmuv3' nested='yes'><placement sparePorts='1' pref64Reserve='2048'/>"
                "</iommu>" TAIL);
    g_autofree char *running = testChange(domain, "<domain type='kvm'", "<domain type='kvm' id='1'");
    g_autofree char *large = testChange(running, " memReserve='2048'/>", " memReserve='32768'/>");
    g_autofree char *unknown = testChange(running, " memReserve='2048'/>", "/>");
    g_autofree char *manifest = testManifest("grace");
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autofree char *changed = testChange(manifest, bar, others[i]);

        world.manifest = changed;
        world.live = running;
        testRefuses(&world, ATTACH, LIVE, DEVICE("2", "3"), small);
        world.live = large;
        testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
        world.live = unknown;
        testReplaces(&world, ATTACH, LIVE, DEVICE("2", "3"), DEVICE_AT("2", "3", "0x03"));
    }
}

/* A bridge is not plugged, whatever its BARs are. */
static void
testBridgeBars(void)
{
    static const char class[] = "sys/devices/pci0003:00/0003:00:00.0/class = 0x060400\n";
    testWorld world = testWorldOf("grace");
    g_autofree char *manifest = testManifest("grace");
    g_autofree char *lines = g_strconcat(
        class, "sys/devices/pci0003:00/0003:00:00.0/resource = 0x0000130010000000 0x0000130010ffffff 0x000000000014220c\n",
        NULL);
    g_autofree char *changed = testChange(manifest, class, lines);
    g_autofree char *domain = testPlace(&world, HEAD DEVICE("3", "1") SPARE("1") TAIL);
    g_autofree char *same = NULL;

    world.manifest = changed;
    same = testPlace(&world, HEAD DEVICE("3", "1") SPARE("1") TAIL);
    g_assert_cmpstr(same, ==, domain);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/rewrite/hotplug/both", testBoth);
    g_test_add_func("/rewrite/hotplug/both-need", testBothNeed);
    g_test_add_func("/rewrite/hotplug/both-judged", testBothJudged);
    g_test_add_func("/rewrite/hotplug/older", testOlder);
    g_test_add_func("/rewrite/hotplug/older-ports", testOlderPorts);
    g_test_add_func("/rewrite/hotplug/groups", testGroups);
    g_test_add_func("/rewrite/hotplug/known", testKnown);
    g_test_add_func("/rewrite/hotplug/twice", testTwice);
    g_test_add_func("/rewrite/hotplug/networks", testNetworks);
    g_test_add_func("/rewrite/hotplug/update", testUpdate);
    g_test_add_func("/rewrite/hotplug/windows", testWindows);
    g_test_add_func("/rewrite/hotplug/windows-taken", testWindowsTaken);
    g_test_add_func("/rewrite/hotplug/other-bars", testOtherBars);
    g_test_add_func("/rewrite/hotplug/bridge-bars", testBridgeBars);
    g_test_add_func("/rewrite/hotplug/policy", testPolicy);
    g_test_add_func("/rewrite/hotplug/policy-unreadable", testPolicyUnreadable);
    g_test_add_func("/rewrite/hotplug/no-host", testNoHost);
    return g_test_run();
}
