/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The classes, each a function: V01 and V03-V08 of the placement in QEMU, V02, V16 and V17 of the host devices in it.
 * Those of the expander buses are in qemu_viommu_verify_bus.c.
 */
#include "qemu_viommu_verify_priv.h"

#include <string.h>

#define PLACE_AGAIN "detach it and attach it below the vSMMU of its own SMMU, or define the domain again by 'viommu " \
                    "define' and restart it"

typedef struct {
    const qemuViommuVerifyContext *context;
    GPtrArray *findings;
    GPtrArray *devices; /* of qemuViommuVerified */
    bool nested;        /* a vSMMU is accel, or one is asked for */
} verifier;

const char *
qemuViommuVerdictName(qemuViommuVerdict verdict)
{
    switch (verdict) {
    case QEMU_VIOMMU_RIGHT:
        return "right";
    case QEMU_VIOMMU_WRONG:
        return "wrong";
    case QEMU_VIOMMU_NONE:
        return "none";
    case QEMU_VIOMMU_UNKNOWN:
        break;
    }
    return "unknown";
}

static void
freeVerified(void *data)
{
    qemuViommuVerified *item = data;

    g_free(item->what);
    g_ptr_array_unref(item->ids);
    g_free(item);
}

static bool
hasId(const qemuViommuVerified *item, const char *id)
{
    size_t i;

    for (i = 0; i < item->ids->len; i++) {
        if (strcmp(g_ptr_array_index(item->ids, i), id) == 0)
            return true;
    }
    return false;
}

void
qemuViommuVerifyMark(qemuViommuVerified *item, const char *id, viommuSeverity severity)
{
    if (severity == VIOMMU_SEVERITY_ERROR)
        item->verdict = QEMU_VIOMMU_WRONG;
    if (!hasId(item, id))
        g_ptr_array_add(item->ids, (void *)id);
}

/* A finding about @item, whose name stands in front of @text, which is taken. */
static void
addAbout(verifier *self, qemuViommuVerified *item, const char *id, viommuSeverity severity, const char *consequence,
         const char *remedy, char *text)
{
    viommuFindingsAdd(self->findings, id, severity, 0, consequence, remedy, "%s %s", item->what, text);
    qemuViommuVerifyMark(item, id, severity);
    g_free(text);
}

/* ---- where it is in QEMU */

static bool
isBelow(const qemuViommuVerified *item, const qemuViommuLiveDevice *vsmmu)
{
    return item->device->vsmmu == vsmmu;
}

/* The physical SMMU that @vsmmu stands for: the one that it was planned for, if a device of that is below it; else that
 * of most devices; of equals, that of the one that was there when QEMU started. NULL if none is known. */
static const virSMMU *
commonSMMU(const verifier *self, const qemuViommuLiveDevice *vsmmu, const qemuViommuVerified **ret_first)
{
    const virSMMU *best = NULL;
    unsigned most = 0;
    size_t i, j;

    for (i = 0; i < self->devices->len; i++) {
        const qemuViommuVerified *item = g_ptr_array_index(self->devices, i);
        unsigned count = 0;

        if (!isBelow(item, vsmmu) || !item->smmu || item->smmu == best)
            continue;
        if (g_strcmp0(item->smmu->name, vsmmu->planned) == 0) {
            *ret_first = item;
            return item->smmu;
        }
        for (j = 0; j < self->devices->len; j++) {
            const qemuViommuVerified *other = g_ptr_array_index(self->devices, j);

            count += isBelow(other, vsmmu) && other->smmu == item->smmu;
        }
        if (count < most || (count == most && (!(*ret_first)->device->hotplugged || item->device->hotplugged)))
            continue;
        most = count;
        best = item->smmu;
        *ret_first = item;
    }
    return best;
}

