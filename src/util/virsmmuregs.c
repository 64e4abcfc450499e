/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an SMMUv3's identification registers say. Field positions: Arm IHI 0070 6.3, as in Linux'
 * drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.h. Errata: arm_smmu_device_iidr_probe() in
 * arm-smmu-v3.c.
 */
#include "virsmmu.h"

#define IDR0_S2P (1u << 0)
#define IDR0_S1P (1u << 1)
#define IDR0_TTF_SHIFT 2
#define IDR0_TTF_MASK 0x3
#define IDR0_TTF_AARCH64 2 /* 3: AArch32 too */
#define IDR0_ATS (1u << 10)
#define IDR0_TTENDIAN_SHIFT 21
#define IDR0_TTENDIAN_MASK 0x3
#define IDR0_TTENDIAN_LE 2 /* 0: both; 3: big-endian only */
#define IDR0_ST_LEVEL_SHIFT 27
#define IDR0_ST_LEVEL_MASK 0x3
#define IDR0_ST_LEVEL_TWO 1

#define IDR1_SIDSIZE_MASK 0x3f
#define IDR1_SSIDSIZE_SHIFT 6
#define IDR1_SSIDSIZE_MASK 0x1f

#define IDR3_FWB (1u << 8)
#define IDR3_RIL (1u << 10)

#define IDR5_OAS_MASK 0x7
#define IDR5_GRAN4K (1u << 4)
#define IDR5_GRAN16K (1u << 5)
#define IDR5_GRAN64K (1u << 6)

#define IIDR_IMPLEMENTER_MASK 0xfff
#define IIDR_REVISION_SHIFT 12
#define IIDR_REVISION_MASK 0xf
#define IIDR_VARIANT_SHIFT 16
#define IIDR_VARIANT_MASK 0xf
#define IIDR_PRODUCTID_SHIFT 20

#define IMPLEMENTER_ARM 0x43b
#define PRODUCTID_MMU_600 0x483
#define PRODUCTID_MMU_700 0x487

/* QEMU's hw/arm/tegra241-cmdqv.h: TEGRA241_CMDQV_VERSION, _NUM_CMDQ_LOG2, _NUM_SID_PER_VM_LOG2 */
#define CMDQV_VERSION 1
#define CMDQV_LOG2_QUEUES 1
#define CMDQV_LOG2_STREAMS 4

static virTristate
known(const virSMMU *smmu, bool answer)
{
    if (!smmu->regs.known)
        return VIR_TRISTATE_UNKNOWN;
    return answer ? VIR_TRISTATE_YES : VIR_TRISTATE_NO;
}

/* Why the kernel takes nesting away from this implementation, or NULL. */
static const char *
nestingErratum(uint32_t iidr)
{
    unsigned product = iidr >> IIDR_PRODUCTID_SHIFT;
    unsigned variant = iidr >> IIDR_VARIANT_SHIFT & IIDR_VARIANT_MASK;
    unsigned revision = iidr >> IIDR_REVISION_SHIFT & IIDR_REVISION_MASK;

    if ((iidr & IIDR_IMPLEMENTER_MASK) != IMPLEMENTER_ARM)
        return NULL;
    if (product == PRODUCTID_MMU_600 && variant < 2)
        return "IIDR says Arm MMU-600 before r2: Linux nests on none of them (erratum)";
    if (product == PRODUCTID_MMU_700 && (variant < 1 || revision < 1))
        return "IIDR says Arm MMU-700 before r1p1: Linux nests on none of them (errata 2268618, 2812531)";
    return NULL;
}

virTristate
virSMMUCanNest(const virSMMU *smmu, const char **ret_why)
{
    const virSMMURegisters *regs = &smmu->regs;
    const char *why = NULL;
    virTristate answer = VIR_TRISTATE_NO;

    if (smmu->kind != VIR_SMMU_KIND_SMMUV3) {
        why = "it is no SMMUv3";
    } else if (!regs->known) {
        why = "its registers were not probed";
        answer = VIR_TRISTATE_UNKNOWN;
    } else if (!(regs->idr0 & IDR0_S1P)) {
        why = "IDR0.S1P is 0: it has no stage 1";
    } else if (!(regs->idr0 & IDR0_S2P)) {
        why = "IDR0.S2P is 0: it has no stage 2";
    } else {
        why = nestingErratum(regs->iidr);
        answer = why ? VIR_TRISTATE_NO : VIR_TRISTATE_YES;
    }
    if (ret_why)
        *ret_why = why;
    return answer;
}

