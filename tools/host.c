/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu host: which device is behind which SMMU.
 */
#include "emulator.h"
#include "hostcheck.h"
#include "json.h"
#include "load.h"
#include "peercaps.h"
#include "qemuask.h"
#include "table.h"
#include "viommu.h"
#include "virsmmu.h"

#include <string.h>

/* Of so many devices that are bound to VFIO drivers the words below the table say whether they fit: looking at one
 * costs 20 system calls, and a host can have thousands. */
#define BOUND_MAX 64

/* What libvirt, with --connect, and a QEMU say: that of --emulator, or else libvirt's default. */
typedef struct {
    viommuLibvirt *conn;  /* NULL: not asked for */
    viommuPeerCaps peer;
    const char *emulator; /* NULL: not known, or not of this machine; borrowed */
    qemuViommuCaps *caps; /* NULL: not asked */
    char *unasked;        /* why, or NULL */
} hostAnswers;

static void
clearAnswers(hostAnswers *answers)
{
    viommuPeerCapsClear(&answers->peer);
    g_clear_pointer(&answers->conn, viommuLibvirtFree);
    g_clear_pointer(&answers->caps, qemuViommuCapsFree);
    g_clear_pointer(&answers->unasked, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(hostAnswers, clearAnswers)

/* Why a device that is bound to a VFIO driver cannot be given to a guest, or NULL. */
static const char *
unfitness(const virSMMUTopology *topo, const virSMMUDevice *dev)
{
    return dev->haveDetails && dev->vfio ? viommuHostRuleOut(topo, dev) : NULL;
}

/* ---- table */

static const struct {
    int class; /* base class and subclass (PCI Code and ID Assignment Specification) */
    const char *name;
} classNames[] = {
    { 0x0104, "RAID" },    { 0x0106, "SATA" },        { 0x0107, "SAS" },
    { 0x0108, "NVMe" },    { 0x0200, "Ethernet" },    { 0x0207, "InfiniBand" },
    { 0x0280, "network" }, { 0x0300, "VGA" },         { 0x0302, "3D" },
    { 0x0403, "audio" },   { 0x0600, "host bridge" }, { 0x0604, "PCI bridge" },
    { 0x0c03, "USB" },     { 0x1200, "accelerator" },
};

/* "10de:2331 3D" */
static char *
formatID(const virSMMUDevice *dev)
{
    size_t i;

    if (dev->vendor < 0 || dev->device < 0)
        return NULL;
    for (i = 0; i < G_N_ELEMENTS(classNames); i++) {
        if (dev->class >= 0 && classNames[i].class == dev->class >> 8)
            return g_strdup_printf("%04x:%04x %s", (unsigned)dev->vendor, (unsigned)dev->device,
                                   classNames[i].name);
    }
    return g_strdup_printf("%04x:%04x", (unsigned)dev->vendor, (unsigned)dev->device);
}

static const char *
tristateName(virTristate value)
{
    switch (value) {
    case VIR_TRISTATE_YES:
        return "yes";
    case VIR_TRISTATE_NO:
        return "no";
    case VIR_TRISTATE_UNKNOWN:
        break;
    }
    return "unknown";
}

static char *
formatBits(int bits)
{
    return bits < 0 ? g_strdup("unknown") : g_strdup_printf("%d", bits);
}

/* "4K 16K 64K" */
static char *
formatGranules(const virSMMU *smmu)
{
    static const unsigned all[] = { 4, 16, 64 };
    unsigned granules = virSMMUGranules(smmu);
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(all); i++) {
        if (granules & all[i])
            g_string_append_printf(out, "%s%uK", out->len ? " " : "", all[i]);
    }
    if (!out->len)
        g_string_append(out, smmu->regs.known ? "none" : "unknown");
    return g_string_free(out, FALSE);
}

/* What one guest gets of it: "2 queues, 16 streams" */
static char *
formatCmdqv(const virSMMU *smmu)
{
    if (smmu->cmdqv == VIR_TRISTATE_NO && smmu->cmdqvNamed == VIR_TRISTATE_YES)
        return g_strdup("not driven");
    if (smmu->cmdqv != VIR_TRISTATE_YES || smmu->cmdqvLog2Queues < 0 || smmu->cmdqvLog2Streams < 0)
        return g_strdup(tristateName(smmu->cmdqv));
    return g_strdup_printf("%u queue%s, %u streams", 1u << MIN(smmu->cmdqvLog2Queues, 31),
                           smmu->cmdqvLog2Queues ? "s" : "", 1u << MIN(smmu->cmdqvLog2Streams, 31));
}

static void
addFeatures(viommuTable *table, const virSMMU *smmu, GString *words)
{
    g_autofree char *numa = smmu->numaNode >= 0 ? g_strdup_printf("%d", smmu->numaNode) : NULL;
    g_autofree char *oas = formatBits(virSMMUOutputBits(smmu));
    g_autofree char *ssid = formatBits(virSMMUSsidBits(smmu));
    g_autofree char *granules = formatGranules(smmu);
    g_autofree char *cmdqv = formatCmdqv(smmu);
    const char *why = NULL;
    virTristate serves = virSMMUCanServe(smmu, &why);
    const char *const cells[] = { smmu->name, numa, tristateName(serves), oas, ssid,
                                  tristateName(virSMMUHasRIL(smmu)), tristateName(virSMMUHasATS(smmu)), granules,
                                  cmdqv };

    viommuTableAdd(table, cells);
    if (serves != VIR_TRISTATE_YES && smmu->regs.known)
        g_string_append_printf(words, " %s: nesting %s: %s\n", smmu->name, tristateName(serves), why);
}

/* The SMMUv3s: what they can do, and what not. False if there is none. */
static bool
showFeatures(const virSMMUTopology *topo, GString *out)
{
    static const char *const header[] = { "SMMU", "NUMA", "Nesting",  "OAS",   "SSID bits",
                                          "RIL",  "ATS",  "Granules", "CMDQV", NULL };
    g_autoptr(viommuTable) table = viommuTableNew(header);
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    g_autoptr(GString) words = g_string_new(NULL);
    bool known = true;
    size_t i, count = 0;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        if (smmu->kind != VIR_SMMU_KIND_SMMUV3)
            continue;
        addFeatures(table, smmu, words);
        known = known && smmu->regs.known;
        count++;
    }
    if (!count)
        return false;
    if (virSMMUTopologyAddressBits(topo))
        g_string_append_printf(words, " KVM: guests have up to %u bits of physical address.\n",
                               virSMMUTopologyAddressBits(topo));
    if (!known)
        g_string_append(words, " What is unknown, 'viommu host --probe' on that host asks the kernel for.\n");
    viommuTablePrint(table, out);
    g_string_append_printf(out, "%s%s\n", words->len ? "\n" : "", words->str);
    return true;
}

