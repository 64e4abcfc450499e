# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: unmodified clients of libvirt, with viommud or viommu-stdio in between."""

import contextlib

from guest import NAME, QEMU_LOG, REQUEST, Guest, domain, hostdev
from hotplug import PLUG_SECONDS, SPARE, begin, liveFindings, smmuOf, stillLoaded, stopLoad
from machine import HostError
from world import ScenarioError, awaitGone, compareGuest, endPlaced, exchange

SOCKET = "qemu+unix:///system?socket=/run/viommu/libvirt-sock"
STDIO = "qemu+ext:///system?command=/t/viommu-stdio"
START = """printf %s "$1" >/tmp/viommud.conf
/t/viommud --config /tmp/viommud.conf >/tmp/viommud-log 2>&1 &
echo $! >/tmp/viommud-pid
for try in $(seq 100); do
    [ -S /run/viommu/libvirt-sock ] && exit 0
    sleep 0.2
done; cat /tmp/viommud-log; exit 1"""
STOP = 'kill "$(cat /tmp/viommud-pid)"; while [ -e "/proc/$(cat /tmp/viommud-pid)" ]; do sleep 0.2; done'


@contextlib.contextmanager
def service(world, config=""):
    """viommud in the emulated host; gives the URI."""
    world.host.sh(START, config)
    try:
        yield SOCKET
    finally:
        with contextlib.suppress(HostError):
            world.host.sh(STOP)


def virsh(world, uri, *args, stdin=""):
    return world.host.virsh("-c", uri, *args, stdin=stdin)


def plug(world, uri, serial):
    """Attaches a drive as Nova and virsh do it: the XML says nothing but which device."""
    return virsh(world, uri, "attach-device", NAME, "/dev/stdin", "--live",
                 stdin=hostdev(world.address(serial)))


def unplug(world, uri, serial):
    return virsh(world, uri, "detach-device", NAME, "/dev/stdin", "--live",
                 stdin=hostdev(world.address(serial)))


def startThrough(tap, world, name, uri, xml, vsmmus):
    """Defines the request @xml with virsh, and starts it: (its plan, guest, report)."""
    plan = world.plan(xml)
    tap.ok(len(plan["vsmmus"]) == vsmmus, f"{name}: as many vSMMUs are planned as it takes ({vsmmus})",
           plan["vsmmus"])
    done = virsh(world, uri, "define", "--validate", "/dev/stdin", stdin=xml)
    tap.ok(done.returncode == 0, f"{name}: virsh define --validate of the plain domain", done.stderr)
    done = virsh(world, uri, "start", NAME)
    if done.returncode:
        raise ScenarioError(f"virsh start: {done.stderr}")
    guest = Guest(world.host)
    return plan, guest, guest.awaitBoot()


def defineAndStart(tap, world, name, uri, drives, vsmmus):
    xml = domain([hostdev(world.address(drive)) for drive in drives] + [REQUEST])
    plan, guest, report = startThrough(tap, world, name, uri, xml, vsmmus)
    compareGuest(tap, world, name, plan, virsh(world, uri, "dumpxml", NAME).stdout, guest, report, drives)
    endPlaced(tap, world, name, guest, drives)


def throughSocket(tap, world, name):
    """Three drives of three SMMUs, defined by virsh through viommud: DMA on every one."""
    with service(world) as uri:
        defineAndStart(tap, world, name, uri, ["A0", "B0", "C0"], 3)


def throughStdio(tap, world, name):
    """Two drives of two SMMUs through viommu-stdio, which needs no daemon."""
    defineAndStart(tap, world, name, STDIO, ["A0", "B0"], 2)


