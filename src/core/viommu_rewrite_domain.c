/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rewrites domains: the whole text, or those within a snapshot or checkpoint.
 */
#include "viommu_inherit.h"
#include "viommu_rewrite_priv.h"
#include "viommuerror.h"
#include "virtext.h"

#include <string.h>

/* Words without which no domain asks, a misspelt "nested" included; and those without which no policy asks for it. */
static const char *const askingWords[] = { "smmuv3", "viommu", NULL };
static const char *const policyWords[] = { "smmuv3", "viommu", "hostdev", "network", NULL };

const char *const *
viommuRewriteAskingWords(viommuPolicy policy)
{
    return policy == VIOMMU_POLICY_OFF ? askingWords : policyWords;
}

/* A domain within the text. That of an inactive one in a snapshot has another name for its root. */
typedef struct {
    size_t begin; /* in the text, behind "<domain" or the like */
    size_t end;   /* in its end tag, behind "</" */
} domainPart;

/* Notes what was placed, for the log. */
static void
appendPlan(GString *out, const viommuPlan *plan)
{
    size_t i, j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        g_string_append_printf(out, "%svSMMU for %s on bus %u (", out->len ? ", " : "",
                               vsmmu->smmu->name, vsmmu->controller);
        for (j = 0; j < vsmmu->devices->len; j++) {
            const viommuPlanDevice *dev = g_ptr_array_index(vsmmu->devices, j);

            g_string_append_printf(out, "%s%s", j ? " " : "", dev->host->name);
        }
        g_string_append(out, j ? ")" : "no device)");
    }
    if (!out->len)
        g_string_append(out, "no vSMMU left");
}

/* What both sides of the connection can do, and what libvirt has already. */
static bool
needPeer(viommuRewrite *self, viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GError) error = NULL;

    if (!self->peer->libvirt && !self->libvirtAsked)
        return viommuRewriteAsk(self, VIOMMU_ASK_LIBVIRT_VERSION, NULL, ret_verdict);
    if (!self->peer->qemu && !self->qemuAsked)
        return viommuRewriteAsk(self, VIOMMU_ASK_QEMU_VERSION, NULL, ret_verdict);
    if (!viommuPlacementFitsLibvirt(self->peer->libvirt, &error))
        return viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
    if (self->kind == VIOMMU_REWRITE_DEFINE && !self->inactive && viommuInheritWants(self->dom))
        return viommuRewriteAsk(self, VIOMMU_ASK_DEFINED, self->dom->uuid, ret_verdict);
    return true;
}

static bool
isUnchanged(const viommuDomain *dom, const viommuPlacement *placement)
{
    size_t len;
    const char *text = viommuXMLText(dom->xml, &len);

    return placement->textLen == len && memcmp(placement->text, text, len) == 0;
}

static bool
place(viommuRewrite *self, viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) before = NULL;

    if (self->inactive)
        before = viommuDomainParse(self->inactive, strlen(self->inactive), NULL);
    self->placement = viommuPlacementNewAfter(self->dom, before, self->host, self->peer->qemu, &error);
    if (!self->placement)
        return viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
    if (self->placement->refused) {
        viommuRewriteRefuse(self, self->placement->findings, ret_verdict);
        if (self->dom->byPolicy)
            g_string_append(self->words, " (the policy of the service asks for it; "
                                         "the extra spec viommu:nested=no keeps a domain out)");
        return false;
    }
    if (!viommuPlacementFit(self->placement, self->peer->libvirt, &error))
        return viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
    appendPlan(self->words, self->placement->plan);
    return true;
}

/* Expands the domain @text. *@ret_placement stays NULL for one that stays as it is, else it is borrowed until the next
 * one is expanded. */
static bool
expand(viommuRewrite *self, const char *text, size_t len, const viommuPlacement **ret_placement,
       viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GError) error = NULL;
    viommuPolicy policy = self->context->policy;
    viommuDomain *dom;

    if (!viommuRewriteMayAsk(text, len, viommuRewriteAskingWords(policy)))
        return true;
    g_clear_pointer(&self->placement, viommuPlacementFree);
    g_clear_pointer(&self->dom, viommuDomainFree);
    dom = self->dom = viommuDomainParse(text, len, &error);
    if (!dom)
        return viommuRewriteUnreadable(self, g_steal_pointer(&error), ret_verdict);
    g_free(self->name);
    self->name = g_strdup(dom->name);
    if (!viommuDomainIsRequest(dom) && !viommuDomainFitsPolicy(dom, policy))
        return true;
    if (!viommuRewriteNeedHost(self, dom, ret_verdict))
        return false;
    if (!viommuHostBind(self->host, dom, NULL, &error))
        return viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
    if (!viommuDomainIsRequest(dom))
        return true;
    if (!needPeer(self, ret_verdict) || !place(self, ret_verdict))
        return false;
    if (!isUnchanged(dom, self->placement))
        *ret_placement = self->placement;
    return true;
}

