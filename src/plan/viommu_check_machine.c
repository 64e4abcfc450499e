/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine must be (V18), and the window for 64-bit BARs that it has (V19).
 */
#include "viommu_check_priv.h"
#include "viommu_words.h"

#include <string.h>

#define HOLE_DEFAULT_KIB                                                                           \
    (512ull << 20) /* 512 GiB: QEMU's highmem-mmio-size, also the least it takes */

static void
add(viommuChecker *checker, viommuSeverity severity, unsigned line, const char *consequence,
    const char *remedy, const char *text)
{
    viommuFindingsAdd(checker->findings, "V18", severity, line, consequence, remedy, "%s", text);
}

static void
checkKVM(viommuChecker *checker)
{
    const viommuDomain *dom = checker->dom;
    size_t i;

    if (dom->virtType == VIOMMU_VIRT_OTHER)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_TYPE, viommuXMLLine(dom->xml, dom->root),
                       viommuXMLAttr(dom->root, "type") ? viommuXMLAttr(dom->root, "type") : "", NULL);
    if (dom->virtType != VIOMMU_VIRT_QEMU)
        return;
    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->accel == 1 && strcmp(iommu->model, "smmuv3") == 0)
            add(checker, VIOMMU_SEVERITY_ERROR, viommuCheckLine(checker, iommu->node, "driver"),
                "QEMU refuses to start: SMMUv3 accel=on requires KVM with kernel-irqchip=on "
                "support",
                "remove accel, or write <domain type='kvm'>",
                "accel='on' in a domain of type qemu");
    }
}

/* Without accel QEMU goes on. */
static void
soften(const viommuChecker *checker, viommuFinding *finding)
{
    if (checker->accel)
        return;
    finding->severity = VIOMMU_SEVERITY_WARNING;
    g_free(finding->consequence);
    finding->consequence = g_strdup("QEMU warns: SMMUv3 device only supported with pcie.0 for DT; the guest does "
                                    "not see the others");
}

static void
checkFirmware(viommuChecker *checker)
{
    const viommuDomain *dom = checker->dom;

    if (!dom->acpi)
        soften(checker, viommuWordsAdd(checker->findings, VIOMMU_WORDS_ACPI, dom->featuresLine, NULL, NULL));
    if (dom->firmware == VIOMMU_FIRMWARE_NONE)
        soften(checker, viommuWordsAdd(checker->findings, VIOMMU_WORDS_FIRMWARE, dom->osLine, NULL, NULL));
}

static void
checkPlatform(viommuChecker *checker)
{
    const viommuDomain *dom = checker->dom;
    bool virt = !dom->machine || strcmp(dom->machine, "virt") == 0 ||
                g_str_has_prefix(dom->machine, "virt-");

    if (!dom->arch)
        add(checker, VIOMMU_SEVERITY_NOTE, dom->osLine, "libvirt takes the host's architecture",
            NULL, "the architecture is not said");
    else if (strcmp(dom->arch, "aarch64") != 0)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_ARCH, dom->osLine, dom->arch, NULL);
    if (!virt)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_MACHINE, dom->osLine, dom->machine, NULL);
    if (dom->gicVersion == 2)
        viommuWordsAdd(checker->findings, VIOMMU_WORDS_GIC,
                       viommuCheckLine(checker, viommuXMLChild(dom->root, "features"), "gic"), NULL, NULL);
}

/* What nobody who starts it is told: said once, of the first vSMMU. */
static void
checkSaving(viommuChecker *checker)
{
    const viommuIOMMU *first = NULL;
    size_t i;

    for (i = 0; !first && i < checker->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(checker->dom->iommus, i);

        if (iommu->accel == 1 || iommu->nested == 1)
            first = iommu;
    }
    if (first)
        viommuFindingsAdd(checker->findings, "V18", VIOMMU_SEVERITY_NOTE, first->line,
                          "QEMU refuses it: Migration not supported with SMMUv3 accelerator mode enabled",
                          "shut the guest down for it, and on another host define it anew: viommu define",
                          "with accel vSMMUs the guest can be neither migrated nor saved, nor snapshotted with its "
                          "memory, while it runs");
}

/* What the 64-bit BARs of the assigned devices add up to at least, in KiB: no alignment, no bridges. Bridges have room
 * above 4 GiB only for those that are prefetchable; the others count where @all. */
static uint64_t
neededKiB(const viommuChecker *checker, bool all)
{
    uint64_t bytes = 0;
    size_t i;
    size_t j;

    for (i = 0; i < checker->seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);

        /* of a network it is one of several VFs, or their PF */
        if (!seat->host || !seat->host->haveDetails || seat->device->network)
            continue;
        for (j = 0; j < seat->host->bars->len; j++) {
            const virSMMUBar *bar = &g_array_index(seat->host->bars, virSMMUBar, j);

            if (bar->memory64 && (bar->prefetch || all))
                bytes = bytes > UINT64_MAX - bar->size ? UINT64_MAX : bytes + bar->size;
        }
    }
    return bytes / 1024;
}

/* QEMU (virt_set_memmap() in hw/arm/virt.c) begins the guest's memory at 1 GiB, keeps 255 GiB for it, and rounds its
 * end up to GiB; behind it come the configuration space of PCIe and the window, at a multiple of its own size. */
#define MEMORY_BASE_KIB (1ull << 20)
#define MEMORY_END_MIN_KIB (256ull << 20)
#define ECAM_KIB (256ull << 10)
#define GIB_KIB (1ull << 20)

