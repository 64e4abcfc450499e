/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers by commands, walked and judged. No command may be unknown, and none may change anything.
 */
#include "livetestutils.h"

#include "hosttestutils.h"

#include <string.h>

char *
testLiveRead(const char *stem, const char *suffix)
{
    g_autofree char *path = g_strconcat(stem, suffix, NULL);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

GHashTable *
testLiveAnswers(const char *stem)
{
    g_autofree char *text = testLiveRead(stem, ".live");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GHashTable *answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    size_t i;

    g_assert_true(g_str_has_prefix(lines[0], "{\"comment\""));
    for (i = 1; lines[i] && lines[i + 1]; i += 2)
        g_hash_table_insert(answers, g_strdup(lines[i]), g_strdup(lines[i + 1]));
    return answers;
}

qemuViommuLive *
testLiveWalk(GHashTable *answers, GError **error)
{
    g_autoptr(qemuViommuWalk) self = qemuViommuWalkNew();
    const char *command;

    while ((command = qemuViommuWalkNext(self))) {
        const char *answer = g_hash_table_lookup(answers, command);

        g_assert_true(g_str_has_prefix(command, "{\"execute\":\"qom-list") ||
                      g_str_has_prefix(command, "{\"execute\":\"qom-get\""));
        if (!answer)
            g_error("no answer to %s", command);
        if (!qemuViommuWalkTake(self, answer, strlen(answer), error))
            return NULL;
    }
    return qemuViommuWalkEnd(self);
}

char *
testLiveDescribe(const GPtrArray *devices, const GPtrArray *findings)
{
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; i < devices->len; i++) {
        const qemuViommuVerified *item = g_ptr_array_index(devices, i);
        const qemuViommuLiveDevice *dev = item->device;

        g_string_append_printf(out, "%s: smmu %s, vsmmu %s, bus %s, port %s, iommufd %s%s: %s\n", item->what,
                               item->smmu ? item->smmu->name : "-", dev->vsmmu ? dev->vsmmu->id : "-",
                               qemuViommuLiveName(dev->root), dev->port ? dev->port->id : "-",
                               dev->iommufd ? dev->iommufd : "-", dev->hotplugged ? ", hotplugged" : "",
                               qemuViommuVerdictName(item->verdict));
    }
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        g_assert_cmpuint(finding->line, ==, 0);
        g_string_append_printf(out, "%s: %s: %s\n", viommuSeverityName(finding->severity), finding->id, finding->text);
    }
    return g_string_free(out, FALSE);
}

void
testLiveLoad(const qemuViommuLive *live, virSMMUTopology *topo, virSysfs *fs)
{
    g_autoptr(GError) error = NULL;
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);
        virSMMUDevice *host = dev->haveHost ? virSMMUTopologyFindDevice(topo, &dev->host) : NULL;

        if (host)
            virSMMUTopologyLoadDetails(topo, fs, host, &error);
        g_assert_no_error(error);
    }
}

GHashTable *
testLiveMake(void)
{
    static const char *const pairs[][2] = {
        { TYPES("pci-device"), "{\"return\":[{\"name\":\"vfio-pci\"},{\"name\":\"pcie-root-port\"},"
                               "{\"name\":\"pxb-pcie\"},{\"name\":\"nvme\"}]}" },
        { TYPES("base-pci-bridge"), "{\"return\":[{\"name\":\"pcie-root-port\",\"parent\":\"x\"}]}" },
        { TYPES("vfio-pci"), "{\"return\":[{\"name\":\"vfio-pci\"}]}" },
        { LIST("/machine/peripheral"),
          "{\"return\":[{\"name\":\"type\",\"type\":\"string\"}," CHILD("d0", "vfio-pci") "," CHILD("s0", "arm-smmuv3")
          "," CHILD("p0", "pcie-root-port") "," CHILD("e0", "pxb-pcie") "," CHILD("u0", "usb-kbd") "]}" },
        { LIST("/machine/peripheral-anon"), "{\"return\":[]}" },
        { LIST("/machine/unattached"), "{\"return\":[" CHILD("device[1]", "nvme") "]}" },
        { GET("e0", "parent_bus"), TEXT("/machine/unattached/device[0]/pcie.0") },
        { GET("e0", "bus_nr"), "{\"return\":200}" },
        { GET("e0", "numa_node"), "{\"return\":128}" },
        { GET("p0", "parent_bus"), TEXT("/machine/unattached/device[7]/e0") },
        { GET("d0", "parent_bus"), TEXT("/machine/peripheral/p0/p0") },
        { GET("d0", "iommufd"), TEXT("/objects/iommufd0") },
        { GET("d0", "hotplugged"), "{\"return\":false}" },
        { GET("d0", "host"), TEXT("ffff:ff:ff.f") },
        { GET("d0", "sysfsdev"), TEXT("") },
        { GET("s0", "primary-bus"), TEXT("/machine/unattached/device[7]/e0") },
        { GET("s0", "accel"), "{\"return\":true}" },
    };
    GHashTable *answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(pairs); i++)
        g_hash_table_insert(answers, g_strdup(pairs[i][0]), g_strdup(pairs[i][1]));
    return answers;
}

void
testLiveSet(GHashTable *answers, const char *command, const char *answer)
{
    g_hash_table_replace(answers, g_strdup(command), g_strdup(answer));
}

const qemuViommuLiveDevice *
testLiveFind(const qemuViommuLive *live, const char *id)
{
    size_t i;

    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (strcmp(dev->id, id) == 0)
            return dev;
    }
    g_error("no device '%s'", id);
}

char *
testLiveJudge(GHashTable *answers, const char *manifest, bool bridged)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, manifest, NULL);
    g_autofree char *host = testLiveRead(path, ".sysfs");
    g_autoptr(virSysfs) fs = testHostParse(host);
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    g_autoptr(qemuViommuLive) live = testLiveWalk(answers, NULL);
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    g_autoptr(GPtrArray) devices = NULL;
    qemuViommuVerifyContext context = { live, topo, false };
    size_t i;

    testLiveLoad(live, topo, fs);
    for (i = 0; i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (dev->haveHost)
            virSMMUTopologyFindDevice(topo, &dev->host)->behindBridge = bridged;
    }
    devices = qemuViommuVerify(&context, findings);
    return testLiveDescribe(devices, findings);
}