/* One row; the SMMU stands in the first row of its devices only. */
static void
addRow(viommuTable *table, const virSMMU *smmu, bool first, const char *name,
       const virSMMUDevice *dev)
{
    g_autofree char *group = NULL, *id = NULL;
    const char *cells[] = { "", name, NULL, NULL, NULL };

    if (first)
        cells[0] = smmu ? smmu->name : NULL;
    if (dev) {
        group = dev->group >= 0 ? g_strdup_printf("%d", dev->group) : NULL;
        id = formatID(dev);
        cells[2] = group;
        cells[3] = dev->driver;
        cells[4] = id;
    }
    viommuTableAdd(table, cells);
}

static void
addSMMU(viommuTable *table, const virSMMU *smmu)
{
    bool first = true;
    size_t i;

    for (i = 0; i < smmu->devices->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(smmu->devices, i);

        addRow(table, smmu, first, dev->name, dev);
        first = false;
    }
    for (i = 0; i < smmu->platformDevices->len; i++) {
        addRow(table, smmu, first, g_ptr_array_index(smmu->platformDevices, i), NULL);
        first = false;
    }
    if (first)
        addRow(table, smmu, true, NULL, NULL);
}

static void
showTable(const virSMMUTopology *topo, GString *out)
{
    static const char *const header[] = { "SMMU", "Device", "Group", "Driver", "ID", NULL };
    g_autoptr(viommuTable) table = viommuTableNew(header);
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    bool first = true;
    size_t i;

    for (i = 0; i < smmus->len; i++)
        addSMMU(table, g_ptr_array_index(smmus, i));
    for (i = 0; i < devices->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(devices, i);

        if (dev->smmu)
            continue;
        addRow(table, NULL, first, dev->name, dev);
        first = false;
    }
    viommuTablePrint(table, out);
    g_string_append_c(out, '\n');
}

static void
showUnfit(const virSMMUTopology *topo, bool more, GString *out)
{
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    g_autoptr(GString) words = g_string_new(NULL);
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(devices, i);
        const char *why = unfitness(topo, dev);

        if (why)
            g_string_append_printf(words, " %s: not to be given to a guest: %s\n", dev->name, why);
    }
    if (more)
        g_string_append_printf(words, " Of the devices that are bound to VFIO drivers the first %d were looked at; '--format json' looks at all.\n",
                               BOUND_MAX);
    if (words->len)
        g_string_append_printf(out, "%s\n", words->str);
}

/* ---- JSON */

