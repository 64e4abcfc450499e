# SPDX-License-Identifier: LGPL-2.1-or-later
"""The session's calls about the host: connection, networks, storage, secrets, devices, filters."""

import contextlib

import libvirt

from sessionlog import do, see

LONG_NAME = "n" * 300
UUID = "5b4aa1ee-0d0a-4b9c-9b0c-0000000000%02x"
NOBODY = UUID % 0xff
POOL = "/var/lib/libvirt/pool"
MIB = 1 << 20
AT_HOLE = -3
REFRESHED = ("storagePoolEventRegisterAny 1", "virStoragePool pool")

NETWORK = f"""<network>
  <name>plain</name>
  <uuid>{UUID % 0x10}</uuid>
  <forward mode='bridge'/>
  <bridge name='br-none'/>
</network>"""
PRIVATE_NETWORK = f"""<network>
  <name>private</name>
  <uuid>{UUID % 0x11}</uuid>
  <bridge name='virbr7' stp='on' delay='0'/>
  <mac address='52:54:00:00:00:07'/>
  <dns><host ip='192.0.2.9'><hostname>nine</hostname></host></dns>
  <ip address='192.0.2.1' netmask='255.255.255.0'>
    <dhcp><range start='192.0.2.20' end='192.0.2.30'/></dhcp>
  </ip>
</network>"""
DHCP_HOST = "<host mac='52:54:00:00:00:21' name='guest' ip='192.0.2.21'/>"
PORT = f"""<networkport>
  <uuid>{UUID % 0x12}</uuid>
  <owner><name>guest</name><uuid>{UUID % 0x01}</uuid></owner>
  <mac address='52:54:00:00:00:22'/>
</networkport>"""
FILTER = f"""<filter name='no-mail' chain='root'>
  <uuid>{UUID % 0x20}</uuid>
  <rule action='drop' direction='out' priority='500'><tcp dstportstart='25'/></rule>
</filter>"""
SECRET = """<secret ephemeral='no' private='%s'>
  <uuid>%s</uuid>
  <description>%s</description>
  <usage type='volume'><volume>%s</volume></usage>
</secret>"""
POOL_XML = """<pool type='dir'>
  <name>%s</name>
  <uuid>%s</uuid>
  <target><path>%s</path></target>
</pool>"""
VOLUME = """<volume>
  <name>%s</name>
  <capacity unit='MiB'>%d</capacity>
  <allocation unit='MiB'>0</allocation>
  <target><format type='%s'/></target>
</volume>"""
CPU = "<cpu><arch>x86_64</arch><model>Nehalem</model></cpu>"
GUEST_CPU = "<cpu mode='custom' match='exact'><model fallback='forbid'>cortex-a57</model></cpu>"
EMULATOR = "/usr/bin/qemu-system-aarch64"


def numbers(conn, *kinds):
    for kind in kinds:
        do(getattr(conn, "numOf" + kind))
        do(getattr(conn, "list" + kind))


