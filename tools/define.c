/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu define: expands a domain, checks it, gives it to libvirt and says what was added.
 */
#include "loademulator.h"
#include "placed.h"
#include "report.h"
#include "viommu_check.h"
#include "viommu_inherit.h"
#include "viommuerror.h"

#include <stdio.h>
#include <string.h>

static const viommuPlaced *
findPlaced(const viommuDomain *dom, const viommuVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        if (placed->controller == vsmmu->controller && strcmp(placed->smmu, vsmmu->smmu->name) == 0)
            return placed;
    }
    return NULL;
}

/* The note of an SMMU that this host does not have, whose bus @vsmmu has now; or NULL. */
static const viommuPlaced *
findRenamed(const viommuInput *input, const viommuDomain *dom, const viommuVSMMU *vsmmu)
{
    size_t i;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        if (placed->controller == vsmmu->controller)
            return virSMMUTopologyFindSMMU(input->host->topo, placed->smmu) ? NULL : placed;
    }
    return NULL;
}

static void
appendAddr(GString *out, const viommuGuestAddr *addr)
{
    g_string_append_printf(out, "%04x:%02x:%02x.%x", addr->domain, addr->bus, addr->slot,
                           addr->function);
}

static bool
isSameAddr(const viommuGuestAddr *a, const viommuGuestAddr *b)
{
    return a->domain == b->domain && a->bus == b->bus && a->slot == b->slot &&
           a->function == b->function;
}

/* In front of what is done. */
static const char *
wouldBe(const viommuInput *input)
{
    return input->opts->dryRun ? "would be " : "";
}

static void
appendDevice(GString *out, const viommuInput *input, const viommuDomain *dom, const viommuPlanDevice *dev)
{
    const viommuDevice *was = dev->device;
    const char *noted = viommuDomainNotedSMMU(dom, was->key);

    g_string_append_printf(out, "    %s ", dev->host->name);
    if (!was->hasAddr) {
        g_string_append_printf(out, "%splaced at ", wouldBe(input));
    } else if (isSameAddr(&was->addr, &dev->addr)) {
        g_string_append(out, input->opts->dryRun ? "would stay at " : "stays at ");
    } else {
        g_string_append_printf(out, "%smoved from ", wouldBe(input));
        appendAddr(out, &was->addr);
        g_string_append(out, " to ");
    }
    appendAddr(out, &dev->addr);
    if (noted && strcmp(noted, dev->host->smmu->name) != 0) {
        g_string_append(out, ", was behind ");
        virTextAppendClean(out, noted);
    }
    g_string_append_c(out, '\n');
}

static void
appendVSMMU(GString *out, const viommuInput *input, const viommuDomain *dom, const viommuVSMMU *vsmmu)
{
    const viommuPlaced *renamed = findRenamed(input, dom, vsmmu);
    size_t i;

    g_string_append_printf(out, "  vSMMU for %s ", vsmmu->smmu->name);
    if (renamed) {
        g_string_append(out, "in the place of that for ");
        virTextAppendClean(out, renamed->smmu);
        g_string_append(out, ", which this host does not have");
    } else if (findPlaced(dom, vsmmu) || vsmmu->generated) {
        g_string_append_printf(out, "%s%s", wouldBe(input), findPlaced(dom, vsmmu) ? "kept" : "added");
    } else {
        g_string_append(out, "on your bus");
    }
    g_string_append_printf(out, ": expander bus %u (busNr %u), %u root port%s\n", vsmmu->controller, vsmmu->busNr,
                           vsmmu->ports->len, vsmmu->ports->len == 1 ? "" : "s");
    for (i = 0; i < vsmmu->devices->len; i++)
        appendDevice(out, input, dom, g_ptr_array_index(vsmmu->devices, i));
    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (port->spare)
            g_string_append_printf(out, "    root port %u %s spare\n", port->controller,
                                   input->opts->dryRun ? "would be" : "is");
    }
}

/* Those of an earlier expansion that the plan no longer has. */
static void
appendRemoved(GString *out, const viommuInput *input, const viommuPlacement *placement)
{
    const viommuDomain *dom = placement->dom;
    const viommuPlan *plan = placement->plan;
    size_t i, j;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        for (j = 0; j < plan->vsmmus->len; j++) {
            const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, j);

            if (findPlaced(dom, vsmmu) == placed || findRenamed(input, dom, vsmmu) == placed)
                break;
        }
        if (j < plan->vsmmus->len)
            continue;
        g_string_append(out, "  vSMMU for ");
        virTextAppendClean(out, placed->smmu);
        g_string_append_printf(out, " %sremoved: no device needs it\n", wouldBe(input));
    }
}

/* For a libvirt that knows no buses and ports of vSMMUs: they have numbers of their own, and nothing is noted of
 * them. */
static void
appendArguments(GString *out, const viommuInput *input, const viommuPlan *plan)
{
    size_t i, j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        g_string_append_printf(out, "  vSMMU for %s by <qemu:commandline>\n", vsmmu->smmu->name);
        for (j = 0; j < vsmmu->devices->len; j++)
            g_string_append_printf(out, "    %s %splaced below it\n",
                                   ((viommuPlanDevice *)g_ptr_array_index(vsmmu->devices, j))->host->name,
                                   wouldBe(input));
    }
}

