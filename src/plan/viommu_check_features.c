/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What <iommu> says of features: without a device to take them from (V12), out of range or misspelt
 * (V13), and command queues without huge pages (V24). What the hardware has is
 * viommu_check_hardware.c.
 */
#include "viommu_check_priv.h"
#include "viommu_words.h"

#include <string.h>

static bool
isOpenFeature(int value)
{
    return value == VIOMMU_UNSET || value == VIOMMU_AUTO;
}

static void
checkEmpty(viommuChecker *checker, const viommuCheckVSMMU *vsmmu)
{
    const viommuFeatures *features = &vsmmu->iommu->features;
    unsigned line = viommuCheckLine(checker, vsmmu->iommu->node, "driver");
    g_autoptr(GString) missing = g_string_new(NULL);

    if (isOpenFeature(features->ats))
        g_string_append(missing, " ats");
    if (isOpenFeature(features->ril))
        g_string_append(missing, " ril");
    if (isOpenFeature(features->ssidsize))
        g_string_append(missing, " ssidsize");
    if (missing->len > 0)
        viommuFindingsAdd(
            checker->findings, "V12", VIOMMU_SEVERITY_ERROR, line,
            "QEMU refuses to start: arm-smmuv3 accel=on with 'auto' properties requires at "
            "least one cold-plugged VFIO device",
            "write ats, ril and ssidsize out, or put a host device below it",
            "the vSMMU of controller %d has no host device below it and does not say:%s",
            vsmmu->iommu->pciBus, missing->str);
    if (features->cmdqv == 1)
        viommuFindingsAdd(
            checker->findings, "V12", VIOMMU_SEVERITY_ERROR, line,
            "QEMU refuses to start: arm-smmuv3 cmdqv=on requires at least one cold-plugged "
            "VFIO device",
            "set cmdqv='off', or put a host device below it",
            "the vSMMU of controller %d has cmdqv='on' and no host device below it",
            vsmmu->iommu->pciBus);
}

static void
checkStrays(viommuChecker *checker, const viommuIOMMU *iommu)
{
    size_t i;

    for (i = 0; i < iommu->strays->len; i++) {
        const viommuStray *stray = g_ptr_array_index(iommu->strays, i);
        bool driver = strcmp(stray->name, "cmdqv") == 0 || strcmp(stray->name, "ats") == 0 ||
                      strcmp(stray->name, "ril") == 0 || strcmp(stray->name, "accel") == 0;

        if (iommu->nested == 1 || iommu->nested == VIOMMU_BAD) {
            viommuWordsStray(checker->findings, stray);
        } else if (stray->meant) {
            g_autofree char *remedy = g_strdup_printf("write %s", stray->meant);

            viommuFindingsAdd(checker->findings, "V13", VIOMMU_SEVERITY_ERROR, stray->line,
                              "libvirt drops it without a word", remedy,
                              "the attribute '%s' is not known; '%s' is", stray->name,
                              stray->meant);
        } else if (strcmp(stray->name, "ssidsize") == 0) {
            g_autofree char *words =
                g_strdup_printf("QEMU refuses to start: Parameter 'ssidsize' does not "
                                "accept value '%s'",
                                stray->value);

            viommuFindingsAdd(checker->findings, "V13", VIOMMU_SEVERITY_ERROR, stray->line, words,
                              "give it a number of bits from 0 to 20",
                              "ssidsize='%s' is out of range", stray->value);
        } else if (strcmp(stray->name, "oas") == 0) {
            viommuFindingsAdd(
                checker->findings, "V13", VIOMMU_SEVERITY_ERROR, stray->line,
                "QEMU refuses to start: QEMU SMMUv3 model only implements auto, 44 bit, or 48 "
                "bit OAS. Other OasMode values are not supported.",
                "write 44 or 48", "oas='%s' is neither 44 nor 48", stray->value);
        } else if (driver) {
            viommuFindingsAdd(checker->findings, "V13", VIOMMU_SEVERITY_ERROR, stray->line,
                              "libvirt refuses it: Invalid value for attribute",
                              "write on or off; a request (nested='yes') takes auto as well",
                              "%s='%s' is neither on nor off", stray->name, stray->value);
        } else {
            g_autofree char *remedy = stray->near ? g_strdup_printf("did you mean %s?", stray->near) :
                                                    g_strdup("remove it");

            viommuFindingsAdd(checker->findings, "V13", VIOMMU_SEVERITY_WARNING, stray->line,
                              "libvirt drops it without a word", remedy,
                              "the attribute '%s' is not known", stray->name);
        }
    }
}

