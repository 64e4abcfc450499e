/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions to QEMU's object tree, and what follows from the answers.
 *
 * As with capabilities nothing is taken for granted: not that an answer is JSON, not that a path leads anywhere.
 */
#include "qemu_viommu_live.h"

#include "qemu_viommu_json.h"
#include "viommuerror.h"

#include <string.h>

/* Opening brackets of an answer: one for each type or object. QEMU 11.1 has some 300 types of PCI devices. */
#define OPENING_MAX 5000

/* Buses below each other: there are 256 of them. */
#define DEPTH_MAX 256

/* Where -device and device_add put things, and where QEMU puts its own. */
#define PERIPHERAL "/machine/peripheral"
#define ANONYMOUS "/machine/peripheral-anon"
#define UNATTACHED "/machine/unattached"

/* The memory of a guest's node, as libvirt names it (qemuBuildNumaCommandLine), and viommu argv after it. QEMU itself
 * does not tell which it is. */
#define NODE_MEMORY "/objects/ram-node%d"

/* What QEMU says of an expander on no node: NUMA_NODE_UNASSIGNED (include/system/numa.h), above all others. */
#define NO_NODE 128

/* 8 bits of a PCI requester id. */
#define BUS_MAX 255

/* Highest number of a host's node: those of Linux have 10 bits at most (NODES_SHIFT, include/linux/numa.h). */
#define HOST_NODE_MAX 1023

typedef enum {
    ASK_PCI_TYPES,
    ASK_BRIDGE_TYPES,
    ASK_ASSIGNED_TYPES,
    ASK_LIST,
    ASK_BUS,
    ASK_BUS_NR,
    ASK_NODE,
    ASK_HOST_NODES,
    ASK_SERVED_BUS,
    ASK_ACCEL,
    ASK_IOMMUFD,
    ASK_HOTPLUGGED,
    ASK_HOST,
    ASK_SYSFS,
} askKind;

typedef struct {
    askKind kind;
    const char *where;            /* type, path or property: static */
    qemuViommuLiveDevice *device; /* NULL: not about one */
} question;

struct qemuViommuWalk {
    GArray *questions; /* of question */
    size_t next;
    char *command;     /* of that one; NULL: not made yet */
    GHashTable *pci;   /* names of types */
    GHashTable *bridges;
    GHashTable *assigned;
    qemuViommuLive *live;
};

/* What a vSMMU calls its bus: QEMU 10.2 and later, and patched ones before. */
static const char *const servedNames[] = { "primary-bus", "pci-bus", "parent_bus" };

/* What says that a vSMMU is accelerated; the second is of QEMUs that make vSMMUs by themselves. */
static const char *const accelNames[] = { "accel", "nested" };

static void
freeDevice(void *data)
{
    qemuViommuLiveDevice *dev = data;

    g_free(dev->path);
    g_free(dev->type);
    g_free(dev->bus);
    g_clear_pointer(&dev->hostNodes, g_array_unref);
    g_free(dev->planned);
    g_free(dev->iommufd);
    g_free(dev);
}

void
qemuViommuLiveFree(qemuViommuLive *live)
{
    if (!live)
        return;
    g_ptr_array_unref(live->devices);
    g_free(live);
}

const char *
qemuViommuLiveName(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path;
}

bool
qemuViommuLiveIsExpander(const qemuViommuLiveDevice *dev)
{
    return dev->kind == QEMU_VIOMMU_LIVE_BRIDGE && g_str_has_prefix(dev->type, "pxb");
}

/* ---- what is asked */

static void
add(qemuViommuWalk *walk, askKind kind, const char *where, qemuViommuLiveDevice *dev)
{
    question ask = { kind, where, dev };

    g_array_append_val(walk->questions, ask);
}

