/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Host devices that whoever starts QEMU opens for it.
 */
#pragma once

#include "qemu_viommu.h"

/* The host addresses ("0002:01:00.0") of the devices in @args that go through iommufd, in their order. Free with
 * g_ptr_array_unref. */
GPtrArray *qemuViommuFdDevices(const GPtrArray *args);

/* The host address of a device in @args that goes through no iommufd, or NULL. Free with g_free. */
char *qemuViommuFdMissing(const GPtrArray *args);

/* Gives each of them its descriptor in the place of the address, and the iommufd object @iommufd (-1: opens its own).
 * @fds: of int, in the order of qemuViommuFdDevices. */
void qemuViommuGiveFds(GPtrArray *args, int iommufd, const GArray *fds);

/* The descriptor that @value, a value of "-device" in JSON, gives to the vfio-pci device @id; -1: it is about something
 * else. */
int qemuViommuFdOf(const char *value, const char *id);
