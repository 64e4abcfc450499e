/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt makes of pcie.0 where it knows nothing of the expander buses on it, which are arguments of QEMU then:
 * how many bus numbers and slots it takes. It gives a root port to every device without address, also to the host
 * devices that are moved away from it (seen with 11.3).
 */
#include "viommu_expand_priv.h"
#include "viommu_plan_implied.h"

/* A pcie-to-pci-bridge has slots 1 to 31 for conventional devices. */
#define BRIDGE_SLOTS 31

typedef struct {
    const viommuDomain *dom;
    bool addressed[VIOMMU_PCI_INDEX_MAX + 1]; /* something has an address on that bus */
    unsigned highest;                         /* index that is used: libvirt fills gaps below it with root ports */
} rootTree;

/* The controller of that index, unless an expansion made it and libvirt is not to know of it; or NULL. */
static const viommuController *
findOwn(const viommuDomain *dom, unsigned index)
{
    const viommuController *there = viommuDomainFindController(dom, index);

    return there && !viommuDomainIsGenerated(dom, there) ? there : NULL;
}

static bool
hasAddress(const viommuDomain *dom, bool there, const viommuGuestAddr *addr)
{
    const viommuController *bus = there ? viommuDomainFindController(dom, addr->bus) : NULL;

    return there && (!bus || !viommuDomainIsGenerated(dom, bus));
}

static void
noteAddress(rootTree *tree, const viommuGuestAddr *addr)
{
    tree->addressed[addr->bus] = true;
    tree->highest = MAX(tree->highest, addr->bus);
}

static void
noteAddresses(rootTree *tree)
{
    const viommuDomain *dom = tree->dom;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(dom->controllers, i);

        if (viommuDomainIsGenerated(dom, there))
            continue;
        tree->highest = MAX(tree->highest, there->index);
        if (hasAddress(dom, there->hasAddr, &there->addr))
            noteAddress(tree, &there->addr);
    }
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (hasAddress(dom, device->hasAddr, &device->addr))
            noteAddress(tree, &device->addr);
    }
}

/* Devices of that kind to which libvirt gives an address. */
static unsigned
countPlaceless(const viommuDomain *dom, viommuDeviceKind kind)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        count += device->kind == kind && !hasAddress(dom, device->hasAddr, &device->addr);
    }
    return count;
}

/* Controllers that take a port and have no address; *@ret_ports: those that are root ports, which take none. */
static unsigned
countBridges(const viommuDomain *dom, unsigned *ret_ports)
{
    unsigned bridges = 0;
    size_t i;

    for (*ret_ports = 0, i = 0; i < dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(dom->controllers, i);

        if (there->model == VIOMMU_PCI_ROOT || there->hasAddr || viommuDomainIsGenerated(dom, there))
            continue;
        if (there->model == VIOMMU_PCI_ROOT_PORT)
            ++*ret_ports;
        else
            bridges++;
    }
    return bridges;
}

/* Controllers and video cards that libvirt adds. */
static unsigned
countImplied(const viommuDomain *dom, bool *ret_conventional)
{
    planImplied needs;
    unsigned count = 0;
    size_t i;

    planFindImplied(dom, &needs);
    for (i = 0; i < PLAN_IMPLIED_LAST; i++)
        count += needs.wanted[i];
    *ret_conventional = g_strcmp0(needs.unmetType, "sata") == 0;
    return count + (needs.unmet && !*ret_conventional ? 1 + needs.unmetIndex : 0);
}

void
expandCountRoot(const viommuDomain *dom, unsigned *ret_buses, unsigned *ret_slots)
{
    rootTree tree = { .dom = dom };
    bool sata;
    unsigned placeless; /* root ports without address */
    unsigned wanted = countBridges(dom, &placeless) + countImplied(dom, &sata) +
                      countPlaceless(dom, VIOMMU_DEVICE_ASSIGNED) + countPlaceless(dom, VIOMMU_DEVICE_PCIE);
    unsigned bridges = (countPlaceless(dom, VIOMMU_DEVICE_PCI) + sata + BRIDGE_SLOTS - 1) / BRIDGE_SLOTS;
    unsigned unused = 0;
    unsigned i;

    noteAddresses(&tree);
    for (i = 1; i <= tree.highest; i++) {
        const viommuController *there = findOwn(dom, i);

        placeless += !there;
        unused += !tree.addressed[i] && (!there || there->model == VIOMMU_PCI_ROOT_PORT);
    }
    wanted += bridges;
    wanted -= MIN(wanted, unused);
    /* Where no controller is written libvirt adds one port more, for hotplug. */
    wanted += wanted && !tree.highest;
    *ret_buses = 1 + tree.highest + wanted + bridges;
    *ret_slots = (placeless + wanted + EXPAND_FUNCTIONS - 1) / EXPAND_FUNCTIONS +
                 countPlaceless(dom, VIOMMU_DEVICE_ROOT);
}
