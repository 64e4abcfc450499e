/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking a PCI device from its driver for a guest, and giving it back: Documentation/ABI/testing/sysfs-bus-pci of Linux
 * (driver_override, unbind, drivers_probe).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The driver that is bound for a guest. */
#define VIR_VFIO_DRIVER "vfio-pci"

/* Binds the device @address ("0002:01:00.0") of the host at @root ("" for this one) to vfio-pci. *@ret_driver is the
 * driver that it was taken from, NULL if it had none; free with g_free. *@ret_bound is false, and nothing was done, if
 * a driver of the VFIO family has it already. With @error (VIOMMU_ERROR_HOST) it is as it was, or the message says what
 * is left. */
bool virVFIOBind(const char *root, const char *address, char **ret_driver, bool *ret_bound, GError **error);

/* Gives it back to @driver, the one that it had; NULL: it had none. */
bool virVFIOGiveBack(const char *root, const char *address, const char *driver, GError **error);
