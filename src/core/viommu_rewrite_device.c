/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gives a device that is plugged into, or changed in, a domain with vSMMUs its address below the right
 * one.
 */
#include "viommu_attach.h"
#include "viommu_check.h"
#include "viommu_detach.h"
#include "viommu_expand.h"
#include "viommu_rewrite_priv.h"
#include "viommuerror.h"

#include <string.h>

static const char *const deviceWords[] = { "hostdev", "network", NULL };
static const char *const assignedWords[] = { "hostdev", NULL };

/* A domain as libvirt has it, with the device in it as its last. */
typedef struct {
    viommuDomain *dom;
    viommuDevice *dev;
} pluggedDomain;

static void
pluggedClear(pluggedDomain *plugged)
{
    g_clear_pointer(&plugged->dom, viommuDomainFree);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(pluggedDomain, pluggedClear)

/* The text of the domain with @device at the end of its devices, or NULL if it has none. */
static char *
plugText(const viommuDomain *dom, const char *device, size_t deviceLen, size_t *ret_len)
{
    size_t len;
    const char *text = viommuXMLText(dom->xml, &len);
    const viommuSpan *span = dom->devicesNode ? viommuXMLSpan(dom->xml, dom->devicesNode) : NULL;
    GString *out;

    if (!span || span->contentEnd >= span->end)
        return NULL;
    out = g_string_new_len(text, (gssize)span->contentEnd);
    g_string_append_len(out, device, (gssize)deviceLen);
    g_string_append_len(out, text + span->contentEnd, (gssize)(len - span->contentEnd));
    *ret_len = out->len;
    return g_string_free(out, FALSE);
}

/* Says in @error what is wrong with the device alone, with its own lines, if that is so: those of
 * libvirt's XML with the device in it nobody sees. */
static void
blameDevice(viommuRewrite *self, GError **error)
{
    g_autoptr(viommuXML) xml = viommuXMLParse(self->text, self->len, NULL);
    unsigned line = xml ? viommuXMLLine(xml, viommuXMLRoot(xml)) : 1;
    const viommuSpan *span = xml ? viommuXMLSpan(xml, viommuXMLRoot(xml)) : NULL;
    g_autoptr(viommuDomain) dom = NULL;
    g_autoptr(GError) own = NULL;
    g_autoptr(GString) text = g_string_new(NULL);

    for (; span && line > 1; line--)
        g_string_append_c(text, '\n');
    g_string_append(text, "<domain><devices>");
    if (span)
        g_string_append_len(text, self->text + span->begin, (gssize)(span->end - span->begin));
    g_string_append(text, "</devices></domain>");
    dom = viommuDomainParse(text->str, text->len, &own);
    if (dom)
        return;
    g_clear_error(error);
    g_propagate_error(error, g_steal_pointer(&own));
}

/* Reads @dom with @device in it. False without @error if it has no place for devices. */
static bool
plug(pluggedDomain *plugged, const viommuDomain *dom, const char *device, size_t deviceLen,
     GError **error)
{
    size_t len = 0;
    g_autofree char *text = plugText(dom, device, deviceLen, &len);

    if (!text)
        return false;
    plugged->dom = viommuDomainParse(text, len, error);
    if (!plugged->dom)
        return false;
    /* An <iommu> or a PCI controller is no device there; neither can be plugged. */
    if (plugged->dom->devices->len == dom->devices->len + 1)
        plugged->dev = g_ptr_array_index(plugged->dom->devices, dom->devices->len);
    return plugged->dev != NULL;
}

/* The device of @xml with its guest address, which it does not have yet, and @iommufd. Free with g_free. */
static char *
writeDevice(const viommuXML *xml, const viommuGuestAddr *addr, bool iommufd, size_t *ret_len)
{
    g_autoptr(viommuEdits) edits = viommuEditsNew(xml);
    const xmlNode *root = viommuXMLRoot(xml);
    const xmlNode *driver = viommuXMLChild(root, "driver");
    const xmlNode *source = viommuXMLChild(root, "source");
    const xmlNode *there = viommuXMLChild(root, "address");
    g_autofree char *line = g_strdup_printf(
        "<address type='pci' domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>",
        addr->domain, addr->bus, addr->slot, addr->function);

    if (iommufd && driver)
        viommuEditsAddAttr(edits, driver, "iommufd", "yes");
    else if (iommufd && source) /* libvirt's schema has it before <address> */
        viommuEditsInsertAfter(edits, source, "<driver iommufd='yes'/>");
    if (there) /* one that says nothing */
        viommuEditsReplace(edits, there, line);
    else
        viommuEditsAppendChild(edits, root, line);
    return viommuEditsApply(edits, ret_len);
}

/* Asks for the domains that the call is about: the running one, the next one, or both. */
static bool
needDomains(viommuRewrite *self, viommuRewriteVerdict *ret_verdict)
{
    bool config = self->flags & VIOMMU_REWRITE_CONFIG;
    bool live = !config || (self->flags & VIOMMU_REWRITE_LIVE);

    if (live && !self->live)
        return viommuRewriteAsk(self, VIOMMU_ASK_DOMAIN, NULL, ret_verdict);
    if (config && !self->inactive)
        return viommuRewriteAsk(self, VIOMMU_ASK_DOMAIN_INACTIVE, NULL, ret_verdict);
    return true;
}

/* True if some finding of @known says the same. */
static bool
isKnown(const GPtrArray *known, const viommuFinding *f)
{
    size_t i;

    for (i = 0; i < known->len; i++) {
        const viommuFinding *other = g_ptr_array_index(known, i);

        if (strcmp(other->id, f->id) == 0 && strcmp(other->text, f->text) == 0)
            return true;
    }
    return false;
}

/* Lines are of libvirt's XML with the device in it; what is there has a name beside its line. */
static bool
refuseWithoutLines(viommuRewrite *self, GPtrArray *findings, viommuRewriteVerdict *ret_verdict)
{
    viommuRewriteDropLines(findings);
    return viommuRewriteRefuse(self, findings, ret_verdict);
}

/* Refuses for the errors that @after has and @before has not. */
static bool
judge(viommuRewrite *self, viommuDomain *before, viommuDomain *after,
      viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GPtrArray) known = viommuFindingsNew();
    g_autoptr(GPtrArray) found = viommuFindingsNew();
    g_autoptr(GPtrArray) fresh = viommuFindingsNew();
    viommuCheckContext context = { .host = self->host->topo };
    size_t i;

    viommuCheckDomain(before, &context, known);
    viommuCheckDomain(after, &context, found);
    for (i = 0; i < found->len; i++) {
        const viommuFinding *f = g_ptr_array_index(found, i);

        if (f->severity == VIOMMU_SEVERITY_ERROR && !isKnown(known, f))
            viommuFindingsAdd(fresh, f->id, f->severity, f->line, f->consequence, f->remedy, "%s",
                              f->text);
    }
    return fresh->len ? refuseWithoutLines(self, fresh, ret_verdict) : true;
}

