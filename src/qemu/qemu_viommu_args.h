/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all writers of QEMU arguments share: the list of arguments, and JSON objects with their properties
 * in the order in which they were set.
 */
#pragma once

#include "qemu_viommu.h"

#include <json-glib/json-glib.h>

GPtrArray *qemuViommuArgsNew(void);

/* Adds an option; takes @value, which may be NULL. @option is static or interned. */
void qemuViommuArgsAdd(GPtrArray *args, const char *option, char *value);

/* The same for a value that is to be formatted. */
void qemuViommuArgsAddf(GPtrArray *args, const char *option, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Adds an option whose value is @props in JSON. Keeps no reference. */
void qemuViommuArgsAddJSON(GPtrArray *args, const char *option, JsonObject *props);

/* Moves everything from @more to the end of @args and frees @more. */
void qemuViommuArgsAppend(GPtrArray *args, GPtrArray *more);

/* {"driver": @driver} for -device, {"qom-type": @type, "id": @id} for -object. */
JsonObject *qemuViommuDeviceNew(const char *driver);
JsonObject *qemuViommuObjectNew(const char *type, const char *id);

/* Sets a string property; NULL is left out. */
void qemuViommuSetString(JsonObject *props, const char *name, const char *value);

/* Doubles the commas, as QEMU's key=value options want it. Free with g_free. */
char *qemuViommuEscapeComma(const char *text);
