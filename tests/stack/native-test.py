#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every golden case of the native dialect, given to the real libvirt on its recorded host.

libvirt must accept the expanded domain with --validate, complete it without touching the
placement, and turn it into the arguments that `viommu argv` gives: the same expander buses, ports
below them, vSMMUs, iommufd object and passed-through devices, in the same order.
"""

import itertools
import sys

from describedhost import DescribedHost
from domainxml import (PciTree, covers, interfacesAsHostdevs, isBridge, isPassedThrough, parse,
                       pciAddress, placementParts, show, withoutAliasPrefix)
from golden import emulatable, goldenPairs, manifest, readText
from qemuargs import kindOf, machineProperties, nativeWords, objectOf, pairs, words
from tap import guarded
from tree import runOnTree

COMPARED = ("arm-smmuv3", "iommufd", "acpi-generic-initiator")


def strangers(given, completed):
    """What libvirt put below an expander bus, in words."""
    before, after = PciTree(given), PciTree(completed)
    ports = {device.get("index") for device, _ in before.belowExpanders() if isBridge(device)}
    places = {pciAddress(device) for device, _ in before.belowExpanders()}
    problems = []
    for device, bus in after.belowExpanders():
        if isBridge(device):
            if device.get("index") not in ports:
                problems.append(f"libvirt added below expander bus {bus}: {show(device)}")
        elif pciAddress(device) not in places:
            problems.append(f"libvirt put below expander bus {bus}: {show(device)}")
        elif bus in after.accelBuses and not isPassedThrough(device):
            problems.append(f"emulated device below the accelerated vSMMU of bus {bus}: {show(device)}")
    return problems


def unasked(given, completed):
    """Root ports that libvirt added behind all given controllers and that nothing uses, in words.

    Ports in gaps of the given indexes are another matter: they stand where a vSMMU or a port of an
    earlier expansion went, and the plan says so (P6).
    """
    def pci(root):
        return root.findall("devices/controller[@type='pci']")

    last = max((int(c.get("index")) for c in pci(given) if c.get("index")), default=0)
    last = max(last, len(pci(given)) - 1)  # those without index take the lowest
    last = max([last] + [int(address.get("bus", "0"), 0)  # a bus that is named is asked for
                         for address in given.findall("devices/*/address")
                         if address.get("type") == "pci"])
    used = {int(address.get("bus", "0"), 0) for address in completed.findall("devices/*/address")
            if address.get("type") == "pci"}
    return [f"libvirt added a root port that nothing uses: {show(c)}" for c in pci(completed)
            if c.get("model") == "pcie-root-port" and int(c.get("index")) > last
            and int(c.get("index")) not in used]


def missing(given, completed):
    """Parts of the placement that libvirt dropped or changed, in words."""
    left = placementParts(completed)
    problems = []
    for part in placementParts(given):
        match = next((other for other in left if covers(other, part)), None)
        if match is None:
            problems.append(f"no longer there as written: {show(part)}")
        else:
            left.remove(match)
    return problems


def placementObjects(option_pairs):
    """libvirt's devices and objects of the placement, in its order.

    An expander bus without a vSMMU and what is below it is none of it.
    """
    things = [thing for thing in (objectOf(option, value) for option, value in option_pairs)
              if thing is not None]
    buses = {thing.get("primary-bus") for thing in things} - {None, "pcie.0"}
    found = []
    for thing in things:
        kind = kindOf(thing)
        if thing.get("bus") in buses and kind != "vfio-pci":
            buses.add(thing["id"])
        if thing.get("id") in buses or kind in COMPARED or \
                kind == "vfio-pci" and "sysfsdev" not in thing:
            found.append(thing)
    return found


def differences(ours, theirs):
    """Where `viommu argv` and libvirt disagree, in words."""
    problems = []
    theirMachine = machineProperties(theirs)
    for name, setting in machineProperties(ours).items():
        if theirMachine.get(name) != setting:
            problems.append(f"-machine {name}: viommu {setting}, libvirt {theirMachine.get(name)}")
    mine = []
    for option, value in ours:
        thing = objectOf(option, value)
        if thing is not None:
            mine.append(thing)
        elif option != "-machine":
            problems.append(f"neither a device nor an object: {option} {value}")
    for place, (my, their) in enumerate(itertools.zip_longest(mine, placementObjects(theirs))):
        if my != their:
            problems.append(f"argument {place + 1}:\n  viommu  {my}\n  libvirt {their}")
    return problems


def define(host, xml, *options):
    done = host.virsh("define", *options, "/dev/stdin", stdin=xml)
    return done.stderr.strip() if done.returncode else None


def testCase(tap, host, case):
    given = emulatable(readText(case.expanded))
    name = parse(given).findtext("name")
    error = define(host, given, "--validate")
    tap.ok(error is None, f"{case.name}: libvirt accepts the domain", error)
    if error is not None:
        return
    try:
        completedText = host.virsh("dumpxml", "--inactive", name).stdout
        completed = parse(completedText)
        tap.noProblems(strangers(parse(given), completed),
                       f"{case.name}: libvirt puts nothing of its own below an expander bus")
        tap.noProblems(unasked(parse(given), completed),
                       f"{case.name}: libvirt adds no root port that nothing uses")
        tap.noProblems(missing(parse(given), completed),
                       f"{case.name}: libvirt keeps the placement as it was written")
        error = define(host, interfacesAsHostdevs(completedText))
        native = host.virsh("domxml-to-native", "qemu-argv", "--domain", name)
        problems = [error] if error else [native.stderr] if native.returncode else differences(
            pairs(words(readText(case.args))),
            pairs(nativeWords(withoutAliasPrefix(native.stdout))))
        tap.noProblems(problems, f"{case.name}: libvirt's arguments are those of viommu argv")
    finally:
        host.virsh("undefine", "--nvram", name)


def testAll(tap, tree):
    cases = goldenPairs()
    tap.ok(cases, "there are golden pairs of an expanded domain and its arguments")
    for hostName, group in itertools.groupby(cases, key=lambda case: case.host):
        with guarded(tap, f"described host {hostName}"), \
                DescribedHost(tree, manifest(hostName)) as host:
            for case in group:
                with guarded(tap, case.name):
                    testCase(tap, host, case)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
