/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads <iommu> elements, the request in them, and what an earlier expansion noted in <metadata>.
 */
#include "viommu_conf_priv.h"
#include "viommuerror.h"
#include "virtext.h"

#include <string.h>

/* Each vSMMU takes a bus of its own, of which there are so many beside bus 0. */
#define REQUESTS_MAX 255

#define SSIDSIZE_MAX 20 /* IDR1.SSIDSIZE, Arm IHI 0070 6.3.2; the range QEMU's SsidSizeMode takes */

/* What libvirt 12.8 knows of <driver> below <iommu>, and what we add to a request. */
static const char *const ours[] = { "pciBus", "accel", "cmdqv", "ats", "ril", "ssidsize", "oas", NULL };
static const char *const foreign[] = { "intremap", "caching_mode", "eim", "iotlb", "aw_bits",
                                       "dma_translation", "xtsup", "passthrough", NULL };

static void
strayFree(void *data)
{
    viommuStray *stray = data;

    g_free(stray->name);
    g_free(stray->value);
    g_free(stray);
}

void
viommuIOMMUFree(void *data)
{
    viommuIOMMU *iommu = data;

    if (!iommu)
        return;
    g_free(iommu->model);
    g_free(iommu->source);
    g_ptr_array_unref(iommu->strays);
    g_free(iommu);
}

void
viommuRequestFree(void *data)
{
    viommuRequest *request = data;

    g_free(request->smmu);
    g_free(request);
}

static void
placedPortFree(void *data)
{
    viommuPlacedPort *port = data;

    g_free(port->device);
    g_free(port);
}

void
viommuPlacedFree(void *data)
{
    viommuPlaced *placed = data;

    g_free(placed->smmu);
    g_ptr_array_unref(placed->ports);
    g_free(placed);
}

GPtrArray *
viommuConfStraysNew(void)
{
    return g_ptr_array_new_with_free_func(strayFree);
}

void
viommuConfAddStray(GPtrArray *strays, unsigned line, const char *name, const char *value,
                   const char *meant)
{
    viommuStray *stray = g_new0(viommuStray, 1);

    stray->line = line;
    stray->name = g_strdup(name);
    stray->value = g_strdup(value);
    stray->meant = meant;
    g_ptr_array_add(strays, stray);
}

const char *
viommuConfSimilarTo(const char *name, const char *const *known)
{
    size_t i;

    for (i = 0; known[i]; i++) {
        const char *a = name;
        const char *b = known[i];

        for (;; a++, b++) {
            while (*a == '_' || *a == '-')
                a++;
            while (*b == '_' || *b == '-')
                b++;
            if (!*a || !*b || g_ascii_tolower(*a) != g_ascii_tolower(*b))
                break;
        }
        if (!*a && !*b)
            return known[i];
    }
    return NULL;
}

void
viommuConfAddUnknown(GPtrArray *strays, unsigned line, const char *name, const char *value, const char *const *known)
{
    const char *meant = viommuConfSimilarTo(name, known);

    viommuConfAddStray(strays, line, name, value, meant);
    if (!meant)
        ((viommuStray *)g_ptr_array_index(strays, strays->len - 1))->near = virTextSimilar(name, known);
}

/* Attributes that libvirt does not know are dropped by it without a word. */
static void
findStrays(viommuIOMMU *iommu, unsigned line, const xmlNode *driver)
{
    const xmlAttr *attr;

    for (attr = driver ? driver->properties : NULL; attr; attr = attr->next) {
        const char *name = (const char *)attr->name;

        if (attr->ns || g_strv_contains((const gchar *const *)ours, name))
            continue;
        if (g_strv_contains((const gchar *const *)foreign, name))
            iommu->foreign = true;
        else
            viommuConfAddUnknown(iommu->strays, line, name, viommuXMLAttr(driver, name), ours);
    }
}

/* The same for an element of which @known are all attributes; one alone is what any other was to be. */
static void
findUnknown(viommuIOMMU *iommu, unsigned line, const xmlNode *elem, const char *const *known)
{
    const char *only = known[1] ? NULL : known[0];
    const xmlAttr *attr;

    for (attr = elem ? elem->properties : NULL; attr; attr = attr->next) {
        const char *name = (const char *)attr->name;

        if (attr->ns || g_strv_contains((const gchar *const *)known, name))
            continue;
        if (only)
            viommuConfAddStray(iommu->strays, line, name, viommuXMLAttr(elem, name), only);
        else
            viommuConfAddUnknown(iommu->strays, line, name, viommuXMLAttr(elem, name), known);
    }
}

