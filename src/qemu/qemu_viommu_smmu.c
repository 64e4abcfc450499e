/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtual SMMUs: arm-smmuv3 devices, each on its bus.
 */
#include "qemu_viommu_smmu.h"
#include "qemu_viommu_bus.h"
#include "viommuerror.h"

#include <stdlib.h>

/* The <iommu> that already stands in the domain for the bus @controller, and its place; NULL if none. */
static const viommuIOMMU *
findIOMMU(const viommuDomain *dom, unsigned controller, size_t *ret_place)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (iommu->pciBus == (int)controller) {
            *ret_place = i;
            return iommu;
        }
    }
    return NULL;
}

/* The name of the @place-th <iommu>. */
static char *
makeId(const viommuIOMMU *iommu, size_t place)
{
    const xmlNode *alias = iommu ? viommuXMLChild(iommu->node, "alias") : NULL;
    const char *name = qemuViommuUserAlias(viommuXMLAttr(alias, "name"));

    return name ? g_strdup(name) : g_strdup_printf("iommu%zu", place);
}

static JsonObject *
smmuNew(const viommuDomain *dom, const qemuViommuWords *words, unsigned controller, const viommuIOMMU *iommu,
        size_t place)
{
    JsonObject *props = qemuViommuDeviceNew(words->driver);
    g_autofree char *bus = qemuViommuBusName(dom, controller);
    g_autofree char *id = makeId(iommu, place);

    json_object_set_string_member(props, words->bus, bus);
    json_object_set_string_member(props, "id", id);
    return props;
}

/* One vSMMU of the plan with the place that its element has, or will have once it is written: that of the
 * first request that is replaced, or the end. */
typedef struct {
    const viommuVSMMU *vsmmu;
    const viommuIOMMU *iommu;
    size_t place;
    size_t number;
} placedSMMU;

static int
comparePlaced(const void *a, const void *b)
{
    const placedSMMU *one = a;
    const placedSMMU *two = b;

    if (one->place != two->place)
        return one->place < two->place ? -1 : 1;
    return one->number < two->number ? -1 : one->number > two->number;
}

/* The place of the first <iommu> that stands for no vSMMU of the plan. */
static size_t
firstReplaced(const viommuDomain *dom, const placedSMMU *list, size_t count)
{
    size_t place;
    size_t i;

    for (place = 0; place < dom->iommus->len; place++) {
        for (i = 0; i < count && list[i].iommu != g_ptr_array_index(dom->iommus, place); i++)
            ;
        if (i == count)
            return place;
    }
    return place;
}

void
qemuViommuSMMUArgs(const viommuDomain *dom, const viommuPlan *plan, const qemuViommuWords *words, GPtrArray *args)
{
    size_t count = plan->vsmmus->len;
    g_autofree placedSMMU *list = g_new0(placedSMMU, count + 1);
    size_t fresh;
    size_t i;

    for (i = 0; i < count; i++) {
        list[i].vsmmu = g_ptr_array_index(plan->vsmmus, i);
        list[i].iommu = findIOMMU(dom, list[i].vsmmu->controller, &list[i].place);
        list[i].number = i;
    }
    fresh = firstReplaced(dom, list, count);
    for (i = 0; i < count; i++) {
        if (!list[i].iommu)
            list[i].place = fresh;
    }
    qsort(list, count, sizeof(*list), comparePlaced);
    for (i = 0; i < count; i++) {
        const viommuVSMMU *vsmmu = list[i].vsmmu;
        g_autoptr(JsonObject) props = smmuNew(dom, words, vsmmu->controller, list[i].iommu, i);

        if (plan->accel && words->accel)
            json_object_set_boolean_member(props, "accel", TRUE);
        if (plan->accel)
            qemuViommuWordsSet(words, vsmmu, &vsmmu->features, props);
        qemuViommuArgsAddJSON(args, "-device", props);
    }
}

/* RFC v1 has the root bus, where the emulated devices are, behind no vSMMU only if it is told so. */
void
qemuViommuMachineWords(const qemuViommuWords *words, const viommuPlan *plan, GPtrArray *args)
{
    if (words->dialect == QEMU_VIOMMU_DIALECT_RFC_NESTED && plan->vsmmus->len)
        qemuViommuArgsAdd(args, "-machine", g_strdup("default-bus-bypass-iommu=on"));
}

/* A feature or accel that is neither "on" nor "off", or a number out of range: libvirt refuses these. */
static bool
checkPlain(const viommuIOMMU *iommu, GError **error)
{
    const viommuFeatures *features = &iommu->features;

    if (iommu->accel == VIOMMU_BAD || iommu->pciBus == VIOMMU_BAD || features->cmdqv == VIOMMU_BAD ||
        features->ats == VIOMMU_BAD || features->ril == VIOMMU_BAD || features->ssidsize == VIOMMU_BAD ||
        features->oas == VIOMMU_BAD) {
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, iommu->line,
                      "the <driver> of an <iommu> has a value that means nothing; 'viommu check' names it");
        return false;
    }
    return true;
}

bool
qemuViommuPlainIOMMUArgs(const viommuDomain *dom, const qemuViommuWords *words, GPtrArray *args,
                         const char **ret_machine, GError **error)
{
    size_t i;

    *ret_machine = NULL;
    if (!qemuViommuWordsFitPlain(words, dom, error))
        return false;
    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);
        g_autoptr(JsonObject) props = NULL;

        if (g_strcmp0(iommu->model, "smmuv3") != 0) {
            viommuErrorAt(error, VIOMMU_ERROR_REFUSED, iommu->line,
                          "<iommu model='%s'> is not translated; use model='smmuv3' or remove it",
                          iommu->model ? iommu->model : "");
            return false;
        }
        if (!checkPlain(iommu, error))
            return false;
        if (iommu->pciBus == VIOMMU_UNSET) {
            *ret_machine = "smmuv3";
            continue;
        }
        props = smmuNew(dom, words, (unsigned)iommu->pciBus, iommu, i);
        if (iommu->accel != VIOMMU_UNSET)
            json_object_set_boolean_member(props, "accel", iommu->accel == 1);
        qemuViommuWordsSet(words, NULL, &iommu->features, props);
        qemuViommuArgsAddJSON(args, "-device", props);
    }
    return true;
}
