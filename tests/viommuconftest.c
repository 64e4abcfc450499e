/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is read from a domain and from a network: numbers, addresses, indexes, kinds of devices, requests,
 * metadata.
 */
#include "viommu_conf.h"
#include "viommuerror.h"

#include <string.h>

static viommuDomain *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    viommuDomain *dom = viommuDomainParse(text, strlen(text), &error);

    g_assert_no_error(error);
    g_assert_nonnull(dom);
    return dom;
}

/* A domain with @devices as children of <devices>. */
static viommuDomain *
parseDevices(const char *devices)
{
    g_autofree char *text = g_strdup_printf("<domain type='kvm'>\n<devices>\n%s\n</devices>\n</domain>",
                                            devices);

    return parse(text);
}

static void
checkError(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(viommuDomainParse(text, strlen(text), &error));
    g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_XML);
    g_assert_cmpstr(error->message, ==, message);
}

static const viommuController *
controller(const viommuDomain *dom, size_t i)
{
    return g_ptr_array_index(dom->controllers, i);
}

static const viommuDevice *
device(const viommuDomain *dom, size_t i)
{
    return g_ptr_array_index(dom->devices, i);
}

static const viommuRequest *
request(const viommuDomain *dom, size_t i)
{
    return g_ptr_array_index(dom->requests, i);
}

static void
testFrame(void)
{
    g_autoptr(viommuDomain) dom = parse(
        "<domain type='kvm'>\n  <name> g1 </name>\n"
        "  <memoryBacking><hugepages/></memoryBacking>\n  <iommufd enabled='yes'/>\n"
        "  <os firmware='efi'>\n    <type arch='aarch64' machine='virt-11.0'>hvm</type></os>\n"
        "  <features>\n    <acpi/><gic version='3'/></features>\n"
        "  <devices><emulator>/bin/q</emulator>\n<emulator>/bin/other</emulator></devices></domain>");

    g_assert_cmpstr(dom->name, ==, "g1");
    g_assert_cmpint(dom->virtType, ==, VIOMMU_VIRT_KVM);
    g_assert_cmpstr(dom->arch, ==, "aarch64");
    g_assert_cmpstr(dom->machine, ==, "virt-11.0");
    g_assert_cmpstr(dom->emulator, ==, "/bin/q");
    g_assert_cmpuint(dom->emulatorLine, ==, 9);
    g_assert_cmpuint(dom->osLine, ==, 6);
    g_assert_cmpuint(dom->featuresLine, ==, 7);
    g_assert_true(dom->acpi);
    g_assert_cmpint(dom->gicVersion, ==, 3);
    g_assert_cmpint(dom->firmware, ==, VIOMMU_FIRMWARE_AUTO);
    g_assert_true(dom->hugepages);
    g_assert_cmpint(dom->iommufd, ==, 1);
    g_assert_true(dom->implicitRoot);
    g_assert_cmpuint(dom->devices->len, ==, 0);
    g_assert_false(viommuDomainIsRequest(dom));
}

static void
testFrameEmpty(void)
{
    g_autoptr(viommuDomain) dom = parse("<domain/>");
    g_autoptr(viommuDomain) other = parse("<domain type='qemu'><iommufd enabled='no'/>"
                                          "<os><loader>/f.fd</loader></os>"
                                          "<features><gic version='host'/></features></domain>");

    g_assert_null(dom->name);
    g_assert_null(dom->devicesNode);
    g_assert_cmpint(dom->virtType, ==, VIOMMU_VIRT_OTHER);
    g_assert_cmpint(dom->gicVersion, ==, VIOMMU_UNSET);
    g_assert_cmpint(dom->firmware, ==, VIOMMU_FIRMWARE_NONE);
    g_assert_cmpint(dom->iommufd, ==, VIOMMU_UNSET);
    g_assert_false(dom->acpi);
    g_assert_cmpint(other->virtType, ==, VIOMMU_VIRT_QEMU);
    g_assert_cmpint(other->gicVersion, ==, 0);
    g_assert_cmpint(other->firmware, ==, VIOMMU_FIRMWARE_LOADER);
    g_assert_cmpint(other->iommufd, ==, 0);
}

