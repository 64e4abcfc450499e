# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: domains in the words of older libvirts, and what the host must allow for those.

Debian 13's libvirt, on a host of its own, has a word for nothing. The forms between its and the newest are given to the
newest, which takes them too.
"""

import json

from artefacts import QEMU_CONF
from guest import NAME, Guest
from placement import compareNodes, request, requestNodes, virtualFunctions
from world import ScenarioError, compareGuest, endPlaced, givenBack, runPlaced

CONF, HOOK = "/etc/libvirt/qemu.conf", "/etc/libvirt/hooks/qemu"
# libvirt's own list, which the setting replaces.
USUAL = ("/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/ptmx", "/dev/kvm",
         "/dev/userfaultfd")
IOMMU = ("/dev/iommu",)
DEVICES = tuple(f"/dev/vfio/devices/vfio{number}" for number in range(4))
# Elsewhere rules of udev say whose the nodes are. Then the devices are bound, and QEMU's /dev is not made yet.
HOOK_TEXT = """#!/bin/sh
cat >/dev/null
[ "$2" != start ] || chown -f libvirt-qemu {}
exit 0
"""
LEFT = """busybox pidof qemu-system-aarch64
for path in /dev/vfio/devices /run/libvirt/qemu/"$1".* /var/lib/libvirt/qemu/domain-*; do
    [ ! -e "$path" ] || echo "$path"
done"""


def setting(nodes):
    """The line of qemu.conf."""
    return "cgroup_device_acl = [ " + ", ".join(f'"{node}"' for node in USUAL + nodes) + " ]"


def allow(world, nodes=IOMMU + DEVICES, owned=IOMMU + DEVICES):
    """QEMU may open these @nodes, if they are @owned by its user, too."""
    conf, hook = QEMU_CONF + (setting(nodes) + "\n" if nodes else ""), HOOK_TEXT.format(" ".join(owned))
    if world.host.run("cat", HOOK, CONF).stdout == hook + conf:
        return
    world.host.sh(f"chown root {IOMMU[0]}; mkdir -p $(dirname {HOOK}); touch {HOOK}; chmod 755 {HOOK}")
    world.host.run("tee", HOOK, stdin=hook)
    world.host.run("tee", CONF, stdin=conf)
    world.host.restartLibvirt()


def allowed(scenario):
    def run(tap, world, name):
        allow(world)
        scenario(tap, world, name)
    return run


def nothingLeft(tap, world, name, serials):
    """No guest, nothing of it, and the host has its drives."""
    left = world.host.virsh("domstate", NAME).stdout.replace("shut off", "").strip()
    left += world.host.run("sh", "-c", LEFT, "sh", NAME).stdout
    tap.ok(left == "", f"{name}: nothing is left of it", left)
    givenBack(tap, world, name, serials)


def judgement(world, serials, owned):
    """[(text, remedy)] of viommu check about that, while these drives are bound and the nodes @owned by QEMU's user."""
    world.bind(serials, "vfio-pci")
    world.host.sh("chown -f libvirt-qemu " + " ".join(owned) + "; :")
    done = world.host.viommu("--connect", "qemu:///system", "--format", "json", "check")
    world.bind(serials)
    return [(finding["text"], finding["remedy"]) for finding in json.loads(done.stdout)["findings"]
            if finding["id"] == "H11"]


NAMED = setting(IOMMU + DEVICES[:2])
# What is wrong, what QEMU may open, what is its user's, what viommu check says of it, and QEMU's words.
DENIED = (
    ("no cgroup_device_acl", (), IOMMU + DEVICES, NAMED,
     "/dev/iommu does not exist (is your kernel config missing CONFIG_IOMMUFD?)"),
    ("devices are not in it", IOMMU, IOMMU + DEVICES, NAMED, "Failed to open /dev/vfio/devices/vfio0"),
    ("devices are another user's", IOMMU + DEVICES, IOMMU, "may not open /dev/vfio/devices/vfio0",
     "Failed to open /dev/vfio/devices/vfio0"),
    ("/dev/iommu is another user's", IOMMU + DEVICES, DEVICES, "may not open /dev/iommu",
     "Could not open '/dev/iommu': Permission denied"),
)


