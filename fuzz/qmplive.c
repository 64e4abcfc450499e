/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what a monitor answers to the walk through a running QEMU, a line for each command; lines that are
 * commands themselves are passed over. Either the walk comes to an end and is judged, or there is an error that says
 * something.
 */
#include "fuzztarget.h"
#include "qemu_viommu_verify.h"
#include "viommuerror.h"

#include <string.h>

static const char host[] = "sys/devices/platform/arm-smmu-v3.0/iommu/smmu3.0x0000000005000000\n"
                           "sys/class/iommu/smmu3.0x0000000005000000 -> "
                           "../../devices/platform/arm-smmu-v3.0/iommu/smmu3.0x0000000005000000\n"
                           "sys/devices/platform/arm-smmu-v3.0/iommu/smmu3.0x0000000005000000/devices/0002:01:00.0\n"
                           "sys/devices/platform/arm-smmu-v3.0/numa_node = 0\n"
                           "sys/bus/pci/devices/0002:01:00.0 -> ../../../devices/pci0002:00/0002:01:00.0\n"
                           "sys/devices/pci0002:00/0002:01:00.0/numa_node = 0\n"
                           "sys/devices/pci0002:00/0002:01:00.0/iommu -> "
                           "../../platform/arm-smmu-v3.0/iommu/smmu3.0x0000000005000000\n";

/* Where the input ends something is answered that goes on. */
static const char *const others[] = { "{\"return\":[]}", "{\"return\":\"\"}", "{\"return\":false}", "{\"return\":1}" };

static void
finish(qemuViommuWalk *walk)
{
    size_t i;

    while (qemuViommuWalkNext(walk)) {
        for (i = 0; i < G_N_ELEMENTS(others); i++) {
            if (qemuViommuWalkTake(walk, others[i], strlen(others[i]), NULL))
                break;
        }
        g_assert_cmpuint(i, <, G_N_ELEMENTS(others));
    }
}

static void
judge(const qemuViommuLive *live)
{
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(virSysfs) fs = virSysfsNewManifest(host, strlen(host), NULL);
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    qemuViommuVerifyContext context = { live, topo, false };
    g_autoptr(GPtrArray) devices = qemuViommuVerify(&context, findings);
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const qemuViommuVerified *item = g_ptr_array_index(devices, i);

        g_assert_true(*item->what);
        g_assert_true(item->verdict != QEMU_VIOMMU_WRONG || item->ids->len > 0);
        g_assert_true(item->verdict != QEMU_VIOMMU_RIGHT || (item->device->vsmmu && item->device->vsmmu->accel));
        g_assert_true(!item->device->port || item->device->bus);
    }
    for (i = 0; i < findings->len; i++)
        g_assert_true(*((viommuFinding *)g_ptr_array_index(findings, i))->text);
}

static bool
isPassedOver(const char *line, size_t len)
{
    static const char command[] = "{\"execute\"", comment[] = "{\"comment\"";

    return len > strlen(command) &&
           (memcmp(line, command, strlen(command)) == 0 || memcmp(line, comment, strlen(comment)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(qemuViommuWalk) walk = qemuViommuWalkNew();
    g_autoptr(qemuViommuLive) live = NULL;
    const char *at = size ? (const char *)data : "";
    const char *end = at + size;

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    while (at < end && qemuViommuWalkNext(walk)) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline ? newline : end) - at);
        g_autoptr(GError) error = NULL;

        if (!isPassedOver(at, len) && !qemuViommuWalkTake(walk, at, len, &error)) {
            g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_LIBVIRT);
            g_assert_true(*error->message);
            return 0;
        }
        g_assert_no_error(error);
        at += len + 1;
    }
    finish(walk);
    live = qemuViommuWalkEnd(walk);
    judge(live);
    return 0;
}
