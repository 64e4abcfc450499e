# SPDX-License-Identifier: LGPL-2.1-or-later
"""Made-up machines: the small ones, and those in which something is wrong."""

from . import host as h
from . import iort
from .host import GIB, KIB, MIB, Host
from .registers import MMU_600, MMU_700, registers

NVME, NIC, NIC_VF = '144d:a80a', '15b3:1021', '15b3:101e'
ETHERNET, STORAGE, DISPLAY, AUDIO, SERIAL = 0x020000, 0x010802, 0x030200, 0x040300, 0x070002
NIC_BARS = {0: (32 * MIB, h.MEM64_PREF)}
NVME_BARS = {0: (16 * KIB, h.MEM64)}
GPU_BARS = {0: (16 * MIB, h.MEM64_PREF), 2: (16 * GIB, h.MEM64_PREF)}
PORT = '1b36:000c'


def nvme(host, bdf, group, port, driver=h.VFIO, **rest):
    return host.pci(bdf, NVME, STORAGE, group, port, driver=driver, bars=NVME_BARS, **rest)


def nic(host, bdf, group, port, driver=h.VFIO, **rest):
    return host.pci(bdf, NIC, ETHERNET, group, port, driver=driver, bars=NIC_BARS, **rest)


def one_smmu():
    host = Host('one-smmu', """
one-smmu: a small server with one SMMUv3 and four PCI devices, all passed through.
Everything is made up. The SMMU can nest (both stages, S2FWB, 48 bits), has range invalidation
and ATS, 16 bits of PASID, and no command-queue extension. Its firmware gives no proximity
domain.""",
                '7.2.0')
    smmu = host.smmu(0x09050000, 'arm-smmu-v3.0.auto', probe=registers(ssidsize=16))
    port = host.bridge('0000:00:01.0', PORT, (1, 1), 0, smmu=smmu)
    nvme(host, '0000:01:00.0', 1, port)
    port = host.bridge('0000:00:02.0', PORT, (2, 2), 2, smmu=smmu)
    nic(host, '0000:02:00.0', 3, port, multifunction=True)
    nic(host, '0000:02:00.1', 4, port)
    port = host.bridge('0000:00:03.0', PORT, (3, 3), 5, smmu=smmu)
    host.pci('0000:03:00.0', '10de:20b5', DISPLAY, 6, port, driver=h.VFIO, bars=GPU_BARS)
    host.iort(iort.simple({0x09050000: (None, 0)}, {0: (0x09050000, 1)}, 'MADEUP', 'ONESMMU'))
    return host


def no_smmu():
    host = Host('no-smmu', """
no-smmu: an arm64 server whose kernel drives no IOMMU: /sys/class/iommu is empty, and no device
has an `iommu` link or a group. Everything is made up.""", '7.2.0')
    port = host.bridge('0000:00:01.0', PORT, (1, 1))
    nvme(host, '0000:01:00.0', None, port, driver='nvme')
    port = host.bridge('0000:00:02.0', PORT, (2, 2))
    nic(host, '0000:02:00.0', None, port, driver=None)
    return host


def x86_vtd():
    host = Host('x86-vtd', """
x86-vtd: an x86 server with two Intel IOMMUs. The entries of /sys/class/iommu are dmarN: they
have no `device` link and no driver, and are no SMMU. Everything is made up.""",
                '7.2.0', nodes='0-1', arch_msi=h.MSI_X86)
    dmar0, dmar1 = host.intel_iommu('dmar0'), host.intel_iommu('dmar1')
    host.pci('0000:00:02.0', '8086:4680', 0x030000, 0, smmu=dmar0, numa=0, driver='i915',
             bars={0: (16 * MIB, h.MEM64), 2: (256 * MIB, h.MEM64_PREF)})
    port = host.bridge('0000:00:1c.0', '8086:a33c', (1, 1), 1, smmu=dmar0, numa=0)
    nic(host, '0000:01:00.0', 2, port)
    port = host.bridge('0000:80:01.0', '8086:347a', (0x81, 0x81), 3, smmu=dmar1, numa=1)
    nvme(host, '0000:81:00.0', 4, port)
    return host


