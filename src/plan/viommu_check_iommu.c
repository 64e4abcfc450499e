/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vSMMUs themselves: where they stand (V06-V08), what stands beside them (V09), how many there
 * are and how many devices below them (V11).
 */
#include "viommu_check_priv.h"

#include <string.h>

#define PLATFORM_IRQS 64   /* PLATFORM_BUS_NUM_IRQS of QEMU's virt machine */
#define VSMMU_IRQS 4       /* event queue, PRI, command sync, global error */
#define VSMMU_CMDQV_IRQS 1 /* more, with cmdqv */
#define CMDQV_SIDS                                                                                 \
    16 /* stream ids per VINTF: CMDQV_NUM_SID_PER_VI_LOG2 of QEMU's tegra241-cmdqv.h */

static unsigned
driverLine(const viommuChecker *checker, const viommuIOMMU *iommu)
{
    return viommuCheckLine(checker, iommu->node, "driver");
}

static void
checkBus(viommuChecker *checker, const viommuCheckVSMMU *vsmmu)
{
    const viommuIOMMU *iommu = vsmmu->iommu;
    const viommuCheckBus *bus = NULL;
    unsigned line = driverLine(checker, iommu);
    static const char remedy[] = "give pciBus the index of a pcie-expander-bus";

    if (vsmmu->bus && vsmmu->bus->vsmmu != vsmmu) {
        viommuFindingsAdd(checker->findings, "V06", VIOMMU_SEVERITY_ERROR, line,
                          "QEMU refuses to start: An iommu is already attached to this bus",
                          "put one of them on an expander bus of its own",
                          "two vSMMUs are on the bus of controller %u; the other is in line %u",
                          vsmmu->bus->index, vsmmu->bus->vsmmu->iommu->line);
    }
    if (vsmmu->bus)
        return;
    if (iommu->pciBus < 0) {
        viommuFindingsAdd(
            checker->findings, "V07", VIOMMU_SEVERITY_ERROR, line,
            "libvirt refuses it: Invalid value for attribute 'pciBus' in element 'driver'", remedy,
            "pciBus='%s' is no index of a controller",
            viommuXMLAttr(viommuXMLChild(iommu->node, "driver"), "pciBus"));
        return;
    }
    bus = checker->byIndex[iommu->pciBus];
    if (!bus || !bus->controller) {
        viommuFindingsAdd(
            checker->findings, "V07", VIOMMU_SEVERITY_ERROR, line,
            "libvirt defines it and fails at start: Could not find a suitable controller for "
            "smmuv3; with managed devices and iommufd it then hangs, and only a reset of the host "
            "frees them",
            remedy, "pciBus='%d' names a controller that does not exist", iommu->pciBus);
        return;
    }
    viommuFindingsAdd(checker->findings, "V07", VIOMMU_SEVERITY_ERROR, line,
                      "QEMU refuses to start: SMMU should be attached to a default PCIe root "
                      "complex(pcie.0) or a pxb-pcie based root complex",
                      remedy,
                      "pciBus='%d' names a %s, which is neither pcie-root nor a pcie-expander-bus",
                      iommu->pciBus, viommuXMLAttr(bus->controller->node, "model"));
}

/* The emulated endpoints on pcie.0's own tree, which an accel vSMMU on it would have below. */
static void
checkAccelOnRoot(viommuChecker *checker, const viommuCheckVSMMU *vsmmu)
{
    const viommuCheckSeat *first = NULL;
    unsigned count = 0;
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        if (seat->kind == VIOMMU_DEVICE_ASSIGNED || viommuCheckSeatVSMMU(seat) != vsmmu)
            continue;
        count++;
        if (!first)
            first = seat;
    }
    if (count == 0)
        return;
    viommuFindingsAdd(
        checker->findings, "V08", VIOMMU_SEVERITY_ERROR, driverLine(checker, vsmmu->iommu),
        "QEMU refuses to start: Emulated endpoint devices are not allowed when using "
        "arm-smmuv3,accel=on",
        "put the vSMMU and the host devices on a pcie-expander-bus",
        "the accel vSMMU on pcie.0 has %u emulated device%s below it, %s in line %u for one", count,
        count == 1 ? "" : "s", first->what, first->line);
}

