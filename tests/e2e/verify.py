# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: viommu verify of guests that run, rightly placed and otherwise."""

import json
import re

import stackpath  # noqa: F401, the modules of tests/stack
import runalone
import saving
from classes import IOMMUFD, bus, drive, of, onBus, port, rng, smmu
from golden import manifest
from guest import CONSOLE, LOG, NAME, NVRAM, QEMU_LOG, VARIABLES, Guest, domain, hostdev
from hotplug import SPARE
from placement import request
from world import ScenarioError, endPlaced, givenBack, startPlaced

URI = "qemu:///system"
QMP = "/tmp/verify-qmp"
EMULATED = "Emulated endpoint devices are not allowed when using arm-smmuv3,accel=on"
LEGACY = "vfio-pci endpoint devices without an iommufd backend not allowed when using arm-smmuv3,accel=on"
NOBODY = "65534"
OTHER_HOST = "/tmp/other.sysfs"
# How long viommu waits for a monitor, and some.
LATE_SECONDS = 40


def verify(world, *words):
    """(exit status, {host address: device}, [(class, severity)]) of viommu verify."""
    words = words or ("--connect", URI, NAME)
    done = world.host.viommu("verify", "--format", "json", *words)
    if done.returncode not in (0, 1):
        raise ScenarioError(f"viommu verify: status {done.returncode}: {done.stderr}")
    result = json.loads(done.stdout)
    return (done.returncode, {device["host"]: device for device in result["devices"]},
            [(finding["id"], finding["severity"]) for finding in result["findings"]])


def isRight(tap, world, name, serials, when, *words, opened=True):
    """Nothing is found, and each device is below a vSMMU that no device of another SMMU is below."""
    status, devices, findings = verify(world, *words)
    tap.ok(status == 0 and not findings, f"{name}: nothing is found {when}", status, findings, devices)
    problems = [f"{serial}: {devices.get(world.address(serial))}" for serial in serials
                if devices.get(world.address(serial), {}).get("smmu") != world.hardware[serial].smmu]
    problems += [f"{device}" for device in devices.values()
                 if (device["verdict"], device["accel"], bool(device["iommufd"])) != ("right", True, True)]
    # What the process has open is looked at for those that it was started with.
    problems += [f"{device}" for device in devices.values()
                 if device["opened"] != (None if device["hotplugged"] or not opened else device["host"])]
    problems += [f"{one} and {other}" for one in devices.values() for other in devices.values()
                 if (one["smmu"] == other["smmu"]) != (one["vsmmu"] == other["vsmmu"])]
    tap.ok(len(devices) == len(serials), f"{name}: all devices are seen {when}", devices)
    tap.noProblems(problems, f"{name}: each is right {when}")


def right(tap, world, name):
    """Two SMMUs, three drives, and a fourth that comes to a spare port."""
    serials = ("B0", "B1", "C0")
    xml = domain([hostdev(world.address(serial)) for serial in serials] + [saving.disk(world), SPARE])
    plan, guest, _ = startPlaced(tap, world, name, xml, 2)
    isRight(tap, world, name, serials, "in a placed guest")
    said = world.host.run("cat", QEMU_LOG).stdout
    tap.ok("tainted: custom-monitor" in said, f"{name}: libvirt taints the domain by that", said)
    spare = [vsmmu["sparePorts"][0] for vsmmu in plan["vsmmus"] if vsmmu["host"] == world.hardware["C1"].smmu]
    tap.ok(world.attach("C1", spare[0]).returncode == 0, f"{name}: a drive of the same SMMU is attached")
    isRight(tap, world, name, serials + ("C1",), "with one that came later")
    hotplugged = [address for address, device in verify(world)[1].items() if device["hotplugged"]]
    tap.ok(hotplugged == [world.address("C1")], f"{name}: it is known as one that came later", hotplugged)
    text = world.host.viommu("verify", "--connect", URI, NAME).stdout
    lines = [line for line in text.splitlines() if re.search(r"\bright$", line)]
    tap.ok(len(lines) == len(serials) + 1, f"{name}: the table has a line for each", text)
    cannotCome(tap, world, name, plan)
    elsewhere(tap, world, name, serials + ("C1",))
    saving.isRefused(tap, world, name, guest, serials)
    isRight(tap, world, name, serials + ("C1",), "after all that QEMU refused")
    stands(tap, world, name)
    endPlaced(tap, world, name, guest, list(serials) + ["C1"])
    done = world.host.viommu("verify", "--connect", URI, "no-such-domain")
    tap.ok(done.returncode == 1 and not done.stdout and "no-such-domain" in done.stderr,
           f"{name}: a domain that there is not is refused", done)


