/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the translation of a whole domain share. Each part writes one subject; whatever none of
 * them knows was refused before (qemu_viommu_known.h), so a part refuses values only.
 */
#pragma once

#include "qemu_viommu_assigned.h"
#include "qemu_viommu_place.h"

typedef struct {
    const viommuDomain *dom;
    const viommuPlan *plan;
    const qemuViommuWords *words;
    GPtrArray *args;        /* what is written now */
    GPtrArray *buses;       /* of qemuViommuBus */
    GHashTable *counters;   /* name -> number of ids given out */
    GHashTable *ids;        /* ids of controllers that disks, consoles ... sit on */
} qemuViommuFull;

/* Refuses @node with "line N: TEXT". Returns false. */
bool qemuViommuRefuse(const qemuViommuFull *full, const xmlNode *node, GError **error,
                      const char *format, ...) G_GNUC_PRINTF(4, 5);

/* Refuses the value of an attribute of @node. Returns false. */
bool qemuViommuRefuseValue(const qemuViommuFull *full, const xmlNode *node, const char *attr,
                           const char *allowed, GError **error);

/* How often it was called for @what (static) before. */
unsigned qemuViommuCount(qemuViommuFull *full, const char *what);

/* The id of a device: its user alias, or @prefix with the next number. Free with g_free. */
char *qemuViommuMakeId(qemuViommuFull *full, const xmlNode *node, const char *prefix);

/* Gives @device a place and sets bus and addr. */
bool qemuViommuSetPlace(qemuViommuFull *full, JsonObject *props, const viommuDevice *device,
                        GError **error);

/* The same for a PCIe device that libvirt adds by itself: an @element whose attributes start with @attrs. */
bool qemuViommuSetImpliedPlace(qemuViommuFull *full, JsonObject *props, const char *element,
                               const char *attrs, GError **error);

/* Sets an integer property from a decimal attribute, if it is there. */
bool qemuViommuSetNumber(const qemuViommuFull *full, JsonObject *props, const char *name,
                         const xmlNode *node, const char *attr, GError **error);

/* Sets a boolean property from an attribute "on"/"off" or "yes"/"no", if it is there. */
bool qemuViommuSetSwitch(const qemuViommuFull *full, JsonObject *props, const char *name,
                         const xmlNode *node, const char *attr, GError **error);

/* An attribute, or @otherwise. */
const char *qemuViommuAttrOr(const xmlNode *node, const char *attr, const char *otherwise);

/* A driver's name for a virtio @model: "@base-pci", "@base-pci-non-transitional". NULL if @model is none
 * of virtio's; a NULL @model is plain virtio. Free with g_free. */
char *qemuViommuVirtioDriver(const char *base, const char *model);

/* The machine: name, board, firmware, kernel, clock, and by the others of these CPUs and memory. @iommu is
 * the machine's "iommu" property or NULL. */
bool qemuViommuMachineArgs(qemuViommuFull *full, const char *iommu, GError **error);
bool qemuViommuCPUArgs(qemuViommuFull *full, GError **error);
bool qemuViommuMemoryArgs(qemuViommuFull *full, GError **error);

/* The NUMA cells with their memory; *ret_total is the sum of it. */
bool qemuViommuNumaArgs(qemuViommuFull *full, uint64_t *ret_total, GError **error);

/* Memory of @bytes as an object @id, backed as <memoryBacking> and <numatune> say for the @cell of number
 * @cellId; NULL and -1 in a domain without cells. */
bool qemuViommuBackendArgs(qemuViommuFull *full, const char *id, const xmlNode *cell, int cellId,
                           uint64_t bytes, GError **error);

/* Reads the size that @node says. */
bool qemuViommuReadSize(const qemuViommuFull *full, const xmlNode *node, const char *text, const char *unit,
                        uint64_t *ret_bytes, GError **error);

/* Memory is a whole number of MiB on Arm, as libvirt rounds it up. */
uint64_t qemuViommuRoundMemory(uint64_t bytes);

/* Controllers of USB, SCSI, NVMe, virtio-serial, also those that libvirt adds for devices that need one. */
bool qemuViommuControllersArgs(qemuViommuFull *full, GError **error);

/* The id of such a controller, or NULL if there is none. */
const char *qemuViommuControllerId(const qemuViommuFull *full, const char *type, const char *index);

/* The index of the controller that a disk sits on, as libvirt takes it from the target's name if it is not
 * said. Free with g_free. */
char *qemuViommuDiskController(const xmlNode *node);

/* One device each; named after the XML element. */
bool qemuViommuDiskArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuInterfaceArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuSerialArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuConsoleArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuChannelArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuRngArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuBalloonArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuInputArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuVideoArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuGraphicsArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuWatchdogArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuPanicArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
bool qemuViommuVsockArgs(qemuViommuFull *full, const viommuDevice *device, GError **error);
