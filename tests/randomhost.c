/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The form of the manifest is that of docs/hosts.rst; only what viommu reads is there.
 */
#include "randomhost.h"

#include <string.h>

#define SMMUS_MAX 16
#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Bits of an SMMU that can do everything; fields as in the Arm SMMUv3 specification, 6.3. */
#define IDR0_ALL 0x084c361bu
#define IDR0_S2P 0x1u
#define IDR0_ATS 0x400u
#define IDR1_REST 0x0a739818u /* SSIDSIZE (bits 6-10) is 0 */
#define IDR3_ALL 0x1500u
#define IDR3_RIL 0x400u
#define IDR5_REST 0x70u       /* OAS (bits 0-2) is 0 */
#define IIDR 0x4981043bu      /* no implementation with errata */

bool
randomChance(GRand *rand, int percent)
{
    return g_rand_int_range(rand, 0, 100) < percent;
}

void
randomShuffle(GPtrArray *array, GRand *rand)
{
    guint i;

    for (i = array->len; i > 1; i--) {
        guint j = (guint)g_rand_int_range(rand, 0, (gint32)i);
        void *kept = array->pdata[i - 1];

        array->pdata[i - 1] = array->pdata[j];
        array->pdata[j] = kept;
    }
}

static void
smmuFree(void *data)
{
    randomSMMU *smmu = data;

    g_free(smmu->name);
    g_free(smmu->path);
    g_free(smmu);
}

static void
deviceFree(void *data)
{
    randomDevice *device = data;

    g_free(device->name);
    g_free(device->path);
    g_free(device);
}

void
randomHostFree(randomHost *host)
{
    if (!host)
        return;
    g_ptr_array_unref(host->smmus);
    g_ptr_array_unref(host->devices);
    g_ptr_array_unref(host->lines);
    g_free(host);
}