def denied(tap, world, name):
    """The host does not allow QEMU to open what libvirt does not open for it."""
    serials = ("B0", "C0")
    done = world.define(request(serials, world))
    tap.ok(done.returncode == 0, f"{name}: viommu define", done.stderr)
    for what, nodes, owned, said, words in DENIED:
        allow(world, nodes, owned)
        found = judgement(world, serials, owned)
        tap.ok(len(found) == 1 and said in " ".join(found[0]), f"{name}: {what}: viommu check says '{said}'", found)
        done = world.host.virsh("start", NAME)
        tap.ok(done.returncode != 0 and words in done.stderr, f"{name}: {what}: virsh start ends with '{words}'",
               done.stderr)
        nothingLeft(tap, world, f"{name}: {what}", serials)
    allow(world)
    found = judgement(world, serials, IOMMU + DEVICES)
    tap.ok(found == [], f"{name}: viommu check has nothing to say once all is allowed", found)
    world.tidy()


def again(tap, world, name):
    """The domain is in that libvirt's words, and stays so when it is defined again."""
    done = world.define(request(("B0", "B1", "C0"), world))
    tap.ok(done.returncode == 0, f"{name}: viommu define", done.stderr)
    first = world.host.virsh("dumpxml", "--inactive", NAME).stdout
    tap.ok("<qemu:commandline>" in first and 'override="arguments"' in first and "<iommu" not in first,
           f"{name}: the placement is in arguments and properties", first)
    expanded = world.host.viommu("--connect", "qemu:///system", "expand", "-", stdin=first)
    tap.ok(expanded.stdout == first, f"{name}: viommu expand leaves what libvirt prints as it is", expanded.stdout,
           expanded.stderr)
    done = world.define(first)
    second = world.host.virsh("dumpxml", "--inactive", NAME).stdout
    tap.ok(done.stdout.count(" by <qemu:commandline>\n") == 2 and done.stdout.count(" placed below it\n") == 3,
           f"{name}: viommu define says what is where", done.stdout)
    tap.ok(done.returncode == 0 and second == first, f"{name}: defined again it is the same", second, done.stderr)
    world.tidy()


def placed(tap, world, name):
    """Two drives of one SMMU and one of another, with NUMA nodes, and an end without the guest's doing."""
    serials = ("B0", "B1", "C0")
    plan, _, (_, devices) = runPlaced(tap, world, name, requestNodes(serials, world), 2, serials)
    compareNodes(tap, world, name, plan, devices, serials)
    done = world.host.virsh("destroy", NAME)
    tap.ok(done.returncode == 0, f"{name}: virsh destroy", done.stderr)
    nothingLeft(tap, world, name, serials)
    world.tidy()


# Of versions of which there is no host: what has to be in the domain.
BETWEEN = {
    "11.10": ("<qemu:arg value='iommufd,id=iommufd0'/>", "<qemu:property name='iommufd' "),
    "12.1": ("<driver iommufd='yes'/>",),
    "12.6": ("<iommufd enabled='yes'/>",),
}


def between(version):
    def scenario(tap, world, name):
        serials = ("B0", "C0")
        xml = request(serials, world)
        plan = world.plan(xml)
        text = world.host.viommu("-q", "expand", "--libvirt-version", version, "-", stdin=xml).stdout
        tap.ok(all(word in text for word in BETWEEN[version] + ("<qemu:property name='accel' ",)) and
               "accel='on'" not in text, f"{name}: the domain is in the words of {version}", text)
        done = world.host.virsh("define", "--validate", "/dev/stdin", stdin=text)
        tap.ok(done.returncode == 0, f"{name}: virsh define --validate", done.stderr)
        dumped = world.host.virsh("dumpxml", "--inactive", NAME).stdout
        again = world.host.viommu("-q", "expand", "--libvirt-version", version, "-", stdin=dumped)
        tap.ok(again.stdout == dumped, f"{name}: viommu expand leaves what libvirt prints as it is", again.stdout)
        done = world.host.virsh("start", NAME)
        if done.returncode:
            raise ScenarioError(f"virsh start: {done.stderr}")
        guest = Guest(world.host)
        compareGuest(tap, world, name, plan, dumped, guest, guest.awaitBoot(), serials)
        endPlaced(tap, world, name, guest, serials)
    return scenario


def selfOpened(scenario):
    """QEMU may open devices in this scenario alone."""
    def run(tap, world, name):
        allow(world)
        try:
            scenario(tap, world, name)
        finally:
            allow(world, (), ())
    return run


SCENARIOS = {"override-denied": denied, "override-again": again, "override-drives": allowed(placed),
             "override-functions": allowed(virtualFunctions)}
ON_NESTING = {"words-12.6": between("12.6"), "words-12.1": between("12.1"), "words-11.10": selfOpened(between("11.10"))}
