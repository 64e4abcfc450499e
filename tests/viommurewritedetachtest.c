/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that are to go: only what QEMU does not let go of is refused, and all else passes unread.
 */
#include "rewritetestutils.h"

#include <string.h>

#define DETACH VIOMMU_REWRITE_DETACH
#define LIVE VIOMMU_REWRITE_LIVE
#define CONFIG VIOMMU_REWRITE_CONFIG

#define NAMED(bus, guestBus, alias) \
    HOSTDEV SOURCE("2", bus, "0", "0") "<alias name='" alias "'/>" ADDRESS(guestBus) "</hostdev>"

#define FIRST \
    "viommu: V12: hostdev '0002:01:00.0' is the first below the vSMMU of controller 1, which has its command queues " \
    "(CMDQV) through it, and QEMU does not let it go while the guest runs (CMDQV is active: removing the device that " \
    "established the viommu association would break the guest CMDQV); to fix it, shut the guest down and detach it " \
    "with --config, or define the domain with cmdqv='off'"

/* @text, which is placed on that host, running; its one device with that alias. */
static char *
runs(testWorld *world, const char *text, const char *alias)
{
    g_autofree char *placed = testPlace(world, text);
    g_autofree char *running = testChange(placed, "<domain type='kvm'", "<domain type='kvm' id='1'");
    g_autofree char *named = g_strdup_printf("</source><alias name='%s'/>", alias);

    return testChange(running, "</source>", named);
}

static void
testAlone(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = runs(&world, GRACE_DOMAIN, "hostdev0");
    g_autofree char *another = runs(&world, GRACE_DOMAIN, "ua-gpu");

    world.live = domain;
    testRefuses(&world, DETACH, LIVE, DEVICE("2", "1"), FIRST);
    testRefuses(&world, DETACH, LIVE | CONFIG, DEVICE("2", "1"), FIRST);
    testRefuses(&world, DETACH, 0, DEVICE("2", "1"), FIRST);
    testPasses(&world, DETACH, CONFIG, DEVICE("2", "1"), "");
    /* one that it does not have */
    testPasses(&world, DETACH, LIVE, DEVICE("2", "3"), "domain, host");
    world.live = another;
    testRefuses(&world, DETACH, LIVE, DEVICE("2", "1"), FIRST);
}

/* Command queues that were asked for by word. */
static void
testAsked(void)
{
    static const char *const words[] = { "on", "auto" };
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = runs(&world, GRACE_DOMAIN, "hostdev0");
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *driver = g_strdup_printf("accel='on' cmdqv='%s'/>", words[i]);
        g_autofree char *asked = testChange(domain, "accel='on'/>", driver);

        world.live = asked;
        testRefuses(&world, DETACH, LIVE, DEVICE("2", "1"), FIRST);
    }
}

static void
testStopped(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = testPlace(&world, GRACE_DOMAIN);

    world.live = domain;
    testPasses(&world, DETACH, 0, DEVICE("2", "1"), NULL);
}

static void
testFirst(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = runs(&world, GRACE_DOMAIN, "hostdev0");
    g_autofree char *two = testAdd(domain, NAMED("3", "3", "hostdev1"));
    g_autofree char *later = testChange(two, "'hostdev0'", "'hostdev2'");
    g_autofree char *unknown = testChange(two, "'hostdev1'", "'ua-nic'");

    world.live = two;
    testRefuses(&world, DETACH, LIVE, DEVICE("2", "1"), FIRST);
    testPasses(&world, DETACH, LIVE, DEVICE("2", "3"), "domain, host");
    world.live = later;
    testPasses(&world, DETACH, LIVE, DEVICE("2", "1"), "domain, host");
    /* QEMU knows. */
    world.live = unknown;
    testPasses(&world, DETACH, LIVE, DEVICE("2", "1"), "domain, host");
    testPasses(&world, DETACH, LIVE, DEVICE("2", "3"), "domain, host");
}

