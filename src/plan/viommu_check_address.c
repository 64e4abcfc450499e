/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest addresses that libvirt or QEMU refuse, or that the guest cannot find (V25): a bus that
 * nobody made, a place that two want, a controller that does not take such a device, a chassis
 * number given twice.
 */
#include "viommu_check_priv.h"

#define SLOT_MAX 31

/* One explicit address, of a controller or of a device. */
typedef struct {
    const viommuGuestAddr *addr;
    const char *what;
    unsigned line;
    viommuCheckBus *bus;  /* NULL: does not exist */
    viommuPCIModel model; /* of a controller */
    bool endpoint;        /* a device, no controller */
} place;

static unsigned
slotKey(const viommuGuestAddr *addr)
{
    return addr->bus * (SLOT_MAX + 1) + addr->slot;
}

static void
report(viommuChecker *checker, const place *at, const char *consequence, const char *remedy,
       const char *wrong)
{
    viommuFindingsAdd(checker->findings, "V25", VIOMMU_SEVERITY_ERROR, at->line, consequence,
                      remedy, "%s has the guest address %04x:%02x:%02x.%x, %s", at->what,
                      at->addr->domain, at->addr->bus, at->addr->slot, at->addr->function, wrong);
}

/* Why libvirt does not put @at on a controller of that model, as "requires a controller that
 * accepts ..."; NULL if it does. */
static const char *
refusedBy(const place *at, viommuPCIModel parent)
{
    bool port = parent == VIOMMU_PCI_ROOT_PORT || parent == VIOMMU_PCI_DOWNSTREAM;

    if (at->endpoint)
        return parent == VIOMMU_PCI_EXPANDER || parent == VIOMMU_PCI_UPSTREAM
                   ? "a PCI Express device"
                   : NULL;
    switch (at->model) {
    case VIOMMU_PCI_EXPANDER:
        return parent == VIOMMU_PCI_ROOT ? NULL : "a pcie-expander-bus";
    case VIOMMU_PCI_ROOT_PORT:
        return parent == VIOMMU_PCI_ROOT || parent == VIOMMU_PCI_EXPANDER ? NULL
                                                                          : "a pcie-root-port";
    case VIOMMU_PCI_UPSTREAM:
        return port ? NULL : "a pcie-switch-upstream-port";
    case VIOMMU_PCI_DOWNSTREAM:
        return parent == VIOMMU_PCI_UPSTREAM ? NULL : "a pcie-switch-downstream-port";
    case VIOMMU_PCI_ROOT:
    case VIOMMU_PCI_TO_PCI_BRIDGE:
    case VIOMMU_PCI_OTHER:
        break;
    }
    return NULL;
}

static void
checkParent(viommuChecker *checker, const place *at)
{
    viommuPCIModel parent = at->bus->model;
    const char *wanted = refusedBy(at, parent);

    if (wanted) {
        g_autofree char *words =
            g_strdup_printf("libvirt refuses it: the device at PCI address %04x:%02x:%02x.%x "
                            "cannot be plugged into the PCI "
                            "controller with index='%u'. It requires a controller that accepts %s",
                            at->addr->domain, at->addr->bus, at->addr->slot, at->addr->function,
                            at->addr->bus, wanted);

        report(checker, at, words,
               at->endpoint ? "put a pcie-root-port on that bus and the device on the port"
                            : "give it an address on a controller that takes it",
               "which is on a controller that does not take it");
        return;
    }
    if (parent == VIOMMU_PCI_ROOT_PORT || parent == VIOMMU_PCI_DOWNSTREAM) {
        if (at->addr->slot > 0)
            report(checker, at, "libvirt refuses it: Invalid PCI address. slot must be <= 0",
                   "give it slot 0: a port has only that", "but a port has only slot 0");
    } else if (parent == VIOMMU_PCI_ROOT || parent == VIOMMU_PCI_TO_PCI_BRIDGE) {
        if (at->addr->slot == 0)
            report(checker, at, "libvirt refuses it: Invalid PCI address. slot must be >= 1",
                   "give it a slot from 1 to 31", "but slot 0 there is taken by the bus itself");
    }
}

static void
checkPlace(viommuChecker *checker, const place *at)
{
    if (at->addr->domain != 0) {
        report(checker, at, "libvirt refuses it: Only PCI domain 0 is available",
               "give it an address in PCI domain 0", "but a guest has one PCI domain");
        return;
    }
    if (at->bus && at->bus->model != VIOMMU_PCI_OTHER &&
        (at->bus->controller || at->bus->index == 0)) {
        checkParent(checker, at);
        return;
    }
    if (checker->open || (at->bus && at->bus->controller))
        return;
    viommuFindingsAdd(checker->findings, "V25", VIOMMU_SEVERITY_WARNING, at->line,
                      "libvirt makes a root port of that index on pcie.0, below no vSMMU",
                      "give it a bus that a <controller type='pci'> has as its index",
                      "%s has a guest address on bus %u, which no controller has", at->what,
                      at->addr->bus);
}

