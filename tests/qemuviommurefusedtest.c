/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the translation of a whole domain refuses: the exact words, with the line. Each domain is right but
 * for one thing.
 */
#include "qemu_viommu.h"

#include "viommuerror.h"

#include <string.h>

#define QEMU_NS " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
#define NOT_TRANSLATED " is not translated to QEMU arguments; remove it, or let libvirt start the domain"
#define DISK(driver, target) \
    "<disk type='file'><driver name='qemu' type='raw'" driver "/><source file='/x'/><target " target "/></disk>"
#define CHAR(type, source) \
    "<channel type='" type "'>" source "<target type='virtio' name='a'/></channel>"
#define CONTROLLER(more) "<controller type='pci' " more "</controller>"

/* NULL: as usual. The head stands in line 2, devices in line 4, the tail in line 5. */
typedef struct {
    const char *type;
    const char *head;
    const char *devices;
    const char *tail;
    const char *error;
} testRefusal;

static const testRefusal general[] = {
    { .type = "xen", .error = "line 2: only domains of type 'kvm' and 'qemu' are translated; change <domain "
                              "type=>" },
    { .head = "<memory>1</memory><os><type arch='x86_64'>hvm</type></os>",
      .error = "line 2: only aarch64 is translated; change <os><type arch=>" },
    { .head = "<memory>1</memory><os><type machine='raspi4b'>hvm</type></os>",
      .error = "line 2: only the machine 'virt' is translated; change <os><type machine=>" },
    { .head = "<genid/>", .error = "line 2: <genid> in <domain>" NOT_TRANSLATED },
    { .head = "<x:a xmlns:x='urn:x'/>", .error = "line 2: <a> in <domain>" NOT_TRANSLATED },
    { .head = "<memory slots='1'>1</memory>",
      .error = "line 2: attribute 'slots' of <memory>" NOT_TRANSLATED },
    { .head = "<cputune><shares>1</shares></cputune>",
      .error = "line 2: <cputune> in <domain>" NOT_TRANSLATED },
    { .devices = "<tpm model='tpm-tis'/>", .error = "line 4: <tpm> in <devices>" NOT_TRANSLATED },
    { .devices = "<hostdev mode='subsystem' type='mdev'><source/></hostdev>",
      .error = "line 4: type='mdev' of <hostdev> is not translated; use type='pci' of mode='subsystem'" },
    { .devices = "<audio id='1' type='pulseaudio'/>",
      .error = "line 4: type='pulseaudio' of <audio> is not translated; use type='none'" },
    { .devices = "<iommu model='virtio'/>",
      .error = "line 4: <iommu model='virtio'> is not translated; use model='smmuv3' or remove it" },
    { .devices = "<iommu model='smmuv3'><driver pciBus='0' accel='maybe'/></iommu>",
      .error = "line 4: the <driver> of an <iommu> has a value that means nothing; 'viommu check' names it" },
    { .tail = "<qemu:commandline><qemu:env name='A' value='b'/></qemu:commandline>",
      .error = "line 5: only <qemu:arg value=> of <qemu:commandline> is translated; remove <env>" },
    { .tail = "<qemu:override><qemu:device alias='net7'/></qemu:override>",
      .error = "line 5: <device> of <qemu:override>: only <qemu:device alias=> with <qemu:frontend> is "
               "translated" },
    { .devices = "<rng model='virtio'><backend model='builtin'/></rng>",
      .tail = "<qemu:override><qemu:device alias='rng0'><qemu:frontend><qemu:property name='a' type='bool' "
              "value='yes'/></qemu:frontend></qemu:device></qemu:override>",
      .error = "line 5: <property> of <qemu:override>: the value does not fit the type; types are 'string', "
               "'unsigned', 'signed', 'bool' (true, false) and 'remove'" },
    { .devices = "<rng model='virtio'><backend model='builtin'/></rng>",
      .tail = "<qemu:override><qemu:device alias='rng0'><qemu:frontend><qemu:x/></qemu:frontend>"
              "</qemu:device></qemu:override>",
      .error = "line 5: <x> of <qemu:override>: only <qemu:property name=> is translated; remove the rest" },
};