/* The domain as it is and with the device, both bound to the host. */
static bool
prepare(viommuRewrite *self, viommuDomain *before, pluggedDomain *plugged, const char *device,
        size_t len, viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GError) error = NULL;

    *ret_verdict = VIOMMU_REWRITE_PASS;
    if (!plug(plugged, before, device, len, &error)) {
        if (!error)
            return false;
        blameDevice(self, &error);
        return viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
    }
    if (!viommuRewriteNeedHost(self, plugged->dom, ret_verdict))
        return false;
    if (!viommuHostBind(self->host, before, NULL, &error) ||
        !viommuHostBind(self->host, plugged->dom, NULL, &error))
        return viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
    if (self->kind == VIOMMU_REWRITE_ATTACH)
        viommuHostLoadComing(self->host, plugged->dom);
    return true;
}

/* Leaves in @ports, if it has any, only those that @others has too. */
static void
keepCommon(GArray *ports, const GArray *others)
{
    guint i, j;

    for (i = 0; i < ports->len;) {
        unsigned port = g_array_index(ports, unsigned, i);

        for (j = 0; j < others->len && g_array_index(others, unsigned, j) != port; j++)
            ;
        if (j == others->len)
            g_array_remove_index(ports, i);
        else
            i++;
    }
}

