/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must hold of every plan, tried on made-up hosts and domains:
 *  - the checker finds no error in it, and a refusal names a line and a remedy;
 *  - the checker finds an error after any single change that breaks a rule (mutate.h);
 *  - the order of lines in the manifest and of hostdevs in the domain changes nothing;
 *  - expanding what was expanded changes no byte, in both dialects, which mean the same plan;
 *  - a device added moves none that was there, nor does one removed, in the documents and for the guest
 *    (propertyview.h);
 *  - what the plan does not own stays as it was, byte for byte (goldencut.h); nested='no' takes back the
 *    rest.
 *
 * Seeds are fixed. VIOMMU_TEST_SEEDS says how many to run (with fewer than usual nothing is counted),
 * VIOMMU_TEST_SEED runs one. What fails is left in a directory that the message names.
 */
#include "goldencut.h"
#include "mutate.h"
#include "propertytrial.h"
#include "propertyview.h"
#include "viommu_check.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS 2900
#define SEEDS_PER_TEST 100
#define ACCEPTED_MIN 2000
#define MUTATIONS_PER_PLAN 3
#define MUTATIONS_MAX 128

static struct {
    unsigned accepted;
    unsigned refused;
    unsigned added;
    unsigned removed;
    unsigned spare;
    unsigned mutated[MUTATIONS_MAX];
} counts;

/* What the checker finds in @xml; NULL if it cannot even be read. */
static GPtrArray *
check(const trial *one, const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) dom = viommuDomainParse(xml, strlen(xml), &error);
    const viommuCheckContext context = { .host = one->topology };
    GPtrArray *findings;

    if (!dom || !trialLoadDetails(one, one->fs, one->topology, dom))
        return NULL;
    findings = viommuFindingsNew();
    viommuCheckDomain(dom, &context, findings);
    return findings;
}

/* Comparing */

static int
compareStrings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of @text in alphabetical order, or in a document without lines its tags. */
static char *
sortLines(const char *text, const char *separator)
{
    g_auto(GStrv) lines = g_strsplit(text, separator, -1);

    qsort(lines, g_strv_length(lines), sizeof(*lines), compareStrings);
    return g_strjoinv("\n", lines);
}

static char *
formatPlace(const mutantSeat *seat)
{
    return g_strdup_printf("%02x:%02x.%x", seat->bus, seat->slot, seat->function);
}

/* Guest addresses by host device (of a network: by MAC address). */
static GHashTable *
readPlaces(const trial *one, const char *xml)
{
    GHashTable *places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    mutant mut;
    guint i;

    mutantInit(&mut, xml, one->host, one->rand);
    for (i = 0; i < mut.assigned->len; i++) {
        const mutantSeat *seat = &g_array_index(mut.assigned, mutantSeat, i);
        char *key = seat->host ? g_strdup(seat->host->name)
                               : mutantGet(mutantChild(seat->node, "mac"), "address");

        g_hash_table_insert(places, key, formatPlace(seat));
    }
    mutantClear(&mut);
    return places;
}

/* Do two places "BB:SS.F" differ in the function only? */
static bool
inSlot(const char *one, const char *two)
{
    return strncmp(one, two, strlen("BB:SS.")) == 0;
}

/* Everything of @before that is still there has the same place. Where a function 0 has gone (@vacated, NULL:
 * nowhere) another function of that slot may take it: guests see none without. */
static void
comparePlaces(const trial *one, const char *what, const char *before, const char *after,
              const char *vacated)
{
    g_autoptr(GHashTable) old = readPlaces(one, before);
    g_autoptr(GHashTable) new = readPlaces(one, after);
    GHashTableIter iter;
    void *key;
    void *place;

    g_hash_table_iter_init(&iter, old);
    while (g_hash_table_iter_next(&iter, &key, &place)) {
        const char *now = g_hash_table_lookup(new, key);

        bool fills = vacated && g_str_has_suffix(vacated, ".0") && g_strcmp0(now, vacated) == 0;

        if (g_strcmp0(now, place) != 0 && !(fills && inSlot(place, now)))
            trialComplain(one, before, "%s moves %s from %s to %s", what, (char *)key, (char *)place,
                     now ? now : "nowhere");
    }
}

/* The properties */

static void
testRefusal(const trial *one, const outcome *out)
{
    bool found = false;
    size_t i;

    for (i = 0; i < out->findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(out->findings, i);

        if (finding->severity != VIOMMU_SEVERITY_ERROR)
            continue;
        found = true;
        if (!finding->line || !finding->remedy)
            trialComplain(one, NULL, "a refusal names no %s: %s", finding->line ? "remedy" : "line",
                     finding->text);
    }
    if (!found)
        trialComplain(one, NULL, "it is refused without an error");
}

