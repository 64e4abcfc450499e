# SPDX-License-Identifier: LGPL-2.1-or-later
"""NVIDIA machines: Grace (one socket), a GB300 tray, DGX Spark, Jetson Thor."""

from . import host as h
from . import iort, registers
from .host import GIB, KIB, MIB, Host

CONNECTX7, CONNECTX8, CONNECTX_VF = '15b3:1021', '15b3:1023', '15b3:101e'
ETHERNET, NVME, GPU, VGA, USB, NETWORK = 0x020000, 0x010802, 0x030200, 0x030000, 0x0c0330, 0x028000
NVGRACE = 'nvgrace_gpu_vfio_pci'

# Grace: 0x001e1fbf as the kernel decodes it. The firmware's names of the SMMUs, in its order.
GRACE_REGISTERS = registers.registers(
    pri=True, ttendian=0, ril=False, fwb=False, bbm=0, product=0, variant=0,
    implementer=registers.NVIDIA, cmdqv='1 1 4')
GRACE_SMMUS = [(0x11000000, 'SQ00'), (0x12000000, 'SQ01'), (0x15000000, 'SQ02'),
               (0x16000000, 'GQ00'), (0x05000000, 'GQ01')]
SOCKET = 0x100000000000

NIC_BARS = {0: (32 * MIB, h.MEM64_PREF)}
NVME_BARS = {0: (16 * KIB, h.MEM64)}

GRACE_HEAD = """
grace: NVIDIA Grace CPU, one socket (GH200 class), five SMMUv3 with command-queue extension.
A machine put together from several published ones; no single machine was read.
Published:
- SMMU bases 0x11000000 0x12000000 0x15000000 0x16000000 0x05000000, all in proximity domain 0:
  boot log of a Grace host, Breno Leitao, 2025-03-19,
  <20250319-unbiased-rousing-finch-95ecdf@leitao>.
- five command-queue extensions, _HID NVDA200C, \\_SB_.SQ00-02 and GQ00-01, _UID = IORT
  identifier: NVIDIA/edk2-nvidia 4180a654. Feature word 0x001e1fbf and 2^19 queue entries: boot
  lines in Nicolin Chen, 2025-12-19, <aUWeUapsFo3KZP7i@Asurada-Nvidia>.
- the tree of segment 0008, its bus numbers, functions and groups 10-21, and that it is behind
  NVDA200C:04, so 0x05000000: Nicolin Chen, 2025-04-11 (merged as b00d24997a11). Stream 67328 is
  0x10000 + bus 7.
- 0009:01:00.0: IDs, subsystem and three BARs: lspci of a GH200 in the nvgrace-gpu review, Ankit
  Agrawal and Alex Williamson. 0000:01:00.0 and .1 (ConnectX-7): lspci of another GH200.
- 0x001e1fbf has no range invalidation and no S2FWB, so nesting needs CANWBS. Two VCMDQs and 16
  stream IDs for each guest: from the window size and QEMU's and the kernel's driver.
Made up:
- which other segment is behind which SMMU; segments 0000, 0002, 0003, 0006, 0007 and 0009 in one
  machine; the GPU cards 0002:01:00.0 and 0006:01:00.0, the NIC 0002:03:00.0 with its VFs, the
  NVMe's 0003:01:00.0 and 0007:01:00.0; IDs of 0008:05:00.0 and of all bridges.
- groups outside 10-21, all drivers (kernel of 2025 or later assumed), the kernel release, the
  online nodes, BARs other than those of 0009:01:00.0, all config space.
- that 0008:07:00.0 shares group 21 with its bridge (as kernels with b00d24997a11 do).
- the IORT: CANWBS and ATS set in every root complex, the identifiers, the stream bases except
  0008.
- the registers: IDR0 and IDR1.*QS follow the feature word and the queue sizes; SIDSIZE,
  SSIDSIZE, the granules and IIDR are invented.
"""


def grace_smmus(host, probe, sockets=1, first=5):
    """The SMMUs of Grace, {base: Smmu}; N of arm-smmu-v3.N.auto from @first, with CMDQV devices."""
    smmus = {}
    for i, (socket, (base, name)) in enumerate((s, x) for s in range(sockets) for x in GRACE_SMMUS):
        base += socket * SOCKET
        smmus[base] = host.smmu(base, f'arm-smmu-v3.{first + i}.auto', numa=socket, probe=probe)
        host.cmdqv(i, i, f'{name[:2]}{socket}{name[3]}')
    return smmus


