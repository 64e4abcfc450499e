/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check of a host: each line, with what makes it pass, and what does not.
 */
#include "hostcheck.h"

#include "hosttestutils.h"
#include "viommu_finding.h"
#include "virrecord.h"
#include "virsysfspriv.h"

#include <gio/gio.h>
#include <string.h>

#define SMMU "smmu3.0x0000000011000000"
#define PCI "sys/devices/pci/0001:00:01.0/"

/* An SMMU with one device behind it, which is bound to vfio-pci. */
#define BASE                                                                                         \
    "sys/class/iommu/" SMMU " -> ../../devices/platform/s/iommu/" SMMU "\n"                           \
    "sys/devices/platform/s/iommu/" SMMU "/devices/0001:00:01.0 -> ../../../../../pci/0001:00:01.0\n" \
    "sys/bus/pci/devices/0001:00:01.0 -> ../../../devices/pci/0001:00:01.0\n"                         \
    PCI "uevent = DRIVER=vfio-pci\\nPCI_CLASS=20000\\nPCI_ID=15B3:1021\n"                             \
    PCI "iommu -> ../../platform/s/iommu/" SMMU "\n"                                                  \
    PCI "iommu_group -> ../../../kernel/iommu_groups/1\n"                                             \
    "sys/kernel/iommu_groups/1/devices/0001:00:01.0 -> ../../../../devices/pci/0001:00:01.0\n"        \
    PCI "vfio-dev/vfio0/dev = 511:0\n"
#define NODES "dev/iommu =\ndev/vfio/devices/vfio0 =\n"
#define PROBE "probe/" SMMU "/"
#define REGISTERS                                                                               \
    PROBE "idr1 = 0x02730010\n" PROBE "idr3 = 0x00001514\n" PROBE "idr5 = 0x00000074\n" PROBE \
          "iidr = 0x00000000\n"
#define OTHER                                                                                         \
    "sys/class/iommu/smmu3.0x0000000012000000 -> ../../devices/platform/o/iommu/smmu3.0x0000000012000000\n" \
    "sys/devices/platform/o/iommu/smmu3.0x0000000012000000\n"
#define OTHER_PROBED(idr0, idr3)                                                                      \
    OTHER "probe/smmu3.0x0000000012000000/idr0 = " idr0 "\n"                                          \
          "probe/smmu3.0x0000000012000000/idr1 = 0x02730010\n"                                        \
          "probe/smmu3.0x0000000012000000/idr3 = " idr3 "\n"                                          \
          "probe/smmu3.0x0000000012000000/idr5 = 0x00000074\n"                                        \
          "probe/smmu3.0x0000000012000000/iidr = 0x00000000\n"
#define BOUND(name, vfio)                                                                              \
    "sys/devices/platform/s/iommu/" SMMU "/devices/" name " -> ../../../../../pci/" name "\n"          \
    "sys/bus/pci/devices/" name " -> ../../../devices/pci/" name "\n"                                  \
    "sys/devices/pci/" name "/uevent = DRIVER=vfio-pci\\nPCI_CLASS=20000\\nPCI_ID=15B3:1021\n"         \
    "sys/devices/pci/" name "/iommu -> ../../platform/s/iommu/" SMMU "\n"                              \
    "sys/devices/pci/" name "/iommu_group -> ../../../kernel/iommu_groups/" vfio "\n"                  \
    "sys/kernel/iommu_groups/" vfio "/devices/" name " -> ../../../../devices/pci/" name "\n"          \
    "sys/devices/pci/" name "/vfio-dev/vfio" vfio "/dev = 511:" vfio "\n"
#define SECOND BOUND("0001:00:02.0", "2")
#define FIVE SECOND BOUND("0001:00:04.0", "4") BOUND("0001:00:05.0", "5") BOUND("0001:00:06.0", "6") \
    BOUND("0001:00:07.0", "7")
/* The header of a bridge without capabilities. */
#define PLAIN_BRIDGE                                                                                   \
    "NhsOAAAAAAAAAAQGAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define NAMED "sys/bus/acpi/devices/NVDA200C:00/uid = 0\n"
