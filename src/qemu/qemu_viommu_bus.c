/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PCI controllers: from the plan and from the domain to -device.
 */
#include "qemu_viommu_bus.h"

const char *
qemuViommuUserAlias(const char *alias)
{
    return alias && g_str_has_prefix(alias, "ua-") ? alias : NULL;
}

char *
qemuViommuBusName(const viommuDomain *dom, unsigned index)
{
    const viommuController *controller = viommuDomainFindController(dom, index);

    if (index == 0)
        return g_strdup("pcie.0");
    if (controller && qemuViommuUserAlias(controller->alias))
        return g_strdup(controller->alias);
    return g_strdup_printf("pci.%u", index);
}

static void
busFree(void *data)
{
    qemuViommuBus *bus = data;

    g_free(bus->id);
    g_free(bus);
}

GPtrArray *
qemuViommuBusesNew(void)
{
    return g_ptr_array_new_with_free_func(busFree);
}

qemuViommuBus *
qemuViommuBusFind(const GPtrArray *buses, unsigned index)
{
    size_t i;

    for (i = 0; i < buses->len; i++) {
        qemuViommuBus *bus = g_ptr_array_index(buses, i);

        if (bus->index == index)
            return bus;
    }
    return NULL;
}

qemuViommuBus *
qemuViommuBusAdd(GPtrArray *buses, const viommuDomain *dom, unsigned index, viommuPCIModel model)
{
    const viommuController *controller = viommuDomainFindController(dom, index);
    qemuViommuBus *bus = g_new0(qemuViommuBus, 1);

    bus->index = index;
    bus->indexGiven = !controller || controller->indexGiven;
    bus->model = model;
    bus->node = -1;
    bus->id = qemuViommuBusName(dom, index);
    if (controller) {
        bus->xml = controller->node;
        bus->line = controller->line;
    }
    g_ptr_array_add(buses, bus);
    return bus;
}

void
qemuViommuBusAddPort(GPtrArray *buses, const viommuDomain *dom, unsigned parent, const viommuPlanPort *port)
{
    qemuViommuBus *bus = qemuViommuBusAdd(buses, dom, port->controller, VIOMMU_PCI_ROOT_PORT);

    bus->hasAddr = true;
    bus->addr = (viommuGuestAddr){ .bus = parent, .slot = port->slot, .function = port->function,
                                   .multifunction = port->multifunction };
    bus->chassis = port->chassis;
    bus->port = port->port;
    bus->keeps = port->keeps;
    bus->noIO = port->noIO;
    bus->generated = port->generated;
}

/* libvirt's number for a port that has none. */
static unsigned
usualPort(const qemuViommuBus *bus)
{
    if (bus->model == VIOMMU_PCI_DOWNSTREAM)
        return bus->addr.slot;
    return bus->addr.slot * QEMU_VIOMMU_FUNCTIONS + bus->addr.function;
}

void
qemuViommuBusAddController(GPtrArray *buses, const viommuDomain *dom, const viommuController *controller,
                           unsigned number)
{
    qemuViommuBus *bus = qemuViommuBusAdd(buses, dom, controller->index, controller->model);

    bus->hasAddr = controller->hasAddr;
    bus->addr = controller->addr;
    bus->busNr = controller->busNr > 0 ? (unsigned)controller->busNr : number;
    bus->node = controller->numaNode >= 0 ? controller->numaNode : -1;
    bus->chassis = controller->chassis >= 0 ? (unsigned)controller->chassis : controller->index;
    bus->port = controller->port >= 0 ? (unsigned)controller->port : usualPort(bus);
}

void
qemuViommuBusAddPlan(GPtrArray *buses, const viommuDomain *dom, const viommuPlan *plan)
{
    size_t i;
    size_t j;

    for (i = 0; i < plan->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(plan->vsmmus, i);
        const viommuController *controller = viommuDomainFindController(dom, vsmmu->controller);
        qemuViommuBus *bus = qemuViommuBusAdd(buses, dom, vsmmu->controller, VIOMMU_PCI_EXPANDER);

        bus->hasAddr = true;
        bus->addr.slot = vsmmu->slot;
        if (controller && controller->hasAddr)
            bus->addr = controller->addr;
        bus->busNr = vsmmu->busNr;
        bus->node = vsmmu->node;
        for (j = 0; j < vsmmu->ports->len; j++)
            qemuViommuBusAddPort(buses, dom, vsmmu->controller, g_ptr_array_index(vsmmu->ports, j));
    }
}

int
qemuViommuBusCompare(const void *a, const void *b)
{
    const qemuViommuBus *one = *(qemuViommuBus *const *)a;
    const qemuViommuBus *two = *(qemuViommuBus *const *)b;

    if (one->indexGiven != two->indexGiven)
        return one->indexGiven ? 1 : -1;
    return one->index < two->index ? -1 : one->index > two->index;
}

