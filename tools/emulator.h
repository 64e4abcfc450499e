/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was found out about a QEMU that was asked, for people and as JSON.
 */
#pragma once

#include "qemu_viommu_caps.h"

#include <glib.h>
#include <json-glib/json-glib.h>

/* "QEMU 11.1.2, dialect native", with what matters about that dialect, or without one why. Free with g_free. */
char *viommuEmulatorWords(const qemuViommuCaps *caps);

/* Lines below the tables of the command host; @caps NULL: it was not asked, for which @unasked is the reason. */
void viommuEmulatorShow(const char *path, const qemuViommuCaps *caps, const char *unasked, GString *out);

/* "emulator": {...} */
void viommuEmulatorJSON(JsonBuilder *json, const char *path, const qemuViommuCaps *caps, const char *unasked);
