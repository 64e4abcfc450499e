# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command line of viommu made startable on any machine, and what QEMU then says it has built.

A machine without the host's devices cannot pass them through, so each vfio-pci device gives way to
an emulated NVMe controller on a null disk: same id, bus, address and functions. Guest memory
becomes ordinary memory, as huge pages and the host's NUMA nodes are not here either. A vsock needs
a kernel that has it: a random number generator takes its place. Files that the domain names are
made, empty. Nothing else of the command line changes.
"""

import json
import re
import subprocess

from qemuargs import objectOf

DISK_SIZE = 1 << 20
# A pflash image has to be of this size; for a disk any size will do.
FILE_SIZE = 64 << 20
KEPT = ("id", "bus", "addr", "multifunction")


def kept(device):
    return {name: device[name] for name in KEPT if name in device}


def standIn(device):
    """[(option, value)] in the place of the vfio-pci @device; the serial number is its id."""
    node = "disk-" + device["id"]
    disk = {"driver": "null-co", "node-name": node, "size": DISK_SIZE, "read-zeroes": True}
    nvme = {"driver": "nvme", "serial": device["id"], "drive": node, **kept(device)}
    return [("-blockdev", json.dumps(disk)), ("-device", json.dumps(nvme))]


def ordinaryMemory(backend):
    """[(option, value)] for the memory @backend; nothing is taken before the guest uses it."""
    plain = {"qom-type": "memory-backend-ram", "reserve": False}
    plain.update({name: backend[name] for name in ("id", "size", "share") if name in backend})
    return [("-object", json.dumps(plain))]


def withStandIns(option_pairs):
    """The command line with what is not here replaced, and {host address: id} of its devices.

    A device that libvirt would pass as a descriptor has its id for an address.
    """
    out, replaced = [], {}
    for option, value in option_pairs:
        thing = objectOf(option, value) or {}
        if thing.get("driver") == "vfio-pci":
            replaced[thing.get("host", thing["id"])] = thing["id"]
            out += standIn(thing)
        elif thing.get("qom-type", "").startswith("memory-backend-"):
            out += ordinaryMemory(thing)
        elif thing.get("driver", "").startswith("vhost-vsock-"):
            out.append(("-device", json.dumps({"driver": "virtio-rng-pci", **kept(thing)})))
        else:
            out.append((option, value))
    return out, replaced


def _filesOf(node, layer="raw"):
    """(format, file name) in a -blockdev whose layers are written one in another."""
    if node.get("driver") == "file":
        yield layer, node["filename"]
    for child in node.values():
        if isinstance(child, dict):
            yield from _filesOf(child, node["driver"])


def provideFiles(host, option_pairs):
    """Makes the images that are named and not there, inside the described host."""
    for option, value in option_pairs:
        if option == "-blockdev" and value.startswith("{"):
            for layer, path in _filesOf(json.loads(value)):
                host.run("sh", "-c", f'mkdir -p "${{1%/*}}" && test -e "$1" || qemu-img create -q '
                         f'-f "$2" "$1" {FILE_SIZE}', "sh", path, layer)


class NotStarted(Exception):
    """QEMU ended instead of starting; the text is what it said."""


def _ask(qemu, command):
    """Sends one command and returns its reply. QEMU drops what it has not written when it quits, so
    nothing else is sent meanwhile."""
    qemu.stdin.write(json.dumps(command) + "\n")
    qemu.stdin.flush()
    for line in qemu.stdout:
        # Between replies QEMU reports events, and where a pty is.
        reply = json.loads(line) if line.startswith("{") else {}
        if "return" in reply:
            return reply["return"]
    raise NotStarted(qemu.stderr.read().strip())


def askQemu(host, option_pairs, *commands):
    """Starts QEMU, stopped before the guest runs: (its answers to these QMP commands, what it said).

    Raises NotStarted with its words if it refuses.
    """
    argv = [word for pair in option_pairs for word in pair if word is not None]
    argv += ["-S", "-chardev", "stdio,id=stack-test",
             "-object", "monitor-qmp,id=stack-test-monitor,chardev=stack-test"]
    with subprocess.Popen(**host.command("qemu-system-aarch64", *argv), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as qemu:
        try:
            answers = [_ask(qemu, command) for command
                       in ({"execute": "qmp_capabilities"},) + commands + ({"execute": "quit"},)]
        except BrokenPipeError:
            raise NotStarted(qemu.stderr.read().strip()) from None
        return answers[1:-1], qemu.stderr.read().strip()


def qemuTree(host, option_pairs):
    """`info qtree` of QEMU, started with these arguments."""
    (text,), _ = askQemu(host, option_pairs, {"execute": "human-monitor-command",
                                              "arguments": {"command-line": "info qtree"}})
    return QTree(text)


class QTree:
    """Devices of `info qtree`: by id their kind, their bus and their properties."""

    def __init__(self, text):
        self.kind, self.bus, self.properties, self.owner = {}, {}, {}, {}
        path = []
        for line in text.splitlines():
            depth = len(line) - len(line.lstrip())
            while path and path[-1][0] >= depth:
                path.pop()
            bus = re.match(r"\s*bus: (\S+)", line)
            device = re.match(r'\s*dev: (\S+), id "(.*)"', line)
            setting = re.match(r"\s*(\S+) = (.*)", line)
            if bus:
                self.owner[bus[1]] = next((name for _, kind, name in reversed(path)
                                           if kind == "dev"), "")
                path.append((depth, "bus", bus[1]))
            elif device:
                if device[2]:
                    self.kind[device[2]] = device[1]
                    self.bus[device[2]] = path[-1][2]
                    self.properties[device[2]] = {}
                path.append((depth, "dev", device[2]))
            elif setting and path and path[-1][1] == "dev" and path[-1][2]:
                self.properties[path[-1][2]][setting[1]] = setting[2].strip('"')

    def ofKind(self, kind):
        return sorted(name for name, its in self.kind.items() if its == kind)
