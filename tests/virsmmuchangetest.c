/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A host that loses a device while it is read. The device goes at every point there is: before the
 * first call of the reader, before the second, and so on, all at once or piece by piece as the
 * kernel takes it away. What is read must be what was there, or one clean error.
 */
#include "hosttestutils.h"
#include "viommuerror.h"
#include "virrecord.h"
#include "virsmmu.h"
#include "virsysfspriv.h"

#include <stdio.h>
#include <string.h>

#define VICTIM "0001:02:00.0"
#define MATE "0001:02:00.1"
#define NAME "smmu3.0x0000000011000000"
#define PORT "sys/devices/pci0001:00/0001:00:00.0"
#define IOMMU "sys/devices/platform/arm-smmu-v3.0.auto/iommu/" NAME

#define DEVICE(bdf, dir, group, pciClass)                                                          \
    "sys/bus/pci/devices/" bdf " -> ../../../" dir "\n" IOMMU "/devices/" bdf                      \
    " -> ../../../../../../" dir "\n"                                                              \
    "sys/kernel/iommu_groups/" group "/devices/" bdf " -> ../../../../" dir "\n"                   \
    "sys/" dir "/iommu_group -> x/" group "\n"                                                     \
    "sys/" dir "/iommu -> x/smmu3.0x0000000011000000\n"                                            \
    "sys/" dir "/numa_node = 1\n"                                                                  \
    "sys/" dir "/resource = 0x1000 0x1fff 0x200\n"                                                 \
    "sys/" dir "/uevent = DRIVER=x\\nPCI_CLASS=" pciClass "\\nPCI_ID=10DE:2342\n"

/* clang-format off */
/* A root port, a device of two functions in one group below it, and a neighbour. */
static const char manifest[] =
    "sys/class/iommu/smmu3.0x0000000011000000 -> ../../devices/platform/arm-smmu-v3.0.auto/iommu/"
    "smmu3.0x0000000011000000\n"
    "sys/devices/platform/arm-smmu-v3.0.auto/numa_node = 0\n"
    "sys/kernel/iommu_groups/8/reserved_regions = 0x8000000 0x80fffff msi\n"
    DEVICE("0001:00:00.0", "devices/pci0001:00/0001:00:00.0", "7", "60400")
    DEVICE(VICTIM, "devices/pci0001:00/0001:00:00.0/" VICTIM, "8", "30200")
    DEVICE(MATE, "devices/pci0001:00/0001:00:00.0/" MATE, "8", "40300")
    DEVICE("0001:03:00.0", "devices/pci0001:00/0001:03:00.0", "9", "20000");
/* clang-format on */

/* In the order of device_del() and iommu_release_device() in Linux. */
static const char *const steps[] = {
    PORT "/" VICTIM "/uevent",
    "sys/bus/pci/devices/" VICTIM,
    "sys/kernel/iommu_groups/8/devices/" VICTIM,
    PORT "/" VICTIM "/iommu_group",
    IOMMU "/devices/" VICTIM,
    PORT "/" VICTIM "/iommu",
    PORT "/" VICTIM,
};

/* The host after each step: with its SMMU, and as if it had none. */
static virSysfs *states[2][G_N_ELEMENTS(steps) + 1];

/* How fast the device goes: @steps of them every @calls calls of the reader. */
typedef struct {
    size_t steps;
    size_t calls;
} Speed;

static const Speed speeds[] = {
    { 1, 9 }, { 1, 4 }, { 1, 2 }, { 1, 1 }, { 2, 1 }, { 3, 1 }, { G_N_ELEMENTS(steps), 1 },
};

/* A reader that loses the victim when it is called for the @at-th time. */
typedef struct {
    virSysfs parent;
    size_t calls;
    size_t at;
    const Speed *speed;
    bool translated;
} Hook;

static virSysfs *
count(virSysfs *fs)
{
    Hook *hook = (Hook *)fs;
    size_t since = hook->calls < hook->at ? 0 : (hook->calls - hook->at) / hook->speed->calls + 1;

    hook->calls++;
    return states[hook->translated][MIN(since * hook->speed->steps, G_N_ELEMENTS(steps))];
}

/* The manifest without what the first @done steps take away. */
static virSysfs *
stateAfter(size_t done, bool translated)
{
    g_auto(GStrv) lines = g_strsplit(manifest, "\n", -1);
    g_autoptr(GString) left = g_string_new(NULL);
    size_t i, j;

    for (i = 0; lines[i]; i++) {
        for (j = 0; j < done && !g_str_has_prefix(lines[i], steps[j]); j++)
            continue;
        if (j == done && (translated || !strstr(lines[i], "iommu")))
            g_string_append_printf(left, "%s\n", lines[i]);
    }
    return testHostParse(left->str);
}

