# SPDX-License-Identifier: LGPL-2.1-or-later
"""SMMUv3 identification registers (Arm IHI 0070), built from what a host is to have."""

OAS_CODES = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5, 52: 6}
MMU_600, MMU_700, MMU_S3 = 0x483, 0x487, 0x498
ARM, NVIDIA = 0x43b, 0x36b


def registers(stage2=True, ats=True, pri=False, ttendian=2, hyp=True, ril=True, fwb=True, bbm=2,
              oas=48, sidsize=24, ssidsize=20, granules=(4, 16, 64), queues=19, attr_ovr=True,
              product=MMU_S3, variant=1, revision=0, implementer=ARM, cmdqv='0 0 0', ttf=2,
              two_level=True):
    """Stage 1, coherent walks and stalls are always there. @ttf: 1 AArch32, 2 AArch64, 3 both.
    @cmdqv: version, log2 of the VCMDQs and of the stream IDs that a guest gets; zeros: none."""
    idr0 = (0x2 | stage2 | ttf << 2 | 1 << 4 | hyp << 9 | ats << 10 | 1 << 12 | 1 << 13 | pri << 16 |
            1 << 18 | 1 << 19 | ttendian << 21 | two_level << 27)
    idr1 = (sidsize | ssidsize << 6 | queues << 11 | queues << 16 | queues << 21 | attr_ovr << 27)
    idr3 = fwb << 8 | ril << 10 | bbm << 11
    idr5 = OAS_CODES[oas] | (4 in granules) << 4 | (16 in granules) << 5 | (64 in granules) << 6
    iidr = product << 20 | variant << 16 | revision << 12 | implementer
    return {'idr0': idr0, 'idr1': idr1, 'idr3': idr3, 'idr5': idr5, 'iidr': iidr, 'cmdqv': cmdqv}
