/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu check: judges a domain, or without one the host.
 */
#include "viommu_check.h"

#include "hostaccess.h"
#include "hostcheck.h"
#include "json.h"
#include "loademulator.h"
#include "peercaps.h"
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
loadPeer(const viommuOptions *opts, viommuPeerCaps *ret_peer, char **ret_why, GError **error)
{
    g_autoptr(viommuLibvirt) conn = NULL;
    g_autoptr(GError) local = NULL;

    if (!opts->connect)
        return true;
    conn = viommuLibvirtOpen(opts->connect, VIOMMU_LIBVIRT_MOST, &local);
    if (conn && (opts->host || viommuLoadIsHere(conn, &local)) && viommuPeerCapsAskHost(conn, ret_peer, &local))
        return true;
    if (!g_error_matches(local, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    *ret_why = g_strdup(local->message);
    return true;
}

static void
judgePeer(const viommuPeerCaps *peer, GPtrArray *verdicts)
{
    viommuHostCheckPeer(verdicts, peer->versions.libvirt, peer->versions.qemu);
    if (peer->versions.libvirt)
        viommuHostCheckGuests(verdicts, peer->caps, peer->refusal, peer->silence);
}

/* Asks the QEMU of --emulator, or else, here, libvirt's default. That it cannot be asked is what the check is for. */
static void
judgeEmulator(const viommuOptions *opts, const viommuPeerCaps *peer, GPtrArray *verdicts)
{
    const char *path = opts->emulator ? opts->emulator : peer->caps && !opts->host ? peer->caps->path : NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuCaps) caps = NULL;

    if (!path)
        return;
    caps = opts->emulator ? viommuQemuAsk(path, &error) : viommuQemuAskNamed(path, &error);
    if (caps)
        viommuHostCheckEmulator(verdicts, path, caps);
    else if (g_error_matches(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED))
        viommuHostCheckUnasked(verdicts, error->message);
    else
        viommuHostCheckNoEmulator(verdicts, error->message);
}

static GPtrArray *
judgeHost(const viommuOptions *opts, GError **error)
{
    g_auto(viommuPeerCaps) peer = { 0 };
    g_autofree char *unprobed = NULL, *unreachable = NULL;
    /* Before any device is probed. */
    bool good = loadPeer(opts, &peer, &unreachable, error);
    g_autoptr(virSysfs) fs = good ? viommuLoadHostAnyway(opts, &unprobed, error) : NULL;
    g_autoptr(virSMMUTopology) topo = fs ? virSMMUTopologyRead(fs, error) : NULL;
    g_autoptr(GPtrArray) verdicts = topo ? viommuHostCheck(topo, fs, unprobed, error) : NULL;
    const char *root = !opts->host ? "/" : virSysfsIsRecorded(fs) ? NULL : opts->host;

    if (!verdicts)
        return NULL;
    if (opts->libvirtVersion)
        peer.versions.libvirt = opts->libvirtVersion;
    if (unreachable)
        viommuHostCheckNoPeer(verdicts, unreachable);
    else if (opts->connect)
        judgePeer(&peer, verdicts);
    else if (peer.versions.libvirt)
        viommuHostCheckLibvirt(verdicts, peer.versions.libvirt);
    if (peer.versions.libvirt && !viommuHostCheckAccess(verdicts, topo, fs, root, peer.versions.libvirt, error))
        return NULL;
    judgeEmulator(opts, &peer, verdicts);
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
    if (opts->connect)
        input->conn = viommuLibvirtOpen(opts->connect, VIOMMU_LIBVIRT_MOST, error);
    if (opts->connect && !input->conn)
        return VIOMMU_EXIT_UNREACHABLE;
    if (!viommuInputLoad(input, error) || !viommuInputQemu(input, &context.qemu, error) ||
        !viommuInputLibvirt(input, &context.libvirt, error))
        return VIOMMU_EXIT_UNREACHABLE;
    viommuHostLoadComing(input->host, input->dom);
    context.host = input->host->topo;
    context.users = input->host->users;
    viommuCheckDomain(input->dom, &context, findings);
    /* Where libvirt has another root than we, it has seen the emulator and we have not. */
    viommuInputJudgeEmulator(input, NULL, !input->peer.caps, findings);
    if (!addUnsaid(input, context.libvirt, findings, error))
        return VIOMMU_EXIT_UNREACHABLE;
    viommuInputJudgePeer(input, findings);
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
