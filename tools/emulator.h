/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was found out about the QEMU of --emulator, for people and as JSON.
 */
#pragma once

#include "qemu_viommu_caps.h"

#include <glib.h>
#include <json-glib/json-glib.h>

/* "QEMU 11.1.2, dialect native", with what matters about that dialect, or without one why. Free with g_free. */
char *viommuEmulatorWords(const qemuViommuCaps *caps);

/* Lines below the tables of the command host. */
void viommuEmulatorShow(const char *path, const qemuViommuCaps *caps, GString *out);

/* "emulator": {...} */
void viommuEmulatorJSON(JsonBuilder *json, const char *path, const qemuViommuCaps *caps);
