/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine of a domain: name, board, accelerator, firmware, kernel, clock, order of boot.
 */
#include "qemu_viommu_full.h"
#include "virtext.h"

#include <string.h>

/* What Debian and Ubuntu install for <os firmware='efi'>; without secure boot, which direct kernel boot
 * and unsigned guests need off. */
#define FIRMWARE "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd"

static const xmlNode *
osChild(const qemuViommuFull *full, const char *name)
{
    return viommuXMLChild(viommuXMLChild(full->dom->root, "os"), name);
}

static const xmlNode *
feature(const qemuViommuFull *full, const char *name)
{
    return viommuXMLChild(viommuXMLChild(full->dom->root, "features"), name);
}

static void
flashArgs(qemuViommuFull *full, const char *node, const char *file, const char *format, bool readOnly)
{
    g_autoptr(JsonObject) props = qemuViommuDeviceNew(format ? format : "raw");
    JsonObject *protocol = qemuViommuDeviceNew("file");

    json_object_set_string_member(props, "node-name", node);
    json_object_set_boolean_member(props, "read-only", readOnly);
    json_object_set_string_member(protocol, "filename", file);
    json_object_set_object_member(props, "file", protocol);
    qemuViommuArgsAddJSON(full->args, "-blockdev", props);
}

/* Features that the firmware must have; a firmware with a path has them, as libvirt notes them there too. */
static bool
checkFirmware(qemuViommuFull *full, bool havePath, GError **error)
{
    const xmlNode *os = viommuXMLChild(full->dom->root, "os");
    const xmlNode *firmware = viommuXMLChild(os, "firmware");
    const xmlNode *node;

    if (!g_str_equal(qemuViommuAttrOr(os, "firmware", "efi"), "efi"))
        return qemuViommuRefuseValue(full, os, "firmware", "'efi'", error);
    if (havePath)
        return true;
    if (g_strcmp0(viommuXMLAttr(viommuXMLChild(os, "loader"), "secure"), "yes") == 0)
        return qemuViommuRefuse(full, os, error,
                                "secure boot needs a firmware that libvirt chooses; give <loader> a path");
    for (node = viommuXMLChild(firmware, "feature"); node; node = viommuXMLNext(node, "feature")) {
        if (g_strcmp0(viommuXMLAttr(node, "enabled"), "yes") == 0)
            return qemuViommuRefuse(full, node, error,
                                    "a firmware with feature '%s' is chosen by libvirt; name one with "
                                    "<loader>", qemuViommuAttrOr(node, "name", ""));
    }
    return true;
}

/* pflash0 is the code, pflash1 the variables. Without <nvram> the board makes an empty pflash1, and the
 * variables last as long as QEMU runs. */
static bool
firmwareArgs(qemuViommuFull *full, GString *machine, GError **error)
{
    const xmlNode *loader = osChild(full, "loader");
    const xmlNode *nvram = osChild(full, "nvram");
    g_autofree char *code = viommuXMLContent(loader);
    g_autofree char *vars = viommuXMLContent(nvram);
    const char *type = qemuViommuAttrOr(loader, "type", "pflash");

    if (full->dom->firmware == VIOMMU_FIRMWARE_NONE)
        return true;
    if (!checkFirmware(full, code != NULL, error))
        return false;
    if (g_str_equal(type, "rom") && code) {
        qemuViommuArgsAdd(full->args, "-bios", g_steal_pointer(&code));
        return true;
    }
    if (!g_str_equal(type, "pflash"))
        return qemuViommuRefuseValue(full, loader, "type", "'pflash' or 'rom'", error);
    if (g_strcmp0(viommuXMLAttr(nvram, "type"), "file") != 0 && viommuXMLAttr(nvram, "type"))
        return qemuViommuRefuseValue(full, nvram, "type", "type='file'", error);
    flashArgs(full, "pflash0", code ? code : FIRMWARE, viommuXMLAttr(loader, "format"),
              g_strcmp0(viommuXMLAttr(loader, "readonly"), "no") != 0);
    g_string_append(machine, ",pflash0=pflash0");
    if (vars) {
        flashArgs(full, "pflash1", vars, viommuXMLAttr(nvram, "format"), false);
        g_string_append(machine, ",pflash1=pflash1");
    }
    return true;
}

