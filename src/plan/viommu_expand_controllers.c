/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Expander buses, root ports and the 64-bit window, in the form that libvirt 12.8 gives them itself, so that
 * it has nothing to change.
 */
#include "viommu_expand_priv.h"

#include <string.h>

static char *
formatExpander(const viommuVSMMU *vsmmu)
{
    g_autofree char *target = g_strdup_printf("<target busNr='%u'/>", vsmmu->busNr);

    if (vsmmu->node >= 0) {
        g_free(target);
        target = g_strdup_printf("<target busNr='%u'>\n    <node>%d</node>\n  </target>", vsmmu->busNr,
                                 vsmmu->node);
    }
    return g_strdup_printf("<controller type='pci' index='%u' model='pcie-expander-bus'>\n"
                           "  <model name='pxb-pcie'/>\n"
                           "  %s\n"
                           "  <address type='pci' domain='0x0000' bus='0x00' slot='0x%02x' "
                           "function='0x0'/>\n"
                           "</controller>", vsmmu->controller, target, vsmmu->slot);
}

/* <target memReserve=> of a port that keeps a window below 4 GiB, in KiB; NULL: none. libvirt has it since 10.3, and
 * ports only where it has pciBus, since 11.10. */
static char *
formatMemReserve(const viommuPlanPort *port)
{
    return port->keeps.mem ? g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)port->keeps.mem / 1024) : NULL;
}

static char *
formatPort(const viommuPlanPort *port, unsigned bus)
{
    g_autofree char *memReserve = formatMemReserve(port);

    return g_strdup_printf("<controller type='pci' index='%u' model='pcie-root-port'>\n"
                           "  <model name='pcie-root-port'/>\n"
                           "  <target chassis='%u' port='0x%x'%s%s%s/>\n"
                           "  <address type='pci' domain='0x0000' bus='0x%02x' slot='0x%02x' "
                           "function='0x%x'%s/>\n"
                           "</controller>", port->controller, port->chassis, port->port,
                           memReserve ? " memReserve='" : "", memReserve ? memReserve : "", memReserve ? "'" : "",
                           bus, port->slot, port->function, port->multifunction ? " multifunction='on'" : "");
}

static bool
sameExpander(const viommuController *there, const viommuVSMMU *vsmmu)
{
    return there->model == VIOMMU_PCI_EXPANDER && there->busNr == (int)vsmmu->busNr &&
           there->hasAddr && there->addr.bus == 0 && there->addr.slot == vsmmu->slot &&
           (there->numaNode == vsmmu->node || (there->numaNode == VIOMMU_UNSET && vsmmu->node < 0));
}

static bool
samePort(const viommuController *there, const viommuPlanPort *port, unsigned bus)
{
    g_autofree char *memReserve = formatMemReserve(port);

    return there->model == VIOMMU_PCI_ROOT_PORT && there->hasAddr && there->addr.bus == bus &&
           there->addr.slot == port->slot && there->addr.function == port->function &&
           there->addr.multifunction == port->multifunction &&
           (there->chassis == VIOMMU_UNSET || there->chassis == (int)port->chassis) &&
           (there->port == VIOMMU_UNSET || there->port == (int)port->port) &&
           g_strcmp0(viommuXMLAttr(viommuXMLChild(there->node, "target"), "memReserve"), memReserve) == 0;
}

/* An expander bus of the user's: only what is missing is added; @slot 0: not the address. */
static void
completeExpander(expandState *state, const viommuController *there, unsigned number, unsigned slot)
{
    const xmlNode *target = viommuXMLChild(there->node, "target");
    const xmlNode *addr = viommuXMLChild(there->node, "address");
    g_autofree char *busNr = g_strdup_printf("%u", number);
    g_autoptr(GString) lines = g_string_new(NULL);

    if (there->busNr == VIOMMU_UNSET && target)
        viommuEditsAddAttr(state->edits, target, "busNr", busNr);
    else if (there->busNr == VIOMMU_UNSET)
        g_string_append_printf(lines, "<target busNr='%s'/>", busNr);
    if (slot && !addr)
        g_string_append_printf(lines, "%s<address type='pci' domain='0x0000' bus='0x00' slot='0x%02x' "
                               "function='0x0'/>", lines->len ? "\n" : "", slot);
    if (lines->len)
        viommuEditsAppendChild(state->edits, there->node, lines->str);
}

