/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Expansion: addresses of devices, iommufd, and what Intel's IOMMU needs and Arm's libvirt refuses.
 */
#include "viommu_expand.h"

#include "viommu_expand_priv.h"
#include "viommuerror.h"

#include <string.h>

static char *
formatAddr(const viommuGuestAddr *addr)
{
    return g_strdup_printf("<address type='pci' domain='0x%04x' bus='0x%02x' slot='0x%02x' "
                           "function='0x%x'%s/>", addr->domain, addr->bus, addr->slot, addr->function,
                           addr->multifunction ? " multifunction='on'" : "");
}

static void
writeAddr(expandState *state, const viommuDevice *device, const viommuGuestAddr *addr)
{
    g_autofree char *line = NULL;

    /* libvirt adds multifunction='on' by itself where other functions follow: that is no difference. */
    if (device->hasAddr && device->addr.domain == addr->domain && device->addr.bus == addr->bus &&
        device->addr.slot == addr->slot && device->addr.function == addr->function &&
        (device->addr.multifunction || !addr->multifunction))
        return;
    line = formatAddr(addr);
    if (device->addrNode)
        viommuEditsReplace(state->edits, device->addrNode, line);
    else
        viommuEditsAppendChild(state->edits, device->node, line);
}

static void
expandAddresses(expandState *state)
{
    size_t i;
    size_t j;

    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        for (j = 0; state->words.pciBus && j < vsmmu->devices->len; j++) {
            const viommuPlanDevice *device = g_ptr_array_index(vsmmu->devices, j);

            writeAddr(state, device->device, &device->addr);
        }
    }
    for (i = 0; i < state->plan->emulated->len; i++) {
        const viommuPlanEmulated *emulated = g_ptr_array_index(state->plan->emulated, i);
        const viommuPlanImplied *implied = emulated->implied;
        g_autofree char *addr = NULL;
        g_autofree char *lines = NULL;

        if (emulated->device) {
            writeAddr(state, emulated->device, &emulated->addr);
            continue;
        }
        addr = formatAddr(&emulated->addr);
        lines = g_strdup_printf("<%s%s%s>\n%s%s%s  %s\n</%s>", implied->element,
                                *implied->attrs ? " " : "", implied->attrs,
                                implied->child ? "  " : "", implied->child ? implied->child : "",
                                implied->child ? "\n" : "", addr, implied->element);
        viommuEditsAppendChild(state->edits, state->dom->devicesNode, lines);
    }
}

/* Addresses on ports that go, with a withdrawn request or where libvirt is not to know of them: it chooses new ones. */
static void
withdrawAddresses(expandState *state)
{
    const viommuDomain *dom = state->dom;
    bool all = dom->withdrawn || !state->words.pciBus;
    size_t i;

    for (i = 0; all && i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);
        const viommuController *port = device->hasAddr
                                           ? viommuDomainFindController(dom, device->addr.bus) : NULL;

        if (port && viommuDomainIsGenerated(dom, port))
            viommuEditsRemove(state->edits, device->addrNode);
    }
}

/* libvirt keeps <iommufd> in front of <os>. */
static void
expandIommufd(expandState *state)
{
    const viommuDomain *dom = state->dom;
    const xmlNode *os = viommuXMLChild(dom->root, "os");
    bool wanted = state->plan->accel && state->plan->vsmmus->len > 0 && state->words.iommufd;

    state->madeIommufd = wanted && dom->ownsIommufd;
    if (!wanted && dom->ownsIommufd && dom->iommufdNode)
        viommuEditsRemove(state->edits, dom->iommufdNode);
    if (!wanted || dom->iommufd == 1)
        return;
    state->madeIommufd = true;
    if (dom->iommufdNode)
        viommuEditsAddAttr(state->edits, dom->iommufdNode, "enabled", "yes");
    else
        viommuEditsInsertBefore(state->edits, os ? os : dom->devicesNode, "<iommufd enabled='yes'/>");
}

/* Gives @device <driver iommufd='yes'/>. */
static void
writeIommufd(expandState *state, const viommuDevice *device)
{
    const xmlNode *driver = viommuXMLChild(device->node, "driver");
    const xmlNode *source = viommuXMLChild(device->node, "source");

    if (driver)
        viommuEditsAddAttr(state->edits, driver, "iommufd", "yes");
    else if (source) /* libvirt's schema has it before <address> */
        viommuEditsInsertAfter(state->edits, source, "<driver iommufd='yes'/>");
}