/* The 64-bit window: the plan's, else what the user asks for. */
static bool
appendHole(const qemuViommuFull *full, GString *machine, GError **error)
{
    const viommuController *root = viommuDomainFindController(full->dom, 0);
    uint64_t kib = full->plan->hole64KiB;

    if (!kib && full->dom->ownsHole64)
        kib = full->dom->userHole64KiB;
    else if (!kib && root)
        kib = root->hole64KiB;
    if (kib)
        g_string_append_printf(machine, ",highmem-mmio-size=%" G_GUINT64_FORMAT "K", kib);
    return qemuViommuWordsFitWindow(full->words, kib, error);
}

static bool
appendGIC(const qemuViommuFull *full, GString *machine, GError **error)
{
    bool kvm = full->dom->virtType == VIOMMU_VIRT_KVM;

    switch (full->dom->gicVersion) {
    case VIOMMU_UNSET:
        g_string_append(machine, kvm ? ",gic-version=host" : ",gic-version=3");
        return true;
    case 0:
        g_string_append(machine, ",gic-version=host");
        return true;
    case 2:
    case 3:
    case 4:
        g_string_append_printf(machine, ",gic-version=%d", full->dom->gicVersion);
        return true;
    }
    return qemuViommuRefuseValue(full, feature(full, "gic"), "version", "'3' or 'host'", error);
}

static bool
appendSwitch(const qemuViommuFull *full, GString *machine, const char *name, const xmlNode *node,
             const char *attr, GError **error)
{
    const char *value = viommuXMLAttr(node, attr);

    if (!value)
        return true;
    if (!g_str_equal(value, "on") && !g_str_equal(value, "off"))
        return qemuViommuRefuseValue(full, node, attr, "'on' or 'off'", error);
    g_string_append_printf(machine, ",%s=%s", name, value);
    return true;
}

static bool
boardArgs(qemuViommuFull *full, const char *iommu, GError **error)
{
    const viommuDomain *dom = full->dom;
    g_autoptr(GString) machine = g_string_new(dom->machine ? dom->machine : "virt");
    const xmlNode *memory = viommuXMLChild(dom->root, "memory");
    const xmlNode *backing = viommuXMLChild(dom->root, "memoryBacking");

    g_string_append(machine, ",usb=off");
    if (!appendGIC(full, machine, error) ||
        !appendSwitch(full, machine, "dump-guest-core", memory, "dumpCore", error) ||
        !appendSwitch(full, machine, "ras", feature(full, "ras"), "state", error))
        return false;
    if (viommuXMLChild(backing, "nosharepages"))
        g_string_append(machine, ",mem-merge=off");
    if (dom->cells->len == 0)
        g_string_append(machine, ",memory-backend=mach-virt.ram");
    if (!firmwareArgs(full, machine, error))
        return false;
    g_string_append(machine, dom->acpi ? ",acpi=on" : ",acpi=off");
    if (iommu)
        g_string_append_printf(machine, ",iommu=%s", iommu);
    if (!appendHole(full, machine, error))
        return false;
    qemuViommuArgsAdd(full->args, "-machine", g_strdup(machine->str));
    qemuViommuArgsAdd(full->args, "-accel",
                      g_strdup(dom->virtType == VIOMMU_VIRT_KVM ? "kvm" : "tcg"));
    return true;
}

/* Timers say nothing here: an Arm guest has no PIT or HPET, the board's RTC does not catch up (QEMU says so),
 * and the virtual counter is the CPU's (qemuViommuCPUArgs). */
static bool
clockArgs(qemuViommuFull *full, GError **error)
{
    const xmlNode *clock = viommuXMLChild(full->dom->root, "clock");
    const char *offset = qemuViommuAttrOr(clock, "offset", "utc");

    if (!g_str_equal(offset, "utc") && !g_str_equal(offset, "localtime"))
        return qemuViommuRefuseValue(full, clock, "offset", "'utc' or 'localtime'", error);
    qemuViommuArgsAddf(full->args, "-rtc", "base=%s", offset);
    return true;
}

