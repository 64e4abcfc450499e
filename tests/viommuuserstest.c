/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What running domains hold of a CMDQV, and what is left for another one.
 */
#include "viommu_users.h"

#include "hosttestutils.h"
#include "viommu_place.h"

#include <string.h>

#define SMMU "smmu3.0x0000000050000000"

/* A running domain, with what counts as libvirt 12.8 prints it: two vSMMUs, and a device on pcie.0. */
#define PORT(index, bus)                                                                     \
    "<controller type='pci' index='" index "' model='pcie-root-port'>"                       \
    "<address type='pci' domain='0x0000' bus='" bus "' slot='0x00' function='0x0'/></controller>"
#define HOSTDEV(function, bus)                                                               \
    "<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio' iommufd='yes'/><source>" \
    "<address domain='0x0000' bus='0x01' slot='0x00' function='" function "'/></source>"     \
    "<address type='pci' domain='0x0000' bus='" bus "' slot='0x00' function='0x0'/></hostdev>"
#define RUNNING(name, first, second)                                                         \
    "<domain type='kvm' id='1'>" name "<os><type arch='aarch64' machine='virt-11.1'>hvm</type></os><devices>" \
    "<controller type='pci' index='0' model='pcie-root'/>"                                   \
    "<controller type='pci' index='1' model='pcie-expander-bus'><target busNr='254'/></controller>" \
    "<controller type='pci' index='3' model='pcie-expander-bus'><target busNr='252'/></controller>" \
    PORT("2", "0x01") PORT("4", "0x03") PORT("5", "0x00")                                    \
    "<iommu model='smmuv3'><driver pciBus='1'" first "/></iommu>"                            \
    "<iommu model='smmuv3'><driver pciBus='3'" second "/></iommu>"                           \
    HOSTDEV("0x1", "0x02") HOSTDEV("0x2", "0x04") HOSTDEV("0x3", "0x05") "</devices></domain>"

#define ACCEL " accel='on'"

/* The same below libvirt 11.3, in whose words the vSMMUs are not. */
#define NAMED(function, alias)                                                               \
    "<hostdev mode='subsystem' type='pci' managed='yes'><source>"                            \
    "<address domain='0x0000' bus='0x01' slot='0x00' function='" function "'/></source>"     \
    "<alias name='" alias "'/><address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/></hostdev>"
#define ARG(value) "<q:arg value='-device'/><q:arg value='" value "'/>"
#define BUS(alias, bus)                                                                      \
    "<q:device alias='" alias "'><q:frontend><q:property name='addr' type='string' value='0x0'/>" \
    "<q:property name='bus' type='string' value='" bus "'/></q:frontend></q:device>"
#define ARGUMENTS(first, second)                                                             \
    "<domain type='kvm' id='1' xmlns:q='" VIOMMU_NS_QEMU "'><name>one</name>"                \
    "<os><type arch='aarch64' machine='virt-11.1'>hvm</type></os><devices>"                  \
    "<controller type='pci' index='0' model='pcie-root'/>" PORT("2", "0x00")                 \
    NAMED("0x1", "ua-viommu-0") NAMED("0x2", "ua-viommu-1") NAMED("0x3", "hostdev0") "</devices><q:commandline>" \
    ARG("pxb-pcie,id=viommu.1,bus=pcie.0,addr=0x1f,bus_nr=254")                              \
    ARG("pcie-root-port,id=viommu.2,bus=viommu.1,addr=0x0,chassis=255,port=0")               \
    ARG("arm-smmuv3,id=viommu.1.smmu,primary-bus=viommu.1" first)                            \
    ARG("pxb-pcie,id=viommu.11,bus=pcie.0,addr=0x1e,bus_nr=252")                             \
    ARG("pcie-root-port,id=viommu.12,bus=viommu.11,addr=0x0,chassis=254,port=0")             \
    ARG("arm-smmuv3,id=viommu.11.smmu,primary-bus=viommu.11" second)                         \
    "</q:commandline><q:override>" BUS("net0", "viommu.2") BUS("ua-viommu-0", "viommu.2")    \
    BUS("ua-viommu-1", "viommu.12") "</q:override></domain>"