/* Are these keys of one device? Where a domain has two of one network and MAC address, that of the second has a number
 * behind it. */
static bool
isSameKey(const viommuDevice *there, const viommuDevice *dev)
{
    size_t len = strlen(there->key);

    return g_ascii_strncasecmp(there->key, dev->key, len) == 0 &&
           (!dev->key[len] || (dev->network && dev->key[len] == ' '));
}

/* The same host device in @dom, or NULL. */
static const viommuDevice *
findSame(const viommuDomain *dom, const viommuDevice *dev)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *other = g_ptr_array_index(dom->devices, i);

        if (other->kind == VIOMMU_DEVICE_ASSIGNED && dev->kind == VIOMMU_DEVICE_ASSIGNED &&
            isSameKey(other, dev))
            return other;
    }
    return NULL;
}

/* One of the domains that the call is about. */
typedef struct {
    viommuDomain *before;
    pluggedDomain plugged;
} target;

static void
targetClear(void *data)
{
    target *self = data;

    viommuDomainFree(self->before);
    pluggedClear(&self->plugged);
}

/* Refuses the first host device of a domain for which the policy asks: no vSMMU can be attached for it. */
static bool
checkPolicy(viommuRewrite *self, const viommuDomain *before, const char *device, size_t len,
            viommuRewriteVerdict *ret_verdict)
{
    viommuPolicy policy = self->context->policy;
    g_auto(pluggedDomain) plugged = { 0 };

    if (self->kind != VIOMMU_REWRITE_ATTACH || viommuDomainFitsPolicy(before, policy) ||
        !plug(&plugged, before, device, len, NULL) ||
        plugged.dev->kind != VIOMMU_DEVICE_ASSIGNED || !viommuDomainFitsPolicy(plugged.dom, policy))
        return true;
    return viommuRewriteRefuseError(
        self,
        g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                    "V05: the policy of the service asks for a vSMMU for %s: define the domain with the device in it",
                    plugged.dev->what),
        ret_verdict);
}

/* Reads @text, if it is given and vSMMUs are in it, into @targets with the device. */
static bool
addTarget(viommuRewrite *self, GArray *targets, const char *text, const char *device, size_t len,
          viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GError) error = NULL;
    target one = { 0 };
    /* checkPolicy() may refuse the device. */
    bool mayFit = self->context->policy == VIOMMU_POLICY_AARCH64 && text && text == self->inactive &&
                  strstr(text, "aarch64") && viommuRewriteMayAsk(device, len, assignedWords);
    bool mayMatter = text && (mayFit || strstr(text, "smmuv3") || strstr(text, "viommu:"));
    bool good;

    /* Most domains have none and ask for none, and need not be read. */
    if (!text || (self->context->policy == VIOMMU_POLICY_OFF && !mayMatter))
        return true;
    one.before = viommuDomainParse(text, strlen(text), &error);
    if (!one.before)
        return !mayMatter ||
               viommuRewriteRefuseError(self, g_steal_pointer(&error), ret_verdict);
    if (!viommuAttachMatters(one.before)) {
        good = text != self->inactive || checkPolicy(self, one.before, device, len, ret_verdict);
        targetClear(&one);
        return good;
    }
    g_free(self->name);
    self->name = g_strdup(one.before->name);
    good = prepare(self, one.before, &one.plugged, device, len, ret_verdict);
    g_array_append_val(targets, one);
    return good;
}

/* Refuses a device that a domain has already. libvirt would refuse it too, but not if the device has gone by then: it
 * would be put anywhere. */
