/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The IORT: a table written out, the same with single bytes changed, and those of recorded hosts.
 */
#include "hosttestutils.h"
#include "viommuerror.h"
#include "viriort.h"

#include <string.h>

/* Offsets in the table below. */
#define LENGTH 4
#define CHECKSUM 9
#define NODES 36
#define FIRST 40
#define ITS 48
#define SMMU 72
#define COMPLEX 140
#define MAPPINGS (COMPLEX + 36)

/* clang-format off */
static const uint8_t table[] = {
    /* 0: signature, length 216, revision 6, checksum (set by the tests), names, 3 nodes from 48 on */
    'I', 'O', 'R', 'T', 216, 0, 0, 0, 6, 0,
    'M', 'A', 'D', 'E', 'U', 'P', 'T', 'E', 'S', 'T', ' ', ' ', ' ', ' ', 1, 0, 0, 0,
    'M', 'A', 'D', 'E', 1, 0, 0, 0, 3, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0,
    /* 48: ITS group, 24 bytes, revision 1, identifier 0, no mappings; one ITS, 0 */
    0, 24, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    /* 72: SMMUv3, 68 bytes, revision 4, identifier 7, no mappings */
    4, 68, 0, 4, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* base 0x0000400111223344, flags, reserved, VATOS, model 2, interrupts, PXM, mapping index */
    0x44, 0x33, 0x22, 0x11, 0x01, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 140: root complex, 76 bytes, revision 3, identifier 0, two mappings from byte 36 on */
    2, 76, 0, 3, 0, 0, 0, 0, 2, 0, 0, 0, 36, 0, 0, 0,
    /* coherent, hints, memory flags 7, ATS, segment 0x1234, 48 bits */
    1, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0, 0x34, 0x12, 0, 0, 48, 0, 0, 0,
    /* 176: requesters 0x0100-0x01ff come out as 0x10100 and up, at the SMMU */
    0x00, 1, 0, 0, 0xff, 0, 0, 0, 0, 1, 1, 0, 72, 0, 0, 0, 0, 0, 0, 0,
    /* 196: requesters 0x0300-0x03ff at the ITS */
    0x00, 3, 0, 0, 0xff, 0, 0, 0, 0, 3, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0,
};
/* clang-format on */

static void
fixChecksum(uint8_t *data, size_t len)
{
    uint8_t sum = 0;
    size_t i;

    data[CHECKSUM] = 0;
    for (i = 0; i < len; i++)
        sum = (uint8_t)(sum + data[i]);
    data[CHECKSUM] = (uint8_t)-sum;
}

static virIORT *
parse(const uint8_t *data, size_t len)
{
    g_autoptr(GError) error = NULL;
    virIORT *iort = virIORTParse(data, len, &error);

    g_assert_no_error(error);
    g_assert_nonnull(iort);
    return iort;
}

/* Where @rid of the only root complex of @iort comes out; -1: at no SMMU. */
static int
map(const virIORT *iort, uint16_t rid)
{
    const virIORTSMMU *smmu = virIORTMap(iort, g_ptr_array_index(iort->rootComplexes, 0), rid);

    return smmu ? (int)smmu->offset : -1;
}

static void
testWhole(void)
{
    uint8_t data[sizeof(table)];
    g_autoptr(virIORT) iort = NULL;
    const virIORTRootComplex *complex;
    const virIORTSMMU *smmu;

    memcpy(data, table, sizeof(data));
    fixChecksum(data, sizeof(data));
    iort = parse(data, sizeof(data));
    g_assert_cmpuint(iort->smmus->len, ==, 1);
    smmu = g_ptr_array_index(iort->smmus, 0);
    g_assert_cmpuint(smmu->offset, ==, SMMU);
    g_assert_cmpuint(smmu->identifier, ==, 7);
    g_assert_cmpuint(smmu->model, ==, 2);
    g_assert_cmphex(smmu->base, ==, 0x400111223344);
    g_assert_cmpuint(iort->rootComplexes->len, ==, 1);
    complex = g_ptr_array_index(iort->rootComplexes, 0);
    g_assert_cmphex(complex->segment, ==, 0x1234);
    g_assert_cmphex(complex->memoryFlags, ==, 7);
    g_assert_cmphex(complex->atsAttribute, ==, 1);
    g_assert_cmpuint(complex->mappings->len, ==, 2);
    g_assert_cmpint(map(iort, 0x00ff), ==, -1);
    g_assert_cmpint(map(iort, 0x0100), ==, SMMU);
    g_assert_cmpint(map(iort, 0x01ff), ==, SMMU);
    g_assert_cmpint(map(iort, 0x0200), ==, -1);
    g_assert_cmpint(map(iort, 0x0300), ==, -1);
    g_assert_cmpint(map(iort, 0xffff), ==, -1);
}

