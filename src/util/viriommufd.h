/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What iommufd tells of the SMMU that a PCI device is behind. The kernel tells it only to who holds the device, and
 * binding and letting go of a device each reset it: nothing here is done unasked.
 */
#pragma once

#include "virsmmu.h"

/* The calls to the kernel, so that tests can answer where there is no such hardware. Each returns -1 with errno where
 * it fails. @open opens for reading and writing, to be closed on exec. */
typedef struct {
    int (*open)(void *data, const char *path);
    int (*ioctl)(void *data, int fd, unsigned long request, void *arg);
    void (*close)(void *data, int fd);
    void *data;
} virIOMMUFDCalls;

/* Those of this kernel. */
extern const virIOMMUFDCalls virIOMMUFDKernel;

/* The requests that are made: VFIO_DEVICE_BIND_IOMMUFD (include/uapi/linux/vfio.h) and IOMMU_GET_HW_INFO
 * (include/uapi/linux/iommufd.h), with what they take. The headers of Debian 12 have neither. */
#define VIR_VFIO_DEVICE_BIND_IOMMUFD 0x3b76ul /* _IO(';', 100 + 18) */
#define VIR_IOMMU_GET_HW_INFO 0x3b8aul        /* _IO(';', 0x8a) */

/* struct vfio_device_bind_iommufd without token_uuid_ptr, which Linux 6.6 does not know */
typedef struct {
    uint32_t argsz;
    uint32_t flags;
    int32_t iommufd;
    uint32_t devid;
} virVFIODeviceBind;

/* struct iommu_hw_info of Linux 6.6: the last eight bytes were reserved then */
typedef struct {
    uint32_t size;
    uint32_t flags;
    uint32_t devid;
    uint32_t dataLen;
    uint64_t data;
    uint32_t type; /* in and out */
    uint8_t pasidBits;
    uint8_t reserved[3];
    uint64_t capabilities;
} virIOMMUHwInfo;

#define VIR_IOMMU_HW_INFO_INPUT_TYPE 0x1u /* flag, since Linux 6.17 */

/* enum iommu_hw_info_type */
#define VIR_IOMMU_HW_INFO_DEFAULT 0u
#define VIR_IOMMU_HW_INFO_ARM_SMMUV3 2u
#define VIR_IOMMU_HW_INFO_TEGRA241_CMDQV 3u

/* struct iommu_hw_info_arm_smmuv3 */
typedef struct {
    uint32_t flags;
    uint32_t reserved;
    uint32_t idr[6];
    uint32_t iidr;
    uint32_t aidr;
} virIOMMUHwSMMUv3;

/* struct iommu_hw_info_tegra241_cmdqv */
typedef struct {
    uint32_t flags;
    uint8_t version;
    uint8_t log2vcmdqs;
    uint8_t log2vsids;
    uint8_t reserved;
} virIOMMUHwCmdqv;

typedef struct {
    virSMMURegisters regs;
    virTristate cmdqv;  /* UNKNOWN: the kernel is older than the question (6.17) */
    virIOMMUHwCmdqv cmdqvInfo; /* valid where it is YES */
} virIOMMUFDInfo;

/* Asks through the character device @cdev ("/dev/vfio/devices/vfio0") of a device that is bound to a driver of the VFIO
 * family. Opens /dev/iommu for it; all is closed again. An error (VIOMMU_ERROR_HOST) names the call that failed,
 * errno, and what that means; a device that somebody uses is one, and is not touched. *@ret_bound says whether the
 * device was bound, and so reset, with an error too: then it is the kernel that cannot tell. */
bool virIOMMUFDQuery(const virIOMMUFDCalls *calls, const char *cdev, virIOMMUFDInfo *ret_info, bool *ret_bound,
                     GError **error);

/* Whether /dev/iommu can be opened; an error says why not. */
bool virIOMMUFDIsUsable(const virIOMMUFDCalls *calls, GError **error);