static const testRefusal machine[] = {
    { .head = "<on_crash>restart</on_crash><memory>1</memory>",
      .error = "line 2: <on_crash>restart</on_crash> is not translated; use 'destroy' or 'preserve'" },
    { .head = "<memory>1</memory><clock offset='variable'/>",
      .error = "line 2: offset='variable' of <clock> is not translated; use 'utc' or 'localtime'" },
    { .head = "<memory>1</memory><os><boot dev='fd'/></os>",
      .error = "line 2: dev='fd' of <boot> is not translated; use 'hd', 'cdrom' or 'network'" },
    { .head = "<memory>1</memory><os><bootmenu enable='yes' timeout='x'/></os>",
      .error = "line 2: timeout='x' of <bootmenu> is not translated; use milliseconds from 0 to 65535" },
    { .head = "<memory>1</memory><features><gic version='7'/></features>",
      .error = "line 2: version='7' of <gic> is not translated; use '3' or 'host'" },
    { .head = "<memory dumpCore='x'>1</memory>",
      .error = "line 2: dumpCore='x' of <memory> is not translated; use 'on' or 'off'" },
    { .head = "<memory>1</memory><os firmware='bios'><loader>/x</loader></os>",
      .error = "line 2: firmware='bios' of <os> is not translated; use 'efi'" },
    { .head = "<memory>1</memory><os firmware='efi'><loader secure='yes'/></os>",
      .error = "line 2: secure boot needs a firmware that libvirt chooses; give <loader> a path" },
    { .head = "<memory>1</memory><os firmware='efi'><firmware><feature name='secure-boot' enabled='yes'/>"
              "</firmware></os>",
      .error = "line 2: a firmware with feature 'secure-boot' is chosen by libvirt; name one with <loader>" },
    { .head = "<memory>1</memory><os><loader type='flash'>/x</loader></os>",
      .error = "line 2: type='flash' of <loader> is not translated; use 'pflash' or 'rom'" },
    { .head = "<memory>1</memory><os><loader>/x</loader><nvram type='network'/></os>",
      .error = "line 2: type='network' of <nvram> is not translated; use type='file'" },
    { .type = "qemu", .head = "<memory>1</memory><cpu mode='host-passthrough'/>",
      .error = "line 2: host-passthrough needs KVM; use <cpu mode='maximum'/> under emulation" },
    { .head = "<memory>1</memory><cpu mode='host-model'/>",
      .error = "line 2: mode='host-model' of <cpu> is not translated; use 'host-passthrough', 'maximum', or "
               "'custom' with <model>" },
    { .head = "<memory>1</memory><cpu mode='maximum'><feature name='sve' policy='optional'/></cpu>",
      .error = "line 2: policy='optional' of <feature> is not translated; use 'require', 'force' or "
               "'disable'" },
    { .head = "<memory>1</memory><cpu mode='maximum'><feature name='a=b'/></cpu>",
      .error = "line 2: name='a=b' of <feature> is not translated; use the name of a CPU feature" },
    { .head = "<memory>1</memory><features><pmu state='x'/></features>",
      .error = "line 2: state='x' of <pmu> is not translated; use 'on' or 'off'" },
    { .head = "<memory>1</memory><clock offset='utc'><timer name='armvtimer' tickpolicy='merge'/></clock>",
      .error = "line 2: tickpolicy='merge' of <timer> is not translated; use 'discard' or 'delay'" },
    { .head = "<memory>1</memory><vcpu>0</vcpu>",
      .error = "line 2: <vcpu>: '0' is no number of CPUs; give 1 to 4096" },
    { .head = "<memory>1</memory><vcpu>4</vcpu><cpu mode='maximum'><topology sockets='1' cores='2'/></cpu>",
      .error = "line 2: the <topology> makes 2 CPUs, but <vcpu> says 4; make them equal" },
    { .head = "<name>a</name>", .error = "line 1: the domain has no <memory>; add it" },
    { .head = "<memory unit='ells'>1</memory>",
      .error = "line 2: <memory> has no size; give a number and libvirt's unit, such as unit='MiB'" },
    { .head = "<memory>2048</memory><currentMemory>1024</currentMemory>",
      .error = "line 2: <currentMemory> below <memory> is what libvirt tells a running guest's balloon; make "
               "them equal" },
    { .head = "<memory>1</memory><maxMemory slots='999'>1</maxMemory>",
      .error = "line 2: slots='999' of <maxMemory> is not translated; use a number from 0 to 256" },
    { .head = "<memory>1</memory><memoryBacking><source type='file'/></memoryBacking>",
      .error = "line 2: type='file' of <source> is not translated; use 'memfd' or 'anonymous'" },
    { .head = "<memory>1</memory><memoryBacking><access mode='x'/></memoryBacking>",
      .error = "line 2: memory access 'x' is not translated; use 'private' or 'shared'" },
    { .head = "<memory>1</memory><memoryBacking><hugepages><page size='2' nodeset='x'/></hugepages>"
              "</memoryBacking>",
      .error = "line 2: nodeset='x' of <page> is not translated; use a set of cells such as '0-1'" },
    { .head = "<memory>1</memory><numatune><memory nodeset='x'/></numatune>",
      .error = "line 2: nodeset='x' of <memory> is not translated; use a set of host nodes such as '0-1'" },
    { .head = "<memory>1</memory><numatune><memory mode='restrictive' nodeset='0'/></numatune>",
      .error = "line 2: mode='restrictive' of <memory> is not translated; use 'strict', 'preferred' or "
               "'interleave'" },
    { .head = "<memory>1</memory><iothreads>many</iothreads>",
      .error = "line 2: <iothreads> wants a number from 0 to 1024" },
    { .head = "<memory>1</memory><cpu mode='maximum'><numa><cell id='0' cpus='x' memory='1'/></numa></cpu>",
      .error = "line 2: cpus='x' of <cell> is not translated; use a set of CPUs such as '0-3'" },
    { .head = "<memory>1</memory><cpu mode='maximum'><numa><cell id='128' memory='1'/></numa></cpu>",
      .error = "line 2: id='128' of <cell> is not translated; use a number from 0 to 127" },
    { .head = "<memory>1</memory><cpu mode='maximum'><numa><cell id='0' memory='1'><distances><sibling "
              "id='0' value='9'/></distances></cell></numa></cpu>",
      .error = "line 2: <sibling> needs an id= and a value= from 10 to 255" },
};

