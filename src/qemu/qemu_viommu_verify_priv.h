/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of qemu_viommu_verify*.c share. @devices is of qemuViommuVerified.
 */
#pragma once

#include "qemu_viommu_verify.h"

/* @item has part in a finding of the class @id, which is static. */
void qemuViommuVerifyMark(qemuViommuVerified *item, const char *id, viommuSeverity severity);

/* V10 of each expander bus, and of the machine's own root bus before the first. */
void qemuViommuVerifyNumbers(const qemuViommuLive *live, const GPtrArray *devices, GPtrArray *findings);

/* V21 of each vSMMU on an expander bus. */
void qemuViommuVerifyNodes(const qemuViommuLive *live, const GPtrArray *devices, GPtrArray *findings);
