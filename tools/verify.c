/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu verify: looks into a running QEMU and says whether each host device is below the vSMMU of its SMMU.
 */
#include "qemu_viommu_verify.h"

#include "json.h"
#include "load.h"
#include "qemuproc.h"
#include "qmpsocket.h"
#include "report.h"
#include "table.h"
#include "viommu.h"
#include "viommuerror.h"

#include <string.h>
#include <unistd.h>

/* How long a monitor may take for one answer, and for all of them. */
#define ANSWER_SECONDS 20
#define WALK_SECONDS 120

/* Who answers: one of the two. */
typedef struct {
    viommuLibvirtMonitor *dom;
    viommuQmp *qmp;
} verifyPeer;

/* What was read, and what of. */
typedef struct {
    const char *name; /* borrowed */
    qemuViommuLive *live;
    virSysfs *fs;
    virSMMUTopology *topo;
    bool asked; /* the domain asks for vSMMUs */
    GPtrArray *devices;
    GPtrArray *findings;
} verifyRun;

static void
clearRun(verifyRun *run)
{
    g_clear_pointer(&run->devices, g_ptr_array_unref);
    g_clear_pointer(&run->findings, g_ptr_array_unref);
    qemuViommuLiveFree(run->live);
    virSMMUTopologyFree(run->topo);
    virSysfsFree(run->fs);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(verifyRun, clearRun)

static char *
ask(const verifyPeer *peer, const char *command, GError **error)
{
    return peer->dom ? viommuLibvirtMonitorAsk(peer->dom, command, ANSWER_SECONDS, error)
                     : viommuQmpAsk(peer->qmp, command, ANSWER_SECONDS, error);
}

/* Walks through QEMU's objects; all of them or an error. */
static qemuViommuLive *
walk(const verifyPeer *peer, GError **error)
{
    g_autoptr(qemuViommuWalk) self = qemuViommuWalkNew();
    gint64 end = g_get_monotonic_time() + WALK_SECONDS * G_TIME_SPAN_SECOND;
    const char *command;

    while ((command = qemuViommuWalkNext(self))) {
        g_autofree char *answer = NULL;

        if (g_get_monotonic_time() > end) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "QEMU's monitor takes more than %d seconds",
                        WALK_SECONDS);
            return NULL;
        }
        answer = ask(peer, command, error);
        if (!answer || !qemuViommuWalkTake(self, answer, strlen(answer), error))
            return NULL;
    }
    return qemuViommuWalkEnd(self);
}

/* QEMU does not tell what is behind descriptors; its process does, to who may look at it. What was plugged is not on
 * its command line, though another of that id may be, whose descriptor is something else by now. */
static void
findOpened(verifyRun *run, pid_t pid)
{
    size_t i;

    for (i = 0; i < run->live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(run->live->devices, i);

        if (dev->kind == QEMU_VIOMMU_LIVE_ASSIGNED && !dev->hotplugged)
            dev->haveOpened = viommuProcFindHost(pid, dev->id, &dev->opened);
        if (!dev->haveOpened || dev->haveHost)
            continue;
        dev->host = dev->opened;
        dev->haveHost = true;
    }
}

static bool
readDomain(verifyRun *run, const viommuOptions *opts, viommuLibvirtMonitor *dom, GError **error)
{
    g_autofree char *text = viommuLibvirtMonitorXML(dom, error);
    g_autoptr(viommuDomain) parsed = text ? viommuDomainParse(text, strlen(text), error) : NULL;

    if (!parsed) {
        if (text)
            g_prefix_error(error, "domain '%s' of libvirt: ", run->name);
        return false;
    }
    qemuViommuLiveBind(run->live, parsed);
    if (!opts->host && parsed->name)
        findOpened(run, viommuProcOfDomain(parsed->name));
    run->asked = viommuDomainIsRequest(parsed) && !parsed->withdrawn && parsed->virtType == VIOMMU_VIRT_KVM;
    return true;
}

static bool
askLibvirt(verifyRun *run, const viommuOptions *opts, GError **error)
{
    g_autoptr(viommuLibvirt) conn = viommuLibvirtOpen(opts->connect, VIOMMU_LIBVIRT_WRITE, error);
    g_autoptr(viommuLibvirtMonitor) dom = NULL;
    verifyPeer peer = { 0 };

    if (!conn || (!opts->host && !viommuLoadIsHere(conn, error)))
        return false;
    dom = viommuLibvirtMonitorOpen(conn, run->name, error);
    if (!dom)
        return false;
    peer.dom = dom;
    run->live = walk(&peer, error);
    return run->live && readDomain(run, opts, dom, error);
}

static bool
askMonitor(verifyRun *run, const viommuOptions *opts, GError **error)
{
    g_autoptr(viommuQmp) qmp = viommuQmpOpen(opts->qmp, ANSWER_SECONDS, error);
    verifyPeer peer = { .qmp = qmp };

    if (!qmp)
        return false;
    run->live = walk(&peer, error);
    if (!run->live)
        return false;
    findOpened(run, viommuQmpPid(qmp));
    return true;
}

/* Reads the host, and of it what the guest has. */
static bool
readHost(verifyRun *run, const viommuOptions *opts, GError **error)
{
    size_t i;

    run->fs = viommuLoadHost(opts, error);
    run->topo = run->fs ? virSMMUTopologyRead(run->fs, error) : NULL;
    if (!run->topo)
        return false;
    for (i = 0; i < run->live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(run->live->devices, i);
        virSMMUDevice *host = dev->haveHost ? virSMMUTopologyFindDevice(run->topo, &dev->host) : NULL;

        if (host && !virSMMUTopologyLoadDetails(run->topo, run->fs, host, error))
            return false;
    }
    return true;
}

