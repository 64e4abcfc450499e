/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way from a domain to its judged placement.
 */
#include "viommu_place.h"

#include "viommu_check.h"
#include "viommu_expand.h"
#include "viommu_inherit.h"
#include "viommuerror.h"

#include <string.h>

/* The newest QEMU whose behaviour is known. */
#define QEMU_DEFAULT VIOMMU_VERSION_QEMU(11, 1)

/* The line of the input for @line of the expansion. Devices are the same in both, in the same
 * order; controllers are known by their index; a vSMMU stands for the request. */
static unsigned
mapLine(const viommuDomain *from, const viommuDomain *to, unsigned line)
{
    size_t i;

    for (i = 0; i < from->devices->len && i < to->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(from->devices, i);
        const viommuDevice *same = g_ptr_array_index(to->devices, i);

        if (dev->line == line)
            return same->line;
    }
    for (i = 0; i < from->controllers->len; i++) {
        const viommuController *ctl = g_ptr_array_index(from->controllers, i);
        const viommuController *same = viommuDomainFindController(to, ctl->index);

        if (ctl->line == line && same)
            return same->line;
    }
    if (from->osLine == line)
        return to->osLine;
    if (from->featuresLine == line)
        return to->featuresLine;
    if (to->requests->len)
        return ((const viommuRequest *)g_ptr_array_index(to->requests, 0))->line;
    return viommuXMLLine(to->xml, to->root);
}

/* True if one of the first @count findings, the planner's, says the same of that line, and no milder. */
static bool
isKnown(const GPtrArray *findings, size_t count, const viommuFinding *f, unsigned line)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const viommuFinding *other = g_ptr_array_index(findings, i);

        if (strcmp(other->id, f->id) == 0 && other->line == line && other->severity >= f->severity)
            return true;
    }
    return false;
}

/* Expands, reads and checks what is planned, as libvirt will see it. */
static bool
judge(viommuPlacement *placement, const viommuDomain *dom, viommuHost *host, unsigned qemu, GError **error)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    viommuCheckContext context = { .host = host->topo, .users = host->users, .qemu = qemu, .later = true };
    size_t planned = placement->findings->len;
    size_t i;

    placement->text = viommuExpand(dom, placement->plan, VIOMMU_DIALECT_NATIVE,
                                     &placement->textLen, error);
    if (!placement->text)
        return false;
    placement->result = viommuDomainParse(placement->text, placement->textLen, error);
    if (!placement->result) {
        g_prefix_error(error, "the expanded domain cannot be read: ");
        return false;
    }
    if (!viommuHostBind(host, placement->result, NULL, error))
        return false;
    viommuCheckDomain(placement->result, &context, findings);
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *f = g_ptr_array_index(findings, i);
        unsigned line = mapLine(placement->result, dom, f->line);

        if (!isKnown(placement->findings, planned, f, line))
            viommuFindingsAdd(placement->findings, f->id, f->severity, line, f->consequence,
                              f->remedy, "%s", f->text);
    }
    return true;
}

/* What was written around an older libvirt is not in the expansion, whose devices have other names. */
static void
planNative(viommuPlacement *placement, viommuHost *host, const viommuPlanOptions *options)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();

    placement->native = viommuPlanMake(placement->result, host->topo, options, findings);
    if (!placement->native)
        g_ptr_array_extend_and_steal(placement->findings, g_steal_pointer(&findings));
}

viommuPlacement *
viommuPlacementNew(const viommuDomain *dom, viommuHost *host, unsigned qemuVersion, GError **error)
{
    g_autoptr(viommuPlacement) placement = g_new0(viommuPlacement, 1);
    viommuPlanOptions options = { .qemuVersion = qemuVersion ? qemuVersion : QEMU_DEFAULT, .users = host->users };

    placement->dom = dom;
    placement->findings = viommuFindingsNew();
    viommuCheckWords(dom, placement->findings);
    viommuHostLoadComing(host, dom);
    placement->plan = viommuPlanMake(dom, host->topo, &options, placement->findings);
    if (placement->plan && viommuDomainIsRequest(dom) && !judge(placement, dom, host, options.qemuVersion, error))
        return NULL;
    if (placement->result && dom->madeOverride)
        planNative(placement, host, &options);
    viommuFindingsSort(placement->findings);
    placement->refused = !placement->plan || viommuFindingsHaveError(placement->findings);
    return g_steal_pointer(&placement);
}

/* @dom with what it takes over from @before, bound to @host; NULL: nothing, or it cannot be. */
static viommuDomain *
inherit(const viommuDomain *dom, const viommuDomain *before, viommuHost *host)
{
    size_t len = 0;
    g_autofree char *text = viommuInherit(dom, before, &len);
    g_autoptr(viommuDomain) both = text ? viommuDomainParse(text, len, NULL) : NULL;

    if (!both || !viommuHostBind(host, both, NULL, NULL) || !viommuDomainIsRequest(both))
        return NULL;
    return g_steal_pointer(&both);
}

viommuPlacement *
viommuPlacementNewAfter(const viommuDomain *dom, const viommuDomain *before, viommuHost *host, unsigned qemuVersion,
                        GError **error)
{
    g_autoptr(viommuDomain) both = before ? inherit(dom, before, host) : NULL;
    g_autoptr(viommuPlacement) placement = both ? viommuPlacementNew(both, host, qemuVersion, NULL) : NULL;

    if (!placement || placement->refused)
        return viommuPlacementNew(dom, host, qemuVersion, error);
    placement->inherited = g_steal_pointer(&both);
    return g_steal_pointer(&placement);
}

void
viommuPlacementFree(viommuPlacement *placement)
{
    if (!placement)
        return;
    viommuPlanFree(placement->plan);
    viommuPlanFree(placement->native);
    viommuDomainFree(placement->result);
    g_ptr_array_unref(placement->findings);
    g_free(placement->text);
    viommuDomainFree(placement->inherited);
    g_free(placement);
}

bool
viommuPlacementFitsLibvirt(unsigned libvirtVersion, GError **error)
{
    if (libvirtVersion && libvirtVersion < VIOMMU_LIBVIRT_OVERRIDE) {
        g_set_error(
            error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
            "libvirt %u.%u cannot describe a vSMMU per expander bus (8.2 can, by <qemu:override>, and 12.7 in words of its own): update it, or start QEMU with the arguments of 'viommu argv'",
            libvirtVersion / 1000, libvirtVersion % 1000);
        return false;
    }
    return true;
}

bool
viommuPlacementFit(viommuPlacement *placement, unsigned libvirtVersion, GError **error)
{
    char *text;
    size_t len = 0;

    if (!viommuPlacementFitsLibvirt(libvirtVersion, error))
        return false;
    if (!libvirtVersion || libvirtVersion >= VIOMMU_LIBVIRT_NATIVE)
        return true;
    text = viommuExpandFor(placement->dom, placement->plan, libvirtVersion, &len, error);
    if (!text)
        return false;
    g_free(placement->text);
    placement->text = text;
    placement->textLen = len;
    placement->byArguments = !viommuExpandHasBuses(libvirtVersion);
    return true;
}
