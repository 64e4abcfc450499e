/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which device is below which vSMMU: devices of several physical SMMUs (V01), emulated ones (V03),
 * host devices without iommufd (V04) or below no vSMMU that serves them (V05).
 */
#include "viommu_check_priv.h"

#include <string.h>

static const char mixed[] = "QEMU starts, and every device below that vSMMU fails in the guest: "
                            "IOMMU_VDEVICE_ALLOC failed: Invalid "
                            "argument, Failed to install STE, then endless CMD_SYNC timeouts";

static const char split[] =
    "the domain cannot become one of type kvm with accel='on': no vSMMU can serve two "
    "physical SMMUs";

static const char noMap[] = "QEMU refuses to start: memory listener initialization failed: device "
                            "requires iommu MAP notifier which is "
                            "not currently supported";

static const char *
smmuOf(const viommuCheckSeat *seat)
{
    const virSMMU *smmu = seat->host ? seat->host->smmu : NULL;

    return smmu && smmu->kind == VIR_SMMU_KIND_SMMUV3 ? smmu->name : NULL;
}

/* The physical SMMU that most devices below @vsmmu are behind, the first of equals; NULL if none is
 * known. */
static const char *
commonSMMU(const viommuCheckVSMMU *vsmmu, const viommuCheckSeat **ret_first)
{
    g_autoptr(GHashTable) counts = g_hash_table_new(g_str_hash, g_str_equal);
    const char *best = NULL;
    unsigned most = 0;
    size_t i;

    for (i = 0; i < vsmmu->seats->len; i++) {
        const char *name = smmuOf(g_ptr_array_index(vsmmu->seats, i));
        unsigned count;

        if (!name)
            continue;
        count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, name)) + 1;
        g_hash_table_insert(counts, (char *)name, GUINT_TO_POINTER(count));
    }
    for (i = 0; i < vsmmu->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(vsmmu->seats, i);
        const char *name = smmuOf(seat);
        unsigned count = name ? GPOINTER_TO_UINT(g_hash_table_lookup(counts, name)) : 0;

        if (count > most) {
            most = count;
            best = name;
            *ret_first = seat;
        }
    }
    return best;
}

/* The SMMU that @vsmmu was made for, as our metadata says; NULL: it does not. */
static const char *
notedSMMU(const viommuChecker *checker, const viommuCheckVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; vsmmu->bus && i < checker->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(checker->dom->placed, i);

        if (placed->controller == vsmmu->bus->index)
            return placed->smmu;
    }
    return NULL;
}

/* True if the devices below @vsmmu are behind more than one SMMU. */
static bool
isMixed(const viommuCheckVSMMU *vsmmu, const char *common)
{
    size_t i;

    for (i = 0; i < vsmmu->seats->len; i++) {
        const char *name = smmuOf(g_ptr_array_index(vsmmu->seats, i));

        if (name && strcmp(name, common) != 0)
            return true;
    }
    return false;
}

/* Since the domain was placed, devices or SMMUs have got other addresses: @seat is behind @name, and its vSMMU for
 * @noted. */
static void
addMoved(viommuChecker *checker, const viommuCheckVSMMU *vsmmu, const viommuCheckSeat *seat, const char *name,
         const char *noted, const char *words)
{
    g_autofree char *remedy =
        viommuCheckAnew(checker->dom, "if it is still the device that is meant (see 'viommu host'), ");
    bool gone = !virSMMUTopologyFindSMMU(checker->context->host, noted);

    viommuFindingsAdd(checker->findings, "V01", VIOMMU_SEVERITY_ERROR, seat->line, words, remedy,
                      "%s is behind '%s', but below the vSMMU (line %u) that was placed for '%s'%s", seat->what, name,
                      vsmmu->iommu->line, noted, gone ? ", which this host does not have" : "");
}

