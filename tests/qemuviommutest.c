/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU arguments: the vSMMU part against what libvirt 12.8 printed for the same devices, quoting against a
 * real shell, whole domains element by element, and what is refused.
 */
#include "qemu_viommu.h"

#include "hosttestutils.h"
#include "viommuerror.h"
#include "viommu_expand.h"
#include "virsmmu.h"
#include "virtext.h"

#include <string.h>

#define MAX_PORTS 4
#define MAX_SMMUS 3

typedef struct {
    viommuPlanPort port;
    const char *device;   /* key, NULL: a spare port */
    unsigned bus;         /* where the device sits if not in the port itself */
    bool multifunction;   /* of the device */
} testPort;

typedef struct {
    unsigned controller;
    unsigned slot;
    unsigned busNr;
    int node;
    viommuFeatures features;
    testPort ports[MAX_PORTS];
} testSMMU;

#define ALL_AUTO { VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO }
#define ONE_PORT { { .controller = 2, .chassis = 2 }, "0001:01:00.0" }

static void
freeHost(void *data)
{
    viommuPlanDevice *device = data;

    g_free((void *)device->host);
    g_free(device);
}

static void
freeVSMMU(void *data)
{
    viommuVSMMU *vsmmu = data;

    g_ptr_array_unref(vsmmu->ports);
    g_ptr_array_unref(vsmmu->devices);
    g_free(vsmmu);
}

static viommuPlan *
newPlan(bool accel)
{
    viommuPlan *plan = g_new0(viommuPlan, 1);

    plan->accel = accel;
    plan->vsmmus = g_ptr_array_new_with_free_func(freeVSMMU);
    plan->emulated = g_ptr_array_new_with_free_func(g_free);
    plan->plainPorts = g_ptr_array_new_with_free_func(g_free);
    plan->otherBuses = g_ptr_array_new();
    plan->reasons = g_ptr_array_new();
    return plan;
}

static viommuDomain *
parse(const char *xml)
{
    g_autoptr(GError) error = NULL;
    viommuDomain *dom = viommuDomainParse(xml, strlen(xml), &error);

    g_assert_no_error(error);
    return dom;
}

static const viommuDevice *
findDevice(const viommuDomain *dom, const char *key)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (g_strcmp0(device->key, key) == 0)
            return device;
    }
    g_error("no device '%s' in the test's domain", key);
}

static void
addSMMU(viommuPlan *plan, const viommuDomain *dom, const testSMMU *test)
{
    viommuVSMMU *vsmmu = g_new0(viommuVSMMU, 1);
    size_t i;

    vsmmu->controller = test->controller;
    vsmmu->slot = test->slot;
    vsmmu->busNr = test->busNr;
    vsmmu->node = test->node;
    vsmmu->features = test->features;
    vsmmu->ports = g_ptr_array_new_with_free_func(g_free);
    vsmmu->devices = g_ptr_array_new_with_free_func(freeHost);
    g_ptr_array_add(plan->vsmmus, vsmmu);
    for (i = 0; i < MAX_PORTS && test->ports[i].port.controller; i++) {
        const testPort *port = &test->ports[i];
        viommuPlanDevice *device;
        virSMMUDevice *host;

        g_ptr_array_add(vsmmu->ports, g_memdup2(&port->port, sizeof(port->port)));
        if (!port->device)
            continue;
        device = g_new0(viommuPlanDevice, 1);
        host = g_new0(virSMMUDevice, 1);
        device->device = findDevice(dom, port->device);
        host->addr = device->device->source;
        device->host = host;
        device->addr.bus = port->bus ? port->bus : port->port.controller;
        device->addr.multifunction = port->multifunction;
        g_ptr_array_add(vsmmu->devices, device);
    }
}

/* Starts of lines; expected texts have single quotes for double ones. */
#define PXB "-device {'driver':'pxb-pcie',"
#define PORT "-device {'driver':'pcie-root-port',"
#define SMMU "-device {'driver':'arm-smmuv3','primary-bus':"
#define VFIO "-device {'driver':'vfio-pci',"
#define IOMMUFD "-object {'qom-type':'iommufd','id':'iommufd0'}\n"

#define CTL(index, model, more) \
    "<controller type='pci'" index " model='" model "'>" more "</controller>"
