/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The map and the details of every host in tests/hosts: read from the manifest, from the same laid
 * out as files, and from the record of it. Then what registers say, and hosts that are wrong.
 */
#include "hosttestutils.h"
#include "viommuerror.h"
#include "virrecord.h"
#include "virsmmu.h"

#include <stdio.h>
#include <string.h>

static virSMMUTopology *
readTopology(virSysfs *fs)
{
    g_autoptr(GError) error = NULL;
    virSMMUTopology *topo = virSMMUTopologyRead(fs, &error);

    g_assert_no_error(error);
    g_assert_nonnull(topo);
    return topo;
}

/* The form of NAME.topo. */
static char *
formatMap(const virSMMUTopology *topo)
{
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo), *devices = virSMMUTopologyDevices(topo);
    GString *out = g_string_new(NULL);
    size_t i, j;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        g_string_append_printf(out, "%s numa=", smmu->name);
        if (smmu->numaNode < 0)
            g_string_append(out, "- devices:");
        else
            g_string_append_printf(out, "%d devices:", smmu->numaNode);
        for (j = 0; j < smmu->devices->len; j++) {
            const virSMMUDevice *dev = g_ptr_array_index(smmu->devices, j);

            g_assert_true(dev->smmu == smmu);
            g_string_append_printf(out, " %s", dev->name);
        }
        g_string_append_c(out, '\n');
    }
    g_string_append(out, "untranslated:");
    for (i = 0; i < devices->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(devices, i);

        if (!dev->smmu)
            g_string_append_printf(out, " %s", dev->name);
    }
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}

static void
formatDevice(GString *out, const virSMMUTopology *topo, const virSMMUDevice *dev)
{
    const virSMMUGroup *group = virSMMUTopologyFindGroup(topo, dev->group);
    char physfn[VIR_PCI_ADDR_BUFLEN] = "-";
    size_t i;

    if (dev->virtualFunction)
        virPCIAddrFormat(&dev->physfn, physfn);
    g_string_append_printf(
        out, "%s %04x:%04x %06x driver=%s numa=%d vfio=%d bridge=%d physfn=%s alias=%d canwbs=%d",
        dev->name, (unsigned)dev->vendor, (unsigned)dev->device, (unsigned)dev->class,
        dev->driver ? dev->driver : "-", dev->numaNode, dev->vfio, dev->bridge, physfn,
        dev->behindBridge, dev->canwbs);
    g_string_append(out, "\n  parents");
    for (i = 0; i < dev->parents->len; i++)
        g_string_append_printf(out, " %s", (const char *)g_ptr_array_index(dev->parents, i));
    g_string_append(out, "\n  bars");
    for (i = 0; i < dev->bars->len; i++) {
        const virSMMUBar *bar = &g_array_index(dev->bars, virSMMUBar, i);

        g_string_append_printf(out, " 0x%" G_GINT64_MODIFIER "x%s%s", bar->size,
                               bar->memory64 ? "/64" : "", bar->prefetch ? "/prefetch" : "");
    }
    g_string_append_printf(out, "\n  group %d direct=%d", dev->group, group && group->direct);
    for (i = 0; group && i < group->members->len; i++)
        g_string_append_printf(out, " %s", (const char *)g_ptr_array_index(group->members, i));
    g_string_append_c(out, '\n');
}

/* Everything that can be read, as text. */
static char *
formatAll(virSysfs *fs)
{
    g_autoptr(virSMMUTopology) topo = readTopology(fs);
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo), *devices = virSMMUTopologyDevices(topo);
    GString *out = g_string_new(NULL);
    size_t i, j;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);
        const virSMMURegisters *regs = &smmu->regs;

        g_string_append_printf(out, "%s kind=%d cmdqv=%d,%d,%d,%d known=%d %x %x %x %x %x\n",
                               smmu->name, smmu->kind, smmu->cmdqv, smmu->cmdqvVersion,
                               smmu->cmdqvLog2Queues, smmu->cmdqvLog2Streams, regs->known,
                               regs->idr0, regs->idr1, regs->idr3, regs->idr5, regs->iidr);
        for (j = 0; j < smmu->platformDevices->len; j++)
            g_string_append_printf(out, "  %s\n",
                                   (const char *)g_ptr_array_index(smmu->platformDevices, j));
    }
    for (i = 0; i < devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(devices, i);
        g_autoptr(GError) error = NULL;

        virSMMUTopologyLoadDetails(topo, fs, dev, &error);
        g_assert_no_error(error);
        formatDevice(out, topo, dev);
    }
    return g_string_free(out, FALSE);
}

static char *
withoutComments(const char *manifest)
{
    g_auto(GStrv) lines = g_strsplit(manifest, "\n", -1);
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; lines[i]; i++) {
        if (lines[i][0] && lines[i][0] != '#')
            g_string_append_printf(out, "%s\n", lines[i]);
    }
    return g_string_free(out, FALSE);
}

