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
/* A window that lets Linux place the BARs of a hotplugged NVMe or NIC without moving its neighbours. */
#define RESERVE_MIN (2 * MIB)

/* What a spare port below @vsmmu keeps: as was asked, or enough for any device that its SMMU has. */
static uint64_t
spareWindow(const viommuVSMMU *vsmmu)
{
    uint64_t largest = RESERVE_MIN;
    size_t i;

    if (vsmmu->reserveKiB)
        return vsmmu->reserveKiB * KIB;
    for (i = 0; i < vsmmu->smmu->devices->len; i++) {
        const virSMMUDevice *host = g_ptr_array_index(vsmmu->smmu->devices, i);

        if (!host->bridge)
            largest = MAX(largest, viommuWindowsOf(host).pref64);
    }
    return largest;
}

/* What a spare port has kept stays, as the device that it was for can come back to the host. */
static uint64_t
keptWindow(const planState *state, const viommuVSMMU *vsmmu, const viommuPlanPort *port)
{
    const viommuController *there = planFindController(state, port->controller);

    return there && !vsmmu->reserveKiB ? there->keeps.pref64 : 0;
}

/* What all devices below @vsmmu need. Firmware gives each root bus a window of its own, which begins where the largest
 * of its devices can; so what follows that one takes as much again (MdeModulePkg/Bus/Pci/PciHostBridgeDxe of EDK II).
 * *@largest becomes the window of the largest, if it is larger. */
static uint64_t
vsmmuWindow(planState *state, viommuVSMMU *vsmmu, uint64_t *largest)
{
    uint64_t sum = 0;
    uint64_t own = 1;
    uint64_t least = 0; /* that a port keeps */
    uint64_t coming;
    size_t i;

    vsmmu->reserveKiB = planFindRequest(state, vsmmu->smmu, vsmmu->controller)->reserveKiB;
    coming = spareWindow(vsmmu);
    for (i = 0; i < vsmmu->ports->len; i++) {
        viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (!port->spare)
            continue;
        least = RESERVE_MIN;
        port->noIO = true;
        port->keeps.pref64 = MAX(coming, keptWindow(state, vsmmu, port));
        sum += port->keeps.pref64;
        own = MAX(own, viommuWindowRound(port->keeps.pref64));
    }
    for (i = 0; i < vsmmu->devices->len; i++) {
        const viommuPlanDevice *dev = g_ptr_array_index(vsmmu->devices, i);
        uint64_t window = MAX(viommuWindowsOf(dev->host).pref64, least);

        sum += window;
        own = MAX(own, window);
    }
    for (i = 0; least && i < vsmmu->ports->len; i++) {
        viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (!port->keeps.pref64)
            port->keeps.pref64 = least;
    }
    if (least)
        planReason(state, "P6", vsmmu->smmu->name,
                   "ports keep a 64-bit window (pref64-reserve), so that hotplug does not move the BARs "
                   "of their neighbours; spare ones no I/O space (io-reserve), of which all ports share 64 KiB");
    *largest = MAX(*largest, own);
    return (sum + own - 1) / own * own;
}

bool
planSizeWindow(planState *state)
{
    const viommuController *root = viommuDomainFindRoot(state->dom);
    uint64_t user = root ? root->hole64KiB * KIB : 0;
    uint64_t largest = WINDOW_REST; /* what is in front of the first: pcie.0 */
    uint64_t need = 0;
    size_t i;

    if (state->dom->ownsHole64)
        user = state->dom->userHole64KiB * KIB;
    for (i = 0; i < state->plan->vsmmus->len; i++)
        need += vsmmuWindow(state, g_ptr_array_index(state->plan->vsmmus, i), &largest);
    need = viommuWindowRound(need + largest);
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
