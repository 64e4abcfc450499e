/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of a whole domain: puts together what the parts write, in QEMU's order.
 */
#include "qemu_viommu_full.h"
#include "qemu_viommu_known.h"
#include "qemu_viommu_override.h"
#include "qemu_viommu_smmu.h"
#include "viommuerror.h"

#include <string.h>

#define EMULATOR "/usr/bin/qemu-system-aarch64"

bool
qemuViommuRefuse(const qemuViommuFull *full, const xmlNode *node, GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list list;

    va_start(list, format);
    text = g_strdup_vprintf(format, list);
    va_end(list);
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, viommuXMLLine(full->dom->xml, node), "%s", text);
    return false;
}

bool
qemuViommuRefuseValue(const qemuViommuFull *full, const xmlNode *node, const char *attr,
                      const char *allowed, GError **error)
{
    return qemuViommuRefuse(full, node, error, "%s='%s' of <%s> is not translated; use %s", attr,
                            qemuViommuAttrOr(node, attr, ""), (const char *)node->name, allowed);
}

const char *
qemuViommuAttrOr(const xmlNode *node, const char *attr, const char *otherwise)
{
    const char *value = viommuXMLAttr(node, attr);

    return value ? value : otherwise;
}

unsigned
qemuViommuCount(qemuViommuFull *full, const char *what)
{
    unsigned next = GPOINTER_TO_UINT(g_hash_table_lookup(full->counters, what));

    g_hash_table_insert(full->counters, (void *)what, GUINT_TO_POINTER(next + 1));
    return next;
}

char *
qemuViommuMakeId(qemuViommuFull *full, const xmlNode *node, const char *prefix)
{
    const char *alias = qemuViommuUserAlias(viommuXMLAttr(viommuXMLChild(node, "alias"), "name"));

    if (alias)
        return g_strdup(alias);
    return g_strdup_printf("%s%u", prefix, qemuViommuCount(full, prefix));
}

/* Where the plan has @device, or (NULL) the @element with @attrs that the XML does not have; else NULL. */
static const viommuGuestAddr *
findPlanned(const qemuViommuFull *full, const viommuDevice *device, const char *element, const char *attrs)
{
    const GPtrArray *list = full->plan->emulated;
    size_t i;

    for (i = 0; i < list->len; i++) {
        const viommuPlanEmulated *emulated = g_ptr_array_index(list, i);
        const viommuPlanImplied *implied = emulated->implied;

        if (device ? emulated->device == device
                   : implied && g_str_equal(implied->element, element) &&
                         g_str_has_prefix(implied->attrs, attrs))
            return &emulated->addr;
    }
    return NULL;
}

static void
setAddress(const qemuViommuFull *full, JsonObject *props, viommuGuestAddr addr)
{
    const qemuViommuBus *bus = qemuViommuBusFind(full->buses, addr.bus);

    qemuViommuBusesFixAddress(full->buses, &addr);
    qemuViommuSetAddress(props, bus->id, &addr);
}

bool
qemuViommuSetPlace(qemuViommuFull *full, JsonObject *props, const viommuDevice *device, GError **error)
{
    const viommuGuestAddr *planned = findPlanned(full, device, NULL, NULL);
    viommuGuestAddr addr = planned ? *planned : device->addr;

    if (!planned && !qemuViommuBusesHasAddress(full->buses, full->dom, device) &&
        !qemuViommuBusesPlace(full->buses, device->kind, device->line, &addr, error))
        return false;
    setAddress(full, props, addr);
    return true;
}

bool
qemuViommuSetImpliedPlace(qemuViommuFull *full, JsonObject *props, const char *element, const char *attrs,
                          GError **error)
{
    const viommuGuestAddr *planned = findPlanned(full, NULL, element, attrs);
    viommuGuestAddr addr = { 0 };

    if (planned)
        addr = *planned;
    else if (!qemuViommuBusesPlace(full->buses, VIOMMU_DEVICE_PCIE, 0, &addr, error))
        return false;
    setAddress(full, props, addr);
    return true;
}

bool
qemuViommuSetNumber(const qemuViommuFull *full, JsonObject *props, const char *name, const xmlNode *node,
                    const char *attr, GError **error)
{
    const char *text = viommuXMLAttr(node, attr);
    guint64 value;

    if (!text)
        return true;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, &value, NULL))
        return qemuViommuRefuseValue(full, node, attr, "a decimal number", error);
    json_object_set_int_member(props, name, (gint64)value);
    return true;
}

