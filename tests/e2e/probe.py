# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: the registers of the SMMUs, asked of the kernel through idle devices."""

import json
import re

from guest import NAME, QEMU_LOG, REQUEST, domain, hostdev
from hotplug import begin, stillLoaded, stopLoad
from unable import has
from world import endPlaced

# What QEMU 11.1 gives its SMMUv3 with both stages (hw/arm/smmuv3.c), as seen with a program of its own.
REGISTERS = {"idr0": 0x0d44101b, "idr1": 0x02730010, "idr3": 0x00001414, "idr5": 0x00000074}
STAGE1_ONLY = 0x0d44101a
FEATURES = {"nesting": True, "nestingReason": None, "s2fwb": False, "ats": False, "ril": True, "ssidsize": 0,
            "oas": 44, "granules": [4, 16, 64]}
# Holds the group of a device ($1) as the older interface of VFIO does, until its standard input ends.
HOLD_GROUP = 'exec 9<>"/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")")"; %s'
RECORD = "/tmp/probed.sysfs"
# QEMU with a 64-bit window of $1 GiB under KVM: says where it is, if it is anywhere.
WINDOW = ("{ sleep 3; echo 'info mtree'; sleep 1; echo quit; } | qemu-system-aarch64 -nodefaults -display none -S -m 512 "
          '-accel kvm -cpu host -machine "virt,gic-version=3,highmem-mmio-size=$1G" -monitor stdio')


def probed(world):
    """({SMMU: what 'host' says of it}, words) with --probe."""
    done = world.host.viommu("--format", "json", "host", "--probe")
    smmus = {smmu["name"]: smmu for smmu in json.loads(done.stdout)["smmus"]} if not done.returncode else {}
    return smmus, done.stderr


def one(words, smmu):
    """The line about @smmu."""
    return "".join(line for line in words.splitlines() if f" {smmu}: " in line)


def unknown(tap, name, what, smmus, words, smmu, *said):
    """It was not read, for that reason."""
    line = one(words, smmu)
    tap.ok(smmus and smmus[smmu]["features"] is None and line.startswith("warning: ") and
           all(text in line for text in said), f"{name}: {what}", line, words)


def values(tap, world, name):
    """A device of each of two SMMUs is there for it, and of the third none."""
    b, c, a = (world.hardware[serial] for serial in ("B1", "C0", "A0"))
    world.bind(["B1", "C0"], "vfio-pci")
    smmus, words = probed(world)
    for device in (b, c):
        tap.ok(smmus and smmus[device.smmu]["features"] == FEATURES, f"{name}: features of {device.smmu}", smmus,
               words)
        tap.ok(smmus and smmus[device.smmu]["cmdqv"] is False, f"{name}: it has no CMDQV", words)
        tap.ok(one(words, device.smmu).startswith(f"note: {device.smmu}: registers read through {device.address}"),
               f"{name}: the words name {device.address}", words)
    unknown(tap, name, "the third SMMU has no device that is bound to VFIO", smmus, words, a.smmu,
            " not bound to a VFIO driver")
    tap.ok(world.host.viommu("-q", "host", "--probe").stderr == "", f"{name}: nothing is said with -q")
    recorded(tap, world, name, b.smmu)
    world.bind(["B1", "C0"])
    _, words = probed(world)
    tap.ok("registers read" not in words, f"{name}: and nothing is read once they are given back", words)
    world.look()
    tap.ok(world.hardware["B1"].driver == world.hardware["C0"].driver == "nvme",
           f"{name}: the host has its drives again")


def recorded(tap, world, name, smmu):
    """The record has the values, and is a host of which all is known."""
    done = world.host.viommu("record", "--probe")
    got = {line.split()[0].rpartition("/")[2]: line.split()[2] for line in done.stdout.splitlines()
           if line.startswith(f"probe/{smmu}/") and "cmdqv" not in line}
    tap.ok({key: int(got.get(key, "0"), 16) for key in REGISTERS} == REGISTERS and set(got) == {*REGISTERS, "iidr"},
           f"{name}: record --probe has the registers", got, done.stderr)
    tap.ok(f"probe/{smmu}/cmdqv = 0 0 0\n" in done.stdout, f"{name}: and that there is no CMDQV")
    world.host.run("tee", RECORD, stdin=done.stdout)
    again = world.host.viommu("--host", RECORD, "--format", "json", "host")
    features = {one["name"]: one["features"] for one in json.loads(again.stdout)["smmus"]}
    tap.ok(features[smmu] == FEATURES, f"{name}: read again it says the same", features)
    xml = domain([hostdev(world.address("B0")), REQUEST])
    plan = world.host.viommu("--host", RECORD, "expand", "-", "--qemu-version", "11.0", stdin=xml)
    tap.ok("ats='off'" in plan.stdout and "ril='on'" in plan.stdout and "ssidsize='0'" in plan.stdout,
           f"{name}: features are written out for QEMU 11.0 by it", plan.stdout, plan.stderr)
    windows(tap, world, name, done.stdout)