GPtrArray *
qemuViommuBusesOfPlan(const viommuDomain *dom, const viommuPlan *plan)
{
    GPtrArray *buses = qemuViommuBusesNew();
    size_t i;

    qemuViommuBusAddPlan(buses, dom, plan);
    for (i = 0; i < dom->controllers->len; i++) {
        const viommuController *controller = g_ptr_array_index(dom->controllers, i);
        const viommuController *expander = viommuDomainFindExpander(dom, controller->index);

        if (expander && qemuViommuBusFind(buses, expander->index) &&
            !qemuViommuBusFind(buses, controller->index) && controller->model != VIOMMU_PCI_ROOT_PORT)
            qemuViommuBusAddController(buses, dom, controller, 0);
    }
    g_ptr_array_sort(buses, qemuViommuBusCompare);
    return buses;
}

void
qemuViommuSetAddress(JsonObject *props, const char *bus, const viommuGuestAddr *addr)
{
    g_autofree char *text = NULL;

    if (addr->function == 0)
        text = g_strdup_printf("0x%x", addr->slot);
    else
        text = g_strdup_printf("0x%x.0x%x", addr->slot, addr->function);
    json_object_set_string_member(props, "bus", bus);
    if (addr->multifunction)
        json_object_set_boolean_member(props, "multifunction", TRUE);
    json_object_set_string_member(props, "addr", text);
}

static const char *
driverOf(viommuPCIModel model)
{
    switch (model) {
    case VIOMMU_PCI_ROOT_PORT:
        return "pcie-root-port";
    case VIOMMU_PCI_EXPANDER:
        return "pxb-pcie";
    case VIOMMU_PCI_UPSTREAM:
        return "x3130-upstream";
    case VIOMMU_PCI_DOWNSTREAM:
        return "xio3130-downstream";
    case VIOMMU_PCI_TO_PCI_BRIDGE:
        return "pcie-pci-bridge";
    case VIOMMU_PCI_ROOT:
    case VIOMMU_PCI_OTHER:
        break;
    }
    return NULL;
}

/* <target hotplug= memReserve=> of a port, in which memReserve is in KiB: as the user wrote it, or as the plan has it
 * for a port of its own. */
static void
setTarget(JsonObject *props, const qemuViommuBus *bus)
{
    const xmlNode *target = viommuXMLChild(bus->xml, "target");
    const char *hotplug = viommuXMLAttr(target, "hotplug");
    const char *reserve = viommuXMLAttr(target, "memReserve");

    if (hotplug)
        json_object_set_boolean_member(props, "hotplug", g_str_equal(hotplug, "on"));
    if (bus->generated && bus->keeps.mem)
        json_object_set_int_member(props, VIOMMU_RESERVE_MEM, (gint64)bus->keeps.mem);
    else if (reserve && !bus->generated)
        json_object_set_int_member(props, VIOMMU_RESERVE_MEM, (gint64)(g_ascii_strtoull(reserve, NULL, 10) * 1024));
}

/* Windows for which libvirt has no word, and what a port of the user's does not say. */
static void
setWindows(JsonObject *props, const qemuViommuBus *bus)
{
    if (bus->keeps.pref64)
        json_object_set_int_member(props, VIOMMU_RESERVE_PREF64, (gint64)bus->keeps.pref64);
    if (bus->keeps.mem && !json_object_has_member(props, VIOMMU_RESERVE_MEM))
        json_object_set_int_member(props, VIOMMU_RESERVE_MEM, (gint64)bus->keeps.mem);
    if (bus->noIO)
        json_object_set_int_member(props, VIOMMU_RESERVE_IO, 0);
}

void
qemuViommuBusesFixAddress(const GPtrArray *buses, viommuGuestAddr *addr)
{
    const qemuViommuBus *bus = qemuViommuBusFind(buses, addr->bus);

    if (bus && addr->function == 0 && (bus->used[addr->slot] & 0xfe))
        addr->multifunction = true;
}

static void
writeBus(GPtrArray *buses, qemuViommuBus *bus, const viommuDomain *dom, GPtrArray *args)
{
    const char *driver = driverOf(bus->model);
    qemuViommuBus *parent = qemuViommuBusFind(buses, bus->addr.bus);
    g_autoptr(JsonObject) props = NULL;
    g_autofree char *parentName = NULL;

    if (bus->written || !driver)
        return;
    bus->written = true;
    if (parent)
        writeBus(buses, parent, dom, args);

    props = qemuViommuDeviceNew(driver);
    if (bus->model == VIOMMU_PCI_EXPANDER)
        json_object_set_int_member(props, "bus_nr", bus->busNr);
    if (bus->model == VIOMMU_PCI_ROOT_PORT || bus->model == VIOMMU_PCI_DOWNSTREAM) {
        json_object_set_int_member(props, "port", bus->port);
        json_object_set_int_member(props, "chassis", bus->chassis);
    }
    json_object_set_string_member(props, "id", bus->id);
    if (bus->node >= 0)
        json_object_set_int_member(props, "numa_node", bus->node);
    setTarget(props, bus);
    parentName = qemuViommuBusName(dom, bus->addr.bus);
    qemuViommuBusesFixAddress(buses, &bus->addr);
    qemuViommuSetAddress(props, parentName, &bus->addr);
    setWindows(props, bus);
    qemuViommuArgsAddJSON(args, "-device", props);
}

void
qemuViommuBusesArgs(GPtrArray *buses, const viommuDomain *dom, GPtrArray *args)
{
    size_t i;

    for (i = 0; i < buses->len; i++)
        writeBus(buses, g_ptr_array_index(buses, i), dom, args);
}
