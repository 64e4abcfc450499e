/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The map: which PCI device is behind which physical SMMU. It comes from the listings of
 * /sys/class/iommu/NAME/devices alone, so that its cost does not grow with the number of devices;
 * what firmware says is in virsmmufirmware.c, what a single device says in virsmmudevice.c, what
 * registers say in virsmmuregs.c.
 */
#include "virsmmu.h"

#include "viommuerror.h"
#include "virkvm.h"
#include "virsmmupriv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The platform driver's name (arm_smmu_driver in Linux' arm-smmu-v3.c), and what the driver puts
 * before the base address in the names of its class devices. */
#define SMMUV3_DRIVER "arm-smmu-v3"
#define SMMUV3_PREFIX "smmu3."

/* Both numbers of a CMDQV have four bits (PARAM in tegra241-cmdqv.c). */
#define CMDQV_LOG2_MAX 15

static void
smmuFree(virSMMU *smmu)
{
    g_free(smmu->name);
    g_ptr_array_unref(smmu->devices);
    g_ptr_array_unref(smmu->platformDevices);
    g_free(smmu);
}

static void
deviceFree(virSMMUDevice *dev)
{
    g_free(dev->name);
    g_free(dev->driver);
    g_ptr_array_unref(dev->parents);
    g_array_unref(dev->bars);
    g_free(dev);
}

static virSMMUDevice *
deviceNew(const virPCIAddr *addr)
{
    virSMMUDevice *dev = g_new0(virSMMUDevice, 1);
    char name[VIR_PCI_ADDR_BUFLEN];

    dev->addr = *addr;
    dev->name = g_strdup(virPCIAddrFormat(addr, name));
    dev->vendor = dev->device = dev->class = -1;
    dev->group = dev->numaNode = -1;
    dev->canwbs = dev->ats = VIR_TRISTATE_UNKNOWN;
    dev->parents = g_ptr_array_new_with_free_func(g_free);
    dev->bars = g_array_new(FALSE, FALSE, sizeof(virSMMUBar));
    return dev;
}

static virSMMUTopology *
topologyNew(void)
{
    virSMMUTopology *topo = g_new0(virSMMUTopology, 1);

    topo->smmus = g_ptr_array_new_with_free_func((GDestroyNotify)smmuFree);
    topo->devices = g_ptr_array_new_with_free_func((GDestroyNotify)deviceFree);
    topo->groups = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)virSMMUGroupFree);
    return topo;
}

void
virSMMUTopologyFree(virSMMUTopology *topo)
{
    if (!topo)
        return;
    g_ptr_array_unref(topo->smmus);
    g_ptr_array_unref(topo->devices);
    g_hash_table_unref(topo->groups);
    g_free(topo);
}

const GPtrArray *
virSMMUTopologySMMUs(const virSMMUTopology *topo)
{
    return topo->smmus;
}

const GPtrArray *
virSMMUTopologyDevices(const virSMMUTopology *topo)
{
    return topo->devices;
}

virTristate
virSMMUTopologyHasIommufd(const virSMMUTopology *topo)
{
    return topo->iommufd;
}

unsigned
virSMMUTopologyAddressBits(const virSMMUTopology *topo)
{
    return topo->addressBits;
}

virSMMU *
virSMMUTopologyFindSMMU(const virSMMUTopology *topo, const char *name)
{
    size_t i;

    for (i = 0; i < topo->smmus->len; i++) {
        virSMMU *smmu = g_ptr_array_index(topo->smmus, i);

        if (g_str_equal(smmu->name, name))
            return smmu;
    }
    return NULL;
}