def grace():
    host = Host('grace', GRACE_HEAD, '6.17.0', nodes='0-8')
    smmus = grace_smmus(host, GRACE_REGISTERS)
    sq0, sq1, sq2, gq0, gq1 = smmus.values()
    on0 = {'numa': 0}

    port = host.bridge('0000:00:00.0', '10de:22b2', (1, 1), 0, smmu=sq0, **on0)
    for function, group in ((0, 1), (1, 2)):
        host.pci(f'0000:01:00.{function}', CONNECTX7, ETHERNET, group, port, driver=h.VFIO,
                 bars=NIC_BARS, subsystem='15b3:0041', multifunction=not function)

    card = {'subsystem': '10de:1626', 'revision': 0xa1, 'driver': h.VFIO,
            'bars': {0: (16 * MIB, h.MEM64_PREF), 2: (128 * GIB, h.MEM64_PREF),
                     4: (32 * MIB, h.MEM64_PREF)}}
    port = host.bridge('0002:00:00.0', '10de:22b2', (1, 2), 3, smmu=sq0, multifunction=True, **on0)
    host.pci('0002:01:00.0', '10de:2331', GPU, 4, port, **card)
    port = host.bridge('0002:00:01.0', '10de:22b2', (3, 3), 5, smmu=sq0, **on0)
    nic = host.pci('0002:03:00.0', CONNECTX7, ETHERNET, 6, port, driver='mlx5_core', bars=NIC_BARS,
                   subsystem='15b3:0041', net='enP2p3s0np0',
                   vfs=(4, 8, {0: (MIB, h.MEM64_PREF)}))
    for i, driver in enumerate((h.VFIO, 'mlx5_vfio_pci', 'mlx5_core', None), 1):
        host.vf(nic, f'0002:03:00.{i}', CONNECTX_VF, 28 + i, driver)

    port = host.bridge('0003:00:00.0', '10de:22b2', (1, 1), 7, smmu=sq1, **on0)
    host.pci('0003:01:00.0', '144d:a80a', NVME, 8, port, driver=h.VFIO, bars=NVME_BARS)

    port = host.bridge('0006:00:00.0', '10de:22b2', (1, 1), 9, smmu=sq2, **on0)
    host.pci('0006:01:00.0', '10de:2331', GPU, 24, port, **card)
    port = host.bridge('0007:00:00.0', '10de:22b8', (1, 1), 25, smmu=sq2, **on0)
    host.pci('0007:01:00.0', '144d:a80a', NVME, 26, port, driver='nvme', bars=NVME_BARS)

    port = host.bridge('0008:00:00.0', '10de:22b8', (1, 9), 10, smmu=gq1, **on0)
    up = host.bridge('0008:01:00.0', '11f8:4000', (2, 9), 11, port, port=h.UPSTREAM,
                     multifunction=True)
    host.pci('0008:01:00.1', '11f8:4028', 0x058000, 12, port)
    down = [host.bridge(f'0008:02:{n:02x}.0', '11f8:4000', buses, 13 + n, up, port=h.DOWNSTREAM)
            for n, buses in enumerate(((3, 3), (4, 4), (5, 5), (6, 7), (8, 8), (9, 9)))]
    host.pci('0008:03:00.0', '15b7:5017', NVME, 19, down[0], driver=h.VFIO, bars=NVME_BARS)
    host.pci('0008:05:00.0', '10de:22df', 0x088000, 20, down[2])
    to_pci = host.bridge('0008:06:00.0', '1a03:1150', (7, 7), 21, down[3], port=h.TO_PCI)
    host.pci('0008:07:00.0', '1a03:2000', VGA, 21, to_pci, port=h.CONVENTIONAL, driver='ast',
             bars={0: (64 * MIB, h.MEM32, 0x30000000)})
    host.pci('0008:08:00.0', '1912:0014', USB, 22, down[4], driver='xhci_hcd',
             bars={0: (8 * KIB, h.MEM64)})
    host.pci('0008:09:00.0', '10ec:8168', ETHERNET, 23, down[5], driver='r8169',
             bars={2: (4 * KIB, h.MEM64), 4: (16 * KIB, h.MEM64)}, net='enP8p9s0')

    port = host.bridge('0009:00:00.0', '10de:22b1', (1, 1), 27, smmu=gq0, **on0)
    host.pci('0009:01:00.0', '10de:2342', GPU, 28, port, driver=NVGRACE, subsystem='10de:16eb',
             revision=0xa1,
             bars={0: (16 * MIB, h.MEM64_PREF, 0x661002000000),
                   2: (128 * GIB, h.MEM64_PREF, 0x662000000000),
                   4: (32 * MIB, h.MEM64_PREF, 0x661000000000)})

    segments = {0: 0x11000000, 2: 0x11000000, 3: 0x12000000, 6: 0x15000000, 7: 0x15000000,
                8: 0x05000000, 9: 0x16000000}
    host.iort(iort.simple({base: (0, i) for i, base in enumerate(smmus)},
                          {segment: (base, 1) for segment, base in segments.items()},
                          'NVIDIA', 'TH500', iort.CPM | iort.DACS | iort.CANWBS))
    return host


