/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walk through a running QEMU, and what is said of it: livedata/NAME.live has commands and QEMU's answers by turns,
 * behind a first line that says whose they are, NAME.xml the domain as it ran, if libvirt was there, and NAME.said
 * what has to come out on the host emulated.sysfs. And monitors that answer something else.
 *
 * VIOMMU_TEST_REGENERATE=1 rewrites what differs, and fails.
 */
#include "qemu_viommu_verify.h"

#include "hosttestutils.h"
#include "viommuerror.h"

#include <glib/gstdio.h>
#include <string.h>

static char *
readFile(const char *stem, const char *suffix)
{
    g_autofree char *path = g_strconcat(stem, suffix, NULL);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

/* Answers by commands. */
static GHashTable *
readAnswers(const char *stem)
{
    g_autofree char *text = readFile(stem, ".live");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GHashTable *answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    size_t i;

    g_assert_true(g_str_has_prefix(lines[0], "{\"comment\""));
    for (i = 1; lines[i] && lines[i + 1]; i += 2)
        g_hash_table_insert(answers, g_strdup(lines[i]), g_strdup(lines[i + 1]));
    return answers;
}

/* Walks; NULL with @error set. No command may be unknown, and none may change anything. */
static qemuViommuLive *
walk(GHashTable *answers, GError **error)
{
    g_autoptr(qemuViommuWalk) self = qemuViommuWalkNew();
    const char *command;

    while ((command = qemuViommuWalkNext(self))) {
        const char *answer = g_hash_table_lookup(answers, command);

        g_assert_true(g_str_has_prefix(command, "{\"execute\":\"qom-list") ||
                      g_str_has_prefix(command, "{\"execute\":\"qom-get\""));
        if (!answer)
            g_error("no answer to %s", command);
        if (!qemuViommuWalkTake(self, answer, strlen(answer), error))
            return NULL;
    }
    return qemuViommuWalkEnd(self);
}

static char *
describe(const GPtrArray *devices, const GPtrArray *findings)
{
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const qemuViommuVerified *item = g_ptr_array_index(devices, i);
        const qemuViommuLiveDevice *dev = item->device;

        g_string_append_printf(out, "%s: smmu %s, vsmmu %s, bus %s, port %s, iommufd %s%s: %s\n", item->what,
                               item->smmu ? item->smmu->name : "-", dev->vsmmu ? dev->vsmmu->id : "-",
                               qemuViommuLiveName(dev->root), dev->port ? dev->port->id : "-",
                               dev->iommufd ? dev->iommufd : "-", dev->hotplugged ? ", hotplugged" : "",
                               qemuViommuVerdictName(item->verdict));
    }
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        g_assert_cmpuint(finding->line, ==, 0);
        g_string_append_printf(out, "%s: %s: %s\n", viommuSeverityName(finding->severity), finding->id, finding->text);
    }
    return g_string_free(out, FALSE);
}

static void
loadDetails(const qemuViommuLive *live, virSMMUTopology *topo, virSysfs *fs)
{
    g_autoptr(GError) error = NULL;
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);
        virSMMUDevice *host = dev->haveHost ? virSMMUTopologyFindDevice(topo, &dev->host) : NULL;

        if (host)
            virSMMUTopologyLoadDetails(topo, fs, host, &error);
        g_assert_no_error(error);
    }
}

static void
testRecorded(gconstpointer data)
{
    const char *stem = data;
    g_autoptr(GHashTable) answers = readAnswers(stem);
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuLive) live = walk(answers, &error);
    g_autofree char *xml = readFile(stem, ".xml");
    g_autofree char *directory = g_path_get_dirname(stem);
    g_autofree char *host = readFile(directory, "/emulated.sysfs");
    g_autofree char *expected = readFile(stem, ".said");
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
    loadDetails(live, topo, fs);
    context.live = live;
    context.host = topo;
    devices = qemuViommuVerify(&context, findings);
    actual = describe(devices, findings);
    if (g_strcmp0(expected, actual) == 0)
        return;
    g_test_fail_printf("%s: expected '%s', got '%s'", expectation, expected ? expected : "", actual);
    if (g_getenv("VIOMMU_TEST_REGENERATE"))
        g_file_set_contents(expectation, actual, -1, NULL);
}