#define CMDQV PROBE "cmdqv = 1 1 4\n"
#define RELEASE(text) "proc/sys/kernel/osrelease = " text "\n"
#define OPTIONS "CONFIG_ARM_SMMU_V3=y\\nCONFIG_ARM_SMMU_V3_IOMMUFD=y\\nCONFIG_IOMMUFD=m\\nCONFIG_VFIO_PCI=m\\n"

#define AGAIN "record the host again, as root, with a newer viommu"
#define NO_CONFIG "not known: the record has no config of the kernel", AGAIN

static const struct {
    const char *lines; /* beside BASE */
    const char *id;
    int verdict;
    const char *text;
    const char *hint;
} cases[] = {
    { "", "H01", VIOMMU_VERDICT_PASS, NULL, "1 found" },
    { "", "H02", VIOMMU_VERDICT_NOTE, "not known: the kernel tells it only to who holds a device through iommufd",
      "'--probe' on that host asks it" },
    { PROBE "idr0 = 0x0d44101b\n" REGISTERS, "H02", VIOMMU_VERDICT_PASS, NULL, "1 of 1" },
    { PROBE "idr0 = 0x0d44101a\n" REGISTERS, "H02", VIOMMU_VERDICT_FAIL,
      "'" SMMU "' cannot nest: IDR0.S2P is 0: it has no stage 2", "no remedy on this hardware" },
    { PROBE "idr0 = 0x0544101b\n" REGISTERS, "H02", VIOMMU_VERDICT_FAIL,
      "'" SMMU "' cannot nest: IDR0.ST_LEVEL says no two-level stream table, as QEMU's vSMMU has",
      "no remedy on this hardware" },
    /* Beside another: one of which nothing is known, one that cannot nest either, and one that has a remedy. */
    { PROBE "idr0 = 0x0d44101b\n" REGISTERS OTHER, "H02", VIOMMU_VERDICT_PASS, NULL, "1 of 2, 1 not known" },
    { PROBE "idr0 = 0x0d44101a\n" REGISTERS OTHER, "H02", VIOMMU_VERDICT_NOTE,
      "not known: the kernel tells it only to who holds a device through iommufd", "'--probe' on that host asks it" },
    { PROBE "idr0 = 0x0d44101a\n" REGISTERS OTHER_PROBED("0x0d441019", "0x00001514"), "H02", VIOMMU_VERDICT_FAIL,
      "'" SMMU "' cannot nest: IDR0.S2P is 0: it has no stage 2", "no remedy on this hardware" },
    { PROBE "idr0 = 0x0d44101a\n" REGISTERS OTHER_PROBED("0x0d44101b", "0x00001414"), "H02", VIOMMU_VERDICT_FAIL,
      "'smmu3.0x0000000012000000' cannot nest: neither S2FWB (IDR3.FWB is 0) nor CANWBS (IORT)",
      "ask the maker for firmware whose IORT says CANWBS, if the root complex has it" },
    { "", "H03", VIOMMU_VERDICT_NOTE, "not known: nothing of /dev is recorded", AGAIN },
    { "dev\n", "H03", VIOMMU_VERDICT_FAIL, "there is no /dev/iommu",
      "load the module 'iommufd' of a kernel with CONFIG_IOMMUFD" },
    { NODES, "H03", VIOMMU_VERDICT_PASS, NULL, NULL },
    { "", "H04", VIOMMU_VERDICT_PASS, NULL, "1 found" },
    { "", "H05", VIOMMU_VERDICT_NOTE, "not known: its release is not recorded, or has no number", AGAIN },
    { RELEASE("next"), "H05", VIOMMU_VERDICT_NOTE, "not known: its release is not recorded, or has no number", NULL },
    { RELEASE("6.12.1"), "H05", VIOMMU_VERDICT_WARN,
      "Linux 6.12.1; nested SMMUs came with 6.13, if the distribution has not added it", "boot a newer kernel" },
    { RELEASE("6.13.0-rc1"), "H05", VIOMMU_VERDICT_PASS, NULL, "Linux 6.13.0-rc1" },
    { RELEASE("6.16.9") CMDQV, "H05", VIOMMU_VERDICT_WARN,
      "Linux 6.16.9; CMDQV for guests came with 6.17, if the distribution has not added it",
      "boot a newer kernel, or guests get no command queues" },
    { RELEASE("6.17") CMDQV, "H05", VIOMMU_VERDICT_PASS, NULL, "Linux 6.17" },
    { RELEASE("6.17"), "H06", VIOMMU_VERDICT_NOTE, NO_CONFIG },
    { RELEASE("../6.17") "boot/6.17 = " OPTIONS "\n", "H06", VIOMMU_VERDICT_NOTE, NO_CONFIG },
    { RELEASE("6.17") "boot/config-6.17 = " OPTIONS "CONFIG_VFIO_DEVICE_CDEV=y\n", "H06", VIOMMU_VERDICT_PASS, NULL,
      NULL },
    { RELEASE("6.17") "lib/modules/6.17/config = CONFIG_VFIO_DEVICE_CDEV=y\\n" OPTIONS "\n", "H06",
      VIOMMU_VERDICT_PASS, NULL, NULL },
    { RELEASE("6.17") "boot/config-6.17 = " OPTIONS "# CONFIG_VFIO_DEVICE_CDEV is not set\n", "H06",
      VIOMMU_VERDICT_FAIL, "it has no CONFIG_VFIO_DEVICE_CDEV", "boot a kernel that has" },
    /* Names that begin or end with one are others. */
    { RELEASE("6.17") "boot/config-6.17 = CONFIG_IOMMUFD_DRIVER=y\\nCONFIG_ARM_SMMU_V3_IOMMUFD=y\\n"
      "NO_CONFIG_IOMMUFD=y\\nCONFIG_VFIO_DEVICE_CDEV=y\\nCONFIG_VFIO_PCI_CORE=y\n", "H06", VIOMMU_VERDICT_FAIL,
      "it has no CONFIG_ARM_SMMU_V3, CONFIG_IOMMUFD, CONFIG_VFIO_PCI", "boot a kernel that has" },
    { RELEASE("6.17") "boot/config-6.17 = " OPTIONS "CONFIG_VFIO_DEVICE_CDEV=y\n" CMDQV, "H06", VIOMMU_VERDICT_WARN,
      "it has no CONFIG_TEGRA241_CMDQV", "boot a kernel that has, or guests get no command queues" },
    { RELEASE("6.17") "boot/config-6.17 = " OPTIONS "CONFIG_TEGRA241_CMDQV=y\\nCONFIG_VFIO_DEVICE_CDEV=y\n" CMDQV,
      "H06", VIOMMU_VERDICT_PASS, NULL, NULL },
    { NODES, "H07", VIOMMU_VERDICT_PASS, NULL, NULL },
    { "dev/iommu =\n", "H07", VIOMMU_VERDICT_FAIL, "no node for 0001:00:01.0",
      "use a kernel with CONFIG_VFIO_DEVICE_CDEV, and udev" },
    /* One of two: that is no fault of the host. */
    { NODES SECOND, "H07", VIOMMU_VERDICT_WARN, "no node for 0001:00:02.0",
      "let udev or mdev make the nodes that are missing" },
    { NODES SECOND "sys/kernel/iommu_groups/2/reserved_regions = 0x0000000000000000 0x0000000000000fff direct\n", "H08",
      VIOMMU_VERDICT_WARN, "not to be given: 0001:00:02.0 (direct region)",
      "use others; see 'viommu host'" },
    /* Firmware names a CMDQV, and the kernel does not drive it. */
    { RELEASE("6.14.1") NAMED, "H05", VIOMMU_VERDICT_WARN,
      "Linux 6.14.1; CMDQV for guests came with 6.17, if the distribution has not added it",
      "boot a newer kernel, or guests get no command queues" },
    { RELEASE("6.17") "boot/config-6.17 = " OPTIONS "CONFIG_VFIO_DEVICE_CDEV=y\n" NAMED, "H06", VIOMMU_VERDICT_WARN,
      "it has no CONFIG_TEGRA241_CMDQV", "boot a kernel that has, or guests get no command queues" },
    { RELEASE("6.17") "proc/config.gz : H4sIAAAAAAACA3P293PzdI93DPKND/b1DY0PM7at5HLGEIz39Acy3FwQkjCBXJhAmJunf3yAsydQRFkBWczFNczT2T"
      "XeGUgrZBYr5OWXKBSnlnABAKCJeqx6AAAA\n", "H06",
      VIOMMU_VERDICT_FAIL, "it has no CONFIG_VFIO_DEVICE_CDEV", "boot a kernel that has" },
    /* ends in the middle */
    { RELEASE("6.17") "proc/config.gz : H4sIAAAAAAACA3P293PzdI93DPKND/b1DY0PM7at5HLGEIz39Acy3FwQkjCBXA==\n", "H06", VIOMMU_VERDICT_NOTE, NO_CONFIG },
    /* no text */
    { RELEASE("6.17") "proc/config.gz : H4sIAAAAAAACA3P293PzdI93DPKND/b1DY0PM7at5HLGEIz39Acy3FwQkjCBXJhAmJunf3yAsydQhAEA5JKicVYAAA"
      "A=\n", "H06", VIOMMU_VERDICT_NOTE, NO_CONFIG },
    /* nothing */
    { RELEASE("6.17") "proc/config.gz : H4sIAAAAAAACAwMAAAAAAAAAAAA=\n", "H06", VIOMMU_VERDICT_NOTE, NO_CONFIG },
    { RELEASE("..") "boot/config-.. = " OPTIONS "\n", "H06", VIOMMU_VERDICT_NOTE, NO_CONFIG },
    { RELEASE("a/6.17") "boot/config-a/6.17 = " OPTIONS "\n", "H06", VIOMMU_VERDICT_NOTE, NO_CONFIG },
    /* A device-tree host whose SMMU has the property. */
    { RELEASE("6.14.1") "sys/devices/platform/s/of_node/nvidia,cmdqv : AAAAAQ==\n"
      "sys/devices/platform/s/iommu/" SMMU "/device -> ../..\n", "H05", VIOMMU_VERDICT_WARN,
      "Linux 6.14.1; CMDQV for guests came with 6.17, if the distribution has not added it",
      "boot a newer kernel, or guests get no command queues" },
    { NODES, "H08", VIOMMU_VERDICT_PASS, NULL, NULL },
    { "", "H07", VIOMMU_VERDICT_NOTE, "not known: nothing of /dev is recorded", AGAIN },
    { "sys/kernel/iommu_groups/1/devices/0001:00:02.0 -> ../../../../devices/pci/0001:00:02.0\n", "H08",
      VIOMMU_VERDICT_FAIL, "not to be given: 0001:00:01.0 (not alone in its IOMMU group)",
      "use others; see 'viommu host'" },
    { "sys/kernel/iommu_groups/1/reserved_regions = 0x0000000000000000 0x0000000000000fff direct\n", "H08",
      VIOMMU_VERDICT_FAIL, "not to be given: 0001:00:01.0 (direct region)", "use others; see 'viommu host'" },
    /* Behind a bridge that is no PCIe device: no capability of PCIe in its config space. */
    { "sys/devices/pci/0001:00:03.0/0001:01:00.0/uevent = DRIVER=vfio-pci\\nPCI_CLASS=20000\\nPCI_ID=15B3:1021\n"
      "sys/devices/pci/0001:00:03.0/0001:01:00.0/vfio-dev/vfio2/dev = 511:2\n"
      "sys/devices/pci/0001:00:03.0/0001:01:00.0/iommu -> ../../../platform/s/iommu/" SMMU "\n"
      "sys/devices/pci/0001:00:03.0/0001:01:00.0/iommu_group -> ../../../../kernel/iommu_groups/9\n"
      "sys/kernel/iommu_groups/9/devices/0001:01:00.0 -> ../../../../devices/pci/0001:00:03.0/0001:01:00.0\n"
      "sys/devices/pci/0001:00:03.0/uevent = PCI_CLASS=60400\\nPCI_ID=1B36:000E\n"
      "sys/devices/pci/0001:00:03.0/config : " PLAIN_BRIDGE "\n"
      "sys/bus/pci/devices/0001:00:03.0 -> ../../../devices/pci/0001:00:03.0\n"
      "sys/bus/pci/devices/0001:01:00.0 -> ../../../devices/pci/0001:00:03.0/0001:01:00.0\n"
      "sys/devices/platform/s/iommu/" SMMU "/devices/0001:01:00.0 -> ../../../../../pci/0001:00:03.0/0001:01:00.0\n",
      "H08", VIOMMU_VERDICT_WARN, "not to be given: 0001:01:00.0 (behind a conventional bridge)",
      "use others; see 'viommu host'" },
    { PROBE "idr0 = 0x0d44101a\n" REGISTERS, "H08", VIOMMU_VERDICT_FAIL,
      "not to be given: 0001:00:01.0 (its SMMU cannot nest)", "use others; see 'viommu host'" },
    /* Four are named, and no fifth. */
    { NODES FIVE, "H07", VIOMMU_VERDICT_WARN,
      "no node for 0001:00:02.0, 0001:00:04.0, 0001:00:05.0, 0001:00:06.0 and others",
      "let udev or mdev make the nodes that are missing" },
    { "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages = 0\n", "H09", -1, NULL, NULL },
    { CMDQV, "H09", VIOMMU_VERDICT_NOTE, "not known: the record has nothing of huge pages", AGAIN },
    { "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages = 0\n" CMDQV, "H09", VIOMMU_VERDICT_WARN,
      "no huge pages are reserved", "reserve some (vm.nr_hugepages), and give guests <memoryBacking><hugepages/>" },
    { "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages = 0\n"
      "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages = 16\n" CMDQV, "H09", VIOMMU_VERDICT_PASS, NULL,
      NULL },
};

