/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Free root ports below an accel vSMMU, kept for hotplug (V22): libvirt takes any free port for any
 * device without address, and a guest gives a free port no room for the BARs of what is plugged
 * later.
 */
#include "viommu_check_priv.h"

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

        if (isSpare(bus))
            checkSpare(checker, bus, chosen);
    }
}
