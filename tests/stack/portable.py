# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains made startable away from their host and without libvirt.

Only libvirt can take a function from a network and set a VLAN on it, so an assignment through a
network names a free function of it instead. Emulated interfaces get QEMU's user-mode network. Host
devices that are no PCI assignment go: nothing is planned for them. The root ports that libvirt makes
up to the highest bus that an address names are written out.
"""

import re
import xml.etree.ElementTree as ElementTree

from domainxml import number, parse
from hostinit import parseManifest

# What is left of an interface; the rest is about its backend.
FRONTEND = ("source", "mac", "model", "driver", "alias", "boot", "rom", "acpi", "teaming", "address")
PARTS = ("domain", "bus", "slot", "function")


def _address(element):
    domain, bus, slot, function = (number(element.get(part, "0")) for part in PARTS)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _virtualFunctions(manifest, netdev):
    """Addresses of the VFs of the function that has the network device @netdev."""
    links = {path: target for kind, path, target in parseManifest(manifest) if kind == "link"}
    owner = links[f"sys/class/net/{netdev}"].split("/net/")[0].rpartition("/")[2]
    found = {}
    for path, target in links.items():
        match = re.search(rf"/{re.escape(owner)}/virtfn(\d+)$", path)
        if match:
            found[int(match[1])] = target.rpartition("/")[2]
    return [found[index] for index in sorted(found)]


def networkFunctions(files, manifest):
    """{name: addresses of functions} of the hostdev networks in these files."""
    found = {}
    for path in files:
        network = ElementTree.parse(path).getroot()
        functions = [_address(element) for element in network.findall("forward/address")]
        for pf in network.findall("forward/pf"):
            functions += _virtualFunctions(manifest, pf.get("dev"))
        found[network.findtext("name")] = functions
    return found


def _nameControllers(devices):
    """Writes out the root ports that libvirt makes for named buses. Returns what was added, in words."""
    given = {number(c.get("index")) for c in devices.findall("controller[@type='pci']")} | {0}
    named = max((number(address.get("bus", "0")) for address
                 in devices.findall("*/address[@type='pci']")), default=0)
    if None in given:
        return []  # controllers without index take some of them
    missing = [index for index in range(1, named + 1) if index not in given]
    for index in missing:
        ElementTree.SubElement(devices, "controller", {
            "type": "pci", "index": str(index), "model": "pcie-root-port"})
    return [f"root port {index} written out" for index in missing]


def portable(xml, functions):
    """(the domain as said above, what was changed in words).

    @functions is {network: addresses of its functions}.
    """
    domain = parse(xml)
    devices = domain.find("devices")
    changes = _nameControllers(devices)
    for device in devices.findall("hostdev") + devices.findall("disk[@type='nvme']"):
        if device.get("type") != "pci":
            changes.append(f"without {device.tag} of type {device.get('type')}")
            devices.remove(device)
    taken = {_address(address) for address in domain.findall("devices/*/source/address[@bus]")}
    for interface in devices.findall("interface"):
        source = interface.find("source")
        network = source.get("network") if source is not None else None
        if interface.get("type") == "network" and functions.get(network):
            address = next(name for name in functions[network] if name not in taken)
            taken.add(address)
            changes.append(f"{address} of network {network} named")
            interface.set("type", "hostdev")
            source.attrib.clear()
            ElementTree.SubElement(source, "address", {
                "type": "pci", **{part: f"0x{value}" for part, value
                                  in zip(PARTS, re.split("[:.]", address))}})
        elif interface.get("type") not in ("hostdev", "user"):
            changes.append(f"interface of type user instead of {interface.get('type')}")
            interface.set("type", "user")
            interface[:] = [child for child in interface if child.tag != "source"]
        changes += [f"interface without {child.tag}" for child in interface
                    if child.tag not in FRONTEND]
        interface[:] = [child for child in interface if child.tag in FRONTEND]
    return ElementTree.tostring(domain, encoding="unicode"), changes
