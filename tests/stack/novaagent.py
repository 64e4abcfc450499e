# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nova's libvirt driver, run inside a described host and told what to do: `novaagent.py NOVA.CONF`.

A request is a line, [method of Agent, arguments...]; its answer is a line, {"result": ...} or
{"error": [class, code of libvirt or null, words]}. What goes to libvirt is done by Nova's own
functions, and nova.conf says where libvirt is. There is no database, no message queue and no other
service of OpenStack.
"""

# As nova-compute does, before all else.
from nova import monkey_patch
monkey_patch.patch(backend="threading")

import functools
import json
import os
import sys

from lxml import etree
import nova.conf
from nova import objects, version
from nova.virt.libvirt import config
from nova.virt.libvirt.driver import LibvirtDriver
from nova.virt.libvirt.guest import Guest

DEVICES = {"hostdev": config.LibvirtConfigGuestHostdevPCI,
           "interface": config.LibvirtConfigGuestInterface}


class Driver(LibvirtDriver):
    """Nova's, but that the state of the connection goes to a list and not to the database."""

    def __init__(self):
        self.connections = []
        super().__init__(None)

    def _handle_conn_event(self, enabled, reason):
        self.connections.append([enabled, reason and str(reason)])


def deviceOf(xml):
    """Nova's object for a device."""
    element = etree.fromstring(xml)
    device = DEVICES[element.tag]()
    device.parse_dom(element)
    return device


class Agent:
    """What the requests are about is the guest that was defined last."""

    def __init__(self, path):
        nova.conf.CONF([], project="nova", default_config_files=[path])
        objects.register_all()
        self.driver = Driver()
        self.host = self.driver._host
        self.seen = []
        self.driver.register_event_listener(
            lambda event: self.seen.append([event.uuid, event.get_name()]))
        self.host.initialize()
        self.instance = None

    @property
    def guest(self):
        return self.host.get_guest(self.instance)

    def version(self):
        return version.version_string()

    def uri(self):
        return self.host.get_connection().getURI()

    def architectures(self):
        return sorted({guest.arch for guest in self.host.get_capabilities().guests})

    def pciDevices(self):
        """What the resource tracker is told that the host has."""
        return json.loads(self.driver._get_pci_passthrough_devices())

    def define(self, xml):
        self.instance = objects.Instance(uuid=Guest.create(xml, self.host).uuid)

    def xml(self):
        """As Nova reads it to define it again, for a snapshot or another volume."""
        return self.guest.get_xml_desc(dump_inactive=True, dump_sensitive=True)

    def hostdevs(self):
        """Addresses of those that Nova reads in the domain."""
        return [[device.domain, device.bus, device.slot, device.function] for device
                in self.guest.get_config().devices if isinstance(device, DEVICES["hostdev"])]

    def written(self, device):
        """The device as Nova writes it."""
        return deviceOf(device).to_xml()

    def _find(self, device, from_persistent_config=False):
        return self.guest.get_interface_by_cfg(deviceOf(device), from_persistent_config)

    def finds(self, device):
        """Whether Nova finds the device in the domain."""
        return self._find(device, from_persistent_config=True) is not None

    def attach(self, device):
        self.guest.attach_device(deviceOf(device), persistent=True)

    def detach(self, device):
        self.guest.detach_device(deviceOf(device), persistent=True)

    def findAndDetach(self, device):
        """As it is done with ports and volumes; Nova looks whether the device is gone then."""
        self.driver._detach_with_retry(self.guest, self.instance.uuid,
                                       functools.partial(self._find, device), "device")

    def resume(self, addresses):
        """What a resume does about PCI devices."""
        self.driver._attach_pci_devices(self.guest, [
            objects.PciDevice(address=address, extra_info={}) for address in addresses])

    def hardReboot(self, xml):
        """Undefines the guest and defines it by this XML, with the firmware that libvirt chose.

        The XML was recorded where nothing had chosen one.
        """
        domain = etree.fromstring(xml)
        guest = config.LibvirtConfigGuest()
        guest.parse_dom(domain)
        guest.os_arch = domain.find("os/type").get("arch")
        old = self.driver._get_existing_guest_config(self.instance)
        self.driver._copy_guest_firmware_elements(old, guest)
        written = etree.Element("domain")
        guest._format_os(written)
        domain.replace(domain.find("os"), written[0])
        self.undefine()
        self.define(etree.tostring(domain, encoding="unicode"))

    def undefine(self):
        self.guest.delete_configuration()

    def launch(self):
        self.guest.launch(pause=True)

    def poweroff(self):
        self.guest.poweroff()

    def events(self):
        """[UUID of the guest, what happened to it] so far."""
        return self.seen

    def connections(self):
        """[whether it is up, why not] each time that it changed."""
        return self.driver.connections


def answer(agent, name, *arguments):
    try:
        return {"result": getattr(agent, name)(*arguments)}
    except Exception as error:
        code = getattr(error, "get_error_code", lambda: None)()
        return {"error": [type(error).__name__, code, str(error)]}


def main(path):
    agent = Agent(path)
    for line in sys.stdin:
        print(json.dumps(answer(agent, *json.loads(line))), flush=True)
    # Nova's threads do not end.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
