#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""OpenStack Nova's XML and Nova's code, through viommu, to the real libvirt.

tests/novadata is what Nova hands to libvirt. It goes to viommu as it is; novakvm.py, behind that,
makes libvirt take domains with KVM here. Then Nova's own libvirt driver (novatree.py) does what it
does with guests (novaguest.py), and loses its connection.

libvirt cannot open host devices here, so no guest with one runs: what Nova plugs, it plugs into the
persistent domain. Running guests are the matter of the emulated host.
"""

import os
import signal
import sys

import novaguest
from describedhost import DescribedHost, HostError
from golden import manifest
from hostlibvirtd import Libvirtd
from novadomain import (DIRECT, NAME, allSmmus, currentXml, freePorts, novaXml, passedThrough,
                        placementProblems, vsmmus)
from novahost import Nova
from novakvm import SOCKET, Kvm
from novatree import novaTree
from processes import becomes, childrenOf
from service import Service, stdioUri
from tap import guarded
from tree import runOnTree

HOST = "grace"
SMMUV3 = ("01-one-gpu", "02-two-gpus-pcie-ports", "10-lifecycle", "12-hot-vf")
VIRTIO, NONE = "08-two-gpus-auto-is-virtio", "09-two-gpus-no-viommu"
TWO_GPUS = "10-lifecycle"
# What becomes of a domain, by the policy.
PLACED, REFUSED, UNTOUCHED = "is placed", "is refused as directly", "stays as it is"
POLICIES = {
    "off": {**dict.fromkeys(SMMUV3, REFUSED), VIRTIO: REFUSED, NONE: UNTOUCHED},
    "smmuv3": {**dict.fromkeys(SMMUV3, PLACED), VIRTIO: REFUSED, NONE: UNTOUCHED},
    "aarch64": {**dict.fromkeys(SMMUV3, PLACED), VIRTIO: PLACED, NONE: PLACED},
}
# libvirt's words for what Nova writes, and those that come next, when the first are heeded.
IOAPIC = "The 'ioapic' feature is not supported for architecture 'aarch64'"
HEEDED = (('<ioapic driver="qemu"/>', ""), ('intremap="on" ', ""))
ATTRIBUTES = "doesn't support some additional attributes"
# Extra specs that are attributes of every vSMMU.
FEATURES = {"cmdqv": "on", "ats": "on", "ril": "off", "ssidsize": "16", "oas": "48"}


def service(host, policy):
    return Service(host, f'policy = "{policy}"\nlibvirt_sock = "{SOCKET}"\n')


def announceDevices(host):
    """Adds the links by which libvirt's node device driver finds them, and starts libvirtd again.

    The variable tells systemd's library that its sysfs may be a copy.
    """
    devices = host.path("sys/bus/pci/devices")
    for name in os.listdir(devices):
        os.symlink("/sys/bus/pci", os.path.join(devices, name, "subsystem"))
    Libvirtd(host).end()
    host.run("env", "SYSTEMD_DEVICE_VERIFY_SYSFS=0", "libvirtd", "--daemon")
    if not becomes(lambda: host.virsh("version").returncode == 0):
        raise HostError("libvirtd does not answer")


def define(host, uri, xml):
    """(the domain that libvirt then has, None) or (None, why it is refused)"""
    done = host.virsh("-c", uri, "define", "/dev/stdin", stdin=xml)
    if done.returncode:
        return None, done.stderr
    try:
        return currentXml(host), None
    finally:
        host.virsh("undefine", "--nvram", NAME)


def directly(tap, host):
    for name in SMMUV3 + (VIRTIO,):
        xml = novaXml(name)
        _, words = define(host, DIRECT, xml)
        tap.ok(words and IOAPIC in words, f"libvirt refuses {name}", words)
        for what, instead in HEEDED:
            xml = xml.replace(what, instead)
        _, words = define(host, DIRECT, xml)
        tap.ok(words and ATTRIBUTES in words, f"libvirt has more against {name} then", words)


def expect(tap, host, uri, xml, outcome, what):
    """Defines the domain at @uri and looks whether that becomes of it."""
    got, words = define(host, uri, xml)
    if outcome == PLACED:
        tap.noProblems(placementProblems(host, got) if got else [words], f"{what} {PLACED}")
        return
    direct, refusal = define(host, DIRECT, xml)
    tap.ok((got, words) == (direct, refusal) and (outcome == REFUSED) == (direct is None),
           f"{what} {outcome}", f"through viommu: {got or words}", f"directly: {direct or refusal}")


def byPolicy(tap, host):
    for policy, outcomes in POLICIES.items():
        with guarded(tap, f"policy {policy}"), service(host, policy) as viommud:
            for name, outcome in outcomes.items():
                expect(tap, host, viommud.uri, novaXml(name), outcome, f"policy {policy}: {name}")
            for name, outcome in ((TWO_GPUS, REFUSED), (NONE, UNTOUCHED)):
                expect(tap, host, viommud.uri, novaXml(name, nested="no"), outcome,
                       f"policy {policy}, extra spec nested=no: {name}")


def byExtraSpecs(tap, host, uri):
    for name in SMMUV3 + (VIRTIO, NONE):
        expect(tap, host, uri, novaXml(name, nested="yes"), PLACED,
               f"extra spec nested=yes: {name}")


def features(tap, host, uri):
    got, words = define(host, uri, novaXml(TWO_GPUS, nested="yes", **FEATURES))
    tap.noProblems(placementProblems(host, got) if got else [words], "with features it is placed")
    drivers = [driver.attrib for driver in vsmmus(got).values()]
    tap.ok(all(driver.items() >= FEATURES.items() for driver in drivers),
           f"each vSMMU has {FEATURES}", drivers)


def room(tap, host, uri):
    """For devices that come later."""
    got, words = define(host, uri, novaXml(TWO_GPUS, nested="yes", spare_ports="2"))
    tap.noProblems(placementProblems(host, got) if got else [words],
                   "with spare ports it is placed")
    tap.ok(freePorts(got) == dict.fromkeys(vsmmus(got), 2), "two ports below each vSMMU are free",
           freePorts(got))
    got, words = define(host, uri, novaXml(TWO_GPUS, nested="yes", smmus="all"))
    tap.noProblems(placementProblems(host, got, allSmmus(host)) if got else [words],
                   "with smmus=all each SMMU of the host has its vSMMU")


def badSpecs(tap, host, uri):
    for specs, rule in (({"cmdqv": "perhaps"}, "V13"), ({"cmdvq": "on"}, "V13"),
                        ({"ssidsize": "21"}, "V13"), ({"cmdqv": "on", "smmus": "all"}, "V12")):
        got, words = define(host, uri, novaXml(TWO_GPUS, nested="yes", **specs))
        tap.ok(not got and rule in words and next(iter(specs)) in words,
               f"extra specs {specs}: refused by {rule}", words or "it was defined")


def novaDoes(tap, host, nova):
    for part in (novaguest.connects, novaguest.seesEvents, novaguest.definesAgain,
                 novaguest.writesAsRecorded, novaguest.suspendsAndResumes,
                 novaguest.refusesFunction, novaguest.refusesAll, novaguest.attachesFunction,
                 novaguest.rebootsHard):
        with guarded(tap, part.__name__):
            part(tap, host, nova)
        host.virsh("undefine", "--nvram", NAME)


def kill(viommud):
    """With the connections that it serves."""
    for pid in childrenOf(viommud.outerPid) + [viommud.outerPid]:
        os.kill(pid, signal.SIGKILL)
    viommud.process.wait()


def reconnects(tap, host, directory):
    """Nova connects again by itself, and registers for events again."""
    with service(host, "smmuv3") as viommud, Nova(host, directory, viommud.uri) as nova:
        def states():
            return [up for up, _ in nova.ask("connections")]

        nova.ask("define", novaXml(TWO_GPUS))
        first = currentXml(host)
        tap.ok(states() == [True], "Nova learns that it is connected", nova.ask("connections"))
        kill(viommud)
        tap.ok(becomes(lambda: states() == [True, False]), "Nova learns that viommud was killed",
               nova.ask("connections"))
        with service(host, "smmuv3"):
            tap.ok(nova.ask("uri") == viommud.uri and states() == [True, False, True],
                   "Nova connects to the next one", nova.ask("connections"))
            for name in novaguest.DETACHED:
                nova.ask("findAndDetach", novaXml(name))
            tap.ok(not passedThrough(currentXml(host)), "Nova detaches there", currentXml(host))
            nova.ask("resume", novaguest.GPUS[::-1])
            novaguest.checkReturn(tap, host, first, "attached there")
            novaguest.seesEvents(tap, host, nova)


def testAll(tap, tree, directory):
    with DescribedHost(tree, manifest(HOST)) as host, Kvm(host):
        announceDevices(host)
        with guarded(tap, "directly"):
            directly(tap, host)
        byPolicy(tap, host)
        with guarded(tap, "extra specs"), service(host, "off") as viommud:
            for part in (byExtraSpecs, features, room, badSpecs):
                with guarded(tap, part.__name__):
                    part(tap, host, viommud.uri)
        with guarded(tap, "Nova's driver"), service(host, "smmuv3") as viommud:
            for uri in (viommud.uri, stdioUri(host, f"--config={viommud.configFile}")):
                with Nova(host, directory, uri) as nova:
                    novaDoes(tap, host, nova)
        with guarded(tap, "reconnects"):
            reconnects(tap, host, directory)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll, novaTree))
