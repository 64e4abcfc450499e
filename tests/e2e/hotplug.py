# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: devices that come to a running guest, as libvirt does it today."""

import struct

import topology
from guest import NAME, domain, hostdev
from world import awaitGone, endPlaced, exchange, givenBack, guestBuses, startPlaced

# More than firmware and Linux keep of their own accord.
SPARE = ("<iommu model='smmuv3' nested='yes'>"
         "<placement sparePorts='1' pref64Reserve='4096' memReserve='8192'/></iommu>")
LOAD_MIB = 16
# How long a device has to come or go.
PLUG_SECONDS = 30
TIMES = 20


def stillLoaded(tap, guest, name, when):
    """The load makes progress, and has had no failure."""
    rounds, failures = guest.awaitLoad()
    tap.ok(rounds > 0 and failures == 0, f"{name}: the first drive works {when}",
           f"{rounds} rounds, {failures} failures",
           *guest.ask("dmesg | grep -i nvme | tail -5 | while read -r line; do say \"$line\"; done")[1])


# The registers of every PCI device, and the memory that they and the kernel have given it.
REGISTERS = ("for device in /sys/bus/pci/devices/*; do say registers ${device##*/} "
             "$(hexdump -v -n 64 -e '1/1 \"%02x\"' $device/config) $(sha256sum <$device/resource); done")


class Bridge:
    """The windows of a bridge, in bytes, as its 64 registers have them; 0: closed."""

    def __init__(self, registers):
        def window(base, limit, shift):
            return max(0, (limit << shift) + (1 << shift) - (base << shift))

        command, = struct.unpack_from("<H", registers, 4)
        # What Linux cannot close it does not open: the registers count with the bit of the command.
        self.io = window(registers[0x1c] >> 4, registers[0x1d] >> 4, 12) if command & 1 else 0
        self.secondary = registers[0x19]
        mem, memEnd, pref, prefEnd, prefHigh, prefEndHigh = struct.unpack_from("<HHHHII", registers, 0x20)
        self.mem = window(mem >> 4, memEnd >> 4, 20)
        self.pref64 = window(pref >> 4 | prefHigh << 12, prefEnd >> 4 | prefEndHigh << 12, 20)
        self.is64 = pref & 15 == 1


def registersOf(guest):
    """{PCI address: (64 registers, hash of what the kernel knows of its memory)}."""
    said = [line.split() for line in guest.must(REGISTERS)]
    return {words[1]: (bytes.fromhex(words[2]), words[3]) for words in said if words[0] == "registers"}


def bridgesOf(registers):
    return [Bridge(config) for config, _ in registers.values() if config[0x0e] & 0x7f == 1]


def places(registers):
    """What hotplug must not move: windows of bridges, and BARs. Not what else a port's registers tell."""
    return {address: (config[0x10:0x28] if config[0x0e] & 0x7f == 0 else config[0x18:0x1e] + config[0x20:0x34], known)
            for address, (config, known) in registers.items()}


def keepsReserve(tap, guest, name, plan, bus):
    """The spare port in front of @bus has the windows that were planned for it."""
    (keeps,) = plan["vsmmus"][0]["sparePortWindows"]
    bridge, = [one for one in bridgesOf(registersOf(guest)) if one.secondary == bus]
    tap.ok(bridge.is64 and bridge.pref64 >= keeps["pref64Reserve"] * 1024 and
           bridge.mem >= keeps["memReserve"] * 1024,
           f"{name}: the spare port has both windows that it was to keep", vars(bridge), keeps)
    tap.ok(bridge.io == 0, f"{name}: and no I/O space", vars(bridge))


def begin(tap, world, name):
    """A guest with drive B0 under load, and a spare port below its vSMMU: (guest, index of the port)."""
    xml = domain([hostdev(world.address("B0")), SPARE])
    plan, guest, _ = startPlaced(tap, world, name, xml, 1)
    (spare,) = plan["vsmmus"][0]["sparePorts"]
    keepsReserve(tap, guest, name, plan, guestBuses(world.host.virsh("dumpxml", NAME).stdout)[spare])
    exchange(tap, world, guest, name, "B0")
    guest.must(f"load B0 {LOAD_MIB}")
    stillLoaded(tap, guest, name, "alone")
    return guest, spare


def stopLoad(tap, guest, name):
    guest.must("touch /tmp/stop; sleep 1")
    rounds, failures = guest.load()
    tap.ok(rounds > 0 and failures == 0, f"{name}: none of its I/O failed", rounds, failures)
    tap.note(f"{name}: {rounds} rounds of writing, reading and comparing")


def smmuOf(guest, serial):
    return [device.smmu for device in guest.report()[1].values() if device.serial == serial]


def liveFindings(world):
    """[(class, severity)] of viommu check for the running domain, without notes."""
    _, findings = world.check(world.host.virsh("dumpxml", NAME).stdout)
    return [(finding["id"], finding["severity"]) for finding in findings
            if finding["severity"] != "note"]


