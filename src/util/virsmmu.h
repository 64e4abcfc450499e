/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The physical SMMUs of a host and the devices behind them.
 *
 * Identity of a physical SMMU is its name in /sys/class/iommu, which is also the last component of a
 * device's "iommu" link (drivers/iommu/iommu-sysfs.c): "smmu3." and the base address of its registers.
 * IOMMU groups, PCI domains, NUMA nodes and the N of arm-smmu-v3.N.auto say nothing about it.
 *
 * Reading is done in two steps, because hosts have thousands of devices and a domain has a few: the map
 * (which device behind which SMMU) costs a few system calls per SMMU; the details of a device are read
 * when asked for.
 */
#pragma once

#include "virpciaddr.h"
#include "virsysfs.h"

#include <glib.h>

typedef enum {
    VIR_TRISTATE_UNKNOWN = -1,
    VIR_TRISTATE_NO = 0,
    VIR_TRISTATE_YES = 1,
} virTristate;

/* What kind of IOMMU a class device of /sys/class/iommu is. */
typedef enum {
    VIR_SMMU_KIND_SMMUV3, /* driver arm-smmu-v3, or a name starting with "smmu3." or ending in .iommu/.smmuv3
                           * whose driver link says arm-smmu-v3 */
    VIR_SMMU_KIND_OTHER,  /* SMMUv2, Intel's dmarN, AMD's ivhdN, virtio */
} virSMMUKind;

/* Identification registers (Arm IHI 0070, 6.3.1 on), as iommufd's GET_HW_INFO gives them; a record can have
 * them (docs/hosts.rst). Only what stands in "known" was probed; the rest is unknown, never zero. */
typedef struct {
    bool known; /* idr0, idr1, idr3, idr5 and iidr are valid */
    uint32_t idr0;
    uint32_t idr1;
    uint32_t idr3;
    uint32_t idr5;
    uint32_t iidr;
} virSMMURegisters;

/* What QEMU's vSMMU has at least (hw/arm/smmuv3.c): IDR5.OAS in bits, and IDR1.SIDSIZE. */
#define VIR_SMMU_OAS_MIN 44
#define VIR_SMMU_SIDSIZE_MIN 16

typedef struct virSMMUDevice virSMMUDevice;

typedef struct {
    char *name;                 /* "smmu3.0x0000000011000000" */
    virSMMUKind kind;
    int numaNode;               /* of the platform device, -1: unknown */
    virTristate cmdqv;          /* NVIDIA's CMDQV; NO: firmware gives it none, or probed */
    virTristate cmdqvNamed;     /* firmware names one for it; UNKNOWN: for an SMMU that may be it */
    int cmdqvVersion;           /* as probed, -1: not probed */
    int cmdqvLog2Queues;        /* log2 of the VCMDQs that one guest gets; -1 */
    int cmdqvLog2Streams;       /* log2 of the StreamIDs that one guest gets; -1 */
    virSMMURegisters regs;
    GPtrArray *devices;         /* of virSMMUDevice, borrowed, sorted by address */
    GPtrArray *platformDevices; /* of char *, sorted: named components behind it */
} virSMMU;

typedef struct {
    int number;
    GPtrArray *members; /* of char *, sorted: the names of all devices of the group, PCI or not */
    bool direct;        /* has a "direct" reserved region: cannot be given to a guest */
} virSMMUGroup;

typedef struct {
    uint64_t size;
    bool memory64;      /* IORESOURCE_MEM_64 */
    bool prefetch;      /* IORESOURCE_PREFETCH */
} virSMMUBar;

struct virSMMUDevice {
    virPCIAddr addr;
    char *name;         /* addr, formatted */
    const virSMMU *smmu; /* NULL: behind no IOMMU that the kernel drives */
    virTristate canwbs;  /* firmware says so of its root complex: it is coherent whatever it asks for */
    virTristate ats;     /* the same: its devices may use ATS, if they and the SMMU have it */

    /* Below: valid once virSMMUTopologyLoad*() was called for the device. */
    bool haveIds;
    int vendor;         /* 16 bits, -1: not readable */
    int device;
    int class;          /* 24 bits */
    char *driver;       /* NULL: none bound */
    int group;          /* -1: none */

    bool haveDetails;
    int numaNode;       /* -1: unknown */
    bool vfio;          /* bound to a driver of the vfio family: it has a vfio-dev directory */
    bool bridge;        /* class 0x0604: not an endpoint */
    bool virtualFunction;
    virPCIAddr physfn;  /* valid if virtualFunction */
    bool behindBridge;  /* a conventional PCI bridge stands above it: its StreamID is shared */
    GPtrArray *parents; /* of char *: names of the PCI devices above, root port first */
    GArray *bars;       /* of virSMMUBar: memory BARs 0-5 that are not empty; a VF has its own */
};

typedef struct virSMMUTopology virSMMUTopology;

/* Reads the map of @fs. A host without SMMU gives an empty map. Keeps no reference to @fs. */
virSMMUTopology *virSMMUTopologyRead(virSysfs *fs, GError **error);

