/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stand-ins for a running QEMU in tests: its answers by commands, which may be changed, and what follows from them.
 */
#pragma once

#include "qemu_viommu_verify.h"
#include "virsysfs.h"

#include <glib.h>

/* Commands and answers of made-up QEMUs. */
#define TYPES(name) "{\"execute\":\"qom-list-types\",\"arguments\":{\"implements\":\"" name "\"}}"
#define LIST(path) "{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"" path "\"}}"
#define GET(id, property) \
    "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine/peripheral/" id "\",\"property\":\"" property "\"}}"
#define CHILD(name, type) "{\"name\":\"" name "\",\"type\":\"child<" type ">\"}"
#define TEXT(text) "{\"return\":\"" text "\"}"
#define MISSING(class) "{\"error\":{\"class\":\"" class "\",\"desc\":\"it is not there\"}}"
#define NODES(node) \
    "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/objects/ram-node" node "\",\"property\":\"host-nodes\"}}"

/* SMMUs of livedata/emulated.sysfs. */
#define SMMU_OF_2X "smmu3.0x000000000c020000"
#define SMMU_OF_4X "smmu3.0x000000000c040000"

/* The file @stem@suffix, or NULL. */
char *testLiveRead(const char *stem, const char *suffix);

/* Those of @stem.live. */
GHashTable *testLiveAnswers(const char *stem);

/* Port p0 on the expander e0, whose vSMMU is s0, and in it the host device d0. */
GHashTable *testLiveMake(void);
void testLiveSet(GHashTable *answers, const char *command, const char *answer);

/* Walks; NULL with @error set. A command without answer, and one that might change something, ends the test. */
qemuViommuLive *testLiveWalk(GHashTable *answers, GError **error);

/* Its device of that id, which there has to be. */
const qemuViommuLiveDevice *testLiveFind(const qemuViommuLive *live, const char *id);

/* Loads what the host knows of the guest's devices. */
void testLiveLoad(const qemuViommuLive *live, virSMMUTopology *topo, virSysfs *fs);

/* A line for each device and finding. */
char *testLiveDescribe(const GPtrArray *devices, const GPtrArray *findings);

/* That of a guest on the host @manifest; @bridged: its host devices are behind a conventional bridge. */
char *testLiveJudge(GHashTable *answers, const char *manifest, bool bridged);
