/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking iommufd, and through which devices. The kernel here is a table of answers: tests/e2e asks a real one, and no
 * machine there is has a CMDQV.
 */
#include "viriommufd.h"

#include "hosttestutils.h"
#include "viommuerror.h"
#include "virkvm.h"
#include "virsmmuprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define DEVICES "/dev/vfio/devices/"

/* Registers of QEMU 11.1's SMMUv3 with two stages, as Linux 7.2 gives them. */
#define EMULATED { .idr = { 0x0d44101b, 0x02730010, 0, 0x00001414, 0, 0x00000074 } }

/* What the kernel answers. An errno of 0: it does it. */
typedef struct {
    const char *cdev; /* the last component of its path; NULL: every one */
    int openError;
    int bindError;
} answerDevice;

typedef struct {
    int iommufdError;
    int addressBits;             /* of KVM; 0: there is no /dev/kvm */
    const answerDevice *devices; /* the first that fits counts; ends with a bind error of -1; NULL: all are good */
    int infoError;               /* of the default type */
    uint32_t type;               /* 0: ARM_SMMUV3 */
    virIOMMUHwSMMUv3 smmu;
    int namedError;              /* of a type that is asked for by name */
    int cmdqvError;
    virIOMMUHwCmdqv cmdqv;
    GString *log;
    int opened;                  /* descriptors */
    char *paths[8];              /* of these */
} answerKernel;

static int
fail(int error)
{
    errno = error;
    return error ? -1 : 0;
}

static const answerDevice *
findDevice(const answerKernel *kernel, const char *path)
{
    static const answerDevice good = { 0 };
    const answerDevice *dev;

    for (dev = kernel->devices; dev && dev->bindError >= 0; dev++) {
        if (!dev->cdev || strcmp(path + strlen(DEVICES), dev->cdev) == 0)
            return dev;
    }
    return &good;
}

static int
answerOpen(void *data, const char *path)
{
    answerKernel *kernel = data;
    bool isDevice = g_str_has_prefix(path, DEVICES);
    bool isKVM = strcmp(path, "/dev/kvm") == 0;
    int error = isDevice ? findDevice(kernel, path)->openError
                : isKVM  ? (kernel->addressBits ? 0 : ENOENT)
                         : kernel->iommufdError;
    int fd;

    g_string_append_printf(kernel->log, "open %s\n", path + strlen("/dev/"));
    g_assert_true(isDevice || isKVM || strcmp(path, "/dev/iommu") == 0);
    if (error)
        return fail(error);
    for (fd = 0; kernel->paths[fd]; fd++)
        g_assert_cmpint(fd, <, (int)G_N_ELEMENTS(kernel->paths) - 1);
    kernel->paths[fd] = g_strdup(path);
    kernel->opened++;
    return fd;
}

static int
answerBind(answerKernel *kernel, int fd, virVFIODeviceBind *bind)
{
    g_assert_true(g_str_has_prefix(kernel->paths[fd], DEVICES));
    g_assert_cmpuint(bind->argsz, ==, 16);
    g_assert_cmpuint(bind->flags, ==, 0);
    g_assert_cmpstr(kernel->paths[bind->iommufd], ==, "/dev/iommu");
    g_string_append(kernel->log, "bind\n");
    bind->devid = 7;
    return fail(findDevice(kernel, kernel->paths[fd])->bindError);
}

static int
giveInfo(virIOMMUHwInfo *info, uint32_t type, const void *data, size_t len)
{
    g_assert_cmpuint(info->dataLen, ==, len);
    memcpy((void *)(uintptr_t)info->data, data, len);
    info->type = type;
    return 0;
}

static int
answerInfo(answerKernel *kernel, virIOMMUHwInfo *info)
{
    const uint32_t smmu = VIR_IOMMU_HW_INFO_ARM_SMMUV3;

    g_assert_cmpuint(info->size, ==, 40);
    g_assert_cmpuint(info->devid, ==, 7);
    g_assert_cmpuint(info->capabilities, ==, 0);
    g_string_append_printf(kernel->log, "info %u%s\n", info->type, info->flags ? " by name" : "");
    if (!info->flags)
        return kernel->infoError ? fail(kernel->infoError)
                                 : giveInfo(info, kernel->type ? kernel->type : smmu, &kernel->smmu,
                                            sizeof(kernel->smmu));
    g_assert_cmpuint(info->flags, ==, VIR_IOMMU_HW_INFO_INPUT_TYPE);
    if (kernel->namedError)
        return fail(kernel->namedError);
    if (info->type == smmu)
        return giveInfo(info, smmu, &kernel->smmu, sizeof(kernel->smmu));
    g_assert_cmpuint(info->type, ==, VIR_IOMMU_HW_INFO_TEGRA241_CMDQV);
    return kernel->cmdqvError ? fail(kernel->cmdqvError)
                              : giveInfo(info, info->type, &kernel->cmdqv, sizeof(kernel->cmdqv));
}

