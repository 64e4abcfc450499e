/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which devices are asked, in which order, and why others are not.
 */
#include "virsmmuprobe.h"

#include "virkvm.h"
#include "virsmmupriv.h"

#include <string.h>

#define VFIO_DEVICES "/dev/vfio/devices/"

/* Base classes of displays and accelerators (PCI Code and ID Assignment Specification), which a reset takes long. */
#define CLASS_DISPLAY 0x03
#define CLASS_ACCELERATOR 0x12

/* So many devices are named that cannot be used. */
#define WHY_MAX 4

typedef struct {
    virSysfs *fs;
    const virIOMMUFDCalls *calls;
    virSMMUTopology *topo;
    GString *manifest; /* lines of probe/ */
    GString *stopped;  /* why no more devices are opened; empty: they are */
} probeState;

static void
freeProbe(void *data)
{
    virSMMUProbe *probe = data;

    g_free(probe->smmu);
    g_free(probe->device);
    g_free(probe->why);
    g_free(probe);
}

static int
rank(const virSMMUDevice *dev)
{
    int base = dev->class >> 16;

    return dev->virtualFunction ? 0 : base == CLASS_DISPLAY || base == CLASS_ACCELERATOR ? 2 : 1;
}

static int
compareDevices(gconstpointer a, gconstpointer b)
{
    const virSMMUDevice *one = *(const virSMMUDevice *const *)a;
    const virSMMUDevice *two = *(const virSMMUDevice *const *)b;

    return rank(one) != rank(two) ? rank(one) - rank(two) : virPCIAddrCompare(&one->addr, &two->addr);
}

/* The virtual functions that @dev has now: "0", or NULL where it can have none. */
static char *
virtualFunctions(const probeState *state, const virSMMUDevice *dev)
{
    g_autofree char *path = g_strdup_printf(VIR_SMMU_PCI_DEVICES "/%s/sriov_numvfs", dev->name);

    return virSysfsReadText(state->fs, path, NULL);
}

/* Whose virtual functions a reset of @dev may take away, or NULL. Where it cannot be reset alone, the kernel resets its
 * bus when it is closed (vfio_pci_dev_set_try_reset() in drivers/vfio/pci/vfio_pci_core.c); virtual functions always
 * can. */
static const virSMMUDevice *
findEndangered(const probeState *state, const virSMMUDevice *dev)
{
    const GPtrArray *devices = virSMMUTopologyDevices(state->topo);
    size_t i;

    for (i = 0; i < devices->len && !dev->virtualFunction; i++) {
        const virSMMUDevice *other = g_ptr_array_index(devices, i);
        g_autofree char *functions = NULL;

        if (other->addr.domain != dev->addr.domain || other->addr.bus != dev->addr.bus)
            continue;
        functions = virtualFunctions(state, other);
        if (functions && strcmp(functions, "0") != 0)
            return other;
    }
    return NULL;
}

/* Why @dev is not to be opened, or NULL. */
static char *
unfitness(const probeState *state, const virSMMUDevice *dev)
{
    const virSMMUDevice *endangered = findEndangered(state, dev);
    const virSMMUGroup *group = virSMMUTopologyFindGroup(state->topo, dev->group);

    if (endangered)
        return g_strdup_printf("a reset would take virtual functions of %s away", endangered->name);
    if (group && group->direct)
        return g_strdup("firmware asks for a direct mapping of it");
    return NULL;
}

static void
noteWhy(GPtrArray *whys, const virSMMUDevice *dev, const char *why)
{
    g_ptr_array_add(whys, g_strdup_printf("%s: %s", dev->name, why));
}

/* Once a device was bound, and the kernel could not tell even so, no other device is reset for that. */
static bool
askDevice(probeState *state, const virSMMUDevice *dev, GPtrArray *whys, virIOMMUFDInfo *ret_info)
{
    g_autofree char *why = unfitness(state, dev);
    g_autofree char *name = NULL;
    g_autofree char *cdev = NULL;
    g_autoptr(GError) error = NULL;
    bool bound = false;

    if (!why && virSMMUDeviceFetchCdev(state->fs, dev, &name, &error) && name)
        cdev = g_strconcat(VFIO_DEVICES, name, NULL);
    if (cdev && virIOMMUFDQuery(state->calls, cdev, ret_info, &bound, &error))
        return true;
    noteWhy(whys, dev, why ? why : error ? error->message : "it has left its VFIO driver");
    if (bound)
        g_string_printf(state->stopped, "nor would they be through another device: %s", error->message);
    return false;
}

