/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a hotplugged device can go.
 */
#include "viommu_attach.h"
#include "viommu_windows.h"

#include <string.h>

#define KIB UINT64_C(1024)
#define ANEW "define the domain with the device in it, and start it anew"
#define CANNOT_PLUG ANEW "; libvirt 12.1 can plug"

/* The expander bus of a vSMMU, if it exists. */
static const viommuController *
busOf(const viommuDomain *dom, const viommuIOMMU *iommu)
{
    const viommuController *bus = NULL;

    if (strcmp(iommu->model, "smmuv3") == 0 && iommu->pciBus > 0)
        bus = viommuDomainFindController(dom, (unsigned)iommu->pciBus);
    return bus && bus->model == VIOMMU_PCI_EXPANDER ? bus : NULL;
}

bool
viommuAttachMatters(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        if (busOf(dom, g_ptr_array_index(dom->iommus, i)))
            return true;
    }
    return viommuDomainIsRequest(dom);
}

/* Is @port a root port that nothing but @dev stands on? */
static bool
isFree(const viommuDomain *dom, const viommuController *port, const viommuDevice *dev)
{
    size_t i;

    if (port->model != VIOMMU_PCI_ROOT_PORT ||
        g_strcmp0(viommuXMLAttr(viommuXMLChild(port->node, "target"), "hotplug"), "off") == 0)
        return false;
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *other = g_ptr_array_index(dom->devices, i);

        if (other != dev && other->hasAddr && other->addr.domain == 0 &&
            other->addr.bus == port->index)
            return false;
    }
    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *other = g_ptr_array_index(dom->controllers, i);

        if (other->hasAddr && other->addr.bus == port->index)
            return false;
    }
    return true;
}

static int
compareIndexes(const void *a, const void *b)
{
    unsigned one = *(const unsigned *)a;
    unsigned two = *(const unsigned *)b;

    return one < two ? -1 : one > two;
}

/* Adds the free ports below @bus (NULL: below none), by index. */
static void
addFree(GArray *ports, const viommuDomain *dom, const viommuController *bus,
        const viommuDevice *dev)
{
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(unsigned));
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *port = g_ptr_array_index(dom->controllers, i);

        if (viommuDomainFindExpander(dom, port->index) == bus && isFree(dom, port, dev))
            g_array_append_val(found, port->index);
    }
    g_array_sort(found, compareIndexes);
    g_array_append_vals(ports, found->data, found->len);
}

/* Does the vSMMU on @bus stand for @smmu? The devices below it tell, or what an earlier expansion noted; with
 * neither it stands for none yet, which is NULL. */
static bool
standsFor(const viommuDomain *dom, const virSMMUTopology *host, const viommuController *bus,
          const viommuDevice *dev, const virSMMU *smmu)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *other = g_ptr_array_index(dom->devices, i);
        const virSMMUDevice *found = NULL;

        if (other != dev && other->haveSource && other->hasAddr &&
            viommuDomainFindExpander(dom, other->addr.bus) == bus)
            found = virSMMUTopologyFindDevice(host, &other->source);
        if (found)
            return smmu && found->smmu == smmu;
    }
    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        if (placed->controller == bus->index)
            return smmu && strcmp(placed->smmu, smmu->name) == 0;
    }
    return !smmu;
}

/* Adds the free ports below the vSMMUs that stand for @smmu (NULL: for none yet); returns how many these are. */
static unsigned
addFreeOf(GArray *ports, const viommuDomain *dom, const virSMMUTopology *host,
          const viommuDevice *dev, const virSMMU *smmu)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuController *bus = busOf(dom, g_ptr_array_index(dom->iommus, i));

        if (!bus || !standsFor(dom, host, bus, dev, smmu))
            continue;
        count++;
        addFree(ports, dom, bus, dev);
    }
    return count;
}

/* What to do in a domain into which nothing can be plugged, or NULL. A device has iommufd by <qemu:override>, which
 * does not reach one that is plugged, before 12.1; of a network with 12.1, too. */
static const char *
cannotPlug(const viommuDomain *dom)
{
    const char *remedy = NULL;
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (device->iommufdOverridden && !device->network)
            return CANNOT_PLUG;
        if (device->iommufdOverridden)
            remedy = ANEW;
    }
    return remedy;
}

static void
addLeast(viommuWindows *least, const virSMMUDevice *vf, bool first)
{
    viommuWindows need = viommuWindowsOf(vf);

    least->pref64 = first ? need.pref64 : MIN(least->pref64, need.pref64);
    least->mem = first ? need.mem : MIN(least->mem, need.mem);
}

/* What @dev needs at least; false if that is not known. Of a network any VF of its PF may come, and the smallest
 * counts. */
