/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walk through a running QEMU that is made up, and monitors that answer something else.
 */
#include "hosttestutils.h"
#include "livetestutils.h"
#include "viommuerror.h"

#include <string.h>

static void
testTree(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuLive) live = testLiveWalk(answers, &error);
    const qemuViommuLiveDevice *dev;

    g_assert_no_error(error);
    g_assert_cmpuint(live->devices->len, ==, 4);
    dev = testLiveFind(live, "d0");
    g_assert_cmpint(dev->kind, ==, QEMU_VIOMMU_LIVE_ASSIGNED);
    g_assert_true(dev->port == testLiveFind(live, "p0") && dev->vsmmu == testLiveFind(live, "s0") && dev->expander);
    g_assert_true(dev->vsmmu->accel && !dev->haveHost);
    g_assert_cmpstr(dev->iommufd, ==, "iommufd0");
    g_assert_cmpstr(qemuViommuLiveName(dev->root), ==, "e0");
    g_assert_true(!testLiveFind(live, "e0")->vsmmu && !testLiveFind(live, "e0")->expander);
}

/* The words of patched QEMUs before. */
static void
testOlderNames(void)
{
    static const struct {
        const char *type;
        const char *property;
        bool accel;
    } cases[] = {
        { "arm-smmuv3", "primary-bus", false },
        { "arm-smmuv3-nested", "pci-bus", true },
        { "arm-smmuv3-accel", "parent_bus", true },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GHashTable) answers = testLiveMake();
        g_autofree char *command = g_strdup_printf(GET("s0", "%s"), cases[i].property);
        g_autofree char *list = g_strdup_printf("{\"return\":[" CHILD("s0", "%s") "," CHILD("d0", "vfio-pci") ","
                                                CHILD("p0", "pcie-root-port") "]}", cases[i].type);
        g_autoptr(GError) error = NULL;
        g_autoptr(qemuViommuLive) live = NULL;

        testLiveSet(answers, LIST("/machine/peripheral"), list);
        testLiveSet(answers, GET("s0", "primary-bus"), MISSING("GenericError"));
        testLiveSet(answers, GET("s0", "pci-bus"), MISSING("GenericError"));
        testLiveSet(answers, GET("s0", "accel"), MISSING("GenericError"));
        testLiveSet(answers, GET("s0", "nested"), MISSING("GenericError"));
        testLiveSet(answers, command, TEXT("/machine/unattached/device[7]/e0"));
        live = testLiveWalk(answers, &error);
        g_assert_no_error(error);
        g_assert_true(testLiveFind(live, "d0")->vsmmu == testLiveFind(live, "s0"));
        g_assert_cmpint(testLiveFind(live, "s0")->accel, ==, cases[i].accel);
    }
}

static void
testLoop(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuLive) live = NULL;

    testLiveSet(answers, GET("p0", "parent_bus"), TEXT("/machine/peripheral/p0/p0"));
    live = testLiveWalk(answers, &error);
    g_assert_no_error(error);
    g_assert_true(!testLiveFind(live, "d0")->root && !testLiveFind(live, "d0")->vsmmu);
}

static void
testSlash(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autoptr(qemuViommuLive) live = NULL;
    const qemuViommuLiveDevice *dev;
    char name[VIR_PCI_ADDR_BUFLEN];

    testLiveSet(answers, GET("d0", "host"), TEXT("ffff:ff:ff.f"));
    testLiveSet(answers, GET("d0", "sysfsdev"), TEXT("/sys/bus/pci/devices/0002:01:00.0/"));
    live = testLiveWalk(answers, NULL);
    dev = testLiveFind(live, "d0");
    g_assert_true(dev->haveHost && !dev->mediated);
    g_assert_cmpstr(virPCIAddrFormat(&dev->host, name), ==, "0002:01:00.0");
}

