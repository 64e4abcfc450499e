#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input of every kind: one clear error, with the line where there is one, exit status 1 or 3, and
nothing on standard output.

Usage: badinput-test.py VIOMMU SOURCE_ROOT"""

import os
import re
import subprocess
import sys
import tempfile

DOMAIN, HOST = 'domain', 'host'
MIB = 1 << 20


def domain(devices="<iommu model='smmuv3' nested='yes'/>", rest=''):
    """A domain of which line 9 is @devices."""
    return f"""<domain type='kvm'>
  <name>bad</name>
  <memory unit='GiB'>4</memory>
  <vcpu>2</vcpu>
  <os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os>
  <features><acpi/><gic version='3'/></features>
  <cpu mode='host-passthrough'/>
  <devices>
{devices}
  <controller type='pci' index='0' model='pcie-root'/>
  </devices>{rest}
</domain>
"""


def hostdev(**address):
    """A requesting domain with a host device; @address replaces parts of a good source address."""
    good = {'domain': '0x0002', 'bus': '0x01', 'slot': '0x00', 'function': '0x0', **address}
    attributes = ' '.join(f"{key}='{value}'" for key, value in good.items() if value is not None)
    return domain(f"<hostdev mode='subsystem' type='pci'><source><address {attributes}/></source></hostdev>\n"
                  "<iommu model='smmuv3' nested='yes'/>")


def guest(**address):
    good = {'type': 'pci', 'domain': '0x0000', 'bus': '0x00', 'slot': '0x02', 'function': '0x0', **address}
    attributes = ' '.join(f"{key}='{value}'" for key, value in good.items())
    return domain(f"<rng model='virtio'><backend model='random'>/dev/urandom</backend><address {attributes}/></rng>\n"
                  "<iommu model='smmuv3' nested='yes'/>")


def many_hostdevs(count):
    return domain('\n'.join(
        "<hostdev mode='subsystem' type='pci'><source><address domain='0x%04x' bus='0x%02x' slot='0x%02x' "
        "function='0x%x'/></source></hostdev>" % (0x4000 + (i >> 16), i >> 8 & 255, i >> 3 & 31, i & 7)
        for i in range(count)) + "\n<iommu model='smmuv3' nested='yes'/>")


BOMB = ('<!DOCTYPE domain [<!ENTITY a0 "ha">\n' +
        ''.join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">\n' for i in range(1, 20)) +
        ']>\n<domain><name>&a19;</name></domain>\n')
GOOD = domain()

# name, input, what the error says, its line (None: it has none), exit status
DOMAINS = [
    ('empty', '', 'empty', 1, 1),
    ('blank', ' \n\n', '.', 3, 1),
    ('truncated in a tag', GOOD[:GOOD.index('<devices') + 5], '.', 8, 1),
    ('truncated in an attribute', GOOD[:GOOD.index("smmuv3") + 3], '.', 9, 1),
    ('truncated in the content', GOOD[:GOOD.index('<vcpu>')], '.', 4, 1),
    ('5 MiB of comment', GOOD.replace('<vcpu>', f'<!--{"x" * 5 * MIB}--><vcpu>'), '4 MiB|larger', None, 1),
    ('5 MiB of zeros', b'\0' * (5 * MIB), '4 MiB|larger', None, 1),
    ('a binary', bytes(range(256)) * 4, '.', 1, 1),
    ('plain text', 'hello\n', '.', 1, 1),
    ('JSON', '{"domain": 1}\n', '.', 1, 1),
    ('a network', '<network>\n<name>n</name></network>\n', "'?<?network", 1, 1),
    ('a domain in another namespace', "<domain xmlns='urn:x'/>\n", 'domain', 1, 1),
    ('two roots', GOOD + '<domain/>\n', '.', 13, 1),
    ('text behind the root', GOOD + 'x\n', '.', 13, 1),
    ('an external entity', '<!DOCTYPE d [\n<!ENTITY x SYSTEM "file:///etc/hostname">]>\n'
     '<domain><name>&x;</name></domain>\n', '.', 1, 1),
    ('an external DTD', '<!DOCTYPE domain SYSTEM "http://127.0.0.1:1/x.dtd">\n<domain/>\n', '.', 1, 1),
    ('an entity bomb', BOMB, '.', 1, 1),
    ('an entity of no definition', '<domain>\n<name>&nothing;</name></domain>\n', '.', 2, 1),
    ('UTF-16', GOOD.encode('utf-16'), '.', 1, 1),
    ('bytes that are not UTF-8', GOOD.replace('bad', 'b\udcffd').encode(errors='surrogateescape'), '.', 2, 1),
    ('a NUL', GOOD.replace('bad', 'b\0d'), '.', 2, 1),
    ('nesting 100000 deep', '<domain>' + '<a>' * 100000 + '</a>' * 100000 + '</domain>\n', '.', 1, 1),
    ('an attribute twice', GOOD.replace("nested='yes'", "nested='yes'\nnested='yes'"), '.', 10, 1),
    ('30000 devices', many_hostdevs(30000), '20000', r'\d+', 1),
    ('domain number out of range', hostdev(domain='0x100000000'), '0x100000000', 9, 1),
    ('bus out of range', hostdev(bus='0x100'), '0x100', 9, 1),
    ('slot out of range', hostdev(slot='0x20'), '0x20', 9, 1),
    ('function out of range', hostdev(function='8'), '8', 9, 1),
    ('a negative bus', hostdev(bus='-1'), '-1', 9, 1),
    ('an empty slot', hostdev(slot=''), 'slot', 9, 1),
    ('hexadecimal without 0x', hostdev(bus='1f'), '1f', 9, 1),
    ('a number with a tail', hostdev(slot='0x1z'), '0x1z', 9, 1),
    ('a huge number', hostdev(bus='9' * 400), '999', 9, 1),
    ('guest slot out of range', guest(slot='0x20'), '0x20', 9, 1),
    ('guest bus out of range', guest(bus='256'), '256', 9, 1),
    ('guest function out of range', guest(function='0x8'), '0x8', 9, 1),
    ('duplicate index', domain("<controller type='pci' index='0' model='pcie-root-port'/>"), "'?0'?", 10, 1),
    ('an index that is no number', domain("<controller type='pci' index='x' model='pcie-root-port'/>"),
     'index', 9, 1),
    ('index 0 for a root port', domain("<controller type='pci' index='0' model='pcie-root-port'/>").replace(
        "  <controller type='pci' index='0' model='pcie-root'/>\n", ''), 'index 0', 9, 1),
    ('a pcie-root with another index', domain("<controller type='pci' index='5' model='pcie-root'/>").replace(
        "  <controller type='pci' index='0' model='pcie-root'/>\n", ''), "index='0'", 9, 1),
    ('two <devices>', domain(rest='\n<devices/>'), 'line 8', 12, 1),
    ('an encoding that hides tags', "<?xml version='1.0' encoding='UTF-7'?>\n" + GOOD, 'UTF-7', 1, 1),
    ('another encoding', "<?xml version='1.0' encoding='ISO-8859-1'?>\n" + GOOD, 'ISO-8859-1', 1, 1),
    ('200000 attributes', domain('<rng ' + ' '.join(f"a{i}=''" for i in range(200000)) + '/>'),
     'attributes', 9, 1),
    # libxml2 takes it that the comment ends where a byte is no character, and the section, and the instruction
    *((f'attributes behind a control character in {opening}', domain(opening + '\x01<rng ' + ' '.join(
        f"a{i}=''" for i in range(100000)) + '/>'), 'byte 0x01', 9, 1) for opening in ('<!--', '<![CDATA[', '<?p ')),
    ('namespaces behind an error', domain('<rng a=b/>' + ''.join('<a ' + ' '.join(
        f"xmlns:n{i}='u'" for i in range(900)) + '>' for _ in range(50)) + '<z:b/>' * 10000 + '</a>' * 50),
     'namespaces', 9, 1),
    ('1100 namespaces', domain(''.join(f"<a{i} xmlns:x{i}='urn:x'/>\n" for i in range(1100))), 'namespaces',
     r'\d+', 1),
    ('400000 NUMA cells', domain(rest=f'\n<cpu><numa>{"<cell/>" * 400000}</numa></cpu>').replace(
        "  <cpu mode='host-passthrough'/>\n", ''), 'NUMA cells', 11, 1),
    ('10000 requests', domain("<iommu model='smmuv3' nested='yes'/>\n" * 10000), '255', r'\d+', 1),
    ('a port noted twice', domain().replace('  <memory', '<metadata><v:domain xmlns:v="urn:viommu:domain:1">'
     '<v:request/><v:vsmmu smmu="s" controller="1">\n<v:port controller="2"/>\n<v:port controller="2"/>'
     '</v:vsmmu></v:domain></metadata>\n  <memory'), 'damaged', 5, 1),
    ('a noted size that wraps', domain().replace('  <memory', '<metadata><v:domain xmlns:v="urn:viommu:domain:1">'
     '<v:request/>\n<v:made pcihole64="yes" userPcihole64="18014398509481984"/></v:domain></metadata>\n'
     '  <memory'), 'damaged', 4, 1),
    ('an index out of range', domain("<controller type='pci' index='4294967296' model='pcie-root-port'/>"),
     'index', 9, 1),
]

HOSTS = [
    ('an absolute link', 'sys/class/iommu\nsys/class/net -> /etc\n', 'absolute', 2, 3),
    ('links in a loop', 'sys/bus/pci/devices/0000:01:00.0 -> ../../../a\nsys/a -> b\nsys/b -> a\n'
     'sys/class/iommu/smmu3.0x0000000011000000 -> ../../a\n', 'circle', 1, 3),
    ('a link out of the root', 'sys/a -> ../../etc\n', r'\.\.|root', 1, 3),
    ('a path with ..', 'sys/../a = 1\n', r'\.\.', 1, 3),
    ('an absolute path', '/sys/a = 1\n', '.', 1, 3),
    ('a path twice', 'sys/a = 1\n# x\nsys/a = 2\n', 'twice|already', 3, 3),
    ('an entry below a file', 'sys/a = 1\nsys/a/b = 2\n', '.', 2, 3),
    ('an escape that is none', 'sys/a = x\\q\n', '.', 1, 3),
    ('an escape cut off', 'sys/a = x\\', '.', 1, 3),
    ('base64 cut off', 'sys/a : QUJ\n', 'base64', 1, 3),
    ('base64 that is none', 'sys/a : %%%%\n', 'base64', 1, 3),
    ('a NUL in a record', b'sys/a = 1\nsys/b = \0\n', '.', 2, 3),
    ('XML as a record', GOOD, '.', 1, 3),
]


class Tester:
    def __init__(self, viommu, root, where):
        self.viommu, self.root, self.where = os.path.abspath(viommu), root, where
        self.number = self.failed = 0

    def run(self, *args):
        return subprocess.run([self.viommu, *args], cwd=self.root, check=False, timeout=120,
                              env={'LC_ALL': 'C.UTF-8', 'PATH': os.environ['PATH']},
                              stdin=subprocess.DEVNULL, capture_output=True)

    def ok(self, good, name, done=None):
        self.number += 1
        self.failed += not good
        print(f'{"" if good else "not "}ok {self.number} - {name}')
        if not good and done:
            print(f'# exit status {done.returncode}, {len(done.stdout)} bytes on stdout; on stderr:')
            for line in done.stderr.decode(errors='replace').splitlines()[:40]:
                print(f'# {line[:300]}')

    def refused(self, name, args, file, text, line, status):
        """Runs viommu, which gives one error on @file that says @text at @line."""
        done = self.run(*args)
        words = done.stderr.decode(errors='replace')
        where = f'{re.escape(file)}: ' if file else ''
        at = '(?!line )' if line is None else f'line {line}: '
        good = (done.returncode == status and not done.stdout and words.count('\n') == 1 and
                len(words) < 1000 and re.match(f'error: {where}{at}', words) and re.search(text, words))
        self.ok(bool(good), name, done)

    def write(self, data):
        path = os.path.join(self.where, 'input')
        with open(path, 'wb') as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path


def main():
    with tempfile.TemporaryDirectory() as where:
        t = Tester(*sys.argv[1:], where)
        record = ['--host', 'tests/hosts/grace.sysfs']
        for name, data, text, line, status in DOMAINS:
            path = t.write(data)
            for command in ('expand', 'check'):
                t.refused(f'{command}: {name}', [*record, command, path], path, text, line, status)
        for name, data, text, line, status in HOSTS:
            path = t.write(data)
            t.refused(f'host: {name}', ['--host', path, 'host'], path, text, line, status)

        # Legal, if odd.
        for name, data in (('hexadecimal with 0x', hostdev(bus='0x01')), ('decimal', hostdev(bus='1')),
                           ('no domain', hostdev(domain=None, bus='1'))):
            done = t.run(*record, 'expand', t.write(data))
            gone = name == 'no domain'  # 0000:01:00.0 is another device
            t.ok(done.returncode == 0 and b'pcie-expander-bus' in done.stdout, f'accepted: {name}',
                 done)
            assert not gone or b"domain='0x0002'" not in done.stdout

        done = t.run(*record, 'expand', t.write(many_hostdevs(10000)))
        t.ok(done.returncode == 1 and not done.stdout and done.stderr.startswith(b'error: line '),
             '10000 hostdevs that the host does not have', done)

        for command in ('plan', 'expand', 'argv', 'check', 'define'):
            path = os.path.join(where, 'missing')
            t.refused(f'{command}: no such file', [*record, command, path], '', 'No such file', None, 3)
        t.refused('a directory', [*record, 'expand', where], '', 'directory', None, 3)
        path = t.write(GOOD)
        t.refused('no such host', ['--host', path + '.not', 'host'], '', 'No such file', None, 3)
        t.refused('a network that is none', [*record, 'expand', '--network', path, path], path, '.', 1, 1)
        t.refused('no such libvirt', [*record, '-c', 'nothing:///system', 'check', path], '', 'libvirt',
                  None, 3)
        print(f'1..{t.number}')
        return bool(t.failed)


if __name__ == '__main__':
    sys.exit(main())