#define AT(bus, slot) "<address type='pci' bus='" bus "' slot='" slot "'/>"
#define HOSTDEV(bdf, more) \
    "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x000" bdf \
    "' bus='0x01' slot='0x00' function='0x0'/></source>" more "</hostdev>"

static const struct {
    const char *name;
    const char *devices;
    testSMMU smmus[MAX_SMMUS];
    bool tcg;
    qemuViommuOpen open;
    uint64_t hole64KiB;
    const char *expected;
} parts[] = {
    {
        .name = "one",
        .devices = HOSTDEV("1", "") "<iommu model='smmuv3' nested='yes'/>",
        .smmus = { { 1, 1, 252, -1, ALL_AUTO, { ONE_PORT } } },
        .open = QEMU_VIOMMU_OPEN_BY_CALLER,
        .expected =
            PXB "'bus_nr':252,'id':'pci.1','bus':'pcie.0','addr':'0x1'}\n"
            PORT "'port':0,'chassis':2,'id':'pci.2','bus':'pci.1','addr':'0x0'}\n"
            SMMU "'pci.1','id':'iommu0','accel':true}\n"
            IOMMUFD
            VFIO "'id':'hostdev0','iommufd':'iommufd0','bus':'pci.2','addr':'0x0'}\n",
    },
    {
        .name = "features, node, window, opened by QEMU",
        .devices = HOSTDEV("1", "<acpi nodeset='0-1'/><boot order='3'/><rom bar='off'/>")
                   "<iommu model='smmuv3' nested='yes'/>",
        .smmus = { { 1, 31, 200, 1, { 1, 0, 1, 16, 48 }, { ONE_PORT } } },
        .open = QEMU_VIOMMU_OPEN_BY_QEMU,
        .hole64KiB = 1073741824,
        .expected =
            "-machine highmem-mmio-size=1073741824K\n"
            PXB "'bus_nr':200,'id':'pci.1','numa_node':1,'bus':'pcie.0','addr':'0x1f'}\n"
            PORT "'port':0,'chassis':2,'id':'pci.2','bus':'pci.1','addr':'0x0'}\n"
            SMMU "'pci.1','id':'iommu0','accel':true,'ats':'off','ril':'on',"
                "'ssidsize':'16','oas':'48','cmdqv':'on'}\n"
            IOMMUFD
            VFIO "'host':'0001:01:00.0','id':'hostdev0','bootindex':3,'iommufd':'iommufd0',"
                "'bus':'pci.2','addr':'0x0','rombar':0}\n"
            "-object {'qom-type':'acpi-generic-initiator','id':'gi0','pci-dev':'hostdev0',"
                "'node':0}\n"
            "-object {'qom-type':'acpi-generic-initiator','id':'gi1','pci-dev':'hostdev0',"
                "'node':1}\n",
    },
    {
        .name = "TCG: no accel, no iommufd",
        .devices = HOSTDEV("1", "") "<iommu model='smmuv3' nested='yes'/>",
        .smmus = { { 1, 1, 252, -1, { 1, 1, 1, 16, 48 }, { ONE_PORT } } },
        .tcg = true,
        .open = QEMU_VIOMMU_OPEN_BY_CALLER,
        .expected =
            PXB "'bus_nr':252,'id':'pci.1','bus':'pcie.0','addr':'0x1'}\n"
            PORT "'port':0,'chassis':2,'id':'pci.2','bus':'pci.1','addr':'0x0'}\n"
            SMMU "'pci.1','id':'iommu0'}\n"
            VFIO "'host':'0001:01:00.0','id':'hostdev0','bus':'pci.2','addr':'0x0'}\n",
    },
    {
        .name = "ports of one slot, a spare one with its window",
        .devices = HOSTDEV("1", "") HOSTDEV("2", "") "<iommu model='smmuv3' nested='yes'/>",
        .smmus = { { 5, 2, 250, -1, ALL_AUTO, {
            { { .controller = 6, .chassis = 6, .multifunction = true }, "0001:01:00.0" },
            { { .controller = 7, .chassis = 7, .function = 1, .port = 1 },
              "0002:01:00.0", .multifunction = true },
            { { .controller = 8, .chassis = 8, .slot = 31, .function = 7, .port = 255, .spare = true,
                .keeps = { .pref64 = 549755813888 } } } } } },
        .open = QEMU_VIOMMU_OPEN_BY_CALLER,
        .expected =
            PXB "'bus_nr':250,'id':'pci.5','bus':'pcie.0','addr':'0x2'}\n"
            PORT "'port':0,'chassis':6,'id':'pci.6','bus':'pci.5','multifunction':true,"
                "'addr':'0x0'}\n"
            PORT "'port':1,'chassis':7,'id':'pci.7','bus':'pci.5','addr':'0x0.0x1'}\n"
            PORT "'port':255,'chassis':8,'id':'pci.8','bus':'pci.5','addr':'0x1f.0x7',"
                "'pref64-reserve':549755813888}\n"
            SMMU "'pci.5','id':'iommu0','accel':true}\n"
            IOMMUFD
            VFIO "'id':'hostdev0','iommufd':'iommufd0','bus':'pci.6','addr':'0x0'}\n"
            VFIO "'id':'hostdev1','iommufd':'iommufd0','bus':'pci.7','multifunction':true,"
                "'addr':'0x0'}\n",
    },
    {
        /* printed by libvirt for these controllers, <rom>s and aliases; the interface was a hostdev there */
        .name = "the user's controllers, a switch, aliases",
        .devices =
            CTL(" index='1'", "pcie-expander-bus", "<target busNr='200'/><alias name='ua-pxb'/>" AT("0", "1"))
            CTL(" index='3'", "pcie-root-port", "<target memReserve='1048576' hotplug='off'/>" AT("1", "1"))
            CTL(" index='4'", "pcie-root-port", AT("1", "2"))
            CTL(" index='5'", "pcie-switch-upstream-port", AT("4", "0"))
            CTL(" index='6'", "pcie-switch-downstream-port", AT("5", "1"))
            CTL(" index='2'", "pcie-root-port", "<alias name='ua-port'/>" AT("1", "0"))
            HOSTDEV("1", "<alias name='ua-x'/><rom bar='on' file='/x.rom'/>")
            HOSTDEV("2", "<rom enabled='no'/>")
            "<interface type='hostdev'><source><address type='pci' domain='3' bus='1' slot='0'/></source>"
            "<teaming type='transient' persistent='ua-b'/></interface>"
            "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/></source></hostdev>"
            HOSTDEV("4", "")
            "<iommu model='smmuv3' nested='yes'><driver pciBus='1'/><alias name='ua-smmu'/></iommu>",
        .smmus = { { 1, 1, 200, -1, ALL_AUTO, {
            { { .controller = 2, .chassis = 2 }, "0001:01:00.0" },
            { { .controller = 3, .chassis = 3, .slot = 1, .port = 8 }, "0002:01:00.0" },
            { { .controller = 4, .chassis = 4, .slot = 2, .port = 16 }, "0003:01:00.0", .bus = 6 },
            { { .controller = 7, .chassis = 7, .slot = 3, .port = 24 }, "0004:01:00.0" } } } },
        .open = QEMU_VIOMMU_OPEN_BY_CALLER,
        .expected =
            PXB "'bus_nr':200,'id':'ua-pxb','bus':'pcie.0','addr':'0x1'}\n"
            PORT "'port':0,'chassis':2,'id':'ua-port','bus':'ua-pxb','addr':'0x0'}\n"
            PORT "'port':8,'chassis':3,'id':'pci.3','hotplug':false,"
                "'mem-reserve':1073741824,'bus':'ua-pxb','addr':'0x1'}\n"
            PORT "'port':16,'chassis':4,'id':'pci.4','bus':'ua-pxb','addr':'0x2'}\n"
            "-device {'driver':'x3130-upstream','id':'pci.5','bus':'pci.4','addr':'0x0'}\n"
            "-device {'driver':'xio3130-downstream','port':1,'chassis':6,'id':'pci.6',"
                "'bus':'pci.5','addr':'0x1'}\n"
            PORT "'port':24,'chassis':7,'id':'pci.7','bus':'ua-pxb','addr':'0x3'}\n"
            SMMU "'ua-pxb','id':'ua-smmu','accel':true}\n"
            IOMMUFD
            VFIO "'id':'hostdev0','failover_pair_id':'ua-b','iommufd':'iommufd0',"
                "'bus':'pci.6','addr':'0x0'}\n"
            VFIO "'id':'ua-x','iommufd':'iommufd0','bus':'ua-port','addr':'0x0','rombar':1,"
                "'romfile':'/x.rom'}\n"
            VFIO "'id':'hostdev1','iommufd':'iommufd0','bus':'pci.3','addr':'0x0',"
                "'romfile':''}\n"
            VFIO "'id':'hostdev3','iommufd':'iommufd0','bus':'pci.7','addr':'0x0'}\n",
    },
    {
        .name = "controllers without index come first, vSMMUs in the order of <iommu>",
        .devices =
            CTL(" index='1'", "pcie-expander-bus", "<target busNr='200'/>" AT("0", "1"))
            CTL("", "pcie-expander-bus", "<target busNr='240'/>" AT("0", "2"))
            HOSTDEV("1", "") HOSTDEV("2", "")
            "<iommu model='smmuv3' nested='yes'><driver pciBus='2'/></iommu>"
            "<iommu model='smmuv3' nested='yes'><driver pciBus='1'/></iommu>",
        .smmus = { { 1, 1, 200, -1, ALL_AUTO, { { { .controller = 3, .chassis = 3 }, "0001:01:00.0" } } },
                   { 2, 2, 240, -1, ALL_AUTO, { { { .controller = 4, .chassis = 4 }, "0002:01:00.0" } } } },
        .open = QEMU_VIOMMU_OPEN_BY_CALLER,
        .expected =
            PXB "'bus_nr':240,'id':'pci.2','bus':'pcie.0','addr':'0x2'}\n"
            PXB "'bus_nr':200,'id':'pci.1','bus':'pcie.0','addr':'0x1'}\n"
            PORT "'port':0,'chassis':3,'id':'pci.3','bus':'pci.1','addr':'0x0'}\n"
            PORT "'port':0,'chassis':4,'id':'pci.4','bus':'pci.2','addr':'0x0'}\n"
            SMMU "'pci.2','id':'iommu0','accel':true}\n"
            SMMU "'pci.1','id':'iommu1','accel':true}\n"
            IOMMUFD
            VFIO "'id':'hostdev0','iommufd':'iommufd0','bus':'pci.3','addr':'0x0'}\n"
            VFIO "'id':'hostdev1','iommufd':'iommufd0','bus':'pci.4','addr':'0x0'}\n",
    },
};

