/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtual SMMUs as QEMU devices.
 */
#pragma once

#include "qemu_viommu_args.h"
#include "qemu_viommu_words.h"

/* The vSMMUs of @plan, which fits @words, named as libvirt names them: by their place among the <iommu> elements. */
void qemuViommuSMMUArgs(const viommuDomain *dom, const viommuPlan *plan, const qemuViommuWords *words,
                        GPtrArray *args);

/* What the machine is told for such vSMMUs. */
void qemuViommuMachineWords(const qemuViommuWords *words, const viommuPlan *plan, GPtrArray *args);

/* The <iommu> elements of a domain that no plan places, as they stand. *ret_machine is the machine's
 * "iommu" property where that is how it is said, else NULL. */
bool qemuViommuPlainIOMMUArgs(const viommuDomain *dom, const qemuViommuWords *words, GPtrArray *args,
                              const char **ret_machine, GError **error);
