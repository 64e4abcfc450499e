/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding and reading a kernel's options.
 */
#include "virkernel.h"

#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

const char *const virKernelOptions[] = { "CONFIG_ARM_SMMU_V3",   "CONFIG_ARM_SMMU_V3_IOMMUFD", "CONFIG_IOMMUFD",
                                         "CONFIG_VFIO_DEVICE_CDEV", "CONFIG_VFIO_PCI",         NULL };

/* Below which the release stands: where Debian and SUSE have it, and Fedora. */
static const char *const places[][2] = { { "boot/config-", "" }, { "lib/modules/", "/config" } };

/* Of a kernel with CONFIG_IKCONFIG_PROC. Options of Linux 7.2 are 300 KiB of text. */
#define COMPRESSED "proc/config.gz"
#define CONFIG_MAX (4u * 1024 * 1024)

/* A release is a name, and becomes part of a path. */
static bool
isRelease(const char *text)
{
    return text[0] && text[0] != '.' && !strchr(text, '/');
}

/* The text that is in @data, or NULL: it is not compressed as it should be, is no text, or longer than any kernel's
 * options. */
static char *
decompress(const uint8_t *data, size_t len)
{
    g_autoptr(GZlibDecompressor) gzip = g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
    g_autofree char *text = g_malloc(CONFIG_MAX + 1);
    gsize have = 0, read, written;
    GConverterResult result = G_CONVERTER_CONVERTED;

    while (result == G_CONVERTER_CONVERTED && have < CONFIG_MAX) {
        result = g_converter_convert(G_CONVERTER(gzip), data, len, text + have, CONFIG_MAX - have,
                                     G_CONVERTER_INPUT_AT_END, &read, &written, NULL);
        if (result == G_CONVERTER_ERROR)
            return NULL;
        data += read;
        len -= read;
        have += written;
    }
    if (result != G_CONVERTER_FINISHED || !have || memchr(text, '\0', have))
        return NULL;
    text[have] = '\0';
    return g_steal_pointer(&text);
}

static bool
readCompressed(virSysfs *fs, virKernel *kernel, GError **error)
{
    g_autoptr(GError) local = NULL;
    size_t len = 0;
    g_autofree uint8_t *data = virSysfsReadHead(fs, COMPRESSED, CONFIG_MAX, &len, &local);

    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    kernel->config = data ? decompress(data, len) : NULL;
    if (kernel->config)
        kernel->configPath = g_strconcat(places[0][0], kernel->release, NULL);
    return true;
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
    return kernel->config || readCompressed(fs, kernel, error);
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
