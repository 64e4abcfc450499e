/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * markHost has no data of its own, so that the conversation that is going on is kept here.
 */
#include "rewritetestutils.h"

#include "hosttestutils.h"

#include <string.h>

static struct {
    const testWorld *world;
    GString *asked;
} now;

testWorld
testWorldOf(const char *host)
{
    return (testWorld){ .host = host, .libvirt = 12008000, .qemu = 11001000 };
}

void
testOutcomeFree(testOutcome *outcome)
{
    if (!outcome)
        return;
    g_free(outcome->text);
    g_free(outcome->words);
    g_free(outcome->name);
    g_free(outcome->asked);
    g_free(outcome);
}

static void
note(const char *what, const char *name)
{
    g_string_append_printf(now.asked, "%s%s%s%s", now.asked->len ? ", " : "", what, name ? " " : "",
                           name ? name : "");
}

static virSysfs *
openHost(const void *data, GError **error)
{
    note("host", NULL);
    if (now.world->manifest)
        return testHostParse(now.world->manifest);
    if (now.world->host)
        return testHostRead(now.world->host);
    g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no host here");
    return NULL;
}

static char *
markHost(void)
{
    return g_strdup(now.world->mark);
}

static void
answerVersion(viommuRewrite *rewrite, uint64_t version)
{
    if (version)
        viommuRewriteAnswerVersion(rewrite, version);
    else
        viommuRewriteAnswerError(rewrite, "it is silent");
}

/* No NUL behind @text: nothing says that there is one. */
static void
answerText(viommuRewrite *rewrite, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    g_autofree char *copy = text ? g_memdup2(text, len) : NULL;

    if (text)
        viommuRewriteAnswerText(rewrite, copy ? copy : "", len);
    else
        viommuRewriteAnswerError(rewrite, "not here");
}

static void
answer(viommuRewrite *rewrite)
{
    const char *name = NULL;

    switch (viommuRewriteQuestion(rewrite, &name)) {
    case VIOMMU_ASK_LIBVIRT_VERSION:
        note("libvirt", name);
        answerVersion(rewrite, now.world->libvirt);
        break;
    case VIOMMU_ASK_QEMU_VERSION:
        note("qemu", name);
        answerVersion(rewrite, now.world->qemu);
        break;
    case VIOMMU_ASK_NETWORK:
        note("network", name);
        answerText(rewrite, now.world->network);
        break;
    case VIOMMU_ASK_DOMAIN:
        note("domain", name);
        answerText(rewrite, now.world->live);
        break;
    case VIOMMU_ASK_DEFINED:
        note("defined", name);
        answerText(rewrite, now.world->inactive);
        break;
    case VIOMMU_ASK_DOMAIN_INACTIVE:
        note("inactive", name);
        answerText(rewrite, now.world->inactive);
        break;
    }
    if (now.asked->len > 10000)
        g_error("there is no end of questions: %s", now.asked->str);
}

static char *
takeText(const viommuRewrite *rewrite)
{
    size_t len = 0;
    const char *text = viommuRewriteText(rewrite, &len);

    g_assert_cmpuint(len, <=, VIOMMU_XML_MAX);
    g_assert_cmpuint(len, ==, strlen(text));
    return g_strdup(text);
}

static void
takeOutcome(const viommuRewrite *rewrite, testOutcome *outcome)
{
    if (outcome->verdict == VIOMMU_REWRITE_REPLACE)
        outcome->text = takeText(rewrite);
    if (outcome->verdict != VIOMMU_REWRITE_PASS)
        outcome->words = g_strdup(viommuRewriteWords(rewrite));
    outcome->name = g_strdup(viommuRewriteName(rewrite));
}

