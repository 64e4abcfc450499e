# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which domain stands for which class in the table of stock-test.py, and what it cannot try."""

import collections

# The failing case of tests/checkdata; what it is in words; why a start in TCG form would say
# nothing about it, or None. What happens with real nested translation is in docs/emulated.rst.
Case = collections.namedtuple("Case", "name title untried")

NO_NESTING = "the TCG form has neither accel nor host devices, and these are what fails"
NO_ACCEL = "the TCG form has no accel, and only accel refuses it"

CASES = (
    Case("V01-fail.mixed-features", "devices of two SMMUs below one vSMMU", NO_NESTING),
    Case("V02-fail-absent.one-smmu", "a host device that is not there", NO_NESTING),
    Case("V03-fail.one-smmu", "an emulated device below an accel vSMMU", NO_ACCEL),
    Case("V04-fail.one-smmu", "a host device below an accel vSMMU without iommufd", NO_NESTING),
    Case("V05-fail.one-smmu", "a host device below no vSMMU", None),
    Case("V05-fail-no-accel.one-smmu", "a host device below a vSMMU without accel", NO_NESTING),
    Case("V06-fail.mixed-features", "two vSMMUs on one bus", None),
    Case("V07-fail-port.one-smmu", "a vSMMU on a root port", None),
    Case("V07-fail-absent.one-smmu", "a vSMMU on a bus that does not exist", None),
    Case("V08-fail.one-smmu", "accel without pciBus", None),
    Case("V09-fail-first.one-smmu", "a machine-wide smmuv3 in front of a vSMMU", None),
    Case("V09-fail.one-smmu", "a machine-wide smmuv3 behind a vSMMU", None),
    Case("V09-fail-virtio.one-smmu", "a virtio IOMMU beside a vSMMU", None),
    Case("V10-fail-equal.mixed-features", "two expander buses with one bus number", None),
    Case("V10-fail-overlap.mixed-features", "bus numbers that do not suffice for the ports", None),
    Case("V11-fail.none", "17 vSMMUs", None),
    Case("V12-fail.one-smmu", "a vSMMU without device that leaves features open", NO_ACCEL),
    Case("V13-fail-spelling.one-smmu", "a feature misspelt", NO_ACCEL),
    Case("V13-fail-ssidsize.one-smmu", "a feature out of range", NO_ACCEL),
    Case("V14-fail-ats.mixed-features", "a feature that the SMMU does not have", NO_NESTING),
    Case("V15-fail-stage2.mixed-features", "an SMMU that cannot nest", NO_NESTING),
    Case("V16-fail-one.switch-group", "a device that is not alone in its group", NO_NESTING),
    Case("V17-fail.direct-region", "a direct reserved region", NO_NESTING),
    Case("V17-fail-guest-bridge.one-smmu", "a device behind a conventional bridge of the guest",
         NO_NESTING),
    Case("V18-fail-acpi.one-smmu", "a guest without ACPI", None),
    Case("V19-fail-low.one-smmu", "a 64-bit window of less than 512 GiB", None),
    Case("V20-fail.one-smmu", "one host device twice", NO_NESTING),
    Case("V21-fail.gb300", "an expander bus on another node than its SMMU", None),
    Case("V22-fail-reserve.one-smmu", "a spare port without reserved window", None),
    Case("V23-fail-override.one-smmu", "bypass on a bus with a vSMMU", None),
    Case("V24-fail.mixed-features", "cmdqv without huge pages", NO_NESTING),
    Case("V25-fail-chassis.one-smmu", "two ports with one chassis number", None),
)
