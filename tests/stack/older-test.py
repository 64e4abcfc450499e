#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Placements in the words of older libvirts, given to libvirts that are older.

Debian 13's 11.3 with QEMU 11.1 of its backports gets every golden case: it must accept the domain, move every host
device below the root port that is on the command line, with iommufd, and put nothing else there; and the TCG form, with
what libvirt makes of it, started by that QEMU, must show the planned topology. Debian 12's 9.0 gets them, too; its
QEMU knows no such vSMMU. The versions between, of which none can be had, are stood in for by the newest, which takes
their words too: its arguments must be those of the native domain.
"""

import itertools
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

from describedhost import DescribedHost
from domainxml import interfacesAsHostdevs, parse, withoutAliasPrefix
from golden import ViommuError, emulatable, goldenPairs, manifest, readText, viommu, viommuDone
from portable import networkFunctions, portable
from qemuargs import kindOf, machineProperties, nativeWords, objectOf, pairs, words
from standins import provideFiles, qemuTree, withStandIns
from tap import guarded
from tree import olderTree, runOnTree

QEMU_ID = "viommu."
# Cases of the golden ones for the libvirts that do not get all.
SOME = ("again-removed.grace", "alias-request.grace", "cmdqv-on-many.cmdqv-limits", "gpus.gb300",
        "interface-hostdev.grace", "numa-several.kunpeng920", "two-devices-one-smmu.one-smmu", "two-smmus.grace")
PXB, PORT, SMMU = "pxb-pcie", "pcie-root-port", "arm-smmuv3"


def expanded(case, version, source):
    """The domain in that libvirt's words; "" where it cannot be said."""
    done = viommuDone(case.host, "-q", "expand", "--libvirt-version", version, *case.options, "-", stdin=source)
    if done.returncode and not re.match(r"error: .*\bthis libvirt\b", done.stderr):
        raise ViommuError(done.stderr)
    return done.stdout


def define(host, xml, *options):
    done = host.virsh("define", *options, "/dev/stdin", stdin=xml)
    return done.stderr.strip() if done.returncode else None


def withVFIO(xml):
    """As a start does it: a host device whose driver is not said gets vfio, which older ones leave out in
    domxml-to-native; interfaces that are host devices become hostdevs."""
    domain = parse(interfacesAsHostdevs(xml))
    for hostdev in domain.findall("devices/hostdev[@type='pci']"):
        if hostdev.find("driver") is None:
            ElementTree.SubElement(hostdev, "driver", {"name": "vfio"})
    return ElementTree.tostring(domain, encoding="unicode")


def withoutPeers(option_pairs):
    """Without what libvirt gives QEMU at a real start: secrets, and a monitor. Any image will do."""
    return [(option, value and value.replace('"driver":"qcow2"', '"driver":"raw"'))
            for option, value in option_pairs if option not in ("-sandbox", "-mon")
            and "masterKey0" not in (value or "") and "id=charmonitor" not in (value or "")]


def nativePairs(host, xml, validate=True):
    """What libvirt makes of the domain: arguments, and None or what it said."""
    name = parse(xml).findtext("name")
    error = define(host, xml, *["--validate"][:validate])
    if error:
        return None, error
    try:
        completed = host.virsh("dumpxml", "--inactive", name).stdout
        error = define(host, withVFIO(completed))
        native = host.virsh("domxml-to-native", "qemu-argv", "--domain", name)
        if error or native.returncode:
            return None, error or native.stderr
        return pairs(nativeWords(withoutAliasPrefix(native.stdout))), None
    finally:
        host.virsh("undefine", "--nvram", name)


def keyValues(option_pairs):
    """{id: {property: value}} of devices and objects that are no JSON, with their kind as "driver"."""
    found = {}
    for option, value in option_pairs:
        if option in ("-device", "-object") and not value.startswith("{"):
            kind, *settings = value.split(",")
            properties = dict(setting.split("=", 1) for setting in settings)
            found[properties["id"]] = {"driver": kind, **properties}
    return found


