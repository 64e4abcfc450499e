/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the checker share: the guest's PCI tree as it will be once libvirt has
 * completed the domain, with every device in its place.
 */
#pragma once

#include "viommu_check.h"

typedef struct viommuCheckBus viommuCheckBus;
typedef struct viommuCheckVSMMU viommuCheckVSMMU;

/* The bus below one PCI controller. */
struct viommuCheckBus {
    unsigned index;
    viommuPCIModel model;
    const viommuController *controller; /* NULL: libvirt will add it */
    viommuCheckBus *parent;             /* NULL: has none, or it does not exist */
    viommuCheckBus *top;     /* pcie-root or expander bus above it, or itself; NULL: none */
    unsigned users;          /* controllers and devices directly on it */
    unsigned below;          /* of a top: controllers of its tree, without itself */
    viommuCheckVSMMU *vsmmu; /* of a top: the first vSMMU on it */
};

/* A PCI device of the guest in its place. */
typedef struct {
    const viommuDevice *device; /* NULL: libvirt will add it */
    const char *element;        /* name of its XML element */
    char *what;
    unsigned line;
    viommuDeviceKind kind;
    const char *type;          /* of controllers */
    unsigned group;            /* of controllers: the same for all of one type */
    int number;                /* of controllers: their index; of disks: in the name; -1: none */
    unsigned rank;             /* when libvirt gives it an address, lowest first */
    bool chosen;               /* the place is libvirt's choice */
    viommuCheckBus *bus;       /* NULL: not on the guest's PCI, or on a bus that does not exist */
    const virSMMUDevice *host; /* of assigned devices; NULL: unknown or absent */
} viommuCheckSeat;

/* An <iommu model='smmuv3'> that names its bus. */
struct viommuCheckVSMMU {
    const viommuIOMMU *iommu;
    viommuCheckBus *bus; /* NULL: pciBus names nothing that can have one */
    bool accel;
    GPtrArray *seats; /* of viommuCheckSeat: the assigned devices below */
};

/* A request is open until it was expanded: then only what the user wrote is judged, not what is
 * missing. */
typedef struct {
    const viommuDomain *dom;
    const viommuCheckContext *context;
    GPtrArray *findings;
    bool smmuv3;                  /* has an <iommu model='smmuv3'> */
    bool open;                    /* asks for a placement and has none yet */
    bool nested;                  /* asks for a placement, or has an accel vSMMU */
    bool accel;                   /* nested, and not under TCG */
    GPtrArray *buses;             /* of viommuCheckBus */
    viommuCheckBus *byIndex[256]; /* NULL where there is none */
    GPtrArray *seats;             /* of viommuCheckSeat */
    GPtrArray *vsmmus;            /* of viommuCheckVSMMU, in document order */
} viommuChecker;

/* viommu_check_tree.c */
void viommuCheckerInit(viommuChecker *checker, const viommuDomain *dom,
                       const viommuCheckContext *context, GPtrArray *findings);
void viommuCheckerClear(viommuChecker *checker);

/* Adds the bus of a controller that libvirt will add. */
viommuCheckBus *viommuCheckerAddBus(viommuChecker *checker, unsigned index, viommuPCIModel model,
                                    viommuCheckBus *parent);

/* The vSMMU above @seat, or NULL. */
viommuCheckVSMMU *viommuCheckSeatVSMMU(const viommuCheckSeat *seat);

/* @before and the command that places an expanded domain anew, for a remedy. Free with g_free. */
char *viommuCheckAnew(const viommuDomain *dom, const char *before);

/* True if @iommu stands for the whole machine: libvirt makes it "-machine iommu=smmuv3". */
bool viommuCheckIsLegacy(const viommuIOMMU *iommu);

/* The line of the first child element @name of @node, of @node itself if there is none. */
unsigned viommuCheckLine(const viommuChecker *checker, const xmlNode *node, const char *name);

/* The id that QEMU will know @bus by; free with g_free. */
char *viommuCheckBusAlias(const viommuCheckBus *bus);

/* viommu_check_complete.c, as libvirt 12.8 does it: adds root ports for the indexes that nothing
 * has, up to the highest that is used; and places what has no address. */
void viommuCheckAddGaps(viommuChecker *checker);
void viommuCheckComplete(viommuChecker *checker);

/* viommu_check_order.c */
/* Sorts @waiting, some of the checker's seats, as libvirt gives out addresses. */
void viommuCheckSortSeats(const viommuChecker *checker, GPtrArray *waiting);

/* The number in a disk's name, "vda" 0, "sdaa" 26; -1 for names of another form. */
int viommuCheckDiskNumber(const char *name);

/* viommu_check_implicit.c: adds seats for the devices that libvirt adds because others need them.
 */
void viommuCheckAddImplicit(viommuChecker *checker);

/* The first QEMU with accelerated SMMUv3s, and with command queues for them. */
#define VIOMMU_CHECK_QEMU_ACCEL 11000u
#define VIOMMU_CHECK_QEMU_CMDQV 11001u

/* V24, which two files find */
#define VIOMMU_CHECK_SMALL_QUEUES                                                                  \
    "QEMU lowers the size of the guest's command queues to what fits into one page of its memory"
#define VIOMMU_CHECK_ADD_HUGEPAGES "add <memoryBacking><hugepages/></memoryBacking>"

/* The classes, each file its subject. */
void viommuCheckBuses(viommuChecker *checker);     /* V10 */
void viommuCheckAddresses(viommuChecker *checker); /* V25 */
void viommuCheckIOMMUs(viommuChecker *checker);    /* V06-V09, V11 */
void viommuCheckPlacement(viommuChecker *checker); /* V01, V03-V05 */
void viommuCheckArguments(viommuChecker *checker); /* V01 for an older libvirt */
void viommuCheckLibvirt(viommuChecker *checker);   /* V13 for one */
void viommuCheckSpares(viommuChecker *checker);    /* V22 */
void viommuCheckFeatures(viommuChecker *checker);  /* V12, V13, V24 */
void viommuCheckBypass(viommuChecker *checker);    /* V23 */
void viommuCheckMachine(viommuChecker *checker);   /* V18, V19 */
void viommuCheckDevices(viommuChecker *checker);   /* V02, V16, V17, V20, V21 */
void viommuCheckHardware(viommuChecker *checker);  /* V14, V15, V24 */
void viommuCheckHost(viommuChecker *checker);      /* H03 */