def windows(tap, world, name, record):
    """KVM's bits of address: a window that ends beyond is one that QEMU leaves out."""
    bits = int(re.search(r"^probe/kvm/ipa-bits = (\d+)$", record, re.M)[1])
    tap.ok(40 <= bits <= 52, f"{name}: KVM's bits of address", bits)
    for window, fits in ((1 << bits - 31, True), (1 << bits - 30, False)):
        shown = world.host.run("sh", "-c", WINDOW, "sh", str(window)).stdout
        tap.ok("info mtree" in shown and ("pcie-mmio-high" in shown) == fits,
               f"{name}: QEMU {'has' if fits else 'leaves out'} a window of {window} GiB", shown)
        xml = domain([hostdev(world.address("B0")), REQUEST]).replace(
            "<devices>", "<devices><controller type='pci' index='0' model='pcie-root'>"
            f"<pcihole64 unit='GiB'>{window}</pcihole64></controller>", 1)
        done = world.host.viommu("--host", RECORD, "plan", "-", stdin=xml)
        tap.ok((done.returncode == 0) == fits and ("V19: " in done.stderr) != fits,
               f"{name}: and viommu plan {'takes' if fits else 'refuses'} it", done.stdout, done.stderr)


def used(tap, world, name):
    """A guest works with a device: it is not touched, and another of its SMMU is taken where there is one."""
    guest, _ = begin(tap, world, name)
    smmu = world.hardware["B0"].smmu
    before = world.host.readFile(QEMU_LOG)
    for turn in range(3):
        smmus, words = probed(world)
        unknown(tap, name, f"the guest's device is refused ({turn})", smmus, words, smmu,
                f"{world.address('B0')}: VFIO_DEVICE_BIND_IOMMUFD: Invalid argument (EINVAL): a process uses the device")
        stillLoaded(tap, guest, name, f"after that ({turn})")
    world.bind(["B1"], "vfio-pci")
    smmus, words = probed(world)
    tap.ok(smmus and smmus[smmu]["features"] == FEATURES and f"registers read through {world.address('B1')}" in words,
           f"{name}: an idle one behind the same SMMU is taken", words)
    stillLoaded(tap, guest, name, "after that, too")
    tap.ok(world.host.readFile(QEMU_LOG) == before, f"{name}: QEMU's log is as before")
    world.bind(["B1"])
    stopLoad(tap, guest, name)
    endPlaced(tap, world, name, guest, ["B0"])


def held(tap, world, name):
    """By the older interface, and by the driver of another member of the group."""
    b = world.hardware["B1"]
    world.bind(["B1"], "vfio-pci")
    done = world.host.run("sh", "-c", HOLD_GROUP % "/t/viommu host --probe", "sh", b.address)
    tap.ok(f"{b.address}: VFIO_DEVICE_BIND_IOMMUFD: Device or resource busy (EBUSY): a process has opened its group "
           "by the older VFIO interface" in one(done.stderr, b.smmu), f"{name}: the group is open", done.stdout,
           done.stderr)
    _, words = probed(world)
    tap.ok("registers read through " + b.address in words, f"{name}: and then it is not", words)
    world.bind(["B1"])
    world.bind(["BF0"], "vfio-pci")
    smmus, words = probed(world)
    unknown(tap, name, "the other function is at work for the host", smmus, words, b.smmu,
            f"{world.address('BF0')}: VFIO_DEVICE_BIND_IOMMUFD: Operation not permitted (EPERM)")
    world.bind(["BF0"])
    world.look()
    tap.ok(world.hardware["BF1"].driver == "nvme", f"{name}: and still is", world.hardware)


def refuses(why, shown, idr0=REGISTERS["idr0"]):
    """An SMMU that cannot back a vSMMU is refused before anything starts."""
    def scenario(tap, world, name):
        b = world.hardware["B0"]
        world.bind(["B0"], "vfio-pci")
        xml = domain([hostdev(b.address), REQUEST])
        done = world.host.viommu("record", "--probe")
        tap.ok(f"probe/{b.smmu}/idr0 = 0x{idr0:08x}\n" in done.stdout, f"{name}: IDR0", done.stderr)
        done = world.host.viommu("--format", "json", "check", "--probe", "-", stdin=xml)
        tap.ok(done.returncode == 1 and has(json.loads(done.stdout)["findings"], "V15", "error", why, "can nest"),
               f"{name}: viommu check --probe says V15", done.stdout, done.stderr)
        done = world.host.viommu("host", "--probe")
        tap.ok(f" {b.smmu}: nesting no: {shown}\n" in done.stdout, f"{name}: viommu host --probe says why",
               done.stdout, done.stderr)
        done = world.host.viommu("--connect", "qemu:///system", "define", "--probe", "-", stdin=xml)
        tap.ok(done.returncode == 1 and "V15: " in done.stderr and why in done.stderr,
               f"{name}: viommu define --probe refuses it", done.stderr)
        domains = world.host.virsh("list", "--all", "--name")
        tap.ok(domains.returncode == 0 and NAME not in domains.stdout, f"{name}: nothing is defined", domains.stdout)
        world.bind(["B0"])
    return scenario


SCENARIOS = {"probe-values": values, "probe-used": used, "probe-held": held}
ON_NO_CANWBS = {"probe-no-canwbs": refuses("no S2FWB (IDR3.FWB)", "neither S2FWB (IDR3.FWB is 0) nor CANWBS (IORT)")}
ON_NO_STAGE2 = {"probe-no-stage-2": refuses("IDR0.S2P is 0: it has no stage 2", "IDR0.S2P is 0: it has no stage 2",
                                            STAGE1_ONLY)}
