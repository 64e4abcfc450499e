#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What people do with virsh and virt-install, through viommud and through viommu-stdio.

The clients are the real ones, of the Debian tree, and so is libvirt; none of them knows of viommu.
A domain that asks must come out as `viommu expand` makes it and libvirt completes it, whatever the
command that brings it; what cannot be placed is refused in words that help; all else works as ever.
"""

import difflib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

from describedhost import DescribedHost
from domainxml import METADATA, PciTree, isBridge, isPassedThrough, parse, placesOfHostdevs, show
from golden import ViommuError, emulatable, manifest, viommu
from service import Service, stdioUri
from serviceclient import (DIRECT, PLAIN, REQUEST, REQUEST_ALL, UUID, Client, Terminal, completed,
                           domain, hostdev, placement, ports)
from tap import guarded
from tree import runOnTree

HOST, REFUSING_HOST = "grace", "switch-group"
# Two GPUs behind two pSMMUs of HOST, and a third behind another one.
DEVICES, THIRD = ("0002:01:00.0", "0006:01:00.0"), "0009:01:00.0"
# Behind a pSMMU whose name is between those of DEVICES.
BETWEEN = "0003:01:00.0"
# (finding, a device of REFUSING_HOST or not)
REFUSED = (("V02", "0006:01:00.0"), ("V16", "0000:05:00.0"))
CONFIG_UNSUPPORTED, NO_DOMAIN = 67, 42      # VIR_ERR_…
CONSOLE_LOCKS = "/run/lock"
VOLUME_SIZE, FD_SIZE = 64 << 20, 3 << 20
EVENT_SECONDS = 60
EDITOR, MONITOR_LOG = "/tmp/edit", "/tmp/monitor.log"
REGISTERS = "/run/registers.sysfs"
DISK, MEDIUM = "/tmp/installed.qcow2", "/tmp/installer.iso"
# Of the firmware's menu, which it opens for who presses a key.
MENU = "Device Manager"
VIRT_INSTALL = ("virt-install", "--name=installed", "--arch=aarch64", "--machine=virt",
                "--virt-type=qemu", "--osinfo=detect=off,require=off", "--memory=256", "--vcpus=1",
                "--cpu=maximum", "--boot=uefi=on,firmware.feature0.enabled=no,"
                "firmware.feature0.name=secure-boot", f"--disk={DISK},bus=virtio",
                "--network=none", "--graphics=none", "--noautoconsole",
                f"--uuid={UUID % 0xf0}")
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
ASKING = "--iommu=model=smmuv3,xpath1.set=./@nested,xpath1.value=yes"
ASKING_FOR_ALL = ASKING + ",xpath2.set=./placement/@smmus,xpath2.value=all"


class ShapeTap:
    """A Tap whose results begin with the shape that is tested."""

    def __init__(self, tap, shape):
        self.tap = tap
        self.shape = shape
        self.note = tap.note

    def ok(self, good, name, *problems):
        self.tap.ok(good, f"{self.shape}: {name}", *problems)

    def noProblems(self, problems, name):
        self.ok(not problems, name, *problems)


def difference(wanted, got):
    """The lines in which two texts differ, as a list of problems."""
    return list(difflib.unified_diff(wanted.splitlines(), got.splitlines(), "wanted", "got",
                                     lineterm="", n=0))


def testDefine(tap, client):
    xml = domain("defined", 1, DEVICES)
    wanted = completed(client.host, HOST, xml)
    for options in ((), ("--validate",)):
        with client.defined(xml, *options) as name:
            tap.noProblems(difference(wanted, client.dump(name)),
                           f"{' '.join(('define',) + options)}: "
                           "dumpxml shows the expanded domain")
            client.define(client.dump(name), *options)
            tap.noProblems(difference(wanted, client.dump(name)),
                           f"{' '.join(('define',) + options)}: "
                           "what dumpxml shows can be defined again and stays the same")


def testOwnFile(tap, client):
    """A file that knows nothing of what was made of it: with a device more, and with that away again."""
    few, more = (domain("own", 18, devices) for devices in (DEVICES, (DEVICES[0], BETWEEN, DEVICES[1])))
    with client.defined(few) as name:
        before = placesOfHostdevs(client.dump(name))
        anew = placesOfHostdevs(completed(client.host, HOST, more.replace("own", "anew").replace(UUID % 18, UUID % 19)))
        client.define(more)
        grown = placesOfHostdevs(client.dump(name))
        tap.ok(len(before) == 2 and len(grown) == 3 and before.items() <= grown.items() and
               not before.items() <= anew.items(),
               "define: a device more in one's own file moves no other", before, grown, anew)
        client.define(few)
        tap.ok(placesOfHostdevs(client.dump(name)) == before, "and without it all is as before", client.dump(name))


def edit(client, name, old, new):
    """`virsh edit`, in which @old becomes @new."""
    with open(client.host.path(EDITOR), "w", encoding="utf-8") as f:
        f.write("#!/usr/bin/python3\nimport sys\ntext = open(sys.argv[1]).read()\n"
                f"assert {old!r} in text\n"
                f"open(sys.argv[1], 'w').write(text.replace({old!r}, {new!r}))\n")
    os.chmod(client.host.path(EDITOR), 0o755)
    return client.host.run("env", f"EDITOR={EDITOR}", "virsh", "-c", client.uri, "edit", name)


def testEdit(tap, client):
    xml = domain("edited", 2, DEVICES)
    wanted = completed(client.host, HOST, xml).replace("'KiB'>262144<", "'KiB'>524288<")
    with client.defined(xml) as name:
        done = edit(client, name, "'KiB'>262144<", "'KiB'>524288<")
        tap.noProblems(done.stderr.splitlines() + difference(wanted, client.dump(name)),
                       "edit: the memory of an expanded domain, and nothing else")
    direct = Client(client.host, *DIRECT)
    with direct.defined(domain("edited", 2, DEVICES, PLAIN)) as name:
        asking = direct.dump(name).replace(PLAIN, REQUEST)
    wanted = completed(client.host, HOST, asking)
    with direct.defined(domain("edited", 2, DEVICES, PLAIN)) as name:
        done = edit(client, name, PLAIN, REQUEST)
        tap.noProblems(done.stderr.splitlines() + difference(wanted, client.dump(name)),
                       "edit: a domain that is made to ask is expanded")


def testNative(tap, client):
    xml = domain("native", 4, DEVICES)
    direct = Client(client.host, *DIRECT)
    wanted = direct.ask("domxml-to-native", "qemu-argv", "/dev/stdin",
                        stdin=viommu(HOST, "expand", "-", stdin=xml))
    got = client.ask("domxml-to-native", "qemu-argv", "/dev/stdin", stdin=xml)
    tap.ok(got.count('"driver":"arm-smmuv3"') == len(DEVICES) and got == wanted,
           "domxml-to-native of a domain that asks shows what it will be",
           *difference(wanted.replace(" -", "\n-"), got.replace(" -", "\n-")))


def testCreate(tap, client):
    xml = domain("created", 7, (), REQUEST_ALL)
    wanted = "\n".join(placement(completed(client.host, HOST, xml)))
    try:
        client.ask("create", "--paused", "/dev/stdin", stdin=xml)
        tap.noProblems(difference(wanted, "\n".join(placement(client.ask("dumpxml", "created")))),
                       "create --paused: a transient domain runs with its vSMMUs")
    finally:
        client.remove("created")


def forKvm(xml):
    return xml.replace("'qemu'", "'kvm'", 1)


def testSparePort(tap, client):
    """Below an accelerated vSMMU nothing may be emulated, but libvirt takes any free port."""
    asking = forKvm(domain("spare", 17, DEVICES, REQUEST_ALL))
    accelerated = emulatable(viommu(HOST, "expand", "-", stdin=asking))
    with Client(client.host, *DIRECT).defined(accelerated) as name:
        done = client.virsh("attach-device", name, "/dev/stdin", "--config", stdin=RNG)
        left = emulatedBelowExpanders(client.dump(name))
        tap.ok(done.returncode and re.search(r"V\d\d: .*rng", done.stderr) and not left,
               "attach-device --config: an emulated device that would get a spare port is refused",
               done.stderr, *left)


def smmuOf(address):
    """The pSMMU of that device of HOST."""
    host = json.loads(viommu(HOST, "--format", "json", "host"))
    return next(smmu["name"] for smmu in host["smmus"]
                if address in [device["address"] for device in smmu["devices"]])


def smmuBus(expanded, smmu):
    """Index of the expander bus that the domain notes for the pSMMU."""
    return next(int(vsmmu.get("controller")) for vsmmu in expanded.iter(f"{METADATA}vsmmu")
                if vsmmu.get("smmu") == smmu)


def findHostdev(expanded, address):
    """The <hostdev> of that address on the host."""
    wanted = [int(part, 16) for part in re.split("[:.]", address)]
    return next(device for device in expanded.findall("devices/hostdev") if wanted == [
        int(device.find("source/address").get(part), 0)
        for part in ("domain", "bus", "slot", "function")])


def emulatedBelowExpanders(xml):
    return [show(device) for device, _ in PciTree(parse(xml)).belowExpanders()
            if not isBridge(device) and not isPassedThrough(device)]


def deviceAdds(host):
    """The arguments of every device_add that libvirt has sent to a QEMU, from libvirt's own log."""
    log = host.run("cat", MONITOR_LOG).stdout
    return [json.loads(match)["arguments"] for match in re.findall(
        r'QEMU_MONITOR_SEND_MSG: .* msg=(\{"execute":"device_add".*\})', log)]