def attachRight(tap, world, name):
    """virsh attach-device of a drive of the same SMMU, without an address, while its neighbour works."""
    with service(world) as uri:
        guest, spare = begin(tap, world, name)
        done = plug(world, uri, "B1")
        tap.ok(done.returncode == 0, f"{name}: virsh attach-device of the source alone", done.stderr)
        tap.ok(f"bus='0x{spare:02x}'" in virsh(world, uri, "dumpxml", NAME).stdout,
               f"{name}: it is on the spare port {spare}")
        tap.ok(guest.ask(f"await {PLUG_SECONDS} B1")[0] == 0, f"{name}: the guest gets the drive")
        tap.ok(smmuOf(guest, "B1") == smmuOf(guest, "B0") != [], f"{name}: behind the same vSMMU",
               smmuOf(guest, "B1"))
        exchange(tap, world, guest, name, "B1")
        tap.ok(liveFindings(world) == [], f"{name}: viommu check finds nothing", liveFindings(world))
        stillLoaded(tap, guest, name, "beside the new one")
        done = plug(world, uri, "BS")
        tap.ok(done.returncode != 0 and "V05" in done.stderr and "no root port" in done.stderr,
               f"{name}: a further one finds no port, and is refused", done.stderr)
        done = unplug(world, uri, "B1")
        tap.ok(done.returncode == 0, f"{name}: virsh detach-device of the source alone", done.stderr)
        tap.ok(guest.ask(f"await {PLUG_SECONDS} B1 gone")[0] == 0, f"{name}: the drive leaves the guest")
        stillLoaded(tap, guest, name, "without it")
        stopLoad(tap, guest, name)
        endPlaced(tap, world, name, guest, ["B0", "B1"])


def attachWrong(tap, world, name):
    """A drive of another SMMU is refused before QEMU sees it, and the guest is unharmed."""
    with service(world) as uri:
        guest, _ = begin(tap, world, name)
        before = virsh(world, uri, "dumpxml", NAME).stdout
        log = world.host.readFile(QEMU_LOG)
        done = plug(world, uri, "C0")
        tap.ok(done.returncode != 0 and world.hardware["C0"].smmu in done.stderr and "V05" in done.stderr,
               f"{name}: virsh says which vSMMU is missing", done.stderr)
        tap.ok(virsh(world, uri, "dumpxml", NAME).stdout == before, f"{name}: the domain is as before")
        tap.ok(world.host.readFile(QEMU_LOG) == log, f"{name}: QEMU has nothing to say")
        bound = world.host.sh('basename "$(readlink "/sys/bus/pci/devices/$1/driver")"',
                              world.address("C0")).strip()
        tap.ok(bound == world.hardware["C0"].driver, f"{name}: the host keeps the drive on its driver",
               bound)
        tap.ok(guest.ask("await 3 C0")[0] != 0, f"{name}: the guest has no such drive")
        stillLoaded(tap, guest, name, "all the while")
        stopLoad(tap, guest, name)
        endPlaced(tap, world, name, guest, ["B0", "C0"])


def suspendAndResume(tap, world, name):
    """What Nova does then: all drives go and come again, by source address alone."""
    drives = ["B0", "C0"]
    with service(world) as uri:
        xml = domain([hostdev(world.address(drive)) for drive in drives] + [SPARE])
        _, guest, _ = startThrough(tap, world, name, uri, xml, 2)
        before = {drive: smmuOf(guest, drive) for drive in drives}
        for drive in drives:
            done = unplug(world, uri, drive)
            tap.ok(done.returncode == 0, f"{name}: {drive} goes", done.stderr)
            tap.ok(guest.ask(f"await {PLUG_SECONDS} {drive} gone")[0] == 0,
                   f"{name}: {drive} leaves the guest")
            tap.ok(awaitGone(world, drive), f"{name}: libvirt knows that {drive} has left")
        for drive in reversed(drives):
            done = plug(world, uri, drive)
            tap.ok(done.returncode == 0, f"{name}: {drive} comes again", done.stderr)
            tap.ok(guest.ask(f"await {PLUG_SECONDS} {drive}")[0] == 0, f"{name}: the guest gets {drive}")
            tap.ok(smmuOf(guest, drive) == before[drive] != [],
                   f"{name}: {drive} is behind the vSMMU of its SMMU again", smmuOf(guest, drive))
            exchange(tap, world, guest, name, drive)
        tap.ok(liveFindings(world) == [], f"{name}: viommu check finds nothing", liveFindings(world))
        endPlaced(tap, world, name, guest, drives)


SCENARIOS = {"service-socket": throughSocket, "service-stdio": throughStdio,
             "service-attach": attachRight, "service-wrong": attachWrong,
             "service-resume": suspendAndResume}
