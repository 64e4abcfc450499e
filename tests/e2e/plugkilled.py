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
RELAYED = "qemu+unix:///system?socket=/tmp/relay"
DRIVE = "B1"


def guestHas(guest, there):
    """Whether that is so, or soon will be."""
    return guest.ask(f"await {PLUG_SECONDS} {DRIVE}{'' if there else ' gone'}")[0] == 0


def settle(world, guest, there):
    """Gives the guest the drive, or takes it, with nobody killed."""
    if isAttached(world, DRIVE) != there:
        world.host.viommu("attach" if there else "detach", NAME, "-", stdin=hostdev(world.address(DRIVE)))
        guestHas(guest, there)
        if not there:
            awaitGone(world, DRIVE)


def change(tap, world, guest, name, verb, moment, command):
    """One change in which the asker is killed: libvirt and the guest agree about it."""
    settle(world, guest, verb == "detach")
    done = world.host.run("python3", "/tmp/killed.py", moment, str(PROCEDURES[verb]), *command,
                          stdin=hostdev(world.address(DRIVE)))
    killed, status, said = json.loads(done.stdout or '[false, 0, ""]')
    wanted = (verb == "attach") != (moment == killrelay.BEFORE)
    inGuest = guestHas(guest, wanted)
    if not wanted:
        awaitGone(world, DRIVE)
    tap.ok(killed and status != 0 and inGuest and isAttached(world, DRIVE) == wanted,
           f"{name}, killed {moment}: guest and libvirt have {'the drive' if wanted else 'no such drive'}",
           f"killed: {killed}, status {status}: {said}", done.stderr, f"guest: {inGuest}")


def killed(tap, world, name):
    """viommu, and the process of viommud that serves virsh: the domain is as it was or as was asked."""
    with open(killrelay.__file__, encoding="utf-8") as f:
        world.host.run("tee", "/tmp/killrelay.py", stdin=f.read())
    world.host.run("tee", "/tmp/killed.py", stdin=KILLED)
    guest, _ = begin(tap, world, name)
    for moment in killrelay.MOMENTS:
        for verb in PROCEDURES:
            change(tap, world, guest, f"{name}: viommu {verb}", verb, moment,
                   ("/t/viommu", "-c", RELAYED, verb, NAME, "-"))
    settle(world, guest, False)
    with service(world, 'libvirt_sock = "/tmp/relay"\n') as uri:
        for moment in killrelay.MOMENTS:
            for verb in PROCEDURES:
                change(tap, world, guest, f"{name}: viommud in {verb}-device", verb, moment,
                       ("virsh", "-c", uri, f"{verb}-device", NAME, "/dev/stdin", "--live"))
    settle(world, guest, False)
    stillLoaded(tap, guest, name, "after that")
    stopLoad(tap, guest, name)
    endPlaced(tap, world, name, guest, ["B0", DRIVE])


SCENARIOS = {"plug-killed": killed}