static void
testHost(gconstpointer data)
{
    const char *name = data;
    g_autofree char *topoPath = testHostPath(name, ".topo");
    g_autofree char *manifestPath = testHostPath(name, ".sysfs");
    g_autoptr(virSysfs) fs = testHostRead(name);
    g_autoptr(virSMMUTopology) topo = readTopology(fs);
    g_autofree char *map = formatMap(topo);
    g_autofree char *all = formatAll(fs);
    g_autoptr(GError) error = NULL;
    g_autofree char *record = virRecordHost(fs, &error);
    g_autofree char *expected = NULL;
    g_autofree char *manifest = NULL;
    g_autofree char *lines = NULL;
    g_autofree char *directory = NULL;
    g_autofree char *againAll = NULL;
    g_autofree char *againRecord = NULL;
    g_autoptr(virSysfs) again = NULL;

    g_assert_no_error(error);
    g_file_get_contents(topoPath, &expected, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(map, ==, expected);
    g_file_get_contents(manifestPath, &manifest, NULL, &error);
    g_assert_no_error(error);
    lines = withoutComments(manifest);
    g_assert_cmpstr(record, ==, lines);

    directory = testHostUnpack(fs);
    again = virSysfsOpenRoot(directory, &error);
    g_assert_no_error(error);
    againAll = formatAll(again);
    g_assert_cmpstr(againAll, ==, all);
    againRecord = virRecordHost(again, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(againRecord, ==, record);
    testHostRemove(directory);
}

/* What is hard to write in a line, and links where directories are expected. */
static void
testRecord(void)
{
    static const char odd[] =
        "dev/iommu = x\n"
        "elsewhere/0000:00:00.0/driver -> ../../sys/bus/drivers/a\\x20b\n"
        "elsewhere/0000:00:00.0/numa_node : LTEK\n"
        "elsewhere/0000:00:00.0/uevent = PCI_ID=1:2\\n\\ta\\\\b\\303\\244\\x20\n"
        "elsewhere/0000:00:00.0/unrelated = 1\n"
        "proc/sys/kernel/osrelease = 6.1 \n"
        "sys/bus/drivers/a\\x20b\n"
        "sys/bus/pci/devices -> ../../../elsewhere\n";
    static const char expected[] =
        "dev/iommu =\n"
        "elsewhere/0000:00:00.0/driver -> ../../sys/bus/drivers/a b\n"
        "elsewhere/0000:00:00.0/numa_node = -1\n"
        "elsewhere/0000:00:00.0/uevent = PCI_ID=1:2\\n\\ta\\\\b\\xc3\\xa4\\x20\n"
        "proc/sys/kernel/osrelease = 6.1\\x20\n"
        "sys/bus/drivers/a\\x20b\n"
        "sys/bus/pci/devices -> ../../../elsewhere\n";
    g_autoptr(virSysfs) fs = testHostParse(odd);
    g_autoptr(GError) error = NULL;
    g_autofree char *record = virRecordHost(fs, &error);
    g_autofree char *again = NULL;
    g_autoptr(virSysfs) recorded = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(record, ==, expected);
    recorded = testHostParse(record);
    again = virRecordHost(recorded, &error);
    g_assert_cmpstr(again, ==, expected);
}

/* Whether there is iommufd is known where there is a /dev, and a record tells that there was one. */
static void
testIommufd(void)
{
    static const struct {
        const char *manifest;
        virTristate has;
    } hosts[] = {
        { "sys\n", VIR_TRISTATE_UNKNOWN },
        { "sys\ndev\n", VIR_TRISTATE_NO },
        { "sys\ndev/vfio/vfio =\n", VIR_TRISTATE_NO },
        { "sys\ndev/iommu =\n", VIR_TRISTATE_YES },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(virSysfs) fs = testHostParse(hosts[i].manifest);
        g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, &error);
        g_autofree char *record = virRecordHost(fs, &error);
        g_autofree char *whole = g_strconcat("sys\n", record, NULL);
        g_autoptr(virSysfs) recorded = testHostParse(whole);
        g_autoptr(virSMMUTopology) again = virSMMUTopologyRead(recorded, &error);

        g_assert_no_error(error);
        g_assert_cmpint(virSMMUTopologyHasIommufd(topo), ==, hosts[i].has);
        g_assert_cmpint(virSMMUTopologyHasIommufd(again), ==, hosts[i].has);
    }
}

/* The running machine, whatever it is, reads back the same from its record. */
static void
testThisHost(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSysfs) fs = virSysfsOpenRoot("/", &error);
    g_autofree char *record = NULL;
    g_autofree char *again = NULL;
    g_autofree char *all = NULL;
    g_autofree char *allAgain = NULL;
    g_autoptr(virSysfs) recorded = NULL;

    g_assert_no_error(error);
    if (!virSysfsExists(fs, "sys/class")) {
        g_test_skip("/sys is not mounted");
        return;
    }
    record = virRecordHost(fs, &error);
    g_assert_no_error(error);
    recorded = testHostParse(record);
    again = virRecordHost(recorded, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again, ==, record);
    all = formatAll(fs);
    allAgain = formatAll(recorded);
    g_assert_cmpstr(allAgain, ==, all);
}