/* Numbers as libvirt takes them: decimal, hexadecimal with 0x, octal with 0. */
static void
testAddresses(void)
{
    static const struct {
        const char *attrs;
        viommuGuestAddr addr;
        bool given;
    } cases[] = {
        { "domain='0x0000' bus='0x0a' slot='0x1f' function='0x7'", { 0, 10, 31, 7, false }, true },
        { "domain='0' bus='10' slot='31' function='7'", { 0, 10, 31, 7, false }, true },
        { "bus='0xFF'", { 0, 255, 0, 0, false }, true },
        { "bus='012'", { 0, 10, 0, 0, false }, true },
        { "slot='1' multifunction='on'", { 0, 0, 1, 0, true }, true },
        { "slot='1' multifunction='off'", { 0, 0, 1, 0, false }, true },
        { "domain='0x0000' bus='0x00' slot='0x00' function='0x0'", { 0, 0, 0, 0, false }, false },
        { "", { 0, 0, 0, 0, false }, false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("<rng model='virtio'><address type='pci' %s/></rng>",
                                                cases[i].attrs);
        g_autoptr(viommuDomain) dom = parseDevices(text);
        const viommuDevice *rng = device(dom, 0);

        g_test_message("%s", cases[i].attrs);
        g_assert_true(rng->hasAddr == cases[i].given);
        g_assert_cmpuint(rng->addr.domain, ==, cases[i].addr.domain);
        g_assert_cmpuint(rng->addr.bus, ==, cases[i].addr.bus);
        g_assert_cmpuint(rng->addr.slot, ==, cases[i].addr.slot);
        g_assert_cmpuint(rng->addr.function, ==, cases[i].addr.function);
        g_assert_true(rng->addr.multifunction == cases[i].addr.multifunction);
    }
}

static void
testBadAddresses(void)
{
    static const struct {
        const char *attrs;
        const char *message;
    } cases[] = {
        { "bus='0x100'", "bus='0x100'; give a number from 0 to 0xff, in hexadecimal with 0x" },
        { "slot='32'", "slot='32'; give a number from 0 to 0x1f, in hexadecimal with 0x" },
        { "slot='20h'", "slot='20h'; give a number from 0 to 0x1f, in hexadecimal with 0x" },
        { "function='8'", "function='8'; give a number from 0 to 0x7, in hexadecimal with 0x" },
        { "function='-1'", "function='-1'; give a number from 0 to 0x7, in hexadecimal with 0x" },
        { "function=''", "function=''; give a number from 0 to 0x7, in hexadecimal with 0x" },
        { "function=' 1'", "function=' 1'; give a number from 0 to 0x7, in hexadecimal with 0x" },
        { "bus='a'", "bus='a'; give a number from 0 to 0xff, in hexadecimal with 0x" },
        { "bus='08'", "bus='08'; give a number from 0 to 0xff, in hexadecimal with 0x" },
        { "domain='0x10000'", "domain='0x10000'; give a number from 0 to 0xffff, in hexadecimal with 0x" },
        { "bus='18446744073709551616'",
          "bus='18446744073709551616'; give a number from 0 to 0xff, in hexadecimal with 0x" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("<domain>\n<devices>\n<rng>\n<address type='pci' %s/></rng>"
                                                "</devices></domain>", cases[i].attrs);
        g_autofree char *message = g_strdup_printf("line 4: the address of rng has %s", cases[i].message);

        checkError(text, message);
    }
}

static void
testSources(void)
{
    g_autoptr(viommuDomain) dom = parseDevices(
        "<hostdev mode='subsystem' type='pci' managed='yes'>\n<driver iommufd='no'/>"
        "<source><address domain='0x12345' bus='0xab' slot='0x1f' function='3'/></source>"
        "<alias name='ua-gpu'/></hostdev>\n"
        "<interface type='hostdev'><source><address type='pci' domain='2' bus='1' slot='0' function='0'/>"
        "</source><address type='pci' bus='3'/></interface>\n"
        "<hostdev type='pci'><source><address bus='1'/></source><address type='unassigned'/></hostdev>\n"
        "<hostdev mode='subsystem' type='usb'><source><vendor id='1'/></source></hostdev>\n"
        "<hostdev mode='capabilities' type='misc'/>");

    g_assert_cmpint(device(dom, 0)->kind, ==, VIOMMU_DEVICE_ASSIGNED);
    g_assert_cmpstr(device(dom, 0)->key, ==, "12345:ab:1f.3");
    g_assert_cmpstr(device(dom, 0)->what, ==, "hostdev '12345:ab:1f.3'");
    g_assert_cmpstr(device(dom, 0)->alias, ==, "ua-gpu");
    g_assert_cmpint(device(dom, 0)->iommufd, ==, 0);
    g_assert_true(device(dom, 0)->managed);
    g_assert_false(device(dom, 0)->hasAddr);
    g_assert_cmpuint(device(dom, 0)->line, ==, 3);
    g_assert_cmpint(device(dom, 1)->kind, ==, VIOMMU_DEVICE_ASSIGNED);
    g_assert_cmpstr(device(dom, 1)->key, ==, "0002:01:00.0");
    g_assert_cmpint(device(dom, 1)->iommufd, ==, VIOMMU_UNSET);
    g_assert_true(device(dom, 1)->hasAddr);
    g_assert_cmpuint(device(dom, 1)->addr.bus, ==, 3);
    g_assert_cmpint(device(dom, 2)->kind, ==, VIOMMU_DEVICE_NONE); /* kept out of the guest */
    g_assert_cmpstr(device(dom, 2)->key, ==, "0000:01:00.0");
    g_assert_cmpint(device(dom, 3)->kind, ==, VIOMMU_DEVICE_NONE);
    g_assert_cmpint(device(dom, 4)->kind, ==, VIOMMU_DEVICE_NONE);
    checkError("<domain><devices>\n<hostdev mode='subsystem' type='pci'>\n<source/></hostdev></devices>"
               "</domain>",
               "line 2: the hostdev names no host device; give it <source><address domain= bus= slot= "
               "function=/></source>");
    checkError("<domain><devices>\n<hostdev mode='subsystem' type='pci'>\n<source>\n<address slot='32'/>"
               "</source></hostdev></devices></domain>",
               "line 4: the address of a host device has slot='32'; give a number from 0 to 0x1f, in "
               "hexadecimal with 0x");
}

/* Where libvirt puts each (docs/libvirt.rst). */
static void
testKinds(void)
{
    static const struct {
        const char *text;
        viommuDeviceKind kind;
    } cases[] = {
        { "<disk><target dev='vda' bus='virtio'/></disk>", VIOMMU_DEVICE_PCIE },
        { "<disk><target dev='sda' bus='scsi'/></disk>", VIOMMU_DEVICE_NONE },
        { "<disk model='virtio-transitional'><target dev='vda' bus='virtio'/></disk>", VIOMMU_DEVICE_PCI },
        { "<interface type='user'><model type='virtio'/></interface>", VIOMMU_DEVICE_PCIE },
        { "<interface type='user'><model type='e1000e'/></interface>", VIOMMU_DEVICE_PCIE },
        { "<interface type='user'><model type='e1000'/></interface>", VIOMMU_DEVICE_PCI },
        { "<interface type='user'><model type='usb-net'/></interface>", VIOMMU_DEVICE_NONE },
        { "<interface type='network'><source network='n'/></interface>", VIOMMU_DEVICE_PCIE },
        { "<controller type='usb' model='qemu-xhci'/>", VIOMMU_DEVICE_PCIE },
        { "<controller type='usb' model='none'/>", VIOMMU_DEVICE_NONE },
        { "<controller type='usb' model='ich9-ehci1'/>", VIOMMU_DEVICE_PCI },
        { "<controller type='scsi' model='virtio-scsi'/>", VIOMMU_DEVICE_PCIE },
        { "<controller type='scsi' model='lsilogic'/>", VIOMMU_DEVICE_PCI },
        { "<controller type='virtio-serial'/>", VIOMMU_DEVICE_PCIE },
        { "<controller type='sata'/>", VIOMMU_DEVICE_PCI },
        { "<controller type='ccid'/>", VIOMMU_DEVICE_NONE },
        { "<video><model type='virtio'/></video>", VIOMMU_DEVICE_PCIE },
        { "<video><model type='vga'/></video>", VIOMMU_DEVICE_PCI },
        { "<video><model type='ramfb'/></video>", VIOMMU_DEVICE_NONE },
        { "<sound model='ich9'/>", VIOMMU_DEVICE_PCI },
        { "<sound model='virtio'/>", VIOMMU_DEVICE_PCIE },
        { "<input type='tablet' bus='usb'/>", VIOMMU_DEVICE_NONE },
        { "<input type='keyboard' bus='virtio'/>", VIOMMU_DEVICE_PCIE },
        { "<memballoon model='virtio'/>", VIOMMU_DEVICE_PCIE },
        { "<memballoon model='none'/>", VIOMMU_DEVICE_NONE },
        { "<rng model='virtio'/>", VIOMMU_DEVICE_PCIE },
        { "<watchdog model='i6300esb'/>", VIOMMU_DEVICE_PCI },
        { "<panic model='pvpanic'/>", VIOMMU_DEVICE_ROOT },
        { "<serial type='pty'/>", VIOMMU_DEVICE_NONE },
        { "<serial type='pty'><target type='pci-serial'/></serial>", VIOMMU_DEVICE_PCI },
        { "<shmem name='s'/>", VIOMMU_DEVICE_PCI },
        { "<vsock model='virtio'/>", VIOMMU_DEVICE_PCIE },
        { "<filesystem/>", VIOMMU_DEVICE_PCIE },
        { "<hostdev mode='subsystem' type='mdev' model='vfio-pci'/>", VIOMMU_DEVICE_PCIE },
        { "<hostdev mode='subsystem' type='mdev' model='vfio-ccw'/>", VIOMMU_DEVICE_NONE },
        { "<rng model='virtio'><address type='virtio-mmio'/></rng>", VIOMMU_DEVICE_NONE },
        { "<tpm/>", VIOMMU_DEVICE_NONE },
        { "<x:rng xmlns:x='u'/>", VIOMMU_DEVICE_NONE }, /* not even a device: see below */
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases) - 1; i++) {
        g_autoptr(viommuDomain) dom = parseDevices(cases[i].text);

        g_test_message("%s", cases[i].text);
        g_assert_cmpuint(dom->devices->len, ==, 1);
        g_assert_cmpint(device(dom, 0)->kind, ==, cases[i].kind);
    }
    {
        g_autoptr(viommuDomain) dom = parseDevices(cases[i].text);

        g_assert_cmpuint(dom->devices->len, ==, 0);
    }
}

static void
testIndexes(void)
{
    static const struct {
        const char *text; /* "r": root port, "e": expander bus, "R": pcie-root; with index or "-" */
        unsigned indexes[4];
    } cases[] = {
        { "R0 r1 e2 r3", { 0, 1, 2, 3 } },
        { "R- r- r- r-", { 0, 1, 2, 3 } },
        { "r- r- e- r-", { 1, 2, 3, 4 } },
        { "r2 r- r- r-", { 2, 1, 3, 4 } },
        { "r- r1 r- r3", { 2, 1, 4, 3 } },
        { "R0 r0x10 r- r255", { 0, 16, 1, 255 } },
        { "r- r- R- r-", { 0, 0, 0, 0 } }, /* refused: pcie-root would not be number 0 */
    };
    size_t i;
    size_t j;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) words = g_strsplit(cases[i].text, " ", -1);
        g_autoptr(GString) text = g_string_new("<domain><devices>\n");
        g_autoptr(viommuDomain) dom = NULL;

        for (j = 0; words[j]; j++) {
            const char *model = words[j][0] == 'R' ? "root" : words[j][0] == 'e' ? "expander-bus" : "root-port";

            g_string_append_printf(text, "<controller type='pci' model='pcie-%s'", model);
            if (words[j][1] != '-')
                g_string_append_printf(text, " index='%s'", words[j] + 1);
            g_string_append(text, "/>\n");
        }
        g_string_append(text, "</devices></domain>");
        g_test_message("%s", cases[i].text);
        if (cases[i].indexes[0] == cases[i].indexes[1]) {
            checkError(text->str, "line 2: PCI controller 0 is a pcie-root-port, but index 0 and pcie-root go "
                                  "together; give it another index");
            continue;
        }
        dom = parse(text->str);
        for (j = 0; j < G_N_ELEMENTS(cases[i].indexes); j++) {
            g_assert_cmpuint(controller(dom, j)->index, ==, cases[i].indexes[j]);
            g_assert_true(controller(dom, j)->indexGiven == (words[j][1] != '-'));
            g_assert_true(viommuDomainFindController(dom, cases[i].indexes[j]) == controller(dom, j));
        }
        g_assert_true(dom->implicitRoot == !strstr(cases[i].text, "R"));
        g_assert_null(viommuDomainFindController(dom, 200));
    }
}

