# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random domains of the machine virt: PCI trees of every shape, devices with and without address.

Every device has an alias, by which it is known again in what libvirt makes of the domain.
"""

DOMAIN = """<domain type='qemu'>
<name>random</name>
<memory unit='GiB'>4</memory>
<vcpu>4</vcpu>
<os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os>
<features><acpi/><gic version='3'/></features>
<cpu mode='maximum'/>
<devices>
{}
</devices>
</domain>
"""
HOSTDEV = ("<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x{}' "
           "bus='0x{}' slot='0x{}' function='0x{}'/></source>%s</hostdev>")
INTERFACE = ("<interface type='user'><mac address='52:54:00:00:00:{n:02x}'/><model type='{model}'/>"
             "%s</interface>")
DISK = ("<disk type='file' device='disk'><source file='/disk{n}'/><target dev='{dev}' bus='{bus}'/>"
        "%s</disk>")
# %s: where alias and address go. At most one of each in a domain.
DEVICES = (
    "<rng model='virtio'><backend model='random'>/dev/urandom</backend>%s</rng>",
    "<controller type='usb' index='0' model='qemu-xhci'>%s</controller>",
    "<controller type='scsi' index='0' model='virtio-scsi'>%s</controller>",
    "<controller type='virtio-serial' index='0'>%s</controller>",
    "<channel type='pty'><target type='virtio' name='test'/>%s</channel>",
    "<console type='pty'><target type='virtio'/>%s</console>",
    "<video><model type='virtio' primary='yes'/>%s</video>",
    "<panic model='pvpanic'>%s</panic>",
    "<watchdog model='i6300esb'>%s</watchdog>",
    "<vsock model='virtio'><cid auto='yes'/>%s</vsock>",
    "<sound model='ich9'>%s</sound>",
    "<sound model='virtio'>%s</sound>",
    "<input type='tablet' bus='virtio'>%s</input>",
    "<filesystem type='mount'><source dir='/'/><target dir='root'/>%s</filesystem>",
    "<serial type='pty'><target type='pci-serial'/>%s</serial>",
    "<crypto model='virtio' type='qemu'><backend model='builtin'/>%s</crypto>",
    "<shmem name='shared'><model type='ivshmem-plain'/><size unit='M'>4</size>%s</shmem>",
) + tuple(INTERFACE.format(n=n, model=model) for n, model in enumerate(
    ("virtio", "virtio", "e1000e", "e1000", "rtl8139", "virtio-transitional"))
) + tuple(DISK.format(n=n, dev=dev, bus=bus) for n, (dev, bus) in enumerate(
    (("vda", "virtio"), ("vdb", "virtio"), ("sda", "scsi"), ("sdj", "scsi"), ("sdb", "sata"))))


class Builder:
    def __init__(self, rng, hostdevs):
        self.rng = rng
        self.hostdevs = list(hostdevs)
        self.lines = []
        self.index = 1
        self.count = 0

    def chance(self, percent):
        return self.rng.random() * 100 < percent

    def add(self, template, address=""):
        self.count += 1
        self.lines.append(template % f"<alias name='ua-d{self.count}'/>{address}")

    def controller(self, model, address="", index=True):
        """Returns its index; without, libvirt finds one."""
        number = f" index='{self.index}'" if index else ""
        self.lines.append(f"<controller type='pci'{number} model='{model}'>{address}</controller>")
        self.index += 1
        return self.index - 1

    def hostdev(self, address=""):
        if self.hostdevs:
            self.add(HOSTDEV.format(*self.hostdevs.pop(0).replace(".", ":").split(":")), address)


def place(bus, slot=0, function=0, many=False):
    multifunction = " multifunction='on'" if many else ""
    return (f"<address type='pci' domain='0x0000' bus='0x{bus:02x}' slot='0x{slot:02x}' "
            f"function='0x{function:x}'{multifunction}/>")


def addPlainPorts(it):
    """Controllers on pcie.0 in front of the expander buses: none, numbered, or without index."""
    index = it.chance(50)
    for _ in range(it.rng.randint(0, 4)):
        it.controller("pcie-root-port", index=index)
    if it.chance(15):
        it.controller("pcie-to-pci-bridge", index=index)
    if it.chance(30):
        it.index += it.rng.randint(1, 2)


def fillPort(it, port):
    """What hangs below a port of an expander bus: a switch, a bridge, a device, nothing."""
    what = it.rng.choices(("switch", "bridge", "hostdev", "emulated", "nothing"),
                          (15, 10, 35, 5, 35))[0]
    if what == "switch":
        upstream = it.controller("pcie-switch-upstream-port", place(port))
        for slot in range(it.rng.randint(1, 2)):
            it.controller("pcie-switch-downstream-port", place(upstream, slot))
    elif what == "bridge":
        it.controller("pcie-to-pci-bridge", place(port))
    elif what == "hostdev":
        it.hostdev(place(port))
    elif what == "emulated":
        it.add(DISK.format(n=port, dev=f"vd{chr(ord('c') + port)}", bus="virtio"), place(port))


def addExpander(it, number):
    address = place(0, 28 + number) if it.chance(70) else ""
    bus = it.controller("pcie-expander-bus", f"<target busNr='{240 - 30 * number}'/>{address}")
    for function in range(it.rng.randint(1, 4)):
        fillPort(it, it.controller("pcie-root-port", place(bus, 0, function, function == 0)))
    return f"<iommu model='smmuv3'><driver pciBus='{bus}'/></iommu>"


def addDevices(it):
    for template in it.rng.sample(DEVICES, it.rng.randint(1, 10)):
        it.add(template)
    for _ in range(it.rng.choice((0, 0, 1, 2))):
        it.hostdev()
    if it.chance(30):
        it.lines.append("<graphics type='vnc'/>")
    if it.chance(50):
        it.add("<memballoon model='virtio'>%s</memballoon>")
    else:
        it.lines.append("<memballoon model='none'/>")


def randomDomain(rng, hostdevs):
    """A domain that may pass through the host devices at these addresses."""
    it = Builder(rng, hostdevs)
    it.lines.append("<controller type='pci' index='0' model='pcie-root'/>")
    addPlainPorts(it)
    iommus = [addExpander(it, number) for number in range(rng.randint(1, 2))]
    if it.chance(30):
        it.controller("pcie-root-port")
    if it.chance(20):
        it.controller("pcie-to-pci-bridge")
    if it.chance(20):
        it.index += 1
        it.controller("pcie-root-port")
    addDevices(it)
    return DOMAIN.format("\n".join(it.lines + iommus))