static viommuRewriteVerdict
finish(viommuRewrite *self)
{
    if (self->result->len > VIOMMU_XML_MAX) {
        viommuRewriteVerdict verdict;

        viommuRewriteRefuseError(
            self,
            g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                        "the expanded domain has more than the %d bytes that libvirt takes; remove devices",
                        VIOMMU_XML_MAX),
            &verdict);
        return verdict;
    }
    return VIOMMU_REWRITE_REPLACE;
}

/* Appends part @part of the text, rewritten; *@changed if it is. */
static bool
appendPart(viommuRewrite *self, const domainPart *part, bool *changed,
           viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GString) domain = g_string_new(NULL);
    const viommuPlacement *fresh = NULL;
    size_t front, i;

    /* Lines of findings are those of the whole text. */
    for (i = 0; i < part->begin; i++) {
        if (self->text[i] == '\n')
            g_string_append_c(domain, '\n');
    }
    g_string_append(domain, "<domain");
    front = domain->len;
    g_string_append_len(domain, self->text + part->begin, (gssize)(part->end - part->begin));
    g_string_append(domain, "domain>");
    if (!expand(self, domain->str, domain->len, &fresh, ret_verdict))
        return false;
    if (fresh) {
        g_string_append_len(self->result, fresh->text + front,
                            (gssize)(fresh->textLen - front - strlen("domain>")));
        *changed = true;
    } else {
        g_string_append_len(self->result, self->text + part->begin,
                            (gssize)(part->end - part->begin));
    }
    return true;
}

/* The domains in a snapshot or checkpoint, of domainPart; those without content are not worth a look. */
static GArray *
findParts(const viommuXML *xml)
{
    static const char *const elements[] = { "domain", "inactiveDomain" };
    GArray *parts = g_array_new(FALSE, FALSE, sizeof(domainPart));
    const xmlNode *node;
    size_t i;

    for (node = viommuXMLRoot(xml)->children; node; node = node->next) {
        for (i = 0; i < G_N_ELEMENTS(elements); i++) {
            const viommuSpan *span = viommuXMLIs(node, elements[i]) ? viommuXMLSpan(xml, node) : NULL;
            domainPart part;

            if (!span || span->contentEnd >= span->end)
                continue;
            part.begin = span->begin + strlen("<") + strlen(elements[i]);
            part.end = span->contentEnd + strlen("</");
            g_array_append_val(parts, part);
        }
    }
    return parts;
}

static viommuRewriteVerdict
rewriteEmbedded(viommuRewrite *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuXML) xml = NULL;
    viommuRewriteVerdict verdict = VIOMMU_REWRITE_PASS;
    g_autoptr(GArray) parts = NULL;
    bool changed = false;
    size_t at = 0;
    size_t i;

    if (!viommuRewriteMayAsk(self->text, self->len, viommuRewriteAskingWords(self->context->policy)))
        return verdict;
    xml = viommuXMLParse(self->text, self->len, &error);
    if (!xml) {
        viommuRewriteUnreadable(self, g_steal_pointer(&error), &verdict);
        return verdict;
    }
    parts = findParts(xml);
    for (i = 0; i < parts->len; i++) {
        const domainPart *part = &g_array_index(parts, domainPart, i);

        g_string_append_len(self->result, self->text + at, (gssize)(part->begin - at));
        if (!appendPart(self, part, &changed, &verdict))
            return verdict;
        at = part->end;
    }
    if (!changed)
        return VIOMMU_REWRITE_PASS;
    g_string_append_len(self->result, self->text + at, (gssize)(self->len - at));
    return finish(self);
}

viommuRewriteVerdict
viommuRewriteDomains(viommuRewrite *self)
{
    viommuRewriteVerdict verdict = VIOMMU_REWRITE_PASS;
    const viommuPlacement *fresh = NULL;

    if (self->kind == VIOMMU_REWRITE_EMBEDDED)
        return rewriteEmbedded(self);
    if (!expand(self, self->text, self->len, &fresh, &verdict) || !fresh)
        return verdict;
    g_string_append_len(self->result, fresh->text, (gssize)fresh->textLen);
    return finish(self);
}
