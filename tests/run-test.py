#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""viommu run gives devices back, whatever becomes of its messages. Usage: run-test.py VIOMMU SOURCE_ROOT

It runs in a mount namespace of its own, where a recorded host is laid out as /sys and /dev. Its devices change their
drivers as a kernel lets them: where a driver is told to let a device go, and where devices are offered to drivers, are
FIFOs, and who writes to one waits until this test has made the change of the one before.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "stack"))
from hostinit import parseManifest, writeEntries  # noqa: E402
from tap import Tap, guarded, skipAll  # noqa: E402

INSIDE = "--inside"
PATIENCE = 60
PCI = pathlib.Path("/sys/bus/pci")
FIRST, SECOND = DEVICES = "0000:01:00.0", "0000:03:00.0"
OVERRIDE = "(null)\n"
REFUSED = f"'{FIRST}' is not bound to a VFIO driver: bind it, or let --bind do so"

DOMAIN = """<domain type='kvm'>
  <name>guest</name>
  <memory unit='MiB'>512</memory>
  <os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <iommu model='smmuv3' nested='yes'/>
{devices}
  </devices>
</domain>
"""
HOSTDEV = """    <hostdev mode='subsystem' type='pci'>
      <source><address domain='0x0000' bus='0x{bus}' slot='0x00' function='0x0'/></source>
    </hostdev>"""


def driverOf(device):
    return os.path.basename(os.readlink(PCI / "devices" / device / "driver"))


def overrideOf(device):
    """The kernel takes the first line that is written; a file keeps what was longer."""
    return (PCI / "devices" / device / "driver_override").read_text().split("\n")[0]


def bind(device, driver):
    directory = PCI / "devices" / device
    (directory / "driver").unlink()
    (directory / "driver").symlink_to(PCI / "drivers" / driver)
    if driver == "vfio-pci":
        (directory / "vfio-dev" / f"vfio{DEVICES.index(device)}").mkdir(parents=True)
    else:
        for path in directory.glob("vfio-dev/*"):
            path.rmdir()
        (directory / "vfio-dev").rmdir()


class Kernel:
    """Binds devices as they are offered. One that is stuck does not leave vfio-pci again."""

    def __init__(self):
        self.stuck, self.said = (), []
        self.unbind, self.probe = PCI / "unbind", PCI / "drivers_probe"
        os.mkfifo(self.unbind)
        os.mkfifo(self.probe)
        for driver in ("vfio-pci", "nvme"):
            (PCI / "drivers" / driver).mkdir(exist_ok=True)
            os.link(self.unbind, PCI / "drivers" / driver / "unbind")
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """A device is bound to its next driver as soon as it is let go."""
        while True:
            device = self.unbind.read_text()
            wanted = overrideOf(device) or "nvme"
            self.said.append((device, wanted))
            if wanted == "vfio-pci" or device not in self.stuck:
                bind(device, wanted)
            self.probe.read_text()


def layOut(root, directory):
    """The recorded host in place of this one; of its devices, those of the test have a driver of the host's."""
    entries = [entry for entry in parseManifest(root / "tests/hosts/one-smmu.sysfs") if entry[1].startswith("sys/")]
    real = directory / "dev"
    real.mkdir()
    subprocess.run(["mount", "--bind", "/dev", real], check=True)
    for path in ("/sys", "/dev", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path], check=True)
    writeEntries("/", entries)
    for name in ("null", "zero", "urandom", "tty"):
        os.symlink(real / name, f"/dev/{name}")
    pathlib.Path("/dev/iommu").touch()
    os.makedirs("/dev/vfio/devices")
    for number, device in enumerate(DEVICES):
        pathlib.Path(f"/dev/vfio/devices/vfio{number}").touch()
        (PCI / "devices" / device / "driver_override").write_text(OVERRIDE)
        for path in (PCI / "devices" / device).glob("vfio-dev/*"):
            (path / "dev").unlink()
        bind(device, "nvme")


class World:
    def __init__(self, viommu, root, directory):
        self.viommu, self.directory, self.marker = viommu, directory, directory / "started"
        layOut(root, directory)
        self.kernel = Kernel()

    def domain(self, script):
        """The file of a domain whose QEMU is a shell @script (None: a program that there is not)."""
        emulator = self.directory / ("qemu" if script else "nothing")
        if script:
            emulator.write_text(f"#!/bin/sh\n{script}\n")
            emulator.chmod(0o755)
        path = self.directory / "domain.xml"
        path.write_text(DOMAIN.format(emulator=emulator, devices="\n".join(
            HOSTDEV.format(bus=device[5:7]) for device in DEVICES)))
        return path

    def run(self, script, *options, stuck=(), stderr=subprocess.PIPE):
        """@options end with those of QEMU. All devices are as at first before it."""
        for device in DEVICES:
            if driverOf(device) != "nvme":
                bind(device, "nvme")
            (PCI / "devices" / device / "driver_override").write_text(OVERRIDE)
        self.marker.unlink(missing_ok=True)
        self.kernel.stuck, self.kernel.said = stuck, []
        return subprocess.run([self.viommu, "-q", "run", *options, self.domain(script)], stdout=subprocess.PIPE,
                              stderr=stderr, text=True, check=False, timeout=PATIENCE,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self.directory)})

    def started(self):
        """A QEMU that leaves a mark, with the drivers that the devices have then."""
        drivers = " ".join(f"$(basename $(readlink {PCI}/devices/{device}/driver))" for device in DEVICES)
        return f"echo {drivers} > {self.marker}"


