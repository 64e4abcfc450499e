/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests of clients that cannot write nested='yes': OpenStack Nova's extra specs, which it copies into
 * the metadata of every domain, and the policy of whoever runs the service. What an <iommu> or our own
 * metadata says is stronger.
 */
#include "viommu_conf_priv.h"

#include <string.h>

/* LibvirtConfigGuestMetaNovaInstance of nova/virt/libvirt/config.py; "1.1" follows in Nova 34. */
#define NOVA_NS "http://openstack.org/xmlns/libvirt/nova/"

#define SPEC_PREFIX "viommu:"

/* Extra specs, and the word of a request that each stands for. */
static const struct {
    const char *spec;
    const char *word;
} specs[] = {
    { "viommu:nested", "nested" },       { "viommu:cmdqv", "cmdqv" },
    { "viommu:ats", "ats" },             { "viommu:ril", "ril" },
    { "viommu:ssidsize", "ssidsize" },   { "viommu:oas", "oas" },
    { "viommu:spare_ports", "sparePorts" }, { "viommu:pref64_reserve", "pref64Reserve" },
    { "viommu:mem_reserve", "memReserve" }, { "viommu:smmus", "smmus" },
};

typedef struct {
    unsigned line;
    char *text;
} specValue;

static void
specFree(void *data)
{
    specValue *value = data;

    g_free(value->text);
    g_free(value);
}

static bool
isNova(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && node->ns && strcmp((const char *)node->name, name) == 0 &&
           g_str_has_prefix((const char *)node->ns->href, NOVA_NS);
}

/* The first child of Nova's of that name, or NULL. */
static const xmlNode *
novaChild(const xmlNode *parent, const char *name)
{
    const xmlNode *node;

    for (node = parent ? parent->children : NULL; node; node = node->next) {
        if (isNova(node, name))
            return node;
    }
    return NULL;
}

/* Adds the named texts of @list, NAME elements with an attribute name, to @table: name -> specValue. */
static void
readTexts(const viommuDomain *dom, const xmlNode *list, const char *element, GHashTable *table)
{
    const xmlNode *node;

    for (node = list ? list->children : NULL; node; node = node->next) {
        const char *name = isNova(node, element) ? viommuXMLAttr(node, "name") : NULL;
        g_autofree char *text = name ? viommuXMLContent(node) : NULL;
        specValue *value;

        if (!name)
            continue;
        value = g_new0(specValue, 1);
        value->line = viommuXMLLine(dom->xml, node);
        value->text = text ? g_steal_pointer(&text) : g_strdup("");
        g_hash_table_insert(table, (void *)name, value);
    }
}

static GHashTable *
readFlavor(const viommuDomain *dom, const xmlNode *instance)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, specFree);

    readTexts(dom, novaChild(novaChild(instance, "flavor"), "extraSpecs"), "extraSpec", table);
    return table;
}

static const char *
getSpec(const void *data, const char *word, unsigned *ret_line)
{
    GHashTable *table = (GHashTable *)data;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(specs); i++) {
        const specValue *value =
            strcmp(specs[i].word, word) == 0 ? g_hash_table_lookup(table, specs[i].spec) : NULL;

        if (value) {
            *ret_line = value->line;
            return value->text;
        }
    }
    return NULL;
}

/* Words that mean nothing get the names that they have in the flavor. */
static void
nameSpecs(GPtrArray *strays)
{
    size_t i, j;

    for (i = 0; i < strays->len; i++) {
        viommuStray *stray = g_ptr_array_index(strays, i);

        for (j = 0; j < G_N_ELEMENTS(specs); j++) {
            if (strcmp(stray->name, specs[j].word) != 0)
                continue;
            g_free(stray->name);
            stray->name = g_strdup(specs[j].spec);
            break;
        }
    }
}

/* Specs of our prefix that nobody knows. */
static void
findUnknown(viommuDomain *dom, GHashTable *table)
{
    const char *known[G_N_ELEMENTS(specs) + 1] = { 0 };
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(table), (GCompareFunc)strcmp);
    const GList *item;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(specs); i++)
        known[i] = specs[i].spec;
    for (item = names; item; item = item->next) {
        const specValue *value = g_hash_table_lookup(table, item->data);

        if (g_str_has_prefix(item->data, SPEC_PREFIX) && !g_strv_contains(known, item->data))
            viommuConfAddUnknown(dom->strays, value->line, item->data, value->text, known);
    }
}

/* Did Nova choose the model by itself? It then writes virtio (nova/virt/libvirt/driver.py,
 * _get_guest_iommu_config), with libvirt 8.3 or newer. The flavor is stronger than the image. */
static bool
isModelAutomatic(const viommuDomain *dom, const xmlNode *instance, GHashTable *flavor)
{
    g_autoptr(GHashTable) image =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, specFree);
    const specValue *value = g_hash_table_lookup(flavor, "hw:viommu_model");

    if (!value) {
        readTexts(dom, novaChild(novaChild(instance, "image"), "properties"), "property", image);
        value = g_hash_table_lookup(image, "hw_viommu_model");
    }
    return value && strcmp(value->text, "auto") == 0;
}

static const xmlNode *
findInstance(const viommuDomain *dom)
{
    return novaChild(viommuXMLChild(dom->root, "metadata"), "instance");
}

/* Is this <iommu> one that may stand for the request? One that names a bus, or accelerates, was placed by
 * hand. */
static bool
isPlain(const viommuIOMMU *iommu)
{
    return strcmp(iommu->model, "smmuv3") == 0 && iommu->pciBus == VIOMMU_UNSET &&
           iommu->accel == VIOMMU_UNSET && iommu->nested == VIOMMU_UNSET;
}