static GHashTable *
newTypes(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

qemuViommuWalk *
qemuViommuWalkNew(void)
{
    qemuViommuWalk *walk = g_new0(qemuViommuWalk, 1);

    walk->questions = g_array_new(FALSE, FALSE, sizeof(question));
    walk->pci = newTypes();
    walk->bridges = newTypes();
    walk->assigned = newTypes();
    walk->live = g_new0(qemuViommuLive, 1);
    walk->live->devices = g_ptr_array_new_with_free_func(freeDevice);
    add(walk, ASK_PCI_TYPES, "pci-device", NULL);
    add(walk, ASK_BRIDGE_TYPES, "base-pci-bridge", NULL);
    add(walk, ASK_ASSIGNED_TYPES, "vfio-pci", NULL);
    add(walk, ASK_LIST, PERIPHERAL, NULL);
    add(walk, ASK_LIST, ANONYMOUS, NULL);
    add(walk, ASK_LIST, UNATTACHED, NULL);
    return walk;
}

void
qemuViommuWalkFree(qemuViommuWalk *walk)
{
    if (!walk)
        return;
    g_array_unref(walk->questions);
    g_free(walk->command);
    g_hash_table_unref(walk->pci);
    g_hash_table_unref(walk->bridges);
    g_hash_table_unref(walk->assigned);
    qemuViommuLiveFree(walk->live);
    g_free(walk);
}

static char *
formatCommand(const char *execute, const char *first, const char *value, const char *second, const char *other)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *command = json_object_new();
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, first, value);
    if (second)
        json_object_set_string_member(arguments, second, other);
    json_object_set_string_member(command, "execute", execute);
    json_object_set_object_member(command, "arguments", arguments);
    json_node_take_object(node, command);
    return json_to_string(node, FALSE);
}

static char *
makeCommand(const question *ask)
{
    g_autofree char *memory = NULL;

    switch (ask->kind) {
    case ASK_PCI_TYPES:
    case ASK_BRIDGE_TYPES:
    case ASK_ASSIGNED_TYPES:
        return formatCommand("qom-list-types", "implements", ask->where, NULL, NULL);
    case ASK_LIST:
        return formatCommand("qom-list", "path", ask->where, NULL, NULL);
    case ASK_HOST_NODES:
        memory = g_strdup_printf(NODE_MEMORY, ask->device->numaNode);
        break;
    case ASK_BUS:
    case ASK_BUS_NR:
    case ASK_NODE:
    case ASK_SERVED_BUS:
    case ASK_ACCEL:
    case ASK_IOMMUFD:
    case ASK_HOTPLUGGED:
    case ASK_HOST:
    case ASK_SYSFS:
        break;
    }
    return formatCommand("qom-get", "path", memory ? memory : ask->device->path, "property", ask->where);
}

const char *
qemuViommuWalkNext(qemuViommuWalk *walk)
{
    if (!walk->command && walk->next < walk->questions->len)
        walk->command = makeCommand(&g_array_index(walk->questions, question, walk->next));
    return walk->command;
}

/* ---- what is answered */

static bool
refuse(GError **error, const char *text)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "not an answer of QEMU's monitor: %s", text);
    return false;
}

static bool
takeTypes(GHashTable *types, JsonArray *list)
{
    guint i;

    for (i = 0; i < json_array_get_length(list); i++) {
        JsonNode *node = json_array_get_element(list, i);
        const char *name =
            JSON_NODE_HOLDS_OBJECT(node) ? qemuViommuJsonString(json_node_get_object(node), "name") : NULL;

        if (!name)
            return false;
        g_hash_table_add(types, g_strdup(name));
    }
    return true;
}

/* vSMMUs have had names behind this one, which stand for accel. */
static bool
isVSMMU(const char *type)
{
    return strcmp(type, "arm-smmuv3") == 0 || strcmp(type, "arm-smmuv3-accel") == 0 ||
           strcmp(type, "arm-smmuv3-nested") == 0;
}

/* QEMU's own devices are no part of it but for the SMMU of the whole machine. */
static bool
isWanted(const qemuViommuWalk *walk, const char *container, const char *type)
{
    return isVSMMU(type) || (strcmp(container, UNATTACHED) != 0 && g_hash_table_contains(walk->pci, type));
}

static qemuViommuLiveKind
kindOf(const qemuViommuWalk *walk, const char *type)
{
    if (isVSMMU(type))
        return QEMU_VIOMMU_LIVE_VSMMU;
    if (g_hash_table_contains(walk->assigned, type))
        return QEMU_VIOMMU_LIVE_ASSIGNED;
    /* An expander is no bridge to QEMU. */
    return g_hash_table_contains(walk->bridges, type) || g_str_has_prefix(type, "pxb")
               ? QEMU_VIOMMU_LIVE_BRIDGE
               : QEMU_VIOMMU_LIVE_EMULATED;
}

