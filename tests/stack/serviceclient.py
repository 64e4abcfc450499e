# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh between a test and the service, and domains that ask for nested SMMUs under TCG.

libvirt takes an aarch64 domain only as type 'qemu' here. viommu gives such a domain the same
topology, with emulated vSMMUs; those that have no passed-through device can be started.
"""

import contextlib
import os
import pty
import re
import select
import subprocess
import time

from domainxml import METADATA, USER_ALIAS, parse, placementParts, show
from golden import ViommuError, viommu

# What a Client is of besides its host, without any of ours.
DIRECT = ("libvirt alone", "qemu:///system", "qemu:///system")
TERMINAL_SECONDS = 120
UUID = "0a1b2c3d-0000-4000-8000-0000000000%02x"
# A running domain may lock no more memory than libvirt itself, which could not raise the limit.
DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>256</memory>
  <memtune><hard_limit unit='KiB'>64</hard_limit></memtune>
  <vcpu>1</vcpu>
  <os firmware='efi'>
    <type arch='aarch64' machine='virt'>hvm</type>
    <firmware><feature enabled='no' name='secure-boot'/></firmware>
  </os>
  <features><acpi/><gic version='3'/></features>
  <cpu mode='maximum'/>
  <devices>
    <serial type='pty'/>
    <graphics type='vnc' port='-1' autoport='yes'/>
    <video><model type='ramfb'/></video>
{devices}
    {iommu}
  </devices>
</domain>
"""
HOSTDEV = """    <hostdev mode='subsystem' type='pci' managed='no'>
      <source><address domain='0x{}' bus='0x{}' slot='0x{}' function='0x{}'/></source>
    </hostdev>"""
PLAIN = "<iommu model='smmuv3'/>"
REQUEST = "<iommu model='smmuv3' nested='yes'/>"
# A vSMMU for every pSMMU, and a free port below each.
REQUEST_ALL = """<iommu model='smmuv3' nested='yes'>
      <placement smmus='all' sparePorts='1'/>
    </iommu>"""


def hostdev(address):
    return HOSTDEV.format(*re.split("[:.]", address))


def domain(name, number, devices=(), iommu=REQUEST):
    """The XML of a domain; @number makes its UUID."""
    return DOMAIN.format(name=name, uuid=UUID % number, iommu=iommu,
                         devices="\n".join(map(hostdev, devices)))


class Client:
    """virsh in a host. @shape is what stands between it and libvirt, in words."""

    def __init__(self, host, shape, uri, readOnlyUri):
        self.host = host
        self.shape = shape
        self.uri = uri
        self.readOnlyUri = readOnlyUri

    def virsh(self, *args, stdin=None):
        return self.host.virsh("-c", self.uri, *args, stdin=stdin)

    def ask(self, *args, stdin=None):
        """What virsh prints; raises ViommuError with its words if it fails."""
        done = self.virsh(*args, stdin=stdin)
        if done.returncode:
            raise ViommuError(f"virsh {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def define(self, xml, *options):
        self.ask("define", *options, "/dev/stdin", stdin=xml)

    def dump(self, name):
        return self.ask("dumpxml", "--inactive", name)

    def remove(self, name):
        """Whatever is left of that domain, at the end of a test that may have failed."""
        host = self.host
        host.virsh("destroy", name)
        host.virsh("undefine", "--nvram", "--managed-save", "--snapshots-metadata", name)

    @contextlib.contextmanager
    def defined(self, xml, *options):
        """For a while there is this domain; gives its name."""
        name = parse(xml).findtext("name")
        try:
            self.define(xml, *options)
            yield name
        finally:
            self.remove(name)

    @contextlib.contextmanager
    def running(self, xml):
        """The same, started and paused before its first instruction."""
        with self.defined(xml) as name:
            self.ask("start", "--paused", name)
            yield name


def completed(host, manifestName, xml):
    """What libvirt alone makes of the output of `viommu expand`."""
    direct = Client(host, *DIRECT)
    with direct.defined(viommu(manifestName, "expand", "-", stdin=xml)) as name:
        return direct.dump(name)


def placement(xml):
    """All of a domain that is placement, as lines to compare; without libvirt's own aliases."""
    parts = placementParts(parse(xml))
    for part in parts:
        for alias in part.findall("alias"):
            if not alias.get("name").startswith(USER_ALIAS):
                part.remove(alias)
                part.text = part.text if len(part) else None
    return sorted(map(show, parts))


def ports(xml):
    """{pSMMU: [index of each root port for it]} as an expanded domain notes it."""
    return {vsmmu.get("smmu"): [int(port.get("controller")) for port in vsmmu]
            for vsmmu in parse(xml).iter(f"{METADATA}vsmmu")}


class Terminal:
    """A virsh with a terminal before it, and what that shows."""

    def __init__(self, client, *args):
        self.command = client.host.command("virsh", "-q", "-c", client.uri, *args)
        self.text = ""

    def __enter__(self):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(**self.command, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        return self

    def waitFor(self, words, typed=b""):
        """Reads until @words are there, typing in between; False if virsh or time ends before."""
        deadline = time.monotonic() + TERMINAL_SECONDS
        while words not in self.text and time.monotonic() < deadline:
            if not select.select([self.master], [], [], 1)[0]:
                os.write(self.master, typed)
                continue
            try:
                self.text += os.read(self.master, 4096).decode("utf-8", "replace")
            except OSError:     # nobody has the terminal open any more
                break
        return words in self.text

    def __exit__(self, *unused):
        os.close(self.master)
        self.process.kill()
        self.process.wait()
