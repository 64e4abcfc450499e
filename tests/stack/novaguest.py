# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Nova's libvirt driver does with a host and its guests, and what must have come of it.

Each function takes a Nova (novahost.py) that is connected to a viommu whose policy is "smmuv3".
Addresses are those of the recorded XML, and of the described host that has such devices.
"""

import os
from xml.etree.ElementTree import canonicalize

from domainxml import parse
from novadomain import (DIRECT, NAME, allSmmus, currentXml, notes, novaXml, passedThrough,
                        placementProblems, smmuOf, vsmmus)
from novahost import NovaError
from processes import becomes

LIFECYCLE, HARD_REBOOT = "10-lifecycle", "10-lifecycle-hard-reboot-0-define"
DETACHED = ("10-lifecycle-suspend-0-detach", "10-lifecycle-suspend-1-detach")
ATTACHED = ("10-lifecycle-resume-1-attach", "10-lifecycle-resume-2-attach")
HOT_VF, HOT_VF_ATTACHED = "12-hot-vf", "12-hot-vf-0-attach"
# The host devices of LIFECYCLE, and that of HOT_VF_ATTACHED.
GPUS, VF, PF = ("0002:01:00.0", "0006:01:00.0"), "0002:03:00.1", "0002:03:00.0"
# A guest that asks viommu for nothing and can run here.
PLAIN_UUID = "5d3f4a1e-0000-4000-8000-000000000001"
PLAIN = f"""<domain type='qemu'>
  <name>plain</name>
  <uuid>{PLAIN_UUID}</uuid>
  <memory unit='MiB'>64</memory>
  <os><type arch='aarch64' machine='virt'>hvm</type></os>
</domain>"""


def connects(tap, host, nova):
    tap.note(f"Nova {nova.ask('version')} at {nova.uri}")
    tap.ok(nova.ask("uri") == nova.uri, "Nova connects", nova.ask("uri"))
    tap.ok("aarch64" in nova.ask("architectures"), "it reads libvirt's capabilities",
           nova.ask("architectures"))
    devices = {device["address"]: device for device in nova.ask("pciDevices")}
    there = set(os.listdir(host.path("sys/bus/pci/devices")))
    tap.ok(devices.keys() == there, f"it sees the {len(there)} PCI devices of the host",
           *(devices.keys() ^ there))
    tap.ok((devices[VF]["dev_type"], devices[VF]["parent_addr"]) == ("type-VF", PF),
           "it sees which of them is a virtual function, and of what", devices[VF])


def seesEvents(tap, _, nova):
    before = len(nova.ask("events"))
    nova.ask("define", PLAIN)
    nova.ask("launch")
    wanted = [[PLAIN_UUID, "Started"], [PLAIN_UUID, "Paused"]]
    tap.ok(becomes(lambda: nova.ask("events")[before:] == wanted), "it sees a guest start",
           nova.ask("events")[before:])
    nova.ask("poweroff")
    nova.ask("undefine")


def definesAgain(tap, host, nova):
    nova.ask("define", novaXml(LIFECYCLE))
    first = currentXml(host)
    tap.noProblems(placementProblems(host, first), "a guest that Nova defines is placed")
    addresses = [f"{int(domain, 16):04x}:{int(bus, 16):02x}:{int(slot, 16):02x}.{int(function, 16)}"
                 for domain, bus, slot, function in nova.ask("hostdevs")]
    tap.ok(addresses == list(GPUS), "Nova reads its host devices back", addresses)
    nova.ask("define", nova.ask("xml"))
    tap.ok(currentXml(host) == first, "what Nova reads and defines again stays as it is",
           currentXml(host))


def writesAsRecorded(tap, _, nova):
    """So that what the other functions have Nova plug is what the recorded Nova plugged."""
    for name in DETACHED + ATTACHED + (HOT_VF_ATTACHED,):
        recorded, written = novaXml(name), nova.ask("written", novaXml(name))
        tap.ok(canonicalize(written, strip_text=True) == canonicalize(recorded, strip_text=True),
               f"Nova writes {name} as recorded", written)


def suspendsAndResumes(tap, host, nova):
    """The host devices go, and come back in another order."""
    nova.ask("define", novaXml(LIFECYCLE))
    first = currentXml(host)
    for name in DETACHED:
        tap.ok(nova.ask("finds", novaXml(name)), f"Nova finds the device of {name}")
        nova.ask("detach", novaXml(name))
        tap.ok(not nova.ask("finds", novaXml(name)), f"Nova detaches the device of {name}")
    without = currentXml(host)
    tap.ok(not passedThrough(without) and notes(without) == notes(first),
           "the devices are gone, and the vSMMUs stay", without)
    for name in reversed(ATTACHED):
        host.virsh("-c", DIRECT, "attach-device", NAME, "/dev/stdin", "--config",
                   stdin=novaXml(name))
    tap.ok(set(passedThrough(currentXml(host))) == set(GPUS)
           and placementProblems(host, currentXml(host)),
           "libvirt alone puts them where they must not be", currentXml(host))
    for name in DETACHED:
        nova.ask("findAndDetach", novaXml(name))
    for name in reversed(ATTACHED):
        nova.ask("attach", novaXml(name))
    checkReturn(tap, host, first, "attached")
    for name in DETACHED:
        nova.ask("findAndDetach", novaXml(name))
    nova.ask("resume", GPUS[::-1])
    checkReturn(tap, host, first, "resumed")


def checkReturn(tap, host, first, how):
    now = currentXml(host)
    tap.noProblems(placementProblems(host, now), f"{how}, the devices are placed")
    tap.ok(passedThrough(now) == passedThrough(first), f"{how}, they are where they were",
           passedThrough(first), passedThrough(now))


def checkRefusal(tap, host, nova, device, address, why):
    """Nova cannot attach the device, since its SMMU has no vSMMU; the guest stays as it was."""
    first = currentXml(host)
    try:
        nova.ask("attach", device)
        words = "it was attached"
    except NovaError as error:
        words = str(error)
    named = ("libvirtError", "V05", address, smmuOf(host, address))
    tap.ok(all(name in words for name in named) and currentXml(host) == first,
           f"{why}: refused", words)


def refusesFunction(tap, host, nova):
    """A port of Neutron's comes to a guest with a GPU of another SMMU."""
    nova.ask("define", novaXml(HOT_VF))
    checkRefusal(tap, host, nova, novaXml(HOT_VF_ATTACHED), VF,
                 "a function to a guest without a vSMMU for it")


