/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints what the checker expects libvirt to make of a domain: one line for each PCI controller
 * (index, model, index of the bus it is on) and PCI device (alias or element, bus). "-": no bus.
 * completion-test.py compares this with libvirt itself.
 */
#include "viommu_check_priv.h"

#include <stdio.h>
#include <string.h>

static void
printBus(const viommuCheckBus *bus)
{
    if (bus)
        printf(" %u\n", bus->index);
    else
        puts(" -");
}

static void
printDomain(const viommuDomain *dom)
{
    viommuCheckContext context = { 0 };
    viommuChecker checker;
    g_autoptr(GPtrArray) findings = viommuFindingsNew();
    size_t i;

    viommuCheckerInit(&checker, dom, &context, findings);
    for (i = 0; i < checker.buses->len; i++) {
        const viommuCheckBus *bus = g_ptr_array_index(checker.buses, i);

        printf("pci %u %s", bus->index, viommuPCIModelName(bus->model));
        printBus(bus->parent);
    }
    for (i = 0; i < checker.seats->len; i++) {
        const viommuCheckSeat *seat = g_ptr_array_index(checker.seats, i);
        const char *alias = seat->device ? seat->device->alias : NULL;

        printf("device %s", alias ? alias : seat->element);
        printBus(seat->bus);
    }
    viommuCheckerClear(&checker);
}

int
main(int argc, char **argv)
{
    g_autoptr(viommuDomain) dom = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;
    size_t len = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DOMAIN.xml\n", argv[0]);
        return 2;
    }
    if (g_file_get_contents(argv[1], &xml, &len, &error))
        dom = viommuDomainParse(xml, len, &error);
    if (!dom) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    printDomain(dom);
    return 0;
}