/* "OPTION VALUE" a line, unquoted. */
static char *
joinArgs(const GPtrArray *args)
{
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; i < args->len; i++) {
        const qemuViommuArg *arg = g_ptr_array_index(args, i);

        g_string_append_printf(out, "%s%s%s\n", arg->option, arg->value ? " " : "",
                               arg->value ? arg->value : "");
    }
    return g_string_free(out, FALSE);
}

static void
testPart(gconstpointer data)
{
    size_t number = GPOINTER_TO_SIZE(data);
    g_autofree char *xml = g_strdup_printf("<domain type='%s'><devices>%s</devices></domain>",
                                           parts[number].tcg ? "qemu" : "kvm", parts[number].devices);
    g_autoptr(viommuDomain) dom = parse(xml);
    g_autoptr(viommuPlan) plan = newPlan(!parts[number].tcg);
    g_autoptr(GPtrArray) args = NULL;
    g_autofree char *text = NULL;
    size_t i;

    plan->hole64KiB = parts[number].hole64KiB;
    for (i = 0; i < MAX_SMMUS && parts[number].smmus[i].controller; i++)
        addSMMU(plan, dom, &parts[number].smmus[i]);
    args = qemuViommuArgs(dom, plan, NULL, parts[number].open, NULL);
    text = joinArgs(args);
    g_strdelimit(text, "\"", '\'');
    g_assert_cmpstr(text, ==, parts[number].expected);
}

