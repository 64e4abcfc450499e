/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which paths of a host belong into its record: what virsmmu*.c reads, what else tells one host
 * from another (PCI ids, IORT, kernel release), and device nodes, of which only the presence
 * counts.
 */
#include "virrecord.h"

#include "virkernel.h"
#include "virpciaddr.h"
#include "virpciconfig.h"
#include "virrecordpriv.h"
#include "virsmmupriv.h"

#include <string.h>

/* One listing of entries that are recorded alike. */
typedef bool (*RecordEntry)(virRecord *record, virSysfs *fs, const char *path, GError **error);

static bool
recordAll(virRecord *record, virSysfs *fs, const char *directory, RecordEntry recordEntry,
          GError **error)
{
    g_auto(GStrv) names = NULL;
    size_t i;

    if (!virSysfsFetchList(fs, directory, &names, error))
        return false;
    virRecordDirectory(record, directory);
    for (i = 0; names && names[i]; i++) {
        g_autofree char *path = g_strconcat(directory, "/", names[i], NULL);

        if (!recordEntry(record, fs, path, error))
            return false;
    }
    return true;
}

static bool
recordTexts(virRecord *record, const char *directory, const char *const *names, size_t count,
            GError **error)
{
    size_t i;

    for (i = 0; i < count; i++) {
        g_autofree char *path = g_strconcat(directory, "/", names[i], NULL);
        GError *failure = NULL;

        if (!virRecordText(record, path, &failure) && failure) {
            g_propagate_error(error, failure);
            return false;
        }
    }
    return true;
}

static bool
recordBytes(virRecord *record, const char *directory, const char *name, size_t limit,
            GError **error)
{
    g_autofree char *path = g_strconcat(directory, "/", name, NULL);
    GError *failure = NULL;

    if (virRecordBytes(record, path, limit, &failure) || !failure)
        return true;
    g_propagate_error(error, failure);
    return false;
}

static void
recordLinks(virRecord *record, const char *directory, const char *const *names, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        g_autofree char *path = g_strconcat(directory, "/", names[i], NULL);

        virRecordLink(record, path);
    }
}

static bool
recordLinkEntry(virRecord *record, virSysfs *fs G_GNUC_UNUSED, const char *path,
                GError **error G_GNUC_UNUSED)
{
    virRecordLink(record, path);
    return true;
}

static bool
recordNodeEntry(virRecord *record, virSysfs *fs G_GNUC_UNUSED, const char *path,
                GError **error G_GNUC_UNUSED)
{
    virRecordExistence(record, path);
    return true;
}

static bool
recordDirectoryEntry(virRecord *record, virSysfs *fs G_GNUC_UNUSED, const char *path,
                     GError **error G_GNUC_UNUSED)
{
    virRecordDirectory(record, path);
    return true;
}

static bool
recordTextEntry(virRecord *record, virSysfs *fs G_GNUC_UNUSED, const char *path, GError **error)
{
    const char *slash = strrchr(path, '/');
    g_autofree char *directory = g_strndup(path, (size_t)(slash - path));
    const char *const names[] = { slash + 1 };

    return recordTexts(record, directory, names, 1, error);
}

static bool
recordSMMU(virRecord *record, virSysfs *fs, const char *path, GError **error)
{
    static const char *const links[] = { "device", "device/driver", "device/of_node" };
    static const char *const texts[] = { "device/numa_node" };
    g_autofree char *devices = g_strconcat(path, "/devices", NULL);

    virRecordLink(record, path);
    recordLinks(record, path, links, G_N_ELEMENTS(links));
    return recordTexts(record, path, texts, G_N_ELEMENTS(texts), error) &&
           recordBytes(record, path, "device/of_node/compatible", VIR_SYSFS_FILE_MAX, error) &&
           recordBytes(record, path, "device/of_node/nvidia,cmdqv", VIR_SYSFS_FILE_MAX, error) &&
           recordAll(record, fs, devices, recordLinkEntry, error);
}

static void
recordVirtualFunctions(virRecord *record, const char *path)
{
    unsigned i;
    bool more = true;

    for (i = 0; more; i++) {
        g_autofree char *link = g_strdup_printf("%s/virtfn%u", path, i);

        more = virRecordLink(record, link);
    }
}

static bool
recordVfioEntry(virRecord *record, virSysfs *fs G_GNUC_UNUSED, const char *path, GError **error)
{
    static const char *const texts[] = { "dev" };

    virRecordDirectory(record, path);
    return recordTexts(record, path, texts, G_N_ELEMENTS(texts), error);
}

