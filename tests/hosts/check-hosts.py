#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks the recorded hosts against what a kernel could show, and against NAME.topo. Speaks TAP.

It shares no code with build/, so that a mistake there does not excuse itself here. With file
arguments it checks only those manifests; a manifest without .topo beside it is checked without."""

import base64
import pathlib
import posixpath
import re
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUS = 'sys/bus/pci/devices'
LINE = re.compile(r'(?P<path>\S+)(?: (?P<kind>=|->|:)(?: (?P<rest>.*))?)?')
BDF = re.compile(r'[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]')
REGION = re.compile(r'0x[0-9a-f]{16} 0x[0-9a-f]{16} (direct|direct-relaxable|reserved|msi)')
ESCAPE = re.compile(r'\\(n|t|\\|x[0-9a-f]{2})')
VFIO = re.compile(r'vfio-pci|.*[_-]vfio[_-]pci')
REGISTERS = {'idr0', 'idr1', 'idr3', 'idr5', 'iidr', 'cmdqv'}
PXM_VALID = 8


class Manifest:
    """The items of one file: directories, texts, links and binaries, with link resolution."""

    def __init__(self, path):
        self.name = path.stem
        self.dirs, self.texts, self.links, self.binaries = {''}, {}, {}, {}
        self.head, self.wrong, paths = [], [], []
        self._children = None
        for number, line in enumerate(path.read_text('ascii').splitlines(), 1):
            if line.startswith('#'):
                self.head.append(line)
                self.expect(not paths, f'line {number}: a comment below the head')
                continue
            match = LINE.fullmatch(line)
            self.expect(match and line == line.rstrip(), f'line {number}: no manifest line')
            if not match:
                continue
            item = match['path']
            paths.append(item)
            self.expect(posixpath.normpath(item) == item and not item.startswith(('/', '..')),
                        f'line {number}: path is not plain')
            self._add(item, match['kind'], match['rest'] or '', number)
        self.expect(paths == sorted(set(paths)), 'lines are not sorted, or a path is there twice')

    def _add(self, item, kind, rest, number):
        if kind == '=':
            self.expect('\\' not in ESCAPE.sub('', rest), f'line {number}: unknown escape')
            known = {'n': '\n', 't': '\t', '\\': '\\'}
            self.texts[item] = ESCAPE.sub(lambda m: known.get(m[1]) or chr(int(m[1][1:], 16)), rest)
        elif kind == '->':
            self.expect(rest and not rest.startswith('/'), f'line {number}: link is not relative')
            self.links[item] = rest
        elif kind == ':':
            self.binaries[item] = base64.b64decode(rest, validate=True)
        else:
            self.dirs.add(item)
        while item := posixpath.dirname(item):
            self.dirs.add(item)

    def expect(self, truth, words):
        if not truth:
            self.wrong.append(words)
        return truth

    def real(self, path):
        """The path with all links followed, or None if there is no such item."""
        done, rest = '', path.split('/')
        for _ in range(1000):
            if not rest:
                known = done in self.dirs or done in self.texts or done in self.binaries
                return done if known else None
            part = rest.pop(0)
            if part == '..':
                if not done:
                    return None
                done = posixpath.dirname(done)
                continue
            done = f'{done}/{part}' if done else part
            if done in self.links:
                rest = self.links[done].split('/') + rest
                done = posixpath.dirname(done)
        return None

    def text(self, path):
        real = self.real(path)
        return self.texts.get(real) if real is not None else None

    def below(self, path):
        """The names in the directory @path."""
        if self._children is None:
            self._children = {}
            for item in {*self.dirs, *self.texts, *self.links, *self.binaries} - {''}:
                parent, name = posixpath.split(item)
                self._children.setdefault(parent, []).append(name)
        return sorted(self._children.get(self.real(path), []))


def check_links(m):
    for link, target in m.links.items():
        real = m.real(link)
        if not m.expect(real is not None, f'{link}: points at nothing'):
            continue
        # The kernel goes up only as far as it must (fs/kernfs/symlink.c)
        parts, ups = target.split('/'), 0
        while ups < len(parts) and parts[ups] == '..':
            ups += 1
        at = posixpath.dirname(link).split('/')
        top, down = at[:len(at) - ups], parts[ups:]
        m.expect('..' not in down and ups <= len(at), f'{link}: odd target')
        m.expect(not ups or len(down) == 1 or down[0] != at[len(top)], f'{link}: goes up too far')


def check_pci(m, bdf, devices):
    path = m.real(f'{BUS}/{bdf}')
    if not m.expect(path and posixpath.basename(path) == bdf, f'{bdf}: link in {BUS} is wrong'):
        return
    parts = path.split('/')
    roots = [p for p in parts if re.fullmatch(r'pci[0-9a-f]{4}:[0-9a-f]{2}', p)]
    m.expect(len(roots) == 1 and roots[0][3:7] == bdf[:4], f'{bdf}: no root bus, or a wrong one')
    chain = parts[parts.index(roots[0]) + 1:]
    m.expect(all(p in devices for p in chain), f'{bdf}: a device above it is not on the bus')

    text = {k: m.texts.get(f'{path}/{k}')
            for k in ('vendor', 'device', 'class', 'numa_node', 'uevent')}
    if not m.expect(None not in text.values(), f'{bdf}: an attribute is missing'):
        return
    vendor, device, cls = (int(text[k], 16) for k in ('vendor', 'device', 'class'))
    driver = m.links.get(f'{path}/driver')
    driver = driver and posixpath.basename(driver)
    uevent = dict(x.split('=', 1) for x in text['uevent'].split('\n'))
    m.expect(uevent.get('DRIVER') == driver and uevent['PCI_SLOT_NAME'] == bdf and
             uevent['PCI_CLASS'] == f'{cls:X}' and uevent['PCI_ID'] == f'{vendor:04X}:{device:04X}',
             f'{bdf}: uevent says something else')
    m.expect(list(uevent) == (['DRIVER'] if driver else []) +
             ['PCI_CLASS', 'PCI_ID', 'PCI_SUBSYS_ID', 'PCI_SLOT_NAME', 'MODALIAS'],
             f'{bdf}: uevent in another order')

    config = m.binaries.get(f'{path}/config', b'')
    virtual = f'{path}/physfn' in m.links
    if m.expect(len(config) == 256, f'{bdf}: no config space'):
        ids = struct.unpack_from('<HH', config)
        m.expect(ids == ((0xffff, 0xffff) if virtual else (vendor, device)),
                 f'{bdf}: IDs in config')
        m.expect(config[9:12] == cls.to_bytes(3, 'little'), f'{bdf}: class in config')
        m.expect((config[0x0e] & 0x7f == 1) == (cls >> 8 == 0x0604), f'{bdf}: header type')
        check_port(m, bdf, path, config, chain)
    if cls >> 8 != 0x0604:
        check_resource(m, bdf, m.texts.get(f'{path}/resource', ''))

    taken = [n for n in m.below(f'{path}/vfio-dev')]
    m.expect(bool(taken) == bool(driver and VFIO.fullmatch(driver)) and len(taken) < 2,
             f'{bdf}: vfio-dev does not fit its driver')
    for name in taken:
        dev = m.texts.get(f'{path}/vfio-dev/{name}/dev')
        m.expect((dev is not None) == (f'dev/vfio/devices/{name}' in m.texts) ==
                 ('dev/iommu' in m.texts), f'{bdf}: {name} has half of a character device')

    vfs = [n for n in m.below(path) if n.startswith('virtfn')]
    m.expect(len(vfs) == int(m.texts.get(f'{path}/sriov_numvfs', 0)), f'{bdf}: sriov_numvfs')
    for name in vfs:
        m.expect(m.real(f'{path}/{name}/physfn') == path, f'{bdf}: {name} is not its VF')
    if virtual:
        m.expect(path in (m.real(f'{path}/physfn/{n}') for n in m.below(f'{path}/physfn')
                          if n.startswith('virtfn')), f'{bdf}: physfn does not know it')


def check_port(m, bdf, path, config, chain):
    """The port type fits the place in the tree; the bus number is one that its parent forwards."""
    pointer = config[0x34]
    kind = struct.unpack_from('<H', config, pointer + 2)[0] >> 4 & 15 if pointer else None
    parents = {4: (None,), 5: (4, 6), 6: (5,), 7: (4, 6), 0: (4, 6), 9: (None,), None: (7,)}
    above = None
    if len(chain) > 1:
        parent = m.binaries.get(posixpath.dirname(path) + '/config', bytes(256))
        above = struct.unpack_from('<H', parent, 0x42)[0] >> 4 & 15
        bus = int(bdf[5:7], 16)
        # VFs may have a bus number above that of their PF, within what the port forwards
        m.expect(parent[0x19] <= bus <= parent[0x1a], f'{bdf}: bus not forwarded by {chain[-2]}')
    m.expect(above in parents.get(kind, ()), f'{bdf}: port type {kind} below {above}')


def check_resource(m, bdf, text):
    lines = text.split('\n')
    good = all(re.fullmatch(r'(0x[0-9a-f]{16} ){2}0x[0-9a-f]{16}', x) for x in lines)
    if m.expect(good and len(lines) == 13, f'{bdf}: resource has not 13 lines'):
        for line in lines[:7]:
            start, end, flags = (int(x, 16) for x in line.split())
            size = end - start + 1
            m.expect(not flags or (size & (size - 1) == 0 and start % size == 0),
                     f'{bdf}: BAR is not aligned to its size')


def check_iommus(m, devices):
    """`iommu` links and /sys/class/iommu/X/devices say the same, and so do groups."""
    forth, back, grouped, members = {}, {}, {}, {}
    for bdf in devices:
        path = m.real(f'{BUS}/{bdf}')
        if f'{path}/iommu' in m.links:
            forth[bdf] = posixpath.basename(m.real(f'{path}/iommu') or '')
        if f'{path}/iommu_group' in m.links:
            grouped[bdf] = posixpath.basename(m.real(f'{path}/iommu_group') or '')
    iommus = m.below('sys/class/iommu')
    for name in iommus:
        at = f'sys/class/iommu/{name}'
        m.expect(posixpath.basename(m.real(at) or '') == name, f'{name}: link')
        for dev in m.below(f'{at}/devices'):
            m.expect(posixpath.basename(m.real(f'{at}/devices/{dev}') or '') == dev,
                     f'{name}: device {dev}')
            if BDF.fullmatch(dev):
                m.expect(dev not in back, f'{dev}: behind two IOMMUs')
                back[dev] = name
        if name.startswith('smmu3.'):
            driver = m.real(f'{at}/device/driver') or ''
            m.expect(driver.endswith('/drivers/arm-smmu-v3'), f'{name}: driver')
            m.expect(set(m.below(f'probe/{name}')) in (set(), REGISTERS), f'{name}: probe')
    m.expect(forth == back, 'iommu links and /sys/class/iommu disagree')
    for number in m.below('sys/kernel/iommu_groups'):
        for dev in m.below(f'sys/kernel/iommu_groups/{number}/devices'):
            m.expect(m.real(f'sys/kernel/iommu_groups/{number}/devices/{dev}') ==
                     m.real(f'{BUS}/{dev}'), f'group {number}: {dev}')
            members[dev] = number
        for region in m.text(f'sys/kernel/iommu_groups/{number}/reserved_regions').split('\n'):
            m.expect(REGION.fullmatch(region), f'group {number}: reserved region')
        m.expect(m.text(f'sys/kernel/iommu_groups/{number}/type') in ('DMA', 'DMA-FQ', 'identity'),
                 f'group {number}: type')
    m.expect(grouped == members, 'iommu_group links and /sys/kernel/iommu_groups disagree')
    m.expect(set(grouped) == set(forth), 'a device has a group and no IOMMU, or the other way')
    return forth, iommus


def decode_iort(m, data):
    """Returns {base: (flags, pxm, identifier)} and the root complexes, after checking the form."""
    signature, length, _, _ = struct.unpack_from('<4sIBB', data)
    m.expect(signature == b'IORT' and length == len(data), 'IORT: signature or length')
    m.expect(sum(data) & 0xff == 0, 'IORT: checksum')
    count, offset, _ = struct.unpack_from('<III', data, 36)
    smmus, complexes, kinds = {}, [], {}
    for _ in range(count):
        kind, size, revision, identifier, n, first = struct.unpack_from('<BHBIII', data, offset)
        kinds[offset] = kind
        m.expect(16 <= size <= length - offset and first + 20 * n <= size,
                 f'IORT: node at {offset:#x}')
        mappings = [struct.unpack_from('<IIIII', data, offset + first + 20 * i) for i in range(n)]
        if kind == 4:
            base, flags = struct.unpack_from('<QI', data, offset + 16)
            pxm = struct.unpack_from('<I', data, offset + 60)[0]
            smmus[base] = (flags, pxm, identifier, offset)
        elif kind == 2:
            cca, _, _, memory, _, segment = struct.unpack_from('<IBHBII', data, offset + 16)
            complexes.append((segment, memory, mappings))
            m.expect(cca == 1, f'IORT: segment {segment} is not coherent')
        for _, _, _, output, _ in mappings:
            m.expect(kinds.get(output) in (0, 4),
                     f'IORT: node at {offset:#x} maps to no node before it')
        offset += size
    m.expect(offset == length, 'IORT: nodes do not fill the table')
    return smmus, complexes


def check_iort(m, forth, iommus, devices):
    data = m.binaries.get('sys/firmware/acpi/tables/IORT')
    if data is None:
        m.expect('Recorded by an ordinary user' in ' '.join(x[2:] for x in m.head) or
                 not any(m.links.get(f'sys/class/iommu/{n}', '').count('.auto/') for n in iommus),
                 'SMMUs of an ACPI host and no IORT')
        return
    smmus, complexes = decode_iort(m, data)
    m.expect({f'smmu3.0x{b:016x}' for b in smmus} == set(iommus), 'IORT has other SMMUs')
    names = {offset: f'smmu3.0x{base:016x}' for base, (*_, offset) in smmus.items()}
    for base, (flags, pxm, identifier, _) in smmus.items():
        node = m.text(f'sys/class/iommu/smmu3.0x{base:016x}/device/numa_node')
        m.expect(node == (str(pxm) if flags & PXM_VALID else None), f'IORT: PXM of {base:#x}')
    ids = {str(identifier) for _, _, identifier, _ in smmus.values()}
    for name in m.below('sys/bus/acpi/devices'):
        m.expect(m.text(f'sys/bus/acpi/devices/{name}/hid') == 'NVDA200C' and
                 m.text(f'sys/bus/acpi/devices/{name}/uid') in ids, f'{name}: is of no SMMU')
    refused = {bdf for bdf in devices if bdf not in forth}
    for bdf in devices:
        segment, bus, slot = (int(bdf[i:j], 16) for i, j in ((0, 4), (5, 7), (8, 10)))
        rid = bus << 8 | slot << 3 | int(bdf[11])
        hits = [names.get(out) for seg, _, mappings in complexes if seg == segment
                for low, more, _, out, _ in mappings if low <= rid <= low + more]
        # Where two ranges meet in one ID the later one counts, as in the kernel's iort_id_map()
        want = hits[-1] if hits else None
        shared = m.real(f'{BUS}/{bdf}/../config') if bdf in refused else None
        if shared and want and m.binaries[shared][0x42] >> 4 == 7:
            continue    # behind a PCIe-to-PCI bridge: refused for its aliased stream
        m.expect(forth.get(bdf) == want, f'{bdf}: behind {forth.get(bdf)}, the IORT says {want}')


def topology(m, forth, iommus, devices):
    lines = []
    for name in iommus:
        numa = m.text(f'sys/class/iommu/{name}/device/numa_node')
        behind = [bdf for bdf in devices if forth.get(bdf) == name]
        lines.append(' '.join([name, f'numa={"-" if numa is None else numa}', 'devices:', *behind]))
    return lines + [' '.join(['untranslated:', *(bdf for bdf in devices if bdf not in forth)])]


def check(path):
    m = Manifest(path)
    topo = path.with_suffix('.topo')
    m.expect(not topo.exists() or m.head and m.head[0].startswith(f'# {m.name}: '),
             'the head does not begin with the name')
    m.expect(re.search(r'made(-|\s+)up', ' '.join(x[2:] for x in m.head).lower()),
             'the head does not say what is made up')
    check_links(m)
    devices = m.below(BUS)
    for bdf in devices:
        check_pci(m, bdf, set(devices))
    forth, iommus = check_iommus(m, devices)
    check_iort(m, forth, iommus, devices)
    if topo.exists():
        m.expect(topology(m, forth, iommus, devices) == topo.read_text().splitlines(),
                 f'{topo.name} says something else')
    else:
        m.expect(path.parent != HERE, 'no .topo beside it')
    return m.wrong


def main():
    given = [pathlib.Path(x) for x in sys.argv[1:]]
    paths = given or sorted(HERE.glob('*.sysfs'))
    orphans = [t.name for t in sorted(HERE.glob('*.topo')) if not t.with_suffix('.sysfs').exists()]
    results = [(path.stem, check(path)) for path in paths]
    if not given:
        stale = subprocess.run([sys.executable, HERE / 'make-hosts.py', '--check'],
                               stdout=subprocess.PIPE, text=True, check=False)
        wrong = stale.stdout.split() if stale.returncode == 1 else []
        if stale.returncode not in (0, 1):
            wrong = ['make-hosts.py failed']
        results.append(('stored hosts are what make-hosts.py writes', wrong))
        results.append(('every .topo has its host', orphans))
    print(f'1..{len(results)}')
    for i, (name, wrong) in enumerate(results, 1):
        print(f'{"not " if wrong else ""}ok {i} - {name}')
        for words in wrong:
            print(f'# {words}')
    return any(wrong for _, wrong in results)


if __name__ == '__main__':
    sys.exit(main())