static void
checkMixed(viommuChecker *checker, const viommuCheckVSMMU *vsmmu)
{
    static const char moved[] = "QEMU starts, with the features and the NUMA node that were chosen for another SMMU; the "
                                "address may be that of another device by now";
    const viommuCheckSeat *first = NULL;
    const char *common = commonSMMU(vsmmu, &first);
    const char *noted = vsmmu->iommu->source ? NULL : notedSMMU(checker, vsmmu);
    const char *wanted = noted ? noted : vsmmu->iommu->source;
    const char *words = vsmmu->accel ? mixed : split;
    size_t i;

    if (noted && common && !isMixed(vsmmu, common))
        words = moved;
    for (i = 0; common && i < vsmmu->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(vsmmu->seats, i);
        const char *name = smmuOf(seat);

        if (!name || strcmp(name, wanted ? wanted : common) == 0)
            continue;
        /* What was put beside the others is to go elsewhere, and what has moved is to be followed. */
        if (noted && (strcmp(common, noted) != 0 || viommuDomainNotedSMMU(checker->dom, seat->device->key)))
            addMoved(checker, vsmmu, seat, name, noted, words);
        else if (wanted && !noted)
            viommuFindingsAdd(checker->findings, "V01", VIOMMU_SEVERITY_ERROR, seat->line, words,
                              "give it an address below the vSMMU of its own SMMU",
                              "%s is behind '%s', but below the vSMMU for '%s' (line %u)",
                              seat->what, name, wanted, vsmmu->iommu->line);
        else
            viommuFindingsAdd(
                checker->findings, "V01", VIOMMU_SEVERITY_ERROR, seat->line, words,
                "give it an address below a vSMMU of its own on another expander bus",
                "%s is behind '%s', but below the same vSMMU (line %u) as %s (line %u), which "
                "is behind '%s'",
                seat->what, name, vsmmu->iommu->line, first->what, first->line, common);
    }
}

static void
checkEmulated(viommuChecker *checker, const viommuCheckSeat *seat)
{
    static const char words[] =
        "QEMU refuses to start: Emulated endpoint devices are not allowed when using "
        "arm-smmuv3,accel=on";
    const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);

    if (!vsmmu || !vsmmu->accel || vsmmu->bus->model != VIOMMU_PCI_EXPANDER)
        return;
    if (seat->device && seat->device->network) {
        viommuFindingsAdd(
            checker->findings, "V03", VIOMMU_SEVERITY_NOTE, seat->line, words, NULL,
            "%s is below the accel vSMMU of controller %u (line %u); whether that network "
            "gives host devices is not known",
            seat->what, vsmmu->bus->index, vsmmu->iommu->line);
    } else if (seat->chosen) {
        viommuFindingsAdd(
            checker->findings, "V03", VIOMMU_SEVERITY_ERROR, seat->line, words,
            "give every PCI device an address, this one on a root port of pcie.0; or leave "
            "no port free below the vSMMU",
            "libvirt puts %s on controller %u, below the accel vSMMU of controller %u "
            "(line %u)",
            seat->what, seat->bus->index, vsmmu->bus->index, vsmmu->iommu->line);
    } else {
        viommuFindingsAdd(
            checker->findings, "V03", VIOMMU_SEVERITY_ERROR,
            viommuXMLLine(checker->dom->xml, seat->device->addrNode), words,
            "give it an address on a root port of pcie.0",
            "%s is emulated and has its address below the accel vSMMU of controller %u "
            "(line %u)",
            seat->what, vsmmu->bus->index, vsmmu->iommu->line);
    }
}

/* True if libvirt gives @device to QEMU by iommufd, or <qemu:override> does; on an interface of a network it ignores
 * <driver>. */
static bool
usesIommufd(const viommuDomain *dom, const viommuDevice *device)
{
    if (device->iommufdOverridden)
        return true;
    if (device->iommufd == VIOMMU_UNSET || device->network)
        return dom->iommufd == 1;
    return device->iommufd == 1;
}

/* A libvirt before 12.2 has no word for the whole domain, and takes none on an interface of a network. */
static const char *
iommufdRemedy(const viommuDomain *dom, const viommuDevice *device)
{
    if (!dom->madeOverride || dom->iommufdNode)
        return "write <iommufd enabled='yes'/> into the domain, beside <vcpu>";
    if (device->network)
        return "define the domain with it, and start it anew; or give the function itself, by <interface type='hostdev'>";
    return "write <driver iommufd='yes'/> into it, which libvirt 12.1 takes; or define the domain with it, and start it "
           "anew";
}

/* One finding per device that says so itself, one for all those that lack it for want of a word in
 * the domain. */
