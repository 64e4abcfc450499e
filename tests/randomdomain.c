/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain is made in the order in which a user would think of it: the machine, its PCI controllers, the
 * host devices, the emulated ones, the request; and is then mixed.
 */
#include "randomdomain.h"

#include <string.h>

#define PORTS_MAX 64

/* What is known of the domain while it is made. */
typedef struct {
    randomDomain *dom;
    const randomHost *host;
    GRand *rand;
    GPtrArray *chosen;  /* of randomDevice: to be passed through */
    unsigned nextIndex; /* of PCI controllers */
    unsigned nextSlot;  /* of pcie.0 */
    unsigned ports[PORTS_MAX]; /* indexes of free root ports on pcie.0 */
    unsigned portCount;
    unsigned below;     /* index of a free port below an expander bus of the user's; 0: none */
    GHashTable *seats;  /* name of a host device -> its <address> */
    bool mixed;         /* children of <devices> in any order */
    int expanderSMMU;   /* of the expander bus that a request may name; -1: none */
    unsigned expanderIndex;
} making;

static bool
chance(making *make, int percent)
{
    return randomChance(make->rand, percent);
}

static unsigned
pick(making *make, unsigned from, unsigned to)
{
    return (unsigned)g_rand_int_range(make->rand, (gint32)from, (gint32)to + 1);
}

static void
elementFree(void *data)
{
    randomElement *element = data;

    g_free(element->text);
    g_free(element->source);
    g_free(element);
}

void
randomDomainFree(randomDomain *dom)
{
    if (!dom)
        return;
    g_free(dom->rootAttrs);
    g_string_free(dom->head, TRUE);
    g_string_free(dom->tail, TRUE);
    g_ptr_array_unref(dom->devices);
    g_free(dom->network);
    g_free(dom);
}

