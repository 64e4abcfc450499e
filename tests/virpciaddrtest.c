/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI addresses, and what is read from configuration space.
 */
#include "virpciaddr.h"
#include "virpciconfig.h"

#include <string.h>

static void
testParse(void)
{
    static const struct {
        const char *text;
        virPCIAddr addr;
    } good[] = {
        { "0000:00:00.0", { 0, 0, 0, 0 } },
        { "0002:01:1f.7", { 2, 1, 31, 7 } },
        { "ffff:ff:1f.7", { 0xffff, 0xff, 31, 7 } },
        { "FFFF:AB:0C.1", { 0xffff, 0xab, 12, 1 } },
        { "10000:e1:00.0", { 0x10000, 0xe1, 0, 0 } },
        { "ffffffff:00:00.0", { 0xffffffff, 0, 0, 0 } },
    };
    static const char *const bad[] = {
        "",
        "0000",
        "0000:",
        "000:00:00.0",
        "0000:00:00",
        "00:00.0",
        "0000:00:20.0",
        "0000:00:00.8",
        "0000:00:00.0 ",
        " 0000:00:00.0",
        "0:0:0.0",
        "0000:0:00.0",
        "0000:000:00.0",
        "0000:00:00.00",
        "000000000:00:00.0",
        "-000:00:0",
        "0000:00:00.g",
        "0000-00-00.0",
        "arm-smmu-v3.0.auto",
        "0000:00:00:0",
        "0x00:00:00.0",
        "0000:00:00.0/x",
        "pci0000:00",
        "100000000:00:00.0",
    };
    const virPCIAddr untouched = { 7, 7, 7, 7 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(good); i++) {
        virPCIAddr addr = untouched;

        g_test_message("%s", good[i].text);
        g_assert_true(virPCIAddrParse(good[i].text, &addr));
        g_assert_cmpint(virPCIAddrCompare(&addr, &good[i].addr), ==, 0);
    }
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        virPCIAddr addr = untouched;

        g_test_message("'%s'", bad[i]);
        g_assert_false(virPCIAddrParse(bad[i], &addr));
        g_assert_cmpint(virPCIAddrCompare(&addr, &untouched), ==, 0);
    }
}

static void
testFormat(void)
{
    static const char *const texts[] = { "0000:00:00.0", "0002:01:1f.7", "10000:e1:00.0",
                                         "ffffffff:ff:1f.7" };
    char buf[VIR_PCI_ADDR_BUFLEN];
    virPCIAddr addr;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_true(virPCIAddrParse(texts[i], &addr));
        g_assert_cmpstr(virPCIAddrFormat(&addr, buf), ==, texts[i]);
    }
    g_assert_true(virPCIAddrParse("00AB:CD:1E.1", &addr));
    g_assert_cmpstr(virPCIAddrFormat(&addr, buf), ==, "00ab:cd:1e.1");
}

static void
testCompare(void)
{
    static const char *const ascending[] = {
        "0000:00:00.0", "0000:00:00.1", "0000:00:01.0",  "0000:01:00.0",     "0000:ff:00.0",
        "0001:00:00.0", "ffff:00:00.0", "10000:00:00.0", "ffffffff:00:00.0",
    };
    virPCIAddr a, b;
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(ascending); i++) {
        for (j = 0; j < G_N_ELEMENTS(ascending); j++) {
            int order;

            g_assert_true(virPCIAddrParse(ascending[i], &a));
            g_assert_true(virPCIAddrParse(ascending[j], &b));
            order = virPCIAddrCompare(&a, &b);
            g_assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    }
}

/* A space with a power management capability at 0x40 and a PCI Express one of @flags at 0x50. */
static void
makeConfig(uint8_t config[static VIR_PCI_CONFIG_SIZE], uint8_t flags)
{
    memset(config, 0, VIR_PCI_CONFIG_SIZE);
    config[0x06] = 0x10;
    config[0x34] = 0x40;
    config[0x40] = 0x01;
    config[0x41] = 0x50;
    config[0x50] = 0x10;
    config[0x52] = flags;
}

static void
testPortType(void)
{
    static const struct {
        uint8_t flags;
        virPCIPortType type;
        bool aliases;
    } types[] = {
        { 0x02, VIR_PCI_PORT_ENDPOINT, false },
        { 0x42, VIR_PCI_PORT_ROOT_PORT, false },
        { 0x52, VIR_PCI_PORT_UPSTREAM, false },
        { 0x62, VIR_PCI_PORT_DOWNSTREAM, false },
        { 0x72, VIR_PCI_PORT_TO_CONVENTIONAL, true },
        { 0x82, VIR_PCI_PORT_FROM_CONVENTIONAL, true },
        { 0x92, VIR_PCI_PORT_INTEGRATED_ENDPOINT, false },
    };
    uint8_t config[VIR_PCI_CONFIG_SIZE];
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        makeConfig(config, types[i].flags);
        g_assert_cmpint(virPCIConfigPortType(config, sizeof(config)), ==, types[i].type);
        g_assert_true(virPCIPortAliases(types[i].type) == types[i].aliases);
    }
    g_assert_false(virPCIPortAliases(VIR_PCI_PORT_UNKNOWN));
    g_assert_true(virPCIPortAliases(VIR_PCI_PORT_CONVENTIONAL));
}

static void
testPortTypeBad(void)
{
    uint8_t config[VIR_PCI_CONFIG_SIZE];
    size_t len;

    makeConfig(config, 0x72);
    /* Cut anywhere before the flags: what an unprivileged user reads ends at 64. */
    for (len = 0; len <= 0x52; len++)
        g_assert_cmpint(virPCIConfigPortType(config, len), ==, VIR_PCI_PORT_UNKNOWN);
    g_assert_cmpint(virPCIConfigPortType(config, 0x53), ==, VIR_PCI_PORT_TO_CONVENTIONAL);

    config[0x41] = 0x40; /* a list that runs in a circle */
    g_assert_cmpint(virPCIConfigPortType(config, sizeof(config)), ==, VIR_PCI_PORT_UNKNOWN);
    config[0x41] = 0xff; /* one that ends at the last dword */
    g_assert_cmpint(virPCIConfigPortType(config, sizeof(config)), ==, VIR_PCI_PORT_CONVENTIONAL);
    config[0x41] = 0x08; /* one that points into the header */
    g_assert_cmpint(virPCIConfigPortType(config, sizeof(config)), ==, VIR_PCI_PORT_CONVENTIONAL);
    makeConfig(config, 0x42);
    config[0x06] = 0;
    g_assert_cmpint(virPCIConfigPortType(config, sizeof(config)), ==, VIR_PCI_PORT_CONVENTIONAL);
    memset(config, 0xff, sizeof(config)); /* a device that does not answer */
    g_assert_cmpint(virPCIConfigPortType(config, sizeof(config)), ==, VIR_PCI_PORT_UNKNOWN);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pciaddr/parse", testParse);
    g_test_add_func("/pciaddr/format", testFormat);
    g_test_add_func("/pciaddr/compare", testCompare);
    g_test_add_func("/pciconfig/port-type", testPortType);
    g_test_add_func("/pciconfig/bad", testPortTypeBad);
    return g_test_run();
}