static const testRefusal pci[] = {
    { .devices = "<rng model='virtio'><backend model='builtin'/><address type='pci' bus='9'/></rng>",
      .error = "line 4: the <address> names bus 0x09, but there is no PCI controller with index='9'; add it "
               "or remove the <address>" },
    { .devices = "<rng model='virtio'><backend model='builtin'/><address type='pci' domain='1' slot='1'/>"
                 "</rng>",
      .error = "line 4: the guest has one PCI segment; write domain='0x0000' in the <address>" },
    { .devices = "<panic model='pvpanic'><address type='pci' slot='3'/></panic>"
                 "<watchdog model='i6300esb'><address type='pci' slot='3'/></watchdog>",
      .error = "line 4: the address 0000:00:03.0 is used twice; give each device its own" },
    { .devices = CONTROLLER("index='1' model='pci-bridge'>"),
      .error = "line 4: PCI controller 1: only pcie-root, pcie-root-port, pcie-expander-bus, "
               "pcie-switch-upstream-port, pcie-switch-downstream-port and pcie-to-pci-bridge are "
               "translated" },
    { .devices = CONTROLLER("index='0' model='pci-root'>"),
      .error = "line 4: PCI controller 0: only pcie-root, pcie-root-port, pcie-expander-bus, "
               "pcie-switch-upstream-port, pcie-switch-downstream-port and pcie-to-pci-bridge are "
               "translated" },
    { .devices = CONTROLLER("index='1' model='pcie-expander-bus'>"),
      .error = "line 4: PCI controller 1: give the pcie-expander-bus a <target busNr='...'/> from 1 to 254" },
    { .devices = CONTROLLER("index='1' model='pcie-switch-downstream-port'>"),
      .error = "line 4: PCI controller 1: give the pcie-switch-downstream-port an <address> on its upstream "
               "port" },
    { .devices = CONTROLLER("index='255' model='pcie-root-port'><address type='pci' slot='1'/>")
                 "<rng model='virtio'><backend model='builtin'/></rng>"
                 "<rng model='virtio'><backend model='builtin'/></rng>",
      .error = "line 4: there is no PCI controller index left for a root port; remove unused controllers" },
    { .devices = "<rng model='virtio'><backend model='builtin'/><address type='virtio-mmio'/></rng>",
      .error = "line 4: only <address type='pci'> is translated for this device; use it or no <address>" },
    { .devices = "<controller type='usb' model='ich9-ehci1'/>",
      .error = "line 4: <controller type='usb' model='ich9-ehci1'> is not translated; use type='usb' "
               "model='qemu-xhci', type='scsi' model='virtio-scsi', type='virtio-serial' or type='nvme'" },
    { .devices = "<controller type='sata'/>",
      .error = "line 4: type='sata' of <controller> is not translated; use 'pci', 'usb', 'scsi', "
               "'virtio-serial' or 'nvme'" },
    { .devices = "<controller type='usb' ports='16'/>",
      .error = "line 4: ports='16' of <controller> is not translated; use a number from 1 to 15" },
    { .devices = "<controller type='scsi'><driver queues='x'/></controller>",
      .error = "line 4: queues='x' of <driver> is not translated; use a decimal number" },
};