static void add(making *make, const char *source, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
add(making *make, const char *source, const char *format, ...)
{
    randomElement *element = g_new0(randomElement, 1);
    char *nothing;
    char *text;
    va_list args;

    va_start(args, format);
    element->text = g_strdup_vprintf(format, args);
    va_end(args);
    nothing = strchr(element->text, '\n');
    if (nothing && g_str_has_prefix(nothing, "\n</")) {
        nothing[-1] = '\0'; /* <a></a> is <a/> */
        text = g_strconcat(element->text, "/>", NULL);
        g_free(element->text);
        element->text = text;
    }
    element->source = g_strdup(source);
    element->movable = source != NULL;
    g_ptr_array_add(make->dom->devices, element);
}

static unsigned
takeIndex(making *make)
{
    if (chance(make, 10))
        make->nextIndex += pick(make, 1, 3); /* a gap */
    return make->nextIndex++;
}

static char *
formatAddr(making *make, unsigned bus, unsigned slot, unsigned function, bool multifunction)
{
    const char *more = multifunction ? " multifunction='on'" : "";

    if (chance(make, 10))
        return g_strdup_printf("<address type='pci' bus='%u' slot='%u' function='%u'%s/>", bus, slot,
                               function, more);
    return g_strdup_printf("<address type='pci' domain='0x0000' bus='0x%02x' slot='0x%02x' "
                           "function='0x%x'%s/>", bus, slot, function, more);
}

/* The frame */

static void
makeMachine(making *make)
{
    randomDomain *dom = make->dom;
    bool acpi = !chance(make, 1);
    bool firmware = !chance(make, 1);

    dom->accel = !chance(make, 12);
    dom->rootAttrs = g_strdup_printf("type='%s'%s", dom->accel ? "kvm" : "qemu",
                                     chance(make, 20) ? " id='3'" : "");
    if (!chance(make, 5))
        g_string_append(dom->head, "<name>guest</name>\n");
    if (chance(make, 30))
        g_string_append(dom->head, "<title>A guest &amp; more</title>\n"
                                   "<description><![CDATA[a < b]]> of 'us'</description>\n");
    if (chance(make, 30))
        g_string_append(dom->head, "<metadata>\n  <x:note xmlns:x=\"urn:x\" kept='yes'/>\n</metadata>\n");
    else if (chance(make, 10))
        g_string_append(dom->head, "<metadata/>\n");
    g_string_append(dom->head, "<memory unit='GiB'>16</memory>\n<vcpu>8</vcpu>\n");
    if (chance(make, 40))
        g_string_append(dom->head, "<memoryBacking>\n  <hugepages/>\n</memoryBacking>\n");
    if (chance(make, 20))
        g_string_append_printf(dom->head, "<iommufd enabled='%s'/>\n", chance(make, 95) ? "yes" : "no");
    g_string_append_printf(dom->head, "<os%s>\n  <type arch='aarch64' machine='%s'>hvm</type>\n",
                           firmware ? " firmware='efi'" : "",
                           chance(make, 50) ? "virt" : chance(make, 98) ? "virt-11.0" : "raspi4b");
    g_string_append(dom->head, "  <boot dev='hd'/>\n</os>\n<!-- features -->\n");
    g_string_append_printf(dom->head, "<features>\n  %s%s%s</features>\n",
                           acpi ? "<acpi/>\n  " : "<apic/>\n  ",
                           chance(make, 10) ? "<ioapic driver='qemu'/>\n  " : "",
                           chance(make, 50) ? "<gic version='3'/>\n" : "<pmu state='on'/>\n");
    if (chance(make, 20))
        g_string_append(dom->head, "<unknown a='1'><b>text</b></unknown>\n");
}

static void
makeNuma(making *make)
{
    GString *head = make->dom->head;
    unsigned cells = pick(make, 1, 4);
    unsigned i;

    if (!chance(make, 40)) {
        g_string_append(head, "<cpu mode='host-passthrough'/>\n");
        return;
    }
    g_string_append(head, "<cpu mode='host-passthrough'>\n  <numa>\n");
    for (i = 0; i < cells; i++)
        g_string_append_printf(head, "    <cell id='%u' cpus='%u' memory='4' unit='GiB'/>\n", i, i);
    g_string_append(head, "  </numa>\n</cpu>\n");
    if (!chance(make, 80))
        return;
    g_string_append(head, "<numatune>\n");
    for (i = 0; i < cells; i++)
        g_string_append_printf(head, "  <memnode cellid='%u' mode='strict' nodeset='%u'/>\n", i,
                               pick(make, 0, 3));
    g_string_append(head, "</numatune>\n");
}

/* Controllers */

static void
makeRoot(making *make)
{
    /* Without index it must come first: libvirt wants pcie-root to be number 0. */
    const char *index = make->mixed || chance(make, 70) ? " index='0'" : "";

    if (chance(make, 45))
        return;
    if (chance(make, 30))
        add(make, NULL, "<controller type='pci'%s model='pcie-root'>\n"
            "  <pcihole64 unit='%s'>%u</pcihole64>\n</controller>", index,
            chance(make, 50) ? "GiB" : "G", chance(make, 90) ? 512u << pick(make, 0, 3) : 600u);
    else
        add(make, NULL, "<controller type='pci'%s model='pcie-root'/>", index);
}

/* The rest of a port: what it is called, its chassis, its address. */
static char *
formatPortBody(making *make, unsigned index, const char *addr)
{
    GString *body = g_string_new(NULL);

    if (chance(make, 30))
        g_string_append(body, "  <model name='pcie-root-port'/>\n");
    if (chance(make, 30))
        g_string_append_printf(body, "  <target chassis='%u' port='0x%x'/>\n", index, index & 7);
    if (chance(make, 10))
        g_string_append_printf(body, "  <alias name='ua-port%u'/>\n", index);
    if (addr)
        g_string_append_printf(body, "  %s\n", addr);
    return g_string_free(body, FALSE);
}

static void
makePlainPorts(making *make)
{
    unsigned count = chance(make, 50) ? pick(make, 0, 8) : 0;
    bool indexed = chance(make, 70);
    unsigned i;

    /* Those without index take the lowest free ones; where is not known here. */
    for (i = 0; i < count && !indexed; i++)
        add(make, NULL, "<controller type='pci' model='pcie-root-port'/>");
    if (!indexed)
        make->nextIndex += count;
    for (i = 0; i < count && indexed; i++) {
        unsigned index = takeIndex(make);
        g_autofree char *addr = chance(make, 50) ? formatAddr(make, 0, make->nextSlot++, 0, false) : NULL;
        g_autofree char *body = formatPortBody(make, index, addr);

        add(make, NULL, "<controller type='pci' index='%u' model='pcie-root-port'>\n%s</controller>",
            index, body);
        make->ports[make->portCount++] = index;
    }
    if (make->portCount && chance(make, 20)) {
        unsigned port = make->ports[--make->portCount];
        g_autofree char *addr = formatAddr(make, port, 0, 0, false);

        add(make, NULL, "<controller type='pci' index='%u' model='pcie-to-pci-bridge'>\n"
            "  <model name='pcie-pci-bridge'/>\n  %s\n</controller>", takeIndex(make), addr);
    }
}

/* The next chosen device of @smmu that has no address; NULL if there is none. */
static const randomDevice *
nextUnseated(making *make, int smmu)
{
    guint i;

    for (i = 0; i < make->chosen->len; i++) {
        const randomDevice *device = g_ptr_array_index(make->chosen, i);

        if (device->smmu == smmu && !g_hash_table_contains(make->seats, device->name))
            return device;
    }
    return NULL;
}

static void
seatOn(making *make, int smmu, unsigned port)
{
    const randomDevice *device = nextUnseated(make, smmu);

    if (device && chance(make, 75))
        g_hash_table_insert(make->seats, device->name, formatAddr(make, port, 0, 0, false));
    else
        make->below = port;
}

/* A switch on root port @port, with devices of @smmu below. */
static void
makeSwitch(making *make, unsigned port, int smmu)
{
    unsigned upstream = takeIndex(make);
    g_autofree char *addr = formatAddr(make, port, 0, 0, false);
    unsigned count = pick(make, 1, 3);
    unsigned i;

    add(make, NULL, "<controller type='pci' index='%u' model='pcie-switch-upstream-port'>\n"
        "  %s\n</controller>", upstream, addr);
    for (i = 0; i < count; i++) {
        unsigned downstream = takeIndex(make);
        g_autofree char *place = formatAddr(make, upstream, i, 0, false);

        add(make, NULL, "<controller type='pci' index='%u' model='pcie-switch-downstream-port'>\n"
            "  %s\n</controller>", downstream, place);
        seatOn(make, smmu, downstream);
    }
}

/* An expander bus of the user's own, and below it ports for devices of one SMMU. */
static void
makeExpander(making *make, unsigned busNr)
{
    const randomDevice *first = g_ptr_array_index(make->chosen, pick(make, 0, make->chosen->len - 1));
    unsigned index = takeIndex(make);
    g_autofree char *addr = chance(make, 60) ? formatAddr(make, 0, make->nextSlot++, 0, false) : NULL;
    bool devices = chance(make, 70);
    unsigned ports = pick(make, 1, 4);
    unsigned i;

    add(make, NULL, "<controller type='pci' index='%u' model='pcie-expander-bus'>\n%s%s%s%s%s"
        "</controller>", index, chance(make, 50) ? "  <model name='pxb-pcie'/>\n" : "",
        busNr == 0 ? "" : busNr == 200 ? "  <target busNr='200'/>\n" : "  <target busNr='160'/>\n",
        addr ? "  " : "", addr ? addr : "", addr ? "\n" : "");
    for (i = 0; i < ports; i++) {
        unsigned port = takeIndex(make);
        g_autofree char *place = formatAddr(make, index, i, 0, false);
        g_autofree char *body = formatPortBody(make, port, place);

        add(make, NULL, "<controller type='pci' index='%u' model='pcie-root-port'>\n%s</controller>",
            port, body);
        if (!devices)
            continue;
        if (i == 0 && chance(make, 15))
            makeSwitch(make, port, first->smmu);
        else
            seatOn(make, first->smmu, port);
    }
    if (devices && chance(make, 50)) {
        make->expanderSMMU = first->smmu;
        make->expanderIndex = index;
    }
}

/* Functions of one card in one slot of a port on pcie.0; and other addresses that cannot stay. */
static void
seatOnRoot(making *make)
{
    guint i;
    guint j;

    for (i = 0; i < make->chosen->len && make->portCount; i++) {
        const randomDevice *device = g_ptr_array_index(make->chosen, i);
        unsigned functions = 1;
        unsigned port;

        if (g_hash_table_contains(make->seats, device->name) || !chance(make, 25))
            continue;
        port = make->ports[--make->portCount];
        for (j = i + 1; j < make->chosen->len && functions < 8 && device->slot == 0; j++) {
            const randomDevice *other = g_ptr_array_index(make->chosen, j);

            if (other->parent == device->parent && other->slot == device->slot &&
                !g_hash_table_contains(make->seats, other->name))
                g_hash_table_insert(make->seats, other->name,
                                    formatAddr(make, port, 0, functions++, false));
        }
        g_hash_table_insert(make->seats, device->name, formatAddr(make, port, 0, 0, functions > 1));
    }
}

/* Host devices */

/* Is @device a virtual function of one that is chosen, or the other way round? The two cannot be given away
 * together. */
static bool
conflicts(const making *make, const randomDevice *device)
{
    GPtrArray *devices = make->host->devices;
    guint i;

    for (i = 0; i < make->chosen->len; i++) {
        const randomDevice *other = g_ptr_array_index(make->chosen, i);

        if ((device->physfn >= 0 && g_ptr_array_index(devices, device->physfn) == other) ||
            (other->physfn >= 0 && g_ptr_array_index(devices, other->physfn) == device))
            return true;
    }
    return false;
}

/* The SMMU with the most devices. */
static int
largestSMMU(const making *make)
{
    g_autofree unsigned *counts = g_new0(unsigned, make->host->smmus->len);
    int largest = 0;
    guint i;

    for (i = 0; i < make->host->devices->len; i++) {
        const randomDevice *device = g_ptr_array_index(make->host->devices, i);

        if (device->smmu >= 0 && ++counts[device->smmu] > counts[largest])
            largest = device->smmu;
    }
    return largest;
}

static void
choose(making *make)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    bool any = chance(make, 12); /* bad ones as well */
    unsigned most = chance(make, 10) ? 60 : chance(make, 50) ? 3 : 12;
    int only = most == 60 && chance(make, 50) ? largestSMMU(make) : -1;
    guint i;

    for (i = 0; i < make->host->devices->len; i++) {
        const randomDevice *device = g_ptr_array_index(make->host->devices, i);

        if (only >= 0 && device->smmu != only)
            continue;
        if (randomDeviceIsGood(make->host, device) ||
            (any && (device->kind != RANDOM_DEVICE_PORT || chance(make, 3))))
            g_ptr_array_add(all, (void *)device);
    }
    randomShuffle(all, make->rand);
    for (i = 0; i < all->len && make->chosen->len < most; i++) {
        if (!conflicts(make, g_ptr_array_index(all, i)) || chance(make, 1))
            g_ptr_array_add(make->chosen, g_ptr_array_index(all, i));
    }
    if (make->chosen->len && chance(make, 1))
        g_ptr_array_add(make->chosen, g_ptr_array_index(make->chosen, 0)); /* twice */
}