/* Is that warning about something that is not the plan's? Huge pages, the cells that the user chose, free ports
 * of the user's own switches, and under TCG the iommufd of single devices. */
static bool
isUsers(const trial *one, const char *id)
{
    return strcmp(id, "V24") == 0 || strcmp(id, "V21") == 0 ||
           (strcmp(id, "V22") == 0 && strstr(one->input, "pcie-switch-downstream-port")) ||
           (strcmp(id, "V04") == 0 && !one->dom->accel);
}

/* What the planner takes, the checker does not call wrong before it is placed. */
static void
testAccepted(const trial *one)
{
    g_autoptr(GPtrArray) findings = check(one, one->input);
    g_autofree char *text = NULL;

    if (findings && !viommuFindingsHaveError(findings))
        return;
    text = findings ? trialFormatFindings(findings) : g_strdup("it cannot be read");
    trialComplain(one, NULL, "the checker refuses what the planner takes:%s", text);
}

static void
testChecked(const trial *one, const char *what, const char *xml)
{
    g_autoptr(GPtrArray) findings = check(one, xml);
    g_autofree char *text = NULL;
    size_t i;

    if (!findings) {
        trialComplain(one, xml, "the %s cannot be read again", what);
        return;
    }
    text = trialFormatFindings(findings);
    for (i = 0; i < findings->len; i++) {
        const viommuFinding *finding = g_ptr_array_index(findings, i);

        if (finding->severity == VIOMMU_SEVERITY_ERROR ||
            (finding->severity == VIOMMU_SEVERITY_WARNING && !isUsers(one, finding->id))) {
            trialComplain(one, xml, "the checker does not like the %s:%s", what, text);
            return;
        }
    }
}

static void
testIdentity(const trial *one, const char *what, const char *xml, viommuDialect dialect)
{
    g_auto(outcome) again = { 0 };

    if (!trialPlan(one, xml, dialect, &again))
        return;
    if (!again.plan) {
        g_autofree char *text = trialFormatFindings(again.findings);

        trialComplain(one, xml, "the %s is refused:%s", what, text);
        return;
    }
    if (strcmp(again.text, xml) != 0)
        trialComplain(one, xml, "expanding the %s changes it", what);
}

/* The tags of @text in alphabetical order, without those of our metadata: it notes the way that was taken. */
static char *
sortOthers(const char *text)
{
    g_auto(GStrv) tags = g_strsplit(text, "<", -1);
    GString *others = g_string_new(NULL);
    g_autofree char *all = NULL;
    size_t i;

    for (i = 0; tags[i]; i++) {
        if (!g_str_has_prefix(tags[i], "viommu:") && !g_str_has_prefix(tags[i], "/viommu:"))
            g_string_append_printf(others, "<%s", g_strchomp(tags[i]));
    }
    all = g_string_free(others, FALSE);
    return sortLines(all, "<");
}

/* Both dialects mean the same plan, whichever is read. */
static void
testDialects(const trial *one, const outcome *out)
{
    g_auto(outcome) ours = { 0 };
    g_auto(outcome) back = { 0 };
    g_autofree char *direct = NULL;
    g_autofree char *around = NULL;

    if (!trialPlan(one, one->input, VIOMMU_DIALECT_VIOMMU, &ours) || !ours.text)
        return;
    testIdentity(one, "plan in viommu's own dialect", ours.text, VIOMMU_DIALECT_VIOMMU);
    testChecked(one, "plan in viommu's own dialect", ours.text);
    if (!trialPlan(one, ours.text, VIOMMU_DIALECT_NATIVE, &back))
        return;
    if (!back.text) {
        g_autofree char *text = trialFormatFindings(back.findings);

        trialComplain(one, ours.text, "the plan in viommu's own dialect is refused as a native one:%s", text);
        return;
    }
    direct = sortOthers(out->text);
    around = sortOthers(back.text);
    if (strcmp(direct, around) != 0)
        trialComplain(one, back.text, "the way over viommu's own dialect changes the plan");
    testChecked(one, "plan that came over viommu's own dialect", back.text);
}