/* A shell gives back every byte of every argument. */
static void
testQuoting(void)
{
    static const char *const values[] = {
        "plain", "", "two words", "it's", "'", "''", "a\nb", "$HOME `id` \"x\" \\",
        "{\"a\":\"b'c\"}", "*?[a]~!#&;|<>()", "-", "=", "a=b", "\303\244", "  ", "\\\n",
    };
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) expected = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    g_autofree char *command = NULL;
    g_autofree char *output = NULL;
    const char *argv[] = { "sh", "-c", NULL, NULL };
    int status;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(values); i++) {
        qemuViommuArg *arg = g_new0(qemuViommuArg, 1);

        arg->option = i == 0 ? "/a path/qemu" : "-o";
        arg->value = (char *)values[i];
        g_ptr_array_add(args, arg);
        g_string_append_printf(expected, "<%s><%s>", arg->option, arg->value);
    }
    text = qemuViommuFormatShell(args);
    command = g_strdup_printf("printf '<%%s>' %s", text);
    argv[2] = command;
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, &status, &error);
    g_assert_no_error(error);
    g_spawn_check_wait_status(status, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(output, ==, expected->str);
}

/* One option a line; the last line ends the text, and nothing else is added. */
static void
testForms(void)
{
    qemuViommuArg alone = { "-nodefaults", NULL };
    qemuViommuArg pair = { "-device", (char *)"{\"driver\":\"x\"}" };
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    g_autofree char *none = qemuViommuFormatShell(args);
    g_autofree char *shell = NULL;
    g_autofree char *lines = NULL;

    g_assert_cmpstr(none, ==, "");
    g_ptr_array_add(args, &alone);
    g_ptr_array_add(args, &pair);
    shell = qemuViommuFormatShell(args);
    lines = qemuViommuFormatLines(args);
    g_assert_cmpstr(shell, ==, "-nodefaults \\\n  -device '{\"driver\":\"x\"}'\n");
    g_assert_cmpstr(lines, ==, "-nodefaults\n-device '{\"driver\":\"x\"}'\n");
}

