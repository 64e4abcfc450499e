/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the first 256 bytes of a PCI function's configuration space say.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part before PCI Express' extended capabilities. Linux gives 64 bytes of it to a user without
 * CAP_SYS_ADMIN (drivers/pci/pci-sysfs.c). */
#define VIR_PCI_CONFIG_SIZE 256

/* Device/Port Type of the PCI Express capability (PCI Express Base Specification 7.5.3.2;
 * PCI_EXP_TYPE_ in Linux' include/uapi/linux/pci_regs.h), and two answers of our own. */
typedef enum {
    VIR_PCI_PORT_UNKNOWN = -2,      /* too little of the space could be read, or it is broken */
    VIR_PCI_PORT_CONVENTIONAL = -1, /* has no such capability */
    VIR_PCI_PORT_ENDPOINT = 0,
    VIR_PCI_PORT_LEGACY_ENDPOINT = 1,
    VIR_PCI_PORT_ROOT_PORT = 4,
    VIR_PCI_PORT_UPSTREAM = 5,
    VIR_PCI_PORT_DOWNSTREAM = 6,
    VIR_PCI_PORT_TO_CONVENTIONAL = 7,
    VIR_PCI_PORT_FROM_CONVENTIONAL = 8,
    VIR_PCI_PORT_INTEGRATED_ENDPOINT = 9,
    VIR_PCI_PORT_EVENT_COLLECTOR = 10,
} virPCIPortType;

virPCIPortType virPCIConfigPortType(const uint8_t *config, size_t len);

/* True if DMA from below a port of that type carries the bridge's requester ID, so that all
 * functions below share one StreamID (pci_for_each_dma_alias in Linux' drivers/pci/search.c). */
bool virPCIPortAliases(virPCIPortType type);
