/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking iommufd: bind a device, get the hardware information of its SMMU, let go.
 */
#include "viriommufd.h"

#include "viommuerror.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IOMMUFD "/dev/iommu"

G_STATIC_ASSERT(sizeof(virVFIODeviceBind) == 16);
G_STATIC_ASSERT(sizeof(virIOMMUHwInfo) == 40);
G_STATIC_ASSERT(sizeof(virIOMMUHwSMMUv3) == 40);
G_STATIC_ASSERT(sizeof(virIOMMUHwCmdqv) == 8);

static int
kernelOpen(void *data, const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC);
}

static int
kernelIoctl(void *data, int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg);
}

static void
kernelClose(void *data, int fd)
{
    close(fd);
}

const virIOMMUFDCalls virIOMMUFDKernel = { kernelOpen, kernelIoctl, kernelClose, NULL };

typedef struct {
    int error;
    const char *meaning;
} errnoMeaning;

/* "CALL: Device or resource busy (EBUSY): what that means there" */
static void
setError(GError **error, const char *call, const errnoMeaning *meanings)
{
    int code = errno;
    const char *name = strerrorname_np(code);
    const char *meaning = NULL;

    for (; meanings->meaning && !meaning; meanings++)
        meaning = meanings->error == code ? meanings->meaning : NULL;
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "%s: %s (%s)%s%s", call, g_strerror(code),
                name ? name : "unknown", meaning ? ": " : "", meaning ? meaning : "");
}

static int
openIommufd(const virIOMMUFDCalls *calls, GError **error)
{
    static const errnoMeaning meanings[] = {
        { ENOENT, "load the module 'iommufd' of a kernel with CONFIG_IOMMUFD" },
        { EACCES, "run it as root" },
        { EPERM, "this container may not use it" },
        { ENODEV, "load the module 'iommufd' of a kernel with CONFIG_IOMMUFD" },
        { 0, NULL },
    };
    int fd = calls->open(calls->data, IOMMUFD);

    if (fd < 0)
        setError(error, "cannot open " IOMMUFD, meanings);
    return fd;
}

static int
openDevice(const virIOMMUFDCalls *calls, const char *cdev, GError **error)
{
    static const errnoMeaning meanings[] = {
        { ENOENT, "the kernel needs CONFIG_VFIO_DEVICE_CDEV, and something that makes the node, such as udev" },
        { EACCES, "run it as root" },
        { ENODEV, "the device is leaving its driver" },
        { 0, NULL },
    };
    g_autofree char *call = g_strconcat("cannot open ", cdev, NULL);
    int fd = calls->open(calls->data, cdev);

    if (fd < 0)
        setError(error, call, meanings);
    return fd;
}

/* vfio_df_ioctl_bind_iommufd() in drivers/vfio/device_cdev.c; it resets the device only once it has it alone. */
static bool
bindDevice(const virIOMMUFDCalls *calls, int iommufd, int device, uint32_t *ret_devid, GError **error)
{
    static const errnoMeaning meanings[] = {
        { EINVAL, "a process uses the device, or its SMMU or firmware rules it out" },
        { EBUSY, "a process has opened its group by the older VFIO interface, or uses a device of it" },
        { EPERM, "another device of its group is not free, or its interrupts are not isolated" },
        { EAGAIN, "it is being reset; try again" },
        { EACCES, "it is a virtual function, and its physical function asks for a token" },
        { ENOTTY, "the kernel is older than 6.6" },
        { 0, NULL },
    };
    virVFIODeviceBind bind = { .argsz = sizeof(bind), .iommufd = iommufd };

    if (calls->ioctl(calls->data, device, VIR_VFIO_DEVICE_BIND_IOMMUFD, &bind) < 0) {
        setError(error, "VFIO_DEVICE_BIND_IOMMUFD", meanings);
        return false;
    }
    *ret_devid = bind.devid;
    return true;
}