/* @taken: slot -> place of its function 0 and others, by address. */
static void
checkTwice(viommuChecker *checker, const GArray *places)
{
    g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
    size_t i;

    for (i = 0; i < places->len; i++) {
        const place *at = &g_array_index(places, place, i);
        unsigned key = slotKey(at->addr) * 8 + at->addr->function;
        const place *first = g_hash_table_lookup(taken, GUINT_TO_POINTER(key));
        g_autofree char *words = NULL;

        if (!first) {
            g_hash_table_insert(taken, GUINT_TO_POINTER(key), (void *)at);
            continue;
        }
        words =
            g_strdup_printf("libvirt refuses it: Attempted double use of PCI Address "
                            "%04x:%02x:%02x.%x",
                            at->addr->domain, at->addr->bus, at->addr->slot, at->addr->function);
        viommuFindingsAdd(checker->findings, "V25", VIOMMU_SEVERITY_ERROR, at->line, words,
                          "give each an address of its own",
                          "%s has the guest address %04x:%02x:%02x.%x, as %s in line %u has",
                          at->what, at->addr->domain, at->addr->bus, at->addr->slot,
                          at->addr->function, first->what, first->line);
    }
}

/* A guest looks at functions 1-7 of a slot only if there is a function 0. */
static void
checkFunctions(viommuChecker *checker, const GArray *places)
{
    g_autoptr(GHashTable) zero = g_hash_table_new(NULL, NULL);
    size_t i;

    for (i = 0; i < places->len; i++) {
        const place *at = &g_array_index(places, place, i);

        if (at->addr->function == 0)
            g_hash_table_add(zero, GUINT_TO_POINTER(slotKey(at->addr)));
    }
    for (i = 0; i < places->len; i++) {
        const place *at = &g_array_index(places, place, i);

        if (at->addr->function > 0 &&
            !g_hash_table_contains(zero, GUINT_TO_POINTER(slotKey(at->addr))))
            report(checker, at, "the guest does not look at that slot: no function 0 answers there",
                   "give it function 0", "but nothing has function 0 of that slot");
    }
}

static void
collect(const viommuChecker *checker, GArray *places, GPtrArray *names)
{
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        const viommuController *controller =
            ((const viommuCheckBus *)g_ptr_array_index(checker->buses, i))->controller;
        place at;

        if (!controller || !controller->hasAddr)
            continue;
        at = (place){ .addr = &controller->addr,
                      .what = g_strdup_printf("controller %u", controller->index),
                      .line = viommuCheckLine(checker, controller->node, "address"),
                      .bus = checker->byIndex[controller->addr.bus],
                      .model = controller->model };
        g_ptr_array_add(names, (char *)at.what);
        g_array_append_val(places, at);
    }
    for (i = 0; i < checker->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(checker->dom->devices, i);
        place at;

        if (!device->hasAddr || device->kind == VIOMMU_DEVICE_NONE)
            continue;
        at = (place){ .addr = &device->addr,
                      .what = device->what,
                      .line = viommuXMLLine(checker->dom->xml, device->addrNode),
                      .bus = checker->byIndex[device->addr.bus],
                      .endpoint = true };
        g_array_append_val(places, at);
    }
}

/* QEMU tells ports apart by chassis and slot, and libvirt never writes the slot: "port" is another
 * thing. */
static void
checkChassis(viommuChecker *checker)
{
    const viommuCheckBus *owner[256] = { 0 };
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);
        const viommuController *controller = bus->controller;
        unsigned chassis = bus->index;

        if (bus->model != VIOMMU_PCI_ROOT_PORT && bus->model != VIOMMU_PCI_DOWNSTREAM)
            continue;
        if (controller && controller->chassis >= 0)
            chassis = (unsigned)controller->chassis;
        if (chassis >= G_N_ELEMENTS(owner))
            continue;
        if (!owner[chassis]) {
            owner[chassis] = bus;
            continue;
        }
        if (!controller)
            controller = owner[chassis]->controller;
        viommuFindingsAdd(checker->findings, "V25", VIOMMU_SEVERITY_ERROR,
                          controller ? viommuCheckLine(checker, controller->node, "target") : 0,
                          "QEMU refuses to start: Can't add chassis slot, error -16",
                          "give each port a chassis of its own; its index is a good one",
                          "ports %u and %u have the same chassis, %u", owner[chassis]->index,
                          bus->index, chassis);
    }
}

/* Controllers that hang in each other, or on nothing. */
static void
checkLoops(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);

        if (bus->top || !bus->parent || bus->model == VIOMMU_PCI_OTHER || !bus->controller)
            continue;
        viommuFindingsAdd(
            checker->findings, "V25", VIOMMU_SEVERITY_ERROR,
            viommuCheckLine(checker, bus->controller->node, "address"),
            "QEMU finds no bus to begin with",
            "give one of the controllers above it an address on pcie.0 or on an expander bus",
            "controller %u leads to no root: those above it hang in each other", bus->index);
    }
}

void
viommuCheckAddresses(viommuChecker *checker)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(place));
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    size_t i;

    if (!checker->smmuv3)
        return;
    collect(checker, places, names);
    for (i = 0; i < places->len; i++)
        checkPlace(checker, &g_array_index(places, place, i));
    checkTwice(checker, places);
    if (!checker->open)
        checkFunctions(checker, places);
    checkChassis(checker);
    checkLoops(checker);
}