/* New controllers stand behind the last PCI controller. */
static void
insert(expandState *state, const char *lines)
{
    const GPtrArray *controllers = state->dom->controllers;

    if (controllers->len) {
        const viommuController *last = g_ptr_array_index(controllers, controllers->len - 1);

        viommuEditsInsertAfter(state->edits, last->node, lines);
    } else {
        viommuEditsAppendChild(state->edits, state->dom->devicesNode, lines);
    }
}

static void
writeExpander(expandState *state, const viommuVSMMU *vsmmu)
{
    const viommuController *there = viommuDomainFindController(state->dom, vsmmu->controller);
    bool ours = there && viommuDomainIsGenerated(state->dom, there);
    g_autofree char *lines = NULL;

    if (there && !ours) {
        completeExpander(state, there, vsmmu->busNr, vsmmu->slot);
        return;
    }
    if (there && sameExpander(there, vsmmu))
        return;
    lines = formatExpander(vsmmu);
    if (there)
        viommuEditsReplace(state->edits, there->node, lines);
    else
        insert(state, lines);
}

static void
writePort(expandState *state, const viommuPlanPort *port, unsigned bus)
{
    const viommuController *there = viommuDomainFindController(state->dom, port->controller);
    bool ours = !there || viommuDomainIsGenerated(state->dom, there);
    g_autofree char *lines = NULL;

    if (!ours || (there && samePort(there, port, bus)))
        return;
    lines = formatPort(port, bus);
    if (there)
        viommuEditsReplace(state->edits, there->node, lines);
    else
        insert(state, lines);
}

static bool
isPlanned(const expandState *state, unsigned controller)
{
    const viommuPlan *plan = state->plan;
    size_t i;
    size_t j;

    for (i = 0; state->words.pciBus && i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        if (vsmmu->controller == controller)
            return true;
        for (j = 0; j < vsmmu->ports->len; j++) {
            if (((viommuPlanPort *)g_ptr_array_index(vsmmu->ports, j))->controller == controller)
                return true;
        }
    }
    for (i = 0; i < plan->plainPorts->len; i++) {
        if (((viommuPlanPort *)g_ptr_array_index(plan->plainPorts, i))->controller == controller)
            return true;
    }
    return false;
}

static void
removeUnplanned(expandState *state)
{
    size_t i;

    for (i = 0; i < state->dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(state->dom->controllers, i);

        if (viommuDomainIsGenerated(state->dom, there) && !isPlanned(state, there->index))
            viommuEditsRemove(state->edits, there->node);
    }
}

static void
writeHole64(expandState *state)
{
    const viommuDomain *dom = state->dom;
    const viommuController *root = viommuDomainFindRoot(dom);
    const xmlNode *there = root ? viommuXMLChild(root->node, "pcihole64") : NULL;
    uint64_t now = root ? root->hole64KiB : 0;
    uint64_t user = dom->ownsHole64 ? dom->userHole64KiB : now;
    /* Of older ones some refuse it for "virt" (seen with 11.3). */
    uint64_t wanted = state->words.accel || !state->plan->vsmmus->len ? state->plan->hole64KiB : 0;
    g_autofree char *line = g_strdup_printf("<pcihole64 unit='KiB'>%" G_GUINT64_FORMAT "</pcihole64>",
                                            (guint64)wanted);
    g_autofree char *whole = NULL;

    state->madeHole64 = wanted != user;
    state->userHole64KiB = user;
    if (wanted == now)
        return;
    if (there && wanted == 0) {
        viommuEditsRemove(state->edits, there);
    } else if (there) {
        viommuEditsReplace(state->edits, there, line);
    } else if (root) {
        viommuEditsAppendChild(state->edits, root->node, line);
    } else if (!viommuDomainFindController(dom, 0)) {
        whole = g_strdup_printf("<controller type='pci' index='0' model='pcie-root'>\n  %s\n"
                                "</controller>", line);
        insert(state, whole);
    }
}

void
expandControllers(expandState *state)
{
    size_t i;
    size_t j;

    if (state->plan->vsmmus->len || state->dom->ownsHole64)
        writeHole64(state);
    removeUnplanned(state);
    for (i = 0; i < state->plan->otherBuses->len; i++) {
        const viommuPlanBus *bus = g_ptr_array_index(state->plan->otherBuses, i);

        completeExpander(state, bus->controller, bus->busNr, 0);
    }
    for (i = 0; i < state->plan->plainPorts->len; i++)
        writePort(state, g_ptr_array_index(state->plan->plainPorts, i), 0);
    for (i = 0; state->words.pciBus && i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        writeExpander(state, vsmmu);
        for (j = 0; j < vsmmu->ports->len; j++)
            writePort(state, g_ptr_array_index(vsmmu->ports, j), vsmmu->controller);
    }
}