static void
addDevice(qemuViommuWalk *walk, const char *container, const char *name, const char *type)
{
    qemuViommuLiveDevice *dev = g_new0(qemuViommuLiveDevice, 1);

    dev->kind = kindOf(walk, type);
    dev->path = g_strconcat(container, "/", name, NULL);
    dev->id = dev->path + strlen(container) + 1;
    dev->type = g_strdup(type);
    dev->busNr = -1;
    dev->numaNode = -1;
    g_ptr_array_add(walk->live->devices, dev);
    if (dev->kind == QEMU_VIOMMU_LIVE_VSMMU) {
        add(walk, ASK_SERVED_BUS, servedNames[0], dev);
        dev->accel = strcmp(type, "arm-smmuv3") != 0;
        if (!dev->accel)
            add(walk, ASK_ACCEL, accelNames[0], dev);
        return;
    }
    add(walk, ASK_BUS, "parent_bus", dev);
    if (qemuViommuLiveIsExpander(dev)) {
        add(walk, ASK_BUS_NR, "bus_nr", dev);
        add(walk, ASK_NODE, "numa_node", dev);
    }
    if (dev->kind != QEMU_VIOMMU_LIVE_ASSIGNED)
        return;
    add(walk, ASK_IOMMUFD, "iommufd", dev);
    add(walk, ASK_HOTPLUGGED, "hotplugged", dev);
    add(walk, ASK_HOST, "host", dev);
    add(walk, ASK_SYSFS, "sysfsdev", dev);
}

/* "vfio-pci" of "child<vfio-pci>"; NULL: a property of another kind. Free with g_free. */
static char *
childType(const char *type)
{
    static const char before[] = "child<";
    size_t len = strlen(type);

    if (!g_str_has_prefix(type, before) || type[len - 1] != '>')
        return NULL;
    return g_strndup(type + strlen(before), len - strlen(before) - 1);
}

static bool
takeList(qemuViommuWalk *walk, const char *container, JsonArray *list, GError **error)
{
    guint i;

    for (i = 0; i < json_array_get_length(list); i++) {
        JsonNode *node = json_array_get_element(list, i);
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *name = qemuViommuJsonString(object, "name");
        const char *type = qemuViommuJsonString(object, "type");
        g_autofree char *child = type ? childType(type) : NULL;

        if (!name || !type || !*name || strchr(name, '/'))
            return refuse(error, "a list of objects without names and types");
        if (!child || !isWanted(walk, container, child))
            continue;
        if (walk->live->devices->len == QEMU_VIOMMU_LIVE_MAX)
            return refuse(error, "more devices than a guest can have");
        addDevice(walk, container, name, child);
    }
    return true;
}

/* The address in "0002:01:00.0" or "/sys/bus/pci/devices/0002:01:00.0", also with a slash behind it. What QEMU says
 * where it was told none, "ffff:ff:ff.f", is no address either. */
static void
takeHost(qemuViommuLiveDevice *dev, const char *text)
{
    g_autofree char *name = g_path_get_basename(text);

    if (!dev->haveHost)
        dev->haveHost = virPCIAddrParse(name, &dev->host);
}

static void
takeText(qemuViommuLiveDevice *dev, askKind kind, const char *text)
{
    if (!*text)
        return;
    if (kind == ASK_BUS || kind == ASK_SERVED_BUS)
        dev->bus = g_strdup(text);
    else if (kind == ASK_IOMMUFD)
        dev->iommufd = g_strdup(qemuViommuLiveName(text));
    else
        takeHost(dev, text);
    if (kind == ASK_SYSFS)
        dev->mediated = !dev->haveHost;
}

/* A vSMMU with another name for this is asked again. */
static void
tryNextName(qemuViommuWalk *walk, const question *ask, const char *const *names, size_t count)
{
    size_t i;

    for (i = 0; i + 1 < count; i++) {
        if (ask->where == names[i]) {
            add(walk, ask->kind, names[i + 1], ask->device);
            return;
        }
    }
}

/* QEMU has no such thing. For a property that only some QEMUs have that is an answer. */
static bool
takeError(qemuViommuWalk *walk, const question *ask, JsonObject *reply, GError **error)
{
    const char *class = qemuViommuJsonString(reply, "class");
    const char *text = qemuViommuJsonString(reply, "desc");

    if (!class || !text)
        return refuse(error, "an error without words");
    /* Memory of another name. */
    if (ask->kind == ASK_HOST_NODES && strcmp(class, "DeviceNotFound") == 0)
        return true;
    if (ask->device && strcmp(class, "DeviceNotFound") == 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT,
                    "device '%s' has left the guest while it was looked at: try again", ask->device->id);
        return false;
    }
    /* A QEMU without vfio-pci has no such devices either. */
    if (ask->kind == ASK_LIST || ask->kind == ASK_PCI_TYPES || ask->kind == ASK_BUS ||
        strcmp(class, "GenericError") != 0) {
        g_autofree char *words = g_strndup(text, 200);

        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "QEMU does not tell its devices: %s", words);
        return false;
    }
    if (ask->kind == ASK_SERVED_BUS)
        tryNextName(walk, ask, servedNames, G_N_ELEMENTS(servedNames));
    else if (ask->kind == ASK_ACCEL)
        tryNextName(walk, ask, accelNames, G_N_ELEMENTS(accelNames));
    return true;
}