/* What becomes of the domain @name; @placement is NULL if it stays as it is. */
static void
appendDone(GString *out, viommuInput *input, const char *name, const viommuPlacement *placement)
{
    const viommuPlan *plan = placement ? placement->plan : NULL;
    size_t i;

    g_string_append(out, "Domain '");
    virTextAppendClean(out, name);
    g_string_append_printf(out, "' %sdefined from %s\n", wouldBe(input), input->file);
    if (!plan) {
        g_string_append(out, "  unchanged: it asks viommu for nothing\n");
        return;
    }
    if (placement->byArguments)
        appendArguments(out, input, plan);
    for (i = 0; !placement->byArguments && i < plan->vsmmus->len; i++)
        appendVSMMU(out, input, placement->dom, g_ptr_array_index(plan->vsmmus, i));
    appendRemoved(out, input, placement);
}

/* The domain is the result, and what is said of it is for people. */
static viommuExit
showDefined(viommuInput *input, const char *text, const viommuPlacement *placement, GString *out, GError **error)
{
    g_autoptr(GString) words = g_string_new(NULL);

    if (!input->dom->name) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                            "libvirt defines no domain without a name: add <name>");
        return VIOMMU_EXIT_REFUSED;
    }
    appendDone(words, input, input->dom->name, placement);
    if (!input->opts->quiet)
        fputs(words->str, stderr);
    g_string_append(out, text);
    return VIOMMU_EXIT_DONE;
}

static viommuExit
defineText(viommuInput *input, const char *text, const viommuPlacement *placement, GString *out,
           GError **error)
{
    g_autofree char *name = NULL;

    if (input->opts->dryRun)
        return showDefined(input, text, placement, out, error);
    name = viommuLibvirtDefine(input->conn, text, input->opts->validate, error);
    if (!name)
        return VIOMMU_EXIT_REFUSED;
    appendDone(out, input, name, placement);
    return VIOMMU_EXIT_DONE;
}

/* What was written by hand is judged as it stands. */
static viommuExit
defineHandWritten(viommuInput *input, GString *out, GError **error)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    viommuCheckContext context = { .host = input->host->topo, .users = input->host->users, .later = true };

    if (!viommuInputQemu(input, &context.qemu, error))
        return VIOMMU_EXIT_UNREACHABLE;
    viommuCheckDomain(input->dom, &context, findings);
    viommuInputJudgeEmulator(input, NULL, false, findings);
    viommuFindingsSort(findings);
    viommuReportFindings(findings, input->opts->quiet);
    if (viommuFindingsHaveError(findings))
        return VIOMMU_EXIT_REFUSED;
    return defineText(input, input->text, NULL, out, error);
}

/* It asks for nothing, and has no vSMMUs of its own either. */
static viommuExit
definePlain(viommuInput *input, GString *out, GError **error)
{
    viommuInputSayWords(input);
    return defineText(input, input->text, NULL, out, error);
}

/* What libvirt has under its UUID, if that can tell where devices are to stay; else NULL. */
static viommuDomain *
findBefore(const viommuInput *input)
{
    g_autofree char *text =
        viommuInheritWants(input->dom) ? viommuLibvirtDefinedXML(input->conn, input->dom->uuid) : NULL;

    return text ? viommuDomainParse(text, strlen(text), NULL) : NULL;
}

/* What libvirt says of its emulator before it is placed: what it would refuse afterwards. */
static bool
isTaken(const viommuInput *input)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();

    viommuInputJudgePeer(input, findings);
    viommuReportFindings(findings, input->opts->quiet);
    return !viommuFindingsHaveError(findings);
}

static viommuExit
cmdDefine(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, args[0], error);
    g_autoptr(viommuDomain) before = NULL;
    g_autoptr(viommuPlacement) placement = NULL;
    viommuExit status;

    if (!input)
        return VIOMMU_EXIT_UNREACHABLE;
    input->given = true;
    input->conn = viommuLibvirtOpen(opts->connect, opts->dryRun ? VIOMMU_LIBVIRT_MOST : VIOMMU_LIBVIRT_WRITE, error);
    if (!input->conn)
        return VIOMMU_EXIT_UNREACHABLE;
    if (!viommuInputIsRequest(input) && !viommuDomainHasSMMUv3(input->dom))
        return definePlain(input, out, error);
    if (!viommuInputLoad(input, error))
        return VIOMMU_EXIT_UNREACHABLE;
    if (!isTaken(input))
        return VIOMMU_EXIT_REFUSED;
    if (!viommuDomainIsRequest(input->dom) && !viommuDomainHasSMMUv3(input->dom))
        return definePlain(input, out, error);
    if (!viommuDomainIsRequest(input->dom))
        return defineHandWritten(input, out, error);
    input->before = before = findBefore(input);
    status = viommuInputPlaceAndSay(input, &placement, error);
    if (status != VIOMMU_EXIT_DONE)
        return status;
    if (!viommuInputFit(input, placement, error))
        return VIOMMU_EXIT_REFUSED;
    return defineText(input, placement->text, placement, out, error);
}

const viommuCmd viommuCmdDefine = {
    .name = "define",
    .args = "DOMAIN.xml",
    .help = "expand and check a domain, and define it in libvirt",
    .options = VIOMMU_OPTION_NETWORK | VIOMMU_OPTION_POLICY | VIOMMU_OPTION_VALIDATE |
               VIOMMU_OPTION_QEMU_VERSION | VIOMMU_OPTION_EMULATOR | VIOMMU_OPTION_PROBE | VIOMMU_OPTION_DRY_DEFINE,
    .minArgs = 1,
    .maxArgs = 1,
    .run = cmdDefine,
};