static char *
formatSource(const randomDevice *device, const char *type)
{
    return g_strdup_printf("  <source>\n    <address%s domain='0x%04x' bus='0x%02x' slot='0x%02x' "
                           "function='0x%x'/>\n  </source>\n", type, device->segment, device->bus,
                           device->slot, device->function);
}

char *
randomHostdevText(const randomDevice *device, bool managed)
{
    g_autofree char *source = formatSource(device, "");

    return g_strdup_printf("<hostdev mode='subsystem' type='pci'%s>\n%s</hostdev>",
                           managed ? " managed='yes'" : "", source);
}

static void
addHostDevice(making *make, const randomDevice *device)
{
    const char *addr = g_hash_table_lookup(make->seats, device->name);
    g_autofree char *place = addr ? g_strdup_printf("  %s\n", addr) : g_strdup("");
    g_autofree char *source = NULL;
    const char *more = chance(make, 10) ? "  <driver name='vfio'/>\n"
                       : chance(make, 5) ? "  <driver iommufd='yes'/>\n"
                       : chance(make, 10) ? "  <alias name='ua-dev'/>\n" : "";

    if (device->physfn >= 0 && chance(make, 50)) {
        source = formatSource(device, " type='pci'");
        add(make, device->name, "<interface type='hostdev' managed='yes'>\n"
            "  <mac address='52:54:00:%02x:%02x:%02x'/>\n%s%s</interface>", device->bus, device->slot,
            device->function, source, place);
        return;
    }
    source = formatSource(device, "");
    add(make, device->name, "<hostdev mode='subsystem' type='pci'%s>\n%s%s%s</hostdev>",
        chance(make, 70) ? " managed='yes'" : "", more, source, place);
}

