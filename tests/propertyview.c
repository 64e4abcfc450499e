/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What guests see of two documents, compared.
 */
#include "propertyview.h"

#include "mutant.h"
#include "viommu_diff.h"
#include "viommu_inherit.h"

#include <string.h>

/* Two documents. */
typedef struct {
    viommuDomain *before;
    viommuDomain *after;
    viommuView *from;
    viommuView *to;
    viommuDiff *diff;
} comparison;

static struct {
    unsigned compared;
    unsigned renumbered; /* comparisons in which a device that stays has another bus number */
    unsigned filled;     /* the place of a function 0 that has gone */
    unsigned reordered;
    unsigned asked;
    unsigned older;
    unsigned olderChanged;
    unsigned inherited;
} counts;

static void
clearComparison(comparison *both)
{
    viommuDiffFree(both->diff);
    viommuViewFree(both->from);
    viommuViewFree(both->to);
    viommuDomainFree(both->before);
    viommuDomainFree(both->after);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(comparison, clearComparison)

static bool
compare(const trial *one, const char *before, const char *after, comparison *both)
{
    both->before = viommuDomainParse(before, strlen(before), NULL);
    both->after = viommuDomainParse(after, strlen(after), NULL);
    if (!both->before || !both->after || !trialLoadDetails(one, one->fs, one->topology, both->before) ||
        !trialLoadDetails(one, one->fs, one->topology, both->after)) {
        trialComplain(one, after, "a document cannot be read again");
        return false;
    }
    both->from = viommuViewNew(both->before, one->topology);
    both->to = viommuViewNew(both->after, one->topology);
    both->diff = viommuDiffNew(both->from, both->to);
    return true;
}

/* A function 0 has gone from where @change goes to, by one step that differs in the function only. */
static bool
fillsFunction(const viommuDiff *diff, const viommuPlaceChange *change)
{
    const viommuViewPlace *from = change->from;
    const viommuViewPlace *to = change->to;
    unsigned i;

    for (i = 0; i < from->stepCount && from->steps[i] == to->steps[i]; i++)
        ;
    if (from->stepCount != to->stepCount || i == from->stepCount || to->steps[i] != (from->steps[i] & ~7))
        return false;
    if (i + 1 < to->stepCount && memcmp(from->steps + i + 1, to->steps + i + 1, to->stepCount - i - 1) != 0)
        return false;
    for (i = 0; i < diff->devices->len; i++) {
        const viommuPlaceChange *other = g_ptr_array_index(diff->devices, i);

        if (other->kind == VIOMMU_CHANGE_REMOVED && other->from->stepCount == to->stepCount &&
            memcmp(other->from->steps, to->steps, to->stepCount) == 0)
            return true;
    }
    return false;
}

/* Is @place, of a device or a port that comes or goes, in front of @change on the same root bus? */
static bool
isBefore(const viommuViewPlace *place, const viommuPlaceChange *change)
{
    const viommuViewPlace *there = place && change->from->bus == place->bus ? change->from : change->to;

    return place && place->bus == there->bus &&
           memcmp(place->steps, there->steps, MIN(place->stepCount, there->stepCount)) < 0;
}

static bool
hasBefore(const GPtrArray *list, const viommuPlaceChange *change)
{
    size_t i;

    for (i = 0; i < list->len; i++) {
        const viommuPlaceChange *other = g_ptr_array_index(list, i);

        if (other->kind != VIOMMU_CHANGE_RENUMBERED && (isBefore(other->from, change) || isBefore(other->to, change)))
            return true;
    }
    return false;
}

/* Its root bus has another number, or something in front of it comes or goes. */
static bool
hasReason(const viommuDiff *diff, const viommuPlaceChange *change)
{
    return change->from->bus->busNr != change->to->bus->busNr || hasBefore(diff->devices, change) ||
           hasBefore(diff->ports, change);
}

static void
complain(const trial *one, const char *what, const char *after, const viommuPlaceChange *change)
{
    g_autofree char *from = change->from ? viommuViewPath(change->from) : NULL;
    g_autofree char *to = change->to ? viommuViewPath(change->to) : NULL;
    const viommuViewPlace *place = change->from ? change->from : change->to;

    trialComplain(one, after, "%s takes %s from %s to %s in the guest", what, place->name ? place->name : "a port",
                  from ? from : "nowhere", to ? to : "nowhere");
}

/* Ports and bridges below @bus. */
static unsigned
countBuses(const viommuView *view, const viommuViewBus *bus)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < view->places->len; i++) {
        const viommuViewPlace *place = g_ptr_array_index(view->places, i);

        count += place->bus == bus && (place->kind == VIOMMU_VIEW_PORT || place->kind == VIOMMU_VIEW_BRIDGE);
    }
    return count;
}

