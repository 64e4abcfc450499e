/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows a plan.
 */
#include "planshow.h"

#include "json.h"
#include "report.h"
#include "tree.h"

#include <string.h>
#include <unistd.h>

const char *
viommuPlanSwitchName(int value)
{
    return value == VIOMMU_AUTO ? "auto" : value == 1 ? "on" : "off";
}

/* "auto" or the number, for a buffer of the caller. */
static const char *
numberName(int value, char buf[static 12])
{
    if (value == VIOMMU_AUTO)
        return "auto";
    g_snprintf(buf, 12, "%d", value);
    return buf;
}

/* ---- tree */

void
viommuPlanAppendBytes(GString *out, uint64_t bytes)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
    size_t unit = 0;

    while (bytes && bytes % 1024 == 0 && unit + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        unit++;
    }
    g_string_append_printf(out, "%" G_GUINT64_FORMAT " %s", bytes, units[unit]);
}

static void
appendSMMU(GString *text, const virSMMU *smmu, bool colour)
{
    viommuAppendColoured(text, colour, VIOMMU_COLOUR_CYAN, smmu->name);
    if (smmu->numaNode >= 0)
        g_string_append_printf(text, "  NUMA node %d", smmu->numaNode);
    if (smmu->cmdqv == VIR_TRISTATE_YES)
        g_string_append(text, "  CMDQV");
}

static void
appendVSMMU(GString *text, const viommuPlan *plan, const viommuVSMMU *vsmmu, bool colour)
{
    const viommuFeatures *f = &vsmmu->features;
    char ssidsize[12], oas[12];

    viommuAppendColoured(text, colour, VIOMMU_COLOUR_GREEN, "vSMMU");
    if (!plan->accel) {
        g_string_append(text, "  accel=off");
        return;
    }
    g_string_append_printf(text, "  accel=on cmdqv=%s ats=%s ril=%s ssidsize=%s oas=%s",
                           viommuPlanSwitchName(f->cmdqv), viommuPlanSwitchName(f->ats),
                           viommuPlanSwitchName(f->ril), numberName(f->ssidsize, ssidsize),
                           numberName(f->oas, oas));
}

static void
appendBus(GString *text, const viommuVSMMU *vsmmu)
{
    g_string_append_printf(text, "pcie-expander-bus %u  busNr %u, slot 0x%02x of pcie.0",
                           vsmmu->controller, vsmmu->busNr, vsmmu->slot);
    if (vsmmu->node >= 0)
        g_string_append_printf(text, ", guest NUMA node %d", vsmmu->node);
    if (!vsmmu->generated)
        g_string_append(text, ", as written");
}

static void
appendPort(GString *text, const viommuPlanPort *port)
{
    g_string_append_printf(text, "pcie-root-port %u  at %02x.%x", port->controller, port->slot,
                           port->function);
    if (port->spare)
        g_string_append(text, ", spare");
    if (port->keeps.pref64) {
        g_string_append(text, ", reserves ");
        viommuPlanAppendBytes(text, port->keeps.pref64);
    }
    if (port->keeps.mem) {
        g_string_append(text, " and ");
        viommuPlanAppendBytes(text, port->keeps.mem);
        g_string_append(text, " below 4 GiB");
    }
    if (!port->generated)
        g_string_append(text, ", as written");
}

static void
appendDevice(GString *text, const viommuPlanDevice *dev, bool colour)
{
    const virSMMUDevice *host = dev->host;

    viommuAppendColoured(text, colour, VIOMMU_COLOUR_YELLOW, host->name);
    g_string_append_printf(text, "  guest %04x:%02x:%02x.%x", dev->addr.domain, dev->addr.bus,
                           dev->addr.slot, dev->addr.function);
    if (!dev->generated)
        g_string_append(text, " as written");
    if (dev->device->network) {
        g_string_append(text, ", for a VF of network '");
        virTextAppendClean(text, dev->device->network);
        g_string_append_c(text, '\'');
    }
    if (host->haveIds && host->vendor >= 0 && host->device >= 0)
        g_string_append_printf(text, ", %04x:%04x", (unsigned)host->vendor, (unsigned)host->device);
    if (host->haveIds && host->driver) {
        g_string_append(text, ", ");
        virTextAppendClean(text, host->driver);
    }
    if (host->haveIds && host->group >= 0)
        g_string_append_printf(text, ", group %d", host->group);
    if (host->haveDetails && host->numaNode >= 0)
        g_string_append_printf(text, ", NUMA node %d", host->numaNode);
}

static void
addBus(viommuTree *parent, const viommuVSMMU *vsmmu, bool colour)
{
    viommuTree *bus = viommuTreeAdd(parent);
    size_t i, j;

    appendBus(bus->text, vsmmu);
    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);
        viommuTree *node = viommuTreeAdd(bus);

        appendPort(node->text, port);
        for (j = 0; j < vsmmu->devices->len; j++) {
            const viommuPlanDevice *dev = g_ptr_array_index(vsmmu->devices, j);

            if (dev->addr.bus == port->controller)
                appendDevice(viommuTreeAdd(node)->text, dev, colour);
        }
    }
}