def right(tap, world, name):
    """A device of the same SMMU comes to a spare port and goes again, while its neighbour works."""
    guest, spare = begin(tap, world, name)
    tap.ok(liveFindings(world) == [], f"{name}: viommu check finds nothing in the running domain")
    before = places(registersOf(guest))
    done = world.attach("B1", spare)
    tap.ok(done.returncode == 0, f"{name}: virsh attach-device", done.stderr)
    tap.ok(guest.ask(f"await {PLUG_SECONDS} B1")[0] == 0, f"{name}: the guest gets the drive")
    tap.ok(smmuOf(guest, "B1") == smmuOf(guest, "B0") != [], f"{name}: it is behind the same vSMMU",
           smmuOf(guest, "B1"))
    after = places(registersOf(guest))
    moved = [address for address, place in before.items() if after.get(address) != place]
    tap.ok(not moved and len(after) == len(before) + 1, f"{name}: no window and no BAR of another device has moved",
           moved, sorted(after))
    exchange(tap, world, guest, name, "B1")
    stillLoaded(tap, guest, name, "beside the new one")
    tap.ok(liveFindings(world) == [], f"{name}: viommu check finds nothing then either",
           liveFindings(world))
    done = world.detach("B1")
    tap.ok(done.returncode == 0, f"{name}: virsh detach-device", done.stderr)
    tap.ok(guest.ask(f"await {PLUG_SECONDS} B1 gone")[0] == 0, f"{name}: the drive leaves the guest")
    stillLoaded(tap, guest, name, "without it")
    stopLoad(tap, guest, name)
    endPlaced(tap, world, name, guest, ["B0", "B1"])


def wrong(tap, world, name):
    """A device of another SMMU: libvirt and QEMU take it, and it does not work in the guest."""
    guest, spare = begin(tap, world, name)
    done = world.attach("C0", spare)
    tap.ok(done.returncode == 0, f"{name}: virsh says that it is attached", done.stderr)
    tap.ok(("V01", "error") in liveFindings(world), f"{name}: viommu check says V01 of the running "
           "domain", liveFindings(world))
    guest.ask(f"await {PLUG_SECONDS // 2} C0")
    expanded = world.host.virsh("dumpxml", NAME).stdout
    plugged = guest.report()[1].get("0000:%02x:00.0" % guestBuses(expanded)[spare])
    tap.ok(plugged and plugged.smmu and plugged.smmu == "".join(smmuOf(guest, "B0")),
           f"{name}: the guest has it below the vSMMU of the first", plugged)
    got = guest.hash(f"sum C0 0 {topology.FILLED_MIB}")
    tap.ok(got != topology.known("C0"), f"{name}: the guest cannot read the drive", got)
    status, said = guest.ask("dmesg | grep -m 1 'CMDQ error.*Illegal command' >/tmp/line && "
                             "say $(cat /tmp/line)")
    tap.ok(status == 0, f"{name}: the guest's SMMU says 'Illegal command'", said)
    stillLoaded(tap, guest, name, "beside the broken one")
    stopLoad(tap, guest, name)
    # Left to itself the guest waits for the broken drive for half a minute before it goes.
    world.host.virsh("destroy", NAME)
    givenBack(tap, world, name, ["B0", "C0"])
    world.tidy()


def often(tap, world, name):
    """viommu attach and detach, time and again, beside a drive that must not notice."""
    guest, spare = begin(tap, world, name)
    before = world.host.virsh("dumpxml", NAME).stdout
    done = world.host.viommu("attach", NAME, "-", stdin=hostdev(world.address("C0")))
    tap.ok(done.returncode == 1 and "V05" in done.stderr and world.hardware["C0"].smmu in done.stderr and
           world.host.virsh("dumpxml", NAME).stdout == before,
           f"{name}: viommu attach refuses a drive of an SMMU without vSMMU, and changes nothing", done.stderr)
    problems, device = [], hostdev(world.address("B1"))
    for count in range(1, TIMES + 1):
        done = world.host.viommu("attach", NAME, "-", stdin=device)
        if done.returncode or f" at 0000:{spare:02x}:00.0 attached to domain" not in done.stdout:
            problems.append(f"{count}: viommu attach: {done.stdout}{done.stderr}")
            break
        if guest.ask(f"await {PLUG_SECONDS} B1")[0] or smmuOf(guest, "B1") != smmuOf(guest, "B0"):
            problems.append(f"{count}: the guest has it not, or not there: {smmuOf(guest, 'B1')}")
        if guest.hash("sum B1 0 1") != topology.hashOf(world.host.dir, "B1", 0, 1):
            problems.append(f"{count}: it is not read right")
        done = world.host.viommu("detach", NAME, "-", stdin=device)
        if done.returncode or guest.ask(f"await {PLUG_SECONDS} B1 gone")[0] or not awaitGone(world, "B1"):
            problems.append(f"{count}: viommu detach: {done.stdout}{done.stderr}")
            break
    tap.noProblems(problems, f"{name}: {TIMES} times it comes to its port, is read, and goes")
    world.host.viommu("attach", NAME, "-", stdin=device)
    guest.must(f"await {PLUG_SECONDS} B1")
    world.host.virsh("suspend", NAME)
    done = world.host.viommu("detach", NAME, "-", stdin=device)
    world.host.virsh("resume", NAME)
    tap.ok(done.returncode == 0 and "the guest has been asked, and has not let it go yet" in done.stdout,
           f"{name}: viommu detach says that a guest which stands still keeps it", done.stdout, done.stderr)
    tap.ok(awaitGone(world, "B1"), f"{name}: it goes when the guest goes on")
    stillLoaded(tap, guest, name, "after that")
    tap.ok(world.host.virsh("dumpxml", NAME).stdout == before, f"{name}: the domain is as before")
    stopLoad(tap, guest, name)
    endPlaced(tap, world, name, guest, ["B0", "B1", "C0"])


SCENARIOS = {"hotplug-right": right, "hotplug-wrong": wrong, "hotplug-often": often}
