#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""viommu verify and monitors that are not as they should be. Usage: verify-test.py VIOMMU SOURCE_ROOT

A stand-in for QEMU answers with what a real one said (tests/livedata), or with something else.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "stack"))
from tap import Tap, guarded  # noqa: E402

GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\n'
EVENT = b'{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RTC_CHANGE", "data": {"offset": 0}}\n'
PATIENCE = 60


def recorded(path):
    """{command: answer} of a file of livedata."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()[1:]
    return dict(zip(lines[::2], lines[1::2]))


class Monitor:
    """A QMP server for one client. answer(command) gives the bytes to send; None: nothing, ever."""

    def __init__(self, directory, answer, greeting=GREETING):
        self.path = os.path.join(directory, "qmp")
        self.answer, self.greeting, self.asked = answer, greeting, []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(1)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            client, _ = self.server.accept()
            with client:
                client.sendall(self.greeting)
                for line in client.makefile("rb"):
                    self.asked.append(line.decode().strip())
                    client.sendall(self.answer(self.asked[-1]) or b"")

    def close(self):
        self.server.close()
        self.thread.join(1)
        os.unlink(self.path)


class Cases:
    def __init__(self, tap, viommu, root, directory):
        self.tap, self.viommu, self.directory = tap, viommu, directory
        self.data = os.path.join(root, "tests", "livedata")
        self.answers = recorded(os.path.join(self.data, "host.live"))

    def good(self, command):
        if "qmp_capabilities" in command:
            return b'{"return": {}}\n'
        return self.answers[command].encode() + b"\n"

    def run(self, answer, *options, **kwargs):
        monitor = Monitor(self.directory, answer, **kwargs)
        try:
            return subprocess.run(
                [self.viommu, "--host", os.path.join(self.data, "emulated.sysfs"), "verify", "--qmp", monitor.path,
                 *options], capture_output=True, text=True, timeout=PATIENCE, check=False), monitor
        finally:
            monitor.close()

    def fails(self, name, words, answer, **kwargs):
        """Status 3, one line that says why, and no result."""
        with guarded(self.tap, name):
            done, _ = self.run(answer, **kwargs)
            self.tap.ok(done.returncode == 3 and not done.stdout and words in done.stderr and
                        done.stderr.count("\n") == 1, name, done)

    def onlyReads(self):
        done, monitor = self.run(self.good, "--format", "json")
        result = json.loads(done.stdout)
        self.tap.ok(done.returncode == 0 and result["version"] == 1 and result["findings"] == []
                    and {device["verdict"] for device in result["devices"]} == {"right"}, "a right guest", done)
        commands = {json.loads(line)["execute"] for line in monitor.asked}
        self.tap.ok(commands == {"qmp_capabilities", "qom-list-types", "qom-list", "qom-get"},
                    "nothing is asked that changes anything", commands)

    def wrong(self):
        """A device without iommufd that is not alone in its group either, one that is right, one with another object."""
        self.answers = recorded(os.path.join(self.data, "made-V04.live"))
        self.answers['{"execute":"qom-get","arguments":{"path":"/machine/peripheral/d1","property":"host"}}'] = \
            '{"return":"0000:27:00.0"}'
        done, _ = self.run(self.good)
        rows = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in done.stdout.splitlines()[2:5]]
        self.tap.ok(done.returncode == 1 and [row[0] for row in rows] == ["d1", "d2", "d3"] and
                    [row[-1] for row in rows] == ["wrong: V04, V16", "right", "wrong: V04"],
                    "a wrong guest", done, rows)

    def otherwise(self, part, bytes_):
        """The same answers but one."""
        return lambda command: bytes_ if part in command else self.good(command)

    def all(self):
        with guarded(self.tap, "a right guest"):
            self.onlyReads()
        with guarded(self.tap, "events between the answers"):
            done, _ = self.run(lambda command: EVENT * 3 + self.good(command), greeting=GREETING + EVENT)
            self.tap.ok(done.returncode == 0, "events between the answers", done)
        vanished = b'{"error": {"class": "DeviceNotFound", "desc": "Device not found"}}\n'
        self.fails("a device that leaves meanwhile", "'hostdev1' has left the guest while it was looked at",
                   self.otherwise("hostdev1", vanished))
        self.fails("garbage", "not an answer of QEMU's monitor: no JSON object",
                   self.otherwise("parent_bus", b"\x00\xff{]garbage\n"))
        self.fails("something else", "not an answer of QEMU's monitor: no text",
                   self.otherwise("parent_bus", b'{"return": [[[[7]]]]}\n'))
        self.fails("a connection that is closed", "has closed the connection", lambda command: sys.exit())
        self.fails("a line without end", "says more than QEMU would ever say",
                   self.otherwise("parent_bus", b"x" * (2 << 20)))
        self.fails("events without end", "sends events without end", lambda command: EVENT * 2000)
        self.fails("another greeting", "is no monitor that speaks QMP", self.good, greeting=b"220 mail\n")
        self.fails("no answer", "gives no answer in time", self.otherwise("parent_bus", None))
        self.fails("no greeting", "gives no answer in time", self.good, greeting=b"")
        with guarded(self.tap, "a wrong guest"):
            self.wrong()


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="viommu-verify-") as directory:
        Cases(tap, *sys.argv[1:3], directory).all()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
