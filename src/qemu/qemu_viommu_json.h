/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON that may be anything: what a program that is said to be QEMU writes.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* The JSON of @text, or NULL if it is none, is not in UTF-8 or has more than @most opening brackets. Free with
 * json_node_unref. */
JsonNode *qemuViommuJsonParse(const char *text, unsigned most);

/* A member of @object, which may be NULL; NULL where there is no such member, or one of another type. Borrowed. */
JsonObject *qemuViommuJsonObject(JsonObject *object, const char *name);
JsonArray *qemuViommuJsonArray(JsonObject *object, const char *name);
const char *qemuViommuJsonString(JsonObject *object, const char *name);