static void
testSizes(void)
{
    static const struct {
        const char *text;
        const char *unit;
        uint64_t bytes;
    } sizes[] = {
        { "1", NULL, 1024 },          { "1", "KiB", 1024 },     { "1", "kb", 1000 },
        { "3", "MiB", 3u << 20 },     { "2", "GB", 2000000000 }, { "15", "EiB", 15ull << 60 },
        { "0", "bytes", 0 },          { "8", "t", 8ull << 40 },
    };
    uint64_t bytes;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_assert_true(virTextParseSize(sizes[i].text, sizes[i].unit, &bytes));
        g_assert_cmpuint(bytes, ==, sizes[i].bytes);
    }
    g_assert_false(virTextParseSize("16", "EiB", &bytes));
    g_assert_false(virTextParseSize("-1", NULL, &bytes));
    g_assert_false(virTextParseSize("1 ", NULL, &bytes));
    g_assert_false(virTextParseSize("1", "furlong", &bytes));
    g_assert_false(virTextParseSize(NULL, NULL, &bytes));
}

static void
testSets(void)
{
    static const struct {
        const char *text;
        const char *members; /* NULL: no set */
    } sets[] = {
        { "0", "0 " },       { "0-2,5", "0 1 2 5 " }, { "5, 1", "1 5 " }, { "0-3,^1", "0 2 3 " },
        { "3-1", NULL },     { "1-", NULL },          { "a", NULL },      { "^1-2", NULL },
        { "8191", "8191 " }, { "8192", NULL },
    };
    size_t i;
    size_t j;

    for (i = 0; i < G_N_ELEMENTS(sets); i++) {
        g_autoptr(GArray) set = virTextParseSet(sets[i].text);
        g_autoptr(GString) out = g_string_new(NULL);

        g_assert_cmpint(set != NULL, ==, sets[i].members != NULL);
        for (j = 0; set && j < set->len; j++)
            g_string_append_printf(out, "%u ", g_array_index(set, unsigned, j));
        g_assert_cmpstr(set ? out->str : NULL, ==, sets[i].members);
    }
}

/* The plan for @dom on the recorded host @host; "none": a domain that asks for nothing. NULL, with the test
 * failed, if there is none. */