/* A whole number from 0 to @most, or -1. */
static int
numberOf(JsonNode *value, int most)
{
    gint64 number = -1;

    if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_INT64)
        number = json_node_get_int(value);
    return number >= 0 && number <= most ? (int)number : -1;
}

static bool
takeNumber(qemuViommuWalk *walk, const question *ask, JsonNode *value, GError **error)
{
    int number = numberOf(value, ask->kind == ASK_BUS_NR ? BUS_MAX : NO_NODE);

    if (number < 0)
        return refuse(error, "no number of a bus or node");
    if (ask->kind == ASK_BUS_NR) {
        ask->device->busNr = number;
    } else if (number != NO_NODE) {
        ask->device->numaNode = number;
        add(walk, ASK_HOST_NODES, "host-nodes", ask->device);
    }
    return true;
}

static bool
takeHostNodes(qemuViommuLiveDevice *dev, JsonArray *list, GError **error)
{
    guint i;

    dev->hostNodes = g_array_new(FALSE, FALSE, sizeof(unsigned));
    for (i = 0; i < json_array_get_length(list); i++) {
        int number = numberOf(json_array_get_element(list, i), HOST_NODE_MAX);
        unsigned node = (unsigned)number;

        if (number < 0)
            return refuse(error, "no number of a host's node");
        g_array_append_val(dev->hostNodes, node);
    }
    return true;
}

static bool
takeReturn(qemuViommuWalk *walk, const question *ask, JsonNode *value, GError **error)
{
    JsonArray *list = JSON_NODE_HOLDS_ARRAY(value) ? json_node_get_array(value) : NULL;
    GType type = JSON_NODE_HOLDS_VALUE(value) ? json_node_get_value_type(value) : G_TYPE_NONE;

    switch (ask->kind) {
    case ASK_PCI_TYPES:
        return (list && takeTypes(walk->pci, list)) || refuse(error, "no list of types");
    case ASK_BRIDGE_TYPES:
        return (list && takeTypes(walk->bridges, list)) || refuse(error, "no list of types");
    case ASK_ASSIGNED_TYPES:
        return (list && takeTypes(walk->assigned, list)) || refuse(error, "no list of types");
    case ASK_LIST:
        return list ? takeList(walk, ask->where, list, error) : refuse(error, "no list of objects");
    case ASK_ACCEL:
    case ASK_HOTPLUGGED:
        if (type != G_TYPE_BOOLEAN)
            return refuse(error, "neither true nor false");
        if (ask->kind == ASK_ACCEL)
            ask->device->accel = json_node_get_boolean(value);
        else
            ask->device->hotplugged = json_node_get_boolean(value);
        return true;
    case ASK_BUS_NR:
    case ASK_NODE:
        return takeNumber(walk, ask, value, error);
    case ASK_HOST_NODES:
        return list ? takeHostNodes(ask->device, list, error) : refuse(error, "no list of the host's nodes");
    case ASK_BUS:
    case ASK_SERVED_BUS:
    case ASK_IOMMUFD:
    case ASK_HOST:
    case ASK_SYSFS:
        break;
    }
    if (type != G_TYPE_STRING)
        return refuse(error, "no text");
    takeText(ask->device, ask->kind, json_node_get_string(value));
    return true;
}

bool
qemuViommuWalkTake(qemuViommuWalk *walk, const char *answer, size_t len, GError **error)
{
    g_autoptr(JsonNode) node = NULL;
    g_autofree char *text = NULL;
    JsonObject *reply;
    question ask;
    bool good;

    if (!qemuViommuWalkNext(walk))
        return refuse(error, "nothing was asked");
    if (len > QEMU_VIOMMU_ANSWER_MAX)
        return refuse(error, "more than QEMU would ever say");
    text = g_strndup(answer, len);
    node = strlen(text) == len ? qemuViommuJsonParse(text, OPENING_MAX) : NULL;
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return refuse(error, "no JSON object");
    /* A copy: answers add questions. */
    ask = g_array_index(walk->questions, question, walk->next);
    reply = json_node_get_object(node);
    if (json_object_has_member(reply, "return"))
        good = takeReturn(walk, &ask, json_object_get_member(reply, "return"), error);
    else if (qemuViommuJsonObject(reply, "error"))
        good = takeError(walk, &ask, qemuViommuJsonObject(reply, "error"), error);
    else
        good = refuse(error, "neither a result nor an error");
    if (!good)
        return false;
    walk->next++;
    g_clear_pointer(&walk->command, g_free);
    return true;
}