void virSMMUTopologyFree(virSMMUTopology *topo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSMMUTopology, virSMMUTopologyFree)

/* All IOMMUs, sorted by name; all PCI devices, sorted by address. Owned by @topo. */
const GPtrArray *virSMMUTopologySMMUs(const virSMMUTopology *topo);
const GPtrArray *virSMMUTopologyDevices(const virSMMUTopology *topo);

/* Whether the host has /dev/iommu; UNKNOWN if what is read of it has no /dev at all. */
virTristate virSMMUTopologyHasIommufd(const virSMMUTopology *topo);

/* How many bits a guest's physical addresses can have, as KVM was asked by --probe; 0: not known. */
unsigned virSMMUTopologyAddressBits(const virSMMUTopology *topo);

/* NULL if the host has none of that name or address. */
virSMMU *virSMMUTopologyFindSMMU(const virSMMUTopology *topo, const char *name);
virSMMUDevice *virSMMUTopologyFindDevice(const virSMMUTopology *topo, const virPCIAddr *addr);

/* The group of that number, once a device of it was loaded with its details; else NULL. */
const virSMMUGroup *virSMMUTopologyFindGroup(const virSMMUTopology *topo, int number);

/* Reads ids, driver and group of @dev: four system calls. A device that has gone since the map was read
 * is an error that says so. */
bool virSMMUTopologyLoadIds(virSMMUTopology *topo, virSysfs *fs, virSMMUDevice *dev, GError **error);

/* Reads everything of @dev, and its group with the ids of the group's members. */
bool virSMMUTopologyLoadDetails(virSMMUTopology *topo, virSysfs *fs, virSMMUDevice *dev, GError **error);

/* The name of the character device of @dev ("vfio3", a node below /dev/vfio/devices), NULL if it is bound to no driver
 * of the VFIO family (any more). False only with @error set. Free with g_free. */
bool virSMMUDeviceFetchCdev(virSysfs *fs, const virSMMUDevice *dev, char **ret_name, GError **error);

/* Reads only the NUMA node of @dev into it. */
bool virSMMUTopologyLoadNuma(virSMMUTopology *topo, virSysfs *fs, virSMMUDevice *dev, GError **error);

/* The device behind the network interface @name (a PF that a libvirt network names), or NULL. */
virSMMUDevice *virSMMUTopologyFindNetdev(const virSMMUTopology *topo, virSysfs *fs, const char *name);

/* What the registers say (arm-smmu-v3.c of Linux 7.2, QEMU's smmuv3-accel.c); UNKNOWN if not probed. */
virTristate virSMMUCanNest(const virSMMU *smmu, const char **ret_why); /* S1P and S2P, errata by IIDR */
virTristate virSMMUHasATS(const virSMMU *smmu);                        /* IDR0.ATS */
virTristate virSMMUHasRIL(const virSMMU *smmu);                        /* IDR3.RIL */
virTristate virSMMUHasS2FWB(const virSMMU *smmu);                      /* IDR3.FWB */
virTristate virSMMUHasAllGranules(const virSMMU *smmu); /* IDR5.GRAN4K, 16K and 64K, as QEMU asks for */
virTristate virSMMUHasTwoLevelTable(const virSMMU *smmu);              /* IDR0.ST_LEVEL is 1 */
virTristate virSMMUHasLittleEndian(const virSMMU *smmu);               /* IDR0.TTENDIAN is not 3 */
virTristate virSMMUHasAArch64(const virSMMU *smmu);                    /* IDR0.TTF is 2 or 3 */
unsigned virSMMUGranules(const virSMMU *smmu); /* those of IDR5 in KiB, added up: 4 + 16 + 64; 0 unknown, or none */
int virSMMUStreamBits(const virSMMU *smmu);                            /* IDR1.SIDSIZE; -1 unknown */
int virSMMUSsidBits(const virSMMU *smmu);                              /* IDR1.SSIDSIZE; -1 unknown */
int virSMMUOutputBits(const virSMMU *smmu);                            /* IDR5.OAS in bits; -1 unknown */

/* Whether the host keeps caches coherent for @dev, without which Linux gives it no vSMMU: by the SMMU (S2FWB)
 * or by the root complex (CANWBS). */
virTristate virSMMUDeviceIsCoherent(const virSMMUDevice *dev);

/* Whether a guest can have a vSMMU of it, as far as that is the same for all devices: it nests, is what QEMU's vSMMU
 * takes (smmuv3_accel_check_hw_compatible() in hw/arm/smmuv3-accel.c), and keeps caches coherent for at least one
 * device. If not YES, *ret_why is why, static. */
virTristate virSMMUCanServe(const virSMMU *smmu, const char **ret_why);

/* What could make that YES where it is NO, static; NULL: nothing on this hardware. */
const char *virSMMUServeRemedy(const virSMMU *smmu);

/* Whether the CMDQV is one that QEMU takes (hw/arm/tegra241-cmdqv.c): version 1, two VCMDQs, 16 StreamIDs.
 * If not, *ret_why is what QEMU says; @ret_why may be NULL. */
virTristate virSMMUCmdqvFits(const virSMMU *smmu, const char **ret_why);
