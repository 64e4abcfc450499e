/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the text of a QMP session to what QEMU can do.
 *
 * The text comes from a program that somebody names, so nothing is taken for granted: not that a line is JSON, not
 * that a member has the type that QEMU gives it.
 */
#include "qemu_viommu_caps.h"

#include "qemu_viommu_json.h"
#include "viommu_plan.h"
#include "viommuerror.h"

#include <string.h>

/* Opening brackets of a line; vfio-pci's list in QEMU 11.1 has 59. */
#define OPENING_MAX 2000

/* Larger numbers are no version. */
#define VERSION_PART_MAX 999

/* The first that resolves "auto" for all features, and the one before. */
#define VERSION_AUTO VIOMMU_VERSION_QEMU(11, 1)
#define VERSION_ACCEL VIOMMU_VERSION_QEMU(11, 0)

typedef enum {
    REPLY_VERSION,
    REPLY_SMMUV3,
    REPLY_ACCEL,
    REPLY_NESTED,
    REPLY_VFIO,
    REPLY_MACHINE,
    REPLIES,
} replyId;

static const struct {
    const char *id;
    bool needed; /* it is no answer that QEMU knows no such thing */
} replies[REPLIES] = {
    [REPLY_VERSION] = { "version", true },
    [REPLY_SMMUV3] = { "arm-smmuv3", false },
    [REPLY_ACCEL] = { "arm-smmuv3-accel", false },
    [REPLY_NESTED] = { "arm-smmuv3-nested", false },
    [REPLY_VFIO] = { "vfio-pci", false },
    [REPLY_MACHINE] = { "virt-machine", false },
};

#define LIST_DEVICE(name) \
    "{\"execute\":\"device-list-properties\",\"arguments\":{\"typename\":\"" name "\"},\"id\":\"" name "\"}\n"

const char qemuViommuCapsCommands[] =
    "{\"execute\":\"qmp_capabilities\"}\n"
    "{\"execute\":\"query-version\",\"id\":\"version\"}\n"
    LIST_DEVICE("arm-smmuv3")
    LIST_DEVICE("arm-smmuv3-accel")
    LIST_DEVICE("arm-smmuv3-nested")
    LIST_DEVICE("vfio-pci")
    "{\"execute\":\"qom-list-properties\",\"arguments\":{\"typename\":\"virt-machine\"},\"id\":\"virt-machine\"}\n"
    "{\"execute\":\"quit\"}\n";

static const char *const dialectNames[] = {
    [QEMU_VIOMMU_DIALECT_NATIVE] = "native",
    [QEMU_VIOMMU_DIALECT_RFC_V3] = "rfc-v3",
    [QEMU_VIOMMU_DIALECT_RFC_ACCEL] = "rfc-accel",
    [QEMU_VIOMMU_DIALECT_RFC_NESTED] = "rfc-nested",
    [QEMU_VIOMMU_DIALECT_RFC_MACHINE] = "rfc-machine",
};

const char *
qemuViommuDialectName(qemuViommuDialect dialect)
{
    return dialectNames[dialect];
}

qemuViommuDialect
qemuViommuDialectParse(const char *name)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(dialectNames); i++) {
        if (g_strcmp0(dialectNames[i], name) == 0 && name)
            return (qemuViommuDialect)i;
    }
    return QEMU_VIOMMU_DIALECT_NONE;
}

/* The names that a feature has had; the first is that of XML. */
static const char *const featureNames[QEMU_VIOMMU_FEATURES][3] = {
    [QEMU_VIOMMU_ATS] = { "ats" },
    [QEMU_VIOMMU_RIL] = { "ril" },
    [QEMU_VIOMMU_SSIDSIZE] = { "ssidsize", "pasid" },
    [QEMU_VIOMMU_OAS] = { "oas" },
    [QEMU_VIOMMU_CMDQV] = { "cmdqv", "tegra241-cmdqv" },
};

const char *
qemuViommuFeatureName(qemuViommuFeature feature)
{
    return featureNames[feature][0];
}

const char *
qemuViommuPropTypeName(qemuViommuPropType type)
{
    switch (type) {
    case QEMU_VIOMMU_PROP_NONE:
        break;
    case QEMU_VIOMMU_PROP_BOOL:
        return "bool";
    case QEMU_VIOMMU_PROP_ONOFFAUTO:
        return "OnOffAuto";
    case QEMU_VIOMMU_PROP_NUMBER:
        return "number";
    case QEMU_VIOMMU_PROP_TEXT:
        return "text";
    }
    return NULL;
}

