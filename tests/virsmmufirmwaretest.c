/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What firmware says of SMMUs and devices, and what follows from it and the registers: CANWBS, the
 * CMDQV.
 */
#include "hosttestutils.h"
#include "virsmmu.h"

#include <string.h>

#define IORT "sys/firmware/acpi/tables/IORT : "
#define UID "sys/devices/LNXSYSTM:00/LNXSYBUS:00/NVDA200C:03/uid = "

/* The text of recorded host @name; its IORT goes to @ret_iort as the line has it, and out of the
 * text. */
static char *
readManifest(const char *name, char **ret_iort)
{
    g_autofree char *path = testHostPath(name, ".sysfs");
    g_autofree char *text = NULL;
    char *line, *end;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    line = strstr(text, IORT);
    g_assert_nonnull(line);
    end = strchr(line, '\n');
    *ret_iort = g_strndup(line + strlen(IORT), (gsize)(end - line) - strlen(IORT));
    *line = '\0';
    return g_strconcat(text, end + 1, NULL);
}

static virSMMUTopology *
readText(const char *manifest, const char *iort)
{
    g_autofree char *whole = g_strconcat(manifest, iort ? IORT : "", iort, "\n", NULL);
    g_autoptr(virSysfs) fs = testHostParse(whole);
    g_autoptr(GError) error = NULL;
    virSMMUTopology *topo = virSMMUTopologyRead(fs, &error);

    g_assert_no_error(error);
    return topo;
}

/* "canwbs" of all devices behind an SMMU; of those behind none nothing is known. */
static void
assertCanwbs(const virSMMUTopology *topo, virTristate answer)
{
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    size_t i;

    g_assert_cmpuint(devices->len, >, 0);
    for (i = 0; i < devices->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(devices, i);

        g_test_message("%s", dev->name);
        g_assert_cmpint(dev->canwbs, ==, dev->smmu ? answer : VIR_TRISTATE_UNKNOWN);
    }
}

static void
testHosts(void)
{
    static const struct {
        const char *host;
        virTristate answer;
    } cases[] = {
        { "grace", VIR_TRISTATE_YES },       { "gb300-shared", VIR_TRISTATE_YES },
        { "gb10", VIR_TRISTATE_NO },         { "kunpeng920", VIR_TRISTATE_NO },
        { "dt", VIR_TRISTATE_NO },           { "one-smmu", VIR_TRISTATE_NO },
        { "x86-vtd", VIR_TRISTATE_UNKNOWN },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(virSysfs) fs = testHostRead(cases[i].host);
        g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);

        g_test_message("%s", cases[i].host);
        assertCanwbs(topo, cases[i].answer);
    }
}

/* It is the root complex of the device's segment that says so. */
static void
testSegments(void)
{
    g_autoptr(virSysfs) fs = testHostRead("mixed-features");
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    uint32_t segment;

    for (segment = 0; segment < 12; segment++) {
        const virPCIAddr addr = { segment, 1, 0, 0 };
        const virSMMUDevice *dev = virSMMUTopologyFindDevice(topo, &addr);
        virTristate fwb = virSMMUHasS2FWB(dev->smmu);

        g_assert_cmpint(dev->canwbs, ==, segment == 5);
        g_assert_cmpint(dev->ats, ==, segment != 4);
        g_assert_cmpint(fwb, ==,
                        segment == 8 ? VIR_TRISTATE_UNKNOWN : segment != 5 && segment != 6);
        g_assert_cmpint(virSMMUDeviceIsCoherent(dev), ==,
                        segment == 8 ? VIR_TRISTATE_UNKNOWN : segment != 6);
    }
}

/* An IORT of base64 @iort with one byte added to, at @offset, and one mended. */
static char *
changeTable(const char *iort, size_t offset, uint8_t more)
{
    gsize len = 0;
    g_autofree uint8_t *data = g_base64_decode(iort, &len);

    g_assert_cmpuint(offset, <, len);
    data[offset] = (uint8_t)(data[offset] + more);
    data[9] = (uint8_t)(data[9] - more);
    return g_base64_encode(data, len);
}

/* A root complex of another segment, or one that sends the device to another SMMU, says nothing of
 * it. */
static void
testElsewhere(void)
{
    g_autofree char *iort = NULL;
    g_autofree char *text = readManifest("mixed-features", &iort);
    /* The root complex of segment 5, behind the ITS, 12 SMMUs and 5 others; of it the segment, and
     * the node of its mapping: the next SMMU is 88 bytes on. */
    const size_t complex = 48 + 24 + 12 * 88 + 5 * 60;
    g_autofree char *segment = changeTable(iort, complex + 28, 50);
    g_autofree char *node = changeTable(iort, complex + 40 + 12, 88);
    const struct {
        const char *iort;
        virTristate answer;
    } cases[] = {
        { iort, VIR_TRISTATE_YES },
        { segment, VIR_TRISTATE_UNKNOWN },
        { node, VIR_TRISTATE_UNKNOWN },
    };
    const virPCIAddr addr = { 5, 1, 0, 0 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(virSMMUTopology) topo = readText(text, cases[i].iort);

        g_test_message("case %zu", i);
        g_assert_cmpint(virSMMUTopologyFindDevice(topo, &addr)->canwbs, ==, cases[i].answer);
    }
}

