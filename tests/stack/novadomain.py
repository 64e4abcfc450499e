# SPDX-License-Identifier: LGPL-2.1-or-later
"""The XML that Nova gives to libvirt, and whether what libvirt has then is a right placement.

What is right comes from the described host's sysfs alone: the link `iommu` of a device names the
SMMU that translates it. viommu is not asked.
"""

import collections
import os

from describedhost import HostError
from domainxml import METADATA, PciTree, isBridge, isPassedThrough, number, parse, pciAddress, show
from golden import TESTS, readText
from novakvm import SOCKET

DATA = os.path.join(TESTS, "novadata")
EXTRA_SPECS = "<nova:extraSpecs>"
NAME = "instance-00000001"      # of all recorded domains
# Where a libvirt is that has KVM, without viommu before it.
DIRECT = f"qemu+unix:///system?socket={SOCKET}"


def novaXml(name, **specs):
    """A recorded XML; @specs are viommu's extra specs that are added to the flavor."""
    added = "".join(f'<nova:extraSpec name="viommu:{key}">{value}</nova:extraSpec>'
                    for key, value in specs.items())
    return readText(os.path.join(DATA, f"{name}.xml")).replace(EXTRA_SPECS, EXTRA_SPECS + added)


def currentXml(host, name=NAME):
    """The domain as libvirt has it."""
    done = host.virsh("-c", DIRECT, "dumpxml", "--inactive", name)
    if done.returncode:
        raise HostError(done.stderr)
    return done.stdout


def allSmmus(host):
    return set(os.listdir(host.path("sys/class/iommu")))


def smmuOf(host, device):
    """The SMMU that translates the host device."""
    return os.path.basename(os.readlink(host.path(f"sys/bus/pci/devices/{device}/iommu")))


def _sourceOf(device):
    address = device.find("source/address")
    return "{:04x}:{:02x}:{:02x}.{:x}".format(
        *(number(address.get(part)) for part in ("domain", "bus", "slot", "function")))


def passedThrough(xml):
    """{host device: its (bus, slot, function) in the guest}"""
    return {_sourceOf(device): pciAddress(device) for device in PciTree(parse(xml)).devices
            if isPassedThrough(device)}


def vsmmus(xml):
    """{index of an expander bus: the <driver> of its vSMMU}"""
    drivers = parse(xml).findall("devices/iommu[@model='smmuv3']/driver")
    return {number(driver.get("pciBus")): driver for driver in drivers}


def notes(xml):
    """{index of an expander bus: SMMU}, as viommu keeps it in the metadata."""
    return {number(vsmmu.get("controller")): vsmmu.get("smmu")
            for vsmmu in parse(xml).iter(f"{METADATA}vsmmu")}


def freePorts(xml):
    """{index of an expander bus: how many ports below it are free}"""
    tree = PciTree(parse(xml))
    taken = {address[0] for address in map(pciAddress, tree.devices) if address}
    return dict(collections.Counter(
        bus for device, bus in tree.belowExpanders()
        if isBridge(device) and number(device.get("index")) not in taken))


def placementProblems(host, xml, idle=()):
    """What is not right, in words. SMMUs in @idle have a vSMMU even without a device."""
    domain = parse(xml)
    tree, noted = PciTree(domain), notes(xml)
    needed = {smmuOf(host, device) for device in passedThrough(xml)} | set(idle)
    problems = [f"vSMMU without accel: {show(driver)}" for driver in vsmmus(xml).values()
                if driver.get("accel") != "on"]
    if domain.find("iommufd[@enabled='yes']") is None:
        problems.append("no iommufd")
    if noted.keys() != vsmmus(xml).keys():
        problems.append(f"vSMMUs on the buses {set(vsmmus(xml))}, in the metadata {noted}")
    if sorted(noted.values()) != sorted(needed):
        problems.append(f"vSMMUs for {sorted(noted.values())}, needed for {sorted(needed)}")
    for device in tree.devices:
        bus = tree.expanderAbove(device)
        if isPassedThrough(device):
            smmu = smmuOf(host, _sourceOf(device))
            if noted.get(bus) != smmu:
                problems.append(f"of {smmu}, but below that of {noted.get(bus)}: {show(device)}")
        elif bus is not None and not isBridge(device):
            problems.append(f"emulated, but below expander bus {bus}: {show(device)}")
    return problems
