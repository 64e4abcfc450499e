/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps of a rewrite, and its words.
 */
#include "viommu_rewrite_priv.h"
#include "viommuerror.h"
#include "virtext.h"

#include <string.h>

/* A declaration of an encoding, but for those in which ASCII stands for itself. */
#define FOREIGN_ENCODING "^<\\?xml[^>]*\\sencoding\\s*=\\s*['\"](?!(utf-8|us-ascii|iso-8859-)[^>]*>)"

viommuRewrite *
viommuRewriteNew(viommuRewriteKind kind, const char *text, size_t len, unsigned flags,
                 const viommuRewriteContext *context, viommuPeer *peer)
{
    viommuRewrite *self = g_new0(viommuRewrite, 1);

    self->kind = kind;
    self->context = context;
    self->peer = peer;
    self->text = g_malloc(len + 1);
    memcpy(self->text, text, len);
    self->text[len] = '\0';
    self->len = len;
    self->flags = flags;
    if (!peer->host)
        peer->host = viommuHostNew();
    self->host = peer->host;
    self->host->policy = context->policy;
    viommuHostForgetNetworks(self->host);
    self->unknown = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->result = g_string_new(NULL);
    self->words = g_string_new(NULL);
    return self;
}

void
viommuRewriteFree(viommuRewrite *self)
{
    if (!self)
        return;
    g_hash_table_unref(self->unknown);
    viommuPlacementFree(self->placement);
    viommuDomainFree(self->dom);
    g_string_free(self->result, TRUE);
    g_string_free(self->words, TRUE);
    g_free(self->live);
    g_free(self->inactive);
    g_free(self->questionName);
    g_free(self->name);
    g_free(self->text);
    g_free(self);
}

void
viommuPeerClear(viommuPeer *peer)
{
    viommuHostFree(peer->host);
    g_free(peer->hostMark);
    *peer = (viommuPeer){ 0 };
}

viommuRewriteVerdict
viommuRewriteRun(viommuRewrite *self)
{
    g_string_truncate(self->result, 0);
    g_string_truncate(self->words, 0);
    switch (self->kind) {
    case VIOMMU_REWRITE_DOMAIN:
    case VIOMMU_REWRITE_DEFINE:
    case VIOMMU_REWRITE_EMBEDDED:
        return viommuRewriteDomains(self);
    case VIOMMU_REWRITE_ATTACH:
    case VIOMMU_REWRITE_UPDATE:
        return viommuRewriteDevice(self);
    case VIOMMU_REWRITE_DETACH:
        return viommuRewriteDetach(self);
    }
    return VIOMMU_REWRITE_PASS;
}

bool
viommuRewriteAsk(viommuRewrite *self, viommuQuestion question, const char *name,
                 viommuRewriteVerdict *ret_verdict)
{
    char *copy = g_strdup(name);

    self->libvirtAsked = self->libvirtAsked || question == VIOMMU_ASK_LIBVIRT_VERSION;
    self->qemuAsked = self->qemuAsked || question == VIOMMU_ASK_QEMU_VERSION;
    self->question = question;
    g_free(self->questionName);
    self->questionName = copy;
    *ret_verdict = VIOMMU_REWRITE_ASK;
    return false;
}

void
viommuRewriteAppendFinding(GString *out, const viommuFinding *f)
{
    if (f->line)
        g_string_append_printf(out, "line %u: ", f->line);
    g_string_append_printf(out, "%s: ", f->id);
    virTextAppendClean(out, f->text);
    if (f->consequence) {
        g_string_append(out, " (");
        virTextAppendClean(out, f->consequence);
        g_string_append_c(out, ')');
    }
    if (f->remedy) {
        g_string_append(out, "; to fix it, ");
        virTextAppendClean(out, f->remedy);
    }
}

void
viommuRewriteDropLines(GPtrArray *findings)
{
    g_autoptr(GRegex) lines =
        g_regex_new(" \\(line [0-9]+\\)|,? (first )?in line [0-9]+", 0, 0, NULL);
    size_t i;

    for (i = 0; i < findings->len; i++) {
        viommuFinding *f = g_ptr_array_index(findings, i);
        char *text = g_regex_replace_literal(lines, f->text, -1, 0, "", 0, NULL);

        f->line = 0;
        g_free(f->text);
        f->text = text;
    }
}

bool
viommuRewriteRefuse(viommuRewrite *self, const GPtrArray *findings,
                    viommuRewriteVerdict *ret_verdict)
{
    size_t i;

    g_string_truncate(self->words, 0);
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *f = g_ptr_array_index(findings, i);
        g_autoptr(GString) text = g_string_new(NULL);

        viommuRewriteAppendFinding(text, f);
        /* The running domain and its configuration have much in common. */
        if (f->severity != VIOMMU_SEVERITY_ERROR || strstr(self->words->str, text->str))
            continue;
        g_string_append_printf(self->words, "%s%s", self->words->len ? "; also " : "viommu: ", text->str);
    }
    *ret_verdict = VIOMMU_REWRITE_REFUSE;
    return false;
}

bool
viommuRewriteRefuseError(viommuRewrite *self, GError *error, viommuRewriteVerdict *ret_verdict)
{
    g_string_assign(self->words, "viommu: ");
    virTextAppendClean(self->words, error->message);
    g_error_free(error);
    *ret_verdict = VIOMMU_REWRITE_REFUSE;
    return false;
}

/* A network that libvirt does not give counts as one without host devices only where nobody asks but the
 * policy. */
