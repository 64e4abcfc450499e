/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judges a running QEMU: is each host device below the vSMMU of its own physical SMMU. The classes are those of the
 * checker (docs/findings.rst), as far as they can be seen once QEMU runs.
 */
#pragma once

#include "qemu_viommu_live.h"
#include "viommu_finding.h"
#include "virsmmu.h"

typedef enum {
    QEMU_VIOMMU_RIGHT,
    QEMU_VIOMMU_WRONG,   /* a finding about it is an error */
    QEMU_VIOMMU_NONE,    /* QEMU has no vSMMU, and nobody asked for one */
    QEMU_VIOMMU_UNKNOWN, /* which host device it is, or what that is behind */
} qemuViommuVerdict;

/* A host device of the guest. */
typedef struct {
    const qemuViommuLiveDevice *device;
    const virSMMUDevice *host; /* NULL: not known, or not on the host */
    const virSMMU *smmu;       /* an SMMUv3; NULL: not known, or none */
    char *what;                /* for people */
    qemuViommuVerdict verdict;
    GPtrArray *ids;            /* of const char *: classes of the findings about it, each once */
} qemuViommuVerified;

/* What is judged. */
typedef struct {
    const qemuViommuLive *live; /* with the addresses of its host devices */
    const virSMMUTopology *host; /* with the details of these */
    bool asked;                 /* the domain asks for vSMMUs */
} qemuViommuVerifyContext;

/* Returns an array that owns qemuViommuVerified, in the order of @context's devices, and borrows from @context; adds to
 * @findings what is wrong, sorted. None of them has a line. */
GPtrArray *qemuViommuVerify(const qemuViommuVerifyContext *context, GPtrArray *findings);

/* "right", "wrong", "none", "unknown" */
const char *qemuViommuVerdictName(qemuViommuVerdict verdict);
