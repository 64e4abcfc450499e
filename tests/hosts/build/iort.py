# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds an ACPI IO Remapping Table (Arm DEN 0049) from its nodes, in the order they are added."""

import struct

ITS_GROUP, ROOT_COMPLEX, SMMUV3, RMR = 0, 2, 4, 6
SMMU_COHACC, SMMU_PXM_VALID = 0x1, 0x8
CPM, DACS, CANWBS = 0x1, 0x2, 0x4
SINGLE_MAPPING = 0x1


class Iort:
    """One table. Every add method returns the new node's offset, which mappings refer to."""

    def __init__(self, revision, oem, oem_table, first=0x30):
        self.revision, self.oem, self.oem_table, self.first = revision, oem, oem_table, first
        self.nodes = b''
        self.count = 0

    def its(self, identifier=0):
        return self._node(ITS_GROUP, 1, identifier, struct.pack('<II', 1, 0))

    def smmu(self, base, flags, mappings, pxm=0, identifier=0, gsivs=(0, 0, 0, 0), revision=4):
        """@gsivs: event, PRI, global error, sync. @mappings: (first, count, output, node, flags),
        where count is one less than the number of IDs."""
        body = struct.pack('<QIIQI4III', base, flags, 0, 0, 0, *gsivs, pxm, 0)
        return self._node(SMMUV3, revision, identifier, body, mappings)

    def root_complex(self, segment, memory_flags, mappings, ats=0, address_bits=48, identifier=0,
                     revision=4):
        body = struct.pack('<IBHBIIB', 1, 0, 0, memory_flags, ats, segment, address_bits)
        body = body[:16] if revision == 0 else body + bytes(3 if revision < 4 else 7)
        return self._node(ROOT_COMPLEX, revision, identifier, body, mappings)

    def rmr(self, mappings, ranges, identifier=0):
        """Reserved memory for the streams of @mappings; remapping it is not permitted."""
        descriptors = b''.join(struct.pack('<QQI', base, size, 0) for base, size in ranges)
        offset = 28 + 20 * len(mappings)
        body = struct.pack('<III', 0, len(ranges), offset)
        return self._node(RMR, 3, identifier, body, mappings, descriptors)

    def table(self):
        """The whole table, its checksum right."""
        pad = bytes(self.first - 0x30)
        length = self.first + len(self.nodes)
        head = struct.pack('<4sIBB6s8sI4sI', b'IORT', length, self.revision, 0, self.oem.encode(),
                           self.oem_table.encode(), 1, b'MADE', 1)
        head += struct.pack('<III', self.count, self.first, 0)
        data = bytearray(head + pad + self.nodes)
        data[9] = -sum(data) & 0xff
        return bytes(data)

    def _node(self, kind, revision, identifier, body, mappings=(), tail=b''):
        offset = self.first + len(self.nodes)
        packed = b''.join(struct.pack('<IIIII', *m) for m in mappings)
        length = 16 + len(body) + len(packed) + len(tail)
        self.nodes += struct.pack('<BHBIII', kind, length, revision, identifier, len(mappings),
                                  16 + len(body) if mappings else 0)
        self.nodes += body + packed + tail
        self.count += 1
        return offset


def whole_segment(output, node):
    """A mapping of a root complex: all its requester IDs to @output and up, behind @node."""
    return (0, 0xffff, output, node, 0)


def simple(smmus, segments, oem, oem_table, memory_flags=CPM | DACS):
    """A table of the usual shape. @smmus: {base: (pxm or None, identifier)}. @segments:
    {segment: (smmu base, ats)} or {segment: (smmu base, ats, memory flags)}."""
    iort = Iort(6, oem, oem_table)
    its = iort.its()
    nodes, streams = {}, {}
    for base, (pxm, identifier) in smmus.items():
        flags = SMMU_COHACC | (0 if pxm is None else SMMU_PXM_VALID)
        nodes[base] = iort.smmu(base, flags, [(0, 0xfffff, 0, its, 0)], pxm or 0, identifier)
    for segment, (base, ats, *own) in segments.items():
        streams[base] = streams.get(base, 0) + 0x10000
        iort.root_complex(segment, own[0] if own else memory_flags,
                          [whole_segment(streams[base], nodes[base])], ats)
    return iort.table()
