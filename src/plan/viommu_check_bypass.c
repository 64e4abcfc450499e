/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A root complex that bypasses its vSMMU (V23). libvirt has no XML for it; what is found is what
 * people pass through to QEMU.
 */
#include "viommu_check_priv.h"

#include <string.h>

/* QEMU takes "_" and "-" for each other in most names. */
static char *
normalise(const char *text)
{
    return g_strdelimit(g_ascii_strdown(text ? text : "", -1), "_", '-');
}

static bool
isTrue(const char *value)
{
    static const char *const yes[] = { "on", "true", "yes", "1", NULL };

    return value && g_strv_contains((const gchar *const *)yes, value);
}

#define REFUSAL                                                                                    \
    "QEMU refuses to start: Bypass option cannot be set for SMMUv3 associated PCIe RC"

/* True if @text sets a bypass option whose name ends in @name: "...NAME=on", or the property/value
 * form. */
static bool
setsOption(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    const char *value = at ? at + strlen(name) : NULL;
    g_autofree char *word = NULL;

    if (!at)
        return false;
    if (g_str_has_prefix(value, ",value="))
        value += strlen(",value=");
    else if (*value == '=')
        value++;
    else
        return *value == ',' || *value == '\0'; /* a bare option is on */
    word = g_strndup(value, strcspn(value, ",\" "));
    return isTrue(word);
}

static void
report(viommuChecker *checker, unsigned line, const viommuIOMMU *iommu, const char *what,
       const char *then)
{
    viommuFindingsAdd(checker->findings, "V23", VIOMMU_SEVERITY_ERROR, line, then,
                      "remove the option",
                      "%s bypasses the IOMMU, and has the smmuv3 of line %u", what, iommu->line);
}

/* The vSMMU over pcie.0: one with pciBus='0', or one for the whole machine. */
static const viommuIOMMU *
findOnRoot(const viommuChecker *checker)
{
    size_t i;

    for (i = 0; i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);

        if (viommuCheckIsLegacy(iommu) ||
            (strcmp(iommu->model, "smmuv3") == 0 && iommu->pciBus == 0))
            return iommu;
    }
    return NULL;
}

static void
checkArgument(viommuChecker *checker, const xmlNode *arg)
{
    unsigned line = viommuXMLLine(checker->dom->xml, arg);
    g_autofree char *text = normalise(viommuXMLAttr(arg, "value"));
    bool global = g_str_has_prefix(text, "pxb-pcie.") || strstr(text, "driver=pxb-pcie,");
    size_t i;

    if (setsOption(text, "default-bus-bypass-iommu")) {
        const viommuIOMMU *onRoot = findOnRoot(checker);

        if (onRoot)
            report(checker, line, onRoot, "pcie.0",
                   viommuCheckIsLegacy(onRoot) ? "QEMU starts, and nothing is behind that SMMU"
                                               : REFUSAL);
        return;
    }
    if (!setsOption(text, "bypass-iommu"))
        return;
    for (i = 0; i < checker->vsmmus->len; i++) {
        const viommuCheckVSMMU *vsmmu = g_ptr_array_index(checker->vsmmus, i);
        g_autofree char *alias = NULL;
        g_autofree char *id = NULL;
        g_autofree char *set = NULL;
        g_autofree char *what = NULL;

        if (!vsmmu->bus || vsmmu->bus->model != VIOMMU_PCI_EXPANDER)
            continue;
        alias = viommuCheckBusAlias(vsmmu->bus);
        id = normalise(alias);
        set = g_strdup_printf("device.%s.", id);
        what = g_strdup_printf("expander bus %u", vsmmu->bus->index);
        if (global)
            report(checker, line, vsmmu->iommu, what, REFUSAL);
        else if (g_str_has_prefix(text, set))
            report(checker, line, vsmmu->iommu, what,
                   "QEMU refuses to start: there is no such device defined, as -set does not reach "
                   "those that libvirt writes");
    }
}

static void
checkOverride(viommuChecker *checker, const xmlNode *device)
{
    const xmlNode *frontend = viommuXMLChildNS(device, VIOMMU_NS_QEMU, "frontend");
    const xmlNode *property;
    size_t i;

    for (property = viommuXMLChildNS(frontend, VIOMMU_NS_QEMU, "property"); property;
         property = viommuXMLNextNS(property, VIOMMU_NS_QEMU, "property")) {
        g_autofree char *name = normalise(viommuXMLAttr(property, "name"));

        if (strcmp(name, "bypass-iommu") != 0 || !isTrue(viommuXMLAttr(property, "value")))
            continue;
        for (i = 0; i < checker->vsmmus->len; i++) {
            const viommuCheckVSMMU *vsmmu = g_ptr_array_index(checker->vsmmus, i);
            g_autofree char *alias = vsmmu->bus ? viommuCheckBusAlias(vsmmu->bus) : NULL;
            g_autofree char *what = NULL;

            if (!alias || g_strcmp0(alias, viommuXMLAttr(device, "alias")) != 0)
                continue;
            what = g_strdup_printf("expander bus %u", vsmmu->bus->index);
            report(checker, viommuXMLLine(checker->dom->xml, property), vsmmu->iommu, what,
                   REFUSAL);
        }
    }
}

void
viommuCheckBypass(viommuChecker *checker)
{
    const xmlNode *root = checker->dom->root;
    const xmlNode *commandline = viommuXMLChildNS(root, VIOMMU_NS_QEMU, "commandline");
    const xmlNode *override = viommuXMLChildNS(root, VIOMMU_NS_QEMU, "override");
    const xmlNode *node;

    for (node = viommuXMLChildNS(commandline, VIOMMU_NS_QEMU, "arg"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "arg"))
        checkArgument(checker, node);
    for (node = viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "device"))
        checkOverride(checker, node);
}