virTristate
virSMMUHasATS(const virSMMU *smmu)
{
    return known(smmu, smmu->regs.idr0 & IDR0_ATS);
}

virTristate
virSMMUHasRIL(const virSMMU *smmu)
{
    return known(smmu, smmu->regs.idr3 & IDR3_RIL);
}

virTristate
virSMMUHasS2FWB(const virSMMU *smmu)
{
    return known(smmu, smmu->regs.idr3 & IDR3_FWB);
}

virTristate
virSMMUHasAllGranules(const virSMMU *smmu)
{
    const uint32_t all = IDR5_GRAN4K | IDR5_GRAN16K | IDR5_GRAN64K;

    return known(smmu, (smmu->regs.idr5 & all) == all);
}

unsigned
virSMMUGranules(const virSMMU *smmu)
{
    uint32_t idr5 = smmu->regs.known ? smmu->regs.idr5 : 0;

    return (idr5 & IDR5_GRAN4K ? 4 : 0) + (idr5 & IDR5_GRAN16K ? 16 : 0) + (idr5 & IDR5_GRAN64K ? 64 : 0);
}

virTristate
virSMMUHasTwoLevelTable(const virSMMU *smmu)
{
    return known(smmu, (smmu->regs.idr0 >> IDR0_ST_LEVEL_SHIFT & IDR0_ST_LEVEL_MASK) ==
                           IDR0_ST_LEVEL_TWO);
}

virTristate
virSMMUHasLittleEndian(const virSMMU *smmu)
{
    return known(smmu,
                 (smmu->regs.idr0 >> IDR0_TTENDIAN_SHIFT & IDR0_TTENDIAN_MASK) <= IDR0_TTENDIAN_LE);
}

virTristate
virSMMUHasAArch64(const virSMMU *smmu)
{
    return known(smmu, (smmu->regs.idr0 >> IDR0_TTF_SHIFT & IDR0_TTF_MASK) >= IDR0_TTF_AARCH64);
}

int
virSMMUStreamBits(const virSMMU *smmu)
{
    return smmu->regs.known ? (int)(smmu->regs.idr1 & IDR1_SIDSIZE_MASK) : -1;
}

int
virSMMUSsidBits(const virSMMU *smmu)
{
    if (!smmu->regs.known)
        return -1;
    return (int)(smmu->regs.idr1 >> IDR1_SSIDSIZE_SHIFT & IDR1_SSIDSIZE_MASK);
}

int
virSMMUOutputBits(const virSMMU *smmu)
{
    /* IDR5.OAS; 7 is reserved */
    static const int bits[] = { 32, 36, 40, 42, 44, 48, 52, -1 };

    return smmu->regs.known ? bits[smmu->regs.idr5 & IDR5_OAS_MASK] : -1;
}

virTristate
virSMMUDeviceIsCoherent(const virSMMUDevice *dev)
{
    virTristate stage2 = virSMMUHasS2FWB(dev->smmu);

    if (stage2 == VIR_TRISTATE_YES || dev->canwbs == VIR_TRISTATE_YES)
        return VIR_TRISTATE_YES;
    if (stage2 == VIR_TRISTATE_NO && dev->canwbs == VIR_TRISTATE_NO)
        return VIR_TRISTATE_NO;
    return VIR_TRISTATE_UNKNOWN;
}

/* The best that is known of its devices; UNKNOWN where there are none. */
static virTristate
isCoherent(const virSMMU *smmu)
{
    virTristate best = smmu->devices->len ? VIR_TRISTATE_NO : virSMMUHasS2FWB(smmu);
    size_t i;

    for (i = 0; i < smmu->devices->len; i++) {
        virTristate one = virSMMUDeviceIsCoherent(g_ptr_array_index(smmu->devices, i));

        if (one == VIR_TRISTATE_YES)
            return one;
        if (one == VIR_TRISTATE_UNKNOWN)
            best = one;
    }
    return best;
}