static void
testBadIndexes(void)
{
    g_autoptr(GString) many = g_string_new("<domain><devices>\n");
    unsigned i;

    checkError("<domain><devices>\n<controller type='pci' index='1' model='pcie-root-port'/>\n"
               "<controller type='pci' index='0x1' model='pcie-root-port'/></devices></domain>",
               "line 3: PCI controller index 1 is given twice, first in line 2; give each its own");
    checkError("<domain><devices>\n<controller type='pci' index='256' model='pcie-root-port'/></devices>"
               "</domain>",
               "line 2: a PCI controller has index='256'; give a number from 0 to 255");
    checkError("<domain><devices><controller type='pci' index='' model='pcie-root-port'/></devices></domain>",
               "line 1: a PCI controller has index=''; give a number from 0 to 255");
    checkError("<domain><devices>\n<controller type='pci' index='7' model='pcie-root-port'>\n"
               "<address type='pci' bus='256'/></controller></devices></domain>",
               "line 3: the address of PCI controller 7 has bus='256'; give a number from 0 to 0xff, in "
               "hexadecimal with 0x");
    for (i = 0; i < 256; i++)
        g_string_append(many, "<controller type='pci' model='pcie-root-port'/>\n");
    g_string_append(many, "</devices></domain>");
    checkError(many->str, "line 257: there are more than 256 PCI controllers; remove some");
}