@contextlib.contextmanager
def closedPipe():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def given(*devices):
    """What is wrong with the drivers of those that should have been given back."""
    return [f"{device} has {driverOf(device)}, driver_override '{overrideOf(device)}'"
            for device in devices if driverOf(device) != "nvme" or overrideOf(device)]


def testBinds(tap, world):
    done = world.run(f"{world.started()}; exit 7", "--bind")
    tap.ok(world.marker.exists() and world.marker.read_text() == "vfio-pci vfio-pci\n" and done.returncode == 7,
           "--bind: QEMU has the devices", done.returncode, done.stderr)
    tap.noProblems(given(*DEVICES), "and they are given back")


def testClosed(tap, world):
    """Of one device there is something to say, and nobody who could read it."""
    with closedPipe() as pipe:
        done = world.run(world.started(), "--bind", stuck=(FIRST,), stderr=pipe)
    tap.ok(world.marker.exists() and done.returncode == 3 and driverOf(FIRST) == "vfio-pci",
           "a device cannot be given back, and messages go to a closed pipe: the exit status says so", done.returncode)
    tap.noProblems(given(SECOND), "and the other is given back")
    done = world.run(world.started(), "--bind", stuck=(FIRST,))
    tap.ok(done.stderr == f"warning: '{FIRST}' was bound to nvme, and now to vfio-pci\n" and done.returncode == 3,
           "where somebody reads, it is said", done.stderr)


def testEnds(tap, world):
    """However QEMU ends, with nobody who reads."""
    for script, status in (("exit 1", 1), ("kill -KILL $$", 137), ("kill -PIPE $$", 141)):
        with closedPipe() as pipe:
            done = world.run(script, "--bind", stderr=pipe)
        tap.noProblems(given(*DEVICES), f"QEMU: {script}: they are given back")
        tap.ok(done.returncode == status, "and the exit status is QEMU's", done.returncode)


def testDry(tap, world):
    """It refuses what the other would, and touches nothing."""
    for script, options, said in (
            ("exit 0", ("--bind", "--user", "nobody-of-that-name"), "there is no user 'nobody-of-that-name'"),
            (None, ("--bind",), f"'{world.directory}/nothing': cannot start it: No such file or directory"),
            ("exit 0", (), REFUSED)):
        for dry in (("-n",), ()):
            done = world.run(script, *dry, *options)
            tap.ok(done.stderr == f"error: {said}\n" and done.returncode == (1 if said == REFUSED else 3) and
                   not done.stdout and not world.kernel.said, f"run {' '.join((*dry, *options))}: {said}",
                   done.returncode, done.stderr, done.stdout, world.kernel.said)
    done = world.run("exit 0", "-n", "--bind")
    tap.ok(done.returncode == 0 and FIRST in done.stdout and not world.kernel.said and
           not os.path.exists("/run/viommu"), "run -n --bind: the command, and nothing is bound or locked",
           done.returncode, done.stderr)


def inside(viommu, root):
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="viommu-run-") as name:
        directory = pathlib.Path(name)
        world = World(viommu, root, directory)
        for test in (testDry, testBinds, testClosed, testEnds):
            with guarded(tap, test.__name__):
                test(tap, world)
        subprocess.run(["umount", directory / "dev"], check=True)
    return tap.done()


def main():
    viommu, root = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    if sys.argv[3:] == [INSIDE]:
        return inside(viommu, root)
    apart = ["unshare", "--mount", "--propagation", "private", "--"]
    with contextlib.suppress(OSError):
        if os.geteuid() == 0 and subprocess.run([*apart, "mount", "-t", "tmpfs", "tmpfs", "/sys"], capture_output=True,
                                                check=False).returncode == 0:
            os.execvp(apart[0], [*apart, sys.executable, os.path.abspath(__file__), viommu, str(root), INSIDE])
    return skipAll("this needs a mount namespace of its own, which only root may have, and not everywhere")


if __name__ == "__main__":
    sys.exit(main())