static void
addRunning(GPtrArray *users, const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) dom = viommuDomainParse(xml, strlen(xml), &error);

    g_assert_no_error(error);
    viommuUsersAdd(users, dom);
}

static virSMMUTopology *
readHost(virSysfs **ret_fs)
{
    virSMMUTopology *topo;

    *ret_fs = testHostRead("cmdqv-limits");
    topo = virSMMUTopologyRead(*ret_fs, NULL);
    g_assert_nonnull(topo);
    return topo;
}

static void
testAdd(void)
{
    static const struct {
        const char *xml;
        unsigned devices;
        int vsmmus[3];
        unsigned queues;
    } some[] = {
        { RUNNING("<name>one</name>", ACCEL, ACCEL " cmdqv='off'"), 3, { 1, VIOMMU_UNSET, VIOMMU_UNSET }, 1 },
        { RUNNING("<name>one</name>", ACCEL " cmdqv='on'", ACCEL), 3, { 1, 3, VIOMMU_UNSET }, 2 },
        { RUNNING("<name>one</name>", ACCEL " cmdqv='off'", ACCEL " cmdqv='off'"), 3,
          { VIOMMU_UNSET, VIOMMU_UNSET, VIOMMU_UNSET }, 0 },
        { RUNNING("<name>one</name>", "", ACCEL), 3, { VIOMMU_UNSET, 3, VIOMMU_UNSET }, 1 },
        { RUNNING("", ACCEL, ACCEL), 0, { 0 }, 0 },
        { ARGUMENTS(",accel=on", ",accel=on,cmdqv=off"), 3, { 1, VIOMMU_UNSET, VIOMMU_UNSET }, 1 },
        { ARGUMENTS(",accel=on,cmdqv=on", ",accel=on,ats=on"), 3, { 1, 11, VIOMMU_UNSET }, 2 },
        { ARGUMENTS("", ",accel=on,cmdqv=off"), 3, { VIOMMU_UNSET, VIOMMU_UNSET, VIOMMU_UNSET }, 0 },
    };
    g_autoptr(virSysfs) fs = NULL;
    g_autoptr(virSMMUTopology) topo = readHost(&fs);
    const virSMMU *smmu = virSMMUTopologyFindSMMU(topo, SMMU);
    size_t i, j;

    g_assert_cmpuint(viommuUsersCountQueues(NULL, topo, smmu), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autoptr(GPtrArray) users = viommuUsersNew();

        addRunning(users, some[i].xml);
        g_assert_cmpuint(users->len, ==, some[i].devices);
        for (j = 0; j < users->len; j++) {
            const viommuDeviceUser *user = g_ptr_array_index(users, j);

            g_assert_cmpstr(user->domain, ==, "one");
            g_assert_cmpuint(user->addr.function, ==, j + 1);
            g_assert_cmpint(user->vsmmu, ==, some[i].vsmmus[j]);
        }
        g_assert_cmpuint(viommuUsersCountQueues(users, topo, smmu), ==, some[i].queues);
    }
}

#define ASKING(driver)                                                                       \
    "<domain type='kvm'><name>new</name><memory unit='GiB'>8</memory><vcpu>4</vcpu><os firmware='efi'>" \
    "<type arch='aarch64' machine='virt'>hvm</type></os><features><acpi/><gic version='3'/></features>" \
    "<devices><iommu model='smmuv3' nested='yes'>" driver "</iommu>"                         \
    "<hostdev mode='subsystem' type='pci' managed='yes'><source>"                            \
    "<address domain='0x0000' bus='0x01' slot='0x01' function='0x0'/></source></hostdev></devices></domain>"

