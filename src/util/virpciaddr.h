/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI addresses of host devices, as sysfs writes them: DDDD:BB:SS.F.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define VIR_PCI_ADDR_MAX_SLOT 31
#define VIR_PCI_ADDR_MAX_FUNCTION 7

/* Long enough for any formatted address, with its NUL (domains have up to 8 hex digits). */
#define VIR_PCI_ADDR_BUFLEN 20

typedef struct {
    uint32_t domain;  /* PCI segment; more than 16 bits with VMD */
    uint8_t bus;
    uint8_t slot;     /* 0-31 */
    uint8_t function; /* 0-7 */
} virPCIAddr;

/* Reads exactly the form DDDD:BB:SS.F (4 to 8 hex digits of domain, lower or upper case). Returns false,
 * with @ret_addr untouched, for anything else: names of platform devices, for instance. */
bool virPCIAddrParse(const char *text, virPCIAddr *ret_addr);

/* Writes @addr as sysfs does into @buf and returns @buf. */
const char *virPCIAddrFormat(const virPCIAddr *addr, char buf[static VIR_PCI_ADDR_BUFLEN]);

/* Orders by domain, bus, slot, function; returns <0, 0, >0 like strcmp. */
int virPCIAddrCompare(const virPCIAddr *a, const virPCIAddr *b);
