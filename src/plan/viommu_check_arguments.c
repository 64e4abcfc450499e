/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Placements in the words of a libvirt that knows no buses of vSMMUs: there these and their ports are arguments of
 * QEMU, and each device is moved below its port by <qemu:override>. Nothing notes for which SMMU a vSMMU was made, but
 * devices of several below one are seen (V01).
 */
#include "viommu_check_priv.h"

#include <string.h>

/* The value of @key in "driver,key=value,..."; NULL: not there. Free with g_free. */
static char *
valueOf(char *const *words, const char *key)
{
    size_t len = strlen(key);

    for (; *words; words++) {
        if (strncmp(*words, key, len) == 0 && (*words)[len] == '=')
            return g_strdup(*words + len + 1);
    }
    return NULL;
}

/* Root ports of <qemu:commandline>: id -> id of the bus that they are on. */
static GHashTable *
readPorts(const viommuDomain *dom)
{
    GHashTable *ports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const xmlNode *commandline = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "commandline");
    const xmlNode *node;

    for (node = viommuXMLChildNS(commandline, VIOMMU_NS_QEMU, "arg"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "arg")) {
        const char *value = viommuXMLAttr(node, "value");
        g_auto(GStrv) words = NULL;
        g_autofree char *id = NULL;
        g_autofree char *bus = NULL;

        if (!value || !g_str_has_prefix(value, "pcie-root-port,"))
            continue;
        words = g_strsplit(value, ",", -1);
        id = valueOf(words, "id");
        bus = valueOf(words, "bus");
        if (id && bus)
            g_hash_table_insert(ports, g_steal_pointer(&id), g_steal_pointer(&bus));
    }
    return ports;
}

/* What <qemu:override> says of "bus": alias of a device -> id of the port, both borrowed from @dom. */
static GHashTable *
readMoves(const viommuDomain *dom)
{
    GHashTable *moves = g_hash_table_new(g_str_hash, g_str_equal);
    const xmlNode *override = viommuXMLChildNS(dom->root, VIOMMU_NS_QEMU, "override");
    const xmlNode *device;
    const xmlNode *node;

    for (device = viommuXMLChildNS(override, VIOMMU_NS_QEMU, "device"); device;
         device = viommuXMLNextNS(device, VIOMMU_NS_QEMU, "device")) {
        const xmlNode *frontend = viommuXMLChildNS(device, VIOMMU_NS_QEMU, "frontend");
        const char *alias = viommuXMLAttr(device, "alias");

        for (node = viommuXMLChildNS(frontend, VIOMMU_NS_QEMU, "property"); alias && node;
             node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
            const char *value = viommuXMLAttr(node, "value");

            if (value && g_strcmp0(viommuXMLAttr(node, "name"), "bus") == 0)
                g_hash_table_insert(moves, (void *)alias, (void *)value);
        }
    }
    return moves;
}

void
viommuCheckArguments(viommuChecker *checker)
{
    static const char words[] = "QEMU starts, and every device below that vSMMU fails in the guest: IOMMU_VDEVICE_ALLOC "
                                "failed: Invalid argument, Failed to install STE, then endless CMD_SYNC timeouts";
    const viommuDomain *dom = checker->dom;
    g_autoptr(GHashTable) ports = dom->madeArguments ? readPorts(dom) : NULL;
    g_autoptr(GHashTable) moves = dom->madeArguments ? readMoves(dom) : NULL;
    g_autoptr(GHashTable) firsts = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *anew = viommuCheckAnew(dom, "");
    size_t i;

    for (i = 0; ports && i < checker->seats->len; i++) {
        viommuCheckSeat *seat = g_ptr_array_index(checker->seats, i);
        const char *port = seat->device && seat->device->alias ? g_hash_table_lookup(moves, seat->device->alias) : NULL;
        char *bus = port ? g_hash_table_lookup(ports, port) : NULL;
        const viommuCheckSeat *first = bus ? g_hash_table_lookup(firsts, bus) : NULL;

        if (!bus || !seat->host || !seat->host->smmu)
            continue;
        if (!first)
            g_hash_table_insert(firsts, bus, seat);
        else if (first->host->smmu != seat->host->smmu)
            viommuFindingsAdd(checker->findings, "V01", VIOMMU_SEVERITY_ERROR, seat->line, words, anew,
                              "%s is behind '%s', but below the same vSMMU (of expander bus '%s' in "
                              "<qemu:commandline>) as %s (line %u), which is behind '%s'", seat->what, seat->host->smmu->name, bus, first->what,
                              first->line, first->host->smmu->name);
    }
}
