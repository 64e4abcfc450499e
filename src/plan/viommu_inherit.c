/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a domain takes over from the one in whose place it comes. No line break comes or goes: what is wrong with the
 * domain is told with lines of the user's own file.
 */
#include "viommu_inherit.h"

#include "viommu_expand_priv.h"

#include <string.h>

/* Text that goes into the document, in the place of what stands there from at to end. */
typedef struct {
    size_t at;
    size_t end;
    char *text;
} insertion;

static void
insertionClear(void *data)
{
    g_free(((insertion *)data)->text);
}

bool
viommuInheritWants(const viommuDomain *dom)
{
    return dom->uuid && g_uuid_string_is_valid(dom->uuid) && dom->requests->len && !dom->metadata && !dom->bySpecs &&
           !dom->byPolicy;
}

/* Marks the indexes of what was made for @before. */
static bool
markMade(const viommuDomain *before, bool made[])
{
    bool some = false;
    size_t i;

    for (i = 0; i < before->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(before->controllers, i);

        if (!viommuDomainIsGenerated(before, there))
            continue;
        made[there->index] = true;
        some = true;
    }
    return some;
}

/* Does @dom have controllers of its own there, or anything on them? */
static bool
usesMade(const viommuDomain *dom, const bool made[])
{
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(dom->controllers, i);

        if (made[there->index] || (there->hasAddr && made[there->addr.bus]))
            return true;
    }
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        if (device->hasAddr && made[device->addr.bus])
            return true;
    }
    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->pciBus >= 0 && made[iommu->pciBus])
            return true;
    }
    return false;
}

/* In front of the end tag of @elem. False if it has none. */
static bool
insertInto(GArray *insertions, const viommuDomain *dom, const xmlNode *elem, char *text)
{
    const viommuSpan *span = viommuXMLSpan(dom->xml, elem);
    insertion item = { .at = span->contentEnd, .end = span->contentEnd, .text = text };

    if (span->content == span->end) {
        g_free(text);
        return false;
    }
    g_array_append_val(insertions, item);
    return true;
}

/* @elem of @before, in one line. */
static char *
copyElement(const viommuDomain *before, const xmlNode *elem)
{
    const viommuSpan *span = viommuXMLSpan(before->xml, elem);
    size_t len;
    const char *text = viommuXMLText(before->xml, &len);

    return g_strdelimit(expandSquash(text + span->begin, span->end - span->begin), "\r\n", ' ');
}

/* @text for @elem, with the line breaks of that. */
static void
insertFor(GArray *insertions, const viommuDomain *dom, const xmlNode *elem, const char *text)
{
    const viommuSpan *span = viommuXMLSpan(dom->xml, elem);
    GString *whole = g_string_new(text);
    insertion item = { .at = span->begin, .end = span->end };
    size_t len, i;

    for (i = span->begin; i < span->end; i++) {
        if (viommuXMLText(dom->xml, &len)[i] == '\n')
            g_string_append_c(whole, '\n');
    }
    item.text = g_string_free(whole, FALSE);
    g_array_append_val(insertions, item);
}

static char *
copyControllers(const viommuDomain *before)
{
    GString *out = g_string_new(NULL);
    size_t i;

    for (i = 0; i < before->controllers->len; i++) {
        const viommuController *there = g_ptr_array_index(before->controllers, i);
        g_autofree char *text = NULL;

        if (!viommuDomainIsGenerated(before, there))
            continue;
        text = copyElement(before, there->node);
        g_string_append(out, text);
    }
    return g_string_free(out, FALSE);
}

/* The notes of which vSMMU and which device these are. What is asked for is said by the domain itself. */
static char *
copyNotes(const viommuDomain *before)
{
    GString *out = g_string_new("<viommu:domain xmlns:viommu='" VIOMMU_NS "'>");
    size_t i, j;

    for (i = 0; i < before->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(before->placed, i);
        g_autofree char *smmu = viommuXMLEscape(placed->smmu);

        g_string_append_printf(out, "<viommu:vsmmu smmu=\"%s\" controller=\"%u\">", smmu, placed->controller);
        for (j = 0; j < placed->ports->len; j++) {
            const viommuPlacedPort *port = g_ptr_array_index(placed->ports, j);
            g_autofree char *device = viommuXMLEscape(port->device ? port->device : "");

            g_string_append_printf(out, "<viommu:port controller=\"%u\"", port->controller);
            if (port->device)
                g_string_append_printf(out, " device=\"%s\"", device);
            g_string_append(out, "/>");
        }
        g_string_append(out, "</viommu:vsmmu>");
    }
    g_string_append(out, "</viommu:domain>");
    return g_string_free(out, FALSE);
}