static void
testNothing(void)
{
    static const char *const partial[] = { "sys\n", "sys/class/iommu\n", "sys/bus/pci/devices\n",
                                           "sys/class/iommu\nsys/bus/pci/devices\n" };
    g_autoptr(virSysfs) empty = testHostParse("# nothing\n");
    g_autoptr(GError) error = NULL;
    g_autofree char *record = virRecordHost(empty, &error);
    size_t i;

    g_assert_no_error(error);
    g_assert_cmpstr(record, ==, "");
    g_assert_null(virSMMUTopologyRead(empty, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(
        error->message, ==,
        "the host has no 'sys': it takes a running Linux, a copy of its tree or a record of it");
    for (i = 0; i < G_N_ELEMENTS(partial); i++) {
        g_autoptr(virSysfs) fs = testHostParse(partial[i]);
        g_autoptr(virSMMUTopology) topo = readTopology(fs);

        g_assert_cmpuint(virSMMUTopologySMMUs(topo)->len, ==, 0);
        g_assert_cmpuint(virSMMUTopologyDevices(topo)->len, ==, 0);
    }
}

#define DEVICE "sys/devices/pci0001:00/0001:00:00.0"
#define SMMU "sys/devices/platform/arm-smmu-v3.3.auto"
#define IOMMU SMMU "/iommu/smmu3.0x0000000011000000"

/* One SMMU with one device, to which a test adds lines. */
static const char base[] =
    "sys/bus/pci/devices/0001:00:00.0 -> ../../../devices/pci0001:00/0001:00:00.0\n"
    "sys/class/iommu/smmu3.0x0000000011000000 -> ../../devices/platform/arm-smmu-v3.3.auto/iommu/"
    "smmu3.0x0000000011000000\n" IOMMU "/device -> ../../../arm-smmu-v3.3.auto\n" IOMMU
    "/devices/0001:00:00.0 -> ../../../../../pci0001:00/0001:00:00.0\n" DEVICE
    "/iommu -> ../../platform/arm-smmu-v3.3.auto/iommu/smmu3.0x0000000011000000\n";

#define PROBE "probe/smmu3.0x0000000011000000/"

static virSysfs *
parseWith(const char *lines)
{
    g_autofree char *manifest = g_strconcat(base, lines, NULL);

    return testHostParse(manifest);
}

static void
testKind(void)
{
    static const struct {
        const char *lines;
        virSMMUKind kind;
    } cases[] = {
        { "", VIR_SMMU_KIND_SMMUV3 },
        { SMMU "/driver -> ../../../bus/platform/drivers/arm-smmu-v3\n", VIR_SMMU_KIND_SMMUV3 },
        { SMMU "/driver -> ../../../bus/platform/drivers/arm-smmu\n", VIR_SMMU_KIND_OTHER },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(virSysfs) fs = parseWith(cases[i].lines);
        g_autoptr(virSMMUTopology) topo = readTopology(fs);
        const virSMMU *smmu = virSMMUTopologyFindSMMU(topo, "smmu3.0x0000000011000000");

        g_test_message("%s", cases[i].lines);
        g_assert_nonnull(smmu);
        g_assert_cmpint(smmu->kind, ==, cases[i].kind);
        g_assert_null(virSMMUTopologyFindSMMU(topo, "smmu3.0x11000000"));
    }
}

/* A device tree names its SMMUs as it likes: the driver tells. */
static void
testKindByDriver(void)
{
    g_autoptr(virSysfs) fs =
        testHostParse("sys/class/iommu/9050000.smmuv3/device/driver -> ../d/arm-smmu-v3\n"
                      "sys/class/iommu/dmar0/devices\n"
                      "sys/class/iommu/smmu.0x2b400000/device/driver -> ../d/arm-smmu\n");
    g_autoptr(virSMMUTopology) topo = readTopology(fs);

    g_assert_cmpuint(virSMMUTopologySMMUs(topo)->len, ==, 3);
    g_assert_cmpint(virSMMUTopologyFindSMMU(topo, "9050000.smmuv3")->kind, ==,
                    VIR_SMMU_KIND_SMMUV3);
    g_assert_cmpint(virSMMUTopologyFindSMMU(topo, "dmar0")->kind, ==, VIR_SMMU_KIND_OTHER);
    g_assert_cmpint(virSMMUTopologyFindSMMU(topo, "smmu.0x2b400000")->kind, ==,
                    VIR_SMMU_KIND_OTHER);
    g_assert_cmpint(virSMMUTopologyFindSMMU(topo, "dmar0")->cmdqv, ==, VIR_TRISTATE_NO);
}

static void
testCmdqv(void)
{
    static const struct {
        const char *lines;
        virTristate answer;
    } cases[] = {
        { "", VIR_TRISTATE_UNKNOWN },
        { "sys/bus/acpi/devices\n", VIR_TRISTATE_NO },
        { "sys/bus/acpi/devices/PNP0C0C:00\n", VIR_TRISTATE_NO },
        { "sys/bus/acpi/devices/NVDA200C:00\n", VIR_TRISTATE_UNKNOWN },
        { SMMU "/of_node/compatible : AA==\n", VIR_TRISTATE_NO },
        { SMMU "/of_node/nvidia,cmdqv : AAAAAQ==\n", VIR_TRISTATE_UNKNOWN },
        { PROBE "cmdqv = 1 1 4\n", VIR_TRISTATE_YES },
        { "sys/bus/acpi/devices\n" PROBE "cmdqv = 1 1 4\n", VIR_TRISTATE_YES },
        { "sys/bus/acpi/devices/NVDA200C:00\n" PROBE "cmdqv = 0 0 0\n", VIR_TRISTATE_NO },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(virSysfs) fs = parseWith(cases[i].lines);
        g_autoptr(virSMMUTopology) topo = readTopology(fs);
        const virSMMU *smmu = g_ptr_array_index(virSMMUTopologySMMUs(topo), 0);

        g_test_message("%s", cases[i].lines);
        g_assert_cmpint(smmu->cmdqv, ==, cases[i].answer);
    }
}

/* IDR0.S1P and S2P, and IIDR, as the kernel judges them. */
static void
testNesting(void)
{
    static const struct {
        uint32_t idr0;
        uint32_t iidr;
        virTristate answer;
        const char *why;
    } cases[] = {
        { 0x3, 0, VIR_TRISTATE_YES, NULL },
        { 0x0, 0, VIR_TRISTATE_NO, "IDR0.S1P is 0: it has no stage 1" },
        { 0x1, 0, VIR_TRISTATE_NO, "IDR0.S1P is 0: it has no stage 1" },
        { 0x2, 0, VIR_TRISTATE_NO, "IDR0.S2P is 0: it has no stage 2" },
        /* MMU-600 r0p0, r1p9, r2p0 */
        { 0x3, 0x4830043b, VIR_TRISTATE_NO,
          "IIDR says Arm MMU-600 before r2: Linux nests on none of them (erratum)" },
        { 0x3, 0x4831943b, VIR_TRISTATE_NO,
          "IIDR says Arm MMU-600 before r2: Linux nests on none of them (erratum)" },
        { 0x3, 0x4832043b, VIR_TRISTATE_YES, NULL },
        /* MMU-700 r0p0, r0p1, r1p0, r1p1, r2p0 */
        { 0x3, 0x4870043b, VIR_TRISTATE_NO,
          "IIDR says Arm MMU-700 before r1p1: Linux nests on none of them (errata 2268618, 2812531)" },
        { 0x3, 0x4870143b, VIR_TRISTATE_NO,
          "IIDR says Arm MMU-700 before r1p1: Linux nests on none of them (errata 2268618, 2812531)" },
        { 0x3, 0x4871043b, VIR_TRISTATE_NO,
          "IIDR says Arm MMU-700 before r1p1: Linux nests on none of them (errata 2268618, 2812531)" },
        { 0x3, 0x4871143b, VIR_TRISTATE_YES, NULL },
        { 0x3, 0x4872043b, VIR_TRISTATE_NO,
          "IIDR says Arm MMU-700 before r1p1: Linux nests on none of them (errata 2268618, 2812531)" },
        /* the same product number of another implementer; MMU-S3 */
        { 0x3, 0x48300036, VIR_TRISTATE_YES, NULL },
        { 0x3, 0x4980043b, VIR_TRISTATE_YES, NULL },
    };
    virSMMU smmu = { .kind = VIR_SMMU_KIND_SMMUV3 };
    const char *why = NULL;
    size_t i;

    g_assert_cmpint(virSMMUCanNest(&smmu, &why), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpstr(why, ==, "its registers were not probed");
    smmu.regs.known = true;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        smmu.regs.idr0 = cases[i].idr0;
        smmu.regs.iidr = cases[i].iidr;
        g_test_message("IDR0 %x IIDR %x", cases[i].idr0, cases[i].iidr);
        g_assert_cmpint(virSMMUCanNest(&smmu, &why), ==, cases[i].answer);
        g_assert_cmpstr(why, ==, cases[i].why);
        g_assert_cmpint(virSMMUCanNest(&smmu, NULL), ==, cases[i].answer);
    }
    smmu.kind = VIR_SMMU_KIND_OTHER;
    g_assert_cmpint(virSMMUCanNest(&smmu, &why), ==, VIR_TRISTATE_NO);
    g_assert_cmpstr(why, ==, "it is no SMMUv3");
}

/* What rules a vSMMU out: each field of QEMU's SMMUv3 with one thing else, and coherence by the devices. */
static void
testServe(void)
{
    static const virSMMURegisters good = { true, 0x0d44101b, 0x02730010, 0x00000000, 0x00000074, 0 };
    static const struct {
        uint32_t idr0, idr1, idr3, idr5;    /* bits that differ */
        virTristate canwbs;                 /* of one device; the other has none */
        virTristate answer;
        const char *why;
    } cases[] = {
        { 0, 0, 0, 0, VIR_TRISTATE_YES, VIR_TRISTATE_YES, NULL },
        { 0, 0, 0x100, 0, VIR_TRISTATE_NO, VIR_TRISTATE_YES, NULL }, /* S2FWB */
        { 0, 0, 0, 0, VIR_TRISTATE_NO, VIR_TRISTATE_NO, "neither S2FWB (IDR3.FWB is 0) nor CANWBS (IORT)" },
        { 0, 0, 0, 0, VIR_TRISTATE_UNKNOWN, VIR_TRISTATE_UNKNOWN,
          "no S2FWB, and CANWBS is not known: the IORT is for root to read" },
        { 0x1, 0, 0, 0, VIR_TRISTATE_YES, VIR_TRISTATE_NO, "IDR0.S2P is 0: it has no stage 2" },
        { 0x1, 0, 0, 0, VIR_TRISTATE_NO, VIR_TRISTATE_NO, "IDR0.S2P is 0: it has no stage 2" },
        { 0, 0, 0, 0x6, VIR_TRISTATE_YES, VIR_TRISTATE_NO,
          "IDR5.OAS has less than 44 bits, the least of QEMU's vSMMU" }, /* 4 becomes 2: 40 bits */
        { 0, 0, 0, 0x1, VIR_TRISTATE_YES, VIR_TRISTATE_YES, NULL },     /* 5: 48 bits */
        { 0, 0, 0, 0x3, VIR_TRISTATE_YES, VIR_TRISTATE_YES, NULL },     /* 7 is reserved */
        { 0, 0, 0, 0x20, VIR_TRISTATE_YES, VIR_TRISTATE_NO,
          "IDR5.GRAN4K, GRAN16K and GRAN64K are not all 1, as in QEMU's vSMMU" },
        { 0x08000000, 0, 0, 0, VIR_TRISTATE_YES, VIR_TRISTATE_NO,
          "IDR0.ST_LEVEL says no two-level stream table, as QEMU's vSMMU has" },
        { 0x00200000, 0, 0, 0, VIR_TRISTATE_YES, VIR_TRISTATE_NO, "IDR0.TTENDIAN says big-endian only" },
        { 0x8, 0, 0, 0, VIR_TRISTATE_YES, VIR_TRISTATE_NO, "IDR0.TTF says no AArch64 translation tables" },
        { 0, 0x1f, 0, 0, VIR_TRISTATE_YES, VIR_TRISTATE_NO,
          "IDR1.SIDSIZE has less than 16 bits, as QEMU's vSMMU has" }, /* 15 */
        { 0, 0x1, 0, 0, VIR_TRISTATE_YES, VIR_TRISTATE_YES, NULL },    /* 17 */
    };
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    virSMMU smmu = { .kind = VIR_SMMU_KIND_SMMUV3, .devices = devices };
    virSMMUDevice first = { .smmu = &smmu, .canwbs = VIR_TRISTATE_NO };
    virSMMUDevice second = { .smmu = &smmu };
    size_t i;

    g_ptr_array_add(devices, &first);
    g_ptr_array_add(devices, &second);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *why = NULL;

        g_test_message("case %zu", i);
        smmu.regs = good;
        smmu.regs.idr0 ^= cases[i].idr0;
        smmu.regs.idr1 ^= cases[i].idr1;
        smmu.regs.idr3 ^= cases[i].idr3;
        smmu.regs.idr5 ^= cases[i].idr5;
        second.canwbs = cases[i].canwbs;
        g_assert_cmpint(virSMMUCanServe(&smmu, &why), ==, cases[i].answer);
        g_assert_cmpstr(why, ==, cases[i].why);
        /* Firmware can change what it says of a root complex, and nothing else. */
        g_assert_cmpint(virSMMUServeRemedy(&smmu) != NULL, ==, why && strstr(why, "neither S2FWB") != NULL);
    }
    smmu.regs = good;
    g_ptr_array_set_size(devices, 0);
    g_assert_cmpuint(virSMMUGranules(&smmu), ==, 84);
    smmu.regs.idr5 = 0x20;
    g_assert_cmpuint(virSMMUGranules(&smmu), ==, 16);
    smmu.regs.known = false;
    g_assert_cmpuint(virSMMUGranules(&smmu), ==, 0);
}

static void
testFeatures(void)
{
    static const int output[] = { 32, 36, 40, 42, 44, 48, 52, -1 };
    virSMMU smmu = { .kind = VIR_SMMU_KIND_SMMUV3 };
    uint32_t i;

    g_assert_cmpint(virSMMUHasATS(&smmu), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(virSMMUHasRIL(&smmu), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(virSMMUHasS2FWB(&smmu), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(virSMMUHasAllGranules(&smmu), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(virSMMUHasTwoLevelTable(&smmu), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(virSMMUHasLittleEndian(&smmu), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(virSMMUHasAArch64(&smmu), ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(virSMMUStreamBits(&smmu), ==, -1);
    g_assert_cmpint(virSMMUSsidBits(&smmu), ==, -1);
    g_assert_cmpint(virSMMUOutputBits(&smmu), ==, -1);
    smmu.regs.known = true;
    /* One bit at a time: it says what it says, and nothing else does. */
    for (i = 0; i < 32; i++) {
        smmu.regs.idr0 = smmu.regs.idr3 = 1u << i;
        g_assert_cmpint(virSMMUHasATS(&smmu), ==, i == 10);
        g_assert_cmpint(virSMMUHasRIL(&smmu), ==, i == 10);
        g_assert_cmpint(virSMMUHasS2FWB(&smmu), ==, i == 8);
        smmu.regs.idr1 = 1u << i;
        g_assert_cmpint(virSMMUSsidBits(&smmu), ==, i >= 6 && i <= 10 ? 1 << (i - 6) : 0);
        g_assert_cmpint(virSMMUStreamBits(&smmu), ==, i <= 5 ? 1 << i : 0);
        smmu.regs.idr5 = ~(1u << i);
        g_assert_cmpint(virSMMUHasAllGranules(&smmu), ==, i < 4 || i > 6);
    }
    for (i = 0; i < 4; i++) {
        smmu.regs.idr0 = ~(3u << 27) | i << 27;
        g_assert_cmpint(virSMMUHasTwoLevelTable(&smmu), ==, i == 1);
        smmu.regs.idr0 = ~(3u << 21) | i << 21;
        g_assert_cmpint(virSMMUHasLittleEndian(&smmu), ==, i < 3);
        smmu.regs.idr0 = ~(3u << 2) | i << 2;
        g_assert_cmpint(virSMMUHasAArch64(&smmu), ==, i >= 2);
    }
    for (i = 0; i < G_N_ELEMENTS(output); i++) {
        smmu.regs.idr5 = 0xfffffff8 | i;
        g_assert_cmpint(virSMMUOutputBits(&smmu), ==, output[i]);
    }
}

static void
testRegisters(void)
{
    g_autoptr(virSysfs) fs =
        parseWith(PROBE "idr0 = 0x0d7b1f3f\n" PROBE "idr1 = 0x1\n" PROBE "idr3 = 0xFFFFFFFF\n" PROBE
                        "idr5 = 0x00000075\n" PROBE "iidr = 0x0\n");
    g_autoptr(virSysfs) missing = parseWith(PROBE "idr0 = 0x0d7b1f3f\n" PROBE "idr1 = 0x1\n" PROBE
                                                  "idr3 = 0x1\n" PROBE "idr5 = 0x75\n");
    g_autoptr(virSMMUTopology) topo = readTopology(fs);
    g_autoptr(virSMMUTopology) topoMissing = readTopology(missing);
    const virSMMU *smmu = g_ptr_array_index(virSMMUTopologySMMUs(topo), 0);
    const virSMMU *smmuMissing = g_ptr_array_index(virSMMUTopologySMMUs(topoMissing), 0);

    g_assert_true(smmu->regs.known);
    g_assert_cmphex(smmu->regs.idr0, ==, 0x0d7b1f3f);
    g_assert_cmphex(smmu->regs.idr1, ==, 1);
    g_assert_cmphex(smmu->regs.idr3, ==, 0xffffffff);
    g_assert_cmphex(smmu->regs.idr5, ==, 0x75);
    g_assert_cmphex(smmu->regs.iidr, ==, 0);
    g_assert_false(smmuMissing->regs.known);
    g_assert_cmphex(smmuMissing->regs.idr0, ==, 0);
}

/* Records that read as text, but say something impossible. */
static void
testWrong(void)
{
    static const struct {
        const char *lines;
        const char *message;
    } cases[] = {
        { PROBE "idr0 = 5\n",
          "'" PROBE "idr0' holds no 32-bit number: write it as 0x and hex digits" },
        { PROBE "idr0 = 0x\n",
          "'" PROBE "idr0' holds no 32-bit number: write it as 0x and hex digits" },
        { PROBE "idr0 = 0x100000000\n",
          "'" PROBE "idr0' holds no 32-bit number: write it as 0x and hex digits" },
        { PROBE "cmdqv = yes\n",
          "'" PROBE "cmdqv' is not of the form 'VERSION LOG2VCMDQS LOG2VSIDS'" },
        { PROBE "cmdqv = 1 -1 4\n", "'" PROBE "cmdqv' is not of the form 'VERSION LOG2VCMDQS LOG2VSIDS'" },
        { PROBE "cmdqv = +1 1 4\n", "'" PROBE "cmdqv' is not of the form 'VERSION LOG2VCMDQS LOG2VSIDS'" },
        { PROBE "cmdqv = 1 16 4\n", "'" PROBE "cmdqv' is not of the form 'VERSION LOG2VCMDQS LOG2VSIDS'" },
        { PROBE "cmdqv = 1 1 999\n", "'" PROBE "cmdqv' is not of the form 'VERSION LOG2VCMDQS LOG2VSIDS'" },
        { PROBE "cmdqv = 1 1 4 4\n",
          "'" PROBE "cmdqv' is not of the form 'VERSION LOG2VCMDQS LOG2VSIDS'" },
        { SMMU "/numa_node = x\n", "host file 'sys/class/iommu/smmu3.0x0000000011000000/device/"
                                   "numa_node' holds no NUMA node" },
        { DEVICE "/numa_node = -2\n",
          "host file 'sys/bus/pci/devices/0001:00:00.0/numa_node' holds no NUMA node" },
        { DEVICE "/iommu_group -> ../../../kernel/iommu_groups/x\n",
          "the iommu_group of host device '0001:00:00.0' is no number" },
        { DEVICE "/resource = 0x0 0x1\n",
          "line 1 of host file 'sys/bus/pci/devices/0001:00:00.0/resource' is not 'START END FLAGS'" },
        { DEVICE "/resource = 0x0 0x0 0x0\\n0x2 0x1 0x200\n",
          "line 2 of host file 'sys/bus/pci/devices/0001:00:00.0/resource' is not 'START END FLAGS'" },
        { DEVICE "/uevent : AAA=\n", "host file 'sys/bus/pci/devices/0001:00:00.0/uevent' holds "
                                     "binary data where text is expected" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(virSysfs) fs = parseWith(cases[i].lines);
        g_autoptr(GError) error = NULL;
        g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, &error);

        g_test_message("%s", cases[i].lines);
        if (topo)
            g_assert_false(virSMMUTopologyLoadDetails(
                topo, fs, g_ptr_array_index(virSMMUTopologyDevices(topo), 0), &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

/* The two sides of the map contradict each other. */
static void
testContradiction(void)
{
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
        { DEVICE "\n",
          "host device '0001:00:00.0' is listed behind smmu3.0x0000000011000000, but its iommu link "
          "names none; if the host was changing, run it again" },
        { DEVICE "/iommu -> ../../dmar0\n",
          "host device '0001:00:00.0' is listed behind smmu3.0x0000000011000000, but its iommu link "
          "names dmar0; if the host was changing, run it again" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *without =
            g_strndup(base, (gsize)(strstr(base, DEVICE "/iommu ->") - base));
        g_autofree char *manifest = g_strconcat(without, cases[i].line, NULL);
        g_autoptr(virSysfs) fs = testHostParse(manifest);
        g_autoptr(virSMMUTopology) topo = readTopology(fs);
        g_autoptr(GError) error = NULL;

        g_assert_false(virSMMUTopologyLoadDetails(
            topo, fs, g_ptr_array_index(virSMMUTopologyDevices(topo), 0), &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

static void
testNetdev(void)
{
    g_autoptr(virSysfs) fs =
        parseWith("sys/class/net/eth0 -> ../../devices/pci0001:00/0001:00:00.0/net/eth0\n"
                  "sys/class/net/eth1 -> ../../devices/pci0001:00/0001:00:00.0/virtio7/net/eth1\n"
                  "sys/class/net/lo -> ../../devices/virtual/net/lo\n"
                  "sys/class/net/gone -> ../../devices/pci0001:00/0001:00:01.0/net/gone\n");
    g_autoptr(virSMMUTopology) topo = readTopology(fs);
    virSMMUDevice *dev = g_ptr_array_index(virSMMUTopologyDevices(topo), 0);

    g_assert_true(virSMMUTopologyFindNetdev(topo, fs, "eth0") == dev);
    g_assert_true(virSMMUTopologyFindNetdev(topo, fs, "eth1") == dev);
    g_assert_null(virSMMUTopologyFindNetdev(topo, fs, "lo"));
    g_assert_null(virSMMUTopologyFindNetdev(topo, fs, "gone"));
    g_assert_null(virSMMUTopologyFindNetdev(topo, fs, "eth2"));
    g_assert_null(virSMMUTopologyFindNetdev(topo, fs, ""));
    g_assert_null(virSMMUTopologyFindNetdev(topo, fs, ".."));
    /* An address that the PCI bus has, but no name of an interface. */
    g_assert_null(virSMMUTopologyFindNetdev(topo, fs, "../../bus/pci/devices/0001:00:00.0"));
}

static void
testDirect(void)
{
    static const struct {
        const char *regions;
        bool direct;
    } cases[] = {
        { "0x8000000 0x80fffff msi", false },
        { "0x1000 0x1fff direct-relaxable", false },
        { "0x1000 0x1fff reserved\\n0x8000000 0x80fffff msi", false },
        { "0x1000 0x1fff direct", true },
        { "0x1000 0x1fff direct\\n0x8000000 0x80fffff msi", true },
        { "", false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *lines =
            g_strconcat(DEVICE "/iommu_group -> x/7\n"
                               "sys/kernel/iommu_groups/7/devices/0001:00:00.0\n"
                               "sys/kernel/iommu_groups/7/reserved_regions = ",
                        cases[i].regions, "\n", NULL);
        g_autoptr(virSysfs) fs = parseWith(lines);
        g_autoptr(virSMMUTopology) topo = readTopology(fs);
        virSMMUDevice *dev = g_ptr_array_index(virSMMUTopologyDevices(topo), 0);
        g_autoptr(GError) error = NULL;

        g_test_message("%s", cases[i].regions);
        g_assert_true(virSMMUTopologyLoadDetails(topo, fs, dev, &error));
        g_assert_true(virSMMUTopologyFindGroup(topo, 7)->direct == cases[i].direct);
    }
}

/* Only what is named as the kernel names PCI devices is one. */
static void
testNames(void)
{
    g_autoptr(virSysfs) fs = testHostParse("sys/bus/pci/devices/0000:00:1F.0\n"
                                           "sys/bus/pci/devices/0000:00:1e.0\n"
                                           "sys/bus/pci/devices/00000:00:1d.0\n"
                                           "sys/bus/pci/devices/10000:e1:00.0\n"
                                           "sys/bus/pci/devices/ffff:00:00.0\n"
                                           "sys/bus/pci/devices/power\n"
                                           "sys/class/iommu/smmu3.0x1/devices/0000:00:1F.0\n"
                                           "sys/class/iommu/smmu3.0x1/devices/0000:00:1e.0\n");
    g_autoptr(virSMMUTopology) topo = readTopology(fs);
    g_autofree char *map = formatMap(topo);

    g_assert_cmpstr(map, ==, "smmu3.0x1 numa=- devices: 0000:00:1e.0\nuntranslated: ffff:00:00.0 10000:e1:00.0\n");
}

static void
testDetails(void)
{
    g_autoptr(virSysfs) fs = parseWith(
        DEVICE
        "/uevent = DRIVER=vfio-pci\\nPCI_CLASS=30200\\nPCI_ID=10DE:2342\n" DEVICE
        "/iommu_group -> ../../../kernel/iommu_groups/7\n" DEVICE "/vfio-dev/vfio3\n" DEVICE
        "/numa_node = 1\n" DEVICE
        "/resource = 0x1000 0x1fff 0x40200\\n0x0 0x0 0x0\\n0x100 0x1ff 0x101\\n0x0 0xfffff "
        "0x2014220c\\n0x0 0x0 0x0\\n0x0 0x0 0x0\\n0x9000 0x9fff 0x200\n"
        "sys/kernel/iommu_groups/7/reserved_regions = 0x0 0xfff direct-relaxable\\n0x8000000 "
        "0x80fffff msi\\n0x1000 0x1fff direct\n"
        "sys/kernel/iommu_groups/7/devices/0001:00:00.0\n"
        "sys/kernel/iommu_groups/7/devices/ARMH0011:00\n");
    g_autoptr(virSMMUTopology) topo = readTopology(fs);
    virSMMUDevice *dev = g_ptr_array_index(virSMMUTopologyDevices(topo), 0);
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(dev->vendor, ==, -1);
    g_assert_null(virSMMUTopologyFindGroup(topo, 7));
    g_assert_true(virSMMUTopologyLoadIds(topo, fs, dev, &error));
    g_assert_true(dev->haveIds && !dev->haveDetails);
    g_assert_true(virSMMUTopologyLoadDetails(topo, fs, dev, &error));
    g_assert_no_error(error);
    formatDevice(out, topo, dev);
    g_assert_cmpstr(out->str, ==,
                    "0001:00:00.0 10de:2342 030200 driver=vfio-pci numa=1 vfio=1 bridge=0 physfn=- "
                    "alias=0 canwbs=-1\n  parents\n  bars 0x1000 0x100000/64/prefetch\n"
                    "  group 7 direct=1 0001:00:00.0 ARMH0011:00\n");
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) names = NULL;
    size_t i;

    g_test_init(&argc, &argv, NULL);
    names = testHostNames();
    for (i = 0; i < names->len; i++) {
        g_autofree char *path =
            g_strdup_printf("/smmu/host/%s", (char *)g_ptr_array_index(names, i));

        g_test_add_data_func(path, g_ptr_array_index(names, i), testHost);
    }
    g_test_add_func("/smmu/this-host", testThisHost);
    g_test_add_func("/smmu/record", testRecord);
    g_test_add_func("/smmu/iommufd", testIommufd);
    g_test_add_func("/smmu/nothing", testNothing);
    g_test_add_func("/smmu/kind", testKind);
    g_test_add_func("/smmu/kind/by-driver", testKindByDriver);
    g_test_add_func("/smmu/cmdqv", testCmdqv);
    g_test_add_func("/smmu/nesting", testNesting);
    g_test_add_func("/smmu/features", testFeatures);
    g_test_add_func("/smmu/serve", testServe);
    g_test_add_func("/smmu/registers", testRegisters);
    g_test_add_func("/smmu/wrong", testWrong);
    g_test_add_func("/smmu/contradiction", testContradiction);
    g_test_add_func("/smmu/netdev", testNetdev);
    g_test_add_func("/smmu/direct", testDirect);
    g_test_add_func("/smmu/names", testNames);
    g_test_add_func("/smmu/details", testDetails);
    return g_test_run();
}
