/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the physical SMMUs can do: are they able to nest (V15), and do they have what their vSMMUs
 * are to have (V14). What was not probed is unknown, and a note at most.
 */
#include "viommu_check_priv.h"

#include <string.h>

/* A physical SMMU below which a vSMMU is, or (open requests) will be. */
typedef struct {
    const virSMMU *smmu;
    const viommuCheckSeat *seat;    /* the first device behind it */
    const viommuFeatures *features; /* what is asked of it; NULL: nothing */
    unsigned line;                  /* of that */
} backing;

static void
addNest(viommuChecker *checker, const backing *item, const char *consequence, const char *why)
{
    viommuFindingsAdd(
        checker->findings, "V15", VIOMMU_SEVERITY_ERROR, item->seat->line, consequence,
        "pass through devices behind an SMMU that can nest; 'viommu host' shows which",
        "%s is behind '%s', which cannot nest: %s", item->seat->what, item->smmu->name, why);
}

static void
addLack(viommuChecker *checker, const backing *item, const char *words, const char *remedy,
        const char *what)
{
    g_autofree char *consequence = g_strdup_printf("QEMU refuses to start: %s", words);

    viommuFindingsAdd(checker->findings, "V14", VIOMMU_SEVERITY_ERROR, item->line, consequence,
                      remedy, "%s, which '%s' behind it lacks", what, item->smmu->name);
}

/* What is not known is gathered for all SMMUs. */
typedef struct {
    GString *nesting;  /* names of those that were not probed */
    GString *coherent; /* of those without S2FWB, if that of a device's root complex is not known */
    GHashTable *named; /* SMMUs that are in the latter */
} unknowns;

static void
checkNesting(viommuChecker *checker, const backing *item, unknowns *unknown)
{
    const char *why = NULL;
    virTristate nests = virSMMUCanNest(item->smmu, &why);
    int bits = virSMMUOutputBits(item->smmu);

    if (nests == VIR_TRISTATE_NO)
        addNest(checker, item,
                "QEMU refuses to start: Failed to allocate hwpt: Operation not supported", why);
    if (bits >= 0 && bits < VIR_SMMU_OAS_MIN) {
        g_autofree char *words =
            g_strdup_printf("QEMU refuses to start: Host SMMUv3 supports only %d-bit "
                            "IPA, but the vSMMU OAS implies %d-bit IPA",
                            bits, VIR_SMMU_OAS_MIN);
        g_autofree char *text =
            g_strdup_printf("IDR5.OAS says %d bits of output address, and a vSMMU has "
                            "at least %d",
                            bits, VIR_SMMU_OAS_MIN);

        addNest(checker, item, words, text);
    }
    if (nests == VIR_TRISTATE_UNKNOWN)
        g_string_append_printf(unknown->nesting, " '%s'", item->smmu->name);
}

/* Linux gives a device a vSMMU only if the guest cannot get around the caches. That is so or not
 * for each device. */
static void
checkCoherence(viommuChecker *checker, const backing *item, unknowns *unknown)
{
    if (virSMMUCanNest(item->smmu, NULL) != VIR_TRISTATE_YES)
        return;
    switch (virSMMUDeviceIsCoherent(item->seat->host)) {
    case VIR_TRISTATE_NO:
        addNest(
            checker, item,
            "QEMU refuses to start: IOMMU_VIOMMU_ALLOC failed: Operation not supported",
            "it has no S2FWB (IDR3.FWB), and firmware gives the device's root complex no CANWBS "
            "(IORT)");
        break;
    case VIR_TRISTATE_UNKNOWN:
        if (g_hash_table_add(unknown->named, (void *)item->smmu))
            g_string_append_printf(unknown->coherent, " '%s'", item->smmu->name);
        break;
    case VIR_TRISTATE_YES:
        break;
    }
}

/* What a vSMMU has whatever is asked of it (smmuv3_accel_check_hw_compatible() in QEMU's
 * hw/arm/smmuv3-accel.c). */