def cannotCome(tap, world, name, plan):
    """What QEMU does not start with does not come to a running guest either."""
    (spare,) = [vsmmu["sparePorts"][0] for vsmmu in plan["vsmmus"] if vsmmu["host"] == world.hardware["B0"].smmu]
    legacy = hostdev(world.address("B2"), "<driver name='vfio' iommufd='no'/>" + onBus(spare))
    for what, xml, words in (("V03: an emulated device", rng(onBus(spare)), EMULATED),
                             ("V04: a drive without iommufd", legacy, LEGACY)):
        done = world.host.virsh("attach-device", NAME, "/dev/stdin", "--live", stdin=xml)
        tap.ok(done.returncode != 0 and words in done.stderr,
               f"{name}: QEMU does not let it come below an accel vSMMU: {what}", done)
    late = {"execute": "device_add", "arguments": {"driver": "arm-smmuv3", "id": "late", "primary-bus": "pci.1"}}
    done = world.host.virsh("qemu-monitor-command", NAME, json.dumps(late))
    tap.ok("Device 'arm-smmuv3' does not support hotplugging" in done.stdout,
           f"{name}: QEMU does not let it come: V06: a second vSMMU on a bus", done)


def elsewhere(tap, world, name, serials):
    """On another host, none of whose devices these are."""
    with open(manifest("grace"), encoding="utf-8") as f:
        world.host.run("tee", OTHER_HOST, stdin=f.read())
    status, devices, findings = verify(world, "--host", OTHER_HOST, "--connect", URI, NAME)
    tap.ok(status == 1 and findings == [("V02", "error")] * len(serials) and
           all(device["findings"] == ["V02"] for device in devices.values()),
           f"{name}: with the record of another host V02 is found of each device", status, findings, devices)


def stands(tap, world, name):
    """A QEMU that stands still, and one that goes on."""
    world.host.sh("kill -STOP $(pgrep -x qemu-system-aar)")
    try:
        done = world.host.run("timeout", str(LATE_SECONDS), "/t/viommu", "verify", "--connect", URI, NAME)
    finally:
        world.host.sh("kill -CONT $(pgrep -x qemu-system-aar)")
    tap.ok(done.returncode == 3 and not done.stdout and "gives no answer" in done.stderr,
           f"{name}: a QEMU that stands still is an error, and nothing is waited for without end", done)
    tap.ok(verify(world)[0] == 0, f"{name}: when it goes on it is verified as before")


def startAsIs(world, name, xml):
    """Defines and starts a domain past viommu."""
    for words, stdin in ((("define", "/dev/stdin"), xml), (("start", NAME), "")):
        done = world.host.virsh(*words, stdin=stdin)
        if done.returncode:
            raise ScenarioError(f"virsh {words[0]}: {done.stderr}")


def classes(findings, wanted):
    return {id_ for id_, severity in findings if severity == wanted}


def isFound(tap, world, name, wanted, about, warned=()):
    """These classes are found, as viommu check finds them in the running domain, about these drives."""
    status, devices, findings = verify(world)
    found = classes(findings, "error")
    tap.ok(status == (1 if wanted else 0) and found == wanted and classes(findings, "warning") == set(warned),
           f"{name}: {' '.join(sorted({*wanted, *warned}))} is found", status, findings)
    known = {(finding["id"], finding["severity"]) for finding in
             world.check(world.host.virsh("dumpxml", NAME).stdout)[1]} - {("V02", "note")}
    known = {item for item in known if item[1] != "note"}
    tap.ok(known == set(findings), f"{name}: viommu check finds the same", known, findings)
    found = {address: device["verdict"] for address, device in devices.items() if device["findings"]}
    verdict = "wrong" if wanted else "right"
    tap.ok(found == {world.address(serial): verdict for serial in about}, f"{name}: of {' '.join(about)} and of no other, "
           f"with the verdict {verdict}", devices)


def asIs(parts, wanted, about, serials, warned=(), **kwargs):
    """The scenario of a domain with a misplacement."""
    def scenario(tap, world, name):
        startAsIs(world, name, of(*parts, **kwargs)(world))
        isFound(tap, world, name, wanted, about, warned)
        world.host.virsh("destroy", NAME)
        givenBack(tap, world, name, serials)
        world.tidy()
    return scenario


def onRoot(index):
    """A drive on pcie.0 by legacy VFIO."""
    return lambda world: hostdev(world.address("A0"), "<driver name='vfio' iommufd='no'/>" + onBus(index))


