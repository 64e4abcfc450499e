/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what a program that is said to be QEMU writes. Either there are capabilities, from which a dialect
 * follows or a reason, or an error that says something.
 */
#include "fuzztarget.h"
#include "qemu_viommu_caps.h"
#include "viommuerror.h"

#include <string.h>

static void
checkProps(const qemuViommuCaps *caps)
{
    size_t i;

    for (i = 0; i < QEMU_VIOMMU_FEATURES; i++) {
        const qemuViommuProp *prop = &caps->features[i];

        g_assert_true(!prop->name == (prop->type == QEMU_VIOMMU_PROP_NONE));
        g_assert_true(!prop->automatic || prop->name);
        g_assert_true(!prop->name || caps->accel);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(qemuViommuCaps) caps = NULL;
    g_autofree char *text = NULL;
    const char *why = NULL;

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    caps = qemuViommuCapsParse(size ? (const char *)data : "", size, &error);
    g_assert_true(!caps == !!error);
    if (!caps) {
        g_assert_error(error, VIOMMU_ERROR, (gint)VIOMMU_ERROR_FILE);
        g_assert_true(*error->message);
        return 0;
    }
    checkProps(caps);
    g_assert_true((qemuViommuCapsDialect(caps, &why) == QEMU_VIOMMU_DIALECT_NONE) == !!why);
    g_assert_cmpuint(qemuViommuCapsPlanVersion(caps), <, 1000000);
    text = qemuViommuCapsDescribe(caps);
    g_assert_true(*text);
    return 0;
}
