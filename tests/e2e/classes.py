# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains with one fault each, written by hand: what viommu check says, and what really happens.

The faults are the classes of docs/findings.rst that this hardware can show. A case says what has to
be seen; docs/emulated.rst is made from the cases and from what viommu check said (classpage.py).
"""

import collections

from guest import domain, hostdev

# Who notices, in the order in which they could.
DEFINE, START, QEMU = ("libvirt refuses the definition", "libvirt refuses to start it",
                       "QEMU refuses to start")
# It waits in the kernel for the release of a device that it holds itself, and does so until the host is reset.
HANGS = "libvirt hangs when it is to start it, and cannot even be killed"
# Of a guest whose drives are not looked at it is only known that it starts.
STARTS, BROKEN, BAD = ("QEMU starts", "the guest starts, and devices fail",
                       "the guest starts, with less than it should")
PANICS = "QEMU starts, and the guest's kernel panics"
# id: of the finding that viommu check must have; xml: a function of (world) that gives the domain;
# outcome and words: what happens then, in words of libvirt, QEMU or the guest's kernel; drives: {serial:
# whether it works}; vfio: what is bound to vfio-pci and not given to the guest; plug: (drive, port) that is
# attached while B0 works; unsaid: what must not be on QEMU's command line. A case without words has drives or unsaid.
Case = collections.namedtuple("Case", "id name title xml outcome words drives vfio plug unsaid",
                              defaults=((), {}, (), None, ()))

IOMMUFD = "\n  <iommufd enabled='yes'/>"
EXPLICIT = "accel='on' ats='off' ril='on' ssidsize='0' oas='44' cmdqv='off'"


def bus(index, busNr, target=""):
    return (f"<controller type='pci' index='{index}' model='pcie-expander-bus'><model name='pxb-pcie'/>"
            f"<target busNr='{busNr}'>{target}</target>"
            f"<address type='pci' domain='0' bus='0' slot='{index}' function='0'/></controller>")


def port(index, parent, slot=0, chassis=None):
    return (f"<controller type='pci' index='{index}' model='pcie-root-port'>"
            f"<target chassis='{chassis or index}' port='0'/>"
            f"<address type='pci' domain='0' bus='{parent}' slot='{slot}' function='0'/></controller>")


def smmu(parent, features="accel='on'"):
    bus_ = "" if parent is None else f"pciBus='{parent}' "
    return f"<iommu model='smmuv3'><driver {bus_}{features}/></iommu>"


def onBus(index, slot=0):
    return f"<address type='pci' domain='0' bus='{index}' slot='{slot}' function='0'/>"


def rng(address=""):
    return f"<rng model='virtio'><backend model='random'>/dev/urandom</backend>{address}</rng>"


def of(*parts, head=IOMMUFD, **kwargs):
    """A case's domain: each part is an element, or a function of the world that gives one."""
    return lambda world: domain([part if isinstance(part, str) else part(world) for part in parts],
                                head=head, **kwargs)


def drive(serial, index, slot=0):
    return lambda world: hostdev(world.address(serial), onBus(index, slot))


def qemuDomain(xml):
    return lambda world: xml(world).replace("<domain type='kvm'>", "<domain type='qemu'>").replace(
        "mode='host-passthrough'", "mode='maximum'")


def override(alias, name, value, kind="string"):
    return (f"\n  <qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
            f"<qemu:device alias='{alias}'><qemu:frontend><qemu:property name='{name}' type='{kind}' "
            f"value='{value}'/></qemu:frontend></qemu:device></qemu:override>")


ONE = (bus(1, 200), port(2, 1), drive("B0", 2))     # one right bus, without its vSMMU
NOTHING_THERE = lambda world: hostdev("0000:77:00.0", onBus(2))