static viommuPlan *
planOn(const viommuDomain *dom, const char *host, virSMMUTopology **ret_topo)
{
    g_autoptr(virSysfs) fs = NULL;
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GError) error = NULL;
    viommuPlanOptions options = { .qemuVersion = VIOMMU_VERSION_QEMU(11, 1) };
    viommuPlan *plan;
    size_t i;

    *ret_topo = NULL;
    if (g_str_equal(host, "none"))
        return newPlan(dom->virtType == VIOMMU_VIRT_KVM);
    fs = testHostRead(host);
    *ret_topo = virSMMUTopologyRead(fs, &error);
    g_assert_no_error(error);
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);
        virSMMUDevice *there;

        if (!device->haveSource)
            continue;
        there = virSMMUTopologyFindDevice(*ret_topo, &device->source);
        g_assert_nonnull(there);
        virSMMUTopologyLoadDetails(*ret_topo, fs, there, &error);
        g_assert_no_error(error);
    }
    plan = viommuPlanMake(dom, *ret_topo, &options, findings);
    for (i = 0; !plan && i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        g_test_message("line %u: %s: %s", finding->line, finding->id, finding->text);
    }
    if (!plan)
        g_test_fail_printf("refused by the planner");
    return plan;
}

/* Fails with the first line that differs. */
static void
compareLines(const char *path, const char *text, const char *expected)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_auto(GStrv) wanted = g_strsplit(expected, "\n", -1);
    size_t i;

    if (g_str_equal(text, expected))
        return;
    for (i = 0; lines[i] && wanted[i] && g_str_equal(lines[i], wanted[i]); i++)
        ;
    g_test_message("%s, line %zu", path, i + 1);
    g_test_message("is:        %s", lines[i] ? lines[i] : "(the end)");
    g_test_message("should be: %s", wanted[i] ? wanted[i] : "(the end)");
    g_test_fail();
}

/* Compares with the file, or writes it and fails. */
static void
compareToFile(const char *path, const char *text)
{
    g_autofree char *expected = NULL;

    if (g_getenv("VIOMMU_TEST_REGENERATE")) {
        if (g_file_get_contents(path, &expected, NULL, NULL) && g_str_equal(expected, text))
            return;
        g_file_set_contents(path, text, -1, NULL);
        g_test_fail_printf("%s was written", path);
        return;
    }
    if (!g_file_get_contents(path, &expected, NULL, NULL))
        g_error("%s cannot be read", path);
    compareLines(path, text, expected);
}

/* @data is the path of CASE.HOST.args or CASE.HOST.err; the domain is CASE.xml beside it. */
static void
testFull(gconstpointer data)
{
    const char *path = data;
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_auto(GStrv) words = g_strsplit(name, ".", 3);
    g_autofree char *file = g_strdup_printf("%s/%s.xml", dir, words[0]);
    g_autofree char *xml = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) dom = NULL;
    g_autoptr(virSMMUTopology) topo = NULL;
    g_autoptr(viommuPlan) plan = NULL;
    g_autoptr(GPtrArray) args = NULL;

    g_file_get_contents(file, &xml, NULL, &error);
    g_assert_no_error(error);
    dom = parse(xml);
    plan = planOn(dom, words[1], &topo);
    if (!plan)
        return;
    args = qemuViommuFullArgs(dom, plan, NULL, &error);
    if (g_str_equal(words[2], "args")) {
        g_assert_no_error(error);
        text = qemuViommuFormatShell(args);
    } else {
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED);
        g_assert_null(args);
        text = g_strdup_printf("%s\n", error->message);
    }
    compareToFile(path, text);
}

static char *
argsOf(const viommuDomain *dom, const viommuPlan *plan, bool full)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) args = full ? qemuViommuFullArgs(dom, plan, NULL, &error)
                                     : qemuViommuArgs(dom, plan, NULL, QEMU_VIOMMU_OPEN_BY_CALLER, NULL);

    /* where it is refused does not matter, but that it is */
    if (!args)
        return g_strdup(strchr(error->message, ':'));
    return qemuViommuFormatLines(args);
}

/* A domain gives the same arguments before it is expanded and after. @data is the path of a golden case's
 * CASE.HOST.args. */
