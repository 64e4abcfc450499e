/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks a host.
 */
#include "hostcheck.h"

#include "emulator.h"
#include "report.h"
#include "viommu_expand.h"
#include "viommu_finding.h"
#include "viommu_place.h"
#include "virkernel.h"

#include <string.h>

/* The first Linux with nested SMMUs, and with NVIDIA's command queues (IOMMU_HW_QUEUE_ALLOC). */
#define LINUX_NESTING 6013u
#define LINUX_CMDQV 6017u

/* The first QEMU with accelerated SMMUv3s. */
#define QEMU_ACCEL VIOMMU_VERSION_QEMU(11, 0)

#define OTHERS "use others; see 'viommu host'"
#define PEER_TITLE "Checking for libvirt and QEMU"
#define GUESTS_TITLE "Checking for libvirt's guests of aarch64"
#define EMULATOR_TITLE "Checking for the emulator"

/* So many devices are named. */
#define NAMES_MAX 4

static void
freeVerdict(void *data)
{
    viommuVerdict *verdict = data;

    g_free(verdict->text);
    g_free(verdict->hint);
    g_free(verdict);
}

GPtrArray *
viommuHostCheckNew(void)
{
    return g_ptr_array_new_with_free_func(freeVerdict);
}

static viommuVerdict *
add(GPtrArray *verdicts, const char *id, const char *title)
{
    viommuVerdict *verdict = g_new0(viommuVerdict, 1);

    verdict->id = id;
    verdict->title = title;
    g_ptr_array_add(verdicts, verdict);
    return verdict;
}

static void
judge(viommuVerdict *verdict, int how, const char *text, const char *hint)
{
    verdict->verdict = how;
    verdict->text = g_strdup(text);
    verdict->hint = g_strdup(hint);
}

void
viommuHostCheckAdd(GPtrArray *verdicts, const char *id, const char *title, int verdict, const char *text,
                   const char *hint)
{
    judge(add(verdicts, id, title), verdict, text, hint);
}

/* What to do about what is not known, as it could not be read. */
static const char *
readAgain(const virSysfs *fs)
{
    return virSysfsIsRecorded(fs) ? "record the host again, as root, with a newer viommu" : "read it as root";
}

/* What is known of the SMMUs' nesting. */
typedef struct {
    unsigned count, able, unknown;
    char *lacks;        /* what the first one that cannot nest lacks, or the first for which there is a remedy */
    const char *remedy; /* that; NULL: there is none */
    char *open;         /* what the registers of the first one do not tell */
} unitsFound;

static void
judgeNesting(viommuVerdict *verdict, const unitsFound *found, const virSysfs *fs, const char *unprobed)
{
    if (found->able) {
        GString *hint = g_string_new(NULL);

        g_string_printf(hint, "%u of %u", found->able, found->count);
        if (found->unknown)
            g_string_append_printf(hint, ", %u not known", found->unknown);
        verdict->hint = g_string_free(hint, FALSE);
    } else if (unprobed) {
        g_autofree char *text = g_strdup_printf("not probed: %s", unprobed);

        judge(verdict, VIOMMU_VERDICT_WARN, text, NULL);
    } else if (found->open) {
        judge(verdict, VIOMMU_VERDICT_NOTE, found->open, readAgain(fs));
    } else if (found->unknown) {
        judge(verdict, VIOMMU_VERDICT_NOTE,
              "not known: the kernel tells it only to who holds a device through iommufd",
              "'--probe' on that host asks it");
    } else {
        judge(verdict, VIOMMU_VERDICT_FAIL, found->lacks,
              found->remedy ? found->remedy : "no remedy on this hardware");
    }
}

static void
countUnit(const virSMMU *smmu, unitsFound *found)
{
    const char *why = NULL;
    virTristate nest = virSMMUCanServe(smmu, &why);
    const char *remedy = virSMMUServeRemedy(smmu);

    found->count++;
    found->able += nest == VIR_TRISTATE_YES;
    found->unknown += nest == VIR_TRISTATE_UNKNOWN;
    if (nest == VIR_TRISTATE_UNKNOWN && smmu->regs.known && !found->open)
        found->open = g_strdup_printf("not known of '%s': %s", smmu->name, why);
    if (nest != VIR_TRISTATE_NO || (found->lacks && (found->remedy || !remedy)))
        return;
    g_free(found->lacks);
    found->lacks = g_strdup_printf("'%s' cannot nest: %s", smmu->name, why);
    found->remedy = remedy;
}