static const testRefusal disks[] = {
    { .devices = DISK(" cache='x'", "dev='vda' bus='virtio'"),
      .error = "line 4: cache='x' of <driver> is not translated; use one of libvirt's modes" },
    { .devices = DISK(" io='x'", "dev='vda' bus='virtio'"),
      .error = "line 4: io='x' of <driver> is not translated; use 'native', 'threads' or 'io_uring'" },
    { .devices = DISK(" discard='x'", "dev='vda' bus='virtio'"),
      .error = "line 4: discard='x' of <driver> is not translated; use 'unmap' or 'ignore'" },
    { .devices = DISK(" detect_zeroes='x'", "dev='vda' bus='virtio'"),
      .error = "line 4: detect_zeroes='x' of <driver> is not translated; use 'on', 'off' or 'unmap'" },
    { .devices = DISK("", "dev='sda' bus='sata'"),
      .error = "line 4: bus='sata' of <target> is not translated; use 'virtio', 'scsi', 'nvme' or 'usb'" },
    { .devices = DISK("", "dev='sda' bus='usb'"),
      .error = "line 4: there is no USB controller for this disk; add <controller type='usb' "
               "model='qemu-xhci'/>" },
    { .devices = "<disk type='file'><source file='/x'/></disk>",
      .error = "line 4: the disk names no bus; add <target dev='vda' bus='virtio'/>" },
    { .devices = "<disk type='network'><target dev='vda' bus='virtio'/></disk>",
      .error = "line 4: type='network' of <disk> is not translated; use 'file' or 'block'" },
    { .devices = "<disk type='file'><driver type='luks'/><target dev='vda' bus='virtio'/></disk>",
      .error = "line 4: type='luks' of <driver> is not translated; use 'raw', 'qcow2', 'vmdk', 'vdi' or "
               "'vhdx'" },
    { .devices = "<disk type='file'><driver name='phy'/><target dev='vda' bus='virtio'/></disk>",
      .error = "line 4: name='phy' of <driver> is not translated; use 'qemu'" },
    { .devices = "<disk type='file'><target dev='vda' bus='virtio'/></disk>",
      .error = "line 4: the disk has no <source>; name a file or a device" },
    { .devices = "<disk type='file' device='lun'><target dev='sda' bus='scsi'/></disk>",
      .error = "line 4: device='lun' of <disk> is not translated; use 'disk' or 'cdrom'" },
    { .devices = "<disk type='file' device='cdrom'><target dev='vda' bus='virtio'/></disk>",
      .error = "line 4: bus='virtio' of <target> is not translated; use 'scsi' for a cdrom" },
    { .devices = "<disk type='file' model='x'><source file='/x'/><target dev='vda' bus='virtio'/></disk>",
      .error = "line 4: model='x' of <disk> is not translated; use 'virtio' or 'virtio-non-transitional'" },
    { .devices = "<disk type='file'><source file='/x'/><target dev='vda' bus='virtio'/><wwn>5</wwn></disk>",
      .error = "line 4: <wwn> is for disks on bus='scsi'; remove it" },
    { .devices = "<disk type='file'><source file='/x'/><target dev='sda' bus='scsi'/><wwn>9000c50015ea71ad"
                 "</wwn></disk>",
      .error = "line 4: <wwn> wants 16 hexadecimal digits, the first below 8" },
    { .devices = "<disk type='file'><source file='/x'/><backingStore type='file'><source file='/y'/>"
                 "</backingStore><target dev='sda' bus='scsi'/></disk>",
      .error = "line 4: attribute 'type' of <backingStore>" NOT_TRANSLATED },
};

