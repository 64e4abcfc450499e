#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What asks viommu for nothing goes through it unchanged, in both of its shapes.

One long session of a client (session.py) runs three times, each on a fresh host: with libvirt
alone, through viommud and through viommu-stdio. Every reply, every error with all of its text and
every event must be the same. What libvirt itself says differently each time is listed in MASKS.
"""

import collections
import contextlib
import difflib
import json
import os
import re
import shutil
import sys

from describedhost import DescribedHost
from golden import TESTS, manifest
from service import Service, stdioUri
from tap import guarded
from tree import runOnTree

HOST = "one-smmu"
DIRECTORY = "/tmp/session"
FILES = ("session.py", "sessionlog.py", "sessionhost.py", "sessionguest.py")
LEAST_CALLS = 200
DIRECT = ("qemu:///system", "qemu:///system")
# (of which call, what of its reply, why that differs from run to run). Only the group in
# parentheses is masked.
MASKS = (
    (r"virConnect\.getCapabilities", r"<uuid>(.*?)</uuid>", "the host's UUID, made at each start"),
    (r"virConnect\.getMemoryStats", r'"(?:available|buffers|cached|free)": (\d+)', "memory"),
    (r"virConnect\.getCPUStats", r'"(?:idle|iowait|kernel|user)": (\d+)', "times"),
    (r"virConnect\.getDomainCapabilities", r"/qmp-(\w{6})/", "the name of a temporary directory"),
    (r"virConnect\.domainXMLToNative", r'\\"type\\":\\"tap\\",\\"fd\\":\\"(\d+)', "a descriptor"),
    (r"virConnect\.getAllDomainStats", r'"vcpu\.\d\.(?:delay|time|wait)": (\d+)', "times"),
    (r"virStorageVol\.XMLDesc", r"<[amc]time>([\d.]+)<", "timestamps"),
    (r"virDomain\.info", r", (\d+)\]", "the guest's CPU time"),
    (r"virDomain\.vcpus", r"\[\d, \d, (\d+, \d+)\]", "CPU times, and on which CPU it runs"),
    (r"virDomain\.getCPUStats", r'"\w+_time": (\d+)', "times"),
    (r"virDomain\.memoryStats", r'"rss": (\d+)', "QEMU's memory"),
    (r"virDomain(Snapshot|Checkpoint)\.getXMLDesc", r"<creationTime>(\d+)<", "timestamps"),
    (r"event VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD", r", (\d+)\]", "the size of QEMU's state"),
    (r"event VIR_DOMAIN_EVENT_ID_JOB_COMPLETED",
     r'"(?:downtime|memory_bps|setup_time|time_elapsed|data_processed|memory_processed'
     r'|memory_normal(?:_bytes)?|memory_constant)": (\d+)', "times, and sizes of QEMU's state"),
)
# Events that come or not, as libvirt hears QEMU's last words or sees its end first.
RACING = (["VIR_DOMAIN_EVENT_ID_CONTROL_ERROR", "virDomain guest"],
          ["VIR_DOMAIN_EVENT_ID_LIFECYCLE", "virDomain guest", 6, 2])     # SHUTDOWN, by the host
# Sessions with libvirt alone that another one may be the same as.
MOST_ALONE = 4
# A reply of which a mask leaves nothing.
WHOLE = ('{"result": ~}', '{"result": "~"}', '{"error": ~}')

Reply = collections.namedtuple("Reply", "call text")


def runSession(tree, urisOn):
    """The JSON lines of a session on a fresh host; urisOn(host) gives its two URIs for a while."""
    with DescribedHost(tree, manifest(HOST)) as host, urisOn(host) as uris:
        os.makedirs(host.path(DIRECTORY))
        for name in FILES:
            shutil.copy(os.path.join(TESTS, "stack", name), host.path(DIRECTORY))
        done = host.run("python3", f"{DIRECTORY}/session.py", *uris)
    if done.returncode:
        last = done.stdout.splitlines()[-1:]
        raise RuntimeError(f"the session ended with {done.returncode} after {last}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.contextmanager
def direct(_):
    yield DIRECT


@contextlib.contextmanager
def throughService(host):
    with Service(host) as service:
        yield service.uri, service.readOnlyUri


@contextlib.contextmanager
def throughHelper(host):
    yield stdioUri(host), stdioUri(host, "--readonly")


def masked(call, text):
    for calls, what, _ in MASKS:
        if re.match(calls, call):
            text = re.sub(what, lambda match: match[0].replace(match[1], "~"), text)
    return text


def replies(lines):
    """[Reply] in order, the events as replies of their own behind the calls."""
    found = []
    for line in lines:
        if "events" in line:
            found += [Reply(f"event {event[0]}", json.dumps(event)) for event in line["events"]
                      if event not in RACING]
        else:
            rest = {key: value for key, value in line.items() if key in ("result", "error")}
            found.append(Reply(line.get("call") or line["seen"], json.dumps(rest, sort_keys=True)))
    return found


def normalised(lines):
    return [Reply(call, masked(call, text)) for call, text in replies(lines)]


def inLines(session):
    return [line for reply in session for line in [reply.call] + reply.text.split("\\n")]


def maskProblems(lines):
    """Masks that hide nothing, or a whole reply."""
    problems = []
    for calls, what, why in MASKS:
        hits = [text for call, text in replies(lines)
                if re.match(calls, call) and re.search(what, text)]
        if not hits:
            problems.append(f"{calls} {what}: not there ({why})")
        problems += [f"{calls} {what}: hides all of {text}" for text in hits
                     if masked(calls, text) in WHOLE]
    return problems


def differences(known, got, name):
    """Where @got differs from the one of the sessions with libvirt alone that is most like it."""
    return min((list(difflib.unified_diff(inLines(alone), inLines(got), "libvirt alone", f"through {name}",
                                          n=1, lineterm="")) for alone in known), key=len)


def testSessions(tap, tree):
    alone = runSession(tree, direct)
    calls = {line["call"] for line in alone if "call" in line}
    asked = {call for call in calls if "Register" not in call and "Deregister" not in call}
    failed = {line["call"] for line in alone if "error" in line}
    tap.note(f"{len(asked)} different calls, and {len(calls) - len(asked)} that register for "
             f"events or end that; libvirt refuses {len(failed)}; "
             f"{len(alone[-1]['events'])} events")
    tap.note(*(f"masked in {where}: {why}, {what}" for where, what, why in MASKS))
    tap.note(*(f"left out: {event}" for event in RACING))
    tap.ok(len(asked) >= LEAST_CALLS, f"the session has at least {LEAST_CALLS} different calls")
    tap.ok(alone[-1]["events"], "events arrive in the session")
    tap.noProblems([line["seen"] for line in alone if line.get("result") is False],
                   "every event that the session waits for arrives")
    tap.noProblems(maskProblems(alone), "every mask hides something, and no whole reply")
    known = [normalised(alone)]
    for name, urisOn in (("viommud", throughService), ("viommu-stdio", throughHelper)):
        with guarded(tap, f"a session through {name}"):
            got = normalised(runSession(tree, urisOn))
            problems = differences(known, got, name)
            # How far the guest gets, and what events come of it, is not the same on a busy machine even without us.
            while problems and len(known) < MOST_ALONE:
                known.append(normalised(runSession(tree, direct)))
                problems = differences(known, got, name)
            tap.noProblems(problems, f"{len(asked)} calls and all events are the same through {name}")
    tap.note(f"compared with {len(known)} of libvirt alone")


def testAll(tap, tree):
    with guarded(tap, "a session with libvirt alone"):
        testSessions(tap, tree)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
