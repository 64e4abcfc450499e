/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking KVM.
 */
#include "virkvm.h"

unsigned
virKVMAddressBits(const virIOMMUFDCalls *calls)
{
    int fd = calls->open(calls->data, "/dev/kvm");
    int bits;

    if (fd < 0)
        return 0;
    bits = calls->ioctl(calls->data, fd, VIR_KVM_CHECK_EXTENSION, (void *)(uintptr_t)VIR_KVM_CAP_ARM_VM_IPA_SIZE);
    calls->close(calls->data, fd);
    return bits >= VIR_KVM_ADDRESS_BITS_MIN && bits <= VIR_KVM_ADDRESS_BITS_MAX ? (unsigned)bits : 0;
}
