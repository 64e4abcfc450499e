#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""viommu attach, viommu detach and viommu define with the real libvirt, also when they are killed, or the service is.

A device goes to the port that is right for it, or nothing changes and it is said why. Whatever dies at whichever
message to libvirt, the domain is as it was or as was asked.
"""

import collections
import contextlib
import json
import os
import re
import sys
import tempfile

from beside import LIBVIRT, viommuBeside
from describedhost import DescribedHost
from domainxml import parse, placesOfHostdevs
from golden import emulatable, manifest, viommu, viommuDone
from killrelay import AFTER, MOMENTS, KillRelay
from service import SOCKETS, Service
from serviceclient import DIRECT, PLAIN, REQUEST, REQUEST_ALL, UUID, Client, domain, hostdev, ports
from tap import guarded
from tree import runOnTree

HOST = "grace"
DEVICES, THIRD = ("0002:01:00.0", "0006:01:00.0"), "0009:01:00.0"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
MONITOR_LOG = "/tmp/monitor.log"
RELAY = f"{SOCKETS}-relay"


def smmuOf(address):
    host = json.loads(viommu(HOST, "--format", "json", "host"))
    return next(smmu["name"] for smmu in host["smmus"]
                if address in [device["address"] for device in smmu["devices"]])


def forKvm(xml):
    return xml.replace("'qemu'", "'kvm'", 1)


class Direct(Client):
    """libvirt alone, and viommu beside it: this machine's, by a socket of the described host."""

    def __init__(self, host):
        super().__init__(host, *DIRECT)

    def viommu(self, *args, stdin=None, socket=None):
        return viommuBeside(self.host, HOST, *args, stdin=stdin, socket=socket)


def portOf(xml, address):
    """The guest bus of that host device, or None."""
    wanted = [int(part, 16) for part in re.split("[:.]", address)]
    for device in parse(xml).findall("devices/hostdev"):
        source = device.find("source/address")
        if wanted == [int(source.get(part), 0) for part in ("domain", "bus", "slot", "function")]:
            return int(device.find("address").get("bus"), 0)
    return None


def testConfig(tap, client):
    with client.defined(viommu(HOST, "expand", "-", stdin=domain("plugged", 1, DEVICES, REQUEST_ALL))) as name:
        before = client.dump(name)
        (spare,) = ports(before)[smmuOf(THIRD)]
        done = client.viommu("attach", "--dry-run", "--config", name, "-", stdin=hostdev(THIRD))
        tap.ok(done.returncode == 0 and f"bus='0x{spare:02x}'" in done.stdout and client.dump(name) == before,
               "attach --dry-run shows the device with its address, and attaches nothing", done.stdout, done.stderr)
        for how in (name, UUID % 1):
            done = client.viommu("attach", "--config", how, "-", stdin=hostdev(THIRD))
            tap.ok(done.returncode == 0 and portOf(client.dump(name), THIRD) == spare and
                   done.stdout == f"hostdev '{THIRD}' at 0000:{spare:02x}:00.0 attached to domain '{how}'\n",
                   f"attach --config {how}: on the port below its vSMMU", done.stdout, done.stderr)
            tap.ok(not done.stderr, "and nothing is to be noted", done.stderr)
            again = client.viommu("attach", "--config", how, "-", stdin=hostdev(THIRD))
            tap.ok(again.returncode == 1 and again.stderr.startswith(f"error: V20: the domain has hostdev '{THIRD}'"),
                   "a second time it is refused", again.stderr)
            done = client.viommu("detach", "--config", how, "-", stdin=hostdev(THIRD))
            tap.ok(done.returncode == 0 and client.dump(name) == before and
                   done.stdout == f"device detached from domain '{how}'\n",
                   f"detach --config {how}: the domain is as before", done.stdout, done.stderr)


