/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of each dialect, and what cannot be said in them.
 */
#include "qemu_viommu_words.h"

#include "qemu_viommu_places.h"
#include "viommuerror.h"

#include <string.h>

/* What pasid=on stands for: the SSIDSIZE of the vSMMU in the series of 2025 ("If user enables PASID support(pasid=on),
 * QEMU sets SSIDSIZE to 16"). */
#define PASID_BITS 16

/* NVIDIA's branches that place by themselves begin at 4 TiB and refuse less; others take it too. */
#define WINDOW_OF_MACHINE (4ull << 30) /* KiB */

#define ON_OFF_AUTO(text) { text, QEMU_VIOMMU_PROP_ONOFFAUTO, true }
#define SWITCH(text) { text, QEMU_VIOMMU_PROP_BOOL, false }

/* Properties and types: `-device arm-smmuv3,help` of QEMU 11.1; the series "hw/arm/virt: Add support for user-creatable
 * accelerated SMMUv3", v4 to v6, with "Add Tegra241 CMDQV" on top; its RFC v2 and v1; and the branches with
 * iommu=nested-smmuv3. */
static const qemuViommuWords published[] = {
    [QEMU_VIOMMU_DIALECT_NATIVE] = {
        QEMU_VIOMMU_DIALECT_NATIVE, "arm-smmuv3", "primary-bus", true, true,
        { [QEMU_VIOMMU_ATS] = ON_OFF_AUTO("ats"),
          [QEMU_VIOMMU_RIL] = ON_OFF_AUTO("ril"),
          [QEMU_VIOMMU_SSIDSIZE] = { "ssidsize", QEMU_VIOMMU_PROP_TEXT, true },
          [QEMU_VIOMMU_OAS] = { "oas", QEMU_VIOMMU_PROP_TEXT, true },
          [QEMU_VIOMMU_CMDQV] = ON_OFF_AUTO("cmdqv") } },
    [QEMU_VIOMMU_DIALECT_RFC_V3] = {
        QEMU_VIOMMU_DIALECT_RFC_V3, "arm-smmuv3", "primary-bus", true, true,
        { [QEMU_VIOMMU_ATS] = SWITCH("ats"),
          [QEMU_VIOMMU_RIL] = SWITCH("ril"),
          [QEMU_VIOMMU_SSIDSIZE] = SWITCH("pasid"),
          [QEMU_VIOMMU_OAS] = { "oas", QEMU_VIOMMU_PROP_NUMBER, false },
          [QEMU_VIOMMU_CMDQV] = SWITCH("tegra241-cmdqv") } },
    [QEMU_VIOMMU_DIALECT_RFC_ACCEL] = {
        QEMU_VIOMMU_DIALECT_RFC_ACCEL, "arm-smmuv3-accel", "bus", false, true, { { 0 } } },
    [QEMU_VIOMMU_DIALECT_RFC_NESTED] = {
        QEMU_VIOMMU_DIALECT_RFC_NESTED, "arm-smmuv3-nested", "pci-bus", false, false, { { 0 } } },
    [QEMU_VIOMMU_DIALECT_RFC_MACHINE] = {
        QEMU_VIOMMU_DIALECT_RFC_MACHINE, NULL, NULL, false, true, { [QEMU_VIOMMU_CMDQV] = SWITCH("cmdqv") } },
};

void
qemuViommuWordsInit(qemuViommuWords *words, qemuViommuDialect dialect, const qemuViommuCaps *caps)
{
    const char *why;

    *words = published[dialect];
    if (!caps || qemuViommuCapsDialect(caps, &why) != dialect)
        return;
    words->window = caps->window;
    if (words->accel)
        memcpy(words->features, caps->features, sizeof(words->features));
    else if (dialect == QEMU_VIOMMU_DIALECT_RFC_MACHINE && !caps->machineCmdqv)
        words->features[QEMU_VIOMMU_CMDQV] = (qemuViommuProp){ 0 };
}

static int
valueOf(const viommuFeatures *features, qemuViommuFeature feature)
{
    switch (feature) {
    case QEMU_VIOMMU_ATS:
        return features->ats;
    case QEMU_VIOMMU_RIL:
        return features->ril;
    case QEMU_VIOMMU_SSIDSIZE:
        return features->ssidsize;
    case QEMU_VIOMMU_OAS:
        return features->oas;
    case QEMU_VIOMMU_CMDQV:
        return features->cmdqv;
    case QEMU_VIOMMU_FEATURES:
        break;
    }
    return VIOMMU_UNSET;
}