/* A port may have the name of pcie.0, which no expander has made. */
static void
testNamesake(void)
{
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autoptr(qemuViommuLive) live = NULL;

    testLiveSet(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("d0", "vfio-pci") "," CHILD("pcie.0", "pcie-root-port") "]}");
    testLiveSet(answers, GET("pcie.0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    testLiveSet(answers, GET("d0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    live = testLiveWalk(answers, NULL);
    g_assert_cmpstr(qemuViommuLiveName(testLiveFind(live, "d0")->root), ==, "pcie.0");
    g_assert_false(testLiveFind(live, "d0")->expander);
}

/* The domain tells which host device it is only where QEMU does not. */
static void
testBind(void)
{
    static const char xml[] =
        "<domain type='kvm'><devices><hostdev mode='subsystem' type='pci'><source>"
        "<address domain='0x0002' bus='0x02' slot='0x00' function='0x0'/></source><alias name='d0'/></hostdev>"
        "</devices></domain>";
    static const char *const hosts[][2] = {
        { "0002:01:00.0", "0002:01:00.0" },
        { "ffff:ff:ff.f", "0002:02:00.0" },
    };
    g_autoptr(viommuDomain) dom = viommuDomainParse(xml, strlen(xml), NULL);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(GHashTable) answers = testLiveMake();
        g_autofree char *answer = g_strdup_printf(TEXT("%s"), hosts[i][0]);
        g_autoptr(qemuViommuLive) live = NULL;
        char name[VIR_PCI_ADDR_BUFLEN];

        testLiveSet(answers, GET("d0", "host"), answer);
        live = testLiveWalk(answers, NULL);
        qemuViommuLiveBind(live, dom);
        g_assert_true(testLiveFind(live, "d0")->haveHost);
        g_assert_cmpstr(virPCIAddrFormat(&testLiveFind(live, "d0")->host, name), ==, hosts[i][1]);
    }
}

static const struct {
    const char *command;
    const char *answer;
    const char *error; /* NULL: none */
} answered[] = {
    { GET("d0", "host"), MISSING("GenericError"), NULL },
    { GET("d0", "iommufd"), MISSING("GenericError"), NULL },
    { TYPES("vfio-pci"), MISSING("GenericError"), NULL },
    { GET("d0", "host"), "{\"event\":\"STOP\",\"return\":\"0002:01:00.0\",\"id\":7}", NULL },
    { GET("d0", "host"), MISSING("DeviceNotFound"), "device 'd0' has left the guest while it was looked at: try again" },
    { GET("d0", "parent_bus"), MISSING("DeviceNotFound"),
      "device 'd0' has left the guest while it was looked at: try again" },
    { GET("d0", "parent_bus"), MISSING("GenericError"), "QEMU does not tell its devices: it is not there" },
    { LIST("/machine/peripheral"), MISSING("CommandNotFound"), "QEMU does not tell its devices: it is not there" },
    { GET("d0", "iommufd"), MISSING("CommandNotFound"), "QEMU does not tell its devices: it is not there" },
    { GET("d0", "host"), "", "not an answer of QEMU's monitor: no JSON object" },
    { GET("d0", "host"), "[]", "not an answer of QEMU's monitor: no JSON object" },
    { GET("d0", "host"), "{\"return\":\"\xff\"}", "not an answer of QEMU's monitor: no JSON object" },
    { GET("d0", "host"), "{}", "not an answer of QEMU's monitor: neither a result nor an error" },
    { GET("d0", "host"), "{\"error\":{}}", "not an answer of QEMU's monitor: an error without words" },
    { GET("d0", "host"), "{\"return\":null}", "not an answer of QEMU's monitor: no text" },
    { GET("d0", "host"), "{\"return\":[[]]}", "not an answer of QEMU's monitor: no text" },
    { GET("e0", "bus_nr"), MISSING("GenericError"), NULL },
    { GET("e0", "bus_nr"), TEXT("200"), "not an answer of QEMU's monitor: no number of a bus or node" },
    { GET("e0", "bus_nr"), "{\"return\":256}", "not an answer of QEMU's monitor: no number of a bus or node" },
    { GET("e0", "numa_node"), "{\"return\":-1}", "not an answer of QEMU's monitor: no number of a bus or node" },
    { GET("e0", "numa_node"), "{\"return\":129}", "not an answer of QEMU's monitor: no number of a bus or node" },
    { GET("e0", "numa_node"), MISSING("DeviceNotFound"),
      "device 'e0' has left the guest while it was looked at: try again" },
    { NODES("0"), MISSING("DeviceNotFound"), NULL },
    { NODES("0"), "{\"return\":{}}", "not an answer of QEMU's monitor: no list of the host's nodes" },
    { NODES("0"), "{\"return\":[[0]]}", "not an answer of QEMU's monitor: no number of a host's node" },
    { NODES("0"), "{\"return\":[1024]}", "not an answer of QEMU's monitor: no number of a host's node" },
    { GET("s0", "accel"), TEXT("on"), "not an answer of QEMU's monitor: neither true nor false" },
    { TYPES("pci-device"), "{\"return\":{}}", "not an answer of QEMU's monitor: no list of types" },
    { TYPES("pci-device"), "{\"return\":[7]}", "not an answer of QEMU's monitor: no list of types" },
    { LIST("/machine/peripheral"), TEXT(""), "not an answer of QEMU's monitor: no list of objects" },
    { LIST("/machine/peripheral"), "{\"return\":[{\"name\":\"x\"}]}",
      "not an answer of QEMU's monitor: a list of objects without names and types" },
    { LIST("/machine/peripheral"), "{\"return\":[{\"name\":\"x\",\"type\":\"child<nvmes\"}]}", NULL },
    { LIST("/machine/peripheral"), "{\"return\":[{\"name\":\"x\",\"type\":\"child<\"}]}", NULL },
    { LIST("/machine/peripheral"), "{\"return\":[" CHILD("a/b", "nvme") "]}",
      "not an answer of QEMU's monitor: a list of objects without names and types" },
};

static void
testAnswers(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(answered); i++) {
        g_autoptr(GHashTable) answers = testLiveMake();
        g_autoptr(GError) error = NULL;
        g_autoptr(qemuViommuLive) live = NULL;

        if (strcmp(answered[i].command, NODES("0")) == 0)
            testLiveSet(answers, GET("e0", "numa_node"), "{\"return\":0}");
        testLiveSet(answers, answered[i].command, answered[i].answer);
        live = testLiveWalk(answers, &error);
        g_assert_cmpstr(error ? error->message : NULL, ==, answered[i].error);
        g_assert_true(!live == !!error);
        if (error)
            g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_LIBVIRT);
    }
}