/* What is not said in @request, @iommu says. */
static void
complete(viommuFeatures *request, const viommuFeatures *iommu)
{
    if (request->cmdqv == VIOMMU_UNSET)
        request->cmdqv = iommu->cmdqv;
    if (request->ats == VIOMMU_UNSET)
        request->ats = iommu->ats;
    if (request->ril == VIOMMU_UNSET)
        request->ril = iommu->ril;
    if (request->ssidsize == VIOMMU_UNSET)
        request->ssidsize = iommu->ssidsize;
    if (request->oas == VIOMMU_UNSET)
        request->oas = iommu->oas;
}

/* Lets the plain <iommu> elements stand for @request, and complete it. */
static void
takeOver(viommuDomain *dom, viommuIOMMU *request, bool modelAutomatic)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (modelAutomatic && strcmp(iommu->model, "virtio") == 0) {
            g_free(iommu->model);
            iommu->model = g_strdup("smmuv3");
            iommu->automatic = true;
        }
        if (!isPlain(iommu))
            continue;
        iommu->nested = 1;
        request->line = iommu->line;
        complete(&request->features, &iommu->features);
    }
    viommuConfAddRequest(dom, request);
}

/* What the specs say of the request. */
static void
readWords(viommuDomain *dom, GHashTable *flavor, viommuIOMMU *request)
{
    viommuConfReadFeatures(getSpec, flavor, &request->features, dom->strays);
    viommuConfReadPlacement(getSpec, flavor, &request->sparePorts, &request->reserve, &request->allSMMUs,
                            dom->strays);
    nameSpecs(dom->strays);
}

void
viommuConfAskExtraSpecs(viommuDomain *dom)
{
    const xmlNode *instance = findInstance(dom);
    g_autoptr(GHashTable) flavor = NULL;
    viommuIOMMU request = { .pciBus = VIOMMU_UNSET };
    const specValue *nested;

    if (!instance)
        return;
    flavor = readFlavor(dom, instance);
    nested = g_hash_table_lookup(flavor, "viommu:nested");
    dom->keptOut = nested && viommuConfYesNo(nested->text) == 0;
    if (dom->keptOut)
        return;
    findUnknown(dom, flavor);
    /* A misspelt one asks for something too; the planner refuses it. */
    if (!nested && !dom->strays->len)
        return;
    request.line = nested ? nested->line : ((viommuStray *)g_ptr_array_index(dom->strays, 0))->line;
    if (nested && viommuConfYesNo(nested->text) == VIOMMU_BAD)
        viommuConfAddStray(dom->strays, nested->line, "viommu:nested", nested->text, NULL);
    readWords(dom, flavor, &request);
    dom->bySpecs = true;
    takeOver(dom, &request, isModelAutomatic(dom, instance, flavor));
}

static bool
hasHostDevice(const viommuDomain *dom, bool orNetwork)
{
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);

        if (dev->kind == VIOMMU_DEVICE_ASSIGNED || (orNetwork && dev->network))
            return true;
    }
    return false;
}

/* What stands beside: with AARCH64 also nothing at all. */
static bool
iommusFit(const viommuDomain *dom, viommuPolicy policy, bool modelAutomatic)
{
    bool found = false;
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (policy == VIOMMU_POLICY_AARCH64 && modelAutomatic &&
            strcmp(iommu->model, "virtio") == 0)
            continue;
        if (!isPlain(iommu))
            return false;
        found = true;
    }
    return found || policy == VIOMMU_POLICY_AARCH64;
}

static bool
novaModelIsAutomatic(const viommuDomain *dom)
{
    const xmlNode *instance = findInstance(dom);
    g_autoptr(GHashTable) flavor = instance ? readFlavor(dom, instance) : NULL;

    return instance && isModelAutomatic(dom, instance, flavor);
}

static bool
fits(const viommuDomain *dom, viommuPolicy policy, bool orNetwork)
{
    if (policy == VIOMMU_POLICY_OFF || dom->keptOut || dom->metadata || viommuDomainIsRequest(dom))
        return false;
    return g_strcmp0(dom->arch, "aarch64") == 0 && dom->virtType != VIOMMU_VIRT_OTHER &&
           (g_strcmp0(dom->machine, "virt") == 0 ||
            (dom->machine && g_str_has_prefix(dom->machine, "virt-"))) &&
           hasHostDevice(dom, orNetwork) && iommusFit(dom, policy, novaModelIsAutomatic(dom));
}

bool
viommuPolicyParse(const char *name, viommuPolicy *ret_policy)
{
    static const char *const names[] = {
        [VIOMMU_POLICY_OFF] = "off",
        [VIOMMU_POLICY_SMMUV3] = "smmuv3",
        [VIOMMU_POLICY_AARCH64] = "aarch64",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_policy = (viommuPolicy)i;
            return true;
        }
    }
    return false;
}

bool
viommuDomainFitsPolicy(const viommuDomain *dom, viommuPolicy policy)
{
    return fits(dom, policy, true);
}

void
viommuDomainApplyPolicy(viommuDomain *dom, viommuPolicy policy)
{
    viommuIOMMU request = { .line = viommuXMLLine(dom->xml, dom->devicesNode),
                            .pciBus = VIOMMU_UNSET,
                            .features = { VIOMMU_UNSET, VIOMMU_UNSET, VIOMMU_UNSET, VIOMMU_UNSET,
                                          VIOMMU_UNSET } };
    const xmlNode *instance;
    g_autoptr(GHashTable) flavor = NULL;

    if (!fits(dom, policy, false))
        return;
    instance = findInstance(dom);
    flavor = instance ? readFlavor(dom, instance) : NULL;
    if (flavor)
        readWords(dom, flavor, &request);
    dom->byPolicy = true;
    takeOver(dom, &request, policy == VIOMMU_POLICY_AARCH64 && novaModelIsAutomatic(dom));
}
