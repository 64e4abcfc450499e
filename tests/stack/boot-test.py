#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest booted under TCG sees what was planned: the vSMMUs, and behind each its devices.

The domain asks for devices of three pSMMUs of a recorded host. Debian's firmware and kernel
boot on the command line of viommu (with stand-ins, see standins.py) and report what
/sys/class/iommu and the devices' iommu links show.
"""

import collections
import json
import re
import shutil
import sys

from describedhost import DescribedHost
from golden import manifest, viommu
from guestimage import MARK, guestImage
from qemuargs import pairs, words
from standins import provideFiles, withStandIns
from tap import guarded
from tree import runOnTree

HOST = "grace"
SMMUS = 3
DEVICES_EACH = 2
BOOT_SECONDS = 300
BRIDGE_CLASSES = ("0x0600", "0x0604")
FIRMWARE = "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd"
VARIABLES_TEMPLATE = "/usr/share/AAVMF/AAVMF_VARS.fd"
VARIABLES = "/tmp/boot-test-variables.fd"
KERNEL, INITRAMFS = "/tmp/boot-test-kernel", "/tmp/boot-test-initramfs"
CONSOLE = "console=ttyAMA0 quiet panic=-1"
DOMAIN = f"""<domain type='qemu'>
  <name>boot-test</name>
  <uuid>c0f57d53-7f5c-4d23-9c9b-8d2c0d5a6f01</uuid>
  <memory unit='MiB'>1024</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='aarch64' machine='virt'>hvm</type>
    <loader readonly='yes' type='pflash' format='raw'>{FIRMWARE}</loader>
    <nvram template='{VARIABLES_TEMPLATE}' format='raw'>{VARIABLES}</nvram>
  </os>
  <features><acpi/><gic version='3'/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
    <controller type='pci' index='0' model='pcie-root'/>
    %s
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <iommu model='smmuv3' nested='yes'>
      <placement sparePorts='1'/>
    </iommu>
  </devices>
</domain>
"""
HOSTDEV = """<hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x%s' bus='0x%s' slot='0x%s' function='0x%s'/></source>
    </hostdev>"""

GuestDevice = collections.namedtuple("GuestDevice", "bus kind smmu")


def assignable(smmu, members):
    """Addresses of the endpoints behind @smmu that are alone in their IOMMU group."""
    return [device["address"] for device in smmu["devices"]
            if not device["class"].startswith("0x0604") and members[device["group"]] == 1]


def makeDomain():
    host = json.loads(viommu(HOST, "--format", "json", "host"))
    members = collections.Counter(device["group"] for smmu in host["smmus"]
                                  for device in smmu["devices"])
    choice = [assignable(smmu, members)[:DEVICES_EACH] for smmu in host["smmus"]]
    addresses = [address for part in [part for part in choice if part][:SMMUS]
                 for address in part]
    return DOMAIN % "\n    ".join(HOSTDEV % tuple(re.split("[:.]", address))
                                  for address in addresses)


def boot(host, command):
    """Lines that the guest reported, without their mark."""
    kernel, initramfs = guestImage()
    for source, target in ((kernel, KERNEL), (initramfs, INITRAMFS),
                           (host.path(VARIABLES_TEMPLATE[1:]), VARIABLES)):
        shutil.copyfile(source, host.path(target[1:]))
    provideFiles(host, command)
    argv = [word for pair in command for word in pair if word is not None]
    argv += ["-kernel", KERNEL, "-initrd", INITRAMFS, "-append", CONSOLE, "-no-reboot",
             "-chardev", "stdio,id=boot-test", "-serial", "chardev:boot-test"]
    done = host.run("qemu-system-aarch64", *argv, timeout=BOOT_SECONDS)
    lines = [line.strip().partition(MARK + " ")[2] for line in done.stdout.splitlines()
             if MARK + " " in line]
    if "end" not in lines:
        raise RuntimeError(f"the guest did not report: {done.stderr}\n{done.stdout[-2000:]}")
    return lines


def readReport(lines):
    """(names of the guest's SMMUs, {serial: GuestDevice}, [devices without serial])."""
    smmus = [line.split()[1] for line in lines if line.startswith("smmu ")]
    standIns, others = {}, []
    for line in lines:
        match = re.fullmatch(r"device (\S+) (\S+) smmu=(\S*) serial=(\S*)", line)
        if match:
            device = GuestDevice(int(match[1].split(":")[1], 16), match[2], match[3])
            if match[4]:
                standIns[match[4]] = device
            else:
                others.append(device)
    return smmus, standIns, others


def vsmmuProblems(vsmmu, ids, standIns):
    """What the guest shows otherwise of one planned vSMMU, and the SMMUs that it names there."""
    problems, seen = [], set()
    first = vsmmu["busNr"] + 1
    last = vsmmu["busNr"] + len(vsmmu["devices"]) + len(vsmmu["sparePorts"])
    for planned in vsmmu["devices"]:
        source = planned["source"]
        device = standIns.get(ids[source])
        if device is None:
            problems.append(f"the guest has no {ids[source]} ({source})")
            continue
        seen.add(device.smmu)
        if not first <= device.bus <= last:
            problems.append(f"{source} is on guest bus {device.bus}, planned {first} to {last}")
    if len(seen) != 1 or "" in seen:
        problems.append(f"devices of {vsmmu['host']} are behind {sorted(seen)} in the guest")
    return problems, seen


def testAll(tap, tree, _image):
    with guarded(tap, "a guest boots and reports"), DescribedHost(tree, manifest(HOST)) as host:
        domain = makeDomain()
        plan = json.loads(viommu(HOST, "--format", "json", "plan", "-", stdin=domain))
        command, ids = withStandIns(pairs(words(viommu(
            HOST, "--format", "json", "argv", "--full", "-", stdin=domain))))
        smmus, standIns, others = readReport(boot(host, command))
        tap.ok(len(plan["vsmmus"]) == SMMUS, f"{SMMUS} vSMMUs are planned", plan["vsmmus"])
        tap.ok(len(smmus) == SMMUS, "the guest has as many SMMUs as planned", smmus)
        used = []
        for vsmmu in plan["vsmmus"]:
            problems, seen = vsmmuProblems(vsmmu, ids, standIns)
            used += seen
            tap.noProblems(problems, f"the devices of {vsmmu['host']} are behind one SMMU")
        tap.ok(sorted(used) == sorted(smmus), "every vSMMU is another SMMU in the guest", used)
        stray = [device for device in others
                 if device.smmu and not device.kind.startswith(BRIDGE_CLASSES)]
        tap.noProblems(stray, "no other device of the guest is behind an SMMU")


if __name__ == "__main__":
    sys.exit(runOnTree(testAll, lambda _: guestImage()))
