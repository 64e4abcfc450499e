# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host as a tree of sysfs items, and the manifest that describes it.

A manifest line is `path`, `path = text`, `path -> target` or `path : base64`. Only what the
topology reader looks at is there. Where a link would point at something that is else not described
(a driver, a platform device), the target stands as an empty directory."""

import base64
import posixpath
import struct

BUS = 'sys/bus/pci/devices'
GROUPS = 'sys/kernel/iommu_groups'
MSI_ARM = ('0x0000000008000000 0x00000000080fffff msi',)
MSI_X86 = ('0x00000000fee00000 0x00000000feefffff msi',)

# IORESOURCE_ flags as the kernel prints them
MEM64_PREF, MEM64, MEM32 = 0x14220c, 0x140204, 0x40200

# PCI Express device/port types; CONVENTIONAL has no such capability
ENDPOINT, ROOT_PORT, UPSTREAM, DOWNSTREAM, TO_PCI, INTEGRATED, CONVENTIONAL = 0, 4, 5, 6, 7, 9, -1

VFIO = 'vfio-pci'
VFIO_DRIVERS = {VFIO, 'nvgrace_gpu_vfio_pci', 'mlx5_vfio_pci', 'hisi_acc_vfio_pci'}

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def relative(link, target):
    """The text of a sysfs link: up to what @link and the parent of @target share, then down."""
    up = posixpath.relpath(posixpath.dirname(target), posixpath.dirname(link))
    return posixpath.normpath(f'{up}/{posixpath.basename(target)}')


def escape(text):
    return text.replace('\\', '\\\\').replace('\n', '\\n').replace('\t', '\\t')


class Smmu:
    """An IOMMU: @path is its own device, @name its entry in /sys/class/iommu."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        self.dir = f'{path}/iommu/{name}'


class Device:
    """A PCI device that is in the tree; what is below it is added with it as parent."""

    def __init__(self, bdf, path, smmu, numa, ids):
        self.bdf, self.path, self.smmu, self.numa, self.ids = bdf, path, smmu, numa, ids
        self.vfs, self.vf_bars = 0, {}


