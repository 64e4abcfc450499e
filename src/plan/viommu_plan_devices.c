/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host devices of a domain, the physical SMMUs behind which they stand (P1), and whether both can do
 * what is asked.
 */
#include "viommu_plan_priv.h"
#include "viommu_words.h"

#include <string.h>

/* QEMU: smmuv3-accel.c takes no host with less. */
#define SIDSIZE_MIN 16

#define NEST_REMEDY "pass through devices behind an SMMU that can nest (viommu host)"

/* What follows if a vSMMU is made for an SMMU that cannot have one. */
typedef struct {
    const char *id;
    const char *consequence;
    const char *remedy;
} inability;

/* The kernel: vfio does nothing for the caches, so that the guest must not be able to get around them. */
static const inability incoherent = {
    "V15", "IOMMU_VIOMMU_ALLOC failed: Operation not supported", NEST_REMEDY
};

static const virSMMUDevice *
findHostDevice(planState *state, const viommuDevice *device)
{
    const virSMMUDevice *host = virSMMUTopologyFindDevice(state->host, &device->source);

    if (!host) {
        const char *noted = viommuDomainNotedSMMU(state->dom, device->key);

        if (noted)
            planRefuse(state, "V02", device->line, "libvirt cannot start the domain: the device is not found",
                       "write the address that 'viommu host' shows for it now",
                       "%s is not on this host; it was behind '%s' when it was placed", device->what, noted);
        else
            viommuWordsAdd(state->findings, VIOMMU_WORDS_ABSENT, device->line, device->what, NULL);
        return NULL;
    }
    if (!host->smmu) {
        viommuWordsAdd(state->findings, VIOMMU_WORDS_NO_IOMMU, device->line, device->what, NULL);
        return NULL;
    }
    if (host->smmu->kind != VIR_SMMU_KIND_SMMUV3) {
        viommuWordsAdd(state->findings, VIOMMU_WORDS_NO_SMMUV3, device->line, device->what, host->smmu->name);
        return NULL;
    }
    return host;
}

static void
checkGroup(planState *state, const viommuDevice *device, const virSMMUDevice *host)
{
    const virSMMUGroup *group = virSMMUTopologyFindGroup(state->host, host->group);
    g_autoptr(GString) others = g_string_new(NULL);
    size_t i;

    for (i = 0; group && i < group->members->len; i++) {
        const char *member = g_ptr_array_index(group->members, i);

        if (strcmp(member, host->name) != 0)
            g_string_append_printf(others, "%s'%s'", others->len ? ", " : "", member);
    }
    if (others->len)
        planRefuse(state, "V16", device->line,
                   "QEMU refuses two members of one group, and a single one is broken in the guest",
                   "use a device that is alone in its group, or a slot whose switch or root port has ACS",
                   "%s shares IOMMU group %d with %s", device->what, host->group, others->str);
    if (group && group->direct)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_DIRECT, device->line, device->what, NULL);
    if (host->behindBridge)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_ALIASED, device->line, device->what, NULL);
}

static void
checkDevice(planState *state, const viommuDevice *device, const virSMMUDevice *host)
{
    if (host->haveDetails && host->bridge)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_BRIDGE, device->line, device->what, NULL);
    if (!state->plan->accel)
        return;
    checkGroup(state, device, host);
    if (device->iommufd == 0 || device->iommufd == VIOMMU_BAD)
        planRefuse(state, "V04", device->line,
                   "vfio-pci endpoint devices without an iommufd backend not allowed when using "
                   "arm-smmuv3,accel=on", device->iommufd == 0 ? "remove iommufd='no' from its <driver>"
                                        : "write iommufd='yes', or remove it from its <driver>",
                   device->iommufd == 0 ? "%s is to use legacy VFIO"
                                        : "the <driver> of %s says neither iommufd='yes' nor 'no'",
                   device->what);
    if (virSMMUCanNest(host->smmu, NULL) == VIR_TRISTATE_YES &&
        virSMMUDeviceIsCoherent(host) == VIR_TRISTATE_NO)
        planRefuse(state, incoherent.id, device->line, incoherent.consequence, incoherent.remedy,
                   "%s is behind '%s', which has no S2FWB (IDR3.FWB), and its root complex has no CANWBS "
                   "(IORT)", device->what, host->smmu->name);
}

/* The line of what made @group: its first device, its request, or the domain. */
static unsigned
groupLine(const planState *state, const planGroup *group)
{
    if (group->devices->len)
        return ((planDevice *)g_ptr_array_index(group->devices, 0))->device->line;
    return group->request->line ? group->request->line
                                : viommuXMLLine(state->dom->xml, state->dom->root);
}