static void
testControllers(void)
{
    g_autoptr(viommuDomain) dom = parseDevices(
        "<controller type='pci' index='0' model='pcie-root'><pcihole64 unit='GiB'>1024</pcihole64>"
        "</controller>\n"
        "<controller type='pci' index='1' model='pcie-expander-bus'><target busNr='254'><node> 1 </node>"
        "</target><address type='pci' slot='2'/></controller>\n"
        "<controller type='pci' index='2' model='pcie-root-port'><target chassis='5' port='0x10'/>"
        "<alias name='ua-p'/><address type='pci' bus='1' multifunction='on' slot='1'/></controller>\n"
        "<controller type='pci' index='3' model='pcie-switch-upstream-port'><address type='pci' bus='2'/>"
        "</controller>\n"
        "<controller type='pci' index='4' model='pcie-switch-downstream-port'>"
        "<address type='pci' bus='3' slot='3'/></controller>\n"
        "<controller type='pci' index='5' model='pcie-to-pci-bridge'/>\n"
        "<controller type='pci' index='6' model='dmi-to-pci-bridge'/>\n"
        "<controller type='pci' index='7' model='pcie-expander-bus'><target busNr='x'><node>y</node>"
        "</target></controller>");

    g_assert_false(dom->implicitRoot);
    g_assert_cmpuint(controller(dom, 0)->hole64KiB, ==, UINT64_C(1) << 30);
    g_assert_cmpint(controller(dom, 1)->busNr, ==, 254);
    g_assert_cmpint(controller(dom, 1)->numaNode, ==, 1);
    g_assert_true(controller(dom, 1)->hasAddr);
    g_assert_cmpint(controller(dom, 2)->chassis, ==, 5);
    g_assert_cmpint(controller(dom, 2)->port, ==, 16);
    g_assert_cmpstr(controller(dom, 2)->alias, ==, "ua-p");
    g_assert_true(controller(dom, 2)->addr.multifunction);
    g_assert_cmpint(controller(dom, 2)->busNr, ==, VIOMMU_UNSET);
    g_assert_cmpint(controller(dom, 5)->model, ==, VIOMMU_PCI_TO_PCI_BRIDGE);
    g_assert_false(controller(dom, 5)->hasAddr);
    g_assert_cmpint(controller(dom, 6)->model, ==, VIOMMU_PCI_OTHER);
    g_assert_cmpint(controller(dom, 7)->busNr, ==, VIOMMU_BAD);
    g_assert_cmpint(controller(dom, 7)->numaNode, ==, VIOMMU_BAD);
    g_assert_true(viommuDomainFindExpander(dom, 4) == controller(dom, 1));
    g_assert_true(viommuDomainFindExpander(dom, 1) == controller(dom, 1));
    g_assert_null(viommuDomainFindExpander(dom, 0));
    g_assert_null(viommuDomainFindExpander(dom, 5));
    g_assert_null(viommuDomainFindExpander(dom, 99));
}

