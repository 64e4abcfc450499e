# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenStack Nova's own code, to be mounted beside the Debian tree of a described host.

python3-nova needs 240 packages that the tree does not have. None of them is installed: those with
Python code are unpacked into a directory of the cache, without the largest of those that Nova's
libvirt driver does not import, and without their tests. The tree stays as it is.
"""

import glob
import os
import re
import shutil

import hostinit
from aptsource import ForeignArchive, findProgram, runTool
from tree import cached

# Raise when the way of building changes, so that old directories are not used.
RECIPE = 1
SUITE = "sid"           # Nova 34; testing has 33
PACKAGE = "python3-nova"
UNUSED = ("python3-docutils", "python3-gevent", "python3-grpcio", "python3-manilaclient",
          "python3-numpy", "python3-openstackclient", "python3-openvswitch", "python3-pygments",
          "python3-setuptools")
# The one library that is not in the tree: python3-nacl needs it.
LIBRARY = r"libsodium\d+"
# Where a host has it: a directory of the tree that nothing else uses.
MOUNTED = "/mnt"
ENVIRONMENT = (f"PYTHONPATH={MOUNTED}/python", f"LD_LIBRARY_PATH={MOUNTED}/lib")
IMPORT = """
from nova import monkey_patch
monkey_patch.patch(backend="threading")
import nova.virt.libvirt.driver
"""


def _wanted(archive, tree):
    """The packages of use among those that apt would add to @tree."""
    status = os.path.join(tree, "var/lib/dpkg/status")
    plan = runTool([findProgram("apt-get")] + archive.options
                   + ["-o", f"Dir::State::Status={status}", "--no-install-recommends", "--simulate",
                      "install", PACKAGE], f"no {PACKAGE} of {SUITE} for this tree")
    names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    return [name for name in names if re.fullmatch(rf"python3-.*|{LIBRARY}", name)
            and name not in UNUSED]


def _unpack(archive, packages, directory):
    store, files = (os.path.join(directory, name) for name in ("packages", "files"))
    os.mkdir(store)
    runTool([findProgram("apt-get")] + archive.options + ["download"] + packages,
            f"cannot fetch {PACKAGE} of {SUITE}", cwd=store)
    for name in os.listdir(store):
        runTool([findProgram("dpkg-deb"), "-x", os.path.join(store, name), files],
                f"cannot unpack {name}")
    os.mkdir(os.path.join(directory, "lib"))
    for library in glob.glob(os.path.join(files, "usr/lib/*/*.so.*")):
        shutil.move(library, os.path.join(directory, "lib"))
    python = os.path.join(directory, "python")
    os.rename(os.path.join(files, "usr/lib/python3/dist-packages"), python)
    for tests in glob.glob(os.path.join(python, "*/tests")):
        shutil.rmtree(tests)
    shutil.rmtree(store)
    shutil.rmtree(files)


def _tryOut(tree, directory):
    """Imports Nova as a host will, which leaves the bytecode of all that it imports."""
    runTool(["unshare", "--mount", "sh", "-c",
             f'mount --bind "$0" "$1{MOUNTED}" && exec chroot "$@"', directory, tree, "env",
             *ENVIRONMENT, "python3", "-c", IMPORT],
            f"{PACKAGE} of {SUITE} does not run with this tree", env=hostinit.ENVIRONMENT)


def _build(tree, directory):
    apt = os.path.join(directory, "apt")
    os.mkdir(apt)
    archive = ForeignArchive(apt, SUITE, runTool([findProgram("dpkg"), "--print-architecture"],
                                                 "dpkg").strip())
    _unpack(archive, _wanted(archive, tree), directory)
    shutil.rmtree(apt)
    _tryOut(tree, directory)


def novaTree(tree):
    """Path of the directory for that tree; raises Unavailable with the reason."""
    return cached("nova", (os.path.basename(tree), SUITE, PACKAGE, UNUSED, RECIPE),
                  lambda directory: _build(tree, directory))
