# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: hosts and devices that cannot, and who says so when."""

import lzma
import os

import artefacts
from classes import ONE, of, smmu
from cpio import newc
from guest import NAME, REQUEST, domain, hostdev
from world import givenBack

STOCK_INIT = b"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox insmod /virtio_blk.ko
while [ ! -e /dev/vda ] || [ ! -e /dev/vdb ]; do /bin/busybox usleep 100000; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -o move /dev /root/dev
exec /bin/busybox switch_root /root /e2e-init
"""


def stockInitramfs(modules):
    """Debian's kernel needs a module to find its root."""
    with lzma.open(os.path.join(modules, "kernel/drivers/block/virtio_blk.ko.xz")) as f:
        module = f.read()
    with open(os.path.join(artefacts.tree(), "usr/bin/busybox"), "rb") as f:
        busybox = f.read()
    return newc({"bin": (0o040755, None), "dev": (0o040755, None), "root": (0o040755, None),
                 "bin/busybox": (0o100755, busybox), "virtio_blk.ko": (0o100644, module),
                 "init": (0o100755, STOCK_INIT)})


def stockKernel():
    """Arguments of World for a host with Debian's own kernel."""
    modules = artefacts.stockKernel()
    return {"kernel": os.path.join(modules, "vmlinuz"), "initramfs": stockInitramfs(modules),
            "files": {"modules": os.path.dirname(modules)}}


def has(findings, id, severity, words, remedy):
    return any(finding["id"] == id and finding["severity"] == severity and words in finding["text"]
               and remedy in finding["remedy"] for finding in findings)


def refused(tap, world, name, serial, id, words, remedy):
    """viommu check and define say @id, and libvirt never hears of the domain."""
    xml = domain([hostdev(world.address(serial)), REQUEST])
    status, findings = world.check(xml)
    tap.ok(status == 1 and has(findings, id, "error", words, remedy),
           f"{name}: viommu check says {id}, with a remedy", findings)
    done = world.define(xml)
    tap.ok(done.returncode == 1 and f"{id}: " in done.stderr and words in done.stderr,
           f"{name}: viommu define says it too", done.stdout, done.stderr)
    domains = world.host.virsh("list", "--all", "--name")
    tap.ok(domains.returncode == 0 and NAME not in domains.stdout, f"{name}: nothing is defined",
           domains.stdout, domains.stderr)
    world.tidy()


def startFails(tap, world, name, words, serial):
    """libvirt takes the domain, and starting it ends with these words."""
    done = world.host.virsh("start", NAME)
    tap.ok(done.returncode != 0 and words in done.stderr, f"{name}: starting it ends with '{words}'",
           done.stderr)
    givenBack(tap, world, name, [serial])
    world.tidy()


def unprobed(words):
    """An SMMU that cannot nest, which only its registers would say: viommu knows that it does not know."""
    def scenario(tap, world, name):
        xml = domain([hostdev(world.address("B0")), REQUEST])
        status, findings = world.check(xml)
        tap.ok(status == 0 and has(findings, "V15", "note", "is not known", "'--probe'"),
               f"{name}: viommu check says that nesting is not known", findings)
        done = world.define(xml)
        tap.ok(done.returncode == 0, f"{name}: viommu define", done.stderr)
        startFails(tap, world, name, words, "B0")
    return scenario


def sharedGroup(tap, world, name):
    refused(tap, world, name, "BS", "V16", "shares IOMMU group", "alone in its group")


def noSMMU(tap, world, name):
    refused(tap, world, name, "N0", "V02", "is behind no IOMMU", "viommu host")


def noIommufd(tap, world, name):
    refused(tap, world, name, "B0", "H03", "the host has no /dev/iommu", "CONFIG_IOMMUFD")
    done = world.host.viommu("check")
    tap.ok(done.returncode == 1 and "there is no /dev/iommu" in done.stdout,
           f"{name}: viommu check of the host says it", done.stdout)
    # As udev would have done, so that it is not for want of VFIO.
    world.host.sh("modprobe vfio-pci")
    xml = of(*ONE, smmu(1))(world)
    done = world.host.virsh("define", "/dev/stdin", stdin=xml)
    tap.ok(done.returncode == 0, f"{name}: libvirt defines such a domain", done.stderr)
    startFails(tap, world, name, "cannot open VFIO device /dev/vfio/devices/vfio", "B0")


# By the host that they need.
ON_NESTING = {"shared-group": sharedGroup, "no-smmu": noSMMU}
ON_STOCK = {"stock-kernel": noIommufd}
ON_NO_CANWBS = {"no-canwbs": unprobed("IOMMU_VIOMMU_ALLOC failed: Operation not supported")}
ON_NO_STAGE2 = {"no-stage-2": unprobed("Failed to allocate hwpt: Operation not supported")}
