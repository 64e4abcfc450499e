/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long planning takes, as ratios: the clock of the machine does not matter. Prints "NAME RATIO LIMIT" for
 * each. Of every time the least of several runs counts, with the two sides of a ratio in turns, so that other
 * load disturbs both or none.
 *
 * Usage: planbench HOST.sysfs DOMAIN.xml
 */
#include "viommu_check.h"
#include "viommu_expand.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_MIN 15
#define LONG_ENOUGH 1.5e9 /* nanoseconds */

/* SMMU i of the made-up host is segment i; devices have 8 functions. */
#define SMMUS 16
#define FUNCTIONS 8
#define SMMU_BASE 0x5000000u

typedef struct {
    virSysfs *fs;
    virSMMUTopology *topology;
    char *xml;
    size_t len;
    viommuDomain *dom; /* read from that */
} subject;

G_NORETURN static void
die(const char *what, const GError *error)
{
    fprintf(stderr, "planbench: %s: %s\n", what, error ? error->message : "refused");
    exit(3);
}

static void
readHost(subject *sub, const char *manifest, size_t len)
{
    GError *error = NULL;

    sub->fs = virSysfsNewManifest(manifest, len, &error);
    sub->topology = sub->fs ? virSMMUTopologyRead(sub->fs, &error) : NULL;
    if (!sub->topology)
        die("the host", error);
}

static void
loadDetails(const subject *sub)
{
    GError *error = NULL;
    size_t i;

    for (i = 0; i < sub->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(sub->dom->devices, i);
        virSMMUDevice *host = device->haveSource
                                  ? virSMMUTopologyFindDevice(sub->topology, &device->source) : NULL;

        if (host && !virSMMUTopologyLoadDetails(sub->topology, sub->fs, host, &error))
            die("a device", error);
    }
}

static viommuDomain *
parse(const subject *sub)
{
    GError *error = NULL;
    viommuDomain *dom = viommuDomainParse(sub->xml, sub->len, &error);

    if (!dom)
        die("the domain", error);
    return dom;
}

/* From bytes to bytes; the host is known. */
static void
expand(const void *data)
{
    const viommuPlanOptions options = { VIOMMU_VERSION_QEMU(11, 1) };
    const subject *sub = data;
    g_autoptr(viommuDomain) dom = parse(sub);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(viommuPlan) plan = viommuPlanMake(dom, sub->topology, &options, findings);
    g_autofree char *text = NULL;
    size_t len;

    if (!plan)
        die("the plan", NULL);
    text = viommuExpand(dom, plan, VIOMMU_DIALECT_NATIVE, &len, NULL);
    if (!text)
        die("the expansion", NULL);
}

/* Reads, plans and checks what may well be refused. */
static void
judge(const void *data)
{
    const viommuPlanOptions options = { VIOMMU_VERSION_QEMU(11, 1) };
    const subject *sub = data;
    const viommuCheckContext context = { .host = sub->topology };
    g_autoptr(viommuDomain) dom = parse(sub);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();

    viommuPlanFree(viommuPlanMake(dom, sub->topology, &options, findings));
    viommuCheckDomain(dom, &context, findings);
}

/* From what was read to the plan. */
static void
plan(const void *data)
{
    const viommuPlanOptions options = { VIOMMU_VERSION_QEMU(11, 1) };
    const subject *sub = data;
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(viommuPlan) made = viommuPlanMake(sub->dom, sub->topology, &options, findings);

    if (!made)
        die("the plan", NULL);
}

static void
copyByLibxml(const void *data)
{
    const subject *sub = data;
    xmlDoc *doc = xmlReadMemory(sub->xml, (int)sub->len, NULL, NULL, XML_PARSE_NONET);
    xmlChar *text = NULL;
    int len = 0;

    xmlDocDumpMemory(doc, &text, &len);
    xmlFree(text);
    xmlFreeDoc(doc);
}