bool
qemuViommuSetSwitch(const qemuViommuFull *full, JsonObject *props, const char *name, const xmlNode *node,
                    const char *attr, GError **error)
{
    const char *text = viommuXMLAttr(node, attr);
    bool on;

    if (!text)
        return true;
    on = g_str_equal(text, "on") || g_str_equal(text, "yes");
    if (!on && !g_str_equal(text, "off") && !g_str_equal(text, "no"))
        return qemuViommuRefuseValue(full, node, attr, "'on' or 'off'", error);
    json_object_set_boolean_member(props, name, on);
    return true;
}

char *
qemuViommuVirtioDriver(const char *base, const char *model)
{
    if (!model || g_str_equal(model, "virtio"))
        return g_strdup_printf("%s-pci", base);
    if (g_str_equal(model, "virtio-non-transitional"))
        return g_strdup_printf("%s-pci-non-transitional", base);
    return NULL;
}

static void
freeFull(qemuViommuFull *full)
{
    g_clear_pointer(&full->args, g_ptr_array_unref);
    g_clear_pointer(&full->buses, g_ptr_array_unref);
    g_clear_pointer(&full->counters, g_hash_table_unref);
    g_clear_pointer(&full->ids, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(qemuViommuFull, freeFull)

static bool
checkDomain(const viommuDomain *dom, GError **error)
{
    const char *wrong = NULL;

    if (dom->virtType == VIOMMU_VIRT_OTHER)
        wrong = "only domains of type 'kvm' and 'qemu' are translated; change <domain type=>";
    else if (dom->arch && !g_str_equal(dom->arch, "aarch64"))
        wrong = "only aarch64 is translated; change <os><type arch=>";
    else if (dom->machine && !g_str_equal(dom->machine, "virt") && !g_str_has_prefix(dom->machine, "virt-"))
        wrong = "only the machine 'virt' is translated; change <os><type machine=>";
    if (!wrong)
        return true;
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, dom->osLine, "%s", wrong);
    return false;
}

/* A QEMU that places by itself puts its buses on pcie.0 before it reads where the other devices go. */
static bool
checkWords(const qemuViommuFull *full, GError **error)
{
    if (full->words->driver)
        return qemuViommuWordsFit(full->words, full->dom, full->plan, error);
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, 0,
                  "with the dialect %s QEMU takes slots of pcie.0 for its own buses, so that the whole domain is not translated: leave out --full",
                  qemuViommuDialectName(full->words->dialect));
    return false;
}

static bool
skipArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    return true;
}

/* Host devices other than PCI ones come here; those are written at the end. */
static bool
hostdevArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    if (device->kind == VIOMMU_DEVICE_ASSIGNED)
        return true;
    /* It is bound for the guest's lifetime, but none of its devices. */
    if (g_strcmp0(viommuXMLAttr(device->addrNode, "type"), "unassigned") == 0)
        return true;
    return qemuViommuRefuseValue(full, device->node, "type", "type='pci' of mode='subsystem'", error);
}

static bool
audioArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    if (g_strcmp0(viommuXMLAttr(device->node, "type"), "none") != 0)
        return qemuViommuRefuseValue(full, device->node, "type", "type='none'", error);
    return true;
}

static const struct {
    const char *element;
    bool (*write)(qemuViommuFull *full, const viommuDevice *device, GError **error);
} writers[] = {
    { "audio", audioArgs },
    { "channel", qemuViommuChannelArgs },
    { "console", qemuViommuConsoleArgs },
    { "controller", skipArgs }, /* qemuViommuControllersArgs did */
    { "disk", qemuViommuDiskArgs },
    { "graphics", qemuViommuGraphicsArgs },
    { "hostdev", hostdevArgs },
    { "input", qemuViommuInputArgs },
    { "interface", qemuViommuInterfaceArgs },
    { "memballoon", qemuViommuBalloonArgs },
    { "panic", qemuViommuPanicArgs },
    { "rng", qemuViommuRngArgs },
    { "serial", qemuViommuSerialArgs },
    { "video", qemuViommuVideoArgs },
    { "vsock", qemuViommuVsockArgs },
    { "watchdog", qemuViommuWatchdogArgs },
};

static bool
deviceArgs(qemuViommuFull *full, const viommuDevice *device, GError **error)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(writers); i++) {
        if (g_str_equal(device->element, writers[i].element))
            return writers[i].write(full, device, error);
    }
    return qemuViommuRefuse(full, device->node, error, "<%s> is not translated", device->element);
}

static bool
devicesArgs(qemuViommuFull *full, GError **error)
{
    const viommuDomain *dom = full->dom;
    size_t i;

    if (!qemuViommuControllersArgs(full, error))
        return false;
    for (i = 0; i < dom->devices->len; i++) {
        if (!deviceArgs(full, g_ptr_array_index(dom->devices, i), error))
            return false;
    }
    if (viommuXMLChild(dom->devicesNode, "graphics") && !viommuXMLChild(dom->devicesNode, "video"))
        return qemuViommuVideoArgs(full, NULL, error);
    return true;
}

