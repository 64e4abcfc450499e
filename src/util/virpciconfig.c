/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks the capability list of a PCI configuration space.
 */
#include "virpciconfig.h"

/* include/uapi/linux/pci_regs.h: PCI_STATUS, PCI_STATUS_CAP_LIST, PCI_CAPABILITY_LIST,
 * PCI_CAP_ID_EXP, PCI_EXP_FLAGS, PCI_EXP_FLAGS_TYPE */
#define STATUS 0x06
#define STATUS_CAP_LIST 0x10
#define CAPABILITY_LIST 0x34
#define CAP_ID_EXP 0x10
#define CAP_ID_NONE 0xff /* all ones: the function does not answer */
#define EXP_FLAGS 2
#define EXP_FLAGS_TYPE_SHIFT 4
#define EXP_FLAGS_TYPE_MASK 0xf

#define HEADER_SIZE 0x40

/* Most capabilities that fit behind the header (PCI_FIND_CAP_TTL in Linux). */
#define CAPABILITIES_MAX 48

virPCIPortType
virPCIConfigPortType(const uint8_t *config, size_t len)
{
    size_t at, i;

    if (len < HEADER_SIZE)
        return VIR_PCI_PORT_UNKNOWN;
    if (!(config[STATUS] & STATUS_CAP_LIST))
        return VIR_PCI_PORT_CONVENTIONAL;
    at = config[CAPABILITY_LIST];
    for (i = 0; i < CAPABILITIES_MAX; i++) {
        if (at < HEADER_SIZE)
            return VIR_PCI_PORT_CONVENTIONAL;
        at &= ~(size_t)3;
        if (at + EXP_FLAGS >= len || config[at] == CAP_ID_NONE)
            break;
        if (config[at] == CAP_ID_EXP)
            return config[at + EXP_FLAGS] >> EXP_FLAGS_TYPE_SHIFT & EXP_FLAGS_TYPE_MASK;
        at = config[at + 1];
    }
    return VIR_PCI_PORT_UNKNOWN;
}

bool
virPCIPortAliases(virPCIPortType type)
{
    return type == VIR_PCI_PORT_CONVENTIONAL || type == VIR_PCI_PORT_TO_CONVENTIONAL ||
           type == VIR_PCI_PORT_FROM_CONVENTIONAL;
}
