# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: viommu run starts the guest, with devices that it binds, opens and gives back."""

import time

from guest import CONSOLE, LOG, NVRAM, VARIABLES, Guest
from placement import request
from world import compareGuest, givenBack

FILE, SAID, PID = "/tmp/run.xml", "/tmp/run-said", "/tmp/run-pid"
USER = "libvirt-qemu"       # has no right to the nodes of iommufd and VFIO
SERIALS = ("B0", "C0")


# Starts viommu run in the background; its status comes behind what it says.
START = """said=$1 pid=$2; shift 2; rm -f "$said" "$pid"
(/t/viommu run "$@" </dev/null >"$said" 2>&1 & echo $! >"$pid"; wait $!
 echo "status $?" >>"$said") >/dev/null 2>&1 &"""


def start(world, *words):
    world.host.sh(START, SAID, PID, *words)


def status(world, seconds=60):
    """(exit status, what it said) once it has ended; None while it runs."""
    for _ in range(seconds * 2):
        said = world.host.run("cat", SAID).stdout
        if "status " in said:
            text, _, number = said.rpartition("status ")
            return int(number), text
        time.sleep(0.5)
    return None, world.host.run("cat", SAID).stdout


def prepare(world, serials=SERIALS, user=USER):
    """The domain's file and its variables; its plan and its expanded form."""
    xml = request(serials, world)
    world.host.run("tee", FILE, stdin=xml)
    world.host.sh(f'rm -f {CONSOLE} {LOG}; cp {VARIABLES} {NVRAM}; chown "$1" {NVRAM}', user)
    return world.plan(xml), world.host.viommu("expand", "-", stdin=xml).stdout


def leftovers(world):
    """What a run leaves open or bound, in words."""
    said = []
    for what, command in (("QEMU", "pgrep -x qemu-system-aar || true"),
                          ("viommu", "pgrep -x viommu || true"),
                          ("open nodes", "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -E '/dev/(iommu|vfio/devices)' || true"),
                          ("bound devices", "ls /sys/bus/pci/drivers/vfio-pci | grep : || true"),
                          ("overrides", "cat /sys/bus/pci/devices/*/driver_override | grep -v null || true")):
        text = world.host.sh(command).strip()
        if text:
            said.append(f"{what}: {text}")
    return said


def tidy(world):
    world.host.sh(f"rm -f {CONSOLE} {LOG} {NVRAM} {FILE} {SAID} {PID}")


def drives(tap, world, name):
    """Two drives of two SMMUs; QEMU runs as a user who could open nothing."""
    plan, expanded = prepare(world)
    start(world, "--bind", "--user", USER, FILE)
    guest = Guest(world.host)
    report = guest.awaitBoot()
    owner = world.host.sh("stat -c %U /proc/$(pgrep -x qemu-system-aar)").strip()
    tap.ok(owner == USER, f"{name}: QEMU runs as {USER}", owner)
    opened = world.host.sh("ls -l /proc/$(pgrep -x qemu-system-aar)/fd | grep -cE '/dev/(iommu|vfio/devices)' || true")
    tap.ok(int(opened) == 1 + len(SERIALS), f"{name}: with the nodes of the devices and of iommufd, and no more", opened)
    second = world.host.viommu("run", "--bind", FILE)
    tap.ok(second.returncode == 1 and "is taken by another 'viommu run'" in second.stderr,
           f"{name}: a second run is refused", second)
    compareGuest(tap, world, name, plan, expanded, guest, report, SERIALS)
    tap.ok(guest.powerOff(lambda: status(world, 1)[0] is not None), f"{name}: the guest ends by itself")
    code, said = status(world)
    tap.ok(code == 0, f"{name}: viommu run ends with QEMU's status", code, said)
    tap.noProblems(leftovers(world), f"{name}: nothing is left")
    givenBack(tap, world, name, SERIALS)
    tidy(world)


def signals(tap, world, name):
    """SIGTERM goes on to QEMU, which ends well; the devices are given back."""
    prepare(world)
    start(world, "--bind", "--user", USER, FILE)
    Guest(world.host).awaitBoot()
    world.host.sh(f"kill -TERM $(cat {PID})")
    code, said = status(world)
    tap.ok(code == 0 and "terminating on signal 15" in said, f"{name}: QEMU gets SIGTERM and ends", code, said)
    tap.noProblems(leftovers(world), f"{name}: nothing is left")
    givenBack(tap, world, name, SERIALS)
    tidy(world)


def failures(tap, world, name):
    """QEMU fails at each stage: its status comes back, and everything else is as before."""
    prepare(world)
    cases = (("an option that it does not know", ("--bind", "--user", USER, FILE, "--", "-no-such-option"), 1,
              "-no-such-option: invalid option"),
             ("a device that it does not have", ("--bind", FILE, "--", "-device", "no-such-device"), 1,
              "'no-such-device' is not a valid device model name"),
             ("a device that cannot be there twice",
              ("--bind", FILE, "--", "-device",
               '{"driver":"arm-smmuv3","primary-bus":"pci.1","id":"second","accel":true}'), 1,
              "An iommu is already attached to this bus"),
             ("a user that there is not", ("--bind", "--user", "no-such-user", FILE), 3,
              "there is no user 'no-such-user'"),
             ("devices that are not bound", (FILE,), 1, "is not bound to a VFIO driver"))
    for what, words, wanted, text in cases:
        start(world, *words)
        code, said = status(world)
        tap.ok(code == wanted and text in said, f"{name}: {what}", code, said)
        tap.noProblems(leftovers(world), f"{name}: {what}: nothing is left")
    givenBack(tap, world, name, SERIALS)
    missing = world.host.sh("command -v qemu-system-aarch64").strip()
    world.host.sh('mv "$1" "$1.away"', missing)
    try:
        start(world, "--bind", FILE)
        code, said = status(world)
        tap.ok(code == 3 and "cannot start it: No such file or directory" in said, f"{name}: no QEMU", code, said)
        tap.noProblems(leftovers(world), f"{name}: no QEMU: nothing is left")
    finally:
        world.host.sh('mv "$1.away" "$1"', missing)
    givenBack(tap, world, name, SERIALS)
    tidy(world)


SCENARIOS = {"run-drives": drives, "run-signals": signals, "run-failures": failures}
