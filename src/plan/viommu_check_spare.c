/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Free root ports below an accel vSMMU, kept for hotplug (V22): libvirt takes any free port for any
 * device without address, and a guest gives a free port no room for the BARs of what is plugged
 * later, or too little.
 */
#include "viommu_check_priv.h"

#include <string.h>

static bool
isSpare(const viommuCheckBus *bus)
{
    bool port = bus->model == VIOMMU_PCI_ROOT_PORT || bus->model == VIOMMU_PCI_DOWNSTREAM;

    return port && bus->controller && bus->users == 0 && bus->top && bus->top->vsmmu &&
           bus->top->vsmmu->accel && bus->top->model == VIOMMU_PCI_EXPANDER;
}

static unsigned
countChosen(const viommuChecker *checker)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        count += seat->chosen && seat->kind != VIOMMU_DEVICE_ROOT;
    }
    return count;
}

static void
checkFilled(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        const viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);

        if (!seat->chosen || seat->kind != VIOMMU_DEVICE_ASSIGNED || !vsmmu || !vsmmu->accel)
            continue;
        viommuFindingsAdd(
            checker->findings, "V22", VIOMMU_SEVERITY_WARNING, seat->line,
            "with another device added it may be another port, below another vSMMU",
            "give it an address",
            "%s has no address, and libvirt puts it on the free port %u below the vSMMU of "
            "controller %u (line %u)",
            seat->what, seat->bus->index, vsmmu->bus->index, vsmmu->iommu->line);
    }
}

static void
checkSpare(viommuChecker *checker, const viommuCheckBus *bus, unsigned chosen)
{
    g_autofree char *alias = viommuCheckBusAlias(bus);

    if (chosen > 0)
        viommuFindingsAdd(
            checker->findings, "V22", VIOMMU_SEVERITY_WARNING, bus->controller->line,
            "below an accel vSMMU QEMU refuses emulated devices",
            "give every PCI device an address, or remove the port",
            "port %u below the vSMMU of controller %u is free, and libvirt chooses ports for "
            "%u devices without address",
            bus->index, bus->top->index, chosen);
    /* In viommu's own dialect the windows are not written out yet. */
    if (bus->top->vsmmu->iommu->nested != 1 && !bus->controller->keeps.pref64)
        viommuFindingsAdd(
            checker->findings, "V22", VIOMMU_SEVERITY_WARNING, bus->controller->line,
            "when a device is plugged there the guest moves the windows of its neighbours, "
            "and a running device loses its BARs",
            "set pref64-reserve on the port by <qemu:override>",
            "port %u below the vSMMU of controller %u is free and reserves no 64-bit window "
            "(alias '%s')",
            bus->index, bus->top->index, alias);
}

/* The SMMU that @vsmmu stands for: of a device below it, or as it was noted. NULL: not known. */
static const virSMMU *
smmuBehind(const viommuChecker *checker, const viommuCheckVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; i < vsmmu->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(vsmmu->seats, i);

        if (seat->host && seat->host->smmu)
            return seat->host->smmu;
    }
    for (i = 0; i < checker->dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(checker->dom->placed, i);

        if (placed->controller == vsmmu->bus->index)
            return virSMMUTopologyFindSMMU(checker->context->host, placed->smmu);
    }
    return NULL;
}

static bool
isInDomain(const viommuChecker *checker, const virSMMUDevice *host)
{
    size_t i;

    for (i = 0; i < checker->seats->len; i++) {
        if (((const viommuCheckSeat *)g_ptr_array_index(checker->seats, i))->host == host)
            return true;
    }
    return false;
}

/* KiB of the BARs of @host that go into the 64-bit window, or into the one below 4 GiB: no alignment. */
static uint64_t
barsKiB(const virSMMUDevice *host, bool pref64)
{
    uint64_t bytes = 0;
    size_t i;

    for (i = 0; i < host->bars->len; i++) {
        const virSMMUBar *bar = &g_array_index(host->bars, virSMMUBar, i);

        if ((bar->memory64 && bar->prefetch) == pref64)
            bytes = bytes > UINT64_MAX - bar->size ? UINT64_MAX : bytes + bar->size;
    }
    return bytes / 1024;
}

/* Was it asked that ports for @smmu keep just what they keep? */
static bool
isAsked(const viommuDomain *dom, const virSMMU *smmu, bool pref64)
{
    size_t i;

    for (i = 0; i < dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(dom->requests, i);

        if ((!request->smmu || strcmp(request->smmu, smmu->name) == 0) &&
            (pref64 ? request->reserve.pref64KiB : request->reserve.memKiB))
            return true;
    }
    return false;
}

/* Is the window that @bus keeps too small for some device that may come? */
static void
checkSize(viommuChecker *checker, const viommuCheckBus *bus, const virSMMU *smmu, bool pref64)
{
    uint64_t keeps = (pref64 ? bus->controller->keeps.pref64 : bus->controller->keeps.mem) / 1024;
    const virSMMUDevice *largest = NULL;
    uint64_t need = keeps;
    size_t i;

    for (i = 0; keeps && i < smmu->devices->len; i++) {
        const virSMMUDevice *host = g_ptr_array_index(smmu->devices, i);

        if (!host->haveDetails || host->bridge || isInDomain(checker, host) || barsKiB(host, pref64) <= need)
            continue;
        largest = host;
        need = barsKiB(host, pref64);
    }
    if (largest && !isAsked(checker->dom, smmu, pref64))
        viommuFindingsAdd(checker->findings, "V22", VIOMMU_SEVERITY_NOTE, bus->controller->line,
                          "while the guest runs it is not plugged there",
                          pref64 ? "give the port a larger pref64-reserve if it is to come"
                                 : "give the port a larger memReserve if it is to come",
                          "port %u below the vSMMU of controller %u keeps %s of %" G_GUINT64_FORMAT " KiB, and %s of "
                          "the same SMMU needs %" G_GUINT64_FORMAT, bus->index, bus->top->index,
                          pref64 ? "a 64-bit window" : "a window below 4 GiB", (guint64)keeps, largest->name,
                          (guint64)need);
}

static void
checkSizes(viommuChecker *checker, const viommuCheckBus *bus)
{
    const virSMMU *smmu = checker->context->host ? smmuBehind(checker, bus->top->vsmmu) : NULL;

    if (!smmu)
        return;
    checkSize(checker, bus, smmu, true);
    checkSize(checker, bus, smmu, false);
}

void
viommuCheckSpares(viommuChecker *checker)
{
    unsigned chosen;
    size_t i;

    if (!checker->accel || checker->open)
        return;
    chosen = countChosen(checker);
    checkFilled(checker);
    for (i = 0; i < checker->buses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);

        if (!isSpare(bus))
            continue;
        checkSpare(checker, bus, chosen);
        checkSizes(checker, bus);
    }
}