static void
checkCommon(viommuChecker *checker, const backing *item)
{
    const virSMMU *smmu = item->smmu;
    const char *remedy = "pass through devices behind another SMMU";
    int bits = virSMMUStreamBits(smmu);
    const struct {
        virTristate has;
        const char *words;
        const char *what;
    } all[] = {
        { virSMMUHasTwoLevelTable(smmu), "Host SMMUv3 Stream Table format mismatch",
          "a vSMMU has stream tables of two levels (IDR0.ST_LEVEL)" },
        { virSMMUHasLittleEndian(smmu),
          "Host SMMUv3 doesn't support Little-endian translation table",
          "a vSMMU has little-endian translation tables (IDR0.TTENDIAN)" },
        { virSMMUHasAArch64(smmu), "Host SMMUv3 doesn't support AArch64 translation table format",
          "a vSMMU has AArch64 translation tables (IDR0.TTF)" },
        { virSMMUHasAllGranules(smmu),
          "Host SMMUv3 doesn't support 4K, 16K or 64K translation granule",
          "a vSMMU has translation granules of 4, 16 and 64 KiB (IDR5.GRAN4K, GRAN16K, GRAN64K)" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(all); i++) {
        if (all[i].has == VIR_TRISTATE_NO)
            addLack(checker, item, all[i].words, remedy, all[i].what);
    }
    if (bits >= 0 && bits < VIR_SMMU_SIDSIZE_MIN) {
        g_autofree char *words = g_strdup_printf(
            "Host SMMUv3 SIDSIZE not compatible (host=%d, QEMU=%d)", bits, VIR_SMMU_SIDSIZE_MIN);

        addLack(checker, item, words, remedy, "a vSMMU has StreamIDs of 16 bits (IDR1.SIDSIZE)");
    }
}

static void
checkFeatures(viommuChecker *checker, const backing *item)
{
    const viommuFeatures *features = item->features;
    const virSMMU *smmu = item->smmu;
    const char *words = NULL;
    int ssid = virSMMUSsidBits(smmu);
    int output = virSMMUOutputBits(smmu);

    if (features->ats == 1 && virSMMUHasATS(smmu) == VIR_TRISTATE_NO)
        addLack(checker, item, "Host SMMUv3 doesn't support Address Translation Services",
                "set ats='off', or leave it out", "ats='on' needs IDR0.ATS");
    if (features->ril == 1 && virSMMUHasRIL(smmu) == VIR_TRISTATE_NO)
        addLack(checker, item, "Host SMMUv3 doesn't support Range Invalidation",
                "set ril='off', or leave it out", "ril='on' needs IDR3.RIL");
    if (features->ssidsize > 0 && ssid >= 0 && features->ssidsize > ssid) {
        g_autofree char *sizes = g_strdup_printf(
            "Host SMMUv3 SSIDSIZE not compatible (host=%d, QEMU=%d)", ssid, features->ssidsize);
        g_autofree char *what = g_strdup_printf("ssidsize='%d' needs as many bits in IDR1.SSIDSIZE",
                                                features->ssidsize);

        addLack(checker, item, sizes, "lower ssidsize, or leave it out", what);
    }
    if (features->oas > VIR_SMMU_OAS_MIN && output >= VIR_SMMU_OAS_MIN && output < features->oas) {
        g_autofree char *sizes =
            g_strdup_printf("Host SMMUv3 supports only %d-bit IPA, but the vSMMU OAS "
                            "implies %d-bit IPA",
                            output, features->oas);

        addLack(checker, item, sizes, "set oas='44', or leave it out",
                "oas='48' needs IDR5.OAS of 48 bits");
    }
    if (features->cmdqv == 1 && virSMMUCmdqvFits(smmu, &words) == VIR_TRISTATE_NO)
        addLack(checker, item, words, "set cmdqv='off', or leave it out",
                "cmdqv='on' needs NVIDIA's command queue extension (CMDQV), version 1, with 2 "
                "VCMDQs and 16 StreamIDs for a guest");
}

/* What is no use, or could be better. */
static void
checkAdvice(viommuChecker *checker, const backing *item)
{
    const viommuFeatures *features = item->features;

    if (features && features->ats == 1 && item->seat->host->ats == VIR_TRISTATE_NO &&
        virSMMUHasATS(item->smmu) != VIR_TRISTATE_NO)
        viommuFindingsAdd(checker->findings, "V14", VIOMMU_SEVERITY_NOTE, item->seat->line,
                          "the device has no ATS in the guest, and others below the vSMMU may have it",
                          "leave ats out, if it is for none of them",
                          "ats='on' is of no use to %s: firmware gives its root complex no ATS (IORT)",
                          item->seat->what);
}

/* Whether the guest gets queues that huge pages would make larger. Of cmdqv='on' that is known without a host. */
static bool
hasSmallQueues(const viommuChecker *checker, const backing *item)
{
    int cmdqv = item->features ? item->features->cmdqv : VIOMMU_UNSET;
    unsigned qemu = checker->context->qemu;

    return (!qemu || qemu >= VIOMMU_CHECK_QEMU_CMDQV) && (cmdqv == VIOMMU_UNSET || cmdqv == VIOMMU_AUTO) &&
           !checker->dom->hugepages && item->smmu->cmdqv == VIR_TRISTATE_YES &&
           virSMMUCmdqvFits(item->smmu, NULL) == VIR_TRISTATE_YES;
}

/* What the domain asks of @smmu: the request that names it, else the one for all. */
static const viommuRequest *
findRequest(const viommuDomain *dom, const virSMMU *smmu)
{
    const viommuRequest *template = NULL;
    size_t i;

    for (i = 0; i < dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(dom->requests, i);

        if (!request->smmu)
            template = request;
        else if (strcmp(request->smmu, smmu->name) == 0)
            return request;
    }
    return template;
}

/* Fills in what is asked of @item; false if no accel vSMMU stands over it. */
static bool
findAsked(const viommuChecker *checker, backing *item)
{
    const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(item->seat);

    if (checker->open) {
        const viommuRequest *request = findRequest(checker->dom, item->smmu);

        item->features = request ? &request->features : NULL;
        item->line = request ? request->line : item->seat->line;
        return checker->accel;
    }
    if (!vsmmu || !vsmmu->accel)
        return false;
    item->features = &vsmmu->iommu->features;
    item->line = viommuCheckLine(checker, vsmmu->iommu->node, "driver");
    return true;
}

static void
reportUnknown(viommuChecker *checker, unsigned line, const unknowns *unknown)
{
    if (unknown->nesting->len > 0)
        viommuFindingsAdd(checker->findings, "V15", VIOMMU_SEVERITY_NOTE, line, NULL,
                          "'--probe' on that host reads them, 'viommu record --probe' keeps them",
                          "whether these SMMUs can nest is not known, as they were not probed:%s",
                          unknown->nesting->str);
    if (unknown->coherent->len > 0)
        viommuFindingsAdd(
            checker->findings, "V15", VIOMMU_SEVERITY_NOTE, line,
            "else QEMU refuses to start: IOMMU_VIOMMU_ALLOC failed: Operation not supported",
            "read the host as root, who alone can read the IORT",
            "these SMMUs have no S2FWB (IDR3.FWB) and nest only if the firmware's IORT says CANWBS "
            "for the devices' root complexes, which is not known:%s",
            unknown->coherent->str);
}

void
viommuCheckHardware(viommuChecker *checker)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) nesting = g_string_new(NULL);
    g_autoptr(GString) coherent = g_string_new(NULL);
    g_autoptr(GHashTable) named = g_hash_table_new(NULL, NULL);
    unknowns unknown = { .nesting = nesting, .coherent = coherent, .named = named };
    unsigned line = 0, queues = 0;
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        backing item = { .smmu = seat->host ? seat->host->smmu : NULL, .seat = seat };

        if (!item.smmu || item.smmu->kind != VIR_SMMU_KIND_SMMUV3)
            continue;
        if (!findAsked(checker, &item))
            continue;
        if (line == 0)
            line = seat->line;
        checkCoherence(checker, &item, &unknown);
        checkAdvice(checker, &item);
        if (g_hash_table_add(seen, (void *)item.smmu)) {
            checkNesting(checker, &item, &unknown);
            checkCommon(checker, &item);
        }
        if (item.features && g_hash_table_add(asked, g_strdup_printf("%s %p", item.smmu->name,
                                                                     (const void *)item.features)))
            checkFeatures(checker, &item);
        if (!queues && hasSmallQueues(checker, &item))
            queues = item.line;
    }
    reportUnknown(checker, line, &unknown);
    if (queues)
        viommuFindingsAdd(checker->findings, "V24", VIOMMU_SEVERITY_NOTE, queues, VIOMMU_CHECK_SMALL_QUEUES,
                          VIOMMU_CHECK_ADD_HUGEPAGES, "the guest gets command queues from QEMU 11.1 on, and has no huge pages");
}
