/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU arguments for a planned domain, in the order that QEMU needs: expander buses, root ports, vSMMUs,
 * iommufd, host devices. A vSMMU named before its bus, or after a device below it, is refused by QEMU.
 */
#pragma once

#include "qemu_viommu_words.h"

#include <glib.h>

/* One argument pair: "-device" or "-object", and a JSON object in one line. Property names, order and types
 * are those of libvirt 12.8's qemu_command.c output, so that the two can be compared. */
typedef struct {
    const char *option; /* "-device", "-object", "-machine" ...: static or interned */
    char *value;        /* NULL: the option stands alone */
} qemuViommuArg;

typedef enum {
    QEMU_VIOMMU_OPEN_BY_QEMU,   /* vfio-pci with host=: QEMU opens /dev/iommu and the device itself */
    QEMU_VIOMMU_OPEN_BY_CALLER, /* as libvirt writes it: whoever starts QEMU adds fd= */
} qemuViommuOpen;

/* The vSMMU part of @plan, with the 64-bit window that it needs; nothing for a plan without vSMMUs. The same
 * whether @dom was expanded or not. NULL for @words: those of QEMU 11.1, which has one for everything. Returns an
 * array that owns qemuViommuArg, or NULL with VIOMMU_ERROR_REFUSED: what @words cannot say (qemuViommuWordsFit). */
GPtrArray *qemuViommuArgs(const viommuDomain *dom, const viommuPlan *plan, const qemuViommuWords *words,
                          qemuViommuOpen open, GError **error);

/* The whole command line, first the emulator's own path as the option of the first argument; QEMU opens
 * everything by itself. Elements that are not translated (docs/argv.rst) are refused (VIOMMU_ERROR_REFUSED,
 * with the line), never left out; so is what @words cannot say, and a QEMU that places by itself. */
GPtrArray *qemuViommuFullArgs(const viommuDomain *dom, const viommuPlan *plan, const qemuViommuWords *words,
                              GError **error);

/* The arguments as one shell command over several lines, quoted for sh. */
char *qemuViommuFormatShell(const GPtrArray *args);

/* One "OPTION VALUE" a line, value in single quotes where a shell needs it. */
char *qemuViommuFormatLines(const GPtrArray *args);