/* Without the table, with a broken one, and with that of another host. */
static void
testUnknown(void)
{
    g_autofree char *iort = NULL;
    g_autofree char *other = NULL;
    g_autofree char *text = readManifest("grace", &iort);
    g_autofree char *otherText = readManifest("kunpeng920", &other);
    g_autofree char *broken = g_strdup(iort);
    const char *const tables[] = { NULL, "", "SU9SVA==", broken, other };
    g_autoptr(virSMMUTopology) whole = readText(text, iort);
    size_t i;

    assertCanwbs(whole, VIR_TRISTATE_YES);
    g_assert_cmpint(broken[100], !=, 'x');
    broken[100] = 'x';
    for (i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_autoptr(virSMMUTopology) topo = readText(text, tables[i]);

        g_test_message("table %zu", i);
        assertCanwbs(topo, VIR_TRISTATE_UNKNOWN);
    }
}

/* A CMDQV's _UID is the identifier of its SMMU's node: one that none has is of an SMMU without. */
static void
testCmdqv(void)
{
    g_autofree char *iort = NULL;
    g_autofree char *text = readManifest("gb300-shared", &iort);
    /* The ITS' node has 24 bytes; identifier and model are at 4 and 40 of the SMMU's behind it. */
    g_autofree char *identifier = changeTable(iort, 48 + 24 + 4, 99);
    g_autofree char *model = changeTable(iort, 48 + 24 + 40, 1);
    size_t at = (size_t)(strstr(text, UID "3\n") - text) + strlen(UID);
    g_autofree char *uid = g_strdup(text);
    g_autofree char *silent = g_strdup(text);
    const struct {
        const char *text;
        const char *iort;
        unsigned without; /* bit N: the SMMU names[N] surely has none */
    } cases[] = {
        { text, iort, 0 },  { text, NULL, 0 },      { text, identifier, 1 },
        { text, model, 1 }, { uid, iort, 1u << 3 }, { silent, iort, 0 },
    };
    static const char *const names[] = { "smmu3.0x0000000011000000", "smmu3.0x0000000012000000",
                                         "smmu3.0x0000000015000000", "smmu3.0x0000000016000000" };
    size_t i, j;

    uid[at] = '9';
    memcpy(silent + at - strlen("uid = "), "xxx", 3);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(virSMMUTopology) topo = readText(cases[i].text, cases[i].iort);

        for (j = 0; j < G_N_ELEMENTS(names); j++) {
            const virSMMU *smmu = virSMMUTopologyFindSMMU(topo, names[j]);

            g_test_message("case %zu, %s", i, names[j]);
            g_assert_cmpint(smmu->cmdqv, ==,
                            cases[i].without & 1u << j ? VIR_TRISTATE_NO : VIR_TRISTATE_UNKNOWN);
            g_assert_cmpint(smmu->cmdqvVersion, ==, -1);
        }
    }
}

static void
testCmdqvFits(void)
{
    static const struct {
        int version, queues, streams;
        virTristate answer;
        const char *why;
    } cases[] = {
        { 1, 1, 4, VIR_TRISTATE_YES, NULL },
        { 1, 7, 15, VIR_TRISTATE_YES, NULL },
        { 0, 1, 4, VIR_TRISTATE_NO, "Host CMDQV: unsupported version (expected 1)" },
        { 2, 1, 4, VIR_TRISTATE_NO, "Host CMDQV: unsupported version (expected 1)" },
        { 1, 0, 4, VIR_TRISTATE_NO, "Host CMDQV: insufficient vCMDQs (needs 2)" },
        { 1, 1, 3, VIR_TRISTATE_NO, "Host CMDQV: insufficient SIDs (needs 16)" },
    };
    virSMMU smmu = { .cmdqv = VIR_TRISTATE_UNKNOWN, .cmdqvVersion = -1 };
    const char *why = NULL;
    size_t i;

    g_assert_cmpint(virSMMUCmdqvFits(&smmu, &why), ==, VIR_TRISTATE_UNKNOWN);
    smmu.cmdqv = VIR_TRISTATE_YES;
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        smmu.cmdqvVersion = cases[i].version;
        smmu.cmdqvLog2Queues = cases[i].queues;
        smmu.cmdqvLog2Streams = cases[i].streams;
        g_assert_cmpint(virSMMUCmdqvFits(&smmu, &why), ==, cases[i].answer);
        g_assert_cmpint(virSMMUCmdqvFits(&smmu, NULL), ==, cases[i].answer);
        g_assert_cmpstr(why, ==, cases[i].why);
    }
    smmu.cmdqv = VIR_TRISTATE_NO;
    g_assert_cmpint(virSMMUCmdqvFits(&smmu, &why), ==, VIR_TRISTATE_NO);
    g_assert_cmpstr(why, ==, "CMDQV requested but not supported");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/firmware/hosts", testHosts);
    g_test_add_func("/firmware/segments", testSegments);
    g_test_add_func("/firmware/elsewhere", testElsewhere);
    g_test_add_func("/firmware/unknown", testUnknown);
    g_test_add_func("/firmware/cmdqv", testCmdqv);
    g_test_add_func("/firmware/cmdqv-fits", testCmdqvFits);
    return g_test_run();
}
