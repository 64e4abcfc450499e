# SPDX-License-Identifier: LGPL-2.1-or-later
"""The session's calls about domains: one that runs under TCG, and some that only fail."""

import os
import re
import struct
import time

import libvirt
import libvirt_qemu

from sessionhost import LONG_NAME, NOBODY, UUID, receive
from sessionlog import do, see

DIRECTORY = "/var/lib/libvirt/guest"
KERNEL = f"{DIRECTORY}/echo.bin"
DISK, SECOND_DISK = f"{DIRECTORY}/disk.qcow2", f"{DIRECTORY}/second.img"
MEDIUM = f"{DIRECTORY}/cd.img"
PCI_DEVICES = "/sys/bus/pci/devices"
SAVED = f"{DIRECTORY}/saved"
CONSOLE_LOCKS = "/run/lock"
MIB = 1 << 20
# Three times this is not far below what libvirt takes of a text, 4 MiB.
LONG_TEXT = 1 << 20
CONSOLE_SECONDS, WOULD_BLOCK = 60, -2
# A guest that sends back what it reads from its PL011 at 0x9000000. Register 0x18 has the flags,
# bit 4 of which says that nothing has come.
ECHO = struct.pack("<6I",
                   0xd2a12001,      # movz x1, #0x900, lsl #16
                   0xb9401822,      # wait: ldr w2, [x1, #0x18]
                   0x3727ffe2,      # tbnz w2, #4, wait
                   0x39400020,      # ldrb w0, [x1]
                   0x39000020,      # strb w0, [x1]
                   0x17fffffc)      # b wait
GUEST = f"""<domain type='qemu'>
  <name>guest</name>
  <uuid>{UUID % 1}</uuid>
  <title>The guest</title>
  <description>nested='yes' is only talked about here</description>
  <!-- <iommu model='smmuv3' nested='yes'/> -->
  <metadata><app:note xmlns:app='urn:example:app'  kept="as it is">a &amp; b</app:note></metadata>
  <memory unit='MiB'>128</memory>
  <currentMemory unit='MiB'>96</currentMemory>
  <vcpu current='1'>2</vcpu>
  <iothreads>1</iothreads>
  <os>
    <type arch='aarch64' machine='virt'>hvm</type>
    <kernel>{KERNEL}</kernel>
  </os>
  <features><gic version='3'/></features>
  <cpu mode='custom' match='exact'><model fallback='forbid'>cortex-a57</model></cpu>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-aarch64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{DISK}'/><target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><target dev='sda' bus='scsi'/><readonly/>
    </disk>
    <controller type='scsi' model='virtio-scsi'/>
    <controller type='usb' model='qemu-xhci'/>
    <controller type='pci' model='pcie-root'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <controller type='pci' model='pcie-root-port'/>
    <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
    <serial type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <input type='keyboard' bus='usb'/>
    <graphics type='vnc' port='5901' passwd='secret'/>
    <video><model type='ramfb' heads='1'/></video>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""
# What each of these has wrong, libvirt tells in words and often with the line.
WRONG = (
    GUEST.replace("</domain>", "</domaine>"),
    GUEST.replace("<name>guest</name>", ""),
    GUEST.replace("<name>guest</name>", "<name>a/b</name>"),
    GUEST.replace("<name>guest</name>", f"<name>{LONG_NAME}</name>"),
    GUEST.replace(UUID % 1, "not-a-uuid"),
    GUEST.replace("'aarch64'", "'vax'"),
    GUEST.replace("machine='virt'", "machine='none-such'"),
    GUEST.replace("type='qemu'>", "type='kvm'>", 1),
    GUEST.replace("unit='MiB'>128", "unit='furlong'>128"),
    GUEST.replace("bus='virtio'", "bus='ide'"),
    GUEST.replace("<memballoon", "<iommu model='intel'/><memballoon"),
    GUEST.replace("52:54:00:00:00:01", "53:54:00:00:00:01"),
    GUEST.replace("<features>", "<features><ioapic driver='qemu'/>"),
    GUEST.replace("<memballoon", "<iommu model='smmuv3' nested='yes'><memballoon"),
    "<network/>",
    "",
)
INTERFACE = """<interface type='user'>
  <mac address='52:54:00:00:00:%02x'/><model type='virtio'/>