/* Another vSMMU's device is no neighbour. */
static void
testTwoSMMUs(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *placed = testPlace(&world, HEAD DEVICE("2", "1") DEVICE("6", "1") NESTED TAIL);
    g_autofree char *domain = testChange(placed, "<domain type='kvm'", "<domain type='kvm' id='1'");
    g_autoptr(testOutcome) first = NULL;
    g_autoptr(testOutcome) second = NULL;

    world.live = domain;
    first = testRewrite(&world, DETACH, LIVE, DEVICE("2", "1"), -1, NULL);
    second = testRewrite(&world, DETACH, LIVE, DEVICE("6", "1"), -1, NULL);
    testBegins(first, "viommu: V12: hostdev '0002:01:00.0' is the first below the vSMMU of controller ");
    testBegins(second, "viommu: V12: hostdev '0006:01:00.0' is the first below the vSMMU of controller ");
}

/* With no command queues, by the request or on the host, QEMU lets any go. */
static void
testWithout(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = runs(&world,
                                   HEAD DEVICE("2", "1") "<iommu model='smmuv3' nested='yes'><driver cmdqv='off'/>"
                                   "</iommu>" TAIL, "hostdev0");
    testWorld other = testWorldOf("kunpeng920");
    g_autofree char *plain = g_strdup(HEAD DEVICE("2", "1") TAIL);
    g_autofree char *misfit = NULL;

    world.live = domain;
    testPasses(&world, DETACH, LIVE, DEVICE("2", "1"), "domain, host");
    world.live = plain;
    testPasses(&world, DETACH, LIVE, DEVICE("2", "1"), "domain");
    world = testWorldOf("grace");
    g_free(domain);
    domain = runs(&world, GRACE_DOMAIN, "hostdev0");
    other.live = domain;
    testPasses(&other, DETACH, LIVE, DEVICE("2", "1"), "domain, host");
    /* a CMDQV of a version that QEMU does not take */
    other = testWorldOf("mixed-features");
    misfit = runs(&other, HEAD DEVICE("0xb", "1") NESTED TAIL, "hostdev0");
    other.live = misfit;
    testPasses(&other, DETACH, LIVE, DEVICE("0xb", "1"), "domain, host");
}

/* What a network of the domain hands out is asked for first. */
static void
testNetwork(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = runs(&world, GRACE_DOMAIN, "hostdev0");
    g_autofree char *networked = testAdd(domain, ON_NETWORK("fast"));

    world.live = networked;
    world.network = NAT_NETWORK;
    testRefuses(&world, DETACH, LIVE, DEVICE("2", "1"), FIRST);
    testPasses(&world, DETACH, LIVE, ON_NETWORK("fast"), "domain, network fast, host");
    world.network = NULL;
    testPasses(&world, DETACH, LIVE, DEVICE("2", "1"), "domain, network fast");
}

/* What cannot be read or asked is libvirt's to judge. */
static void
testUnknown(void)
{
    testWorld world = testWorldOf("grace");
    g_autofree char *domain = runs(&world, GRACE_DOMAIN, "hostdev0");

    world.live = domain;
    testPasses(&world, DETACH, LIVE, "<hostdev", "domain");
    testPasses(&world, DETACH, LIVE, "<hostdev mode='subsystem' type='pci'/>", NULL);
    testPasses(&world, DETACH, LIVE, ON_NETWORK("fast"), NULL);
    testPasses(&world, DETACH, LIVE, "<disk type='file'/>", "");
    world.host = NULL;
    testPasses(&world, DETACH, LIVE, DEVICE("2", "1"), "domain, host");
    world.live = NULL;
    testPasses(&world, DETACH, LIVE, DEVICE("2", "1"), "domain");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/rewrite/detach/alone", testAlone);
    g_test_add_func("/rewrite/detach/asked", testAsked);
    g_test_add_func("/rewrite/detach/stopped", testStopped);
    g_test_add_func("/rewrite/detach/first", testFirst);
    g_test_add_func("/rewrite/detach/two-smmus", testTwoSMMUs);
    g_test_add_func("/rewrite/detach/without", testWithout);
    g_test_add_func("/rewrite/detach/network", testNetwork);
    g_test_add_func("/rewrite/detach/unknown", testUnknown);
    return g_test_run();
}