static uint8_t *
hookRead(virSysfs *fs, const char *path, size_t limit, size_t *ret_len, GError **error)
{
    virSysfs *inner = count(fs);

    return inner->backend->read(inner, path, limit, ret_len, error);
}

static char *
hookReadLink(virSysfs *fs, const char *path)
{
    virSysfs *inner = count(fs);

    return inner->backend->readLink(inner, path);
}

static GPtrArray *
hookList(virSysfs *fs, const char *path, GError **error)
{
    virSysfs *inner = count(fs);

    return inner->backend->list(inner, path, error);
}

static bool
hookExists(virSysfs *fs, const char *path)
{
    virSysfs *inner = count(fs);

    return inner->backend->exists(inner, path);
}

static void
hookFree(virSysfs *fs)
{
    g_free(fs);
}

static const virSysfsBackend hookBackend = {
    .read = hookRead,
    .readLink = hookReadLink,
    .list = hookList,
    .exists = hookExists,
    .free = hookFree,
};

static virSysfs *
hookNew(size_t at, const Speed *speed, bool translated)
{
    Hook *hook = g_new0(Hook, 1);

    hook->parent.backend = &hookBackend;
    hook->at = at;
    hook->speed = speed;
    hook->translated = translated;
    return &hook->parent;
}

static char *
formatDevice(const virSMMUTopology *topo, const virSMMUDevice *dev)
{
    const virSMMUGroup *group = virSMMUTopologyFindGroup(topo, dev->group);

    return g_strdup_printf("%s %x:%x %x %s numa %d parents %u bars %u bridge %d %s group %d %s",
                           dev->name, (unsigned)dev->vendor, (unsigned)dev->device,
                           (unsigned)dev->class, dev->driver, dev->numaNode, dev->parents->len,
                           dev->bars->len, dev->bridge, dev->smmu ? dev->smmu->name : "-",
                           dev->group, group ? "known" : "unknown");
}

/* What each device says on a host that does not change, and on one without SMMU. */
static const char *const whole[][4] = {
    {
        "0001:00:00.0 10de:2342 60400 x numa 1 parents 0 bars 1 bridge 1 - group -1 unknown",
        VICTIM " 10de:2342 30200 x numa 1 parents 1 bars 1 bridge 0 - group -1 unknown",
        MATE " 10de:2342 40300 x numa 1 parents 1 bars 1 bridge 0 - group -1 unknown",
        "0001:03:00.0 10de:2342 20000 x numa 1 parents 0 bars 1 bridge 0 - group -1 unknown",
    },
    {
        "0001:00:00.0 10de:2342 60400 x numa 1 parents 0 bars 1 bridge 1 " NAME " group 7 known",
        VICTIM " 10de:2342 30200 x numa 1 parents 1 bars 1 bridge 0 " NAME " group 8 known",
        MATE " 10de:2342 40300 x numa 1 parents 1 bars 1 bridge 0 " NAME " group 8 known",
        "0001:03:00.0 10de:2342 20000 x numa 1 parents 0 bars 1 bridge 0 " NAME " group 9 known",
    },
};

static void
checkGone(const GError *error)
{
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==,
                    "host device '" VICTIM "' has gone while the host was read; run it again");
}

static void
checkIds(virSMMUTopology *topo, virSysfs *fs, virSMMUDevice *dev)
{
    g_autoptr(GError) error = NULL;

    if (!virSMMUTopologyLoadIds(topo, fs, dev, &error)) {
        checkGone(error);
        g_assert_cmpstr(dev->name, ==, VICTIM);
        return;
    }
    g_assert_cmpint(dev->vendor, ==, 0x10de);
    g_assert_true(!dev->smmu == (dev->group < 0));
}

/* Reads ids and details of all devices, and returns how many could be read. */
static size_t
checkDevices(virSMMUTopology *topo, virSysfs *fs, bool translated)
{
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    size_t good = 0, i, j;

    for (i = 0; i < devices->len; i++)
        checkIds(topo, fs, g_ptr_array_index(devices, i));
    for (i = 0; i < devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(devices, i);
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        /* Never as if no SMMU translated it. */
        g_assert_true((dev->smmu != NULL) == translated);
        if (!virSMMUTopologyLoadDetails(topo, fs, dev, &error)) {
            checkGone(error);
            g_assert_true(g_str_equal(dev->name, VICTIM) || g_str_equal(dev->name, MATE));
            continue;
        }
        text = formatDevice(topo, dev);
        for (j = 0; j < G_N_ELEMENTS(*whole) && !g_str_equal(text, whole[translated][j]); j++)
            continue;
        g_test_message("%s", text);
        g_assert_cmpuint(j, <, G_N_ELEMENTS(*whole));
        good++;
    }
    return good;
}

