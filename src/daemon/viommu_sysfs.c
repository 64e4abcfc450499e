/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a host.
 */
#include "viommu_sysfs.h"

static virSysfs *
openRecord(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    virSysfs *fs;
    gsize len = 0;

    if (!g_file_get_contents(path, &text, &len, error))
        return NULL;
    fs = virSysfsNewManifest(text, len, error);
    if (!fs)
        g_prefix_error(error, "in '%s': ", path);
    return fs;
}

virSysfs *
viommuSysfsOpen(const viommuConfig *config, const char *path, GError **error)
{
    bool recorded = g_file_test(path, G_FILE_TEST_IS_REGULAR);
    g_autoptr(virSysfs) fs = recorded ? openRecord(path, error) : virSysfsOpenRoot(path, error);
    virSysfs *registers;

    if (!fs || !config->registers)
        return g_steal_pointer(&fs);
    registers = openRecord(config->registers, error);
    if (!registers) {
        g_prefix_error(error, "the registers of viommud.conf, which 'viommu record --probe' writes: ");
        return NULL;
    }
    virSysfsSetProbed(fs, registers);
    return g_steal_pointer(&fs);
}
