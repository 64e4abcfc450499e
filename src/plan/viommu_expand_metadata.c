/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our element in <metadata>: the request, which plain libvirt would lose, and what was made from it. It is
 * written in the form that libvirt gives it when it prints the domain.
 */
#include "viommu_expand_priv.h"

#include <string.h>

static void
appendFeature(GString *out, const char *name, int value, bool number)
{
    if (value == VIOMMU_AUTO)
        return;
    if (number)
        g_string_append_printf(out, " %s=\"%d\"", name, value);
    else
        g_string_append_printf(out, " %s=\"%s\"", name, value ? "on" : "off");
}

static void
appendText(GString *out, const char *name, const char *value)
{
    g_autofree char *escaped = viommuXMLEscape(value);

    g_string_append_printf(out, " %s=\"%s\"", name, escaped);
}

static void
appendRequest(GString *out, const viommuRequest *request, bool withBus)
{
    g_string_append(out, "\n  <viommu:request");
    if (request->smmu)
        appendText(out, "smmu", request->smmu);
    if (withBus)
        g_string_append_printf(out, " pciBus=\"%d\"", request->pciBus);
    appendFeature(out, "cmdqv", request->features.cmdqv, false);
    appendFeature(out, "ats", request->features.ats, false);
    appendFeature(out, "ril", request->features.ril, false);
    appendFeature(out, "ssidsize", request->features.ssidsize, true);
    appendFeature(out, "oas", request->features.oas, true);
    if (request->sparePorts)
        g_string_append_printf(out, " sparePorts=\"%u\"", request->sparePorts);
    if (request->reserve.pref64KiB)
        g_string_append_printf(out, " pref64Reserve=\"%u\"", request->reserve.pref64KiB);
    if (request->reserve.memKiB)
        g_string_append_printf(out, " memReserve=\"%u\"", request->reserve.memKiB);
    if (request->allSMMUs)
        g_string_append(out, " smmus=\"all\"");
    g_string_append(out, "/>");
}

/* In our own dialect the <iommu> elements are the requests for the SMMUs that have a vSMMU. */
static bool
isKept(const expandState *state, const viommuRequest *request)
{
    size_t i;

    for (i = 0; state->dialect == VIOMMU_DIALECT_VIOMMU && i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        if (g_strcmp0(request->smmu, vsmmu->smmu->name) == 0)
            return false;
    }
    return true;
}

/* Does the SMMU of @request have others, or several vSMMUs? Then the bus tells it from them. */
static bool
needsBus(const expandState *state, const viommuRequest *request)
{
    const GPtrArray *requests = state->dom->requests;
    unsigned asked = 0;
    unsigned made = 0;
    size_t i;

    for (i = 0; i < requests->len; i++)
        asked += g_strcmp0(((viommuRequest *)g_ptr_array_index(requests, i))->smmu, request->smmu) == 0;
    for (i = 0; i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);

        made += g_strcmp0(vsmmu->smmu->name, request->smmu) == 0;
    }
    return request->pciBus >= 0 && (asked > 1 || made > 1);
}

/* Does a request before number @which ask for the same SMMU? */
static bool
isAskedBefore(const viommuDomain *dom, size_t which)
{
    const viommuRequest *request = g_ptr_array_index(dom->requests, which);
    size_t i;

    for (i = 0; i < which; i++) {
        if (g_strcmp0(((viommuRequest *)g_ptr_array_index(dom->requests, i))->smmu, request->smmu) == 0)
            return true;
    }
    return false;
}

static void
appendRequests(GString *out, const expandState *state)
{
    size_t i;

    for (i = 0; i < state->dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(state->dom->requests, i);

        /* Without pciBus there is no controller that a request could be for. */
        if (isKept(state, request) && (state->words.pciBus || !isAskedBefore(state->dom, i)))
            appendRequest(out, request, state->words.pciBus && needsBus(state, request));
    }
}

/* The device in a port: of several functions the first. */
static const char *
deviceIn(const viommuVSMMU *vsmmu, unsigned port)
{
    size_t i;

    for (i = 0; i < vsmmu->devices->len; i++) {
        const viommuPlanDevice *device = g_ptr_array_index(vsmmu->devices, i);

        if (device->addr.bus == port)
            return device->device->key;
    }
    return NULL;
}