static bool
checkNew(viommuRewrite *self, GArray *targets, viommuRewriteVerdict *ret_verdict)
{
    size_t i;

    for (i = 0; i < targets->len; i++) {
        const target *one = &g_array_index(targets, target, i);

        if (findSame(one->before, one->plugged.dev))
            return viommuRewriteRefuseError(
                self,
                g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                            "V20: the domain has %s already; if it is being detached, wait until it has gone",
                            one->plugged.dev->what),
                ret_verdict);
    }
    return true;
}

/* The address for the device in all of @targets; false with the verdict if it needs none, or gets none. */
static bool
chooseAddress(viommuRewrite *self, GArray *targets, viommuGuestAddr *ret_addr,
              viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) addressed = viommuFindingsNew(); /* of what has an address already */
    g_autoptr(GArray) ports = NULL;
    bool needed = false;
    size_t i;

    *ret_verdict = VIOMMU_REWRITE_PASS;
    if (self->kind == VIOMMU_REWRITE_ATTACH && !checkNew(self, targets, ret_verdict))
        return false;
    for (i = 0; i < targets->len; i++) {
        const target *one = &g_array_index(targets, target, i);
        const viommuDevice *same = findSame(one->before, one->plugged.dev);
        g_autoptr(GArray) found = NULL;

        if (same && self->kind == VIOMMU_REWRITE_UPDATE) {
            *ret_addr = same->addr;
            return same->hasAddr && !one->plugged.dev->hasAddr;
        }
        if (self->kind == VIOMMU_REWRITE_ATTACH)
            viommuAttachCheckAddress(one->plugged.dom, self->host->topo, one->plugged.dev, addressed);
        needed = needed || viommuAttachNeedsAddress(one->plugged.dom, one->plugged.dev);
        found = viommuAttachPorts(one->plugged.dom, self->host->topo, one->plugged.dev, findings);
        if (ports)
            keepCommon(ports, found);
        else
            ports = g_steal_pointer(&found);
    }
    if (viommuFindingsHaveError(addressed))
        return refuseWithoutLines(self, addressed, ret_verdict);
    if (!needed || self->kind == VIOMMU_REWRITE_UPDATE)
        return false;
    if (viommuFindingsHaveError(findings))
        return refuseWithoutLines(self, findings, ret_verdict);
    if (!ports->len && g_array_index(targets, target, 0).plugged.dev->kind != VIOMMU_DEVICE_ASSIGNED)
        return false;
    if (!ports->len)
        return viommuRewriteRefuseError(
            self,
            g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                        "V05: no root port is free both in the running domain and in its "
                        "configuration; attach the device to one after the other"),
            ret_verdict);
    *ret_addr = (viommuGuestAddr){ .bus = g_array_index(ports, unsigned, 0) };
    return true;
}

/* Does libvirt know <driver iommufd='yes'> of a device? Then others below an accelerated vSMMU have it. */
static bool
hasDeviceIommufd(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);

        if (dev->iommufd == 1 && !dev->iommufdOverridden)
            return true;
    }
    return false;
}

/* Has @one no iommufd for a device on that port, and no word of its user's about it? */
static bool
lacksIommufd(const target *one, unsigned port)
{
    const viommuDevice *dev = one->plugged.dev;
    const viommuIOMMU *iommu = viommuDomainFindSMMU(one->before, port);

    return dev->kind == VIOMMU_DEVICE_ASSIGNED && !dev->network && dev->iommufd == VIOMMU_UNSET && iommu &&
           iommu->accel == 1 && one->before->iommufd != 1;
}

/* Whether the device has to say itself that it goes through iommufd: libvirt 12.1 has no word for the domain, and an
 * older one none at all for what is plugged. */
