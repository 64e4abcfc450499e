/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A document is a list of elements, each with the offsets of its tags and a parent. Some are marked
 * as cut, and the rest is written out again.
 */
#include "goldencut.h"

#include <stdbool.h>
#include <string.h>

#define NAMESPACE_URI "urn:viommu:domain:1"
#define INDEX_MAX 256

typedef struct cutElement cutElement;

struct cutElement {
    const char *begin; /* "<a b='c'>" */
    const char *content;
    const char *contentEnd; /* "</a>"; equals content and end for "<a/>" */
    const char *end;
    char *name;          /* with its prefix */
    cutElement *parent;  /* NULL: the root */
    GPtrArray *children; /* of cutElement, borrowed */
    bool cut;
};

typedef struct {
    const char *text;
    GPtrArray *elements;       /* of cutElement, in document order */
    bool written[INDEX_MAX];   /* PCI controllers that stand there with that index */
    bool generated[INDEX_MAX]; /* noted in our metadata as made by an expansion */
    GPtrArray *devices;        /* of cutElement: children of <devices> that are the user's own */
} cutDocument;

static void
elementFree(void *data)
{
    cutElement *elem = data;

    g_ptr_array_unref(elem->children);
    g_free(elem->name);
    g_free(elem);
}

/* Behind the next @mark. */
static const char *
skipTo(const char *at, const char *mark)
{
    const char *found = strstr(at, mark);

    g_assert_nonnull(found);
    return found + strlen(mark);
}

/* Behind the tag that begins at @at. */
static const char *
skipTag(const char *at)
{
    while (*at != '>') {
        g_assert_cmpint(*at, !=, '\0');
        if (*at == '"' || *at == '\'')
            at = strchr(at + 1, *at);
        at++;
    }
    return at + 1;
}

static cutElement *
addElement(cutDocument *doc, cutElement *parent, const char *at)
{
    cutElement *elem = g_new0(cutElement, 1);

    elem->begin = at;
    elem->content = skipTag(at);
    elem->name = g_strndup(at + 1, strcspn(at + 1, " \t\r\n/>"));
    elem->parent = parent;
    elem->children = g_ptr_array_new();
    g_ptr_array_add(doc->elements, elem);
    if (parent)
        g_ptr_array_add(parent->children, elem);
    return elem;
}

static void
parse(cutDocument *doc, const char *text)
{
    cutElement *open = NULL;
    const char *at = strchr(text, '<');

    doc->text = text;
    doc->elements = g_ptr_array_new_with_free_func(elementFree);
    doc->devices = g_ptr_array_new();
    while (at) {
        if (g_str_has_prefix(at, "<!--")) {
            at = skipTo(at, "-->");
        } else if (g_str_has_prefix(at, "<![CDATA[")) {
            at = skipTo(at, "]]>");
        } else if (g_str_has_prefix(at, "<?")) {
            at = skipTo(at, "?>");
        } else if (at[1] == '/') {
            open->contentEnd = at;
            at = open->end = skipTag(at);
            open = open->parent;
        } else {
            cutElement *elem = addElement(doc, open, at);

            at = elem->content;
            if (at[-2] == '/')
                elem->contentEnd = elem->end = at;
            else
                open = elem;
        }
        at = strchr(at, '<');
    }
    g_assert_null(open);
}

static bool
isElement(const cutElement *elem, const char *parent, const char *name)
{
    return elem->parent && strcmp(elem->parent->name, parent) == 0 && strcmp(elem->name, name) == 0;
}

/* The value of an attribute, or NULL. Free with g_free. */
static char *
attribute(const cutElement *elem, const char *name)
{
    const char *at = elem->begin + 1 + strlen(elem->name);

    while (at < elem->content) {
        const char *value = strpbrk(at, "'\"");
        const char *end;
        g_autofree char *there = NULL;

        if (!value || value >= elem->content)
            break;
        end = strchr(value + 1, *value);
        there = g_strstrip(g_strndup(at, (gsize)(value - at)));
        if (g_str_has_suffix(there, "="))
            there[strlen(there) - 1] = '\0';
        if (strcmp(g_strchomp(there), name) == 0)
            return g_strndup(value + 1, (gsize)(end - value - 1));
        at = end + 1;
    }
    return NULL;
}

static bool
says(const cutElement *elem, const char *name, const char *value)
{
    g_autofree char *there = attribute(elem, name);

    return g_strcmp0(there, value) == 0;
}