def numbered(plan):
    """[(vSMMU of the plan, number of its bus, busNr, [(source, number of its port)])] as they are to be numbered."""
    number, busNr, found = 1, 256, []
    for vsmmu in sorted(plan["vsmmus"], key=lambda one: (one["host"], one["controller"])):
        devices = sorted(device["source"] for device in vsmmu["devices"])
        busNr -= 1 + len(devices)
        found.append((vsmmu, number, busNr, [(source, number + 1 + i) for i, source in enumerate(devices)]))
        number += 1 + len(devices)
    return found


def placeProblems(plan, option_pairs, accel):
    """Where host devices are not below the ports that are made for them, in words."""
    made = keyValues(option_pairs)
    devices = [thing for thing in (objectOf(*pair) for pair in option_pairs) if thing and thing.get("driver")]
    problems = []
    places = {f"{QEMU_ID}{port}" for _, _, _, ports in numbered(plan) for _, port in ports}
    there = [device for device in devices if device.get("bus", "").startswith(QEMU_ID)]
    if sorted(device["bus"] for device in there) != sorted(places):
        problems.append(f"below {sorted(device['bus'] for device in there)}, planned {sorted(places)}")
    for device in there:
        if device["driver"] != "vfio-pci":
            problems.append(f"{device} is below an expander bus")
        elif accel and device.get("iommufd") != "iommufd0":
            problems.append(f"{device} has no iommufd")
        elif made[device["bus"]]["driver"] != PORT:
            problems.append(f"{device['bus']} is a {made[device['bus']]['driver']}")
    if accel and "iommufd0" not in made:
        problems.append("there is no iommufd object")
    return problems


def topologyProblems(plan, tree, devices):
    """What of the plan is not in QEMU's tree, in words."""
    problems = []
    buses = numbered(plan)
    for vsmmu, number, busNr, ports in buses:
        bus, smmu = f"{QEMU_ID}{number}", f"{QEMU_ID}{number}.smmu"
        if tree.kind.get(bus) != PXB or tree.properties[bus].get("bus_nr", "").split(" ")[0] != str(busNr):
            problems.append(f"{bus} is a {tree.kind.get(bus)} with {tree.properties.get(bus)}, planned bus_nr {busNr}")
        if tree.kind.get(smmu) != SMMU or tree.properties[smmu].get("primary-bus", "").rpartition("/")[2] != bus:
            problems.append(f"{smmu} is a {tree.kind.get(smmu)}, planned a vSMMU on {bus}")
        for source, port in ports:
            name = devices.pop(source, None)
            if tree.bus.get(name) != f"{QEMU_ID}{port}" or tree.bus.get(f"{QEMU_ID}{port}") != bus:
                problems.append(f"{source} ({name}) is on {tree.bus.get(name)} on {tree.bus.get(tree.bus.get(name))}, "
                                f"planned port {port} on {bus}")
    if len(tree.ofKind(SMMU)) != len(buses):
        problems.append(f"vSMMUs: {tree.ofKind(SMMU)}")
    return problems


def planOf(case, source):
    options = [word for word in case.options]
    return json.loads(viommu(case.host, "-q", "plan", "--format", "json", *options, "-", stdin=source))


def isTheUsers(host, source):
    """Whether that libvirt, on this machine, takes the user's own domain no more than ours: without a request."""
    domain = parse(emulatable(source))
    for iommu in domain.findall("devices/iommu"):
        domain.find("devices").remove(iommu)
    return nativePairs(host, ElementTree.tostring(domain, encoding="unicode"))[1] is not None


def testWords(tap, host, case, version):
    """The domain as it is, with KVM. Returns what became of it."""
    source = readText(case.source)
    text = expanded(case, version, source)
    what = f"libvirt {version}: {case.name}"
    if not text:
        return "cannot be said"
    option_pairs, error = nativePairs(host, emulatable(text))
    if error and isTheUsers(host, source):
        return "not taken for words of the user's own"
    problems = [error] if error else placeProblems(planOf(case, source), option_pairs, "type='kvm'" in source)
    tap.noProblems(problems, f"{what}: host devices are below their ports, and nothing else")
    return "placed"


