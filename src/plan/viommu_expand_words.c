/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a libvirt has words for, and what is done about the rest: aliases, and features as QEMU spells them.
 */
#include "viommu_expand_priv.h"
#include "viommuerror.h"

#include <string.h>

/* formatdomain of libvirt 12.8, "since": pciBus 11.10.0, <driver iommufd=> 12.1.0, <iommufd> 12.2.0, accel 12.7.0. */
#define LIBVIRT_PCI_BUS VIOMMU_VERSION_QEMU(11, 10)
#define LIBVIRT_DEVICE_IOMMUFD VIOMMU_VERSION_QEMU(12, 1)
#define LIBVIRT_IOMMUFD VIOMMU_VERSION_QEMU(12, 2)

expandWords
expandWordsOf(unsigned libvirt)
{
    return (expandWords){
        .accel = libvirt >= VIOMMU_LIBVIRT_NATIVE,
        .pciBus = libvirt >= LIBVIRT_PCI_BUS,
        .deviceIommufd = libvirt >= LIBVIRT_DEVICE_IOMMUFD && libvirt < LIBVIRT_IOMMUFD,
        .iommufd = libvirt >= LIBVIRT_IOMMUFD,
    };
}

char *
expandFeature(const viommuFeatures *features, unsigned which, const char **ret_name)
{
    static const char *const names[] = { "cmdqv", "ats", "ril", "ssidsize", "oas" };
    const int values[] = { features->cmdqv, features->ats, features->ril, features->ssidsize, features->oas };

    G_STATIC_ASSERT(G_N_ELEMENTS(names) == EXPAND_FEATURES && G_N_ELEMENTS(values) == EXPAND_FEATURES);
    *ret_name = names[which];
    if (values[which] < 0)
        return NULL;
    return which < 3 ? g_strdup(values[which] ? "on" : "off") : g_strdup_printf("%d", values[which]);
}

bool
expandNeedsObject(const expandState *state, const viommuDevice *device)
{
    return state->plan->accel && !state->words.iommufd && (!state->words.deviceIommufd || device->network);
}

static bool
isTaken(const viommuDomain *dom, const char *alias)
{
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        if (g_strcmp0(((const viommuController *)g_ptr_array_index(dom->controllers, i))->alias, alias) == 0)
            return true;
    }
    for (i = 0; i < dom->devices->len; i++) {
        if (g_strcmp0(((const viommuDevice *)g_ptr_array_index(dom->devices, i))->alias, alias) == 0)
            return true;
    }
    return false;
}

static void
writeAlias(expandState *state, const viommuDevice *device, const char *alias)
{
    xmlNode *there = viommuXMLChild(device->node, "alias");
    g_autofree char *line = g_strdup_printf("<alias name='%s'/>", alias);

    if (there)
        viommuEditsReplace(state->edits, there, line);
    else
        viommuEditsAppendChild(state->edits, device->node, line);
}

/* Has @device an alias of ours that one in front of it has, too? So it is where a <hostdev> was copied. */
static bool
isCopied(const viommuDomain *dom, const viommuDevice *device)
{
    size_t i;

    for (i = 0; g_str_has_prefix(device->alias, VIOMMU_ALIAS_PREFIX) && i < dom->devices->len; i++) {
        const viommuDevice *other = g_ptr_array_index(dom->devices, i);

        if (other == device || g_strcmp0(other->alias, device->alias) == 0)
            return other != device;
    }
    return false;
}

/* Gives @device an alias by which its properties can be set, if it has none of the user's. */
static void
nameDevice(expandState *state, const viommuDevice *device, unsigned *next)
{
    g_autofree char *alias = NULL;

    if (device->alias && g_str_has_prefix(device->alias, "ua-") && !isCopied(state->dom, device)) {
        g_hash_table_insert(state->aliases, (void *)device, g_strdup(device->alias));
        return;
    }
    /* What the user set for a device that has gone is for no other. */
    do {
        g_free(alias);
        alias = g_strdup_printf(VIOMMU_ALIAS_PREFIX "%u", (*next)++);
    } while (isTaken(state->dom, alias) || expandOverrideHasOthers(state->dom, alias));
    writeAlias(state, device, alias);
    g_hash_table_insert(state->aliases, (void *)device, g_steal_pointer(&alias));
}

/* Those of an earlier expansion that have become needless. */
static void
removeAliases(expandState *state)
{
    size_t i;

    for (i = 0; state->dom->madeOverride && i < state->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(state->dom->devices, i);

        if (device->kind == VIOMMU_DEVICE_ASSIGNED && device->alias &&
            g_str_has_prefix(device->alias, VIOMMU_ALIAS_PREFIX) &&
            !g_hash_table_contains(state->aliases, device) &&
            (isCopied(state->dom, device) || !expandOverrideHasOthers(state->dom, device->alias)))
            viommuEditsRemove(state->edits, viommuXMLChild(device->node, "alias"));
    }
}

