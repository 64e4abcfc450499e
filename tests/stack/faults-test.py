#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Something dies or stands still in the middle of a call.

libvirtd, viommud, the process of one client, or nothing of it in the first place. Whoever waits for
an answer gets one or an error, whoever else is there goes on, a domain is defined in full or not at
all, and afterwards all works again without anybody being started anew who has not died.
"""

import os
import resource
import signal
import subprocess
import sys

from describedhost import PATIENCE, DescribedHost, HostError
from golden import TESTS, emulatable, manifest, readText
from hostclient import HostClient
from hostlibvirtd import Libvirtd
from processes import becomes, childrenOf, innerPid, isStill, servedBy
from rpcclient import DEFINE, LIB_VERSION, OK, Connector, frame, string
from service import SOCKETS, Service, stdioUri
from tap import guarded
from tree import runOnTree

HOST = "grace"
SOCKET = f"{SOCKETS}/libvirt-sock"
QUERY_SECONDS = 5
CONFIG = f"query_timeout = {QUERY_SECONDS}\n"
PATIENT = "query_timeout = 60\ndrain_timeout = 60\n"
IMPATIENT = "query_timeout = 60\ndrain_timeout = 1\n"
MARK = "urn:viommu:domain:1"
UUID = "<uuid>5d3f4a1e-0000-4000-8000-000000000003</uuid>"
DOMAIN = emulatable(readText(os.path.join(os.path.dirname(TESTS), "examples", "two-gpus.xml"))
                    ).replace("<memory", f"{UUID}<memory", 1)
NETWORK = """<network><name>fast</name>
<forward mode='hostdev'><pf dev='enP2p3s0np0'/></forward></network>"""
INTERFACE = "<interface type='network'><source network='fast'/></interface>"
ON_NETWORK = DOMAIN.replace("<iommu", f"{INTERFACE}<iommu", 1)
RUNNING = """<domain type='qemu'>
  <name>running</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='aarch64' machine='virt'>hvm</type></os>
</domain>"""
# A client: what it can do is a line of HostClient.
CLIENT = """
domain, onNetwork = words
conn = libvirt.open(uri)
can = {"version": lambda: conn.getLibVersion() and "good",
       "define": lambda: conn.defineXML(domain) and "good",
       "define on network": lambda: conn.defineXML(onNetwork) and "good",
       "save": lambda: conn.lookupByName("running").managedSave() and "good",
       "ready": lambda: "good"}