/* ---- made-up QEMUs */

#define TYPES(name) "{\"execute\":\"qom-list-types\",\"arguments\":{\"implements\":\"" name "\"}}"
#define LIST(path) "{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"" path "\"}}"
#define GET(id, property) \
    "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine/peripheral/" id "\",\"property\":\"" property "\"}}"
#define CHILD(name, type) "{\"name\":\"" name "\",\"type\":\"child<" type ">\"}"
#define TEXT(text) "{\"return\":\"" text "\"}"
#define MISSING(class) "{\"error\":{\"class\":\"" class "\",\"desc\":\"it is not there\"}}"

/* Port p0 on the expander e0, whose vSMMU is s0, and in it the host device d0. */
static GHashTable *
makeAnswers(void)
{
    static const char *const pairs[][2] = {
        { TYPES("pci-device"), "{\"return\":[{\"name\":\"vfio-pci\"},{\"name\":\"pcie-root-port\"},"
                               "{\"name\":\"pxb-pcie\"},{\"name\":\"nvme\"}]}" },
        { TYPES("base-pci-bridge"), "{\"return\":[{\"name\":\"pcie-root-port\",\"parent\":\"x\"}]}" },
        { TYPES("vfio-pci"), "{\"return\":[{\"name\":\"vfio-pci\"}]}" },
        { LIST("/machine/peripheral"),
          "{\"return\":[{\"name\":\"type\",\"type\":\"string\"}," CHILD("d0", "vfio-pci") "," CHILD("s0", "arm-smmuv3")
          "," CHILD("p0", "pcie-root-port") "," CHILD("e0", "pxb-pcie") "," CHILD("u0", "usb-kbd") "]}" },
        { LIST("/machine/peripheral-anon"), "{\"return\":[]}" },
        { LIST("/machine/unattached"), "{\"return\":[" CHILD("device[1]", "nvme") "]}" },
        { GET("e0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0") },
        { GET("p0", "parent_bus"), TEXT("/machine/unattached/device[7]/e0") },
        { GET("d0", "parent_bus"), TEXT("/machine/peripheral/p0/p0") },
        { GET("d0", "iommufd"), TEXT("/objects/iommufd0") },
        { GET("d0", "hotplugged"), "{\"return\":false}" },
        { GET("d0", "host"), TEXT("ffff:ff:ff.f") },
        { GET("d0", "sysfsdev"), TEXT("") },
        { GET("s0", "primary-bus"), TEXT("/machine/unattached/device[7]/e0") },
        { GET("s0", "accel"), "{\"return\":true}" },
    };
    GHashTable *answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(pairs); i++)
        g_hash_table_insert(answers, g_strdup(pairs[i][0]), g_strdup(pairs[i][1]));
    return answers;
}

static void
set(GHashTable *answers, const char *command, const char *answer)
{
    g_hash_table_replace(answers, g_strdup(command), g_strdup(answer));
}

static const qemuViommuLiveDevice *
find(const qemuViommuLive *live, const char *id)
{
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (strcmp(dev->id, id) == 0)
            return dev;
    }
    g_error("no device '%s'", id);
}

static void
testTree(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuLive) live = walk(answers, &error);
    const qemuViommuLiveDevice *dev;

    g_assert_no_error(error);
    g_assert_cmpuint(live->devices->len, ==, 4);
    dev = find(live, "d0");
    g_assert_cmpint(dev->kind, ==, QEMU_VIOMMU_LIVE_ASSIGNED);
    g_assert_true(dev->port == find(live, "p0") && dev->vsmmu == find(live, "s0") && dev->expander);
    g_assert_true(dev->vsmmu->accel && !dev->haveHost);
    g_assert_cmpstr(dev->iommufd, ==, "iommufd0");
    g_assert_cmpstr(qemuViommuLiveName(dev->root), ==, "e0");
    g_assert_true(!find(live, "e0")->vsmmu && !find(live, "e0")->expander);
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
        g_autoptr(GHashTable) answers = makeAnswers();
        g_autofree char *command = g_strdup_printf(GET("s0", "%s"), cases[i].property);
        g_autofree char *list = g_strdup_printf("{\"return\":[" CHILD("s0", "%s") "," CHILD("d0", "vfio-pci") ","
                                                CHILD("p0", "pcie-root-port") "]}", cases[i].type);
        g_autoptr(GError) error = NULL;
        g_autoptr(qemuViommuLive) live = NULL;

        set(answers, LIST("/machine/peripheral"), list);
        set(answers, GET("s0", "primary-bus"), MISSING("GenericError"));
        set(answers, GET("s0", "pci-bus"), MISSING("GenericError"));
        set(answers, GET("s0", "accel"), MISSING("GenericError"));
        set(answers, command, TEXT("/machine/unattached/device[7]/e0"));
        live = walk(answers, &error);
        g_assert_no_error(error);
        g_assert_true(find(live, "d0")->vsmmu == find(live, "s0"));
        g_assert_cmpint(find(live, "s0")->accel, ==, cases[i].accel);
    }
}

