/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A libvirt domain as far as virtual SMMUs are concerned: what the planner plans from and the checker
 * judges. Reading never changes anything, and accepts what libvirt accepts; odd values are kept as such for
 * the checker to name. Changing the document is plan/viommu_expand.c's work, by means of viommu_xml.h.
 */
#pragma once

#include "viommu_xml.h"
#include "virpciaddr.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define VIOMMU_NS "urn:viommu:domain:1"
#define VIOMMU_NS_QEMU "http://libvirt.org/schemas/domain/qemu/1.0"

/* Of the aliases that viommu gives; libvirt takes those of users with "ua-" in front. */
#define VIOMMU_ALIAS_PREFIX "ua-viommu-"

/* A PCI address names a bus with 8 bits, so an index above makes a controller that nothing can use. */
#define VIOMMU_PCI_INDEX_MAX 255

/* <placement pref64Reserve>, in KiB: the window of a bridge comes in pieces of 1 MiB (PCI-to-PCI Bridge 1.2, 3.2.5.8),
 * and Linux keeps 2 MiB for hotplug itself (DEFAULT_HOTPLUG_MMIO_SIZE in drivers/pci/pci.c); 32 bits are 4 TiB. */
#define VIOMMU_RESERVE_MIN 2048u
#define VIOMMU_RESERVE_MAX G_MAXUINT

/* The same of <placement memReserve>: QEMU's "virt" has 0x10000000 to 0x3efeffff for PCI below 4 GiB (VIRT_PCIE_MMIO in
 * hw/arm/virt.c), and no larger power of two stands there at a multiple of its size. */
#define VIOMMU_MEM_RESERVE_MAX (256u * 1024)

/* Values of the attributes of <driver>: on and off as 1 and 0, numbers as themselves, or one of these. */
enum {
    VIOMMU_UNSET = -1, /* not there */
    VIOMMU_AUTO = -2,  /* "auto": only in a request */
    VIOMMU_BAD = -3,   /* something else; the text is in strays */
};

typedef enum {
    VIOMMU_VIRT_KVM,
    VIOMMU_VIRT_QEMU, /* TCG */
    VIOMMU_VIRT_OTHER,
} viommuVirtType;

typedef enum {
    VIOMMU_FIRMWARE_NONE,
    VIOMMU_FIRMWARE_AUTO,   /* <os firmware='efi'> */
    VIOMMU_FIRMWARE_LOADER, /* <loader> */
} viommuFirmware;

/* A PCI address in the guest; bus is the index of a controller, at most VIOMMU_PCI_INDEX_MAX. */
typedef struct {
    unsigned domain;
    unsigned bus;
    unsigned slot;
    unsigned function;
    bool multifunction;
} viommuGuestAddr;

/* Windows of a root port, in bytes; 0: nothing is said of it. */
typedef struct {
    uint64_t pref64; /* of 64 bits, prefetchable */
    uint64_t mem;    /* below 4 GiB, for all other memory */
} viommuWindows;

/* QEMU's properties for them (hw/pci-bridge/gen_pcie_root_port.c). */
#define VIOMMU_RESERVE_PREF64 "pref64-reserve"
#define VIOMMU_RESERVE_MEM "mem-reserve"
#define VIOMMU_RESERVE_IO "io-reserve"

typedef enum {
    VIOMMU_PCI_ROOT,            /* pcie-root */
    VIOMMU_PCI_ROOT_PORT,       /* pcie-root-port */
    VIOMMU_PCI_EXPANDER,        /* pcie-expander-bus */
    VIOMMU_PCI_UPSTREAM,        /* pcie-switch-upstream-port */
    VIOMMU_PCI_DOWNSTREAM,      /* pcie-switch-downstream-port */
    VIOMMU_PCI_TO_PCI_BRIDGE,   /* pcie-to-pci-bridge */
    VIOMMU_PCI_OTHER,           /* the conventional ones: pci-root, pci-bridge, pci-expander-bus ... */
} viommuPCIModel;

