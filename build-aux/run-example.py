#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plans, expands and checks the example domain: on this machine's SMMUs if it has any, else on a
recorded host.

Usage: run-example.py SOURCE_ROOT BUILD_DIR [HOST]

HOST is a record that is taken for this machine."""

import collections
import difflib
import json
import pathlib
import re
import subprocess
import sys

BRIDGE = '0x06'
EXAMPLE, RECORD = 'examples/two-gpus.xml', 'tests/hosts/grace.sysfs'


def local_devices(viommu, host):
    """One endpoint, alone in its IOMMU group, behind each of at most two SMMUs of this machine."""
    text = subprocess.run([viommu, *host, 'host', '--format', 'json'], check=True, capture_output=True).stdout
    smmus = [smmu['devices'] for smmu in json.loads(text)['smmus']]
    members = collections.Counter(device['group'] for devices in smmus for device in devices)
    found = [[device['address'] for device in devices if members[device['group']] == 1 and
              not (device['class'] or BRIDGE).startswith(BRIDGE)] for devices in smmus]
    return [addresses[0] for addresses in found if addresses][:2]


def with_devices(domain, addresses):
    """@domain with its host devices replaced, and those left over taken out."""
    todo = list(addresses)

    def replace(match):
        if not todo:
            return ''
        segment, bus, slot, function = re.split('[:.]', todo.pop(0))
        new = f"<address domain='0x{segment}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/>"
        return re.sub(r'<address [^>]*/>', new, match[0], count=1)

    return re.sub(r' *<hostdev .*?</hostdev>\n', replace, domain, flags=re.DOTALL)


def show(viommu, host, domain, build):
    """Plans, expands and checks @domain; returns the exit status."""
    def run(*arguments, **options):
        line = [str(word) for word in (viommu, *host, *arguments)]
        print('\n$ ' + ' '.join(line), flush=True)
        return subprocess.run(line, check=True, **options).stdout

    try:
        run('-q', 'plan', domain)
        text = run('-q', 'expand', domain, capture_output=True, text=True)
        sys.stdout.writelines(difflib.unified_diff(domain.read_text().splitlines(True), text.splitlines(True),
                                                   str(domain), 'expanded'))
        expanded = build / 'example-expanded.xml'
        expanded.write_text(text)
        run('check', expanded)
    except subprocess.CalledProcessError as err:
        sys.stderr.write(err.stderr or '')
        return err.returncode
    return 0


def main():
    root, build = map(pathlib.Path, sys.argv[1:3])
    machine = ['--host', sys.argv[3]] if len(sys.argv) > 3 else []
    viommu = build / 'tools' / 'viommu'
    devices = local_devices(viommu, machine)
    if devices:
        print(f'This machine has SMMUv3s: the example is placed on them, with {" and ".join(devices)}.')
        domain = build / 'example.xml'
        domain.write_text(with_devices((root / EXAMPLE).read_text(), devices))
        if show(viommu, machine, domain, build) == 0:
            return 0
        print('\nThis machine cannot, as said above. On the recorded Grace host it looks like this:')
    else:
        print(f'This machine has no SMMUv3 with a device for a guest: the example is placed on the recorded '
              f'Grace host, {RECORD}.')
    return show(viommu, ['--host', root / RECORD], root / EXAMPLE, build)


if __name__ == '__main__':
    sys.exit(main())