static void
testLoop(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuLive) live = NULL;

    set(answers, GET("p0", "parent_bus"), TEXT("/machine/peripheral/p0/p0"));
    live = walk(answers, &error);
    g_assert_no_error(error);
    g_assert_true(!find(live, "d0")->root && !find(live, "d0")->vsmmu);
}

/* The process has another device open than the one that is said. */
static void
testOpened(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autoptr(virSysfs) fs = testHostParse("sys/bus/pci/devices\n");
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(qemuViommuLive) live = NULL;
    qemuViommuVerifyContext context = { 0 };
    g_autofree char *said = NULL;
    size_t i;

    set(answers, GET("d0", "host"), TEXT("0002:01:00.0"));
    live = walk(answers, NULL);
    for (i = 0; i < live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        dev->haveOpened = virPCIAddrParse("0002:02:00.0", &dev->opened);
    }
    context.live = live;
    context.host = topo;
    devices = qemuViommuVerify(&context, findings);
    said = describe(devices, findings);
    g_assert_nonnull(strstr(said, "error: V02: device 'd0' (0002:01:00.0) is '0002:02:00.0' by the descriptor that "
                                  "QEMU has\n"));
}

static void
testSlash(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autoptr(qemuViommuLive) live = NULL;
    const qemuViommuLiveDevice *dev;
    char name[VIR_PCI_ADDR_BUFLEN];

    set(answers, GET("d0", "host"), TEXT("ffff:ff:ff.f"));
    set(answers, GET("d0", "sysfsdev"), TEXT("/sys/bus/pci/devices/0002:01:00.0/"));
    live = walk(answers, NULL);
    dev = find(live, "d0");
    g_assert_true(dev->haveHost && !dev->mediated);
    g_assert_cmpstr(virPCIAddrFormat(&dev->host, name), ==, "0002:01:00.0");
}

/* A port may have the name of pcie.0, which no expander has made. */
static void
testNamesake(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autoptr(qemuViommuLive) live = NULL;

    set(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("d0", "vfio-pci") "," CHILD("pcie.0", "pcie-root-port") "]}");
    set(answers, GET("pcie.0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    set(answers, GET("d0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    live = walk(answers, NULL);
    g_assert_cmpstr(qemuViommuLiveName(find(live, "d0")->root), ==, "pcie.0");
    g_assert_false(find(live, "d0")->expander);
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
        g_autoptr(GHashTable) answers = makeAnswers();
        g_autofree char *answer = g_strdup_printf(TEXT("%s"), hosts[i][0]);
        g_autoptr(qemuViommuLive) live = NULL;
        char name[VIR_PCI_ADDR_BUFLEN];

        set(answers, GET("d0", "host"), answer);
        live = walk(answers, NULL);
        qemuViommuLiveBind(live, dom);
        g_assert_true(find(live, "d0")->haveHost);
        g_assert_cmpstr(virPCIAddrFormat(&find(live, "d0")->host, name), ==, hosts[i][1]);
    }
}

static void
testMediated(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autoptr(virSysfs) fs = testHostParse("sys/bus/pci/devices\n");
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) devices = NULL;
    g_autoptr(qemuViommuLive) live = NULL;
    qemuViommuVerifyContext context = { 0 };

    set(answers, GET("d0", "sysfsdev"), TEXT("/sys/bus/mdev/devices/5d3f4a1e-0000-4000-8000-000000000001"));
    live = walk(answers, NULL);
    context.live = live;
    context.host = topo;
    devices = qemuViommuVerify(&context, findings);
    g_assert_cmpuint(devices->len, ==, 0);
    g_assert_cmpuint(findings->len, ==, 0);
}

