/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of a dialect: how a vSMMU and its features are called, and which values can be said.
 */
#pragma once

#include "qemu_viommu_caps.h"
#include "viommu_plan.h"

#include <json-glib/json-glib.h>

typedef struct {
    qemuViommuDialect dialect;
    const char *driver; /* "arm-smmuv3"; NULL: QEMU makes the vSMMUs by itself */
    const char *bus;    /* the property that names its bus */
    bool accel;         /* there is "accel"; else every vSMMU is accelerated */
    bool window;        /* the machine has "highmem-mmio-size"; else the 64-bit window cannot be said */
    qemuViommuProp features[QEMU_VIOMMU_FEATURES];
    unsigned hostSMMUs; /* of a QEMU that makes a vSMMU for each: how many the host has; 0: not known, as at first */
} qemuViommuWords;

/* The words of @dialect (not NONE) as they were published, or as that QEMU says if @caps are given and its dialect is
 * the same. */
void qemuViommuWordsInit(qemuViommuWords *words, qemuViommuDialect dialect, const qemuViommuCaps *caps);

/* True if everything that @plan of @dom decides can be said in @words; else VIOMMU_ERROR_REFUSED with the line, the
 * value, and what to write instead. */
bool qemuViommuWordsFit(const qemuViommuWords *words, const viommuDomain *dom, const viommuPlan *plan,
                        GError **error);

/* The 64-bit window that is written where one of so many KiB is wanted: larger, if this QEMU takes no less. */
uint64_t qemuViommuWordsWindow(const qemuViommuWords *words, uint64_t kib);

/* True if a 64-bit window of so many KiB can be said (0: none is asked for); else VIOMMU_ERROR_REFUSED. */
bool qemuViommuWordsFitWindow(const qemuViommuWords *words, uint64_t kib, GError **error);

/* True if the <iommu> elements of a domain that no plan places can be said; else VIOMMU_ERROR_REFUSED. */
bool qemuViommuWordsFitPlain(const qemuViommuWords *words, const viommuDomain *dom, GError **error);

/* Sets accel and the features of a vSMMU, which fits. @vsmmu tells what is "auto" where this QEMU does not ask the host
 * itself; NULL: of an <iommu> as it stands, where what is not said is left out. */
void qemuViommuWordsSet(const qemuViommuWords *words, const viommuVSMMU *vsmmu, const viommuFeatures *features,
                        JsonObject *props);
