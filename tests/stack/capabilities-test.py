#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What real libvirts say that they can do, asked by viommu host, check and define.

It must be what virsh domcapabilities says, and a domain that viommu refuses for it is one that libvirt refuses. Debian
testing's libvirt knows iommufd, those of Debian 13 and 12 say nothing of it.
"""

import json
import os
import sys
import xml.etree.ElementTree as ElementTree

from beside import viommuBeside
from describedhost import DescribedHost
from golden import emulatable, manifest, ofClass
from serviceclient import REQUEST, domain
from tap import guarded
from tree import olderTree, runOnTree

HOST = "grace"
EMULATOR = "/usr/bin/qemu-system-aarch64"
DEVICES = ("0002:01:00.0", "0006:01:00.0")


def offered(host, kind):
    """The document of that type of guests; None: it refuses them."""
    done = host.virsh("domcapabilities", "--arch", "aarch64", "--machine", "virt", "--virttype", kind)
    return None if done.returncode else ElementTree.fromstring(done.stdout)


def values(document, path):
    """None: it does not say."""
    found = document.find(path)
    return None if found is None else [value.text for value in found.findall("value")]


def testHost(tap, host, name):
    kvm = offered(host, "kvm")
    document = offered(host, "qemu") if kvm is None else kvm
    iommufd = values(document, "devices/hostdev/enum[@name='iommufd']")
    done = viommuBeside(host, HOST, "host", "--format", "json")
    found = json.loads(done.stdout)["libvirt"]
    tap.ok(found["emulator"] == EMULATOR == document.findtext("path") and
           found["machine"] == document.findtext("machine"), f"{name}: the emulator and its machine", found)
    tap.ok(found["kvm"] == (kvm is not None) and (found["reason"] is None) == (kvm is not None),
           f"{name}: whether there is KVM", found)
    tap.ok(found["gicV3"] == ("3" in values(document, "features/gic/enum[@name='version']")),
           f"{name}: whether there is a GICv3", found)
    tap.ok(found["iommufd"] == (None if iommufd is None else "yes" in iommufd), f"{name}: whether there is iommufd",
           found)
    text = viommuBeside(host, HOST, "host").stdout
    tap.ok(f"   emulator: {EMULATOR}, machine {found['machine']}\n" in text, f"{name}: it is in the text", text)
    done = viommuBeside(host, HOST, "check", "--format", "json")
    lines = [one for one in json.loads(done.stdout)["findings"] if "guests of aarch64" in one["title"]]
    tap.ok(not lines if kvm is not None else lines[0]["id"] == "H10" and lines[0]["text"] == found["reason"],
           f"{name}: the check of the host says so", lines)
    return found


def testIommufd(tap, host, name):
    """As on a host whose kernel has none."""
    before = json.loads(viommuBeside(host, HOST, "host", "--format", "json").stdout)["libvirt"]["iommufd"]
    os.rename(host.path("dev/iommu"), host.path("dev/not-iommu"))
    text = domain("offered", 1, (), "<iommu model='smmuv3'><driver accel='on'/></iommu>")
    try:
        done = viommuBeside(host, HOST, "check", "--format", "json", "-", stdin=text)
        now = json.loads(viommuBeside(host, HOST, "host", "--format", "json").stdout)["libvirt"]["iommufd"]
    finally:
        os.rename(host.path("dev/not-iommu"), host.path("dev/iommu"))
    tap.ok((before, now) in ((True, False), (None, None)), f"{name}: without /dev/iommu", before, now)
    found = ofClass(json.loads(done.stdout)["findings"], "H10")
    expected = [("error", "libvirt has no iommufd on its host")] if now is False else []
    tap.ok(found == expected, f"{name}: what check says of an accel vSMMU then", found)


def testDomains(tap, host, name, kvm):
    """Domains for which libvirt lacks something, and one for which it does not."""
    good = domain("offered", 1, DEVICES, REQUEST)
    cases = [("a machine", good.replace("'virt'", "'virt-99'"), "'virt-99' is not supported"),
             ("a machine of its emulator", good.replace("'virt'", "'virt-99'").replace(
                 "<devices>", f"<devices><emulator>{EMULATOR}</emulator>", 1), "'virt-99' is not supported"),
             ("an emulator", good.replace("<devices>", "<devices><emulator>/usr/bin/none-such</emulator>", 1),
              "Cannot check QEMU binary /usr/bin/none-such")]
    if not kvm:
        cases.append(("KVM", good.replace("'qemu'", "'kvm'", 1).replace("'maximum'", "'host-passthrough'"),
                      "'kvm' is not supported"))
    for what, text, words in cases:
        done = viommuBeside(host, HOST, "check", "--format", "json", "-", stdin=text)
        found = ofClass(json.loads(done.stdout)["findings"], "H10")
        # Of an emulator that is not its own libvirt is not asked, as it would run it.
        tap.ok(not found if what == "an emulator" else found[0][0] == "error" and words in found[0][1],
               f"{name}: check of a domain with {what} that libvirt does not have", found, done.stderr)
        done = viommuBeside(host, HOST, "define", "-", stdin=text)
        tap.ok(done.returncode == 1 and words in done.stderr and "H10: libvirt: " in done.stderr and not done.stdout,
               f"{name}: define of one with {what}", done.stderr)
        done = host.virsh("define", "/dev/stdin", stdin=text)
        tap.ok(done.returncode == 1, f"{name}: libvirt refuses one with {what}", done.stdout)
        tap.ok(host.virsh("dominfo", "offered").returncode, f"{name}: nothing is defined")
    done = viommuBeside(host, HOST, "check", "--format", "json", "-", stdin=emulatable(good))
    tap.ok(not ofClass(json.loads(done.stdout)["findings"], "H10"), f"{name}: check of one that it has", done.stdout)
    plain = domain("offered", 1, (), "").replace("'virt'", "'virt-99'")
    done = viommuBeside(host, HOST, "check", "--format", "json", "-", stdin=plain)
    tap.ok(not ofClass(json.loads(done.stdout)["findings"], "H10"), f"{name}: nothing is asked for one without SMMUv3",
           done.stdout)


def testDefine(tap, host, name):
    done = viommuBeside(host, HOST, "define", "-", stdin=domain("offered", 1, DEVICES, REQUEST))
    tap.ok(done.returncode == 0 and host.virsh("dominfo", "offered").returncode == 0,
           f"{name}: define of one that it has", done.stderr)
    host.virsh("undefine", "--nvram", "offered")


def testAll(tap, newest, trixie, bookworm):
    for name, tree in (("Debian testing", newest), ("Debian 13", trixie), ("Debian 12", bookworm)):
        with guarded(tap, name), DescribedHost(tree, manifest(HOST)) as host:
            found = testHost(tap, host, name)
            testIommufd(tap, host, name)
            testDomains(tap, host, name, found["kvm"])
            if tree == newest:
                testDefine(tap, host, name)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll, lambda _: olderTree("trixie"), lambda _: olderTree("bookworm")))
