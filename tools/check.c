/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu check: judges a domain, or without one the host.
 */
#include "viommu_check.h"

#include "hostaccess.h"
#include "hostcheck.h"
#include "json.h"
#include "loademulator.h"
#include "qemuask.h"
#include "report.h"
#include "viommu.h"
#include "viommuerror.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static viommuExit
showJSON(const GPtrArray *findings, GString *out)
{
    g_autoptr(JsonBuilder) json = viommuJsonBegin();

    viommuJsonFindings(json, findings);
    viommuJsonEnd(json, out);
    return viommuFindingsHaveError(findings) ? VIOMMU_EXIT_REFUSED : VIOMMU_EXIT_DONE;
}

/* Asks libvirt, with --connect. One that cannot be reached is what the check is for: *ret_why. One on another host
 * is an error, as the table would be of this one. */
static bool
loadPeer(const viommuOptions *opts, viommuLibvirtVersions *ret_versions, char **ret_why, GError **error)
{
    g_autoptr(viommuLibvirt) conn = NULL;
    g_autoptr(GError) local = NULL;

    if (!opts->connect)
        return true;
    conn = viommuLibvirtOpen(opts->connect, VIOMMU_LIBVIRT_READ, &local);
    if (conn && (opts->host || viommuLoadIsHere(conn, &local)) &&
        viommuLibvirtGetVersions(conn, ret_versions, &local))
        return true;
    if (!g_error_matches(local, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    *ret_why = g_strdup(local->message);
    return true;
}

/* Asks the QEMU of --emulator, if there is one. That it cannot be asked is what the check is for. */
static void
judgeEmulator(const viommuOptions *opts, GPtrArray *verdicts)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuCaps) caps = opts->emulator ? viommuQemuAsk(opts->emulator, &error) : NULL;

    if (caps)
        viommuHostCheckEmulator(verdicts, caps);
    else if (error)
        viommuHostCheckNoEmulator(verdicts, error->message);
}

static GPtrArray *
judgeHost(const viommuOptions *opts, GError **error)
{
    viommuLibvirtVersions versions = { 0 };
    g_autofree char *unprobed = NULL, *unreachable = NULL;
    /* Before any device is probed. */
    bool good = loadPeer(opts, &versions, &unreachable, error);
    g_autoptr(virSysfs) fs = good ? viommuLoadHostAnyway(opts, &unprobed, error) : NULL;
    g_autoptr(virSMMUTopology) topo = fs ? virSMMUTopologyRead(fs, error) : NULL;
    g_autoptr(GPtrArray) verdicts = topo ? viommuHostCheck(topo, fs, unprobed, error) : NULL;
    const char *root = !opts->host ? "/" : virSysfsIsRecorded(fs) ? NULL : opts->host;

    if (!verdicts)
        return NULL;
    if (opts->libvirtVersion)
        versions.libvirt = opts->libvirtVersion;
    if (unreachable)
        viommuHostCheckNoPeer(verdicts, unreachable);
    else if (opts->connect)
        viommuHostCheckPeer(verdicts, versions.libvirt, versions.qemu);
    else if (versions.libvirt)
        viommuHostCheckLibvirt(verdicts, versions.libvirt);
    if (versions.libvirt && !viommuHostCheckAccess(verdicts, topo, fs, root, versions.libvirt, error))
        return NULL;
    judgeEmulator(opts, verdicts);
    return g_steal_pointer(&verdicts);
}

static viommuExit
checkHost(const viommuOptions *opts, GString *out, GError **error)
{
    g_autoptr(GPtrArray) verdicts = judgeHost(opts, error);
    g_autoptr(GPtrArray) findings = NULL;

    if (!verdicts)
        return VIOMMU_EXIT_UNREACHABLE;
    findings = viommuHostCheckFindings(verdicts);
    if (strcmp(opts->format, "json") == 0)
        return showJSON(findings, out);
    viommuHostCheckFormat(verdicts, opts->quiet, viommuTermHasColour(STDOUT_FILENO), out);
    return viommuFindingsHaveError(findings) ? VIOMMU_EXIT_REFUSED : VIOMMU_EXIT_DONE;
}

/* That the libvirt for which it is cannot be told the placement that the domain asks for. */
static bool
addUnsaid(viommuInput *input, unsigned libvirt, GPtrArray *findings, GError **error)
{
    g_autoptr(viommuPlacement) placement = NULL;
    g_autoptr(GError) local = NULL;
    unsigned line = 0;
    int at = 0;

    if (!libvirt || libvirt >= VIOMMU_LIBVIRT_NATIVE || !viommuDomainIsRequest(input->dom) ||
        viommuFindingsHaveError(findings))
        return true;
    placement = viommuInputPlace(input, &local);
    if (placement && (placement->refused || viommuInputFitLibvirt(input, placement, &local)))
        return true;
    if (!g_error_matches(local, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    /* What the emulator lacks is what H12 says. */
    if (!placement)
        return true;
    if (sscanf(local->message, "line %u: %n", &line, &at) < 1)
        at = 0;
    viommuFindingsAdd(findings, "V18", VIOMMU_SEVERITY_ERROR, line, NULL, NULL, "%s", local->message + at);
    return true;
}

static viommuExit
checkDomain(const viommuOptions *opts, const char *file, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, file, error);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    viommuCheckContext context = { .saving = true };

    if (!input)
        return VIOMMU_EXIT_UNREACHABLE;
    input->notes = findings;
    if (!viommuInputLoad(input, error) || !viommuInputQemu(input, &context.qemu, error) ||
        !viommuInputLibvirt(input, &context.libvirt, error))
        return VIOMMU_EXIT_UNREACHABLE;
    viommuHostLoadComing(input->host, input->dom);
    context.host = input->host->topo;
    context.users = input->host->users;
    viommuCheckDomain(input->dom, &context, findings);
    viommuInputJudgeEmulator(input, NULL, true, findings);
    if (!addUnsaid(input, context.libvirt, findings, error))
        return VIOMMU_EXIT_UNREACHABLE;
    viommuFindingsSort(findings);
    if (strcmp(opts->format, "json") == 0)
        return showJSON(findings, out);
    viommuFormatFindings(out, findings, opts->quiet, viommuTermHasColour(STDOUT_FILENO));
    if (!findings->len && !opts->quiet)
        g_string_append_printf(out, "No findings in %s\n", file);
    return viommuFindingsHaveError(findings) ? VIOMMU_EXIT_REFUSED : VIOMMU_EXIT_DONE;
}

static viommuExit
cmdCheck(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    if (args[0])
        return checkDomain(opts, args[0], out, error);
    if (!opts->networks && !opts->qemuVersion)
        return checkHost(opts, out, error);
    viommuReportError("--network and --qemu-version are for a domain: name one, or leave them out");
    return VIOMMU_EXIT_USAGE;
}

const viommuCmd viommuCmdCheck = {
    .name = "check",
    .args = "[DOMAIN.xml]",
    .help = "judge a domain, expanded or written by hand; without one, the host",
    .formats = "text|json",
    .options = VIOMMU_OPTION_NETWORK | VIOMMU_OPTION_LIBVIRT_VERSION | VIOMMU_OPTION_QEMU_VERSION |
               VIOMMU_OPTION_EMULATOR | VIOMMU_OPTION_PROBE,
    .maxArgs = 1,
    .run = cmdCheck,
};