/* Takes it away again, and keeps what else the user has said there. */
static void
removeIommufd(expandState *state, const viommuDevice *device)
{
    xmlNode *driver = viommuXMLChild(device->node, "driver");

    if (driver->properties->next || driver->children)
        viommuEditsRemoveAttr(state->edits, driver, "iommufd");
    else
        viommuEditsRemove(state->edits, driver);
}

/* <driver iommufd='yes'> of every device below a vSMMU, for a libvirt that has no <iommufd>. */
static void
expandDeviceIommufd(expandState *state)
{
    const viommuDomain *dom = state->dom;
    bool wanted = state->words.deviceIommufd && state->plan->accel && state->plan->vsmmus->len > 0;
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);
        bool there = device->iommufd == 1 && !device->iommufdOverridden;

        /* On an interface of a network libvirt ignores it. */
        if (device->kind != VIOMMU_DEVICE_ASSIGNED || device->network)
            continue;
        if (wanted && !there)
            writeIommufd(state, device);
        else if (!wanted && device->iommufdMade)
            removeIommufd(state, device);
        if (wanted && (!there || device->iommufdMade))
            g_ptr_array_add(state->iommufdDevices, device->key);
    }
}

static char *
expand(expandState *state, size_t *ret_len, GError **error)
{
    const viommuDomain *dom = state->dom;
    g_autoptr(viommuEdits) edits = viommuEditsNew(dom->xml);
    g_autoptr(GPtrArray) ordered = g_ptr_array_new();
    g_autoptr(GHashTable) aliases = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_autoptr(GPtrArray) iommufdDevices = g_ptr_array_new();
    g_autofree char *out = NULL;

    state->edits = edits;
    state->iommufdDevices = iommufdDevices;
    state->aliases = aliases;
    state->ordered = ordered;
    if (viommuDomainIsRequest(dom)) {
        if (!expandCanSay(state, error) || !expandNumbers(state, error))
            return NULL;
        expandIommufd(state);
        expandDeviceIommufd(state);
        expandControllers(state);
        expandAddresses(state);
        withdrawAddresses(state);
        expandIOMMUs(state);
        expandAliases(state);
        expandCommandline(state);
        expandOverride(state);
        expandMetadata(state);
        if (dom->ioapic && !dom->withdrawn)
            viommuEditsRemove(edits, dom->ioapic);
    }
    out = viommuEditsApply(edits, ret_len);
    if (*ret_len > VIOMMU_XML_MAX) {
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, 0,
                      "the expanded document would be larger than %d bytes, libvirt's limit for one "
                      "string", VIOMMU_XML_MAX);
        return NULL;
    }
    return g_steal_pointer(&out);
}

char *
viommuExpand(const viommuDomain *dom, const viommuPlan *plan, viommuDialect dialect, size_t *ret_len,
             GError **error)
{
    expandState state = { .dom = dom, .plan = plan, .dialect = dialect,
                          .words = expandWordsOf(dialect == VIOMMU_DIALECT_OVERRIDE ? VIOMMU_LIBVIRT_OVERRIDE
                                                                                    : VIOMMU_LIBVIRT_NATIVE) };

    return expand(&state, ret_len, error);
}

bool
viommuExpandHasBuses(unsigned libvirtVersion)
{
    return expandWordsOf(libvirtVersion).pciBus;
}

bool
viommuExpandHasDeviceIommufd(unsigned libvirtVersion)
{
    return expandWordsOf(libvirtVersion).deviceIommufd || expandWordsOf(libvirtVersion).iommufd;
}

char *
viommuExpandFor(const viommuDomain *dom, const viommuPlan *plan, unsigned libvirtVersion, size_t *ret_len,
                GError **error)
{
    expandState state = { .dom = dom, .plan = plan, .words = expandWordsOf(libvirtVersion) };

    state.dialect = state.words.accel ? VIOMMU_DIALECT_NATIVE : VIOMMU_DIALECT_OVERRIDE;
    return expand(&state, ret_len, error);
}