GB300_HEAD = """
{name}: NVIDIA GB300 compute tray, two Grace sockets, four Blackwell GPUs, ten SMMUv3.
{variant}
Published:
- 34 NUMA nodes, CPUs in nodes 0 and 1; the GPUs 0008, 0009, 0018, 0019:06:00.0 [10de:31c2]
  alone in groups 79, 80, 81, 82 of 83; root ports [10de:22b1] of the GPUs and [10de:22b2]
  [10de:22b8] of the others; SMMUs at 0x11000000 (domain 0) and 0x100011000000 (domain 1):
  capture of a GB300 host with Ubuntu's 6.8.0-138-generic.
- the NICs, two functions each at 0000:03:00, 0002:03:00, 0010:03:00, 0012:03:00, the extra ones
  0006:09:00.0 and 0016:0b:00.0, and the NUMA node of each GPU and NIC: tooling for such trays.
- the tree of a GPU segment (switch, NIC endpoint 03:00.0, second switch, GPU 06:00.0): Tushar
  Dave (NVIDIA) on the iommu list, 2025-04-25.
- the bases and extensions of all ten SMMUs (those of socket 1 are 0x100000000000 higher):
  NVIDIA/edk2-nvidia 4180a654; arm-smmu-v3.10.auto is the first: Nicolin Chen, 2025-12-19,
  <aUWeUapsFo3KZP7i@Asurada-Nvidia>.
Made up:
- the GPU -> SMMU map (not published; there are trays of either kind), that of the NICs and
  NVMe's.
- the kernel release 6.17.0 (the captured one is too old for nesting), all other groups, drivers,
  IDs of NICs, NVMe's and switches, all BARs and config space, the NVMe's 0005:01:00.0 and
  0015:01:00.0, how 0006:09:00.0 and 0016:0b:00.0 are connected.
- the IORT: CANWBS and ATS set in every root complex, identifiers, stream bases.
{probe}
"""
GB300_OWN = 'Variant (a): each GPU behind an SMMU of its own.'
GB300_SHARED = 'Variant (b): 0008 and 0009 share an SMMU, and so do 0018 and 0019.'
GB300_PROBE = '- the registers, as for grace: from the feature word 0x001e1fbf, the rest invented.'
GB300_NO_PROBE = '- registers: none are recorded, so features are unknown.'