static void
checkAccel(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);

        if (iommu->accel != 1 || !viommuCheckIsLegacy(iommu))
            continue;
        viommuFindingsAdd(
            checker->findings, "V08", VIOMMU_SEVERITY_ERROR, driverLine(checker, iommu),
            "libvirt drops accel silently and starts -machine iommu=smmuv3, where QEMU "
            "refuses host devices: requires iommu MAP notifier",
            "add pciBus with the index of a pcie-expander-bus, or ask for all of it by "
            "<iommu model='smmuv3' nested='yes'/>",
            "accel='on' has no pciBus beside it");
    }
    for (i = 0; i < checker->vsmmus->len; i++) {
        const viommuCheckVSMMU *vsmmu = g_ptr_array_index(checker->vsmmus, i);

        if (vsmmu->accel && vsmmu->bus && vsmmu->bus->model == VIOMMU_PCI_ROOT &&
            vsmmu->bus->vsmmu == vsmmu)
            checkAccelOnRoot(checker, vsmmu);
    }
}

/* What comes of an IOMMU of another kind at @place among the domain's. */
static const char *
whatForeignDoes(const viommuDomain *dom, size_t place, const viommuIOMMU *other)
{
    if (place == 0)
        return other ? "QEMU refuses to start: virt machine already has virtio-iommu set. Doesn't "
                       "support incompatible iommus"
                     : "libvirt drops the smmuv3 without a word, as it is not the first iommu";
    if (viommuCheckIsLegacy(g_ptr_array_index(dom->iommus, 0)))
        return "QEMU refuses to start: virt machine does not support multiple IOMMUs";
    return "QEMU starts with both kinds, which nobody has tried with nested translation";
}

/* What stands beside: @other is the first vSMMU that has a bus or is asked for, NULL: none. */
static void
checkBeside(viommuChecker *checker, const viommuIOMMU *other)
{
    const viommuIOMMU *legacy = NULL;
    size_t i;

    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") != 0) {
            viommuFindingsAdd(
                checker->findings, "V09", VIOMMU_SEVERITY_ERROR, iommu->line,
                whatForeignDoes(checker->dom, i, other), "keep one kind of IOMMU",
                "an iommu of model '%s' stands beside smmuv3", iommu->model);
        } else if (viommuCheckIsLegacy(iommu)) {
            if (other)
                viommuFindingsAdd(
                    checker->findings, "V09", VIOMMU_SEVERITY_ERROR, iommu->line,
                    i == 0 ? "QEMU refuses to start: virt machine already has iommu=smmuv3 set. "
                             "Doesn't support incompatible iommus"
                           : "libvirt drops it without a word, as it is not the first iommu",
                    "remove it",
                    "an smmuv3 for the whole machine (without pciBus) stands "
                    "beside the one in line %u",
                    other->line);
            else if (legacy)
                viommuFindingsAdd(
                    checker->findings, "V09", VIOMMU_SEVERITY_ERROR, iommu->line,
                    "libvirt takes both and makes one of them, without a word", "remove it",
                    "a second smmuv3 for the whole machine (without pciBus); the first is in "
                    "line %u",
                    legacy->line);
            legacy = iommu;
        }
    }
}

static void
checkTemplates(viommuChecker *checker)
{
    const viommuIOMMU *first = NULL;
    size_t i;

    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);

        if (iommu->nested != 1 || iommu->source || iommu->pciBus != VIOMMU_UNSET)
            continue;
        if (first)
            viommuFindingsAdd(checker->findings, "V09", VIOMMU_SEVERITY_ERROR, iommu->line,
                              "which of them holds for an SMMU would be a guess",
                              "remove one, or say by <source smmu=''/> what it is for",
                              "a second request for all SMMUs; the first is in line %u",
                              first->line);
        else
            first = iommu;
    }
}

static const viommuIOMMU *
findPluggable(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") == 0 && !viommuCheckIsLegacy(iommu))
            return iommu;
    }
    return NULL;
}