static void
checkUnits(const virSMMUTopology *topo, const virSysfs *fs, const char *unprobed, GPtrArray *verdicts)
{
    viommuVerdict *units = add(verdicts, "H01", "Checking for SMMUv3 units");
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    unitsFound found = { 0 };
    size_t i;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        if (smmu->kind == VIR_SMMU_KIND_SMMUV3)
            countUnit(smmu, &found);
    }
    if (found.count) {
        units->hint = g_strdup_printf("%u found", found.count);
        judgeNesting(add(verdicts, "H02", "Checking for nested translation"), &found, fs, unprobed);
    } else {
        judge(units, VIOMMU_VERDICT_FAIL,
              smmus->len ? "none of the host's IOMMUs is an SMMUv3" : "the kernel drives no SMMUv3",
              "on an Arm server switch them on in the firmware, and boot a kernel with CONFIG_ARM_SMMU_V3; to judge another machine give its record with --host");
    }
    g_free(found.lacks);
    g_free(found.open);
}

static void
checkIommufd(const virSMMUTopology *topo, const virSysfs *fs, GPtrArray *verdicts)
{
    viommuVerdict *verdict = add(verdicts, "H03", "Checking if device '/dev/iommu' exists");

    switch (virSMMUTopologyHasIommufd(topo)) {
    case VIR_TRISTATE_YES:
        break;
    case VIR_TRISTATE_NO:
        judge(verdict, VIOMMU_VERDICT_FAIL, "there is no /dev/iommu",
              "load the module 'iommufd' of a kernel with CONFIG_IOMMUFD");
        break;
    case VIR_TRISTATE_UNKNOWN:
        judge(verdict, VIOMMU_VERDICT_NOTE, "not known: nothing of /dev is recorded", readAgain(fs));
        break;
    }
}

/* Some SMMU has command queues for guests, or would with another kernel. */
static bool
hasCmdqv(const virSMMUTopology *topo)
{
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    size_t i;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        if (smmu->cmdqv == VIR_TRISTATE_YES || smmu->cmdqvNamed != VIR_TRISTATE_NO)
            return true;
    }
    return false;
}

static void
checkRelease(const virKernel *kernel, const virSysfs *fs, bool cmdqv, GPtrArray *verdicts)
{
    viommuVerdict *verdict = add(verdicts, "H05", "Checking for the kernel's release");
    unsigned needed = cmdqv ? LINUX_CMDQV : LINUX_NESTING;

    if (!kernel->version) {
        judge(verdict, VIOMMU_VERDICT_NOTE, "not known: its release is not recorded, or has no number",
              kernel->release ? NULL : readAgain(fs));
    } else if (kernel->version < needed) {
        bool nests = kernel->version >= LINUX_NESTING;
        unsigned since = nests ? LINUX_CMDQV : LINUX_NESTING;
        g_autofree char *text =
            g_strdup_printf("Linux %s; %s came with %u.%u, if the distribution has not added it", kernel->release,
                            nests ? "CMDQV for guests" : "nested SMMUs", since / 1000, since % 1000);

        judge(verdict, VIOMMU_VERDICT_WARN, text,
              nests ? "boot a newer kernel, or guests get no command queues" : "boot a newer kernel");
    } else {
        verdict->hint = g_strdup_printf("Linux %s", kernel->release);
    }
}

static void
checkOptions(const virKernel *kernel, const virSysfs *fs, bool cmdqv, GPtrArray *verdicts)
{
    viommuVerdict *verdict = add(verdicts, "H06", "Checking for the kernel's options");
    g_autoptr(GString) missing = g_string_new(NULL);
    size_t i;

    if (!kernel->config) {
        judge(verdict, VIOMMU_VERDICT_NOTE,
              virSysfsIsRecorded(fs) ? "not known: the record has no config of the kernel"
                                     : "not known: /boot, /lib/modules and /proc/config.gz have no readable config of it",
              readAgain(fs));
        return;
    }
    for (i = 0; virKernelOptions[i]; i++) {
        if (virKernelHas(kernel, virKernelOptions[i]) == VIR_TRISTATE_NO)
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "it has no ", virKernelOptions[i]);
    }
    if (missing->len)
        judge(verdict, VIOMMU_VERDICT_FAIL, missing->str, "boot a kernel that has");
    else if (cmdqv && virKernelHas(kernel, VIR_KERNEL_OPTION_CMDQV) == VIR_TRISTATE_NO)
        judge(verdict, VIOMMU_VERDICT_WARN, "it has no " VIR_KERNEL_OPTION_CMDQV,
              "boot a kernel that has, or guests get no command queues");
}

/* Names as they come, up to a limit. */
typedef struct {
    GString *text;
    unsigned count;
} nameList;

