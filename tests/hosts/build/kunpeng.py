# SPDX-License-Identifier: LGPL-2.1-or-later
"""HiSilicon Kunpeng 920: one PCI segment, split over six SMMUs by bus; some buses have none."""

from . import host as h
from . import iort
from .host import KIB, MIB, Host

ETHERNET, NVME, VGA, SAS, SATA, ZIP = 0x020000, 0x010802, 0x030000, 0x010700, 0x010601, 0x120000
ROOT_PORT, ROOT_PORT_2 = '19e5:a120', '19e5:a121'
ACC_VFIO = 'hisi_acc_vfio_pci'

HEAD = """
kunpeng920: HiSilicon Kunpeng 920 (Hi1620), D06 board, two sockets, six SMMUv3, one PCI segment.
Published:
- the SMMUs and their proximity domains 0 and 2, root buses, PCI devices with IDs and classes,
  NUMA nodes of the buses, the BARs of 01:00.0, 75:00.0, 7d:00.0, 81:00.0, numbers and sizes of
  VFs: boot log of a D06, John Garry, 2019-09-05,
  <8ac8e372-15a0-2f95-089c-c189b619ea62@huawei.com>.
- which buses are behind which SMMU, and that 78-79, 7a, b8-b9 and ba go straight to the ITS;
  memory access flags CPM only (no CANWBS), no ATS; ID counts one too high, as the firmware has
  them: tianocore/edk2-platforms, parent of e885ce2f76, Hi1620Iort.asl.
- the links of 0000:74:02.0 (arm-smmu-v3.2.auto is 0x140000000) and its group 0: John Garry,
  2020-06.
- numa_node of the SMMUs: Barry Song, 2020-06-02,
  <B926444035E5E2439431908E3842AFD24D9167@DGGEMI525-MBS.china.huawei.com>.
- that 7d:02.1, 7d:02.2 and 75:00.1 are VFs one passes through: QEMU cover letters of Shameer
  Kolothum, 2024-11-08 and 2025.
Inferred: the other N of arm-smmu-v3.N.auto, from the order of the log. The feature word 0xfef of
that kernel says nothing of S2FWB.
Made up:
- how many VFs there are, their addresses (except those named above), IDs and drivers; bindings
  to VFIO; which root port is above 01, 05 and 81 and which bus numbers it has; all other groups.
- BARs that are not named above, BARs of VFs, config space, the VFs' IDs from the drivers'
  tables.
- the kernel release 6.17.0 (the log is of 5.3.0-rc7, before nesting) and nodes 0-3 online.
- in the IORT: node revisions and contents beyond the above. No registers are recorded.
"""

# (RID base, count as the firmware writes it, SMMU base or None for the ITS), in the table's order
BUSES = [(0x0000, 0x4000, 0x148000000), (0x7b00, 0x100, 0x148000000), (0x7a00, 0x100, None),
         (0x7800, 0x200, None), (0x7c00, 0x200, 0x100000000), (0x7400, 0x300, 0x140000000),
         (0x8000, 0x2000, 0x400148000000), (0xbb00, 0x100, 0x400148000000), (0xba00, 0x100, None),
         (0xb800, 0x200, None), (0xbc00, 0x200, 0x400100000000), (0xb400, 0x300, 0x400140000000)]
SMMUS = [0x148000000, 0x100000000, 0x140000000, 0x400148000000, 0x400100000000, 0x400140000000]


def table():
    """The nodes stand where the published source has them: 0x34, 0x4c, 0xcc, 0x138 and so on."""
    out = iort.Iort(0, 'HISI', 'HIP08', first=0x34)
    its = out.its()
    nodes = {}
    for i, base in enumerate(SMMUS):
        mappings = [(rid, count, rid, its, 0) for rid, count, smmu in BUSES if smmu == base]
        mappings.append((0, 0, 0xff00 + i, its, iort.SINGLE_MAPPING))
        nodes[base] = out.smmu(base, iort.SMMU_COHACC | iort.SMMU_PXM_VALID, mappings,
                               pxm=0 if i < 3 else 2, revision=1)
    out.root_complex(0, iort.CPM, [(rid, count, rid, nodes.get(smmu, its), 0)
                                   for rid, count, smmu in BUSES], revision=0)
    return out.table()