def no_iommufd():
    host = Host('no-iommufd', """
no-iommufd: an arm64 server with a kernel as Debian builds it (7.2.13, `# CONFIG_IOMMUFD is not
set`): no /dev/iommu, and vfio-dev/vfioN without `dev`, so no /dev/vfio/devices. One device is
bound to vfio-pci, one to its host driver, one to none.
From Debian's package linux-config-7.2, 7.2.13-1 arm64: the kernel's options. The machine is made
up.""",
                '7.2.13+deb14-arm64', iommufd=False)
    smmu = host.smmu(0x60000000, 'arm-smmu-v3.0.auto', numa=0)
    for i, (add, driver) in enumerate(((nvme, h.VFIO), (nvme, 'nvme'), (nic, None)), 1):
        port = host.bridge(f'0000:00:{i:02x}.0', PORT, (i, i), 2 * i - 2, smmu=smmu, numa=0)
        add(host, f'0000:{i:02x}:00.0', 2 * i - 1, port, driver)
    host.iort(iort.simple({0x60000000: (0, 0)}, {0: (0x60000000, 1)}, 'MADEUP', 'NOFD'))
    return host


def switch_group():
    host = Host('switch-group', """
switch-group: IOMMU groups with several members, which a device below an accelerated vSMMU must
not have.
- 0000:03:00.0 shares group 2 with its switch port 0000:02:00.0 (no ACS on that port);
- 0000:04:00.0, below the same switch, is alone in group 4;
- 0000:05:00.0 and .1, two functions of one NIC, share group 6, both bound to vfio-pci;
- 0000:06:00.0, a GPU on vfio-pci, shares group 8 with its audio function on a host driver;
- 0001:01:00.0, behind the second SMMU, is alone in group 10.
Everything is made up. The kinds of groups are those that Tushar Dave (iommu list, 2025-04-25, a
group of three bridges and a GPU) and QEMU's emulated switch show. Both SMMUs can nest (S2FWB).""",
                '7.2.0')
    first = host.smmu(0x30000000, 'arm-smmu-v3.0.auto', numa=0, probe=registers())
    second = host.smmu(0x31000000, 'arm-smmu-v3.1.auto', numa=0, probe=registers())
    port = host.bridge('0000:00:00.0', PORT, (1, 4), 0, smmu=first, numa=0, multifunction=True)
    up = host.bridge('0000:01:00.0', '104c:8232', (2, 4), 1, port, port=h.UPSTREAM)
    down = host.bridge('0000:02:00.0', '104c:8233', (3, 3), 2, up, port=h.DOWNSTREAM)
    nvme(host, '0000:03:00.0', 2, down)
    down = host.bridge('0000:02:01.0', '104c:8233', (4, 4), 3, up, port=h.DOWNSTREAM)
    nvme(host, '0000:04:00.0', 4, down)
    port = host.bridge('0000:00:01.0', PORT, (5, 5), 5, smmu=first, numa=0)
    nic(host, '0000:05:00.0', 6, port, multifunction=True)
    nic(host, '0000:05:00.1', 6, port)
    port = host.bridge('0000:00:02.0', PORT, (6, 6), 7, smmu=first, numa=0)
    host.pci('0000:06:00.0', '10de:2684', 0x030000, 8, port, driver=h.VFIO, bars=GPU_BARS,
             multifunction=True)
    host.pci('0000:06:00.1', '10de:22ba', AUDIO, 8, port, driver='snd_hda_intel',
             bars={0: (16 * KIB, h.MEM32)})
    port = host.bridge('0001:00:00.0', PORT, (1, 1), 9, smmu=second, numa=0)
    nvme(host, '0001:01:00.0', 10, port)
    host.iort(iort.simple({0x30000000: (0, 0), 0x31000000: (0, 1)},
                          {0: (0x30000000, 1), 1: (0x31000000, 1)}, 'MADEUP', 'SWITCH'))
    return host


