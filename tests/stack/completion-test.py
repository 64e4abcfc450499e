#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The checker's idea of what libvirt makes of a domain, against the real libvirt.

Random domains with expander buses, vSMMUs, ports, switches, bridges and devices with and without
addresses are defined in libvirt. Every controller, the bus it is on, and the bus of every device
must be those that the checker expects (viommu_check_complete.c); both V03 and V22 stand on that.
VIOMMU_TEST_COUNT domains are tried, from VIOMMU_TEST_SEED on.
"""

import os
import random
import subprocess
import sys
import tempfile

from describedhost import DescribedHost
from domainxml import parse, pciAddress
from golden import manifest
from randomdomain import randomDomain
from tap import guarded
from tree import runOnTree

HOST = "mixed-features"
# Endpoints of that host, each behind another SMMU.
HOSTDEVS = [f"{domain:04x}:01:00.0" for domain in range(12)]
COUNT = 100
# A random domain that libvirt refuses shows nothing; so many of a hundred may be of that kind.
MOST_REFUSED = 20


def expected(program, xml):
    """Sorted lines of completiondump.c."""
    with tempfile.NamedTemporaryFile("w", suffix=".xml", encoding="utf-8") as f:
        f.write(xml)
        f.flush()
        done = subprocess.run([program, f.name], capture_output=True, text=True, check=True)
    return sorted(line for line in done.stdout.splitlines())


def completed(xml):
    """The same lines, of the domain that libvirt completed."""
    lines = []
    for device in parse(xml).find("devices"):
        address = pciAddress(device)
        if device.tag == "controller" and device.get("type") == "pci":
            bus = "-" if address is None else address[0]
            lines.append(f"pci {device.get('index')} {device.get('model')} {bus}")
        elif address is not None:
            alias = device.find("alias")
            name = device.tag if alias is None else alias.get("name")
            lines.append(f"device {name} {address[0]}")
    return sorted(lines)


def testDomain(tap, host, program, seed):
    """Returns whether libvirt took the domain."""
    xml = randomDomain(random.Random(seed), HOSTDEVS)
    done = host.virsh("define", "/dev/stdin", stdin=xml)
    if done.returncode:
        tap.note(f"seed {seed}: libvirt refuses: {done.stderr.strip()}")
        return False
    name = parse(xml).findtext("name")
    theirs = completed(host.virsh("dumpxml", "--inactive", name).stdout)
    host.virsh("undefine", "--nvram", name)
    ours = expected(program, xml)
    problems = [f"checker only: {line}" for line in ours if line not in theirs]
    problems += [f"libvirt only: {line}" for line in theirs if line not in ours]
    tap.ok(ours == theirs, f"seed {seed}: the checker completes the domain as libvirt does",
           *problems, *([] if ours == theirs else [xml]))
    return True


def testAll(tap, tree, program):
    first = int(os.environ.get("VIOMMU_TEST_SEED", "1"))
    count = int(os.environ.get("VIOMMU_TEST_COUNT", str(COUNT)))
    refused = count
    with guarded(tap, f"described host {HOST}"), DescribedHost(tree, manifest(HOST)) as host:
        for seed in range(first, first + count):
            with guarded(tap, f"seed {seed}"):
                refused -= testDomain(tap, host, program, seed)
    tap.ok(refused * 100 <= count * MOST_REFUSED, "libvirt takes most of the random domains",
           f"{refused} of {count} refused")


if __name__ == "__main__":
    sys.exit(runOnTree(testAll, lambda _: sys.argv[1]))
