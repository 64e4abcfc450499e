/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Features of the vSMMUs (P9, P11) and their NUMA nodes (P7).
 */
#include "viommu_plan_priv.h"

#define QEMU_ACCEL VIOMMU_VERSION_QEMU(11, 0) /* first with accel= */
#define QEMU_AUTO VIOMMU_VERSION_QEMU(11, 1)  /* first that resolves auto, and with cmdqv= */

static unsigned
lineFor(const viommuVSMMU *vsmmu, const viommuRequest *request)
{
    if (request->line)
        return request->line;
    return vsmmu->devices->len
               ? ((viommuPlanDevice *)g_ptr_array_index(vsmmu->devices, 0))->device->line
               : 1;
}

static void
refuseFeature(planState *state, const viommuVSMMU *vsmmu, unsigned line, const char *what,
              const char *field, const char *consequence)
{
    g_autofree char *remedy = g_strdup_printf("write %s='auto', or leave it out", what);

    planRefuse(state, "V14", line, consequence, remedy, "%s is asked for, but '%s' does not have it (%s)",
               what, vsmmu->smmu->name, field);
}

/* What is asked for and the registers rule out. */
static void
checkAsked(planState *state, const viommuVSMMU *vsmmu, unsigned line)
{
    const viommuFeatures *asked = &vsmmu->features;
    const virSMMU *smmu = vsmmu->smmu;
    int ssid = virSMMUSsidBits(smmu);
    int oas = virSMMUOutputBits(smmu);
    const char *why = NULL;

    if (asked->ats == 1 && virSMMUHasATS(smmu) == VIR_TRISTATE_NO)
        refuseFeature(state, vsmmu, line, "ats", "IDR0.ATS is 0",
                      "Host SMMUv3 doesn't support Address Translation Services");
    if (asked->ril == 1 && virSMMUHasRIL(smmu) == VIR_TRISTATE_NO)
        refuseFeature(state, vsmmu, line, "ril", "IDR3.RIL is 0",
                      "Host SMMUv3 doesn't support Range Invalidation");
    if (asked->ssidsize > 0 && ssid >= 0 && asked->ssidsize > ssid)
        refuseFeature(state, vsmmu, line, "ssidsize", "more than IDR1.SSIDSIZE",
                      "Host SMMUv3 SSIDSIZE not compatible");
    if (asked->oas > 0 && oas >= 0 && asked->oas > oas)
        refuseFeature(state, vsmmu, line, "oas", "more than IDR5.OAS",
                      "Host SMMUv3 supports fewer bits of IPA than the vSMMU OAS implies");
    if (asked->cmdqv == 1 && virSMMUCmdqvFits(smmu, &why) == VIR_TRISTATE_NO)
        refuseFeature(state, vsmmu, line, "cmdqv",
                      smmu->cmdqv != VIR_TRISTATE_NO ? "not a CMDQV that QEMU takes"
                      : smmu->cmdqvNamed == VIR_TRISTATE_YES ? "the kernel does not drive its CMDQV"
                                                     : "no CMDQV",
                      why);
}

/* A vSMMU without device at start: nothing tells QEMU what "auto" means. */
static void
fixEmpty(planState *state, viommuVSMMU *vsmmu, unsigned line)
{
    viommuFeatures *features = &vsmmu->features;

    if (features->cmdqv == 1)
        planRefuse(state, "V12", line, "arm-smmuv3 cmdqv=on requires at least one cold-plugged VFIO device",
                   "write cmdqv='off' for it, or give the guest a device of that SMMU",
                   "the vSMMU of '%s' has no device and cannot have cmdqv", vsmmu->smmu->name);
    features->cmdqv = state->options->qemuVersion < QEMU_AUTO ? VIOMMU_AUTO : 0;
    if (features->ats == VIOMMU_AUTO)
        features->ats = 0;
    if (features->ril == VIOMMU_AUTO)
        features->ril = virSMMUHasRIL(vsmmu->smmu) == VIR_TRISTATE_YES;
    if (features->ssidsize == VIOMMU_AUTO)
        features->ssidsize = 0;
    if (features->oas == VIOMMU_AUTO)
        features->oas = 44;
    planReason(state, "P11", vsmmu->smmu->name,
               "every feature is written out: no device is there at start from which QEMU could take it");
}

