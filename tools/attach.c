/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu attach, viommu detach: what the services do with these calls of a client, as commands. The one call that
 * changes something comes last: before it the domain is as it was, and after it as was asked.
 */
#include "load.h"
#include "report.h"
#include "viommu_attach.h"
#include "viommu_rewrite.h"
#include "viommuerror.h"
#include "virtext.h"

#include <string.h>
#include <unistd.h>

/* What the rewriter puts before its words, for clients that do not know of viommu. */
#define WORDS "viommu: "

G_STATIC_ASSERT(VIOMMU_LIBVIRT_LIVE == VIOMMU_REWRITE_LIVE);
G_STATIC_ASSERT(VIOMMU_LIBVIRT_CONFIG == VIOMMU_REWRITE_CONFIG);

typedef struct {
    const viommuOptions *opts;
    viommuLibvirt *conn;
    viommuLibvirtDomain *dom;
    char *name;     /* as it was given */
    char *device;   /* its XML */
    size_t len;
    unsigned flags; /* of VIOMMU_LIBVIRT_LIVE and _CONFIG; 0: as the domain is now */
    bool live;      /* a running guest is changed */
    bool asked;     /* the domain has been looked at, */
    bool matters;   /* and it matters where in it a device goes */
} request;

static void
requestClear(request *self)
{
    viommuLibvirtDomainFree(self->dom);
    viommuLibvirtFree(self->conn);
    g_free(self->device);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(request, requestClear)

static virSysfs *
openHost(const void *data, GError **error)
{
    return viommuLoadHost(data, error);
}

/* --current is the same as none. */
static bool
readFlags(request *self, GError **error)
{
    const viommuOptions *opts = self->opts;
    bool active;

    if (!viommuLibvirtDomainIsActive(self->dom, &active, error))
        return false;
    if (opts->live || (opts->persistent && active))
        self->flags |= VIOMMU_LIBVIRT_LIVE;
    if (opts->config || opts->persistent)
        self->flags |= VIOMMU_LIBVIRT_CONFIG;
    self->live = active && (!self->flags || (self->flags & VIOMMU_LIBVIRT_LIVE));
    return true;
}

static bool
requestInit(request *self, const viommuOptions *opts, char **args, GError **error)
{
    self->opts = opts;
    self->name = args[0];
    self->device = viommuLoadFile(args[1], VIOMMU_XML_MAX + 1, &self->len, error);
    if (!self->device) {
        if (access(args[0], F_OK) == 0)
            viommuLoadHint(error, "the domain comes first, then the file of the device");
        return false;
    }
    self->conn = viommuLibvirtOpen(opts->connect, opts->dryRun ? VIOMMU_LIBVIRT_READ : VIOMMU_LIBVIRT_WRITE, error);
    if (!self->conn || (!opts->host && !viommuLoadIsHere(self->conn, error)))
        return false;
    self->dom = viommuLibvirtDomainFind(self->conn, self->name, error);
    return self->dom && readFlags(self, error);
}

static bool
answerDomain(request *self, viommuRewrite *rewrite, bool inactive, GError **error)
{
    g_autofree char *xml = viommuLibvirtDomainXML(self->dom, inactive, error);
    g_autoptr(viommuDomain) dom = xml ? viommuDomainParse(xml, strlen(xml), NULL) : NULL;

    if (!xml)
        return false;
    self->asked = true;
    self->matters = self->matters || !dom || viommuAttachMatters(dom);
    viommuRewriteAnswerText(rewrite, xml, strlen(xml));
    return true;
}

static bool
answerVersion(const request *self, viommuRewrite *rewrite, bool qemu, GError **error)
{
    viommuLibvirtVersions versions;

    if (!viommuLibvirtGetVersions(self->conn, &versions, error))
        return false;
    /* It takes them as libvirt has them, with the release. */
    viommuRewriteAnswerVersion(rewrite, UINT64_C(1000) * (qemu ? versions.qemu : versions.libvirt));
    return true;
}

/* One that libvirt does not give is the rewriter's to judge. */
static void
answerNetwork(const request *self, viommuRewrite *rewrite, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = viommuLibvirtNetworkXML(self->conn, name, &error);

    if (xml)
        viommuRewriteAnswerText(rewrite, xml, strlen(xml));
    else
        viommuRewriteAnswerError(rewrite, error->message);
}

static bool
answer(request *self, viommuRewrite *rewrite, GError **error)
{
    const char *name;

    switch (viommuRewriteQuestion(rewrite, &name)) {
    case VIOMMU_ASK_LIBVIRT_VERSION:
        return answerVersion(self, rewrite, false, error);
    case VIOMMU_ASK_QEMU_VERSION:
        return answerVersion(self, rewrite, true, error);
    case VIOMMU_ASK_DOMAIN:
        return answerDomain(self, rewrite, false, error);
    case VIOMMU_ASK_DOMAIN_INACTIVE:
        return answerDomain(self, rewrite, true, error);
    case VIOMMU_ASK_NETWORK:
        answerNetwork(self, rewrite, name);
        break;
    case VIOMMU_ASK_DEFINED: /* never, of a device */
        break;
    }
    return true;
}

/* Runs @rewrite to its end. False with @error if it refuses, or something cannot be asked. */
static bool
judge(request *self, viommuRewrite *rewrite, viommuRewriteVerdict *ret_verdict, GError **error)
{
    while ((*ret_verdict = viommuRewriteRun(rewrite)) == VIOMMU_REWRITE_ASK) {
        if (!answer(self, rewrite, error))
            return false;
    }
    if (*ret_verdict != VIOMMU_REWRITE_REFUSE)
        return true;
    g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED, viommuRewriteWords(rewrite) + strlen(WORDS));
    return false;
}

