# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenario: who asks libvirt to change a running guest is killed before, in and after that."""

import json

import stackpath  # noqa: F401, the modules of tests/stack
import killrelay
from guest import NAME, hostdev
from hotplug import PLUG_SECONDS, begin, stillLoaded, stopLoad
from throughservice import service
from world import awaitGone, endPlaced, isAttached

# Runs a command with a relay before libvirt's socket: [was it killed, exit status, what it said].
KILLED = """import json, subprocess, sys
sys.path.insert(0, "/tmp")
from killrelay import KillRelay
moment, procedure, *command = sys.argv[1:]
with KillRelay("/run/libvirt/libvirt-sock", moment, 1, "/tmp/relay", int(procedure)) as relay:
    done = subprocess.run(command, input=sys.stdin.read(), capture_output=True, text=True)
print(json.dumps([relay.killed, done.returncode, done.stdout + done.stderr]))
"""
# REMOTE_PROC_DOMAIN_ATTACH_DEVICE_FLAGS, _DETACH_DEVICE_FLAGS
PROCEDURES = {"attach": 160, "detach": 161}
# The running guest alone, and its configuration at once.
FLAGS = (("--live",), ("--live", "--config"))
RELAYED = "qemu+unix:///system?socket=/tmp/relay"
DRIVE = "B1"


def guestHas(guest, there):
    """Whether that is so, or soon will be."""
    return guest.ask(f"await {PLUG_SECONDS} {DRIVE}{'' if there else ' gone'}")[0] == 0


def libvirtHas(world):
    """(whether it has the drive in the running domain, whether in the configuration)"""
    return isAttached(world, DRIVE), isAttached(world, DRIVE, "--inactive")


def settle(world, guest, there, both):
    """Gives the domain the drive, or takes it, with nobody killed; @both: the configuration, too."""
    for flag, has, wanted in zip(("--live", "--config"), libvirtHas(world), (there, there and both)):
        if has != wanted:
            world.host.viommu("attach" if wanted else "detach", flag, NAME, "-", stdin=hostdev(world.address(DRIVE)))
    guestHas(guest, there)
    if not there:
        awaitGone(world, DRIVE)


def change(tap, world, guest, name, verb, moment, flags, command):
    """One change in which the asker is killed: libvirt and the guest agree about it."""
    both = "--config" in flags
    settle(world, guest, verb == "detach", both)
    done = world.host.run("python3", "/tmp/killed.py", moment, str(PROCEDURES[verb]), *command, *flags,
                          stdin=hostdev(world.address(DRIVE)))
    killed, status, said = json.loads(done.stdout or '[false, 0, ""]')
    wanted = (verb == "attach") != (moment == killrelay.BEFORE)
    inGuest = guestHas(guest, wanted)
    if not wanted:
        awaitGone(world, DRIVE)
    has = libvirtHas(world)
    tap.ok(killed and status != 0 and inGuest and has == (wanted, wanted and both),
           f"{name} {' '.join(flags)}, killed {moment}: guest and libvirt have "
           f"{'the drive' if wanted else 'no such drive'}",
           f"killed: {killed}, status {status}: {said}", done.stderr, f"guest: {inGuest}, libvirt: {has}")


def changeAll(tap, world, guest, name, commandOf):
    for flags in FLAGS:
        for moment in killrelay.MOMENTS:
            for verb in PROCEDURES:
                change(tap, world, guest, f"{name} {verb}", verb, moment, flags, commandOf(verb))
    settle(world, guest, False, True)


def killed(tap, world, name):
    """viommu, and the process of viommud that serves virsh: the domain is as it was or as was asked."""
    with open(killrelay.__file__, encoding="utf-8") as f:
        world.host.run("tee", "/tmp/killrelay.py", stdin=f.read())
    world.host.run("tee", "/tmp/killed.py", stdin=KILLED)
    guest, _ = begin(tap, world, name)
    changeAll(tap, world, guest, f"{name}: viommu", lambda verb: ("/t/viommu", "-c", RELAYED, verb, NAME, "-"))
    with service(world, 'libvirt_sock = "/tmp/relay"\n') as uri:
        changeAll(tap, world, guest, f"{name}: viommud in virsh",
                  lambda verb: ("virsh", "-c", uri, f"{verb}-device", NAME, "/dev/stdin"))
    stillLoaded(tap, guest, name, "after that")
    stopLoad(tap, guest, name)
    endPlaced(tap, world, name, guest, ["B0", DRIVE])


SCENARIOS = {"plug-killed": killed}