def testConfigDevices(tap, client):
    device = hostdev(THIRD)
    with client.defined(domain("plugged", 5, DEVICES, REQUEST_ALL)) as name:
        before = client.dump(name)
        client.ask("attach-device", name, "/dev/stdin", "--config", stdin=device)
        plugged = parse(client.dump(name))
        place = PciTree(plugged).expanderAbove(findHostdev(plugged, THIRD))
        right = smmuBus(plugged, smmuOf(THIRD))
        tap.ok(place == right, "attach-device --config: below the vSMMU of its pSMMU",
               f"below expander bus {place}, its vSMMU is on {right}")
        client.ask("detach-device", name, "/dev/stdin", "--config", stdin=device)
        tap.noProblems(difference(before, client.dump(name)),
                       "detach-device by its address on the host alone")
    with client.defined(domain("plugged", 5, DEVICES)) as name:
        before = client.dump(name)
        done = client.virsh("attach-device", name, "/dev/stdin", "--config", stdin=device)
        tap.ok(done.returncode and re.search(r"V\d\d: .*0009:01:00\.0", done.stderr)
               and client.dump(name) == before,
               "attach-device --config: a device of a pSMMU without a vSMMU is refused",
               done.stderr, *difference(before, client.dump(name)))


def testRunning(tap, client):
    host = client.host
    host.run("virt-admin", "daemon-log-filters", "1:qemu.qemu_monitor")
    host.run("virt-admin", "daemon-log-outputs", f"1:file:{MONITOR_LOG}")
    with client.running(domain("running", 6, (), REQUEST_ALL)) as name:
        smmus = ports(client.dump(name))
        tree = client.ask("qemu-monitor-command", name, "--hmp", "info qtree")
        tap.ok(smmus and tree.count("dev: arm-smmuv3,") == len(smmus),
               f"start, qemu-monitor-command: QEMU has the {len(smmus)} vSMMUs", tree)
        # QEMU cannot open a device that is not there. Where libvirt puts it is seen all the same.
        done = client.virsh("attach-device", name, "/dev/stdin", "--live", stdin=hostdev(THIRD))
        place = [adding["bus"] for adding in deviceAdds(host) if adding.get("host") == THIRD][-1:]
        spare = [f"pci.{port}" for port in smmus[smmuOf(THIRD)]]
        tap.ok(place == spare and "/dev/vfio" in done.stderr,
               "attach-device --live: QEMU is given the port below the right vSMMU",
               f"{place}, the spare port is {spare}", done.stderr)
        with Terminal(client, "console", name) as console:
            client.ask("resume", name)
            tap.ok(console.waitFor(MENU, b"\r"), "console shows the firmware's menu", console.text)


