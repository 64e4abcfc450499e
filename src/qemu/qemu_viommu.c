/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vSMMU part of a QEMU command line: expander buses and root ports, vSMMUs, host devices. The rest of a
 * domain is qemu_viommu_full.c's.
 */
#include "qemu_viommu.h"

#include "qemu_viommu_assigned.h"
#include "qemu_viommu_bus.h"
#include "qemu_viommu_override.h"
#include "qemu_viommu_places.h"
#include "qemu_viommu_smmu.h"

static void
use(const GPtrArray *buses, const viommuGuestAddr *addr)
{
    qemuViommuBus *bus = qemuViommuBusFind(buses, addr->bus);

    if (bus)
        bus->used[addr->slot] |= (uint8_t)(1u << addr->function);
}

/* libvirt says multifunction='on' itself where the user has several functions in a slot and did not. */
static void
fixAddresses(const GPtrArray *buses, const GPtrArray *assigned)
{
    size_t i;

    for (i = 0; i < buses->len; i++)
        use(buses, &((qemuViommuBus *)g_ptr_array_index(buses, i))->addr);
    for (i = 0; i < assigned->len; i++)
        use(buses, &((qemuViommuAssigned *)g_ptr_array_index(assigned, i))->addr);
    for (i = 0; i < assigned->len; i++)
        qemuViommuBusesFixAddress(buses, &((qemuViommuAssigned *)g_ptr_array_index(assigned, i))->addr);
}

/* Everything but buses and vSMMUs, which that QEMU makes. */
static void
placedByQEMU(const viommuPlan *plan, const qemuViommuWords *words, GPtrArray *assigned, GPtrArray *args)
{
    size_t i;

    qemuViommuPlacesArgs(words, plan, args);
    for (i = 0; i < assigned->len; i++)
        ((qemuViommuAssigned *)g_ptr_array_index(assigned, i))->byQEMU = true;
}

static void
placed(const viommuDomain *dom, const viommuPlan *plan, const qemuViommuWords *words, GPtrArray *assigned,
       GPtrArray *args)
{
    g_autoptr(GPtrArray) buses = qemuViommuBusesOfPlan(dom, plan);

    fixAddresses(buses, assigned);
    qemuViommuMachineWords(words, plan, args);
    qemuViommuBusesArgs(buses, dom, args);
    qemuViommuSMMUArgs(dom, plan, words, args);
}

GPtrArray *
qemuViommuArgs(const viommuDomain *dom, const viommuPlan *plan, const qemuViommuWords *words, qemuViommuOpen open,
               GError **error)
{
    g_autoptr(GPtrArray) args = qemuViommuArgsNew();
    g_autoptr(GPtrArray) assigned = qemuViommuAssignedOfDomain(dom, plan);
    qemuViommuWords native;

    if (!words) {
        qemuViommuWordsInit(&native, QEMU_VIOMMU_DIALECT_NATIVE, NULL);
        words = &native;
    }
    if (!qemuViommuWordsFit(words, dom, plan, error))
        return NULL;
    if (plan->hole64KiB && plan->vsmmus->len > 0)
        qemuViommuArgsAddf(args, "-machine", "highmem-mmio-size=%" G_GUINT64_FORMAT "K",
                           qemuViommuWordsWindow(words, plan->hole64KiB));
    if (words->driver)
        placed(dom, plan, words, assigned, args);
    else if (plan->vsmmus->len > 0)
        placedByQEMU(plan, words, assigned, args);
    qemuViommuAssignedArgs(dom, assigned, words->driver ? open : QEMU_VIOMMU_OPEN_BY_QEMU, args);
    /* Nothing is lost by an override that libvirt would refuse the domain for. */
    qemuViommuApplyOverride(dom, plan, args, NULL);
    if (!words->driver)
        qemuViommuPlacesDevices(args);
    return g_steal_pointer(&args);
}