def direct_region():
    host = Host('direct-region', """
direct-region: devices that firmware or the bus tie down.
- 0000:01:00.0: its group has a `direct` reserved region, so VFIO cannot take it;
- 0000:02:00.0: `direct-relaxable` only, which does not hinder;
- 0000:04:00.0: conventional PCI behind the PCIe-to-PCI bridge 0000:03:00.0, whose group and
  stream it shares; 0000:04:01.0 behind the same bridge: the kernel refused it for its aliased
  stream, so it has neither `iommu` nor a group;
- 0000:05:00.0: nothing is wrong with it.
Everything is made up. The forms are the kernel's; published machines with them: GB10
(gb10.sysfs) and Grace's ASPEED (grace.sysfs). The SMMU can nest (S2FWB).""", '7.2.0')
    smmu = host.smmu(0x40000000, 'arm-smmu-v3.0.auto', numa=0, probe=registers())
    behind = {'smmu': smmu, 'numa': 0}
    port = host.bridge('0000:00:00.0', PORT, (1, 1), 0, multifunction=True, **behind)
    nvme(host, '0000:01:00.0', 1, port)
    host.reserved(1, ['0x00000000a0000000 0x00000000a0ffffff direct'])
    port = host.bridge('0000:00:01.0', PORT, (2, 2), 2, **behind)
    nvme(host, '0000:02:00.0', 3, port)
    host.reserved(3, ['0x00000000a1000000 0x00000000a1ffffff direct-relaxable'])
    port = host.bridge('0000:00:02.0', PORT, (3, 4), 4, **behind)
    to_pci = host.bridge('0000:03:00.0', '1b36:000e', (4, 4), 5, port, port=h.TO_PCI)
    bar = {0: (4 * KIB, h.MEM32)}
    host.pci('0000:04:00.0', '1b36:0002', SERIAL, 5, to_pci, port=h.CONVENTIONAL, driver=h.VFIO,
             bars=bar)
    lost = host.pci('0000:04:01.0', '1b36:0002', SERIAL, None, to_pci, port=h.CONVENTIONAL,
                    bars=bar)
    host.forget_iommu(lost)
    port = host.bridge('0000:00:03.0', PORT, (5, 5), 6, **behind)
    nvme(host, '0000:05:00.0', 7, port)
    host.iort(iort.simple({0x40000000: (0, 0)}, {0: (0x40000000, 1)}, 'MADEUP', 'DIRECT'))
    return host


# segment: (what it shows, registers or None, memory access flags of the root complex)
PLAIN = iort.CPM | iort.DACS
FEATURES = [
    ('can all: S2FWB, range invalidation, ATS, 48 bits, 20 bits of PASID', registers(), PLAIN),
    ('no stage 2', registers(stage2=False), PLAIN),
    ('40-bit output addresses', registers(oas=40), PLAIN),
    ('MMU-700 r0p0: the kernel turns nesting off', registers(product=MMU_700, variant=0), PLAIN),
    ('no ATS, 44 bits, 16 bits of PASID', registers(ats=False, oas=44, ssidsize=16), PLAIN),
    ('no range invalidation, no S2FWB, but CANWBS: can nest', registers(ril=False, fwb=False),
     PLAIN | iort.CANWBS),
    ('neither S2FWB nor CANWBS', registers(fwb=False), PLAIN),
    ('no 16 KiB granule', registers(granules=(4, 64)), PLAIN),
    ('not probed', None, PLAIN),
    ('MMU-600 r1: the kernel turns nesting off', registers(product=MMU_600, variant=1), PLAIN),
    ('as the first, and a command-queue extension', registers(cmdqv='1 1 4'), PLAIN),
    ('a command-queue extension of version 2, which QEMU refuses', registers(cmdqv='2 1 4'), PLAIN),
]


def mixed_features():
    shown = '\n'.join(f'- {segment:04x} (0x{0x20 + segment:x}000000): {text};'
                      for segment, (text, *_) in enumerate(FEATURES))
    host = Host('mixed-features', f"""
mixed-features: twelve SMMUv3 that differ in what they can do. Segment N has one NVMe, N:01:00.0:
{shown}
Everything is made up. The command-queue extensions have no ACPI device here, a probe found them.
""",
                '7.2.0')
    smmus, segments = {}, {}
    for segment, (_, probe, flags) in enumerate(FEATURES):
        base = 0x20000000 + 0x1000000 * segment
        smmu = host.smmu(base, f'arm-smmu-v3.{segment}.auto', numa=0, probe=probe)
        port = host.bridge(f'{segment:04x}:00:00.0', PORT, (1, 1), 2 * segment, smmu=smmu, numa=0)
        nvme(host, f'{segment:04x}:01:00.0', 2 * segment + 1, port)
        smmus[base] = (0, segment)
        segments[segment] = (base, int(segment != 4), flags)
    host.iort(iort.simple(smmus, segments, 'MADEUP', 'MIXED'))
    return host