def refusesAll(tap, host, nova):
    """What a guest without devices is defined as has no vSMMUs."""
    nova.ask("define", novaXml(LIFECYCLE))
    for name in DETACHED:
        nova.ask("detach", novaXml(name))
    nova.ask("define", nova.ask("xml"))
    tap.ok(not vsmmus(currentXml(host)), "with the devices the vSMMUs go", currentXml(host))
    checkRefusal(tap, host, nova, novaXml(ATTACHED[0]), GPUS[0],
                 "a device to a guest without vSMMUs that asks for them")


def attachesFunction(tap, host, nova):
    """A port of Neutron's comes to a guest that has room for it."""
    function = novaXml(HOT_VF_ATTACHED)
    for name, specs, idle in ((HOT_VF, {"smmus": "all"}, allSmmus(host)),
                              (LIFECYCLE, {"spare_ports": "1"}, ())):
        nova.ask("define", novaXml(name, nested="yes", **specs))
        first = currentXml(host)
        nova.ask("attach", function)
        now = currentXml(host)
        tap.ok(VF in passedThrough(now) and nova.ask("finds", function),
               f"{name} with {specs}: the function is attached", now)
        tap.noProblems(placementProblems(host, now, idle), f"{name} with {specs}: it is placed")
        nova.ask("findAndDetach", function)
        tap.ok(currentXml(host) == first, f"{name} with {specs}: it is detached", currentXml(host))
        nova.ask("undefine")


def rebootsHard(tap, host, nova):
    nova.ask("define", novaXml(LIFECYCLE))
    first = currentXml(host)
    nova.ask("hardReboot", novaXml(HARD_REBOOT))
    now = currentXml(host)
    tap.noProblems(placementProblems(host, now), "a guest that is rebooted hard is placed")
    tap.ok((passedThrough(now), notes(now)) == (passedThrough(first), notes(first)),
           "its devices and vSMMUs are where they were", now)
    loaders = [parse(xml).findtext("os/loader") for xml in (first, now)]
    tap.ok(loaders[0] and loaders[0] == loaders[1], "it has the firmware that it had", loaders)
