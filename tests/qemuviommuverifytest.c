/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of a running QEMU: livedata/NAME.live has commands and QEMU's answers by turns, behind a first line that
 * says whose they are, NAME.xml the domain as it ran, if libvirt was there, and NAME.said what has to come out on the
 * host emulated.sysfs. And QEMUs that are made up.
 *
 * VIOMMU_TEST_REGENERATE=1 rewrites what differs, and fails.
 */
#include "hosttestutils.h"
#include "livetestutils.h"

#include <string.h>

static void
testRecorded(gconstpointer data)
{
    const char *stem = data;
    g_autoptr(GHashTable) answers = testLiveAnswers(stem);
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuLive) live = testLiveWalk(answers, &error);
    g_autofree char *xml = testLiveRead(stem, ".xml");
    g_autofree char *directory = g_path_get_dirname(stem);
    g_autofree char *host = testLiveRead(directory, "/emulated.sysfs");
    g_autofree char *expected = testLiveRead(stem, ".said");
    g_autofree char *expectation = g_strconcat(stem, ".said", NULL);
    g_autofree char *actual = NULL;
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(virSysfs) fs = NULL;
    g_autoptr(virSMMUTopology) topo = NULL;
    qemuViommuVerifyContext context = { 0 };

    g_assert_no_error(error);
    if (xml) {
        g_autoptr(viommuDomain) dom = viommuDomainParse(xml, strlen(xml), &error);

        g_assert_no_error(error);
        qemuViommuLiveBind(live, dom);
        context.asked = viommuDomainIsRequest(dom);
    }
    fs = testHostParse(host);
    topo = virSMMUTopologyRead(fs, &error);
    g_assert_no_error(error);
    testLiveLoad(live, topo, fs);
    context.live = live;
    context.host = topo;
    devices = qemuViommuVerify(&context, findings);
    actual = testLiveDescribe(devices, findings);
    if (g_strcmp0(expected, actual) == 0)
        return;
    g_test_fail_printf("%s: expected '%s', got '%s'", expectation, expected ? expected : "", actual);
    if (g_getenv("VIOMMU_TEST_REGENERATE"))
        g_file_set_contents(expectation, actual, -1, NULL);
}

/* The process has another device open than the one that is said. */
static void
testOpened(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autoptr(virSysfs) fs = testHostParse("sys/bus/pci/devices\n");
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(qemuViommuLive) live = NULL;
    qemuViommuVerifyContext context = { 0 };
    g_autofree char *said = NULL;
    size_t i;

    testLiveSet(answers, GET("d0", "host"), TEXT("0002:01:00.0"));
    live = testLiveWalk(answers, NULL);
    for (i = 0; i < live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        dev->haveOpened = virPCIAddrParse("0002:02:00.0", &dev->opened);
    }
    context.live = live;
    context.host = topo;
    devices = qemuViommuVerify(&context, findings);
    said = testLiveDescribe(devices, findings);
    g_assert_nonnull(strstr(said, "error: V02: device 'd0' (0002:01:00.0) is '0002:02:00.0' by the descriptor that "
                                  "QEMU has\n"));
}

static void
testMediated(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autoptr(virSysfs) fs = testHostParse("sys/bus/pci/devices\n");
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(qemuViommuLive) live = NULL;
    qemuViommuVerifyContext context = { 0 };

    testLiveSet(answers, GET("d0", "sysfsdev"), TEXT("/sys/bus/mdev/devices/5d3f4a1e-0000-4000-8000-000000000001"));
    live = testLiveWalk(answers, NULL);
    context.live = live;
    context.host = topo;
    devices = qemuViommuVerify(&context, findings);
    g_assert_cmpuint(devices->len, ==, 0);
    g_assert_cmpuint(findings->len, ==, 0);
}

