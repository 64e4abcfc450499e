#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A big machine, made by hosts/generate.py: 16 SMMUs and 4096 PCI devices are all read, and a domain with
a device behind each SMMU gets its vSMMUs. And domains with so many host devices that a libvirt without words for buses
runs out of numbers.

Usage: bighost-test.py VIOMMU SOURCE_ROOT"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SMMUS, DEVICES = 16, 4096
# What stands in a domain, too: root ports of its own, also with the highest chassis numbers.
PANIC = "    <panic model='pvpanic'/>\n"
PORT = "    <controller type='pci' index='{}' model='pcie-root-port'>{}</controller>\n"
PORTS = ''.join(PORT.format(i, '') for i in range(1, 21))
HIGH_PORTS = ''.join(PORT.format(i, f"<target chassis='{256 - i}'/>") for i in range(1, 21))
HOSTDEV = """    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x{segment:04x}' bus='0x{bus:02x}' slot='0x00' function='0x{function}'/>
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


def hostdevs(smmus, count):
    """So many, of so many SMMUs by turns."""
    return ''.join(HOSTDEV.format(segment=i % smmus, bus=i // smmus // 8 + 1, function=i // smmus % 8)
                   for i in range(count))


def check_arguments(tap, host, domain, what, refusal, smmus, most, more='', lowest=None):
    """For libvirt 11.3, which makes a root port for each of them as well (tried with it): @most of them fit, with the
    lowest bus number @lowest, and one more is refused."""
    def expand(count):
        domain.write_text(DOMAIN.format(hostdevs=hostdevs(smmus, count) + more))
        return tap.run(tap.viommu, '--host', host, 'expand', '-q', '--libvirt-version', '11.3', domain)
    done = expand(most)
    got = {name: [int(number, 0) for number in re.findall(rf',{name}=(\w+)', done.stdout)]
           for name in ('bus_nr', 'chassis')}
    slots = re.findall(r'pxb-pcie,\S*addr=(\w+)', done.stdout)
    tap.ok(done.returncode == 0 and len(got['bus_nr']) == len(set(slots)) == smmus and min(got['bus_nr']) == lowest and
           len(set(got['chassis'])) == most and min(got['chassis']) > 0, f'{what}: {most} host devices fit',
           f'{done.stderr}{got} {slots}')
    done = expand(most + 1)
    tap.ok(done.returncode == 1 and not done.stdout and refusal in done.stderr, f'{what}: one more is refused',
           done.stderr or done.stdout[:300])


def check_plan(tap, host, domain):
    domain.write_text(DOMAIN.format(hostdevs=''.join(HOSTDEV.format(segment=i, bus=i + 1, function=7)
                                                     for i in range(SMMUS))))
    plan, why = tap.ask(host, 'plan', '--format', 'json', domain)
    got = [[device['source'] for device in vsmmu['devices']]
           for vsmmu in (plan or {}).get('vsmmus', ())]
    tap.ok(got == [[f'{i:04x}:{i + 1:02x}:00.7'] for i in range(SMMUS)],
           'a domain gets a vSMMU for each SMMU of its devices', f'{why}{got}')


def main():
    tap = Tester(*sys.argv[1:])
    print('1..17')
    with tempfile.TemporaryDirectory() as directory:
        host, domain = pathlib.Path(directory, 'big.sysfs'), pathlib.Path(directory, 'big.xml')
        made = tap.run(sys.executable, 'tests/hosts/generate.py', '--smmus', SMMUS, '--devices', DEVICES)
        host.write_text(made.stdout)
        tap.ok(made.returncode == 0 and made.stdout, 'the host is made', made.stderr)
        check_host(tap, host)
        check_plan(tap, host, domain)
        check_arguments(tap, host, domain, 'buses of one vSMMU', 'would have 257 buses', 1, 126, lowest=129)
        check_arguments(tap, host, domain, 'buses of 16 vSMMUs', 'would have 258 buses', 16, 119, lowest=121)
        check_arguments(tap, host, domain, 'slots of pcie.0', 'needs 16 slots of pcie.0', 16, 111, PANIC, lowest=129)
        check_arguments(tap, host, domain, 'ports of their own', 'would have 258 buses', 1, 127, PORTS, lowest=128)
        check_arguments(tap, host, domain, 'chassis numbers', 'numbers their chassis up to 118', 1, 117, HIGH_PORTS,
                        lowest=138)
    return bool(tap.failed)


if __name__ == '__main__':
    sys.exit(main())
