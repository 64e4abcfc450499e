#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures viommu and prints a table of ratios with the limit of each. Exit status 1: a limit was missed.

Usage: bench.py SOURCE_ROOT VIOMMU PLANBENCH MAXRSS VIOMMU_HOOK

Everything is a ratio of two things measured here and now, or a count. Times are processor times (the least
of several runs), so that other load counts for little. A row without limit is there to be known."""

import base64
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import servicebench

RUNS = 8
DEVICES = 4096
MEMORY_MIB = 16
DOMAIN = """<domain type='kvm'>
  <os firmware='efi'>
    <type arch='aarch64' machine='virt'>hvm</type>
  </os>
  <features>
    <acpi/>
  </features>
  <devices>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
      </source>
    </hostdev>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x000f' bus='0x02' slot='0x00' function='0x1'/>
      </source>
    </hostdev>
    <iommu model='smmuv3' nested='yes'/>
  </devices>
</domain>
"""


class Table:
    """Rows with a value and what it must keep to."""

    def __init__(self):
        self.missed = 0
        self.rows = [('what', 'value', 'limit', '')]

    def add(self, what, value, limit=None, least=False):
        """@least: the limit is the least that is good."""
        good = limit is None or (value >= limit if least else value <= limit)
        self.missed += not good
        words = '' if limit is None else f'{">=" if least else "<="} {limit:g}'
        self.rows.append((what, f'{value:.2f}', words, '' if good else 'MISSED'))

    def skip(self, what, why):
        self.rows.append((what, '-', '', why))

    def print(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(3)]
        for what, value, limit, note in self.rows:
            print(f'{what:{widths[0]}}  {value:>{widths[1]}}  {limit:{widths[2]}}  {note}'.rstrip())


def unpack(manifest, directory):
    """Lays a manifest out as files."""
    made = set()
    for line in manifest.splitlines():
        if not line or line.startswith('#'):
            continue
        path, *rest = line.split(' ', 2)
        kind, value = rest[0] if rest else '', rest[1] if len(rest) > 1 else ''
        to = f'{directory}/{path}'
        parent = to if not kind else os.path.dirname(to)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        if kind == '->':
            os.symlink(value, to)
        elif kind:
            data = base64.b64decode(value) if kind == ':' else \
                value.encode().decode('unicode_escape').encode('latin-1') + b'\n'
            with open(to, 'wb') as out:
                out.write(data)


def processor_time(command, stdin=os.devnull):
    """The least seconds of user and system time that @command took."""
    least = None
    for _ in range(RUNS):
        with open(stdin, encoding='utf-8') as given:
            child = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f'bench.py: {" ".join(command)}: exit status {child.returncode}')
        spent = usage.ru_utime + usage.ru_stime
        least = spent if least is None else min(least, spent)
    return least


def count_calls(command, scratch):
    """The system calls of @command, by strace."""
    out = f'{scratch}/strace'
    subprocess.run(['strace', '-f', '-c', '-o', out, *command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    for line in pathlib.Path(out).read_text().splitlines():
        words = line.split()
        if words and words[-1] == 'total':
            return int(words[3])
    sys.exit('bench.py: strace printed no total')


def bench_hook(table, hook, viommu, scratch, planned):
    """What libvirt waits for when a domain starts, on the host of bench_host(). @planned: time of 'viommu plan'."""
    tree, placed, plain, spare = (f'{scratch}/{name}' for name in ('host', 'placed.xml', 'plain.xml', 'spare.xml'))
    start = [hook, '--host', tree, 'guest', 'prepare', 'begin', '-']
    expanded = subprocess.run([viommu, '--quiet', '--host', tree, 'expand', f'{scratch}/domain.xml'], check=True,
                              capture_output=True, text=True).stdout
    pathlib.Path(placed).write_text(expanded)
    pathlib.Path(plain).write_text(DOMAIN.replace("<iommu model='smmuv3' nested='yes'/>", ''))
    judged, passed = processor_time(start, placed), processor_time(start, plain)
    pathlib.Path(spare).write_text(expanded.replace('<viommu:request/>', '<viommu:request sparePorts="1"/>'))
    table.add('viommu-hook of a domain with spare ports / of one without', processor_time(start, spare) / judged, 1.5)
    table.add('viommu-hook of a domain with vSMMUs / viommu plan', judged / planned, 1.5)
    table.add('viommu-hook of a domain with vSMMUs / of one without', judged / passed, 2, True)


def bench_host(table, root, viommu, hook, scratch):
    """A host with 4096 PCI devices, laid out as a tree."""
    tree, domain = f'{scratch}/host', f'{scratch}/domain.xml'
    manifest = subprocess.run([sys.executable, f'{root}/tests/hosts/generate.py', '--devices', str(DEVICES)],
                              check=True, capture_output=True, text=True).stdout
    unpack(manifest, tree)
    pathlib.Path(domain).write_text(DOMAIN)
    devices = f'{tree}/sys/bus/pci/devices'
    if len(os.listdir(devices)) != DEVICES:
        sys.exit('bench.py: the host was not laid out as it should be')
    host = [viommu, '--host', tree, 'host']
    plan = [viommu, '--host', tree, 'plan', domain]
    if shutil.which('strace'):
        table.add('system calls per PCI device of "viommu host"', count_calls(host, scratch) / DEVICES, 5)
        table.add('system calls per PCI device of "viommu plan"', count_calls(plan, scratch) / DEVICES, 5)
    else:
        table.skip('system calls per PCI device', 'no strace')
    if shutil.which('lspci'):
        name, other = 'lspci -vmm', ['lspci', '-O', f'sysfs.path={tree}/sys/bus/pci', '-vmm']
    else:
        name, other = 'find -printf', ['find', devices, '-printf', '%p %l\\n']
    base = processor_time(other)
    planned = processor_time(plan)
    table.add(f'{name} / viommu plan (reads the map of the host)', base / planned, 10, True)
    table.add(f'{name} / viommu host (lists every device)', base / processor_time(host))
    bench_hook(table, hook, viommu, scratch, planned)


def bench_memory(table, root, viommu, maxrss):
    """Every golden case."""
    data, hosts = root / 'tests' / 'qemuxml2argvdata', root / 'tests' / 'hosts'
    names = {path.stem for path in hosts.glob('*.sysfs')}
    pairs = {(file.name.split('.')[0], file.name.split('.')[1]) for file in data.iterdir()
             if file.name.count('.') > 1 and file.name.split('.')[1] in names}
    most, which = 0, ''
    for case, host in sorted(pairs):
        domain = data / f'{case}.xml'
        if not domain.exists():
            continue
        run = subprocess.run([maxrss, viommu, '--host', hosts / f'{host}.sysfs', 'expand', domain],
                             check=True, capture_output=True, text=True)
        kib = int(run.stdout.split()[1])
        if kib > most:
            most, which = kib, f'{case}.{host}'
    table.add(f'MiB of memory of "viommu expand", most of {len(pairs)} cases ({which})', most / 1024,
              MEMORY_MIB)


def main():
    root, viommu, planbench, maxrss, hook = pathlib.Path(sys.argv[1]), *sys.argv[2:6]
    table = Table()
    lines = subprocess.run([planbench, root / 'tests' / 'hosts' / 'grace.sysfs',
                            root / 'tests' / 'qemuxml2argvdata' / 'nova-two-gpus.xml'],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    for what, value, limit in (line.split('\t') for line in lines):
        table.add(what, float(value), float(limit))
    with tempfile.TemporaryDirectory(prefix='viommu-bench-') as scratch:
        bench_host(table, root, viommu, hook, scratch)
    bench_memory(table, root, viommu, maxrss)
    servicebench.measure(table, viommu)
    table.print()
    return bool(table.missed)


if __name__ == '__main__':
    sys.exit(main())