/* What is said of a guest on the host @manifest; @bridged: its host devices are behind a conventional bridge. */
static char *
judge(GHashTable *answers, const char *manifest, bool bridged)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, manifest, NULL);
    g_autofree char *host = readFile(path, ".sysfs");
    g_autoptr(virSysfs) fs = testHostParse(host);
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    g_autoptr(qemuViommuLive) live = walk(answers, NULL);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) devices = NULL;
    qemuViommuVerifyContext context = { live, topo, false };
    size_t i;

    loadDetails(live, topo, fs);
    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (dev->haveHost)
            virSMMUTopologyFindDevice(topo, &dev->host)->behindBridge = bridged;
    }
    devices = qemuViommuVerify(&context, findings);
    return describe(devices, findings);
}

#define SMMU_OF_2X "smmu3.0x000000000c020000"
#define SMMU_OF_4X "smmu3.0x000000000c040000"

static void
testHardware(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autofree char *grouped = NULL;
    g_autofree char *bridged = NULL;

    set(answers, GET("d0", "host"), TEXT("0000:27:00.0"));
    grouped = judge(answers, "livedata/emulated", false);
    g_assert_cmpstr(grouped, ==, "device 'd0' (0000:27:00.0): smmu " SMMU_OF_2X ", vsmmu s0, bus e0, port p0, iommufd "
                                 "iommufd0: wrong\n"
                                 "error: V16: device 'd0' (0000:27:00.0) shares IOMMU group 20 with '0000:27:00.1'\n");
    set(answers, GET("d0", "host"), TEXT("0000:21:00.0"));
    bridged = judge(answers, "livedata/emulated", true);
    g_assert_cmpstr(bridged, ==, "device 'd0' (0000:21:00.0): smmu " SMMU_OF_2X ", vsmmu s0, bus e0, port p0, iommufd "
                                 "iommufd0: wrong\n"
                                 "error: V17: device 'd0' (0000:21:00.0) is behind a conventional PCI bridge and shares "
                                 "its StreamID\n");
}

/* Without vSMMUs a device may be behind any IOMMU, and use iommufd or not. */
static void
testPlain(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autofree char *said = NULL;

    set(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("d0", "vfio-pci") "," CHILD("d1", "vfio-pci") "]}");
    set(answers, GET("d0", "host"), TEXT("0000:01:00.0"));
    set(answers, GET("d1", "host"), TEXT("0000:81:00.0"));
    set(answers, GET("d0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    set(answers, GET("d1", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0"));
    set(answers, GET("d1", "iommufd"), MISSING("GenericError"));
    set(answers, GET("d1", "hotplugged"), "{\"return\":true}");
    set(answers, GET("d1", "sysfsdev"), TEXT(""));
    said = judge(answers, "hosts/x86-vtd", false);
    g_assert_cmpstr(said, ==,
                    "device 'd0' (0000:01:00.0): smmu -, vsmmu -, bus pcie.0, port -, iommufd iommufd0: none\n"
                    "device 'd1' (0000:81:00.0): smmu -, vsmmu -, bus pcie.0, port -, iommufd -, hotplugged: none\n");
}

/* Of vSMMUs that do not say which bus they serve no two are on one. */
static void
testNoBus(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autofree char *said = NULL;

    set(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("s0", "arm-smmuv3-accel") "," CHILD("s1", "arm-smmuv3-accel") "]}");
    set(answers, GET("s0", "primary-bus"), MISSING("GenericError"));
    set(answers, GET("s1", "primary-bus"), MISSING("GenericError"));
    set(answers, GET("s0", "pci-bus"), MISSING("GenericError"));
    set(answers, GET("s1", "pci-bus"), MISSING("GenericError"));
    set(answers, GET("s0", "parent_bus"), MISSING("GenericError"));
    set(answers, GET("s1", "parent_bus"), MISSING("GenericError"));
    said = judge(answers, "livedata/emulated", false);
    g_assert_cmpstr(said, ==, "");
}