static const viommuVerdict *
find(const GPtrArray *verdicts, const char *id)
{
    size_t i;

    for (i = 0; i < verdicts->len; i++) {
        const viommuVerdict *verdict = g_ptr_array_index(verdicts, i);

        if (strcmp(verdict->id, id) == 0)
            return verdict;
    }
    return NULL;
}

static void
compare(const viommuVerdict *verdict, int expected, const char *text, const char *hint)
{
    g_assert_cmpint(verdict ? (int)verdict->verdict : -1, ==, expected);
    g_assert_cmpstr(verdict ? verdict->text : NULL, ==, text);
    g_assert_cmpstr(verdict ? verdict->hint : NULL, ==, hint);
}

static GPtrArray *
checkHost(virSysfs *fs, const char *unprobed)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, &error);
    GPtrArray *verdicts = topo ? viommuHostCheck(topo, fs, unprobed, &error) : NULL;

    g_assert_no_error(error);
    return verdicts;
}

/* As they are, and as the record of such a host has them. */
static void
testLines(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *manifest = g_strconcat(BASE, cases[i].lines, NULL);
        g_autoptr(virSysfs) fs = testHostParse(manifest);
        g_autofree char *record = virRecordHost(fs, NULL);
        g_autoptr(virSysfs) again = testHostParse(record);
        g_autoptr(GPtrArray) verdicts = checkHost(fs, NULL);
        g_autoptr(GPtrArray) recorded = checkHost(again, NULL);

        g_test_message("case %zu", i);
        compare(find(recorded, cases[i].id), cases[i].verdict, cases[i].text, cases[i].hint);
        compare(find(verdicts, cases[i].id), cases[i].verdict, cases[i].text, cases[i].hint);
    }
}

