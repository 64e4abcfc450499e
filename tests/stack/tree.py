# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian tree with the libvirt and QEMU that the stack tests measure against.

Built once with mmdebstrap and kept in the cache directory under a name made from its inputs, so a
change of suite, packages or RECIPE makes a new one. A tree appears there whole (built aside and
renamed) or not at all.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile

from aptsource import Unavailable, findProgram, passedOnOptions, runTool, sourceLine
from tap import Tap, skipAll

# Raise when the way of building changes, so that old trees are not used.
RECIPE = 1
SUITE = "forky"
PACKAGES = ("libvirt-daemon-driver-qemu", "libvirt-daemon-system", "libvirt-clients",
            "qemu-system-arm", "qemu-efi-aarch64", "qemu-utils", "ipxe-qemu", "python3-libvirt",
            "swtpm", "virtiofsd", "virtinst", "polkitd")


def cacheDir():
    """VIOMMU_CACHE, else viommu below the user's cache directory; created if needed."""
    path = os.environ.get("VIOMMU_CACHE")
    if not path:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        path = os.path.join(base, "viommu")
    os.makedirs(path, exist_ok=True)
    return os.path.abspath(path)


def cached(kind, inputs, build):
    """The directory KIND-KEY of the cache; build(directory) fills a new one first.

    One process builds at a time. A half-built directory is never seen: it gets its name last.
    """
    key = hashlib.sha256(repr((kind, RECIPE) + tuple(inputs)).encode()).hexdigest()[:16]
    cache = cacheDir()
    path = os.path.join(cache, f"{kind}-{key}")
    with open(os.path.join(cache, f"{kind}.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(path):
            return path
        with _halfBuilt(cache, kind) as work:
            build(work)
            os.rename(work, path)
    return path


@contextlib.contextmanager
def _halfBuilt(cache, kind):
    for name in os.listdir(cache):
        if name.startswith(f"{kind}-") and name.endswith(".new"):
            shutil.rmtree(os.path.join(cache, name))
    work = tempfile.mkdtemp(prefix=f"{kind}-", suffix=".new", dir=cache)
    os.chmod(work, 0o755)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


# Older ones: Debian 13 with the QEMU of its backports, and Debian 12 as it is.
OLDER = {
    "trixie": (("libvirt-daemon-driver-qemu", "libvirt-daemon-system", "libvirt-clients", "qemu-efi-aarch64",
                "ipxe-qemu"), ("qemu-system-arm", "qemu-utils")),
    "bookworm": (("libvirt-daemon-driver-qemu", "libvirt-daemon-system", "libvirt-clients", "qemu-efi-aarch64",
                  "ipxe-qemu", "qemu-system-arm", "qemu-utils"), ()),
}


def _preferring(suite, sources):
    """Options of mmdebstrap."""
    pins = "".join(f"Package: src:{name}\\nPin: release n={suite}-backports\\nPin-Priority: 900\\n\\n" for name in sources)
    return [f"--setup-hook=printf '{pins}' >\"$1/etc/apt/preferences.d/backports\""] if sources else []


def debianTree(directory, packages, *options, suite=SUITE, backports=(), preferred=()):
    """Makes a tree of these packages of @suite with mmdebstrap, and @backports of its backports.

    Where nothing of the tree can run, @preferred says it instead: source packages that are taken of the backports.
    """
    passed = [f'--aptopt={name} "{value}"' for name, value in passedOnOptions()]
    lines = [sourceLine(suite)] + ([sourceLine(f"{suite}-backports")] if backports or preferred else [])
    # The rest stays of @suite, so that they come after it; nothing starts there.
    install = (f"apt-get -qq -y -t {suite}-backports --no-install-recommends install " + " ".join(backports))
    hooks = ["--customize-hook=printf '#!/bin/sh\\nexit 101\\n' >\"$1/usr/sbin/policy-rc.d\"; "
             f"chmod 755 \"$1/usr/sbin/policy-rc.d\"; chroot \"$1\" {install}"] if backports else []
    runTool([findProgram("mmdebstrap"), "--mode=root", "--format=directory",
             "--include=" + ",".join(packages)] + passed + hooks + _preferring(suite, preferred)
            + list(options) + [suite, directory] + lines,
            f"cannot build the Debian {suite} tree")


def _buildTree(directory):
    debianTree(directory, PACKAGES, "--variant=minbase")


def _buildOlder(suite):
    packages, backports = OLDER[suite]
    return lambda directory: debianTree(directory, packages, "--variant=minbase", suite=suite, backports=backports)


def olderTree(suite):
    """Path of the tree of one of OLDER, where stackTree() can be had."""
    return cached(suite, (suite, OLDER[suite]), _buildOlder(suite))


def stackTree():
    """Path of the tree; raises Unavailable with the reason when it cannot be built here."""
    if os.geteuid() != 0:
        raise Unavailable("the stack tests need root (chroot, mount namespace)")
    for name in ("unshare", "nsenter", "chroot", "mount"):
        findProgram(name)
    runTool(["unshare", "--mount", "--pid", "--net", "--fork", "mount", "-t", "tmpfs", "tmpfs",
             cacheDir()], "namespaces cannot be made here")
    return cached("tree", (SUITE, PACKAGES), _buildTree)


def runOnTree(test, *others):
    """Runs test(tap, tree, …), with what @others (functions of the tree) give; returns the exit status.

    Where something of that cannot be had, the test is skipped and says why.
    """
    try:
        tree = stackTree()
        given = [other(tree) for other in others]
    except Unavailable as reason:
        return skipAll(reason)
    tap = Tap()
    test(tap, tree, *given)
    return tap.done()


if __name__ == "__main__":
    print(stackTree())