/* ---- JSON that may be anything */

static bool
getNumber(JsonObject *object, const char *name, unsigned *ret_number)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;
    gint64 number;

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
        return false;
    number = json_node_get_int(node);
    if (number < 0 || number > VERSION_PART_MAX)
        return false;
    *ret_number = (unsigned)number;
    return true;
}

/* The property of that name in the list that QEMU gives, or NULL. */
static JsonObject *
findProperty(JsonArray *list, const char *name)
{
    guint i;

    for (i = 0; list && i < json_array_get_length(list); i++) {
        JsonNode *node = json_array_get_element(list, i);
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

        if (object && g_strcmp0(qemuViommuJsonString(object, "name"), name) == 0)
            return object;
    }
    return NULL;
}

/* ---- the session */

static bool
refuse(GError **error, const char *text)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "not the answers of a QEMU: %s", text);
    return false;
}

/* One line: the greeting, an answer, or something that is passed over. */
static bool
readLine(const char *line, size_t number, JsonNode **found, bool *greeted, GError **error)
{
    g_autoptr(JsonNode) node = qemuViommuJsonParse(line, OPENING_MAX);
    JsonObject *object;
    const char *id;
    size_t i;

    if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
        g_autofree char *text = g_strdup_printf("line %zu is no JSON object", number);

        return refuse(error, text);
    }
    object = json_node_get_object(node);
    *greeted = *greeted || qemuViommuJsonObject(object, "QMP");
    id = qemuViommuJsonString(object, "id");
    for (i = 0; i < REPLIES && *greeted; i++) {
        if (g_strcmp0(id, replies[i].id) == 0 && !found[i])
            found[i] = g_steal_pointer(&node);
    }
    return true;
}

static bool
readSession(const char *text, size_t len, JsonNode **found, GError **error)
{
    g_autofree char *copy = NULL;
    g_auto(GStrv) lines = NULL;
    bool greeted = false;
    size_t i;

    if (len > QEMU_VIOMMU_CAPS_MAX)
        return refuse(error, "more than QEMU would ever say");
    if (!g_utf8_validate_len(text, len, NULL))
        return refuse(error, "no text in UTF-8");
    copy = g_strndup(text, len);
    lines = g_strsplit(copy, "\n", -1);
    for (i = 0; lines[i]; i++) {
        g_strstrip(lines[i]);
        if (*lines[i] && !readLine(lines[i], i + 1, found, &greeted, error))
            return false;
    }
    return greeted || refuse(error, "QMP's greeting is missing");
}

/* All that is missing is named. */
static bool
checkComplete(JsonNode *const *found, GError **error)
{
    g_autoptr(GString) missing = g_string_new(NULL);
    size_t i;

    for (i = 0; i < REPLIES; i++) {
        JsonObject *object = found[i] ? json_node_get_object(found[i]) : NULL;
        bool answered = object && (json_object_has_member(object, "return") ||
                                   (!replies[i].needed && qemuViommuJsonObject(object, "error")));

        if (!answered)
            g_string_append_printf(missing, "%s'%s'", missing->len ? ", " : "the answer is missing to ",
                                   replies[i].id);
    }
    return !missing->len || refuse(error, missing->str);
}

/* The properties that were answered; NULL: QEMU knows no such thing. */
static JsonArray *
propertiesOf(JsonNode *const *found, replyId id)
{
    return qemuViommuJsonArray(json_node_get_object(found[id]), "return");
}

static bool
readVersion(qemuViommuCaps *caps, JsonNode *const *found, GError **error)
{
    JsonObject *reply = qemuViommuJsonObject(json_node_get_object(found[REPLY_VERSION]), "return");
    JsonObject *qemu = qemuViommuJsonObject(reply, "qemu");
    const char *package = qemuViommuJsonString(reply, "package");

    if (!getNumber(qemu, "major", &caps->major) || !getNumber(qemu, "minor", &caps->minor) ||
        !getNumber(qemu, "micro", &caps->micro))
        return refuse(error, "the answer to 'version' has no version");
    caps->package = package && *package ? g_strdup(package) : NULL;
    return true;
}

