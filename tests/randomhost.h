/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Made-up hosts by seed, as manifests: SMMUs of several kinds, segments, NUMA nodes, groups, virtual
 * functions, and some devices that nobody can pass through. It knows what it made, so that tests need not
 * ask the code under test.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    RANDOM_DEVICE_GOOD,
    RANDOM_DEVICE_PORT,         /* a root port: no endpoint */
    RANDOM_DEVICE_UNTRANSLATED, /* behind no IOMMU */
    RANDOM_DEVICE_GROUPED,      /* shares its group */
    RANDOM_DEVICE_DIRECT,       /* has a direct region */
    RANDOM_DEVICE_ALIASED,      /* behind a conventional bridge */
} randomDeviceKind;

typedef struct {
    char *name;    /* "0002:01:00.0" */
    unsigned segment, bus, slot, function;
    randomDeviceKind kind;
    int smmu;      /* index; -1: none */
    int parent;    /* index of the port above; -1: none */
    int physfn;    /* index; -1: no VF */
    unsigned group;
    int numaNode;
    char *path;    /* below the root: "sys/devices/pci0002:00/..." */
    uint64_t bar;  /* bytes of its 64-bit BAR, 0: none */
} randomDevice;

typedef struct {
    char *name;
    char *path;
    bool v3;       /* an SMMUv3 */
    bool probed;   /* the fields below are in the manifest */
    bool nests;
    bool ats;
    bool ril;
    unsigned ssidBits;
    unsigned outputBits;
    bool cmdqv;
    int numaNode;
} randomSMMU;

typedef struct {
    GPtrArray *smmus;   /* of randomSMMU */
    GPtrArray *devices; /* of randomDevice */
    GPtrArray *lines;   /* of char *: the manifest */
} randomHost;

randomHost *randomHostNew(GRand *rand);
void randomHostFree(randomHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(randomHost, randomHostFree)

/* True if a guest can have devices behind @smmu below an accel vSMMU. */
bool randomSMMUIsGood(const randomSMMU *smmu);

/* True if @device can be passed through below an accel vSMMU. */
bool randomDeviceIsGood(const randomHost *host, const randomDevice *device);

/* The device of that address, or NULL. */
const randomDevice *randomHostFind(const randomHost *host, const char *name);

/* The manifest, its lines in random order if @shuffle is not NULL. */
char *randomHostManifest(const randomHost *host, GRand *shuffle);

/* True in @percent of the cases. */
bool randomChance(GRand *rand, int percent);

/* Puts the pointers of @array into random order. */
void randomShuffle(GPtrArray *array, GRand *rand);