def kunpeng920():
    host = Host('kunpeng920', HEAD, '6.17.0', nodes='0-3')
    smmus = {base: host.smmu(base, f'arm-smmu-v3.{i}.auto', numa=0 if i < 3 else 2)
             for i, base in enumerate(SMMUS)}
    host.iort(table())
    group = iter(range(1, 100))

    def root_port(bdf, smmu, secondary, subordinate=None, ids=ROOT_PORT_2):
        return host.bridge(bdf, ids, (secondary, subordinate or secondary), next(group),
                           smmu=smmus[smmu], numa=0 if smmu < SMMUS[3] else 2)

    # socket 0, buses 00-3f
    nics = root_port('0000:00:00.0', 0x148000000, 1, 2, ROOT_PORT)
    root_port('0000:00:04.0', 0x148000000, 3, ids=ROOT_PORT)
    root_port('0000:00:08.0', 0x148000000, 4, ids=ROOT_PORT)
    vga = root_port('0000:00:0c.0', 0x148000000, 5, ids=ROOT_PORT)
    root_port('0000:00:10.0', 0x148000000, 6, ids=ROOT_PORT)
    root_port('0000:00:12.0', 0x148000000, 7, ids=ROOT_PORT)
    vf_bars = {0: (16 * KIB, h.MEM64_PREF), 3: (16 * KIB, h.MEM64_PREF)}
    for f in (0, 1):
        first = {0: (512 * KIB, h.MEM64_PREF, 0x80000000000),
                 4: (16 * KIB, h.MEM64_PREF, 0x80000100000)} if f == 0 else \
                {0: (512 * KIB, h.MEM64_PREF), 4: (16 * KIB, h.MEM64_PREF)}
        nic = host.pci(f'0000:01:00.{f}', '8086:10fb', ETHERNET, next(group), nics,
                       driver='ixgbe', bars=first, vfs=(0 if f else 2, 64, vf_bars),
                       net=f'enp1s0f{f}', multifunction=not f)
        if f == 0:
            for bdf in ('0000:01:10.0', '0000:01:10.2'):
                host.vf(nic, bdf, '8086:10ed', next(group), h.VFIO)
    host.pci('0000:05:00.0', '19e5:1711', VGA, next(group), vga, driver='hibmc-drm',
             bars={0: (32 * MIB, h.MEM32)})

    # buses 74-76
    behind = {'smmu': smmus[0x140000000], 'numa': 0}
    port = root_port('0000:74:00.0', 0x140000000, 0x75)
    host.pci('0000:74:02.0', '19e5:a230', SAS, 0, driver='hisi_sas_v3_hw',
             bars={5: (32 * KIB, h.MEM32)}, **behind)
    host.pci('0000:74:03.0', '19e5:a235', SATA, next(group), driver='ahci',
             bars={5: (64 * KIB, h.MEM32)}, **behind)
    accelerator(host, port, '0000:75:00.0', group, (ACC_VFIO, None), 0x144000000)

    # 78, 7a: straight to the ITS, so neither `iommu` nor a group
    host.pci('0000:78:00.0', '19e5:a258', 0x100000, numa=0, bars={2: (4 * MIB, h.MEM64_PREF)})
    for bdf, ids, cls, driver in (('0000:7a:00.0', '19e5:a239', 0x0c0310, 'ohci-pci'),
                                  ('0000:7a:01.0', '19e5:a239', 0x0c0320, 'ehci-pci'),
                                  ('0000:7a:02.0', '19e5:a238', 0x0c0330, 'xhci_hcd')):
        host.pci(bdf, ids, cls, numa=0, driver=driver, bars={0: (4 * KIB, h.MEM64)})

    # 7c-7d
    port = root_port('0000:7c:00.0', 0x100000000, 0x7d)
    hns = {0: (64 * KIB, h.MEM64_PREF), 2: (MIB, h.MEM64_PREF)}
    placed = {0: (64 * KIB, h.MEM64_PREF, 0x122000000), 2: (MIB, h.MEM64_PREF, 0x120000000)}
    for f, ids in enumerate(('19e5:a222', '19e5:a222', '19e5:a222', '19e5:a221')):
        nic = host.pci(f'0000:7d:00.{f}', ids, ETHERNET, next(group), port, driver='hns3',
                       bars=hns if f else placed, net=f'enp125s0f{f}', multifunction=not f,
                       vfs=(0 if f else 3, 14, dict(hns)) if f < 2 else None)
        if f == 0:
            for bdf, driver in (('0000:7d:02.0', 'hns3vf'), ('0000:7d:02.1', h.VFIO),
                                ('0000:7d:02.2', h.VFIO)):
                host.vf(nic, bdf, '19e5:a22f', next(group), driver)

    # socket 1
    port = root_port('0000:80:00.0', 0x400148000000, 0x81, ids=ROOT_PORT)
    for slot, bus in ((0x08, 0x82), (0x0c, 0x83), (0x10, 0x84)):
        root_port(f'0000:80:{slot:02x}.0', 0x400148000000, bus, ids=ROOT_PORT)
    host.pci('0000:81:00.0', '19e5:0123', NVME, next(group), port, driver=h.VFIO,
             bars={0: (256 * KIB, h.MEM64, 0xf0000000)})
    port = root_port('0000:b4:00.0', 0x400140000000, 0xb5)
    accelerator(host, port, '0000:b5:00.0', group, (ACC_VFIO,), None)
    host.pci('0000:b8:00.0', '19e5:a258', 0x100000, numa=2, bars={2: (4 * MIB, h.MEM64_PREF)})
    for bdf, ids, cls, driver in (('0000:ba:00.0', '19e5:a239', 0x0c0310, 'ohci-pci'),
                                  ('0000:ba:01.0', '19e5:a239', 0x0c0320, 'ehci-pci'),
                                  ('0000:ba:02.0', '19e5:a238', 0x0c0330, 'xhci_hcd')):
        host.pci(bdf, ids, cls, numa=2, driver=driver, bars={0: (4 * KIB, h.MEM64)})
    port = root_port('0000:bc:00.0', 0x400100000000, 0xbd)
    nic = host.pci('0000:bd:00.0', '19e5:a226', ETHERNET, next(group), port, driver='hns3',
                   bars=hns, net='enp189s0', vfs=(1, 31, dict(hns)))
    host.vf(nic, '0000:bd:01.0', '19e5:a22f', next(group), h.VFIO)
    return host


def accelerator(host, port, bdf, group, vf_drivers, start):
    """A ZIP engine with its VFs."""
    bar = (4 * MIB, h.MEM64_PREF) + ((start,) if start else ())
    engine = host.pci(bdf, '19e5:a250', ZIP, next(group), port, driver='hisi_zip', bars={2: bar},
                      vfs=(len(vf_drivers), 63, {2: (64 * KIB, h.MEM64_PREF)}))
    for i, driver in enumerate(vf_drivers, 1):
        host.vf(engine, f'{bdf[:-1]}{i}', '19e5:a251', next(group), driver, cls=ZIP)


def hosts():
    return [kunpeng920()]
