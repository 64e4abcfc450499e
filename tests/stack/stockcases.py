# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which domain stands for which class in the table of stock-test.py, and what it cannot try."""

import collections

# The failing case of tests/checkdata; what it is in words; why a start in TCG form would say
# nothing about it, or None; what was seen with real nested translation in an emulated Arm host
# (docs/libvirt.rst): what QEMU or the guest did, and its words.
Case = collections.namedtuple("Case", "name title untried emulated emulatedWords",
                              defaults=(None, None))

NO_NESTING = "the TCG form has neither accel nor host devices, and these are what fails"
NO_ACCEL = "the TCG form has no accel, and only accel refuses it"

CASES = (
    Case("V01-fail.mixed-features", "devices of two SMMUs below one vSMMU", NO_NESTING,
         "QEMU starts, the guest fails", "IOMMU_VDEVICE_ALLOC failed: Invalid argument, Failed to "
         "install STE; in the guest endless CMD_SYNC timeouts, and the devices of both SMMUs fail"),
    Case("V02-fail-absent.one-smmu", "a host device that is not there", NO_NESTING),
    Case("V03-fail.one-smmu", "an emulated device below an accel vSMMU", NO_ACCEL,
         "QEMU refuses", "Emulated endpoint devices are not allowed when using arm-smmuv3,accel=on"),
    Case("V04-fail.one-smmu", "a host device below an accel vSMMU without iommufd", NO_NESTING,
         "QEMU refuses", "vfio-pci endpoint devices without an iommufd backend not allowed when "
         "using arm-smmuv3,accel=on"),
    Case("V05-fail.one-smmu", "a host device below no vSMMU", None,
         "QEMU starts", "the device works and has no vIOMMU"),
    Case("V05-fail-no-accel.one-smmu", "a host device below a vSMMU without accel", NO_NESTING,
         "QEMU refuses", "requires iommu MAP notifier which is not currently supported"),
    Case("V06-fail.mixed-features", "two vSMMUs on one bus", None,
         "QEMU refuses", "An iommu is already attached to this bus"),
    Case("V07-fail-port.one-smmu", "a vSMMU on a root port", None,
         "QEMU refuses", "SMMU should be attached to a default PCIe root complex(pcie.0) or a "
         "pxb-pcie based root complex"),
    Case("V07-fail-absent.one-smmu", "a vSMMU on a bus that does not exist", None),
    Case("V08-fail.one-smmu", "accel without pciBus", None,
         "QEMU refuses", "requires iommu MAP notifier which is not currently supported"),
    Case("V09-fail-first.one-smmu", "a machine-wide smmuv3 in front of a vSMMU", None,
         "QEMU refuses", "virt machine already has iommu=smmuv3 set. Doesn't support incompatible "
         "iommus"),
    Case("V09-fail.one-smmu", "a machine-wide smmuv3 behind a vSMMU", None,
         "libvirt drops it", "a second iommu without pciBus is not on the command line"),
    Case("V09-fail-virtio.one-smmu", "a virtio IOMMU beside a vSMMU", None),
    Case("V10-fail-equal.mixed-features", "two expander buses with one bus number", None),
    Case("V10-fail-overlap.mixed-features", "bus numbers that do not suffice for the ports", None),
    Case("V11-fail.none", "17 vSMMUs", None),
    Case("V12-fail.one-smmu", "a vSMMU without device that leaves features open", NO_ACCEL,
         "QEMU refuses", "arm-smmuv3 accel=on with 'auto' properties requires at least one "
         "cold-plugged VFIO device"),
    Case("V13-fail-spelling.one-smmu", "a feature misspelt", NO_ACCEL),
    Case("V13-fail-ssidsize.one-smmu", "a feature out of range", NO_ACCEL),
    Case("V14-fail-ats.mixed-features", "a feature that the SMMU does not have", NO_NESTING,
         "QEMU refuses", "Host SMMUv3 doesn't support Address Translation Services"),
    Case("V15-fail-stage2.mixed-features", "an SMMU that cannot nest", NO_NESTING,
         "QEMU refuses", "Failed to allocate hwpt: Operation not supported"),
    Case("V16-fail-one.switch-group", "a device that is not alone in its group", NO_NESTING,
         "QEMU starts, the guest fails", "CMDQ error, Illegal command"),
    Case("V17-fail.direct-region", "a direct reserved region", NO_NESTING),
    Case("V17-fail-guest-bridge.one-smmu", "a device behind a conventional bridge of the guest",
         NO_NESTING, "QEMU refuses", "memory listener initialization failed"),
    Case("V18-fail-acpi.one-smmu", "a guest without ACPI", None,
         "QEMU refuses", "SMMUv3 with accel=on not supported for DT"),
    Case("V19-fail-low.one-smmu", "a 64-bit window of less than 512 GiB", None),
    Case("V20-fail.one-smmu", "one host device twice", NO_NESTING,
         "QEMU refuses it, given without libvirt", "error bind device to iommufd: Invalid argument"),
    Case("V21-fail.gb300", "an expander bus on another node than its SMMU", None),
    Case("V22-fail-reserve.one-smmu", "a spare port without reserved window", None,
         "QEMU starts, the guest fails later", "when a device is plugged there a running NVMe drive "
         "on the port beside it loses its BAR: controller is down; CSTS=0xffffffff"),
    Case("V23-fail-override.one-smmu", "bypass on a bus with a vSMMU", None,
         "QEMU refuses", "Bypass option cannot be set for SMMUv3 associated PCIe RC"),
    Case("V24-fail.mixed-features", "cmdqv without huge pages", NO_NESTING),
    Case("V25-fail-chassis.one-smmu", "two ports with one chassis number", None),
)