def testManagedSave(tap, client):
    xml = domain("saved", 8, (), REQUEST_ALL)
    wanted = placement(completed(client.host, HOST, xml))
    with client.running(xml) as name:
        client.ask("managedsave", name)
        saved = client.ask("managedsave-dumpxml", name)
        changed = saved.replace("</uuid>", "</uuid>\n  <title>Saved</title>", 1)
        client.ask("managedsave-define", name, "/dev/stdin", stdin=changed)
        tap.noProblems(difference(changed, client.ask("managedsave-dumpxml", name)),
                       "managedsave-define changes what was changed")
        client.ask("start", "--paused", name)
        live = client.ask("dumpxml", name)
        tap.ok("<title>Saved</title>" in live and placement(live) == wanted,
               "start: the saved domain goes on with its vSMMUs", live)


def testSnapshots(tap, client):
    xml = domain("snapped", 9, DEVICES)
    wanted = "\n".join(placement(completed(client.host, HOST, xml)))
    with client.defined(xml) as name:
        snapshot = ("<domainsnapshot><name>first</name><state>shutoff</state>"
                    f"<creationTime>1000000000</creationTime>{xml}</domainsnapshot>")
        client.ask("snapshot-create", name, "/dev/stdin", "--redefine", stdin=snapshot)
        dumped = client.ask("snapshot-dumpxml", name, "first")
        inner = dumped[dumped.index("<domain "):dumped.index("</domain>") + len("</domain>")]
        tap.noProblems(difference(wanted, "\n".join(placement(inner))),
                       "snapshot-create --redefine: the domain in it is expanded")
        client.ask("snapshot-delete", name, "first", "--metadata")
        client.ask("snapshot-create", name, "/dev/stdin", "--redefine", stdin=dumped)
        tap.noProblems(difference(dumped, client.ask("snapshot-dumpxml", name, "first")),
                       "snapshot-create --redefine of what snapshot-dumpxml shows")


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def testVolume(tap, client):
    host = client.host
    source, target = host.path("/tmp/source"), host.path("/tmp/target")
    with open(source, "wb") as f:
        f.write(os.urandom(VOLUME_SIZE))
    client.ask("pool-create-as", "pool", "dir", "--target", "/var/lib/libvirt/pool", "--build")
    client.ask("vol-create-as", "pool", "volume", str(VOLUME_SIZE))
    client.ask("vol-upload", "volume", "/tmp/source", "pool")
    client.ask("vol-download", "volume", "/tmp/target", "pool")
    client.ask("vol-delete", "volume", "pool")
    client.ask("pool-destroy", "pool")
    tap.ok(sha256(source) == sha256(target),
           f"vol-upload and vol-download of {VOLUME_SIZE >> 20} MiB",
           f"{os.path.getsize(source)} bytes sent, {os.path.getsize(target)} bytes received")