/* The record of a host can be made again; of this machine, more can be read. */
static void
testHere(void)
{
    static const struct {
        const char *id, *text;
    } unread[] = {
        { "H02", "not known of '" SMMU "': no S2FWB, and CANWBS is not known: the IORT is for root to read" },
        { "H06", "not known: /boot, /lib/modules and /proc/config.gz have no readable config of it" },
        { "H09", "not known: /sys/kernel/mm/hugepages cannot be read" },
    };
    /* No S2FWB, no IORT. */
    static const char manifest[] = BASE CMDQV PROBE "idr0 = 0x0d44101b\n" PROBE "idr1 = 0x02730010\n" PROBE
                                   "idr3 = 0x00001414\n" PROBE "idr5 = 0x00000074\n" PROBE "iidr = 0x00000000\n";
    g_autoptr(virSysfs) fs = testHostParse(manifest);
    g_autoptr(GPtrArray) recorded = checkHost(fs, NULL);
    g_autoptr(GPtrArray) here = NULL;
    size_t i;

    /* As --probe leaves this machine, with what was probed at probe/. */
    virSysfsSetProbed(fs, testHostParse(manifest));
    fs->recorded = false;
    here = checkHost(fs, NULL);
    compare(find(recorded, "H02"), VIOMMU_VERDICT_NOTE, unread[0].text, AGAIN);
    for (i = 0; i < G_N_ELEMENTS(unread); i++)
        compare(find(here, unread[i].id), VIOMMU_VERDICT_NOTE, unread[i].text, "read it as root");
}

