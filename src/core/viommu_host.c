/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What planner and checker need of a host, read for one domain.
 */
#include "viommu_host.h"

#include "viommu_finding.h"
#include "viommuerror.h"

static void
freeNetwork(void *data)
{
    viommuNetworkFree(data);
}

viommuHost *
viommuHostNew(void)
{
    viommuHost *host = g_new0(viommuHost, 1);

    host->networks = g_ptr_array_new_with_free_func(freeNetwork);
    return host;
}

void
viommuHostFree(viommuHost *host)
{
    if (!host)
        return;
    virSMMUTopologyFree(host->topo);
    virSysfsFree(host->fs);
    g_ptr_array_unref(host->networks);
    g_clear_pointer(&host->users, g_ptr_array_unref);
    g_free(host);
}

bool
viommuHostRead(viommuHost *host, virSysfs *fs, GError **error)
{
    virSMMUTopologyFree(host->topo);
    virSysfsFree(host->fs);
    host->fs = fs;
    host->topo = virSMMUTopologyRead(fs, error);
    return host->topo != NULL;
}

const viommuNetwork *
viommuHostFindNetwork(const viommuHost *host, const char *name)
{
    size_t i;

    for (i = 0; i < host->networks->len; i++) {
        const viommuNetwork *net = g_ptr_array_index(host->networks, i);

        if (g_strcmp0(net->name, name) == 0)
            return net;
    }
    return NULL;
}

void
viommuHostForgetNetworks(viommuHost *host)
{
    g_ptr_array_set_size(host->networks, 0);
}

void
viommuHostAddNetwork(viommuHost *host, viommuNetwork *net)
{
    g_ptr_array_add(host->networks, net);
}

/* True if a network of @dom decides something: a domain that neither asks for vSMMUs nor has any is
 * judged, and passed through, without. */
static bool
needsNetworks(const viommuHost *host, const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (g_strcmp0(iommu->model, "smmuv3") == 0)
            return true;
    }
    return viommuDomainIsRequest(dom) || viommuDomainFitsPolicy(dom, host->policy);
}

GPtrArray *
viommuHostMissingNetworks(const viommuHost *host, const viommuDomain *dom)
{
    GPtrArray *names = g_ptr_array_new();
    size_t i;

    if (!needsNetworks(host, dom))
        return names;
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);

        if (dev->network && !dev->haveSource && !viommuHostFindNetwork(host, dev->network) &&
            !g_ptr_array_find_with_equal_func(names, dev->network, g_str_equal, NULL))
            g_ptr_array_add(names, dev->network);
    }
    return names;
}

/* What to do where nobody knows the network of @dev. */
static bool
unknownNetwork(const viommuDevice *dev, GPtrArray *notes, GError **error)
{
    static const char remedy[] =
        "give its XML with --network, or the libvirt that has it with --connect";

    if (notes)
        viommuFindingsAdd(notes, "V05", VIOMMU_SEVERITY_NOTE, dev->line, NULL, remedy,
                          "the network '%s' may hand out host devices", dev->network);
    else
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, dev->line,
                      "the network '%s' may hand out host devices: %s", dev->network, remedy);
    return notes != NULL;
}

/* The device that stands for all that the network @net hands out: they are behind one SMMU. NULL
 * without @error: it hands out none. */
static const virSMMUDevice *
resolveNetwork(const viommuHost *host, const viommuDevice *dev, const viommuNetwork *net,
               GError **error)
{
    const virSMMUDevice *first = NULL;
    size_t i;

    if (net->netdev) {
        first = virSMMUTopologyFindNetdev(host->topo, host->fs, net->netdev);
        if (!first)
            viommuErrorAt(
                error, VIOMMU_ERROR_REFUSED, dev->line,
                "the network '%s' hands out VFs of '%s', and the host has no network interface of that name on PCI",
                net->name, net->netdev);
        return first;
    }
    for (i = 0; i < net->devices->len; i++) {
        const virPCIAddr *addr = &g_array_index(net->devices, virPCIAddr, i);
        const virSMMUDevice *found = virSMMUTopologyFindDevice(host->topo, addr);
        char name[VIR_PCI_ADDR_BUFLEN];

        if (!found) {
            viommuErrorAt(error, VIOMMU_ERROR_REFUSED, dev->line,
                          "the network '%s' hands out '%s', which the host does not have",
                          net->name, virPCIAddrFormat(addr, name));
            return NULL;
        }
        if (first && first->smmu != found->smmu) {
            viommuErrorAt(
                error, VIOMMU_ERROR_REFUSED, dev->line,
                "the network '%s' hands out '%s' and '%s', which are behind different SMMUs: split it into one network per SMMU",
                net->name, first->name, found->name);
            return NULL;
        }
        first = first ? first : found;
    }
    return first;
}