# Guest cells with memory of the host's nodes of the same numbers; the SMMU of B0 is on 0, that of C0 on 1.
ON_NODE_1 = "<node>1</node>"
NODES = {"vcpus": 2, "cpu": "<numa><cell id='0' cpus='0' memory='320' unit='MiB'/>"
                            "<cell id='1' cpus='1' memory='320' unit='MiB'/></numa>",
         "head": "\n  <numatune><memnode cellid='0' mode='strict' nodeset='0'/>"
                 "<memnode cellid='1' mode='strict' nodeset='1'/></numatune>" + IOMMUFD}
TWO = (bus(1, 200), port(2, 1), port(3, 1, 1), bus(4, 100), port(5, 4), port(6, 4, 1), smmu(1), smmu(4))


def swapped(tap, world, name):
    """A placed domain in which two drives have changed places, started by virsh."""
    serials = ("B0", "B1", "B2", "C0", "C1")
    expanded = world.host.viommu("expand", "-", stdin=request(serials, world)).stdout
    places = [re.search(r"<source>\s*<address [^>]*bus='0x%s'[^>]*/>\s*</source>\s*(<address [^>]*/>)"
                        % world.address(serial)[5:7], expanded)[1] for serial in ("B2", "C1")]
    one, other = places
    xml = expanded.replace(one, "@").replace(other, one).replace("@", other)
    startAsIs(world, name, xml)
    _, devices, findings = verify(world)
    tap.ok(findings == [("V01", "error")] * 2, f"{name}: V01 is found twice", findings)
    place = {serial: devices[world.address(serial)] for serial in serials}
    tap.ok(place["B2"]["vsmmu"] == place["C0"]["vsmmu"] != place["B0"]["vsmmu"] == place["C1"]["vsmmu"],
           f"{name}: both are seen below each other's vSMMU", devices)
    tap.ok(place["B2"]["verdict"] == place["C1"]["verdict"] == "wrong" and place["B0"]["verdict"] == "right",
           f"{name}: both are wrong", devices)
    tap.ok(("V01", "error") in [(finding["id"], finding["severity"]) for finding in
                                world.check(world.host.virsh("dumpxml", NAME).stdout)[1]],
           f"{name}: viommu check finds V01 in the domain")
    world.host.virsh("destroy", NAME)
    givenBack(tap, world, name, serials)
    world.tidy()


def plugged(tap, world, name):
    """A right guest, to which virsh attaches a drive of another SMMU, as in hotplug-wrong."""
    plan, guest, _ = startPlaced(tap, world, name, domain([hostdev(world.address("B0")), SPARE]), 1)
    isRight(tap, world, name, ("B0",), "before")
    done = world.attach("C0", plan["vsmmus"][0]["sparePorts"][0])
    tap.ok(done.returncode == 0, f"{name}: virsh says that it is attached", done.stderr)
    isFound(tap, world, name, {"V01"}, ("C0",))
    world.host.virsh("destroy", NAME)
    givenBack(tap, world, name, ["B0", "C0"])
    world.tidy()


def onPcieRoot(tap, world, name):
    """An accel vSMMU on pcie.0, where no emulated device is, and none can come."""
    startAsIs(world, name, of(port(2, 0, 5), port(3, 0, 6), drive("A0", 2), smmu(0))(world))
    isRight(tap, world, name, ("A0",), "below an accel vSMMU on pcie.0")
    done = world.host.virsh("attach-device", NAME, "/dev/stdin", "--live", stdin=rng(onBus(3)))
    tap.ok(done.returncode != 0 and EMULATED in done.stderr, f"{name}: V08: no emulated device can come", done)
    world.host.virsh("destroy", NAME)
    givenBack(tap, world, name, ["A0"])
    world.tidy()


def unknown(tap, world, name, serials):
    """Who may not look at QEMU's process is not told what it has open."""
    world.host.run("chmod", "a+rwx", QMP)
    done = world.host.run("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "/t/viommu", "verify",
                          "--format", "json", "--qmp", QMP)
    result = json.loads(done.stdout)
    tap.ok(done.returncode == 0 and [(finding["id"], finding["severity"]) for finding in result["findings"]] ==
           [("V02", "note")] * len(serials) and {device["verdict"] for device in result["devices"]} == {"unknown"},
           f"{name}: to a user without rights it is not known which devices they are, and V02 says so", done)