testOutcome *
testRewrite(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text, gssize len,
            viommuPeer *peer)
{
    const viommuRewriteContext context = { .policy = world->policy,
                                           .openHost = openHost,
                                           .markHost = world->marks ? markHost : NULL };
    viommuPeer fresh = { 0 };
    size_t size = len < 0 ? strlen(text) : (size_t)len;
    g_autofree char *copy = g_memdup2(text, size);
    g_autoptr(GString) asked = g_string_new(NULL);
    g_autoptr(testOutcome) again = g_new0(testOutcome, 1);
    testOutcome *outcome = g_new0(testOutcome, 1);
    g_autoptr(viommuRewrite) rewrite = NULL;

    now.world = world;
    now.asked = asked;
    rewrite = viommuRewriteNew(kind, copy ? copy : "", size, flags, &context, peer ? peer : &fresh);
    while ((outcome->verdict = viommuRewriteRun(rewrite)) == VIOMMU_REWRITE_ASK)
        answer(rewrite);
    takeOutcome(rewrite, outcome);
    outcome->asked = g_strdup(asked->str);
    again->verdict = viommuRewriteRun(rewrite);
    takeOutcome(rewrite, again);
    g_assert_cmpint(again->verdict, ==, outcome->verdict);
    g_assert_cmpstr(again->text, ==, outcome->text);
    g_assert_cmpstr(again->words, ==, outcome->words);
    g_assert_cmpstr(again->name, ==, outcome->name);
    /* A host that cannot be read is tried again. */
    if (outcome->verdict != VIOMMU_REWRITE_REFUSE && (world->host || !strstr(outcome->asked, "host")))
        g_assert_cmpstr(asked->str, ==, outcome->asked);
    g_clear_pointer(&rewrite, viommuRewriteFree);
    viommuPeerClear(&fresh);
    return outcome;
}

void
testPasses(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
           const char *asked)
{
    g_autoptr(testOutcome) outcome = testRewrite(world, kind, flags, text, -1, NULL);

    g_assert_cmpstr(outcome->words, ==, NULL);
    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_PASS);
    if (asked)
        g_assert_cmpstr(outcome->asked, ==, asked);
}

void
testRefuses(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
            const char *words)
{
    g_autoptr(testOutcome) outcome = testRewrite(world, kind, flags, text, -1, NULL);

    g_assert_cmpstr(outcome->words, ==, words);
    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REFUSE);
}

void
testReplaces(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
             const char *expected)
{
    g_autoptr(testOutcome) outcome = testRewrite(world, kind, flags, text, -1, NULL);

    if (outcome->verdict == VIOMMU_REWRITE_REFUSE)
        g_assert_cmpstr(outcome->words, ==, NULL);
    g_assert_cmpstr(outcome->text, ==, expected);
    g_assert_cmpint(outcome->verdict, ==, VIOMMU_REWRITE_REPLACE);
}

char *
testManifest(const char *host)
{
    g_autofree char *path = testHostPath(host, ".sysfs");
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

char *
testGoldenRead(const char *name)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "qemuxml2argvdata", name, NULL);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

char *
testChange(const char *text, const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(text, from, -1);

    if (g_strv_length(parts) != 2)
        g_error("'%s' does not stand once in the text", from);
    return g_strjoinv(to, parts);
}

void
testBegins(const testOutcome *outcome, const char *words)
{
    g_assert_cmpint(outcome->verdict, ==, words ? VIOMMU_REWRITE_REFUSE : VIOMMU_REWRITE_PASS);
    if (words && !g_str_has_prefix(outcome->words ? outcome->words : "", words))
        g_assert_cmpstr(outcome->words, ==, words);
}

char *
testPlace(const testWorld *world, const char *text)
{
    g_autoptr(testOutcome) outcome = testRewrite(world, VIOMMU_REWRITE_DOMAIN, 0, text, -1, NULL);

    if (outcome->verdict != VIOMMU_REWRITE_REPLACE)
        g_error("%s", outcome->words);
    return g_steal_pointer(&outcome->text);
}

char *
testAdd(const char *domain, const char *devices)
{
    g_autofree char *more = g_strconcat(devices, "</devices>", NULL);

    return testChange(domain, "</devices>", more);
}