/* The number in an attribute, or 0. */
static unsigned
numberIn(const cutElement *elem, const char *name)
{
    g_autofree char *text = attribute(elem, name);
    unsigned value = text ? (unsigned)g_ascii_strtoull(text, NULL, 0) : 0;

    g_assert_cmpuint(value, <, INDEX_MAX);
    return value;
}

static bool
isPCIController(const cutElement *elem)
{
    return isElement(elem, "devices", "controller") && says(elem, "type", "pci");
}

static bool
isAssigned(const cutElement *elem)
{
    return (strcmp(elem->name, "hostdev") == 0 && says(elem, "type", "pci")) ||
           (strcmp(elem->name, "interface") == 0 &&
            (says(elem, "type", "hostdev") || says(elem, "type", "network")));
}

static cutElement *
findPCIAddress(const cutElement *device)
{
    size_t i;

    for (i = 0; i < device->children->len; i++) {
        cutElement *child = g_ptr_array_index(device->children, i);

        if (strcmp(child->name, "address") == 0 && says(child, "type", "pci"))
            return child;
    }
    return NULL;
}

/* Which controllers there are, and which an expansion made. */
static void
noteControllers(cutDocument *doc)
{
    size_t i;

    for (i = 0; i < doc->elements->len; i++) {
        const cutElement *elem = g_ptr_array_index(doc->elements, i);

        if (isPCIController(elem))
            doc->written[numberIn(elem, "index")] = true;
        if (g_str_has_suffix(elem->name, "viommu:vsmmu") ||
            g_str_has_suffix(elem->name, "viommu:port"))
            doc->generated[numberIn(elem, "controller")] = !says(elem, "own", "no");
    }
}

static void
markController(cutElement *elem, const cutDocument *before, const cutDocument *after)
{
    unsigned index = numberIn(elem, "index");
    size_t i;

    elem->cut = !says(elem, "model", "pcie-root") && index &&
                (before->generated[index] || after->generated[index] || !before->written[index]);
    for (i = 0; i < elem->children->len; i++) {
        cutElement *child = g_ptr_array_index(elem->children, i);

        if (strcmp(child->name, "pcihole64") == 0)
            child->cut = true;
        if (says(elem, "model", "pcie-expander-bus") &&
            (strcmp(child->name, "target") == 0 || strcmp(child->name, "address") == 0))
            child->cut = true;
    }
}

/* An <iommu> that stands for the request: Nova's virtio one too, where Nova chose it. */
static bool
isIOMMU(const cutDocument *doc, const cutElement *elem)
{
    return isElement(elem, "devices", "iommu") &&
           (says(elem, "model", "smmuv3") || strstr(doc->text, "viommu_model\">auto<"));
}

/* What stands in for the words of an older libvirt: arguments, with the option in front of each, aliases, and
 * properties of devices. */
static bool
isAround(const cutDocument *doc, size_t at)
{
    static const char *const properties[] = { "pref64-reserve", "mem-reserve", "io-reserve", "iommufd", "bus", "addr",
                                              "multifunction", "accel", "cmdqv", "ats", "ssidsize", "ril",
                                              "oas", NULL };
    const cutElement *elem = g_ptr_array_index(doc->elements, at);
    const cutElement *next = at + 1 < doc->elements->len ? g_ptr_array_index(doc->elements, at + 1) : NULL;
    g_autofree char *name = attribute(elem, "name");

    if (g_str_has_suffix(elem->name, ":property"))
        return name && g_strv_contains((const gchar *const *)properties, name);
    if (g_str_has_suffix(elem->name, ":arg")) {
        g_autofree char *value = attribute(elem, "value");
        g_autofree char *after = next ? attribute(next, "value") : NULL;

        return strstr(value, ",id=viommu.") || g_str_has_prefix(value, "highmem-mmio-size=") ||
               g_str_has_suffix(value, "id=iommufd0") ||
               (after && value[0] == '-' && after[0] != '-' && isAround(doc, at + 1));
    }
    if (strcmp(elem->name, "driver") == 0)
        return g_str_has_prefix(elem->begin, "<driver iommufd='yes'/>");
    return strcmp(elem->name, "alias") == 0 && name && g_str_has_prefix(name, "ua-viommu-");
}

/* What is the plan's wherever it stands. */
static void
markOwned(cutDocument *doc, const cutDocument *before, const cutDocument *after)
{
    size_t i;

    for (i = 0; i < doc->elements->len; i++) {
        cutElement *elem = g_ptr_array_index(doc->elements, i);

        if (isElement(elem, "domain", "iommufd") || isElement(elem, "features", "ioapic") ||
            isIOMMU(doc, elem) ||
            isElement(elem, "metadata", "viommu:domain") || isAround(doc, i))
            elem->cut = true;
        else if (isPCIController(elem))
            markController(elem, before, after);
        else if (elem->parent && strcmp(elem->parent->name, "devices") == 0)
            g_ptr_array_add(doc->devices, elem);
    }
}