static void
verifyMixed(verifier *self, const qemuViommuLiveDevice *vsmmu)
{
    static const char words[] =
        "the device fails in the guest (Illegal command), and if it was there from the start, so does every other below "
        "that vSMMU: IOMMU_VDEVICE_ALLOC failed: Invalid argument, Failed to install STE, then endless CMD_SYNC timeouts";
    const qemuViommuVerified *first = NULL;
    const virSMMU *common = commonSMMU(self, vsmmu, &first);
    size_t i;

    for (i = 0; common && i < self->devices->len; i++) {
        qemuViommuVerified *item = g_ptr_array_index(self->devices, i);

        if (!isBelow(item, vsmmu) || !item->smmu || item->smmu == common)
            continue;
        addAbout(self, item, "V01", VIOMMU_SEVERITY_ERROR, words, PLACE_AGAIN,
                 g_strdup_printf("is behind '%s', but below the same vSMMU '%s' as %s, which is behind '%s'",
                                 item->smmu->name, vsmmu->id, first->what, common->name));
    }
}

/* Emulated endpoints: a finding for each on an expander bus, one for all of a root bus. */
static void
verifyEmulated(verifier *self, const qemuViommuLiveDevice *vsmmu)
{
    static const char words[] = "QEMU allows none there: Emulated endpoint devices are not allowed when using "
                                "arm-smmuv3,accel=on";
    const GPtrArray *devices = self->context->live->devices;
    const qemuViommuLiveDevice *first = NULL;
    unsigned count = 0;
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(devices, i);

        if (dev->kind != QEMU_VIOMMU_LIVE_EMULATED || dev->vsmmu != vsmmu)
            continue;
        count++;
        first = first ? first : dev;
        if (vsmmu->expander)
            viommuFindingsAdd(self->findings, "V03", VIOMMU_SEVERITY_ERROR, 0, words,
                              "give it an address on a root port of pcie.0",
                              "device '%s' (%s) is emulated and below the accel vSMMU '%s'", dev->id, dev->type,
                              vsmmu->id);
    }
    if (count && !vsmmu->expander)
        viommuFindingsAdd(self->findings, "V08", VIOMMU_SEVERITY_ERROR, 0, words,
                          "put the vSMMU and the host devices on a pcie-expander-bus",
                          "the accel vSMMU '%s' on '%s' has %u emulated device%s below it, '%s' (%s) for one", vsmmu->id,
                          qemuViommuLiveName(vsmmu->bus), count, count == 1 ? "" : "s", first->id, first->type);
}

static void
verifyShared(verifier *self, const qemuViommuLiveDevice *vsmmu, size_t place)
{
    const GPtrArray *devices = self->context->live->devices;
    size_t i;

    for (i = 0; i < place; i++) {
        const qemuViommuLiveDevice *other = g_ptr_array_index(devices, i);

        if (other->kind == QEMU_VIOMMU_LIVE_VSMMU && vsmmu->bus && g_strcmp0(other->bus, vsmmu->bus) == 0) {
            viommuFindingsAdd(self->findings, "V06", VIOMMU_SEVERITY_ERROR, 0,
                              "QEMU allows one: An iommu is already attached to this bus",
                              "put one of them on an expander bus of its own",
                              "two vSMMUs are on the bus '%s', '%s' and '%s'", qemuViommuLiveName(vsmmu->bus),
                              other->id, vsmmu->id);
            return;
        }
    }
}

/* The first device with an iommufd object: of those below @vsmmu, or, if that is NULL, of all. */
static const qemuViommuVerified *
firstModern(const verifier *self, const qemuViommuLiveDevice *vsmmu)
{
    size_t i;

    for (i = 0; i < self->devices->len; i++) {
        const qemuViommuVerified *item = g_ptr_array_index(self->devices, i);

        if (item->device->iommufd && (!vsmmu || isBelow(item, vsmmu)))
            return item;
    }
    return NULL;
}