def connection(conn):
    for call in (conn.getVersion, conn.getLibVersion, conn.getHostname, conn.getInfo,
                 conn.getCapabilities, conn.getSysinfo, conn.getCPUMap,
                 conn.getMemoryParameters, conn.getSecurityModel, conn.getSEVInfo,
                 conn.getStoragePoolCapabilities):
        do(call)
    for kind in ("qemu", "kvm", "vax", LONG_NAME):
        do(conn.getMaxVcpus, kind)
    do(conn.getSysinfo, 1)
    do(conn.getCPUMap, 8)
    do(conn.getMemoryStats, libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    do(conn.getMemoryStats, 4000)
    do(conn.getCPUStats, libvirt.VIR_NODE_CPU_STATS_ALL_CPUS)
    do(conn.getCPUStats, 4000)
    do(conn.getCellsFreeMemory, 4000, 1)
    do(conn.getFreePages, [3], 0, 1)
    do(conn.getMemoryParameters, 8)
    do(conn.interfaceLookupByName, "lo")
    numbers(conn, "Interfaces", "DefinedInterfaces")
    do(conn.interfaceDefineXML, "<interface type='bridge' name='br9'/>")
    do(conn.changeBegin)
    do(conn.registerCloseCallback, closed, None)
    do(conn.unregisterCloseCallback)


def closed(*_):
    """Called when the connection ends by itself, which it does not."""


def capabilities(conn):
    for arguments in ((EMULATOR, "aarch64", "virt", "qemu"), (None, "aarch64", None, None),
                      (None, "aarch64", "virt", "kvm"), (None, "vax", None, None),
                      (None, "aarch64", "no-such-machine", "qemu"), ("/bin/true", None, None, None),
                      (EMULATOR, "aarch64", "virt", "qemu", 1 << 20)):
        do(conn.getDomainCapabilities, *arguments)
    for arch in ("aarch64", "x86_64", "riscv64", "vax"):
        do(conn.getCPUModelNames, arch)
    do(conn.compareCPU, CPU)
    do(conn.compareCPU, "<cpu><arch>vax</arch></cpu>")
    do(conn.compareCPU, "not XML")
    do(conn.compareHypervisorCPU, EMULATOR, "aarch64", "virt", "qemu", GUEST_CPU)
    do(conn.compareHypervisorCPU, EMULATOR, "aarch64", "virt", "hvf", GUEST_CPU)
    do(conn.baselineCPU, [CPU, CPU])
    do(conn.baselineCPU, ["<cpu>"])
    do(conn.baselineHypervisorCPU, EMULATOR, "aarch64", "virt", "qemu", [GUEST_CPU])


def networks(conn):
    numbers(conn, "Networks", "DefinedNetworks")
    plain = do(conn.networkDefineXML, NETWORK)
    private = do(conn.networkDefineXMLFlags, PRIVATE_NETWORK,
                 libvirt.VIR_NETWORK_DEFINE_VALIDATE)
    do(conn.networkDefineXML, NETWORK.replace("plain", "other"))
    do(conn.networkDefineXML, "<network/>")
    do(conn.networkDefineXMLFlags, NETWORK.replace("<forward", "<unknown/><forward"),
       libvirt.VIR_NETWORK_DEFINE_VALIDATE)
    do(conn.networkDefineXMLFlags, NETWORK, 1 << 20)
    do(conn.networkCreateXML, NETWORK.replace("mode='bridge'", "mode='sideways'"))
    do(conn.networkLookupByName, "plain")
    do(conn.networkLookupByName, "no-such-network")
    do(conn.networkLookupByUUIDString, UUID % 0x10)
    do(conn.networkLookupByUUIDString, NOBODY)
    for network in (plain, private):
        do(network.XMLDesc)
        do(network.bridgeName)
        do(network.setAutostart, 1)
        do(network.autostart)
        do(network.isPersistent)
    do(private.DHCPLeases)
    do(private.update, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
       libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, -1, DHCP_HOST,
       libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG)
    do(private.update, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE,
       libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, -1, "<host name='stranger'/>",
       libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG)
    do(plain.setMetadata, libvirt.VIR_NETWORK_METADATA_TITLE, "A title", None, None, 0)
    do(plain.metadata, libvirt.VIR_NETWORK_METADATA_TITLE, None)
    do(plain.metadata, libvirt.VIR_NETWORK_METADATA_ELEMENT, "urn:example:none")
    do(plain.create)
    do(plain.create)
    do(plain.isActive)
    do(plain.XMLDesc, libvirt.VIR_NETWORK_XML_INACTIVE)
    port = do(plain.portCreateXML, PORT)
    do(plain.portCreateXML, PORT)
    do(plain.listAllPorts)
    do(plain.portLookupByUUIDString, NOBODY)
    do(port.XMLDesc)
    do(port.parameters)
    do(port.delete)
    do(conn.listAllNetworks, 0)
    do(conn.listAllNetworks, libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    do(plain.destroy)
    do(plain.destroy)
    do(private.undefine)
    do(plain.undefine)


def filters(conn):
    mail = do(conn.nwfilterDefineXML, FILTER)
    do(conn.nwfilterDefineXMLFlags, FILTER, libvirt.VIR_NWFILTER_DEFINE_VALIDATE)
    do(conn.nwfilterDefineXML, FILTER.replace("drop", "bounce"))
    do(conn.nwfilterLookupByName, "no-mail")
    do(conn.nwfilterLookupByName, LONG_NAME)
    do(conn.nwfilterLookupByUUIDString, UUID % 0x20)
    do(conn.listAllNWFilters)
    numbers(conn, "NWFilters")
    do(mail.XMLDesc)
    do(conn.listAllNWFilterBindings)
    do(conn.nwfilterBindingLookupByPortDev, "vnet9")
    do(conn.nwfilterBindingCreateXML, "<filterbinding/>")
    do(mail.undefine)


def secrets(conn):
    numbers(conn, "Secrets")
    open_ = do(conn.secretDefineXML, SECRET % ("no", UUID % 0x30, "for all", "/open"))
    private = do(conn.secretDefineXML, SECRET % ("yes", UUID % 0x31, "for few", "/private"))
    do(conn.secretDefineXML, SECRET % ("no", UUID % 0x32, "the same use", "/open"))
    do(conn.secretDefineXML, SECRET % ("maybe", UUID % 0x33, "neither", "/none"))
    for secret in (open_, private):
        do(secret.XMLDesc)
        do(secret.value)
        do(secret.setValue, b"\0opaque\xff")
        do(secret.value)
        do(secret.setValue, b"")
    do(conn.secretLookupByUUIDString, UUID % 0x30)
    do(conn.secretLookupByUUIDString, NOBODY)
    do(conn.secretLookupByUsage, libvirt.VIR_SECRET_USAGE_TYPE_VOLUME, "/private")
    do(conn.secretLookupByUsage, libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "/private")
    do(conn.listAllSecrets, 0)
    do(conn.listAllSecrets, libvirt.VIR_CONNECT_LIST_SECRETS_PRIVATE)
    do(open_.undefine)
    do(private.undefine)
    do(private.undefine)


def nodeDevices(conn):
    do(conn.numOfDevices, "pci")
    do(conn.listDevices, "pci")
    do(conn.listDevices, "no-such-capability")
    devices = do(conn.listAllDevices, libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV)
    do(conn.listAllDevices, libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_SYSTEM)
    for device in sorted(devices, key=libvirt.virNodeDevice.name)[:3]:
        for call in (device.XMLDesc, device.parent, device.numOfCaps, device.listCaps,
                     device.isActive, device.isPersistent, device.autostart, device.destroy):
            do(call)
        do(device.detachFlags, "no-such-driver")
        do(device.update, "<device/>")
    do(conn.nodeDeviceLookupByName, "pci_ffff_ff_1f_7")
    do(conn.nodeDeviceLookupSCSIHostByWWN, "2000000012341234", "2000000012341235")
    do(conn.nodeDeviceCreateXML, "<device/>")
    do(conn.nodeDeviceDefineXML, "<device><name>x</name></device>")


def pools(conn):
    numbers(conn, "StoragePools", "DefinedStoragePools")
    pool = do(conn.storagePoolDefineXML, POOL_XML % ("pool", UUID % 0x40, POOL))
    do(conn.storagePoolDefineXML, POOL_XML % ("twin", UUID % 0x40, POOL))
    do(conn.storagePoolDefineXML, "<pool type='tape'><name>x</name></pool>")
    do(conn.storagePoolDefineXML, POOL_XML % ("pool", UUID % 0x40, POOL), 1 << 20)
    do(conn.storagePoolCreateXML, POOL_XML % ("nowhere", UUID % 0x41, "/no/such/place"))
    do(pool.create)
    do(pool.build)
    do(pool.create)
    for call in (pool.XMLDesc, pool.info, pool.isActive, pool.isPersistent, pool.autostart,
                 pool.numOfVolumes, pool.listVolumes, pool.refresh):
        do(call)
    do(pool.setAutostart, 1)
    do(conn.storagePoolLookupByName, "no-such-pool")
    do(conn.storagePoolLookupByUUIDString, UUID % 0x40)
    do(conn.storagePoolLookupByTargetPath, POOL)
    do(conn.storagePoolLookupByTargetPath, "/none")
    do(conn.listAllStoragePools, 0)
    do(conn.listAllStoragePools, libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE)
    do(conn.findStoragePoolSources, "dir", None)
    do(conn.findStoragePoolSources, "tape", "<source/>")
    return pool


def volumes(conn, events, pool):
    raw = do(pool.createXML, VOLUME % ("raw.img", 4, "raw"))
    do(pool.createXML, VOLUME % ("raw.img", 4, "raw"))
    do(pool.createXML, VOLUME % ("none.img", 4, "no-such-format"))
    do(pool.createXML, VOLUME % ("huge.img", 4, "raw") + "trailing")
    do(pool.createXML, VOLUME % ("thin.qcow2", 16, "qcow2"))
    do(pool.createXMLFrom, VOLUME % ("clone.img", 4, "raw"), raw)
    do(pool.storageVolLookupByName, "clone.img")
    do(pool.storageVolLookupByName, "../raw.img")
    do(conn.storageVolLookupByKey, f"{POOL}/raw.img")
    do(conn.storageVolLookupByPath, f"{POOL}/none")
    do(pool.listAllVolumes)
    do(raw.info)
    do(raw.infoFlags, libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)
    do(raw.resize, 8 * MIB)
    do(raw.resize, 1)
    do(raw.XMLDesc)
    do(raw.wipe)
    do(raw.wipePattern, 99)
    do(raw.storagePoolLookupByVolume)
    empty = do(pool.createXML, VOLUME % ("empty.img", 4, "raw"))
    uploads(conn, events, raw, empty)
    downloads(conn, events, raw, empty)


def send(stream, data):
    """Sends all of it, as much at a time as libvirt takes."""
    while data:
        data = data[stream.send(data[:MIB]):]


def receive(stream):
    parts = []
    while not parts or parts[-1]:
        parts.append(stream.recv(MIB // 4))
    return b"".join(parts)


def receiveSparse(stream):
    """[[kind, length]] of data and holes, however many messages they came in."""
    runs = []
    while True:
        data = stream.recvFlags(MIB, libvirt.VIR_STREAM_RECV_STOP_AT_HOLE)
        if data == b"":
            return runs
        kind, length = ("hole", stream.recvHole()) if data == AT_HOLE else ("data", len(data))
        if runs and runs[-1][0] == kind:
            runs[-1][1] += length
        else:
            runs.append([kind, length])


def sendTooMuch(stream):
    """Sends on until libvirt notices; returns the error."""
    try:
        for _ in range(1000):
            stream.send(b"x" * MIB)
        stream.finish()
    except libvirt.libvirtError as error:
        return list(error.err)
    return None


@contextlib.contextmanager
def uploading(conn, events, volume, *arguments):
    """Gives the stream of an upload. libvirt refreshes the pool behind it, which takes a while."""
    before = events.count(REFRESHED)
    stream = conn.newStream()
    do(volume.upload, stream, *arguments)
    yield stream
    see("the pool is refreshed", events.waitFor(REFRESHED, before + 1))


def uploads(conn, events, volume, empty):
    data = bytes(range(256)) * (8 * MIB // 256)
    for offset, length in ((0, 8 * MIB), (4096, 12345)):
        with uploading(conn, events, volume, offset, length) as stream:
            send(stream, data[::-1][:length])
            do(stream.finish)
    with uploading(conn, events, empty, 0, 4 * MIB,
                   libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM) as stream:
        stream.send(b"begin")
        do(stream.sendHole, 2 * MIB)
        stream.send(b"end")
        do(stream.finish)


def downloads(conn, events, volume, sparse):
    for offset, length in ((0, 0), (4000, 5000)):
        stream = conn.newStream()
        do(volume.download, stream, offset, length)
        see("all of a download", receive(stream))
        do(stream.finish)
    stream = conn.newStream()
    do(sparse.download, stream, 0, 3 * MIB, libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)
    see("data and holes of a download", receiveSparse(stream))
    do(stream.finish)
    stream = conn.newStream()
    do(volume.download, stream, 0, 0)
    stream.recv(1)
    do(stream.abort)
    for offset, length in ((1 << 40, 1), (0, 64 * MIB)):
        stream = conn.newStream()
        do(volume.download, stream, offset, length)
        stream.abort()
    with uploading(conn, events, volume, 0, 1) as stream:
        see("an upload of more than was announced", sendTooMuch(stream))


def leftovers(pool):
    for volume in pool.listAllVolumes():
        do(volume.delete)
    do(pool.destroy)
    do(pool.refresh)
    do(pool.delete)
    do(pool.undefine)


def host(conn, events):
    connection(conn)
    capabilities(conn)
    networks(conn)
    filters(conn)
    secrets(conn)
    nodeDevices(conn)
    pool = pools(conn)
    volumes(conn, events, pool)
    leftovers(pool)