/* Asks for the default type, or for @type by name. */
static bool
getInfo(const virIOMMUFDCalls *calls, int iommufd, uint32_t devid, uint32_t type, void *data, size_t len,
        uint32_t *ret_type)
{
    virIOMMUHwInfo info = { .size = sizeof(info), .devid = devid, .dataLen = (uint32_t)len,
                            .data = (uintptr_t)data, .type = type };

    if (type != VIR_IOMMU_HW_INFO_DEFAULT)
        info.flags = VIR_IOMMU_HW_INFO_INPUT_TYPE;
    if (calls->ioctl(calls->data, iommufd, VIR_IOMMU_GET_HW_INFO, &info) < 0)
        return false;
    *ret_type = info.type;
    return true;
}

static bool
getRegisters(const virIOMMUFDCalls *calls, int iommufd, uint32_t devid, virSMMURegisters *ret_regs, GError **error)
{
    static const errnoMeaning meanings[] = {
        { ENOTTY, "the kernel is older than 6.6" },
        { EOPNOTSUPP, "the kernel is older than 6.13, or has no CONFIG_ARM_SMMU_V3_IOMMUFD" },
        { 0, NULL },
    };
    virIOMMUHwSMMUv3 smmu = { 0 };
    uint32_t type = VIR_IOMMU_HW_INFO_DEFAULT;

    if (!getInfo(calls, iommufd, devid, VIR_IOMMU_HW_INFO_DEFAULT, &smmu, sizeof(smmu), &type)) {
        setError(error, "IOMMU_GET_HW_INFO", meanings);
        return false;
    }
    if (type != VIR_IOMMU_HW_INFO_ARM_SMMUV3) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "IOMMU_GET_HW_INFO: the answer has type %u instead of %u: %s", type,
                    VIR_IOMMU_HW_INFO_ARM_SMMUV3,
                    type == VIR_IOMMU_HW_INFO_DEFAULT
                        ? "the kernel needs CONFIG_ARM_SMMU_V3_IOMMUFD, and 6.13 or newer"
                        : "that is no SMMUv3");
        return false;
    }
    *ret_regs = (virSMMURegisters){ .known = true, .idr0 = smmu.idr[0], .idr1 = smmu.idr[1],
                                    .idr3 = smmu.idr[3], .idr5 = smmu.idr[5], .iidr = smmu.iidr };
    return true;
}

/* A kernel that knows the question, and not this answer, has no CMDQV there. */
static void
getCmdqv(const virIOMMUFDCalls *calls, int iommufd, uint32_t devid, virIOMMUFDInfo *info)
{
    virIOMMUHwSMMUv3 again;
    uint32_t type;

    info->cmdqv = VIR_TRISTATE_YES;
    if (getInfo(calls, iommufd, devid, VIR_IOMMU_HW_INFO_TEGRA241_CMDQV, &info->cmdqvInfo, sizeof(info->cmdqvInfo),
                &type))
        return;
    info->cmdqv = errno == EOPNOTSUPP && getInfo(calls, iommufd, devid, VIR_IOMMU_HW_INFO_ARM_SMMUV3, &again,
                                                 sizeof(again), &type)
                      ? VIR_TRISTATE_NO
                      : VIR_TRISTATE_UNKNOWN;
}

bool
virIOMMUFDQuery(const virIOMMUFDCalls *calls, const char *cdev, virIOMMUFDInfo *ret_info, bool *ret_bound,
                GError **error)
{
    virIOMMUFDInfo info = { 0 };
    int iommufd = openIommufd(calls, error);
    int device = iommufd < 0 ? -1 : openDevice(calls, cdev, error);
    uint32_t devid = 0;
    bool good;

    *ret_bound = device >= 0 && bindDevice(calls, iommufd, device, &devid, error);
    good = *ret_bound && getRegisters(calls, iommufd, devid, &info.regs, error);
    if (good) {
        getCmdqv(calls, iommufd, devid, &info);
        *ret_info = info;
    }
    /* Closing the device unbinds it, which its context has to be there for. */
    if (device >= 0)
        calls->close(calls->data, device);
    if (iommufd >= 0)
        calls->close(calls->data, iommufd);
    return good;
}

bool
virIOMMUFDIsUsable(const virIOMMUFDCalls *calls, GError **error)
{
    int fd = openIommufd(calls, error);

    if (fd >= 0)
        calls->close(calls->data, fd);
    return fd >= 0;
}
