/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows what changes for a guest.
 */
#include "diffshow.h"

#include "json.h"
#include "planshow.h"
#include "report.h"

#include <string.h>
#include <unistd.h>

static const char *const fieldNames[VIOMMU_BUS_FIELDS] = {
    [VIOMMU_BUS_NUMBER] = "busNr",  [VIOMMU_BUS_SLOT] = "slot",   [VIOMMU_BUS_NODE] = "node",
    [VIOMMU_BUS_VSMMU] = "vSMMU",   [VIOMMU_BUS_ACCEL] = "accel", [VIOMMU_BUS_CMDQV] = "cmdqv",
    [VIOMMU_BUS_ATS] = "ats",       [VIOMMU_BUS_RIL] = "ril",     [VIOMMU_BUS_SSIDSIZE] = "ssidsize",
    [VIOMMU_BUS_OAS] = "oas",
};

/* ---- text */

static void
appendValue(GString *out, viommuBusField field, int value)
{
    switch (field) {
    case VIOMMU_BUS_NUMBER:
    case VIOMMU_BUS_SLOT:
    case VIOMMU_BUS_NODE:
        if (value < 0)
            g_string_append(out, field == VIOMMU_BUS_NODE ? "none" : "chosen by libvirt");
        else
            g_string_append_printf(out, field == VIOMMU_BUS_SLOT ? "0x%02x" : "%d", (unsigned)value);
        return;
    case VIOMMU_BUS_VSMMU:
        g_string_append(out, value ? "yes" : "no");
        return;
    case VIOMMU_BUS_ACCEL:
    case VIOMMU_BUS_CMDQV:
    case VIOMMU_BUS_ATS:
    case VIOMMU_BUS_RIL:
        g_string_append(out, viommuPlanSwitchName(value));
        return;
    case VIOMMU_BUS_SSIDSIZE:
    case VIOMMU_BUS_OAS:
    case VIOMMU_BUS_FIELDS:
        break;
    }
    if (value < 0)
        g_string_append(out, "auto");
    else
        g_string_append_printf(out, "%d", value);
}

/* "- ", in the colour that it has in a diff. */
static void
appendSign(GString *out, bool colour, const char *sign)
{
    viommuAppendColoured(out, colour,
                         *sign == '+'   ? VIOMMU_COLOUR_GREEN
                         : *sign == '-' ? VIOMMU_COLOUR_RED
                                        : VIOMMU_COLOUR_YELLOW,
                         sign);
    g_string_append_c(out, ' ');
}

static void
appendBusName(GString *out, const viommuViewBus *bus)
{
    if (bus->busNr == 0)
        g_string_append(out, "pcie.0");
    else if (bus->busNr > 0)
        g_string_append_printf(out, "bus %02x", (unsigned)bus->busNr);
    else
        g_string_append(out, "bus (number chosen by libvirt)");
    if (bus->vsmmu)
        g_string_append(out, ", with a vSMMU");
    if (bus->vsmmu && bus->smmu) {
        g_string_append(out, " for ");
        virTextAppendClean(out, bus->smmu);
    }
}

static void
appendBusChange(GString *out, bool colour, const viommuBusChange *change)
{
    const viommuViewBus *from = change->from;
    const viommuViewBus *to = change->to;
    const char *separator = ": ";
    unsigned i;

    appendSign(out, colour, !from ? "+" : !to ? "-" : "~");
    appendBusName(out, from ? from : to);
    for (i = 0; to && i < VIOMMU_BUS_FIELDS; i++) {
        viommuBusField field = (viommuBusField)i;
        int before = from ? viommuBusFieldOf(from, field) : VIOMMU_UNSET;
        int after = viommuBusFieldOf(to, field);

        if (!from && (field == VIOMMU_BUS_VSMMU || after < 0))
            continue;
        if (before == after || (from && from->vsmmu != to->vsmmu && field > VIOMMU_BUS_VSMMU))
            continue;
        g_string_append_printf(out, "%s%s ", separator, fieldNames[i]);
        if (from) {
            appendValue(out, field, before);
            g_string_append(out, " -> ");
        }
        appendValue(out, field, after);
        separator = ", ";
    }
    g_string_append_c(out, '\n');
}

static const char *
signOf(viommuChangeKind kind)
{
    switch (kind) {
    case VIOMMU_CHANGE_REMOVED:
        return "-";
    case VIOMMU_CHANGE_ADDED:
        return "+";
    case VIOMMU_CHANGE_MOVED:
    case VIOMMU_CHANGE_RENUMBERED:
        return "~";
    case VIOMMU_CHANGE_OPEN:
        break;
    }
    return "?";
}

