/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shows what a QEMU can do.
 */
#include "emulator.h"

#include "json.h"
#include "viommu_plan.h"
#include "virtext.h"

char *
viommuEmulatorWords(const qemuViommuCaps *caps)
{
    g_autofree char *version = g_strdup_printf("QEMU %u.%u.%u", caps->major, caps->minor, caps->micro);
    const char *why = NULL;
    qemuViommuDialect dialect = qemuViommuCapsDialect(caps, &why);
    const char *name = qemuViommuDialectName(dialect);

    if (!dialect)
        return g_strdup_printf("%s: %s", version, why);
    if (dialect != QEMU_VIOMMU_DIALECT_NATIVE)
        return g_strdup_printf("%s, dialect %s, which libvirt does not have: 'viommu argv' and 'viommu run' only", version, name);
    if (qemuViommuCapsPlanVersion(caps) < VIOMMU_VERSION_QEMU(11, 1))
        return g_strdup_printf("%s, dialect %s, without 'auto': features are written out", version, name);
    return g_strdup_printf("%s, dialect %s", version, name);
}

void
viommuEmulatorShow(const char *path, const qemuViommuCaps *caps, const char *unasked, GString *out)
{
    g_autofree char *words = caps ? viommuEmulatorWords(caps) : g_strdup("not known");
    g_autofree char *properties = caps ? qemuViommuCapsDescribe(caps) : NULL;

    g_string_append(out, " Emulator ");
    virTextAppendClean(out, path);
    g_string_append_printf(out, ": %s\n", words);
    if (!caps) {
        g_string_append_printf(out, "   %s\n\n", unasked);
        return;
    }
    if (caps->package) {
        g_string_append(out, "   package: ");
        virTextAppendClean(out, caps->package);
        g_string_append_c(out, '\n');
    }
    g_string_append_printf(out, "   vSMMUs: %s\n\n", properties);
}

static void
jsonFeatures(JsonBuilder *json, const qemuViommuCaps *caps)
{
    size_t i;

    json_builder_set_member_name(json, "features");
    json_builder_begin_object(json);
    for (i = 0; i < QEMU_VIOMMU_FEATURES; i++) {
        const qemuViommuProp *prop = &caps->features[i];
        const char *name = qemuViommuFeatureName(i);

        if (!prop->name) {
            viommuJsonString(json, name, NULL);
            continue;
        }
        json_builder_set_member_name(json, name);
        json_builder_begin_object(json);
        viommuJsonString(json, "property", prop->name);
        viommuJsonString(json, "type", qemuViommuPropTypeName(prop->type));
        viommuJsonBool(json, "auto", prop->automatic);
        json_builder_end_object(json);
    }
    json_builder_end_object(json);
}

/* Members of what it answered. */
static void
jsonCaps(JsonBuilder *json, const qemuViommuCaps *caps)
{
    g_autofree char *version = g_strdup_printf("%u.%u.%u", caps->major, caps->minor, caps->micro);
    const char *why = NULL;
    qemuViommuDialect dialect = qemuViommuCapsDialect(caps, &why);

    viommuJsonString(json, "version", version);
    viommuJsonString(json, "package", caps->package);
    viommuJsonString(json, "dialect", qemuViommuDialectName(dialect));
    viommuJsonString(json, "reason", why);
    viommuJsonBool(json, "accel", caps->accel || caps->accelDevice || caps->nestedDevice || caps->nestedMachine);
    jsonFeatures(json, caps);
}

void
viommuEmulatorJSON(JsonBuilder *json, const char *path, const qemuViommuCaps *caps, const char *unasked)
{
    static const char *const unknown[] = { "version", "package", "dialect" };
    size_t i;

    json_builder_set_member_name(json, "emulator");
    json_builder_begin_object(json);
    viommuJsonString(json, "path", path);
    if (caps) {
        jsonCaps(json, caps);
    } else {
        for (i = 0; i < G_N_ELEMENTS(unknown); i++)
            viommuJsonString(json, unknown[i], NULL);
        viommuJsonString(json, "reason", unasked);
        viommuJsonString(json, "accel", NULL);
        viommuJsonString(json, "features", NULL);
    }
    json_builder_end_object(json);
}