CASES = (
    Case("V01", "two-smmus", "devices of two SMMUs below one vSMMU",
         of(bus(1, 200), port(2, 1), port(3, 1, 1), drive("B0", 2), drive("C0", 3), smmu(1)), BROKEN,
         ("IOMMU_VDEVICE_ALLOC failed: Invalid argument", "Failed to install STE",
          "CMD_SYNC timeout"), {"B0": False, "C0": False}),
    Case("V02", "absent", "a host device that is not there",
         of(bus(1, 200), port(2, 1), NOTHING_THERE, smmu(1)), START,
         ("Device 0000:77:00.0 not found",)),
    Case("V02", "untranslated", "a host device behind no SMMU",
         of(bus(1, 200), port(2, 1), drive("N0", 2), smmu(1)), START,
         ("cannot find VFIO device for PCI device 0000:61:00.0",)),
    Case("V03", "emulated", "an emulated device below an accel vSMMU",
         of(*ONE, port(3, 1, 1), rng(onBus(3)), smmu(1)), QEMU,
         ("Emulated endpoint devices are not allowed when using arm-smmuv3,accel=on",)),
    Case("V03", "emulated-auto", "an emulated device that libvirt puts below an accel vSMMU",
         of(*ONE, port(3, 1, 1), rng(), smmu(1)), QEMU,
         ("Emulated endpoint devices are not allowed when using arm-smmuv3,accel=on",)),
    Case("V04", "no-iommufd", "a host device below an accel vSMMU without iommufd",
         of(*ONE, smmu(1), head=""), QEMU,
         ("vfio-pci endpoint devices without an iommufd backend not allowed when using "
          "arm-smmuv3,accel=on",)),
    Case("V05", "no-vsmmu", "a host device on pcie.0, beside one below a vSMMU",
         of(*ONE, port(3, 0, 5), drive("A0", 3), smmu(1)), BAD, (), {"B0": True, "A0": True}),
    Case("V05", "no-accel", "a host device below a vSMMU without accel", of(*ONE, smmu(1, "")), QEMU,
         ("requires iommu MAP notifier which is not currently supported",)),
    Case("V06", "two-vsmmus", "two vSMMUs on one bus", of(*ONE, smmu(1), smmu(1)), QEMU,
         ("An iommu is already attached to this bus",)),
    Case("V07", "on-port", "a vSMMU on a root port", of(*ONE, smmu(2)), QEMU,
         ("SMMU should be attached to a default PCIe root complex(pcie.0) or a pxb-pcie based root "
          "complex",)),
    Case("V07", "on-nothing", "a vSMMU on a bus that does not exist", of(*ONE, smmu(7)), HANGS,
         ("blocked until released by user", "vfio_unregister_group_dev")),
    Case("V08", "no-bus", "accel without pciBus", of(*ONE, smmu(None)), QEMU,
         ("requires iommu MAP notifier which is not currently supported",)),
    Case("V09", "legacy-first", "a machine-wide smmuv3 in front of a vSMMU",
         of(*ONE, "<iommu model='smmuv3'/>", smmu(1)), QEMU,
         ("virt machine already has iommu=smmuv3 set. Doesn't support incompatible iommus",)),
    Case("V09", "legacy-last", "a machine-wide smmuv3 behind a vSMMU",
         of(*ONE, smmu(1), "<iommu model='smmuv3'/>"), STARTS,
         unsaid=("iommu=smmuv3",)),
    Case("V09", "virtio", "a virtio IOMMU beside a vSMMU",
         of(*ONE, smmu(1), "<iommu model='virtio'/>"), STARTS,
         ('"driver":"virtio-iommu"',)),
    Case("V10", "equal", "two expander buses with one bus number",
         of(*ONE, bus(3, 200), port(4, 3), drive("C0", 4), smmu(1), smmu(3)), QEMU,
         ("Bus 200 is already in use",)),
    Case("V10", "overlap", "bus numbers that do not suffice for the ports",
         of(bus(1, 200), port(2, 1), port(5, 1, 1), drive("B0", 2), drive("B1", 5), bus(3, 202),
            port(4, 3), drive("C0", 4), smmu(1), smmu(3)), PANICS,
         ("pbus_validate_busn",)),
    Case("V11", "seventeen", "17 vSMMUs",
         of(*[bus(index, 10 * index) for index in range(1, 18)],
            *[smmu(index, EXPLICIT) for index in range(1, 18)]), QEMU,
         ("Platform Bus: Can not fit IRQ line",)),
    Case("V12", "empty-auto", "a vSMMU without device that leaves features open",
         of(*ONE, bus(3, 100), smmu(1), smmu(3)), QEMU,
         ("arm-smmuv3 accel=on with 'auto' properties requires at least one cold-plugged VFIO device",)),
    Case("V13", "misspelt", "a feature misspelt", of(*ONE, smmu(1, "accel='on' ssidSize='16'")), STARTS,
         unsaid=("ssidSize", "ssidsize")),
    Case("V13", "range", "a feature out of range", of(*ONE, smmu(1, "accel='on' ssidsize='21'")), QEMU,
         ("Parameter 'ssidsize' does not accept value '21'",)),
    Case("V14", "cmdqv", "cmdqv='on' on an SMMU without CMDQV",
         of(*ONE, smmu(1, "accel='on' cmdqv='on'")), QEMU,
         ("CMDQV requested but not supported",)),
    Case("V16", "one-of-group", "one of two functions that share a group, the other unused",
         of(bus(1, 200), port(2, 1), drive("BF0", 2), smmu(1)), BROKEN, ("Illegal command",),
         {"BF0": False}, ("BF1",)),
    Case("V16", "group-driven", "one of two functions that share a group, the other on a host driver",
         of(bus(1, 200), port(2, 1), drive("BF0", 2), smmu(1)), QEMU,
         ("error bind device", "Operation not permitted")),
    Case("V16", "whole-group", "both functions of a group",
         of(bus(1, 200), port(2, 1), port(3, 1, 1), drive("BF0", 2), drive("BF1", 3), smmu(1)), QEMU,
         ("pasid 0 to id=", "Invalid argument")),
    Case("V16", "switch", "a device behind a switch, whose port is in its group",
         of(bus(1, 200), port(2, 1), drive("BS", 2), smmu(1)), BROKEN, ("Illegal command",),
         {"BS": False}),
    Case("V17", "bridge", "a device behind a conventional bridge of the guest",
         of(bus(1, 200), port(2, 1),
            "<controller type='pci' index='3' model='pcie-to-pci-bridge'><model name='pcie-pci-bridge'/>"
            + onBus(2) + "</controller>", drive("B0", 3, slot=1), smmu(1)), QEMU,
         ("memory listener initialization failed",)),
    Case("V18", "no-acpi", "a guest without ACPI",
         of(*ONE, smmu(1), features="<gic version='3'/>"), QEMU,
         ("SMMUv3 with accel=on not supported for DT",)),
    Case("V18", "tcg", "a guest without KVM", qemuDomain(of(*ONE, smmu(1))), QEMU,
         ("SMMUv3 accel=on requires KVM with kernel-irqchip=on support",)),
    Case("V19", "small-window", "a 64-bit window of less than 512 GiB",
         of("<controller type='pci' index='0' model='pcie-root'><pcihole64 unit='KiB'>268435456"
            "</pcihole64></controller>", *ONE, smmu(1)), QEMU,
         ("highmem-mmio-size cannot be set to a lower value than the default (512 GiB)",)),
    Case("V20", "twice", "one host device twice",
         of(*ONE, port(3, 1, 1), drive("B0", 3), smmu(1)), DEFINE,
         ("Hostdev already exists in the domain configuration",)),
    Case("V21", "other-node", "an expander bus on another node than its SMMU",
         of(bus(1, 200, "<node>1</node>"), port(2, 1), drive("B0", 2), smmu(1), vcpus=2,
            head="\n  <numatune><memnode cellid='0' mode='strict' nodeset='0'/>"
            "<memnode cellid='1' mode='strict' nodeset='1'/></numatune>" + IOMMUFD,
            cpu="<numa><cell id='0' cpus='0' memory='320' unit='MiB'/>"
            "<cell id='1' cpus='1' memory='320' unit='MiB'/></numa>"), STARTS,
         ('"numa_node":1',)),
    Case("V22", "unreserved", "a spare port without reserved window, and a drive that is plugged there",
         of(*ONE, port(3, 1, 1), smmu(1)), BROKEN, ("controller is down",),
         {"B0": False}, (), ("B1", 3)),
    Case("V23", "bypass", "bypass on a bus with a vSMMU",
         of(*ONE, smmu(1), tail=override("pci.1", "bypass_iommu", "true", "bool")), QEMU,
         ("Bypass option cannot be set for SMMUv3 associated PCIe RC",)),
    Case("V25", "chassis", "two ports with one chassis number",
         of(*ONE, port(3, 1, 1, chassis=2), smmu(1)), QEMU, ("Can't add chassis slot, error -16",)),
)
# Faults of which viommu check knows nothing here, as nothing on the running host tells it what the SMMU has;
# what QEMU says of them is why they are in docs/findings.rst.
UNPROBED = (
    Case("V14", "ats", "ats='on' on an SMMU without ATS", of(*ONE, smmu(1, "accel='on' ats='on'")), QEMU,
         ("Host SMMUv3 doesn't support Address Translation Services",)),
    Case("V14", "oas", "oas='48' on an SMMU of 44 bits", of(*ONE, smmu(1, "accel='on' oas='48'")), QEMU,
         ("supports only 44-bit IPA, but the vSMMU OAS implies 48-bit IPA",)),
    Case("V14", "ssidsize", "ssidsize='16' on an SMMU without SubstreamIDs",
         of(*ONE, smmu(1, "accel='on' ssidsize='16'")), QEMU,
         ("SSIDSIZE not compatible (host=0, QEMU=16)",)),
)
