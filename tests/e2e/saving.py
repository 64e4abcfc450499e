# SPDX-License-Identifier: LGPL-2.1-or-later
"""What QEMU cannot do with a guest that has accel vSMMUs: give away its state while it runs."""

import json

from guest import NAME
from world import exchange

DISK, SNAPSHOT, STATE = "/tmp/saving.img", "/tmp/saving.snapshot", "/tmp/saving.state"
SAVED = "/var/lib/libvirt/qemu/save"
TO_ITSELF = "qemu+unix:///system?socket=/run/libvirt/libvirt-sock"
# As docs/libvirt.rst and docs/renumbering.rst quote it.
WORDS = "cannot migrate domain: Migration not supported with SMMUv3 accelerator mode enabled"
REFUSED = {
    "save": ("save", NAME, STATE),
    "managedsave": ("managedsave", NAME),
    "a snapshot with memory": ("snapshot-create-as", NAME, "one", "--memspec", STATE, "--diskspec",
                               f"vda,file={SNAPSHOT}"),
    "a snapshot with memory, live": ("snapshot-create-as", NAME, "one", "--memspec", STATE, "--live", "--diskspec",
                                     f"vda,file={SNAPSHOT}"),
    "migrate --live": ("migrate", "--live", NAME, TO_ITSELF, "tcp://127.0.0.1", "--dname", "other"),
    "dump without --memory-only": ("dump", NAME, STATE),
}
TAKEN = {
    "a snapshot of the disk alone": ("snapshot-create-as", NAME, "two", "--disk-only", "--no-metadata", "--diskspec",
                                     f"vda,file={SNAPSHOT}"),
    "dump --memory-only": ("dump", "--memory-only", NAME, STATE),
}


def disk(world):
    """A disk for the domain, of which a snapshot can be made; an element."""
    world.host.run("truncate", "-s", "1M", DISK)
    return (f"<disk type='file'><driver name='qemu' type='raw'/><source file='{DISK}'/>"
            "<target dev='vda' bus='virtio'/></disk>")


def state(world):
    """(state of the domain, its snapshots, what is left of an attempt)"""
    return (world.host.virsh("domstate", NAME).stdout.strip(),
            world.host.virsh("snapshot-list", "--name", NAME).stdout.strip(),
            world.host.sh(f"ls -d {STATE} {SNAPSHOT} {SAVED}/* 2>/dev/null || true").strip())


def isRefused(tap, world, name, guest, drives):
    """libvirt refuses each with QEMU's words, and the guest with its @drives goes on; what does not need it works."""
    before = state(world)
    tap.ok(before == ("running", "", ""), f"{name}: the guest runs, and nothing of it is saved", before)
    for what, words in REFUSED.items():
        done = world.host.virsh(*words)
        after = state(world)
        tap.ok(done.returncode != 0 and WORDS in done.stderr and after == before,
               f"{name}: {what} is refused in QEMU's words, and the guest goes on", done, after)
    asked = {"execute": "query-migrate"}
    done = world.host.virsh("qemu-monitor-command", NAME, json.dumps(asked))
    blocked = json.loads(done.stdout)["return"]["blocked-reasons"]
    tap.ok(WORDS.partition(": ")[2] in blocked, f"{name}: these are QEMU's words", blocked)
    _, findings = world.check(world.host.virsh("dumpxml", NAME).stdout)
    notes = [(finding["id"], finding["severity"]) for finding in findings
             if WORDS.partition(": ")[2] in (finding["consequence"] or "")]
    tap.ok(notes == [("V18", "note")], f"{name}: viommu check has them in a note", notes)
    for drive in drives:
        exchange(tap, world, guest, name, drive)
    for what, words in TAKEN.items():
        done = world.host.virsh(*words)
        tap.ok(done.returncode == 0 and state(world)[0] == "running", f"{name}: {what} is not refused", done)
    for drive in drives:
        exchange(tap, world, guest, name, drive)
    world.host.run("rm", "-f", STATE)
