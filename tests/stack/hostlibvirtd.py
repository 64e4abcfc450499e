# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirtd of a described host: ended, started again, and with other settings."""

import contextlib
import os

from describedhost import HostError
from processes import becomes

CONFIG = "etc/libvirt/libvirtd.conf"


class Libvirtd:
    def __init__(self, host):
        self.host = host

    def pid(self):
        """As processes in the host see it."""
        with open(self.host.path("run/libvirtd.pid"), encoding="ascii") as f:
            return int(f.read())

    def _isThere(self):
        return os.path.exists(self.host.path(f"proc/{self.pid()}"))

    def _signal(self, name):
        self._run("sh", "-c", f"kill -{name} {self.pid()}")

    @contextlib.contextmanager
    def standingStill(self):
        """It does nothing in the block, in which it may be killed."""
        self._signal("STOP")
        try:
            yield
        finally:
            if self._isThere():
                self._signal("CONT")

    def end(self, name="TERM"):
        """Returns when it is gone."""
        pid = self.pid()
        self._signal(name)
        if not becomes(lambda: not os.path.exists(self.host.path(f"proc/{pid}"))):
            raise HostError(f"libvirtd does not end by SIG{name}")

    def start(self):
        """Returns when it answers."""
        self._run("libvirtd", "--daemon")
        if not becomes(lambda: self.host.virsh("version").returncode == 0):
            raise HostError("libvirtd does not answer")

    def configure(self, settings):
        """Starts it again with these settings and else the defaults, which are Debian's."""
        with open(self.host.path(CONFIG), "w", encoding="ascii") as f:
            f.write(settings)
        self.end()
        self.start()

    def _run(self, *command):
        done = self.host.run(*command)
        if done.returncode:
            raise HostError(f"{' '.join(command)}: {done.stderr}")
