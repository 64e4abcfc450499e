/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bus numbers (V10): the guest has 256, the firmware gives each controller one, and the numbers of
 * an expander bus end where the next one's begin. Neither libvirt nor QEMU counts them.
 */
#include "viommu_check_priv.h"

#define BUS_MAX 255 /* 8 bits of a PCI requester id */

/* What libvirt takes: "must be 1-254". Without busNr it takes the lowest that is used, less two. */
#define EXPANDER_BUS_MIN 1
#define EXPANDER_BUS_MAX 254
#define AUTO_STEP 2

typedef struct {
    const viommuCheckBus *bus;
    unsigned line;
    unsigned busNr;
    bool chosen; /* by libvirt */
} numbered;

static const char lost[] =
    "the guest's firmware runs out of numbers there, and the ports that get none, or "
    "another bus's, are lost with their devices";
/* Seen with Linux 7.2: a null pointer in pbus_validate_busn(), drivers/pci/probe.c. */
static const char twice[] =
    "the guest's firmware gives numbers twice: a Linux guest panics when it scans the buses";

static int
compareNumbers(const void *a, const void *b)
{
    const numbered *one = a;
    const numbered *two = b;

    if (one->busNr != two->busNr)
        return one->busNr < two->busNr ? -1 : 1;
    return one->line < two->line ? -1 : one->line > two->line;
}

static int
compareIndexes(const void *a, const void *b)
{
    const numbered *one = a;
    const numbered *two = b;

    return one->bus->index < two->bus->index ? -1 : one->bus->index > two->bus->index;
}

/* The expander buses with a number that libvirt takes; the others of @checker are reported. */
static void
collectGiven(viommuChecker *checker, GArray *given, GArray *automatic)
{
    size_t i;

    for (i = 0; i < checker->buses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(checker->buses, i);
        numbered entry = { .bus = bus };

        if (bus->model != VIOMMU_PCI_EXPANDER || !bus->controller)
            continue;
        entry.line = viommuCheckLine(checker, bus->controller->node, "target");
        if (bus->controller->busNr == VIOMMU_UNSET) {
            entry.chosen = true;
            g_array_append_val(automatic, entry);
        } else if (bus->controller->busNr < EXPANDER_BUS_MIN ||
                   bus->controller->busNr > EXPANDER_BUS_MAX) {
            viommuFindingsAdd(
                checker->findings, "V10", VIOMMU_SEVERITY_ERROR, entry.line,
                "libvirt refuses it: PCI controller busNr out of range - must be 1-254",
                "give it a busNr from 1 to 254 that leaves room for the ports below it",
                "expander bus %u has no usable busNr", bus->index);
        } else {
            entry.busNr = (unsigned)bus->controller->busNr;
            g_array_append_val(given, entry);
        }
    }
}

/* Numbers the rest as libvirt does (qemuDomainAddressFindNewBusNr). */
static void
numberAutomatic(viommuChecker *checker, GArray *given, GArray *automatic)
{
    unsigned lowest = BUS_MAX + 1;
    size_t i;

    for (i = 0; i < given->len; i++)
        lowest = MIN(lowest, g_array_index(given, numbered, i).busNr);
    g_array_sort(automatic, compareIndexes);
    for (i = 0; i < automatic->len; i++) {
        numbered entry = g_array_index(automatic, numbered, i);

        if (lowest <= AUTO_STEP) {
            viommuFindingsAdd(
                checker->findings, "V10", VIOMMU_SEVERITY_ERROR, entry.line,
                "libvirt refuses it: No free busNr lower than current lowest busNr is "
                "available to auto-assign",
                "give every expander bus a busNr in <target>",
                "no bus number is left for expander bus %u", entry.bus->index);
            continue;
        }
        lowest -= AUTO_STEP;
        entry.busNr = lowest;
        g_array_append_val(given, entry);
    }
}

static void
reportRoom(viommuChecker *checker, const numbered *entry, const char *consequence,
           const char *until)
{
    unsigned needed = entry->bus->below + 1;

    viommuFindingsAdd(
        checker->findings, "V10", VIOMMU_SEVERITY_ERROR, entry->line, consequence,
        "give each expander bus a busNr that leaves 1 and one for each controller below it, "
        "counted down from 255",
        "expander bus %u needs %u bus numbers from %u on%s, up to %u, but %s", entry->bus->index,
        needed, entry->busNr, entry->chosen ? " (libvirt's choice, as there is no busNr)" : "",
        entry->busNr + needed - 1, until);
}

static void
checkRanges(viommuChecker *checker, const GArray *given)
{
    size_t i;

    for (i = 0; i < given->len; i++) {
        const numbered *entry = &g_array_index(given, numbered, i);
        const numbered *next = i + 1 < given->len ? entry + 1 : NULL;
        unsigned last = entry->busNr + entry->bus->below;
        g_autofree char *until = NULL;

        if (i > 0 && entry[-1].busNr == entry->busNr) {
            g_autofree char *words =
                g_strdup_printf("QEMU refuses to start: Bus %u is already in use", entry->busNr);

            viommuFindingsAdd(checker->findings, "V10", VIOMMU_SEVERITY_ERROR, entry->line, words,
                              "give each expander bus a busNr of its own",
                              "expander bus %u has busNr %u, as expander bus %u in line %u has",
                              entry->bus->index, entry->busNr, entry[-1].bus->index,
                              entry[-1].line);
        }
        if (last > BUS_MAX)
            until = g_strdup_printf("%d is the last there is", BUS_MAX);
        else if (next && next->busNr != entry->busNr && last >= next->busNr)
            until = g_strdup_printf("expander bus %u begins at %u", next->bus->index, next->busNr);
        if (until)
            reportRoom(checker, entry, last > BUS_MAX ? lost : twice, until);
    }
}

static void
checkRoot(viommuChecker *checker, const GArray *given)
{
    const viommuCheckBus *root = checker->byIndex[0];
    const numbered *lowest = given->len ? &g_array_index(given, numbered, 0) : NULL;

    if (checker->open || !lowest || !root || root->model != VIOMMU_PCI_ROOT ||
        root->below < lowest->busNr)
        return;
    viommuFindingsAdd(
        checker->findings, "V10", VIOMMU_SEVERITY_ERROR, lowest->line, lost,
        "raise the busNr of the expander buses, or have fewer controllers on pcie.0",
        "the tree of pcie.0 with what libvirt adds to it needs the bus numbers up to %u, but "
        "expander bus %u begins at %u",
        root->below, lowest->bus->index, lowest->busNr);
}

void
viommuCheckBuses(viommuChecker *checker)
{
    g_autoptr(GArray) given = g_array_new(FALSE, FALSE, sizeof(numbered));
    g_autoptr(GArray) automatic = g_array_new(FALSE, FALSE, sizeof(numbered));

    collectGiven(checker, given, automatic);
    if (!checker->open)
        numberAutomatic(checker, given, automatic);
    g_array_sort(given, compareNumbers);
    checkRanges(checker, given);
    checkRoot(checker, given);
}