static void
appendVSMMU(GString *out, const viommuVSMMU *vsmmu)
{
    size_t i;

    g_string_append(out, "\n  <viommu:vsmmu");
    appendText(out, "smmu", vsmmu->smmu->name);
    g_string_append_printf(out, " controller=\"%u\"%s", vsmmu->controller,
                           vsmmu->generated ? "" : " own=\"no\"");
    if (vsmmu->ports->len == 0) {
        g_string_append(out, "/>");
        return;
    }
    g_string_append(out, ">");
    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);
        const char *device = deviceIn(vsmmu, port->controller);

        g_string_append_printf(out, "\n    <viommu:port controller=\"%u\"", port->controller);
        if (device)
            appendText(out, "device", device);
        g_string_append_printf(out, "%s/>", port->generated ? "" : " own=\"no\"");
    }
    g_string_append(out, "\n  </viommu:vsmmu>");
}

static void
appendKeys(GString *out, const GPtrArray *keys)
{
    size_t i;

    g_string_append(out, " iommufdDevices=\"");
    for (i = 0; i < keys->len; i++)
        g_string_append_printf(out, "%s%s", i ? " " : "", (const char *)g_ptr_array_index(keys, i));
    g_string_append_c(out, '"');
}

static char *
formatMetadata(const expandState *state)
{
    GString *out = g_string_new("<viommu:domain xmlns:viommu=\"" VIOMMU_NS "\">");
    bool around = !state->words.accel && state->plan->vsmmus->len;
    size_t i;

    appendRequests(out, state);
    for (i = 0; state->words.pciBus && i < state->plan->vsmmus->len; i++)
        appendVSMMU(out, g_ptr_array_index(state->plan->vsmmus, i));
    if (state->madeIommufd || state->madeHole64 || around) {
        g_string_append(out, "\n  <viommu:made");
        if (around)
            g_string_append_printf(out, " override=\"%s\"", state->words.pciBus ? "yes" : "arguments");
        if (state->madeIommufd)
            g_string_append(out, " iommufd=\"yes\"");
        if (state->iommufdDevices->len)
            appendKeys(out, state->iommufdDevices);
        if (state->madeHole64)
            g_string_append(out, " pcihole64=\"yes\"");
        if (state->madeHole64 && state->userHole64KiB)
            g_string_append_printf(out, " userPcihole64=\"%" G_GUINT64_FORMAT "\"",
                                   (guint64)state->userHole64KiB);
        g_string_append(out, "/>");
    }
    g_string_append(out, "\n</viommu:domain>");
    return g_string_free(out, FALSE);
}

char *
expandSquash(const char *text, size_t len)
{
    GString *out = g_string_sized_new(len);
    size_t i = 0;

    while (i < len) {
        g_string_append_c(out, text[i]);
        if (text[i++] != '>')
            continue;
        while (i < len && g_ascii_isspace(text[i]))
            i++;
    }
    return g_string_free(out, FALSE);
}

bool
expandIsWritten(const expandState *state, const xmlNode *node, const char *lines)
{
    const viommuSpan *span = viommuXMLSpan(state->dom->xml, node);
    size_t len;
    const char *text = viommuXMLText(state->dom->xml, &len);
    g_autofree char *there = expandSquash(text + span->begin, span->end - span->begin);
    g_autofree char *wanted = expandSquash(lines, strlen(lines));

    return strcmp(there, wanted) == 0;
}

/* Is our element the only thing in <metadata>? */
static bool
isAlone(const xmlNode *elem)
{
    const xmlNode *node;

    for (node = elem->parent->children; node; node = node->next) {
        if (node != elem && !xmlIsBlankNode(node))
            return false;
    }
    return true;
}

/* libvirt keeps <metadata> behind these. */
static const xmlNode *
findHead(const viommuDomain *dom)
{
    static const char *const names[] = { "description", "title", "genid", "uuid", "name" };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        const xmlNode *node = viommuXMLChild(dom->root, names[i]);

        if (node)
            return node;
    }
    return NULL;
}

void
expandMetadata(expandState *state)
{
    const viommuDomain *dom = state->dom;
    xmlNode *metadata = viommuXMLChild(dom->root, "metadata");
    const xmlNode *head = findHead(dom);
    g_autofree char *lines = formatMetadata(state);
    g_auto(GStrv) parts = g_strsplit(lines, "\n", -1);
    g_autofree char *body = g_strjoinv("\n  ", parts);
    g_autofree char *whole = g_strdup_printf("<metadata>\n  %s\n</metadata>", body);

    if (dom->withdrawn) {
        viommuEditsRemove(state->edits, isAlone(dom->metadata) ? metadata : dom->metadata);
    } else if (dom->metadata) {
        if (!expandIsWritten(state, dom->metadata, lines))
            viommuEditsReplace(state->edits, dom->metadata, lines);
    } else if (metadata) {
        viommuEditsAppendChild(state->edits, metadata, lines);
    } else if (head) {
        viommuEditsInsertAfter(state->edits, head, whole);
    } else {
        viommuEditsAppendChild(state->edits, dom->root, whole);
    }
}
