/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The small host on which domains are fuzzed.
 */
#pragma once

#include <glib.h>

/* Its record (docs/hosts.rst): three SMMUs and nine devices, with the addresses that are most used in
 * tests/qemuxml2argvdata. 0000:03:00.0 shares its group, 0000:04:00.0 is behind no SMMU. Free with g_string_free. */
GString *fuzzHostRecord(void);

#define FUZZ_HOST_DEVICES 9
