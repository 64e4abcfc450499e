/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding and reading a kernel's options.
 */
#include "virkernel.h"

#include <stdio.h>
#include <string.h>

const char *const virKernelOptions[] = { "CONFIG_ARM_SMMU_V3",   "CONFIG_ARM_SMMU_V3_IOMMUFD", "CONFIG_IOMMUFD",
                                         "CONFIG_VFIO_DEVICE_CDEV", "CONFIG_VFIO_PCI",         NULL };

/* Below which the release stands: where Debian and SUSE have it, and Fedora. */
static const char *const places[][2] = { { "boot/config-", "" }, { "lib/modules/", "/config" } };

/* A release is a name, and becomes part of a path. */
static bool
isRelease(const char *text)
{
    return text[0] && text[0] != '.' && !strchr(text, '/');
}

static bool
readConfig(virSysfs *fs, virKernel *kernel, GError **error)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(places) && !kernel->config; i++) {
        g_autofree char *path = g_strconcat(places[i][0], kernel->release, places[i][1], NULL);

        if (!virSysfsFetchText(fs, path, &kernel->config, error))
            return false;
        if (kernel->config)
            kernel->configPath = g_steal_pointer(&path);
    }
    return true;
}

virKernel *
virKernelRead(virSysfs *fs, GError **error)
{
    g_autoptr(virKernel) kernel = g_new0(virKernel, 1);
    unsigned major = 0, minor = 0;

    if (!virSysfsFetchText(fs, "proc/sys/kernel/osrelease", &kernel->release, error))
        return NULL;
    if (!kernel->release || !isRelease(kernel->release))
        return g_steal_pointer(&kernel);
    if (sscanf(kernel->release, "%3u.%3u", &major, &minor) == 2)
        kernel->version = 1000 * major + minor;
    return readConfig(fs, kernel, error) ? g_steal_pointer(&kernel) : NULL;
}

void
virKernelFree(virKernel *kernel)
{
    if (!kernel)
        return;
    g_free(kernel->release);
    g_free(kernel->configPath);
    g_free(kernel->config);
    g_free(kernel);
}

virTristate
virKernelHas(const virKernel *kernel, const char *option)
{
    size_t len = strlen(option);
    const char *at = kernel->config;

    if (!at)
        return VIR_TRISTATE_UNKNOWN;
    /* "OPTION=y" or "OPTION=m" at the beginning of a line */
    while ((at = strstr(at, option))) {
        if ((at == kernel->config || at[-1] == '\n') && at[len] == '=' && (at[len + 1] == 'y' || at[len + 1] == 'm'))
            return VIR_TRISTATE_YES;
        at += len;
    }
    return VIR_TRISTATE_NO;
}