/* What a request says in words that nobody knows: "Nested", "spareports", <source name=>. */
static void
findMisspelt(viommuIOMMU *iommu, const viommuXML *xml, const xmlNode *node)
{
    static const char *const own[] = { "model", "nested", NULL };
    static const char *const placement[] = { "sparePorts", "pref64Reserve", "memReserve", "smmus", NULL };
    static const char *const source[] = { "smmu", NULL };
    size_t first = iommu->strays->len;
    const xmlNode *elem;

    findUnknown(iommu, iommu->line, node, own);
    for (; first < iommu->strays->len; first++)
        ((viommuStray *)g_ptr_array_index(iommu->strays, first))->misplaced = true;
    elem = viommuXMLChild(node, "placement");
    findUnknown(iommu, viommuXMLLine(xml, elem), elem, placement);
    elem = viommuXMLChild(node, "source");
    findUnknown(iommu, viommuXMLLine(xml, elem), elem, source);
}

/* Is there an attribute that was to be "nested"? */
static bool
hasMisspeltNested(const xmlNode *node)
{
    static const char *const nested[] = { "nested", NULL };
    const xmlAttr *attr;

    for (attr = node->properties; attr; attr = attr->next) {
        const char *name = (const char *)attr->name;

        if (!attr->ns && strcmp(name, "nested") != 0 && viommuConfSimilarTo(name, nested))
            return true;
    }
    return false;
}

static int
readOnOffAuto(const char *text)
{
    return g_strcmp0(text, "auto") == 0 ? VIOMMU_AUTO : viommuConfOnOff(text);
}

static int
readBits(const char *text, bool isOas)
{
    unsigned value;
    bool good;

    if (!text)
        return VIOMMU_UNSET;
    if (strcmp(text, "auto") == 0)
        return VIOMMU_AUTO;
    good = viommuConfParseNumber(text, 64, &value) &&
           (isOas ? value == 44 || value == 48 : value <= SSIDSIZE_MAX);
    return good ? (int)value : VIOMMU_BAD;
}

void
viommuConfReadFeatures(viommuConfTextFunc get, const void *data, viommuFeatures *ret_features,
                       GPtrArray *strays)
{
    int *const values[] = { &ret_features->cmdqv, &ret_features->ats, &ret_features->ril,
                            &ret_features->ssidsize, &ret_features->oas };
    static const char *const names[] = { "cmdqv", "ats", "ril", "ssidsize", "oas" };
    unsigned line;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *text = get(data, names[i], &line);

        *values[i] = i < 3 ? readOnOffAuto(text) : readBits(text, i == 4);
        if (*values[i] == VIOMMU_BAD)
            viommuConfAddStray(strays, line, names[i], text, NULL);
    }
}

static void
readReserve(viommuConfTextFunc get, const void *data, const char *name, unsigned max, unsigned *ret_kib,
            GPtrArray *strays)
{
    unsigned line;
    const char *text = get(data, name, &line);

    if (text && (!viommuConfParseNumber(text, max, ret_kib) || *ret_kib < VIOMMU_RESERVE_MIN)) {
        viommuConfAddStray(strays, line, name, text, NULL);
        *ret_kib = 0;
    }
}

void
viommuConfReadPlacement(viommuConfTextFunc get, const void *data, unsigned *ret_sparePorts,
                        viommuReserve *ret_reserve, bool *ret_allSMMUs, GPtrArray *strays)
{
    unsigned line;
    const char *ports = get(data, "sparePorts", &line);
    const char *smmus;

    if (ports && !viommuConfParseNumber(ports, 255, ret_sparePorts))
        viommuConfAddStray(strays, line, "sparePorts", ports, NULL);
    readReserve(get, data, "pref64Reserve", VIOMMU_RESERVE_MAX, &ret_reserve->pref64KiB, strays);
    readReserve(get, data, "memReserve", VIOMMU_MEM_RESERVE_MAX, &ret_reserve->memKiB, strays);
    smmus = get(data, "smmus", &line);
    if (g_strcmp0(smmus, "all") == 0)
        *ret_allSMMUs = true;
    else if (smmus && strcmp(smmus, "assigned") != 0)
        viommuConfAddStray(strays, line, "smmus", smmus, NULL);
}

