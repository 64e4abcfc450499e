#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The TCG form of every golden case, started by the real QEMU and stopped before it runs.

`info qtree` must show the topology that `viommu plan` announces: every vSMMU on its expander bus,
every expander bus with its number, every device (see standins.py) below its port. What portable.py
changes in a domain is printed and counted.
"""

import json
import sys

from describedhost import DescribedHost
from domainxml import USER_ALIAS, number, parse
from golden import emulatable, goldenPairs, manifest, readText, viommu
from portable import networkFunctions, portable
from qemuargs import pairs, words
from standins import provideFiles, qemuTree, withStandIns
from tap import guarded
from tree import runOnTree


def controllerIds(expanded):
    """{index: id in QEMU} of the PCI controllers of an expanded domain."""
    ids = {0: "pcie.0"}
    for controller in parse(expanded).findall("devices/controller[@type='pci']"):
        index = number(controller.get("index"))
        alias = controller.find("alias")
        if index:
            name = "" if alias is None else alias.get("name")
            ids[index] = name if name.startswith(USER_ALIAS) else f"pci.{index}"
    return ids


PORTS = ("pcie-root-port", "xio3130-downstream")


def isPortBelow(tree, port, expander):
    """Whether @port is a port on that expander bus, or of a switch below it."""
    above = tree.bus.get(port)
    while above in tree.bus and above != expander:
        above = tree.bus[above]
    return tree.kind.get(port) in PORTS and above == expander


def vsmmuProblems(vsmmu, tree, ids, devices, smmus):
    """What of one planned vSMMU is not in QEMU's tree, in words. Takes its vSMMU out of @smmus."""
    expander = ids[vsmmu["controller"]]
    here = [name for name in smmus
            if tree.properties[name].get("primary-bus", "").rpartition("/")[2] == expander]
    problems = []
    if len(here) != 1:
        problems.append(f"{len(here)} vSMMUs on {expander}, planned one for {vsmmu['host']}")
    for name in here:
        smmus.remove(name)
    if tree.kind.get(expander) != "pxb-pcie":
        problems.append(f"{expander} is no pxb-pcie but {tree.kind.get(expander)}")
    elif tree.properties[expander].get("bus_nr", "").split(" ")[0] != str(vsmmu["busNr"]):
        problems.append(f"{expander} has bus_nr {tree.properties[expander].get('bus_nr')}, "
                        f"planned {vsmmu['busNr']}")
    ports = [device["bus"] for device in vsmmu["devices"]] + vsmmu["sparePorts"]
    for port in sorted(set(ports)):
        if not isPortBelow(tree, ids[port], expander):
            problems.append(f"{ids[port]} is a {tree.kind.get(ids[port])} on "
                            f"{tree.bus.get(ids[port])}, planned a port below {expander}")
    for device in vsmmu["devices"]:
        name = devices.pop(device["source"], None)
        if name is None:
            problems.append(f"{device['source']} is not on the command line")
        elif tree.bus.get(name) != ids[device["bus"]]:
            problems.append(f"{name} ({device['source']}) is on {tree.bus.get(name)}, "
                            f"planned {ids[device['bus']]}")
    return problems


def placementProblems(plan, tree, ids, devices):
    smmus = tree.ofKind("arm-smmuv3")
    problems = []
    for vsmmu in plan["vsmmus"]:
        problems += vsmmuProblems(vsmmu, tree, ids, devices, smmus)
    problems += [f"vSMMU {name} is not planned" for name in smmus]
    problems += [f"{source} is on the command line and not in the plan" for source in devices]
    return problems


def testCase(tap, host, case):
    """Returns whether portable.py changed the domain."""
    def ask(*command):
        return viommu(case.host, *command, *case.options, "-", stdin=domain)

    domain, changes = portable(emulatable(readText(case.source)),
                               networkFunctions(case.networks, manifest(case.host)))
    tap.note(*(f"{case.name}: {change}" for change in changes))
    plan = json.loads(ask("plan", "--format", "json"))
    ids = controllerIds(ask("expand"))
    command = pairs(words(ask("argv", "--full", "--format", "json")))
    command, devices = withStandIns(command)
    provideFiles(host, command)
    tree = qemuTree(host, command)
    tap.noProblems(placementProblems(plan, tree, ids, devices),
                   f"{case.name}: QEMU builds the planned topology")
    return bool(changes)


def testAll(tap, tree):
    cases = goldenPairs()
    tap.ok(cases, "there are golden pairs of an expanded domain and its arguments")
    if cases:
        # QEMU looks at none of the host's devices here, so any host will do.
        with guarded(tap, f"described host {cases[0].host}"), \
                DescribedHost(tree, manifest(cases[0].host)) as host:
            changed = 0
            for case in cases:
                with guarded(tap, f"{case.name}: QEMU builds the planned topology"):
                    changed += testCase(tap, host, case)
            tap.note(f"{changed} of {len(cases)} domains were changed to be startable here, as said")


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