static void
testLoop(void)
{
    g_autoptr(viommuDomain) dom = parseDevices(
        "<controller type='pci' index='1' model='pcie-root-port'><address type='pci' bus='2'/></controller>\n"
        "<controller type='pci' index='2' model='pcie-root-port'><address type='pci' bus='1'/></controller>\n"
        "<controller type='pci' index='3' model='pcie-root-port'><address type='pci' bus='3'/></controller>");

    g_assert_null(viommuDomainFindExpander(dom, 1));
    g_assert_null(viommuDomainFindExpander(dom, 3));
}

static void
testHole64(void)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t kib;
    } cases[] = {
        { "<pcihole64>1048576</pcihole64>", true, 1048576 },
        { "<pcihole64 unit='KiB'> 4 </pcihole64>", true, 4 },
        { "<pcihole64 unit='kib'>4</pcihole64>", true, 4 },
        { "<pcihole64 unit='bytes'>8192</pcihole64>", true, 8 },
        { "<pcihole64 unit='MB'>1</pcihole64>", true, 976 },
        { "<pcihole64 unit='T'>1</pcihole64>", true, UINT64_C(1) << 30 },
        { "<pcihole64 unit='TiB'>16777216</pcihole64>", false, 0 },
        { "<pcihole64 unit='furlong'>1</pcihole64>", false, 0 },
        { "<pcihole64>-1</pcihole64>", false, 0 },
        { "<pcihole64>1G</pcihole64>", false, 0 },
        { "<pcihole64/>", false, 0 },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("<controller type='pci' model='pcie-root'>%s</controller>",
                                                cases[i].text);
        g_autoptr(viommuDomain) dom = parseDevices(text);

        g_test_message("%s", cases[i].text);
        g_assert_true(controller(dom, 0)->hole64Bad == !cases[i].good);
        g_assert_cmpuint(controller(dom, 0)->hole64KiB, ==, cases[i].kib);
    }
}

static void
testCells(void)
{
    g_autoptr(viommuDomain) dom = parse(
        "<domain><cpu><numa><cell id='1' memory='1'/><cell id='0' memory='1'/><cell memory='1'/></numa></cpu>"
        "<numatune><memory mode='strict' nodeset='7'/><memnode cellid='0' nodeset='0-2,5'/>"
        "<memnode cellid='9' nodeset='1'/></numatune></domain>");
    const viommuCell *cells = (const viommuCell *)dom->cells->data;
    static const unsigned wanted[] = { 0, 1, 2, 5 };
    size_t i;

    g_assert_cmpuint(dom->cells->len, ==, 3);
    for (i = 0; i < 3; i++)
        g_assert_cmpuint(cells[i].id, ==, i);
    g_assert_cmpuint(cells[0].hostNodes->len, ==, G_N_ELEMENTS(wanted));
    for (i = 0; i < G_N_ELEMENTS(wanted); i++)
        g_assert_cmpuint(g_array_index(cells[0].hostNodes, unsigned, i), ==, wanted[i]);
    g_assert_cmpuint(cells[1].hostNodes->len, ==, 1);
    g_assert_cmpuint(g_array_index(cells[2].hostNodes, unsigned, 0), ==, 7);
}

static void
testRequests(void)
{
    g_autoptr(viommuDomain) dom = parseDevices(
        "<iommu model='smmuv3' nested='yes'/>\n"
        "<iommu model='smmuv3' nested='yes'>\n<driver pciBus='3' cmdqv='on' ats='off' ril='auto' ssidsize='20' "
        "oas='48'/><placement sparePorts='2' smmus='all'/><source smmu='smmu3.0x01'/></iommu>");
    const viommuRequest *plain = request(dom, 0);
    const viommuRequest *full = request(dom, 1);

    g_assert_true(viommuDomainIsRequest(dom));
    g_assert_cmpuint(dom->requests->len, ==, 2);
    g_assert_null(plain->smmu);
    g_assert_cmpuint(plain->line, ==, 3);
    g_assert_cmpint(plain->pciBus, ==, VIOMMU_UNSET);
    g_assert_cmpuint(plain->sparePorts, ==, 0);
    g_assert_false(plain->allSMMUs);
    g_assert_cmpint(plain->features.cmdqv, ==, VIOMMU_AUTO);
    g_assert_cmpint(plain->features.oas, ==, VIOMMU_AUTO);
    g_assert_cmpstr(full->smmu, ==, "smmu3.0x01");
    g_assert_cmpint(full->pciBus, ==, 3);
    g_assert_cmpuint(full->sparePorts, ==, 2);
    g_assert_true(full->allSMMUs);
    g_assert_cmpint(full->features.cmdqv, ==, 1);
    g_assert_cmpint(full->features.ats, ==, 0);
    g_assert_cmpint(full->features.ril, ==, VIOMMU_AUTO);
    g_assert_cmpint(full->features.ssidsize, ==, 20);
    g_assert_cmpint(full->features.oas, ==, 48);
}