/* Did the user bring some of the buses or ports? Then they are in the new file too, or they are not. */
static bool
isAllMade(const viommuDomain *before)
{
    size_t i, j;

    for (i = 0; i < before->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(before->placed, i);

        for (j = 0; j < placed->ports->len; j++) {
            if (!((viommuPlacedPort *)g_ptr_array_index(placed->ports, j))->generated)
                return false;
        }
        if (!placed->generated)
            return false;
    }
    return true;
}

static bool
insertNotes(GArray *insertions, const viommuDomain *dom, const viommuDomain *before)
{
    const xmlNode *metadata = viommuXMLChild(dom->root, "metadata");
    g_autofree char *notes = copyNotes(before);

    if (metadata)
        return insertInto(insertions, dom, metadata, g_steal_pointer(&notes));
    return insertInto(insertions, dom, dom->root, g_strconcat("<metadata>", notes, "</metadata>", NULL));
}

/* Is there an address by which the user means a vSMMU? From another one the device was taken before, too. */
static bool
isPlacedByUser(const viommuDomain *dom, const viommuDevice *device)
{
    return device->hasAddr && viommuDomainFindExpander(dom, device->addr.bus);
}

/* Addresses of the host devices that both have. */
static void
insertAddresses(GArray *insertions, const viommuDomain *dom, const viommuDomain *before, const bool made[])
{
    g_autoptr(GHashTable) byKey = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;

    for (i = 0; i < before->devices->len; i++) {
        viommuDevice *device = g_ptr_array_index(before->devices, i);

        if (device->key && device->hasAddr && made[device->addr.bus])
            g_hash_table_insert(byKey, device->key, device);
    }
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);
        const viommuDevice *was = device->key ? g_hash_table_lookup(byKey, device->key) : NULL;

        g_autofree char *addr = was && !isPlacedByUser(dom, device) ? copyElement(before, was->addrNode) : NULL;

        if (addr && device->addrNode)
            insertFor(insertions, dom, device->addrNode, addr);
        else if (addr)
            insertInto(insertions, dom, device->node, g_steal_pointer(&addr));
    }
}

static int
compareInsertions(const void *a, const void *b)
{
    const insertion *one = a;
    const insertion *two = b;

    return one->at < two->at ? -1 : one->at > two->at;
}

static char *
insertAll(const viommuDomain *dom, GArray *insertions, size_t *ret_len)
{
    size_t len;
    const char *text = viommuXMLText(dom->xml, &len);
    GString *out = g_string_sized_new(len);
    size_t at = 0;
    size_t i;

    g_array_sort(insertions, compareInsertions);
    for (i = 0; i < insertions->len; i++) {
        const insertion *item = &g_array_index(insertions, insertion, i);

        g_string_append_len(out, text + at, (gssize)(item->at - at));
        g_string_append(out, item->text);
        at = item->end;
    }
    g_string_append_len(out, text + at, (gssize)(len - at));
    *ret_len = out->len;
    return g_string_free(out, FALSE);
}

char *
viommuInherit(const viommuDomain *dom, const viommuDomain *before, size_t *ret_len)
{
    bool made[VIOMMU_PCI_INDEX_MAX + 1] = { false };
    g_autoptr(GArray) insertions = g_array_new(FALSE, FALSE, sizeof(insertion));

    g_array_set_clear_func(insertions, insertionClear);
    if (!viommuInheritWants(dom) || !before->uuid || g_ascii_strcasecmp(dom->uuid, before->uuid) != 0 ||
        !isAllMade(before) || !markMade(before, made) || usesMade(dom, made) || !dom->devicesNode ||
        !insertNotes(insertions, dom, before) ||
        !insertInto(insertions, dom, dom->devicesNode, copyControllers(before)))
        return NULL;
    insertAddresses(insertions, dom, before, made);
    return insertAll(dom, insertions, ret_len);
}