static bool
bootArgs(qemuViommuFull *full, GError **error)
{
    const xmlNode *menu = osChild(full, "bootmenu");
    const char *timeout = viommuXMLAttr(menu, "timeout");
    g_autoptr(GString) boot = g_string_new(NULL);
    const xmlNode *node;
    guint64 value;

    if (g_strcmp0(viommuXMLAttr(menu, "enable"), "yes") == 0)
        g_string_append(boot, "menu=on,");
    if (timeout) {
        if (!g_ascii_string_to_unsigned(timeout, 10, 0, 65535, &value, NULL))
            return qemuViommuRefuseValue(full, menu, "timeout", "milliseconds from 0 to 65535", error);
        g_string_append_printf(boot, "splash-time=%s,", timeout);
    }
    g_string_append(boot, "strict=on");
    for (node = osChild(full, "boot"); node; node = viommuXMLNext(node, "boot")) {
        const char *dev = qemuViommuAttrOr(node, "dev", "");

        if (!g_str_equal(dev, "hd") && !g_str_equal(dev, "cdrom") && !g_str_equal(dev, "network"))
            return qemuViommuRefuseValue(full, node, "dev", "'hd', 'cdrom' or 'network'", error);
    }
    qemuViommuArgsAdd(full->args, "-boot", g_strdup(boot->str));
    return true;
}

static void
kernelArgs(qemuViommuFull *full)
{
    static const struct {
        const char *element;
        const char *option;
    } parts[] = {
        { "kernel", "-kernel" }, { "initrd", "-initrd" }, { "cmdline", "-append" }, { "dtb", "-dtb" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *text = viommuXMLContent(osChild(full, parts[i].element));

        if (text)
            qemuViommuArgsAdd(full->args, parts[i].option, g_steal_pointer(&text));
    }
}

static bool
actionArgs(qemuViommuFull *full, GError **error)
{
    static const struct {
        const char *element;
        const char *usual;
        const char *other;
        const char *action;
    } events[] = {
        { "on_poweroff", "destroy", "preserve", "shutdown=pause" },
        { "on_reboot", "restart", "destroy", "reboot=shutdown" },
        { "on_crash", "destroy", "preserve", "panic=pause" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(events); i++) {
        const xmlNode *node = viommuXMLChild(full->dom->root, events[i].element);
        g_autofree char *text = viommuXMLContent(node);

        if (!text || g_str_equal(text, events[i].usual))
            continue;
        if (!g_str_equal(text, events[i].other))
            return qemuViommuRefuse(full, node, error, "<%s>%s</%s> is not translated; use '%s' or '%s'",
                                    events[i].element, text, events[i].element, events[i].usual,
                                    events[i].other);
        qemuViommuArgsAdd(full->args, "-action", g_strdup(events[i].action));
    }
    return true;
}

static void
identityArgs(qemuViommuFull *full)
{
    const viommuDomain *dom = full->dom;
    g_autofree char *uuid = viommuXMLContent(viommuXMLChild(dom->root, "uuid"));

    if (dom->name) {
        g_autofree char *name = qemuViommuEscapeComma(dom->name);

        qemuViommuArgsAddf(full->args, "-name", "guest=%s,debug-threads=on", name);
    }
    if (uuid)
        qemuViommuArgsAdd(full->args, "-uuid", g_steal_pointer(&uuid));
}

bool
qemuViommuMachineArgs(qemuViommuFull *full, const char *iommu, GError **error)
{
    const xmlNode *core = feature(full, "vmcoreinfo");

    identityArgs(full);
    if (!boardArgs(full, iommu, error) || !qemuViommuCPUArgs(full, error) ||
        !qemuViommuMemoryArgs(full, error))
        return false;
    qemuViommuArgsAdd(full->args, "-display", g_strdup("none"));
    qemuViommuArgsAdd(full->args, "-no-user-config", NULL);
    qemuViommuArgsAdd(full->args, "-nodefaults", NULL);
    if (!clockArgs(full, error) || !bootArgs(full, error) || !actionArgs(full, error))
        return false;
    kernelArgs(full);
    if (core && !g_str_equal(qemuViommuAttrOr(core, "state", "on"), "off"))
        qemuViommuArgsAdd(full->args, "-device", g_strdup("{\"driver\":\"vmcoreinfo\"}"));
    return true;
}