</interface>"""
SECOND = f"""<disk type='file' device='disk'>
  <driver name='qemu' type='raw'/><source file='{SECOND_DISK}'/><target dev='%s' bus='virtio'/>
</disk>"""
CDROM = """<disk type='file' device='cdrom'>
  <driver name='qemu' type='raw'/>%s<target dev='sda' bus='scsi'/><readonly/>
</disk>"""
GRAPHICS = "<graphics type='vnc' port='%d' listen='127.0.0.1' passwd='%s'/>"
USB = "<input type='mouse' bus='usb'><alias name='ua-mouse'/></input>"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
HOSTDEV = """<hostdev mode='subsystem' type='pci' managed='no'>
  <source><address domain='0x{}' bus='0x{}' slot='0x{}' function='0x{}'/></source>
</hostdev>"""
SNAPSHOT = "<domainsnapshot><name>%s</name>%s</domainsnapshot>"
EXTERNAL = "<disks><disk name='vda' snapshot='external'><source file='%s'/></disk></disks>"
CHECKPOINT = "<domaincheckpoint><name>%s</name></domaincheckpoint>"
BACKUP = f"""<domainbackup>
  <disks><disk name='vda' type='file'><target file='{DIRECTORY}/backup'/></disk></disks>
</domainbackup>"""
COPY = f"<disk type='file'><source file='{DIRECTORY}/copy'/><driver type='raw'/></disk>"
LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
BAD_FLAG = 1 << 28


def makeFiles():
    os.makedirs(DIRECTORY)
    os.makedirs(CONSOLE_LOCKS, exist_ok=True)
    with open(KERNEL, "wb") as f:
        f.write(ECHO)
    for path in (SECOND_DISK, MEDIUM):
        with open(path, "wb") as f:
            f.truncate(4 * MIB)
    os.system(f"qemu-img create -q -f qcow2 {DISK} 16M")


def definitions(conn):
    for xml in WRONG:
        do(conn.defineXML, xml)
    do(conn.createXML, WRONG[0])
    do(conn.createXML, GUEST, BAD_FLAG)
    do(conn.defineXMLFlags, GUEST, BAD_FLAG)
    do(conn.defineXMLFlags, GUEST.replace("<on_crash>", "<unknown/><on_crash>"),
       libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    domain = do(conn.defineXML, GUEST.replace("is only", "is " * LONG_TEXT))
    do(domain.XMLDesc, libvirt.VIR_DOMAIN_XML_INACTIVE)
    do(conn.defineXMLFlags, GUEST, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    do(conn.defineXML, GUEST)
    do(conn.defineXML, GUEST.replace("<name>guest", "<name>twin"))
    return domain


def lookups(conn):
    do(conn.lookupByName, "guest")
    do(conn.lookupByName, "no-such-domain")
    do(conn.lookupByName, LONG_NAME)
    do(conn.lookupByName, "\u00fcnknown\t'\"<&>")
    do(conn.lookupByUUIDString, UUID % 1)
    do(conn.lookupByUUIDString, NOBODY)
    do(conn.lookupByID, 1)
    do(conn.lookupByID, 4000)
    for call in (conn.numOfDomains, conn.numOfDefinedDomains, conn.listDomainsID,
                 conn.listDefinedDomains):
        do(call)
    for flags in (0, libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE,
                  libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, BAD_FLAG):
        do(conn.listAllDomains, flags)
    for stats in (libvirt.VIR_DOMAIN_STATS_STATE, libvirt.VIR_DOMAIN_STATS_VCPU,
                  libvirt.VIR_DOMAIN_STATS_INTERFACE, libvirt.VIR_DOMAIN_STATS_IOTHREAD):
        do(conn.getAllDomainStats, stats)


def conversions(conn):
    do(conn.domainXMLToNative, "qemu-argv", GUEST)
    do(conn.domainXMLToNative, "no-such-format", GUEST)
    do(conn.domainXMLToNative, "qemu-argv", WRONG[0])
    do(conn.domainXMLFromNative, "qemu-argv", "-nodefaults")


def defined(conn, domain):
    """What is asked of and done to a domain that does not run."""
    for call in (domain.ID, domain.OSType, domain.info, domain.state, domain.maxMemory,
                 domain.maxVcpus, domain.isActive, domain.isPersistent, domain.isUpdated,
                 domain.autostart, domain.autostartOnce, domain.XMLDesc, domain.messages,
                 domain.securityLabelList, domain.hasManagedSaveImage, domain.snapshotNum,
                 domain.hasCurrentSnapshot, domain.schedulerType, domain.numaParameters,
                 domain.blkioParameters, domain.memoryParameters, domain.perfEvents,
                 domain.vcpuPinInfo, domain.emulatorPinInfo, domain.ioThreadInfo,
                 domain.launchSecurityInfo, domain.vcpus, domain.suspend, domain.resume,
                 domain.destroy, domain.shutdown, domain.reboot, domain.jobInfo,
                 domain.controlInfo, domain.memoryStats, domain.diskErrors, domain.abortJob,
                 domain.managedSave):
        do(call)
    for flags in (libvirt.VIR_DOMAIN_XML_INACTIVE, libvirt.VIR_DOMAIN_XML_SECURE,
                  libvirt.VIR_DOMAIN_XML_MIGRATABLE, libvirt.VIR_DOMAIN_XML_UPDATE_CPU, BAD_FLAG):
        do(domain.XMLDesc, flags)
    do(domain.setAutostart, 1)
    do(domain.setAutostart, 0)
    do(domain.setMaxMemory, 192 * 1024)
    do(domain.setMemoryFlags, 1 << 40, CONFIG)
    do(domain.setMemoryFlags, 128 * 1024, CONFIG)
    do(domain.setMemory, 64 * 1024)
    do(domain.setVcpusFlags, 2, CONFIG)
    do(domain.setVcpusFlags, 3, CONFIG)
    do(domain.vcpusFlags, CONFIG)
    do(domain.vcpusFlags, LIVE)
    do(domain.pinVcpuFlags, 0, (True, False), CONFIG)
    do(domain.pinVcpuFlags, 9, (True, False), CONFIG)
    do(domain.pinEmulator, (True, True), CONFIG)
    do(domain.addIOThread, 2, CONFIG)
    do(domain.addIOThread, 2, CONFIG)
    do(domain.pinIOThread, 2, (False, True), CONFIG)
    do(domain.delIOThread, 2, CONFIG)
    do(domain.setLifecycleAction, 0, 1, CONFIG)
    do(domain.setLifecycleAction, 9, 1, CONFIG)
    do(domain.setBlkioParameters, {"weight": 500}, CONFIG)
    do(domain.setMemoryParameters, {"soft_limit": 1 << 20}, CONFIG)
    do(domain.setNumaParameters, {"numa_nodeset": "0"}, CONFIG)
    do(domain.setSchedulerParametersFlags, {"cpu_shares": 512}, CONFIG)
    do(domain.setBlockIoTune, "vda", {"total_iops_sec": 1000}, CONFIG)
    do(domain.setBlockIoTune, "vdz", {"total_iops_sec": 1000}, CONFIG)
    do(domain.blockIoTune, "vda", CONFIG)
    do(domain.interfaceParameters, "52:54:00:00:00:01", CONFIG)
    do(domain.setInterfaceParameters, "52:54:00:00:00:01", {"inbound.average": 100}, CONFIG)
    do(domain.setPerfEvents, {"cpu_cycles": False}, CONFIG)
    do(domain.rename, "renamed")
    do(domain.rename, "a/b")
    do(conn.lookupByName, "renamed")
    do(domain.rename, "guest")


def passedThrough(conn, domain):
    """A device of the host beside a vSMMU as stock libvirt makes it, which asks for nothing."""
    hostdev = HOSTDEV.format(*re.split("[:.]", max(os.listdir(PCI_DEVICES))))
    xml = GUEST.replace("<memballoon", f"{hostdev}<iommu model='smmuv3'/><memballoon")
    do(conn.domainXMLToNative, "qemu-argv", xml)
    do(conn.defineXML, xml)
    do(domain.XMLDesc, libvirt.VIR_DOMAIN_XML_INACTIVE)
    do(domain.detachDeviceFlags, hostdev, CONFIG)
    do(domain.attachDeviceFlags, hostdev, CONFIG)
    do(domain.attachDeviceFlags, hostdev, CONFIG)
    do(conn.defineXML, GUEST)


def metadata(domain):
    title, description, element = (libvirt.VIR_DOMAIN_METADATA_TITLE,
                                   libvirt.VIR_DOMAIN_METADATA_DESCRIPTION,
                                   libvirt.VIR_DOMAIN_METADATA_ELEMENT)
    do(domain.metadata, element, "urn:example:app")
    do(domain.metadata, element, "urn:example:none")
    do(domain.metadata, description, None)
    do(domain.setMetadata, description, "Two\nlines", None, None, CONFIG)
    do(domain.setMetadata, title, "Two\nlines", None, None, CONFIG)
    do(domain.setMetadata, element, "<note>here</note>", "mine", "urn:example:mine", CONFIG)
    do(domain.setMetadata, element, "<note>", "mine", "urn:example:mine", CONFIG)
    do(domain.metadata, element, "urn:example:mine", CONFIG)
    do(domain.setMetadata, element, None, None, "urn:example:app", CONFIG)


def configDevices(domain):
    do(domain.attachDeviceFlags, INTERFACE % 2, CONFIG)
    do(domain.attachDeviceFlags, SECOND % "vdb", CONFIG)
    do(domain.attachDeviceFlags, SECOND % "vdb", CONFIG)
    do(domain.attachDeviceFlags, "<disk/>", CONFIG)
    do(domain.attachDeviceFlags, "<gadget/>", CONFIG)
    do(domain.attachDeviceFlags, "<interface", CONFIG)
    do(domain.attachDeviceFlags, "<hostdev", CONFIG)
    do(domain.attachDeviceFlags, RNG, BAD_FLAG)
    do(domain.attachDevice, RNG)
    do(domain.updateDeviceFlags, CDROM % f"<source file='{MEDIUM}'/>", CONFIG)
    do(domain.updateDeviceFlags, CDROM.replace("sda", "sdz") % "", CONFIG)
    do(domain.detachDeviceFlags, INTERFACE % 2, CONFIG)
    do(domain.detachDeviceFlags, INTERFACE % 3, CONFIG)
    do(domain.detachDeviceFlags, SECOND % "vdb", CONFIG)
    do(domain.detachDevice, RNG)
    do(domain.detachDeviceAlias, "ua-nothing", CONFIG)


def seeRemoval(events, alias):
    """Where libvirt has not waited for it itself, what follows would come before or after it."""
    see(f"removal of {alias}", events.waitFor(("VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED", alias)))


def liveDevices(domain, events):
    do(domain.attachDeviceFlags, INTERFACE % 4, LIVE)
    do(domain.attachDeviceFlags, SECOND % "vdb", LIVE | CONFIG)
    do(domain.attachDeviceFlags, SECOND % "vda", LIVE)
    do(domain.attachDeviceFlags, RNG, LIVE)
    do(domain.attachDevice, USB)
    do(domain.updateDeviceFlags, CDROM % f"<source file='{MEDIUM}'/>", LIVE)
    do(domain.updateDeviceFlags, CDROM % "", LIVE)
    do(domain.updateDeviceFlags, GRAPHICS % (5901, "changed"), LIVE)
    do(domain.updateDeviceFlags, GRAPHICS % (5902, "changed"), LIVE)
    do(domain.XMLDesc)
    do(domain.detachDeviceAlias, "ua-mouse", LIVE)
    seeRemoval(events, "ua-mouse")
    do(domain.detachDeviceFlags, INTERFACE % 4, LIVE)
    seeRemoval(events, "net1")
    do(domain.detachDeviceFlags, SECOND % "vdb", LIVE | CONFIG)
    seeRemoval(events, "virtio-disk1")
    do(domain.detachDevice, RNG)
    seeRemoval(events, "rng0")
    do(domain.detachDeviceFlags, INTERFACE % 5, LIVE)


def seeBlockJob(events, kind, status):
    wanted = ("VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2", "vda", kind, status)
    see("event of a block job", events.waitFor(wanted))


def blocks(domain, events):
    do(domain.blockInfo, "vda")
    do(domain.blockInfo, "vdz")
    do(domain.blockStats, "vda")
    do(domain.blockStatsFlags, "vda")
    do(domain.blockStatsFlags, "")
    do(domain.blockPeek, "vda", 0, 512)
    do(domain.blockPeek, "vda", 1 << 40, 512)
    do(domain.blockResize, "vda", 32 * 1024)
    do(domain.blockIoTune, "vda", LIVE)
    do(domain.setBlockIoTune, "vda", {"read_bytes_sec": MIB}, LIVE)
    do(domain.blockJobInfo, "vda")
    do(domain.blockJobAbort, "vda")
    do(domain.blockJobSetSpeed, "vda", 1)
    do(domain.blockCommit, "vda", None, None)
    do(domain.blockRebase, "vdz", None)
    do(domain.blockCopy, "vdz", COPY)
    do(domain.blockPull, "vda")
    seeBlockJob(events, libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL,
                libvirt.VIR_DOMAIN_BLOCK_JOB_COMPLETED)
    do(domain.blockCopy, "vda", COPY, {"granularity": 65536},
       libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
    seeBlockJob(events, libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, libvirt.VIR_DOMAIN_BLOCK_JOB_READY)
    do(domain.blockJobInfo, "vda", libvirt.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
    do(domain.blockJobAbort, "vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT << 4)
    do(domain.blockJobAbort, "vda", 0)
    seeBlockJob(events, libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
                libvirt.VIR_DOMAIN_BLOCK_JOB_CANCELED)
    do(domain.setBlockThreshold, "vda", 1 << 20)
    do(domain.setBlockThreshold, "vdz", 1 << 20)
    do(domain.diskErrors)


def running(conn, domain):
    for call in (domain.ID, domain.info, domain.state, domain.controlInfo, domain.jobInfo,
                 domain.jobStats, domain.memoryStats, domain.vcpus, domain.vcpuPinInfo,
                 domain.emulatorPinInfo, domain.ioThreadInfo, domain.schedulerParameters,
                 domain.numaParameters, domain.blkioParameters, domain.memoryParameters,
                 domain.securityLabel, domain.create, domain.abortJob, domain.isUpdated,
                 domain.guestVcpus, domain.hostname, domain.fsInfo, domain.fsFreeze,
                 domain.guestInfo, domain.getTime, domain.migrateGetMaxDowntime,
                 domain.migrateGetMaxSpeed, domain.migrateGetCompressionCache,
                 domain.migrateStartPostCopy, domain.pMWakeup, domain.messages,
                 domain.backupGetXMLDesc, domain.injectNMI):
        do(call)
    do(domain.getCPUStats, True)
    do(domain.interfaceStats, "52:54:00:00:00:01")
    do(domain.interfaceStats, "none")
    do(domain.interfaceParameters, "none", LIVE)
    for source in range(4):
        do(domain.interfaceAddresses, source)
    do(domain.setMemoryStatsPeriod, 2)
    do(domain.setMemory, 80 * 1024)
    do(domain.setVcpus, 2)
    do(domain.setVcpus, 1)
    do(domain.setVcpu, "1", 1)
    do(domain.setGuestVcpus, "0", 1)
    do(domain.pinVcpu, 0, (True, True))
    do(domain.addIOThread, 3, LIVE)
    do(domain.setIOThreadParams, 3, {"poll_max_ns": 1000}, LIVE)
    do(domain.delIOThread, 3, LIVE)
    do(domain.memoryPeek, 0x40000000, 64, libvirt.VIR_MEMORY_PHYSICAL)
    do(domain.memoryPeek, 0, 64, 0)
    do(domain.sendKey, 0, 10, [28, 57], 2)
    do(domain.sendKey, 99, 10, [28], 1)
    do(domain.sendProcessSignal, 1, 9)
    do(domain.setUserPassword, "root", "secret")
    do(domain.authorizedSSHKeysGet, "root")
    do(domain.fSTrim, None, 0)
    do(domain.pMSuspendForDuration, 0, 0)
    do(domain.agentSetResponseTimeout, 5)
    do(domain.announceInterface, "none", {})
    do(domain.migrateSetMaxDowntime, 100)
    do(domain.migrateSetMaxSpeed, 100)
    do(domain.migrateToURI, "nowhere://host/system", 0)
    do(domain.migrateToURI3, "qemu+unix:///system?socket=/none", {}, libvirt.VIR_MIGRATE_LIVE
       | libvirt.VIR_MIGRATE_PEER2PEER)
    do(domain.setMetadata, libvirt.VIR_DOMAIN_METADATA_TITLE, "live", None, None, LIVE)
    do(domain.startDirtyRateCalc, 0)
    do(domain.graphicsReload, 9)
    do(domain.setLaunchSecurityState, {"sev-secret": "x"})
    do(conn.listDomainsID)


def monitor(domain):
    do(libvirt_qemu.qemuMonitorCommand, domain, '{"execute": "query-status"}', 0)
    do(libvirt_qemu.qemuMonitorCommand, domain, "info pci",
       libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    do(libvirt_qemu.qemuMonitorCommand, domain, '{"execute": "no-such-command"}', 0)
    do(libvirt_qemu.qemuMonitorCommand, domain, "not JSON", 0)
    do(libvirt_qemu.qemuAgentCommand, domain, '{"execute": "guest-ping"}', 1, 0)


def echoed(stream, words):
    """Whether the guest sends that back. Some may get lost before QEMU sees the console open."""
    heard = b""
    deadline = time.monotonic() + CONSOLE_SECONDS
    while words not in heard and time.monotonic() < deadline:
        stream.send(words)
        again = time.monotonic() + 1
        while words not in heard and time.monotonic() < again:
            data = stream.recv(1024)
            if data == WOULD_BLOCK:
                time.sleep(0.01)
            else:
                heard += data
    return words in heard


def console(conn, domain):
    stream = conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
    do(domain.openConsole, None, stream)
    see("echo of the console", echoed(stream, b"Is there an echo?\r\n"))
    again = conn.newStream()
    do(domain.openConsole, None, again)
    do(domain.openConsole, "no-such-console", again)
    do(stream.abort)
    channel = conn.newStream()
    do(domain.openChannel, "org.example.none", channel)
    do(domain.openChannel, "org.qemu.guest_agent.0", channel)
    do(channel.abort)


def screenshot(conn, domain):
    stream = conn.newStream()
    do(domain.screenshot, stream, 0)
    see("picture of the screen", receive(stream))
    do(stream.finish)
    do(domain.screenshot, conn.newStream(), 7)


def checkpoints(domain, events):
    checkpoint = do(domain.checkpointCreateXML, CHECKPOINT % "one")
    do(domain.checkpointCreateXML, CHECKPOINT % "one")
    do(domain.checkpointCreateXML, "<domaincheckpoint><disks/>")
    do(domain.checkpointLookupByName, "one")
    do(domain.checkpointLookupByName, "none")
    do(domain.listAllCheckpoints)
    do(domain.backupBegin, BACKUP.replace("vda", "vdz"), None)
    do(domain.backupBegin, BACKUP, None)
    seeBlockJob(events, libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP,
                libvirt.VIR_DOMAIN_BLOCK_JOB_COMPLETED)
    for call in (checkpoint.getXMLDesc, checkpoint.getParent, checkpoint.listAllChildren,
                 checkpoint.delete, checkpoint.delete):
        do(call)


def snapshots(domain):
    inner = do(domain.snapshotCreateXML, SNAPSHOT % ("inner", ""))
    do(domain.snapshotCreateXML, SNAPSHOT % ("inner", ""))
    do(domain.snapshotCreateXML, "<domainsnapshot>")
    do(domain.snapshotCreateXML, SNAPSHOT % ("x", ""), BAD_FLAG)
    for call in (domain.snapshotNum, domain.snapshotListNames, domain.listAllSnapshots,
                 domain.snapshotCurrent, domain.hasCurrentSnapshot):
        do(call)
    do(domain.snapshotLookupByName, "none")
    do(domain.snapshotLookupByName, "inner")
    for call in (inner.getXMLDesc, inner.getParent, inner.numChildren, inner.listChildrenNames,
                 inner.listAllChildren, inner.isCurrent, inner.hasMetadata):
        do(call)
    do(domain.revertToSnapshot, inner)
    again = re.sub("<creationTime>.*<", "<creationTime>1000000000<", inner.getXMLDesc())
    do(domain.snapshotCreateXML, again, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)
    do(inner.delete)
    do(inner.delete)
    do(domain.snapshotCreateXML, SNAPSHOT % ("outer", EXTERNAL % f"{DIRECTORY}/overlay"),
       libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
    outer = do(domain.snapshotLookupByName, "outer")
    do(outer.delete, libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)


def saving(conn, domain):
    do(domain.managedSave)
    do(domain.hasManagedSaveImage)
    do(domain.managedSaveGetXMLDesc)
    do(domain.managedSaveDefineXML, domain.managedSaveGetXMLDesc())
    do(domain.managedSaveDefineXML, "<domain/>")
    do(domain.managedSaveRemove)
    do(domain.createWithFlags, libvirt.VIR_DOMAIN_START_PAUSED)
    do(domain.saveFlags, SAVED, None, BAD_FLAG)
    do(domain.save, SAVED)
    do(conn.saveImageGetXMLDesc, SAVED)
    do(conn.saveImageGetXMLDesc, "/none")
    do(conn.saveImageDefineXML, SAVED, conn.saveImageGetXMLDesc(SAVED))
    do(conn.saveImageDefineXML, SAVED, "<domain type='qemu'/>")
    do(conn.restore, "/none")
    do(conn.restoreFlags, SAVED, None, libvirt.VIR_DOMAIN_SAVE_PAUSED)
    do(domain.coreDumpWithFormat, f"{DIRECTORY}/core", 99)
    do(domain.coreDump, f"{DIRECTORY}/core")
    do(domain.reset)
    do(domain.resume)


def endings(conn, domain, events):
    do(domain.destroyFlags, BAD_FLAG)
    do(domain.destroyFlags, libvirt.VIR_DOMAIN_DESTROY_GRACEFUL)
    do(domain.destroy)
    do(domain.undefineFlags, BAD_FLAG)
    do(domain.undefine)
    do(domain.undefine)
    do(domain.XMLDesc)
    transient = do(conn.createXML, GUEST, libvirt.VIR_DOMAIN_START_PAUSED)
    do(transient.isPersistent)
    do(transient.undefine)
    do(transient.setAutostart, 1)
    do(transient.destroy)
    last = do(conn.defineXML, GUEST.replace("<name>guest", "<name>last"))
    do(last.undefine)
    see("last event", events.waitFor(("VIR_DOMAIN_EVENT_ID_LIFECYCLE", "virDomain last",
                                      libvirt.VIR_DOMAIN_EVENT_UNDEFINED)))


def guest(conn, events):
    """Returns the domain, defined and not running."""
    makeFiles()
    domain = definitions(conn)
    conversions(conn)
    lookups(conn)
    passedThrough(conn, domain)
    defined(conn, domain)
    metadata(domain)
    configDevices(domain)
    do(domain.createWithFlags, BAD_FLAG)
    do(domain.createWithFlags, libvirt.VIR_DOMAIN_START_PAUSED)
    do(domain.resume)
    console(conn, domain)
    do(domain.suspend)
    lookups(conn)
    screenshot(conn, domain)
    running(conn, domain)
    monitor(domain)
    blocks(domain, events)
    liveDevices(domain, events)
    checkpoints(domain, events)
    snapshots(domain)
    saving(conn, domain)
    return domain
