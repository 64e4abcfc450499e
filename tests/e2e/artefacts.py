#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the emulated host is made of, all from Debian's archive: a kernel, a file system, viommu.

Each part is built once and kept in the cache under a name made from its inputs (tree.py). Run as a
program it builds all of them, and says how long each took: artefacts.py SOURCE BUILD.

Where a function takes a @suite, the host is of that suite of Debian: SUITE, or OLDER with its libvirt, and QEMU of its
backports.
"""

import fcntl
import glob
import os
import shutil
import subprocess
import sys
import time

import stackpath  # noqa: F401, the modules of tests/stack
from aptsource import ForeignArchive, Unavailable, findProgram
from tree import SUITE, cached, debianTree, stackTree

HERE = os.path.dirname(os.path.abspath(__file__))
ARCH, TRIPLET = "arm64", "aarch64-linux-gnu"
# The emulated host, and below it what viommu is compiled against.
PACKAGES = ("base-files", "base-passwd", "bash", "busybox-static", "coreutils", "dash", "findutils",
            "grep", "kmod", "mawk", "mount", "procps", "python3-minimal", "sed", "util-linux",
            "libvirt-clients", "libvirt-daemon", "libvirt-daemon-driver-qemu", "qemu-efi-aarch64",
            "qemu-system-arm", "libglib2.0-dev", "libjson-glib-dev", "libsystemd-dev", "libvirt-dev",
            "libxml2-dev")
OLDER, BACKPORTS = "trixie", ("qemu",)
KERNEL_SOURCE, STOCK_KERNEL = "linux-source", "linux-image-cloud-arm64"
# Of the tree, what the emulated host does without.
LEFT_OUT = ("usr/include", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache",
            "usr/lib/systemd", f"usr/lib/{TRIPLET}/*.a")
FIRMWARE = ("AAVMF_CODE.no-secboot.fd", "AAVMF_VARS.fd")
# What the packages' own scripts would have made (libvirt-daemon-system's, qemu-system-common's).
USERS = {"passwd": "libvirt-qemu:x:64055:64054::/var/lib/libvirt:/bin/false\n",
         "group": "kvm:x:64054:\nlibvirt-qemu:x:64055:libvirt-qemu\n"}
LINKS = {"usr/bin/awk": "mawk", "var/run": "../run", "var/lock": "../run/lock"}
DIRECTORIES = ("dev", "proc", "sys", "run", "tmp", "t", "root", "var/lib/libvirt/qemu/nvram",
               "var/log/libvirt/qemu", "var/cache/libvirt/qemu")
QEMU_CONF = """security_driver = "none"
stdio_handler = "file"
"""
# The rest is on the second disk, which is made anew at every start.
FIRST_INIT = """#!/bin/sh
[ -e /dev/vdb ] || /bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t ext4 /dev/vdb /t || /bin/busybox poweroff -f
exec /bin/sh /t/host-init
"""
IMAGE_SIZE = "2G"


def run(argv, what, log, **kwargs):
    """A long build: its output goes into the file @log, whose end is the reason if it fails."""
    with open(log, "ab") as f:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f, **kwargs)
    if done.returncode:
        with open(log, encoding="utf-8", errors="replace") as f:
            raise RuntimeError(f"{what} failed:\n{f.read()[-3000:]}")


def local(*argv):
    """A step that nothing but this machine can fail."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")


def _buildKernel(directory):
    archive = ForeignArchive(os.path.join(directory, "apt"), SUITE, ARCH)
    source = archive.dependency(KERNEL_SOURCE, KERNEL_SOURCE + "-")
    archive.unpack(source, os.path.join(directory, "package"))
    (tar,) = glob.glob(os.path.join(directory, "package/usr/src/*.tar.xz"))
    log = os.path.join(directory, "log")
    run(["tar", "-C", directory, "-xf", tar], "unpacking the kernel's source", log)
    tree = os.path.join(directory, source)
    make = ["make", "-C", tree, f"-j{os.cpu_count()}", f"ARCH={ARCH}", f"CROSS_COMPILE={TRIPLET}-"]
    config = os.path.join(HERE, "kernel.config")
    run(make + [f"KCONFIG_ALLCONFIG={config}", "allnoconfig"], "configuring the kernel", log)
    checkConfig(config, os.path.join(tree, ".config"))
    run(make + ["Image"], "building the kernel", log)
    shutil.copyfile(os.path.join(tree, f"arch/{ARCH}/boot/Image"), os.path.join(directory, "Image"))
    for name in ("apt", "package", source):
        shutil.rmtree(os.path.join(directory, name))