static qemuViommuPropType
typeOf(const char *type)
{
    if (!type)
        return QEMU_VIOMMU_PROP_NONE;
    if (g_str_equal(type, "bool"))
        return QEMU_VIOMMU_PROP_BOOL;
    if (g_str_equal(type, "OnOffAuto"))
        return QEMU_VIOMMU_PROP_ONOFFAUTO;
    if (g_str_has_prefix(type, "uint") || g_str_has_prefix(type, "int"))
        return QEMU_VIOMMU_PROP_NUMBER;
    return QEMU_VIOMMU_PROP_TEXT;
}

static void
readFeatures(qemuViommuCaps *caps, JsonArray *list)
{
    size_t i, j;

    for (i = 0; i < QEMU_VIOMMU_FEATURES; i++) {
        qemuViommuProp *prop = &caps->features[i];

        for (j = 0; featureNames[i][j] && !prop->name; j++) {
            JsonObject *object = findProperty(list, featureNames[i][j]);

            prop->type = typeOf(qemuViommuJsonString(object, "type"));
            prop->name = prop->type == QEMU_VIOMMU_PROP_NONE ? NULL : featureNames[i][j];
            prop->automatic = prop->name && g_strcmp0(qemuViommuJsonString(object, "default-value"), "auto") == 0;
        }
    }
}

static bool
speaksOfNested(JsonArray *list, const char *name)
{
    const char *description = qemuViommuJsonString(findProperty(list, name), "description");

    return description && strstr(description, "nested-smmuv3");
}

static void
readProperties(qemuViommuCaps *caps, JsonNode *const *found)
{
    JsonArray *smmu = propertiesOf(found, REPLY_SMMUV3);
    JsonArray *machine = propertiesOf(found, REPLY_MACHINE);

    caps->smmuv3 = smmu != NULL;
    caps->accelDevice = propertiesOf(found, REPLY_ACCEL) != NULL;
    /* 10.2 has this one besides primary-bus, which was there before and not for users. */
    caps->perBus = findProperty(smmu, "smmu_per_bus") != NULL;
    /* RFC v2 put accel into what arm-smmuv3 and its arm-smmuv3-accel have in common; users can make the latter only. */
    caps->accel = findProperty(smmu, "accel") && (caps->perBus || !caps->accelDevice);
    caps->perBus = caps->perBus || caps->accel;
    if (caps->accel)
        readFeatures(caps, smmu);
    caps->nestedDevice = findProperty(propertiesOf(found, REPLY_NESTED), "pci-bus") != NULL;
    caps->virt = machine != NULL;
    caps->window = findProperty(machine, "highmem-mmio-size") != NULL;
    caps->nestedMachine = speaksOfNested(machine, "iommu") || speaksOfNested(machine, "cmdqv");
    caps->machineCmdqv = findProperty(machine, "cmdqv") != NULL;
    caps->machineIommufd = findProperty(machine, "iommufd") != NULL;
    caps->iommufd = findProperty(propertiesOf(found, REPLY_VFIO), "iommufd") != NULL;
}

qemuViommuCaps *
qemuViommuCapsParse(const char *text, size_t len, GError **error)
{
    g_autoptr(qemuViommuCaps) caps = g_new0(qemuViommuCaps, 1);
    JsonNode *found[REPLIES] = { NULL };
    bool good = readSession(text, len, found, error) && checkComplete(found, error) && readVersion(caps, found, error);
    size_t i;

    if (good)
        readProperties(caps, found);
    for (i = 0; i < REPLIES; i++)
        g_clear_pointer(&found[i], json_node_unref);
    return good ? g_steal_pointer(&caps) : NULL;
}

void
qemuViommuCapsFree(qemuViommuCaps *caps)
{
    if (!caps)
        return;
    g_free(caps->package);
    g_free(caps);
}

/* ---- what follows */

/* The names of QEMU 11.0 and later; those of the series before differ in some. */
static bool
isNative(const qemuViommuCaps *caps)
{
    return g_strcmp0(caps->features[QEMU_VIOMMU_SSIDSIZE].name, "ssidsize") == 0 &&
           caps->features[QEMU_VIOMMU_ATS].type == QEMU_VIOMMU_PROP_ONOFFAUTO &&
           g_strcmp0(caps->features[QEMU_VIOMMU_CMDQV].name, "tegra241-cmdqv") != 0;
}