static void
checkIommufd(viommuChecker *checker)
{
    static const char words[] =
        "QEMU refuses to start: vfio-pci endpoint devices without an iommufd backend "
        "not allowed when using arm-smmuv3,accel=on";
    const viommuDomain *dom = checker->dom;
    const viommuCheckSeat *first = NULL;
    unsigned count = 0;
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);
        bool needed = checker->open ? checker->accel : vsmmu && vsmmu->accel;

        if (!needed || seat->kind != VIOMMU_DEVICE_ASSIGNED || usesIommufd(dom, seat->device))
            continue;
        if (seat->device->iommufd == 0 && !seat->device->network) {
            viommuFindingsAdd(checker->findings, "V04", VIOMMU_SEVERITY_ERROR,
                              viommuCheckLine(checker, seat->device->node, "driver"), words,
                              "remove iommufd='no'",
                              "%s has iommufd='no', and nested translation needs it", seat->what);
            continue;
        }
        count++;
        if (!first)
            first = seat;
    }
    if (count == 0 || (checker->open && dom->iommufd == VIOMMU_UNSET))
        return;
    viommuFindingsAdd(checker->findings, "V04", VIOMMU_SEVERITY_ERROR,
                      dom->iommufdNode ? viommuXMLLine(dom->xml, dom->iommufdNode) : first->line,
                      words, iommufdRemedy(dom, first->device), "%s%s below an accel vSMMU without iommufd%s", first->what,
                      count == 1 ? " is" : " and others are",
                      dom->iommufdNode ? ", which the domain turns off" : "");
}

/* Legacy VFIO beside iommufd, away from accel vSMMUs: it works, and costs. */
static void
checkBackends(viommuChecker *checker)
{
    const viommuCheckSeat *modern = NULL;
    size_t i;

    for (i = 0; !modern && i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        if (seat->kind == VIOMMU_DEVICE_ASSIGNED && usesIommufd(checker->dom, seat->device))
            modern = seat;
    }
    for (i = 0; modern && i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);

        if (seat->kind == VIOMMU_DEVICE_ASSIGNED && !usesIommufd(checker->dom, seat->device) &&
            !(vsmmu && vsmmu->accel))
            viommuFindingsAdd(checker->findings, "V04", VIOMMU_SEVERITY_WARNING, seat->line,
                              "the guest's memory is pinned and accounted for twice",
                              "use iommufd for all host devices of the domain",
                              "%s uses legacy VFIO and %s (line %u) iommufd", seat->what,
                              modern->what, modern->line);
    }
}

static bool
hasLegacy(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        if (viommuCheckIsLegacy(g_ptr_array_index(dom->iommus, i)))
            return true;
    }
    return false;
}

/* @legacy: the machine has one SMMU over all of its buses. */
static void
checkServed(viommuChecker *checker, const viommuCheckSeat *seat, bool legacy)
{
    const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);
    bool emulator = checker->dom->virtType == VIOMMU_VIRT_QEMU;

    if (!seat->bus || !seat->bus->top || (vsmmu && (vsmmu->accel || emulator)))
        return;
    if (vsmmu) {
        viommuFindingsAdd(
            checker->findings, "V05", VIOMMU_SEVERITY_ERROR, seat->line, noMap,
            "add accel='on' to its <driver>",
            "%s is below the vSMMU of controller %u (line %u), which has no accel='on'", seat->what,
            vsmmu->bus->index, vsmmu->iommu->line);
    } else if (checker->nested) {
        viommuFindingsAdd(
            checker->findings, "V05", VIOMMU_SEVERITY_ERROR, seat->line,
            "it works without vIOMMU: the guest can neither isolate it nor share page tables "
            "with it",
            "give it an address below the vSMMU of its SMMU, or expand the domain again",
            seat->chosen ? "libvirt puts %s on controller %u, below no vSMMU"
                         : "%s is on controller %u, below no vSMMU",
            seat->what, seat->bus->index);
    } else if (legacy && !emulator) {
        viommuFindingsAdd(
            checker->findings, "V05", VIOMMU_SEVERITY_ERROR, seat->line, noMap,
            "ask for nested translation by <iommu model='smmuv3' nested='yes'/> through viommu, as libvirt drops the "
            "attribute, or remove the iommu",
            "%s is below an smmuv3 for the whole machine, which has no accel", seat->what);
    }
}

void
viommuCheckPlacement(viommuChecker *checker)
{
    bool legacy = hasLegacy(checker->dom);
    size_t i;

    if (!checker->smmuv3 && !checker->nested)
        return;
    checkIommufd(checker);
    if (checker->open)
        return;
    if (checker->nested)
        checkBackends(checker);
    for (i = 0; i < checker->vsmmus->len; i++)
        checkMixed(checker, g_ptr_array_index(checker->vsmmus, i));
    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        if (seat->kind == VIOMMU_DEVICE_ASSIGNED)
            checkServed(checker, seat, legacy);
        else
            checkEmulated(checker, seat);
    }
}
