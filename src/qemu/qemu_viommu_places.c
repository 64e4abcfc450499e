/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A QEMU that places by itself: it makes an expander bus with a vSMMU for every SMMU of the host, takes the bus numbers
 * for them from the top, and puts each vfio-pci device with host= and iommufd= into a new root port below the vSMMU of
 * the SMMU that sysfs says ("hw/arm/virt: Assign vfio-pci devices to nested SMMUs", June 2024).
 *
 * It looks at sysfs as the planner does, so that what is to be compared is not which SMMU, but whether the plan has
 * something that this QEMU does not make.
 */
#include "qemu_viommu_places.h"

#include "viommuerror.h"

#include <string.h>

/* MAX_DEV_PER_NESTED_SMMU of hw/arm/virt.c in these branches ("hw/arm/virt: Add VIRT_NESTED_SMMU", June 2024), and the
 * bus numbers that one SMMU takes: the expander bus, and for each device a root port and what is behind it. */
#define DEVICES_MAX 4
#define BUSES_PER_SMMU (1 + 2 * DEVICES_MAX)

#define BUS_NUMBERS 256

#define PLACES "QEMU places by itself with iommu=nested-smmuv3"

static bool
refuse(GError **error, unsigned line, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool
refuse(GError **error, unsigned line, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list list;

    va_start(list, format);
    text = g_strdup_vprintf(format, list);
    va_end(list);
    viommuErrorAt(error, VIOMMU_ERROR_REFUSED, line, "%s%s", PLACES, text);
    return false;
}

static bool
checkPorts(const viommuVSMMU *vsmmu, GError **error)
{
    const char *name = vsmmu->smmu->name;
    size_t i;

    if (!vsmmu->devices->len)
        return refuse(error, 0, " and makes no vSMMU without a device, as planned for '%s': leave out smmus='all'",
                      name);
    if (vsmmu->devices->len > DEVICES_MAX)
        return refuse(error, 0, " and has room for %d devices per SMMU, '%s' has %u: pass through fewer",
                      DEVICES_MAX, name, vsmmu->devices->len);
    for (i = 0; i < vsmmu->ports->len; i++) {
        const viommuPlanPort *port = g_ptr_array_index(vsmmu->ports, i);

        if (port->spare)
            return refuse(error, 0, " and keeps its own free ports: leave out sparePorts=");
        if (!port->generated)
            return refuse(error, 0, ": remove your root port with index='%u', which it would not use",
                          port->controller);
    }
    return true;
}

/* Each device sits alone in a root port. */
static bool
checkDevices(const viommuVSMMU *vsmmu, GError **error)
{
    size_t i, j;

    for (i = 0; i < vsmmu->devices->len; i++) {
        const viommuPlanDevice *device = g_ptr_array_index(vsmmu->devices, i);

        for (j = 0; j < i; j++) {
            const viommuPlanDevice *other = g_ptr_array_index(vsmmu->devices, j);

            if (device->addr.bus == other->addr.bus)
                return refuse(error, device->device->line,
                              " in a port for each device: remove the <address> of '%s', which shares a port",
                              device->host->name);
        }
        if (device->addr.slot || device->addr.function)
            return refuse(error, device->device->line,
                          " in slot 0 of a port: remove the <address> of '%s', which says another",
                          device->host->name);
    }
    return true;
}

/* It sets the node of its N-th bus to N. */
static bool
checkVSMMU(const viommuPlan *plan, size_t number, GError **error)
{
    const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, number);
    size_t i;

    if (!vsmmu->generated)
        return refuse(error, 0, ": remove your expander bus with index='%u', which it would not use",
                      vsmmu->controller);
    if (vsmmu->node >= 0)
        return refuse(error, 0, " and counts NUMA nodes instead of giving '%s' node %d: remove its <memnode>",
                      vsmmu->smmu->name, vsmmu->node);
    for (i = 0; i < number; i++) {
        const viommuVSMMU *other = g_ptr_array_index(plan->vsmmus, i);

        if (other->smmu == vsmmu->smmu)
            return refuse(error, 0, " and makes one vSMMU for '%s', planned are several: write cmdqv='auto'",
                          vsmmu->smmu->name);
    }
    return checkPorts(vsmmu, error) && checkDevices(vsmmu, error);
}

/* The machine has one switch for all. */
static bool
checkCmdqv(const viommuPlan *plan, GError **error)
{
    unsigned on = 0, off = 0;
    size_t i;

    for (i = 0; i < plan->vsmmus->len; i++) {
        int cmdqv = ((viommuVSMMU *)g_ptr_array_index(plan->vsmmus, i))->features.cmdqv;

        on += cmdqv == 1;
        off += cmdqv == 0;
    }
    return !on || !off || refuse(error, 0, ", with cmdqv for all vSMMUs or none: write the same for all");
}