"""
KILLS = 5


class Client(HostClient):
    """An ordinary client, connected; with the process that serves it.

    That is viommu-stdio where no viommud (@service) is given.
    """

    def __init__(self, host, service=None):
        super().__init__(host, CLIENT, service.uri if service else stdioUri(host), DOMAIN,
                         ON_NETWORK)
        self.do("ready")
        (self.child,) = (servedBy(service, innerPid(self.pid())) if service
                         else childrenOf(self.pid()))

    def beginAndWait(self, what):
        """Begins a call that will not be answered for now; returns when all that can be done is."""
        self.begin(what)
        if not becomes(lambda: isStill(self.pid()) and isStill(self.child)):
            raise HostError(f"'{what}' does not come to a stand")


def defined(host):
    """What there is of the domain: None, "in full", or what it is instead."""
    dumped = host.virsh("dumpxml", "two-gpus")
    if dumped.returncode:
        return None
    full = MARK in dumped.stdout and dumped.stdout.count("<iommu") == 2
    return "in full" if full else dumped.stdout


def undefine(host):
    host.virsh("undefine", "--nvram", "two-gpus")


def worksAgain(tap, host, service, name):
    """A new connection does all that viommu is there for."""
    done = host.virsh("-c", service.uri, "define", "/run/domain.xml")
    what = defined(host)
    undefine(host)
    tap.ok(done.returncode == 0 and what == "in full", f"{name}: a new connection defines a domain",
           done.stderr, what)


def isError(answer):
    return answer.startswith("error: ")


def killedInDefine(tap, host, service):
    """libvirtd dies with a definition that it has not looked at."""
    libvirtd = Libvirtd(host)
    for what, way in (("define", service), ("define on network", service), ("define", None)):
        name = f"libvirtd killed in '{what}' through {'viommud' if way else 'viommu-stdio'}"
        with Client(host, way) as client:
            with libvirtd.standingStill():
                client.beginAndWait(what)
                libvirtd.end("KILL")
            answer = client.answer()
            libvirtd.start()
            tap.ok(isError(answer), f"{name}: an error", answer)
            tap.ok(defined(host) is None, "nothing of the domain is there", defined(host))
        worksAgain(tap, host, service, name)


def killedAnywhere(tap, host, service):
    """libvirtd dies while one definition follows the other."""
    libvirtd = Libvirtd(host)
    for count in range(KILLS):
        with Client(host, service) as client:
            answers = [client.do("define") for _ in range(count)]
            tap.ok(answers == ["good"] * count, f"{count} definitions before that", answers)
            client.begin("define")
            libvirtd.end("KILL")
            answer = client.answer()
            libvirtd.start()
            what = defined(host)
            undefine(host)
            tap.ok(answer == "good" or isError(answer), "libvirtd killed: an answer or an error",
                   answer)
            tap.ok(what in (None, "in full"), "the domain is there in full or not at all", what)
            # It was answered, so it must be there.
            tap.ok(what == "in full" or not count and answer != "good",
                   "a domain that was said to be defined is defined", what)
    worksAgain(tap, host, service, "libvirtd killed anywhere")


def killedInSave(tap, host, service):
    """A call that takes as long as QEMU takes, which stands still."""
    libvirtd = Libvirtd(host)
    for command in (("define", "/run/running.xml"), ("start", "running")):
        done = host.virsh(*command)
        tap.ok(done.returncode == 0, f"{' '.join(command)}", done.stderr)
    qemu = int(host.run("cat", "/run/libvirt/qemu/running.pid").stdout)
    with Client(host, service) as client:
        host.run("sh", "-c", f"kill -STOP {qemu}")
        try:
            client.beginAndWait("save")
            libvirtd.end("KILL")
            answer = client.answer()
        finally:
            host.run("sh", "-c", f"kill -CONT {qemu}")
        tap.ok(isError(answer), "libvirtd killed in a call that takes long: an error", answer)
    libvirtd.start()
    worksAgain(tap, host, service, "libvirtd killed in a call that takes long")
    host.virsh("destroy", "running")


def stopped(tap, host, service):
    """libvirtd stands still: viommu does not wait for what it asks, and goes on later."""
    libvirtd = Libvirtd(host)
    with Client(host, service) as client:
        with libvirtd.standingStill():
            answer = client.do("define on network")
        tap.ok(isError(answer) and f"within {QUERY_SECONDS} seconds" in answer,
               "libvirtd stands still: viommu says that it has no answer", answer)
        answers = [client.do(what) for what in ("version", "define on network", "version")]
        tap.ok(answers == ["good"] * 3, "the connection goes on when libvirtd does", answers)
        tap.ok(defined(host) == "in full", "the domain is defined then", defined(host))
        undefine(host)
        with libvirtd.standingStill():
            client.beginAndWait("version")
        answer = client.answer()
        tap.ok(answer == "good", "a call that viommu only passes on is waited for", answer)


def full(tap, host, service):
    """libvirtd stands still, and what is on the way to it fills the socket."""
    libvirtd = Libvirtd(host)
    with Connector(host) as connector, connector.connect(SOCKET).open() as client:
        long = frame(LIB_VERSION, bytes(1 << 20), serial=1)
        with libvirtd.standingStill():
            first = client.sendWhatFits(long)
        client.send(long[first:] + frame(DEFINE, string(ON_NETWORK), serial=2))
        replies = sorted([client.receive(), client.receive()], key=lambda reply: reply.serial)
        tap.ok(first < len(long) and [reply.serial for reply in replies] == [1, 2]
               and replies[0].status == replies[1].status == OK,
               "a full socket to libvirtd: all is answered later", first, replies)
        tap.ok(defined(host) == "in full", "the domain behind that is defined", defined(host))
        undefine(host)


def childKilled(tap, host, service):
    """The process of one client dies."""
    with Client(host) as victim:
        os.kill(victim.child, signal.SIGKILL)
        answer = victim.do("version")
        tap.ok(isError(answer), "a client whose viommu-stdio was killed gets an error", answer)
    with Client(host, service) as victim, Client(host, service) as other:
        os.kill(victim.child, signal.SIGKILL)
        answer = victim.do("version")
        tap.ok(isError(answer), "a client whose process was killed gets an error", answer)
        answer = other.do("define")
        tap.ok(answer == "good" and defined(host) == "in full", "others go on", answer)
        undefine(host)
    tap.ok(becomes(lambda: "\n0 connected" in service.show()), "viommud has not lost count",
           service.show())
    worksAgain(tap, host, service, "a process of viommud killed")


def killed(tap, host):
    """viommud dies, and leaves its sockets."""
    with Service(host, CONFIG) as service, Client(host, service) as client:
        children = childrenOf(service.outerPid)
        os.kill(service.outerPid, signal.SIGKILL)
        service.process.wait()
        tap.ok(os.path.exists(host.path(SOCKET)), "viommud killed: its socket stays")
        answer = client.do("version")
        answers = [answer, client.do("version")]
        tap.ok(isError(answers[-1]), "viommud killed: its clients get an error", answers)
        tap.ok(becomes(lambda: not any(map(isAlive, children))), "viommud killed: no process stays")
    with Service(host, CONFIG) as service:
        worksAgain(tap, host, service, "a new viommud where the old one was killed")


def isAlive(pid):
    return os.path.exists(f"/proc/{pid}")


def terminated(tap, host):
    """An administrator ends viommud: calls that have begun are answered, and no more begin."""
    libvirtd = Libvirtd(host)
    for what in ("version", "define"):
        with Service(host, PATIENT) as service, Client(host, service) as client, \
                Client(host, service) as idle:
            with libvirtd.standingStill():
                client.beginAndWait(what)
                os.kill(service.outerPid, signal.SIGTERM)
                tap.ok(becomes(lambda: not os.path.exists(host.path(SOCKET))),
                       f"viommud ended in '{what}': its socket goes")
                tap.ok(service.process.poll() is None, "it waits for the answer")
            answer = client.answer()
            tap.ok(answer == "good", f"viommud ended in '{what}': it is answered", answer)
            for one in (client, idle):
                answer = one.do("version")
                tap.ok(isError(answer), "then the connection is closed", answer)
            tap.ok(service.stop() == 0, "it exits with 0", service.log())
        left = [name for name in os.listdir(host.path(SOCKETS)) if "sock" in name]
        tap.noProblems(left, "none of its sockets is left")
        if what == "define":
            tap.ok(defined(host) == "in full", "the domain is defined in full", defined(host))
            undefine(host)


def terminatedInVain(tap, host):
    """viommud ends although libvirtd does not answer, or a client has stopped his process."""
    libvirtd = Libvirtd(host)
    with Service(host, IMPATIENT) as service, Client(host, service) as client:
        with libvirtd.standingStill():
            client.beginAndWait("version")
            tap.ok(service.stop() == 0, "libvirtd stands still: viommud ends all the same",
                   service.log())
        answer = client.answer()
        tap.ok(isError(answer), "its client gets an error", answer)
    with Service(host, IMPATIENT) as service, Client(host, service) as client:
        children = childrenOf(service.outerPid)
        os.kill(client.child, signal.SIGSTOP)
        tap.ok(service.stop() == 0, "a process of viommud stands still: viommud ends all the same",
               service.log())
        tap.ok(becomes(lambda: not any(map(isAlive, children))), "and so does that process")
        answer = client.do("version")
        tap.ok(isError(answer), "its client gets an error", answer)


def absent(tap, host, service):
    """There is no libvirtd: it has gone in peace, or was killed and has left its socket."""
    libvirtd = Libvirtd(host)
    for how, words in (("TERM", "No such file or directory"), ("KILL", "Connection refused")):
        libvirtd.end(how)
        try:
            for way, uri in (("viommud", service.uri), ("viommu-stdio", stdioUri(host))):
                said = host.virsh("-c", uri, "list")
                tap.ok(said.returncode == 1 and "libvirt-sock" in said.stderr
                       and words in said.stderr,
                       f"no libvirtd since SIG{how}: the client is told so through {way}", said)
        finally:
            libvirtd.start()
        worksAgain(tap, host, service, f"libvirtd is there again after SIG{how}")


def noDescriptor(tap, host, service):
    """viommud has no descriptor left for a client, and then has again."""
    limits = resource.prlimit(service.outerPid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{service.outerPid}/fd")}
    free = min(set(range(max(used) + 2)) - used)
    resource.prlimit(service.outerPid, resource.RLIMIT_NOFILE, (free, limits[1]))
    with subprocess.Popen(**host.command("virsh", "-c", service.uri, "version"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as client:
        try:
            tap.ok(becomes(lambda: "cannot accept a client: Too many open files" in service.log()),
                   "no descriptor is left for a client: viommud says so", service.log())
            tap.ok(client.poll() is None, "and the client waits")
            resource.prlimit(service.outerPid, resource.RLIMIT_NOFILE, limits)
            said = client.communicate(timeout=PATIENCE)[0]
            tap.ok(client.returncode == 0, "until there is one", said)
        finally:
            client.kill()


def testAll(tap, tree):
    with DescribedHost(tree, manifest(HOST)) as host:
        for name, xml in (("domain", DOMAIN), ("running", RUNNING), ("network", NETWORK)):
            with open(host.path(f"run/{name}.xml"), "w", encoding="utf-8") as f:
                f.write(xml)
        host.virsh("net-define", "/run/network.xml")
        with Service(host, CONFIG) as service:
            for part in (killedInDefine, killedAnywhere, killedInSave, stopped, full, childKilled,
                         noDescriptor, absent):
                with guarded(tap, part.__name__):
                    part(tap, host, service)
        for part in (killed, terminated, terminatedInVain):
            with guarded(tap, part.__name__):
                part(tap, host)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