/* Interfaces on a network of virtual functions that is known by its physical one. */
static void
makeNetwork(making *make)
{
    unsigned count = pick(make, 1, 3);
    unsigned i;

    for (i = 0; i < make->host->devices->len && !make->dom->network; i++) {
        const randomDevice *device = g_ptr_array_index(make->host->devices, i);

        if (device->physfn >= 0 && randomDeviceIsGood(make->host, device) && !conflicts(make, device) &&
            chance(make, 20))
            make->dom->network = g_strdup(device->name);
    }
    for (i = 0; i < count && make->dom->network; i++)
        add(make, NULL, "<interface type='network'>\n  <mac address='52:54:00:aa:00:%02x'/>\n"
            "  <source network='vfs'/>\n</interface>", i);
}

/* Emulated devices */

static void
makeEmulated(making *make)
{
    static const char *const plain[] = {
        "<disk type='file' device='disk'>\n  <source file='/images/a.img'/>\n"
        "  <target dev='vda' bus='virtio'/>\n%s</disk>",
        "<interface type='ethernet'>\n  <mac address='52:54:00:00:00:01'/>\n"
        "  <model type='virtio'/>\n%s</interface>",
        "<rng model='virtio'>\n  <backend model='random'>/dev/urandom</backend>\n%s</rng>",
        "<memballoon model='virtio'>\n%s</memballoon>",
        "<controller type='usb' index='0' model='qemu-xhci'>\n%s</controller>",
        "<video>\n  <model type='virtio'/>\n%s</video>",
        "<input type='keyboard' bus='virtio'>\n%s</input>",
        "<vsock model='virtio'>\n  <cid auto='yes'/>\n%s</vsock>",
    };
    static const char *const others[] = {
        "<serial type='pty'/>",
        "<input type='tablet' bus='usb'/>",
        "<graphics type='vnc' autoport='yes'/>",
        "<channel type='unix'>\n  <target type='virtio' name='org.qemu.guest_agent.0'/>\n</channel>",
        "<disk type='file' device='cdrom'>\n  <target dev='sda' bus='scsi'/>\n</disk>",
        "<controller type='virtio-serial' index='0'/>",
        "<hostdev mode='subsystem' type='usb'>\n  <source>\n    <vendor id='0x1234'/>\n"
        "    <product id='0xbeef'/>\n  </source>\n</hostdev>",
        "<tpm model='tpm-tis-device'>\n  <backend type='emulator' version='2.0'/>\n</tpm>",
    };
    unsigned density = pick(make, 0, 90);
    size_t i;

    add(make, NULL, "<emulator>/usr/bin/qemu-system-aarch64</emulator>");
    for (i = 0; i < G_N_ELEMENTS(plain); i++) {
        g_autofree char *addr = NULL;
        g_autofree char *place = g_strdup("");
        g_auto(GStrv) parts = NULL;

        if (!chance(make, (int)density))
            continue;
        if (make->below && chance(make, 2)) {
            addr = formatAddr(make, make->below, 0, 0, false);
            make->below = 0;
        } else if (make->portCount && chance(make, 40)) {
            addr = formatAddr(make, make->ports[--make->portCount], 0, 0, false);
        }
        if (addr) {
            g_free(place);
            place = g_strdup_printf("  %s\n", addr);
        }
        parts = g_strsplit(plain[i], "%s", 2);
        add(make, NULL, "%s%s%s", parts[0], place, parts[1]);
    }
    for (i = 0; i < G_N_ELEMENTS(others); i++) {
        if (chance(make, (int)density / 2))
            add(make, NULL, "%s", others[i]);
    }
    if (chance(make, 4))
        add(make, NULL, "<watchdog model='i6300esb' action='reset'/>");
    if (chance(make, 4))
        add(make, NULL, "<panic model='pvpanic'/>");
    if (chance(make, 10))
        add(make, NULL, "<!-- a comment with <tags/> and 'quotes' -->");
}