/* An expander bus keeps its number if it needs no more of them than before. */
static void
testNumbers(const trial *one, const char *what, const char *after, const comparison *both)
{
    size_t i;

    for (i = 0; i < both->diff->buses->len; i++) {
        const viommuBusChange *change = g_ptr_array_index(both->diff->buses, i);

        if (change->from && change->to && change->from->busNr != change->to->busNr &&
            countBuses(both->to, change->to) <= countBuses(both->from, change->from))
            trialComplain(one, after, "%s takes an expander bus from number %d to %d", what, change->from->busNr,
                          change->to->busNr);
    }
}

static bool
isHostDevice(const viommuPlaceChange *change)
{
    const viommuViewPlace *place = change->from ? change->from : change->to;

    return place->device && place->device->kind == VIOMMU_DEVICE_ASSIGNED;
}

/* Of all devices, or of host devices only. */
static void
testStays(const trial *one, const char *what, const char *before, const char *after, bool all)
{
    g_auto(comparison) both = { 0 };
    bool renumbered = false;
    size_t i;

    if (!compare(one, before, after, &both))
        return;
    counts.compared++;
    testNumbers(one, what, after, &both);
    for (i = 0; i < both.diff->devices->len; i++) {
        const viommuPlaceChange *change = g_ptr_array_index(both.diff->devices, i);
        bool filled = change->kind == VIOMMU_CHANGE_MOVED && fillsFunction(both.diff, change);

        if (!all && !isHostDevice(change))
            continue;
        counts.filled += filled;
        renumbered = renumbered || change->kind == VIOMMU_CHANGE_RENUMBERED;
        /* libvirt has chosen nothing yet, so that what it would choose may be chosen for it. */
        if ((change->kind == VIOMMU_CHANGE_MOVED && !filled) ||
            (change->kind == VIOMMU_CHANGE_OPEN && change->from->bus) ||
            (change->kind == VIOMMU_CHANGE_RENUMBERED && !hasReason(both.diff, change)))
            complain(one, what, after, change);
    }
    counts.renumbered += renumbered;
}

void
propertyViewStays(const trial *one, const char *what, const char *before, const char *after)
{
    testStays(one, what, before, after, true);
}

/* Nothing at all is different. */
static void
testSame(const trial *one, const char *what, const char *before, const char *after)
{
    g_auto(comparison) both = { 0 };
    const viommuDiff *diff;
    size_t i;

    if (!compare(one, before, after, &both))
        return;
    diff = both.diff;
    for (i = 0; i < diff->devices->len; i++)
        complain(one, what, after, g_ptr_array_index(diff->devices, i));
    for (i = 0; i < diff->ports->len; i++)
        complain(one, what, after, g_ptr_array_index(diff->ports, i));
    if (diff->buses->len || diff->machineWide || diff->fromHole64KiB != diff->toHole64KiB)
        trialComplain(one, after, "%s changes buses or the window for the guest", what);
}

static bool
isMovable(const xmlNode *node)
{
    static const char *const fixed[] = { "controller", "iommu", "emulator", NULL };

    return node->type == XML_ELEMENT_NODE && !g_strv_contains(fixed, (const char *)node->name);
}

