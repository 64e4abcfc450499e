/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The <iommu> elements: one per vSMMU in the place of the request.
 */
#include "viommu_expand_priv.h"

#include <string.h>

static unsigned
countSpare(const viommuVSMMU *vsmmu)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < vsmmu->ports->len; i++)
        count += ((viommuPlanPort *)g_ptr_array_index(vsmmu->ports, i))->spare;
    return count;
}

/* AUTO is left out in libvirt's own words, and said in ours. */
static void
appendFeature(GString *out, const expandState *state, const char *name, int value, bool number)
{
    if (value == VIOMMU_AUTO && state->dialect != VIOMMU_DIALECT_VIOMMU)
        return;
    if (value == VIOMMU_AUTO)
        g_string_append_printf(out, " %s='auto'", name);
    else if (number)
        g_string_append_printf(out, " %s='%d'", name, value);
    else
        g_string_append_printf(out, " %s='%s'", name, value ? "on" : "off");
}

static bool
isOurAlias(const xmlNode *node)
{
    const char *name = viommuXMLAttr(node, "name");

    return viommuXMLIs(node, "alias") && name && g_str_has_prefix(name, VIOMMU_ALIAS_PREFIX);
}

/* The alias that the user gave to @there (NULL: none is there), or NULL. */
static const char *
usersAlias(const viommuIOMMU *there)
{
    const xmlNode *node = there ? viommuXMLChild(there->node, "alias") : NULL;
    const char *name = viommuXMLAttr(node, "name");

    return name && g_str_has_prefix(name, "ua-") && !isOurAlias(node) ? name : NULL;
}

/* What the user wrote into @there beside the words of a request: an alias, for instance. */
static void
appendForeign(GString *out, const expandState *state, const viommuIOMMU *there)
{
    const xmlNode *node;
    size_t len;
    const char *text = viommuXMLText(state->dom->xml, &len);

    for (node = there ? there->node->children : NULL; node; node = node->next) {
        const viommuSpan *span;

        if (node->type != XML_ELEMENT_NODE || viommuXMLIs(node, "driver") ||
            viommuXMLIs(node, "placement") || viommuXMLIs(node, "source") || isOurAlias(node))
            continue;
        span = viommuXMLSpan(state->dom->xml, node);
        g_string_append(out, "  ");
        g_string_append_len(out, text + span->begin, (gssize)(span->end - span->begin));
        g_string_append_c(out, '\n');
    }
}

/* Does @vsmmu need a name by which its properties are set? Those may also be the user's, from an earlier expansion. */
static bool
isNamed(const expandState *state, const viommuVSMMU *vsmmu)
{
    g_autofree char *alias = expandSMMUAlias(state, vsmmu);

    return (state->plan->accel && !state->words.accel) || expandOverrideHasOthers(state->dom, alias);
}

static char *
formatIOMMU(const expandState *state, const viommuVSMMU *vsmmu, const viommuIOMMU *there)
{
    GString *out = g_string_new("<iommu model='smmuv3'");
    g_autofree char *name = viommuXMLEscape(vsmmu->smmu->name);
    bool ours = state->dialect == VIOMMU_DIALECT_VIOMMU;
    bool accel = state->plan->accel && state->words.accel;

    g_string_append_printf(out, "%s>\n  <driver pciBus='%u'%s", ours ? " nested='yes'" : "",
                           vsmmu->controller, accel ? " accel='on'" : "");
    if (accel) {
        appendFeature(out, state, "cmdqv", vsmmu->features.cmdqv, false);
        appendFeature(out, state, "ats", vsmmu->features.ats, false);
        appendFeature(out, state, "ril", vsmmu->features.ril, false);
        appendFeature(out, state, "ssidsize", vsmmu->features.ssidsize, true);
        appendFeature(out, state, "oas", vsmmu->features.oas, true);
    }
    g_string_append(out, "/>\n");
    if (ours) {
        g_string_append_printf(out, "  <placement sparePorts='%u'", countSpare(vsmmu));
        if (vsmmu->reserve.pref64KiB)
            g_string_append_printf(out, " pref64Reserve='%u'", vsmmu->reserve.pref64KiB);
        if (vsmmu->reserve.memKiB)
            g_string_append_printf(out, " memReserve='%u'", vsmmu->reserve.memKiB);
        g_string_append_printf(out, "/>\n  <source smmu='%s'/>\n", name);
    }
    appendForeign(out, state, there);
    if (!usersAlias(there) && isNamed(state, vsmmu)) {
        g_autofree char *alias = expandSMMUAlias(state, vsmmu);

        g_string_append_printf(out, "  <alias name='%s'/>\n", alias);
    }
    g_string_append(out, "</iommu>");
    return g_string_free(out, FALSE);
}

static bool
sameValue(const expandState *state, int there, int planned)
{
    if (planned == VIOMMU_AUTO && (state->dialect != VIOMMU_DIALECT_VIOMMU || !state->plan->accel))
        return there == VIOMMU_UNSET;
    return there == planned;
}

