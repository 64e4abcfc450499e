#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nobody may do more through viommu than directly.

A relay that forwards as root what everybody may send to it gives root to everybody. So there are
users with and without libvirt's permission, polkit with Debian's rule for libvirt, and a libvirtd
that asks it: whatever a user gets directly, in whatever words, is what he gets through viommud and
through viommu-stdio. Then the same with a libvirtd that nothing but its socket's group protects.
"""

import collections
import os
import re
import sys

from describedhost import DescribedHost
from golden import manifest
from hostlibvirtd import Libvirtd
from processes import childrenOf, innerPid, servedBy, statusOf
from rpcclient import AUTH_LIST, DEFINE, Connector, failureOf, string
from service import SOCKETS, Service, stdioUri
from tap import guarded
from tree import runOnTree

HOST = "one-smmu"
LIBVIRT_SOCKET, VIOMMU_SOCKET = "/run/libvirt/libvirt-sock", f"{SOCKETS}/libvirt-sock"
DIRECT = f"qemu+unix:///system?socket={LIBVIRT_SOCKET}"
DOMAIN = """<domain type='qemu'>
  <name>%s</name>
  <uuid>5d3f4a1e-0000-4000-8000-%012d</uuid>
  <memory unit='MiB'>64</memory>
  <os><type arch='aarch64' machine='virt'>hvm</type></os>
</domain>"""
# alice is in no group but her own, bob's first group is libvirt's, carol is one more in that group.
USERS = {"alice": 2001, "bob": 2002, "carol": 2003}
FIRST_GROUP = {"alice": "alice", "bob": "libvirt", "carol": "carol"}
IN_LIBVIRT_GROUP = "carol"
BECOME = {name: (f"--reuid={name}", f"--regid={group}", "--init-groups")
          for name, group in FIRST_GROUP.items()}
# Processes that have other groups than /etc/group says.
CAROL_WITHOUT, ALICE_WITH, NAMELESS = (
    "carol without her groups", "alice with libvirt's group", "somebody without a name")
BECOME.update({
    CAROL_WITHOUT: ("--reuid=carol", "--regid=carol", "--clear-groups"),
    ALICE_WITH: ("--reuid=alice", "--regid=alice", "--groups=libvirt"),
    NAMELESS: ("--reuid=4711", "--regid=4712", "--groups=4713,4714"),
    "root": ("--groups=0,4715",)})
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")
# What libvirtd says of a client, apart from its number, its age and its process.
IDENTITY = ("readonly", "transport", "unix_user_id", "unix_user_name", "unix_group_id",
            "unix_group_name")

Said = collections.namedtuple("Said", "status out words")


def addUsers(host):
    """In copies of the files that are laid over those of the tree, which all tests share."""
    libvirt = host.run("getent", "group", "libvirt").stdout.split(":")[2]
    users = "".join(f"{name}:x:{uid}:{libvirt if FIRST_GROUP[name] == 'libvirt' else uid}::/run:\n"
                    for name, uid in USERS.items())
    groups = "".join(f"{name}:x:{uid}:\n" for name, uid in USERS.items())
    for name, added in (("passwd", users), ("group", groups)):
        with open(host.path(f"etc/{name}"), encoding="utf-8") as f:
            text = re.sub(r"^(libvirt:.*)$", rf"\1{IN_LIBVIRT_GROUP}", f.read(), flags=re.MULTILINE)
        with open(host.path(f"run/{name}"), "w", encoding="utf-8") as f:
            f.write(text + added)
        host.run("mount", "--bind", f"/run/{name}", f"/etc/{name}")


def writeDomain(host, name, uuid=0):
    """A file that everybody can read, as setpriv's standard input is not."""
    path = f"/run/{name}.xml"
    with open(host.path(path), "w", encoding="ascii") as f:
        f.write(DOMAIN % (name, uuid))
    return path


def virsh(host, who, uri, *words):
    done = host.run("setpriv", *BECOME[who], "virsh", "-q", "-c", uri, *words)
    return Said(done.returncode, done.stdout, done.stderr)