/* The physical SMMU that gives @vsmmu its queues, or NULL: it may have none, or that is not known. */
static const virSMMU *
queuesOf(const viommuCheckVSMMU *vsmmu)
{
    const virSMMU *smmu = NULL;
    size_t i;

    for (i = 0; !smmu && i < vsmmu->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(vsmmu->seats, i);

        smmu = seat->host ? seat->host->smmu : NULL;
    }
    return smmu && vsmmu->accel && vsmmu->iommu->features.cmdqv != 0 &&
           virSMMUCmdqvFits(smmu, NULL) != VIR_TRISTATE_NO ? smmu : NULL;
}

/* Virtual interfaces of a CMDQV that running domains leave. */
static void
checkInterfaces(viommuChecker *checker)
{
    g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
    size_t i;

    for (i = 0; checker->context->users && checker->context->host && i < checker->vsmmus->len; i++) {
        const viommuCheckVSMMU *vsmmu = g_ptr_array_index(checker->vsmmus, i);
        const virSMMU *smmu = queuesOf(vsmmu);
        unsigned before;

        if (!smmu)
            continue;
        before = g_hash_table_contains(taken, smmu)
                     ? GPOINTER_TO_UINT(g_hash_table_lookup(taken, smmu))
                     : viommuUsersCountQueues(checker->context->users, checker->context->host, smmu);
        g_hash_table_insert(taken, (void *)smmu, GUINT_TO_POINTER(before + 1));
        if (before < VIOMMU_CMDQV_VSMMUS_MAX)
            continue;
        viommuFindingsAdd(
            checker->findings, "V11",
            vsmmu->iommu->features.cmdqv == 1 ? VIOMMU_SEVERITY_ERROR : VIOMMU_SEVERITY_WARNING,
            driverLine(checker, vsmmu->iommu),
            "the kernel has no virtual interface left: IOMMU_VIOMMU_ALLOC failed: No space left on device",
            "set cmdqv='off' here or in other domains, or stop one of them",
            "a vSMMU may have command queues of '%s', whose CMDQV has room for %d, and %u are there before it",
            smmu->name, VIOMMU_CMDQV_VSMMUS_MAX, before);
    }
}

static void
checkCounts(viommuChecker *checker)
{
    unsigned cmdqv = 0;
    unsigned irqs = 0;
    size_t i;

    for (i = 0; i < checker->vsmmus->len; i++) {
        const viommuCheckVSMMU *vsmmu = g_ptr_array_index(checker->vsmmus, i);
        bool queues = vsmmu->iommu->features.cmdqv == 1;
        unsigned before = irqs;

        cmdqv += queues;
        irqs += VSMMU_IRQS + (queues ? VSMMU_CMDQV_IRQS : 0);
        if (irqs > PLATFORM_IRQS && before <= PLATFORM_IRQS)
            viommuFindingsAdd(
                checker->findings, "V11", VIOMMU_SEVERITY_ERROR, vsmmu->iommu->line,
                "QEMU refuses to start: Platform Bus: Can not fit IRQ line",
                "pass through devices of fewer SMMUs, or turn cmdqv off",
                "this is vSMMU number %zu, %u of them with cmdqv='on'; QEMU has interrupts "
                "for 16, or for 12 with cmdqv",
                i + 1, cmdqv);
        if (queues && vsmmu->seats->len > CMDQV_SIDS)
            viommuFindingsAdd(
                checker->findings, "V11", VIOMMU_SEVERITY_ERROR, driverLine(checker, vsmmu->iommu),
                "the kernel has no stream id for the 17th (No space left on device), and that "
                "device does not work",
                "move devices to a second vSMMU, or set cmdqv='off'",
                "%u devices are below a vSMMU with cmdqv='on', which has room for %d",
                vsmmu->seats->len, CMDQV_SIDS);
    }
}

void
viommuCheckIOMMUs(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->vsmmus->len; i++)
        checkBus(checker, g_ptr_array_index(checker->vsmmus, i));
    checkAccel(checker);
    if (checker->smmuv3)
        checkBeside(checker, findPluggable(checker->dom));
    if (checker->open)
        checkTemplates(checker);
    checkCounts(checker);
    checkInterfaces(checker);
}