static void
testOrder(const trial *one, const outcome *out)
{
    const char *separator = one->dom->indent ? "\n" : "<";
    g_autofree char *manifest = randomHostManifest(one->host, one->rand);
    g_autofree char *input = randomDomainFormat(one->dom, one->rand);
    g_autoptr(virSysfs) fs = virSysfsNewManifest(manifest, strlen(manifest), NULL);
    g_autoptr(virSMMUTopology) topology = fs ? virSMMUTopologyRead(fs, NULL) : NULL;
    g_auto(outcome) shuffled = { 0 };
    g_auto(outcome) moved = { 0 };
    g_autofree char *before = sortLines(out->text, separator);
    g_autofree char *after = NULL;

    if (!topology || !trialPlanOn(one, fs, topology, one->input, VIOMMU_DIALECT_NATIVE, &shuffled) ||
        g_strcmp0(shuffled.text, out->text) != 0)
        trialComplain(one, shuffled.text, "the order of lines in the manifest changes the result");
    if (!trialPlan(one, input, VIOMMU_DIALECT_NATIVE, &moved))
        return;
    after = moved.text ? sortLines(moved.text, separator) : NULL;
    if (g_strcmp0(before, after) != 0)
        trialComplain(one, input, "the order of hostdevs changes the result");
}

static void
testOwned(const trial *one, const outcome *out)
{
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_autofree char *both = NULL;

    goldenCut(one->input, out->text, &before, &after);
    if (strcmp(before, after) == 0)
        return;
    both = g_strdup_printf("%s\n=====\n%s", before, after);
    trialComplain(one, both, "something that the plan does not own has changed");
}

/* Applies @kind to the plan, if that can be, and has it checked. False: it does not apply. */
static bool
tryMutation(const trial *one, const outcome *out, size_t kind)
{
    const mutation *change = mutateKind(kind);
    g_autoptr(GPtrArray) findings = NULL;
    g_autofree char *broken = NULL;

    if (change->accel && !out->plan->accel)
        return false;
    broken = mutateApply(change, out->text, one->host, one->mutations);
    if (!broken)
        return false;
    counts.mutated[kind]++;
    findings = check(one, broken);
    if (findings && !viommuFindingsHaveError(findings)) {
        g_autofree char *text = trialFormatFindings(findings);

        trialComplain(one, broken, "the checker does not see: %s%s", change->name, text);
    }
    return true;
}

static int
compareCounts(const void *a, const void *b)
{
    unsigned one = counts.mutated[*(const size_t *)a];
    unsigned two = counts.mutated[*(const size_t *)b];

    return one < two ? -1 : one > two;
}

/* The kind that was tried least of those that apply, and then any. */
static void
testMutations(const trial *one, const outcome *out)
{
    size_t kinds[MUTATIONS_MAX];
    size_t count = mutateCount();
    unsigned done = 0;
    size_t i;

    for (i = 0; i < count; i++)
        kinds[i] = i;
    qsort(kinds, count, sizeof(*kinds), compareCounts);
    for (i = 0; i < count && !done; i++)
        done += tryMutation(one, out, kinds[i]);
    for (i = 0; i < count && done < MUTATIONS_PER_PLAN; i++)
        done += tryMutation(one, out, (size_t)g_rand_int_range(one->mutations, 0, (gint32)count));
    if (!done && out->plan->vsmmus->len)
        trialComplain(one, out->text, "no mutation applies");
}

/* A device that can be passed through and is not, in @places. */
static const randomDevice *
pickNew(const trial *one, GHashTable *places)
{
    guint len = one->host->devices->len;
    guint first = (guint)g_rand_int_range(one->rand, 0, (gint32)len);
    guint i;

    for (i = 0; i < len; i++) {
        const randomDevice *device = g_ptr_array_index(one->host->devices, (first + i) % len);

        if (randomDeviceIsGood(one->host, device) && !g_hash_table_contains(places, device->name) &&
            g_strcmp0(device->name, one->dom->network) != 0)
            return device;
    }
    return NULL;
}

static char *
insertHostdev(const trial *one, const char *xml, const randomDevice *device)
{
    g_autofree char *plain = randomHostdevText(device, true);
    g_autofree char *text = randomDomainStyle(one->dom, plain, 2);
    bool atEnd = randomChance(one->rand, 50);
    const char *at = strstr(xml, atEnd ? "</devices>" : "<devices>");

    if (!atEnd) {
        at += strlen("<devices>");
        at += strspn(at, "\r\n");
    }
    while (atEnd && (at[-1] == ' ' || at[-1] == '\t'))
        at--;
    return g_strdup_printf("%.*s%s%s", (int)(at - xml), xml, text, at);
}