static viommuRewrite *
newRewrite(const request *self, viommuRewriteKind kind, const viommuRewriteContext *context, viommuPeer *peer)
{
    return viommuRewriteNew(kind, self->device, self->len, self->flags, context, peer);
}

static void
appendEnd(GString *out, const request *self, const char *verb)
{
    g_string_append_printf(out, " %s domain '", verb);
    virTextAppendClean(out, self->name);
    g_string_append(out, "'\n");
}

/* It is in libvirt's hands alone where the device goes. */
static void
sayUnplaced(const request *self)
{
    g_autofree char *text = g_strdup_printf(
        "domain '%s' has no vSMMU with a bus of its own: the place of the device is left to libvirt", self->name);

    if (self->asked && !self->matters && !self->opts->quiet)
        viommuReport(VIOMMU_SEVERITY_NOTE, text);
}

static viommuExit
cmdAttach(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    const viommuRewriteContext context = { .openHost = openHost, .data = opts };
    g_auto(request) self = { 0 };
    g_auto(viommuPeer) peer = { 0 };
    g_autoptr(viommuRewrite) rewrite = NULL;
    viommuRewriteVerdict verdict;
    const char *text;
    size_t len;

    if (!requestInit(&self, opts, args, error))
        return VIOMMU_EXIT_UNREACHABLE;
    rewrite = newRewrite(&self, VIOMMU_REWRITE_ATTACH, &context, &peer);
    if (!judge(&self, rewrite, &verdict, error))
        return VIOMMU_EXIT_REFUSED;
    text = verdict == VIOMMU_REWRITE_REPLACE ? viommuRewriteText(rewrite, &len) : self.device;
    if (!opts->dryRun && !viommuLibvirtAttach(self.dom, text, self.flags, error))
        return VIOMMU_EXIT_REFUSED;
    sayUnplaced(&self);
    if (opts->dryRun) {
        g_string_append(out, text);
        return VIOMMU_EXIT_DONE;
    }
    g_string_append(out, verdict == VIOMMU_REWRITE_REPLACE ? viommuRewriteWords(rewrite) : "device");
    appendEnd(out, &self, "attached to");
    return VIOMMU_EXIT_DONE;
}

/* How many devices the domain has now. */
static bool
countDevices(const request *self, size_t *ret_count, GError **error)
{
    g_autofree char *xml = viommuLibvirtDomainXML(self->dom, false, error);
    g_autoptr(viommuDomain) dom = xml ? viommuDomainParse(xml, strlen(xml), error) : NULL;

    *ret_count = dom ? dom->devices->len : 0;
    return dom;
}

static viommuExit
cmdDetach(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    const viommuRewriteContext context = { .openHost = openHost, .data = opts };
    g_auto(request) self = { 0 };
    g_auto(viommuPeer) peer = { 0 };
    g_autoptr(viommuRewrite) rewrite = NULL;
    viommuRewriteVerdict verdict;
    size_t before = 0;
    size_t after = 0;
    bool counted;

    if (!requestInit(&self, opts, args, error))
        return VIOMMU_EXIT_UNREACHABLE;
    rewrite = newRewrite(&self, VIOMMU_REWRITE_DETACH, &context, &peer);
    if (!judge(&self, rewrite, &verdict, error))
        return VIOMMU_EXIT_REFUSED;
    counted = self.live && countDevices(&self, &before, NULL);
    if (!viommuLibvirtDetach(self.dom, self.device, self.flags, error))
        return VIOMMU_EXIT_REFUSED;
    /* A guest may take longer than libvirt waits. */
    if (counted && countDevices(&self, &after, NULL) && after >= before)
        g_string_append(out, "the guest has been asked, and has not let it go yet: device will be");
    else
        g_string_append(out, "device");
    appendEnd(out, &self, "detached from");
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdAttach = {
    .name = "attach",
    .args = "DOMAIN DEVICE.xml",
    .help = "attach a device to a domain of libvirt, below the vSMMU of its SMMU",
    .options = VIOMMU_OPTION_AFFECT | VIOMMU_OPTION_DRY_ATTACH,
    .minArgs = 2,
    .maxArgs = 2,
    .run = cmdAttach,
};

const viommuCmd viommuCmdDetach = {
    .name = "detach",
    .args = "DOMAIN DEVICE.xml",
    .help = "detach a device from a domain of libvirt",
    .options = VIOMMU_OPTION_AFFECT,
    .minArgs = 2,
    .maxArgs = 2,
    .run = cmdDetach,
};