/* The request */

static char *
formatFeatures(making *make)
{
    GString *out = g_string_new(NULL);

    if (chance(make, 75))
        return g_string_free(out, FALSE);
    if (chance(make, 30))
        g_string_append_printf(out, " cmdqv='%s'", chance(make, 40) ? "on" : chance(make, 50) ? "off" : "auto");
    if (chance(make, 30))
        g_string_append_printf(out, " ats='%s'", chance(make, 50) ? "on" : "off");
    if (chance(make, 30))
        g_string_append_printf(out, " ril='%s'", chance(make, 50) ? "on" : "auto");
    if (chance(make, 30))
        g_string_append_printf(out, " ssidsize='%u'", chance(make, 95) ? pick(make, 0, 10) : 21);
    if (chance(make, 20))
        g_string_append_printf(out, " oas='%s'", chance(make, 50) ? "44" : "auto");
    return g_string_free(out, FALSE);
}

static void
addRequest(making *make, const char *smmu, int pciBus, const char *placement)
{
    g_autofree char *features = formatFeatures(make);
    g_autofree char *bus = pciBus >= 0 ? g_strdup_printf(" pciBus='%d'", pciBus) : g_strdup("");
    bool intel = chance(make, 5);

    if (!smmu && !*features && !*bus && !*placement && !intel) {
        add(make, NULL, chance(make, 50) ? "<iommu model='smmuv3' nested='yes'/>"
                                         : "<iommu nested='yes' model='smmuv3'></iommu>");
        return;
    }
    add(make, NULL, "<iommu model='smmuv3' nested='yes'>\n  <driver%s%s%s/>\n%s%s%s%s</iommu>", bus,
        features, intel ? " intremap='on' caching_mode='on'" : "", placement,
        smmu ? "  <source smmu='" : "", smmu ? smmu : "", smmu ? "'/>\n" : "");
}

