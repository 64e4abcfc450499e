/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what becomes of XML on its way to libvirt. The first line is how it comes and what is answered, a letter
 * each (see readScene); then comes the text; and behind lines "====" the domain and the network that libvirt has.
 */
#include "fuzzhost.h"
#include "fuzztarget.h"
#include "viommu_rewrite.h"
#include "viommu_start.h"
#include "viommuerror.h"

#include <string.h>

#define SEPARATOR "\n====\n"

/* With room for more below the first two SMMUs, and on pcie.0. */
static const char request[] =
    "<domain type='kvm'><name>d</name><uuid>c7a5fdbd-cdaf-9455-926a-d65c16db1809</uuid>"
    "<os firmware='efi'><type arch='aarch64' machine='virt'>hvm</type></os><features><acpi/><gic version='3'/></features><devices><controller type='pci' index='1' model='pcie-root-port'/>"
    "<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='0' function='0'/></source></hostdev>"
    "<hostdev mode='subsystem' type='pci'><source><address domain='2' bus='1' slot='0' function='0'/></source></hostdev>"
    "<iommu model='smmuv3' nested='yes'><placement sparePorts='2'/></iommu></devices></domain>";

typedef struct {
    viommuRewriteKind kind;
    unsigned flags;
    viommuPolicy policy;
    uint64_t libvirt, qemu;
    char network;       /* 'v': hands out VFs, 'n': NAT, 'g': what is given, 'e': an error */
    const char *domain; /* NULL: an error */
    size_t domainLen;
    const char *given;
    size_t givenLen;
} fuzzScene;

static viommuPeer peer;
static bool looked; /* at the host */

static virSysfs *
openHost(const void *data, GError **error)
{
    g_autoptr(GString) record = fuzzHostRecord();

    g_string_append(record, "dev/iommu =\n");
    return virSysfsNewManifest(record->str, record->len, error);
}

static char *
markHost(void)
{
    looked = true;
    return g_strdup("the same");
}

static void
answerNetwork(const fuzzScene *scene, viommuRewrite *rewrite, const char *name)
{
    g_autofree char *escaped = viommuXMLEscape(name);
    g_autofree char *text = NULL;

    switch (scene->network) {
    case 'v':
        text = g_strdup_printf("<network><name>%s</name><forward mode='hostdev'>"
                               "<address type='pci' domain='6' bus='1' slot='0' function='1'/></forward></network>",
                               escaped);
        break;
    case 'n':
        text = g_strdup_printf("<network><name>%s</name><forward mode='nat'/></network>", escaped);
        break;
    case 'g':
        viommuRewriteAnswerText(rewrite, scene->given, scene->givenLen);
        return;
    default:
        viommuRewriteAnswerError(rewrite, "no");
        return;
    }
    viommuRewriteAnswerText(rewrite, text, strlen(text));
}

static void
answer(const fuzzScene *scene, viommuRewrite *rewrite, GHashTable *asked)
{
    const char *name = NULL;
    viommuQuestion question = viommuRewriteQuestion(rewrite, &name);

    /* Nothing is asked twice. */
    g_assert_true(g_hash_table_add(asked, g_strdup_printf("%d %s", question, name ? name : "")));
    switch (question) {
    case VIOMMU_ASK_LIBVIRT_VERSION:
        viommuRewriteAnswerVersion(rewrite, scene->libvirt);
        break;
    case VIOMMU_ASK_QEMU_VERSION:
        viommuRewriteAnswerVersion(rewrite, scene->qemu);
        break;
    case VIOMMU_ASK_NETWORK:
        answerNetwork(scene, rewrite, name);
        break;
    case VIOMMU_ASK_DOMAIN:
    case VIOMMU_ASK_DOMAIN_INACTIVE:
    case VIOMMU_ASK_DEFINED:
        if (scene->domain)
            viommuRewriteAnswerText(rewrite, scene->domain, scene->domainLen);
        else
            viommuRewriteAnswerError(rewrite, "no");
        break;
    }
}

/* What is told to the client, and to the log. */
static void
checkWords(const char *words, bool refusal)
{
    size_t i;

    g_assert_true(!refusal || (g_str_has_prefix(words, "viommu: ") && words[strlen("viommu: ")]));
    g_assert_cmpstr(words, !=, "");
    g_assert_true(g_utf8_validate(words, -1, NULL));
    for (i = 0; words[i]; i++)
        g_assert_cmpuint((unsigned char)words[i], >=, ' ');
}