/* What libvirt would drop without a word is kept for the checker. */
static void
testStrays(void)
{
    static const struct {
        const char *driver;
        const char *name; /* NULL: no stray */
        const char *meant;
    } cases[] = {
        { "<driver ssidsize='20' oas='44'/>", NULL, NULL },
        { "<driver ssidsize='21'/>", "ssidsize", NULL },
        { "<driver oas='52'/>", "oas", NULL },
        { "<driver ats='yes'/>", "ats", NULL },
        { "<driver accel='yes'/>", "accel", NULL },
        { "<driver SSIDSize='4'/>", "SSIDSize", "ssidsize" },
        { "<driver pci_bus='4'/>", "pci_bus", "pciBus" },
        { "<driver nothing='4'/>", "nothing", NULL },
        { "<placement sparePorts='many'/>", "sparePorts", NULL },
        { "<placement smmus='some'/>", "smmus", NULL },
        { "<driver intremap='on'/>", NULL, NULL },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("<iommu model='smmuv3' nested='yes'>\n%s</iommu>",
                                                cases[i].driver);
        g_autoptr(viommuDomain) dom = parseDevices(text);
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, 0);
        const viommuStray *stray;

        g_test_message("%s", cases[i].driver);
        g_assert_cmpuint(iommu->strays->len, ==, cases[i].name ? 1 : 0);
        g_assert_true(iommu->foreign == (strstr(cases[i].driver, "intremap") != NULL));
        if (!cases[i].name)
            continue;
        stray = g_ptr_array_index(iommu->strays, 0);
        g_assert_cmpstr(stray->name, ==, cases[i].name);
        g_assert_cmpstr(stray->meant, ==, cases[i].meant);
        g_assert_cmpuint(stray->line, ==, 4);
    }
}

static void
testNoRequest(void)
{
    static const char *const texts[] = {
        "<iommu model='smmuv3'/>",
        "<iommu model='smmuv3' nested='no'/>",
        "<iommu model='virtio' nested='yes'/>",
        "<iommu nested='yes'/>",
        "<x:iommu xmlns:x='u' model='smmuv3' nested='yes'/>",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(viommuDomain) dom = parseDevices(texts[i]);

        g_assert_false(viommuDomainIsRequest(dom));
    }
}

#define METADATA(content) \
    "<domain>\n<metadata>\n<v:domain xmlns:v='urn:viommu:domain:1'>\n" content "</v:domain></metadata>" \
    "<devices>\n<controller type='pci' index='9' model='pcie-expander-bus'/>" \
    "<controller type='pci' index='10' model='pcie-root-port'><address type='pci' bus='9'/></controller>" \
    "</devices></domain>"

static void
testMetadata(void)
{
    g_autoptr(viommuDomain) dom = parse(METADATA(
        "<v:request ats='off' sparePorts='3' smmus='all'/><v:request smmu='s2' cmdqv='on'/>"
        "<v:vsmmu smmu='s1' controller='9'><v:port controller='10' device='0002:01:00.0'/>"
        "<v:port controller='11' own='no'/></v:vsmmu><v:vsmmu smmu='s2' controller='12' own='no'/>"
        "<v:made iommufd='yes' pcihole64='yes' userPcihole64='536870912'/>"));
    const viommuPlaced *placed = g_ptr_array_index(dom->placed, 0);
    const viommuPlacedPort *port = g_ptr_array_index(placed->ports, 0);

    g_assert_cmpuint(dom->requests->len, ==, 2);
    g_assert_cmpint(request(dom, 0)->features.ats, ==, 0);
    g_assert_cmpuint(request(dom, 0)->sparePorts, ==, 3);
    g_assert_true(request(dom, 0)->allSMMUs);
    g_assert_cmpstr(request(dom, 1)->smmu, ==, "s2");
    g_assert_cmpint(request(dom, 1)->features.cmdqv, ==, 1);
    g_assert_cmpuint(dom->placed->len, ==, 2);
    g_assert_cmpstr(placed->smmu, ==, "s1");
    g_assert_cmpuint(placed->controller, ==, 9);
    g_assert_true(placed->generated);
    g_assert_cmpuint(placed->ports->len, ==, 2);
    g_assert_cmpstr(port->device, ==, "0002:01:00.0");
    g_assert_true(port->generated);
    port = g_ptr_array_index(placed->ports, 1);
    g_assert_null(port->device);
    g_assert_false(port->generated);
    g_assert_false(((const viommuPlaced *)g_ptr_array_index(dom->placed, 1))->generated);
    g_assert_true(dom->ownsIommufd);
    g_assert_true(dom->ownsHole64);
    g_assert_cmpuint(dom->userHole64KiB, ==, 536870912);
    g_assert_true(viommuDomainIsGenerated(dom, viommuDomainFindController(dom, 9)));
    g_assert_true(viommuDomainIsGenerated(dom, viommuDomainFindController(dom, 10)));
}