def testRefused(tap, client):
    with client.defined(viommu(HOST, "expand", "-", stdin=domain("plugged", 1, DEVICES, REQUEST))) as name:
        before = client.dump(name)
        for what, words, stdin, status, said in (
                ("a device of an SMMU without vSMMU", ("attach", "--config", name, "-"), hostdev(THIRD), 1,
                 f"V05: hostdev '{THIRD}' is behind {smmuOf(THIRD)}, and the domain has no vSMMU for that"),
                ("one of an SMMU without free port", ("attach", "--config", name, "-"), hostdev("0002:03:00.0"), 1,
                 "no root port below its vSMMU is free"),
                ("one that the domain does not have", ("detach", "--config", name, "-"), hostdev(THIRD), 1,
                 "libvirt does not detach the device: "),
                ("a domain that is not there", ("attach", "nothing", "-"), hostdev(THIRD), 1,
                 "cannot find the domain 'nothing': "),
                ("XML that is none", ("attach", name, "-"), "<hostdev", 1, "libvirt does not attach the device: "),
                ("a live change of a domain that does not run", ("attach", "--live", name, "-"),
                 hostdev("0002:03:00.0"), 1, "no root port below its vSMMU is free")):
            done = client.viommu(*words, stdin=stdin)
            tap.ok(done.returncode == status and said in done.stderr and not done.stdout and
                   client.dump(name) == before, f"{words[0]}: {what}", f"exit status {done.returncode}", done.stderr)
        done = viommuDone(HOST, "-c", "qemu+unix:///system?socket=/nowhere", "attach", name, "-", stdin=hostdev(THIRD))
        tap.ok(done.returncode == 3 and "cannot connect to libvirt" in done.stderr, "no libvirt", done.stderr)


def testLive(tap, client):
    """QEMU cannot open a device that is not there. Where libvirt puts it is seen all the same."""
    host = client.host
    host.run("virt-admin", "daemon-log-filters", "1:qemu.qemu_monitor")
    host.run("virt-admin", "daemon-log-outputs", f"1:file:{MONITOR_LOG}")
    with client.running(viommu(HOST, "expand", "-", stdin=domain("running", 2, (), REQUEST_ALL))) as name:
        before = client.ask("dumpxml", name)
        (spare,) = ports(before)[smmuOf(THIRD)]
        number = client.ask("domid", name).strip()
        done = client.viommu("attach", "--live", number, "-", stdin=hostdev(THIRD))
        adding = [json.loads(text)["arguments"] for text in re.findall(
            r'QEMU_MONITOR_SEND_MSG: .* msg=(\{"execute":"device_add".*\})', host.run("cat", MONITOR_LOG).stdout)]
        tap.ok(done.returncode == 1 and "/dev/vfio" in done.stderr and
               [(one.get("host"), one["bus"]) for one in adding] == [(THIRD, f"pci.{spare}")],
               "attach --live: QEMU is given the port below the right vSMMU", adding, done.stderr)
        tap.ok(client.ask("dumpxml", name) == before, "and the domain is as before")
        done = client.viommu("attach", "--persistent", name, "-", stdin=hostdev(THIRD))
        tap.ok(done.returncode == 1 and portOf(client.dump(name), THIRD) is None,
               "attach --persistent: what cannot be done live is not in the configuration either", done.stderr)


def testDeviceIommufd(tap, client):
    """In the words of libvirt 12.1, where each device says for itself that it goes through iommufd."""
    asking = forKvm(domain("older", 4, DEVICES, REQUEST_ALL))
    expanded = emulatable(viommu(HOST, "expand", "--libvirt-version", "12.1", "-", stdin=asking))
    with client.defined(expanded) as name:
        before = client.dump(name).count("iommufd='yes'")
        done = client.viommu("attach", "--config", name, "-", stdin=hostdev(THIRD))
        after = client.dump(name)
        tap.ok(before == len(DEVICES) and done.returncode == 0 and after.count("iommufd='yes'") == before + 1 and
               "<iommufd enabled" not in after, "attach: a device gets <driver iommufd='yes'/> as the others have it",
               f"{before} before", done.stderr, after)