virSMMUDevice *
virSMMUTopologyFindDevice(const virSMMUTopology *topo, const virPCIAddr *addr)
{
    size_t low = 0, high = topo->devices->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        virSMMUDevice *dev = g_ptr_array_index(topo->devices, middle);
        int order = virPCIAddrCompare(addr, &dev->addr);

        if (order == 0)
            return dev;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static int
compareDevices(gconstpointer a, gconstpointer b)
{
    const virSMMUDevice *const *left = a, *const *right = b;

    return virPCIAddrCompare(&(*left)->addr, &(*right)->addr);
}

/* A name that is not written as the kernel writes addresses is none of a PCI device. */
static void
addDevices(virSMMUTopology *topo, char **names)
{
    virPCIAddr addr;
    size_t i;

    for (i = 0; names && names[i]; i++) {
        char name[VIR_PCI_ADDR_BUFLEN];

        if (virPCIAddrParse(names[i], &addr) &&
            g_str_equal(virPCIAddrFormat(&addr, name), names[i]))
            g_ptr_array_add(topo->devices, deviceNew(&addr));
    }
    g_ptr_array_sort(topo->devices, compareDevices);
}

static int
compareNames(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

/* Drops the devices that no SMMU has listed and that are not in the later listing @names either:
 * they went while the SMMUs were read, and would look as if no SMMU translated them. */
static void
dropGoneDevices(virSMMUTopology *topo, char **names)
{
    size_t count = names ? g_strv_length(names) : 0;
    size_t i;

    for (i = topo->devices->len; i-- > 0;) {
        const virSMMUDevice *dev = g_ptr_array_index(topo->devices, i);

        if (!dev->smmu &&
            !(count && bsearch(dev->name, names, count, sizeof(*names), compareNames)))
            g_ptr_array_remove_index(topo->devices, (guint)i);
    }
}

static virSMMUKind
kindOf(const char *name, const char *driver)
{
    bool isV3 = driver ? g_str_equal(driver, SMMUV3_DRIVER) : g_str_has_prefix(name, SMMUV3_PREFIX);

    return isV3 ? VIR_SMMU_KIND_SMMUV3 : VIR_SMMU_KIND_OTHER;
}

bool
virSMMUReadNumaNode(virSysfs *fs, const char *path, int *ret_node, GError **error)
{
    g_autofree char *text = NULL;
    gint64 node = -1;

    if (!virSysfsFetchText(fs, path, &text, error))
        return false;
    if (!text)
        return true;
    if (!g_ascii_string_to_signed(text, 10, -1, G_MAXINT16, &node, NULL)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "host file '%s' holds no NUMA node",
                    path);
        return false;
    }
    *ret_node = (int)node;
    return true;
}

/* Reads one probed register; *ret_found says whether there is one. */
static bool
readRegister(virSysfs *fs, const char *smmu, const char *name, uint32_t *ret_value, bool *ret_found,
             GError **error)
{
    g_autofree char *path = g_strdup_printf("probe/%s/%s", smmu, name);
    g_autofree char *text = NULL;
    guint64 value = 0;

    if (!virSysfsFetchText(fs, path, &text, error))
        return false;
    *ret_found = text != NULL;
    if (!text)
        return true;
    if (!g_str_has_prefix(text, "0x") ||
        !g_ascii_string_to_unsigned(text + 2, 16, 0, G_MAXUINT32, &value, NULL)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "'%s' holds no 32-bit number: write it as 0x and hex digits", path);
        return false;
    }
    *ret_value = (uint32_t)value;
    return true;
}

static bool
readRegisters(virSysfs *fs, virSMMU *smmu, GError **error)
{
    virSMMURegisters regs = { .known = true };
    const struct {
        const char *name;
        uint32_t *value;
    } all[] = {
        { "idr0", &regs.idr0 }, { "idr1", &regs.idr1 }, { "idr3", &regs.idr3 },
        { "idr5", &regs.idr5 }, { "iidr", &regs.iidr },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(all); i++) {
        bool found = false;

        if (!readRegister(fs, smmu->name, all[i].name, all[i].value, &found, error))
            return false;
        regs.known = regs.known && found;
    }
    if (regs.known)
        smmu->regs = regs;
    return true;
}

/* Reads "VERSION LOG2VCMDQS LOG2VSIDS", as struct iommu_hw_info_tegra241_cmdqv has them: all zero
 * where the kernel answered that this SMMU has no CMDQV. */
static bool
readProbedCmdqv(virSysfs *fs, virSMMU *smmu, GError **error)
{
    g_autofree char *path = g_strdup_printf("probe/%s/cmdqv", smmu->name);
    g_autofree char *text = NULL;
    unsigned version = 0, vcmdqs = 0, vsids = 0;
    int end = 0;

    if (!virSysfsFetchText(fs, path, &text, error))
        return false;
    if (!text)
        return true;
    if (strspn(text, "0123456789 ") != strlen(text) ||
        sscanf(text, "%3u %2u %2u%n", &version, &vcmdqs, &vsids, &end) != 3 || text[end] ||
        vcmdqs > CMDQV_LOG2_MAX || vsids > CMDQV_LOG2_MAX) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "'%s' is not of the form 'VERSION LOG2VCMDQS LOG2VSIDS'", path);
        return false;
    }
    smmu->cmdqv = version ? VIR_TRISTATE_YES : VIR_TRISTATE_NO;
    smmu->cmdqvVersion = (int)version;
    smmu->cmdqvLog2Queues = (int)vcmdqs;
    smmu->cmdqvLog2Streams = (int)vsids;
    return true;
}

