# SPDX-License-Identifier: LGPL-2.1-or-later
"""viommud and viommu-stdio inside a described host, between its clients and its libvirtd.

The programs are built for this machine, and the host's tree has other libraries. So they come with
this machine's libraries and loader, and clients call a wrapper that starts them with these. All of
it is laid out on the host's own /run; the tree, which is shared, stays as it is.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

from describedhost import HostError
from golden import TESTS

PROGRAMS = ("viommud", "viommu-stdio", "viommu-hook")
DIRECTORY = "/run/viommu-programs"
SOCKETS = "/run/viommu"
START_SECONDS, STOP_SECONDS = 30, 60
WRAPPER = """#!/bin/sh
d={directory}
exec $d/lib/{loader} --library-path $d/lib --argv0 {name} $d/bin/{name} "$@"
"""


def builtPrograms():
    """Where this machine's programs are."""
    viommu = os.environ.get("VIOMMU") or os.path.join(os.path.dirname(TESTS), "build/tools/viommu")
    return os.environ.get("VIOMMU_DAEMONS") or os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(viommu))), "src/daemon")


def _libraries(program):
    """(the loader of @program, its shared libraries), as paths."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return (re.search(r"^\s*(/\S+) \(0x", listed, re.MULTILINE).group(1),
            re.findall(r" => (/\S+) ", listed))


def installPrograms(host):
    """Puts the programs into @host, once; returns the directory that has them there."""
    target = host.path(DIRECTORY)
    if os.path.isdir(target):
        return DIRECTORY
    for name in ("bin", "lib"):
        os.makedirs(os.path.join(target, name))
    for name in PROGRAMS:
        program = os.path.join(builtPrograms(), name)
        loader, libraries = _libraries(program)
        shutil.copy(program, os.path.join(target, "bin"))
        for library in [loader] + libraries:
            shutil.copy(library, os.path.join(target, "lib"))
        wrapper = os.path.join(target, name)
        with open(wrapper, "w", encoding="ascii") as f:
            f.write(WRAPPER.format(directory=DIRECTORY, loader=os.path.basename(loader), name=name))
        os.chmod(wrapper, 0o755)
    return DIRECTORY


def stdioUri(host, *arguments):
    """The URI with which clients in @host start viommu-stdio with these arguments."""
    query = [("command", f"{installPrograms(host)}/viommu-stdio")]
    query += [("argv", argument) for argument in arguments]
    return "qemu+ext:///system?" + urllib.parse.urlencode(query, safe="/")


class Service:
    """with Service(host, 'policy = "smmuv3"\\n') as service: host.virsh("-c", service.uri, …)

    @sockets is the directory of its sockets; a second service in one host needs another one.
    """

    def __init__(self, host, config="", sockets=SOCKETS):
        self.host = host
        self.sockets = sockets
        self.configFile = f"{sockets}.conf"
        self.config = config
        if sockets != SOCKETS:
            self.config += f'unix_sock_dir = "{sockets}"\n'
        self.uri = f"qemu+unix:///system?socket={sockets}/libvirt-sock"
        self.readOnlyUri = f"{self.uri}-ro"
        self.process = None
        self.outerPid = None    # viommud as processes outside the host see it
        self.pid = None         # and as those in the host do

    def __enter__(self):
        program = f"{installPrograms(self.host)}/viommud"
        with open(self.host.path(self.configFile), "w", encoding="utf-8") as f:
            f.write(self.config)
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(**self.host.command(program, "--config", self.configFile),
                                        stdin=subprocess.DEVNULL, stdout=self.stderr,
                                        stderr=self.stderr)
        try:
            self._findPids()
            self._awaitAnswer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _awaitAnswer(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            answer = self.host.virsh("-c", self.uri, "version")
            if answer.returncode == 0:
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise HostError(f"viommud does not answer (exit status {self.process.poll()}): "
                                f"{answer.stderr}{self.log()}")
            time.sleep(0.1)

    def _findPids(self):
        """The process started is nsenter, and viommud its one child."""
        nsenter, children = self.process.pid, []
        while not children and self.process.poll() is None:
            with open(f"/proc/{nsenter}/task/{nsenter}/children", encoding="ascii") as f:
                children = f.read().split()
        if not children:
            raise HostError(f"viommud does not start: {self.log()}")
        self.outerPid = int(children[0])
        with open(f"/proc/{self.outerPid}/status", encoding="ascii") as f:
            self.pid = int(re.search(r"^NSpid:.*?(\d+)$", f.read(), re.MULTILINE).group(1))

    def log(self):
        """What viommud has printed so far."""
        return os.pread(self.stderr.fileno(), os.fstat(self.stderr.fileno()).st_size,
                        0).decode("utf-8", "replace")

    def show(self):
        """What `viommud --show` prints."""
        done = self.host.run(f"{DIRECTORY}/viommud", "--show", "--config", self.configFile)
        if done.returncode:
            raise HostError(f"viommud --show: exit status {done.returncode}\n{done.stderr}")
        return done.stdout

    def stop(self):
        """Ends viommud as an administrator does; returns its exit status."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):   # nsenter may end a little later
                os.kill(self.outerPid, signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def __exit__(self, *unused):
        try:
            if self.outerPid:
                self.stop()
        finally:
            self.process.kill()
            self.process.wait()
            self.stderr.close()