/* The devices of @smmu that are bound to a VFIO driver, best first; *@ret_unbound others are not. */
static GPtrArray *
listDevices(const probeState *state, const virSMMU *smmu, unsigned *ret_unbound, GError **error)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    size_t i;

    *ret_unbound = 0;
    for (i = 0; i < smmu->devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(smmu->devices, i);

        if (!virSMMUTopologyLoadDetails(state->topo, state->fs, dev, error))
            return NULL;
        if (dev->vfio)
            g_ptr_array_add(devices, dev);
        else if (!dev->bridge)
            (*ret_unbound)++;
    }
    g_ptr_array_sort(devices, compareDevices);
    return g_steal_pointer(&devices);
}

static void
addLines(const probeState *state, const char *name, const virIOMMUFDInfo *info)
{
    const virSMMURegisters *regs = &info->regs;
    const struct {
        const char *name;
        uint32_t value;
    } all[] = { { "idr0", regs->idr0 }, { "idr1", regs->idr1 }, { "idr3", regs->idr3 },
                { "idr5", regs->idr5 }, { "iidr", regs->iidr } };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(all); i++)
        g_string_append_printf(state->manifest, "probe/%s/%s = 0x%08x\n", name, all[i].name, all[i].value);
    if (info->cmdqv != VIR_TRISTATE_UNKNOWN)
        g_string_append_printf(state->manifest, "probe/%s/cmdqv = %u %u %u\n", name, info->cmdqvInfo.version,
                               info->cmdqvInfo.log2vcmdqs, info->cmdqvInfo.log2vsids);
}

/* NULL: nothing was wrong. */
static char *
joinWhys(GPtrArray *whys, unsigned unbound)
{
    guint more = whys->len > WHY_MAX ? whys->len - WHY_MAX : 0;

    g_ptr_array_set_size(whys, (int)(whys->len - more));
    if (more)
        g_ptr_array_add(whys, g_strdup_printf("%u more of the kind", more));
    if (unbound)
        g_ptr_array_add(whys, g_strdup_printf("%u not bound to a VFIO driver", unbound));
    if (!whys->len)
        return NULL;
    g_ptr_array_add(whys, NULL);
    return g_strjoinv("; ", (char **)whys->pdata);
}

static bool
probeSMMU(probeState *state, const virSMMU *smmu, GPtrArray *probes, GError **error)
{
    unsigned unbound = 0;
    g_autoptr(GPtrArray) devices = listDevices(state, smmu, &unbound, error);
    g_autoptr(GPtrArray) whys = g_ptr_array_new_with_free_func(g_free);
    virSMMUProbe *probe;
    virIOMMUFDInfo info;
    size_t i;

    if (!devices)
        return false;
    probe = g_new0(virSMMUProbe, 1);
    probe->smmu = g_strdup(smmu->name);
    g_ptr_array_add(probes, probe);
    if (state->stopped->len) {
        probe->why = g_strdup(state->stopped->str);
        return true;
    }
    for (i = 0; i < devices->len && !probe->device && !state->stopped->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(devices, i);

        if (!askDevice(state, dev, whys, &info))
            continue;
        addLines(state, smmu->name, &info);
        probe->device = g_strdup(dev->name);
    }
    probe->why = joinWhys(whys, unbound);
    if (!probe->device && !probe->why)
        probe->why = g_strdup("no PCI device but bridges is behind it");
    return true;
}

static bool
hasSMMUv3(const virSMMUTopology *topo)
{
    const GPtrArray *smmus = virSMMUTopologySMMUs(topo);
    size_t i;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        if (smmu->kind == VIR_SMMU_KIND_SMMUV3)
            return true;
    }
    return false;
}

GPtrArray *
virSMMUProbeHost(virSysfs *fs, const virIOMMUFDCalls *calls, GError **error)
{
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, error);
    g_autoptr(GPtrArray) probes = g_ptr_array_new_with_free_func(freeProbe);
    g_autoptr(GString) manifest = g_string_new(NULL);
    g_autoptr(GString) stopped = g_string_new(NULL);
    probeState state = { fs, calls, topo, manifest, stopped };
    const GPtrArray *smmus;
    virSysfs *found;
    unsigned bits;
    size_t i;

    if (!topo)
        return NULL;
    if (!hasSMMUv3(topo))
        return g_steal_pointer(&probes);
    if (!virIOMMUFDIsUsable(calls, error))
        return NULL;
    smmus = virSMMUTopologySMMUs(topo);
    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        if (smmu->kind == VIR_SMMU_KIND_SMMUV3 && !probeSMMU(&state, smmu, probes, error))
            return NULL;
    }
    bits = virKVMAddressBits(calls);
    if (bits)
        g_string_append_printf(manifest, "%s = %u\n", VIR_SMMU_PROBED_BITS, bits);
    found = virSysfsNewManifest(manifest->str, manifest->len, error);
    if (!found)
        return NULL;
    virSysfsSetProbed(fs, found);
    return g_steal_pointer(&probes);
}
