# SPDX-License-Identifier: LGPL-2.1-or-later
"""A started emulated host with what is known of its devices, and the steps that scenarios share."""

import base64
import collections
import json
import os
import re
import time
import xml.etree.ElementTree as ElementTree

import artefacts
import commandline
import iort
import stackpath  # noqa: F401, the modules of tests/stack
import topology
from guest import LOG, NAME, QEMU_LOG, Guest, hostdev, sourceAddress
from machine import EmulatedHost, HostError
from tree import SUITE, cached, stackTree

IORT = "/sys/firmware/acpi/tables/IORT"
# MiB of a drive that a guest writes to; the beginning holds what the drive is known by.
WRITTEN_AT, WRITTEN = 8, 2
# How long libvirt may take to know that a device has left.
GONE_SECONDS = 30
# Types of IOMMU groups whose devices do not get around translation.
TRANSLATED = ("DMA", "DMA-FQ")
LIST_DEVICES = """for device in /sys/bus/pci/devices/*; do
    serial=
    for nvme in "$device"/nvme/nvme*; do
        [ -e "$nvme" ] && serial=$(cat "$nvme/serial")
    done
    echo "${device##*/} $(basename "$(readlink "$device/iommu")") $(basename "$(readlink "$device/driver")")" \
        "$(cat "$device/numa_node") $(cat "$device/vendor"):$(cat "$device/device")" $serial
done"""
NVME_SETTLED = """for try in $(seq 100); do
    grep -qs -v -x -e live /sys/class/nvme/*/state || exit 0
    sleep 0.2
done; exit 1"""

# Binds a device to the driver $2, or without it to the one that it had.
BIND = """echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"
echo "$2" >"/sys/bus/pci/devices/$1/driver_override"
echo "$1" >/sys/bus/pci/drivers_probe"""

Hardware = collections.namedtuple("Hardware", "address smmu driver node ids")


def hostTable(programs):
    """The IORT that QEMU and its firmware make for this hardware, read in the emulated host once."""
    def read(directory):
        with EmulatedHost(programs) as host:
            table = base64.b64decode(host.sh(f"base64 {IORT}"))
        if len(iort.ranges(table)) != len([bus for bus in topology.BUSES if bus.smmu]) + 1:
            raise HostError("the emulated host has another IORT than this hardware would have")
        with open(os.path.join(directory, "IORT"), "wb") as f:
            f.write(table)

    inputs = (stackTree(), artefacts.kernel(), topology.arguments("/mnt"))
    with open(os.path.join(cached("e2e-iort", inputs, read), "IORT"), "rb") as f:
        return f.read()


def ownTable(programs, canwbs=True):
    """That table with the NUMA nodes of the SMMUs, and with CANWBS, as nested translation needs it."""
    table = hostTable(programs)
    nodes = {}
    for bus in topology.BUSES:
        for smmu, found in iort.ranges(table).items():
            if bus.node is not None and any(first == bus.busNr << 8 for first, _ in found):
                nodes[smmu] = bus.node
    return iort.patched(table, canwbs, nodes)


class ScenarioError(Exception):
    """What a scenario is about cannot be looked at, as an earlier step failed; the text says which."""


