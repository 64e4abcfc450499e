/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON.
 */
#include "json.h"

#include "viommu_finding.h"

/* Of the form, for all commands; keys may be added without changing it. */
#define FORM_VERSION 1

JsonBuilder *
viommuJsonBegin(void)
{
    JsonBuilder *json = json_builder_new();

    json_builder_begin_object(json);
    viommuJsonNumber(json, "version", FORM_VERSION);
    return json;
}

void
viommuJsonEnd(JsonBuilder *json, GString *out)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;
    g_autofree char *valid = NULL;

    json_builder_end_object(json);
    root = json_builder_get_root(json);
    json_generator_set_pretty(generator, TRUE);
    json_generator_set_root(generator, root);
    text = json_generator_to_data(generator, NULL);
    valid = g_utf8_make_valid(text, -1); /* names and attributes of a host can be any bytes */
    g_string_append_printf(out, "%s\n", valid);
}

void
viommuJsonString(JsonBuilder *json, const char *key, const char *value)
{
    json_builder_set_member_name(json, key);
    if (value)
        json_builder_add_string_value(json, value);
    else
        json_builder_add_null_value(json);
}

void
viommuJsonNumber(JsonBuilder *json, const char *key, int64_t value)
{
    json_builder_set_member_name(json, key);
    if (value >= 0)
        json_builder_add_int_value(json, value);
    else
        json_builder_add_null_value(json);
}

void
viommuJsonBool(JsonBuilder *json, const char *key, bool value)
{
    json_builder_set_member_name(json, key);
    json_builder_add_boolean_value(json, value);
}

void
viommuJsonTristate(JsonBuilder *json, const char *key, virTristate value)
{
    if (value == VIR_TRISTATE_UNKNOWN)
        viommuJsonString(json, key, NULL);
    else
        viommuJsonBool(json, key, value == VIR_TRISTATE_YES);
}

void
viommuJsonFindings(JsonBuilder *json, const GPtrArray *findings)
{
    size_t i;

    json_builder_set_member_name(json, "findings");
    json_builder_begin_array(json);
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *f = g_ptr_array_index(findings, i);

        json_builder_begin_object(json);
        viommuJsonString(json, "id", f->id);
        if (f->title)
            viommuJsonString(json, "title", f->title);
        viommuJsonString(json, "severity", viommuSeverityName(f->severity));
        viommuJsonNumber(json, "line", f->line ? (int64_t)f->line : -1);
        viommuJsonString(json, "text", f->text);
        viommuJsonString(json, "consequence", f->consequence);
        viommuJsonString(json, "remedy", f->remedy);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}
