/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The planner's frame: its steps and what they work on.
 */
#include "viommu_plan.h"

#include "viommu_plan_priv.h"

#include <string.h>

static void
reasonFree(void *data)
{
    viommuReason *reason = data;

    g_free(reason->about);
    g_free(reason->text);
    g_free(reason);
}

static void
vsmmuFree(void *data)
{
    viommuVSMMU *vsmmu = data;

    g_ptr_array_unref(vsmmu->ports);
    g_ptr_array_unref(vsmmu->devices);
    g_free(vsmmu);
}

static void
groupFree(void *data)
{
    planGroup *group = data;

    g_ptr_array_unref(group->devices);
    g_ptr_array_unref(group->vsmmus);
    g_free(group);
}

static viommuPlan *
planNew(void)
{
    viommuPlan *plan = g_new0(viommuPlan, 1);

    plan->vsmmus = g_ptr_array_new_with_free_func(vsmmuFree);
    plan->emulated = g_ptr_array_new_with_free_func(g_free);
    plan->plainPorts = g_ptr_array_new_with_free_func(g_free);
    plan->otherBuses = g_ptr_array_new_with_free_func(g_free);
    plan->reasons = g_ptr_array_new_with_free_func(reasonFree);
    return plan;
}

void
viommuPlanFree(viommuPlan *plan)
{
    if (!plan)
        return;
    g_ptr_array_unref(plan->vsmmus);
    g_ptr_array_unref(plan->emulated);
    g_ptr_array_unref(plan->plainPorts);
    g_ptr_array_unref(plan->otherBuses);
    g_ptr_array_unref(plan->reasons);
    g_free(plan);
}

void
planReason(planState *state, const char *rule, const char *about, const char *format, ...)
{
    viommuReason *reason = g_new0(viommuReason, 1);
    va_list args;

    reason->rule = rule;
    reason->about = g_strdup(about);
    va_start(args, format);
    reason->text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(state->plan->reasons, reason);
}

void
planRefuse(planState *state, const char *id, unsigned line, const char *consequence,
           const char *remedy, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    viommuFindingsAdd(state->findings, id, VIOMMU_SEVERITY_ERROR, line, consequence, remedy, "%s", text);
}

/* P2 comes before P15. */
static int
compareRules(const char *one, const char *two)
{
    size_t digits = strlen(one);
    size_t otherDigits = strlen(two);

    return digits == otherDigits ? strcmp(one, two) : digits < otherDigits ? -1 : 1;
}

static int
compareReasons(const void *a, const void *b)
{
    const viommuReason *one = *(viommuReason *const *)a;
    const viommuReason *two = *(viommuReason *const *)b;
    int order = one->rule == two->rule ? 0 : compareRules(one->rule, two->rule);

    if (!order)
        order = strcmp(one->about, two->about);
    return order ? order : strcmp(one->text, two->text);
}

static int
compareVSMMUs(const void *a, const void *b)
{
    const viommuVSMMU *one = *(viommuVSMMU *const *)a;
    const viommuVSMMU *two = *(viommuVSMMU *const *)b;

    return one->controller < two->controller ? -1 : one->controller > two->controller;
}

static bool
runSteps(planState *state)
{
    if (state->dom->withdrawn) {
        planReason(state, "P12", "domain", "nested='no' withdraws the request: what viommu made goes");
        return planSizeWindow(state);
    }
    if (!planCheckDomain(state) || !planCollectDevices(state))
        return false;
    if (state->groups->len == 0) {
        viommuFindingsAdd(state->findings, "V05", VIOMMU_SEVERITY_NOTE,
                          viommuXMLLine(state->dom->xml, state->dom->devicesNode), NULL, NULL,
                          "no host device is passed through, so that there is nothing to place; the "
                          "guest gets no vSMMU");
        return planSizeWindow(state);
    }
    if (!planCheckHost(state) || !planPlaceDevices(state) || !planGuardSparePorts(state))
        return false;
    g_ptr_array_sort(state->plan->vsmmus, compareVSMMUs);
    if (!planNumberBuses(state) || !planChooseFeatures(state))
        return false;
    planChooseNodes(state);
    return planSizeWindow(state);
}

viommuPlan *
viommuPlanMake(const viommuDomain *dom, const virSMMUTopology *host, const viommuPlanOptions *options,
               GPtrArray *findings)
{
    g_autoptr(viommuPlan) plan = planNew();
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) groups = g_ptr_array_new_with_free_func(groupFree);
    planState state = { .dom = dom, .host = host, .options = options, .findings = findings,
                        .plan = plan, .devices = devices, .groups = groups };
    bool done;

    plan->accel = dom->virtType == VIOMMU_VIRT_KVM;
    if (!viommuDomainIsRequest(dom))
        return g_steal_pointer(&plan);
    done = runSteps(&state);
    viommuFindingsSort(findings);
    if (!done || viommuFindingsHaveError(findings))
        return NULL;
    g_ptr_array_sort(plan->reasons, compareReasons);
    return g_steal_pointer(&plan);
}
