/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a libvirt network as far as it hands host devices to guests.
 */
#include "viommu_conf.h"

#include "viommu_conf_priv.h"
#include "viommuerror.h"

static bool
parseForward(viommuNetwork *net, const viommuXML *xml, const xmlNode *forward, GError **error)
{
    const xmlNode *node;

    net->netdev = g_strdup(viommuXMLAttr(viommuXMLChild(forward, "pf"), "dev"));
    for (node = viommuXMLChild(forward, "address"); node; node = viommuXMLNext(node, "address")) {
        viommuGuestAddr host;
        virPCIAddr addr;

        if (!viommuConfParseAddr(xml, node, "a network's device", 0xffffffff, &host, error))
            return false;
        addr = (virPCIAddr){ .domain = host.domain,
                             .bus = (uint8_t)host.bus,
                             .slot = (uint8_t)host.slot,
                             .function = (uint8_t)host.function };
        g_array_append_val(net->devices, addr);
    }
    if (net->netdev || net->devices->len)
        return true;
    viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(xml, forward),
                  "network '%s' forwards to host devices but names none; give it <pf dev=/> or "
                  "<address type='pci' .../>", net->name);
    return false;
}

viommuNetwork *
viommuNetworkNew(const char *name)
{
    viommuNetwork *net = g_new0(viommuNetwork, 1);

    net->name = g_strdup(name);
    net->devices = g_array_new(FALSE, FALSE, sizeof(virPCIAddr));
    return net;
}

viommuNetwork *
viommuNetworkParse(const char *text, size_t len, GError **error)
{
    g_autoptr(viommuXML) xml = viommuXMLParse(text, len, error);
    g_autoptr(viommuNetwork) net = NULL;
    const xmlNode *root;
    const xmlNode *forward;

    if (!xml)
        return NULL;
    root = viommuXMLRoot(xml);
    net = viommuNetworkNew(NULL);
    net->name = viommuXMLContent(viommuXMLChild(root, "name"));
    if (!viommuXMLIs(root, "network") || !net->name) {
        viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(xml, root),
                      "the document is not a <network> with a <name>; give the output of virsh "
                      "net-dumpxml");
        return NULL;
    }
    forward = viommuXMLChild(root, "forward");
    if (g_strcmp0(viommuXMLAttr(forward, "mode"), "hostdev") == 0 &&
        !parseForward(net, xml, forward, error))
        return NULL;
    return g_steal_pointer(&net);
}

void
viommuNetworkFree(viommuNetwork *net)
{
    if (!net)
        return;
    g_free(net->name);
    g_free(net->netdev);
    g_array_unref(net->devices);
    g_free(net);
}
