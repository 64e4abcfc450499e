# SPDX-License-Identifier: LGPL-2.1-or-later
"""A kernel and an initramfs for the booted guest: Debian's arm64 cloud kernel and busybox.

Fetched once into the cache and unpacked there, never installed. That kernel has the NVMe driver
built in, so no modules are needed. The initramfs reports every PCI
device, the SMMU that translates it and the serial number of its NVMe controller, then powers off.
"""

import os
import shutil

from aptsource import ForeignArchive, Unavailable
from cpio import newc
from tree import SUITE, cached

KERNEL = "linux-image-cloud-arm64"
BUSYBOX = "busybox-static"
# One word starts every line that the test reads; the console carries other text too.
MARK = "viommu-guest"
INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
settle=0
while [ $settle -lt 50 ]; do
    /bin/busybox grep -qs -v -x live /sys/class/nvme/*/state || break
    /bin/busybox sleep 0.2
    settle=$((settle + 1))
done
for smmu in /sys/class/iommu/*; do
    echo "{MARK} smmu ${{smmu##*/}}"
done
for device in /sys/bus/pci/devices/*; do
    smmu=$(/bin/busybox readlink "$device/iommu")
    serial=
    for nvme in "$device"/nvme/nvme*; do
        read -r serial 2>/dev/null < "$nvme/serial"
    done
    read -r class < "$device/class"
    echo "{MARK} device ${{device##*/}} $class smmu=${{smmu##*/}} serial=$serial"
done
echo "{MARK} end"
/bin/busybox poweroff -f
"""


def _initramfs(work):
    with open(os.path.join(work, "usr/bin/busybox"), "rb") as f:
        busybox = f.read()
    program = 0o100755
    return newc({"bin": (0o040755, None), "bin/busybox": (program, busybox),
                 "init": (program, INIT.encode("ascii"))})


def _build(directory):
    archive = ForeignArchive(os.path.join(directory, "apt"), SUITE, "arm64")
    work = os.path.join(directory, "work")
    os.mkdir(work)
    image = archive.dependency(KERNEL, "linux-image-")
    archive.unpack(archive.dependency(image, "linux-binary-"), work)
    archive.unpack(BUSYBOX, work)
    for folder, _, names in os.walk(work):
        for name in names:
            if name.startswith("vmlinuz"):
                shutil.copyfile(os.path.join(folder, name), os.path.join(directory, "kernel"))
    if not os.path.exists(os.path.join(directory, "kernel")):
        raise Unavailable(f"package {image} holds no kernel")
    with open(os.path.join(directory, "initramfs"), "wb") as f:
        f.write(_initramfs(work))
    shutil.rmtree(work)
    shutil.rmtree(os.path.join(directory, "apt"))


def guestImage():
    """(kernel, initramfs) as paths; raises Unavailable with the reason."""
    directory = cached("guest", (SUITE, KERNEL, BUSYBOX, INIT), _build)
    return os.path.join(directory, "kernel"), os.path.join(directory, "initramfs")