static int
ofTristate(virTristate value)
{
    return value == VIR_TRISTATE_UNKNOWN ? VIOMMU_BAD : value == VIR_TRISTATE_YES;
}

static bool
isPasid(const qemuViommuProp *prop)
{
    return prop->name && strcmp(prop->name, "pasid") == 0;
}

/* What the host has, for a QEMU that does not ask it; UNSET: its own default will do, BAD: it is not known. */
static int
hostHas(const viommuVSMMU *vsmmu, qemuViommuFeature feature, bool pasid)
{
    int bits;

    switch (feature) {
    case QEMU_VIOMMU_ATS:
        return ofTristate(virSMMUHasATS(vsmmu->smmu));
    case QEMU_VIOMMU_RIL:
        return ofTristate(virSMMUHasRIL(vsmmu->smmu));
    case QEMU_VIOMMU_SSIDSIZE:
        bits = virSMMUSsidBits(vsmmu->smmu);
        return bits < 0 ? VIOMMU_BAD : pasid && bits < PASID_BITS ? 0 : MIN(bits, 20);
    case QEMU_VIOMMU_CMDQV:
        return vsmmu->vcmdqs ? 1 : VIOMMU_UNSET;
    case QEMU_VIOMMU_OAS:
    case QEMU_VIOMMU_FEATURES:
        break;
    }
    return VIOMMU_UNSET;
}

/* The value that is to be written; UNSET: none. */
static int
resolve(const qemuViommuWords *words, const viommuVSMMU *vsmmu, const viommuFeatures *features,
        qemuViommuFeature feature)
{
    const qemuViommuProp *prop = &words->features[feature];
    int value = valueOf(features, feature);

    if (value != VIOMMU_AUTO)
        return value;
    return prop->name && !prop->automatic && vsmmu ? hostHas(vsmmu, feature, isPasid(prop)) : VIOMMU_UNSET;
}

/* Where the request stands that the vSMMU is made for; 0: unknown. */
static unsigned
lineOf(const viommuDomain *dom, const viommuVSMMU *vsmmu)
{
    unsigned line = 0;
    size_t i;

    for (i = 0; i < dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(dom->requests, i);

        if (g_strcmp0(request->smmu, vsmmu->smmu->name) == 0)
            return request->line;
        if (!request->smmu)
            line = request->line;
    }
    return line;
}

static char *
formatValue(qemuViommuFeature feature, int value)
{
    bool number = feature == QEMU_VIOMMU_SSIDSIZE || feature == QEMU_VIOMMU_OAS;

    return number ? g_strdup_printf("%d", value) : g_strdup(value ? "on" : "off");
}

/* A QEMU without CMDQV has it off. */
static bool
canSay(const qemuViommuWords *words, qemuViommuFeature feature, int value)
{
    return value < 0 || words->features[feature].name || (feature == QEMU_VIOMMU_CMDQV && value == 0);
}

static bool
refuseWord(const qemuViommuWords *words, qemuViommuFeature feature, int value, unsigned line, GError **error)
{
    const char *name = qemuViommuFeatureName(feature);
    g_autofree char *text = formatValue(feature, value);

    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line, "%s='%s' has no word in the dialect %s: write %s='auto'", name,
                  text, qemuViommuDialectName(words->dialect), name);
    return false;
}

static bool
refuseUnknown(qemuViommuFeature feature, const viommuVSMMU *vsmmu, unsigned line, GError **error)
{
    const char *name = qemuViommuFeatureName(feature);

    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                  "%s='auto' is not resolved by this QEMU, and the registers of '%s' are not known: write %s, or ask for the registers with --probe",
                  name, vsmmu->smmu->name, name);
    return false;
}

/* pasid=on wants the host to have as many bits as it stands for. */
static bool
checkPasid(const viommuVSMMU *vsmmu, int value, unsigned line, GError **error)
{
    int bits = virSMMUSsidBits(vsmmu->smmu);

    if (bits < 0 || bits >= PASID_BITS)
        return true;
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line,
                  "ssidsize='%d' is said by pasid=on, which is %d bits, and '%s' has %d (IDR1.SSIDSIZE): write ssidsize='0'",
                  value, PASID_BITS, vsmmu->smmu->name, bits);
    return false;
}