/* ---- what follows */

static int
compareDevices(const void *a, const void *b)
{
    const qemuViommuLiveDevice *one = *(const qemuViommuLiveDevice *const *)a;
    const qemuViommuLiveDevice *two = *(const qemuViommuLiveDevice *const *)b;
    int order = strverscmp(one->id, two->id);

    return order ? order : strcmp(one->path, two->path);
}

/* Goes up from @dev to a root bus; in a loop there is none. */
static void
findRoot(qemuViommuLiveDevice *dev, GHashTable *byPath)
{
    const char *bus = dev->bus;
    size_t i;

    for (i = 0; bus && i < DEPTH_MAX; i++) {
        const char *slash = strrchr(bus, '/');
        g_autofree char *owner = slash ? g_strndup(bus, (size_t)(slash - bus)) : NULL;
        const qemuViommuLiveDevice *port = owner ? g_hash_table_lookup(byPath, owner) : NULL;

        if (i == 0)
            dev->port = port;
        if (!port) {
            dev->root = bus;
            return;
        }
        bus = port->bus;
    }
}

/* An expander's bus is that of a host bridge which QEMU makes for it, and has the expander's id for its name. */
static bool
isExpander(const qemuViommuLive *live, const char *root)
{
    const char *name = qemuViommuLiveName(root);
    size_t i;

    for (i = 0; name && i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (qemuViommuLiveIsExpander(dev) && strcmp(dev->id, name) == 0)
            return true;
    }
    return false;
}

static const qemuViommuLiveDevice *
findVSMMU(const qemuViommuLive *live, const char *root)
{
    size_t i;

    for (i = 0; root && i < live->devices->len; i++) {
        const qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (dev->kind == QEMU_VIOMMU_LIVE_VSMMU && g_strcmp0(dev->bus, root) == 0)
            return dev;
    }
    return NULL;
}

qemuViommuLive *
qemuViommuWalkEnd(qemuViommuWalk *walk)
{
    g_autoptr(GHashTable) byPath = g_hash_table_new(g_str_hash, g_str_equal);
    qemuViommuLive *live = g_steal_pointer(&walk->live);
    size_t i;

    g_ptr_array_sort(live->devices, compareDevices);
    for (i = 0; i < live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        g_hash_table_insert(byPath, dev->path, dev);
    }
    for (i = 0; i < live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        findRoot(dev, byPath);
        dev->expander = isExpander(live, dev->root);
    }
    for (i = 0; i < live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (dev->kind != QEMU_VIOMMU_LIVE_VSMMU)
            dev->vsmmu = findVSMMU(live, dev->root);
    }
    return live;
}

/* The expander bus of @placed has its alias for the name of its bus. */
static void
bindVSMMU(qemuViommuLive *live, const viommuDomain *dom, const viommuPlaced *placed)
{
    const viommuController *controller = viommuDomainFindController(dom, placed->controller);
    size_t i;

    for (i = 0; controller && controller->alias && i < live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);

        if (dev->kind != QEMU_VIOMMU_LIVE_VSMMU || dev->planned ||
            g_strcmp0(qemuViommuLiveName(dev->bus), controller->alias) != 0)
            continue;
        dev->planned = g_strdup(placed->smmu);
    }
}

void
qemuViommuLiveBind(qemuViommuLive *live, const viommuDomain *dom)
{
    g_autoptr(GHashTable) byAlias = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;

    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);

        if (dev->kind == VIOMMU_DEVICE_ASSIGNED && dev->haveSource && dev->alias)
            g_hash_table_insert(byAlias, dev->alias, (void *)dev);
    }
    for (i = 0; i < live->devices->len; i++) {
        qemuViommuLiveDevice *dev = g_ptr_array_index(live->devices, i);
        const viommuDevice *known = g_hash_table_lookup(byAlias, dev->id);

        if (dev->kind != QEMU_VIOMMU_LIVE_ASSIGNED || dev->haveHost || !known)
            continue;
        dev->host = known->source;
        dev->haveHost = true;
    }
    for (i = 0; i < dom->placed->len; i++)
        bindVSMMU(live, dom, g_ptr_array_index(dom->placed, i));
}