static const testRefusal others[] = {
    { .devices = "<interface type='bridge'><source bridge='br0'/></interface>",
      .error = "line 4: attribute 'bridge' of <source>" NOT_TRANSLATED },
    { .devices = "<interface type='network'><source network='default'/></interface>",
      .error = "line 4: <interface type='network'> needs libvirt or a privileged helper to plug the guest "
               "in; use type='ethernet' with an existing tap device in <target dev=>, or type='user'" },
    { .devices = "<interface type='user'><script path='/x'/></interface>",
      .error = "line 4: path='/x' of <script> is not translated; use a tap device that is set up before" },
    { .devices = "<interface type='user'><model type='ne2k_pci'/></interface>",
      .error = "line 4: type='ne2k_pci' of <model> is not translated; use 'virtio', "
               "'virtio-non-transitional', 'e1000e', 'igb', 'e1000' or 'rtl8139'" },
    { .devices = "<interface type='user'><driver queues='999'/></interface>",
      .error = "line 4: queues='999' of <driver> is not translated; use a number from 1 to 256" },
    { .devices = "<interface type='user'><model type='igb'/><mtu size='9000'/></interface>",
      .error = "line 4: <mtu> and queues are for <model type='virtio'/>; remove them" },
    { .devices = "<interface type='user'><link state='down'/></interface>",
      .error = "line 4: state='down' of <link> is not translated; use 'up'; QEMU takes a link down in its "
               "monitor only" },
    { .devices = CHAR("vc", ""),
      .error = "line 4: type='vc' of <channel> is not translated; use 'pty', 'file', 'unix', 'tcp', 'dev', "
               "'stdio' or 'null'" },
    { .devices = CHAR("file", ""), .error = "line 4: <source> needs path=" },
    { .devices = CHAR("unix", "<source mode='connect'/>"),
      .error = "line 4: <source mode='connect'> needs path=" },
    { .devices = CHAR("unix", "<source mode='x'/>"),
      .error = "line 4: mode='x' of <source> is not translated; use 'bind' or 'connect'" },
    { .devices = CHAR("tcp", "<source mode='bind'/>"),
      .error = "line 4: <source> of a tcp character device needs service=" },
    { .devices = CHAR("tcp", "<source mode='bind' service='1'/><protocol type='tls'/>"),
      .error = "line 4: type='tls' of <protocol> is not translated; use 'raw' or 'telnet'" },
    { .devices = "<channel type='pty'><target type='guestfwd'/></channel>",
      .error = "line 4: type='guestfwd' of <target> is not translated; use 'virtio'" },
    { .devices = "<serial type='pty'><target type='pci-serial'/></serial>",
      .error = "line 4: type='pci-serial' of <target> is not translated; use 'system-serial'" },
    { .devices = "<serial type='pty'><target type='system-serial'><model name='16550a'/></target></serial>",
      .error = "line 4: name='16550a' of <model> is not translated; use 'pl011'" },
    { .devices = "<console type='pty'><target type='xen'/></console>",
      .error = "line 4: type='xen' of <target> is not translated; use 'serial' or 'virtio'" },
    { .devices = "<console type='pty'/><console type='pty'/>",
      .error = "line 4: only the first <console> can be the serial port; give this one <target "
               "type='virtio'/>" },
    { .devices = "<channel type='pty'/>",
      .error = "line 4: the <channel> has no <target>; add <target type='virtio' name='...'/>" },
    { .devices = "<rng model='virtio'/>",
      .error = "line 4: the <rng> has no <backend>; add <backend model='builtin'/>" },
    { .devices = "<rng model='virtio'><backend model='egd'/></rng>",
      .error = "line 4: model='egd' of <backend> is not translated; use 'random' or 'builtin'" },
    { .devices = "<memballoon model='xen'/>",
      .error = "line 4: model='xen' of <memballoon> is not translated; use 'virtio' or "
               "'virtio-non-transitional'" },
    { .devices = "<memballoon model='virtio' autodeflate='x'/>",
      .error = "line 4: autodeflate='x' of <memballoon> is not translated; use 'on' or 'off'" },
    { .devices = "<input type='evdev' bus='usb'/>",
      .error = "line 4: type='evdev' of <input> is not translated; use 'tablet', 'mouse' or 'keyboard'" },
    { .devices = "<input type='mouse' bus='virtio' model='virtio-non-transitional'/>",
      .error = "line 4: model='virtio-non-transitional' of <input> is not translated; use 'virtio'" },
    { .devices = "<input type='mouse' bus='ps2'/>",
      .error = "line 4: bus='ps2' of <input> is not translated; use 'usb' or 'virtio'" },
    { .devices = "<input type='mouse'/>",
      .error = "line 4: there is no USB controller for this device; add <controller type='usb' "
               "model='qemu-xhci'/>" },
    { .devices = "<watchdog model='itco'/>",
      .error = "line 4: model='itco' of <watchdog> is not translated; use 'i6300esb'" },
    { .devices = "<watchdog model='i6300esb' action='dump'/>",
      .error = "line 4: action='dump' of <watchdog> is not translated; use 'reset', 'shutdown', 'poweroff', "
               "'pause', 'none' or 'inject-nmi'" },
    { .devices = "<panic model='isa'/>",
      .error = "line 4: model='isa' of <panic> is not translated; use 'pvpanic'" },
    { .devices = "<vsock model='virtio'><cid auto='yes'/></vsock>",
      .error = "line 4: libvirt chooses a vsock's CID; give it <cid auto='no' address='...'/>" },
    { .devices = "<video><model type='qxl'/></video>",
      .error = "line 4: type='qxl' of <model> is not translated; use 'virtio', 'bochs', 'ramfb' or 'none'" },
    { .devices = "<video><model type='virtio' device='virtio-vga'/></video>",
      .error = "line 4: device='virtio-vga' of <model> is not translated; use 'virtio-gpu'" },
    { .devices = "<video><model type='virtio'><acceleration accel3d='yes'/></model></video>",
      .error = "line 4: accel3d='yes' of <acceleration> is not translated; use 'no'" },
    { .devices = "<graphics type='spice'/>",
      .error = "line 4: type='spice' of <graphics> is not translated; use 'vnc'" },
    { .devices = "<graphics type='vnc' port='80'/>",
      .error = "line 4: port='80' of <graphics> is not translated; use a port from 5900 to 65535" },
    { .devices = "<graphics type='vnc' listen='a,b'/>",
      .error = "line 4: 'a,b' is no address to listen on" },
    { .devices = "<graphics type='vnc'><listen type='network'/></graphics>",
      .error = "line 4: type='network' of <listen> is not translated; use 'address', 'none', or 'socket' "
               "with socket=" },
    { .devices = "<graphics type='vnc' sharePolicy='x'/>",
      .error = "line 4: sharePolicy='x' of <graphics> is not translated; use 'allow-exclusive', "
               "'force-shared' or 'ignore'" },
    { .devices = "<graphics type='vnc' websocket='x'/>",
      .error = "line 4: websocket='x' of <graphics> is not translated; use a port, or -1" },
    { .devices = "<graphics type='vnc' passwd='x'/>",
      .error = "line 4: attribute 'passwd' of <graphics>" NOT_TRANSLATED },
};