static bool
checkVSMMU(const qemuViommuWords *words, const viommuDomain *dom, const viommuVSMMU *vsmmu, GError **error)
{
    size_t i;

    for (i = 0; i < QEMU_VIOMMU_FEATURES; i++) {
        int value = resolve(words, vsmmu, &vsmmu->features, i);

        if (value == VIOMMU_BAD)
            return refuseUnknown(i, vsmmu, lineOf(dom, vsmmu), error);
        if (!canSay(words, i, value))
            return refuseWord(words, i, value, lineOf(dom, vsmmu), error);
        if (value > 0 && isPasid(&words->features[i]) && !checkPasid(vsmmu, value, lineOf(dom, vsmmu), error))
            return false;
    }
    return true;
}

uint64_t
qemuViommuWordsWindow(const qemuViommuWords *words, uint64_t kib)
{
    return kib && !words->driver ? MAX(kib, WINDOW_OF_MACHINE) : kib;
}

bool
qemuViommuWordsFitWindow(const qemuViommuWords *words, uint64_t kib, GError **error)
{
    if (!kib || words->window)
        return true;
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, 0,
                  "a 64-bit window of %" G_GUINT64_FORMAT " GiB has no word in the dialect %s, as its machine has no 'highmem-mmio-size': use a QEMU that has, or pass through fewer devices",
                  kib >> 20, qemuViommuDialectName(words->dialect));
    return false;
}

bool
qemuViommuWordsFit(const qemuViommuWords *words, const viommuDomain *dom, const viommuPlan *plan, GError **error)
{
    size_t i;

    if (!plan->vsmmus->len)
        return true;
    if (!qemuViommuWordsFitWindow(words, plan->hole64KiB, error))
        return false;
    if (!plan->accel) {
        if (words->accel)
            return true;
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, 0,
                      "the dialect %s has accelerated vSMMUs only: write <domain type='kvm'>",
                      qemuViommuDialectName(words->dialect));
        return false;
    }
    for (i = 0; i < plan->vsmmus->len; i++) {
        if (!checkVSMMU(words, dom, g_ptr_array_index(plan->vsmmus, i), error))
            return false;
    }
    return words->driver || qemuViommuPlacesFit(words, dom, plan, error);
}

bool
qemuViommuWordsFitPlain(const qemuViommuWords *words, const viommuDomain *dom, GError **error)
{
    size_t i, j;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->pciBus < 0)
            continue;
        if (!words->accel) {
            viommuErrorAt(error, VIOMMU_ERROR_REFUSED, iommu->line,
                          "an <iommu> with pciBus= is not translated to the dialect %s: ask with nested='yes'",
                          qemuViommuDialectName(words->dialect));
            return false;
        }
        for (j = 0; j < QEMU_VIOMMU_FEATURES; j++) {
            int value = valueOf(&iommu->features, j);

            if (!canSay(words, j, value))
                return refuseWord(words, j, value, iommu->line, error);
        }
    }
    return true;
}

static void
setValue(const qemuViommuProp *prop, int value, JsonObject *props)
{
    g_autofree char *text = NULL;

    switch (prop->type) {
    case QEMU_VIOMMU_PROP_NONE:
        break;
    case QEMU_VIOMMU_PROP_BOOL:
        json_object_set_boolean_member(props, prop->name, value > 0);
        break;
    case QEMU_VIOMMU_PROP_ONOFFAUTO:
        json_object_set_string_member(props, prop->name, value ? "on" : "off");
        break;
    case QEMU_VIOMMU_PROP_NUMBER:
        json_object_set_int_member(props, prop->name, value);
        break;
    case QEMU_VIOMMU_PROP_TEXT:
        text = g_strdup_printf("%d", value);
        json_object_set_string_member(props, prop->name, text);
        break;
    }
}

void
qemuViommuWordsSet(const qemuViommuWords *words, const viommuVSMMU *vsmmu, const viommuFeatures *features,
                   JsonObject *props)
{
    size_t i;

    for (i = 0; i < QEMU_VIOMMU_FEATURES; i++) {
        int value = resolve(words, vsmmu, features, i);

        if (value >= 0)
            setValue(&words->features[i], value, props);
    }
}
