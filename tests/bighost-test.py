#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A big machine, made by hosts/generate.py: 16 SMMUs and 4096 PCI devices are all read, and a domain with
a device behind each SMMU gets its vSMMUs.

Usage: bighost-test.py VIOMMU SOURCE_ROOT"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

SMMUS, DEVICES = 16, 4096
HOSTDEV = """    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x{segment:04x}' bus='0x{bus:02x}' slot='0x00' function='0x7'/>
      </source>
    </hostdev>
"""
DOMAIN = """<domain type='kvm'>
  <name>big</name>
  <memory unit='GiB'>4</memory>
  <vcpu>4</vcpu>
  <os firmware='efi'>
    <type arch='aarch64' machine='virt'>hvm</type>
  </os>
  <features>
    <acpi/>
    <gic version='3'/>
  </features>
  <cpu mode='host-passthrough'/>
  <devices>
{hostdevs}    <iommu model='smmuv3' nested='yes'/>
  </devices>
</domain>
"""


class Tester:
    def __init__(self, viommu, root):
        self.viommu, self.root, self.number, self.failed = os.path.abspath(viommu), root, 0, 0

    def ok(self, good, name, detail=''):
        self.number += 1
        self.failed += not good
        print(f'{"" if good else "not "}ok {self.number} - {name}')
        if not good:
            print('\n'.join(f'# {line}' for line in str(detail).splitlines()))

    def run(self, *command):
        return subprocess.run([*map(str, command)], cwd=self.root, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False, timeout=300)

    def ask(self, host, *words):
        """The JSON that viommu prints, and what it printed if that is none."""
        done = self.run(self.viommu, '--host', host, *words)
        try:
            return json.loads(done.stdout), done.stderr
        except ValueError:
            return None, f'exit status {done.returncode}\n{done.stderr}'


def address(segment, number):
    """The @number-th device of a segment, as generate.py lays them out: a port, then its 8 functions."""
    bus, function = number // 9 + 1, number % 9 - 1
    if function < 0:
        return f'{segment:04x}:00:{(bus - 1) % 32:02x}.{(bus - 1) // 32}'
    return f'{segment:04x}:{bus:02x}:00.{function}'


def check_host(tap, host):
    seen, why = tap.ask(host, 'host', '--format', 'json')
    smmus = seen['smmus'] if seen else []
    tap.ok(len(smmus) == SMMUS, f'{SMMUS} SMMUs are listed', why or len(smmus))
    got = sorted(device['address'] for smmu in smmus for device in smmu['devices'])
    wanted = sorted(address(i, number) for i in range(SMMUS) for number in range(DEVICES // SMMUS))
    tap.ok(len(wanted) == DEVICES and got == wanted, f'{DEVICES} devices are listed, each once',
           f'{why}{len(got)} devices, these differ: {sorted(set(got) ^ set(wanted))[:9]}')
    unfit = [device['unfit'] for smmu in smmus for device in smmu['devices']]
    tap.ok(unfit and not any(unfit), 'none is unfit', unfit[:9])
    words = tap.run(tap.viommu, '--host', host, 'host').stdout
    tap.ok(words.endswith(" Of the devices that are bound to VFIO drivers the first 64 were looked at; "
                          "'--format json' looks at all.\n\n"),
           'not all of them are looked at for the table', words[-300:])
    lost = [smmu['name'] for i, smmu in enumerate(smmus)
            if any(int(device['address'][:4], 16) != i for device in smmu['devices'])]
    tap.ok(smmus and not lost, 'each is behind the SMMU of its segment', lost)


def check_plan(tap, host, domain):
    hostdevs = ''.join(HOSTDEV.format(segment=i, bus=i + 1) for i in range(SMMUS))
    domain.write_text(DOMAIN.format(hostdevs=hostdevs))
    plan, why = tap.ask(host, 'plan', '--format', 'json', domain)
    got = [[device['source'] for device in vsmmu['devices']]
           for vsmmu in (plan or {}).get('vsmmus', ())]
    tap.ok(got == [[f'{i:04x}:{i + 1:02x}:00.7'] for i in range(SMMUS)],
           'a domain gets a vSMMU for each SMMU of its devices', f'{why}{got}')


def main():
    tap = Tester(*sys.argv[1:])
    print('1..7')
    with tempfile.TemporaryDirectory() as directory:
        host, domain = pathlib.Path(directory, 'big.sysfs'), pathlib.Path(directory, 'big.xml')
        made = tap.run(sys.executable, 'tests/hosts/generate.py', '--smmus', SMMUS, '--devices', DEVICES)
        host.write_text(made.stdout)
        tap.ok(made.returncode == 0 and made.stdout, 'the host is made', made.stderr)
        check_host(tap, host)
        check_plan(tap, host, domain)
    return bool(tap.failed)


if __name__ == '__main__':
    sys.exit(main())