def checkConfig(asked, got):
    """Linux drops options whose conditions are not met, without a word."""
    with open(got, encoding="utf-8") as f:
        there = set(f.read().splitlines())
    with open(asked, encoding="utf-8") as f:
        missing = [line for line in f.read().splitlines()
                   if line.startswith("CONFIG_") and line not in there]
    if missing:
        raise RuntimeError("the kernel drops " + ", ".join(missing))


def kernel():
    """The kernel of the emulated host and of its guests."""
    for tool in (TRIPLET + "-gcc", "flex", "bison", "bc", "make", "xz"):
        findProgram(tool)
    with open(os.path.join(HERE, "kernel.config"), encoding="utf-8") as f:
        return os.path.join(cached("e2e-kernel", (SUITE, KERNEL_SOURCE, f.read()), _buildKernel),
                            "Image")


def _buildStockKernel(directory):
    archive = ForeignArchive(os.path.join(directory, "apt"), SUITE, ARCH)
    image = archive.dependency(STOCK_KERNEL, "linux-image-")
    for part in ("linux-binary-", "linux-modules-"):
        package = os.path.join(directory, part)
        archive.unpack(archive.dependency(image, part), package)
        local("cp", "-a", f"{package}/usr/lib", directory)
        shutil.rmtree(package)
    (version,) = os.listdir(os.path.join(directory, "lib/modules"))
    local(findProgram("depmod"), "-b", directory, version)
    shutil.rmtree(os.path.join(directory, "apt"))


def stockKernel():
    """Debian's own kernel: the directory that has its image, vmlinuz, and its modules."""
    (version,) = glob.glob(os.path.join(cached("e2e-stock", (SUITE, STOCK_KERNEL), _buildStockKernel),
                                        "lib/modules/*"))
    return version


def _buildTree(directory):
    debianTree(directory, PACKAGES, "--variant=extract", "--arch=" + ARCH, "--skip=check/qemu")


def _buildOlder(directory):
    debianTree(directory, PACKAGES, "--variant=extract", "--arch=" + ARCH, "--skip=check/qemu", suite=OLDER,
               preferred=BACKPORTS)


def tree(suite=SUITE):
    """The packages of the emulated host, unpacked. Nothing of them has run."""
    if suite == SUITE:
        return cached("e2e-tree", (SUITE, PACKAGES), _buildTree)
    return cached("e2e-tree", (OLDER, PACKAGES, BACKPORTS), _buildOlder)


def _prune(root):
    for pattern in LEFT_OUT:
        for path in glob.glob(os.path.join(root, pattern)):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    for path in glob.glob(os.path.join(root, "usr/share/AAVMF/*")):
        if os.path.basename(path) not in FIRMWARE:
            os.unlink(path)


def _complete(root):
    for name in DIRECTORIES:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    for name, target in LINKS.items():
        if os.path.isdir(os.path.join(root, name)):
            os.rmdir(os.path.join(root, name))
        os.symlink(target, os.path.join(root, name))
    for name, users in USERS.items():
        with open(os.path.join(root, f"usr/share/base-passwd/{name}.master"), encoding="ascii") as f:
            text = f.read() + users
        with open(os.path.join(root, f"etc/{name}"), "w", encoding="ascii") as f:
            f.write(text)
    with open(os.path.join(root, "etc/libvirt/qemu.conf"), "w", encoding="ascii") as f:
        f.write(QEMU_CONF)
    init = os.path.join(root, "e2e-init")
    with open(init, "w", encoding="ascii") as f:
        f.write(FIRST_INIT)
    os.chmod(init, 0o755)


