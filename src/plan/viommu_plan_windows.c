/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The windows that ports keep for hotplug (P6), and the 64-bit window of the guest (P10).
 */
#include "viommu_plan_priv.h"
#include "viommu_windows.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* QEMU: highmem-mmio-size of "virt" is at least 512 GiB and a power of two (hw/arm/virt.c). */
#define WINDOW_MIN (512 * GIB)
/* Left in it for what stands on pcie.0. */
#define WINDOW_REST GIB
/* What QEMU's "virt" has for PCI below 4 GiB (VIRT_PCIE_MMIO in hw/arm/virt.c), and what is left there for pcie.0. */
#define MEM_SIZE (0x2eff0000ull)
#define MEM_REST (64 * MIB)
/* A window that lets Linux place the BARs of a hotplugged NVMe or NIC without moving its neighbours. */
#define RESERVE_MIN (2 * MIB)

/* What the ports of one root bus, or the root buses of a guest, take of a window. */
typedef struct {
    uint64_t sum;
    uint64_t largest; /* a power of two */
} windowSum;

/* The two windows of a root bus, or of the guest. */
typedef struct {
    windowSum pref64;
    windowSum mem;
} windowSums;

/* Firmware makes a power of two of every window (OvmfPkg/PciHotPlugInitDxe of EDK II). */
static void
addWindow(windowSum *to, uint64_t size)
{
    uint64_t window = size ? viommuWindowRound(size) : 0;

    to->sum += window;
    to->largest = MAX(to->largest, window);
}

/* Firmware gives each root bus a window of its own, which begins where the largest of its devices can; so what follows
 * that one takes as much again (MdeModulePkg/Bus/Pci/PciHostBridgeDxe of EDK II). */
static void
addBus(windowSum *to, const windowSum *bus)
{
    if (bus->largest)
        to->sum += (bus->sum + bus->largest - 1) / bus->largest * bus->largest;
    to->largest = MAX(to->largest, bus->largest);
}

/* What a spare port below @vsmmu keeps: as was asked, or enough for any device that its SMMU has. */
static viommuWindows
spareWindows(const viommuVSMMU *vsmmu)
{
    viommuWindows keeps = { .pref64 = RESERVE_MIN, .mem = RESERVE_MIN };
    size_t i;

    for (i = 0; i < vsmmu->smmu->devices->len; i++) {
        const virSMMUDevice *host = g_ptr_array_index(vsmmu->smmu->devices, i);
        viommuWindows need = viommuWindowsOf(host);

        if (host->bridge)
            continue;
        keeps.pref64 = MAX(keeps.pref64, need.pref64);
        keeps.mem = MAX(keeps.mem, need.mem);
    }
    if (vsmmu->reserve.pref64KiB)
        keeps.pref64 = vsmmu->reserve.pref64KiB * KIB;
    if (vsmmu->reserve.memKiB)
        keeps.mem = vsmmu->reserve.memKiB * KIB;
    return keeps;
}

/* What a spare port has kept stays, as the device that it was for can come back to the host; and so does what the user
 * wrote for a port. */
static viommuWindows
chooseWindows(const planState *state, const viommuVSMMU *vsmmu, const viommuPlanPort *port,
              const viommuWindows *coming)
{
    const viommuController *there = planFindController(state, port->controller);
    viommuWindows keeps = *coming;

    if (there && !vsmmu->reserve.pref64KiB)
        keeps.pref64 = MAX(keeps.pref64, there->keeps.pref64);
    if (there && !port->generated && there->keeps.mem)
        keeps.mem = there->keeps.mem;
    else if (there && !vsmmu->reserve.memKiB)
        keeps.mem = MAX(keeps.mem, there->keeps.mem);
    return keeps;
}

static bool
hasSpare(const viommuVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        if (((const viommuPlanPort *)g_ptr_array_index(vsmmu->ports, i))->spare)
            return true;
    }
    return false;
}

/* Windows for the ports below @vsmmu, if one of them is spare. */
static void
keepWindows(planState *state, viommuVSMMU *vsmmu)
{
    bool spare = hasSpare(vsmmu);
    viommuWindows coming;
    size_t i;

    vsmmu->reserve = planFindRequest(state, vsmmu->smmu, vsmmu->controller)->reserve;
    coming = spareWindows(vsmmu);
    for (i = 0; spare && i < vsmmu->ports->len; i++) {
        viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (port->spare)
            port->keeps = chooseWindows(state, vsmmu, port, &coming);
        else
            port->keeps.pref64 = RESERVE_MIN;
        port->noIO = port->spare;
    }
    if (spare)
        planReason(state, "P6", vsmmu->smmu->name,
                   "ports keep a 64-bit window (pref64-reserve), spare ones also one below 4 GiB (memReserve), so that "
                   "hotplug does not move the BARs of their neighbours; spare ones keep no I/O space (io-reserve), of "
                   "which all ports share 64 KiB");
}

