/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Says what planner and checker both find.
 */
#include "viommu_words.h"

#include <string.h>

#define LISTED "name a device that 'viommu host' lists below an SMMU"
#define VIRT "write <type arch='aarch64' machine='virt'>"
#define NO_DT "QEMU refuses to start: SMMUv3 with accel=on not supported for DT"
#define SPEC_PREFIX "viommu:"

static const struct {
    const char *id;
    const char *text; /* '@' stands for what it is about, '#' for the other */
    const char *consequence;
    const char *remedy;
} table[] = {
    [VIOMMU_WORDS_ABSENT] = { "V02", "@ is not on this host",
                              "libvirt cannot start the domain: the device is not found",
                              LISTED "; addresses change with slots and firmware" },
    [VIOMMU_WORDS_NO_IOMMU] = { "V02", "@ is behind no IOMMU that the kernel drives",
                                "VFIO and iommufd refuse a device that nothing isolates", LISTED },
    [VIOMMU_WORDS_NO_SMMUV3] = { "V02", "@ is behind '#', which is no SMMUv3",
                                 "QEMU refuses to start: Wrong data type for Host SMMUv3 device info", LISTED },
    [VIOMMU_WORDS_BRIDGE] = { "V02", "@ is a PCI bridge", "VFIO takes no bridges", "pass through an endpoint" },
    [VIOMMU_WORDS_DIRECT] = {
        "V17", "@ has a 'direct' reserved region",
        "the kernel refuses it: Firmware has requested this device have a 1:1 IOMMU mapping, rejecting configuring the device without a 1:1 mapping",
        "pass through another device, or have the firmware give up its reserved region" },
    [VIOMMU_WORDS_ALIASED] = {
        "V17", "@ is behind a conventional PCI bridge and shares its StreamID",
        "QEMU starts, and the device fails in the guest: IOMMU_VDEVICE_ALLOC failed: Operation not supported",
        "move the card to a PCI Express slot" },
    [VIOMMU_WORDS_TWICE] = { "V20", "@ is given twice, first in line #",
                             "libvirt refuses it: Hostdev already exists in the domain configuration",
                             "remove one of the two" },
    [VIOMMU_WORDS_CHILD] = { "V20", "@ is a virtual function of #, which is passed through too",
                             "binding the physical function to a vfio driver removes the virtual one",
                             "remove one of the two" },
    [VIOMMU_WORDS_ARCH] = { "V18", "the architecture is '@'", "only the aarch64 machine virt has an SMMUv3",
                            VIRT ", or ask for no nested SMMU" },
    [VIOMMU_WORDS_MACHINE] = {
        "V18", "the machine is '@'",
        "QEMU refuses to start: Parameter 'driver' expects a dynamic sysbus device type for the machine", VIRT },
    [VIOMMU_WORDS_TYPE] = { "V18", "the domain is of type '@', neither kvm nor qemu",
                            "nested translation is a thing of QEMU with KVM", "write <domain type='kvm'>" },
    [VIOMMU_WORDS_ACPI] = { "V18", "the guest has no ACPI", NO_DT, "add <acpi/> to <features>" },
    [VIOMMU_WORDS_FIRMWARE] = { "V18", "the guest has no UEFI firmware", NO_DT, "write <os firmware='efi'>" },
    [VIOMMU_WORDS_GIC] = { "V18", "the guest's interrupt controller is no GICv3",
                           "the guest has no ITS, through which the MSIs of its devices go",
                           "write <gic version='3'/>" },
};

viommuFinding *
viommuWordsAdd(GPtrArray *findings, viommuWords words, unsigned line, const char *about, const char *other)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *c;

    for (c = table[words].text; *c; c++) {
        if (*c == '@')
            g_string_append(text, about);
        else if (*c == '#')
            g_string_append(text, other);
        else
            g_string_append_c(text, *c);
    }
    return viommuFindingsAdd(findings, table[words].id, VIOMMU_SEVERITY_ERROR, line, table[words].consequence,
                             table[words].remedy, "%s", text->str);
}

/* What a request can say; NULL: there is no such word. */
static const char *
allowedValues(const char *name)
{
    static const struct {
        const char *name;
        const char *remedy;
    } allowed[] = {
        { "nested", "write nested='yes' or nested='no'" },
        { "viommu:nested", "write 'yes' or 'no'" },
        { "accel", "remove it: viommu writes it" },
        { "cmdqv", "write 'on', 'off' or 'auto'" },
        { "ats", "write 'on', 'off' or 'auto'" },
        { "ril", "write 'on', 'off' or 'auto'" },
        { "ssidsize", "write a number from 0 to 20, or 'auto'" },
        { "oas", "write '44', '48' or 'auto'" },
        { "sparePorts", "write a number from 0 to 255" },
        { "spare_ports", "write a number from 0 to 255" },
        { "pref64Reserve", "write a number of KiB from 2048 to 4294967295" },
        { "pref64_reserve", "write a number of KiB from 2048 to 4294967295" },
        { "memReserve", "write a number of KiB from 2048 to 262144" },
        { "mem_reserve", "write a number of KiB from 2048 to 262144" },
        { "smmus", "write 'assigned' or 'all'" },
    };
    const char *word = g_str_has_prefix(name, SPEC_PREFIX) ? name + strlen(SPEC_PREFIX) : name;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(allowed); i++) {
        if (strcmp(name, allowed[i].name) == 0)
            return allowed[i].remedy;
    }
    for (i = 0; i < G_N_ELEMENTS(allowed); i++) {
        if (strcmp(word, allowed[i].name) == 0)
            return allowed[i].remedy;
    }
    return NULL;
}

static void
addStray(GPtrArray *findings, const viommuStray *stray, const char *remedy, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

static void
addStray(GPtrArray *findings, const viommuStray *stray, const char *remedy, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list list;

    va_start(list, format);
    text = g_strdup_vprintf(format, list);
    va_end(list);
    viommuFindingsAdd(findings, "V13", VIOMMU_SEVERITY_ERROR, stray->line, NULL, remedy, "%s", text);
}

void
viommuWordsStray(GPtrArray *findings, const viommuStray *stray)
{
    const char *allowed = stray->misplaced ? NULL : allowedValues(stray->name);
    const char *unknown = stray->misplaced ? "write it on <driver> or <placement>, or remove it" : "remove it";
    g_autofree char *remedy = stray->meant  ? g_strdup_printf("write %s='%s'", stray->meant, stray->value)
                              : stray->near ? g_strdup_printf("did you mean %s='%s'?", stray->near, stray->value)
                                            : g_strdup(allowed ? allowed : unknown);

    if (stray->meant)
        addStray(findings, stray, remedy, "the attribute '%s' is not known; '%s' is", stray->name, stray->meant);
    else if (stray->near || !allowed)
        addStray(findings, stray, remedy, "the attribute '%s' is not known", stray->name);
    else
        addStray(findings, stray, remedy, "%s='%s' means nothing", stray->name, stray->value);
}

void
viommuWordsSpec(GPtrArray *findings, const viommuStray *stray)
{
    const char *allowed = allowedValues(stray->name);
    g_autofree char *remedy = stray->meant  ? g_strdup_printf("write %s", stray->meant)
                              : stray->near ? g_strdup_printf("did you mean %s?", stray->near)
                                            : g_strdup(allowed ? allowed : "remove it");

    if (stray->meant || stray->near || !allowed)
        addStray(findings, stray, remedy, "there is no extra spec '%s'", stray->name);
    else
        addStray(findings, stray, remedy, "the extra spec '%s' is '%s'", stray->name, stray->value);
}
