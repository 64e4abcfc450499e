/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu plan --diff: what changes for the guest from a domain to another. The new one is expanded as by 'viommu
 * expand'; the old one is taken as it stands, unless it is a request that has never been expanded.
 */
#include "plandiff.h"

#include "diffshow.h"
#include "report.h"
#include "viommuerror.h"

#include <string.h>

/* What a guest has, and what the view of it borrows from. */
typedef struct {
    viommuPlacement *placement; /* NULL: it stands as it is */
    viommuDomain *expanded;     /* NULL: the same */
    viommuView *view;
} guest;

static void
clearGuest(guest *one)
{
    viommuViewFree(one->view);
    viommuDomainFree(one->expanded);
    viommuPlacementFree(one->placement);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(guest, clearGuest)

/* Has the guest of @dom vSMMUs already, or had it? An <iommu> that asks has not been through libvirt, which drops the
 * word. */
static bool
isExpanded(const viommuDomain *dom)
{
    bool placed = dom->placed->len || dom->madeOverride;
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->nested == 1)
            return false;
        placed = placed || iommu->pciBus != VIOMMU_UNSET;
    }
    return placed;
}

/* Places @input and reads what expand would print. False: it is refused by a finding. */
static bool
placeGuest(viommuInput *input, guest *one, GError **error)
{
    viommuPlacement *placement = viommuInputPlace(input, error);

    one->placement = placement;
    if (!placement || placement->refused)
        return placement;
    if (!placement->text)
        return true;
    if (!viommuInputFit(input, placement, error))
        return false;
    one->expanded = viommuDomainParse(placement->text, placement->textLen, error);
    return one->expanded && viommuHostBind(input->host, one->expanded, NULL, error);
}

static void
look(const viommuInput *input, guest *one)
{
    one->view = viommuViewNew(one->expanded ? one->expanded : input->dom, input->host->topo);
}

/* Only what makes it impossible is said of the old one, with its name. */
static void
refuseOld(const viommuInput *old, const viommuPlacement *placement, GError **error)
{
    size_t i;

    for (i = 0; i < placement->findings->len; i++) {
        const viommuFinding *f = g_ptr_array_index(placement->findings, i);

        if (f->severity != VIOMMU_SEVERITY_ERROR)
            continue;
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, f->line, "%s: %s", f->id, f->text);
        viommuLoadPrefix(error, old->file);
        return;
    }
}

static bool
lookAtOld(viommuInput *old, viommuInput *new, guest *one, GError **error)
{
    g_autoptr(GPtrArray) notes = viommuFindingsNew();
    bool asks = viommuDomainIsRequest(old->dom) && !isExpanded(old->dom);

    old->notes = asks ? NULL : notes;
    if (!viommuInputLoadBeside(old, new, error))
        return false;
    if (asks && !placeGuest(old, one, error))
        return false;
    if (asks && one->placement->refused) {
        refuseOld(old, one->placement, error);
        return false;
    }
    look(old, one);
    return true;
}

static void
show(const viommuOptions *opts, const guest *from, const guest *to, GString *out)
{
    bool refused = to->placement->refused;
    g_autoptr(viommuDiff) diff = refused ? NULL : viommuDiffNew(from->view, to->view);

    if (strcmp(opts->format, "json") == 0) {
        viommuDiffShowJSON(diff, to->placement->findings, out);
        return;
    }
    viommuReportFindings(to->placement->findings, opts->quiet);
    if (diff)
        viommuDiffShowText(diff, out);
}

viommuExit
viommuPlanDiff(viommuInput *input, GString *out, GError **error)
{
    g_autoptr(viommuInput) old = viommuInputNew(input->opts, input->opts->diff, error);
    g_auto(guest) from = { 0 };
    g_auto(guest) to = { 0 };

    if (!old || !lookAtOld(old, input, &from, error))
        return VIOMMU_EXIT_UNREACHABLE;
    /* As define would place it. */
    input->before = from.expanded ? from.expanded : old->dom;
    if (!placeGuest(input, &to, error))
        return VIOMMU_EXIT_UNREACHABLE;
    look(input, &to);
    show(input->opts, &from, &to, out);
    return to.placement->refused ? VIOMMU_EXIT_REFUSED : VIOMMU_EXIT_DONE;
}