/* Why an answer to the first question is not taken; NULL: it is. */
static char *
refusal(const char *answer, size_t len)
{
    g_autoptr(qemuViommuWalk) self = qemuViommuWalkNew();
    g_autoptr(GError) error = NULL;

    return qemuViommuWalkTake(self, answer, len, &error) ? NULL : g_strdup(error->message);
}

static void
testDepth(void)
{
    static const struct {
        size_t brackets; /* and a brace */
        const char *error;
    } cases[] = {
        { 4999, "not an answer of QEMU's monitor: no list of types" },
        { 5000, "not an answer of QEMU's monitor: no JSON object" },
        { 60000, "not an answer of QEMU's monitor: no JSON object" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *opening = g_strnfill(cases[i].brackets, '[');
        g_autofree char *closing = g_strnfill(cases[i].brackets, ']');
        g_autofree char *answer = g_strconcat("{\"return\":", opening, closing, "}", NULL);
        g_autofree char *said = refusal(answer, strlen(answer));

        g_assert_cmpstr(said, ==, cases[i].error);
    }
}

/* An answer that is good but for its length. */
static void
testLength(void)
{
    static const char good[] = "{\"return\":[]}";
    g_autofree char *blanks = g_strnfill(QEMU_VIOMMU_ANSWER_MAX + 1 - strlen(good), ' ');
    g_autofree char *longer = g_strconcat(good, blanks, NULL);
    g_autofree char *taken = refusal(longer, QEMU_VIOMMU_ANSWER_MAX);
    g_autofree char *said = refusal(longer, strlen(longer));
    g_autofree char *nul = refusal(good, sizeof(good));

    g_assert_null(taken);
    g_assert_cmpstr(said, ==, "not an answer of QEMU's monitor: more than QEMU would ever say");
    g_assert_cmpstr(nul, ==, "not an answer of QEMU's monitor: no JSON object");
}

/* A walk over @count devices, which come in the order of their numbers. */
static void
walkMany(size_t count, GError **error)
{
    g_autoptr(GString) list = g_string_new("{\"return\":[");
    g_autoptr(GHashTable) answers = testLiveMake();
    g_autoptr(qemuViommuLive) live = NULL;
    size_t i;

    for (i = 0; i < count; i++) {
        g_autofree char *command = g_strdup_printf(GET("n%zu", "parent_bus"), i);

        g_string_append_printf(list, "%s" CHILD("n%zu", "nvme"), i ? "," : "", i);
        testLiveSet(answers, command, TEXT("/machine/unattached/device[0]/pcie.0"));
    }
    g_string_append(list, "]}");
    testLiveSet(answers, LIST("/machine/peripheral"), list->str);
    live = testLiveWalk(answers, error);
    g_assert_true(!live || live->devices->len == count);
    for (i = 0; live && i < count; i++) {
        g_autofree char *id = g_strdup_printf("n%zu", i);

        g_assert_cmpstr(((qemuViommuLiveDevice *)g_ptr_array_index(live->devices, i))->id, ==, id);
    }
}

/* As many as a guest can have, and one more. */
static void
testMany(void)
{
    g_autoptr(GError) error = NULL;

    walkMany(QEMU_VIOMMU_LIVE_MAX, &error);
    g_assert_no_error(error);
    walkMany(QEMU_VIOMMU_LIVE_MAX + 1, &error);
    g_assert_nonnull(error);
    g_assert_cmpstr(error->message, ==, "not an answer of QEMU's monitor: more devices than a guest can have");
}

int
main(int argc, char **argv)
{
    g_autofree char **args = testKeepGoing(&argc, argv);

    g_test_init(&argc, &args, NULL);
    g_test_add_func("/live/tree", testTree);
    g_test_add_func("/live/older-names", testOlderNames);
    g_test_add_func("/live/loop", testLoop);
    g_test_add_func("/live/slash", testSlash);
    g_test_add_func("/live/namesake", testNamesake);
    g_test_add_func("/live/bind", testBind);
    g_test_add_func("/live/answers", testAnswers);
    g_test_add_func("/live/depth", testDepth);
    g_test_add_func("/live/length", testLength);
    g_test_add_func("/live/many", testMany);
    return g_test_run();
}