/* Below one vSMMU all go through one iommufd object, below another perhaps through another. */
static void
testTwoObjects(void)
{
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autofree char *said = NULL;

    set(answers, LIST("/machine/peripheral"),
        "{\"return\":[" CHILD("d0", "vfio-pci") "," CHILD("s0", "arm-smmuv3") "," CHILD("d1", "vfio-pci") ","
        CHILD("s1", "arm-smmuv3") "]}");
    set(answers, GET("d0", "host"), TEXT("0000:21:00.0"));
    set(answers, GET("d1", "host"), TEXT("0000:41:00.0"));
    set(answers, GET("d0", "parent_bus"), TEXT("/machine/unattached/device[7]/e0"));
    set(answers, GET("d1", "parent_bus"), TEXT("/machine/unattached/device[8]/e1"));
    set(answers, GET("s1", "primary-bus"), TEXT("/machine/unattached/device[8]/e1"));
    set(answers, GET("s1", "accel"), "{\"return\":true}");
    set(answers, GET("d1", "iommufd"), TEXT("/objects/iommufd1"));
    set(answers, GET("d1", "hotplugged"), "{\"return\":false}");
    set(answers, GET("d1", "sysfsdev"), TEXT(""));
    said = judge(answers, "livedata/emulated", false);
    g_assert_cmpstr(said, ==,
                    "device 'd0' (0000:21:00.0): smmu " SMMU_OF_2X ", vsmmu s0, bus e0, port -, iommufd iommufd0: right\n"
                    "device 'd1' (0000:41:00.0): smmu " SMMU_OF_4X ", vsmmu s1, bus e1, port -, iommufd iommufd1: "
                    "right\n");
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
        g_autoptr(GHashTable) answers = makeAnswers();
        g_autoptr(GError) error = NULL;
        g_autoptr(qemuViommuLive) live = NULL;

        set(answers, answered[i].command, answered[i].answer);
        live = walk(answers, &error);
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
    g_autoptr(GHashTable) answers = makeAnswers();
    g_autoptr(qemuViommuLive) live = NULL;
    size_t i;

    for (i = 0; i < count; i++) {
        g_autofree char *command = g_strdup_printf(GET("n%zu", "parent_bus"), i);

        g_string_append_printf(list, "%s" CHILD("n%zu", "nvme"), i ? "," : "", i);
        set(answers, command, TEXT("/machine/unattached/device[0]/pcie.0"));
    }
    g_string_append(list, "]}");
    set(answers, LIST("/machine/peripheral"), list->str);
    live = walk(answers, error);
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
    g_test_add_func("/live/tree", testTree);
    g_test_add_func("/live/older-names", testOlderNames);
    g_test_add_func("/live/loop", testLoop);
    g_test_add_func("/live/opened", testOpened);
    g_test_add_func("/live/slash", testSlash);
    g_test_add_func("/live/namesake", testNamesake);
    g_test_add_func("/live/bind", testBind);
    g_test_add_func("/live/mediated", testMediated);
    g_test_add_func("/live/hardware", testHardware);
    g_test_add_func("/live/plain", testPlain);
    g_test_add_func("/live/no-bus", testNoBus);
    g_test_add_func("/live/two-objects", testTwoObjects);
    g_test_add_func("/live/answers", testAnswers);
    g_test_add_func("/live/depth", testDepth);
    g_test_add_func("/live/length", testLength);
    g_test_add_func("/live/many", testMany);
    path = g_test_build_filename(G_TEST_DIST, "livedata", NULL);
    dir = g_dir_open(path, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".live"))
            g_ptr_array_add(stems, g_strndup(name, strlen(name) - strlen(".live")));
    }
    g_ptr_array_sort(stems, compareNames);
    g_assert_cmpuint(stems->len, >, 0);
    for (i = 0; i < stems->len; i++) {
        g_autofree char *test = g_strconcat("/live/recorded/", g_ptr_array_index(stems, i), NULL);

        g_test_add_data_func_full(test, g_build_filename(path, g_ptr_array_index(stems, i), NULL), testRecorded,
                                  g_free);
    }
    return g_test_run();
}
