# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes as /proc shows them, and waiting for something to become true."""

import contextlib
import glob
import os
import re
import time

SECONDS = 60


def childrenOf(pid):
    """Those of all its threads."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path, encoding="ascii") as f:
            found += map(int, f.read().split())
    return sorted(found)


def statusOf(pid):
    """/proc/PID/status as a dictionary of texts."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in f)}


def innerPid(pid):
    """Its number in the namespace that it runs in."""
    return int(statusOf(pid)["NSpid"].split()[-1])


def servedBy(service, peer):
    """The processes of viommud for connections of the process @peer (as the host sees it)."""
    rows = re.findall(r"^ (\d+) +(\d+) ", service.show(), re.MULTILINE)
    serving = {int(child) for child, client in rows if int(client) == peer}
    found = []
    for pid in childrenOf(service.outerPid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):    # it ends meanwhile
            if innerPid(pid) in serving:
                found.append(pid)
    return found


def memoryOf(pid, what="VmRSS"):
    """KiB; VmHWM is the most that there ever was."""
    return int(statusOf(pid)[what].split()[0])


def descriptorsOf(pid):
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def isStill(pid):
    """Whether it does nothing at the moment: it waits for something."""
    def done():
        return tuple(statusOf(pid)[f"{kind}voluntary_ctxt_switches"] for kind in ("", "non"))

    before = done()
    time.sleep(0.2)
    return done() == before and statusOf(pid)["State"].startswith("S")


def becomes(condition):
    """Whether the condition, asked again and again, becomes true within a generous time."""
    deadline = time.monotonic() + SECONDS
    while not (good := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return good