static viommuPlan *
newPlan(void)
{
    viommuPlan *plan = g_new0(viommuPlan, 1);

    plan->vsmmus = g_ptr_array_new();
    plan->emulated = g_ptr_array_new();
    plan->plainPorts = g_ptr_array_new();
    plan->otherBuses = g_ptr_array_new();
    plan->reasons = g_ptr_array_new();
    return plan;
}

static viommuDomain *
parse(const testRefusal *test)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml =
        g_strdup_printf("<domain type='%s'" QEMU_NS ">\n%s\n<devices>\n%s\n</devices>%s</domain>",
                        test->type ? test->type : "kvm",
                        test->head ? test->head : "<memory>1048576</memory><os><type>hvm</type></os>",
                        test->devices ? test->devices : "", test->tail ? test->tail : "");
    viommuDomain *dom = viommuDomainParse(xml, strlen(xml), &error);

    g_assert_no_error(error);
    return dom;
}

static void
runTests(const testRefusal *tests, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        g_autoptr(viommuDomain) dom = parse(&tests[i]);
        g_autoptr(viommuPlan) plan = newPlan();
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) args = qemuViommuFullArgs(dom, plan, NULL, &error);

        if (args)
            g_test_message("not refused: %s", tests[i].error);
        g_assert_null(args);
        g_assert_cmpstr(error->message, ==, tests[i].error);
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED);
    }
}

