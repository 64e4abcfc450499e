# SPDX-License-Identifier: LGPL-2.1-or-later
"""First process of a described host: lays out /sys and /dev from a manifest and starts libvirt.

Run by describedhost.py in mount, PID and network namespaces of its own:
hostinit.py ROOT TREE MANIFEST. A manifest (tests/hosts/NAME.sysfs) need not hold all that libvirt
reads of a PCI device, nor the nodes of devices that were not bound to VFIO when it was recorded;
that is made up here.
"""

import base64
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys

PLAIN_NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9),
              "tty": (5, 0)}
SIOCSIFFLAGS, IFF_UP = 0x8914, 1        # linux/sockios.h, linux/if.h
# Made-up numbers of device nodes that are looked at but never opened.
FAKE_MAJOR = 240
QEMU_CONF = """namespaces = []
cgroup_controllers = []
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
"""
# What the host's programs see; nothing of the caller's environment gets in.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
EMPTY_DIRS = ("sys", "dev", "run", "tmp", "var/lib/libvirt", "var/log/libvirt",
              "var/cache/libvirt", "etc/libvirt")


def parseManifest(path):
    """Returns [(kind, path, value)] with kind dir, text, link or binary."""
    entries = []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            match = re.match(r"(\S+)(?: (=|->|:)(?: (.*))?)?$", line)
            if not match:
                raise SystemExit(f"{path}:{number}: not a manifest line")
            name, mark, value = match.groups()
            value = value or ""
            if mark is None:
                entries.append(("dir", name, None))
            elif mark == "=":
                text = value.encode("utf-8").decode("unicode_escape").encode("latin-1")
                entries.append(("text", name, text + b"\n"))
            elif mark == "->":
                entries.append(("link", name, value))
            else:
                entries.append(("binary", name, base64.b64decode(value)))
    return entries