/* What QEMU's vSMMU has whatever is asked of it, and @smmu has not; NULL if nothing. */
static const char *
whatLacks(const virSMMU *smmu, inability *ret_then)
{
    int bits = virSMMUStreamBits(smmu);
    const struct {
        bool lacks;
        const char *consequence;
        const char *text;
    } all[] = {
        { virSMMUHasTwoLevelTable(smmu) == VIR_TRISTATE_NO, "Host SMMUv3 Stream Table format mismatch",
          "has no stream tables of two levels (IDR0.ST_LEVEL)" },
        { virSMMUHasLittleEndian(smmu) == VIR_TRISTATE_NO,
          "Host SMMUv3 doesn't support Little-endian translation table",
          "has no little-endian translation tables (IDR0.TTENDIAN)" },
        { virSMMUHasAArch64(smmu) == VIR_TRISTATE_NO,
          "Host SMMUv3 doesn't support AArch64 translation table format",
          "has no AArch64 translation tables (IDR0.TTF)" },
        { bits >= 0 && bits < SIDSIZE_MIN, "Host SMMUv3 SIDSIZE not compatible",
          "has StreamIDs of less than 16 bits (IDR1.SIDSIZE)" },
        { virSMMUHasAllGranules(smmu) == VIR_TRISTATE_NO,
          "Host SMMUv3 doesn't support 4K, 16K or 64K translation granule",
          "has not all translation granules of 4, 16 and 64 KiB (IDR5)" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(all); i++) {
        if (all[i].lacks) {
            *ret_then = (inability){ "V14", all[i].consequence,
                                     "pass through devices behind another SMMU" };
            return all[i].text;
        }
    }
    return NULL;
}

/* True if no device behind @smmu could have a vSMMU. */
static bool
isIncoherent(const virSMMU *smmu)
{
    size_t i;

    for (i = 0; i < smmu->devices->len; i++) {
        if (virSMMUDeviceIsCoherent(g_ptr_array_index(smmu->devices, i)) != VIR_TRISTATE_NO)
            return false;
    }
    return smmu->devices->len > 0;
}

/* Why no vSMMU can stand for @smmu; NULL if one can, or if the registers are not known. If it is to be
 * @empty, what all devices behind it lack counts too. */
static char *
whyUnable(const virSMMU *smmu, bool empty, inability *ret_then)
{
    const char *why = NULL;
    int oas = virSMMUOutputBits(smmu);

    if (virSMMUCanNest(smmu, &why) == VIR_TRISTATE_NO) {
        *ret_then = (inability){ "V15", "Failed to allocate hwpt: Operation not supported", NEST_REMEDY };
        return g_strdup_printf("cannot nest: %s", why);
    }
    if (oas >= 0 && oas < VIR_SMMU_OAS_MIN) {
        *ret_then = (inability){
            "V15", "Host SMMUv3 supports fewer bits of IPA than the vSMMU OAS implies", NEST_REMEDY
        };
        return g_strdup_printf("has %d bits of output address (IDR5.OAS), QEMU needs %d", oas, VIR_SMMU_OAS_MIN);
    }
    if (empty && isIncoherent(smmu)) {
        *ret_then = incoherent;
        return g_strdup("has no S2FWB (IDR3.FWB), and no root complex behind it has CANWBS (IORT)");
    }
    return g_strdup(whatLacks(smmu, ret_then));
}

static void
checkSMMU(planState *state, const planGroup *group)
{
    inability then;
    g_autofree char *why = whyUnable(group->smmu, group->devices->len == 0, &then);

    if (state->plan->accel && why)
        planRefuse(state, then.id, groupLine(state, group), then.consequence, then.remedy, "'%s' %s",
                   group->smmu->name, why);
}

const viommuRequest *
planFindRequest(const planState *state, const virSMMU *smmu, unsigned controller)
{
    static const viommuRequest automatic = {
        .features = { VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO, VIOMMU_AUTO },
        .pciBus = VIOMMU_UNSET,
    };
    const viommuRequest *forSMMU = NULL;
    const viommuRequest *forAll = NULL;
    size_t i;

    for (i = 0; i < state->dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(state->dom->requests, i);
        bool named = g_strcmp0(request->smmu, smmu->name) == 0;

        if (named && controller && request->pciBus == (int)controller)
            return request;
        if (named && (!forSMMU || request->pciBus == VIOMMU_UNSET))
            forSMMU = request;
        if (!request->smmu)
            forAll = request;
    }
    return forSMMU ? forSMMU : forAll ? forAll : &automatic;
}

static planGroup *
addGroup(planState *state, GHashTable *byName, const virSMMU *smmu)
{
    planGroup *group = g_hash_table_lookup(byName, smmu->name);

    if (group)
        return group;
    group = g_new0(planGroup, 1);
    group->smmu = smmu;
    group->request = planFindRequest(state, smmu, 0);
    group->devices = g_ptr_array_new();
    group->vsmmus = g_ptr_array_new();
    g_ptr_array_add(state->groups, group);
    g_hash_table_insert(byName, smmu->name, group);
    return group;
}

/* SMMUs that get a vSMMU though no device is behind it yet: smmus='all', or spare ports for that one. */
static void
addEmptyGroups(planState *state, GHashTable *byName)
{
    const GPtrArray *smmus = virSMMUTopologySMMUs(state->host);
    size_t i;

    for (i = 0; i < smmus->len; i++) {
        const virSMMU *smmu = g_ptr_array_index(smmus, i);
        const viommuRequest *request = planFindRequest(state, smmu, 0);
        g_autofree char *why = NULL;
        inability then;

        if (smmu->kind != VIR_SMMU_KIND_SMMUV3 || g_hash_table_contains(byName, smmu->name))
            continue;
        why = whyUnable(smmu, true, &then);
        if (request->smmu && request->sparePorts > 0)
            addGroup(state, byName, smmu);
        else if (request->smmu)
            planReason(state, "P2", smmu->name, "no vSMMU: no device behind it is passed through, and no "
                       "spare ports are asked for");
        else if (request->allSMMUs && state->plan->accel && why)
            planReason(state, "P2", smmu->name, "no vSMMU: the SMMU %s", why);
        else if (request->allSMMUs)
            addGroup(state, byName, smmu);
    }
}

static int
compareDevices(const void *a, const void *b)
{
    const planDevice *one = *(planDevice *const *)a;
    const planDevice *two = *(planDevice *const *)b;
    int addr = virPCIAddrCompare(&one->device->source, &two->device->source);

    return addr ? addr : strcmp(one->device->key, two->device->key);
}

static int
compareGroups(const void *a, const void *b)
{
    return strcmp((*(planGroup *const *)a)->smmu->name, (*(planGroup *const *)b)->smmu->name);
}

static void
checkTwice(planState *state)
{
    size_t i;

    for (i = 1; i < state->devices->len; i++) {
        const planDevice *one = g_ptr_array_index(state->devices, i - 1);
        const planDevice *two = g_ptr_array_index(state->devices, i);

        if (!one->device->network && !two->device->network &&
            virPCIAddrCompare(&one->device->source, &two->device->source) == 0) {
            g_autofree char *first = g_strdup_printf("%u", MIN(one->device->line, two->device->line));

            viommuWordsAdd(state->findings, VIOMMU_WORDS_TWICE, MAX(one->device->line, two->device->line),
                           two->device->what, first);
        }
    }
}

/* Once a PF is the guest's, its virtual functions are gone. */
static void
checkParents(planState *state)
{
    g_autoptr(GHashTable) byName = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        planDevice *item = g_ptr_array_index(state->devices, i);

        if (!item->device->network)
            g_hash_table_insert(byName, item->host->name, item);
    }
    for (i = 0; i < state->devices->len; i++) {
        const planDevice *item = g_ptr_array_index(state->devices, i);
        char name[VIR_PCI_ADDR_BUFLEN];
        const planDevice *parent;

        if (!item->host->haveDetails || !item->host->virtualFunction)
            continue;
        parent = g_hash_table_lookup(byName, virPCIAddrFormat(&item->host->physfn, name));
        if (parent) {
            g_autofree char *other = g_strdup_printf("%s in line %u", parent->device->what, parent->device->line);

            viommuWordsAdd(state->findings, VIOMMU_WORDS_CHILD, item->device->line, item->device->what, other);
        }
    }
}

bool
planCollectDevices(planState *state)
{
    g_autoptr(GHashTable) byName = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;

    for (i = 0; i < state->dom->devices->len; i++) {
        const viommuDevice *device = g_ptr_array_index(state->dom->devices, i);
        const virSMMUDevice *host;
        planDevice *item;

        if (device->kind != VIOMMU_DEVICE_ASSIGNED)
            continue;
        host = findHostDevice(state, device);
        if (!host)
            continue;
        checkDevice(state, device, host);
        item = g_new0(planDevice, 1);
        item->device = device;
        item->host = host;
        g_ptr_array_add(state->devices, item);
    }
    g_ptr_array_sort(state->devices, compareDevices);
    checkTwice(state);
    checkParents(state);
    for (i = 0; i < state->devices->len; i++) {
        planDevice *item = g_ptr_array_index(state->devices, i);

        g_ptr_array_add(addGroup(state, byName, item->host->smmu)->devices, item);
    }
    addEmptyGroups(state, byName);
    g_ptr_array_sort(state->groups, compareGroups);
    for (i = 0; i < state->groups->len; i++)
        checkSMMU(state, g_ptr_array_index(state->groups, i));
    return !viommuFindingsHaveError(state->findings);
}
