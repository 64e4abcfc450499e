/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversations with the rewriter: a test says what the other side would answer, and sees what was asked.
 */
#pragma once

#include "viommu_rewrite.h"

/* Pieces of domains of which only the devices matter. */
#define HEAD                                                                                       \
    "<domain type='kvm'><name>d</name><os firmware='efi'>"                                         \
    "<type arch='aarch64' machine='virt'>hvm</type></os><features><acpi/><gic version='3'/>"       \
    "</features><devices>"
#define TAIL "</devices></domain>"
#define HOSTDEV "<hostdev mode='subsystem' type='pci'>"
#define SOURCE(domain, bus, slot, function)                                                        \
    "<source><address domain='" domain "' bus='" bus "' slot='" slot "' function='" function "'/></source>"
#define DEVICE(domain, bus) HOSTDEV SOURCE(domain, bus, "0", "0") "</hostdev>"
#define ADDRESS(bus)                                                                               \
    "<address type='pci' domain='0x0000' bus='" bus "' slot='0x00' function='0x0'/>"
#define DEVICE_AT(domain, bus, guestBus) HOSTDEV SOURCE(domain, bus, "0", "0") ADDRESS(guestBus) "</hostdev>"
/* Functions of 0002:03:00.0 */
#define VF(function) HOSTDEV SOURCE("2", "3", "0", function) "</hostdev>"
#define VF_AT(function, guestBus) HOSTDEV SOURCE("2", "3", "0", function) ADDRESS(guestBus) "</hostdev>"
#define SPARE(count)                                                                               \
    "<iommu model='smmuv3' nested='yes'><placement sparePorts='" count "'/></iommu>"
#define PORT(index) "<controller type='pci' index='" index "' model='pcie-root-port'/>"
#define NESTED "<iommu model='smmuv3' nested='yes'/>"

/* grace: 0002:01:00.0, 0002:03:00.0 and 0000:01:00.0 are behind one SMMU, 0006:01:00.0 and 0007:01:00.0 behind
 * another, 0003:01:00.0 and 0009:01:00.0 behind two more. */
#define GRACE_DOMAIN HEAD DEVICE("2", "1") SPARE("3") TAIL

#define ON_NETWORK(name) "<interface type='network'><source network='" name "'/></interface>"

#define HOSTDEV_NETWORK "<network><name>fast</name><forward mode='hostdev'><pf dev='enP2p3s0np0'/></forward></network>"
#define NAT_NETWORK "<network><name>fast</name><forward mode='nat'/></network>"

/* One that asks, and is placed on grace. */
#define ASKING HEAD DEVICE("2", "1") NESTED TAIL

/* What is answered. */
typedef struct {
    const char *host;     /* one of hosts/; NULL: it cannot be read, "no host here" */
    const char *manifest; /* what is in such a file, instead of it; NULL: nothing */
    viommuPolicy policy;
    uint64_t libvirt;     /* versions; 0: an error */
    uint64_t qemu;
    const char *network;  /* XML for every network; NULL: the error "not here" */
    const char *live;     /* the domain; NULL: an error */
    const char *inactive; /* the same, as it will be */
    bool marks;           /* there is markHost, which gives: */
    const char *mark;
} testWorld;

/* That host, below libvirt 12.8 and QEMU 11.1, with no networks and no domains. */
testWorld testWorldOf(const char *host);

typedef struct {
    viommuRewriteVerdict verdict;
    char *text;  /* of REPLACE, else NULL */
    char *words; /* of REPLACE and REFUSE, else NULL */
    char *name;
    char *asked; /* in this order: "network fast, host, libvirt, qemu"; host: it was read */
} testOutcome;

void testOutcomeFree(testOutcome *outcome);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(testOutcome, testOutcomeFree)

/* Runs until there is a verdict, and once more, which gives the same without a question. @len may be -1. @peer is
 * that of a connection; NULL: of a new one. Free with testOutcomeFree. */
testOutcome *testRewrite(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                         gssize len, viommuPeer *peer);

/* The same with a verdict that is expected; @asked NULL: no matter. */
void testPasses(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                const char *asked);
void testRefuses(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                 const char *words);
void testReplaces(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                  const char *expected);

/* That @outcome is a refusal that begins with @words; NULL: that it passes. */
void testBegins(const testOutcome *outcome, const char *words);

/* What libvirt has of the domain @text once it was placed: ports come behind their bus, so that with GRACE_DOMAIN the
 * vSMMU is on 1, the device in 2, and 3, 4 and 5 are free. Free with g_free, as all texts. */
char *testPlace(const testWorld *world, const char *text);

/* @domain with more devices. */
char *testAdd(const char *domain, const char *devices);

/* What is in the file of that one of hosts/. */
char *testManifest(const char *host);

/* The file of that name of qemuxml2argvdata, or NULL. */
char *testGoldenRead(const char *name);

/* @text with its one @from changed into @to. */
char *testChange(const char *text, const char *from, const char *to);
