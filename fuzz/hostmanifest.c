/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: a recorded host. What can be read is read, recorded, and read again from its record.
 */
#include "fuzztarget.h"
#include "virrecord.h"
#include "virsmmu.h"

#include <string.h>

/* Reads all there is; each failure is a reason to go on with the next. */
static void
readTopology(virSysfs *fs)
{
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    const GPtrArray *devices, *smmus;
    size_t i;

    if (!topo)
        return;
    devices = virSMMUTopologyDevices(topo);
    for (i = 0; i < devices->len; i++) {
        virSMMUDevice *dev = g_ptr_array_index(devices, i);
        g_autoptr(GError) error = NULL;
        bool good = virSMMUTopologyLoadDetails(topo, fs, dev, &error);

        g_assert(good == !error);
        g_assert(virSMMUTopologyFindDevice(topo, &dev->addr) == dev);
    }
    smmus = virSMMUTopologySMMUs(topo);
    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);

        virSMMUCanNest(smmu, NULL);
        virSMMUSsidBits(smmu);
        virSMMUOutputBits(smmu);
    }
    virSMMUTopologyFindNetdev(topo, fs, "eth0");
}

static void
checkRecord(virSysfs *fs)
{
    g_autofree char *record = virRecordHost(fs, NULL);
    g_autofree char *again = NULL;
    g_autoptr(virSysfs) recorded = NULL;
    g_autoptr(GError) error = NULL;

    if (!record)
        return;
    recorded = virSysfsNewManifest(record, strlen(record), &error);
    g_assert_no_error(error);
    again = virRecordHost(recorded, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again, ==, record);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSysfs) fs = virSysfsNewManifest((const char *)data, size, &error);

    g_assert(!fs == !!error);
    if (!fs)
        return 0;
    readTopology(fs);
    checkRecord(fs);
    return 0;
}