static bool
bindNetworks(const viommuHost *host, viommuDomain *dom, GPtrArray *notes, GError **error)
{
    size_t i;

    if (!needsNetworks(host, dom))
        return true;
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);
        g_autoptr(GError) local = NULL;
        const virSMMUDevice *found;
        const viommuNetwork *net;

        if (!dev->network || dev->haveSource)
            continue;
        net = viommuHostFindNetwork(host, dev->network);
        if (!net && !unknownNetwork(dev, notes, error))
            return false;
        found = net ? resolveNetwork(host, dev, net, &local) : NULL;
        if (local) {
            g_propagate_error(error, g_steal_pointer(&local));
            return false;
        }
        if (found)
            viommuDomainBindNetwork(dom, dev->network, &found->addr);
    }
    return true;
}

/* Has its user written ports for vSMMUs? One of them may be free. */
static bool
hasOwnPorts(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *port = g_ptr_array_index(dom->controllers, i);

        if (port->model == VIOMMU_PCI_ROOT_PORT && viommuDomainFindExpander(dom, port->index) &&
            !viommuDomainIsGenerated(dom, port))
            return true;
    }
    return false;
}

static bool
hasDeviceOf(const viommuHost *host, const viommuDomain *dom, const virSMMU *smmu)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);
        const virSMMUDevice *found = dev->haveSource ? virSMMUTopologyFindDevice(host->topo, &dev->source) : NULL;

        if (found && found->smmu == smmu)
            return true;
    }
    return false;
}

/* May the domain have a free port for @smmu? */
static bool
mayPlug(const viommuHost *host, const viommuDomain *dom, const virSMMU *smmu)
{
    bool some = hasOwnPorts(dom);
    size_t i;

    for (i = 0; i < dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(dom->requests, i);

        if (request->allSMMUs || (request->sparePorts && g_strcmp0(request->smmu, smmu->name) == 0))
            return true;
        some = some || (request->sparePorts && !request->smmu);
    }
    return some && hasDeviceOf(host, dom, smmu);
}

/* One that has gone meanwhile does not come. */
void
viommuHostLoadComing(viommuHost *host, const viommuDomain *dom)
{
    const GPtrArray *smmus = virSMMUTopologySMMUs(host->topo);
    size_t i;
    size_t j;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);
        bool coming = mayPlug(host, dom, smmu);

        for (j = 0; coming && j < smmu->devices->len; j++) {
            virSMMUDevice *dev = g_ptr_array_index(smmu->devices, j);

            if (!dev->haveDetails)
                virSMMUTopologyLoadDetails(host->topo, host->fs, dev, NULL);
        }
    }
}

bool
viommuHostBind(viommuHost *host, viommuDomain *dom, GPtrArray *notes, GError **error)
{
    size_t i;

    if (!bindNetworks(host, dom, notes, error))
        return false;
    viommuDomainApplyPolicy(dom, host->policy);
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);
        virSMMUDevice *found;

        if (dev->kind != VIOMMU_DEVICE_ASSIGNED || !dev->haveSource)
            continue;
        found = virSMMUTopologyFindDevice(host->topo, &dev->source);
        if (found && !found->haveDetails &&
            !virSMMUTopologyLoadDetails(host->topo, host->fs, found, error))
            return false;
    }
    return true;
}