static int
answerIoctl(void *data, int fd, unsigned long request, void *arg)
{
    answerKernel *kernel = data;

    g_assert_nonnull(kernel->paths[fd]);
    if (request == VIR_KVM_CHECK_EXTENSION) {
        g_assert_cmpstr(kernel->paths[fd], ==, "/dev/kvm");
        g_assert_cmpuint((uintptr_t)arg, ==, VIR_KVM_CAP_ARM_VM_IPA_SIZE);
        return kernel->addressBits;
    }
    if (request == VIR_VFIO_DEVICE_BIND_IOMMUFD)
        return answerBind(kernel, fd, arg);
    g_assert_cmpuint(request, ==, VIR_IOMMU_GET_HW_INFO);
    g_assert_cmpstr(kernel->paths[fd], ==, "/dev/iommu");
    return answerInfo(kernel, arg);
}

static void
answerClose(void *data, int fd)
{
    answerKernel *kernel = data;

    g_string_append_printf(kernel->log, "close %s\n", kernel->paths[fd] + strlen("/dev/"));
    g_clear_pointer(&kernel->paths[fd], g_free);
    kernel->opened--;
}

/* Asks @kernel, and whether its descriptors were closed. Free the log. */
static bool
query(answerKernel *kernel, virIOMMUFDInfo *ret_info, GError **error)
{
    const virIOMMUFDCalls calls = { answerOpen, answerIoctl, answerClose, kernel };
    bool bound = false;
    bool good;

    kernel->log = g_string_new(NULL);
    good = virIOMMUFDQuery(&calls, DEVICES "vfio3", ret_info, &bound, error);
    g_assert_cmpint(kernel->opened, ==, 0);
    g_assert_cmpint(bound, ==, strstr(kernel->log->str, "\ninfo ") != NULL);
    return good;
}

#define QUERY "open iommu\nopen vfio/devices/vfio3\nbind\ninfo 0\n"
#define CLOSE "close vfio/devices/vfio3\nclose iommu\n"