static void
addName(nameList *list, const char *name, const char *why)
{
    list->count++;
    if (list->count == NAMES_MAX + 1)
        g_string_append(list->text, " and others");
    if (list->count > NAMES_MAX)
        return;
    g_string_append_printf(list->text, "%s%s", list->count > 1 ? ", " : "", name);
    if (why)
        g_string_append_printf(list->text, " (%s)", why);
}

/* Whether a bound device can be opened by its node. */
static bool
hasNode(virSysfs *fs, const virSMMUDevice *dev, GError **error, bool *ret_has)
{
    g_autofree char *name = NULL;
    g_autofree char *node = NULL;

    if (!virSMMUDeviceFetchCdev(fs, dev, &name, error))
        return false;
    node = g_strconcat("dev/vfio/devices/", name, NULL);
    *ret_has = name && virSysfsExists(fs, node);
    return true;
}

const char *
viommuHostRuleOut(const virSMMUTopology *topo, const virSMMUDevice *dev)
{
    const virSMMUGroup *group = virSMMUTopologyFindGroup(topo, dev->group);
    const char *why = NULL;

    if (group && group->direct)
        return "direct region";
    if (group && group->members->len > 1)
        return "not alone in its IOMMU group";
    if (dev->behindBridge)
        return "behind a conventional bridge";
    if (virSMMUCanServe(dev->smmu, &why) == VIR_TRISTATE_NO)
        return "its SMMU cannot nest";
    return virSMMUDeviceIsCoherent(dev) == VIR_TRISTATE_NO ? "no CANWBS for its root complex" : NULL;
}

/* A fault of all devices is one of the host, a fault of some is not. */
static void
judgeSome(viommuVerdict *verdict, const nameList *names, unsigned all, const char *hintAll, const char *hintSome)
{
    if (names->count == all)
        judge(verdict, VIOMMU_VERDICT_FAIL, names->text->str, hintAll);
    else if (names->count)
        judge(verdict, VIOMMU_VERDICT_WARN, names->text->str, hintSome);
}

static void
judgeDevices(virSysfs *fs, unsigned bound, const nameList *nodeless, const nameList *unfit, GPtrArray *verdicts)
{
    viommuVerdict *verdict = add(verdicts, "H04", "Checking for PCI devices bound to a VFIO driver");

    if (!bound) {
        judge(verdict, VIOMMU_VERDICT_WARN, "no PCI device behind an SMMUv3 is bound to a VFIO driver",
              "bind the devices to 'vfio-pci', or let libvirt do so with managed='yes'");
        return;
    }
    verdict->hint = g_strdup_printf("%u found", bound);
    verdict = add(verdicts, "H07", "Checking if bound devices have a node below '/dev/vfio/devices'");
    if (virSysfsExists(fs, "dev"))
        judgeSome(verdict, nodeless, bound, "use a kernel with CONFIG_VFIO_DEVICE_CDEV, and udev",
                  "let udev or mdev make the nodes that are missing");
    else
        judge(verdict, VIOMMU_VERDICT_NOTE, "not known: nothing of /dev is recorded", readAgain(fs));
    verdict = add(verdicts, "H08", "Checking if bound devices can be given to a guest one by one");
    judgeSome(verdict, unfit, bound, OTHERS, OTHERS);
}

static bool
checkDevices(virSMMUTopology *topo, virSysfs *fs, GPtrArray *verdicts, GError **error)
{
    g_autoptr(GString) nodelessNames = g_string_new("no node for ");
    g_autoptr(GString) unfitNames = g_string_new("not to be given: ");
    nameList nodeless = { nodelessNames, 0 }, unfit = { unfitNames, 0 };
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    unsigned bound = 0;
    size_t i;

    for (i = 0; i < devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(devices, i);
        const char *why;
        bool node = false;

        if (!dev->smmu || dev->smmu->kind != VIR_SMMU_KIND_SMMUV3)
            continue;
        if (!virSMMUTopologyLoadDetails(topo, fs, dev, error))
            return false;
        if (!dev->vfio)
            continue;
        bound++;
        if (!hasNode(fs, dev, error, &node))
            return false;
        if (!node)
            addName(&nodeless, dev->name, NULL);
        why = viommuHostRuleOut(topo, dev);
        if (why)
            addName(&unfit, dev->name, why);
    }
    judgeDevices(fs, bound, &nodeless, &unfit, verdicts);
    return true;
}