static void
verifyIommufd(verifier *self, qemuViommuVerified *item)
{
    static const char remedy[] = "write <iommufd enabled='yes'/> into the domain, beside <vcpu>, and restart it";
    const qemuViommuLiveDevice *vsmmu = item->device->vsmmu;
    bool accel = vsmmu && vsmmu->accel;
    const qemuViommuVerified *first = firstModern(self, accel ? vsmmu : NULL);

    if (!item->device->iommufd && accel)
        addAbout(self, item, "V04", VIOMMU_SEVERITY_ERROR,
                 "QEMU allows none there: vfio-pci endpoint devices without an iommufd backend not allowed when using "
                 "arm-smmuv3,accel=on",
                 remedy, g_strdup("is below an accel vSMMU without iommufd"));
    else if (!item->device->iommufd && self->nested && first)
        addAbout(self, item, "V04", VIOMMU_SEVERITY_WARNING, "the guest's memory is pinned and accounted for twice",
                 remedy, g_strdup_printf("uses legacy VFIO and %s iommufd", first->what));
    else if (accel && strcmp(item->device->iommufd, first->device->iommufd) != 0)
        addAbout(self, item, "V04", VIOMMU_SEVERITY_ERROR,
                 "the guest hangs: IOMMU_VDEVICE_ALLOC failed: No such file or directory",
                 "give all host devices one iommufd object",
                 g_strdup_printf("uses the iommufd object '%s', and %s below the same vSMMU '%s'",
                                 item->device->iommufd, first->what, first->device->iommufd));
}

static void
verifyServed(verifier *self, qemuViommuVerified *item)
{
    const qemuViommuLiveDevice *vsmmu = item->device->vsmmu;

    if (vsmmu && vsmmu->accel)
        return;
    if (vsmmu) {
        addAbout(self, item, "V05", VIOMMU_SEVERITY_ERROR,
                 "its DMA is not translated as the guest says: QEMU refuses a host device there",
                 "add accel='on' to its <driver>",
                 g_strdup_printf("is below the vSMMU '%s', which has no accel", vsmmu->id));
    } else if (self->nested) {
        addAbout(self, item, "V05", VIOMMU_SEVERITY_ERROR,
                 "it works without vIOMMU: the guest can neither isolate it nor share page tables with it", PLACE_AGAIN,
                 g_strdup_printf("is on '%s', below no vSMMU",
                                 item->device->bus ? qemuViommuLiveName(item->device->bus) : "no bus"));
    } else if (item->verdict == QEMU_VIOMMU_RIGHT) {
        item->verdict = QEMU_VIOMMU_NONE;
    }
}

/* ---- what it is in the host */

static void
verifyHost(verifier *self, qemuViommuVerified *item)
{
    static const char remedy[] = "name a device that 'viommu host' lists below an SMMU";
    const qemuViommuLiveDevice *dev = item->device;
    char opened[VIR_PCI_ADDR_BUFLEN];

    if (dev->haveHost && dev->haveOpened && virPCIAddrCompare(&dev->host, &dev->opened) != 0)
        addAbout(self, item, "V02", VIOMMU_SEVERITY_ERROR, "what is said of the device is about another one",
                 "restart the domain",
                 g_strdup_printf("is '%s' by the descriptor that QEMU has", virPCIAddrFormat(&dev->opened, opened)));
    if (!dev->haveHost) {
        item->verdict = QEMU_VIOMMU_UNKNOWN;
        addAbout(self, item, "V02", VIOMMU_SEVERITY_NOTE, NULL, "ask through libvirt, or as root on the guest's host",
                 g_strdup("is a host device of which is not known which one"));
    } else if (!item->host) {
        addAbout(self, item, "V02", VIOMMU_SEVERITY_ERROR, "the device has left the host, or is of another host",
                 remedy, g_strdup("is not on this host"));
    } else if (!item->host->smmu) {
        addAbout(self, item, "V02", VIOMMU_SEVERITY_ERROR, "VFIO and iommufd refuse a device that nothing isolates",
                 remedy, g_strdup("is behind no IOMMU that the kernel drives"));
    } else if (self->nested && !item->smmu) {
        addAbout(self, item, "V02", VIOMMU_SEVERITY_ERROR, "no vSMMU can serve it", remedy,
                 g_strdup_printf("is behind '%s', which is no SMMUv3", item->host->smmu->name));
    }
}

