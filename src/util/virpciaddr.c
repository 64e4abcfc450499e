/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads and writes PCI addresses in the form that sysfs uses for device names.
 */
#include "virpciaddr.h"

#include <stdio.h>

#define DOMAIN_DIGITS_MIN 4
#define DOMAIN_DIGITS_MAX 8

/* Reads hex digits up to @stop; returns how many there were, or 0 where there are none, more than
 * @most, or another character comes first. */
static size_t
parseHex(const char *text, size_t most, char stop, uint32_t *ret_value)
{
    uint32_t value = 0;
    size_t n;

    for (n = 0; g_ascii_isxdigit(text[n]); n++) {
        if (n == most)
            return 0;
        value = value << 4 | (uint32_t)g_ascii_xdigit_value(text[n]);
    }
    if (text[n] != stop)
        return 0;
    *ret_value = value;
    return n;
}

bool
virPCIAddrParse(const char *text, virPCIAddr *ret_addr)
{
    uint32_t domain = 0, bus = 0, slot = 0, function = 0;
    size_t digits = parseHex(text, DOMAIN_DIGITS_MAX, ':', &domain);

    if (digits < DOMAIN_DIGITS_MIN)
        return false;
    text += digits + 1;
    if (parseHex(text, 2, ':', &bus) != 2 || parseHex(text + 3, 2, '.', &slot) != 2 ||
        parseHex(text + 6, 1, '\0', &function) != 1)
        return false;
    if (slot > VIR_PCI_ADDR_MAX_SLOT || function > VIR_PCI_ADDR_MAX_FUNCTION)
        return false;
    *ret_addr = (virPCIAddr){ domain, (uint8_t)bus, (uint8_t)slot, (uint8_t)function };
    return true;
}

const char *
virPCIAddrFormat(const virPCIAddr *addr, char buf[static VIR_PCI_ADDR_BUFLEN])
{
    snprintf(buf, VIR_PCI_ADDR_BUFLEN, "%04x:%02x:%02x.%x", addr->domain, addr->bus,
             addr->slot & VIR_PCI_ADDR_MAX_SLOT, addr->function & VIR_PCI_ADDR_MAX_FUNCTION);
    return buf;
}

int
virPCIAddrCompare(const virPCIAddr *a, const virPCIAddr *b)
{
    if (a->domain != b->domain)
        return a->domain < b->domain ? -1 : 1;
    if (a->bus != b->bus)
        return (int)a->bus - (int)b->bus;
    if (a->slot != b->slot)
        return (int)a->slot - (int)b->slot;
    return (int)a->function - (int)b->function;
}
