# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest in the emulated host: its domain, and what it says on its console (guest-init)."""

import base64
import collections
import re
import time

from machine import FIRMWARE, HostError

MARK, PANIC = "viommu-guest", "end Kernel panic"
CONSOLE, LOG = "/tmp/guest-console", "/tmp/guest-log"
BOOT_SECONDS = 150
NAME = "e2e"
QEMU_LOG = f"/var/log/libvirt/qemu/{NAME}.log"
VARIABLES = "/usr/share/AAVMF/AAVMF_VARS.fd"
NVRAM = f"/var/lib/libvirt/qemu/nvram/{NAME}.fd"
REQUEST = "<iommu model='smmuv3' nested='yes'/>"
DOMAIN = """<domain type='kvm'>
  <name>{name}</name>
  <uuid>6a2c5a0e-6f0e-4c5b-8d8e-3f7d1f4b9a01</uuid>
  <memory unit='MiB'>640</memory>
  <vcpu>{vcpus}</vcpu>{head}
  <os>
    <type arch='aarch64' machine='virt'>hvm</type>
    <loader readonly='yes' type='pflash' format='raw'>{firmware}</loader>
    <nvram template='{variables}' templateFormat='raw' format='raw'>{nvram}</nvram>
    <kernel>/t/Image</kernel>
    <initrd>/t/guest.cpio.gz</initrd>
    <cmdline>console=ttyAMA0 loglevel=4 nvme_core.admin_timeout=10 nvme_core.io_timeout=10</cmdline>
  </os>
  <features>{features}</features>
  <cpu mode='host-passthrough'>{cpu}</cpu>
  <on_poweroff>destroy</on_poweroff>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
    <controller type='usb' model='none'/>
    <serial type='unix'>
      <source mode='bind' path='{console}'/>
      <log file='{log}' append='off'/>
      <target type='system-serial' port='0'><model name='pl011'/></target>
    </serial>
    <memballoon model='none'/>
    {devices}
  </devices>{tail}
</domain>
"""

Device = collections.namedtuple("Device", "kind smmu driver node domain serial net")
DEVICE = re.compile(r"device (\S+) class=(\S+) smmu=(\S*) driver=(\S*) node=(\S+) "
                    r"domain=(\S*) serial=(\S*) net=(\S*)")


def sourceAddress(address):
    return "<address domain='0x%s' bus='0x%s' slot='0x%s' function='0x%s'/>" % tuple(
        re.split("[:.]", address))


def hostdev(address, inside=""):
    """@inside: more of its elements, as the guest's <address>."""
    return ("<hostdev mode='subsystem' type='pci' managed='yes'>"
            f"<source>{sourceAddress(address)}</source>{inside}</hostdev>")


def domain(devices, head="", features="<acpi/><gic version='3'/>", cpu="", tail="", vcpus=1):
    """A domain with these @devices, a list of elements."""
    return DOMAIN.format(name=NAME, vcpus=vcpus, head=head, firmware=FIRMWARE, variables=VARIABLES,
                         nvram=NVRAM, features=features, cpu=cpu, console=CONSOLE, log=LOG,
                         devices="\n    ".join(devices), tail=tail)


class GuestError(Exception):
    """The guest does not do what it is asked; the text says why."""


class GuestPanic(GuestError):
    """Its kernel gives up; the text is what it says."""


class Guest:
    """The guest that was started on the emulated @host, by whatever means."""

    def __init__(self, host):
        self.host, self.asked = host, 0

    def log(self):
        try:
            return self.host.readFile(LOG)
        except HostError:
            return ""

    def awaitBoot(self, seconds=BOOT_SECONDS):
        """What it reported when it was up; see readReport."""
        end = time.monotonic() + seconds
        while f"{MARK} ready" not in self.log():
            if PANIC in self.log():
                raise GuestPanic(self.log())
            if time.monotonic() > end:
                raise GuestError(f"the guest is not up after {seconds} s: {self.log()[-2000:]}")
            time.sleep(0.5)
        return readReport(self.log().partition(f"{MARK} ready")[0])

    def ask(self, command, timeout=90):
        """(status, lines that it said with the mark) of a shell command or function of guest-init."""
        self.asked += 1
        last = f"{MARK} status {self.asked} "
        text = self.host.ask({"talk": [CONSOLE, f"{self.asked} {command}", last, timeout]},
                             timeout + 30)["text"]
        # What was given up earlier may have answered in front of it.
        lines = [line.strip().partition(MARK + " ")[2] for line in text.splitlines()
                 if MARK + " " in line]
        while any(line.startswith("status ") for line in lines[:-1]):
            lines.pop(0)
        return int(lines[-1].split()[2]), lines[:-1]

    def must(self, command, timeout=90):
        status, lines = self.ask(command, timeout)
        if status:
            raise GuestError(f"'{command}': status {status}: {lines}")
        return lines

    def output(self, command, timeout=90):
        """What the command prints."""
        lines = self.must(f"say $({command})", timeout)
        return lines[-1] if lines else ""

    def hash(self, command):
        """The hash that "sum" or "fill" says, or its error."""
        _, lines = self.ask(command)
        return lines[-1].split()[1] if lines and lines[-1].startswith("hash ") else str(lines)

    def load(self):
        """(rounds, failures) of "load" so far."""
        rounds, failures = self.output("cat /tmp/load").split()
        return int(rounds), int(failures)

    def awaitLoad(self, rounds=2, seconds=60):
        """(rounds that it got on by, failures in all), once these are @rounds or time is up."""
        before, _ = self.load()
        after, failures, end = before, 0, time.monotonic() + seconds
        while after < before + rounds and time.monotonic() < end:
            time.sleep(1)
            after, failures = self.load()
        return after - before, failures

    def report(self):
        return readReport("\n".join(f"{MARK} {line}" for line in self.must("report")))

    def iort(self):
        return base64.b64decode(self.output(
            "base64 /sys/firmware/acpi/tables/IORT | tr -d '\\n'"))

    def powerOff(self, isOff=None, seconds=60):
        """Asks it to end; whether it did, as @isOff says, or without that, libvirt."""
        self.host.ask({"talk": [CONSOLE, "0 say bye; poweroff -f", f"{MARK} bye", 30]}, 60)
        for _ in range(seconds * 2):
            if isOff() if isOff else self.host.virsh("domstate", NAME).stdout.strip() == "shut off":
                return True
            time.sleep(0.5)
        return False


def readReport(text):
    """(sorted names of the SMMUs, {PCI address: Device})."""
    smmus, devices = [], {}
    for line in text.splitlines():
        said = line.strip().partition(MARK + " ")[2]
        found = DEVICE.fullmatch(said)
        if said.startswith("smmu "):
            smmus.append(said.split()[1])
        elif found:
            devices[found[1]] = Device(*found.groups()[1:])
    return sorted(smmus), devices