static void
jsonHex(JsonBuilder *json, const char *key, int value, int digits)
{
    g_autofree char *text = value < 0 ? NULL : g_strdup_printf("0x%0*x", digits, (unsigned)value);

    viommuJsonString(json, key, text);
}

/* In KiB. */
static void
jsonGranules(JsonBuilder *json, unsigned granules)
{
    unsigned one;

    json_builder_set_member_name(json, "granules");
    json_builder_begin_array(json);
    for (one = 4; one <= 64; one *= 4) {
        if (granules & one)
            json_builder_add_int_value(json, one);
    }
    json_builder_end_array(json);
}

static void
jsonFeatures(JsonBuilder *json, const virSMMU *smmu)
{
    const char *why = NULL;

    if (!smmu->regs.known) {
        viommuJsonString(json, "features", NULL);
        return;
    }
    json_builder_set_member_name(json, "features");
    json_builder_begin_object(json);
    viommuJsonTristate(json, "nesting", virSMMUCanServe(smmu, &why));
    viommuJsonString(json, "nestingReason", why);
    viommuJsonTristate(json, "s2fwb", virSMMUHasS2FWB(smmu));
    viommuJsonTristate(json, "ats", virSMMUHasATS(smmu));
    viommuJsonTristate(json, "ril", virSMMUHasRIL(smmu));
    viommuJsonNumber(json, "ssidsize", virSMMUSsidBits(smmu));
    viommuJsonNumber(json, "oas", virSMMUOutputBits(smmu));
    jsonGranules(json, virSMMUGranules(smmu));
    json_builder_end_object(json);
}

/* How much of it one guest gets. */
static void
jsonCmdqv(JsonBuilder *json, const virSMMU *smmu)
{
    bool known = smmu->cmdqv == VIR_TRISTATE_YES;

    viommuJsonTristate(json, "cmdqv", smmu->cmdqv);
    viommuJsonTristate(json, "cmdqvNamed", smmu->cmdqvNamed);
    viommuJsonNumber(json, "cmdqvLog2Queues", known ? smmu->cmdqvLog2Queues : -1);
    viommuJsonNumber(json, "cmdqvLog2Streams", known ? smmu->cmdqvLog2Streams : -1);
}

static void
jsonDevice(JsonBuilder *json, const virSMMUTopology *topo, const virSMMUDevice *dev)
{
    json_builder_begin_object(json);
    viommuJsonString(json, "address", dev->name);
    viommuJsonNumber(json, "group", dev->group);
    viommuJsonString(json, "driver", dev->driver);
    viommuJsonNumber(json, "numaNode", dev->numaNode);
    viommuJsonTristate(json, "canwbs", dev->canwbs);
    viommuJsonTristate(json, "ats", dev->ats);
    jsonHex(json, "vendor", dev->vendor, 4);
    jsonHex(json, "device", dev->device, 4);
    jsonHex(json, "class", dev->class, 6);
    viommuJsonString(json, "unfit", unfitness(topo, dev));
    json_builder_end_object(json);
}

static void
jsonSMMU(JsonBuilder *json, const virSMMUTopology *topo, const virSMMU *smmu)
{
    size_t i;

    json_builder_begin_object(json);
    viommuJsonString(json, "name", smmu->name);
    viommuJsonNumber(json, "numaNode", smmu->numaNode);
    jsonCmdqv(json, smmu);
    jsonFeatures(json, smmu);
    json_builder_set_member_name(json, "devices");
    json_builder_begin_array(json);
    for (i = 0; i < smmu->devices->len; i++)
        jsonDevice(json, topo, g_ptr_array_index(smmu->devices, i));
    json_builder_end_array(json);
    json_builder_set_member_name(json, "platformDevices");
    json_builder_begin_array(json);
    for (i = 0; i < smmu->platformDevices->len; i++)
        json_builder_add_string_value(json, g_ptr_array_index(smmu->platformDevices, i));
    json_builder_end_array(json);
    json_builder_end_object(json);
}

static void
jsonSMMUs(JsonBuilder *json, const char *key, const virSMMUTopology *topo, virSMMUKind kind)
{
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    size_t i;

    json_builder_set_member_name(json, key);
    json_builder_begin_array(json);
    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        if (smmu->kind == kind)
            jsonSMMU(json, topo, smmu);
    }
    json_builder_end_array(json);
}

