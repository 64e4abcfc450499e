/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Words that were to be ours and are not (V13): libvirt passes over them, and so do we, so that a domain asks for less
 * than its author thinks, or for nothing. Warnings, as libvirt takes such a domain. What a request says wrongly in its
 * attributes is an error, and viommu_check_features.c's.
 */
#include "viommu_check_priv.h"
#include "virtext.h"

#include <string.h>

/* Namespaces of ours begin so. */
#define NS_PREFIX "urn:viommu:"

typedef struct {
    const viommuDomain *dom;
    GPtrArray *findings;
} wordSearch;

/* What our metadata holds (viommu_expand_metadata.c writes it). */
static const struct {
    const char *name;
    const char *attrs[12];
    const char *children[4];
} metadata[] = {
    { "domain", { NULL }, { "request", "vsmmu", "made" } },
    { "request",
      { "smmu", "pciBus", "cmdqv", "ats", "ril", "ssidsize", "oas", "sparePorts", "pref64Reserve", "memReserve",
        "smmus" },
      { NULL } },
    { "vsmmu", { "smmu", "controller", "own" }, { "port" } },
    { "port", { "controller", "device", "own" }, { NULL } },
    { "made", { "override", "iommufd", "iommufdDevices", "pcihole64", "userPcihole64" }, { NULL } },
};

static void warn(const wordSearch *search, const xmlNode *node, const char *remedy, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

static void
warn(const wordSearch *search, const xmlNode *node, const char *remedy, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list list;

    va_start(list, format);
    text = g_strdup_vprintf(format, list);
    va_end(list);
    viommuFindingsAdd(search->findings, "V13", VIOMMU_SEVERITY_WARNING, viommuXMLLine(search->dom->xml, node),
                      "libvirt and viommu pass over it", remedy, "%s", text);
}

/* "did you mean <placement>?" with @format for the word of @known that @name is near to; else "remove it". Free with
 * g_free. */
static char *
guess(const char *name, const char *const *known, const char *before, const char *behind)
{
    const char *meant = virTextSimilar(name, known);

    return meant ? g_strdup_printf("did you mean %s%s%s?", before, meant, behind) : g_strdup("remove it");
}

static const char *
nameOf(const xmlNode *node)
{
    return (const char *)node->name;
}

static void
checkAttrs(const wordSearch *search, const xmlNode *node, const char *const *known)
{
    const xmlAttr *attr;

    for (attr = node->properties; attr; attr = attr->next) {
        const char *name = (const char *)attr->name;
        g_autofree char *remedy = NULL;

        if (attr->ns || g_strv_contains(known, name))
            continue;
        remedy = guess(name, known, "", "");
        warn(search, node, remedy, "the attribute '%s' of <%s> is not known", name, nameOf(node));
    }
}

/* ---- <iommu> */

static void
checkChildren(const wordSearch *search, const viommuIOMMU *iommu)
{
    static const char *const known[] = { "driver", "placement", "source", "alias", "address", "acpi", NULL };
    const xmlNode *node;

    for (node = iommu->node->children; node; node = node->next) {
        g_autofree char *remedy = NULL;

        if (node->type != XML_ELEMENT_NODE || node->ns)
            continue;
        if (!g_strv_contains(known, nameOf(node))) {
            remedy = guess(nameOf(node), known, "<", ">");
            warn(search, node, remedy, "the element <%s> in <iommu> is not known", nameOf(node));
        } else if (iommu->nested == VIOMMU_UNSET &&
                   (viommuXMLIs(node, "placement") || viommuXMLIs(node, "source"))) {
            warn(search, node, "write <iommu model='smmuv3' nested='yes'>, or remove it",
                 "<%s> in an <iommu> without nested='yes' asks for nothing", nameOf(node));
        }
    }
}

static void
checkIOMMU(const wordSearch *search, const viommuIOMMU *iommu)
{
    static const char *const known[] = { "model", "nested", NULL };
    const char *nested = viommuXMLAttr(iommu->node, "nested");

    if (strcmp(iommu->model, "smmuv3") != 0) {
        if (nested && iommu->nested != 0)
            warn(search, iommu->node, "write model='smmuv3'", "nested='%s' on an iommu of model '%s' asks for nothing",
                 nested, iommu->model);
        return;
    }
    /* Those of a request are strays, and so are those of its <placement> and <source>. */
    if (!nested && iommu->nested != VIOMMU_BAD)
        checkAttrs(search, iommu->node, known);
    checkChildren(search, iommu);
}

/* ---- elsewhere */

/* An element that was to be a request: <iomu nested='yes'>, or one that is not in <devices>. */
static void
checkElsewhere(const wordSearch *search, const xmlNode *node)
{
    static const char *const iommu[] = { "iommu", NULL };
    bool known = viommuXMLIs(node, "iommu");

    if (!viommuXMLAttr(node, "nested") || !virTextSimilar(nameOf(node), iommu) ||
        (known && node->parent == search->dom->devicesNode))
        return;
    if (known)
        warn(search, node, "move it into <devices>", "<iommu> in <%s> asks for nothing", nameOf(node->parent));
    else
        warn(search, node, "did you mean <iommu>?", "the element <%s> is not known", nameOf(node));
}

static size_t
findMetadata(const xmlNode *node)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(metadata); i++) {
        if (viommuXMLIsNS(node, VIOMMU_NS, metadata[i].name))
            break;
    }
    return i;
}