static bool
readSMMUDevices(virSMMUTopology *topo, virSysfs *fs, virSMMU *smmu, GError **error)
{
    g_autofree char *path = g_strdup_printf(VIR_SMMU_CLASS "/%s/devices", smmu->name);
    g_auto(GStrv) names = NULL;
    virPCIAddr addr;
    size_t i;

    if (!virSysfsFetchList(fs, path, &names, error))
        return false;
    for (i = 0; names && names[i]; i++) {
        virSMMUDevice *dev;

        if (!virPCIAddrParse(names[i], &addr)) {
            g_ptr_array_add(smmu->platformDevices, g_strdup(names[i]));
            continue;
        }
        dev = virSMMUTopologyFindDevice(topo, &addr);
        if (dev && !dev->smmu) {
            dev->smmu = smmu;
            g_ptr_array_add(smmu->devices, dev);
        }
    }
    g_ptr_array_sort(smmu->devices, compareDevices);
    return true;
}

static bool
readSMMU(virSMMUTopology *topo, virSysfs *fs, const char *name, GError **error)
{
    virSMMU *smmu = g_new0(virSMMU, 1);
    g_autofree char *driverPath = g_strdup_printf(VIR_SMMU_CLASS "/%s/device/driver", name);
    g_autofree char *numaPath = g_strdup_printf(VIR_SMMU_CLASS "/%s/device/numa_node", name);
    g_autofree char *driver = virSysfsReadLinkName(fs, driverPath);

    g_ptr_array_add(topo->smmus, smmu);
    smmu->name = g_strdup(name);
    smmu->kind = kindOf(name, driver);
    smmu->numaNode = -1;
    smmu->devices = g_ptr_array_new();
    smmu->platformDevices = g_ptr_array_new_with_free_func(g_free);
    smmu->cmdqv = VIR_TRISTATE_UNKNOWN;
    smmu->cmdqvVersion = smmu->cmdqvLog2Queues = smmu->cmdqvLog2Streams = -1;
    return virSMMUReadNumaNode(fs, numaPath, &smmu->numaNode, error) &&
           readSMMUDevices(topo, fs, smmu, error);
}

static bool
readSMMUs(virSMMUTopology *topo, virSysfs *fs, char **names, GError **error)
{
    size_t i;

    if (!names || !names[0])
        return true;
    for (i = 0; names[i]; i++) {
        if (!readSMMU(topo, fs, names[i], error))
            return false;
    }
    if (!virSMMUReadFirmware(topo, fs, error))
        return false;
    /* What was probed counts for more. */
    for (i = 0; virSysfsHasProbed(fs) && i < topo->smmus->len; i++) {
        virSMMU *smmu = g_ptr_array_index(topo->smmus, i);

        if (!readRegisters(fs, smmu, error) || !readProbedCmdqv(fs, smmu, error))
            return false;
    }
    return true;
}

static bool
readAddressBits(virSysfs *fs, unsigned *ret_bits, GError **error)
{
    g_autofree char *text = NULL;
    guint64 bits = 0;

    *ret_bits = 0;
    if (!virSysfsHasProbed(fs))
        return true;
    if (!virSysfsFetchText(fs, VIR_SMMU_PROBED_BITS, &text, error))
        return false;
    if (text && !g_ascii_string_to_unsigned(text, 10, VIR_KVM_ADDRESS_BITS_MIN, VIR_KVM_ADDRESS_BITS_MAX, &bits,
                                            NULL)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "'" VIR_SMMU_PROBED_BITS "' holds no number from %d to %d",
                    VIR_KVM_ADDRESS_BITS_MIN, VIR_KVM_ADDRESS_BITS_MAX);
        return false;
    }
    *ret_bits = (unsigned)bits;
    return true;
}

static virTristate
readIommufd(virSysfs *fs)
{
    if (!virSysfsExists(fs, "dev"))
        return VIR_TRISTATE_UNKNOWN;
    return virSysfsExists(fs, "dev/iommu") ? VIR_TRISTATE_YES : VIR_TRISTATE_NO;
}

virSMMUTopology *
virSMMUTopologyRead(virSysfs *fs, GError **error)
{
    g_autoptr(virSMMUTopology) topo = topologyNew();
    g_auto(GStrv) before = NULL;
    g_auto(GStrv) after = NULL;
    g_auto(GStrv) smmus = NULL;

    if (!virSysfsExists(fs, "sys")) {
        g_set_error(
            error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
            "the host has no 'sys': it takes a running Linux, a copy of its tree or a record of it");
        return NULL;
    }
    if (!virSysfsFetchList(fs, VIR_SMMU_PCI_DEVICES, &before, error) ||
        !virSysfsFetchList(fs, VIR_SMMU_CLASS, &smmus, error))
        return NULL;
    addDevices(topo, before);
    if (!readSMMUs(topo, fs, smmus, error) || !readAddressBits(fs, &topo->addressBits, error) ||
        !virSysfsFetchList(fs, VIR_SMMU_PCI_DEVICES, &after, error))
        return NULL;
    dropGoneDevices(topo, after);
    topo->iommufd = readIommufd(fs);
    return g_steal_pointer(&topo);
}
