/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a QEMU can do with virtual SMMUs, read from what it answered over QMP, and the dialect that follows: the names
 * and forms in which this QEMU wants to hear of them. Nothing is concluded from a version number or a package's name.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* The commands to be sent, one a line: each has an id by which its answer is found, and the last one is "quit". */
extern const char qemuViommuCapsCommands[];

/* A longer answer is refused unread; QEMU 11.1 says 26 KiB. */
#define QEMU_VIOMMU_CAPS_MAX (1024 * 1024)

/* How QEMU is told. */
typedef enum {
    QEMU_VIOMMU_DIALECT_NONE,
    QEMU_VIOMMU_DIALECT_NATIVE,      /* QEMU 11: arm-smmuv3 with accel, ssidsize, cmdqv ... */
    QEMU_VIOMMU_DIALECT_RFC_V3,      /* series of 2025 and NVIDIA's 10.1: accel, with pasid, tegra241-cmdqv */
    QEMU_VIOMMU_DIALECT_RFC_ACCEL,   /* RFC v2, March 2025: -device arm-smmuv3-accel,bus= */
    QEMU_VIOMMU_DIALECT_RFC_NESTED,  /* RFC v1, November 2024: -device arm-smmuv3-nested,pci-bus= */
    QEMU_VIOMMU_DIALECT_RFC_MACHINE, /* 2024-2025: -machine virt,iommu=nested-smmuv3; QEMU places by itself */
} qemuViommuDialect;

/* "native", "rfc-v3" ...: static; NULL for NONE. */
const char *qemuViommuDialectName(qemuViommuDialect dialect);

/* The one of that name, or NONE. */
qemuViommuDialect qemuViommuDialectParse(const char *name);

/* How the value of a property is written in JSON. */
typedef enum {
    QEMU_VIOMMU_PROP_NONE,      /* there is no such property */
    QEMU_VIOMMU_PROP_BOOL,      /* true, false */
    QEMU_VIOMMU_PROP_ONOFFAUTO, /* "on", "off", "auto" */
    QEMU_VIOMMU_PROP_NUMBER,    /* 44 */
    QEMU_VIOMMU_PROP_TEXT,      /* "44", of an enumeration */
} qemuViommuPropType;

/* The features of an <iommu>'s <driver>, in the order in which libvirt writes them. */
typedef enum {
    QEMU_VIOMMU_ATS,
    QEMU_VIOMMU_RIL,
    QEMU_VIOMMU_SSIDSIZE,
    QEMU_VIOMMU_OAS,
    QEMU_VIOMMU_CMDQV,
    QEMU_VIOMMU_FEATURES,
} qemuViommuFeature;

/* Its name in XML: static. */
const char *qemuViommuFeatureName(qemuViommuFeature feature);

typedef struct {
    const char *name; /* "ssidsize", "pasid" ...: static; NULL: there is none */
    qemuViommuPropType type;
    bool automatic;   /* its default is "auto": QEMU takes the value from the host */
} qemuViommuProp;

typedef struct {
    unsigned major, minor, micro;
    char *package;     /* "Debian 1:11.1.2+ds-3"; NULL: not said */
    bool smmuv3;       /* there is an arm-smmuv3 */
    bool perBus;       /* it can be made by -device, one a bus */
    bool accel;        /* it has "accel" */
    qemuViommuProp features[QEMU_VIOMMU_FEATURES];
    bool accelDevice;  /* there is an arm-smmuv3-accel */
    bool nestedDevice; /* there is an arm-smmuv3-nested with "pci-bus" */
    bool virt;           /* there is a machine "virt" */
    bool window;         /* it has "highmem-mmio-size" */
    bool nestedMachine;  /* descriptions of its properties speak of nested-smmuv3 */
    bool machineCmdqv;   /* it has "cmdqv" */
    bool machineIommufd; /* it has "iommufd": the form of 2022 to April 2024 */
    bool iommufd;        /* vfio-pci has "iommufd" */
} qemuViommuCaps;

/* Reads the answers to qemuViommuCapsCommands: @text, all of QEMU's standard output, with no NUL behind it. Returns
 * NULL with VIOMMU_ERROR_FILE and what is missing if the text is no QMP session, too long or with too many brackets,
 * or an answer is not there or none. Free with qemuViommuCapsFree. */
qemuViommuCaps *qemuViommuCapsParse(const char *text, size_t len, GError **error);
void qemuViommuCapsFree(qemuViommuCaps *caps);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(qemuViommuCaps, qemuViommuCapsFree)

/* The dialect of that QEMU. NONE with *@ret_why (static): it has no accelerated vSMMUs, or none that are known. */
qemuViommuDialect qemuViommuCapsDialect(const qemuViommuCaps *caps, const char **ret_why);

/* What to do where there is none: static. */
const char *qemuViommuCapsRemedy(const qemuViommuCaps *caps);

/* The version whose rules a plan for that QEMU follows, 1000 * major + minor: its own; of one that resolves no "auto"
 * 11.0, of a patched one the first that does all, 11.1. */
unsigned qemuViommuCapsPlanVersion(const qemuViommuCaps *caps);

/* "accel (bool), ats (OnOffAuto), ...": what matters of its properties; "none". Free with g_free. */
char *qemuViommuCapsDescribe(const qemuViommuCaps *caps);

/* "bool", "OnOffAuto", ...: static; NULL for NONE. */
const char *qemuViommuPropTypeName(qemuViommuPropType type);
