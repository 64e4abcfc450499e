/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What KVM tells of the guests that it can run.
 */
#pragma once

#include "viriommufd.h"

/* KVM_CHECK_EXTENSION with KVM_CAP_ARM_VM_IPA_SIZE (include/uapi/linux/kvm.h). */
#define VIR_KVM_CHECK_EXTENSION 0xae03ul /* _IO(0xae, 0x03) */
#define VIR_KVM_CAP_ARM_VM_IPA_SIZE 165

/* The least that it is (Documentation/virt/kvm/api.rst: 40 without the capability), and the most, FEAT_LPA's. */
#define VIR_KVM_ADDRESS_BITS_MIN 32
#define VIR_KVM_ADDRESS_BITS_MAX 56

/* How many bits a guest's physical addresses can have; 0: there is no KVM that tells. Nothing is changed by asking. */
unsigned virKVMAddressBits(const virIOMMUFDCalls *calls);