/* An <iommu> is newer than what was kept. */
static void
testNewerRequest(void)
{
    static const char kept[] = "<domain><metadata><v:domain xmlns:v='urn:viommu:domain:1'>"
                               "<v:request ats='off'/><v:request smmu='s1' ril='off'/><v:request smmu='s2'/>"
                               "</v:domain></metadata><devices>%s</devices></domain>";
    g_autofree char *one = g_strdup_printf(kept, "<iommu model='smmuv3' nested='yes'><source smmu='s1'/>"
                                                 "</iommu>");
    g_autofree char *all = g_strdup_printf(kept, "<iommu model='smmuv3' nested='yes'/>");
    g_autoptr(viommuDomain) some = parse(one);
    g_autoptr(viommuDomain) none = parse(all);

    g_assert_cmpuint(some->requests->len, ==, 3);
    g_assert_cmpstr(request(some, 0)->smmu, ==, "s1");
    g_assert_cmpint(request(some, 0)->features.ril, ==, VIOMMU_AUTO);
    g_assert_null(request(some, 1)->smmu);
    g_assert_cmpint(request(some, 1)->features.ats, ==, 0);
    g_assert_cmpstr(request(some, 2)->smmu, ==, "s2");
    g_assert_cmpuint(none->requests->len, ==, 1);
    g_assert_cmpint(request(none, 0)->features.ats, ==, VIOMMU_AUTO);
}

static void
testBadMetadata(void)
{
    static const struct {
        const char *text;
        const char *element;
    } cases[] = {
        { METADATA("<v:vsmmu controller='9'/>"), "vsmmu" },
        { METADATA("<v:vsmmu smmu='s'/>"), "vsmmu" },
        { METADATA("<v:vsmmu smmu='s' controller='256'/>"), "vsmmu" },
        { METADATA("<v:vsmmu smmu='s' controller='9'/><v:vsmmu smmu='t' controller='9'/>"), "vsmmu" },
        { METADATA("<v:vsmmu smmu='s' controller='9'><v:port/></v:vsmmu>"), "port" },
        { METADATA("<v:vsmmu smmu='s' controller='9'><v:port controller='9'/></v:vsmmu>"), "port" },
        { METADATA("<v:request ats='perhaps'/>"), "request" },
        { METADATA("<v:request sparePorts='-1'/>"), "request" },
        { METADATA("<v:made userPcihole64='1x'/>"), "made" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *message = g_strdup_printf(
            "line 4: viommu's metadata is damaged at <%s>; restore it, or remove the element of namespace "
            "urn:viommu:domain:1 to plan anew", cases[i].element);

        checkError(cases[i].text, message);
    }
}

/* nested='no' in an expanded domain takes all back; elsewhere it is nothing. */
static void
testWithdrawn(void)
{
    g_autoptr(viommuDomain) dom = parse(
        "<domain><metadata><v:domain xmlns:v='urn:viommu:domain:1'><v:request/></v:domain></metadata>"
        "<devices><iommu model='smmuv3' nested='no'/></devices></domain>");
    g_autoptr(viommuDomain) fresh = parseDevices("<iommu model='smmuv3' nested='no'/>");

    g_assert_true(dom->withdrawn);
    g_assert_cmpuint(dom->requests->len, ==, 0);
    g_assert_true(viommuDomainIsRequest(dom));
    g_assert_false(fresh->withdrawn);
}

static void
testNetworks(void)
{
    static const char pf[] = "<network><name>vfs</name><forward mode='hostdev'><pf dev='eth0'/></forward>"
                             "</network>";
    static const char list[] = "<network><name>l</name><forward mode='hostdev' managed='yes'>"
                               "<address type='pci' domain='0' bus='4' slot='0' function='1'/>"
                               "<address type='pci' domain='2' bus='4' slot='0x1f' function='2'/></forward>"
                               "</network>";
    static const char nat[] = "<network><name>n</name><forward mode='nat'><pf dev='eth0'/></forward></network>";
    static const struct {
        const char *text;
        const char *message;
    } bad[] = {
        { "<network/>", "line 1: the document is not a <network> with a <name>; give the output of virsh "
                        "net-dumpxml" },
        { "<domain><name>x</name></domain>", "line 1: the document is not a <network> with a <name>; give the "
                                             "output of virsh net-dumpxml" },
        { "<network><name>x</name>\n<forward mode='hostdev'/></network>",
          "line 2: network 'x' forwards to host devices but names none; give it <pf dev=/> or "
          "<address type='pci' .../>" },
        { "<network><name>x</name>\n<forward mode='hostdev'>\n<address bus='256'/></forward></network>",
          "line 3: the address of a network's device has bus='256'; give a number from 0 to 0xff, in "
          "hexadecimal with 0x" },
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuNetwork) byPF = viommuNetworkParse(pf, strlen(pf), &error);
    g_autoptr(viommuNetwork) byList = viommuNetworkParse(list, strlen(list), &error);
    g_autoptr(viommuNetwork) other = viommuNetworkParse(nat, strlen(nat), &error);
    size_t i;

    g_assert_no_error(error);
    g_assert_cmpstr(byPF->name, ==, "vfs");
    g_assert_cmpstr(byPF->netdev, ==, "eth0");
    g_assert_cmpuint(byPF->devices->len, ==, 0);
    g_assert_cmpuint(byList->devices->len, ==, 2);
    g_assert_cmpuint(g_array_index(byList->devices, virPCIAddr, 1).domain, ==, 2);
    g_assert_cmpuint(g_array_index(byList->devices, virPCIAddr, 1).slot, ==, 31);
    g_assert_null(other->netdev);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(viommuNetworkParse(bad[i].text, strlen(bad[i].text), &error));
        g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_XML);
        g_assert_cmpstr(error->message, ==, bad[i].message);
        g_clear_error(&error);
    }
}