static void line(randomHost *host, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
line(randomHost *host, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(host->lines, g_strdup_vprintf(format, args));
    va_end(args);
}

/* A link from the directory @from to @to, both below the root. */
static void
linkLine(randomHost *host, const char *from, const char *name, const char *to)
{
    GString *up = g_string_new(NULL);
    const char *at;

    for (at = from; at; at = strchr(at + 1, '/'))
        g_string_append(up, "../");
    line(host, "%s/%s -> %s%s", from, name, up->str, to);
    g_string_free(up, TRUE);
}

static void
writeRegisters(randomHost *host, const randomSMMU *smmu)
{
    static const unsigned outputs[] = { 32, 36, 40, 42, 44, 48, 52 };
    unsigned oas = 0;

    while (outputs[oas] != smmu->outputBits)
        oas++;
    line(host, "probe/%s/idr0 = 0x%08x", smmu->name,
         (IDR0_ALL & ~(smmu->nests ? 0 : IDR0_S2P) & ~(smmu->ats ? 0 : IDR0_ATS)));
    line(host, "probe/%s/idr1 = 0x%08x", smmu->name, IDR1_REST | smmu->ssidBits << 6);
    line(host, "probe/%s/idr3 = 0x%08x", smmu->name, IDR3_ALL & ~(smmu->ril ? 0 : IDR3_RIL));
    line(host, "probe/%s/idr5 = 0x%08x", smmu->name, IDR5_REST | oas);
    line(host, "probe/%s/iidr = 0x%08x", smmu->name, IIDR);
    line(host, "probe/%s/cmdqv = %s", smmu->name, smmu->cmdqv ? "1 1 4" : "0 0 0");
}

static void
addSMMU(randomHost *host, GRand *rand, bool allProbed, int nodes, bool cmdqv)
{
    randomSMMU *smmu = g_new0(randomSMMU, 1);
    unsigned i = host->smmus->len;
    g_autofree char *platform = NULL;
    g_autofree char *class = NULL;

    smmu->v3 = !randomChance(rand, 3);
    smmu->name = g_strdup_printf("%s0x%016x", smmu->v3 ? "smmu3." : "smmu.", 0x5000000 + i * 0x1000000);
    smmu->probed = smmu->v3 && (allProbed || randomChance(rand, 50));
    smmu->nests = !randomChance(rand, 3);
    smmu->ats = randomChance(rand, 80);
    smmu->ril = randomChance(rand, 80);
    smmu->ssidBits = randomChance(rand, 80) ? 20 : 10;
    smmu->outputBits = randomChance(rand, 2) ? 40 : randomChance(rand, 30) ? 44 : 48;
    smmu->cmdqv = cmdqv && smmu->v3;
    smmu->numaNode = nodes ? g_rand_int_range(rand, 0, nodes) : -1;
    platform = g_strdup_printf("sys/devices/platform/arm-smmu-v3.%u.auto", i);
    smmu->path = g_strdup_printf("%s/iommu/%s", platform, smmu->name);
    class = g_strdup_printf("devices/platform/arm-smmu-v3.%u.auto/iommu/%s", i, smmu->name);
    g_ptr_array_add(host->smmus, smmu);
    line(host, "sys/class/iommu/%s -> ../../%s", smmu->name, class);
    line(host, "%s/device -> ../../../arm-smmu-v3.%u.auto", smmu->path, i);
    line(host, "%s/driver -> ../../../bus/platform/drivers/%s", platform,
         smmu->v3 ? "arm-smmu-v3" : "arm-smmu");
    if (smmu->numaNode >= 0)
        line(host, "%s/numa_node = %d", platform, smmu->numaNode);
    if (smmu->probed)
        writeRegisters(host, smmu);
}

/* 68 bytes of configuration space that say by the PCI Express capability: a bridge to conventional PCI. */
static void
writeBridgeConfig(randomHost *host, const randomDevice *port)
{
    static const guchar bytes[0x44] = { 0x36, 0x1b, 0x0c, 0x00, [0x06] = 0x10, [0x34] = 0x40,
                                        [0x40] = 0x10, [0x42] = 7 << 4 | 2 };
    g_autofree char *config = g_base64_encode(bytes, sizeof(bytes));

    line(host, "%s/config : %s", port->path, config);
}

static void
writeDevice(randomHost *host, const randomDevice *device)
{
    const randomSMMU *smmu = device->smmu >= 0 ? g_ptr_array_index(host->smmus, device->smmu) : NULL;
    g_autofree char *group = g_strdup_printf("sys/kernel/iommu_groups/%u", device->group);
    g_autofree char *groupDevices = g_strconcat(group, "/devices", NULL);
    g_autofree char *smmuDevices = smmu ? g_strconcat(smmu->path, "/devices", NULL) : NULL;
    bool port = device->kind == RANDOM_DEVICE_PORT;

    linkLine(host, "sys/bus/pci/devices", device->name, device->path);
    line(host, "%s/uevent = DRIVER=%s\\nPCI_CLASS=%s\\nPCI_ID=10DE:2342\\nPCI_SLOT_NAME=%s", device->path,
         port ? "pcieport" : "vfio-pci", port ? "60400" : "30200", device->name);
    if (device->numaNode >= 0)
        line(host, "%s/numa_node = %d", device->path, device->numaNode);
    if (device->bar)
        line(host, "%s/resource = 0x0000000000000000 0x0000000000000000 0x0000000000000000\\n"
             "0x0000100000000000 0x%016" G_GINT64_MODIFIER "x 0x000000000014220c", device->path,
             0x0000100000000000 + device->bar - 1);
    if (device->physfn >= 0)
        linkLine(host, device->path, "physfn",
                 ((randomDevice *)g_ptr_array_index(host->devices, device->physfn))->path);
    if (!port)
        line(host, "%s/vfio-dev/vfio%u/dev = 511:%u", device->path, device->group, device->group);
    if (!smmu)
        return;
    linkLine(host, device->path, "iommu", smmu->path);
    linkLine(host, device->path, "iommu_group", group);
    linkLine(host, groupDevices, device->name, device->path);
    linkLine(host, smmuDevices, device->name, device->path);
}

static randomDevice *
addDevice(randomHost *host, unsigned segment, unsigned bus, unsigned slot, unsigned function, int parent)
{
    randomDevice *device = g_new0(randomDevice, 1);
    const randomDevice *above = parent >= 0 ? g_ptr_array_index(host->devices, parent) : NULL;

    device->name = g_strdup_printf("%04x:%02x:%02x.%x", segment, bus, slot, function);
    device->segment = segment;
    device->bus = bus;
    device->slot = slot;
    device->function = function;
    device->parent = parent;
    device->physfn = -1;
    device->group = host->devices->len;
    device->path = above ? g_strdup_printf("%s/%s", above->path, device->name)
                         : g_strdup_printf("sys/devices/pci%04x:%02x/%s", segment, bus, device->name);
    g_ptr_array_add(host->devices, device);
    return device;
}

typedef struct {
    unsigned segment;
    unsigned rootBus;
    unsigned nextBus;
    unsigned nextSlot;
    int smmu; /* of this segment's part */
    int numaNode;
} place;

static uint64_t
randomBar(GRand *rand)
{
    static const uint64_t sizes[] = { 0, 16 * KIB, 32 * MIB, 16 * GIB, 128 * GIB };
    static const uint64_t huge[] = { 256 * GIB, 512 * GIB };

    if (randomChance(rand, 3))
        return huge[g_rand_int_range(rand, 0, G_N_ELEMENTS(huge))];
    return sizes[g_rand_int_range(rand, 0, G_N_ELEMENTS(sizes))];
}

static void
spoil(randomHost *host, randomDevice *device, randomDeviceKind kind, const randomDevice *port)
{
    device->kind = kind;
    if (kind == RANDOM_DEVICE_UNTRANSLATED)
        device->smmu = -1;
    if (kind == RANDOM_DEVICE_GROUPED)
        device->group = port->group;
    if (kind == RANDOM_DEVICE_DIRECT)
        line(host, "sys/kernel/iommu_groups/%u/reserved_regions = "
             "0x0000000008000000 0x00000000080fffff msi\\n0x0000000080000000 0x000000008fffffff direct",
             device->group);
}

/* A root port with a device of one or more functions below. */
static void
addCard(randomHost *host, GRand *rand, place *at, int badPercent)
{
    static const randomDeviceKind bad[] = { RANDOM_DEVICE_UNTRANSLATED, RANDOM_DEVICE_GROUPED,
                                            RANDOM_DEVICE_DIRECT, RANDOM_DEVICE_ALIASED };
    guint portIndex = host->devices->len;
    randomDevice *port;
    unsigned bus = at->nextBus;
    unsigned functions = randomChance(rand, 70) ? 1 : (unsigned)g_rand_int_range(rand, 2, 9);
    bool virtual = functions > 1 && randomChance(rand, 50);
    randomDeviceKind kind = RANDOM_DEVICE_GOOD;
    unsigned i;

    if (bus > 254 || at->nextSlot > 255)
        return;
    port = addDevice(host, at->segment, at->rootBus, at->nextSlot / 8, at->nextSlot % 8, -1);
    at->nextBus++;
    at->nextSlot++;
    port->kind = RANDOM_DEVICE_PORT;
    port->smmu = at->smmu;
    port->numaNode = at->numaNode;
    writeDevice(host, port);
    if (randomChance(rand, badPercent))
        kind = bad[g_rand_int_range(rand, 0, G_N_ELEMENTS(bad))];
    if (kind == RANDOM_DEVICE_ALIASED)
        writeBridgeConfig(host, port);
    for (i = 0; i < functions; i++) {
        randomDevice *device = addDevice(host, at->segment, bus, virtual ? i / 8 : 0, i, (int)portIndex);

        device->smmu = at->smmu;
        device->numaNode = at->numaNode;
        device->bar = randomBar(rand);
        if (virtual && i > 0)
            device->physfn = (int)portIndex + 1;
        spoil(host, device, kind, port);
        /* A bridge is above all functions. */
        if (kind != RANDOM_DEVICE_ALIASED)
            kind = RANDOM_DEVICE_GOOD;
        writeDevice(host, device);
    }
}

randomHost *
randomHostNew(GRand *rand)
{
    randomHost *host = g_new0(randomHost, 1);
    int smmus = randomChance(rand, 15) ? 1 : g_rand_int_range(rand, 1, SMMUS_MAX + 1);
    bool allProbed = randomChance(rand, 60);
    bool cmdqv = randomChance(rand, 40);
    bool shared = randomChance(rand, 25); /* one segment, a range of buses for each */
    int nodes = randomChance(rand, 50) ? g_rand_int_range(rand, 1, 5) : 0;
    int badPercent = randomChance(rand, 50) ? 0 : 15;
    int big = randomChance(rand, 12) ? g_rand_int_range(rand, 0, smmus) : -1;
    int i;

    host->smmus = g_ptr_array_new_with_free_func(smmuFree);
    host->devices = g_ptr_array_new_with_free_func(deviceFree);
    host->lines = g_ptr_array_new_with_free_func(g_free);
    line(host, "sys/bus/acpi/devices");
    for (i = 0; i < smmus; i++)
        addSMMU(host, rand, allProbed, nodes, cmdqv);
    for (i = 0; i < smmus; i++) {
        const randomSMMU *smmu = g_ptr_array_index(host->smmus, i);
        int segments = shared || randomChance(rand, 85) ? 1 : 2;
        int segment;

        for (segment = 0; segment < segments; segment++) {
            place at = { .smmu = i, .numaNode = smmu->numaNode };
            int cards = i == big ? g_rand_int_range(rand, 17, 30) : g_rand_int_range(rand, 1, 6);

            /* The order of segments is not that of the SMMUs. */
            at.segment = shared ? 0 : (unsigned)(segment * SMMUS_MAX + (i * 7 + 3) % SMMUS_MAX);
            at.rootBus = shared ? (unsigned)i * 8 : 0;
            at.nextBus = at.rootBus + 1;
            if (shared)
                cards = MIN(cards, 7);
            for (; cards > 0; cards--)
                addCard(host, rand, &at, badPercent);
        }
    }
    return host;
}

bool
randomSMMUIsGood(const randomSMMU *smmu)
{
    return smmu->v3 && (!smmu->probed || (smmu->nests && smmu->outputBits >= 44));
}

bool
randomDeviceIsGood(const randomHost *host, const randomDevice *device)
{
    return device->kind == RANDOM_DEVICE_GOOD && device->smmu >= 0 &&
           randomSMMUIsGood(g_ptr_array_index(host->smmus, device->smmu));
}

const randomDevice *
randomHostFind(const randomHost *host, const char *name)
{
    guint i;

    for (i = 0; i < host->devices->len; i++) {
        const randomDevice *device = g_ptr_array_index(host->devices, i);

        if (strcmp(device->name, name) == 0)
            return device;
    }
    return NULL;
}

char *
randomHostManifest(const randomHost *host, GRand *shuffle)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    GString *out = g_string_new("# a made-up host\n");
    guint i;

    g_ptr_array_extend(lines, host->lines, NULL, NULL);
    if (shuffle)
        randomShuffle(lines, shuffle);
    for (i = 0; i < lines->len; i++)
        g_string_append_printf(out, "%s\n", (const char *)g_ptr_array_index(lines, i));
    return g_string_free(out, FALSE);
}
