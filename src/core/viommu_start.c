/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judging a domain for libvirt's hook.
 */
#include "viommu_start.h"

#include "viommu_check.h"
#include "viommu_expand.h"
#include "viommu_rewrite_priv.h"
#include "viommuerror.h"
#include "virtext.h"

#include <string.h>

/* What depends on where things are, in the guest and on the host. All else that is wrong with a domain is as wrong as
 * when it was defined, and QEMU's or libvirt's to say. */
static const char *const placementClasses[] = {
    "V01", "V02", "V03", "V05", "V06", "V07", "V10", "V14", "V15", "V16", "V17", "V25",
};

/* A domain and what it is judged by. */
typedef struct {
    viommuDomain *dom;
    viommuHost *host;
    char *words;  /* NULL: it fits */
    bool trouble; /* not judged, for the reason in words */
} start;

static void
startClear(start *self)
{
    g_clear_pointer(&self->dom, viommuDomainFree);
    g_clear_pointer(&self->host, viommuHostFree);
    g_clear_pointer(&self->words, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(start, startClear)

/* One line of at most that many bytes; nobody is to be left without the beginning. */
static void
say(start *self, const char *text)
{
    g_autoptr(GString) line = g_string_new("viommu: ");
    size_t end = VIOMMU_START_WORDS - strlen("...");

    virTextAppendClean(line, text);
    if (line->len > VIOMMU_START_WORDS) {
        while ((line->str[end] & 0xc0) == 0x80) /* within a character */
            end--;
        g_string_truncate(line, end);
        g_string_append(line, "...");
    }
    g_free(self->words);
    self->words = g_strdup(line->str);
}

static bool
isPlacement(const viommuFinding *f)
{
    size_t i;

    for (i = 0; f->severity == VIOMMU_SEVERITY_ERROR && i < G_N_ELEMENTS(placementClasses); i++) {
        if (strcmp(placementClasses[i], f->id) == 0)
            return true;
    }
    return false;
}

/* What is around the texts at most. */
#define AROUND "viommu: ; also V00: ; and 99999 more"

/* The first finding as a whole, of the others what is wrong, as far as there is room. */
static void
sayFindings(start *self, GPtrArray *findings)
{
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned left = 0;
    size_t i;

    viommuRewriteDropLines(findings);
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *f = g_ptr_array_index(findings, i);

        if (!isPlacement(f))
            continue;
        if (!out->len)
            viommuRewriteAppendFinding(out, f);
        else if (!left && out->len + strlen(f->text) < VIOMMU_START_WORDS - strlen(AROUND))
            g_string_append_printf(out, "; also %s: %s", f->id, f->text);
        else
            left++;
    }
    if (left)
        g_string_append_printf(out, "; and %u more", left);
    if (out->len)
        say(self, out->str);
}

static bool
hasAssigned(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        if (((const viommuDevice *)g_ptr_array_index(dom->devices, i))->kind == VIOMMU_DEVICE_ASSIGNED)
            return true;
    }
    return false;
}

/* True if something may be wrong with the placement in @dom. */
static bool
isConcerned(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") == 0 && (iommu->pciBus != VIOMMU_UNSET || hasAssigned(dom)))
            return true;
    }
    return viommuDomainIsRequest(dom);
}

/* True for a domain with host devices that asks for vSMMUs and has none. */
static bool
isUnplaced(const viommuDomain *dom)
{
    size_t i;

    if (!viommuDomainIsRequest(dom) || dom->withdrawn || dom->madeArguments || dom->placed->len || !hasAssigned(dom))
        return false;
    for (i = 0; i < dom->iommus->len; i++) {
        if (((const viommuIOMMU *)g_ptr_array_index(dom->iommus, i))->pciBus != VIOMMU_UNSET)
            return false;
    }
    return true;
}

static void
sayUnplaced(start *self)
{
    g_autofree char *name = g_shell_quote(self->dom->name ? self->dom->name : "DOMAIN");
    g_autofree char *text = g_strdup_printf(
        "the domain asks for nested SMMUs%s and has none, as it came to libvirt past viommu; to fix it, place it: virsh dumpxml --inactive %s | viommu define -",
        self->dom->bySpecs ? " by its extra specs" : "", name);

    say(self, text);
}