def objects(tap, world, name):
    """Two drives of one SMMU that QEMU has through two iommufd objects, which viommu and libvirt never do."""
    serials = ("B0", "B1")
    runalone.prepare(world, serials)
    command = world.host.viommu("argv", "--full", runalone.FILE).stdout.rstrip()
    first = "-object '{\"qom-type\":\"iommufd\",\"id\":\"iommufd0\"}'"
    head, middle, tail = command.rpartition('"iommufd":"iommufd0"')
    command = (head + middle.replace("iommufd0", "iommufd1") + tail).replace(
        first, f"{first} {first.replace('iommufd0', 'iommufd1')}")
    world.bind(serials, "vfio-pci")
    world.host.sh(f"{command} -daemonize -pidfile /run/e2e-qemu.pid -qmp unix:{QMP},server=on,wait=off")
    status, devices, findings = verify(world, "--qmp", QMP)
    tap.ok(status == 1 and findings == [("V04", "error")] and
           [devices[world.address(serial)]["verdict"] for serial in serials] == ["right", "wrong"],
           f"{name}: V04 is found of the second", status, findings, devices)
    endAlone(world, serials)
    givenBack(tap, world, name, serials)


def endAlone(world, serials):
    """Ends the QEMU that was started by hand."""
    world.host.sh("pid=$(cat /run/e2e-qemu.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.2; done")
    world.bind(serials)
    world.host.sh(f"rm -f {CONSOLE} {LOG} {NVRAM} {QMP} {runalone.FILE}")


def alone(tap, world, name):
    """Guests without libvirt: QEMU opens the devices itself, or viommu run gives them to it."""
    serials = runalone.SERIALS
    runalone.prepare(world, serials)
    monitor = f"unix:{QMP},server=on,wait=off"
    runalone.start(world, "--bind", "--user", runalone.USER, runalone.FILE, "--", "-qmp", monitor)
    Guest(world.host).awaitBoot()
    isRight(tap, world, name, serials, "in a guest of viommu run", "--qmp", QMP)
    unknown(tap, world, name, serials)
    world.host.sh(f"kill -TERM $(cat {runalone.PID})")
    runalone.status(world)
    runalone.tidy(world)
    givenBack(tap, world, name, serials)
    command = world.host.viommu("argv", "--full", "-", stdin=request(serials, world)).stdout.rstrip()
    world.bind(serials, "vfio-pci")
    world.host.sh(f"rm -f {CONSOLE} {LOG} {QMP}; cp {VARIABLES} {NVRAM}")
    world.host.sh(f"{command} -daemonize -pidfile /run/e2e-qemu.pid -qmp {monitor}")
    isRight(tap, world, name, serials, "in a guest whose QEMU has opened them", "--qmp", QMP, opened=False)
    endAlone(world, serials)
    givenBack(tap, world, name, serials)


SCENARIOS = {
    "verify-right": right,
    "verify-swapped": swapped,
    "verify-root": asIs((*TWO, drive("B0", 2), drive("B1", 3), drive("C0", 5), drive("C1", 6),
                         port(7, 0, 7), drive("A0", 7)), {"V05"}, ("A0",), ("B0", "B1", "C0", "C1", "A0")),
    "verify-legacy": asIs((*TWO, drive("B0", 2), drive("C0", 5), drive("B1", 3), drive("C1", 6),
                           port(7, 0, 7), onRoot(7)), {"V05"}, ("A0",), ("B0", "B1", "C0", "C1", "A0"), ("V04",)),
    # The third number of bus 1 is the first of bus 4: the guest's kernel panics.
    "verify-overlap": asIs((bus(1, 200), port(2, 1), port(3, 1, 1), drive("B0", 2), drive("B1", 3), bus(4, 202),
                            port(5, 4), drive("C0", 5), smmu(1), smmu(4)), {"V10"}, ("B0", "B1"), ("B0", "B1", "C0")),
    # The numbers end before the second port of bus 1, and pcie.0 has more ports than there are before bus 4.
    "verify-few": asIs((bus(1, 254), port(2, 1), port(3, 1, 1), drive("B0", 2), drive("B1", 3), bus(4, 3), port(5, 4),
                        drive("C0", 5), port(6, 0, 6), port(7, 0, 7), port(8, 0, 8), smmu(1), smmu(4)), {"V10"},
                       ("B0", "B1", "C0"), ("B0", "B1", "C0")),
    "verify-node": asIs((bus(1, 200, ON_NODE_1), port(2, 1), drive("B0", 2), smmu(1), bus(3, 100, ON_NODE_1),
                         port(4, 3), drive("C0", 4), smmu(3)), set(), ("B0",), ("B0", "C0"), ("V21",), **NODES),
    "verify-group": asIs((bus(1, 200), port(2, 1), drive("BS", 2), smmu(1)), {"V16"}, ("BS",), ("BS",)),
    "verify-hotplug": plugged,
    "verify-pcie-root": onPcieRoot,
    "verify-objects": objects,
    "verify-alone": alone,
}
