# SPDX-License-Identifier: LGPL-2.1-or-later
"""Placements that a domain has in arguments of QEMU and properties of its devices, for a libvirt without pciBus.

The plan says below which vSMMU a device is to be; buses and ports have other numbers here, which are read.
"""

import re
import xml.etree.ElementTree as ElementTree

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
PXB, PORT = "pxb-pcie", "pcie-root-port"


def arguments(domain):
    """{id: {property: value}} of the devices on the command line, with their kind as "driver"."""
    found, words = {}, [arg.get("value") for arg in domain.iterfind(f"{QEMU}commandline/{QEMU}arg")]
    for option, value in zip(words, words[1:]):
        if option == "-device":
            kind, *settings = value.split(",")
            properties = dict(setting.split("=", 1) for setting in settings)
            found[properties["id"]] = {"driver": kind, **properties}
    return found


def overrides(domain):
    """{alias: {property: value}}."""
    return {device.get("alias"): {prop.get("name"): prop.get("value")
                                  for prop in device.iterfind(f"{QEMU}frontend/{QEMU}property")}
            for device in domain.iterfind(f"{QEMU}override/{QEMU}device")}


def placesDevices(expanded):
    """Whether the domain is of this form."""
    return any(device["driver"] == PXB for device in arguments(ElementTree.fromstring(expanded)).values())


def slotOf(addr):
    """(slot, function) of "0x1" or "0x1.0x2"."""
    slot, _, function = addr.partition(".")
    return int(slot, 0), int(function or "0", 0)


def sources(domain):
    """{alias: host address} of the devices that are passed through."""
    found = {}
    for device in domain.find("devices"):
        address, alias = device.find("source/address"), device.find("alias")
        if address is not None and alias is not None:
            parts = [int(address.get(part), 0) for part in ("domain", "bus", "slot", "function")]
            found[alias.get("name")] = "%04x:%02x:%02x.%x" % tuple(parts)
    return found


def expectedPlaces(plan, expanded):
    """As that of world.py."""
    domain = ElementTree.fromstring(expanded)
    made, aliases = arguments(domain), sources(domain)
    ports = {bus: sorted((slotOf(device["addr"]), name) for name, device in made.items()
                         if device["driver"] == PORT and device["bus"] == bus)
             for bus, device in made.items() if device["driver"] == PXB}
    # Firmware numbers the ports of a bus in the order of slots and functions.
    first = {bus: int(made[bus]["bus_nr"]) for bus in ports}
    behind = {name: (bus, first[bus] + place) for bus, those in ports.items()
              for place, (_, name) in enumerate(those, 1)}
    below = {aliases[alias]: (*behind[properties["bus"]], slotOf(properties["addr"]))
             for alias, properties in overrides(domain).items() if properties.get("bus") in behind}
    places, spans = {}, []
    for number, vsmmu in enumerate(plan["vsmmus"]):
        bus = ""
        for device in vsmmu["devices"]:
            bus, busNr, (slot, function) = below[device["source"]]
            places[device["source"]] = ("0000:%02x:%02x.%x" % (busNr, slot, function), vsmmu["host"], number)
        spans.append((first[bus] << 8, first[bus] + len(ports[bus]) << 8 | 0xff))
    return places, spans