static void
testExpanded(gconstpointer data)
{
    g_autofree char *dir = g_path_get_dirname(data);
    g_autofree char *name = g_path_get_basename(data);
    g_auto(GStrv) words = g_strsplit(name, ".", 3);
    g_autofree char *file = g_strdup_printf("%s/%s.xml", dir, words[0]);
    g_autofree char *xml = NULL;
    g_autofree char *expanded = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) before = NULL;
    g_autoptr(viommuDomain) after = NULL;
    g_autoptr(virSMMUTopology) topo = NULL;
    g_autoptr(virSMMUTopology) topoAfter = NULL;
    g_autoptr(viommuPlan) plan = NULL;
    g_autoptr(viommuPlan) planAfter = NULL;
    size_t len;
    size_t i;

    g_file_get_contents(file, &xml, NULL, &error);
    g_assert_no_error(error);
    before = parse(xml);
    plan = planOn(before, words[1], &topo);
    /* What was written around an older libvirt has other names, and the arguments are those of what is expanded. */
    if (!plan || before->madeOverride)
        return;
    expanded = viommuExpand(before, plan, VIOMMU_DIALECT_NATIVE, &len, &error);
    g_assert_no_error(error);
    after = parse(expanded);
    planAfter = planOn(after, words[1], &topoAfter);
    for (i = 0; planAfter && i < 2; i++) {
        g_autofree char *one = argsOf(before, plan, i == 1);
        g_autofree char *two = argsOf(after, planAfter, i == 1);

        compareLines(name, two, one);
    }
}

/* Cases that need a network's XML or other versions are left to the golden tests. */
static void
addExpandedTests(const char *dir)
{
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    const char *name;

    if (!files)
        g_error("%s is not there", dir);
    while ((name = g_dir_read_name(files))) {
        g_auto(GStrv) words = g_strsplit(name, ".", -1);
        g_autofree char *network = g_strdup_printf("%s/%s.network.xml", dir, words[0]);
        g_autofree char *opts = g_strdup_printf("%s/%s.opts", dir, words[0]);
        g_autofree char *test = g_strdup_printf("/qemuviommu/expanded/%s", name);

        if (g_strv_length(words) == 3 && g_str_has_suffix(name, ".args") && !g_file_test(network, G_FILE_TEST_EXISTS) &&
            !g_file_test(opts, G_FILE_TEST_EXISTS))
            g_test_add_data_func_full(test, g_build_filename(dir, name, NULL), testExpanded, g_free);
    }
}

/* One test for each expectation; a domain that has none fails. */
static void
addFullTests(const char *dir)
{
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func(g_free);
    const char *name;
    size_t i;

    if (!files)
        g_error("%s is not there", dir);
    while ((name = g_dir_read_name(files))) {
        g_auto(GStrv) words = g_strsplit(name, ".", 3);
        g_autofree char *test = g_strdup_printf("/qemuviommu/full/%s", name);

        if (g_str_has_suffix(name, ".xml")) {
            g_ptr_array_add(domains, g_strdup(words[0]));
            continue;
        }
        if (g_strv_length(words) != 3)
            g_error("%s/%s is no CASE.HOST.args or CASE.HOST.err", dir, name);
        g_hash_table_add(used, g_strdup(words[0]));
        g_test_add_data_func_full(test, g_build_filename(dir, name, NULL), testFull, g_free);
    }
    for (i = 0; i < domains->len; i++) {
        name = g_ptr_array_index(domains, i);
        if (!g_hash_table_contains(used, name))
            g_error("nothing is expected of %s/%s.xml", dir, name);
    }
}

int
main(int argc, char **argv)
{
    g_autofree char *dir = NULL;
    g_autofree char *golden = NULL;
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *name = g_strdup_printf("/qemuviommu/part/%s", parts[i].name);

        g_test_add_data_func(name, GSIZE_TO_POINTER(i), testPart);
    }
    g_test_add_func("/qemuviommu/quoting", testQuoting);
    g_test_add_func("/qemuviommu/forms", testForms);
    g_test_add_func("/virtext/sizes", testSizes);
    g_test_add_func("/virtext/sets", testSets);
    dir = g_test_build_filename(G_TEST_DIST, "qemufulldata", NULL);
    addFullTests(dir);
    golden = g_test_build_filename(G_TEST_DIST, "qemuxml2argvdata", NULL);
    addExpandedTests(golden);
    return g_test_run();
}