/* Where attributes are read from. */
typedef struct {
    const viommuXML *xml;
    const xmlNode *node; /* NULL: none are there */
} attrSource;

static const char *
getAttr(const void *data, const char *name, unsigned *ret_line)
{
    const attrSource *source = data;

    *ret_line = viommuXMLLine(source->xml, source->node);
    return viommuXMLAttr(source->node, name);
}

static void
readWords(viommuIOMMU *iommu, const viommuXML *xml, const xmlNode *driver, const xmlNode *placement)
{
    attrSource features = { xml, driver };
    attrSource places = { xml, placement };

    viommuConfReadFeatures(getAttr, &features, &iommu->features, iommu->strays);
    viommuConfReadPlacement(getAttr, &places, &iommu->sparePorts, &iommu->reserve, &iommu->allSMMUs, iommu->strays);
}

viommuIOMMU *
viommuIOMMUParse(const viommuXML *xml, xmlNode *node)
{
    viommuIOMMU *iommu = g_new0(viommuIOMMU, 1);
    const xmlNode *driver = viommuXMLChild(node, "driver");
    const xmlNode *placement = viommuXMLChild(node, "placement");
    unsigned driverLine = viommuXMLLine(xml, driver);
    const char *nested = viommuXMLAttr(node, "nested");
    const char *model = viommuXMLAttr(node, "model");

    iommu->node = node;
    iommu->line = viommuXMLLine(xml, node);
    iommu->strays = viommuConfStraysNew();
    iommu->model = g_strdup(model ? model : "");
    iommu->nested = viommuConfYesNo(nested);
    iommu->accel = viommuConfOnOff(viommuXMLAttr(driver, "accel"));
    iommu->pciBus = viommuConfAttrInt(driver, "pciBus", 255);
    iommu->source = g_strdup(viommuXMLAttr(viommuXMLChild(node, "source"), "smmu"));
    if (iommu->nested == VIOMMU_BAD)
        viommuConfAddStray(iommu->strays, iommu->line, "nested", nested, NULL);
    if (iommu->accel == VIOMMU_BAD)
        viommuConfAddStray(iommu->strays, driverLine, "accel", viommuXMLAttr(driver, "accel"), NULL);
    if (strcmp(iommu->model, "smmuv3") == 0)
        findStrays(iommu, driverLine, driver);
    readWords(iommu, xml, driver, placement);
    if (iommu->nested == VIOMMU_UNSET && hasMisspeltNested(node))
        iommu->nested = VIOMMU_BAD;
    if (iommu->nested != VIOMMU_UNSET && strcmp(iommu->model, "smmuv3") == 0)
        findMisspelt(iommu, xml, node);
    return iommu;
}

/* Where properties are read from: a <qemu:frontend>. */
typedef struct {
    const viommuXML *xml;
    const xmlNode *frontend;
} propertySource;

static const char *
getProperty(const void *data, const char *name, unsigned *ret_line)
{
    const propertySource *source = data;
    const xmlNode *node;

    for (node = viommuXMLChildNS(source->frontend, VIOMMU_NS_QEMU, "property"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS_QEMU, "property")) {
        if (g_strcmp0(viommuXMLAttr(node, "name"), name) != 0)
            continue;
        *ret_line = viommuXMLLine(source->xml, node);
        return viommuXMLAttr(node, "value");
    }
    return NULL;
}

void
viommuConfOverrideIOMMU(viommuIOMMU *iommu, const viommuXML *xml, const xmlNode *frontend)
{
    propertySource source = { xml, frontend };
    unsigned line;
    const char *accel = getProperty(&source, "accel", &line);

    if (!accel || iommu->accel != VIOMMU_UNSET)
        return;
    iommu->overridden = true;
    iommu->accel = strcmp(accel, "true") == 0 || strcmp(accel, "on") == 0;
    viommuConfReadFeatures(getProperty, &source, &iommu->features, iommu->strays);
}