static void
verifyGroup(verifier *self, qemuViommuVerified *item)
{
    const virSMMUGroup *group = virSMMUTopologyFindGroup(self->context->host, item->host->group);
    size_t i;

    for (i = 0; group && i < group->members->len; i++) {
        const char *member = g_ptr_array_index(group->members, i);

        if (strcmp(member, item->host->name) == 0)
            continue;
        addAbout(self, item, "V16", VIOMMU_SEVERITY_ERROR,
                 "the device fails in the guest: CMDQ error, Illegal command",
                 "use a device that is alone in its group, or a slot whose ports have ACS",
                 g_strdup_printf("shares IOMMU group %d with '%s'%s", group->number, member,
                                 group->members->len > 2 ? " and others" : ""));
        return;
    }
}

static void
verifyDevice(verifier *self, qemuViommuVerified *item)
{
    const qemuViommuLiveDevice *vsmmu = item->device->vsmmu;

    verifyHost(self, item);
    verifyServed(self, item);
    verifyIommufd(self, item);
    if (!vsmmu || !vsmmu->accel || !item->host || !item->host->haveDetails)
        return;
    verifyGroup(self, item);
    if (item->host->behindBridge)
        addAbout(self, item, "V17", VIOMMU_SEVERITY_ERROR,
                 "the device fails in the guest: IOMMU_VDEVICE_ALLOC failed: Operation not supported",
                 "move the card to a PCI Express slot",
                 g_strdup("is behind a conventional PCI bridge and shares its StreamID"));
}

/* ---- */

static char *
describe(const qemuViommuLiveDevice *dev)
{
    char name[VIR_PCI_ADDR_BUFLEN];

    return dev->haveHost ? g_strdup_printf("device '%s' (%s)", dev->id, virPCIAddrFormat(&dev->host, name))
                         : g_strdup_printf("device '%s'", dev->id);
}

static void
collect(verifier *self)
{
    const qemuViommuVerifyContext *context = self->context;
    size_t i;

    for (i = 0; i < context->live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(context->live->devices, i);
        qemuViommuVerified *item;

        self->nested = self->nested || (dev->kind == QEMU_VIOMMU_LIVE_VSMMU && dev->accel);
        if (dev->kind != QEMU_VIOMMU_LIVE_ASSIGNED || dev->mediated)
            continue;
        item = g_new0(qemuViommuVerified, 1);
        item->device = dev;
        item->what = describe(dev);
        item->ids = g_ptr_array_new();
        item->host = dev->haveHost ? virSMMUTopologyFindDevice(context->host, &dev->host) : NULL;
        if (item->host && item->host->smmu && item->host->smmu->kind == VIR_SMMU_KIND_SMMUV3)
            item->smmu = item->host->smmu;
        g_ptr_array_add(self->devices, item);
    }
}

GPtrArray *
qemuViommuVerify(const qemuViommuVerifyContext *context, GPtrArray *findings)
{
    verifier self = { context, findings, g_ptr_array_new_with_free_func(freeVerified), context->asked };
    size_t i;

    collect(&self);
    for (i = 0; i < context->live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(context->live->devices, i);

        if (dev->kind != QEMU_VIOMMU_LIVE_VSMMU)
            continue;
        verifyShared(&self, dev, i);
        if (!dev->accel)
            continue;
        verifyMixed(&self, dev);
        verifyEmulated(&self, dev);
    }
    for (i = 0; i < self.devices->len; i++)
        verifyDevice(&self, g_ptr_array_index(self.devices, i));
    qemuViommuVerifyNumbers(context->live, self.devices, findings);
    qemuViommuVerifyNodes(context->live, self.devices, findings);
    viommuFindingsSort(findings);
    return self.devices;
}