/* Above that no sum is made: no machine has so many bits. */
#define WINDOW_MAX_KIB (1ull << 61)

/* Where the memory of @dom ends, as far as that is sure, in KiB. */
static uint64_t
memoryEnd(const viommuDomain *dom)
{
    uint64_t end = (MEMORY_BASE_KIB + dom->memoryBytes / 1024 + GIB_KIB - 1) / GIB_KIB * GIB_KIB;

    return MAX(MEMORY_END_MIN_KIB, end);
}

static unsigned
bitsOf(uint64_t lastKiB)
{
    return g_bit_storage(lastKiB) + 10;
}

/* A window that is too high is left out by QEMU without a word. */
static void
checkWindowEnd(viommuChecker *checker, uint64_t window, uint64_t bars, unsigned line)
{
    unsigned have = checker->context->host ? virSMMUTopologyAddressBits(checker->context->host) : 0;
    uint64_t memory = memoryEnd(checker->dom);
    uint64_t size = MIN(window, WINDOW_MAX_KIB);
    unsigned needed = bitsOf((memory + ECAM_KIB + size - 1) / size * size + size - 1);

    if (!have || !checker->accel)
        return;
    if (bitsOf(memory - 1) > have)
        viommuFindingsAdd(checker->findings, "V19", VIOMMU_SEVERITY_ERROR,
                          viommuXMLLine(checker->dom->xml, checker->dom->root),
                          "QEMU refuses to start: Addressing limited to fewer bits, but memory exceeds it",
                          "give the guest less memory, and lower <maxMemory>",
                          "the guest's memory ends at %u bits of address, and a guest of this host has %u",
                          bitsOf(memory - 1), have);
    else if (needed > have && bars)
        viommuFindingsAdd(
            checker->findings, "V19", VIOMMU_SEVERITY_ERROR, line,
            "QEMU leaves the window out without a word, and BARs that do not fit below 4 GiB have no address",
            "lower <pcihole64> if it is larger than needed, or give the guest fewer devices with large BARs, or less memory",
            "the 64-bit window of %" G_GUINT64_FORMAT " GiB ends at %u bits of address, and a guest of this host has %u",
            window >> 20, needed, have);
}

static void
checkWindow(viommuChecker *checker)
{
    const viommuCheckBus *root = checker->byIndex[0];
    const viommuController *controller = root ? root->controller : NULL;
    uint64_t given = controller ? controller->hole64KiB : 0;
    uint64_t window = given ? given : HOLE_DEFAULT_KIB;
    uint64_t needed = neededKiB(checker, false);
    unsigned line = controller ? viommuCheckLine(checker, controller->node, "pcihole64")
                               : viommuXMLLine(checker->dom->xml, checker->dom->devicesNode);
    static const char remedy[] =
        "give pcie-root a <pcihole64> that is a power of two and holds all of them";

    if (controller && controller->hole64Bad) {
        viommuFindingsAdd(checker->findings, "V19", VIOMMU_SEVERITY_ERROR, line,
                          "libvirt refuses it", "write a number with a unit, or remove it",
                          "<pcihole64> holds no size");
        return;
    }
    if (checker->open)
        return;
    if (given != 0 && (given & (given - 1)) != 0)
        viommuFindingsAdd(checker->findings, "V19", VIOMMU_SEVERITY_ERROR, line,
                          "QEMU refuses to start: highmem-mmio-size is not a power of 2", remedy,
                          "the 64-bit window of %" G_GUINT64_FORMAT " KiB is not a power of two",
                          given);
    if (given != 0 && given < HOLE_DEFAULT_KIB)
        viommuFindingsAdd(
            checker->findings, "V19", VIOMMU_SEVERITY_ERROR, line,
            "QEMU refuses to start: highmem-mmio-size cannot be set to a lower value than the "
            "default (512 GiB)",
            remedy, "the 64-bit window of %" G_GUINT64_FORMAT " KiB is less than 512 GiB", given);
    if (needed > window)
        viommuFindingsAdd(
            checker->findings, "V19", VIOMMU_SEVERITY_ERROR, line,
            "the guest's firmware leaves BARs without address, and these devices do not work",
            remedy,
            "the 64-bit BARs of the host devices take %" G_GUINT64_FORMAT " GiB, and the "
            "window%s has %" G_GUINT64_FORMAT " GiB",
            needed >> 20, given ? "" : " (QEMU's default)", window >> 20);
    /* Whoever passes devices with such BARs through, and asks for a window, wants to have it. */
    checkWindowEnd(checker, window, neededKiB(checker, true), line);
}

static void
checkVersion(viommuChecker *checker)
{
    unsigned qemu = checker->context->qemu;

    if (checker->accel && qemu && qemu < VIOMMU_CHECK_QEMU_ACCEL)
        viommuFindingsAdd(checker->findings, "V18", VIOMMU_SEVERITY_ERROR,
                          viommuXMLLine(checker->dom->xml, checker->dom->root), NULL, "use QEMU 11.0 or newer",
                          "QEMU %u.%u has no accelerated SMMUv3", qemu / 1000, qemu % 1000);
}

void
viommuCheckMachine(viommuChecker *checker)
{
    if (!checker->smmuv3 && !checker->nested)
        return;
    if (checker->nested) {
        checkKVM(checker);
        checkVersion(checker);
        checkPlatform(checker);
        checkFirmware(checker);
        if (checker->accel && checker->context->saving)
            checkSaving(checker);
    }
    checkWindow(checker);
}