def testTopology(tap, host, case, version):
    """The TCG form, started."""
    source, _ = portable(emulatable(readText(case.source)), networkFunctions(case.networks, manifest(case.host)))
    text = expanded(case, version, source)
    if not text:
        return "cannot be said"
    option_pairs, error = nativePairs(host, text, validate=False)
    if error and isTheUsers(host, source):
        return "not taken for words of the user's own"
    if error:
        tap.noProblems([error], f"libvirt {version}: {case.name}: TCG form")
        return "failed"
    command, devices = withStandIns(withoutPeers(option_pairs))
    provideFiles(host, command)
    tap.noProblems(topologyProblems(planOf(case, source), qemuTree(host, command), devices),
                   f"libvirt {version}: {case.name}: QEMU builds the planned topology")
    return "started"


def forCases(tap, tree, version, cases, *tests, most):
    """Runs tests(tap, host, case, version) for each case on its host, and says what became of them.

    @most: {what has to become of them, so that the rest are exceptions: how often}.
    """
    became = {}
    for hostName, group in itertools.groupby(cases, key=lambda case: case.host):
        with guarded(tap, f"libvirt {version}: described host {hostName}"), \
                DescribedHost(tree, manifest(hostName)) as host:
            for case, test in itertools.product(list(group), tests):
                with guarded(tap, f"libvirt {version}: {case.name}"):
                    end = f"{test.__name__}: {test(tap, host, case, version)}"
                    became[end] = became.get(end, 0) + 1
    tap.note(*(f"libvirt {version}: {count} {end}" for end, count in sorted(became.items())))
    tap.ok(all(became.get(end, 0) >= count for end, count in most.items()),
           f"libvirt {version}: {', '.join(f'{count} times or more {end}' for end, count in most.items())}", became)


def comparable(option_pairs):
    """Devices of the placement, without what differs in names: (kind, properties)."""
    found = []
    for thing in (objectOf(*pair) for pair in option_pairs):
        if thing and kindOf(thing) in (PXB, PORT, SMMU, "vfio-pci"):
            found.append({name: value for name, value in thing.items() if name not in ("id", "host") or
                          (name == "id" and kindOf(thing) in (PXB, PORT))})
    return sorted(found, key=lambda thing: json.dumps(thing, sort_keys=True))


def testBetween(tap, host, case, version):
    source = readText(case.source)
    native, error = nativePairs(host, emulatable(viommu(case.host, "-q", "expand", *case.options, "-", stdin=source)))
    text = expanded(case, version, source)
    if error or not text:
        return "cannot be said"
    option_pairs, error = nativePairs(host, emulatable(text))
    problems = [error] if error else []
    if not error:
        problems += [f"{one} is not among {comparable(native)}" for one in comparable(option_pairs)
                     if one not in comparable(native)]
        if len(comparable(option_pairs)) != len(comparable(native)):
            problems.append(f"{len(comparable(option_pairs))} devices, native {len(comparable(native))}")
        window = "highmem-mmio-size"
        if machineProperties(option_pairs).get(window) != machineProperties(native).get(window):
            problems.append(f"window {machineProperties(option_pairs).get(window)}")
        if sum("iommufd0" in (value or "") and option == "-object" for option, value in option_pairs) != 1:
            problems.append("not one iommufd object")
    tap.noProblems(problems, f"libvirt {version}: {case.name}: the arguments of the native domain")
    return "compared"


def testAll(tap, newest, trixie, bookworm):
    cases = goldenPairs()
    some = [case for case in cases if case.name in SOME]
    tap.ok(len(some) == len(SOME), "the cases for some libvirts are there", [case.name for case in some])
    forCases(tap, trixie, "11.3", cases, testWords, testTopology,
             most={"testWords: placed": 90, "testTopology: started": 95})
    forCases(tap, bookworm, "9.0", cases, testWords, most={"testWords: placed": 75})
    for version in ("11.10", "12.1", "12.6"):
        forCases(tap, newest, version, some, testBetween, most={"testBetween: compared": len(SOME)})


if __name__ == "__main__":
    sys.exit(runOnTree(testAll, lambda _: olderTree("trixie"), lambda _: olderTree("bookworm")))