static void
makeRequests(making *make)
{
    g_autofree char *placement = g_strdup("");
    GPtrArray *smmus = make->host->smmus;
    guint i;

    if (chance(make, 30)) {
        g_free(placement);
        placement = g_strdup_printf("  <placement sparePorts='%u'%s/>\n", pick(make, 0, 3),
                                    chance(make, 25) ? " smmus='all'" : "");
    }
    if (!chance(make, 10))
        addRequest(make, NULL, -1, placement);
    else
        addRequest(make, ((randomSMMU *)g_ptr_array_index(smmus, pick(make, 0, smmus->len - 1)))->name,
                   -1, placement);
    for (i = 0; i < smmus->len && chance(make, 30); i++) {
        const randomSMMU *smmu = g_ptr_array_index(smmus, i);
        bool named = make->expanderSMMU == (int)i;

        if (smmu->v3)
            addRequest(make, smmu->name, named ? (int)make->expanderIndex : -1,
                       chance(make, 50) ? "  <placement sparePorts='1'/>\n" : "");
    }
}

/* Form */

static void
chooseStyle(making *make)
{
    static const char *const indents[] = { "  ", "    ", "\t", " ", "" };
    randomDomain *dom = make->dom;

    dom->indent = chance(make, 10) ? NULL : indents[pick(make, 0, chance(make, 60) ? 0 : 4)];
    dom->newline = chance(make, 8) ? "\r\n" : "\n";
    dom->doubleQuotes = chance(make, 30);
}