typedef struct {
    xmlNode *node;
    unsigned line;
    unsigned index;       /* given, or the one that libvirt will give it: the lowest that is free */
    bool indexGiven;
    viommuPCIModel model;
    int busNr;            /* <target busNr>; VIOMMU_UNSET, VIOMMU_BAD */
    int chassis;          /* <target chassis> */
    int port;             /* <target port> */
    int numaNode;         /* <target><node> */
    bool hasAddr;
    viommuGuestAddr addr;
    uint64_t hole64KiB;   /* <pcihole64>, 0: none */
    bool hole64Bad;       /* a <pcihole64> that is no size */
    viommuWindows keeps;  /* of a port: what it keeps for hotplug */
    char *alias;          /* NULL: none */
} viommuController;

/* How a device of the guest relates to PCI. */
typedef enum {
    VIOMMU_DEVICE_ASSIGNED, /* a host PCI device: hostdev, interface type='hostdev', or a VF of a network */
    VIOMMU_DEVICE_PCIE,     /* emulated; libvirt gives it a PCIe port of its own */
    VIOMMU_DEVICE_PCI,      /* emulated; libvirt puts it behind a pcie-to-pci-bridge */
    VIOMMU_DEVICE_ROOT,     /* emulated; libvirt puts it directly on pcie.0 */
    VIOMMU_DEVICE_NONE,     /* no PCI device of its own: USB, SCSI, consoles, mdev on ccw ... */
} viommuDeviceKind;

typedef struct {
    xmlNode *node;
    unsigned line;
    const char *element;   /* name of the XML element */
    viommuDeviceKind kind;
    char *what;            /* for people: "disk 'vda'", "interface 'virtio'", "hostdev '0002:01:00.0'" */
    bool hasAddr;          /* <address type='pci'> of the guest */
    viommuGuestAddr addr;
    xmlNode *addrNode;     /* NULL: no <address> */
    char *alias;           /* NULL: none */

    /* of assigned devices */
    bool haveSource;       /* source is known; for a network's VF: after viommuDomainBindNetwork */
    virPCIAddr source;     /* the host device; for a network's VF the PF or one of its VFs */
    char *network;         /* NULL: not by a network */
    char *key;             /* unique in the domain: "0002:01:00.0", or "network NAME MAC" */
    int iommufd;           /* <driver iommufd='yes'>: 1, 'no': 0, VIOMMU_UNSET */
    bool iommufdOverridden; /* it is 1 by <qemu:override> instead */
    bool iommufdMade;      /* our metadata says that viommu wrote it */
    bool managed;
} viommuDevice;

/* An attribute that libvirt ignores, or a value that means nothing: kept for V13. */
typedef struct {
    unsigned line;
    char *name;  /* "ssidSize" */
    char *value;
    const char *meant; /* the attribute that it is but for case, '_' and '-'; NULL: none */
    const char *near;  /* the one that it looks like otherwise, or NULL */
    bool misplaced;    /* stands on <iommu> itself, which has no such attribute */
} viommuStray;

/* The features that <driver> speaks of. Used for what is asked, for what stands there, and for what is
 * planned. */
typedef struct {
    int cmdqv;
    int ats;
    int ril;
    int ssidsize; /* bits, 0-20 */
    int oas;      /* bits, 44 or 48 */
} viommuFeatures;

/* The windows of each spare port that <placement> asks for, in KiB; 0: not said. */
typedef struct {
    unsigned pref64KiB; /* pref64Reserve */
    unsigned memKiB;    /* memReserve */
} viommuReserve;

/* One <iommu> as it stands. */
typedef struct {
    xmlNode *node;
    unsigned line;
    char *model;           /* "smmuv3", "virtio", "intel" ... */
    int nested;            /* 1, 0, VIOMMU_UNSET, VIOMMU_BAD */
    int accel;
    int pciBus;            /* index of a controller, VIOMMU_UNSET, VIOMMU_BAD */
    viommuFeatures features;
    char *source;          /* <source smmu=>, NULL: none */
    unsigned sparePorts;   /* <placement sparePorts>, 0 if absent */
    viommuReserve reserve;
    bool allSMMUs;         /* <placement smmus='all'> */
    bool foreign;          /* has attributes of other models (intremap, caching_mode, ...) */
    bool overridden;       /* accel and features of it are set by <qemu:override> */
    bool automatic;        /* a virtio one that Nova chose for hw:viommu_model=auto; model says smmuv3 */
    GPtrArray *strays;     /* of viommuStray */
} viommuIOMMU;