class World:
    """with World(programs, …) as world: an emulated host with libvirt, ready for guests."""

    def __init__(self, programs, **kwargs):
        self.host = EmulatedHost(programs, **kwargs)
        self.remains = {}

    def __enter__(self):
        self.host.__enter__()
        try:
            self.host.startLibvirt()
            self.look()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.host.__exit__()

    def look(self):
        """Reads the hardware: drives by serial number, the network card as "igb"."""
        self.host.sh(NVME_SETTLED)
        self.hardware = {}
        for line in self.host.sh(LIST_DEVICES).splitlines():
            address, smmu, driver, node, ids, *serial = re.split(" ", line)
            if serial or ids == "0x8086:0x10c9":
                self.hardware[serial[0] if serial else "igb"] = Hardware(address, smmu, driver,
                                                                         int(node), ids)
        missing = set(topology.serials() + ["igb"]) - set(self.hardware)
        if missing:
            raise HostError(f"the emulated host lacks {sorted(missing)}")

    def address(self, name):
        return self.hardware[name].address

    def outside(self, serial, first=WRITTEN_AT, count=WRITTEN):
        """The hash of a part of the drive, as the file outside holds it."""
        return topology.hashOf(self.host.dir, serial, first, count)

    def plan(self, xml):
        done = self.host.viommu("--format", "json", "plan", "-", stdin=xml)
        if done.returncode:
            raise ScenarioError(f"viommu plan: status {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def check(self, xml):
        """(exit status, findings) of viommu check."""
        done = self.host.viommu("--format", "json", "check", "-", stdin=xml)
        if done.returncode not in (0, 1):
            raise ScenarioError(f"viommu check: status {done.returncode}: {done.stderr}")
        return done.returncode, json.loads(done.stdout)["findings"]

    def define(self, xml):
        return self.host.viommu("--connect", "qemu:///system", "define", "-", stdin=xml)

    def bind(self, names, driver=""):
        """Binds these devices to @driver; without it, to the drivers that they have by themselves."""
        for name in names:
            self.host.sh(BIND, self.address(name), driver)

    def attach(self, serial, port):
        """Hotplugs a drive into a root port of the guest, as libvirt does it."""
        xml = hostdev(self.address(serial),
                      f"<address type='pci' domain='0' bus='{port}' slot='0' function='0'/>")
        return self.host.virsh("attach-device", NAME, "/dev/stdin", "--live", stdin=xml)

    def detach(self, serial):
        return self.host.virsh("detach-device", NAME, "/dev/stdin", "--live",
                               stdin=hostdev(self.address(serial)))

    def collect(self):
        """Takes what there is to read of the guest and of libvirt's domain: self.remains."""
        self.remains = {name: self.host.run("cat", path).stdout
                        for name, path in (("guest-console", LOG), ("qemu-log", QEMU_LOG))}
        self.remains["domain.xml"] = self.host.virsh("dumpxml", NAME).stdout

    def tidy(self):
        """Nothing of a scenario is left but self.remains."""
        self.collect()
        self.host.virsh("destroy", NAME)
        self.host.virsh("undefine", "--nvram", NAME)
        self.host.run("rm", "-f", QEMU_LOG, LOG)


def isAttached(world, serial, *options):
    """Whether libvirt has the drive in the running domain, or by "--inactive" in its configuration."""
    parts = re.findall("0x[0-9a-f]+", sourceAddress(world.address(serial)))
    pattern = "domain='0x0*{}' bus='0x0*{}' slot='0x0*{}' function='0x0*{}'/>\\s*</source>".format(
        *(part[2:].lstrip("0") for part in parts))
    return re.search(pattern, world.host.virsh("dumpxml", *options, NAME).stdout) is not None


def awaitGone(world, serial):
    """Whether libvirt, too, soon knows that the drive has left; Nova waits for the event that says so."""
    end = time.monotonic() + GONE_SECONDS
    while isAttached(world, serial):
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def guestBuses(expanded):
    """{index of a root port below an expander bus: bus number behind it in the guest}.

    Firmware numbers the ports of a bus in the order of their slots and functions, from the number
    behind the bus's own.
    """
    ports, first = collections.defaultdict(list), {}
    for controller in ElementTree.fromstring(expanded).iterfind("devices/controller[@type='pci']"):
        index, address = int(controller.get("index")), controller.find("address")
        if controller.get("model") == "pcie-expander-bus":
            first[index] = int(controller.find("target").get("busNr"))
        elif controller.get("model") == "pcie-root-port":
            ports[int(address.get("bus"), 0)].append(
                (int(address.get("slot"), 0), int(address.get("function"), 0), index))
    return {index: first[bus] + place for bus, those in ports.items() if bus in first
            for place, (_, _, index) in enumerate(sorted(those), 1)}


def expectedPlaces(plan, expanded):
    """({host address: (guest address, host SMMU, number of its vSMMU)}, [(first, last) ID of each])."""
    if commandline.placesDevices(expanded):
        return commandline.expectedPlaces(plan, expanded)
    buses, places, spans = guestBuses(expanded), {}, []
    for number, vsmmu in enumerate(plan["vsmmus"]):
        for device in vsmmu["devices"]:
            places[device["source"]] = ("0000:%02x:%02x.%x" % (buses[device["bus"]], device["slot"],
                                                              device["function"]),
                                        vsmmu["host"], number)
        ports = {device["bus"] for device in vsmmu["devices"]} | set(vsmmu["sparePorts"])
        last = vsmmu["busNr"] + len(ports)
        spans.append((vsmmu["busNr"] << 8, last << 8 | 0xff))
    return places, spans


def compareTable(tap, name, table, spans, smmus):
    """Checks the guest's IORT; returns {number of a vSMMU in the plan: its name in the guest}."""
    found = iort.ranges(table)
    names = {number: [smmu for smmu, ranges in found.items() if ranges == [span]]
             for number, span in enumerate(spans)}
    tap.ok(sorted(found) == smmus, f"{name}: the guest's SMMUs are those of its IORT", found, smmus)
    tap.ok(all(len(those) == 1 for those in names.values()) and len(found) == len(spans),
           f"{name}: the guest's IORT maps each planned range of buses, and no more, to one vSMMU",
           found, spans)
    return {number: those[0] for number, those in names.items() if len(those) == 1}


def exchange(tap, world, guest, name, serial):
    """Reads what is known to be on the drive, writes what is not, and compares with the outside."""
    got, known = guest.hash(f"sum {serial} 0 {topology.FILLED_MIB}"), topology.known(serial)
    tap.ok(got == known, f"{name}: the guest reads drive {serial}", got, known)
    wrote = guest.hash(f"fill {serial} {WRITTEN_AT} {WRITTEN}")
    outside = world.outside(serial)
    tap.ok(wrote == outside, f"{name}: the guest writes drive {serial}", wrote, outside)


def compareDevices(tap, name, devices, places, vsmmus, expected):
    """Each device is in the guest, at its address, behind the vSMMU of its own SMMU.

    @expected: {host address: (its SMMU in the host, its serial number or "")} of all that was asked for.
    """
    tap.ok(set(places) == set(expected), f"{name}: all that was asked for is planned", places, expected)
    for source, (address, smmu, number) in places.items():
        device, (own, serial) = devices.get(address), expected.get(source, ("", ""))
        tap.ok(device and device.serial == serial, f"{name}: {source} is at {address} in the guest",
               device, serial)
        tap.ok(device and device.smmu == vsmmus.get(number), f"{name}: {source} is behind the vSMMU "
               "planned for it", device, vsmmus)
        tap.ok(device and device.domain in TRANSLATED, f"{name}: {source} has its DMA translated",
               device)
        tap.ok(smmu == own, f"{name}: that vSMMU stands for the SMMU of {source}", smmu, own)


def givenBack(tap, world, name, names):
    """The host has its devices again, on their drivers, and can use them."""
    problems = []
    before = world.hardware
    world.look()
    for each in names:
        if world.hardware[each] != before[each]:
            problems.append(f"{each} was {before[each]}, is {world.hardware[each]}")
        elif each in topology.serials():
            node = world.host.sh('basename "$1"/nvme/nvme*', f"/sys/bus/pci/devices/{world.address(each)}")
            got = world.host.sh('dd if="/dev/${1}n1" bs=1M count="$2" iflag=direct status=none | sha256sum',
                                node.strip(), str(topology.FILLED_MIB)).split()[0]
            if got != world.outside(each, 0, topology.FILLED_MIB):
                problems.append(f"{each} is not readable in the host: {got}")
    tap.noProblems(problems, f"{name}: the host has {' '.join(names)} back")


def compareGuest(tap, world, name, plan, expanded, guest, report, drives, others=None):
    """The guest against the plan: its SMMUs, its IORT, its devices, and DMA on its @drives.

    @others: {host address: SMMU} of what it has besides.
    """
    places, spans = expectedPlaces(plan, expanded)
    smmus, devices = report
    tap.ok(len(smmus) == len(plan["vsmmus"]), f"{name}: the guest sees {len(plan['vsmmus'])} SMMUs",
           smmus)
    vsmmus = compareTable(tap, name, guest.iort(), spans, smmus)
    expected = {world.address(serial): (world.hardware[serial].smmu, serial) for serial in drives}
    expected.update({address: (smmu, "") for address, smmu in (others or {}).items()})
    compareDevices(tap, name, devices, places, vsmmus, expected)
    for serial in drives:
        exchange(tap, world, guest, name, serial)


def startPlaced(tap, world, name, xml, vsmmus):
    """Defines the request @xml with viommu and starts it: (plan with @vsmmus vSMMUs, guest, report)."""
    plan = world.plan(xml)
    tap.ok(len(plan["vsmmus"]) == vsmmus, f"{name}: as many vSMMUs are planned as it takes ({vsmmus})",
           plan["vsmmus"])
    done = world.define(xml)
    tap.ok(done.returncode == 0, f"{name}: viommu define", done.stdout, done.stderr)
    done = world.host.virsh("start", NAME)
    if done.returncode:
        raise ScenarioError(f"virsh start: {done.stderr}")
    tap.ok(True, f"{name}: virsh start")
    guest = Guest(world.host)
    return plan, guest, guest.awaitBoot()


def runPlaced(tap, world, name, xml, vsmmus, drives, others=None):
    """startPlaced, and the guest with its @drives and @others held against the plan."""
    plan, guest, report = startPlaced(tap, world, name, xml, vsmmus)
    compareGuest(tap, world, name, plan, world.host.virsh("dumpxml", NAME).stdout, guest, report,
                 drives, others)
    return plan, guest, report


def endPlaced(tap, world, name, guest, names):
    """Ends the guest; the host must have these devices back."""
    tap.ok(guest.powerOff(), f"{name}: the guest ends by itself")
    givenBack(tap, world, name, names)
    world.tidy()


def versions(world):
    """What runs in the emulated host, as a part of a sentence."""
    text = world.host.virsh("version").stdout
    return "libvirt {}, QEMU {} of Debian {} and Linux {}".format(
        re.search(r"Using library: libvirt (\S+)", text)[1],
        re.search(r"Running hypervisor: QEMU (\S+)", text)[1], SUITE,
        world.host.sh("uname -r").partition("-")[0])