static bool
isOfPlan(const viommuPlan *plan, unsigned index)
{
    size_t i, j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        if (vsmmu->controller == index)
            return true;
        for (j = 0; j < vsmmu->ports->len; j++) {
            if (((viommuPlanPort *)g_ptr_array_index(vsmmu->ports, j))->controller == index)
                return true;
        }
    }
    return false;
}

/* The user's controllers: no expander buses, whose numbers could be QEMU's, and not more than fit below those. */
static bool
checkOthers(const qemuViommuWords *words, const viommuDomain *dom, const viommuPlan *plan, GError **error)
{
    unsigned taken = BUSES_PER_SMMU * MAX(plan->vsmmus->len, words->hostSMMUs);
    unsigned room = BUS_NUMBERS - MIN(BUS_NUMBERS, taken);
    unsigned others = 1 + plan->plainPorts->len;
    size_t i;

    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);

        if (isOfPlan(plan, controller->index) || viommuDomainIsGenerated(dom, controller))
            continue;
        if (controller->model == VIOMMU_PCI_EXPANDER || viommuDomainFindExpander(dom, controller->index))
            return refuse(error, controller->line,
                          ", with bus numbers that could be those of your expander bus: remove it");
        others++;
    }
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(dom->devices, i);

        others += device->kind == VIOMMU_DEVICE_PCIE && !device->hasAddr;
    }
    return others <= room ||
           refuse(error, 0, " and takes %d bus numbers for each SMMU of the host; %u are left for %u other buses: remove some",
                  BUSES_PER_SMMU, room, others);
}

bool
qemuViommuPlacesFit(const qemuViommuWords *words, const viommuDomain *dom, const viommuPlan *plan, GError **error)
{
    size_t i;

    for (i = 0; i < plan->vsmmus->len; i++) {
        if (!checkVSMMU(plan, i, error))
            return false;
    }
    return checkCmdqv(plan, error) && checkOthers(words, dom, plan, error);
}

void
qemuViommuPlacesArgs(const qemuViommuWords *words, const viommuPlan *plan, GPtrArray *args)
{
    bool cmdqv = words->features[QEMU_VIOMMU_CMDQV].name;
    size_t i;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);

        cmdqv = cmdqv && (vsmmu->features.cmdqv == 1 || (vsmmu->features.cmdqv == VIOMMU_AUTO && vsmmu->vcmdqs));
    }
    qemuViommuArgsAdd(args, "-machine", g_strdup_printf("iommu=nested-smmuv3%s", cmdqv ? ",cmdqv=on" : ""));
}

static void
appendValue(GString *out, JsonNode *node)
{
    g_autofree char *text = NULL;

    if (json_node_get_value_type(node) == G_TYPE_BOOLEAN) {
        g_string_append(out, json_node_get_boolean(node) ? "on" : "off");
    } else if (json_node_get_value_type(node) == G_TYPE_STRING) {
        text = qemuViommuEscapeComma(json_node_get_string(node));
        g_string_append(out, text);
    } else {
        g_string_append_printf(out, "%" G_GINT64_FORMAT, json_node_get_int(node));
    }
}

/* Of a device's JSON; NULL: it is none of vfio-pci. */
static char *
formatKeys(const char *json)
{
    g_autoptr(JsonNode) node = json_from_string(json, NULL);
    JsonObject *props = json_node_get_object(node);
    const char *driver = json_object_get_string_member_with_default(props, "driver", "");
    g_autoptr(GList) names = json_object_get_members(props);
    GString *out;
    GList *name;

    if (strcmp(driver, "vfio-pci") != 0)
        return NULL;
    out = g_string_new(driver);
    for (name = names; name; name = name->next) {
        if (strcmp(name->data, "driver") == 0)
            continue;
        g_string_append_printf(out, ",%s=", (const char *)name->data);
        appendValue(out, json_object_get_member(props, name->data));
    }
    return g_string_free(out, FALSE);
}

void
qemuViommuPlacesDevices(GPtrArray *args)
{
    size_t i;

    for (i = 0; i < args->len; i++) {
        qemuViommuArg *arg = g_ptr_array_index(args, i);
        char *keys = g_str_equal(arg->option, "-device") ? formatKeys(arg->value) : NULL;

        if (!keys)
            continue;
        g_free(arg->value);
        arg->value = keys;
    }
}
