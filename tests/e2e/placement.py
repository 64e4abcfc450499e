# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: requests on a host that can, and what the guest makes of them."""

import json

from guest import (CONSOLE, LOG, NVRAM, REQUEST, VARIABLES, Guest, domain, hostdev,
                   sourceAddress)
from world import compareGuest, endPlaced, givenBack, runPlaced

GATEWAY, VF_ADDRESS = "10.0.2.2", "10.0.2.%d/24"      # of QEMU's user-mode network


def request(serials, world, more=(REQUEST,)):
    return domain([hostdev(world.address(serial)) for serial in serials] + list(more))


def drives(serials, vsmmus):
    """The scenario of a plain request for these drives."""
    def scenario(tap, world, name):
        _, guest, _ = runPlaced(tap, world, name, request(serials, world), vsmmus, serials)
        endPlaced(tap, world, name, guest, serials)
    return scenario


def ownBus(index, busNr):
    """An expander bus that the user gives, with one root port."""
    return (f"<controller type='pci' index='{index}' model='pcie-expander-bus'>"
            f"<target busNr='{busNr}'/></controller>"
            f"<controller type='pci' index='{index + 1}' model='pcie-root-port'>"
            f"<address type='pci' bus='{index}' slot='0' function='0'/></controller>")


def split(tap, world, name):
    """Two devices of one SMMU, each below a vSMMU of its own: the user's own buses say so."""
    serials, smmu = ("B0", "B1"), world.hardware["B0"].smmu
    devices, buses = [], ((1, 100), (3, 120))
    for serial, (index, busNr) in zip(serials, buses):
        devices += [ownBus(index, busNr),
                    hostdev(world.address(serial),
                            f"<address type='pci' bus='{index + 1}' slot='0' function='0'/>"),
                    f"<iommu model='smmuv3' nested='yes'><driver pciBus='{index}'/>"
                    f"<source smmu='{smmu}'/></iommu>"]
    plan, guest, _ = runPlaced(tap, world, name, domain(devices), 2, serials)
    tap.ok([vsmmu["busNr"] for vsmmu in plan["vsmmus"]] == [100, 120]
           and {vsmmu["host"] for vsmmu in plan["vsmmus"]} == {smmu},
           f"{name}: both vSMMUs stand for one SMMU, on the user's buses", plan["vsmmus"])
    endPlaced(tap, world, name, guest, serials)


def virtualFunctions(tap, world, name):
    """SR-IOV: one VF as <hostdev>, one as <interface>, and a drive behind the same SMMU."""
    at = f"/sys/bus/pci/devices/{world.address('igb')}"
    world.host.sh('busybox ip link set "$(ls "$1/net")" up; echo 2 >"$1/sriov_numvfs"', at)
    try:
        vfs = world.host.sh('for vf in 0 1; do basename "$(readlink "$1/virtfn$vf")"; done',
                            at).split()
        source = sourceAddress(vfs[1]).replace("<address", "<address type='pci'")
        interface = ("<interface type='hostdev' managed='yes'><mac address='52:54:00:0e:2e:01'/>"
                     f"<source>{source}</source></interface>")
        xml = request(["C0"], world, [hostdev(vfs[0]), interface, REQUEST])
        smmus = {vf: world.host.sh('basename "$(readlink "/sys/bus/pci/devices/$1/iommu")"', vf).strip()
                 for vf in vfs}
        _, guest, (_, devices) = runPlaced(tap, world, name, xml, 1, ["C0"], smmus)
        cards = [device for device in devices.values() if device.driver == "igbvf"]
        tap.ok(len(cards) == 2, f"{name}: the guest drives both VFs", devices)
        for number, card in enumerate(cards, 1):
            status, said = guest.ask(
                f"ip link set {card.net} up && ip addr add {VF_ADDRESS % (20 + number)} dev {card.net} "
                f"&& sleep 3 && ping -c 3 -W 5 -I {card.net} {GATEWAY} >/tmp/ping; status=$?; "
                f"say $(tail -2 /tmp/ping); ip addr flush dev {card.net}; [ $status = 0 ]", 60)
            tap.ok(status == 0, f"{name}: VF {number} sends and receives", said)
        endPlaced(tap, world, name, guest, ["C0"])
    finally:
        world.tidy()
        world.host.sh('echo 0 >"$1/sriov_numvfs"', at)


NUMA_HEAD = """
  <numatune><memnode cellid='0' mode='strict' nodeset='1'/><memnode cellid='1' mode='strict' nodeset='0'/></numatune>"""
NUMA_CPU = """<numa><cell id='0' cpus='0' memory='320' unit='MiB'/><cell id='1' cpus='1' memory='320' unit='MiB'/></numa>"""