static void
testAdded(const trial *one, const char *xml)
{
    g_autoptr(GHashTable) places = readPlaces(one, xml);
    const randomDevice *device = pickNew(one, places);
    g_autofree char *input = device ? insertHostdev(one, xml, device) : NULL;
    g_auto(outcome) more = { 0 };

    if (!device || !trialPlan(one, input, VIOMMU_DIALECT_NATIVE, &more))
        return;
    if (!more.plan) {
        testRefusal(one, &more);
        return;
    }
    counts.added++;
    comparePlaces(one, "an added device", xml, more.text, NULL);
    propertyViewStays(one, "an added device", xml, more.text);
    testChecked(one, "plan with an added device", more.text);
    testIdentity(one, "plan with an added device", more.text, VIOMMU_DIALECT_NATIVE);
}

/* The vSMMU of expander bus @top is gone, unless a request keeps it. */
static void
testGone(const trial *one, const char *xml, const mutant *after, int top)
{
    /* Only a request in metadata has pciBus behind another attribute. */
    bool named = strstr(xml, "\" pciBus=") != NULL;

    if (strstr(xml, "sparePorts=") || strstr(xml, "smmus=") || named || !mutantFindIOMMU(after, top))
        return;
    if (mutantCountBelow(after, top) == 0)
        trialComplain(one, xml, "the vSMMU on expander bus %d stays without a device", top);
}

static void
testRemoved(const trial *one, const char *xml)
{
    g_autofree char *input = NULL;
    g_autofree char *vacated = NULL;
    g_auto(outcome) less = { 0 };
    mutantSeat *seat;
    mutant mut;
    int top;

    mutantInit(&mut, xml, one->host, one->rand);
    seat = mutantPickSeat(&mut, NULL, NULL);
    top = seat ? seat->top : 0;
    if (seat) {
        vacated = formatPlace(seat);
        mutantRemove(seat->node);
    }
    input = mutantFormat(&mut);
    mutantClear(&mut);
    if (!seat || !trialPlan(one, input, VIOMMU_DIALECT_NATIVE, &less))
        return;
    if (!less.plan) {
        testRefusal(one, &less);
        return;
    }
    counts.removed++;
    comparePlaces(one, "a removed device", input, less.text, vacated);
    propertyViewStays(one, "a removed device", xml, less.text);
    testChecked(one, "plan with a device removed", less.text);
    testIdentity(one, "plan with a device removed", less.text, VIOMMU_DIALECT_NATIVE);
    mutantInit(&mut, less.text, one->host, one->rand);
    testGone(one, input, &mut, top);
    mutantClear(&mut);
    testAdded(one, less.text);
}

/* nested='no' takes back all that an expansion made, and nothing else. */
static void
testWithdrawn(const trial *one, const char *xml)
{
    g_autofree char *text = randomDomainStyle(one->dom, "<iommu model='smmuv3' nested='no'/>", 2);
    const char *end = strstr(xml, "</devices>");
    g_autofree char *input = NULL;
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    g_auto(outcome) none = { 0 };

    while (end[-1] == ' ' || end[-1] == '\t')
        end--;
    input = g_strdup_printf("%.*s%s%s", (int)(end - xml), xml, text, end);
    if (strstr(xml, "nested=") || !trialPlan(one, input, VIOMMU_DIALECT_NATIVE, &none))
        return;
    if (!none.plan) {
        g_autofree char *why = trialFormatFindings(none.findings);

        trialComplain(one, input, "nested='no' is refused:%s", why);
        return;
    }
    if (strstr(none.text, "viommu:") || strstr(none.text, "smmuv3"))
        trialComplain(one, none.text, "nested='no' leaves something behind");
    testChecked(one, "domain after nested='no'", none.text);
    testIdentity(one, "domain after nested='no'", none.text, VIOMMU_DIALECT_NATIVE);
    goldenCut(one->input, none.text, &before, &after);
    if (strcmp(before, after) != 0)
        trialComplain(one, none.text, "nested='no' takes away what the plan does not own");
}

static bool
hasSpare(const viommuPlan *made)
{
    size_t i;
    size_t j;

    for (i = 0; i < made->vsmmus->len; i++) {
        const viommuVSMMU *vsmmu = g_ptr_array_index(made->vsmmus, i);

        for (j = 0; j < vsmmu->ports->len; j++) {
            if (((viommuPlanPort *)g_ptr_array_index(vsmmu->ports, j))->spare)
                return true;
        }
    }
    return false;
}