/* What is asked for one physical SMMU, or, without name, for all. */
typedef struct {
    unsigned line;
    char *smmu;            /* NULL: the template */
    bool kept;             /* it stands in our metadata */
    viommuFeatures features; /* VIOMMU_AUTO where nothing was said */
    unsigned sparePorts;
    viommuReserve reserve;
    bool allSMMUs;
    int pciBus;            /* the expander bus that it names (viommu dialect), or VIOMMU_UNSET */
} viommuRequest;

/* What an earlier expansion left in <metadata>. */
typedef struct {
    unsigned controller;
    char *device;          /* key of the device in it; NULL: spare */
    bool generated;        /* the port was made by viommu */
} viommuPlacedPort;

typedef struct {
    char *smmu;
    unsigned controller;
    bool generated;        /* the expander bus was made by viommu */
    GPtrArray *ports;      /* of viommuPlacedPort */
} viommuPlaced;

typedef struct {
    unsigned id;
    GArray *hostNodes;     /* of unsigned: host nodes that <numatune> binds it to; empty: not bound */
} viommuCell;

typedef struct {
    viommuXML *xml;
    xmlNode *root;
    xmlNode *devicesNode;  /* <devices>, NULL if there is none */
    char *name;            /* NULL if there is none */
    char *uuid;            /* as it stands; NULL: none */
    viommuVirtType virtType;
    char *arch;            /* NULL: not said */
    char *machine;         /* NULL: not said */
    char *emulator;        /* the first, which is libvirt's; NULL: not said */
    unsigned emulatorLine; /* 0: not said */
    unsigned osLine;       /* of <type>, <os> or the root */
    bool acpi;
    int gicVersion;        /* VIOMMU_UNSET: not said; 0: 'host' */
    unsigned featuresLine;
    xmlNode *ioapic;       /* <features><ioapic>, NULL */
    viommuFirmware firmware;
    bool hugepages;
    uint64_t memoryBytes;  /* the most that it can have: <memory>, its cells or <maxMemory>, and 1 GiB for each slot,
                            * as QEMU reserves; 0: not said */
    xmlNode *iommufdNode;  /* <iommufd>, NULL */
    int iommufd;           /* 1, 0, VIOMMU_UNSET */
    GPtrArray *controllers; /* of viommuController: PCI only, in document order */
    viommuController *byIndex[VIOMMU_PCI_INDEX_MAX + 1]; /* the same, borrowed; NULL: none has it */
    bool implicitRoot;     /* no pcie-root was written; libvirt adds it */
    GPtrArray *devices;    /* of viommuDevice: all of <devices> but controllers of type pci and iommus */
    GPtrArray *iommus;     /* of viommuIOMMU, in document order */
    GArray *cells;         /* of viommuCell, by id */

    /* The request */
    GPtrArray *requests;   /* of viommuRequest; empty: the domain asks for nothing */
    GPtrArray *strays;     /* of viommuStray: words of extra specs that mean nothing */
    bool keptOut;          /* an extra spec or nested='no' says that no policy is to ask for it */
    bool byPolicy;         /* it is viommuDomainApplyPolicy that asks */
    bool bySpecs;          /* it is extra specs that ask */
    bool withdrawn;        /* nested='no' in an expanded domain: what was made is to go */
    xmlNode *metadata;     /* our element in <metadata>, NULL */
    GPtrArray *placed;     /* of viommuPlaced: from metadata */
    bool ownsIommufd;      /* <iommufd> was made by viommu */
    bool ownsHole64;       /* <pcihole64> was made by viommu ... */
    uint64_t userHole64KiB; /* ... over this one of the user (0: none) */
    bool madeOverride;     /* viommu has written into <qemu:override> or <qemu:commandline> what libvirt lacked */
    bool madeArguments;    /* the same, and buses and ports are among it */
} viommuDomain;