/* @xml with its devices the other way round. Free with g_free. */
static char *
reverse(const trial *one, const char *xml)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    xmlNode *node;
    mutant mut;
    char *text;
    size_t i;

    mutantInit(&mut, xml, one->host, one->rand);
    for (node = mut.devices->children; node; node = node->next) {
        if (isMovable(node))
            g_ptr_array_add(nodes, node);
    }
    for (i = nodes->len; i > 0; i--) {
        node = g_ptr_array_index(nodes, i - 1);
        xmlUnlinkNode(node);
        xmlAddChild(mut.devices, node);
    }
    text = mutantFormat(&mut);
    mutantClear(&mut);
    return text;
}

static void
testReordered(const trial *one, const char *xml)
{
    g_autofree char *input = reverse(one, xml);
    g_auto(outcome) again = { 0 };

    if (!trialPlan(one, input, VIOMMU_DIALECT_NATIVE, &again))
        return;
    if (!again.plan) {
        g_autofree char *why = trialFormatFindings(again.findings);

        trialComplain(one, input, "a plan with its devices in another order is refused:%s", why);
        return;
    }
    counts.reordered++;
    testSame(one, "another order", xml, again.text);
}

/* A new request takes the place of the old one, of which spare ports and empty vSMMUs may go. */
static void
testAsked(const trial *one, const char *xml)
{
    g_autofree char *text = randomDomainStyle(one->dom, "<iommu model='smmuv3' nested='yes'>\n"
                                              "  <driver ats='off' ril='off'/>\n</iommu>", 2);
    const char *end = strstr(xml, "</devices>");
    g_autofree char *input = NULL;
    g_auto(outcome) again = { 0 };

    while (end[-1] == ' ' || end[-1] == '\t')
        end--;
    input = g_strdup_printf("%.*s%s%s", (int)(end - xml), xml, text, end);
    if (strstr(xml, "nested=") || !trialPlan(one, input, VIOMMU_DIALECT_NATIVE, &again) || !again.plan)
        return;
    counts.asked++;
    propertyViewStays(one, "a request for other features", xml, again.text);
}

/* Expands @xml for that libvirt; NULL: it is refused. Free with g_free. */
static char *
expandFor(const trial *one, const char *xml, unsigned libvirt)
{
    g_auto(outcome) out = { 0 };
    size_t len = 0;

    if (!trialPlan(one, xml, VIOMMU_DIALECT_NATIVE, &out) || !out.plan)
        return NULL;
    return viommuExpandFor(out.dom, out.plan, libvirt, &len, NULL);
}

static char *
dump(xmlNode *node)
{
    xmlBuffer *buffer = xmlBufferCreate();
    char *text;

    xmlNodeDump(buffer, node->doc, node, 0, 0);
    text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

/* @xml without one of its host devices, which is *@ret_removed as a user writes it; NULL if it has none. Free both with
 * g_free. */
static char *
removeHostdev(const trial *one, const char *xml, char **ret_removed)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    xmlNode *node;
    mutant mut;
    char *text = NULL;

    mutantInit(&mut, xml, one->host, one->rand);
    for (node = mut.devices->children; node; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "hostdev") == 0)
            g_ptr_array_add(nodes, node);
    }
    if (nodes->len) {
        node = g_ptr_array_index(nodes, (guint)g_rand_int_range(one->rand, 0, (gint32)nodes->len));
        if (mutantChild(node, "alias"))
            mutantRemove(mutantChild(node, "alias"));
        *ret_removed = dump(node);
        mutantRemove(node);
        text = mutantFormat(&mut);
    }
    mutantClear(&mut);
    return text;
}

/* In the words for an older libvirt a host device that goes, or that comes back, moves no other one. */
static void
testOlderChanged(const trial *one, const char *xml, unsigned libvirt)
{
    g_autofree char *removed = NULL;
    g_autofree char *input = removeHostdev(one, xml, &removed);
    g_autofree char *less = input ? expandFor(one, input, libvirt) : NULL;
    const char *end = less ? strstr(less, "</devices>") : NULL;
    g_autofree char *back = end ? g_strdup_printf("%.*s%s%s", (int)(end - less), less, removed, end) : NULL;
    g_autofree char *again = back ? expandFor(one, back, libvirt) : NULL;

    if (less)
        propertyViewStays(one, "for an older libvirt a removed device", xml, less);
    if (again)
        propertyViewStays(one, "for an older libvirt a device that comes back", less, again);
    counts.olderChanged += again != NULL;
}

