#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""viommu-hook, run by the real libvirt: what it stops, in which words that comes out, and what goes on.

Devices of the described host change places behind its SMMUs, as after a reboot, while domains are defined. A second
host, on which an SMMU has another name and a device another address, gets definitions by offline migration.
"""

import contextlib
import os
import re
import socket
import sys
import tempfile
import threading

from describedhost import DescribedHost
from domainxml import METADATA, parse
from golden import manifest, viommu
from hostlibvirtd import Libvirtd
from processes import becomes
from service import Service, installPrograms
from serviceclient import DIRECT, PLAIN, REQUEST_ALL, Client, domain, placement
from tap import guarded
from tree import runOnTree

HOST = "grace"
# Behind two SMMUs of HOST, and a third behind another one.
DEVICES, THIRD = ("0002:01:00.0", "0006:01:00.0"), "0009:01:00.0"
SMMU, OTHER_SMMU = "smmu3.0x0000000011000000", "smmu3.0x0000000013000000"
OTHER_THIRD = "0019:01:00.0"
HOOKS = "etc/libvirt/hooks/qemu.d"
REFUSED, BY_HOOK = "viommu: ", "Hook script execution failed"
AUTOSTARTED = "run/libvirt/qemu/autostarted"
SAVED = "/tmp/saved"
PEER = "run/peer.sock"
LIBVIRT_SOCKET = "run/libvirt/libvirt-sock"


def link(host, there=True):
    path = host.path(f"{HOOKS}/viommu")
    if os.path.lexists(path):
        os.unlink(path)
    if there:
        os.symlink(f"{installPrograms(host)}/viommu-hook", path)


def install(host):
    """As the administrator does it: a link, and libvirt's daemon started again."""
    os.makedirs(host.path(HOOKS))
    link(host)
    restart(host)


def restart(host):
    libvirtd = Libvirtd(host)
    libvirtd.end()
    libvirtd.start()


def placed(name, number, devices, iommu=None):
    """The domain as viommu expands it for HOST."""
    return viommu(HOST, "expand", "-", stdin=domain(name, number, devices, *([iommu] if iommu else [])))


def deviceDirectory(host, address):
    link = os.readlink(host.path(f"sys/bus/pci/devices/{address}"))
    return os.path.normpath(f"sys/bus/pci/devices/{link}")


def smmuDirectory(host, address):
    directory = deviceDirectory(host, address)
    return os.path.normpath(f"{directory}/{os.readlink(host.path(directory + '/iommu'))}")


def putBehind(host, address, smmu):
    """The device is behind the SMMU with that directory, in all of /sys that says so."""
    directory, before = deviceDirectory(host, address), smmuDirectory(host, address)
    os.unlink(host.path(f"{directory}/iommu"))
    os.symlink(os.path.relpath(smmu, directory), host.path(f"{directory}/iommu"))
    os.unlink(host.path(f"{before}/devices/{address}"))
    os.symlink(os.path.relpath(directory, f"{smmu}/devices"), host.path(f"{smmu}/devices/{address}"))


def swap(host, one, other):
    first, second = smmuDirectory(host, one), smmuDirectory(host, other)
    putBehind(host, one, second)
    putBehind(host, other, first)
    # The kernel announces what comes and goes.
    with open(host.path("sys/kernel/uevent_seqnum"), "r+", encoding="ascii") as f:
        number = int(f.read())
        f.seek(0)
        f.write(f"{number + 1}\n")


def isRunning(client, name):
    return client.virsh("domstate", name).stdout.strip() in ("running", "paused")


def hookWords(done):
    """What the hook said, as it came out of virsh; "" if it was not the hook that failed."""
    found = re.search(rf"{BY_HOOK}: .*unexpected exit status 1: ({REFUSED}.*)$", done.stderr, re.MULTILINE)
    return found[1] if found else ""