ODD = [
    ('no two-level stream tables', registers(two_level=False)),
    ('big-endian translation tables only', registers(ttendian=3)),
    ('AArch32 translation tables only', registers(ttf=1)),
    ('StreamIDs of 8 bits', registers(sidsize=8)),
    ('a command-queue extension with one VCMDQ for a guest', registers(cmdqv='1 0 4')),
    ('a command-queue extension with 8 StreamIDs for a guest', registers(cmdqv='1 1 3')),
    ('no S2FWB; whether CANWBS is not known without the IORT', registers(fwb=False)),
    ('24 bits of PASID, a reserved value: the architecture ends at 20', registers(ssidsize=24)),
]


def odd_registers():
    shown = '\n'.join(f'- {segment:04x} (0x{0x20 + segment:x}000000): {text};'
                      for segment, (text, _) in enumerate(ODD))
    host = Host('odd-registers', f"""
odd-registers: SMMUv3s as no known machine has them. Segment N has one NVMe, N:01:00.0:
{shown}
Function 1 of the NVMe at 0007:01:00 is behind another one: 0x28000000, which can all.
Everything is made up. Recorded by an ordinary user, who cannot read the IORT.
""",
                '7.2.0')
    host.directory('sys/bus/acpi/devices')
    for segment, (_, probe) in enumerate(ODD):
        smmu = host.smmu(0x20000000 + 0x1000000 * segment, f'arm-smmu-v3.{segment}.auto', numa=0,
                         probe=probe)
        port = host.bridge(f'{segment:04x}:00:00.0', PORT, (1, 1), 2 * segment, smmu=smmu, numa=0)
        nvme(host, f'{segment:04x}:01:00.0', 2 * segment + 1, port, multifunction=segment == 7)
    other = host.smmu(0x28000000, 'arm-smmu-v3.8.auto', numa=0, probe=registers())
    nvme(host, '0007:01:00.1', 16, port, smmu=other)
    return host


def cmdqv_limits():
    host = Host('cmdqv-limits', """
cmdqv-limits: two SMMUv3 with command-queue extension, the first with twenty VFs of one NIC
behind it (an accelerated vSMMU with cmdqv takes sixteen), the second with three.
Everything is made up. Registers as on Grace (see grace.sysfs), with CANWBS in the IORT.""",
                '7.2.0')
    probe = registers(pri=True, ttendian=0, ril=False, fwb=False, bbm=0, cmdqv='1 1 4')
    bases = (0x50000000, 0x51000000)
    group = 0
    for segment, (base, count) in enumerate(zip(bases, (20, 3))):
        smmu = host.smmu(base, f'arm-smmu-v3.{segment}.auto', numa=0, probe=probe)
        host.cmdqv(segment, segment, f'SQ0{segment}')
        port = host.bridge(f'{segment:04x}:00:00.0', PORT, (1, 1), group, smmu=smmu, numa=0)
        net = f'enP{segment}p1s0np0' if segment else 'enp1s0np0'
        physfn = nic(host, f'{segment:04x}:01:00.0', group + 1, port, driver='mlx5_core', net=net,
                     vfs=(count, 32, {0: (MIB, h.MEM64_PREF)}))
        for i in range(1, count + 1):
            host.vf(physfn, f'{segment:04x}:01:{i // 8:02x}.{i % 8}', NIC_VF, group + 1 + i, h.VFIO)
        group += 2 + count
    host.iort(iort.simple({base: (0, i) for i, base in enumerate(bases)},
                          {i: (base, 1) for i, base in enumerate(bases)}, 'MADEUP', 'CMDQV',
                          PLAIN | iort.CANWBS))
    return host


def hosts():
    return [one_smmu(), no_smmu(), x86_vtd(), no_iommufd(), switch_group(), direct_region(),
            mixed_features(), odd_registers(), cmdqv_limits()]