/* Without them QEMU lowers the size of a guest's command queues (V24). */
static bool
checkHugePages(virSysfs *fs, GPtrArray *verdicts, GError **error)
{
    static const char sizes[] = "sys/kernel/mm/hugepages";
    viommuVerdict *verdict = add(verdicts, "H09", "Checking for huge pages, for the guests' command queues");
    g_auto(GStrv) names = NULL;
    bool some = false;
    size_t i;

    if (!virSysfsFetchList(fs, sizes, &names, error))
        return false;
    for (i = 0; names && names[i]; i++) {
        g_autofree char *path = g_strdup_printf("%s/%s/nr_hugepages", sizes, names[i]);
        g_autofree char *text = NULL;

        if (!virSysfsFetchText(fs, path, &text, error))
            return false;
        some = some || (text && strcmp(text, "0") != 0);
    }
    if (!names)
        judge(verdict, VIOMMU_VERDICT_NOTE,
              virSysfsIsRecorded(fs) ? "not known: the record has nothing of huge pages"
                                     : "not known: /sys/kernel/mm/hugepages cannot be read",
              readAgain(fs));
    else if (!some)
        judge(verdict, VIOMMU_VERDICT_WARN, "no huge pages are reserved",
              "reserve some (vm.nr_hugepages), and give guests <memoryBacking><hugepages/>");
    return true;
}

#define FOR_WORDS ", which lacks words that <qemu:override> stands in for"

void
viommuHostCheckLibvirt(GPtrArray *verdicts, unsigned libvirt)
{
    viommuVerdict *verdict = add(verdicts, "H10", PEER_TITLE);
    g_autoptr(GError) error = NULL;

    if (viommuPlacementFitsLibvirt(libvirt, &error))
        verdict->hint = g_strdup_printf("libvirt %u.%u%s", libvirt / 1000, libvirt % 1000,
                                        libvirt < VIOMMU_LIBVIRT_NATIVE ? FOR_WORDS : "");
    else
        judge(verdict, VIOMMU_VERDICT_FAIL, error->message, NULL);
}

void
viommuHostCheckPeer(GPtrArray *verdicts, unsigned libvirt, unsigned qemu)
{
    viommuVerdict *verdict = add(verdicts, "H10", PEER_TITLE);
    g_autoptr(GError) error = NULL;

    if (!viommuPlacementFitsLibvirt(libvirt, &error)) {
        judge(verdict, VIOMMU_VERDICT_FAIL, error->message, NULL);
    } else if (libvirt && !qemu) {
        g_autofree char *text =
            g_strdup_printf("not known: libvirt %u.%u tells no version of QEMU", libvirt / 1000, libvirt % 1000);

        judge(verdict, VIOMMU_VERDICT_NOTE, text, NULL);
    } else if (!libvirt) {
        judge(verdict, VIOMMU_VERDICT_NOTE, "not known: this libvirt runs no QEMU", "give the URI of one that does, qemu:///system");
    } else if (qemu < QEMU_ACCEL) {
        g_autofree char *text = g_strdup_printf("QEMU %u.%u has no accelerated SMMUv3", qemu / 1000, qemu % 1000);

        judge(verdict, VIOMMU_VERDICT_FAIL, text, "use QEMU 11.0 or newer");
    } else {
        verdict->hint = g_strdup_printf("libvirt %u.%u%s QEMU %u.%u", libvirt / 1000, libvirt % 1000,
                                        libvirt < VIOMMU_LIBVIRT_NATIVE
                                            ? FOR_WORDS ";"
                                            : ",",
                                        qemu / 1000, qemu % 1000);
    }
}

void
viommuHostCheckNoPeer(GPtrArray *verdicts, const char *why)
{
    judge(add(verdicts, "H10", PEER_TITLE), VIOMMU_VERDICT_FAIL, why,
          "install and start libvirt (libvirtd or virtqemud), or give another URI");
}

void
viommuHostCheckGuests(GPtrArray *verdicts, const viommuDomainCaps *caps, const char *refusal, const char *silence)
{
    viommuVerdict *verdict = add(verdicts, "H10", GUESTS_TITLE);
    const char *remedy = NULL;
    const char *lack = caps ? viommuDomainCapsLack(caps, &remedy) : NULL;

    if (refusal) {
        judge(verdict, VIOMMU_VERDICT_FAIL, refusal,
              "install QEMU for Arm guests (qemu-system-aarch64), on an Arm host with KVM");
    } else if (!caps) {
        g_autofree char *text = g_strdup_printf("not known: libvirt does not tell: %s", silence);

        judge(verdict, VIOMMU_VERDICT_NOTE, text, NULL);
    } else if (lack) {
        judge(verdict, VIOMMU_VERDICT_FAIL, lack, remedy);
    } else {
        verdict->hint = g_strdup_printf("%s, %s with KVM", caps->path, caps->machine ? caps->machine : "machine unknown");
    }
}