def routes(host, service):
    """{name: URI} of the ways to libvirt that are compared with the direct one."""
    return {"viommud": service.uri, "viommu-stdio": stdioUri(host)}


def readOnlyRoutes(host, service):
    return {"viommud": service.readOnlyUri, "viommu-stdio": stdioUri(host, "--readonly")}


def compare(tap, host, who, ways, direct, *words):
    """virsh says the same on all ways; returns what it says on the direct one."""
    first = virsh(host, who, direct, *words)
    for way, uri in ways.items():
        said = virsh(host, who, uri, *words)
        tap.ok(said == first, f"{who}, {' '.join(words)}: through {way} as directly",
               f"directly: {first}", f"{way}: {said}")
    return first


def withPolkit(tap, host, service):
    """Who may, and who may not."""
    ways = routes(host, service)
    ofAlice = writeDomain(host, "of-alice", USERS["alice"])
    for words in (("list", "--all"), ("-r", "list", "--all"), ("define", ofAlice)):
        said = compare(tap, host, "alice", ways, DIRECT, *words)
        tap.ok(said.status and "'org.libvirt.unix.manage'" in said.words,
               f"alice, {' '.join(words)}: it is polkit that denies it", said)
    for number, who in enumerate(("bob", "carol", "root")):
        said = compare(tap, host, who, ways, DIRECT, "list", "--all")
        tap.ok(not said.status and "everybody-sees" in said.out, f"{who} may list domains", said)
        said = compare(tap, host, who, ways, DIRECT, "define",
                       writeDomain(host, f"of-{who}", number + 1))
        tap.ok(not said.status, f"{who} may define a domain", said)
    for who in (CAROL_WITHOUT, ALICE_WITH):
        compare(tap, host, who, ways, DIRECT, "list", "--all")
    names = host.virsh("list", "--all", "--name").stdout.split()
    tap.ok(sorted(names) == ["everybody-sees", "of-bob", "of-carol", "of-root"],
           "the domains are those of the users who may", names)


def readOnly(tap, host, service):
    """Everybody may look, and nobody may do more than look."""
    ways, direct = readOnlyRoutes(host, service), f"{DIRECT}-ro"
    ofNobody = writeDomain(host, "of-nobody")
    for option in (("-r",), ()):
        said = compare(tap, host, "alice", ways, direct, *option, "list", "--all")
        tap.ok(not said.status and "everybody-sees" in said.out, "alice may look", said)
        for who in ("alice", "root"):
            said = compare(tap, host, who, ways, direct, *option, "define", ofNobody)
            tap.ok(said.status and "read only" in said.words, f"{who} may not define", said)
    answers = []
    for socket in (LIBVIRT_SOCKET, VIOMMU_SOCKET):
        with Connector(host, *BECOME["alice"]) as connector, \
                connector.connect(f"{socket}-ro").open() as client:
            answers.append(failureOf(client.call(DEFINE, string(DOMAIN % ("of-nobody", 0)))))
    tap.ok(answers[0] and answers[0] == answers[1],
           "a client that does not say it is read-only is so by the socket", *answers)
    names = host.virsh("list", "--all", "--name").stdout.split()
    tap.ok("of-nobody" not in names, "nothing was defined there", names)


def identities(host):
    """{process: what libvirtd says of its client}"""
    listed = host.run("virt-admin", "client-list", "libvirtd").stdout
    found = {}
    for number in re.findall(r"^ *(\d+) ", listed, re.MULTILINE):
        info = host.run("virt-admin", "client-info", "libvirtd", number).stdout
        info = dict(re.findall(r"^(\w+) *: *(.*?) *$", info, re.MULTILINE))
        found[int(info.get("unix_process_id", 0))] = {name: info.get(name) for name in IDENTITY}
    return found


