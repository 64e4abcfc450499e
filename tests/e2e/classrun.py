# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a case of classes.py: what viommu check says of it, and what libvirt, QEMU and the guest do."""

import collections
import time

import stackpath  # noqa: F401, the modules of tests/stack
import topology
from classes import BAD, BROKEN, DEFINE, HANGS, PANICS, QEMU, START, STARTS
from golden import ofClass
from guest import NAME, QEMU_LOG, Guest, GuestPanic
from machine import HostError
from world import ScenarioError

# What of QEMU's words stands in libvirt's error when it ended instead of starting.
QEMU_ENDED = ("QEMU unexpectedly closed the monitor", "process exited while connecting to monitor")
# What the kernel says, and where libvirt's threads still are after that.
KILL_LIBVIRT = """dmesg | tail -20; pid=$(cat /run/libvirtd.pid); kill -9 $pid; sleep 2
for task in /proc/$pid/task/*; do cat $task/wchan; echo; done"""
NVME_CLASS = "0x010802"
# What is on every command line of these domains.
VSMMU = '"driver":"arm-smmuv3"'
GUEST_WORDS = "dmesg | grep -e arm-smmu -e nvme | tail -200 | while read -r line; do say \"$line\"; done"
START_SECONDS, WORKS_SECONDS, FAILS_SECONDS, SUM_SECONDS, PLUG_SECONDS = 60, 30, 2, 60, 20

# findings: [(severity, text)] of the case's class.
Seen = collections.namedtuple("Seen", "case findings outcome drives")


def works(guest, serial, expected):
    """Whether the guest reads from the drive what is known to be there."""
    if guest.ask(f"await {WORKS_SECONDS if expected else FAILS_SECONDS} {serial}")[0]:
        return False
    try:
        return guest.hash(f"sum {serial} 0 {topology.FILLED_MIB}") == topology.known(serial)
    except HostError:       # the guest waits for the drive
        return False


def plugIn(world, guest, serial, port):
    """A device comes to the running guest; libvirt's answer is no part of the outcome."""
    guest.must("load B0 16")
    rounds, failures = guest.awaitLoad()
    if not rounds or failures:
        raise ScenarioError(f"drive B0 does not work before: {rounds} rounds, {failures} failures")
    world.attach(serial, port)
    guest.ask(f"await {PLUG_SECONDS} {serial}")
    time.sleep(PLUG_SECONDS / 2)


def started(world, case):
    """What became of a guest that QEMU started: (outcome, words, {drive: it works}, NVMe devices)."""
    guest = Guest(world.host)
    devices = guest.awaitBoot()[1].values()
    if case.plug:
        plugIn(world, guest, *case.plug)
    drives = {serial: works(guest, serial, expected) for serial, expected in case.drives.items()}
    words = "\n".join(guest.ask(GUEST_WORDS)[1])
    outcome = BROKEN
    if all(drives.values()):
        behind = [device.smmu for device in devices if device.serial in drives]
        outcome = STARTS if all(behind) else BAD
    return outcome, words, drives, sum(device.kind == NVME_CLASS for device in devices)


def happens(world, case, xml):
    """What libvirt, QEMU and the guest do with the domain: (outcome, words, drives, NVMe devices)."""
    done = world.host.virsh("define", "/dev/stdin", stdin=xml)
    if done.returncode:
        return DEFINE, done.stderr, {}, 0
    done = world.host.virsh("start", NAME, timeout=START_SECONDS)
    if done.late:
        said = world.host.sh(KILL_LIBVIRT)
        if any(words not in said for words in case.words):
            raise HostError(f"libvirt does not start it in {START_SECONDS} s: {said}")
        return HANGS, said, {}, 0
    log = world.host.run("cat", QEMU_LOG).stdout
    if done.returncode:
        ended = any(words in done.stderr for words in QEMU_ENDED)
        return (QEMU if ended else START), done.stderr + log, {}, 0
    if not case.drives and case.outcome != PANICS:
        return STARTS, log, {}, 0
    try:
        outcome, words, drives, functions = started(world, case)
    except GuestPanic as said:
        return PANICS, str(said), {}, 0
    return outcome, world.host.run("cat", QEMU_LOG).stdout + words, drives, functions


def judge(tap, case, outcome, text, drives, functions):
    """Holds what was seen against what is known."""
    name = f"{case.id} {case.name}"
    tap.ok(outcome == case.outcome, f"{name}: {case.outcome}", outcome, text[-1500:])
    if case.words:
        missing = [words for words in case.words if words not in text]
        tap.noProblems(missing, f"{name}: it says what is known")
    if case.unsaid:
        there = [words for words in case.unsaid if words in text]
        tap.ok(not there and VSMMU in text, f"{name}: libvirt has dropped {' '.join(case.unsaid)}",
               there, text[-1500:])
    if case.drives:
        tap.ok(drives == case.drives, f"{name}: the guest's drives work, or not, as known", drives,
               text[-1500:])
        tap.ok(functions >= len(case.drives), f"{name}: all of them are in the guest", functions)


def runCase(tap, world, case, found):
    """Runs one case; @found: whether viommu check must find it, or must not."""
    xml = case.xml(world)
    findings = ofClass(world.check(xml)[1], case.id)
    severe = any(severity != "note" for severity, _ in findings)
    tap.ok(severe == found, f"{case.id} {case.name}: viommu check "
           f"{'finds it' if found else 'does not know'}", findings)
    world.bind(case.vfio, "vfio-pci")
    outcome, text, drives, functions = happens(world, case, xml)
    judge(tap, case, outcome, text, drives, functions)
    if outcome != HANGS:        # then nobody gets libvirt to do anything again
        world.tidy()
        world.bind(case.vfio)
    return Seen(case, findings, outcome, drives)