static void
appendPlace(GString *out, const viommuViewPlace *place)
{
    g_autofree char *path = viommuViewPath(place);

    g_string_append(out, path ? path : "where libvirt puts it");
}

static void
appendPlaces(GString *out, const viommuPlaceChange *change)
{
    if (change->from)
        appendPlace(out, change->from);
    if (change->from && change->to)
        g_string_append(out, " -> ");
    if (change->to)
        appendPlace(out, change->to);
    if (change->kind == VIOMMU_CHANGE_RENUMBERED)
        g_string_append(out, ", the same port");
    if (change->spareLeft)
        g_string_append(out, change->to ? ", leaves a spare port" : ", its port stays");
    if (change->spareUsed)
        g_string_append(out, ", a spare port before");
    g_string_append_c(out, '\n');
}

static void
appendDevices(GString *out, bool colour, const GPtrArray *devices)
{
    size_t width = 0;
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const viommuPlaceChange *change = g_ptr_array_index(devices, i);

        width = MAX(width, strlen((change->from ? change->from : change->to)->name));
    }
    width = MIN(width, 40);
    for (i = 0; i < devices->len; i++) {
        const viommuPlaceChange *change = g_ptr_array_index(devices, i);
        const char *name = (change->from ? change->from : change->to)->name;

        appendSign(out, colour, signOf(change->kind));
        virTextAppendClean(out, name);
        g_string_append_printf(out, "%*s  ", strlen(name) < width ? (int)(width - strlen(name)) : 0, "");
        appendPlaces(out, change);
    }
}

static void
appendWindow(GString *out, uint64_t kib)
{
    if (kib)
        viommuPlanAppendBytes(out, kib * 1024);
    else
        g_string_append(out, "QEMU's own");
}

void
viommuDiffShowText(const viommuDiff *diff, GString *out)
{
    bool colour = viommuTermHasColour(STDOUT_FILENO);
    size_t i;

    for (i = 0; i < diff->buses->len; i++)
        appendBusChange(out, colour, g_ptr_array_index(diff->buses, i));
    appendDevices(out, colour, diff->devices);
    for (i = 0; i < diff->ports->len; i++) {
        const viommuPlaceChange *change = g_ptr_array_index(diff->ports, i);

        appendSign(out, colour, signOf(change->kind));
        g_string_append(out, "spare port  ");
        appendPlaces(out, change);
    }
    if (diff->fromHole64KiB != diff->toHole64KiB) {
        appendSign(out, colour, "~");
        g_string_append(out, "64-bit window  ");
        appendWindow(out, diff->fromHole64KiB);
        g_string_append(out, " -> ");
        appendWindow(out, diff->toHole64KiB);
        g_string_append_c(out, '\n');
    }
    if (diff->machineWide) {
        appendSign(out, colour, diff->machineWide > 0 ? "+" : "-");
        g_string_append(out, "IOMMU of the whole machine\n");
    }
}

/* ---- JSON */

static void
jsonMember(JsonBuilder *json, const char *key)
{
    if (key)
        json_builder_set_member_name(json, key);
}

/* @key: NULL in an array. */
static void
jsonPlace(JsonBuilder *json, const char *key, const viommuViewPlace *place)
{
    g_autofree char *path = place ? viommuViewPath(place) : NULL;

    jsonMember(json, key);
    if (!path) {
        json_builder_add_null_value(json);
        return;
    }
    json_builder_begin_object(json);
    viommuJsonString(json, "path", path);
    viommuJsonNumber(json, "root", place->bus->busNr);
    viommuJsonNumber(json, "bus", viommuViewNumber(place));
    viommuJsonNumber(json, "slot", place->steps[place->stepCount - 1] >> 3);
    viommuJsonNumber(json, "function", place->steps[place->stepCount - 1] & 7);
    viommuJsonBool(json, "vsmmu", place->bus->vsmmu);
    json_builder_end_object(json);
}

static const char *
kindName(viommuViewKind kind)
{
    switch (kind) {
    case VIOMMU_VIEW_ASSIGNED:
        return "assigned";
    case VIOMMU_VIEW_EMULATED:
        return "emulated";
    case VIOMMU_VIEW_BRIDGE:
        return "bridge";
    case VIOMMU_VIEW_PORT:
        break;
    }
    return "port";
}

static void
jsonDevice(JsonBuilder *json, const viommuPlaceChange *change)
{
    const viommuViewPlace *place = change->from ? change->from : change->to;

    json_builder_begin_object(json);
    viommuJsonString(json, "device", place->name);
    viommuJsonString(json, "kind", kindName(place->kind));
    jsonPlace(json, "from", change->from);
    jsonPlace(json, "to", change->to);
    viommuJsonBool(json, "sparePortUsed", change->spareUsed);
    viommuJsonBool(json, "sparePortLeft", change->spareLeft);
    json_builder_end_object(json);
}