/* The verdict; *@ret_text is that of REPLACE (free with g_free), *@ret_asked whether libvirt was asked. */
static viommuRewriteVerdict
run(const fuzzScene *scene, const char *text, size_t len, char **ret_text, bool *ret_asked)
{
    const viommuRewriteContext context = { .policy = scene->policy, .openHost = openHost, .markHost = markHost };
    g_autoptr(GHashTable) asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(viommuRewrite) rewrite = NULL;
    viommuRewriteVerdict verdict;
    size_t size = 0;

    peer.libvirt = peer.qemu = 0;
    looked = false;
    rewrite = viommuRewriteNew(scene->kind, text, len, scene->flags, &context, &peer);
    while ((verdict = viommuRewriteRun(rewrite)) == VIOMMU_REWRITE_ASK)
        answer(scene, rewrite, asked);
    *ret_asked = g_hash_table_size(asked) > 0;
    if (verdict != VIOMMU_REWRITE_PASS)
        checkWords(viommuRewriteWords(rewrite), verdict == VIOMMU_REWRITE_REFUSE);
    if (verdict == VIOMMU_REWRITE_REPLACE) {
        const char *result = viommuRewriteText(rewrite, &size);

        g_assert_cmpuint(size, <=, VIOMMU_XML_MAX);
        g_assert_cmpuint(size, ==, strlen(result));
        *ret_text = g_strdup(result);
    }
    return verdict;
}

static bool
contains(const char *text, size_t len, const char *word)
{
    return memmem(text, len, word, strlen(word)) != NULL;
}

/* What asks passes by no oversight, and what cannot ask is not even looked at. */
static void
checkPassed(const fuzzScene *scene, const char *text, size_t len, bool asked)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomain) dom = viommuDomainParse(text, len, &error);

    if (dom && viommuDomainIsRequest(dom))
        g_assert_true(looked);
    if (dom && viommuDomainFitsPolicy(dom, scene->policy))
        g_assert_true(looked);
    if (!dom && !g_error_matches(error, VIOMMU_ERROR, VIOMMU_ERROR_SYNTAX))
        g_assert_false(contains(text, len, "smmuv3") || contains(text, len, "&#"));
    if (dom && !viommuDomainIsRequest(dom) && scene->policy == VIOMMU_POLICY_OFF)
        g_assert_false(asked || looked);
}

/* The only difference between two devices is the address of the second. */
static void
checkDevice(const char *text, size_t len, const char *result)
{
    g_autoptr(viommuXML) old = viommuXMLParse(text, len, NULL);
    g_autoptr(viommuXML) new = viommuXMLParse(result, strlen(result), NULL);
    viommuXML *both[] = { old, new };
    xmlBuffer *dumps[2];
    const viommuSpan *oldSpan, *newSpan;
    size_t i;

    g_assert_true(old && new);
    oldSpan = viommuXMLSpan(old, viommuXMLRoot(old));
    newSpan = viommuXMLSpan(new, viommuXMLRoot(new));
    g_assert_cmpmem(text, oldSpan->begin, result, newSpan->begin);
    g_assert_cmpmem(text + oldSpan->end, len - oldSpan->end, result + newSpan->end, strlen(result) - newSpan->end);
    for (i = 0; i < G_N_ELEMENTS(both); i++) {
        xmlNode *root = viommuXMLRoot(both[i]);
        xmlNode *address = viommuXMLChild(root, "address");

        g_assert_true(address || i == 0);
        if (address)
            xmlUnlinkNode(address);
        dumps[i] = xmlBufferCreate();
        xmlNodeDump(dumps[i], root->doc, root, 0, 0);
        xmlFreeNode(address);
    }
    g_assert_cmpstr((const char *)xmlBufferContent(dumps[0]), ==, (const char *)xmlBufferContent(dumps[1]));
    xmlBufferFree(dumps[0]);
    xmlBufferFree(dumps[1]);
}

/* What was replaced is good, and stays: notes of an earlier expansion that are not true are put right step by step. */
static void
checkReplaced(const fuzzScene *scene, const char *text, size_t len, const char *result)
{
    bool noted = contains(text, len, VIOMMU_NS);
    g_autofree char *again = NULL;
    viommuRewriteVerdict verdict;
    bool asked;

    if (scene->kind == VIOMMU_REWRITE_ATTACH || scene->kind == VIOMMU_REWRITE_UPDATE)
        checkDevice(text, len, result);
    verdict = run(scene, result, strlen(result), &again, &asked);
    /* What a policy asks for with an unknown network, is then asked for by itself, and refused without the network. */
    if (noted || (scene->policy != VIOMMU_POLICY_OFF && scene->network != 'v' && scene->network != 'n'))
        return;
    if (again)
        g_assert_cmpstr(again, ==, result);
    g_assert_cmpint(verdict, ==, VIOMMU_REWRITE_PASS);
}

/* What libvirt's hook is told of a domain that starts, or comes from elsewhere: one line, and what was corrected
 * fits. */