/* Are there properties of @device to be set by its alias? */
static bool
isSetByName(const expandState *state, const viommuDevice *device)
{
    return !state->words.pciBus || expandNeedsObject(state, device);
}

void
expandAliases(expandState *state)
{
    unsigned next = 0;
    size_t i;
    size_t j;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; j < vsmmu->devices->len; j++) {
            const viommuDevice *device = ((viommuPlanDevice *)g_ptr_array_index(vsmmu->devices, j))->device;

            if (isSetByName(state, device))
                nameDevice(state, device, &next);
        }
    }
    removeAliases(state);
}

/* What to do about places below @vsmmu that wait for a device, or NULL if there is none. */
static char *
findSpare(const viommuVSMMU *vsmmu)
{
    const viommuPlanPort *own = NULL;
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (port->spare && port->generated)
            return g_strdup("remove sparePorts and smmus='all'");
        if (port->spare)
            own = port;
    }
    if (own)
        return g_strdup_printf("remove root port %u, which holds nothing", own->controller);
    return vsmmu->devices->len ? NULL : g_strdup("remove sparePorts and smmus='all'");
}

/* Why @vsmmu cannot be said without pciBus, or NULL: libvirt then knows nothing of its bus and ports. */
static char *
findUnsaid(const viommuVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (!port->generated)
            return g_strdup_printf("the domain's own root port %u: remove it, and viommu makes one", port->controller);
    }
    if (vsmmu->devices->len != vsmmu->ports->len)
        return g_strdup("functions that share a slot: remove their addresses");
    return NULL;
}

/* The window and viommu's names (EXPAND_IOMMUFD, EXPAND_ID), in both forms of QEMU's arguments. */
#define TAKEN                                                                                                          \
    "highmem-mmio-size[=\"]|(^|,)id=(iommufd0(,|$)|viommu\\.)|\"id\": *\"(iommufd0\"|viommu\\.)"

/* What stands in <qemu:commandline> already and would be taken for what viommu writes there, or NULL. */
static const xmlNode *
findTaken(const expandState *state)
{
    const xmlNode *commandline = viommuXMLChildNS(state->dom->root, VIOMMU_NS_QEMU, "commandline");
    const xmlNode *node;

    for (node = viommuXMLChildNS(commandline, VIOMMU_NS_QEMU, "arg"); node && !state->dom->madeOverride;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "arg")) {
        const char *value = viommuXMLAttr(node, "value");

        if (value && g_regex_match_simple(TAKEN, value, 0, 0))
            return node;
    }
    return NULL;
}

/* An expander bus of the user's, whose numbers those of the arguments could run into, or NULL. */
static const viommuController *
findExpander(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(dom->controllers, i);

        if (there->model == VIOMMU_PCI_EXPANDER && !viommuDomainIsGenerated(dom, there))
            return there;
    }
    return NULL;
}

/* The second <qemu:commandline> or <qemu:override>, which libvirt reads, too, or NULL. */
static const xmlNode *
findSecond(const viommuDomain *dom)
{
    static const char *const names[] = { "commandline", "override" };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        const xmlNode *node = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, names[i]);

        node = node ? viommuXMLNextNS(node, VIOMMU_NS_QEMU, names[i]) : NULL;
        if (node)
            return node;
    }
    return NULL;
}

/* Is there a device that nameDevice() will name? */
static bool
givesNames(const expandState *state)
{
    size_t i;
    size_t j;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; j < vsmmu->devices->len; j++) {
            const viommuDevice *device = ((viommuPlanDevice *)g_ptr_array_index(vsmmu->devices, j))->device;

            if (isSetByName(state, device) && !(device->alias && g_str_has_prefix(device->alias, "ua-")))
                return true;
        }
    }
    return false;
}

/* An override for a host device by libvirt's name for it, or NULL. libvirt counts those that have no name of their
 * own: once one gets a name, the others move up. */
static const xmlNode *
findCounted(const expandState *state)
{
    const xmlNode *override = viommuXMLChildNS(state->dom->root, VIOMMU_NS_QEMU, "override");
    const xmlNode *node = givesNames(state) ? viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device") : NULL;

    for (; node; node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "device")) {
        const char *alias = viommuXMLAttr(node, "alias");

        if (alias && g_str_has_prefix(alias, "hostdev"))
            return node;
    }
    return NULL;
}

