/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What firmware says of the SMMUs and of the devices behind them: the ACPI IORT, ACPI's command
 * queue devices, and device tree. Where firmware is silent or cannot be read, the answer is
 * "unknown".
 */
#include "viriort.h"
#include "virsmmupriv.h"

#include <string.h>

#define ACPI_DEVICES "sys/bus/acpi/devices"
#define ACPI_IORT "sys/firmware/acpi/tables/IORT"

/* The ACPI device of NVIDIA's command queue extension (tegra241-cmdqv.c, and arm-smmu-v3.c for
 * ACPI), and the property of an SMMU's device-tree node that points at one. */
#define CMDQV_ACPI_PREFIX "NVDA200C:"
#define CMDQV_DT_PROPERTY "nvidia,cmdqv"

/* In the name of an SMMUv3's class device, before its base address in hex. */
#define BASE_PREFIX "smmu3.0x"

typedef struct {
    virIORT *iort;    /* NULL: none, or not readable */
    bool acpi;        /* the host lists its ACPI devices */
    GHashTable *uids; /* of those that are a CMDQV; NULL: one does not say */
} firmware;

/* Only root can read the table. One that is broken says nothing; the kernel has made of it what the
 * topology shows. */
static bool
readIORT(virSysfs *fs, virIORT **ret_iort, GError **error)
{
    g_autofree uint8_t *data = NULL;
    GError *failure = NULL;
    size_t len = 0;

    data = virSysfsReadBytes(fs, ACPI_IORT, &len, &failure);
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    *ret_iort = data ? virIORTParse(data, len, NULL) : NULL;
    return true;
}

static bool
readCmdqvDevices(virSysfs *fs, firmware *from, GError **error)
{
    g_auto(GStrv) names = NULL;
    size_t i;

    if (!virSysfsFetchList(fs, ACPI_DEVICES, &names, error))
        return false;
    from->acpi = names != NULL;
    from->uids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (i = 0; names && names[i]; i++) {
        g_autofree char *path = g_strdup_printf(ACPI_DEVICES "/%s/uid", names[i]);
        g_autofree char *uid = NULL;

        if (!g_str_has_prefix(names[i], CMDQV_ACPI_PREFIX))
            continue;
        if (!virSysfsFetchText(fs, path, &uid, error))
            return false;
        if (!uid) {
            g_clear_pointer(&from->uids, g_hash_table_unref);
            return true;
        }
        g_hash_table_add(from->uids, g_steal_pointer(&uid));
    }
    return true;
}

/* NULL if @iort has no SMMUv3 whose class device has that name. */
static const virIORTSMMU *
findNode(const virIORT *iort, const char *name)
{
    guint64 base;
    size_t i;

    if (!iort || !g_str_has_prefix(name, BASE_PREFIX) ||
        !g_ascii_string_to_unsigned(name + strlen(BASE_PREFIX), 16, 0, G_MAXUINT64, &base, NULL))
        return NULL;
    for (i = 0; i < iort->smmus->len; i++) {
        const virIORTSMMU *node = g_ptr_array_index(iort->smmus, i);

        if (node->base == base)
            return node;
    }
    return NULL;
}

/* What is sure without a probe is only that there is none: a device that is there may not work. */
static virTristate
guessCmdqv(const firmware *from, virSysfs *fs, virSMMU *smmu, bool tree,
           const virIORTSMMU *node)
{
    g_autofree char *property =
        g_strconcat(VIR_SMMU_CLASS "/", smmu->name, "/device/of_node/" CMDQV_DT_PROPERTY, NULL);
    g_autofree char *uid = node ? g_strdup_printf("%u", node->identifier) : NULL;

    if (smmu->kind != VIR_SMMU_KIND_SMMUV3)
        return VIR_TRISTATE_NO;
    if (tree && !virSysfsExists(fs, property))
        return VIR_TRISTATE_NO;
    smmu->cmdqvNamed = tree ? VIR_TRISTATE_YES : VIR_TRISTATE_NO;
    if (!from->acpi || !from->uids)
        return VIR_TRISTATE_UNKNOWN;
    if (g_hash_table_size(from->uids) == 0)
        return VIR_TRISTATE_NO;
    /* arm_smmu_device_acpi_probe(): the device's _UID is the identifier, and other models have
     * none. */
    if (node && (node->model != VIR_IORT_MODEL_GENERIC || !g_hash_table_contains(from->uids, uid)))
        return VIR_TRISTATE_NO;
    smmu->cmdqvNamed = node ? VIR_TRISTATE_YES : VIR_TRISTATE_UNKNOWN;
    return VIR_TRISTATE_UNKNOWN;
}

/* The root complex that sends @dev to @node, the SMMU that it is behind, or NULL. Linux takes the first of the device's
 * segment (iort_find_dev_node()). */
static const virIORTRootComplex *
findComplex(const virIORT *iort, const virSMMUDevice *dev, const virIORTSMMU *node)
{
    uint16_t rid = (uint16_t)(dev->addr.bus << 8 | dev->addr.slot << 3 | dev->addr.function);
    size_t i;

    for (i = 0; node && i < iort->rootComplexes->len; i++) {
        const virIORTRootComplex *complex = g_ptr_array_index(iort->rootComplexes, i);

        if (complex->segment == dev->addr.domain && virIORTMap(iort, complex, rid) == node)
            return complex;
    }
    return NULL;
}

static void
readDevice(const virIORT *iort, virSMMUDevice *dev, const virIORTSMMU *node)
{
    const virIORTRootComplex *complex = findComplex(iort, dev, node);

    if (!complex)
        return;
    dev->canwbs = complex->memoryFlags & VIR_IORT_MEMORY_CANWBS ? VIR_TRISTATE_YES : VIR_TRISTATE_NO;
    dev->ats = complex->atsAttribute & VIR_IORT_ATS_SUPPORTED ? VIR_TRISTATE_YES : VIR_TRISTATE_NO;
}

static void
readSMMU(const firmware *from, virSysfs *fs, virSMMU *smmu)
{
    g_autofree char *treePath = g_strdup_printf(VIR_SMMU_CLASS "/%s/device/of_node", smmu->name);
    bool tree = virSysfsExists(fs, treePath);
    const virIORTSMMU *node = findNode(from->iort, smmu->name);
    size_t i;

    smmu->cmdqv = guessCmdqv(from, fs, smmu, tree, node);
    for (i = 0; i < smmu->devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(smmu->devices, i);

        /* In Linux only drivers/acpi/arm64/iort.c sets it. */
        if (tree)
            dev->canwbs = VIR_TRISTATE_NO;
        else
            readDevice(from->iort, dev, node);
    }
}

bool
virSMMUReadFirmware(virSMMUTopology *topo, virSysfs *fs, GError **error)
{
    firmware from = { 0 };
    bool good = readIORT(fs, &from.iort, error) && readCmdqvDevices(fs, &from, error);
    size_t i;

    for (i = 0; good && i < topo->smmus->len; i++)
        readSMMU(&from, fs, g_ptr_array_index(topo->smmus, i));
    virIORTFree(from.iort);
    g_clear_pointer(&from.uids, g_hash_table_unref);
    return good;
}
