/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ACPI IO Remapping Table (Arm DEN 0049E): of it, the PCI root complexes, the SMMUv3s, and
 * which requester of which root complex comes out at which SMMU. Pure: bytes in, data out.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory access flag of a root complex: its devices' accesses are cacheable, write-back and
 * shareable, whatever the device asks for (ACPI_IORT_MF_CANWBS in Linux' include/acpi/actbl2.h). */
#define VIR_IORT_MEMORY_CANWBS 0x4

/* ATS attribute of a root complex: its devices may use ATS (ACPI_IORT_ATS_SUPPORTED, there). */
#define VIR_IORT_ATS_SUPPORTED 0x1

/* The model of SMMUv3s that are as Arm specifies them (ACPI_IORT_SMMU_V3_GENERIC). */
#define VIR_IORT_MODEL_GENERIC 0

/* Where the requesters from @inputBase on go. */
typedef struct {
    uint32_t inputBase;
    uint32_t more;       /* number of requesters, less one */
    uint32_t outputNode; /* offset of the node in the table */
    bool single;         /* all requesters, whatever inputBase and more say */
} virIORTMapping;

typedef struct {
    uint32_t segment;
    uint8_t memoryFlags;
    uint32_t atsAttribute;
    GArray *mappings; /* of virIORTMapping, as they stand */
} virIORTRootComplex;

typedef struct {
    uint32_t offset; /* of its node in the table */
    uint32_t identifier;
    uint32_t model;
    uint64_t base; /* address of its registers */
} virIORTSMMU;

typedef struct {
    GPtrArray *rootComplexes; /* of virIORTRootComplex, as they stand */
    GPtrArray *smmus;         /* of virIORTSMMU, as they stand */
} virIORT;

/* Reads the table of @len bytes. Anything can be in it; NULL, with @error (VIOMMU_ERROR_HOST),
 * unless its length, checksum, nodes and mappings are in order. Free with virIORTFree. */
virIORT *virIORTParse(const uint8_t *data, size_t len, GError **error);

void virIORTFree(virIORT *iort);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virIORT, virIORTFree)

/* The SMMUv3 to which @complex sends requester @rid (bus, slot and function in 16 bits), or NULL.
 */
const virIORTSMMU *virIORTMap(const virIORT *iort, const virIORTRootComplex *complex, uint16_t rid);