/* A network's host device is chosen by libvirt when the domain starts; here nobody does. */
static bool
placeAssigned(qemuViommuFull *full, GPtrArray *assigned, GError **error)
{
    size_t i;

    for (i = 0; i < assigned->len; i++) {
        qemuViommuAssigned *one = g_ptr_array_index(assigned, i);
        const viommuDevice *device = one->device;

        if (device->network)
            return qemuViommuRefuse(full, device->node, error,
                                    "network '%s' lets libvirt choose the host device; name one with "
                                    "<interface type='hostdev'>", device->network);
        if (!one->placed && !qemuViommuBusesHasAddress(full->buses, full->dom, device) &&
            !qemuViommuBusesPlace(full->buses, device->kind, device->line, &one->addr, error))
            return false;
        one->placed = true;
        qemuViommuBusesFixAddress(full->buses, &one->addr);
    }
    return true;
}

static bool
iommuArgs(qemuViommuFull *full, GPtrArray *args, const char **ret_machine, GError **error)
{
    *ret_machine = NULL;
    if (!viommuDomainIsRequest(full->dom))
        return qemuViommuPlainIOMMUArgs(full->dom, full->words, args, ret_machine, error);
    qemuViommuSMMUArgs(full->dom, full->plan, full->words, args);
    return true;
}

/* <qemu:commandline>: the user's own arguments stand last. */
static bool
commandlineArgs(qemuViommuFull *full, GError **error)
{
    const xmlNode *parent = viommuXMLChildNS(full->dom->root, VIOMMU_NS_QEMU, "commandline");
    const xmlNode *node;

    for (node = parent ? parent->children : NULL; node; node = node->next) {
        const char *value = viommuXMLAttr(node, "value");

        if (node->type != XML_ELEMENT_NODE)
            continue;
        if (!viommuXMLIsNS(node, VIOMMU_NS_QEMU, "arg") || !value)
            return qemuViommuRefuse(full, node, error,
                                    "only <qemu:arg value=> of <qemu:commandline> is translated; remove <%s>",
                                    (const char *)node->name);
        qemuViommuArgsAdd(full->args, g_intern_string(value), NULL);
    }
    return true;
}

static bool
writeAll(qemuViommuFull *full, GError **error)
{
    const viommuDomain *dom = full->dom;
    g_autoptr(GPtrArray) smmus = qemuViommuArgsNew();
    g_autoptr(GPtrArray) devices = qemuViommuArgsNew();
    g_autoptr(GPtrArray) assigned = qemuViommuAssignedOfDomain(dom, full->plan);
    g_autoptr(GPtrArray) head = full->args;
    const char *iommu;
    bool good;

    /* Devices come first, as they may need new root ports, which stand before them. */
    full->args = devices;
    good = placeAssigned(full, assigned, error) && devicesArgs(full, error) &&
           iommuArgs(full, smmus, &iommu, error);
    full->args = g_steal_pointer(&head);
    if (!good || !qemuViommuMachineArgs(full, iommu, error))
        return false;
    qemuViommuMachineWords(full->words, full->plan, full->args);
    qemuViommuBusesArgs(full->buses, dom, full->args);
    qemuViommuArgsAppend(full->args, g_steal_pointer(&smmus));
    qemuViommuArgsAppend(full->args, g_steal_pointer(&devices));
    qemuViommuAssignedArgs(dom, assigned, QEMU_VIOMMU_OPEN_BY_QEMU, full->args);
    return commandlineArgs(full, error) && qemuViommuApplyOverride(dom, full->plan, full->args, error);
}

GPtrArray *
qemuViommuFullArgs(const viommuDomain *dom, const viommuPlan *plan, const qemuViommuWords *words, GError **error)
{
    g_auto(qemuViommuFull) full = { .dom = dom, .plan = plan, .words = words };
    qemuViommuWords native;

    if (!words) {
        qemuViommuWordsInit(&native, QEMU_VIOMMU_DIALECT_NATIVE, NULL);
        full.words = &native;
    }
    if (!checkDomain(dom, error) || !checkWords(&full, error) || !qemuViommuCheckKnown(dom, error))
        return NULL;
    full.buses = qemuViommuBusesOfDomain(dom, plan, error);
    if (!full.buses)
        return NULL;
    full.args = qemuViommuArgsNew();
    full.counters = g_hash_table_new(g_str_hash, g_str_equal);
    full.ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    qemuViommuArgsAdd(full.args, g_intern_string(dom->emulator ? dom->emulator : EMULATOR), NULL);
    if (!writeAll(&full, error))
        return NULL;
    return g_steal_pointer(&full.args);
}