/* An element in our namespace. False: nothing below it means anything. */
static bool
checkOurs(const wordSearch *search, const xmlNode *node)
{
    static const char *const top[] = { "domain", NULL };
    static const char *const plain[] = { "iommu", "driver", "placement", "source", NULL };
    size_t parent = findMetadata(node->parent);
    bool inside = parent < G_N_ELEMENTS(metadata);
    bool isTop = viommuXMLIs(node->parent, "metadata") && node->parent->parent == search->dom->root;
    const char *const *known = inside ? metadata[parent].children : isTop ? top : plain;
    g_autofree char *remedy = NULL;

    if ((inside || isTop) && g_strv_contains(known, nameOf(node))) {
        checkAttrs(search, node, metadata[findMetadata(node)].attrs);
        return true;
    }
    remedy = inside || isTop ? guess(nameOf(node), known, "<viommu:", ">") :
                               guess(nameOf(node), known, "<", ">, without the prefix");
    warn(search, node, remedy, "<%s> of viommu's namespace means nothing in <%s>", nameOf(node), nameOf(node->parent));
    return false;
}

static bool
isNearlyOurs(const xmlNs *ns)
{
    static const char *const known[] = { VIOMMU_NS, NULL };
    const char *uri = ns && ns->href ? (const char *)ns->href : "";

    return strcmp(uri, VIOMMU_NS) != 0 && (g_str_has_prefix(uri, NS_PREFIX) || virTextSimilar(uri, known));
}

/* Attributes with a prefix that is ours. */
static void
checkPrefixed(const wordSearch *search, const xmlNode *node)
{
    static const char *const known[] = { "nested", NULL };
    const xmlAttr *attr;

    for (attr = node->properties; attr; attr = attr->next) {
        const char *uri = attr->ns ? (const char *)attr->ns->href : NULL;
        g_autofree char *remedy = NULL;

        if (g_strcmp0(uri, VIOMMU_NS) != 0)
            continue;
        remedy = guess((const char *)attr->name, known, "", ", without the prefix");
        warn(search, node, remedy, "the attribute '%s' of viommu's namespace means nothing on <%s>",
             (const char *)attr->name, nameOf(node));
    }
}

/* False: what is below @node needs no look. */
static bool
checkElement(const wordSearch *search, const xmlNode *node)
{
    checkPrefixed(search, node);
    if (!node->ns)
        checkElsewhere(search, node);
    if (isNearlyOurs(node->ns)) {
        warn(search, node, "did you mean '" VIOMMU_NS "'?", "the namespace '%s' of <%s> is not known",
             (const char *)node->ns->href, nameOf(node));
        return false;
    }
    return !node->ns || strcmp((const char *)node->ns->href, VIOMMU_NS) != 0 || checkOurs(search, node);
}

/* The next element in document order, below @root. */
static const xmlNode *
nextElement(const xmlNode *node, const xmlNode *root, bool below)
{
    const xmlNode *next = below ? node->children : NULL;

    for (;;) {
        for (; next && next->type != XML_ELEMENT_NODE; next = next->next)
            ;
        if (next || node == root)
            return next;
        next = node->next;
        node = node->parent;
    }
}

void
viommuCheckWords(const viommuDomain *dom, GPtrArray *findings)
{
    const wordSearch search = { dom, findings };
    const xmlNode *node;
    bool below = true;
    size_t i;

    for (i = 0; i < dom->iommus->len; i++)
        checkIOMMU(&search, g_ptr_array_index(dom->iommus, i));
    for (node = nextElement(dom->root, dom->root, true); node; node = nextElement(node, dom->root, below))
        below = checkElement(&search, node);
}