/* QEMU 11.0 takes "auto" for its own defaults instead of asking the host. */
static void
fixForOldQEMU(planState *state, viommuVSMMU *vsmmu, unsigned line)
{
    viommuFeatures *features = &vsmmu->features;
    virTristate ats = virSMMUHasATS(vsmmu->smmu);
    virTristate ril = virSMMUHasRIL(vsmmu->smmu);
    int ssid = virSMMUSsidBits(vsmmu->smmu);

    if (features->cmdqv == 1)
        planRefuse(state, "V14", line, NULL, "write cmdqv='auto', or use QEMU 11.1",
                   "cmdqv is asked for, but QEMU 11.0 does not have it");
    features->cmdqv = VIOMMU_AUTO;
    if ((features->ats == VIOMMU_AUTO && ats == VIR_TRISTATE_UNKNOWN) ||
        (features->ril == VIOMMU_AUTO && ril == VIR_TRISTATE_UNKNOWN) ||
        (features->ssidsize == VIOMMU_AUTO && ssid < 0)) {
        planRefuse(state, "V14", line, "QEMU 11.0 does not resolve 'auto'",
                   "write ats, ril and ssidsize, or use QEMU 11.1",
                   "the registers of '%s' are not known, so that its features cannot be written out",
                   vsmmu->smmu->name);
        return;
    }
    if (features->ats == VIOMMU_AUTO)
        features->ats = ats == VIR_TRISTATE_YES;
    if (features->ril == VIOMMU_AUTO)
        features->ril = ril == VIR_TRISTATE_YES;
    if (features->ssidsize == VIOMMU_AUTO)
        features->ssidsize = MIN(ssid, 20);
    planReason(state, "P11", vsmmu->smmu->name,
               "features are written out from the registers: QEMU 11.0 does not resolve 'auto'");
}

/* The virtual interfaces of the CMDQV of @vsmmu's SMMU that others hold: running domains, and vSMMUs before it. */
static unsigned
countTaken(const planState *state, const viommuVSMMU *vsmmu)
{
    unsigned taken = viommuUsersCountQueues(state->options->users, state->host, vsmmu->smmu);
    size_t i;

    for (i = 0; g_ptr_array_index(state->plan->vsmmus, i) != vsmmu; i++) {
        const viommuVSMMU *before = g_ptr_array_index(state->plan->vsmmus, i);

        taken += before->smmu == vsmmu->smmu && before->features.cmdqv != 0 && before->devices->len;
    }
    return taken;
}

static void
limitCmdqv(planState *state, viommuVSMMU *vsmmu, unsigned line)
{
    guint devices = vsmmu->devices->len;
    bool tooMany = state->plan->vsmmus->len > PLAN_VSMMUS_CMDQV_MAX;
    unsigned taken = devices ? countTaken(state, vsmmu) : 0;
    bool none = taken >= VIOMMU_CMDQV_VSMMUS_MAX;

    if (virSMMUCmdqvFits(vsmmu->smmu, NULL) == VIR_TRISTATE_NO || vsmmu->features.cmdqv == 0 ||
        (devices <= PLAN_CMDQV_DEVICES_MAX && !tooMany && !none))
        return;
    if (vsmmu->features.cmdqv == VIOMMU_AUTO) {
        vsmmu->features.cmdqv = 0;
        if (none)
            planReason(state, "P9", vsmmu->smmu->name, "cmdqv is off: %u vSMMUs, of running domains and this one, have "
                       "all the virtual interfaces of its CMDQV", taken);
        else if (tooMany)
            planReason(state, "P9", vsmmu->smmu->name, "cmdqv is off: the guest has %u vSMMUs, with cmdqv "
                       "at most %d", state->plan->vsmmus->len, PLAN_VSMMUS_CMDQV_MAX);
        else
            planReason(state, "P9", vsmmu->smmu->name, "cmdqv is off: %u devices are below the vSMMU, "
                       "with cmdqv at most %d", devices, PLAN_CMDQV_DEVICES_MAX);
    } else if (none) {
        planRefuse(state, "V11", line, "IOMMU_VIOMMU_ALLOC failed: No space left on device",
                   "write cmdqv='auto', or stop other domains with devices of that SMMU",
                   "cmdqv='on' for '%s' does not fit: %u vSMMUs, of running domains and this one, have all the virtual "
                   "interfaces of its CMDQV", vsmmu->smmu->name, taken);
    } else if (devices > PLAN_CMDQV_DEVICES_MAX) {
        planRefuse(state, "V11", line, "a virtual CMDQV has 16 stream slots",
                   "write cmdqv='auto', or remove the devices' addresses, so that viommu splits them",
                   "cmdqv='on' for '%s' does not fit: %u devices are below one vSMMU, at most %d can be",
                   vsmmu->smmu->name, devices, PLAN_CMDQV_DEVICES_MAX);
    }
}

/* With cmdqv='on' for one of too many vSMMUs the whole domain is refused, once. */
static void
checkCmdqvCount(planState *state)
{
    size_t i;

    if (state->plan->vsmmus->len <= PLAN_VSMMUS_CMDQV_MAX)
        return;
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);
        const viommuRequest *request = planFindRequest(state, vsmmu->smmu, vsmmu->controller);

        if (request->features.cmdqv != 1)
            continue;
        planRefuse(state, "V11", request->line, "Platform Bus: Can not fit IRQ line",
                   "write cmdqv='auto', or pass through devices behind fewer SMMUs",
                   "cmdqv='on' does not fit: the guest has %u vSMMUs, with cmdqv at most %d",
                   state->plan->vsmmus->len, PLAN_VSMMUS_CMDQV_MAX);
        return;
    }
}

