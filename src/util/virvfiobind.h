/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking a PCI device from its driver for a guest, and giving it back: Documentation/ABI/testing/sysfs-bus-pci of Linux
 * (driver_override, unbind, drivers_probe).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* How a device was before it was taken. */
typedef struct {
    char *driver;   /* that had it; NULL: none */
    char *override; /* its driver_override; "": none */
} virVFIOTaken;

void virVFIOTakenClear(virVFIOTaken *taken);

/* Binds the device @address ("0002:01:00.0") of the host at @root ("" for this one) to vfio-pci; *@ret_taken says how
 * it was. *@ret_bound is false, and nothing was done, if a driver of the VFIO family has it already. With @error
 * (VIOMMU_ERROR_HOST) it is as it was, or the message says what is left. */
bool virVFIOBind(const char *root, const char *address, virVFIOTaken *ret_taken, bool *ret_bound, GError **error);

/* Gives it back as it was. */
bool virVFIOGiveBack(const char *root, const char *address, const virVFIOTaken *taken, GError **error);