/* One byte changed, the checksum mended. */
static void
testChanged(void)
{
    static const struct {
        size_t offset;
        uint8_t value;
        const char *message; /* NULL: it may be so */
    } cases[] = {
        { 0, 'X', "the IORT does not begin as one" },
        { LENGTH, 215, "the IORT says that it has 215 bytes, and has 216" },
        { LENGTH, 217, "the IORT says that it has 217 bytes, and has 216" },
        { LENGTH + 3, 0xff, "the IORT says that it has 4278190296 bytes, and has 216" },
        { NODES, 0, NULL },
        { NODES, 2, NULL },
        { NODES, 4, "node 3 of the IORT, at byte 216, is cut short or too small" },
        { NODES + 3, 0xff, "node 3 of the IORT, at byte 216, is cut short or too small" },
        { FIRST, 0, "the nodes of the IORT begin in its header" },
        { FIRST, 47, "the nodes of the IORT begin in its header" },
        { FIRST, 201, "node 0 of the IORT, at byte 201, is cut short or too small" },
        { FIRST, 217, "node 0 of the IORT, at byte 217, is cut short or too small" },
        { FIRST + 3, 0xff, "node 0 of the IORT, at byte 4278190128, is cut short or too small" },
        /* a node that would be read over and over */
        { ITS + 1, 0, "node 0 of the IORT, at byte 48, is cut short or too small" },
        { ITS + 1, 15, "node 0 of the IORT, at byte 48, is cut short or too small" },
        { ITS + 2, 0xff, "node 0 of the IORT, at byte 48, is cut short or too small" },
        { ITS, 0xff, NULL },
        { ITS + 8, 0xff, NULL },
        { SMMU + 1, 43, "node 1 of the IORT, at byte 72, is cut short or too small" },
        { COMPLEX + 1, 77, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 1, 31, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 1, 75, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 8, 0, NULL },
        { COMPLEX + 8, 3, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 11, 0xff, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 12, 31, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 12, 32, NULL },
        { COMPLEX + 12, 37, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 12, 77, "node 2 of the IORT, at byte 140, is cut short or too small" },
        { COMPLEX + 15, 0xff, "node 2 of the IORT, at byte 140, is cut short or too small" },
        /* behind a node that is none, and behind the root complex itself */
        { MAPPINGS + 12, 73, NULL },
        { MAPPINGS + 12, COMPLEX, NULL },
        { MAPPINGS + 15, 0xff, NULL },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree uint8_t *data = g_memdup2(table, sizeof(table));
        g_autoptr(GError) error = NULL;
        g_autoptr(virIORT) iort = NULL;

        g_test_message("byte %zu is %u", cases[i].offset, cases[i].value);
        data[cases[i].offset] = cases[i].value;
        fixChecksum(data, sizeof(table));
        iort = virIORTParse(data, sizeof(table), &error);
        g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].message);
        g_assert_true(!iort == !!error);
        if (error)
            g_assert_true(g_error_matches(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST));
        if (cases[i].offset >= MAPPINGS)
            g_assert_cmpint(map(iort, 0x100), ==, -1);
    }
}

static void
testCut(void)
{
    size_t len;

    for (len = 0; len < sizeof(table); len++) {
        g_autofree uint8_t *data = g_memdup2(table, len);
        g_autoptr(GError) error = NULL;

        if (len > LENGTH)
            data[LENGTH] = (uint8_t)len;
        if (len > CHECKSUM)
            fixChecksum(data, len);
        g_assert_null(virIORTParse(data, len, &error));
        g_assert_nonnull(error);
    }
}