void
viommuHostCheckEmulator(GPtrArray *verdicts, const char *path, const qemuViommuCaps *caps)
{
    viommuVerdict *verdict = add(verdicts, "H12", EMULATOR_TITLE);
    g_autofree char *words = viommuEmulatorWords(caps);
    g_autofree char *named = g_strdup_printf("emulator '%s', %s", path, words);
    const char *why;

    if (qemuViommuCapsDialect(caps, &why))
        verdict->hint = g_steal_pointer(&named);
    else
        judge(verdict, VIOMMU_VERDICT_FAIL, named, qemuViommuCapsRemedy(caps));
}

void
viommuHostCheckNoEmulator(GPtrArray *verdicts, const char *why)
{
    judge(add(verdicts, "H12", EMULATOR_TITLE), VIOMMU_VERDICT_FAIL, why,
          "give the path of a qemu-system-aarch64 that runs here");
}

void
viommuHostCheckUnasked(GPtrArray *verdicts, const char *why)
{
    judge(add(verdicts, "H12", EMULATOR_TITLE), VIOMMU_VERDICT_NOTE, why, "--emulator asks it all the same");
}

GPtrArray *
viommuHostCheck(virSMMUTopology *topo, virSysfs *fs, const char *unprobed, GError **error)
{
    g_autoptr(GPtrArray) verdicts = viommuHostCheckNew();
    g_autoptr(virKernel) kernel = virKernelRead(fs, error);
    bool cmdqv = hasCmdqv(topo);

    if (!kernel)
        return NULL;
    checkUnits(topo, fs, unprobed, verdicts);
    checkRelease(kernel, fs, cmdqv, verdicts);
    checkOptions(kernel, fs, cmdqv, verdicts);
    checkIommufd(topo, fs, verdicts);
    if (!checkDevices(topo, fs, verdicts, error) || (cmdqv && !checkHugePages(fs, verdicts, error)))
        return NULL;
    return g_steal_pointer(&verdicts);
}

void
viommuHostCheckFormat(const GPtrArray *verdicts, bool quiet, bool coloured, GString *out)
{
    static const struct {
        const char *name;
        viommuColour colour;
    } names[] = {
        [VIOMMU_VERDICT_PASS] = { "PASS", VIOMMU_COLOUR_GREEN },
        [VIOMMU_VERDICT_NOTE] = { "NOTE", VIOMMU_COLOUR_BLUE },
        [VIOMMU_VERDICT_WARN] = { "WARN", VIOMMU_COLOUR_YELLOW },
        [VIOMMU_VERDICT_FAIL] = { "FAIL", VIOMMU_COLOUR_RED },
    };
    size_t i;

    for (i = 0; i < verdicts->len; i++) {
        const viommuVerdict *verdict = g_ptr_array_index(verdicts, i);

        if (quiet && (verdict->verdict == VIOMMU_VERDICT_NOTE || verdict->verdict == VIOMMU_VERDICT_WARN))
            continue;
        g_string_append_printf(out, "%6s: %-69s: ", "VSMMU", verdict->title);
        viommuAppendColoured(out, coloured, names[verdict->verdict].colour,
                             names[verdict->verdict].name);
        if (verdict->text || verdict->hint) {
            g_string_append(out, " (");
            virTextAppendClean(out, verdict->text ? verdict->text : "");
            g_string_append(out, verdict->text && verdict->hint ? ": " : "");
            virTextAppendClean(out, verdict->hint ? verdict->hint : "");
            g_string_append_c(out, ')');
        }
        g_string_append_c(out, '\n');
    }
}

GPtrArray *
viommuHostCheckFindings(const GPtrArray *verdicts)
{
    static const viommuSeverity severities[] = {
        [VIOMMU_VERDICT_NOTE] = VIOMMU_SEVERITY_NOTE,
        [VIOMMU_VERDICT_WARN] = VIOMMU_SEVERITY_WARNING,
        [VIOMMU_VERDICT_FAIL] = VIOMMU_SEVERITY_ERROR,
    };
    GPtrArray *findings = viommuFindingsNew();
    size_t i;

    for (i = 0; i < verdicts->len; i++) {
        const viommuVerdict *verdict = g_ptr_array_index(verdicts, i);
        viommuFinding *finding;

        if (verdict->verdict == VIOMMU_VERDICT_PASS)
            continue;
        finding = viommuFindingsAdd(findings, verdict->id, severities[verdict->verdict], 0, NULL, verdict->hint,
                                    "%s", verdict->text);
        finding->title = verdict->title;
    }
    return findings;
}