/* The plan's vSMMUs below their physical SMMUs; those of one follow each other or not. */
static void
addSMMUs(viommuTree *root, const viommuPlan *plan, bool colour)
{
    g_autoptr(GHashTable) nodes = g_hash_table_new(g_direct_hash, g_direct_equal);
    size_t i;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);
        viommuTree *smmu = g_hash_table_lookup(nodes, vsmmu->smmu);
        viommuTree *node;

        if (!smmu) {
            smmu = viommuTreeAdd(root);
            appendSMMU(smmu->text, vsmmu->smmu, colour);
            g_hash_table_insert(nodes, (void *)vsmmu->smmu, smmu);
        }
        node = viommuTreeAdd(smmu);
        appendVSMMU(node->text, plan, vsmmu, colour);
        addBus(node, vsmmu, colour);
    }
}

static void
appendReasons(GString *out, const viommuPlan *plan)
{
    size_t i;

    if (plan->reasons->len)
        g_string_append(out, "\nReasons:\n");
    for (i = 0; i < plan->reasons->len; i++) {
        const viommuReason *reason = g_ptr_array_index(plan->reasons, i);

        g_string_append_printf(out, "  %-4s", reason->rule);
        virTextAppendClean(out, reason->about);
        g_string_append(out, ": ");
        virTextAppendClean(out, reason->text);
        g_string_append_c(out, '\n');
    }
}

void
viommuPlanShowTree(const viommuPlacement *placement, GString *out)
{
    const viommuPlan *plan = placement->plan;
    g_autoptr(viommuTree) root = viommuTreeNew();

    if (!plan->vsmmus->len && placement->result)
        g_string_append(out, "No virtual SMMU: there is nothing to place.\n");
    else if (!plan->vsmmus->len)
        g_string_append(
            out,
            "No virtual SMMU: the domain asks for none (<iommu model='smmuv3' nested='yes'/>).\n");
    addSMMUs(root, plan, viommuTermHasColour(STDOUT_FILENO));
    viommuTreeDraw(root, viommuTermIsUnicode(), out);
    if (plan->hole64KiB) {
        g_string_append(out, "64-bit window: ");
        viommuPlanAppendBytes(out, plan->hole64KiB * 1024);
        g_string_append_c(out, '\n');
    }
    appendReasons(out, plan);
}

/* ---- Graphviz */

static void
appendNode(GString *out, const char *kind, unsigned id, const char *label)
{
    g_string_append_printf(out, "  %s%u [label=\"", kind, id);
    for (; *label; label++) {
        if (*label == '"' || *label == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *label);
    }
    g_string_append(out, "\"];\n");
}

static void
dotVSMMU(GString *out, const viommuPlan *plan, const viommuVSMMU *vsmmu, unsigned smmu)
{
    g_autoptr(GString) label = g_string_new(NULL);
    size_t i;

    appendVSMMU(label, plan, vsmmu, false);
    appendNode(out, "vsmmu", vsmmu->controller, label->str);
    g_string_truncate(label, 0);
    appendBus(label, vsmmu);
    appendNode(out, "pci", vsmmu->controller, label->str);
    g_string_append_printf(out, "  smmu%u -> vsmmu%u -> pci%u;\n", smmu, vsmmu->controller,
                           vsmmu->controller);
    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        g_string_truncate(label, 0);
        appendPort(label, port);
        appendNode(out, "pci", port->controller, label->str);
        g_string_append_printf(out, "  pci%u -> pci%u;\n", vsmmu->controller, port->controller);
    }
    for (i = 0; i < vsmmu->devices->len; i++) {
        const viommuPlanDevice *dev = g_ptr_array_index(vsmmu->devices, i);
        unsigned id = dev->addr.bus << 8 | dev->addr.slot << 3 | dev->addr.function;

        g_string_truncate(label, 0);
        appendDevice(label, dev, false);
        appendNode(out, "device", id, label->str);
        g_string_append_printf(out, "  pci%u -> device%u;\n", dev->addr.bus, id);
    }
}

void
viommuPlanShowDot(const viommuPlacement *placement, GString *out)
{
    const viommuPlan *plan = placement->plan;
    g_autoptr(GPtrArray) smmus = g_ptr_array_new();
    size_t i;

    g_string_append(out, "digraph viommu {\n  rankdir=LR;\n  node [shape=box];\n");
    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);
        guint smmu;

        if (!g_ptr_array_find(smmus, vsmmu->smmu, &smmu)) {
            g_autoptr(GString) label = g_string_new(NULL);

            smmu = smmus->len;
            g_ptr_array_add(smmus, (void *)vsmmu->smmu);
            appendSMMU(label, vsmmu->smmu, false);
            appendNode(out, "smmu", smmu, label->str);
        }
        dotVSMMU(out, plan, vsmmu, smmu);
    }
    g_string_append(out, "}\n");
}