/* Processor time of this process, in nanoseconds. */
static double
timeNow(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double
timeOnce(void (*run)(const void *), const void *data, unsigned times)
{
    double begin = timeNow();
    unsigned i;

    for (i = 0; i < times; i++)
        run(data);
    return (timeNow() - begin) / times;
}

/* How often longer @run takes than @base. */
static double
ratio(void (*run)(const void *), const void *data, unsigned times, void (*base)(const void *),
      const void *baseData, unsigned baseTimes)
{
    double least = G_MAXDOUBLE;
    double baseLeast = G_MAXDOUBLE;
    double begin = timeNow();
    unsigned i;

    for (i = 0; i < ROUNDS_MIN || timeNow() - begin < LONG_ENOUGH; i++) {
        least = MIN(least, timeOnce(run, data, times));
        baseLeast = MIN(baseLeast, timeOnce(base, baseData, baseTimes));
    }
    return least / baseLeast;
}

static void
report(const char *name, double value, double limit)
{
    printf("%s\t%.2f\t%.0f\n", name, value, limit);
}

/* Physical devices of eight functions, all behind SMMUs 0 to SMMUS - 1 in turn. */
static char *
makeHost(unsigned cards)
{
    GString *out = g_string_new("sys/bus/acpi/devices\n");
    unsigned i;

    for (i = 0; i < SMMUS; i++) {
        unsigned base = SMMU_BASE + i * 0x1000000;

        g_string_append_printf(out, "sys/class/iommu/smmu3.0x%016x -> ../../devices/platform/s%u/iommu/x\n"
                               "sys/devices/platform/s%u/iommu/x/device/numa_node = 0\n", base, i, i);
    }
    for (i = 0; i < cards * FUNCTIONS; i++) {
        unsigned card = i / FUNCTIONS;
        unsigned smmu = card % SMMUS;
        g_autofree char *name = g_strdup_printf("%04x:%02x:00.%u", smmu, card / SMMUS + 1, i % FUNCTIONS);
        g_autofree char *path = g_strdup_printf("sys/devices/pci%04x:00/%s", smmu, name);

        g_string_append_printf(out, "sys/bus/pci/devices/%s -> ../../../devices/pci%04x:00/%s\n"
                               "%s/uevent = DRIVER=vfio-pci\\nPCI_CLASS=20000\\nPCI_ID=15B3:1021\n"
                               "%s/iommu -> ../../platform/s%u/iommu/smmu3.0x%016x\n"
                               "%s/iommu_group -> ../../../kernel/iommu_groups/%u\n"
                               "sys/kernel/iommu_groups/%u/devices/%s -> ../../../../devices/pci%04x:00/%s\n"
                               "sys/devices/platform/s%u/iommu/x/devices/%s -> x\n", name, smmu, name, path,
                               path, smmu, SMMU_BASE + smmu * 0x1000000, path, i, i, name, smmu, name, smmu,
                               name);
    }
    return g_string_free(out, FALSE);
}

/* A domain with the first @count functions. Where @shared, the functions of a card share a slot. */
static char *
makeDomain(unsigned count, bool shared)
{
    GString *out = g_string_new("<domain type='kvm'>\n  <os firmware='efi'>\n"
                                "    <type arch='aarch64' machine='virt'>hvm</type>\n  </os>\n"
                                "  <features>\n    <acpi/>\n  </features>\n  <devices>\n");
    unsigned i;

    for (i = 0; i < count; i++) {
        unsigned card = i / FUNCTIONS;

        g_string_append_printf(out, "    <hostdev mode='subsystem' type='pci' managed='yes'>\n"
                               "      <source>\n        <address domain='0x%04x' bus='0x%02x' slot='0x00' "
                               "function='0x%u'/>\n      </source>\n", card % SMMUS, card / SMMUS + 1,
                               i % FUNCTIONS);
        if (shared)
            g_string_append_printf(out, "      <address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' "
                                   "function='0x%u'/>\n", card + 1, i % FUNCTIONS);
        g_string_append(out, "    </hostdev>\n");
    }
    g_string_append(out, "    <iommu model='smmuv3' nested='yes'/>\n  </devices>\n</domain>\n");
    return g_string_free(out, FALSE);
}

static void
prepare(subject *sub, const char *manifest, char *xml)
{
    readHost(sub, manifest, strlen(manifest));
    sub->xml = xml;
    sub->len = strlen(xml);
    sub->dom = parse(sub);
    loadDetails(sub);
}

static void
clear(subject *sub)
{
    viommuDomainFree(sub->dom);
    virSMMUTopologyFree(sub->topology);
    virSysfsFree(sub->fs);
    g_free(sub->xml);
}

/* Each is prepared when its turn comes: what others leave on the heap costs time. */
static void
benchExpand(const char *manifest, char *xml)
{
    subject nova;

    prepare(&nova, manifest, xml);
    report("expand Nova's two GPUs / libxml2 parse and serialise",
           ratio(expand, &nova, 200, copyByLibxml, &nova, 200), 2);
    clear(&nova);
}

static void
benchPlan(void)
{
    g_autofree char *manifest = makeHost(32);
    subject few;
    subject full;

    prepare(&few, manifest, makeDomain(16, true));
    prepare(&full, manifest, makeDomain(256, true));
    report("plan 256 devices on 16 SMMUs / 16 devices", ratio(plan, &full, 5, plan, &few, 100), 20);
    clear(&few);
    clear(&full);
}

/* Ten times as many: a hundred would be quadratic. */
static void
benchMany(void)
{
    g_autofree char *manifest = makeHost(1250);
    subject thousand;
    subject tenThousand;

    prepare(&thousand, manifest, makeDomain(1000, false));
    prepare(&tenThousand, manifest, makeDomain(10000, false));
    report("read, plan, check 10000 hostdevs / 1000",
           ratio(judge, &tenThousand, 1, judge, &thousand, 10), 40);
    clear(&thousand);
    clear(&tenThousand);
}

int
main(int argc, char **argv)
{
    g_autofree char *manifest = NULL;
    GError *error = NULL;
    char *xml = NULL;

    if (argc != 3) {
        fprintf(stderr, "usage: %s HOST.sysfs DOMAIN.xml\n", argv[0]);
        return 2;
    }
    if (!g_file_get_contents(argv[1], &manifest, NULL, &error) ||
        !g_file_get_contents(argv[2], &xml, NULL, &error))
        die("a file", error);
    benchExpand(manifest, xml);
    benchPlan();
    benchMany();
    return 0;
}
