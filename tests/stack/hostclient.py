# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client inside a described host that uses libvirt's own library and does what it is told."""

import select
import subprocess

from processes import SECONDS, childrenOf

# Each line that it reads names something that it can do; each line that it prints is a result.
PROGRAM = """
import libvirt, sys
libvirt.registerErrorHandler(lambda *_: None, None)
uri, *words = sys.argv[1:]
def answer(text):
    print(str(text).replace(chr(10), " "), flush=True)
def tried(what):
    try:
        return what()
    except libvirt.libvirtError as error:
        return f"error: {error}"
"""
LOOP = """
for line in sys.stdin:
    answer(tried(can[line.strip()]))
"""


class HostClient:
    """@program is Python that goes on from the above and sets @can, {name: function}."""

    def __init__(self, host, program, *words):
        self.process = subprocess.Popen(
            **host.command("python3", "-c", PROGRAM + program + LOOP, *words),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def pid(self):
        """The process started is nsenter."""
        (pid,) = childrenOf(self.process.pid)
        return pid

    def begin(self, what):
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def answer(self):
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            return f"no answer for {SECONDS} seconds"
        return self.process.stdout.readline().strip()

    def do(self, what):
        self.begin(what)
        return self.answer()

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()
