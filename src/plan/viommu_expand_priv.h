/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the expansion share. Each writes one kind of node, and only where it differs from what
 * stands there: an expanded document stays as it is.
 */
#pragma once

#include "viommu_expand.h"

/* What a libvirt has words for; the rest goes around it, through <qemu:override> and <qemu:commandline>. */
typedef struct {
    bool accel;         /* <driver accel=> of a vSMMU with its features, and <pcihole64> of "virt" */
    bool pciBus;        /* <driver pciBus=> */
    bool iommufd;       /* <iommufd> of the domain */
    bool deviceIommufd; /* not that, but <driver iommufd=> of a device */
} expandWords;

typedef struct {
    const viommuDomain *dom;
    const viommuPlan *plan;
    viommuDialect dialect;
    expandWords words;
    viommuEdits *edits;
    GPtrArray *ordered; /* of viommuVSMMU, borrowed: as they are numbered where there is no pciBus ... */
    unsigned numbers[VIOMMU_PCI_INDEX_MAX + 1]; /* ... and the numbers, by the index of expander bus and port */
    unsigned busNrs[VIOMMU_PCI_INDEX_MAX + 1];  /* by that of the expander bus: its first bus number */
    unsigned slots[VIOMMU_PCI_INDEX_MAX + 1];   /* and its slot of pcie.0 */
    unsigned places[VIOMMU_PCI_INDEX_MAX + 1];  /* by that of the port: EXPAND_SLOTS * function + slot on its bus */
    unsigned chassis[VIOMMU_PCI_INDEX_MAX + 1]; /* and its chassis number */
    GHashTable *aliases; /* viommuDevice -> its alias, where properties are to be set by it */
    bool declaredQemu;   /* the namespace was added to the root */
    GPtrArray *iommufdDevices; /* of char, borrowed: keys of devices whose <driver iommufd='yes'/> is ours */
    bool madeIommufd;  /* <iommufd> is ours */
    bool madeHole64;   /* <pcihole64> is ours ... */
    uint64_t userHole64KiB; /* ... over this one */
} expandState;

void expandControllers(expandState *state);
void expandIOMMUs(expandState *state);
void expandAliases(expandState *state);

/* False, with @error set, if numbers or places do not suffice for what is to be written as arguments of QEMU. */
bool expandNumbers(expandState *state, GError **error);
void expandCommandline(expandState *state); /* these two: after expandNumbers and expandAliases */
void expandOverride(expandState *state);
void expandMetadata(expandState *state); /* last: it notes what the others made */

/* Does <qemu:override> set what no expansion wrote for the device @alias, which therefore has to keep that name? */
bool expandOverrideHasOthers(const viommuDomain *dom, const char *alias);

/* What the user set there for @device and the expansion is to write, or NULL. */
const xmlNode *expandOverrideTaken(const expandState *state, const viommuDevice *device);

/* @text without the white space between tags. Free with g_free. */
char *expandSquash(const char *text, size_t len);

/* Whether @lines say what stands at @node, but for white space between tags. */
bool expandIsWritten(const expandState *state, const xmlNode *node, const char *lines);

/* viommu_expand_words.c */

/* QEMU's names for what libvirt does not know: of expander buses and ports, by their numbers, and of the object that
 * libvirt itself names so. */
#define EXPAND_ID "viommu."
#define EXPAND_IOMMUFD "iommufd0"

expandWords expandWordsOf(unsigned libvirt);

/* False, with @error set, if the plan has what cannot be said in these words. */
bool expandCanSay(const expandState *state, GError **error);

/* Whether @device needs an iommufd object that libvirt does not make: of a network's interface it takes no word. */
bool expandNeedsObject(const expandState *state, const viommuDevice *device);

/* The features of a vSMMU as QEMU spells them: the name of number @which, and its value, NULL if it is left to QEMU.
 * Free with g_free. */
#define EXPAND_FEATURES 5
char *expandFeature(const viommuFeatures *features, unsigned which, const char **ret_name);

/* viommu_expand_numbers.c */

#define EXPAND_SLOTS 32
#define EXPAND_FUNCTIONS 8

/* The devices of @vsmmu, each with a port of its own, by the places of these. Free with g_ptr_array_unref. */
GPtrArray *expandOrderDevices(const expandState *state, const viommuVSMMU *vsmmu);

/* viommu_expand_root.c */

/* What libvirt takes of pcie.0, at most: bus numbers from 0 up for it and all below it, and slots of those that the
 * domain does not name, also from the lowest up. */
void expandCountRoot(const viommuDomain *dom, unsigned *ret_buses, unsigned *ret_slots);

/* viommu_expand_iommus.c */

/* The alias of a vSMMU of which properties are set: the user's, if it has one. Free with g_free. */
char *expandSMMUAlias(const expandState *state, const viommuVSMMU *vsmmu);

/* The same of the vSMMU that libvirt would call iommuN where it has no alias; NULL: it cannot be told. */
char *expandSMMUAliasOf(const expandState *state, unsigned which);

/* viommu_expand_qemu.c */

/* What stands before the names of elements inside @node, which is one of QEMU's: "qemu:", or nothing where
 * that is the default namespace. Free with g_free. */
char *expandPrefixInside(const xmlNode *node);

/* The same for new ones at the root. */
char *expandPrefix(const expandState *state);

/* Adds an element of QEMU's with @lines in it at the end of the document. */
void expandAppendQemu(expandState *state, const char *name, const char *lines);

/* Whether @node is in @going, or everything in it is; what is in @staying is not. */
bool expandIsEmptied(const xmlNode *node, GHashTable *going, GHashTable *staying);

/* Whether @node has a comment of its own, which is the user's: so it stays. */
bool expandHasComment(const xmlNode *node);

/* Removes all below or at @node that is emptied, in as few pieces as can be. */
void expandRemove(expandState *state, const xmlNode *node, GHashTable *going, GHashTable *staying);