static bool
recordPCIDevice(virRecord *record, virSysfs *fs, const char *path, GError **error)
{
    static const char *const links[] = { "driver", "iommu", "iommu_group", "physfn" };
    static const char *const texts[] = { "class",  "device",       "numa_node",      "resource",
                                         "uevent", "sriov_numvfs", "sriov_totalvfs", "vendor" };
    g_autofree char *vfio = g_strconcat(path, "/vfio-dev", NULL);
    g_autofree char *net = g_strconcat(path, "/net", NULL);

    virRecordLink(record, path);
    recordLinks(record, path, links, G_N_ELEMENTS(links));
    recordVirtualFunctions(record, path);
    if (!recordTexts(record, path, texts, G_N_ELEMENTS(texts), error) ||
        !recordBytes(record, path, "config", VIR_PCI_CONFIG_SIZE, error) ||
        !recordAll(record, fs, vfio, recordVfioEntry, error) ||
        !recordAll(record, fs, net, recordDirectoryEntry, error))
        return false;
    return virSMMUCheckPresent(fs, strrchr(path, '/') + 1, error);
}

static bool
recordAcpiEntry(virRecord *record, virSysfs *fs G_GNUC_UNUSED, const char *path, GError **error)
{
    static const char *const texts[] = { "hid", "path", "uid" };

    /* NVIDIA's command queues are the only ACPI devices that a plan looks at. */
    if (!strstr(path, "/NVDA200C:"))
        return true;
    virRecordLink(record, path);
    return recordTexts(record, path, texts, G_N_ELEMENTS(texts), error);
}

/* Interfaces of PCI devices: a libvirt network names its PF by one. */
static bool
recordNetEntry(virRecord *record, virSysfs *fs, const char *path, GError **error G_GNUC_UNUSED)
{
    g_autofree char *target = virSysfsReadLink(fs, path);
    g_auto(GStrv) parts = target ? g_strsplit(target, "/", -1) : NULL;
    virPCIAddr addr;
    size_t i;

    for (i = 0; parts && parts[i]; i++) {
        if (virPCIAddrParse(parts[i], &addr)) {
            virRecordLink(record, path);
            break;
        }
    }
    return true;
}

static bool
recordGroup(virRecord *record, virSysfs *fs, const char *path, GError **error)
{
    static const char *const texts[] = { "reserved_regions", "type" };
    g_autofree char *devices = g_strconcat(path, "/devices", NULL);

    return recordTexts(record, path, texts, G_N_ELEMENTS(texts), error) &&
           recordAll(record, fs, devices, recordLinkEntry, error);
}

static bool
recordProbeEntry(virRecord *record, virSysfs *fs, const char *path, GError **error)
{
    return recordAll(record, fs, path, recordTextEntry, error);
}

/* Of the kernel's options those that count here; all of them are some hundred KiB. */
static bool
recordKernel(virRecord *record, virSysfs *fs, GError **error)
{
    static const char *const words[] = { "ARM_SMMU_V3", "IOMMUFD", "VFIO", "TEGRA241_CMDQV", NULL };
    g_autoptr(virKernel) kernel = virKernelRead(fs, error);

    if (!kernel)
        return false;
    if (kernel->configPath)
        virRecordLines(record, kernel->configPath, kernel->config, words);
    return true;
}

static bool
recordHugePages(virRecord *record, virSysfs *fs, const char *path, GError **error)
{
    static const char *const texts[] = { "nr_hugepages" };

    return recordTexts(record, path, texts, G_N_ELEMENTS(texts), error);
}

char *
virRecordHost(virSysfs *fs, GError **error)
{
    static const char *const texts[] = { "proc/sys/kernel/osrelease",
                                         "sys/devices/system/node/online" };
    static const char *const nodes[] = { "dev/iommu", "dev/vfio/vfio" };
    g_autoptr(virRecord) record = virRecordNew(fs);
    size_t i;

    /* That there is no /dev/iommu is known only where there is a /dev. */
    virRecordDirectory(record, "dev");
    for (i = 0; i < G_N_ELEMENTS(nodes); i++)
        virRecordExistence(record, nodes[i]);
    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (!recordTextEntry(record, fs, texts[i], error))
            return NULL;
    }
    if (!recordKernel(record, fs, error) ||
        !recordAll(record, fs, "sys/kernel/mm/hugepages", recordHugePages, error) ||
        !recordAll(record, fs, "dev/vfio/devices", recordNodeEntry, error) ||
        !recordAll(record, fs, "sys/class/iommu", recordSMMU, error) ||
        !recordAll(record, fs, VIR_SMMU_PCI_DEVICES, recordPCIDevice, error) ||
        !recordAll(record, fs, "sys/bus/acpi/devices", recordAcpiEntry, error) ||
        !recordAll(record, fs, "sys/class/net", recordNetEntry, error) ||
        !recordAll(record, fs, "sys/kernel/iommu_groups", recordGroup, error) ||
        !recordBytes(record, "sys/firmware/acpi/tables", "IORT", VIR_SYSFS_FILE_MAX, error))
        return NULL;
    if (virSysfsHasProbed(fs) && !recordAll(record, fs, "probe", recordProbeEntry, error))
        return NULL;
    return virRecordFormat(record);
}