static bool
needIommufd(viommuRewrite *self, GArray *targets, unsigned port, bool *ret_needed, viommuRewriteVerdict *ret_verdict)
{
    unsigned libvirt = self->peer->libvirt;
    size_t i;

    *ret_needed = false;
    for (i = 0; i < targets->len; i++) {
        const target *one = &g_array_index(targets, target, i);
        bool lacks = lacksIommufd(one, port);
        bool known = !lacks || hasDeviceIommufd(one->before);

        *ret_needed = *ret_needed || lacks;
        if (!known && !libvirt && !self->libvirtAsked)
            return viommuRewriteAsk(self, VIOMMU_ASK_LIBVIRT_VERSION, NULL, ret_verdict);
        if (!known && libvirt && !viommuExpandHasDeviceIommufd(libvirt))
            return viommuRewriteRefuseError(
                self,
                g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                            "V04: libvirt %u.%u gives no iommufd to a device that is plugged, which %s needs below its "
                            "vSMMU: define the domain with the device in it, and start it anew; libvirt 12.1 can plug",
                            libvirt / 1000, libvirt % 1000, one->plugged.dev->what),
                ret_verdict);
    }
    return true;
}

/* Refuses a device for which libvirt would make the iommufd object that is there: it knows of one only from devices of
 * its own. @needed: the device gets the word for it. */
static bool
checkObject(viommuRewrite *self, GArray *targets, bool needed, viommuRewriteVerdict *ret_verdict)
{
    size_t i;

    for (i = 0; i < targets->len; i++) {
        const target *one = &g_array_index(targets, target, i);
        const viommuDevice *dev = one->plugged.dev;

        if (dev->kind != VIOMMU_DEVICE_ASSIGNED || dev->network || (!needed && dev->iommufd != 1) ||
            !viommuExpandMadeObject(one->before))
            continue;
        return viommuRewriteRefuseError(
            self,
            g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                        "V04: the iommufd object of the domain is in <qemu:commandline>, and libvirt would make it once "
                        "more for %s: define the domain with the device in it, and start it anew", dev->what),
            ret_verdict);
    }
    return true;
}

/* Judges the device, with the address that it has by now, in all @targets. */
static bool
judgeAll(viommuRewrite *self, GArray *targets, const char *device, size_t len,
         viommuRewriteVerdict *ret_verdict)
{
    size_t i;

    for (i = 0; i < targets->len; i++) {
        target *one = &g_array_index(targets, target, i);
        g_auto(pluggedDomain) after = { 0 };

        if (!prepare(self, one->before, &after, device, len, ret_verdict) ||
            !judge(self, one->before, after.dom, ret_verdict))
            return false;
    }
    return true;
}

static void
describe(viommuRewrite *self, const target *first, const viommuGuestAddr *addr)
{
    g_string_append_printf(self->words, "%s at %04x:%02x:%02x.%x", first->plugged.dev->what,
                           addr->domain, addr->bus, addr->slot, addr->function);
}

static viommuRewriteVerdict
rewrite(viommuRewrite *self, const viommuXML *xml, const char *device, size_t len)
{
    viommuRewriteVerdict verdict = VIOMMU_REWRITE_PASS;
    g_autoptr(GArray) targets = g_array_new(FALSE, FALSE, sizeof(target));
    g_autoptr(viommuXML) placed = NULL;
    g_autoptr(GError) error = NULL;
    viommuGuestAddr addr = { 0 };
    g_autofree char *text = NULL;
    size_t textLen;
    bool iommufd;
    bool found;

    g_array_set_clear_func(targets, targetClear);
    if (!needDomains(self, &verdict) ||
        !addTarget(self, targets, self->live, device, len, &verdict) ||
        !addTarget(self, targets, self->inactive, device, len, &verdict) || !targets->len)
        return verdict;
    found = chooseAddress(self, targets, &addr, &verdict);
    if (verdict != VIOMMU_REWRITE_PASS)
        return verdict;
    if (!found) {
        if (self->kind == VIOMMU_REWRITE_ATTACH && (!judgeAll(self, targets, device, len, &verdict) ||
                                                    !checkObject(self, targets, false, &verdict)))
            return verdict;
        return VIOMMU_REWRITE_PASS;
    }
    if (!needIommufd(self, targets, addr.bus, &iommufd, &verdict) ||
        !checkObject(self, targets, iommufd, &verdict))
        return verdict;
    text = writeDevice(xml, &addr, iommufd, &textLen);
    g_string_append_len(self->result, text, (gssize)textLen);
    placed = viommuXMLParse(self->result->str, self->result->len, &error);
    if (!placed) {
        viommuRewriteRefuseError(self, g_steal_pointer(&error), &verdict);
        return verdict;
    }
    if (self->kind == VIOMMU_REWRITE_ATTACH) {
        const viommuSpan *span = viommuXMLSpan(placed, viommuXMLRoot(placed));

        if (!judgeAll(self, targets, self->result->str + span->begin, span->end - span->begin,
                      &verdict))
            return verdict;
    }
    describe(self, &g_array_index(targets, target, 0), &addr);
    return VIOMMU_REWRITE_REPLACE;
}