static bool
needOf(const virSMMUDevice *host, const viommuDevice *dev, viommuWindows *ret_need)
{
    virPCIAddr physfn = host->virtualFunction ? host->physfn : host->addr;
    bool first = true;
    size_t i;

    *ret_need = viommuWindowsOf(host);
    if (!dev->network)
        return host->haveDetails;
    for (i = 0; host->smmu && i < host->smmu->devices->len; i++) {
        const virSMMUDevice *vf = g_ptr_array_index(host->smmu->devices, i);

        if (!vf->haveDetails || !vf->virtualFunction || virPCIAddrCompare(&vf->physfn, &physfn) != 0)
            continue;
        addLeast(ret_need, vf, first);
        first = false;
    }
    return !first;
}

/* What the device needs that an earlier expansion noted for @port: so large its windows were made when the guest
 * started. */
static viommuWindows
notedNeed(const viommuDomain *dom, const virSMMUTopology *host, unsigned port)
{
    viommuWindows need = { 0 };
    size_t i, j;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        for (j = 0; j < placed->ports->len; j++) {
            const viommuPlacedPort *one = g_ptr_array_index(placed->ports, j);
            const virSMMUDevice *found = NULL;
            virPCIAddr addr;

            if (one->controller == port && one->device && virPCIAddrParse(one->device, &addr))
                found = virSMMUTopologyFindDevice(host, &addr);
            if (found)
                need = viommuWindowsOf(found);
        }
    }
    return need;
}

/* Is a window known to be smaller than @need? @keeps 0: it is not known what was kept. */
static bool
isSmall(uint64_t keeps, uint64_t noted, uint64_t need)
{
    return keeps && keeps < need && noted < need;
}

/* Does @port keep less than @need in the running guest, as far as that is known? */
static bool
isTooSmall(const viommuDomain *dom, const virSMMUTopology *host, unsigned port, const viommuWindows *need)
{
    const viommuController *there = viommuDomainFindController(dom, port);
    viommuWindows noted = notedNeed(dom, host, port);

    return there && (isSmall(there->keeps.pref64, noted.pref64, need->pref64) ||
                     isSmall(there->keeps.mem, noted.mem, need->mem));
}

/* Takes from @ports those that are too small for @need. */
static void
dropSmall(GArray *ports, const viommuDomain *dom, const virSMMUTopology *host, const viommuWindows *need)
{
    guint i;

    for (i = 0; i < ports->len;) {
        if (isTooSmall(dom, host, g_array_index(ports, unsigned, i), need))
            g_array_remove_index(ports, i);
        else
            i++;
    }
}

/* "pref64Reserve='32768' memReserve='4096'", of what @need has. Free with g_free. */
static char *
formatReserves(const viommuWindows *need)
{
    GString *text = g_string_new(NULL);

    if (need->pref64)
        g_string_append_printf(text, " pref64Reserve='%" G_GUINT64_FORMAT "'",
                               MAX((guint64)(need->pref64 / KIB), VIOMMU_RESERVE_MIN));
    if (need->mem > VIOMMU_RESERVE_MIN * KIB)
        g_string_append_printf(text, " memReserve='%" G_GUINT64_FORMAT "'", (guint64)(need->mem / KIB));
    return g_string_free(text, FALSE);
}

/* "a 64-bit window of 32768 KiB and one below 4 GiB of 4096 KiB". Free with g_free. */
static char *
formatNeed(const viommuWindows *need)
{
    if (need->pref64 && need->mem <= VIOMMU_RESERVE_MIN * KIB)
        return g_strdup_printf("a 64-bit window of %" G_GUINT64_FORMAT " KiB", (guint64)(need->pref64 / KIB));
    if (!need->pref64)
        return g_strdup_printf("a window below 4 GiB of %" G_GUINT64_FORMAT " KiB", (guint64)(need->mem / KIB));
    return g_strdup_printf("a 64-bit window of %" G_GUINT64_FORMAT " KiB and one below 4 GiB of %" G_GUINT64_FORMAT
                           " KiB", (guint64)(need->pref64 / KIB), (guint64)(need->mem / KIB));
}

static void
refuseSmall(const viommuDevice *dev, const viommuWindows *need, const char *ports, GPtrArray *findings)
{
    g_autofree char *reserves = formatReserves(need);
    g_autofree char *what = formatNeed(need);
    g_autofree char *remedy = g_strdup_printf(
        "define the domain with the device in it, or with <placement sparePorts='1'%s/> in its request, and start it "
        "anew", reserves);

    viommuFindingsAdd(findings, "V22", VIOMMU_SEVERITY_ERROR, dev->line,
                      "the guest would move the windows of its neighbours, and a running device loses its BARs", remedy,
                      "%s needs %s, and %s", dev->what, what, ports);
}

/* Only in a running guest windows are what they are: what comes with the guest gets its own from firmware. */
static bool
isRunning(const viommuDomain *dom)
{
    return viommuXMLAttr(dom->root, "id");
}

