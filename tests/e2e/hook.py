# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: domains that libvirt starts by itself, with viommu-hook among its hooks."""

import contextlib

from guest import NAME, QEMU_LOG, REQUEST, Guest, domain, hostdev, sourceAddress
from processes import becomes
from world import ScenarioError, compareGuest, endPlaced

INSTALL = """mkdir -p /etc/libvirt/hooks/qemu.d
ln -s /t/viommu-hook /etc/libvirt/hooks/qemu.d/viommu"""
REMOVE = "rm -r /etc/libvirt/hooks"
# libvirt starts domains by itself once in each boot of the host.
FORGET = "rm -f /run/libvirt/qemu/autostarted"
AUTOSTARTED = "test -e /run/libvirt/qemu/autostarted"
ANEW = f"virsh dumpxml --inactive '{NAME}' | /t/viommu --connect qemu:///system define -"


@contextlib.contextmanager
def installed(world):
    """The hook, as an administrator puts it there."""
    world.host.sh(INSTALL)
    world.host.restartLibvirt()
    try:
        yield
    finally:
        world.tidy()
        world.host.sh(REMOVE)
        world.host.restartLibvirt()


def boot(world):
    """What the next boot of the host would be for libvirt: it starts what is to be started."""
    world.host.sh(FORGET)
    world.host.restartLibvirt()
    if not becomes(lambda: world.host.run("sh", "-c", AUTOSTARTED).returncode == 0):
        raise ScenarioError("libvirt does not start its domains")


def replaced(xml, pairs):
    """The domain with other host devices in the place of the first, as after a reboot that moved them."""
    for number, (before, _) in enumerate(pairs):
        xml = xml.replace(sourceAddress(before).replace("/>", ""), f"@{number}@")
    for number, (_, after) in enumerate(pairs):
        xml = xml.replace(f"@{number}@", sourceAddress(after).replace("/>", ""))
    return xml


def definePlaced(tap, world, name, drives):
    """Places a domain with these drives; what libvirt has of it then."""
    done = world.define(domain([hostdev(world.address(drive)) for drive in drives] + [REQUEST]))
    tap.ok(done.returncode == 0, f"{name}: viommu define", done.stdout, done.stderr)
    return world.host.virsh("dumpxml", "--inactive", NAME).stdout


def staysDown(tap, world, name, what, xml, smmus):
    """The domain @xml is defined past us, and started neither at boot nor by hand; the drives stay on the host."""
    done = world.host.virsh("define", "/dev/stdin", stdin=xml)
    tap.ok(done.returncode == 0, f"{name}: {what}: libvirt takes the domain", done.stderr)
    world.host.virsh("autostart", NAME)
    before = world.hardware
    boot(world)
    state = world.host.virsh("domstate", NAME).stdout.strip()
    tap.ok(state == "shut off", f"{name}: {what}: libvirt does not start it by itself", state)
    done = world.host.virsh("start", NAME)
    tap.ok(done.returncode != 0 and "viommu: V01: " in done.stderr and all(smmu in done.stderr for smmu in smmus),
           f"{name}: {what}: virsh start says which SMMU it is, and which it should be", done.stderr)
    world.look()
    tap.ok(world.hardware == before, f"{name}: {what}: the host has its drives all the while", before, world.hardware)
    tap.ok(world.host.run("grep", "qemu-system", QEMU_LOG).returncode != 0, f"{name}: {what}: QEMU was never started",
           world.host.run("cat", QEMU_LOG).stdout)


def autostart(tap, world, name):
    """Drives that moved since their domain was placed: it stays down, and is up once it was placed anew."""
    smmus = [world.hardware[drive].smmu for drive in ("B0", "C0")]
    with installed(world):
        xml = definePlaced(tap, world, name, ["B0", "B1"])
        staysDown(tap, world, name, "one of two drives is behind another SMMU",
                  replaced(xml, [(world.address("B1"), world.address("C0"))]), smmus)
        xml = definePlaced(tap, world, name, ["B0", "C0"])
        pairs = [(world.address("B0"), world.address("C0")), (world.address("C0"), world.address("B0"))]
        staysDown(tap, world, name, "two drives have changed places", replaced(xml, pairs), smmus)
        done = world.host.run("sh", "-c", ANEW)
        tap.ok(done.returncode == 0 and done.stdout.count(" moved from ") == 2, f"{name}: viommu define of what libvirt has",
               done.stdout, done.stderr)
        boot(world)
        plan = world.plan(world.host.virsh("dumpxml", "--inactive", NAME).stdout)
        guest = Guest(world.host)
        report = guest.awaitBoot()
        tap.ok(world.host.virsh("domstate", NAME).stdout.strip() == "running",
               f"{name}: placed anew, libvirt starts it by itself")
        compareGuest(tap, world, name, plan, world.host.virsh("dumpxml", NAME).stdout, guest, report, ["B0", "C0"])
        endPlaced(tap, world, name, guest, ["B0", "C0"])


SCENARIOS = {"hook-autostart": autostart}