/* Features beside something that makes libvirt refuse them. */
static void
checkRefused(viommuChecker *checker, const viommuIOMMU *iommu)
{
    const viommuFeatures *features = &iommu->features;
    const int values[] = { features->cmdqv, features->ats, features->ril, features->ssidsize,
                           features->oas };
    unsigned line = viommuCheckLine(checker, iommu->node, "driver");
    bool given = false;
    bool automatic = false;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(values); i++) {
        given = given || values[i] >= 0;
        automatic = automatic || values[i] == VIOMMU_AUTO;
    }
    if (automatic)
        viommuFindingsAdd(checker->findings, "V13", VIOMMU_SEVERITY_ERROR, line,
                          "libvirt refuses it: Invalid value for attribute",
                          "leave the attribute out: that is auto",
                          "a feature is 'auto', which only a "
                          "request (nested='yes') can say");
    if (given && iommu->accel != 1)
        viommuFindingsAdd(
            checker->findings, "V13", VIOMMU_SEVERITY_ERROR, line,
            "libvirt refuses it: accel must be enabled for iommu model 'smmuv3' when setting "
            "ats, ril, ssidsize, oas, or cmdqv",
            "add accel='on', or remove the features", "features are set without accel='on'");
    if (iommu->foreign && !checker->open)
        viommuFindingsAdd(
            checker->findings, "V13", VIOMMU_SEVERITY_ERROR, line,
            "libvirt refuses it: iommu model 'smmuv3' doesn't support some additional "
            "attributes",
            "remove intremap, caching_mode, eim, iotlb, aw_bits and their like",
            "attributes of another IOMMU model are set on smmuv3");
}

/* The command queues that an <iommu> asks for. */
static void
checkQueues(viommuChecker *checker, const viommuIOMMU *iommu)
{
    unsigned line = viommuCheckLine(checker, iommu->node, "driver");
    unsigned qemu = checker->context->qemu;

    if (qemu && qemu < VIOMMU_CHECK_QEMU_CMDQV)
        viommuFindingsAdd(checker->findings, "V14", VIOMMU_SEVERITY_ERROR, line,
                          "QEMU refuses to start: Property 'arm-smmuv3.cmdqv' not found",
                          "leave cmdqv out, or use QEMU 11.1 or newer", "cmdqv='on' is not known to QEMU %u.%u",
                          qemu / 1000, qemu % 1000);
    else if (!checker->dom->hugepages)
        viommuFindingsAdd(checker->findings, "V24", VIOMMU_SEVERITY_WARNING, line, VIOMMU_CHECK_SMALL_QUEUES,
                          VIOMMU_CHECK_ADD_HUGEPAGES, "cmdqv='on' without huge pages");
}

void
viommuCheckFeatures(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->dom->strays->len; i++)
        viommuWordsSpec(checker->findings, g_ptr_array_index(checker->dom->strays, i));
    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") != 0)
            continue;
        checkStrays(checker, iommu);
        if (iommu->nested != 1)
            checkRefused(checker, iommu);
        if (iommu->features.cmdqv == 1)
            checkQueues(checker, iommu);
    }
    for (i = 0; !checker->open && i < checker->vsmmus->len; i++) {
        const viommuCheckVSMMU *vsmmu = g_ptr_array_index(checker->vsmmus, i);

        if (vsmmu->accel && vsmmu->bus && vsmmu->bus->vsmmu == vsmmu && vsmmu->seats->len == 0)
            checkEmpty(checker, vsmmu);
    }
}