def gb300(shared=False):
    head = GB300_HEAD.format(name='gb300-shared' if shared else 'gb300',
                             variant=GB300_SHARED if shared else GB300_OWN,
                             probe=GB300_NO_PROBE if shared else GB300_PROBE)
    host = Host('gb300-shared' if shared else 'gb300', head, '6.17.0', nodes='0-33')
    smmus = grace_smmus(host, None if shared else GRACE_REGISTERS, sockets=2, first=10)
    behind = {}
    groups = iter(range(83))

    def group():
        number = next(groups)
        return number if number < 79 else number + 4

    for socket in (0, 1):
        high, segment = socket * SOCKET, socket * 0x10
        rest = {'numa': socket}

        def root(number, base, ids, buses):
            behind[segment + number] = base + high
            return host.bridge(f'{segment + number:04x}:00:00.0', ids, buses, group(),
                               smmu=smmus[base + high], **rest)

        for number, base, driver in ((0, 0x11000000, h.VFIO), (2, 0x12000000, 'mlx5_core')):
            at = f'{segment + number:04x}'
            port = root(number, base, '10de:22b2', (1, 3))
            up = host.bridge(f'{at}:01:00.0', '15b3:197b', (2, 3), group(), port, port=h.UPSTREAM)
            down = host.bridge(f'{at}:02:00.0', '15b3:197b', (3, 3), group(), up,
                               port=h.DOWNSTREAM)
            for f in (0, 1):
                net = None if driver == h.VFIO else f'enP{segment + number}p3s0f{f}np{f}'
                host.pci(f'{at}:03:00.{f}', CONNECTX8, ETHERNET, group(), down, driver=driver,
                         bars=NIC_BARS, net=net, multifunction=not f)

        port = root(5, 0x15000000, '10de:22b8', (1, 1))
        host.pci(f'{segment + 5:04x}:01:00.0', '144d:a80a', NVME, group(), port, driver='nvme',
                 bars=NVME_BARS)
        bus = 0x0b if socket else 0x09
        port = root(6, 0x15000000, '10de:22b2', (bus, bus))
        host.pci(f'{segment + 6:04x}:{bus:02x}:00.0', '15b3:a2dc', ETHERNET, group(), port,
                 driver='mlx5_core', bars=NIC_BARS, net=f'enP{segment + 6}p{bus}s0np0')

        for number, base in ((8, 0x05000000), (9, 0x05000000 if shared else 0x16000000)):
            at = f'{segment + number:04x}'
            port = root(number, base, '10de:22b1', (1, 6))
            up = host.bridge(f'{at}:01:00.0', '15b3:197b', (2, 6), group(), port, port=h.UPSTREAM)
            down = host.bridge(f'{at}:02:00.0', '15b3:197b', (3, 3), group(), up,
                               port=h.DOWNSTREAM)
            host.pci(f'{at}:03:00.0', CONNECTX8, ETHERNET, group(), down, driver=h.VFIO,
                     bars=NIC_BARS)
            down = host.bridge(f'{at}:02:03.0', '15b3:197b', (4, 6), group(), up,
                               port=h.DOWNSTREAM)
            up = host.bridge(f'{at}:04:00.0', '15b3:197c', (5, 6), group(), down, port=h.UPSTREAM)
            down = host.bridge(f'{at}:05:00.0', '15b3:197c', (6, 6), group(), up,
                               port=h.DOWNSTREAM)
            host.pci(f'{at}:06:00.0', '10de:31c2', GPU, 79 + number - 8 + 2 * socket, down,
                     driver=NVGRACE, revision=0xa1,
                     bars={0: (64 * MIB, h.MEM64_PREF), 2: (512 * GIB, h.MEM64_PREF),
                           4: (32 * MIB, h.MEM64_PREF)})

    host.iort(iort.simple({base: (i // 5, i) for i, base in enumerate(smmus)},
                          {segment: (base, 1) for segment, base in behind.items()},
                          'NVIDIA', 'TH500', iort.CPM | iort.DACS | iort.CANWBS))
    return host


GB10_HEAD = """
gb10: NVIDIA DGX Spark (GB10), three SMMUv3 without nesting, one of them without any PCI device.
Published:
- the three SMMUs, their names, platform devices, IORT nodes (offset, flags 1, model 0,
  interrupts) and the root complexes: segments 0-14 behind 0x13800000 with stream base 0x10000 *
  (segment + 1) and no ATS, segment 15 behind 0x13000000 with ATS; the RMR node over streams
  0-0x100 with its three ranges; the `iommu` links; the reserved regions of group 20: decoded
  IORT and sysfs of such a machine, repository aien-dev/aienos, 2026-10-10.
- kernel 6.17.0-1026-nvidia, feature word 0x0396dfbf and 40-bit output addresses of the first
  SMMU, groups 7 8 10 11 13 20 and their types, no command-queue extension, ATS only for the GPU,
  two platform devices behind 0x14900000: investigation on sixteen of these machines, 2026-10.
- the PCI functions with IDs: lspci listings of several machines. GPU BAR0 0x24000000-0x27ffffff:
  a hardware note of the first project. One NUMA node: hwloc commit 09218c831.
Inferred: no PXM in the IORT, so no numa_node of the SMMUs; a feature word with both stages but
no nesting is what the kernel makes of an MMU-700 r0p0 (IIDR below); S2FWB and RIL are in the
word.
Made up:
- the IORT has the published nodes of SMMUs, root complexes and memory, at the published offsets
  for the SMMUs only; the real one has 68 nodes (named components among them) in 3904 bytes.
  Memory access flags CPM and DACS ("coherent" is published, the flags are not); the checksum
  fits.
- groups of the root ports, 0007:01:00.0 and 0009:01:00.0; drivers (0002:01:00.0 and .1 and the
  GPU are bound to vfio-pci here); names of the platform devices; BARs except the GPU's BAR0;
  config.
- the registers: IDR0, IDR3, IDR5.OAS and CMDQS follow the feature word, the rest is invented,
  and the other two SMMUs are taken to be like the first.
"""


def gb10():
    host = Host('gb10', GB10_HEAD, '6.17.0-1026-nvidia')
    probe = registers.registers(pri=True, ttendian=0, oas=40, attr_ovr=True, bbm=2,
                                product=registers.MMU_700, variant=0, revision=0, sidsize=21,
                                queues=16)
    first, second, third = (host.smmu(base, f'arm-smmu-v3.{i}.auto', probe=probe)
                            for i, base in enumerate((0x13800000, 0x13000000, 0x14900000)))
    for smmu, names in ((first, ['PNP0D10:00']), (second, ['NVDA2014:00']),
                        (third, ['PRP0001:00', 'PRP0001:01'])):
        for name in names:
            host.platform(smmu, name)
    gen5, gen4 = '10de:22ce', '10de:22d0'

    for segment, group, driver in ((0, 7, 'mlx5_core'), (2, 10, h.VFIO)):
        port = host.bridge(f'{segment:04x}:00:00.0', gen5, (1, 1), group - 1, smmu=first,
                           revision=1)
        for f in (0, 1):
            net = None if driver == h.VFIO else f'enp1s0f{f}np{f}'
            host.pci(f'{segment:04x}:01:00.{f}', CONNECTX7, ETHERNET, group + f, port,
                     driver=driver, bars=NIC_BARS, net=net, multifunction=not f)
    port = host.bridge('0004:00:00.0', gen5, (1, 15), 12, smmu=first, revision=1)
    host.pci('0004:01:00.0', '144d:a810', NVME, 13, port, driver='nvme', bars=NVME_BARS)
    port = host.bridge('0007:00:00.0', gen4, (1, 15), 14, smmu=first, revision=1)
    host.pci('0007:01:00.0', '10ec:8127', ETHERNET, 15, port, driver='r8127', revision=5,
             bars={2: (64 * KIB, h.MEM64)}, net='enP7s7')
    port = host.bridge('0009:00:00.0', gen4, (1, 15), 16, smmu=first, revision=1)
    host.pci('0009:01:00.0', '14c3:7925', NETWORK, 17, port, driver='mt7925e',
             bars={0: (2 * MIB, h.MEM64_PREF)}, net='wlP9s9')
    port = host.bridge('000f:00:00.0', '10de:22d1', (1, 1), 19, smmu=second)
    host.pci('000f:01:00.0', '10de:2e12', VGA, (20, 'DMA'), port, driver=h.VFIO, revision=0xa1,
             bars={0: (64 * MIB, h.MEM64_PREF, 0x24000000)})
    host.reserved(20, ['0x00000000a1600000 0x00000000b97fffff direct',
                       '0x0000000280000000 0x0000000302ffffff direct'])

    table = iort.Iort(6, 'MEDTEK', 'GB10')
    its = table.its()
    nodes = [table.smmu(base, iort.SMMU_COHACC, [(0, 0xfffff, 0, its, 0)], gsivs=gsivs)
             for base, gsivs in ((0x13800000, (342, 347, 340, 341)),
                                 (0x13000000, (366, 371, 364, 365)),
                                 (0x14900000, (397, 0, 395, 396)))]
    for segment in range(16):
        last = segment == 15
        mapping = iort.whole_segment(0 if last else 0x10000 * (segment + 1), nodes[last])
        table.root_complex(segment, iort.CPM | iort.DACS, [mapping], ats=last, address_bits=40)
    table.rmr([(0, 0x100, 0, nodes[1], 0)], [(0x280000000, 2 * GIB), (0x300000000, 48 * MIB),
                                             (0xa1600000, 386 * MIB)])
    host.iort(table.table())
    return host


THOR_HEAD = """
dt: NVIDIA Jetson Thor (Tegra264), a device-tree host: five SMMUv3, no ACPI.
Published:
- the SMMUs iommu@5000000, @6000000, @a000000, @b000000 below bus@8100000000 and iommu@6000000
  below bus@8800000000 (the same node name twice), each with nvidia,cmdqv and compatible
  nvidia,tegra264-smmu; PCI domain 0 behind iommu@6000000, domains 1-5 behind iommu@5000000; HDA
  behind the SMMU of bus@8800000000: Linux arch/arm64/boot/dts/nvidia/tegra264.dtsi.
- the platform device's name 8806000000.iommu: an error log of such a machine.
Inferred: the other platform names and where the root buses are in sysfs, from how the kernel
names devices of a device tree (translated address of the first register range). No numa_node of
the SMMUs.
Made up: all five SMMUs are enabled; every PCI device with IDs, groups, drivers, BARs and config
space; phandle values; the kernel release; no registers are recorded.
"""


def thor():
    host = Host('dt', THOR_HEAD, '7.2.0')
    tree = 'sys/firmware/devicetree/base'
    smmus = {}
    for i, (bus, unit) in enumerate(((0x8100000000, 0x5000000), (0x8100000000, 0x6000000),
                                     (0x8100000000, 0xa000000), (0x8100000000, 0xb000000),
                                     (0x8800000000, 0x6000000))):
        smmu = host.smmu(bus + unit, f'{bus + unit:x}.iommu',
                         under=f'sys/devices/platform/bus@{bus:x}')
        node = f'{tree}/bus@{bus:x}/iommu@{unit:x}'
        host.link(f'{smmu.path}/of_node', node)
        host.binary(f'{node}/compatible', b'nvidia,tegra264-smmu\0arm,smmu-v3\0')
        host.binary(f'{node}/nvidia,cmdqv', bytes([0, 0, 1, i]))
        smmus[bus + unit] = smmu
    host.platform(smmus[0x8806000000], '88090b0000.hda', 'sys/devices/platform/bus@8800000000')

    host.root('0000:00', 'sys/devices/platform/bus@8100000000/d0b0000000.pci')
    port = host.bridge('0000:00:00.0', '10de:22d8', (1, 255), 0, smmu=smmus[0x8106000000])
    host.pci('0000:01:00.0', '10de:2b00', GPU, 1, port, driver=h.VFIO, revision=0xa1,
             bars={0: (64 * MIB, h.MEM64_PREF)})
    for segment, ids, cls, driver, net, bars in (
            (1, '10ec:8127', ETHERNET, 'r8127', 'enP1p1s0', {2: (64 * KIB, h.MEM64)}),
            (2, CONNECTX7, ETHERNET, h.VFIO, None, NIC_BARS),
            (5, '144d:a80a', NVME, h.VFIO, None, NVME_BARS)):
        ecam = 0xa0b0000000 + segment * 0x800000000
        host.root(f'{segment:04x}:00', f'sys/devices/platform/bus@a800000000/{ecam:x}.pci')
        port = host.bridge(f'{segment:04x}:00:00.0', '10de:22d9', (1, 255), 2 * segment,
                           smmu=smmus[0x8105000000])
        host.pci(f'{segment:04x}:01:00.0', ids, cls, 2 * segment + 1, port, driver=driver, net=net,
                 bars=bars)
    return host


def hosts():
    return [grace(), gb300(), gb300(shared=True), gb10(), thor()]