static void
jsonDevices(JsonBuilder *json, const char *key, const viommuDiff *diff, viommuChangeKind kind)
{
    size_t i;

    json_builder_set_member_name(json, key);
    json_builder_begin_array(json);
    for (i = 0; diff && i < diff->devices->len; i++) {
        const viommuPlaceChange *change = g_ptr_array_index(diff->devices, i);

        if (change->kind == kind)
            jsonDevice(json, change);
    }
    json_builder_end_array(json);
}

static void
jsonPorts(JsonBuilder *json, const char *key, const viommuDiff *diff, viommuChangeKind kind)
{
    size_t i;

    json_builder_set_member_name(json, key);
    json_builder_begin_array(json);
    for (i = 0; diff && i < diff->ports->len; i++) {
        const viommuPlaceChange *change = g_ptr_array_index(diff->ports, i);

        if (change->kind == kind)
            jsonPlace(json, NULL, change->from ? change->from : change->to);
    }
    json_builder_end_array(json);
}

static void
jsonField(JsonBuilder *json, const viommuViewBus *bus, viommuBusField field)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int value = viommuBusFieldOf(bus, field);
    bool number = field < VIOMMU_BUS_VSMMU || (field > VIOMMU_BUS_RIL && value >= 0);

    appendValue(text, field, value);
    if (field == VIOMMU_BUS_VSMMU)
        viommuJsonBool(json, "vsmmu", value);
    else if (number)
        viommuJsonNumber(json, fieldNames[field], value);
    else
        viommuJsonString(json, fieldNames[field], bus->vsmmu ? text->str : NULL);
}

static void
jsonBus(JsonBuilder *json, const char *key, const viommuViewBus *bus)
{
    unsigned i;

    json_builder_set_member_name(json, key);
    if (!bus) {
        json_builder_add_null_value(json);
        return;
    }
    json_builder_begin_object(json);
    viommuJsonString(json, "host", bus->smmu);
    for (i = 0; i < VIOMMU_BUS_FIELDS; i++)
        jsonField(json, bus, (viommuBusField)i);
    json_builder_end_object(json);
}

static void
jsonBuses(JsonBuilder *json, const viommuDiff *diff)
{
    size_t i;

    json_builder_set_member_name(json, "buses");
    json_builder_begin_array(json);
    for (i = 0; diff && i < diff->buses->len; i++) {
        const viommuBusChange *change = g_ptr_array_index(diff->buses, i);

        json_builder_begin_object(json);
        jsonBus(json, "from", change->from);
        jsonBus(json, "to", change->to);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static void
jsonWindow(JsonBuilder *json, const viommuDiff *diff)
{
    json_builder_set_member_name(json, "pciHole64KiB");
    if (!diff || diff->fromHole64KiB == diff->toHole64KiB) {
        json_builder_add_null_value(json);
        return;
    }
    json_builder_begin_object(json);
    viommuJsonNumber(json, "from", diff->fromHole64KiB ? (int64_t)diff->fromHole64KiB : -1);
    viommuJsonNumber(json, "to", diff->toHole64KiB ? (int64_t)diff->toHole64KiB : -1);
    json_builder_end_object(json);
}

void
viommuDiffShowJSON(const viommuDiff *diff, const GPtrArray *findings, GString *out)
{
    g_autoptr(JsonBuilder) json = viommuJsonBegin();
    int wide = diff ? diff->machineWide : 0;

    jsonDevices(json, "added", diff, VIOMMU_CHANGE_ADDED);
    jsonDevices(json, "removed", diff, VIOMMU_CHANGE_REMOVED);
    jsonDevices(json, "moved", diff, VIOMMU_CHANGE_MOVED);
    jsonDevices(json, "renumbered", diff, VIOMMU_CHANGE_RENUMBERED);
    jsonDevices(json, "open", diff, VIOMMU_CHANGE_OPEN);
    jsonBuses(json, diff);
    jsonPorts(json, "sparePortsAdded", diff, VIOMMU_CHANGE_ADDED);
    jsonPorts(json, "sparePortsRemoved", diff, VIOMMU_CHANGE_REMOVED);
    jsonWindow(json, diff);
    viommuJsonString(json, "machineIOMMU", wide > 0 ? "added" : wide < 0 ? "removed" : NULL);
    viommuJsonFindings(json, findings);
    viommuJsonEnd(json, out);
}