/* Options that unpack to more than any kernel's are not known; those that just fit are. */
static void
testLarge(void)
{
    static const struct {
        size_t len;
        int verdict;
    } some[] = { { 4u << 20, VIOMMU_VERDICT_FAIL }, { (4u << 20) + 1, VIOMMU_VERDICT_NOTE } };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autoptr(GZlibCompressor) gzip = g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, 9);
        g_autofree char *text = g_strnfill(some[i].len, '#');
        g_autofree char *packed = g_malloc(some[i].len);
        g_autofree char *base64 = NULL;
        g_autofree char *manifest = NULL;
        g_autoptr(virSysfs) fs = NULL;
        g_autoptr(GPtrArray) verdicts = NULL;
        const viommuVerdict *verdict;
        gsize read, written;

        g_assert_cmpint(g_converter_convert(G_CONVERTER(gzip), text, some[i].len, packed, some[i].len,
                                            G_CONVERTER_INPUT_AT_END, &read, &written, NULL),
                        ==, G_CONVERTER_FINISHED);
        base64 = g_base64_encode((guchar *)packed, written);
        manifest = g_strdup_printf(BASE RELEASE("6.17") "proc/config.gz : %s\n", base64);
        fs = testHostParse(manifest);
        verdicts = checkHost(fs, NULL);
        verdict = find(verdicts, "H06");
        g_assert_true(verdict && (int)verdict->verdict == some[i].verdict);
    }
}