def connectedAs(host, service, who):
    """Of @who's process and of viommud's child for it: (status, what libvirtd says of it) each."""
    with Connector(host, *BECOME[who]) as connector, connector.connect(LIBVIRT_SOCKET) as direct, \
            connector.connect(VIOMMU_SOCKET) as through:
        for client in (direct, through):
            # Any answer says that all the way is there. Whoever is denied may stay connected.
            client.call(AUTH_LIST)
        (process,), (child,) = childrenOf(connector.process.pid), servedBy(service, connector.pid())
        seen = identities(host)
        return [({**statusOf(pid), "owner": os.stat(f"/proc/{pid}/fd").st_uid},
                 seen.get(innerPid(pid))) for pid in (process, child)]


def credentials(tap, host, service):
    """The process that goes to libvirt for a client is as weak as he is."""
    for who in BECOME:
        with guarded(tap, f"credentials of {who}"):
            (process, direct), (child, through) = connectedAs(host, service, who)
            for name in ("Uid", "Gid", "Groups"):
                tap.ok(child[name] == process[name], f"{who}: the child of viommud has his {name}",
                       f"client: {process[name]}", f"child: {child[name]}")
            if who != "root":
                some = [f"{name} {child[name]}" for name in CAPABILITIES if int(child[name], 16)]
                tap.noProblems(some, f"{who}: the child has no capability")
                tap.ok(child["owner"] == 0, f"{who}: what the child has of root's he cannot read",
                       child["owner"])
            # libvirtd sends away who has no name.
            tap.ok(direct == through and (direct or who == NAMELESS),
                   f"{who}: libvirtd sees the child as it sees him",
                   f"directly: {direct}", f"through viommud: {through}")
    tap.ok(statusOf(service.outerPid)["Uid"].split()[0] == "0",
           "viommud itself is root's, so that a child can become anybody")


def owner(host, path):
    """Who may read and write it: nothing else counts of a socket's mode."""
    there = os.stat(host.path(path))
    return oct(there.st_mode & 0o666), there.st_uid, there.st_gid


def withGroup(tap, host):
    """libvirtd asks nobody: who can open its socket is in."""
    settings = 'unix_sock_group = "libvirt"\nunix_sock_rw_perms = "0770"\n'
    Libvirtd(host).configure(f'auth_unix_rw = "none"\n{settings}')
    with Service(host, 'unix_sock_rw_perms = "0777"\n') as service:
        ways = routes(host, service)
        for who in ("bob", "carol", ALICE_WITH, "root"):
            said = compare(tap, host, who, ways, DIRECT, "list", "--all")
            tap.ok(not said.status, f"{who} may by group", said)
        for who in ("alice", CAROL_WITHOUT, NAMELESS):
            for way, uri in {"directly": DIRECT, **ways}.items():
                said = virsh(host, who, uri, "list", "--all")
                tap.ok(said.status and "Permission denied" in said.words,
                       f"{who} may not by group, {way}", said)
    with Service(host, settings) as service:
        for name in ("libvirt-sock", "libvirt-sock-ro"):
            ours = owner(host, f"{SOCKETS}/{name}")
            theirs = owner(host, f"/run/libvirt/{name}")
            tap.ok(ours == theirs, f"{name} of viommud is as open as libvirt's",
                   f"viommud: {ours}", f"libvirtd: {theirs}")
        said = virsh(host, "alice", service.uri, "list")
        tap.ok(said.status and "Permission denied" in said.words,
               "alice cannot open viommud's socket then", said)
        said = virsh(host, "carol", service.uri, "list")
        tap.ok(not said.status, "carol can", said)


def testAll(tap, tree):
    with DescribedHost(tree, manifest(HOST)) as host:
        addUsers(host)
        # It starts polkitd when libvirtd asks for it. libvirtd looks for the bus once.
        os.mkdir(host.path("run/dbus"))
        host.run("dbus-daemon", "--system", "--fork")
        Libvirtd(host).configure('auth_unix_rw = "polkit"\n')
        host.virsh("define", writeDomain(host, "everybody-sees", 100))
        with guarded(tap, "with polkit"), Service(host) as service:
            for part in (withPolkit, readOnly, credentials):
                with guarded(tap, part.__name__):
                    part(tap, host, service)
        with guarded(tap, "with a group"):
            withGroup(tap, host)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
