/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel of a host: its release, and with which options it was built.
 */
#pragma once

#include "virsmmu.h"
#include "virsysfs.h"

/* What vSMMUs need of the options (Kconfig of drivers/iommu and drivers/vfio), ending with NULL. */
extern const char *const virKernelOptions[];

/* NVIDIA's command queues need this one, too. */
#define VIR_KERNEL_OPTION_CMDQV "CONFIG_TEGRA241_CMDQV"

typedef struct {
    char *release;    /* "7.2.13+deb14-arm64"; NULL: not known */
    unsigned version; /* 1000 * major + minor; 0: not known */
    char *configPath; /* where its options stand as text, or would; NULL: they are not known */
    char *config;     /* what that says */
} virKernel;

/* Reads it from /proc and /boot, or /lib/modules, or /proc/config.gz. What cannot be found out is not known; an error
 * is a host that fails. Free with virKernelFree. */
virKernel *virKernelRead(virSysfs *fs, GError **error);
void virKernelFree(virKernel *kernel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virKernel, virKernelFree)

/* Whether it has @option, built in or as a module. */
virTristate virKernelHas(const virKernel *kernel, const char *option);