void
viommuConfAddRequest(viommuDomain *dom, const viommuIOMMU *iommu)
{
    viommuRequest *request = g_new0(viommuRequest, 1);
    int *values[] = { &request->features.cmdqv, &request->features.ats, &request->features.ril,
                      &request->features.ssidsize, &request->features.oas };
    size_t i;

    request->line = iommu->line;
    request->smmu = g_strdup(iommu->source);
    request->features = iommu->features;
    request->sparePorts = iommu->sparePorts;
    request->reserve = iommu->reserve;
    request->allSMMUs = iommu->allSMMUs;
    request->pciBus = iommu->pciBus;
    for (i = 0; i < G_N_ELEMENTS(values); i++) {
        if (*values[i] == VIOMMU_UNSET)
            *values[i] = VIOMMU_AUTO;
    }
    g_ptr_array_add(dom->requests, request);
}

static bool
metadataError(const viommuDomain *dom, const xmlNode *node, GError **error)
{
    viommuErrorAt(error, VIOMMU_ERROR_XML, viommuXMLLine(dom->xml, node),
                  "viommu's metadata is damaged at <%s>; restore it, or remove the element of "
                  "namespace %s to plan anew", (const char *)node->name, VIOMMU_NS);
    return false;
}

/* Reads the index of the controller that @node is about; false if it is none, or was read before. */
static bool
readController(const xmlNode *node, bool seen[], unsigned *ret_index)
{
    if (!viommuConfParseNumber(viommuXMLAttr(node, "controller"), VIOMMU_PCI_INDEX_MAX, ret_index) ||
        seen[*ret_index])
        return false;
    seen[*ret_index] = true;
    return true;
}

static bool
readPorts(viommuDomain *dom, viommuPlaced *placed, const xmlNode *vsmmu, bool seen[], GError **error)
{
    const xmlNode *node;

    for (node = viommuXMLChildNS(vsmmu, VIOMMU_NS, "port"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS, "port")) {
        viommuPlacedPort *port = g_new0(viommuPlacedPort, 1);

        g_ptr_array_add(placed->ports, port);
        if (!readController(node, seen, &port->controller))
            return metadataError(dom, node, error);
        port->device = g_strdup(viommuXMLAttr(node, "device"));
        port->generated = viommuConfYesNo(viommuXMLAttr(node, "own")) != 0;
    }
    return true;
}

static bool
readPlaced(viommuDomain *dom, GError **error)
{
    bool seen[VIOMMU_PCI_INDEX_MAX + 1] = { false };
    const xmlNode *node;

    for (node = viommuXMLChildNS(dom->metadata, VIOMMU_NS, "vsmmu"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS, "vsmmu")) {
        viommuPlaced *placed = g_new0(viommuPlaced, 1);

        placed->ports = g_ptr_array_new_with_free_func(placedPortFree);
        g_ptr_array_add(dom->placed, placed);
        placed->smmu = g_strdup(viommuXMLAttr(node, "smmu"));
        placed->generated = viommuConfYesNo(viommuXMLAttr(node, "own")) != 0;
        if (!placed->smmu || !readController(node, seen, &placed->controller))
            return metadataError(dom, node, error);
        if (!readPorts(dom, placed, node, seen, error))
            return false;
    }
    return true;
}

/* @keys: of the devices whose <driver iommufd='yes'/> an earlier expansion wrote, or NULL. */
static void
markMade(const viommuDomain *dom, const char *keys)
{
    g_auto(GStrv) made = g_strsplit(keys ? keys : "", " ", -1);
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        viommuDevice *device = g_ptr_array_index(dom->devices, i);

        device->iommufdMade = device->iommufd == 1 && !device->iommufdOverridden && device->key &&
                              g_strv_contains((const gchar *const *)made, device->key);
    }
}