/* What all ports below @vsmmu take. */
static void
addVSMMU(windowSums *to, const viommuVSMMU *vsmmu)
{
    bool spare = hasSpare(vsmmu);
    windowSums bus = { 0 };
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (!port->spare)
            continue;
        addWindow(&bus.pref64, port->keeps.pref64);
        addWindow(&bus.mem, port->keeps.mem);
    }
    for (i = 0; i < vsmmu->devices->len; i++) {
        viommuWindows need = viommuWindowsOf(((viommuPlanDevice *)g_ptr_array_index(vsmmu->devices, i))->host);

        addWindow(&bus.pref64, MAX(need.pref64, spare ? RESERVE_MIN : 0));
        addWindow(&bus.mem, MAX(need.mem, RESERVE_MIN));
    }
    addBus(&to->pref64, &bus.pref64);
    addBus(&to->mem, &bus.mem);
}

static windowSums
sumWindows(const planState *state)
{
    windowSums sums = { 0 };
    size_t i;

    for (i = 0; i < state->plan->vsmmus->len; i++)
        addVSMMU(&sums, g_ptr_array_index(state->plan->vsmmus, i));
    return sums;
}

static uint64_t
needBelow4G(const windowSums *sums)
{
    return sums->mem.sum + MAX(sums->mem.largest, MEM_REST);
}

/* Spare ports keep at most @limit below 4 GiB, where nobody said how much. */
static void
limitMem(const planState *state, uint64_t limit)
{
    size_t i, j;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; !vsmmu->reserve.memKiB && j < vsmmu->ports->len; j++) {
            viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, j);
            const viommuController *there = planFindController(state, port->controller);

            if (port->spare && (port->generated || !there || !there->keeps.mem))
                port->keeps.mem = MIN(port->keeps.mem, limit);
        }
    }
}

/* Below 4 GiB the guest has one window of one size. Without spare ports it is the firmware's alone; where all that
 * could come has no room, spare ports keep less. */
static bool
fitMem(planState *state, windowSums *sums)
{
    uint64_t largest = sums->mem.largest;
    uint64_t limit;
    size_t i;

    for (limit = largest / 2; needBelow4G(sums) > MEM_SIZE && limit >= RESERVE_MIN; limit /= 2) {
        limitMem(state, limit);
        *sums = sumWindows(state);
    }
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        if (!hasSpare(vsmmu) || needBelow4G(sums) <= MEM_SIZE)
            continue;
        planRefuse(state, "V19", planFindRequest(state, vsmmu->smmu, vsmmu->controller)->line,
                   "firmware would leave devices without BARs",
                   "write a smaller memReserve in <placement> (in KiB, at least 2048), or fewer sparePorts",
                   "the windows below 4 GiB that ports keep add up to %u MiB with what firmware needs, and the guest "
                   "has %u MiB", (unsigned)(needBelow4G(sums) / MIB), (unsigned)(MEM_SIZE / MIB));
        return false;
    }
    return true;
}

bool
planSizeWindow(planState *state)
{
    const viommuController *root = viommuDomainFindRoot(state->dom);
    uint64_t user = root ? root->hole64KiB * KIB : 0;
    windowSums sums;
    uint64_t need;
    size_t i;

    if (state->dom->ownsHole64)
        user = state->dom->userHole64KiB * KIB;
    for (i = 0; i < state->plan->vsmmus->len; i++)
        keepWindows(state, g_ptr_array_index(state->plan->vsmmus, i));
    sums = sumWindows(state);
    if (!fitMem(state, &sums))
        return false;
    /* The largest once more for what is in front of the first: pcie.0. */
    need = viommuWindowRound(sums.pref64.sum + MAX(sums.pref64.largest, WINDOW_REST));
    if (root && (root->hole64Bad || (user && (user < WINDOW_MIN || viommuWindowRound(user) != user)))) {
        planRefuse(state, "V19", root->line, "highmem-mmio-size is not a power of 2, or lower than 512 GiB",
                   "remove <pcihole64>; viommu writes it where it is needed",
                   "<pcihole64> is no power of two of at least 512 GiB");
        return false;
    }
    state->plan->hole64KiB = user / KIB;
    if (need <= MAX(user, WINDOW_MIN))
        return true;
    state->plan->hole64KiB = need / KIB;
    planReason(state, "P10", "domain", "a 64-bit window of %u GiB for the BARs of the host devices",
               (unsigned)(need / GIB));
    return true;
}