static bool
hasAccel(const qemuViommuCaps *caps)
{
    return caps->accel || caps->accelDevice || caps->nestedDevice || caps->nestedMachine;
}

static qemuViommuDialect
none(const char **ret_why, const char *why)
{
    *ret_why = why;
    return QEMU_VIOMMU_DIALECT_NONE;
}

qemuViommuDialect
qemuViommuCapsDialect(const qemuViommuCaps *caps, const char **ret_why)
{
    *ret_why = NULL;
    if (!caps->smmuv3 || !caps->virt)
        return none(ret_why, "it has no arm-smmuv3, or no machine 'virt': it emulates no Arm server");
    if (!hasAccel(caps))
        return none(ret_why, caps->perBus ? "its arm-smmuv3 has no 'accel'" :
                                            "its arm-smmuv3 is one for the whole machine and has no 'accel'");
    if (!caps->iommufd)
        return none(ret_why, "its vfio-pci has no 'iommufd'");
    if (caps->accel)
        return isNative(caps) ? QEMU_VIOMMU_DIALECT_NATIVE : QEMU_VIOMMU_DIALECT_RFC_V3;
    if (caps->accelDevice)
        return QEMU_VIOMMU_DIALECT_RFC_ACCEL;
    if (caps->nestedDevice)
        return QEMU_VIOMMU_DIALECT_RFC_NESTED;
    if (caps->machineIommufd)
        return none(ret_why,
                    "its machine wants 'iommufd': the form of before August 2024, with one vSMMU for everything");
    return QEMU_VIOMMU_DIALECT_RFC_MACHINE;
}

const char *
qemuViommuCapsRemedy(const qemuViommuCaps *caps)
{
    if (!caps->smmuv3 || !caps->virt)
        return "use a qemu-system-aarch64";
    if (hasAccel(caps) && !caps->iommufd)
        return "use a QEMU that is built with iommufd";
    return "use QEMU 11.0 or newer";
}

static bool
resolvesAuto(const qemuViommuCaps *caps)
{
    return caps->features[QEMU_VIOMMU_ATS].automatic && caps->features[QEMU_VIOMMU_RIL].automatic &&
           caps->features[QEMU_VIOMMU_SSIDSIZE].automatic;
}

unsigned
qemuViommuCapsPlanVersion(const qemuViommuCaps *caps)
{
    unsigned version = VIOMMU_VERSION_QEMU(caps->major, caps->minor);
    const char *why;

    switch (qemuViommuCapsDialect(caps, &why)) {
    case QEMU_VIOMMU_DIALECT_NONE:
        break;
    case QEMU_VIOMMU_DIALECT_NATIVE:
        return resolvesAuto(caps) ? MAX(version, VERSION_AUTO) : VERSION_ACCEL;
    case QEMU_VIOMMU_DIALECT_RFC_V3:
    case QEMU_VIOMMU_DIALECT_RFC_ACCEL:
    case QEMU_VIOMMU_DIALECT_RFC_NESTED:
    case QEMU_VIOMMU_DIALECT_RFC_MACHINE:
        return VERSION_AUTO;
    }
    return version;
}

static void
append(GString *out, const char *name, const char *type)
{
    g_string_append_printf(out, "%s%s", out->len ? ", " : "", name);
    if (type)
        g_string_append_printf(out, " (%s)", type);
}

char *
qemuViommuCapsDescribe(const qemuViommuCaps *caps)
{
    GString *out = g_string_new(NULL);
    size_t i;

    if (caps->perBus)
        append(out, "arm-smmuv3", caps->accel ? "accel" : NULL);
    for (i = 0; i < QEMU_VIOMMU_FEATURES; i++) {
        const qemuViommuProp *prop = &caps->features[i];

        if (prop->name)
            append(out, prop->name, qemuViommuPropTypeName(prop->type));
    }
    /* With accel these are other things of the same name: its base class. */
    if (caps->accelDevice && !caps->accel)
        append(out, "arm-smmuv3-accel", NULL);
    if (caps->nestedDevice)
        append(out, "arm-smmuv3-nested", NULL);
    if (caps->nestedMachine)
        append(out, "iommu=nested-smmuv3", caps->machineCmdqv ? "cmdqv" : NULL);
    if (!out->len)
        g_string_append(out, "none");
    return g_string_free(out, FALSE);
}