def testEvent(tap, client):
    """virsh does not say when it begins to listen, so there are events until it has heard one."""
    listener = subprocess.Popen(
        **client.host.command("virsh", "-c", client.uri, "event", "--all", "--timeout",
                              str(EVENT_SECONDS)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while listener.poll() is None:
        with client.defined(domain("heard", 10, (), PLAIN)):
            pass
    heard = listener.communicate()[0]
    tap.ok(re.search("event 'lifecycle' for domain 'heard': (Defined|Undefined)", heard),
           "event --all hears of a domain", heard)


def testOthers(tap, client):
    uuid = UUID % 0xf1
    client.ask("secret-define", "/dev/stdin", stdin=(
        f"<secret ephemeral='no' private='no'><uuid>{uuid}</uuid>"
        "<usage type='volume'><volume>/secret</volume></usage></secret>"))
    client.ask("secret-set-value", uuid, "--file", "/dev/stdin", "--plain", stdin="top secret")
    value = client.ask("secret-get-value", uuid, "--plain")
    client.ask("secret-undefine", uuid)
    tap.ok(value.strip() == "top secret", "secret commands", value)
    network = "<network><name>wire</name><forward mode='bridge'/><bridge name='br-wire'/></network>"
    client.ask("net-define", "/dev/stdin", stdin=network)
    client.ask("net-start", "wire")
    listed = client.ask("net-list", "--name")
    client.ask("net-destroy", "wire")
    client.ask("net-undefine", "wire")
    left = client.ask("net-list", "--all", "--name")
    tap.ok("wire" in listed.split() and "wire" not in left.split(), "network commands",
           listed, left)


def testReadOnly(tap, client):
    xml = domain("forbidden", 11, DEVICES)
    direct = Client(client.host, *DIRECT)
    wanted = direct.virsh("-r", "define", "/dev/stdin", stdin=xml).stderr
    reader = Client(client.host, client.shape, client.readOnlyUri, None)
    with client.defined(domain("listed", 12, (), PLAIN)) as name:
        for how, virsh in (("virsh -r", functools.partial(client.virsh, "-r")),
                           ("virsh with the URI for reading", reader.virsh)):
            listed = virsh("list", "--all", "--name").stdout.split()
            done = virsh("define", "/dev/stdin", stdin=xml)
            tap.ok(listed == [name] and done.returncode and done.stderr == wanted,
                   f"{how}: list works, define is refused in libvirt's words",
                   f"listed {listed}", f"libvirt alone: {wanted}", done.stderr)


OPEN_GRAPHICS = """
import libvirt, os, socket, sys
conn = libvirt.open(sys.argv[1])
domain = conn.lookupByName(sys.argv[2])
with socket.socket(fileno=domain.openGraphicsFD(0)) as vnc:
    vnc.settimeout(60)
    print(vnc.recv(12).decode())
"""
ASSOCIATE = """
import libvirt, libvirt_qemu, os, sys
conn = libvirt.open(sys.argv[1])
domain = conn.lookupByName(sys.argv[2])
disk = os.open(sys.argv[3], os.O_RDWR)
domain.FDAssociate("disk", [disk])
os.close(disk)
domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
print(libvirt_qemu.qemuMonitorCommand(domain, '{"execute": "query-block"}', 0))
"""
FD_DISK = """<disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/none' fdgroup='disk'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <iommu"""


def testDescriptors(tap, client):
    host = client.host
    with client.running(domain("shown", 13, (), REQUEST_ALL)) as name:
        done = host.run("python3", "-c", OPEN_GRAPHICS, client.uri, name)
        tap.ok(done.stdout.startswith("RFB "), "openGraphicsFD gives a VNC server",
               done.stdout, done.stderr)
    with open(host.path("/tmp/disk"), "wb") as f:
        f.truncate(FD_SIZE)
    with client.defined(domain("given", 14, (), REQUEST_ALL).replace("<iommu", FD_DISK, 1)) as name:
        done = host.run("python3", "-c", ASSOCIATE, client.uri, name, "/tmp/disk")
        tap.ok(f'"virtual-size":{FD_SIZE},' in done.stdout,
               "FDAssociate gives a guest the file of a client", done.stdout, done.stderr)


def installHostdev(device):
    """The option of virt-install for it. A name would be a node device's, and here are none."""
    path = "xpath{0}.set=./source/address/@{1},xpath{0}.value=0x{2}"
    parts = zip(("domain", "bus", "slot", "function"), re.split("[:.]", device))
    return "--hostdev=type=pci," + ",".join(path.format(number, name, value)
                                            for number, (name, value) in enumerate(parts, 1))


def testVirtInstall(tap, client):
    host = client.host
    command = VIRT_INSTALL + ("--connect", client.uri)
    printed = host.run(*command, f"--cdrom={MEDIUM}", ASKING, *map(installHostdev, DEVICES),
                       "--print-xml")
    steps = [step + "</domain>" for step in printed.stdout.split("</domain>")[:-1]]
    tap.note(*steps)
    placements = []
    for step in steps:
        with client.defined(step) as name:
            placements.append(placement(client.dump(name)))
    tap.ok(len(steps) == 2 and placements[0] == placements[1]
           and sum("<iommu" in part for part in placements[0]) == len(DEVICES),
           "virt-install: its first and its last domain get the same placement",
           printed.stderr, *placements)
    try:
        done = host.run(*command, "--import", ASKING_FOR_ALL)
        live, inactive = client.ask("dumpxml", "installed"), client.dump("installed")
        tap.ok(done.returncode == 0 and ports(inactive) and placement(live) == placement(inactive),
               "virt-install --import: runs with its vSMMUs and is defined with them",
               done.stderr, *difference("\n".join(placement(inactive)), "\n".join(placement(live))))
    finally:
        client.remove("installed")


REFUSALS = """
import json, libvirt, sys
libvirt.registerErrorHandler(lambda *_: None, None)
conn = libvirt.open(sys.argv[1])
bad, good = sys.argv[2:]
said = []
for call in (lambda: conn.defineXML(bad), lambda: conn.lookupByName("refused"),
             lambda: conn.defineXML(good).name()):
    try:
        said.append(call())
    except libvirt.libvirtError as error:
        said.append([error.get_error_code(), error.get_error_message()])
conn.lookupByName("accepted").undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
print(json.dumps(said))
"""


def remedies(xml):
    """What `viommu expand` says to do about the domain that it refuses."""
    try:
        viommu(REFUSING_HOST, "expand", "-", stdin=xml)
    except ViommuError as error:
        return re.findall(r"^ *fix: (.*)$", str(error), re.MULTILINE)
    return []


def testRefusals(tap, client):
    good = domain("accepted", 15, (), PLAIN)
    for finding, device in REFUSED:
        # Of a domain for KVM, as groups matter only where a device is really passed through.
        bad = forKvm(domain("refused", 16, (device,)))
        done = client.host.run("python3", "-c", REFUSALS, client.uri, bad, good)
        (code, words), (missing, _), accepted = json.loads(done.stdout)
        tap.ok(code == CONFIG_UNSUPPORTED and finding in words and device in words
               and remedies(bad) and all(remedy in words for remedy in remedies(bad)),
               f"{finding} is refused with the device and what to do",
               f"error {code}: {words}", *remedies(bad))
        tap.ok(missing == NO_DOMAIN and accepted == "accepted",
               f"after {finding} there is no domain, and the connection goes on",
               done.stdout, done.stderr)
        with open(client.host.path("/tmp/refused.xml"), "w", encoding="utf-8") as f:
            f.write(bad)
        shell = client.virsh(stdin="define /tmp/refused.xml\nlist --all --name\nhostname\n")
        tap.ok(finding in shell.stderr and "refused" not in shell.stdout.split() and
               client.ask("hostname").strip() in shell.stdout.split(),
               f"{finding} is what virsh prints, and its next commands work",
               shell.stdout, shell.stderr)


COMMON = (testDefine, testOwnFile, testEdit, testNative, testCreate, testConfigDevices, testSparePort,
          testRunning, testManagedSave, testSnapshots, testVolume, testEvent, testOthers,
          testReadOnly, testVirtInstall)


def testShapes(tap, host, service, tests, ofService=()):
    for client, its in (
            (Client(host, "viommud", service.uri, service.readOnlyUri), tests + ofService),
            (Client(host, "viommu-stdio", stdioUri(host), stdioUri(host, "--readonly")), tests)):
        for test in its:
            with guarded(tap, f"{client.shape}: {test.__name__}"):
                test(ShapeTap(tap, client.shape), client)


def testHost(tap, tree):
    with DescribedHost(tree, manifest(HOST)) as host, Service(host) as service:
        host.run("mkdir", "-p", CONSOLE_LOCKS)
        host.run("qemu-img", "create", "-q", "-f", "qcow2", DISK, "16M")
        host.run("truncate", "--size=1M", MEDIUM)
        testShapes(tap, host, service, COMMON, (testDescriptors,))
        testEnd(ShapeTap(tap, "viommud"), service)


def testEnd(tap, service):
    status, log = service.stop(), service.log().splitlines()
    tap.ok(status == 0, "it ends when it is told to", f"exit status {status}", *log)
    tap.noProblems([line for line in log if "CRITICAL" in line],
                   "nothing in its log is a fault of its own")


def testRefusingHost(tap, tree):
    with DescribedHost(tree, manifest(REFUSING_HOST)) as host, Service(host) as service:
        testShapes(tap, host, service, (testRefusals,))


def testRegisters(tap, tree):
    """Of a request that the SMMU does not have, known only by the registers that root wrote down."""
    xml = forKvm(domain("registers", 17, DEVICES[:1], REQUEST.replace("/>", "><driver ril='on'/></iommu>")))
    with DescribedHost(tree, manifest(HOST)) as host, Service(host) as without, \
            Service(host, f'registers = "{REGISTERS}"\n', "/run/viommu-registers") as service:
        shutil.copy(manifest(HOST), host.path(REGISTERS))
        with open(host.path("/tmp/registers.xml"), "w", encoding="utf-8") as f:
            f.write(xml)
        done = host.virsh("-c", service.uri, "define", "/tmp/registers.xml")
        tap.ok(done.returncode == 1 and "V14: ril is asked for" in done.stderr and "IDR3.RIL is 0" in done.stderr,
               "registers: what they rule out is refused", done.stdout, done.stderr)
        done = host.virsh("-c", without.uri, "define", "/tmp/registers.xml")
        tap.ok("V14" not in done.stderr, "registers: without them it is not", done.stdout, done.stderr)
        os.unlink(host.path(REGISTERS))
        done = host.virsh("-c", service.uri, "define", "/tmp/registers.xml")
        tap.ok(done.returncode == 1 and "the registers of viommud.conf, which 'viommu record --probe' writes: " in done.stderr,
               "registers: where they cannot be read, that is said", done.stdout, done.stderr)


def testAll(tap, tree):
    with guarded(tap, "registers"):
        testRegisters(tap, tree)
    with guarded(tap, f"described host {HOST}"):
        testHost(tap, tree)
    with guarded(tap, f"described host {REFUSING_HOST}"):
        testRefusingHost(tap, tree)


if __name__ == "__main__":
    sys.exit(runOnTree(testAll))
