/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checker's door. The guest as it will be is worked out first (viommu_check_tree.c); the
 * classes then look at it, each on its own, in any order.
 */
#include "viommu_check.h"

#include "viommu_check_priv.h"

static void (*const classes[])(viommuChecker *checker) = {
    viommuCheckBuses,   viommuCheckAddresses, viommuCheckIOMMUs, viommuCheckPlacement,
    viommuCheckSpares,  viommuCheckFeatures,  viommuCheckBypass, viommuCheckMachine,
    viommuCheckDevices, viommuCheckHardware,  viommuCheckHost,   viommuCheckArguments,
    viommuCheckLibvirt,
};

void
viommuCheckDomain(const viommuDomain *dom, const viommuCheckContext *context, GPtrArray *findings)
{
    viommuChecker checker;
    size_t i;

    viommuCheckerInit(&checker, dom, context, findings);
    for (i = 0; i < G_N_ELEMENTS(classes); i++)
        classes[i](&checker);
    viommuCheckWords(dom, findings);
    viommuCheckerClear(&checker);
    viommuFindingsSort(findings);
}