static void
checkStart(const char *text, size_t len)
{
    const viommuRewriteContext context = { .openHost = openHost };
    g_autofree char *words = NULL;
    g_autofree char *same = NULL;
    g_autofree char *left = NULL;
    g_autofree char *corrected = NULL;
    viommuRewriteVerdict starts = viommuStartJudge(text, len, &context, &words);
    viommuRewriteVerdict arrives = viommuStartFilter(text, len, &context, &corrected, &same);

    if (words)
        checkWords(words, true);
    g_assert_true(!words || strlen(words) <= VIOMMU_START_WORDS);
    g_assert_cmpint(starts, ==, words ? VIOMMU_REWRITE_REFUSE : VIOMMU_REWRITE_PASS);
    if (!corrected) {
        g_assert_cmpint(arrives, ==, starts);
        g_assert_cmpstr(same, ==, words);
        return;
    }
    g_assert_cmpint(arrives, ==, VIOMMU_REWRITE_REPLACE);
    g_assert_cmpint(starts, ==, VIOMMU_REWRITE_REFUSE);
    g_assert_cmpint(viommuStartJudge(corrected, strlen(corrected), &context, &left), ==, VIOMMU_REWRITE_PASS);
}

/* The placed form of the request above. */
static const char *
placedDomain(void)
{
    static char *placed;
    const fuzzScene plain = { .libvirt = 12008000, .qemu = 11001000 };
    bool asked;

    if (!placed)
        g_assert_cmpint(run(&plain, request, strlen(request), &placed, &asked), ==, VIOMMU_REWRITE_REPLACE);
    return placed;
}

/* The place in @letters of the letter @i of the first line, or any. */
static size_t
choose(const char *line, size_t len, size_t i, const char *letters)
{
    char c = i < len ? line[i] : letters[0];
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? (size_t)(at - letters) : (unsigned char)c % strlen(letters);
}

static fuzzScene
readScene(const char *line, size_t len)
{
    static const viommuRewriteKind kinds[] = { VIOMMU_REWRITE_DOMAIN, VIOMMU_REWRITE_EMBEDDED, VIOMMU_REWRITE_ATTACH,
                                               VIOMMU_REWRITE_UPDATE, VIOMMU_REWRITE_DETACH, VIOMMU_REWRITE_DEFINE };
    static const viommuPolicy policies[] = { VIOMMU_POLICY_OFF, VIOMMU_POLICY_SMMUV3, VIOMMU_POLICY_AARCH64 };
    static const uint64_t libvirts[] = { 12008000, 12006000, 0 };
    static const uint64_t qemus[] = { 11001000, 11000000, 0 };
    fuzzScene scene = { 0 };

    scene.kind = kinds[choose(line, len, 0, "DEAUTN")];
    scene.flags = (unsigned)choose(line, len, 1, "0123");
    scene.policy = policies[choose(line, len, 2, "osa")];
    scene.network = "vnge"[choose(line, len, 3, "vnge")];
    scene.libvirt = libvirts[choose(line, len, 4, "no-")];
    scene.qemu = qemus[choose(line, len, 5, "no-")];
    /* 'p': the placed one */
    if (choose(line, len, 6, "pge") == 0) {
        scene.domain = placedDomain();
        scene.domainLen = strlen(scene.domain);
    }
    return scene;
}

/* Behind the next separator, or NULL; *@len becomes that of what is before it. */
static const char *
split(const char *text, size_t *len)
{
    const char *end = text ? memmem(text, *len, SEPARATOR, strlen(SEPARATOR)) : NULL;

    if (end)
        *len = (size_t)(end - text);
    return end ? end + strlen(SEPARATOR) : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *all = (const char *)data;
    const char *newline = size ? memchr(all, '\n', size) : NULL;
    size_t front = newline ? (size_t)(newline - all) : 0;
    const char *text = newline ? newline + 1 : all;
    size_t len = (size_t)(all + size - text);
    const char *domain = split(text, &len);
    size_t domainLen = domain ? (size_t)(all + size - domain) : 0;
    const char *network = split(domain, &domainLen);
    g_autofree char *copy = g_memdup2(text, len);
    g_autofree char *result = NULL;
    bool asked = false;
    fuzzScene scene;

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    scene = readScene(all, front);
    if (domain && choose(all, front, 6, "pge") == 1) {
        scene.domain = domain;
        scene.domainLen = domainLen;
    }
    scene.given = network ? network : "";
    scene.givenLen = network ? (size_t)(all + size - network) : 0;
    text = copy ? copy : "";
    if (scene.kind == VIOMMU_REWRITE_DOMAIN)
        checkStart(text, len);
    switch (run(&scene, text, len, &result, &asked)) {
    case VIOMMU_REWRITE_PASS:
        if (scene.kind == VIOMMU_REWRITE_DOMAIN || scene.kind == VIOMMU_REWRITE_DEFINE)
            checkPassed(&scene, text, len, asked);
        break;
    case VIOMMU_REWRITE_REPLACE:
        g_assert_cmpint(scene.kind, !=, VIOMMU_REWRITE_DETACH);
        checkReplaced(&scene, text, len, result);
        break;
    case VIOMMU_REWRITE_REFUSE:
        break;
    case VIOMMU_REWRITE_ASK:
        g_assert_not_reached();
    }
    return 0;
}