/* Each reads the host once, which loses its device at call @at. */
typedef size_t (*ReadOnce)(size_t at, const Speed *speed, bool translated, bool *ret_complete);

static size_t
readOnce(size_t at, const Speed *speed, bool translated, bool *ret_complete)
{
    g_autoptr(virSysfs) fs = hookNew(at, speed, translated);
    g_autoptr(GError) error = NULL;
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(virSMMUTopologyDevices(topo)->len, >=, G_N_ELEMENTS(*whole) - 1);
    *ret_complete = checkDevices(topo, fs, translated) == G_N_ELEMENTS(*whole);
    return ((Hook *)fs)->calls;
}

static size_t
recordOnce(size_t at, const Speed *speed, bool translated, bool *ret_complete)
{
    g_autoptr(virSysfs) fs = hookNew(at, speed, translated);
    g_autoptr(GError) error = NULL;
    g_autofree char *record = virRecordHost(fs, &error);

    *ret_complete = false;
    if (record) {
        g_autoptr(virSysfs) again = testHostParse(record);
        g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(again, &error);

        g_assert_no_error(error);
        *ret_complete = checkDevices(topo, again, translated) == G_N_ELEMENTS(*whole);
        /* All of it or nothing. */
        g_assert_true(*ret_complete || !strstr(record, "bus/pci/devices/" VICTIM " ->"));
    } else {
        checkGone(error);
    }
    return ((Hook *)fs)->calls;
}

static void
checkEverywhere(ReadOnce once, bool translated)
{
    bool complete = false;
    size_t total = once(G_MAXSIZE, speeds, translated, &complete), i, at;

    g_assert_true(complete);
    g_assert_cmpuint(total, >, 25);
    for (i = 0; i < G_N_ELEMENTS(speeds); i++) {
        for (at = 0; at < total; at++) {
            g_test_message("%zu steps each %zu calls, from call %zu of %zu on", speeds[i].steps,
                           speeds[i].calls, at, total);
            once(at, &speeds[i], translated, &complete);
        }
    }
    once(0, &speeds[G_N_ELEMENTS(speeds) - 1], translated, &complete);
    g_assert_false(complete);
}

static void
testRead(void)
{
    checkEverywhere(readOnce, true);
    checkEverywhere(readOnce, false);
}

static void
testRecord(void)
{
    checkEverywhere(recordOnce, true);
    checkEverywhere(recordOnce, false);
}

typedef struct {
    const char *here;
    const char *away;
    gulong delay; /* microseconds */
} Mover;

static gpointer
moveAway(gpointer data)
{
    const Mover *mover = data;

    g_usleep(mover->delay);
    g_assert_cmpint(rename(mover->here, mover->away), ==, 0);
    return NULL;
}

/* The same with a real second party: the device goes at some moment of each reading, and is back
 * for the next. */
static void
testThread(void)
{
    g_autoptr(virSysfs) recorded = testHostParse(manifest);
    g_autofree char *directory = testHostUnpack(recorded);
    g_autofree char *here = g_strconcat(directory, "/" PORT "/" VICTIM, NULL);
    g_autofree char *away = g_strconcat(directory, "/away", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(virSysfs) fs = virSysfsOpenRoot(directory, &error);
    size_t i;

    g_assert_no_error(error);
    for (i = 0; i < 200; i++) {
        Mover mover = { here, away, i };
        GThread *thread = g_thread_new("mover", moveAway, &mover);
        g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, &error);

        g_assert_no_error(error);
        checkDevices(topo, fs, true);
        g_thread_join(thread);
        g_assert_cmpint(rename(away, here), ==, 0);
    }
    testHostRemove(directory);
}

int
main(int argc, char **argv)
{
    size_t count = G_N_ELEMENTS(states[0]), i;
    int status;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < 2 * count; i++)
        states[i / count][i % count] = stateAfter(i % count, i / count);
    g_test_add_func("/smmu/change/read", testRead);
    g_test_add_func("/smmu/change/record", testRecord);
    g_test_add_func("/smmu/change/thread", testThread);
    status = g_test_run();
    for (i = 0; i < 2 * count; i++)
        virSysfsFree(states[i / count][i % count]);
    return status;
}