static void
testQuery(void)
{
    answerKernel kernel = { .smmu = EMULATED, .cmdqvError = EOPNOTSUPP };
    virIOMMUFDInfo info;
    g_autoptr(GError) error = NULL;

    kernel.smmu.iidr = 0x4832043b;
    g_assert_true(query(&kernel, &info, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(kernel.log->str, ==, QUERY "info 3 by name\ninfo 2 by name\n" CLOSE);
    g_string_free(kernel.log, TRUE);
    g_assert_true(info.regs.known);
    g_assert_cmphex(info.regs.idr0, ==, 0x0d44101b);
    g_assert_cmphex(info.regs.idr1, ==, 0x02730010);
    g_assert_cmphex(info.regs.idr3, ==, 0x00001414);
    g_assert_cmphex(info.regs.idr5, ==, 0x00000074);
    g_assert_cmphex(info.regs.iidr, ==, 0x4832043b);
    g_assert_cmpint(info.cmdqv, ==, VIR_TRISTATE_NO);
}

static void
testCmdqv(void)
{
    static const struct {
        int namedError, cmdqvError;
        virTristate cmdqv;
    } cases[] = {
        { 0, 0, VIR_TRISTATE_YES },
        { 0, EOPNOTSUPP, VIR_TRISTATE_NO },
        { EOPNOTSUPP, 0, VIR_TRISTATE_UNKNOWN }, /* before 6.17: no flag is known */
        { 0, EIO, VIR_TRISTATE_UNKNOWN },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        answerKernel kernel = { .smmu = EMULATED, .namedError = cases[i].namedError,
                                .cmdqvError = cases[i].cmdqvError,
                                .cmdqv = { .version = 1, .log2vcmdqs = 1, .log2vsids = 4 } };
        virIOMMUFDInfo info;

        g_test_message("case %zu", i);
        g_assert_true(query(&kernel, &info, NULL));
        g_string_free(kernel.log, TRUE);
        g_assert_cmpint(info.cmdqv, ==, cases[i].cmdqv);
        if (info.cmdqv != VIR_TRISTATE_YES)
            continue;
        g_assert_cmpuint(info.cmdqvInfo.version, ==, 1);
        g_assert_cmpuint(info.cmdqvInfo.log2vcmdqs, ==, 1);
        g_assert_cmpuint(info.cmdqvInfo.log2vsids, ==, 4);
    }
}

static void
testErrors(void)
{
    static const answerDevice noNode[] = { { NULL, ENOENT, 0 }, { NULL, 0, -1 } };
    static const answerDevice notAllowed[] = { { NULL, EACCES, 0 }, { NULL, 0, -1 } };
    static const answerDevice used[] = { { NULL, 0, EINVAL }, { NULL, 0, -1 } };
    static const answerDevice legacy[] = { { NULL, 0, EBUSY }, { NULL, 0, -1 } };
    static const answerDevice sibling[] = { { NULL, 0, EPERM }, { NULL, 0, -1 } };
    static const struct {
        answerKernel kernel;
        const char *log;
        const char *message;
    } cases[] = {
        { { .iommufdError = ENOENT }, "open iommu\n",
          "cannot open /dev/iommu: No such file or directory (ENOENT): load the module 'iommufd' of a kernel with CONFIG_IOMMUFD" },
        { { .iommufdError = EACCES }, "open iommu\n", "cannot open /dev/iommu: Permission denied (EACCES): run it as root" },
        { { .iommufdError = EMFILE }, "open iommu\n", "cannot open /dev/iommu: Too many open files (EMFILE)" },
        { { .devices = noNode }, "open iommu\nopen vfio/devices/vfio3\nclose iommu\n",
          "cannot open /dev/vfio/devices/vfio3: No such file or directory (ENOENT): the kernel needs CONFIG_VFIO_DEVICE_CDEV, and something that makes the node, such as udev" },
        { { .devices = notAllowed }, "open iommu\nopen vfio/devices/vfio3\nclose iommu\n",
          "cannot open /dev/vfio/devices/vfio3: Permission denied (EACCES): run it as root" },
        { { .devices = used }, "open iommu\nopen vfio/devices/vfio3\nbind\n" CLOSE,
          "VFIO_DEVICE_BIND_IOMMUFD: Invalid argument (EINVAL): a process uses the device, or its SMMU or firmware rules it out" },
        { { .devices = legacy }, "open iommu\nopen vfio/devices/vfio3\nbind\n" CLOSE,
          "VFIO_DEVICE_BIND_IOMMUFD: Device or resource busy (EBUSY): a process has opened its group by the older VFIO interface, or uses a device of it" },
        { { .devices = sibling }, "open iommu\nopen vfio/devices/vfio3\nbind\n" CLOSE,
          "VFIO_DEVICE_BIND_IOMMUFD: Operation not permitted (EPERM): another device of its group is not free, or its interrupts are not isolated" },
        { { .infoError = ENOTTY }, QUERY CLOSE,
          "IOMMU_GET_HW_INFO: Inappropriate ioctl for device (ENOTTY): the kernel is older than 6.6" },
        { { .infoError = EOPNOTSUPP }, QUERY CLOSE,
          "IOMMU_GET_HW_INFO: Operation not supported (EOPNOTSUPP): the kernel is older than 6.13, or has no CONFIG_ARM_SMMU_V3_IOMMUFD" },
        { { .type = 1 }, QUERY CLOSE,
          "IOMMU_GET_HW_INFO: the answer has type 1 instead of 2: that is no SMMUv3" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        answerKernel kernel = cases[i].kernel;
        virIOMMUFDInfo info;
        g_autoptr(GError) error = NULL;

        g_assert_false(query(&kernel, &info, &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
        g_assert_cmpstr(error->message, ==, cases[i].message);
        g_assert_cmpstr(kernel.log->str, ==, cases[i].log);
        g_string_free(kernel.log, TRUE);
    }
}

/* Probes @fs. Returns a line for each SMMU: "NAME DEVICE (why)". */
static char *
probe(virSysfs *fs, const answerDevice *devices, int infoError, char **ret_log)
{
    answerKernel kernel = { .smmu = EMULATED, .devices = devices, .infoError = infoError, .cmdqvError = EOPNOTSUPP,
                            .log = g_string_new(NULL) };
    const virIOMMUFDCalls calls = { answerOpen, answerIoctl, answerClose, &kernel };
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) probes = virSMMUProbeHost(fs, &calls, &error);
    GString *lines = g_string_new(NULL);
    size_t i;

    g_assert_no_error(error);
    for (i = 0; i < probes->len; i++) {
        const virSMMUProbe *one = g_ptr_array_index(probes, i);

        g_string_append_printf(lines, "%s %s%s%s%s\n", one->smmu, one->device ? one->device : "-", one->why ? " (" : "",
                               one->why ? one->why : "", one->why ? ")" : "");
    }
    g_assert_cmpint(kernel.opened, ==, 0);
    *ret_log = g_string_free(kernel.log, FALSE);
    return g_string_free(lines, FALSE);
}

static void
checkRegisters(virSysfs *fs, const char *name, bool known)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, &error);
    const virSMMU *smmu;

    g_assert_no_error(error);
    smmu = virSMMUTopologyFindSMMU(topo, name);
    g_assert_cmpint(smmu->regs.known, ==, known);
    if (known)
        g_assert_cmphex(smmu->regs.idr0, ==, 0x0d44101b);
    g_assert_cmpint(smmu->cmdqv, ==, known ? VIR_TRISTATE_NO : VIR_TRISTATE_UNKNOWN);
}

/* The virtual functions come first (vfio3, vfio4), the GPU (vfio2) last; vfio1 is the first that nobody uses. */
static void
testHost(void)
{
    static const answerDevice devices[] = {
        { "vfio3", 0, EINVAL }, { "vfio4", 0, EBUSY }, { "vfio0", ENODEV, 0 }, { "vfio5", 0, EINVAL }, { NULL, 0, 0 },
        { NULL, 0, -1 }
    };
    g_autoptr(virSysfs) fs = testHostRead("grace");
    g_autofree char *log = NULL;
    g_autofree char *lines = probe(fs, devices, 0, &log);

    g_assert_cmpstr(lines, ==,
                    "smmu3.0x0000000005000000 0008:03:00.0 (5 not bound to a VFIO driver)\n"
                    "smmu3.0x0000000011000000 0000:01:00.1 (0002:03:00.1: VFIO_DEVICE_BIND_IOMMUFD: Invalid argument (EINVAL): a process uses the device, or its SMMU or firmware rules it out; "
                    "0002:03:00.2: VFIO_DEVICE_BIND_IOMMUFD: Device or resource busy (EBUSY): a process has opened its group by the older VFIO interface, or uses a device of it; "
                    "0000:01:00.0: cannot open /dev/vfio/devices/vfio0: No such device (ENODEV): the device is leaving its driver; 3 not bound to a VFIO driver)\n"
                    "smmu3.0x0000000012000000 - (0003:01:00.0: VFIO_DEVICE_BIND_IOMMUFD: Invalid argument (EINVAL): a process uses the device, or its SMMU or firmware rules it out)\n"
                    "smmu3.0x0000000015000000 0006:01:00.0 (1 not bound to a VFIO driver)\n"
                    "smmu3.0x0000000016000000 0009:01:00.0\n");
    /* Neither the GPU, nor any device of another SMMU once one has answered. */
    g_assert_null(strstr(log, "vfio2\n"));
    checkRegisters(fs, "smmu3.0x0000000011000000", true);
    checkRegisters(fs, "smmu3.0x0000000012000000", false);
}

#define PLATFORM "sys/devices/platform/s/iommu/smmu3.0x0000000011000000/devices/"
#define DEVICE(name, group)                                                                         \
    "sys/bus/pci/devices/" name " -> ../../../devices/pci/" name "\n"                              \
    "sys/devices/pci/" name "/uevent = DRIVER=vfio-pci\\nPCI_CLASS=20000\\nPCI_ID=15B3:1021\n"     \
    "sys/devices/pci/" name "/iommu -> ../../platform/s/iommu/smmu3.0x0000000011000000\n"          \
    "sys/devices/pci/" name "/iommu_group -> ../../../kernel/iommu_groups/" group "\n"             \
    "sys/kernel/iommu_groups/" group "/devices/" name " -> ../../../../devices/pci/" name "\n"     \
    "sys/devices/pci/" name "/vfio-dev/vfio" group "/dev = 511:" group "\n"                        \
    PLATFORM name " -> ../../../../../pci/" name "\n"
#define BASE                                                                                        \
    "sys/class/iommu/smmu3.0x0000000011000000 -> ../../devices/platform/s/iommu/smmu3.0x0000000011000000\n" \
    DEVICE("0001:01:00.0", "1") "sys/devices/pci/0001:01:00.0/sriov_numvfs = 2\n"                  \
    DEVICE("0001:01:00.1", "2") "sys/devices/pci/0001:01:00.1/sriov_numvfs = 0\n"                  \
    DEVICE("0001:02:00.0", "3")                                                                     \
    "sys/kernel/iommu_groups/3/reserved_regions = 0x0000000000000000 0x00000000000fffff direct\n"  \
    DEVICE("0001:03:00.0", "4") "sys/devices/pci/0001:03:00.0/sriov_numvfs = 0\n"                  \
    DEVICE("0001:04:00.0", "5")

/* Those that are not to be opened are not. A virtual function may be, beside its physical function. */
static void
testUnfit(void)
{
    static const struct {
        const char *manifest;
        const char *lines;
        const char *cdev;
    } some[] = {
        { BASE,
          "smmu3.0x0000000011000000 0001:03:00.0 (0001:01:00.0: a reset would take virtual functions of 0001:01:00.0 away; "
          "0001:01:00.1: a reset would take virtual functions of 0001:01:00.0 away; "
          "0001:02:00.0: firmware asks for a direct mapping of it)\n",
          "vfio4" },
        { BASE DEVICE("0001:01:00.2", "6") "sys/devices/pci/0001:01:00.2/physfn -> ../0001:01:00.0\n",
          "smmu3.0x0000000011000000 0001:01:00.2\n", "vfio6" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autoptr(virSysfs) fs = testHostParse(some[i].manifest);
        g_autofree char *expected = g_strdup_printf("open iommu\nclose iommu\nopen iommu\nopen vfio/devices/%s\nbind\n"
                                                    "info 0\ninfo 3 by name\ninfo 2 by name\n"
                                                    "close vfio/devices/%s\nclose iommu\nopen kvm\n", some[i].cdev, some[i].cdev);
        g_autofree char *log = NULL;
        g_autofree char *lines = probe(fs, NULL, 0, &log);

        g_assert_cmpstr(lines, ==, some[i].lines);
        g_assert_cmpstr(log, ==, expected);
    }
}

/* A kernel that cannot tell resets one device, and no more. */
static void
testKernelCannot(void)
{
    static const char why[] = "IOMMU_GET_HW_INFO: Operation not supported (EOPNOTSUPP): the kernel is older than 6.13, or has "
                              "no CONFIG_ARM_SMMU_V3_IOMMUFD";
    g_autoptr(virSysfs) fs = testHostRead("grace");
    g_autofree char *log = NULL;
    g_autofree char *lines = probe(fs, NULL, EOPNOTSUPP, &log);
    g_autofree char *first = g_strdup_printf("smmu3.0x0000000005000000 - (0008:03:00.0: %s; 5 not bound to a VFIO driver)\n", why);
    g_autofree char *second = g_strdup_printf("smmu3.0x0000000011000000 - (nor would they be through another device: %s)\n", why);

    g_assert_true(g_str_has_prefix(lines, first));
    g_assert_true(g_str_has_prefix(lines + strlen(first), second));
    g_assert_cmpstr(log, ==, "open iommu\nclose iommu\nopen iommu\nopen vfio/devices/vfio7\nbind\ninfo 0\n"
                             "close vfio/devices/vfio7\nclose iommu\nopen kvm\n");
}

/* Nor the next device of the same SMMU. */
static void
testKernelCannotAgain(void)
{
    g_autoptr(virSysfs) fs = testHostParse(BASE);
    g_autofree char *log = NULL;
    g_autofree char *lines = probe(fs, NULL, EOPNOTSUPP, &log);

    g_assert_nonnull(strstr(lines, "0001:03:00.0: IOMMU_GET_HW_INFO: "));
    g_assert_null(strstr(lines, "0001:04:00.0"));
    g_assert_null(strstr(log, "vfio5"));
}

/* What is read stands below probe/, each value in its place. */
static void
testValues(void)
{
    answerKernel kernel = { .smmu = { .idr = { 0x10, 0x11, 0x12, 0x13, 0x14, 0x15 }, .iidr = 0x16 },
                            .cmdqv = { .version = 1, .log2vcmdqs = 2, .log2vsids = 4 }, .addressBits = 44,
                            .log = g_string_new(NULL) };
    const virIOMMUFDCalls calls = { answerOpen, answerIoctl, answerClose, &kernel };
    g_autoptr(virSysfs) fs = testHostParse(BASE);
    g_autoptr(GPtrArray) probes = virSMMUProbeHost(fs, &calls, NULL);
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    const virSMMU *smmu = virSMMUTopologyFindSMMU(topo, "smmu3.0x0000000011000000");

    g_assert_cmpuint(probes->len, ==, 1);
    g_assert_cmpuint(virSMMUTopologyAddressBits(topo), ==, 44);
    g_assert_cmphex(smmu->regs.idr0, ==, 0x10);
    g_assert_cmphex(smmu->regs.idr1, ==, 0x11);
    g_assert_cmphex(smmu->regs.idr3, ==, 0x13);
    g_assert_cmphex(smmu->regs.idr5, ==, 0x15);
    g_assert_cmphex(smmu->regs.iidr, ==, 0x16);
    g_assert_cmpint(smmu->cmdqv, ==, VIR_TRISTATE_YES);
    g_assert_cmpint(smmu->cmdqvLog2Queues, ==, 2);
    g_assert_cmpint(smmu->cmdqvLog2Streams, ==, 4);
    g_string_free(kernel.log, TRUE);
}

/* What a process that viommu starts must not inherit. */
static void
testCloseOnExec(void)
{
    int fd = virIOMMUFDKernel.open(NULL, "/dev/null");

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_RDWR);
    virIOMMUFDKernel.close(NULL, fd);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
}

/* KVM of another architecture answers with 0, a kernel without it not at all. */
static void
testAddressBits(void)
{
    const struct {
        int answer;
        unsigned bits;
    } some[] = { { 0, 0 }, { -1, 0 }, { 31, 0 }, { 32, 32 }, { 56, 56 }, { 57, 0 } };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        answerKernel kernel = { .addressBits = some[i].answer, .log = g_string_new(NULL) };
        const virIOMMUFDCalls calls = { answerOpen, answerIoctl, answerClose, &kernel };

        g_assert_cmpuint(virKVMAddressBits(&calls), ==, some[i].bits);
        g_assert_cmpint(kernel.opened, ==, 0);
        g_string_free(kernel.log, TRUE);
    }
}

static void
testAddressBitsRead(void)
{
    static const char *const bad[] = { "", "0", "31", "57", "0x30", "48 ", "-1" };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup_printf("sys\nprobe/kvm/ipa-bits = %s\n", bad[i]);
        g_autoptr(virSysfs) fs = testHostParse(text);
        g_autoptr(GError) error = NULL;

        g_assert_null(virSMMUTopologyRead(fs, &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
        g_assert_cmpstr(error->message, ==, "'probe/kvm/ipa-bits' holds no number from 32 to 56");
    }
}

/* IOMMUs of other kinds are not asked: where there is no SMMUv3, nothing is opened, and nothing can fail. */
static void
testOtherKinds(void)
{
    static const char *const hosts[] = { "x86-vtd", "no-smmu" };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(virSysfs) fs = testHostRead(hosts[i]);
        g_autofree char *log = NULL;
        g_autofree char *lines = probe(fs, NULL, 0, &log);

        g_assert_cmpstr(lines, ==, "");
        g_assert_cmpstr(log, ==, "");
    }
}

static void
testNoIommufd(void)
{
    answerKernel kernel = { .iommufdError = EACCES, .log = g_string_new(NULL) };
    const virIOMMUFDCalls calls = { answerOpen, answerIoctl, answerClose, &kernel };
    g_autoptr(virSysfs) fs = testHostRead("one-smmu");
    g_autoptr(GError) error = NULL;

    g_assert_null(virSMMUProbeHost(fs, &calls, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(kernel.log->str, ==, "open iommu\n");
    g_string_free(kernel.log, TRUE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/iommufd/query", testQuery);
    g_test_add_func("/iommufd/cmdqv", testCmdqv);
    g_test_add_func("/iommufd/errors", testErrors);
    g_test_add_func("/iommufd/host", testHost);
    g_test_add_func("/iommufd/unfit", testUnfit);
    g_test_add_func("/iommufd/kernel-cannot", testKernelCannot);
    g_test_add_func("/iommufd/kernel-cannot-again", testKernelCannotAgain);
    g_test_add_func("/iommufd/values", testValues);
    g_test_add_func("/iommufd/close-on-exec", testCloseOnExec);
    g_test_add_func("/kvm/address-bits", testAddressBits);
    g_test_add_func("/kvm/address-bits-read", testAddressBitsRead);
    g_test_add_func("/iommufd/other-kinds", testOtherKinds);
    g_test_add_func("/iommufd/no-iommufd", testNoIommufd);
    return g_test_run();
}