static void
showJSON(const virSMMUTopology *topo, const hostAnswers *answers, GString *out)
{
    g_autoptr(JsonBuilder) json = viommuJsonBegin();
    unsigned bits = virSMMUTopologyAddressBits(topo);
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    size_t i;

    jsonSMMUs(json, "smmus", topo, VIR_SMMU_KIND_SMMUV3);
    jsonSMMUs(json, "otherIOMMUs", topo, VIR_SMMU_KIND_OTHER);
    viommuJsonNumber(json, "guestAddressBits", bits ? (int64_t)bits : -1);
    json_builder_set_member_name(json, "untranslated");
    json_builder_begin_array(json);
    for (i = 0; i < devices->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(devices, i);

        if (!dev->smmu)
            json_builder_add_string_value(json, dev->name);
    }
    json_builder_end_array(json);
    if (answers->conn)
        viommuPeerCapsJSON(json, &answers->peer);
    if (answers->emulator)
        viommuEmulatorJSON(json, answers->emulator, answers->caps, answers->unasked);
    viommuJsonEnd(json, out);
}

/* ---- command */

/* Loads the details of @dev if it is behind an SMMUv3 and bound to a driver of the VFIO family, whose names are not
 * known, and counts it in @bound; the details of the first @most only. */
static bool
loadBound(virSMMUTopology *topo, virSysfs *fs, virSMMUDevice *dev, unsigned most, unsigned *bound, GError **error)
{
    g_autofree char *cdev = NULL;

    if (*bound > most || !dev->driver || dev->bridge || !dev->smmu || dev->smmu->kind != VIR_SMMU_KIND_SMMUV3)
        return true;
    if (!virSMMUDeviceFetchCdev(fs, dev, &cdev, error))
        return false;
    if (!cdev)
        return true;
    (*bound)++;
    return *bound > most || virSMMUTopologyLoadDetails(topo, fs, dev, error);
}

static bool
loadDevices(virSMMUTopology *topo, virSysfs *fs, bool json, bool *ret_more, GError **error)
{
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    unsigned bound = 0, most = json ? G_MAXUINT - 1 : BOUND_MAX;
    size_t i;

    for (i = 0; i < devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(devices, i);

        if (!virSMMUTopologyLoadIds(topo, fs, dev, error) ||
            (json && !virSMMUTopologyLoadNuma(topo, fs, dev, error)) ||
            !loadBound(topo, fs, dev, most, &bound, error))
            return false;
    }
    *ret_more = bound > most;
    return true;
}

/* The QEMU of --emulator has to answer, libvirt's need not. */
static bool
askEmulator(const viommuOptions *opts, hostAnswers *answers, GError **error)
{
    const char *ofLibvirt = answers->peer.caps && !opts->host ? answers->peer.caps->path : NULL;
    g_autoptr(GError) local = NULL;

    answers->emulator = opts->emulator ? opts->emulator : ofLibvirt;
    if (opts->emulator)
        answers->caps = viommuQemuAsk(opts->emulator, error);
    else if (ofLibvirt)
        answers->caps = viommuQemuAskNamed(ofLibvirt, &local);
    answers->unasked = local ? g_strdup(local->message) : NULL;
    return answers->caps || !opts->emulator;
}

static bool
ask(const viommuOptions *opts, hostAnswers *answers, GError **error)
{
    if (opts->connect) {
        answers->conn = viommuLibvirtOpen(opts->connect, VIOMMU_LIBVIRT_MOST, error);
        if (!answers->conn || (!opts->host && !viommuLoadIsHere(answers->conn, error)) ||
            !viommuPeerCapsAskHost(answers->conn, &answers->peer, error))
            return false;
    }
    return askEmulator(opts, answers, error);
}

static viommuExit
cmdHost(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_auto(hostAnswers) answers = { 0 };
    bool good = ask(opts, &answers, error);
    g_autoptr(virSysfs) fs = good ? viommuLoadHost(opts, error) : NULL;
    g_autoptr(virSMMUTopology) topo = fs ? virSMMUTopologyRead(fs, error) : NULL;
    bool json = strcmp(opts->format, "json") == 0;
    bool any, more = false;

    if (!topo || !loadDevices(topo, fs, json, &more, error))
        return VIOMMU_EXIT_UNREACHABLE;
    if (json) {
        showJSON(topo, &answers, out);
        return VIOMMU_EXIT_DONE;
    }
    any = showFeatures(topo, out);
    showTable(topo, out);
    showUnfit(topo, more, out);
    if (!any)
        g_string_append(out, " No SMMUv3: nothing here can be below a vSMMU that nests; 'viommu check' says what is missing.\n\n");
    if (answers.conn)
        viommuPeerCapsShow(&answers.peer, opts->connect, out);
    if (answers.emulator)
        viommuEmulatorShow(answers.emulator, answers.caps, answers.unasked, out);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdHost = {
    .name = "host",
    .help = "show which PCI devices are behind which physical SMMU",
    .formats = "text|json",
    .options = VIOMMU_OPTION_EMULATOR | VIOMMU_OPTION_PROBE,
    .run = cmdHost,
};
