# SPDX-License-Identifier: LGPL-2.1-or-later
"""Questions about a domain XML: what is where in its PCI tree, what of one XML is in another."""

import copy
import xml.etree.ElementTree as ElementTree

BRIDGES = ("pcie-root-port", "pcie-switch-upstream-port", "pcie-switch-downstream-port",
           "pcie-to-pci-bridge", "pci-bridge", "dmi-to-pci-bridge")
EXPANDER = "pcie-expander-bus"
METADATA = "{urn:viommu:domain:1}"
KIB = {"b": -10, "bytes": -10, "KiB": 0, "k": 0, "MiB": 10, "M": 10, "GiB": 20, "G": 20, "TiB": 30}


def parse(xml):
    return ElementTree.fromstring(xml)


def show(element):
    return " ".join(ElementTree.tostring(element, encoding="unicode").split())


def number(text):
    try:
        return int(text, 0)
    except (TypeError, ValueError):
        return None


def pciAddress(device):
    """(bus, slot, function) that the device has in the guest, or None."""
    address = device.find("address[@type='pci']")
    if address is None:
        return None
    return tuple(number(address.get(part, "0")) for part in ("bus", "slot", "function"))


class PciTree:
    def __init__(self, domain):
        self.devices = list(domain.find("devices"))
        self.controllers = {number(device.get("index")): device for device in self.devices
                            if device.tag == "controller" and device.get("type") == "pci"
                            and device.get("index") is not None}
        self.accelBuses = {number(driver.get("pciBus")) for driver
                           in domain.findall("devices/iommu/driver[@accel='on']")
                           if driver.get("pciBus")}

    def expanderAbove(self, device):
        """Index of the expander bus that the device hangs below, or None (also in a loop)."""
        seen = set()
        address = pciAddress(device)
        while address and address[0] in self.controllers and address[0] not in seen:
            seen.add(address[0])
            controller = self.controllers[address[0]]
            if controller.get("model") == EXPANDER:
                return address[0]
            address = pciAddress(controller)
        return None

    def belowExpanders(self):
        """[(device, index of its expander bus)] of everything below an expander bus."""
        found = [(device, self.expanderAbove(device)) for device in self.devices]
        return [(device, index) for device, index in found if index is not None]


def placesOfHostdevs(xml):
    """{source: the numbers and addresses on the way to it} of each <hostdev> below an expander bus."""
    domain = parse(xml)
    tree = PciTree(domain)
    places = {}
    for device in domain.findall("devices/hostdev"):
        top = tree.controllers.get(tree.expanderAbove(device))
        port = tree.controllers.get(pciAddress(device)[0])
        if top is not None:
            places[show(device.find("source/address"))] = (
                top.find("target").get("busNr"), pciAddress(top), pciAddress(port), pciAddress(device))
    return places


# libvirt takes an alias from a client only with this prefix.
USER_ALIAS = "ua-"


def isBridge(device):
    return device.tag == "controller" and device.get("model") in BRIDGES


def isPassedThrough(device):
    """A PCI assignment; an interface on a network counts, as its network is not known here."""
    kind = device.get("type")
    return (device.tag == "hostdev" and kind == "pci") or (
        device.tag == "interface" and kind in ("hostdev", "network"))


def sameText(ours, theirs):
    ours, theirs = (ours or "").strip(), (theirs or "").strip()
    return ours == theirs or (number(ours) is not None and number(ours) == number(theirs))


def holeKiB(element):
    size = number((element.text or "").strip()) or 0
    shift = KIB.get(element.get("unit", "KiB"))
    return None if shift is None else size << shift if shift >= 0 else size >> -shift


def covers(theirs, ours):
    """Whether @theirs says all that @ours says; it may say more."""
    if ours.tag != theirs.tag:
        return False
    if ours.tag == "pcihole64":
        return holeKiB(ours) == holeKiB(theirs)
    if not sameText(ours.text, theirs.text):
        return False
    if not all(name in theirs.attrib and sameText(value, theirs.get(name))
               for name, value in ours.attrib.items()):
        return False
    rest = list(theirs)
    for child in ours:
        if child.tag == "alias" and not child.get("name", "").startswith(USER_ALIAS):
            continue  # libvirt's own name for it, which it gives anew
        match = next((other for other in rest if covers(other, child)), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def placementParts(domain):
    """The elements of an expanded domain that make up the placement.

    A PCI controller without index is the user's: libvirt numbers it.
    """
    parts = [device for device in domain.find("devices")
             if device.tag == "iommu" or isPassedThrough(device)
             or (device.tag == "controller" and device.get("type") == "pci"
                 and device.get("index") is not None)]
    parts += domain.findall("iommufd")
    parts += [child for child in domain.findall("metadata/*") if child.tag.startswith(METADATA)]
    # libvirt drops one with nothing in it but the user's comments.
    parts += [child for child in domain.findall("{http://libvirt.org/schemas/domain/qemu/1.0}override") if len(child)]
    return parts


def interfacesAsHostdevs(xml):
    """The domain with its interface assignments written as <hostdev>, for domxml-to-native only.

    That conversion first turns every interface into an emulated one without an address (libvirt
    12.8), so that it never shows an assignment made by one and may put an emulated one anywhere. A
    start does what is done here: interfaces of type hostdev come before the domain's own hostdevs,
    those on a network (below an expander bus only an assignment can be) after all others. Which
    function a network gives is not part of the arguments. Emulated interfaces are left out.
    """
    domain = parse(xml)
    tree = PciTree(domain)
    devices = domain.find("devices")
    # One that is moved by its alias has no address for it.
    interfaces = [child for child in devices if child.tag == "interface" and (
        child.get("type") == "hostdev" or child.get("type") == "network" and (
            tree.expanderAbove(child) is not None
            or child.find("alias") is not None and child.find("alias").get("name").startswith("ua-viommu-")))]
    _nameByNumber(interfaces + devices.findall("hostdev"))
    ahead = [_asHostdev(interface, None) for interface in interfaces
             if interface.get("type") == "hostdev"]
    behind = [_asHostdev(interface, slot) for slot, interface in enumerate(interfaces)
              if interface.get("type") == "network"]
    devices[:] = ahead + [child for child in devices if child.tag != "interface"] + behind
    return ElementTree.tostring(domain, encoding="unicode")


def _nameByNumber(devices):
    """Aliases ua-hostdevN, N as a start counts: interfaces first, whatever their place later on."""
    unnamed = [device for device in devices if device.find("alias") is None]
    for count, device in enumerate(unnamed):
        ElementTree.SubElement(device, "alias", {"name": f"{USER_ALIAS}hostdev{count}"})


def withoutAliasPrefix(text):
    """Undoes _nameByNumber() in QEMU arguments."""
    return text.replace(f'"{USER_ALIAS}hostdev', '"hostdev')


def _asHostdev(interface, slot):
    hostdev = ElementTree.Element("hostdev", {"mode": "subsystem", "type": "pci",
                                              "managed": interface.get("managed", "no")})
    source = ElementTree.SubElement(hostdev, "source")
    if slot is None:
        address = dict(interface.find("source/address").attrib)
        address.pop("type", None)
    else:
        # The network chooses the function at start; any that is in no other use stands for it.
        address = {"domain": "0xfffe", "bus": "0x00", "slot": f"0x{slot:02x}", "function": "0x0"}
    ElementTree.SubElement(source, "address", address)
    for tag in ("driver", "alias", "boot", "rom", "acpi", "address"):
        child = interface.find(tag)
        if child is not None:
            hostdev.append(copy.deepcopy(child))
    return hostdev