static void
testPeer(void)
{
    static const struct {
        unsigned libvirt, qemu;
        int verdict;
        const char *text, *hint;
    } peers[] = {
        { 12008, 11001, VIOMMU_VERDICT_PASS, NULL, "libvirt 12.8, QEMU 11.1" },
        { 12007, 11000, VIOMMU_VERDICT_PASS, NULL, "libvirt 12.7, QEMU 11.0" },
        { 8001, 11001, VIOMMU_VERDICT_FAIL,
          "libvirt 8.1 cannot describe a vSMMU per expander bus (8.2 can, by <qemu:override>, and 12.7 in words of its own): update it, or start QEMU with the arguments of 'viommu argv'",
          NULL },
        { 12006, 11001, VIOMMU_VERDICT_PASS, NULL, "libvirt 12.6, which lacks words that <qemu:override> stands in for; QEMU 11.1" },
        { 0, 0, VIOMMU_VERDICT_NOTE, "not known: this libvirt runs no QEMU",
          "give the URI of one that does, qemu:///system" },
        { 9000, 0, VIOMMU_VERDICT_NOTE, "not known: libvirt 9.0 tells no version of QEMU", NULL },
        { 12008, 10002, VIOMMU_VERDICT_FAIL, "QEMU 10.2 has no accelerated SMMUv3", "use QEMU 11.0 or newer" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(peers); i++) {
        g_autoptr(virSysfs) fs = testHostParse(BASE);
        g_autoptr(GPtrArray) verdicts = checkHost(fs, NULL);

        viommuHostCheckPeer(verdicts, peers[i].libvirt, peers[i].qemu);
        compare(find(verdicts, "H10"), peers[i].verdict, peers[i].text, peers[i].hint);
    }
}

static void
testUnreachable(void)
{
    g_autoptr(virSysfs) fs = testHostParse(BASE);
    g_autoptr(GPtrArray) verdicts = checkHost(fs, NULL);

    viommuHostCheckNoPeer(verdicts, "cannot connect to libvirt: nobody listens");
    compare(find(verdicts, "H10"), VIOMMU_VERDICT_FAIL, "cannot connect to libvirt: nobody listens",
            "install and start libvirt (libvirtd or virtqemud), or give another URI");
}

/* What libvirt says of guests with KVM. */
static void
testGuests(void)
{
    static const char install[] = "install QEMU for Arm guests (qemu-system-aarch64), on an Arm host with KVM";
    static const char refusal[] = "invalid argument: the accel 'kvm' is not supported by '/q' on this host";
    char path[] = "/q", machine[] = "virt-11.1";
    const viommuDomainCaps all = { path, machine, VIOMMU_VIRT_KVM, VIR_TRISTATE_YES, VIR_TRISTATE_YES };
    const viommuDomainCaps old = { path, NULL, VIOMMU_VIRT_KVM, VIR_TRISTATE_UNKNOWN, VIR_TRISTATE_UNKNOWN };
    const viommuDomainCaps noGic = { path, machine, VIOMMU_VIRT_KVM, VIR_TRISTATE_NO, VIR_TRISTATE_YES };
    const viommuDomainCaps noIommufd = { path, machine, VIOMMU_VIRT_KVM, VIR_TRISTATE_YES, VIR_TRISTATE_NO };
    const struct {
        const viommuDomainCaps *caps;
        const char *refusal, *silence;
        int verdict;
        const char *text, *hint;
    } answers[] = {
        { &all, NULL, NULL, VIOMMU_VERDICT_PASS, NULL, "/q, virt-11.1 with KVM" },
        { &old, NULL, NULL, VIOMMU_VERDICT_PASS, NULL, "/q, machine unknown with KVM" },
        { &noGic, NULL, NULL, VIOMMU_VERDICT_FAIL, "libvirt has no GICv3 for guests on its host",
          "use a host with a GICv3" },
        { &noIommufd, NULL, NULL, VIOMMU_VERDICT_FAIL, "libvirt has no iommufd on its host",
          "load the module 'iommufd' there, of a kernel with CONFIG_IOMMUFD" },
        { &all, refusal, NULL, VIOMMU_VERDICT_FAIL, refusal, install },
        { NULL, refusal, NULL, VIOMMU_VERDICT_FAIL, refusal, install },
        { NULL, NULL, "access denied", VIOMMU_VERDICT_NOTE, "not known: libvirt does not tell: access denied", NULL },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autoptr(GPtrArray) verdicts = viommuHostCheckNew();

        viommuHostCheckGuests(verdicts, answers[i].caps, answers[i].refusal, answers[i].silence);
        compare(find(verdicts, "H10"), answers[i].verdict, answers[i].text, answers[i].hint);
    }
}

static void
testEmulator(void)
{
    qemuViommuCaps caps = { .major = 11, .minor = 1, .smmuv3 = true, .virt = true, .accelDevice = true };
    g_autoptr(virSysfs) fs = testHostParse(BASE);
    g_autoptr(GPtrArray) lacks = checkHost(fs, NULL);
    g_autoptr(GPtrArray) passes = checkHost(fs, NULL);
    g_autoptr(GPtrArray) other = checkHost(fs, NULL);
    g_autoptr(GPtrArray) fails = checkHost(fs, NULL);
    g_autoptr(GPtrArray) unasked = checkHost(fs, NULL);

    viommuHostCheckEmulator(lacks, "/q", &caps);
    compare(find(lacks, "H12"), VIOMMU_VERDICT_FAIL, "emulator '/q', QEMU 11.1.0: its vfio-pci has no 'iommufd'",
            "use a QEMU that is built with iommufd");
    caps.iommufd = true;
    viommuHostCheckEmulator(passes, "/q", &caps);
    compare(find(passes, "H12"), VIOMMU_VERDICT_PASS, NULL,
            "emulator '/q', QEMU 11.1.0, dialect rfc-accel, which libvirt does not have: 'viommu argv' and 'viommu run' only");
    caps.virt = false;
    viommuHostCheckEmulator(other, "/q", &caps);
    compare(find(other, "H12"), VIOMMU_VERDICT_FAIL,
            "emulator '/q', QEMU 11.1.0: it has no arm-smmuv3, or no machine 'virt': it emulates no Arm server",
            "use a qemu-system-aarch64");
    viommuHostCheckUnasked(unasked, "emulator 'x': not run: others can write it");
    compare(find(unasked, "H12"), VIOMMU_VERDICT_NOTE, "emulator 'x': not run: others can write it",
            "--emulator asks it all the same");
    viommuHostCheckNoEmulator(fails, "emulator 'x': does not answer");
    compare(find(fails, "H12"), VIOMMU_VERDICT_FAIL, "emulator 'x': does not answer",
            "give the path of a qemu-system-aarch64 that runs here");
}

/* What could not be probed is in its line, and the others are as they are. */
static void
testUnprobed(void)
{
    g_autoptr(virSysfs) fs = testHostParse(BASE);
    g_autoptr(GPtrArray) verdicts = checkHost(fs, "cannot open /dev/iommu: run it as root");
    g_autoptr(GPtrArray) others = checkHost(fs, NULL);
    size_t i;

    compare(find(verdicts, "H02"), VIOMMU_VERDICT_WARN, "not probed: cannot open /dev/iommu: run it as root", NULL);
    g_assert_cmpuint(verdicts->len, ==, others->len);
    for (i = 0; i < others->len; i++) {
        const viommuVerdict *other = g_ptr_array_index(others, i);

        if (strcmp(other->id, "H02") != 0)
            compare(find(verdicts, other->id), (int)other->verdict, other->text, other->hint);
    }
}

/* CANWBS is of a device, not of its SMMU. */
static void
testCanwbs(void)
{
    g_autoptr(virSysfs) fs = testHostParse(BASE SECOND PROBE "idr0 = 0x0d44101b\n" PROBE "idr1 = 0x02730010\n" PROBE
                                           "idr3 = 0x00001414\n" PROBE "idr5 = 0x00000074\n" PROBE "iidr = 0x0\n");
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    virSMMUDevice *has = g_ptr_array_index(devices, 0), *lacks = g_ptr_array_index(devices, 1);

    g_assert_true(virSMMUTopologyLoadDetails(topo, fs, has, NULL));
    g_assert_true(virSMMUTopologyLoadDetails(topo, fs, lacks, NULL));
    has->canwbs = VIR_TRISTATE_YES;
    g_assert_cmpstr(viommuHostRuleOut(topo, has), ==, NULL);
    g_assert_cmpstr(viommuHostRuleOut(topo, lacks), ==, NULL);
    lacks->canwbs = VIR_TRISTATE_NO;
    g_assert_cmpstr(viommuHostRuleOut(topo, has), ==, NULL);
    g_assert_cmpstr(viommuHostRuleOut(topo, lacks), ==, "no CANWBS for its root complex");
}

/* A finding stands alone: it says what was checked. */
static void
testTitles(void)
{
    g_autoptr(virSysfs) fs = testHostParse(BASE);
    g_autoptr(GPtrArray) verdicts = checkHost(fs, NULL);
    g_autoptr(GPtrArray) findings = viommuHostCheckFindings(verdicts);
    g_autoptr(GString) table = g_string_new(NULL);
    size_t i;

    viommuHostCheckFormat(verdicts, false, false, table);
    g_assert_cmpuint(findings->len, >, 0);
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);
        g_autofree char *line = g_strdup_printf("VSMMU: %-69s: NOTE (%s", finding->title, finding->text);

        g_assert_true(g_str_has_prefix(finding->title, "Checking "));
        g_assert_nonnull(strstr(table->str, line));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/hostcheck/lines", testLines);
    g_test_add_func("/hostcheck/here", testHere);
    g_test_add_func("/hostcheck/large", testLarge);
    g_test_add_func("/hostcheck/peer", testPeer);
    g_test_add_func("/hostcheck/canwbs", testCanwbs);
    g_test_add_func("/hostcheck/titles", testTitles);
    g_test_add_func("/hostcheck/unreachable", testUnreachable);
    g_test_add_func("/hostcheck/guests", testGuests);
    g_test_add_func("/hostcheck/emulator", testEmulator);
    g_test_add_func("/hostcheck/unprobed", testUnprobed);
    return g_test_run();
}