static void
sayError(start *self, const GError *error)
{
    g_autofree char *text = g_strdup_printf("the placement cannot be judged: %s", error->message);

    self->trouble = true;
    say(self, text);
}

static bool
readHost(start *self, const viommuRewriteContext *context, GPtrArray *notes, GError **error)
{
    virSysfs *fs = context->openHost(context->data, error);

    self->host = viommuHostNew();
    return fs && viommuHostRead(self->host, fs, error) && viommuHostBind(self->host, self->dom, notes, error);
}

/* Leaves the words in @self: none where the domain may go on. */
static void
judge(start *self, const char *text, size_t len, const viommuRewriteContext *context)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    viommuCheckContext check = { 0 };
    g_autoptr(GError) error = NULL;

    if (!viommuRewriteMayAsk(text, len, viommuRewriteAskingWords(VIOMMU_POLICY_OFF)))
        return;
    self->dom = viommuDomainParse(text, len, &error);
    if (!self->dom) {
        sayError(self, error);
        return;
    }
    if (!isConcerned(self->dom))
        return;
    if (isUnplaced(self->dom)) {
        sayUnplaced(self);
        return;
    }
    if (!readHost(self, context, findings, &error)) {
        sayError(self, error);
        return;
    }
    check.host = self->host->topo;
    viommuCheckDomain(self->dom, &check, findings);
    sayFindings(self, findings);
}

viommuRewriteVerdict
viommuStartJudge(const char *text, size_t len, const viommuRewriteContext *context, char **ret_words)
{
    g_auto(start) self = { 0 };

    judge(&self, text, len, context);
    *ret_words = g_steal_pointer(&self.words);
    return *ret_words ? VIOMMU_REWRITE_REFUSE : VIOMMU_REWRITE_PASS;
}

/* True if @text is @dom but for our metadata. */
static bool
isSameGuest(const viommuDomain *dom, const char *text, size_t len)
{
    g_autoptr(viommuDomain) other = viommuDomainParse(text, len, NULL);
    const viommuSpan *span = viommuXMLSpan(dom->xml, dom->metadata);
    const viommuSpan *same;
    size_t oldLen;
    const char *old = viommuXMLText(dom->xml, &oldLen);

    if (!other || !other->metadata)
        return false;
    same = viommuXMLSpan(other->xml, other->metadata);
    return same->begin == span->begin && len - same->end == oldLen - span->end &&
           memcmp(text, old, span->begin) == 0 && memcmp(text + same->end, old + span->end, oldLen - span->end) == 0;
}

/* The domain with other notes, as QEMU @qemu and libvirt @libvirt take it, if the guest sees no difference; else
 * NULL. */
static char *
correct(const start *self, unsigned qemu, unsigned libvirt)
{
    g_autoptr(viommuPlacement) placement = viommuPlacementNew(self->dom, self->host, qemu, NULL);

    if (!placement || placement->refused || !viommuPlacementFit(placement, libvirt, NULL) ||
        !isSameGuest(self->dom, placement->text, placement->textLen))
        return NULL;
    return g_strndup(placement->text, placement->textLen);
}

/* Which versions a domain was placed for is not known: it is that for which the same comes out again. */
static char *
correctForSome(const start *self)
{
    static const unsigned qemus[] = { 0, VIOMMU_VERSION_QEMU(11, 0) };
    /* The newest, and one between the versions from which libvirt has a word more (viommu_expand_words.c). */
    static const unsigned libvirts[] = { 0, 12006, 12001, 11010 };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(qemus); i++) {
        for (j = 0; j < (self->dom->madeOverride ? G_N_ELEMENTS(libvirts) : 1); j++) {
            char *text = correct(self, qemus[i], libvirts[j]);

            if (text)
                return text;
        }
    }
    return NULL;
}

viommuRewriteVerdict
viommuStartFilter(const char *text, size_t len, const viommuRewriteContext *context, char **ret_text, char **ret_words)
{
    g_auto(start) self = { 0 };

    judge(&self, text, len, context);
    if (!self.words)
        return VIOMMU_REWRITE_PASS;
    if (!self.trouble && self.host && self.dom->metadata)
        *ret_text = correctForSome(&self);
    if (*ret_text)
        return VIOMMU_REWRITE_REPLACE;
    *ret_words = g_steal_pointer(&self.words);
    return VIOMMU_REWRITE_REFUSE;
}
