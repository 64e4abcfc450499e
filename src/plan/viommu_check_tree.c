/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's PCI tree: which controller hangs below which, which vSMMU stands on which root, and
 * which device sits where. Places that the XML leaves open are filled in by
 * viommu_check_complete.c.
 */
#include "viommu_check_priv.h"

#include <string.h>

/* Longer ways up are loops: there are no more bus numbers than that. */
#define HOPS_MAX 256

static void
seatFree(void *data)
{
    viommuCheckSeat *seat = data;

    g_free(seat->what);
    g_free(seat);
}

static void
vsmmuFree(void *data)
{
    viommuCheckVSMMU *vsmmu = data;

    g_ptr_array_unref(vsmmu->seats);
    g_free(vsmmu);
}

viommuCheckBus *
viommuCheckerAddBus(viommuChecker *checker, unsigned index, viommuPCIModel model,
                    viommuCheckBus *parent)
{
    viommuCheckBus *bus = g_new0(viommuCheckBus, 1);

    bus->index = index;
    bus->model = model;
    bus->parent = parent;
    if (index < G_N_ELEMENTS(checker->byIndex))
        checker->byIndex[index] = bus;
    g_ptr_array_add(checker->buses, bus);
    return bus;
}

viommuCheckVSMMU *
viommuCheckSeatVSMMU(const viommuCheckSeat *seat)
{
    return seat->bus && seat->bus->top ? seat->bus->top->vsmmu : NULL;
}

bool
viommuCheckIsLegacy(const viommuIOMMU *iommu)
{
    return strcmp(iommu->model, "smmuv3") == 0 && iommu->pciBus == VIOMMU_UNSET &&
           iommu->nested != 1;
}

unsigned
viommuCheckLine(const viommuChecker *checker, const xmlNode *node, const char *name)
{
    const xmlNode *child = viommuXMLChild(node, name);

    return viommuXMLLine(checker->dom->xml, child ? child : node);
}

char *
viommuCheckBusAlias(const viommuCheckBus *bus)
{
    const char *alias = bus->controller ? bus->controller->alias : NULL;

    /* libvirt keeps only aliases that start so (VIR_DOMAIN_USER_ALIAS_PREFIX). */
    if (alias && g_str_has_prefix(alias, "ua-"))
        return g_strdup(alias);
    return bus->model == VIOMMU_PCI_ROOT ? g_strdup("pcie.0")
                                         : g_strdup_printf("pci.%u", bus->index);
}

static void
addControllers(viommuChecker *checker)
{
    const GPtrArray *controllers = checker->dom->controllers;
    size_t i;

    for (i = 0; i < controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(controllers, i);
        viommuCheckBus *bus =
            viommuCheckerAddBus(checker, controller->index, controller->model, NULL);

        bus->controller = controller;
    }
    if (checker->dom->implicitRoot && !checker->byIndex[0])
        viommuCheckerAddBus(checker, 0, VIOMMU_PCI_ROOT, NULL);
}

/* Parents by address; and pcie-root for what libvirt always puts there. */
static void
linkControllers(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);
        bool toRoot = bus->model == VIOMMU_PCI_ROOT_PORT || bus->model == VIOMMU_PCI_EXPANDER;

        if (bus->controller && bus->controller->hasAddr)
            bus->parent = checker->byIndex[bus->controller->addr.bus];
        else if (toRoot)
            bus->parent = checker->byIndex[0];
        if (bus->parent)
            bus->parent->users++;
    }
}

static bool
wantsSeat(const viommuDevice *device)
{
    /* <address type='unassigned'/> keeps a host device out of the guest. */
    return device->kind != VIOMMU_DEVICE_NONE &&
           (!device->addrNode || g_strcmp0(viommuXMLAttr(device->addrNode, "type"), "pci") == 0);
}

static void
addSeats(viommuChecker *checker)
{
    const virSMMUTopology *host = checker->context->host;
    size_t i;

    for (i = 0; i < checker->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(checker->dom->devices, i);
        viommuCheckSeat *seat;

        if (!wantsSeat(device))
            continue;
        seat = g_new0(viommuCheckSeat, 1);
        seat->device = device;
        seat->element = device->element;
        seat->what = g_strdup(device->what);
        seat->line = device->line;
        seat->kind = device->kind;
        if (device->kind == VIOMMU_DEVICE_ASSIGNED && device->haveSource && host)
            seat->host = virSMMUTopologyFindDevice(host, &device->source);
        if (device->hasAddr)
            seat->bus = checker->byIndex[device->addr.bus];
        if (seat->bus)
            seat->bus->users++;
        g_ptr_array_add(checker->seats, seat);
    }
}

