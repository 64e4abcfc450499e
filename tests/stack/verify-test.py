#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""viommu verify of a domain under TCG, by this machine's client library and the libvirt and QEMU of the tree.

There are no host devices under TCG, so that what counts here is the way: the domain that is looked up, the monitor,
the walk through a real QEMU with vSMMUs in it, and what is said where that cannot be.
"""

import json
import os
import subprocess
import sys
import time

from describedhost import DescribedHost
from golden import manifest
from hostlibvirtd import Libvirtd
from tap import guarded
from tree import runOnTree

HOST = "grace"
NAME, UUID = "verified", "5d3f4a1e-0000-4000-8000-000000000007"
LOG = f"var/log/libvirt/qemu/{NAME}.log"
DOMAIN = f"""<domain type='qemu'>
  <name>{NAME}</name>
  <uuid>{UUID}</uuid>
  <memory unit='MiB'>64</memory>
  <os><type arch='aarch64' machine='virt'>hvm</type></os>
  <devices>
    <controller type='pci' index='1' model='pcie-expander-bus'><target busNr='200'/></controller>
    <controller type='pci' index='2' model='pcie-root-port'><address type='pci' bus='1' slot='0'/></controller>
    <controller type='pci' index='3' model='pcie-expander-bus'><target busNr='100'/></controller>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend><address type='pci' bus='2' slot='0'/></rng>
    <iommu model='smmuv3'><driver pciBus='1'/></iommu>
    <iommu model='smmuv3'><driver pciBus='3'/></iommu>
  </devices>
</domain>
"""
# The numbers of the first and of the second expander bus, what is found, and QEMU's words if it does not start.
NUMBERS = (
    (254, 100, "", ""),
    (200, 201, "expander bus 'pci.1' needs 2 bus numbers from 200 on, up to 201, but expander bus 'pci.3' begins at 201", ""),
    (100, 254, "", ""),
    (100, 1, "expander bus 'pci.3' begins at 1, but 'pcie.0' needs the bus numbers up to 1", ""),
    (200, 200, "", "Bus 200 is already in use"),
)
# viommu gives QEMU 20 seconds.
LATE_SECONDS = 40


class Cases:
    def __init__(self, tap, host):
        self.tap, self.host = tap, host
        self.uri = f"qemu+unix:///system?socket={host.path('run/libvirt/libvirt-sock')}"

    def verify(self, domain=NAME, *options):
        begin = time.monotonic()
        done = subprocess.run([os.environ["VIOMMU"], "--host", manifest(HOST), "--connect", self.uri, "verify", domain,
                               *options], capture_output=True, text=True, timeout=120, check=False)
        return done, time.monotonic() - begin

    def refused(self, status, words, domain, name):
        done, _ = self.verify(domain)
        self.tap.ok(done.returncode == status and not done.stdout and words in done.stderr, name, done)

    def running(self):
        for domain in (NAME, UUID, self.host.virsh("domid", NAME).stdout.strip()):
            done, seconds = self.verify(domain)
            self.tap.ok(done.returncode == 0 and done.stdout == f"No host devices in {domain}\n",
                        f"the domain is found as '{domain}'", done)
        self.tap.note(f"a walk takes {seconds:.2f} s")
        done, _ = self.verify(NAME, "--format", "json")
        self.tap.ok(json.loads(done.stdout) == {"version": 1, "devices": [], "findings": []}, "JSON", done)
        with open(self.host.path(LOG), encoding="utf-8", errors="replace") as f:
            said = f.read()
        self.tap.ok(said.count("custom-monitor") == 1, "libvirt taints the domain, once", said)
        state = self.host.virsh("domstate", NAME).stdout.strip()
        self.tap.ok(state == "running", "it runs on", state)

    def numbered(self, first, second, found, words):
        """What is found of a guest with these bus numbers, or why it does not start; a port stands on pcie.0."""
        name = f"bus numbers {first} and {second}"
        xml = DOMAIN.replace("'100'", f"'{second}'", 1).replace("'200'", f"'{first}'", 1).replace(
            "<rng ", "<controller type='pci' index='4' model='pcie-root-port'/><rng ")
        self.host.virsh("define", "/dev/stdin", stdin=xml)
        started = self.host.virsh("start", NAME)
        if words:
            self.tap.ok(started.returncode != 0 and words in started.stderr, f"{name}: QEMU does not start", started)
            return
        done, _ = self.verify(NAME, "--format", "json")
        self.host.virsh("destroy", NAME)
        said = [(finding["id"], finding["severity"], finding["text"])
                for finding in json.loads(done.stdout)["findings"]]
        self.tap.ok(done.returncode == bool(found) and said == ([("V10", "error", found)] if found else []),
                    f"{name}: {'V10' if found else 'nothing'} is found", started, done)

    def standing(self):
        pid = self.host.run("cat", f"/run/libvirt/qemu/{NAME}.pid").stdout.strip()
        self.host.run("sh", "-c", f"kill -STOP {pid}")
        try:
            done, seconds = self.verify()
        finally:
            self.host.run("sh", "-c", f"kill -CONT {pid}")
        self.tap.ok(done.returncode == 3 and not done.stdout and "gives no answer" in done.stderr
                    and seconds < LATE_SECONDS, f"a QEMU that stands still is given up ({seconds:.0f} s)", done)
        done, _ = self.verify()
        self.tap.ok(done.returncode == 0, "when it goes on it is looked at as before", done)

    def all(self):
        self.host.virsh("define", "/dev/stdin", stdin=DOMAIN)
        self.refused(1, "is not running: start it, or give its XML to 'viommu check'", NAME, "a domain that does not run")
        self.refused(1, "no-such-domain", "no-such-domain", "a domain that there is not")
        done = self.host.virsh("start", NAME)
        self.tap.ok(done.returncode == 0, "QEMU starts with two vSMMUs", done)
        with guarded(self.tap, "a domain that runs"):
            self.running()
        with guarded(self.tap, "a QEMU that stands still"):
            self.standing()
        self.host.virsh("destroy", NAME)
        for case in NUMBERS:
            with guarded(self.tap, f"bus numbers {case[:2]}"):
                self.numbered(*case)
        Libvirtd(self.host).end()
        self.refused(3, "cannot connect to libvirt", NAME, "no libvirt")


def testAll(tap, tree):
    with guarded(tap, f"described host {HOST}"), DescribedHost(tree, manifest(HOST)) as host:
        Cases(tap, host).all()


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
