/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A QEMU as a process of this machine: which host devices it has open.
 */
#pragma once

#include "virpciaddr.h"

#include <stdbool.h>
#include <sys/types.h>

/* The host device that the process was started with as the vfio-pci device @id, by a descriptor. False if it was none
 * such, or if that may not be looked at. */
bool viommuProcFindHost(pid_t pid, const char *id, virPCIAddr *ret_host);

/* The process of the running domain @name of this machine's system libvirt; 0: not known. */
pid_t viommuProcOfDomain(const char *name);