class Host:
    def __init__(self, name, head, kernel, nodes='0', iommufd=True, arch_msi=MSI_ARM):
        self.name, self.head = name, head.strip('\n').split('\n')
        self.iommufd, self.msi = iommufd, arch_msi
        self.items = {}
        self.groups = {}
        self.devices = {}
        self.vfio = 0
        self.next_bar = {}
        self.roots = {}
        self.text('proc/sys/kernel/osrelease', kernel)
        self.text('sys/devices/system/node/online', nodes)
        self.directory('sys/bus/pci/devices')
        self.directory('sys/class/iommu')
        self.text('dev/vfio/vfio', '')
        if iommufd:
            self.text('dev/iommu', '')

    # ---- items

    def directory(self, path):
        self.items.setdefault(path, '')

    def text(self, path, value):
        self.items[path] = f' = {escape(str(value))}'.rstrip()

    def link(self, path, target):
        self.items[path] = f' -> {relative(path, target)}'

    def binary(self, path, data):
        self.items[path] = f' : {base64.b64encode(data).decode()}'

    def manifest(self):
        """The manifest's text. A directory that another item implies is left out."""
        implied = set()
        for path in self.items:
            while path := posixpath.dirname(path):
                implied.add(path)
        lines = [f'# {line}'.rstrip() for line in self.head]
        lines += [path + rest for path, rest in sorted(self.items.items())
                  if rest or path not in implied]
        return '\n'.join(lines) + '\n'

    # ---- IOMMUs

    def smmu(self, base, device, numa=None, under='sys/devices/platform', probe=None):
        """An SMMUv3 at @base. @probe: registers as {'idr0': value, ..., 'cmdqv': '1 1 4'}."""
        smmu = Smmu(f'smmu3.0x{base:016x}', f'{under}/{device}')
        self._iommu_class(smmu)
        self.link(f'{smmu.dir}/device', smmu.path)
        self._driver(smmu.path, 'platform', 'arm-smmu-v3')
        if numa is not None:
            self.text(f'{smmu.path}/numa_node', numa)
        for register, value in (probe or {}).items():
            shown = value if isinstance(value, str) else f'0x{value:08x}'
            self.text(f'probe/{smmu.name}/{register}', shown)
        return smmu

    def intel_iommu(self, name):
        """An Intel IOMMU has no device of its own, so no `device` link and no driver."""
        iommu = Smmu(name, 'sys/devices/virtual')
        self._iommu_class(iommu)
        return iommu

    def platform(self, smmu, name, under='sys/devices/platform'):
        """A device behind @smmu that is not on PCI."""
        path = f'{under}/{name}'
        self.directory(path)
        self.link(f'{smmu.dir}/devices/{name}', path)

    def iort(self, table):
        """Makes it an ACPI host with that table."""
        self.directory('sys/bus/acpi/devices')
        self.binary('sys/firmware/acpi/tables/IORT', table)

    def cmdqv(self, index, uid, name):
        """The ACPI device of NVIDIA's command-queue extension; its _UID is that of the SMMU."""
        path = f'sys/devices/LNXSYSTM:00/LNXSYBUS:00/NVDA200C:{index:02x}'
        self.link(f'sys/bus/acpi/devices/NVDA200C:{index:02x}', path)
        self.text(f'{path}/hid', 'NVDA200C')
        self.text(f'{path}/uid', uid)
        self.text(f'{path}/path', f'\\_SB_.{name}')

    # ---- PCI

    def root(self, bus, under):
        """Says where the root bus @bus ('0001:00') is, if not directly below sys/devices."""
        self.roots[bus] = under

    def bridge(self, bdf, ids, buses, group=None, parent=None, port=ROOT_PORT, **rest):
        """A port or bridge, @buses = (secondary, subordinate). A root port is bound to pcieport."""
        rest.setdefault('driver', None if port == TO_PCI else 'pcieport')
        return self.pci(bdf, ids, 0x060400, group, parent, port=port, buses=buses, **rest)

    def pci(self, bdf, ids, cls, group=None, parent=None, smmu=None, driver=None, numa=None,
            bars=(), subsystem=None, port=None, buses=None, revision=0, vfs=None, physfn=None,
            net=None, multifunction=False):
        """A PCI device. @ids 'vvvv:dddd', @group a number, or a pair of number and type. SMMU and
        NUMA node are the parent's if not given. @bars: index -> (size, flags[, start]).
        @vfs: (number of VFs, most possible, {bar: (size of one VF's, flags)})."""
        if parent:
            smmu, numa = smmu or parent.smmu, parent.numa if numa is None else numa
            path = f'{parent.path}/{bdf}'
        else:
            path = f'{self.roots.get(bdf[:7], "sys/devices")}/pci{bdf[:7]}/{bdf}'
        if port is None:
            port = ENDPOINT if parent else INTEGRATED
        dev = Device(bdf, path, smmu, -1 if numa is None else numa, ids)
        self.devices[bdf] = dev
        vendor, device = (int(x, 16) for x in ids.split(':'))
        subvendor, subdevice = (int(x, 16) for x in (subsystem or ids).split(':'))
        if buses:
            subvendor = subdevice = 0

        self.link(f'{BUS}/{bdf}', path)
        self.text(f'{path}/vendor', f'0x{vendor:04x}')
        self.text(f'{path}/device', f'0x{device:04x}')
        self.text(f'{path}/class', f'0x{cls:06x}')
        self.text(f'{path}/numa_node', dev.numa)
        uevent = [f'DRIVER={driver}'] if driver else []
        uevent += [f'PCI_CLASS={cls:04X}', f'PCI_ID={vendor:04X}:{device:04X}',
                   f'PCI_SUBSYS_ID={subvendor:04X}:{subdevice:04X}', f'PCI_SLOT_NAME={bdf}',
                   f'MODALIAS=pci:v{vendor:08X}d{device:08X}sv{subvendor:08X}sd{subdevice:08X}'
                   f'bc{cls >> 16:02X}sc{cls >> 8 & 255:02X}i{cls & 255:02X}']
        self.text(f'{path}/uevent', '\n'.join(uevent))
        self._driver(path, 'pci', driver)
        if driver in VFIO_DRIVERS:
            self._vfio(path)
        if smmu:
            self.link(f'{path}/iommu', smmu.dir)
            self.link(f'{smmu.dir}/devices/{bdf}', path)
        if group is not None:
            self._join(dev, group)
        if net:
            self.directory(f'{path}/net/{net}')
            self.link(f'sys/class/net/{net}', f'{path}/net/{net}')

        lines = self._resource(dev, dict(bars), vfs) if not buses else []
        if lines:
            self.text(f'{path}/resource', '\n'.join('0x%016x 0x%016x 0x%016x' % x for x in lines))
        if vfs:
            self.text(f'{path}/sriov_numvfs', vfs[0])
            self.text(f'{path}/sriov_totalvfs', vfs[1])
            dev.vf_bars = {i: (*bar, lines[7 + i][0]) for i, bar in vfs[2].items()}
        if physfn:
            self.link(f'{path}/physfn', physfn.path)
            self.link(f'{physfn.path}/virtfn{physfn.vfs}', path)
            physfn.vfs += 1
        self.binary(f'{path}/config', config_space(
            (0xffff, 0xffff) if physfn else (vendor, device), (subvendor, subdevice), cls, port,
            buses, revision, bdf, lines, multifunction))
        return dev

    def vf(self, physfn, bdf, ids, group, driver=None, cls=0x020000):
        """The next virtual function of @physfn, beside it in the tree; its BARs are its share."""
        beside = Device(None, posixpath.dirname(physfn.path), physfn.smmu, physfn.numa, None)
        bars = {i: (size, flags, start + size * physfn.vfs)
                for i, (size, flags, start) in physfn.vf_bars.items()}
        return self.pci(bdf, ids, cls, group, beside, driver=driver, physfn=physfn, bars=bars)

    def forget_iommu(self, dev):
        """Makes @dev one that the kernel could not put behind its IOMMU."""
        del self.items[f'{dev.path}/iommu'], self.items[f'{dev.smmu.dir}/devices/{dev.bdf}']

    def reserved(self, group, regions):
        """Sets what a group's reserved_regions say beside the MSI window."""
        self.text(f'{GROUPS}/{group}/reserved_regions', '\n'.join([*regions, *self.msi]))

    # ---- inside

    def _iommu_class(self, smmu):
        self.directory(f'{smmu.dir}/devices')
        self.link(f'sys/class/iommu/{smmu.name}', smmu.dir)

    def _driver(self, path, bus, driver):
        if driver:
            self.directory(f'sys/bus/{bus}/drivers/{driver}')
            self.link(f'{path}/driver', f'sys/bus/{bus}/drivers/{driver}')

    def _vfio(self, path):
        name = f'vfio{self.vfio}'
        if self.iommufd:
            self.text(f'{path}/vfio-dev/{name}/dev', f'511:{self.vfio}')
            self.text(f'dev/vfio/devices/{name}', '')
        else:
            self.directory(f'{path}/vfio-dev/{name}')
        self.vfio += 1

    def _join(self, dev, group):
        number, kind = group if isinstance(group, tuple) else (group, 'DMA-FQ')
        path = f'{GROUPS}/{number}'
        self.link(f'{dev.path}/iommu_group', path)
        self.link(f'{path}/devices/{dev.bdf}', dev.path)
        if number not in self.groups:
            self.groups[number] = kind
            self.text(f'{path}/type', kind)
            self.reserved(number, ())

    def _resource(self, dev, bars, vfs):
        """The lines of `resource`: six BARs, the ROM, six BARs of all VFs together."""
        lines = [(0, 0, 0)] * 13
        if vfs:
            number, most, vf_bars = vfs
            bars.update({7 + i: (size * most, flags) for i, (size, flags) in vf_bars.items()})
        for index, (size, flags, *start) in sorted(bars.items()):
            first = start[0] if start else self._place(dev.bdf[:4], size)
            lines[index] = (first, first + size - 1, flags)
        return lines

    def _place(self, segment, size):
        """A made-up address for a BAR: aligned to its size, each segment in a window of its own."""
        at = self.next_bar.get(segment, 0x100000000000 + (int(segment, 16) << 40))
        start = -(-at // size) * size
        self.next_bar[segment] = start + size
        return start


def config_space(ids, subsystem, cls, port, buses, revision, bdf, resources, multifunction):
    """The first 256 bytes: header, BARs or bus numbers, and a PCI Express capability at 0x40."""
    data = bytearray(256)
    express = port != CONVENTIONAL
    struct.pack_into('<HHHH', data, 0, *ids, 0x0406, 0x0010 if express else 0)
    struct.pack_into('<I', data, 8, cls << 8 | revision)
    data[0x0e] = (1 if buses else 0) | (0x80 if multifunction else 0)
    if buses:
        data[0x18:0x1b] = bytes([int(bdf[5:7], 16), *buses])
    else:
        struct.pack_into('<HH', data, 0x2c, *subsystem)
        for i in range(6):
            start, _, flags = resources[i] if resources else (0, 0, 0)
            if flags:
                struct.pack_into('<I', data, 0x10 + 4 * i, start & 0xffffffff | flags & 0xf)
            if flags & 0x100000:
                struct.pack_into('<I', data, 0x14 + 4 * i, start >> 32)
    if express:
        data[0x34] = 0x40
        slot = 0x100 if port in (ROOT_PORT, DOWNSTREAM) else 0
        reset = 1 << 28 if port == ENDPOINT else 0
        struct.pack_into('<BBHI', data, 0x40, 0x10, 0, 2 | port << 4 | slot, reset)
    return bytes(data)
