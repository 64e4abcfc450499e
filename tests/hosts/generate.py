#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes a big made-up host as a manifest on standard output; the same options give the same bytes.

SMMU i (smmu3.0x00000001i0000000 for the first sixteen) has segment i: root ports, eight functions
below each, every function alone in its group and bound to vfio-pci. --devices counts ports and
functions."""

import argparse
import sys

sys.dont_write_bytecode = True
from build import host as h
from build import iort
from build.registers import registers

HEAD = """
Made-up host of {smmus} SMMUv3 and {devices} PCI devices in {nodes} NUMA nodes, by generate.py.
All SMMUs can nest (S2FWB), with range invalidation, ATS, 48 bits and 20 bits of PASID; no CMDQV."""
NODES = 4
KINDS = [('144d:a80a', 0x010802, {0: (16 * h.KIB, h.MEM64)}),
         ('15b3:1021', 0x020000, {0: (32 * h.MIB, h.MEM64_PREF)}),
         ('10de:20b5', 0x030200, {0: (16 * h.MIB, h.MEM64_PREF), 2: (16 * h.GIB, h.MEM64_PREF)})]


def segment_of(host, segment, smmu, numa, count, group):
    """Adds @count devices to a segment. Returns the next free group."""
    port = None
    for i in range(count):
        bus, function = i // 9 + 1, i % 9 - 1
        if function < 0:
            below = f'{(bus - 1) % 32:02x}.{(bus - 1) // 32}'
            port = host.bridge(f'{segment:04x}:00:{below}', '1b36:000c', (bus, bus), group,
                               smmu=smmu, numa=numa, multifunction=count > 32 * 9)
        else:
            ids, cls, bars = KINDS[(bus + function) % len(KINDS)]
            host.pci(f'{segment:04x}:{bus:02x}:00.{function}', ids, cls, group, port, driver=h.VFIO,
                     bars=bars, multifunction=not function)
        group += 1
    return group


def main():
    parser = argparse.ArgumentParser(description='Writes a big made-up host as a manifest.')
    parser.add_argument('--smmus', type=int, default=16)
    parser.add_argument('--devices', type=int, default=4096)
    args = parser.parse_args()
    nodes = min(NODES, args.smmus)
    if not 0 < args.smmus <= 0x10000 or not 0 <= args.devices <= args.smmus * 9 * 255:
        parser.error('needs 1 to 65536 SMMUs, and at most 2295 devices for each')

    head = HEAD.format(smmus=args.smmus, devices=args.devices, nodes=nodes)
    host = h.Host('generated', head, '7.2.0', nodes=f'0-{nodes - 1}')
    bases, group = {}, 0
    for i in range(args.smmus):
        numa = i * nodes // args.smmus
        base = 0x100000000 + 0x10000000 * i
        smmu = host.smmu(base, f'arm-smmu-v3.{i}.auto', numa=numa, probe=registers())
        count = args.devices // args.smmus + (i < args.devices % args.smmus)
        group = segment_of(host, i, smmu, numa, count, group)
        bases[base] = (numa, i)
    host.iort(iort.simple(bases, {i: (base, 1) for i, base in enumerate(bases)}, 'MADEUP',
                          'BIGHOST'))
    sys.stdout.write(host.manifest())


if __name__ == '__main__':
    main()