/* ---- JSON */

static void
jsonFeature(JsonBuilder *json, const char *key, int value)
{
    if (value == VIOMMU_AUTO)
        viommuJsonString(json, key, "auto");
    else
        viommuJsonNumber(json, key, value);
}

static void
jsonDevices(JsonBuilder *json, const viommuVSMMU *vsmmu)
{
    size_t i;

    json_builder_set_member_name(json, "devices");
    json_builder_begin_array(json);
    for (i = 0; i < vsmmu->devices->len; i++) {
        const viommuPlanDevice *dev = g_ptr_array_index(vsmmu->devices, i);

        json_builder_begin_object(json);
        viommuJsonString(json, "source", dev->host->name);
        if (dev->device->network)
            viommuJsonString(json, "network", dev->device->network);
        viommuJsonNumber(json, "bus", dev->addr.bus);
        viommuJsonNumber(json, "slot", dev->addr.slot);
        viommuJsonNumber(json, "function", dev->addr.function);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

/* What spare ports keep, in KiB as in <placement>. */
static void
jsonWindows(JsonBuilder *json, const viommuVSMMU *vsmmu)
{
    size_t i;

    json_builder_set_member_name(json, "sparePortWindows");
    json_builder_begin_array(json);
    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (!port->spare)
            continue;
        json_builder_begin_object(json);
        viommuJsonNumber(json, "controller", port->controller);
        viommuJsonNumber(json, "pref64Reserve", (int64_t)(port->keeps.pref64 / 1024));
        viommuJsonNumber(json, "memReserve", (int64_t)(port->keeps.mem / 1024));
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void
jsonVSMMU(JsonBuilder *json, const viommuPlan *plan, const viommuVSMMU *vsmmu)
{
    const viommuFeatures *f = &vsmmu->features;
    size_t i;

    json_builder_begin_object(json);
    viommuJsonString(json, "host", vsmmu->smmu->name);
    viommuJsonNumber(json, "controller", vsmmu->controller);
    viommuJsonNumber(json, "busNr", vsmmu->busNr);
    viommuJsonNumber(json, "node", vsmmu->node);
    viommuJsonString(json, "accel", plan->accel ? "on" : "off");
    if (plan->accel) {
        viommuJsonString(json, "cmdqv", viommuPlanSwitchName(f->cmdqv));
        viommuJsonNumber(json, "vcmdqs", vsmmu->vcmdqs ? (int64_t)vsmmu->vcmdqs : -1);
        viommuJsonNumber(json, "streamSlots", vsmmu->streamSlots ? (int64_t)vsmmu->streamSlots : -1);
        viommuJsonString(json, "ats", viommuPlanSwitchName(f->ats));
        viommuJsonString(json, "ril", viommuPlanSwitchName(f->ril));
        jsonFeature(json, "ssidsize", f->ssidsize);
        jsonFeature(json, "oas", f->oas);
    } else {
        viommuJsonString(json, "cmdqv", "off");
    }
    jsonDevices(json, vsmmu);
    json_builder_set_member_name(json, "sparePorts");
    json_builder_begin_array(json);
    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (port->spare)
            json_builder_add_int_value(json, port->controller);
    }
    json_builder_end_array(json);
    jsonWindows(json, vsmmu);
    json_builder_end_object(json);
}

static void
jsonReasons(JsonBuilder *json, const viommuPlan *plan)
{
    size_t i;

    json_builder_set_member_name(json, "reasons");
    json_builder_begin_array(json);
    for (i = 0; plan && i < plan->reasons->len; i++) {
        const viommuReason *reason = g_ptr_array_index(plan->reasons, i);

        json_builder_begin_object(json);
        viommuJsonString(json, "rule", reason->rule);
        viommuJsonString(json, "about", reason->about);
        viommuJsonString(json, "text", reason->text);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

void
viommuPlanShowJSON(const viommuPlacement *placement, GString *out)
{
    const viommuPlan *plan = placement->refused ? NULL : placement->plan;
    g_autoptr(JsonBuilder) json = viommuJsonBegin();
    size_t i;

    json_builder_set_member_name(json, "vsmmus");
    json_builder_begin_array(json);
    for (i = 0; plan && i < plan->vsmmus->len; i++)
        jsonVSMMU(json, plan, g_ptr_array_index(plan->vsmmus, i));
    json_builder_end_array(json);
    viommuJsonNumber(json, "pciHole64KiB", plan && plan->hole64KiB ? (int64_t)plan->hole64KiB : -1);
    jsonReasons(json, plan);
    viommuJsonFindings(json, placement->findings);
    viommuJsonEnd(json, out);
}
