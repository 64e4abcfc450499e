# SPDX-License-Identifier: LGPL-2.1-or-later
"""A described host: the Debian tree with a /sys and /dev made from a host manifest.

The tree's libvirtd runs in a chroot there, so that it sees the recorded host's PCI devices, IOMMU
groups and VFIO nodes. All of it lives in namespaces whose first process is hostinit.py, which ends
when its standard input does: with it end all processes, and no mount or network is left behind,
however the test ended.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from hostinit import ENVIRONMENT

# Seconds after which a program of the tree will not end any more; the slowest takes some ten.
PATIENCE = 300
INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostinit.py")


class HostError(Exception):
    """The described host could not be started; the text says why."""


class DescribedHost:
    """with DescribedHost(tree, manifest) as host: host.virsh("list") ..."""

    def __init__(self, tree, manifest):
        self.tree = tree
        self.manifest = manifest
        self.dir = None
        self.unshare = None
        self.pid = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="viommu-host-")
        self.root = os.path.join(self.dir, "root")
        os.mkdir(self.root)
        self.log = open(os.path.join(self.dir, "log"), "w+b")
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        self.unshare = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--fork", "--", sys.executable, INIT,
             self.root, self.tree, self.manifest],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        if self.unshare.stdout.readline() != b"ready\n":
            raise HostError(f"the described host did not start: {self._logText()}")
        children = f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children"
        with open(children, encoding="ascii") as f:
            self.pid = int(f.read().split()[0])
        for _ in range(300):
            if self.virsh("list").returncode == 0:
                return
            time.sleep(0.1)
        raise HostError(f"libvirtd does not answer: {self._logText()}")

    def _logText(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-2000:]

    def command(self, *argv):
        """Keyword arguments for subprocess: a program of the tree, run inside the host."""
        return {"args": ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-r", "chroot", self.root]
                + list(argv), "text": True, "errors": "replace", "env": ENVIRONMENT}

    def run(self, *argv, stdin=None, timeout=PATIENCE):
        """Runs a program of the tree inside the host; returns its CompletedProcess (text)."""
        return subprocess.run(**self.command(*argv), input=stdin or "", capture_output=True,
                              timeout=timeout)

    def virsh(self, *args, stdin=None):
        return self.run("virsh", "-q", *args, stdin=stdin)

    def path(self, name):
        """Where a process outside sees the host's file."""
        return f"/proc/{self.pid}/root{self.root}/{name}"

    def __exit__(self, *unused):
        if self.unshare:
            self.unshare.stdin.close()
            self.unshare.wait()
            self.unshare.stdout.close()
        self.log.close()
        shutil.rmtree(self.dir)