/* Reads a domain. Errors are VIOMMU_ERROR_XML with the line: not a domain, addresses out of range, an
 * index given twice, more than VIOMMU_DEVICES_MAX devices. Free with viommuDomainFree. */
#define VIOMMU_DEVICES_MAX 20000
viommuDomain *viommuDomainParse(const char *text, size_t len, GError **error);
void viommuDomainFree(viommuDomain *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuDomain, viommuDomainFree)

/* True if <iommu nested='yes'>, our metadata, an extra spec of Nova or a policy ask for a placement, or for
 * its end. */
bool viommuDomainIsRequest(const viommuDomain *dom);

/* True if an <iommu> of the document is an SMMUv3; if one has accel. */
bool viommuDomainHasSMMUv3(const viommuDomain *dom);
bool viommuDomainHasAccel(const viommuDomain *dom);

/* Who asks for domains that do not ask themselves. */
typedef enum {
    VIOMMU_POLICY_OFF,     /* nobody */
    VIOMMU_POLICY_SMMUV3,  /* every domain with a plain <iommu model='smmuv3'/> and a host device asks */
    VIOMMU_POLICY_AARCH64, /* every aarch64 domain of machine virt with a host device asks */
} viommuPolicy;

/* Reads "off", "smmuv3" or "aarch64"; false if it is none of them. */
bool viommuPolicyParse(const char *name, viommuPolicy *ret_policy);

/* True if viommuDomainApplyPolicy may make a request of @dom, depending on its networks. */
bool viommuDomainFitsPolicy(const viommuDomain *dom, viommuPolicy policy);

/* Lets the policy ask for a domain that does not ask itself. Its networks must be bound. */
void viommuDomainApplyPolicy(viommuDomain *dom, viommuPolicy policy);

/* The bus of a <disk>: what it says, else what libvirt takes from the name of its target (vda: virtio, sda:
 * scsi); NULL if neither tells. */
const char *viommuDiskBus(const xmlNode *disk);

/* Is @name one of the properties VIOMMU_RESERVE_*? */
bool viommuIsReserve(const char *name);

/* The PCI controller of that index, or NULL. */
viommuController *viommuDomainFindController(const viommuDomain *dom, unsigned index);

/* The pcie-root, or NULL if it is left to libvirt. */
viommuController *viommuDomainFindRoot(const viommuDomain *dom);

/* The expander bus that @index is, or is below of; NULL if it is part of bus 0's own tree, does not exist,
 * or the controllers form a loop. */
viommuController *viommuDomainFindExpander(const viommuDomain *dom, unsigned index);

/* The first smmuv3 on that expander bus; NULL if there is none. Borrowed. */
viommuIOMMU *viommuDomainFindSMMU(const viommuDomain *dom, unsigned index);

/* True if our metadata says that an earlier expansion made @controller, and it still is what was made: an
 * expander bus, or a root port on the bus that it was made for. */
bool viommuDomainIsGenerated(const viommuDomain *dom, const viommuController *controller);

/* The SMMU that the host device of that key was behind when it was placed, as our metadata says; NULL: it does not.
 * Borrowed. */
const char *viommuDomainNotedSMMU(const viommuDomain *dom, const char *key);

/* The name of @model in XML. */
const char *viommuPCIModelName(viommuPCIModel model);

/* A libvirt network with <forward mode='hostdev'>. */
typedef struct {
    char *name;
    char *netdev;    /* <pf dev=>, NULL */
    GArray *devices; /* of virPCIAddr: <address type='pci'> elements */
} viommuNetwork;

/* A network that hands out no host devices. */
viommuNetwork *viommuNetworkNew(const char *name);

/* Reads a network; a network without hostdev forwarding gives one with neither netdev nor devices. */
viommuNetwork *viommuNetworkParse(const char *text, size_t len, GError **error);
void viommuNetworkFree(viommuNetwork *net);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuNetwork, viommuNetworkFree)

/* Says that the interfaces on network @name are host devices like @source. Before this was called (by
 * whoever can look into networks and sysfs) they are VIOMMU_DEVICE_PCIE: emulated. */
void viommuDomainBindNetwork(viommuDomain *dom, const char *name, const virPCIAddr *source);