static void
testHardware(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autofree char *grouped = NULL;
    g_autofree char *bridged = NULL;

    testLiveSet(answers, GET("d0", "host"), TEXT("0000:27:00.0"));
    grouped = testLiveJudge(answers, "livedata/emulated", false);
    g_assert_cmpstr(grouped, ==, "device 'd0' (0000:27:00.0): smmu " SMMU_OF_2X ", vsmmu s0, bus e0, port p0, iommufd "
                                 "iommufd0: wrong\n"
                                 "error: V16: device 'd0' (0000:27:00.0) shares IOMMU group 20 with '0000:27:00.1'\n");
    testLiveSet(answers, GET("d0", "host"), TEXT("0000:21:00.0"));
    bridged = testLiveJudge(answers, "livedata/emulated", true);
    g_assert_cmpstr(bridged, ==, "device 'd0' (0000:21:00.0): smmu " SMMU_OF_2X ", vsmmu s0, bus e0, port p0, iommufd "
                                 "iommufd0: wrong\n"
                                 "error: V17: device 'd0' (0000:21:00.0) is behind a conventional PCI bridge and shares "
                                 "its StreamID\n");
}

/* Without vSMMUs a device may be behind any IOMMU, and use iommufd or not. */
static void
testPlain(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autofree char *said = NULL;

    testLiveSet(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("d0", "vfio-pci") "," CHILD("d1", "vfio-pci") "]}");
    testLiveSet(answers, GET("d0", "host"), TEXT("0000:01:00.0"));
    testLiveSet(answers, GET("d1", "host"), TEXT("0000:81:00.0"));
    testLiveSet(answers, GET("d0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    testLiveSet(answers, GET("d1", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    testLiveSet(answers, GET("d1", "iommufd"), MISSING("GenericError"));
    testLiveSet(answers, GET("d1", "hotplugged"), "{\"return\":true}");
    testLiveSet(answers, GET("d1", "sysfsdev"), TEXT(""));
    said = testLiveJudge(answers, "hosts/x86-vtd", false);
    g_assert_cmpstr(said, ==,
                    "device 'd0' (0000:01:00.0): smmu -, vsmmu -, bus pcie.0, port -, iommufd iommufd0: none\n"
                    "device 'd1' (0000:81:00.0): smmu -, vsmmu -, bus pcie.0, port -, iommufd -, hotplugged: none\n");
}

/* Of vSMMUs that do not say which bus they serve no two are on one. */
static void
testNoBus(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autofree char *said = NULL;

    testLiveSet(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("s0", "arm-smmuv3-accel") "," CHILD("s1", "arm-smmuv3-accel") "]}");
    testLiveSet(answers, GET("s0", "primary-bus"), MISSING("GenericError"));
    testLiveSet(answers, GET("s1", "primary-bus"), MISSING("GenericError"));
    testLiveSet(answers, GET("s0", "pci-bus"), MISSING("GenericError"));
    testLiveSet(answers, GET("s1", "pci-bus"), MISSING("GenericError"));
    testLiveSet(answers, GET("s0", "parent_bus"), MISSING("GenericError"));
    testLiveSet(answers, GET("s1", "parent_bus"), MISSING("GenericError"));
    said = testLiveJudge(answers, "livedata/emulated", false);
    g_assert_cmpstr(said, ==, "");
}

/* Below one vSMMU all go through one iommufd object, below another perhaps through another. */
static void
testTwoObjects(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autofree char *said = NULL;

    testLiveSet(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("d0", "vfio-pci") "," CHILD("s0", "arm-smmuv3") "," CHILD("d1", "vfio-pci") ","
        CHILD("s1", "arm-smmuv3") "]}");
    testLiveSet(answers, GET("d0", "host"), TEXT("0000:21:00.0"));
    testLiveSet(answers, GET("d1", "host"), TEXT("0000:41:00.0"));
    testLiveSet(answers, GET("d0", "parent_bus"), TEXT("/machine/unattached/device[7]/e0"));
    testLiveSet(answers, GET("d1", "parent_bus"), TEXT("/machine/unattached/device[8]/e1"));
    testLiveSet(answers, GET("s1", "primary-bus"), TEXT("/machine/unattached/device[8]/e1"));
    testLiveSet(answers, GET("s1", "accel"), "{\"return\":true}");
    testLiveSet(answers, GET("d1", "iommufd"), TEXT("/objects/iommufd1"));
    testLiveSet(answers, GET("d1", "hotplugged"), "{\"return\":false}");
    testLiveSet(answers, GET("d1", "sysfsdev"), TEXT(""));
    said = testLiveJudge(answers, "livedata/emulated", false);
    g_assert_cmpstr(said, ==,
                    "device 'd0' (0000:21:00.0): smmu " SMMU_OF_2X ", vsmmu s0, bus e0, port -, iommufd iommufd0: right\n"
                    "device 'd1' (0000:41:00.0): smmu " SMMU_OF_4X ", vsmmu s1, bus e1, port -, iommufd iommufd1: "
                    "right\n");
}

/* ---- expander buses */

#define D0(verdict) \
    "device 'd0' (0000:21:00.0): smmu " SMMU_OF_2X ", vsmmu s0, bus e0, port p0, iommufd iommufd0: " verdict "\n"

#define BEGINS(bus, number) \
    "error: V10: expander bus '" bus "' begins at " number ", but 'pcie.0' needs the bus numbers up to " number "\n"

static const struct {
    unsigned below;  /* ports of e0 */
    unsigned beside; /* of pcie.0 */
    unsigned first;  /* number of e0 */
    int second;      /* of e1, which has no port; -1: there is none */
    const char *said;
} numbered[] = {
    { 1, 0, 254, -1, D0("right") },
    { 2, 0, 254, -1, D0("wrong") "error: V10: expander bus 'e0' needs 3 bus numbers from 254 on, up to 256, but 255 is "
                                 "the last there is\n" },
    { 1, 0, 200, 202, D0("right") },
    { 2, 0, 200, 202, D0("wrong") "error: V10: expander bus 'e0' needs 3 bus numbers from 200 on, up to 202, but "
                                  "expander bus 'e1' begins at 202\n" },
    { 1, 0, 200, 200, D0("wrong") "error: V10: expander bus 'e0' needs 2 bus numbers from 200 on, up to 201, but "
                                  "expander bus 'e1' begins at 200\n" },
    { 1, 0, 254, 252, D0("right") },
    { 1, 3, 4, -1, D0("right") },
    { 1, 4, 4, -1, D0("wrong") BEGINS("e0", "4") },
    { 1, 2, 200, 2, D0("right") BEGINS("e1", "2") },
    { 1, 0, 0, -1, D0("wrong") BEGINS("e0", "0") },
};

/* Adds a device to the list that is @out so far. */
static void
addListed(GHashTable *answers, GString *out, const char *id, const char *type, const char *bus)
{
    g_autofree char *command = g_strdup_printf(GET("%s", "parent_bus"), id);
    g_autofree char *answer = g_strdup_printf(TEXT("%s"), bus);

    testLiveSet(answers, command, answer);
    g_string_append_printf(out, "," CHILD("%s", "%s"), id, type);
}

static void
testNumbers(void)
{
    static const char root[] = "/machine/unattached/device[0]/pcie.0";
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(numbered); i++) {
        g_autoptr(GHashTable) answers = testLiveMake();
        g_autoptr(GString) list = g_string_new("{\"return\":[" CHILD("d0", "vfio-pci") "," CHILD("s0", "arm-smmuv3"));
        g_autofree char *first = g_strdup_printf("{\"return\":%u}", numbered[i].first);
        g_autofree char *second = g_strdup_printf("{\"return\":%d}", numbered[i].second);
        g_autofree char *said = NULL;
        unsigned j;

        addListed(answers, list, "e0", "pxb-pcie", root);
        if (numbered[i].second >= 0)
            addListed(answers, list, "e1", "pxb-pcie", root);
        for (j = 0; j < numbered[i].below + numbered[i].beside; j++) {
            g_autofree char *id = g_strdup_printf("p%u", j);

            addListed(answers, list, id, "pcie-root-port",
                      j < numbered[i].below ? "/machine/unattached/device[7]/e0" : root);
        }
        g_string_append(list, "]}");
        testLiveSet(answers, LIST("/machine/peripheral"), list->str);
        testLiveSet(answers, GET("d0", "host"), TEXT("0000:21:00.0"));
        testLiveSet(answers, GET("e0", "bus_nr"), first);
        testLiveSet(answers, GET("e1", "bus_nr"), second);
        testLiveSet(answers, GET("e1", "numa_node"), "{\"return\":128}");
        said = testLiveJudge(answers, "livedata/emulated", false);
        g_assert_cmpstr(said, ==, numbered[i].said);
    }
}

/* The SMMU of 0000:21:00.0 is on the host's node 0; of that of 0000:01:00.0 none is known. */
static void
testNodes(void)
{
    static const char far[] = D0("right") "warning: V21: expander bus 'e0' is on the guest's node 1, whose memory is not "
                                          "from node 0, where '" SMMU_OF_2X "' is\n";
    static const struct {
        const char *host;
        const char *node;
        const char *memory;
        bool found;
    } cases[] = {
        { TEXT("0000:21:00.0"), "{\"return\":1}", "{\"return\":[0]}", false },
        { TEXT("0000:21:00.0"), "{\"return\":1}", "{\"return\":[1]}", true },
        { TEXT("0000:21:00.0"), "{\"return\":1}", "{\"return\":[1,2]}", true },
        { TEXT("0000:21:00.0"), "{\"return\":1}", "{\"return\":[1,0]}", false },
        { TEXT("0000:21:00.0"), "{\"return\":1}", "{\"return\":[]}", false },
        { TEXT("0000:21:00.0"), "{\"return\":1}", MISSING("DeviceNotFound"), false },
        { TEXT("0000:21:00.0"), "{\"return\":1}", MISSING("GenericError"), false },
        { TEXT("0000:21:00.0"), MISSING("GenericError"), "{\"return\":[1]}", false },
        { TEXT("0000:21:00.0"), "{\"return\":128}", "{\"return\":[1]}", false },
        { TEXT("0000:01:00.0"), "{\"return\":1}", "{\"return\":[1]}", false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GHashTable) answers = testLiveMake();
        g_autofree char *said = NULL;

        testLiveSet(answers, GET("d0", "host"), cases[i].host);
        testLiveSet(answers, GET("e0", "numa_node"), cases[i].node);
        testLiveSet(answers, NODES("1"), cases[i].memory);
        said = testLiveJudge(answers, "livedata/emulated", false);
        if (cases[i].found)
            g_assert_cmpstr(said, ==, far);
        else
            g_assert_null(strstr(said, "V21"));
    }
}

static int
compareNames(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
main(int argc, char **argv)
{
    g_autofree char **args = testKeepGoing(&argc, argv);
    g_autoptr(GPtrArray) stems = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = NULL;
    g_autoptr(GDir) dir = NULL;
    const char *name;
    size_t i;

    g_test_init(&argc, &args, NULL);
    g_test_add_func("/verify/opened", testOpened);
    g_test_add_func("/verify/mediated", testMediated);
    g_test_add_func("/verify/hardware", testHardware);
    g_test_add_func("/verify/plain", testPlain);
    g_test_add_func("/verify/no-bus", testNoBus);
    g_test_add_func("/verify/two-objects", testTwoObjects);
    g_test_add_func("/verify/numbers", testNumbers);
    g_test_add_func("/verify/nodes", testNodes);
    path = g_test_build_filename(G_TEST_DIST, "livedata", NULL);
    dir = g_dir_open(path, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".live"))
            g_ptr_array_add(stems, g_strndup(name, strlen(name) - strlen(".live")));
    }
    g_ptr_array_sort(stems, compareNames);
    g_assert_cmpuint(stems->len, >, 0);
    for (i = 0; i < stems->len; i++) {
        g_autofree char *test = g_strconcat("/verify/recorded/", g_ptr_array_index(stems, i), NULL);

        g_test_add_data_func_full(test, g_build_filename(path, g_ptr_array_index(stems, i), NULL), testRecorded,
                                  g_free);
    }
    return g_test_run();
}