static viommuCheckBus *
findTop(viommuCheckBus *bus)
{
    unsigned hops;

    for (hops = 0; hops < HOPS_MAX; hops++) {
        if (bus->model == VIOMMU_PCI_ROOT || bus->model == VIOMMU_PCI_EXPANDER)
            return bus;
        if (!bus->parent)
            return NULL;
        bus = bus->parent;
    }
    return NULL;
}

static void
resolveTops(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);

        bus->top = findTop(bus);
        if (bus->top && bus->top != bus)
            bus->top->below++;
    }
}

static bool
isAccel(const viommuChecker *checker, const viommuIOMMU *iommu)
{
    if (iommu->accel != VIOMMU_UNSET)
        return iommu->accel == 1;
    return iommu->nested == 1 && checker->dom->virtType != VIOMMU_VIRT_QEMU;
}

static void
addVSMMUs(viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);
        viommuCheckBus *bus = NULL;
        viommuCheckVSMMU *vsmmu;

        if (strcmp(iommu->model, "smmuv3") != 0 || iommu->pciBus == VIOMMU_UNSET)
            continue;
        if (iommu->pciBus >= 0 && iommu->pciBus < (int)G_N_ELEMENTS(checker->byIndex))
            bus = checker->byIndex[iommu->pciBus];
        vsmmu = g_new0(viommuCheckVSMMU, 1);
        vsmmu->iommu = iommu;
        vsmmu->accel = isAccel(checker, iommu);
        vsmmu->seats = g_ptr_array_new();
        if (bus && bus->top == bus)
            vsmmu->bus = bus;
        if (vsmmu->bus && !bus->vsmmu)
            bus->vsmmu = vsmmu;
        g_ptr_array_add(checker->vsmmus, vsmmu);
    }
    for (i = 0; i < checker->seats->len; i++) {
        viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        viommuCheckVSMMU *vsmmu = viommuCheckSeatVSMMU(seat);

        if (vsmmu && seat->kind == VIOMMU_DEVICE_ASSIGNED)
            g_ptr_array_add(vsmmu->seats, seat);
    }
}

/* What kind of domain it is. */
static void
classify(viommuChecker *checker)
{
    const viommuDomain *dom = checker->dom;
    bool request = viommuDomainIsRequest(dom);
    bool placed = false;
    bool waiting = false;
    bool accel = false;
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") != 0)
            continue;
        checker->smmuv3 = true;
        placed = placed || iommu->pciBus != VIOMMU_UNSET;
        waiting = waiting || (iommu->nested == 1 && iommu->pciBus == VIOMMU_UNSET);
        accel = accel || isAccel(checker, iommu);
    }
    /* What an expansion noted and is gone is a loss, not a request to come. */
    checker->smmuv3 = checker->smmuv3 || dom->placed->len > 0;
    checker->open = request && ((!placed && dom->placed->len == 0) || waiting);
    checker->nested = request || accel;
    checker->accel = checker->nested && dom->virtType != VIOMMU_VIRT_QEMU;
}

void
viommuCheckerInit(viommuChecker *checker, const viommuDomain *dom,
                  const viommuCheckContext *context, GPtrArray *findings)
{
    memset(checker, 0, sizeof(*checker));
    checker->dom = dom;
    checker->context = context;
    checker->findings = findings;
    checker->buses = g_ptr_array_new_with_free_func(g_free);
    checker->seats = g_ptr_array_new_with_free_func(seatFree);
    checker->vsmmus = g_ptr_array_new_with_free_func(vsmmuFree);
    classify(checker);
    addControllers(checker);
    if (checker->smmuv3 && !checker->open)
        viommuCheckAddGaps(checker);
    linkControllers(checker);
    addSeats(checker);
    if (checker->smmuv3 && !checker->open)
        viommuCheckComplete(checker);
    resolveTops(checker);
    addVSMMUs(checker);
}

char *
viommuCheckAnew(const viommuDomain *dom, const char *before)
{
    g_autofree char *name = g_shell_quote(dom->name ? dom->name : "DOMAIN");

    return g_strdup_printf("%splace the domain anew: virsh dumpxml --inactive %s | viommu define -", before, name);
}

void
viommuCheckerClear(viommuChecker *checker)
{
    g_ptr_array_unref(checker->vsmmus);
    g_ptr_array_unref(checker->seats);
    g_ptr_array_unref(checker->buses);
}