static bool
needNetwork(viommuRewrite *self, const viommuDomain *dom, const char *name,
            viommuRewriteVerdict *ret_verdict)
{
    const char *why = g_hash_table_lookup(self->unknown, name);

    if (!why)
        return viommuRewriteAsk(self, VIOMMU_ASK_NETWORK, name, ret_verdict);
    if (viommuDomainIsRequest(dom))
        return viommuRewriteRefuseError(
            self,
            g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                        "the network '%s' may hand out host devices, and libvirt does not give it (see 'virsh net-dumpxml'): %s",
                        name, why),
            ret_verdict);
    viommuHostAddNetwork(self->host, viommuNetworkNew(name));
    return true;
}

/* Reads the map of the host, unless nothing has changed since. */
static bool
readHost(viommuRewrite *self, viommuRewriteVerdict *ret_verdict)
{
    g_autofree char *mark = self->context->markHost ? self->context->markHost() : NULL;
    viommuPeer *peer = self->peer;
    g_autoptr(GError) error = NULL;
    virSysfs *fs;

    if (!mark || g_strcmp0(mark, peer->hostMark) != 0) {
        g_clear_pointer(&peer->hostMark, g_free);
        fs = self->context->openHost(self->context->data, &error);
        if (!fs || !viommuHostRead(self->host, fs, &error))
            return viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
        peer->hostMark = g_steal_pointer(&mark);
    }
    self->hostFresh = true;
    return true;
}

bool
viommuRewriteNeedHost(viommuRewrite *self, const viommuDomain *dom,
                      viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GPtrArray) names = viommuHostMissingNetworks(self->host, dom);
    size_t i;

    for (i = 0; i < names->len; i++) {
        if (!needNetwork(self, dom, g_ptr_array_index(names, i), ret_verdict))
            return false;
    }
    return self->hostFresh || readHost(self, ret_verdict);
}

viommuQuestion
viommuRewriteQuestion(const viommuRewrite *self, const char **ret_name)
{
    *ret_name = self->questionName;
    return self->question;
}

void
viommuRewriteAnswerVersion(viommuRewrite *self, uint64_t version)
{
    unsigned known = version / 1000 <= G_MAXUINT ? (unsigned)(version / 1000) : 0;

    if (self->question == VIOMMU_ASK_LIBVIRT_VERSION)
        self->peer->libvirt = known;
    else
        self->peer->qemu = known;
}

static void
addNetwork(viommuRewrite *self, const char *text, size_t len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuNetwork) net = viommuNetworkParse(text, len, &error);

    if (!net)
        viommuRewriteAnswerError(self, error->message);
    else if (g_strcmp0(net->name, self->questionName) != 0)
        viommuRewriteAnswerError(self, "it gives another network");
    else
        viommuHostAddNetwork(self->host, g_steal_pointer(&net));
}

void
viommuRewriteAnswerText(viommuRewrite *self, const char *text, size_t len)
{
    switch (self->question) {
    case VIOMMU_ASK_NETWORK:
        addNetwork(self, text, len);
        break;
    case VIOMMU_ASK_DOMAIN:
        self->live = g_strndup(text, len);
        break;
    case VIOMMU_ASK_DOMAIN_INACTIVE:
    case VIOMMU_ASK_DEFINED:
        self->inactive = g_strndup(text, len);
        break;
    case VIOMMU_ASK_LIBVIRT_VERSION:
    case VIOMMU_ASK_QEMU_VERSION:
        break;
    }
}

void
viommuRewriteAnswerError(viommuRewrite *self, const char *message)
{
    switch (self->question) {
    case VIOMMU_ASK_NETWORK:
        g_hash_table_insert(self->unknown, g_strdup(self->questionName), g_strdup(message));
        break;
    case VIOMMU_ASK_DOMAIN:
    case VIOMMU_ASK_DOMAIN_INACTIVE:
    case VIOMMU_ASK_DEFINED:
    case VIOMMU_ASK_LIBVIRT_VERSION:
    case VIOMMU_ASK_QEMU_VERSION:
        /* An empty text: libvirt will tell the client itself what is wrong with its domain. */
        viommuRewriteAnswerText(self, "", 0);
        break;
    }
}

const char *
viommuRewriteText(const viommuRewrite *self, size_t *ret_len)
{
    *ret_len = self->result->len;
    return self->result->str;
}

const char *
viommuRewriteWords(const viommuRewrite *self)
{
    return self->words->str;
}

const char *
viommuRewriteName(const viommuRewrite *self)
{
    return self->name;
}

static bool
contains(const char *text, size_t len, const char *word)
{
    return memmem(text, len, word, strlen(word)) != NULL;
}

/* Is it written in an encoding that hides words? */
static bool
isForeign(const char *text, size_t len)
{
    g_autoptr(GRegex) declaration = g_regex_new(FOREIGN_ENCODING, G_REGEX_CASELESS | G_REGEX_RAW, 0, NULL);

    return g_regex_match_full(declaration, text, (gssize)len, 0, 0, NULL, NULL);
}

bool
viommuRewriteMayAsk(const char *text, size_t len, const char *const *words)
{
    for (; *words; words++) {
        if (contains(text, len, *words))
            return true;
    }
    /* References can hide any word, and so can an encoding that writes ASCII in another way. */
    return contains(text, len, "<!ENTITY") || contains(text, len, "&#") ||
           (contains(text, len, "encoding") && isForeign(text, len));
}

bool
viommuRewriteUnreadable(viommuRewrite *self, GError *error, viommuRewriteVerdict *ret_verdict)
{
    if (!g_error_matches(error, VIOMMU_ERROR, VIOMMU_ERROR_SYNTAX))
        return viommuRewriteRefuseError(self, error, ret_verdict);
    g_error_free(error);
    return true;
}