viommuRewriteVerdict
viommuRewriteDevice(viommuRewrite *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuXML) xml = viommuXMLParse(self->text, self->len, &error);
    viommuRewriteVerdict verdict = VIOMMU_REWRITE_PASS;
    const viommuSpan *span;

    if (!xml) {
        if (viommuRewriteMayAsk(self->text, self->len, deviceWords))
            viommuRewriteUnreadable(self, g_steal_pointer(&error), &verdict);
        return verdict;
    }
    if (viommuXMLIs(viommuXMLRoot(xml), "iommu") && viommuXMLAttr(viommuXMLRoot(xml), "nested")) {
        viommuRewriteRefuseError(
            self,
            g_error_new(VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                        "nested SMMUs cannot be attached: define the domain with this <iommu> in it"),
            &verdict);
        return verdict;
    }
    span = viommuXMLSpan(xml, viommuXMLRoot(xml));
    return rewrite(self, xml, self->text + span->begin, span->end - span->begin);
}

/* The findings for the device that @text, the running domain, has and that is to go. False with the verdict if a
 * network has to be asked for first. */
static bool
checkDetach(viommuRewrite *self, const char *text, GPtrArray *findings, viommuRewriteVerdict *ret_verdict)
{
    g_autoptr(GArray) targets = g_array_new(FALSE, FALSE, sizeof(target));
    const viommuDevice *there = NULL;
    const target *one;

    g_array_set_clear_func(targets, targetClear);
    if (!addTarget(self, targets, text, self->text, self->len, ret_verdict))
        return *ret_verdict != VIOMMU_REWRITE_ASK;
    if (!targets->len)
        return true;
    one = &g_array_index(targets, target, 0);
    if (viommuXMLAttr(one->before->root, "id"))
        there = findSame(one->before, one->plugged.dev);
    if (there)
        viommuDetachCheck(one->before, self->host->topo, there, findings);
    return true;
}

/* What cannot be judged is left to libvirt and QEMU: a device that goes harms none that stays. */
viommuRewriteVerdict
viommuRewriteDetach(viommuRewrite *self)
{
    bool live = !(self->flags & VIOMMU_REWRITE_CONFIG) || (self->flags & VIOMMU_REWRITE_LIVE);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    viommuRewriteVerdict verdict = VIOMMU_REWRITE_PASS;

    if (!live || !viommuRewriteMayAsk(self->text, self->len, deviceWords))
        return VIOMMU_REWRITE_PASS;
    if (!self->live) {
        viommuRewriteAsk(self, VIOMMU_ASK_DOMAIN, NULL, &verdict);
        return verdict;
    }
    if (strstr(self->live, "smmuv3") && !checkDetach(self, self->live, findings, &verdict))
        return verdict;
    verdict = VIOMMU_REWRITE_PASS;
    if (findings->len)
        refuseWithoutLines(self, findings, &verdict);
    return verdict;
}