def testRight(tap, client):
    for what, xml in (("a domain with vSMMUs", placed("right", 1, (), REQUEST_ALL)),
                      ("one with a plain smmuv3", domain("plain", 2, (), PLAIN))):
        with client.defined(xml) as name:
            done = client.virsh("start", "--paused", name)
            tap.ok(done.returncode == 0 and isRunning(client, name), f"start: {what}", done.stderr)
            done = client.virsh("destroy", name)
            tap.ok(done.returncode == 0, f"destroy: {what}", done.stderr)
    # QEMU cannot open a device that is not there. That it was asked to is what counts here.
    with client.defined(placed("devices", 3, DEVICES)) as name:
        done = client.virsh("start", name)
        tap.ok("/dev/vfio" in done.stderr and BY_HOOK not in done.stderr, "start: one with host devices gets to QEMU",
               done.stderr)


def testMoved(tap, client):
    host = client.host
    with client.defined(placed("moved", 4, DEVICES)) as name, Service(host) as service:
        before = client.dump(name)
        swap(host, *DEVICES)
        try:
            done = client.virsh("start", name)
            words = hookWords(done)
            tap.ok(all(device in words for device in DEVICES) and "V01: " in words and SMMU in words,
                   "start: devices that changed places are named, with where they were and are", done.stderr)
            tap.ok("virsh dumpxml --inactive 'moved' | viommu define -" in words, "start: the remedy is there to the end",
                   done.stderr)
            tap.ok(not isRunning(client, name) and client.dump(name) == before, "start: the domain is as it was")
            done = host.virsh("-c", service.uri, "define", "/dev/stdin", stdin=before)
            tap.ok(done.returncode == 0 and placement(client.dump(name)) != placement(before),
                   "define: it is placed anew", done.stderr)
            done = client.virsh("start", name)
            tap.ok("/dev/vfio" in done.stderr and BY_HOOK not in done.stderr, "start: then it gets to QEMU", done.stderr)
        finally:
            swap(host, *DEVICES)


def tight(xml):
    """The same with expander buses so close that their ports do not fit between: QEMU does not mind."""
    numbers = sorted(map(int, re.findall(r"busNr='(\d+)'", xml)), reverse=True)
    for place, number in enumerate(numbers):
        xml = xml.replace(f"busNr='{number}'", f"busNr='{254 - place}'")
    return xml


def testAutostart(tap, client):
    host = client.host
    with contextlib.ExitStack() as stack:
        names = [stack.enter_context(client.defined(xml)) for xml in (
            placed("right", 5, (), REQUEST_ALL), tight(placed("tight", 6, (), REQUEST_ALL)),
            domain("plain", 7, (), PLAIN))]
        for name in names:
            client.ask("autostart", name)
        os.unlink(host.path(AUTOSTARTED))       # libvirt starts them once in each boot of the host
        restart(host)
        tap.ok(becomes(lambda: isRunning(client, "right") and isRunning(client, "plain")),
               "autostart: those that fit are running", client.virsh("list", "--all").stdout)
        tap.ok(not isRunning(client, "tight"), "autostart: one whose bus numbers do not fit is not",
               client.virsh("list", "--all").stdout)
        done = client.virsh("start", "tight")
        tap.ok("V10: " in hookWords(done), "start: it is said why", done.stderr)


def testRestore(tap, client):
    with client.running(placed("saved", 8, (), REQUEST_ALL)) as name:
        client.ask("save", name, SAVED)
        before = client.ask("save-image-dumpxml", SAVED)
        done = client.virsh("restore", "--paused", SAVED)
        tap.ok(done.returncode == 0 and placement(client.dump(name)) == placement(before),
               "restore: a guest that fits goes on, unchanged", done.stderr)
    link(client.host, False)
    with client.running(tight(placed("saved", 9, (), REQUEST_ALL))) as name:
        client.ask("save", name, SAVED)
        link(client.host)
        done = client.virsh("restore", "--paused", SAVED)
        tap.ok("V10: " in hookWords(done) and not isRunning(client, name),
               "restore: one that does not fit is refused, with what is wrong", done.stderr)