static void
testTrial(const trial *one)
{
    g_auto(outcome) out = { 0 };

    if (!trialPlan(one, one->input, VIOMMU_DIALECT_NATIVE, &out))
        return;
    if (!out.plan) {
        counts.refused++;
        testRefusal(one, &out);
        return;
    }
    testAccepted(one);
    counts.accepted++;
    counts.spare += hasSpare(out.plan);
    testChecked(one, "plan", out.text);
    testIdentity(one, "plan", out.text, VIOMMU_DIALECT_NATIVE);
    testDialects(one, &out);
    testOrder(one, &out);
    testOwned(one, &out);
    testMutations(one, &out);
    testAdded(one, out.text);
    testRemoved(one, out.text);
    testWithdrawn(one, out.text);
    propertyView(one, &out);
}

static void
runSeed(unsigned seed)
{
    trial one = { .seed = seed, .rand = g_rand_new_with_seed(seed), .mutations = g_rand_new_with_seed(seed) };
    g_autoptr(GError) error = NULL;

    one.host = randomHostNew(one.rand);
    one.dom = randomDomainNew(one.host, one.rand);
    one.options.qemuVersion = randomChance(one.rand, 15) ? VIOMMU_VERSION_QEMU(11, 0)
                                                         : VIOMMU_VERSION_QEMU(11, 1);
    one.manifest = randomHostManifest(one.host, NULL);
    one.input = randomDomainFormat(one.dom, NULL);
    one.fs = virSysfsNewManifest(one.manifest, strlen(one.manifest), &error);
    one.topology = one.fs ? virSMMUTopologyRead(one.fs, &error) : NULL;
    if (one.topology)
        testTrial(&one);
    else
        trialComplain(&one, NULL, "the host cannot be read: %s", error->message);
    virSMMUTopologyFree(one.topology);
    virSysfsFree(one.fs);
    g_free(one.manifest);
    g_free(one.input);
    randomDomainFree(one.dom);
    randomHostFree(one.host);
    g_rand_free(one.rand);
    g_rand_free(one.mutations);
}

static unsigned seedsEnd = SEEDS;

static void
testSeeds(const void *data)
{
    unsigned seed = GPOINTER_TO_UINT(data);
    unsigned end = MIN(seed + SEEDS_PER_TEST, seedsEnd);

    for (; seed < end; seed++)
        runSeed(seed);
}

static void
testOneSeed(const void *data)
{
    runSeed(GPOINTER_TO_UINT(data));
}

/* After all seeds: enough was tried. */
static void
testCounts(void)
{
    g_test_message("%u plans, %u of them with spare ports; %u refusals; %u devices added, %u removed",
                   counts.accepted, counts.spare, counts.refused, counts.added, counts.removed);
    g_assert_cmpuint(counts.accepted, >=, ACCEPTED_MIN);
    g_assert_cmpuint(counts.refused, >, 100);
    g_assert_cmpuint(counts.spare, >, 100);
    g_assert_cmpuint(counts.added, >, 1000);
    g_assert_cmpuint(counts.removed, >, 1000);
    propertyViewCounts();
}

static void
testMutationKind(const void *data)
{
    size_t kind = GPOINTER_TO_SIZE(data);

    g_test_message("%u times: %s", counts.mutated[kind], mutateKind(kind)->name);
    g_assert_cmpuint(counts.mutated[kind], >, 0);
}

int
main(int argc, char **argv)
{
    const char *one = g_getenv("VIOMMU_TEST_SEED");
    const char *many = g_getenv("VIOMMU_TEST_SEEDS");
    unsigned seed;
    size_t kind;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpuint(mutateCount(), <=, MUTATIONS_MAX);
    if (one) {
        g_test_add_data_func("/property/seed", GUINT_TO_POINTER((unsigned)strtoul(one, NULL, 10)),
                             testOneSeed);
        return g_test_run();
    }
    if (many)
        seedsEnd = (unsigned)strtoul(many, NULL, 10);
    for (seed = 0; seed < seedsEnd; seed += SEEDS_PER_TEST) {
        g_autofree char *path = g_strdup_printf("/property/seeds-%04u", seed);

        g_test_add_data_func(path, GUINT_TO_POINTER(seed), testSeeds);
    }
    if (seedsEnd < SEEDS)
        return g_test_run();
    g_test_add_func("/property/counts", testCounts);
    for (kind = 0; kind < mutateCount(); kind++) {
        g_autofree char *path = g_strdup_printf("/property/mutation: %s", mutateKind(kind)->name);

        g_test_add_data_func(path, GSIZE_TO_POINTER(kind), testMutationKind);
    }
    return g_test_run();
}
