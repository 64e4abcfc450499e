# SPDX-License-Identifier: LGPL-2.1-or-later
"""The emulated host's hardware: SMMUs, buses, and what is plugged where.

Three SMMUs: one for pcie.0, two for expander buses; a third expander bus has none. NVMe drives are
told apart by their serial numbers, also by the guest they are given to.
"""

import collections
import hashlib
import os

DISK_MIB = 32
# What a drive holds when the host starts: the first part of it, made from its serial number.
FILLED_MIB = 2

# Where a device is plugged in: a root port of the bus, its slot, and what is in the port.
Port = collections.namedtuple("Port", "name bus slot devices", defaults=((),))
# busNr and NUMA node of an expander bus, and whether an SMMU is on it.
Bus = collections.namedtuple("Bus", "name busNr node smmu")

BUSES = (Bus("pxb1", 32, 0, True), Bus("pxb2", 64, 1, True), Bus("pxb3", 96, None, False))
PORTS = (Port("rp00", "pcie.0", 4, ("nvme:A0",)),
         Port("rp10", "pxb1", 0, ("nvme:B0",)), Port("rp11", "pxb1", 1, ("nvme:B1",)),
         Port("rp12", "pxb1", 2, ("nvme:B2",)),
         Port("rp13", "pxb1", 3, ("switch", "nvme:BS")),
         Port("rp14", "pxb1", 4, ("nvme:BF0", "nvme:BF1")),
         Port("rp20", "pxb2", 0, ("nvme:C0",)), Port("rp21", "pxb2", 1, ("igb",)),
         Port("rp22", "pxb2", 2, ("nvme:C1",)),
         Port("rp30", "pxb3", 0, ("nvme:N0",)))
MEMORY_MIB = 5120
MACHINE = ("-machine", "virt,virtualization=on,gic-version=3,its=on,acpi=on",
           "-cpu", "max,pauth-impdef=on,sve=off,sme=off", "-smp", "2,sockets=2", "-m", f"{MEMORY_MIB}",
           "-accel", "tcg,thread=multi,tb-size=1024")
NODES = 2


def serials():
    return [device.partition(":")[2] for port in PORTS for device in port.devices
            if device.startswith("nvme:")]


def contents(serial):
    """What the drive @serial holds at its beginning."""
    return hashlib.shake_256(serial.encode()).digest(FILLED_MIB << 20)


def known(serial):
    """The hash of that."""
    return hashlib.sha256(contents(serial)).hexdigest()


def makeDrives(directory):
    for serial in serials():
        path = os.path.join(directory, f"{serial}.img")
        with open(path, "wb") as f:
            f.write(contents(serial))
            f.truncate(DISK_MIB << 20)


def hashOf(directory, serial, first, count):
    """The hash of MiB @first to @first + @count of that drive as it is now, seen from outside."""
    with open(os.path.join(directory, f"{serial}.img"), "rb") as f:
        f.seek(first << 20)
        return hashlib.sha256(f.read(count << 20)).hexdigest()


def _nvme(serial, bus, directory, extra=""):
    return ["-drive", f"if=none,id=disk{serial},file={directory}/{serial}.img,format=raw",
            "-device", f"nvme,drive=disk{serial},serial={serial},bus={bus}{extra}"]


def _port(port, number, directory):
    argv = ["-device", f"pcie-root-port,id={port.name},bus={port.bus},addr={port.slot},"
            f"chassis={number},slot={number}"]
    bus, drives = port.name, [d.partition(":")[2] for d in port.devices if d.startswith("nvme:")]
    if "switch" in port.devices:
        argv += ["-device", f"x3130-upstream,id={port.name}up,bus={bus}",
                 "-device", f"xio3130-downstream,id={port.name}down,bus={port.name}up,"
                 f"chassis={100 + number},slot=0"]
        bus = f"{port.name}down"
    for function, serial in enumerate(drives):
        several = f",addr=0.{function},multifunction=on" if len(drives) > 1 else ""
        argv += _nvme(serial, bus, directory, several)
    if "igb" in port.devices:
        # Something that answers a ping, and leads nowhere.
        argv += ["-netdev", "user,id=net,restrict=on", "-device", f"igb,netdev=net,bus={bus}"]
    return argv


def arguments(directory, stage2=True):
    """QEMU's arguments for the machine with its buses and devices; drives are files in @directory."""
    stage = "nested" if stage2 else "1"
    argv = list(MACHINE)
    for node in range(NODES):
        argv += ["-object", f"memory-backend-ram,id=ram{node},size={MEMORY_MIB // NODES}M",
                 "-numa", f"node,nodeid={node},cpus={node},memdev=ram{node}"]
    for slot, bus in enumerate(BUSES, 8):
        node = "" if bus.node is None else f",numa_node={bus.node}"
        argv += ["-device", f"pxb-pcie,id={bus.name},bus=pcie.0,bus_nr={bus.busNr},addr={slot}{node}"]
    for number, bus in enumerate(["pcie.0"] + [bus.name for bus in BUSES if bus.smmu]):
        argv += ["-device", f"arm-smmuv3,primary-bus={bus},id=smmu{number},stage={stage}"]
    for number, port in enumerate(PORTS, 1):
        argv += _port(port, number, directory)
    return argv