def writeEntries(root, entries):
    for kind, name, value in entries:
        path = os.path.join(root, name)
        if kind == "dir":
            os.makedirs(path, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if kind == "link":
            os.symlink(value, path)
        else:
            with open(path, "wb") as f:
                f.write(value)


def readHex(path, default=0):
    try:
        with open(path, encoding="ascii") as f:
            return int(f.read(), 16)
    except OSError:
        return default


def makeConfig(directory):
    """PCI Express configuration space for a device that was recorded without it."""
    pciClass = readHex(os.path.join(directory, "class"))
    bridge = pciClass >> 8 == 0x0604
    config = bytearray(4096)
    config[0:2] = readHex(os.path.join(directory, "vendor")).to_bytes(2, "little")
    config[2:4] = readHex(os.path.join(directory, "device")).to_bytes(2, "little")
    config[6] = 0x10                                # status: has a capability list
    config[9:12] = pciClass.to_bytes(3, "little")
    config[14] = 1 if bridge else 0                 # header type
    config[0x34] = 0x40
    config[0x40] = 0x10                             # PCI Express capability, version 2
    config[0x42] = 0x42 if bridge else 0x02         # root port or endpoint
    config[0x44:0x48] = (1 << 28).to_bytes(4, "little")     # function level reset
    return bytes(config)


def addFile(path, data):
    if not os.path.lexists(path):
        with open(path, "wb") as f:
            f.write(data)


def completeDevice(directory):
    """Adds the attributes that libvirt's PCI code reads and a manifest need not hold."""
    addFile(os.path.join(directory, "config"), makeConfig(directory))
    addFile(os.path.join(directory, "resource"), b"0x0 0x0 0x0\n" * 13)
    addFile(os.path.join(directory, "driver_override"), b"(null)\n")


def makeNode(path, major, minor):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.mknod(path, 0o600 | 0o020000, os.makedev(major, minor))
    os.chmod(path, 0o666)


def makeDev(dev, sys_):
    os.symlink("/proc/self/fd", os.path.join(dev, "fd"))
    os.symlink("fd/0", os.path.join(dev, "stdin"))
    os.symlink("pts/ptmx", os.path.join(dev, "ptmx"))
    os.mkdir(os.path.join(dev, "pts"))
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=666", "devpts", os.path.join(dev, "pts"))
    for name, (major, minor) in PLAIN_NODES.items():
        makeNode(os.path.join(dev, name), major, minor)
    makeNode(os.path.join(dev, "net/tun"), 10, 200)
    makeNode(os.path.join(dev, "iommu"), FAKE_MAJOR, 0)
    makeNode(os.path.join(dev, "vfio/vfio"), FAKE_MAJOR, 1)
    groups = os.path.join(sys_, "kernel/iommu_groups")
    for group in sorted(os.listdir(groups)) if os.path.isdir(groups) else []:
        makeNode(os.path.join(dev, "vfio", group), FAKE_MAJOR + 1, int(group))
    devices = os.path.join(sys_, "bus/pci/devices")
    for name in sorted(os.listdir(devices)) if os.path.isdir(devices) else []:
        cdevs = os.path.join(devices, name, "vfio-dev")
        for cdev in os.listdir(cdevs) if os.path.isdir(cdevs) else []:
            makeNode(os.path.join(dev, "vfio/devices", cdev), FAKE_MAJOR + 2, int(cdev[4:]))


def mount(*args):
    subprocess.run(("mount",) + args, check=True)


def layOut(root, tree, manifest):
    mount("--bind", tree, root)
    for name in EMPTY_DIRS:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", os.path.join(root, name))
    mount("-t", "proc", "proc", os.path.join(root, "proc"))
    shutil.copytree(os.path.join(tree, "etc/libvirt"), os.path.join(root, "etc/libvirt"),
                    dirs_exist_ok=True)
    with open(os.path.join(root, "etc/libvirt/qemu.conf"), "w", encoding="ascii") as f:
        f.write(QEMU_CONF)
    for name in ("sys/devices/system", "sys/fs/cgroup"):
        os.makedirs(os.path.join(root, name))
        mount("--bind", "/" + name, os.path.join(root, name))
    # This machine's CPUs and memory stay: libvirt looks much closer at them than a manifest does.
    entries = parseManifest(manifest)
    writeEntries(root, [e for e in entries if e[1].startswith("sys/")
                        and not e[1].startswith("sys/devices/system")])
    addNumaNodes(os.path.join(root, "sys/devices/system/node"), entries)
    devices = os.path.join(root, "sys/bus/pci/devices")
    os.makedirs(devices, exist_ok=True)
    for name in os.listdir(devices):
        completeDevice(os.path.join(devices, name))
    # What the kernel has announced so far: nothing comes or goes here.
    os.makedirs(os.path.join(root, "sys/kernel"), exist_ok=True)
    addFile(os.path.join(root, "sys/kernel/uevent_seqnum"), b"1\n")
    makeDev(os.path.join(root, "dev"), os.path.join(root, "sys"))
    mountHugePages(os.path.join(root, "dev"))


def parseRanges(text):
    """The numbers of a list such as 0-3,8."""
    numbers = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def addNumaNodes(directory, entries):
    """Nodes that are online in the manifest and not here, as copies of this machine's node 0."""
    real = "/sys/devices/system/node"
    online = [value.decode("ascii") for _, name, value in entries
              if name == "sys/devices/system/node/online"]
    missing = {node for text in online for node in parseRanges(text)
               if not os.path.isdir(f"{real}/node{node}")}
    if not missing or not os.path.isdir(f"{real}/node0"):
        return
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", directory)
    for name in os.listdir(real):
        if re.fullmatch(r"node\d+", name):
            copyNode(os.path.join(real, name), os.path.join(directory, name))
    for node in missing:
        copyNode(f"{real}/node0", f"{directory}/node{node}")
        for name, text in (("cpulist", "\n"), ("cpumap", "0\n")):
            with open(f"{directory}/node{node}/{name}", "w", encoding="ascii") as f:
                f.write(text)


def copyNode(source, target):
    os.mkdir(target)
    for name in ("cpulist", "cpumap", "distance", "meminfo", "numastat"):
        with open(os.path.join(source, name), "rb") as f:
            addFile(os.path.join(target, name), f.read())


def mountHugePages(dev):
    """One hugetlbfs per page size that this machine's kernel has, so that libvirt finds them."""
    sizes = "/sys/kernel/mm/hugepages"
    for name in os.listdir(sizes) if os.path.isdir(sizes) else []:
        kib = name.removeprefix("hugepages-").removesuffix("kB")
        path = os.path.join(dev, name)
        os.mkdir(path)
        mount("-t", "hugetlbfs", "-o", f"pagesize={kib}K", "hugetlbfs", path)


def loopbackUp():
    """A graphics server listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def init(root, tree, manifest):
    """Lays out the host, starts libvirt, and ends (with all in the namespace) at end of input."""
    loopbackUp()
    layOut(root, tree, manifest)
    for name in ("virtlogd", "libvirtd"):
        subprocess.Popen(["chroot", root, "/usr/sbin/" + name], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    init(*sys.argv[1:])