def requestNodes(serials, world):
    """Guest cells with memory of the SMMUs' nodes, crosswise."""
    return domain([hostdev(world.address(serial)) for serial in serials] + [REQUEST], head=NUMA_HEAD,
                  cpu=NUMA_CPU, vcpus=2)


def compareNodes(tap, world, name, plan, devices, serials):
    """The buses have the right cells."""
    cells = {0: "1", 1: "0"}
    for serial in serials:
        cell = cells[world.hardware[serial].node]
        (vsmmu,) = [vsmmu for vsmmu in plan["vsmmus"] if vsmmu["host"] == world.hardware[serial].smmu]
        tap.ok(str(vsmmu["node"]) == cell, f"{name}: the bus of {serial} is planned on cell {cell}",
               vsmmu)
        seen = [device.node for device in devices.values() if device.serial == serial]
        tap.ok(seen == [cell], f"{name}: the guest has {serial} on node {cell}", seen)


def nodes(tap, world, name):
    serials = ("B0", "C0")
    plan, guest, (_, devices) = runPlaced(tap, world, name, requestNodes(serials, world), 2, serials)
    compareNodes(tap, world, name, plan, devices, serials)
    endPlaced(tap, world, name, guest, serials)


def withoutLibvirt(tap, world, name):
    """The command line of viommu argv --full starts the same guest, with the devices bound by hand."""
    serials = ("A0", "B0", "C0")
    xml = request(serials, world)
    plan = world.plan(xml)
    expanded = world.host.viommu("expand", "-", stdin=xml).stdout
    done = world.host.viommu("argv", "--full", "-", stdin=xml)
    tap.ok(done.returncode == 0, f"{name}: viommu argv --full", done.stderr)
    world.bind(serials, "vfio-pci")
    world.host.sh(f"cp {VARIABLES} {NVRAM}")
    start = world.host.run("sh", "-c", done.stdout.rstrip() + " -daemonize -pidfile /run/e2e-qemu.pid")
    tap.ok(start.returncode == 0, f"{name}: QEMU starts with it", start.stderr)
    guest = Guest(world.host)
    compareGuest(tap, world, name, plan, expanded, guest, guest.awaitBoot(), serials)
    gone = "! kill -0 $(cat /run/e2e-qemu.pid)"
    tap.ok(guest.powerOff(lambda: world.host.run("sh", "-c", gone).returncode == 0),
           f"{name}: the guest ends by itself")
    world.bind(serials)
    world.host.sh(f"rm -f {CONSOLE} {LOG} {NVRAM}")
    givenBack(tap, world, name, serials)


def capabilities(tap, world, name):
    """What libvirt says that it can do here, and its QEMU, which is asked without rights. No guest is started."""
    uri = ("--connect", "qemu:///system")
    done = world.host.viommu(*uri, "host", "--format", "json")
    found = json.loads(done.stdout)
    tap.ok(all(found["libvirt"][what] is True for what in ("kvm", "gicV3", "iommufd")),
           f"{name}: libvirt has KVM, GICv3 and iommufd", found["libvirt"], done.stderr)
    tap.ok(found["emulator"]["path"] == found["libvirt"]["emulator"] and found["emulator"]["dialect"] == "native",
           f"{name}: its emulator answers", found["emulator"])
    classes = ("H10", "H12")
    done = world.host.viommu(*uri, "check", "--format", "json")
    said = [one for one in json.loads(done.stdout)["findings"] if one["id"] in classes]
    tap.ok(not said, f"{name}: the check of the host passes both", said)
    xml = request(["A0"], world)
    done = world.host.viommu(*uri, "check", "--format", "json", "-", stdin=xml)
    said = [one for one in json.loads(done.stdout)["findings"] if one["id"] in classes]
    tap.ok(not said, f"{name}: and so does the check of a domain", said)
    done = world.host.viommu("plan", "-", stdin=xml.replace("qemu-system-aarch64<", "none-such<"))
    tap.ok(done.returncode == 0 and "H12: emulator '/usr/bin/none-such': No such file" in done.stderr,
           f"{name}: an emulator that is not there is a note", done.stderr)
    left = world.host.run("sh", "-c", "grep -l '^Uid:.*65534' /proc/[0-9]*/status").stdout
    tap.ok(not left, f"{name}: nothing of nobody's is left running", left)


SCENARIOS = {
    "three-smmus": drives(["A0", "B0", "C0"], 3),
    "two-of-one": drives(["B0", "B1", "C0"], 2),
    "one-smmu": drives(["A0"], 1),
    "split": split,
    "virtual-functions": virtualFunctions,
    "numa": nodes,
    "argv": withoutLibvirt,
    "capabilities": capabilities,
}
