/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads what a libvirt can do.
 */
#include "viommu_domcaps.h"

#include "viommu_xml.h"
#include "viommuerror.h"

#include <string.h>

static bool
hasValue(const xmlNode *list, const char *wanted)
{
    const xmlNode *node;

    for (node = viommuXMLChild(list, "value"); node; node = viommuXMLNext(node, "value")) {
        g_autofree char *value = viommuXMLContent(node);

        if (g_strcmp0(value, wanted) == 0)
            return true;
    }
    return false;
}

/* Whether <enum name=NAME> of @elem has the value. Without such an enum it is not known. */
static virTristate
readEnum(const xmlNode *elem, const char *name, const char *value)
{
    const xmlNode *node;

    for (node = viommuXMLChild(elem, "enum"); node; node = viommuXMLNext(node, "enum")) {
        if (g_strcmp0(viommuXMLAttr(node, "name"), name) == 0)
            return hasValue(node, value) ? VIR_TRISTATE_YES : VIR_TRISTATE_NO;
    }
    return VIR_TRISTATE_UNKNOWN;
}

static virTristate
readGic(const xmlNode *gic)
{
    if (g_strcmp0(viommuXMLAttr(gic, "supported"), "no") == 0)
        return VIR_TRISTATE_NO;
    return readEnum(gic, "version", "3");
}

static viommuVirtType
readType(const xmlNode *elem)
{
    g_autofree char *text = viommuXMLContent(elem);

    if (g_strcmp0(text, "kvm") == 0)
        return VIOMMU_VIRT_KVM;
    return g_strcmp0(text, "qemu") == 0 ? VIOMMU_VIRT_QEMU : VIOMMU_VIRT_OTHER;
}

viommuDomainCaps *
viommuDomainCapsParse(const char *text, size_t len, GError **error)
{
    g_autoptr(viommuXML) xml = viommuXMLParse(text, len, error);
    g_autoptr(viommuDomainCaps) caps = NULL;
    const xmlNode *root;

    if (!xml)
        return NULL;
    root = viommuXMLRoot(xml);
    caps = g_new0(viommuDomainCaps, 1);
    caps->path = viommuXMLContent(viommuXMLChild(root, "path"));
    if (!viommuXMLIs(root, "domainCapabilities") || !caps->path) {
        viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(xml, root),
                      "the document is not a <domainCapabilities> with a <path>");
        return NULL;
    }
    caps->machine = viommuXMLContent(viommuXMLChild(root, "machine"));
    caps->virtType = readType(viommuXMLChild(root, "domain"));
    caps->gicV3 = readGic(viommuXMLChild(viommuXMLChild(root, "features"), "gic"));
    caps->iommufd = readEnum(viommuXMLChild(viommuXMLChild(root, "devices"), "hostdev"), "iommufd", "yes");
    return g_steal_pointer(&caps);
}

void
viommuDomainCapsFree(viommuDomainCaps *caps)
{
    if (!caps)
        return;
    g_free(caps->path);
    g_free(caps->machine);
    g_free(caps);
}

const char *
viommuDomainCapsLack(const viommuDomainCaps *caps, const char **ret_remedy)
{
    if (caps->gicV3 == VIR_TRISTATE_NO) {
        *ret_remedy = "use a host with a GICv3";
        return "libvirt has no GICv3 for guests on its host";
    }
    if (caps->iommufd == VIR_TRISTATE_NO) {
        *ret_remedy = "load the module 'iommufd' there, of a kernel with CONFIG_IOMMUFD";
        return "libvirt has no iommufd on its host";
    }
    return NULL;
}