/* The domain without anything wrong is taken: what is refused above is refused for what stands there. */
static void
testNothingWrong(void)
{
    testRefusal right = { 0 };
    g_autoptr(viommuDomain) dom = parse(&right);
    g_autoptr(viommuPlan) plan = newPlan();
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) args = qemuViommuFullArgs(dom, plan, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(args->len, >, 10);
}

/* A VF of a network that was bound to a host device. */
static void
testNetwork(void)
{
    testRefusal test = { .devices = "<interface type='network'><source network='vfs'/></interface>" };
    g_autoptr(viommuDomain) dom = parse(&test);
    g_autoptr(viommuPlan) plan = newPlan();
    g_autoptr(GError) error = NULL;
    virPCIAddr pf = { .bus = 1 };

    viommuDomainBindNetwork(dom, "vfs", &pf);
    g_assert_null(qemuViommuFullArgs(dom, plan, NULL, &error));
    g_assert_cmpstr(error->message, ==,
                    "line 4: network 'vfs' lets libvirt choose the host device; name one with <interface "
                    "type='hostdev'>");
}

/* 31 slots, and then one device more. */
static void
testFullBus(void)
{
    g_autoptr(GString) devices = g_string_new(NULL);
    testRefusal test = { 0 };
    size_t i;

    for (i = 0; i < 32; i++)
        g_string_append(devices, "<watchdog model='i6300esb'/>");
    test.devices = devices->str;
    test.error = "line 4: all 31 slots of pcie.0 are in use; put root ports into functions of one slot";
    runTests(&test, 1);
}

static void
testGeneral(void)
{
    runTests(general, G_N_ELEMENTS(general));
}

static void
testMachine(void)
{
    runTests(machine, G_N_ELEMENTS(machine));
}

static void
testPCI(void)
{
    runTests(pci, G_N_ELEMENTS(pci));
}

static void
testDisks(void)
{
    runTests(disks, G_N_ELEMENTS(disks));
}

static void
testOthers(void)
{
    runTests(others, G_N_ELEMENTS(others));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemuviommu/refused/nothing-wrong", testNothingWrong);
    g_test_add_func("/qemuviommu/refused/general", testGeneral);
    g_test_add_func("/qemuviommu/refused/machine", testMachine);
    g_test_add_func("/qemuviommu/refused/pci", testPCI);
    g_test_add_func("/qemuviommu/refused/disks", testDisks);
    g_test_add_func("/qemuviommu/refused/others", testOthers);
    g_test_add_func("/qemuviommu/refused/network", testNetwork);
    g_test_add_func("/qemuviommu/refused/full-bus", testFullBus);
    return g_test_run();
}