/* Places what asks beside @vsmmus vSMMUs of running domains: the value of cmdqv, or VIOMMU_BAD if it is refused. */
static int
place(const char *xml, unsigned vsmmus, unsigned qemu, char **ret_said)
{
    g_autoptr(viommuHost) host = viommuHostNew();
    g_autoptr(viommuDomain) dom = viommuDomainParse(xml, strlen(xml), NULL);
    g_autoptr(viommuPlacement) placement = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) said = g_string_new(NULL);
    size_t i;
    int cmdqv;

    g_assert_true(viommuHostRead(host, testHostRead("cmdqv-limits"), &error));
    g_assert_true(viommuHostBind(host, dom, NULL, &error));
    host->users = viommuUsersNew();
    for (i = 0; i < vsmmus; i++) {
        g_autofree char *name = g_strdup_printf("<name>guest%zu</name>", i);
        g_autofree char *running = g_strdup_printf(RUNNING("%s", ACCEL, ACCEL " cmdqv='off'"), name);

        addRunning(host->users, running);
    }
    placement = viommuPlacementNew(dom, host, qemu, &error);
    g_assert_no_error(error);
    for (i = 0; placement->plan && i < placement->plan->reasons->len; i++) {
        const viommuReason *reason = g_ptr_array_index(placement->plan->reasons, i);

        if (strcmp(reason->rule, "P9") == 0)
            g_string_append(said, reason->text);
    }
    for (i = 0; i < placement->findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(placement->findings, i);

        if (finding->severity == VIOMMU_SEVERITY_ERROR)
            g_string_append_printf(said, "%s: %s", finding->id, finding->text);
    }
    *ret_said = g_string_free(g_steal_pointer(&said), FALSE);
    cmdqv = placement->refused ? VIOMMU_BAD
                               : ((viommuVSMMU *)g_ptr_array_index(placement->plan->vsmmus, 0))->features.cmdqv;
    return cmdqv;
}

static void
testPlace(void)
{
#define TAKEN "63 vSMMUs, of running domains and this one, have all the virtual interfaces of its CMDQV"
    static const struct {
        const char *xml;
        unsigned vsmmus;
        unsigned qemu;
        int cmdqv;
        const char *said;
    } some[] = {
        { ASKING(""), 62, 11001, VIOMMU_AUTO, "a virtual interface of its CMDQV with 2 VCMDQs and 16 stream slots, 1 of "
                                              "them in use; with huge pages the guest's queues could be larger" },
        { ASKING(""), 63, 11001, 0, "cmdqv is off: " TAKEN },
        { ASKING("<driver cmdqv='off'/>"), 63, 11001, 0, "" },
        { ASKING("<driver cmdqv='on'/>"), 62, 11001, 1, "a virtual interface of its CMDQV with 2 VCMDQs and 16 stream "
                                                        "slots, 1 of them in use; with huge pages the guest's queues "
                                                        "could be larger" },
        { ASKING("<driver cmdqv='on'/>"), 63, 11001, VIOMMU_BAD,
          "V11: cmdqv='on' for '" SMMU "' does not fit: " TAKEN },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autofree char *said = NULL;

        g_assert_cmpint(place(some[i].xml, some[i].vsmmus, some[i].qemu, &said), ==, some[i].cmdqv);
        g_assert_cmpstr(said, ==, some[i].said);
    }
}

/* 17 devices behind one SMMU: with cmdqv='on' they take two vSMMUs, and so two virtual interfaces. */
static void
testPlaceTwo(void)
{
    static const struct {
        unsigned vsmmus;
        int cmdqv;
    } some[] = { { 61, 1 }, { 62, VIOMMU_BAD } };
    g_autoptr(GString) xml = g_string_new(NULL);
    static const char text[] = ASKING("<driver cmdqv='on'/>");
    const char *end = strstr(text, "</devices>");
    size_t i;

    g_string_append_len(xml, text, end - text);
    /* functions 1 of slot 0 to 0 of slot 2 are virtual; the last is there already */
    for (i = 1; i <= 17; i++) {
        if (i != 8)
            g_string_append_printf(xml, "<hostdev mode='subsystem' type='pci' managed='yes'><source><address "
                                   "domain='0x0000' bus='0x01' slot='0x%02zx' function='0x%zx'/></source></hostdev>",
                                   i / 8, i % 8);
    }
    g_string_append(xml, end);
    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autofree char *said = NULL;

        g_assert_cmpint(place(xml->str, some[i].vsmmus, 11001, &said), ==, some[i].cmdqv);
        g_assert_cmpint(strstr(said, TAKEN) != NULL, ==, some[i].cmdqv == VIOMMU_BAD);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/users/add", testAdd);
    g_test_add_func("/users/place", testPlace);
    g_test_add_func("/users/place-two", testPlaceTwo);
    return g_test_run();
}