/* The same for a vSMMU, by libvirt's name for it: it gets one of viommu's, or is out of reach. */
static const xmlNode *
findCountedSMMU(const expandState *state)
{
    const xmlNode *override = viommuXMLChildNS(state->dom->root, VIOMMU_NS_QEMU, "override");
    const xmlNode *node = viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device");

    for (; node && (state->plan->accel || !state->words.pciBus);
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "device")) {
        const char *alias = viommuXMLAttr(node, "alias");

        if (alias && g_regex_match_simple("^iommu[0-9]+$", alias, G_REGEX_DOLLAR_ENDONLY, 0))
            return node;
    }
    return NULL;
}

static void
refuseCountedSMMU(const expandState *state, const xmlNode *node, GError **error)
{
    const char *alias = viommuXMLAttr(node, "alias");
    g_autofree char *name = expandSMMUAliasOf(state, (unsigned)g_ascii_strtoull(alias + strlen("iommu"), NULL, 10));
    const char *remedy = "expand the domain without it, and write the <alias> that the vSMMU gets";
    g_autofree char *text = NULL;

    if (!state->words.pciBus)
        text = g_strdup("this libvirt has no pciBus (11.10 has): vSMMUs are arguments of QEMU, which it does not reach. "
                        "Remove it");
    else if (name)
        text = g_strdup_printf("viommu names the vSMMU '%s' for this libvirt: write that name", name);
    else
        text = g_strdup_printf("viommu gives vSMMUs other names for this libvirt: %s", remedy);
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(state->dom->xml, node),
                  "<qemu:override> is for '%s', but %s", alias, text);
}

/* What the whole domain has that cannot stand beside what is written around this libvirt. */
static bool
canStandBeside(const expandState *state, GError **error)
{
    const viommuDomain *dom = state->dom;
    bool around = !state->words.accel && state->plan->vsmmus->len;
    const xmlNode *second = around ? findSecond(dom) : NULL;
    const xmlNode *taken = around ? findTaken(state) : NULL;
    const xmlNode *counted = around ? findCounted(state) : NULL;
    const xmlNode *smmu = around ? findCountedSMMU(state) : NULL;
    const viommuController *expander = around && !state->words.pciBus ? findExpander(dom) : NULL;

    if (second)
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(dom->xml, second),
                      "a second <qemu:%s>: put all into the first", (const char *)second->name);
    else if (taken)
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(dom->xml, taken),
                      "<qemu:commandline> has '%s', which viommu writes itself for this libvirt: remove it%s",
                      viommuXMLAttr(taken, "value"),
                      strstr(viommuXMLAttr(taken, "value"), "highmem-mmio-size")
                          ? ", and write the window as <pcihole64>" : "");
    else if (counted)
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(dom->xml, counted),
                      "<qemu:override> is for '%s', which will be another device, as viommu names those below vSMMUs for "
                      "this libvirt: give the one that is meant an <alias name='ua-NAME'/>, and write that name",
                      viommuXMLAttr(counted, "alias"));
    else if (smmu)
        refuseCountedSMMU(state, smmu, error);
    else if (expander)
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, expander->line,
                      "this libvirt has no pciBus (11.10 has), and the domain's own expander bus %u cannot stand beside "
                      "vSMMUs: remove it", expander->index);
    return !second && !taken && !counted && !smmu && !expander;
}

/* Are the properties that place the devices of @vsmmu, as far as they are written for this libvirt, not the user's? */
static bool
areFree(const expandState *state, const viommuVSMMU *vsmmu, GError **error)
{
    size_t i;

    for (i = 0; i < vsmmu->devices->len; i++) {
        const viommuDevice *device = ((viommuPlanDevice *)g_ptr_array_index(vsmmu->devices, i))->device;
        const xmlNode *taken = expandOverrideTaken(state, device);

        if (!taken)
            continue;
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(state->dom->xml, taken),
                      "<qemu:override> sets '%s' of '%s', which viommu writes itself for this libvirt: remove it",
                      viommuXMLAttr(taken, "name"), device->alias);
        return false;
    }
    return true;
}

bool
expandCanSay(const expandState *state, GError **error)
{
    bool plugs = !state->plan->accel || state->words.iommufd || state->words.deviceIommufd;
    size_t i;

    if (!canStandBeside(state, error))
        return false;
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);
        g_autofree char *unsaid = state->words.pciBus ? NULL : findUnsaid(vsmmu);
        /* <qemu:override> does not reach a device that is plugged. */
        g_autofree char *spare = plugs && state->words.pciBus ? NULL : findSpare(vsmmu);

        if (!areFree(state, vsmmu, error))
            return false;
        if (spare) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                        "this libvirt can plug nothing below the vSMMU of '%s' (12.1 can): %s", vsmmu->smmu->name,
                        spare);
            return false;
        }
        if (!unsaid)
            continue;
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                    "this libvirt has no pciBus (11.10 has), and so the vSMMU of '%s' cannot have %s",
                    vsmmu->smmu->name, unsaid);
        return false;
    }
    return true;
}