def testPlain(tap, client):
    """A domain without vSMMUs is none of ours: what libvirt makes of it is what happens."""
    with client.defined(domain("plain", 3, (), PLAIN)) as name:
        done = client.viommu("attach", "--config", name, "-", stdin=hostdev(THIRD))
        tap.ok(done.returncode == 0 and done.stdout == f"device attached to domain '{name}'\n" and
               portOf(client.dump(name), THIRD) is not None, "attach: a domain without vSMMUs", done.stderr)
        tap.ok(done.stderr == f"note: domain '{name}' has no vSMMU with a bus of its own: the place of the device is "
               "left to libvirt\n", "and it is said that libvirt chose the place", done.stderr)


def testDefine(tap, client):
    """viommu define of one's own file, of a domain that libvirt has; as the service does it."""
    few, more = (domain("own", 5, devices) for devices in (DEVICES, (DEVICES[0], "0003:01:00.0", DEVICES[1])))
    with client.defined(viommu(HOST, "expand", "-", stdin=few)) as name:
        before = placesOfHostdevs(client.dump(name))
        for what, asked in (("a device more", more), ("one less", few)):
            done = client.viommu("define", "-", stdin=asked)
            after = placesOfHostdevs(client.dump(name))
            tap.ok(done.returncode == 0 and len(before) == 2 and before.items() <= after.items() and
                   len(after) == len(parse(asked).findall("devices/hostdev")) and
                   all(f"{device} stays at" in done.stdout for device in DEVICES) and " moved " not in done.stdout,
                   f"define: {what} in one's own file moves no other", before, after, done.stdout, done.stderr)
        done = client.viommu("define", "-", stdin=more.replace(DEVICES[0].split(":", maxsplit=1)[0], "0099"))
        line = more.count("\n", 0, more.index("<hostdev")) + 1
        tap.ok(done.returncode == 1 and f"error: line {line}: V02: hostdev '0099:01:00.0'" in done.stderr and
               placesOfHostdevs(client.dump(name)) == before,
               "and what is wrong is told with the line of the file", done.stderr)


def testDryDefine(tap, client):
    """What would be defined is what is, and the words for it are the same."""
    asking = domain("coming", 6, DEVICES, REQUEST_ALL)
    for what, given in (("a new domain", asking), ("one that was expanded", viommu(HOST, "expand", "-", stdin=asking))):
        dry = client.viommu("-q", "define", "-n", "-", stdin=given)
        tap.ok(dry.returncode == 0 and not dry.stderr and "coming" not in client.ask("list", "--all", "--name"),
               f"define --dry-run of {what}: nothing is defined", dry.stderr)
        with client.defined(dry.stdout) as name:
            wanted = client.dump(name)
        said = client.viommu("define", "-n", "-", stdin=given).stderr
        try:
            done = client.viommu("define", "-", stdin=given)
            tap.ok(done.returncode == 0 and client.dump("coming") == wanted, "what was shown is what is defined then",
                   done.stderr)
            for conditional, plain in (("would be spare", "is spare"), ("would be ", ""), ("would stay", "stays")):
                said = said.replace(conditional, plain)
            tap.ok(done.stdout == said[said.index("Domain "):], "and it is said in the same words", said, done.stdout)
        finally:
            client.remove("coming")


# A domain, and what is to be killed while it gives it a device: that as it is asked for, the same with its place, how
# it is asked for, and a function that says whether the domain in a text has it.
Subject = collections.namedtuple("Subject", "name device placed flags isIn")


def states(client, subject):
    """What libvirt has of it: the configuration, and what runs, if that is to change, too."""
    running = client.ask("dumpxml", subject.name) if "--live" in subject.flags else None
    return client.dump(subject.name), running


def put(client, subject, there):
    """Gives the domain the device, or takes it, past all of ours."""
    for flag, text in zip(subject.flags, states(client, subject)):
        if there != subject.isIn(text):
            client.ask("attach-device" if there else "detach-device", subject.name, "/dev/stdin", flag,
                       stdin=subject.placed)
    return states(client, subject)


