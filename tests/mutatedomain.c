/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine around the vSMMUs.
 */
#include "mutate.h"

#include <string.h>

/* True if some assigned device uses iommufd only because the domain says so. */
static bool
needsIommufd(const mutant *mut)
{
    guint i;

    for (i = 0; i < mut->assigned->len; i++) {
        const mutantSeat *seat = &g_array_index(mut->assigned, mutantSeat, i);
        g_autofree char *own = mutantGet(mutantChild(seat->node, "driver"), "iommufd");

        if (!own)
            return true;
    }
    return false;
}

static bool
dropIommufd(mutant *mut)
{
    xmlNode *node = mutantChild(mut->root, "iommufd");

    if (!node || !needsIommufd(mut))
        return false;
    mutantRemove(node);
    return true;
}

static bool
turnIommufdOff(mutant *mut)
{
    xmlNode *node = mutantChild(mut->root, "iommufd");

    if (!node || !needsIommufd(mut))
        return false;
    mutantSet(node, "enabled", "no");
    return true;
}

static bool
removeACPI(mutant *mut)
{
    mutantRemove(mutantChild(mutantChild(mut->root, "features"), "acpi"));
    return true;
}

static bool
removeFirmware(mutant *mut)
{
    xmlUnsetProp(mutantChild(mut->root, "os"), BAD_CAST "firmware");
    return true;
}

static bool
setOldGIC(mutant *mut)
{
    mutantSet(mutantNeedChild(mutantChild(mut->root, "features"), "gic"), "version", "2");
    return true;
}

static bool
setOtherArch(mutant *mut)
{
    mutantSet(mutantChild(mutantChild(mut->root, "os"), "type"), "arch", "x86_64");
    return true;
}

static bool
setOtherMachine(mutant *mut)
{
    mutantSet(mutantChild(mutantChild(mut->root, "os"), "type"), "machine", "sbsa-ref");
    return true;
}

static bool
setOtherType(mutant *mut)
{
    mutantSet(mut->root, "type", "hvf");
    return true;
}

static bool
setTypeQEMU(mutant *mut)
{
    if (mut->iommus->len == 0)
        return false;
    mutantSet(mut->root, "type", "qemu");
    return true;
}

static bool
setHole(mutant *mut, const char *gib)
{
    mutantBus *root = mutantFindBus(mut, 0);
    xmlNode *controller = root ? root->node : NULL;
    xmlNode *hole;

    if (mut->iommus->len == 0)
        return false;
    if (!controller) {
        controller = xmlNewChild(mut->devices, NULL, BAD_CAST "controller", NULL);
        mutantSet(controller, "type", "pci");
        mutantSet(controller, "index", "0");
        mutantSet(controller, "model", "pcie-root");
    }
    hole = mutantNeedChild(controller, "pcihole64");
    mutantSet(hole, "unit", "GiB");
    xmlNodeSetContent(hole, BAD_CAST gib);
    return true;
}

static bool
setHoleOdd(mutant *mut)
{
    return setHole(mut, "3000");
}

static bool
setHoleSmall(mutant *mut)
{
    return setHole(mut, "256");
}

static bool
setHoleBad(mutant *mut)
{
    return setHole(mut, "much");
}

/* A window that cannot hold the BARs of all devices. */
static bool
setHoleTight(mutant *mut)
{
    uint64_t sum = 0;
    guint i;

    for (i = 0; i < mut->assigned->len; i++) {
        const mutantSeat *seat = &g_array_index(mut->assigned, mutantSeat, i);

        sum += seat->host ? seat->host->bar : 0;
    }
    return sum > UINT64_C(512) << 30 && setHole(mut, "512");
}

static bool
addBypass(mutant *mut)
{
    static const char uri[] = "http://libvirt.org/schemas/domain/qemu/1.0";
    xmlNs *ns = xmlSearchNsByHref(mut->doc, mut->root, BAD_CAST uri);
    xmlNode *commandline = mutantChild(mut->root, "commandline");
    xmlNode *arg;
    size_t i;

    if (mut->iommus->len == 0)
        return false;
    if (!ns)
        ns = xmlNewNs(mut->root, BAD_CAST uri, BAD_CAST "qemu");
    if (!commandline)
        commandline = xmlNewChild(mut->root, ns, BAD_CAST "commandline", NULL);
    for (i = 0; i < 2; i++) {
        arg = xmlNewChild(commandline, ns, BAD_CAST "arg", NULL);
        mutantSet(arg, "value", "%s", i ? "pxb-pcie.bypass_iommu=true" : "-global");
    }
    return true;
}

const mutation mutationsOfDomain[] = {
    { "iommufd dropped", true, dropIommufd },
    { "iommufd off", true, turnIommufdOff },
    { "ACPI removed", true, removeACPI },
    { "firmware removed", true, removeFirmware },
    { "GICv2", false, setOldGIC },
    { "another architecture", false, setOtherArch },
    { "another machine", false, setOtherMachine },
    { "neither KVM nor QEMU", false, setOtherType },
    { "accel without KVM", true, setTypeQEMU },
    { "64-bit window that is no power of two", false, setHoleOdd },
    { "64-bit window below 512 GiB", false, setHoleSmall },
    { "64-bit window that is no size", false, setHoleBad },
    { "64-bit window too small for the BARs", false, setHoleTight },
    { "bypass of the IOMMU", false, addBypass },
};
const size_t mutationsOfDomainCount = G_N_ELEMENTS(mutationsOfDomain);
