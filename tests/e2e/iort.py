# SPDX-License-Identifier: LGPL-2.1-or-later
"""The IO Remapping Table of ACPI, as far as it is about PCI devices and SMMUv3s (Arm DEN 0049E.e).

A decoder of its own: viommu has another (src/util/viriort.c), which this one is to test.
"""

import struct

HEADER = struct.Struct("<4sIBB6s8sI4sI")    # of every ACPI table; revision, checksum
CHECKSUM, OEM_REVISION = 9, 24              # offsets in it
NODES = struct.Struct("<II")                # their number and where the first is
NODE = struct.Struct("<BHBIII")             # type, length, revision, identifier, mappings, their offset
MAPPING = struct.Struct("<IIIII")           # first input, number of IDs - 1, first output, node, flags
ROOT_COMPLEX, SMMUV3 = 2, 4                 # types
ACCESS_FLAGS, CANWBS = NODE.size + 7, 1 << 2            # of a root complex: byte 7 of its memory properties
SMMU_FLAGS, PROXIMITY_VALID, PROXIMITY = NODE.size + 8, 1 << 3, NODE.size + 44


def _nodes(table):
    """(offset, type, mapping count, offset of the mappings) of each node."""
    count, offset = NODES.unpack_from(table, HEADER.size)
    for _ in range(count):
        kind, length, _, _, mappings, first = NODE.unpack_from(table, offset)
        yield offset, kind, mappings, offset + first
        offset += length


def smmuName(table, offset):
    """As Linux names it, after its base address."""
    return "smmu3.0x%016x" % struct.unpack_from("<Q", table, offset + NODE.size)


def ranges(table):
    """{name of an SMMUv3: sorted [(first, last) requester ID]} of the root complexes' mappings.

    On these machines a StreamID is the requester ID; a table that says otherwise is a ValueError.
    """
    out = {smmuName(table, offset): [] for offset, kind, _, _ in _nodes(table) if kind == SMMUV3}
    smmus = {offset for offset, kind, _, _ in _nodes(table) if kind == SMMUV3}
    for _, kind, mappings, first in _nodes(table):
        if kind != ROOT_COMPLEX:
            continue
        for number in range(mappings):
            base, count, output, target, _ = MAPPING.unpack_from(table, first + number * MAPPING.size)
            if target in smmus and output != base:
                raise ValueError(f"the IORT makes StreamID {output:#x} of requester ID {base:#x}")
            if target in smmus:
                out[smmuName(table, target)].append((base, base + count))
    return {name: sorted(found) for name, found in out.items()}


def patched(table, canwbs, nodes):
    """The table with the NUMA @nodes {SMMU: node}, and with @canwbs in every root complex.

    QEMU says neither. Without CANWBS, or an S2FWB that QEMU does not emulate, Linux gives no
    device a vSMMU. Linux takes a table from the initramfs only if its OEM revision is higher.
    """
    out = bytearray(table)
    for offset, kind, _, _ in _nodes(table):
        if kind == ROOT_COMPLEX and canwbs:
            out[offset + ACCESS_FLAGS] |= CANWBS
        if kind == SMMUV3 and smmuName(table, offset) in nodes:
            out[offset + SMMU_FLAGS] |= PROXIMITY_VALID
            struct.pack_into("<I", out, offset + PROXIMITY, nodes[smmuName(table, offset)])
    (revision,) = struct.unpack_from("<I", out, OEM_REVISION)
    struct.pack_into("<I", out, OEM_REVISION, revision + 1)
    out[CHECKSUM] = 0
    out[CHECKSUM] = -sum(out) & 0xff
    return bytes(out)