/* What the vSMMU gets of the CMDQV of its SMMU, if that is known: a virtual interface with its static share. */
static void
mapCmdqv(planState *state, viommuVSMMU *vsmmu)
{
    const virSMMU *smmu = vsmmu->smmu;

    if (smmu->cmdqv != VIR_TRISTATE_YES || vsmmu->features.cmdqv == 0 || !vsmmu->devices->len ||
        state->options->qemuVersion < QEMU_AUTO || virSMMUCmdqvFits(smmu, NULL) != VIR_TRISTATE_YES)
        return;
    vsmmu->vcmdqs = 1u << MIN(smmu->cmdqvLog2Queues, 31);
    vsmmu->streamSlots = 1u << MIN(smmu->cmdqvLog2Streams, 31);
    planReason(state, "P9", smmu->name,
               "a virtual interface of its CMDQV with %u VCMDQs and %u stream slots, %u of them in use%s",
               vsmmu->vcmdqs, vsmmu->streamSlots, vsmmu->devices->len,
               state->dom->hugepages ? "" : "; with huge pages the guest's queues could be larger");
}

static void
dropForTCG(planState *state, viommuVSMMU *vsmmu)
{
    const viommuFeatures automatic = { VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO };
    const viommuFeatures *asked = &vsmmu->features;

    if (asked->cmdqv == 1 || asked->ats == 1 || asked->ril != VIOMMU_AUTO || asked->ssidsize > 0 ||
        asked->oas > 0)
        planReason(state, "P11", vsmmu->smmu->name,
                   "the features asked for are left out: they need accel, which needs KVM");
    vsmmu->features = automatic;
}

bool
planChooseFeatures(planState *state)
{
    size_t i;

    if (state->plan->vsmmus->len > PLAN_VSMMUS_MAX)
        planRefuse(state, "V11", viommuXMLLine(state->dom->xml, state->dom->root),
                   "Platform Bus: Can not fit IRQ line", "pass through devices behind fewer SMMUs",
                   "the guest needs %u vSMMUs, QEMU has room for %d", state->plan->vsmmus->len,
                   PLAN_VSMMUS_MAX);
    if (state->plan->accel && state->options->qemuVersion < QEMU_ACCEL)
        planRefuse(state, "V18", viommuXMLLine(state->dom->xml, state->dom->root), NULL,
                   "use QEMU 11.0 or newer",
                   "QEMU %u.%u has no accelerated SMMUv3", state->options->qemuVersion / 1000,
                   state->options->qemuVersion % 1000);
    if (state->plan->accel)
        checkCmdqvCount(state);
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);
        const viommuRequest *request = planFindRequest(state, vsmmu->smmu, vsmmu->controller);
        unsigned line = lineFor(vsmmu, request);

        vsmmu->features = request->features;
        if (!state->plan->accel) {
            dropForTCG(state, vsmmu);
            continue;
        }
        checkAsked(state, vsmmu, line);
        if (state->options->qemuVersion >= QEMU_AUTO)
            limitCmdqv(state, vsmmu, line);
        if (vsmmu->devices->len == 0)
            fixEmpty(state, vsmmu, line);
        else if (state->options->qemuVersion < QEMU_AUTO)
            fixForOldQEMU(state, vsmmu, line);
        mapCmdqv(state, vsmmu);
    }
    return !viommuFindingsHaveError(state->findings);
}

/* The guest cell whose memory comes from host node @node, if there is exactly one; -1 if not. */
static int
findCell(const viommuDomain *dom, unsigned node, unsigned *ret_count)
{
    int found = -1;
    size_t i;
    size_t j;

    *ret_count = 0;
    for (i = 0; i < dom->cells->len; i++) {
        const viommuCell *cell = &g_array_index(dom->cells, viommuCell, i);

        for (j = 0; j < cell->hostNodes->len; j++) {
            if (g_array_index(cell->hostNodes, unsigned, j) == node) {
                found = (int)cell->id;
                (*ret_count)++;
                break;
            }
        }
    }
    return *ret_count == 1 ? found : -1;
}

static void
chooseNode(planState *state, viommuVSMMU *vsmmu)
{
    const viommuController *expander = planFindController(state, vsmmu->controller);
    const char *name = vsmmu->smmu->name;
    unsigned count;

    if (!vsmmu->generated && expander->numaNode >= 0) {
        vsmmu->node = expander->numaNode;
        planReason(state, "P7", name, "guest node %d, as the user wrote it", vsmmu->node);
        return;
    }
    if (vsmmu->smmu->numaNode < 0) {
        planReason(state, "P7", name, "no guest node: the host does not say on which node the SMMU is");
        return;
    }
    if (state->dom->cells->len == 0) {
        planReason(state, "P7", name, "no guest node: the guest has no NUMA cells");
        return;
    }
    vsmmu->node = findCell(state->dom, (unsigned)vsmmu->smmu->numaNode, &count);
    if (vsmmu->node >= 0)
        planReason(state, "P7", name, "guest node %d has its memory on host node %d", vsmmu->node,
                   vsmmu->smmu->numaNode);
    else
        planReason(state, "P7", name, "no guest node: %u guest cells have memory on host node %d", count,
                   vsmmu->smmu->numaNode);
}

void
planChooseNodes(planState *state)
{
    size_t i;

    for (i = 0; i < state->plan->vsmmus->len; i++)
        chooseNode(state, g_ptr_array_index(state->plan->vsmmus, i));
}