/* Addresses of assigned devices are the plan's; of others, those that were not there before; and
 * controllers and video cards that were not there at all, which libvirt would add else. */
static void
markDevices(const cutDocument *before, cutDocument *doc)
{
    size_t i;

    for (i = 0; i < doc->devices->len; i++) {
        cutElement *device = g_ptr_array_index(doc->devices, i);
        cutElement *addr = findPCIAddress(device);

        if (i >= before->devices->len)
            device->cut =
                strcmp(device->name, "controller") == 0 || strcmp(device->name, "video") == 0;
        else if (addr &&
                 (isAssigned(device) || !findPCIAddress(g_ptr_array_index(before->devices, i))))
            addr->cut = true;
    }
}

static void
trim(GString *out)
{
    while (out->len && g_ascii_isspace(out->str[out->len - 1]))
        g_string_truncate(out, out->len - 1);
}

/* Elements that the plan makes where it needs them to hold its own, and takes away again. */
static bool
isHolder(const cutElement *elem)
{
    return strcmp(elem->name, "metadata") == 0 || g_str_has_suffix(elem->name, ":override") ||
           g_str_has_suffix(elem->name, ":commandline") ||
           (elem->parent && g_str_has_suffix(elem->parent->name, ":override")) ||
           g_str_has_suffix(elem->name, ":frontend") ||
           (isPCIController(elem) && says(elem, "model", "pcie-root"));
}

/* The start tag; without our declaration of QEMU's namespace, and what a <driver> says of iommufd for an older
 * libvirt. */
static void
writeTag(GString *out, const cutElement *elem)
{
    const char *own = elem->parent ? " iommufd='yes'" : " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
    const char *found = elem->parent && strcmp(elem->name, "driver") != 0 ? NULL : strstr(elem->begin, own);

    if (found && found < elem->content) {
        g_string_append_len(out, elem->begin, found - elem->begin);
        found += strlen(own);
        g_string_append_len(out, found, elem->content - found);
    } else {
        g_string_append_len(out, elem->begin, elem->content - elem->begin);
    }
}

static void
writeElement(GString *out, const cutElement *elem)
{
    const char *at = elem->content;
    size_t start = out->len;
    size_t inside;
    bool cut = false;
    size_t i;

    writeTag(out, elem);
    inside = out->len;
    for (i = 0; i < elem->children->len; i++) {
        const cutElement *child = g_ptr_array_index(elem->children, i);

        g_string_append_len(out, at, child->begin - at);
        cut = cut || child->cut;
        if (child->cut)
            trim(out);
        else
            writeElement(out, child);
        at = child->end;
    }
    g_string_append_len(out, at, elem->contentEnd - at);
    if (strspn(out->str + inside, " \t\r\n") == out->len - inside) {
        if (isHolder(elem)) {
            g_string_truncate(out, start);
            trim(out);
            return;
        }
        /* Where something was put in, <a></a> was <a/>. */
        if (cut) {
            g_string_truncate(out, inside - 1);
            g_string_append(out, "/>");
            return;
        }
    }
    g_string_append_len(out, elem->contentEnd, elem->end - elem->contentEnd);
}

static char *
writeDocument(const cutDocument *doc)
{
    const cutElement *root = g_ptr_array_index(doc->elements, 0);
    GString *out = g_string_new_len(doc->text, root->begin - doc->text);

    writeElement(out, root);
    g_string_append(out, root->end);
    return g_string_free(out, FALSE);
}

void
goldenCut(const char *before, const char *after, char **ret_before, char **ret_after)
{
    cutDocument from = { 0 };
    cutDocument to = { 0 };

    parse(&from, before);
    parse(&to, after);
    noteControllers(&from);
    noteControllers(&to);
    markOwned(&from, &from, &to);
    markOwned(&to, &from, &to);
    /* The expansion first: it looks at what stands in the original. */
    markDevices(&from, &to);
    markDevices(&from, &from);
    *ret_before = writeDocument(&from);
    *ret_after = writeDocument(&to);
    g_ptr_array_unref(from.elements);
    g_ptr_array_unref(from.devices);
    g_ptr_array_unref(to.elements);
    g_ptr_array_unref(to.devices);
}