def killEverywhere(tap, client, subject, verb, change, moment, what):
    """Runs @change with a relay that kills at its message 1, 2 and so on, until none comes in its way."""
    without, with_ = (put(client, subject, there) for there in (False, True))
    before, after = (without, with_) if verb == "attach" else (with_, without)
    wrong, seen, number = [], set(), 0
    while True:
        number += 1
        put(client, subject, verb == "detach")
        done, killed = change(subject, verb, moment, number)
        now = states(client, subject)
        seen.add(now == after)
        if now not in (before, after):
            wrong += [f"message {number}: the domain is another", *"".join(text or "" for text in now).splitlines()]
        if done.returncode == 0 and now != after:
            wrong.append(f"message {number}: it is said to be done, and is not")
        if not killed:
            break
    if done.returncode or now != after:
        wrong.append(f"not killed: exit status {done.returncode}: {done.stderr}")
    tap.ok(not wrong and number > 5 and seen == {True, False} and before != after,
           f"{what} {' '.join(subject.flags)} is killed {moment} 1 to {number - 1}: the domain is as it was or as was "
           "asked", *wrong)
    put(client, subject, False)


@contextlib.contextmanager
def askers(client):
    """{in words: change} of who can be killed: viommu, and the process of viommud that serves virsh."""
    host = client.host
    libvirt, before = host.path(LIBVIRT), host.path(RELAY)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-"))
        with KillRelay(libvirt, AFTER, 0, before):
            service = stack.enter_context(Service(host, f'libvirt_sock = "{RELAY}"\n'))

        def command(subject, verb, moment, number):
            path = os.path.join(directory, "sock")
            with KillRelay(libvirt, moment, number, path) as relay:
                done = client.viommu(verb, *subject.flags, subject.name, "-", stdin=subject.device, socket=path)
            return done, relay.killed

        def virsh(subject, verb, moment, number):
            with KillRelay(libvirt, moment, number, before) as relay:
                done = host.virsh("-c", service.uri, f"{verb}-device", subject.name, "/dev/stdin", *subject.flags,
                                  stdin=subject.device)
            return done, relay.killed

        yield {"viommu {}": command, "viommud in virsh {}-device": virsh}


def killAll(tap, client, subject):
    with askers(client) as changes:
        for verb in ("attach", "detach"):
            for what, change in changes.items():
                for moment in MOMENTS:
                    killEverywhere(tap, client, subject, verb, change, moment, what.format(verb))


def testKilled(tap, client):
    """A host device, in the configuration."""
    with client.defined(viommu(HOST, "expand", "-", stdin=domain("plugged", 1, DEVICES, REQUEST_ALL))) as name:
        placed = client.viommu("attach", "--dry-run", "--config", name, "-", stdin=hostdev(THIRD)).stdout
        killAll(tap, client, Subject(name, hostdev(THIRD), placed, ("--config",),
                                     lambda text: portOf(text, THIRD) is not None))


def testKilledBoth(tap, client):
    """In a running domain and its configuration at once: a device that QEMU can have here, an emulated one."""
    with client.running(viommu(HOST, "expand", "-", stdin=domain("running", 2, (), REQUEST_ALL))) as name:
        killAll(tap, client, Subject(name, RNG, RNG, ("--config", "--live"), lambda text: "<rng " in text))


def testSlow(tap, client):
    """A guest that stands still keeps a device that it had from the start; its configuration is changed all the same."""
    with client.running(viommu(HOST, "expand", "-", stdin=domain("running", 2, (), REQUEST_ALL + RNG))) as name:
        done = client.viommu("detach", "--live", "--config", name, "-", stdin=RNG)
        has = ["<rng " in text for text in (client.ask("dumpxml", name), client.dump(name))]
        tap.ok(done.returncode == 0 and "the guest has been asked, and has not let it go yet" in done.stdout and
               has == [True, False], "detach --live --config: what a guest does not let go has left its configuration, and "
               "it is said", has, done.stdout, done.stderr)


def testAll(tap, tree):
    with DescribedHost(tree, manifest(HOST)) as host:
        client = Direct(host)
        for test in (testConfig, testRefused, testLive, testDeviceIommufd, testPlain, testDryDefine, testDefine,
                     testSlow, testKilled, testKilledBoth):
            with guarded(tap, test.__name__):
                test(tap, client)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