static void
makeTail(making *make)
{
    randomDomain *dom = make->dom;
    g_autofree char *attrs = NULL;

    if (chance(make, 10))
        g_string_append(dom->tail, "<seclabel type='none'/>\n");
    if (!chance(make, 15))
        return;
    attrs = g_steal_pointer(&dom->rootAttrs);
    dom->rootAttrs = g_strconcat(attrs, " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'", NULL);
    if (chance(make, 50))
        g_string_append(dom->tail, "<qemu:commandline>\n  <qemu:arg value='-no-reboot'/>\n"
                                   "</qemu:commandline>\n");
    if (chance(make, 50))
        g_string_append(dom->tail, "<qemu:override>\n  <qemu:device alias='net0'>\n    <qemu:frontend>\n"
                        "      <qemu:property name='x' type='bool' value='true'/>\n"
                        "    </qemu:frontend>\n  </qemu:device>\n</qemu:override>\n");
}

randomDomain *
randomDomainNew(const randomHost *host, GRand *rand)
{
    randomDomain *dom = g_new0(randomDomain, 1);
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    g_autoptr(GHashTable) seats = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    making make = { .dom = dom, .host = host, .rand = rand, .chosen = chosen, .seats = seats,
                    .nextIndex = 1, .nextSlot = 1, .mixed = randomChance(rand, 40),
                    .expanderSMMU = -1 };
    guint i;

    dom->head = g_string_new(NULL);
    dom->tail = g_string_new(NULL);
    dom->devices = g_ptr_array_new_with_free_func(elementFree);
    makeMachine(&make);
    makeNuma(&make);
    choose(&make);
    makeRoot(&make);
    makePlainPorts(&make);
    if (chosen->len && randomChance(rand, 25))
        makeExpander(&make, randomChance(rand, 60) ? 200 : 0);
    if (chosen->len && randomChance(rand, 10))
        makeExpander(&make, randomChance(rand, 60) ? 160 : 0);
    seatOnRoot(&make);
    makeEmulated(&make);
    for (i = 0; i < chosen->len; i++)
        addHostDevice(&make, g_ptr_array_index(chosen, i));
    if (randomChance(rand, 10))
        makeNetwork(&make);
    makeRequests(&make);
    if (make.mixed)
        randomShuffle(dom->devices, rand);
    makeTail(&make);
    chooseStyle(&make);
    return dom;
}

char *
randomDomainStyle(const randomDomain *dom, const char *text, unsigned depth)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; lines[i]; i++) {
        const char *line = lines[i];
        unsigned level = depth;

        if (!*line)
            continue;
        for (; line[0] == ' ' && line[1] == ' '; line += 2)
            level++;
        for (; level && dom->indent; level--)
            g_string_append(out, dom->indent);
        g_string_append(out, line);
        if (dom->indent)
            g_string_append(out, dom->newline);
    }
    if (dom->doubleQuotes)
        g_strdelimit(out->str, "'", '"');
    return g_string_free(out, FALSE);
}

char *
randomDomainFormat(const randomDomain *dom, GRand *shuffle)
{
    g_autoptr(GPtrArray) moving = g_ptr_array_new();
    g_autoptr(GString) all = g_string_new(NULL);
    guint i;
    guint next = 0;

    for (i = 0; i < dom->devices->len; i++) {
        randomElement *element = g_ptr_array_index(dom->devices, i);

        if (element->movable)
            g_ptr_array_add(moving, element);
    }
    if (shuffle)
        randomShuffle(moving, shuffle);
    g_string_append_printf(all, "<domain %s>\n", dom->rootAttrs);
    for (i = 0; i < 2; i++) {
        g_auto(GStrv) lines = g_strsplit(i ? dom->tail->str : dom->head->str, "\n", -1);
        guint j;

        for (j = 0; lines[j]; j++) {
            if (*lines[j])
                g_string_append_printf(all, "  %s\n", lines[j]);
        }
        if (i)
            break;
        g_string_append(all, "  <devices>\n");
        for (j = 0; j < dom->devices->len; j++) {
            const randomElement *element = g_ptr_array_index(dom->devices, j);
            g_auto(GStrv) parts = NULL;
            guint k;

            if (element->movable)
                element = g_ptr_array_index(moving, next++);
            parts = g_strsplit(element->text, "\n", -1);
            for (k = 0; parts[k]; k++)
                g_string_append_printf(all, "    %s\n", parts[k]);
        }
        g_string_append(all, "  </devices>\n");
    }
    g_string_append(all, "</domain>\n");
    return randomDomainStyle(dom, all->str, 0);
}