static void
testChecksum(void)
{
    uint8_t data[sizeof(table)];
    g_autoptr(GError) error = NULL;

    memcpy(data, table, sizeof(data));
    fixChecksum(data, sizeof(data));
    data[CHECKSUM]++;
    g_assert_null(virIORTParse(data, sizeof(data), &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, "the checksum of the IORT is wrong");
}

/* Two ranges that share an ID, because firmware wrote the number of IDs where one less belongs; and
 * a mapping that takes everything. */
static void
testOverlap(void)
{
    static const struct {
        uint16_t
            first; /* of the range that goes to the SMMU; the other one is 0x0300, to the ITS */
        uint8_t more;
        uint8_t flags;
        uint16_t rid;
        int where;
    } cases[] = {
        { 0x0200, 0xff, 0, 0x02ff, SMMU },
        { 0x0201, 0xff, 0, 0x0300, -1 }, /* the last of one is the first of the other */
        { 0x0201, 0xff, 0, 0x02ff, SMMU },
        { 0x0280, 0xff, 0, 0x0300, SMMU }, /* more than one shared: the earlier counts */
        { 0x0280, 0xff, 0, 0x037f, SMMU }, /* the last, but not the first of the other */
        { 0x0300, 0x00, 0, 0x0300, SMMU }, /* a range of one is no mistake */
        { 0x0300, 0x01, 0, 0x0301, SMMU },
        { 0x1000, 0x00, 1, 0x0300, SMMU },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t data[sizeof(table)];
        g_autoptr(virIORT) iort = NULL;

        memcpy(data, table, sizeof(data));
        data[MAPPINGS] = (uint8_t)cases[i].first;
        data[MAPPINGS + 1] = (uint8_t)(cases[i].first >> 8);
        data[MAPPINGS + 4] = cases[i].more;
        data[MAPPINGS + 16] = cases[i].flags;
        fixChecksum(data, sizeof(data));
        iort = parse(data, sizeof(data));
        g_test_message("%x + %x, flags %u: %x", cases[i].first, cases[i].more, cases[i].flags,
                       cases[i].rid);
        g_assert_cmpint(map(iort, cases[i].rid), ==, cases[i].where);
    }
}

static virIORT *
readRecorded(const char *name)
{
    g_autoptr(virSysfs) fs = testHostRead(name);
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *data = NULL;
    size_t len = 0;

    data = virSysfsReadBytes(fs, "sys/firmware/acpi/tables/IORT", &len, &error);
    g_assert_no_error(error);
    g_assert_nonnull(data);
    return parse(data, len);
}

static void
testRecorded(void)
{
    static const struct {
        const char *host;
        guint smmus;
        guint complexes;
        uint32_t segment; /* a root complex, its flags, and where a requester of it goes */
        uint8_t flags;
        uint16_t rid;
        uint64_t base;
        uint32_t identifier;
    } cases[] = {
        { "grace", 5, 7, 8, 7, 0x0100, 0x5000000, 4 },
        { "gb10", 3, 16, 0, 3, 0x0100, 0x13800000, 0 },
        { "gb10", 3, 16, 15, 3, 0x0100, 0x13000000, 0 },
        { "kunpeng920", 6, 1, 0, 1, 0x3fff, 0x148000000, 0 },
        { "kunpeng920", 6, 1, 0, 1, 0x7400, 0x140000000, 0 },
        { "kunpeng920", 6, 1, 0, 1, 0x7aff, 0, 0 }, /* straight to the ITS */
        { "kunpeng920", 6, 1, 0, 1, 0x7b00, 0x148000000, 0 },
        { "kunpeng920", 6, 1, 0, 1, 0x7c00, 0x100000000,
          0 }, /* the range before has one too many */
        { "kunpeng920", 6, 1, 0, 1, 0xbc00, 0x400100000000, 0 },
        { "kunpeng920", 6, 1, 0, 1, 0x9fff, 0x400148000000, 0 },
        { "mixed-features", 12, 12, 5, 7, 0x0100, 0x25000000, 5 },
        { "mixed-features", 12, 12, 6, 3, 0x0100, 0x26000000, 6 },
    };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(virIORT) iort = readRecorded(cases[i].host);
        const virIORTRootComplex *complex = NULL;
        const virIORTSMMU *smmu;

        g_test_message("%s %04x %04x", cases[i].host, cases[i].segment, cases[i].rid);
        g_assert_cmpuint(iort->smmus->len, ==, cases[i].smmus);
        g_assert_cmpuint(iort->rootComplexes->len, ==, cases[i].complexes);
        for (j = iort->rootComplexes->len; j-- > 0;) {
            const virIORTRootComplex *one = g_ptr_array_index(iort->rootComplexes, j);

            if (one->segment == cases[i].segment)
                complex = one;
        }
        g_assert_nonnull(complex);
        g_assert_cmphex(complex->memoryFlags, ==, cases[i].flags);
        smmu = virIORTMap(iort, complex, cases[i].rid);
        g_assert_cmphex(smmu ? smmu->base : 0, ==, cases[i].base);
        if (smmu)
            g_assert_cmpuint(smmu->identifier, ==, cases[i].identifier);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iort/whole", testWhole);
    g_test_add_func("/iort/changed", testChanged);
    g_test_add_func("/iort/cut", testCut);
    g_test_add_func("/iort/checksum", testChecksum);
    g_test_add_func("/iort/overlap", testOverlap);
    g_test_add_func("/iort/recorded", testRecorded);
    return g_test_run();
}