def testOthers(tap, client):
    """A hook that does not read what it is given must not disturb libvirt, however much that is."""
    long = f"<description>{'x' * (1 << 20)}</description>"
    xml = domain("long", 10, (), PLAIN).replace("<memory ", f"{long}<memory ", 1)
    with client.running(xml) as name:
        tap.ok(isRunning(client, name), "start: a domain of a mebibyte")
        done = client.virsh("destroy", name)
        tap.ok(done.returncode == 0, "destroy: the same", done.stderr)


def relay(listener, path):
    """Everything between who connects to @listener and the socket @path, one connection at a time each in threads."""
    def pump(source, target):
        with contextlib.suppress(OSError):
            while part := source.recv(1 << 16):
                target.sendall(part)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(path)
            for pair in ((client, peer), (peer, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()


@contextlib.contextmanager
def reachable(host, other):
    """For clients in @host, the libvirt of @other; gives the URI."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(host.path(PEER))
        listener.listen()
        threading.Thread(target=relay, args=(listener, other.path(LIBVIRT_SOCKET)), daemon=True).start()
        try:
            yield f"qemu+unix:///system?socket=/{PEER}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            os.unlink(host.path(PEER))


def migrate(client, uri, name):
    return client.virsh("migrate", "--offline", "--persistent", name, uri, "--migrateuri", "tcp://192.0.2.1")


def notedSMMUs(xml):
    return [vsmmu.get("smmu") for vsmmu in parse(xml).iter(f"{METADATA}vsmmu")]


def testMigration(tap, client, other, uri):
    """Definitions, as a guest with nested vSMMUs cannot be migrated while it runs."""
    there = Client(other, *DIRECT)
    with client.defined(placed("goes", 11, DEVICES)) as name:
        before = client.dump(name)
        done = migrate(client, uri, name)
        after = there.dump(name) if done.returncode == 0 else ""
        tap.ok(after and notedSMMUs(after) == [OTHER_SMMU if smmu == SMMU else smmu for smmu in notedSMMUs(before)],
               "migrate: the SMMUs of the other host are noted there", done.stderr, after)
        tap.ok(after == before.replace(SMMU, OTHER_SMMU), "migrate: nothing else is another", done.stderr)
        there.remove(name)
    with client.defined(placed("stays", 12, (THIRD,))) as name:
        done = migrate(client, uri, name)
        tap.ok("V02: " in hookWords(done) and THIRD in hookWords(done),
               "migrate: a device that the other host does not have is named", done.stderr)
        tap.ok(there.virsh("domstate", name).returncode, "migrate: there is no such domain there then")
    with client.defined(domain("plain", 13, (), PLAIN)) as name:
        done = migrate(client, uri, name)
        tap.ok(done.returncode == 0 and there.virsh("domstate", name).returncode == 0,
               "migrate: a domain without vSMMUs goes as ever", done.stderr)
        there.remove(name)


@contextlib.contextmanager
def otherManifest():
    """HOST with another name for an SMMU, and another address for a device."""
    with open(manifest(HOST), encoding="utf-8") as f, tempfile.NamedTemporaryFile("w", encoding="utf-8") as made:
        made.write(f.read().replace(SMMU, OTHER_SMMU).replace(THIRD, OTHER_THIRD))
        made.flush()
        yield made.name


def testAll(tap, tree):
    with guarded(tap, f"described host {HOST}"), DescribedHost(tree, manifest(HOST)) as host:
        install(host)
        client = Client(host, *DIRECT)
        for test in (testRight, testMoved, testAutostart, testRestore, testOthers):
            with guarded(tap, test.__name__):
                test(tap, client)
        with guarded(tap, "a second host"), otherManifest() as path, DescribedHost(tree, path) as other, \
                reachable(host, other) as uri:
            install(other)
            testMigration(tap, client, other, uri)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