/* Interfaces on a network are emulated until somebody says what the network is. */
static void
testBind(void)
{
    g_autoptr(viommuDomain) dom = parseDevices(
        "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='n'/></interface>\n"
        "<interface type='network'><source network='n'/></interface>\n"
        "<interface type='network'><source network='n'/></interface>\n"
        "<interface type='network'><source network='o'/></interface>");
    const virPCIAddr pf = { 2, 1, 0, 0 };

    g_assert_cmpstr(device(dom, 0)->key, ==, "network n 52:54:00:00:00:01");
    g_assert_cmpstr(device(dom, 1)->key, ==, "network n");
    g_assert_cmpstr(device(dom, 2)->key, ==, "network n 2");
    g_assert_cmpint(device(dom, 1)->kind, ==, VIOMMU_DEVICE_PCIE);
    viommuDomainBindNetwork(dom, "n", &pf);
    g_assert_cmpint(device(dom, 1)->kind, ==, VIOMMU_DEVICE_ASSIGNED);
    g_assert_true(device(dom, 2)->haveSource);
    g_assert_cmpint(virPCIAddrCompare(&device(dom, 2)->source, &pf), ==, 0);
    g_assert_cmpint(device(dom, 3)->kind, ==, VIOMMU_DEVICE_PCIE);
}

#define RESERVE(alias, name, value)                                                             \
    "<q:device alias='" alias "'><q:frontend><q:property name='" name "' value='" value "'/></q:frontend></q:device>"

/* Ports have the name that libvirt gives them, unless their user's begins with "ua-". */
static void
testReserves(void)
{
    static const uint64_t reserves[] = { 0, 1, UINT64_C(1) << 52, 3, 0, 0 };
    static const uint64_t mem[] = { 0, 4096, 0, 7, 0, 9 };
    g_autoptr(viommuDomain) dom = parse(
        "<domain type='kvm' xmlns:q='" VIOMMU_NS_QEMU "'><devices>"
        "<controller type='pci' index='1' model='pcie-expander-bus'/>"
        "<controller type='pci' index='2' model='pcie-root-port'><target memReserve='4'/></controller>"
        "<controller type='pci' index='3' model='pcie-root-port'><target memReserve='4 '/><alias name='mine'/></controller>"
        "<controller type='pci' index='4' model='pcie-root-port'><target memReserve='4'/><alias name='ua-mine'/></controller>"
        "<controller type='pci' index='5' model='pcie-root-port'/>"
        "<controller type='pci' index='6' model='pcie-root-port'/></devices><q:override>"
        RESERVE("pci.1", "pref64-reserve", "9") RESERVE("pci.2", "pref64-reserve", "1")
        RESERVE("mine", "pref64-reserve", "9") RESERVE("pci.3", "pref64-reserve", "4503599627370496")
        RESERVE("pci.4", "pref64-reserve", "9") RESERVE("ua-mine", "pref64-reserve", "3")
        RESERVE("ua-mine", "mem-reserve", "7") RESERVE("pci.6", "io-reserve", "5")
        RESERVE("pci.5", "pref64-reserve", "4503599627370497") RESERVE("pci.6", "mem-reserve", "9")
        "</q:override></domain>");
    size_t i;

    g_assert_cmpuint(dom->controllers->len, ==, G_N_ELEMENTS(reserves));
    for (i = 0; i < dom->controllers->len; i++) {
        g_assert_cmpuint(controller(dom, i)->keeps.pref64, ==, reserves[i]);
        g_assert_cmpuint(controller(dom, i)->keeps.mem, ==, mem[i]);
    }
}

static void
testNoDomain(void)
{
    checkError("<network/>", "line 1: the document is a <network>, not a <domain>; give a domain's XML");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/conf/frame", testFrame);
    g_test_add_func("/conf/frame-empty", testFrameEmpty);
    g_test_add_func("/conf/addresses", testAddresses);
    g_test_add_func("/conf/bad-addresses", testBadAddresses);
    g_test_add_func("/conf/sources", testSources);
    g_test_add_func("/conf/kinds", testKinds);
    g_test_add_func("/conf/indexes", testIndexes);
    g_test_add_func("/conf/bad-indexes", testBadIndexes);
    g_test_add_func("/conf/controllers", testControllers);
    g_test_add_func("/conf/loop", testLoop);
    g_test_add_func("/conf/pcihole64", testHole64);
    g_test_add_func("/conf/cells", testCells);
    g_test_add_func("/conf/requests", testRequests);
    g_test_add_func("/conf/strays", testStrays);
    g_test_add_func("/conf/no-request", testNoRequest);
    g_test_add_func("/conf/metadata", testMetadata);
    g_test_add_func("/conf/newer-request", testNewerRequest);
    g_test_add_func("/conf/bad-metadata", testBadMetadata);
    g_test_add_func("/conf/withdrawn", testWithdrawn);
    g_test_add_func("/conf/networks", testNetworks);
    g_test_add_func("/conf/bind", testBind);
    g_test_add_func("/conf/reserves", testReserves);
    g_test_add_func("/conf/no-domain", testNoDomain);
    return g_test_run();
}
