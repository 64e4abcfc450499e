/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the IORT. Nodes stand one behind the other, and each says how long it is, so that every
 * step goes forward; nodes of other kinds are stepped over.
 */
#include "viriort.h"

#include "viommuerror.h"

#include <string.h>

/* The header of all ACPI tables with this one's three fields (DEN 0049E, table 2). */
#define HEADER_SIZE 48
#define HEADER_LENGTH 4
#define HEADER_NODES 36
#define HEADER_FIRST 40

/* The beginning of every node (table 3). */
#define NODE_SIZE 16
#define NODE_LENGTH 1
#define NODE_IDENTIFIER 4
#define NODE_MAPPINGS 8
#define NODE_FIRST_MAPPING 12

#define TYPE_ROOT_COMPLEX 2
#define TYPE_SMMUV3 4

/* A root complex (table 13), up to what its oldest revision has. */
#define COMPLEX_MEMORY_FLAGS 23
#define COMPLEX_ATS 24
#define COMPLEX_SEGMENT 28
#define COMPLEX_SIZE 32

/* An SMMUv3 (table 9), up to the last that is read here. */
#define SMMU_BASE 16
#define SMMU_MODEL 40
#define SMMU_SIZE 44

/* An ID mapping (table 4). */
#define MAPPING_MORE 4
#define MAPPING_NODE 12
#define MAPPING_FLAGS 16
#define MAPPING_SIZE 20
#define MAPPING_SINGLE 0x1

static uint32_t
read16(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8;
}

static uint32_t
read32(const uint8_t *at)
{
    return read16(at) | read16(at + 2) << 16;
}

static uint64_t
read64(const uint8_t *at)
{
    return read32(at) | (uint64_t)read32(at + 4) << 32;
}

static void
complexFree(void *data)
{
    virIORTRootComplex *complex = data;

    g_array_unref(complex->mappings);
    g_free(complex);
}

void
virIORTFree(virIORT *iort)
{
    if (!iort)
        return;
    g_ptr_array_unref(iort->rootComplexes);
    g_ptr_array_unref(iort->smmus);
    g_free(iort);
}

static bool
checkHeader(const uint8_t *data, size_t len, GError **error)
{
    uint8_t sum = 0;
    size_t i;

    if (len < HEADER_SIZE || memcmp(data, "IORT", 4) != 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "the IORT does not begin as one");
        return false;
    }
    if (read32(data + HEADER_LENGTH) != len) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "the IORT says that it has %u bytes, and has %zu", read32(data + HEADER_LENGTH),
                    len);
        return false;
    }
    for (i = 0; i < len; i++)
        sum = (uint8_t)(sum + data[i]);
    if (sum)
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "the checksum of the IORT is wrong");
    return sum == 0;
}

/* Reads the root complex in the @len bytes of a node. */
static bool
addComplex(virIORT *iort, const uint8_t *node, size_t len)
{
    virIORTRootComplex *complex;
    size_t count = read32(node + NODE_MAPPINGS);
    size_t first = read32(node + NODE_FIRST_MAPPING);
    size_t i;

    if (len < COMPLEX_SIZE ||
        (count && (first < COMPLEX_SIZE || first > len || count > (len - first) / MAPPING_SIZE)))
        return false;
    complex = g_new0(virIORTRootComplex, 1);
    complex->segment = read32(node + COMPLEX_SEGMENT);
    complex->memoryFlags = node[COMPLEX_MEMORY_FLAGS];
    complex->atsAttribute = read32(node + COMPLEX_ATS);
    complex->mappings = g_array_new(FALSE, FALSE, sizeof(virIORTMapping));
    g_ptr_array_add(iort->rootComplexes, complex);
    for (i = 0; i < count; i++) {
        const uint8_t *at = node + first + i * MAPPING_SIZE;
        const virIORTMapping mapping = {
            .inputBase = read32(at),
            .more = read32(at + MAPPING_MORE),
            .outputNode = read32(at + MAPPING_NODE),
            .single = (read32(at + MAPPING_FLAGS) & MAPPING_SINGLE) != 0,
        };

        g_array_append_val(complex->mappings, mapping);
    }
    return true;
}

static bool
addSMMU(virIORT *iort, const uint8_t *node, size_t len, size_t offset)
{
    virIORTSMMU *smmu;

    if (len < SMMU_SIZE)
        return false;
    smmu = g_new0(virIORTSMMU, 1);
    smmu->offset = (uint32_t)offset;
    smmu->identifier = read32(node + NODE_IDENTIFIER);
    smmu->model = read32(node + SMMU_MODEL);
    smmu->base = read64(node + SMMU_BASE);
    g_ptr_array_add(iort->smmus, smmu);
    return true;
}

/* Reads the node at @offset of the table; *ret_len is its length. */
static bool
addNode(virIORT *iort, const uint8_t *data, size_t len, size_t offset, size_t *ret_len)
{
    const uint8_t *node = data + offset;

    if (offset > len || len - offset < NODE_SIZE)
        return false;
    *ret_len = read16(node + NODE_LENGTH);
    if (*ret_len < NODE_SIZE || *ret_len > len - offset)
        return false;
    if (node[0] == TYPE_ROOT_COMPLEX)
        return addComplex(iort, node, *ret_len);
    return node[0] != TYPE_SMMUV3 || addSMMU(iort, node, *ret_len, offset);
}

virIORT *
virIORTParse(const uint8_t *data, size_t len, GError **error)
{
    g_autoptr(virIORT) iort = NULL;
    size_t offset, nodeLen = 0;
    uint32_t i, nodes;

    if (!checkHeader(data, len, error))
        return NULL;
    iort = g_new0(virIORT, 1);
    iort->rootComplexes = g_ptr_array_new_with_free_func(complexFree);
    iort->smmus = g_ptr_array_new_with_free_func(g_free);
    nodes = read32(data + HEADER_NODES);
    offset = read32(data + HEADER_FIRST);
    if (offset < HEADER_SIZE) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    "the nodes of the IORT begin in its header");
        return NULL;
    }
    for (i = 0; i < nodes; i++, offset += nodeLen) {
        if (!addNode(iort, data, len, offset, &nodeLen)) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                        "node %u of the IORT, at byte %zu, is cut short or too small", i, offset);
            return NULL;
        }
    }
    return g_steal_pointer(&iort);
}

static const virIORTSMMU *
findSMMU(const virIORT *iort, uint32_t offset)
{
    size_t i;

    for (i = 0; i < iort->smmus->len; i++) {
        const virIORTSMMU *smmu = g_ptr_array_index(iort->smmus, i);

        if (smmu->offset == offset)
            return smmu;
    }
    return NULL;
}

const virIORTSMMU *
virIORTMap(const virIORT *iort, const virIORTRootComplex *complex, uint16_t rid)
{
    uint32_t node = 0;
    size_t i;

    /* As iort_id_map() and iort_node_map_id() in Linux' drivers/acpi/arm64/iort.c: there is
     * firmware that writes the number of requesters where one less belongs. A mapping of which @rid
     * is the last thus gives way to a later one of which it is the first. */
    for (i = 0; i < complex->mappings->len; i++) {
        const virIORTMapping *mapping = &g_array_index(complex->mappings, virIORTMapping, i);
        uint32_t into = rid - mapping->inputBase;

        if (!mapping->single &&
            (rid < mapping->inputBase || into > mapping->more || (node && into != 0)))
            continue;
        node = mapping->outputNode;
        if (mapping->single || into < mapping->more || mapping->more == 0)
            break;
    }
    return findSMMU(iort, node);
}