static bool
sameIOMMU(const expandState *state, const viommuIOMMU *there, const viommuVSMMU *vsmmu)
{
    const viommuFeatures *planned = &vsmmu->features;
    g_autofree char *lines = NULL;
    bool ours = state->dialect == VIOMMU_DIALECT_VIOMMU;

    if (state->dialect == VIOMMU_DIALECT_OVERRIDE || there->overridden) {
        lines = formatIOMMU(state, vsmmu, there);
        return expandIsWritten(state, there->node, lines);
    }
    if (there->strays->len || there->foreign || there->pciBus != (int)vsmmu->controller ||
        there->nested != (ours ? 1 : VIOMMU_UNSET) ||
        there->accel != (state->plan->accel ? 1 : VIOMMU_UNSET))
        return false;
    if (ours && (g_strcmp0(there->source, vsmmu->smmu->name) != 0 ||
                 there->sparePorts != countSpare(vsmmu) || there->reserve.pref64KiB != vsmmu->reserve.pref64KiB ||
                 there->reserve.memKiB != vsmmu->reserve.memKiB || there->allSMMUs))
        return false;
    return sameValue(state, there->features.cmdqv, planned->cmdqv) &&
           sameValue(state, there->features.ats, planned->ats) &&
           sameValue(state, there->features.ril, planned->ril) &&
           sameValue(state, there->features.ssidsize, planned->ssidsize) &&
           sameValue(state, there->features.oas, planned->oas);
}

static bool
isOurs(const viommuDomain *dom, const viommuIOMMU *iommu)
{
    size_t i;

    if (strcmp(iommu->model, "smmuv3") != 0)
        return false;
    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        if (iommu->pciBus == (int)placed->controller)
            return true;
    }
    return iommu->nested == 1 || (iommu->nested == 0 && dom->withdrawn);
}

static const viommuIOMMU *
findThere(const viommuDomain *dom, const viommuVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (isOurs(dom, iommu) && iommu->pciBus == (int)vsmmu->controller)
            return iommu;
    }
    return NULL;
}

char *
expandSMMUAlias(const expandState *state, const viommuVSMMU *vsmmu)
{
    const char *alias = usersAlias(findThere(state->dom, vsmmu));

    return alias ? g_strdup(alias) : g_strdup_printf(VIOMMU_ALIAS_PREFIX "smmu%u", vsmmu->controller);
}

char *
expandSMMUAliasOf(const expandState *state, unsigned which)
{
    const GPtrArray *vsmmus = state->plan->vsmmus;
    const viommuIOMMU *there = which < state->dom->iommus->len ? g_ptr_array_index(state->dom->iommus, which) : NULL;
    bool fresh = true;
    size_t i;

    for (i = 0; i < vsmmus->len; i++) {
        const viommuIOMMU *one = findThere(state->dom, g_ptr_array_index(vsmmus, i));

        if (one && one == there)
            return expandSMMUAlias(state, g_ptr_array_index(vsmmus, i));
        fresh = fresh && !one;
    }
    /* All are written in the place of one request, in this order. */
    return fresh && which < vsmmus->len ? expandSMMUAlias(state, g_ptr_array_index(vsmmus, which)) : NULL;
}

/* The requests that no vSMMU stands for (@used: those of which one does): the new vSMMUs take the place of
 * the first. */
static void
replaceRequests(expandState *state, const char *fresh, const viommuIOMMU *after, GHashTable *used)
{
    const viommuDomain *dom = state->dom;
    bool written = *fresh == '\0';
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (!isOurs(dom, iommu) || g_hash_table_contains(used, iommu))
            continue;
        if (written) {
            viommuEditsRemove(state->edits, iommu->node);
        } else {
            viommuEditsReplace(state->edits, iommu->node, fresh);
            written = true;
        }
    }
    if (written)
        return;
    if (after)
        viommuEditsInsertAfter(state->edits, after->node, fresh);
    else
        viommuEditsAppendChild(state->edits, dom->devicesNode, fresh);
}

void
expandIOMMUs(expandState *state)
{
    g_autoptr(GString) fresh = g_string_new(NULL);
    g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
    const viommuIOMMU *after = NULL;
    size_t i;

    for (i = 0; state->words.pciBus && i < state->plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(state->plan->vsmmus, i);
        const viommuIOMMU *there = findThere(state->dom, vsmmu);
        g_autofree char *lines = NULL;

        if (there)
            g_hash_table_add(used, (void *)there);
        if (there && (!after || viommuXMLSpan(state->dom->xml, there->node)->begin >
                                    viommuXMLSpan(state->dom->xml, after->node)->begin))
            after = there;
        if (there && sameIOMMU(state, there, vsmmu))
            continue;
        lines = formatIOMMU(state, vsmmu, there);
        if (there)
            viommuEditsReplace(state->edits, there->node, lines);
        else
            g_string_append_printf(fresh, "%s%s", fresh->len ? "\n" : "", lines);
    }
    replaceRequests(state, fresh->str, after, used);
}
