/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the JSON of several commands has in common, on top of json-glib's builder.
 */
#pragma once

#include "virsmmu.h"

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A builder in an object that has its "version" already. */
JsonBuilder *viommuJsonBegin(void);

/* Ends that object and appends it to @out as text with a final newline. */
void viommuJsonEnd(JsonBuilder *json, GString *out);

/* Members. NULL and negative numbers become null. */
void viommuJsonString(JsonBuilder *json, const char *key, const char *value);
void viommuJsonNumber(JsonBuilder *json, const char *key, int64_t value);
void viommuJsonBool(JsonBuilder *json, const char *key, bool value);

/* null where it is not known. */
void viommuJsonTristate(JsonBuilder *json, const char *key, virTristate value);

/* "findings": [...] */
void viommuJsonFindings(JsonBuilder *json, const GPtrArray *findings);