/* ---- what is shown */

static const char *
rootName(const qemuViommuLiveDevice *dev)
{
    return qemuViommuLiveName(dev->root);
}

/* NULL: it is on the root bus itself */
static const char *
portName(const qemuViommuLiveDevice *dev)
{
    return dev->port ? dev->port->id : NULL;
}

static void
addRow(viommuTable *table, const qemuViommuVerified *item)
{
    const qemuViommuLiveDevice *dev = item->device;
    char host[VIR_PCI_ADDR_BUFLEN];
    g_autoptr(GString) verdict = g_string_new(qemuViommuVerdictName(item->verdict));
    const char *cells[] = {
        dev->id,
        dev->haveHost ? virPCIAddrFormat(&dev->host, host) : NULL,
        item->smmu ? item->smmu->name : NULL,
        dev->vsmmu ? dev->vsmmu->id : NULL,
        rootName(dev),
        portName(dev),
        dev->vsmmu ? (dev->vsmmu->accel ? "on" : "off") : NULL,
        dev->iommufd,
        NULL,
    };
    size_t i;

    for (i = 0; i < item->ids->len; i++)
        g_string_append_printf(verdict, "%s%s", i ? ", " : ": ", (const char *)g_ptr_array_index(item->ids, i));
    cells[G_N_ELEMENTS(cells) - 1] = verdict->str;
    viommuTableAdd(table, cells);
}

static void
showText(const verifyRun *run, bool quiet, GString *out)
{
    static const char *const header[] = { "Device", "Host device", "SMMU",    "vSMMU",   "Bus",
                                          "Port",   "accel",       "iommufd", "Verdict", NULL };
    g_autoptr(viommuTable) table = viommuTableNew(header);
    size_t i;

    for (i = 0; i < run->devices->len; i++)
        addRow(table, g_ptr_array_index(run->devices, i));
    if (run->devices->len)
        viommuTablePrint(table, out);
    else
        g_string_append_printf(out, "No host devices in %s\n", run->name);
    if (run->findings->len)
        g_string_append_c(out, '\n');
    viommuFormatFindings(out, run->findings, quiet, viommuTermHasColour(STDOUT_FILENO));
}

static void
addMember(JsonBuilder *json, const qemuViommuVerified *item)
{
    const qemuViommuLiveDevice *dev = item->device;
    char host[VIR_PCI_ADDR_BUFLEN];
    size_t i;

    json_builder_begin_object(json);
    viommuJsonString(json, "id", dev->id);
    viommuJsonString(json, "type", dev->type);
    viommuJsonString(json, "host", dev->haveHost ? virPCIAddrFormat(&dev->host, host) : NULL);
    viommuJsonString(json, "opened", dev->haveOpened ? virPCIAddrFormat(&dev->opened, host) : NULL);
    viommuJsonString(json, "smmu", item->smmu ? item->smmu->name : NULL);
    viommuJsonString(json, "vsmmu", dev->vsmmu ? dev->vsmmu->id : NULL);
    viommuJsonString(json, "bus", rootName(dev));
    viommuJsonString(json, "port", portName(dev));
    if (dev->vsmmu)
        viommuJsonBool(json, "accel", dev->vsmmu->accel);
    else
        viommuJsonString(json, "accel", NULL);
    viommuJsonString(json, "iommufd", dev->iommufd);
    viommuJsonBool(json, "hotplugged", dev->hotplugged);
    viommuJsonString(json, "verdict", qemuViommuVerdictName(item->verdict));
    json_builder_set_member_name(json, "findings");
    json_builder_begin_array(json);
    for (i = 0; i < item->ids->len; i++)
        json_builder_add_string_value(json, g_ptr_array_index(item->ids, i));
    json_builder_end_array(json);
    json_builder_end_object(json);
}

static void
showJSON(const verifyRun *run, GString *out)
{
    g_autoptr(JsonBuilder) json = viommuJsonBegin();
    size_t i;

    json_builder_set_member_name(json, "devices");
    json_builder_begin_array(json);
    for (i = 0; i < run->devices->len; i++)
        addMember(json, g_ptr_array_index(run->devices, i));
    json_builder_end_array(json);
    viommuJsonFindings(json, run->findings);
    viommuJsonEnd(json, out);
}

static viommuExit
cmdVerify(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_auto(verifyRun) run = { .name = opts->qmp ? opts->qmp : args[0], .findings = viommuFindingsNew() };
    qemuViommuVerifyContext context = { 0 };

    if (!(opts->qmp ? askMonitor(&run, opts, error) : askLibvirt(&run, opts, error)) || !readHost(&run, opts, error))
        return VIOMMU_EXIT_UNREACHABLE;
    context.live = run.live;
    context.host = run.topo;
    context.asked = run.asked;
    run.devices = qemuViommuVerify(&context, run.findings);
    if (strcmp(opts->format, "json") == 0)
        showJSON(&run, out);
    else
        showText(&run, opts->quiet, out);
    return viommuFindingsHaveError(run.findings) ? VIOMMU_EXIT_REFUSED : VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdVerify = {
    .name = "verify",
    .args = "DOMAIN",
    .help = "say whether a running guest has its host devices below the right vSMMUs",
    .formats = "text|json",
    .options = VIOMMU_OPTION_QMP,
    .maxArgs = 1,
    .run = cmdVerify,
};
