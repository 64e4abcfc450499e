/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An expanded domain as the mutations see it: a libxml2 tree and what stands where in the guest. It shares
 * nothing with the code under test.
 */
#pragma once

#include "randomhost.h"

#include <libxml/tree.h>

/* A PCI controller. */
typedef struct {
    xmlNode *node;
    const char *model;
    unsigned index;
    bool hasAddr;
    unsigned bus, slot, function; /* 0 where it has no address */
    int busNr;
    unsigned chassis;
    unsigned users; /* controllers and devices on it */
} mutantBus;

/* A device with a PCI address. */
typedef struct {
    xmlNode *node;
    const randomDevice *host; /* NULL: emulated, or by a network */
    bool network;
    unsigned bus, slot, function;
    int top;                  /* index of the expander bus above; 0: pcie.0; -1: nothing */
} mutantSeat;

typedef struct {
    xmlNode *node;
    xmlNode *driver;
    int pciBus; /* -1: none */
} mutantIOMMU;

typedef struct {
    const randomHost *host;
    GRand *rand;
    xmlDoc *doc;
    xmlNode *root;
    xmlNode *devices;
    GArray *buses;    /* of mutantBus */
    GArray *assigned; /* of mutantSeat */
    GArray *emulated; /* of mutantSeat */
    GArray *iommus;   /* of mutantIOMMU, model smmuv3 */
} mutant;

/* Reads @xml, which is well-formed. mutantClear frees what it holds. */
void mutantInit(mutant *mut, const char *xml, const randomHost *host, GRand *rand);
void mutantClear(mutant *mut);

/* The document as it is now. */
char *mutantFormat(const mutant *mut);

xmlNode *mutantChild(const xmlNode *parent, const char *name);
/* The child, made if there is none. */
xmlNode *mutantNeedChild(xmlNode *parent, const char *name);
void mutantRemove(xmlNode *node);
void mutantSet(xmlNode *node, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
char *mutantGet(const xmlNode *node, const char *name);
/* Gives @node the guest address, whatever it has now. */
void mutantSetAddr(xmlNode *node, unsigned bus, unsigned slot, unsigned function);

mutantBus *mutantFindBus(const mutant *mut, unsigned index);
/* The expander bus above @index (or itself), 0 for pcie.0, -1 if nothing leads there. */
int mutantTop(const mutant *mut, unsigned index);
mutantIOMMU *mutantFindIOMMU(const mutant *mut, int pciBus);
/* A slot of bus @bus where nothing is; 0 to 31, from 1 on pcie.0. -1: none. */
int mutantFreeSlot(const mutant *mut, unsigned bus);
/* A function of slot 0 of port @bus where nothing is; -1: none. */
int mutantFreeFunction(const mutant *mut, unsigned bus);
/* An index that no controller has and no address names; -1: none. */
int mutantFreeIndex(const mutant *mut);
unsigned mutantCountBelow(const mutant *mut, int top);

/* A random one for which @test holds (all of them if it is NULL), or NULL. @data is for @test. */
mutantSeat *mutantPickSeat(const mutant *mut, bool (*test)(const mutant *, const mutantSeat *, const void *),
                           const void *data);
mutantBus *mutantPickBus(const mutant *mut, bool (*test)(const mutant *, const mutantBus *, const void *),
                         const void *data);
mutantIOMMU *mutantPickIOMMU(const mutant *mut,
                             bool (*test)(const mutant *, const mutantIOMMU *, const void *),
                             const void *data);