/* Whether it nests and is what QEMU's vSMMU takes, whatever is behind it. */
static virTristate
fitsQEMU(const virSMMU *smmu, const char **ret_why)
{
    virTristate nests = virSMMUCanNest(smmu, ret_why);
    int bits = virSMMUOutputBits(smmu);
    const struct {
        bool lacks;
        const char *why;
    } all[] = {
        { bits >= 0 && bits < VIR_SMMU_OAS_MIN, "IDR5.OAS has less than 44 bits, the least of QEMU's vSMMU" },
        { virSMMUHasAllGranules(smmu) == VIR_TRISTATE_NO,
          "IDR5.GRAN4K, GRAN16K and GRAN64K are not all 1, as in QEMU's vSMMU" },
        { virSMMUHasTwoLevelTable(smmu) == VIR_TRISTATE_NO,
          "IDR0.ST_LEVEL says no two-level stream table, as QEMU's vSMMU has" },
        { virSMMUHasLittleEndian(smmu) == VIR_TRISTATE_NO, "IDR0.TTENDIAN says big-endian only" },
        { virSMMUHasAArch64(smmu) == VIR_TRISTATE_NO, "IDR0.TTF says no AArch64 translation tables" },
        { virSMMUStreamBits(smmu) < VIR_SMMU_SIDSIZE_MIN, "IDR1.SIDSIZE has less than 16 bits, as QEMU's vSMMU has" },
    };
    size_t i;

    if (nests != VIR_TRISTATE_YES)
        return nests;
    for (i = 0; i < G_N_ELEMENTS(all); i++) {
        *ret_why = all[i].why;
        if (all[i].lacks)
            return VIR_TRISTATE_NO;
    }
    *ret_why = NULL;
    return VIR_TRISTATE_YES;
}

virTristate
virSMMUCanServe(const virSMMU *smmu, const char **ret_why)
{
    virTristate fits = fitsQEMU(smmu, ret_why);
    virTristate coherent;

    if (fits != VIR_TRISTATE_YES)
        return fits;
    coherent = isCoherent(smmu);
    *ret_why = coherent == VIR_TRISTATE_YES  ? NULL
               : coherent == VIR_TRISTATE_NO ? "neither S2FWB (IDR3.FWB is 0) nor CANWBS (IORT)"
                                             : "no S2FWB, and CANWBS is not known: the IORT is for root to read";
    return coherent;
}

const char *
virSMMUServeRemedy(const virSMMU *smmu)
{
    const char *why = NULL;

    /* CANWBS is what firmware says; all else is what the SMMU is. */
    if (fitsQEMU(smmu, &why) != VIR_TRISTATE_YES || isCoherent(smmu) != VIR_TRISTATE_NO)
        return NULL;
    return "ask the maker for firmware whose IORT says CANWBS, if the root complex has it";
}

virTristate
virSMMUCmdqvFits(const virSMMU *smmu, const char **ret_why)
{
    const char *why = NULL;

    if (smmu->cmdqv == VIR_TRISTATE_NO)
        why = "CMDQV requested but not supported";
    else if (smmu->cmdqvVersion < 0)
        return VIR_TRISTATE_UNKNOWN;
    else if (smmu->cmdqvVersion != CMDQV_VERSION)
        why = "Host CMDQV: unsupported version (expected 1)";
    else if (smmu->cmdqvLog2Queues < CMDQV_LOG2_QUEUES)
        why = "Host CMDQV: insufficient vCMDQs (needs 2)";
    else if (smmu->cmdqvLog2Streams < CMDQV_LOG2_STREAMS)
        why = "Host CMDQV: insufficient SIDs (needs 16)";
    if (ret_why)
        *ret_why = why;
    return why ? VIR_TRISTATE_NO : VIR_TRISTATE_YES;
}