/* What an older libvirt gets stays if that is expanded again for it. */
static void
testOlder(const trial *one, const outcome *out, unsigned libvirt)
{
    size_t len = 0;
    g_autofree char *text = viommuExpandFor(out->dom, out->plan, libvirt, &len, NULL);
    g_autofree char *second = NULL;

    /* Of two devices with one alias, which libvirt refuses, the second has no place. */
    if (!text || g_strrstr(text, "ua-dev") != strstr(text, "ua-dev"))
        return;
    second = expandFor(one, text, libvirt);
    if (!second || strcmp(text, second) != 0) {
        trialComplain(one, text, "what libvirt %u got is %s for it", libvirt, second ? "changed" : "refused");
        return;
    }
    counts.older++;
    testSame(one, "expanding again for an older libvirt", text, second);
    testOlderChanged(one, text, libvirt);
}

/* @xml with a UUID. Free with g_free. */
static char *
withUUID(const char *xml)
{
    const char *end = strchr(strstr(xml, "<domain"), '>') + 1;

    return g_strdup_printf("%.*s<uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>%s", (int)(end - xml), xml, end);
}

/* The user's file @own, in which nothing was expanded, in the place of @before, which was. */
static void
testInherited(const trial *one, const char *what, const char *before, const char *own)
{
    g_autofree char *old = withUUID(before);
    g_autofree char *new = withUUID(own);
    g_autoptr(viommuDomain) from = viommuDomainParse(old, strlen(old), NULL);
    g_autoptr(viommuDomain) to = viommuDomainParse(new, strlen(new), NULL);
    size_t len = 0;
    g_autofree char *text = from && to ? viommuInherit(to, from, &len) : NULL;
    g_auto(outcome) again = { 0 };

    if (!text || !trialPlan(one, text, VIOMMU_DIALECT_NATIVE, &again) || !again.plan)
        return;
    counts.inherited++;
    /* Emulated devices are libvirt's to place, or with spare ports the plan's. */
    testStays(one, what, old, again.text, false);
}

/* What was expanded stays where it is if the user's own file comes again, with a device less or one more. */
static void
testOwnFile(const trial *one, const outcome *out)
{
    g_autofree char *removed = NULL;
    g_autofree char *input = removeHostdev(one, one->input, &removed);
    g_auto(outcome) less = { 0 };

    /* Numbers of the user's own buses are in the expansion only. */
    if (strstr(one->input, "pcie-expander-bus"))
        return;
    testInherited(one, "the user's own file", out->text, one->input);
    if (!input)
        return;
    testInherited(one, "the user's own file with a device less", out->text, input);
    if (trialPlan(one, input, VIOMMU_DIALECT_NATIVE, &less) && less.plan)
        testInherited(one, "the user's own file with a device more", less.text, one->input);
}

void
propertyView(const trial *one, const outcome *out)
{
    testOwnFile(one, out);
    testReordered(one, out->text);
    testAsked(one, out->text);
    testOlder(one, out, 11003);
    testOlder(one, out, 12001);
}

void
propertyViewCounts(void)
{
    g_test_message("guests: %u compared, %u with other bus numbers, %u with another function 0; %u in another order, "
                   "%u asked anew, %u for an older libvirt, %u of them changed, "
                   "%u with the user's own file",
                   counts.compared, counts.renumbered, counts.filled, counts.reordered, counts.asked, counts.older,
                   counts.olderChanged, counts.inherited);
    g_assert_cmpuint(counts.compared, >, 1000);
    g_assert_cmpuint(counts.reordered, >, 1000);
    g_assert_cmpuint(counts.asked, >, 100);
    g_assert_cmpuint(counts.older, >, 1000);
    g_assert_cmpuint(counts.olderChanged, >, 500);
    g_assert_cmpuint(counts.inherited, >, 500);
}