def makeDisk(path, directory, size):
    """An ext4 image with the files of @directory."""
    local(findProgram("mke2fs"), "-q", "-t", "ext4", "-O", "^has_journal", "-d", directory, path, size)


def image(suite=SUITE):
    """The first disk of the emulated host; it is not written to."""
    def build(directory):
        root = os.path.join(directory, "root")
        local("cp", "-a", "--reflink=auto", tree(suite), root)
        _prune(root)
        _complete(root)
        makeDisk(os.path.join(directory, "host.img"), root, IMAGE_SIZE)
        shutil.rmtree(root)

    inputs = (tree(suite), LEFT_OUT, FIRMWARE, USERS, LINKS, DIRECTORIES, QEMU_CONF, FIRST_INIT)
    return os.path.join(cached("e2e-image", inputs, build), "host.img")


PROGRAMS = ("tools/viommu", "src/daemon/viommud", "src/daemon/viommu-stdio", "src/daemon/viommu-hook")
CROSS_FILE = """[binaries]
c = '{triplet}-gcc'
ar = '{triplet}-ar'
strip = '{triplet}-strip'
pkgconfig = 'pkg-config'

[properties]
sys_root = '{tree}'
pkg_config_libdir = ['{tree}/usr/lib/{triplet}/pkgconfig', '{tree}/usr/share/pkgconfig']

[built-in options]
c_args = ['--sysroot={tree}', '-isystem', '{tree}/usr/include/{triplet}', '-isystem', '{tree}/usr/include']
c_link_args = ['--sysroot={tree}', '-L{tree}/usr/lib/{triplet}']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""


def programs(source, build, suite=SUITE):
    """{name: path} of our programs for arm64, compiled from @source in a directory of its own below @build."""
    for tool in (TRIPLET + "-gcc", TRIPLET + "-ar", "meson", "ninja", "pkg-config"):
        findProgram(tool)
    directory = os.path.join(build, "arm64" if suite == SUITE else f"arm64-{suite}")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _compile(source, directory, tree(suite), os.path.join(directory, "log"))


def _compile(source, directory, root, log):
    cross, made = os.path.join(directory, "cross.ini"), os.path.join(directory, "meson")
    text, before = CROSS_FILE.format(triplet=TRIPLET, tree=root), None
    if os.path.exists(cross):
        with open(cross, encoding="utf-8") as f:
            before = f.read()
    if text != before or not os.path.exists(os.path.join(made, "build.ninja")):
        shutil.rmtree(made, ignore_errors=True)
        with open(cross, "w", encoding="utf-8") as f:
            f.write(text)
        run(["meson", "setup", "--cross-file", cross, made, source], "configuring viommu for arm64", log)
    run(["ninja", "-C", made] + list(PROGRAMS), "building viommu for arm64", log)
    return {os.path.basename(path): os.path.join(made, path) for path in PROGRAMS}


PARTS = {"tree with QEMU": stackTree, "kernel": kernel, "stock kernel": stockKernel,
         "packages of the host": tree, "disk of the host": image}
OLDER_PARTS = {f"packages of the {OLDER} host": lambda: tree(OLDER), f"disk of the {OLDER} host": lambda: image(OLDER)}


def everything(older=False):
    """Builds what is not there yet, with @older for the host of that suite, too; raises Unavailable if something
    cannot be had."""
    for make in {**PARTS, **(OLDER_PARTS if older else {})}.values():
        make()


def main(source, build):
    start = time.monotonic()
    for name, make in {**PARTS, "viommu for arm64": lambda: programs(source, build), **OLDER_PARTS,
                       f"viommu for {OLDER} arm64": lambda: programs(source, build, OLDER)}.items():
        before = time.monotonic()
        try:
            make()
        except Unavailable as reason:
            print(f"{name}: cannot be had: {reason}")
            return 0
        print(f"{name}: {time.monotonic() - before:.0f} s", flush=True)
    print(f"all: {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