static void
findHostPorts(GArray *ports, const viommuDomain *dom, const virSMMUTopology *host,
              const viommuDevice *dev, GPtrArray *findings)
{
    const virSMMUDevice *found = virSMMUTopologyFindDevice(host, &dev->source);
    const virSMMU *smmu = found ? found->smmu : NULL;
    const char *cannot = cannotPlug(dom);
    g_autofree char *remedy = NULL;
    unsigned count;

    if (!smmu || smmu->kind != VIR_SMMU_KIND_SMMUV3) {
        viommuFindingsAdd(findings, "V02", VIOMMU_SEVERITY_ERROR, dev->line, NULL,
                          "give the guest a device that is behind an SMMUv3", "%s is %s", dev->what,
                          found ? "behind no SMMUv3" : "not on this host");
        return;
    }
    count = addFreeOf(ports, dom, host, dev, smmu);
    /* What is plugged first decides for which SMMU an empty one stands. */
    if (!count)
        count = addFreeOf(ports, dom, host, dev, NULL);
    if (ports->len && isRunning(dom)) {
        viommuWindows need;

        if (needOf(found, dev, &need))
            dropSmall(ports, dom, host, &need);
        if (!ports->len)
            refuseSmall(dev, &need, "no free root port below its vSMMU keeps as much", findings);
        return;
    }
    if (ports->len)
        return;
    if (count) {
        viommuFindingsAdd(findings, "V05", VIOMMU_SEVERITY_ERROR, dev->line,
                          "libvirt would put it on pcie.0, outside of all vSMMUs",
                          cannot ? cannot : "unplug another device of that SMMU; or define the domain with the device "
                                            "in it, or with <placement sparePorts='1'/> in its request, and start it "
                                            "anew",
                          "%s is behind %s, and no root port below its vSMMU is free", dev->what,
                          smmu->name);
        return;
    }
    if (dom->madeArguments) {
        viommuFindingsAdd(findings, "V05", VIOMMU_SEVERITY_ERROR, dev->line,
                          "libvirt knows nothing of them, and would put it on pcie.0",
                          CANNOT_PLUG,
                          "%s is behind %s, and the vSMMUs of the domain stand in <qemu:commandline>", dev->what,
                          smmu->name);
        return;
    }
    remedy = g_strdup_printf("define the domain with the device in it, or with a request for that SMMU "
                             "(<source smmu='%s'/> and <placement sparePorts='1'/>), and start it anew",
                             smmu->name);
    viommuFindingsAdd(findings, "V05", VIOMMU_SEVERITY_ERROR, dev->line,
                      "libvirt would put it on pcie.0 or below another vSMMU", cannot ? cannot : remedy,
                      "%s is behind %s, and the domain has no vSMMU for that", dev->what, smmu->name);
}

/* Is a port below a vSMMU free, or, @accel, below an accelerated one? */
static bool
hasFreePort(const viommuDomain *dom, const viommuDevice *dev, bool accel)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);
        const viommuController *bus = busOf(dom, iommu);
        g_autoptr(GArray) ports = g_array_new(FALSE, FALSE, sizeof(unsigned));

        if (bus && (iommu->accel == 1 || !accel))
            addFree(ports, dom, bus, dev);
        if (ports->len)
            return true;
    }
    return false;
}

GArray *
viommuAttachPorts(const viommuDomain *dom, const virSMMUTopology *host, const viommuDevice *dev,
                  GPtrArray *findings)
{
    GArray *ports = g_array_new(FALSE, FALSE, sizeof(unsigned));

    if (dev->kind == VIOMMU_DEVICE_ASSIGNED) {
        findHostPorts(ports, dom, host, dev, findings);
        return ports;
    }
    addFree(ports, dom, NULL, dev);
    /* Without accel, under TCG, QEMU does not mind. */
    if (!ports->len && hasFreePort(dom, dev, true))
        viommuFindingsAdd(findings, "V22", VIOMMU_SEVERITY_ERROR, dev->line,
                          "Emulated endpoint devices are not allowed when using arm-smmuv3,accel=on",
                          "add <controller type='pci' model='pcie-root-port'/> to the domain, and start it anew",
                          "libvirt would put %s below a vSMMU, as no other root port is free",
                          dev->what);
    return ports;
}

void
viommuAttachCheckAddress(const viommuDomain *dom, const virSMMUTopology *host, const viommuDevice *dev,
                         GPtrArray *findings)
{
    const virSMMUDevice *found = NULL;
    g_autofree char *port = NULL;
    viommuWindows need;

    if (dev->kind == VIOMMU_DEVICE_ASSIGNED && dev->hasAddr && dev->haveSource && isRunning(dom))
        found = virSMMUTopologyFindDevice(host, &dev->source);
    if (!found || !needOf(found, dev, &need) || !isTooSmall(dom, host, dev->addr.bus, &need))
        return;
    port = g_strdup_printf("the port of its address, %u, keeps less", dev->addr.bus);
    refuseSmall(dev, &need, port, findings);
}

bool
viommuAttachNeedsAddress(const viommuDomain *dom, const viommuDevice *dev)
{
    /* libvirt knows no address below vSMMUs that stand in arguments. */
    if (dev->hasAddr)
        return dev->kind == VIOMMU_DEVICE_ASSIGNED && dom->madeArguments;
    return dev->kind == VIOMMU_DEVICE_ASSIGNED ||
           (dev->kind == VIOMMU_DEVICE_PCIE && hasFreePort(dom, dev, false));
}