static bool
readMade(viommuDomain *dom, GError **error)
{
    const xmlNode *made = viommuXMLChildNS(dom->metadata, VIOMMU_NS, "made");
    const char *user = viommuXMLAttr(made, "userPcihole64");
    guint64 size;

    markMade(dom, viommuXMLAttr(made, "iommufdDevices"));
    dom->ownsIommufd = viommuConfYesNo(viommuXMLAttr(made, "iommufd")) == 1;
    dom->madeArguments = g_strcmp0(viommuXMLAttr(made, "override"), "arguments") == 0;
    dom->madeOverride = dom->madeArguments || viommuConfYesNo(viommuXMLAttr(made, "override")) == 1;
    dom->ownsHole64 = viommuConfYesNo(viommuXMLAttr(made, "pcihole64")) == 1;
    if (!user)
        return true;
    if (!g_ascii_string_to_unsigned(user, 10, 0, G_MAXUINT64 / 1024, &size, NULL))
        return metadataError(dom, made, error);
    dom->userHole64KiB = size;
    return true;
}

/* Is there an <iommu> that asks for what the kept request @node is about? It is newer. */
static bool
isReplaced(const viommuDomain *dom, size_t fresh, const xmlNode *node)
{
    size_t i;

    for (i = 0; i < fresh; i++) {
        const viommuRequest *request = g_ptr_array_index(dom->requests, i);

        if (!request->smmu || g_strcmp0(request->smmu, viommuXMLAttr(node, "smmu")) == 0)
            return true;
    }
    return false;
}

/* The requests that an earlier expansion kept, in the form of the <iommu> that they came from. */
static bool
readKeptRequests(viommuDomain *dom, GError **error)
{
    size_t fresh = dom->requests->len;
    xmlNode *node;

    for (node = viommuXMLChildNS(dom->metadata, VIOMMU_NS, "request"); node;
         node = viommuXMLNextNS(node, VIOMMU_NS, "request")) {
        viommuIOMMU iommu = { .node = node, .line = viommuXMLLine(dom->xml, node) };
        bool damaged;

        iommu.strays = viommuConfStraysNew();
        iommu.source = (char *)viommuXMLAttr(node, "smmu");
        iommu.pciBus = viommuConfAttrInt(node, "pciBus", 255);
        readWords(&iommu, dom->xml, node, node);
        damaged = iommu.strays->len > 0 || iommu.pciBus == VIOMMU_BAD;
        g_ptr_array_unref(iommu.strays);
        if (damaged)
            return metadataError(dom, node, error);
        /* The vSMMU that it was for has gone. */
        if (iommu.pciBus >= 0 && !viommuDomainFindController(dom, (unsigned)iommu.pciBus))
            continue;
        if (isReplaced(dom, fresh, node))
            continue;
        viommuConfAddRequest(dom, &iommu);
        ((viommuRequest *)g_ptr_array_index(dom->requests, dom->requests->len - 1))->kept = true;
    }
    return true;
}

static bool
checkCount(const viommuDomain *dom, GError **error)
{
    const viommuRequest *first;

    if (dom->requests->len <= REQUESTS_MAX)
        return true;
    first = g_ptr_array_index(dom->requests, REQUESTS_MAX);
    viommuErrorAt(error, VIOMMU_ERROR_XML, first->line,
                  "the domain asks more than %d times for nested SMMUs; remove some requests",
                  REQUESTS_MAX);
    return false;
}

bool
viommuConfParseRequests(viommuDomain *dom, GError **error)
{
    bool refused = false;
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        refused = refused || (iommu->nested == 0 && strcmp(iommu->model, "smmuv3") == 0);
        /* A misspelt nested= asks for something too; the planner refuses it. */
        if ((iommu->nested == 1 || iommu->nested == VIOMMU_BAD) && strcmp(iommu->model, "smmuv3") == 0)
            viommuConfAddRequest(dom, iommu);
    }
    dom->keptOut = refused;
    dom->metadata = viommuXMLChildNS(viommuXMLChild(dom->root, "metadata"), VIOMMU_NS, "domain");
    if (!checkCount(dom, error))
        return false;
    if (!dom->metadata) {
        if (!refused && dom->requests->len == 0)
            viommuConfAskExtraSpecs(dom);
        return true;
    }
    if (!readPlaced(dom, error) || !readMade(dom, error))
        return false;
    dom->withdrawn = refused && dom->requests->len == 0;
    if (dom->withdrawn)
        return true;
    return readKeptRequests(dom, error) && checkCount(dom, error);
}
