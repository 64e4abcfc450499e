/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's RPC, byte by byte: the bounds of messages, the arguments of calls with XML, and the messages that the
 * service makes. All bytes are spelled out, as RFC 4506 and libvirt's protocol files have them.
 */
#include "viommu_rpc_call.h"
#include "viommu_rpc_message.h"

#include <string.h>

/* Big-endian words. */
#define W(value) (uint8_t)((value) >> 24), (uint8_t)((value) >> 16), (uint8_t)((value) >> 8), (uint8_t)(value)

/* Length and header of a message of the program REMOTE. */
#define MESSAGE(len, proc, type, serial, status)                                                   \
    W(len), 0x20, 0x00, 0x80, 0x86, W(1), W(proc), W(type), W(serial), W(status)

static const uint8_t ping[] = { W(28), 'k', 'e', 'e', 'p', W(1), W(1), W(2), W(0), W(0) };

/* DOMAIN_DEFINE_XML of "<a/>" */
static const uint8_t define[] = { MESSAGE(36, 11, 0, 7, 0), W(4), '<', 'a', '/', '>' };

/* DOMAIN_OPEN_GRAPHICS with one descriptor, of domain "d" */
static const uint8_t openGraphics[] = { MESSAGE(68, 249, 4, 8, 0), W(1), W(1), 'd', 0, 0, 0,
                                        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, W(3), W(0),
                                        W(0) };

static bool
wantsCalls(const viommuRPCHeader *header, const void *data)
{
    return viommuRPCCallFind(header) != NULL;
}

static viommuRPCFlow
upwards(void)
{
    return (viommuRPCFlow){ .isWanted = wantsCalls, .fdType = VIOMMU_RPC_CALL_WITH_FDS };
}

/* What a direction does with @bytes that come @chunk at a time, as text: "p28" passes so many bytes, "t36" takes a
 * message, "f" is a descriptor, "!" is bad. Bytes of one message that pass are added up. */
static char *
follow(viommuRPCFlow flow, const GByteArray *bytes, size_t chunk)
{
    GString *out = g_string_new(NULL);
    size_t come = 0, at = 0, passing = 0;

    while (at < bytes->len) {
        viommuRPCHeader header;
        size_t len = 0;
        bool starts;
        viommuRPCVerdict verdict =
            viommuRPCFlowNext(&flow, bytes->data + at, come - at, &header, &len, &starts);

        if (starts || verdict == VIOMMU_RPC_FD) {
            if (passing)
                g_string_append_printf(out, "p%zu ", passing);
            passing = 0;
        }
        if (verdict == VIOMMU_RPC_MORE) {
            if (come == bytes->len)
                break;
            come = MIN(come + chunk, bytes->len);
        } else if (verdict == VIOMMU_RPC_PASS) {
            viommuRPCFlowPassed(&flow, starts ? &header : NULL, len);
            passing += len;
            at += len;
        } else if (verdict == VIOMMU_RPC_FD) {
            viommuRPCFlowPassed(&flow, NULL, 1);
            g_string_append(out, "f ");
            at++;
        } else if (verdict == VIOMMU_RPC_TAKE) {
            viommuRPCFlowTook(&flow, &header);
            g_string_append_printf(out, "t%u ", header.len);
            come = MAX(come, at + header.len);
            at += header.len;
        } else {
            g_string_append(out, "! ");
            break;
        }
    }
    if (passing)
        g_string_append_printf(out, "p%zu ", passing);
    if (at < bytes->len && !g_str_has_suffix(out->str, "! "))
        g_string_append_printf(out, "%zu left", bytes->len - at);
    return g_string_free(out, FALSE);
}

static GByteArray *
join(const uint8_t *first, size_t firstLen, const uint8_t *second, size_t secondLen)
{
    GByteArray *out = g_byte_array_new();

    g_byte_array_append(out, first, (guint)firstLen);
    g_byte_array_append(out, second, (guint)secondLen);
    return out;
}

static void
checkFollow(const uint8_t *first, size_t firstLen, const uint8_t *second, size_t secondLen,
            const char *expected)
{
    g_autoptr(GByteArray) bytes = join(first, firstLen, second, secondLen);
    size_t chunk;

    for (chunk = 1; chunk <= bytes->len; chunk++) {
        g_autofree char *found = follow(upwards(), bytes, chunk);

        g_assert_cmpstr(found, ==, expected);
    }
}

static void
testMessages(void)
{
    static const uint8_t fd[] = { 0 };
    static const uint8_t begun[] = { W(28), 'k' };
    /* DOMAIN_CREATE_XML_WITH_FILES of "<a/>" with two descriptors; the same as a REPLY_WITH_FDS, which has none here */
    static const uint8_t create[] = { MESSAGE(44, 309, 4, 9, 0), W(2), W(4), '<', 'a', '/', '>', W(0) };
    static const uint8_t reply[] = { MESSAGE(32, 309, 5, 9, 0), W(2) };
    static const uint8_t fds[] = { 0, 0 };

    checkFollow(ping, sizeof(ping), ping, sizeof(ping), "p28 p28 ");
    checkFollow(ping, sizeof(ping), define, sizeof(define), "p28 t36 ");
    checkFollow(define, sizeof(define), ping, sizeof(ping), "t36 p28 ");
    checkFollow(openGraphics, sizeof(openGraphics), fd, sizeof(fd), "p68 f ");
    checkFollow(create, sizeof(create), fds, sizeof(fds), "t44 f f ");
    checkFollow(reply, sizeof(reply), ping, sizeof(ping), "p32 p28 ");
    checkFollow(ping, sizeof(ping), begun, sizeof(begun), "p28 5 left");
}

static void
testBad(void)
{
    static const struct {
        uint8_t bytes[36];
        size_t len;
        const char *expected;
    } cases[] = {
        { { W(0u) }, 4, "! " },
        { { W(27u) }, 4, "! " },
        { { W(28u) }, 4, "4 left" },
        { { W(33554436u) }, 4, "4 left" },
        { { W(33554437u) }, 4, "! " },
        { { W(0xffffffffu) }, 4, "! " },
        { { W(28u) }, 3, "3 left" },
        /* descriptors: no room for their number, 32 and 33 of them */
        { { MESSAGE(28, 249, 4, 1, 0) }, 28, "! " },
        { { MESSAGE(32, 249, 4, 1, 0), W(32) }, 32, "p32 " },
        { { MESSAGE(32, 249, 4, 1, 0), W(33) }, 32, "! " },
        { { MESSAGE(32, 249, 4, 1, 0), W(0xffffffffu) }, 32, "! " },
        /* unknown program, version, procedure, type and status */
        { { W(32), W(0x12345678), W(9), W(99999), W(77), W(1), W(5), W(0) }, 32, "p32 " },
        /* a definition of version 2, and one that is a reply */
        { { W(32), 0x20, 0, 0x80, 0x86, W(2), W(11), W(0), W(1), W(0), W(0) }, 32, "p32 " },
        { { MESSAGE(32, 11, 1, 1, 0), W(0) }, 32, "p32 " },
        { { MESSAGE(32, 11, 0, 1, 0), W(0) }, 32, "t32 " },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        checkFollow(cases[i].bytes, cases[i].len, NULL, 0, cases[i].expected);
}

/* From where a flow is opaque, nothing is a message. */
static void
testOpaque(void)
{
    static const uint8_t noise[] = { 0, 0, 0, 0, 1, 2, 3 };
    g_autoptr(GByteArray) bytes = join(noise, sizeof(noise), define, sizeof(define));
    viommuRPCFlow flow = upwards();
    g_autofree char *found = NULL;

    g_assert_true(viommuRPCFlowAtStart(&flow));
    flow.opaque = true;
    g_assert_false(viommuRPCFlowAtStart(&flow));
    found = follow(flow, bytes, 5);
    g_assert_cmpstr(found, ==, "p43 ");
}

#define UUID 0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xaf
#define DOMAIN W(3), 'v', 'm', '1', 0, UUID, W(0xffffffffu)
#define XML W(5), '<', 'a', 'b', '/', '>', 0, 0, 0
#define NEW_XML W(4), '<', 'c', '/', '>'

/* A call, and the same with "<c/>" for its XML. */
static const struct {
    const char *name;
    viommuRPCXMLKind kind;
    uint32_t flags;
    bool hasDomain;
    size_t len;
    uint8_t bytes[120];
    size_t newLen;
    uint8_t newBytes[120];
} calls[] = {
    { "DOMAIN_DEFINE_XML", VIOMMU_RPC_XML_DEFINE, 0, false,
      40, { MESSAGE(40, 11, 0, 1, 0), XML },
      36, { MESSAGE(36, 11, 0, 1, 0), NEW_XML } },
    { "DOMAIN_DEFINE_XML_FLAGS", VIOMMU_RPC_XML_DEFINE, 1, false,
      44, { MESSAGE(44, 350, 0, 2, 0), XML, W(1) },
      40, { MESSAGE(40, 350, 0, 2, 0), NEW_XML, W(1) } },
    { "DOMAIN_CREATE_XML", VIOMMU_RPC_XML_DOMAIN, 5, false,
      44, { MESSAGE(44, 10, 0, 2, 0), XML, W(5) },
      40, { MESSAGE(40, 10, 0, 2, 0), NEW_XML, W(5) } },
    { "DOMAIN_CREATE_XML_WITH_FILES", VIOMMU_RPC_XML_DOMAIN, 0, false,
      48, { MESSAGE(48, 309, 4, 2, 0), W(1), XML, W(0) },
      44, { MESSAGE(44, 309, 4, 2, 0), W(1), NEW_XML, W(0) } },
    { "DOMAIN_ATTACH_DEVICE", VIOMMU_RPC_XML_ATTACH, 0, true,
      68, { MESSAGE(68, 8, 0, 3, 0), DOMAIN, XML },
      64, { MESSAGE(64, 8, 0, 3, 0), DOMAIN, NEW_XML } },
    { "DOMAIN_ATTACH_DEVICE_FLAGS", VIOMMU_RPC_XML_ATTACH, 3, true,
      72, { MESSAGE(72, 160, 0, 3, 0), DOMAIN, XML, W(3) },
      68, { MESSAGE(68, 160, 0, 3, 0), DOMAIN, NEW_XML, W(3) } },
    { "DOMAIN_DETACH_DEVICE", VIOMMU_RPC_XML_DETACH, 0, true,
      68, { MESSAGE(68, 13, 0, 3, 0), DOMAIN, XML },
      64, { MESSAGE(64, 13, 0, 3, 0), DOMAIN, NEW_XML } },
    { "DOMAIN_DETACH_DEVICE_FLAGS", VIOMMU_RPC_XML_DETACH, 3, true,
      72, { MESSAGE(72, 161, 0, 3, 0), DOMAIN, XML, W(3) },
      68, { MESSAGE(68, 161, 0, 3, 0), DOMAIN, NEW_XML, W(3) } },
    { "DOMAIN_UPDATE_DEVICE_FLAGS", VIOMMU_RPC_XML_UPDATE, 2, true,
      72, { MESSAGE(72, 174, 0, 3, 0), DOMAIN, XML, W(2) },
      68, { MESSAGE(68, 174, 0, 3, 0), DOMAIN, NEW_XML, W(2) } },
    { "CONNECT_DOMAIN_XML_TO_NATIVE", VIOMMU_RPC_XML_DOMAIN, 0, false,
      60, { MESSAGE(60, 136, 0, 3, 0), W(9), 'q', 'e', 'm', 'u', '-', 'a', 'r', 'g', 'v', 0, 0, 0, XML, W(0) },
      56, { MESSAGE(56, 136, 0, 3, 0), W(9), 'q', 'e', 'm', 'u', '-', 'a', 'r', 'g', 'v', 0, 0, 0, NEW_XML,
            W(0) } },
    { "DOMAIN_RESTORE_FLAGS", VIOMMU_RPC_XML_DOMAIN, 4, false,
      56, { MESSAGE(56, 233, 0, 4, 0), W(2), '/', 'f', 0, 0, W(1), XML, W(4) },
      52, { MESSAGE(52, 233, 0, 4, 0), W(2), '/', 'f', 0, 0, W(1), NEW_XML, W(4) } },
    { "DOMAIN_SAVE_IMAGE_DEFINE_XML", VIOMMU_RPC_XML_DOMAIN, 0, false,
      52, { MESSAGE(52, 236, 0, 4, 0), W(2), '/', 'f', 0, 0, XML, W(0) },
      48, { MESSAGE(48, 236, 0, 4, 0), W(2), '/', 'f', 0, 0, NEW_XML, W(0) } },
    { "DOMAIN_MANAGED_SAVE_DEFINE_XML", VIOMMU_RPC_XML_DOMAIN, 0, true,
      76, { MESSAGE(76, 389, 0, 4, 0), DOMAIN, W(1), XML, W(0) },
      72, { MESSAGE(72, 389, 0, 4, 0), DOMAIN, W(1), NEW_XML, W(0) } },
    { "DOMAIN_SNAPSHOT_CREATE_XML", VIOMMU_RPC_XML_EMBEDDED, 1, true,
      72, { MESSAGE(72, 185, 0, 4, 0), DOMAIN, XML, W(1) },
      68, { MESSAGE(68, 185, 0, 4, 0), DOMAIN, NEW_XML, W(1) } },
    { "DOMAIN_CHECKPOINT_CREATE_XML", VIOMMU_RPC_XML_EMBEDDED, 1, true,
      72, { MESSAGE(72, 411, 0, 4, 0), DOMAIN, XML, W(1) },
      68, { MESSAGE(68, 411, 0, 4, 0), DOMAIN, NEW_XML, W(1) } },
    /* parameters: a string that is not it, an int, a long long, the XML, a double */
    { "DOMAIN_RESTORE_PARAMS", VIOMMU_RPC_XML_DOMAIN, 6, false,
      116, { MESSAGE(116, 441, 0, 4, 0), W(4), W(4), 'f', 'i', 'l', 'e', W(7), W(1), '/', 0, 0, 0,
             W(1), 'i', 0, 0, 0, W(1), W(9), W(1), 'l', 0, 0, 0, W(3), W(0), W(9),
             W(4), 'd', 'x', 'm', 'l', W(7), XML, W(6) },
      112, { MESSAGE(112, 441, 0, 4, 0), W(4), W(4), 'f', 'i', 'l', 'e', W(7), W(1), '/', 0, 0, 0,
             W(1), 'i', 0, 0, 0, W(1), W(9), W(1), 'l', 0, 0, 0, W(3), W(0), W(9),
             W(4), 'd', 'x', 'm', 'l', W(7), NEW_XML, W(6) } },
    /* what stands behind the arguments stays */
    { "DOMAIN_DEFINE_XML", VIOMMU_RPC_XML_DEFINE, 0, false,
      44, { MESSAGE(44, 11, 0, 1, 0), XML, 1, 2, 3, 4 },
      40, { MESSAGE(40, 11, 0, 1, 0), NEW_XML, 1, 2, 3, 4 } },
};

static void
testCalls(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        viommuRPCHeader header = viommuRPCHeaderRead(calls[i].bytes, calls[i].len);
        const viommuRPCCall *call = viommuRPCCallFind(&header);
        g_autoptr(GByteArray) changed = NULL;
        viommuRPCArgs args;

        g_assert_nonnull(call);
        g_assert_cmpstr(call->name, ==, calls[i].name);
        g_assert_cmpint(call->kind, ==, calls[i].kind);
        g_assert_cmpuint(header.len, ==, calls[i].len);
        args = viommuRPCCallRead(call, calls[i].bytes, calls[i].len);
        g_assert_true(args.haveXML);
        g_assert_cmpmem(calls[i].bytes + args.xml.at, args.xml.len, "<ab/>", 5);
        g_assert_cmpuint(args.flags, ==, calls[i].flags);
        if (calls[i].hasDomain) {
            static const uint8_t domain[] = { DOMAIN };

            g_assert_cmpmem(calls[i].bytes + args.domain.at, args.domain.len, domain, sizeof(domain));
        } else {
            g_assert_cmpuint(args.domain.len, ==, 0);
        }
        changed = viommuRPCCallReplace(calls[i].bytes, calls[i].len, &args, "<c/>", 4);
        g_assert_cmpmem(changed->data, changed->len, calls[i].newBytes, calls[i].newLen);
    }
}

/* Wherever a call is cut off, or a length in it lies, it has no XML; and nothing is read outside of it. */
static void
testCallsCut(void)
{
    size_t i, len;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        viommuRPCHeader header = viommuRPCHeaderRead(calls[i].bytes, calls[i].len);
        const viommuRPCCall *call = viommuRPCCallFind(&header);
        size_t whole = calls[i].len - (i == G_N_ELEMENTS(calls) - 1 ? 4 : 0);

        for (len = VIOMMU_RPC_START_BYTES + 4; len < whole; len++) {
            g_autofree uint8_t *copy = g_memdup2(calls[i].bytes, len);

            g_assert_false(viommuRPCCallRead(call, copy, len).haveXML);
        }
    }
}

static void
testCallsWithout(void)
{
    static const struct {
        size_t len;
        uint8_t bytes[64];
    } cases[] = {
        /* lengths that lie */
        { 36, { MESSAGE(36, 11, 0, 1, 0), W(0xffffffffu), 0, 0, 0, 0 } },
        { 36, { MESSAGE(36, 11, 0, 1, 0), W(4194305u), 0, 0, 0, 0 } },
        { 36, { MESSAGE(36, 11, 0, 1, 0), W(5u), 0, 0, 0, 0 } },
        /* XML that is not given */
        { 44, { MESSAGE(44, 233, 0, 4, 0), W(2), '/', 'f', 0, 0, W(0), W(4) } },
        { 44, { MESSAGE(44, 233, 0, 4, 0), W(2), '/', 'f', 0, 0, W(2), W(4) } },
        { 36, { MESSAGE(36, 441, 0, 4, 0), W(0), W(6) } },
        /* a parameter of an unknown type, one whose "dxml" is a number */
        { 52, { MESSAGE(52, 441, 0, 4, 0), W(1), W(1), 'i', 0, 0, 0, W(8), W(0), W(6) } },
        { 52, { MESSAGE(52, 441, 0, 4, 0), W(1), W(4), 'd', 'x', 'm', 'l', W(1), W(0), W(6) } },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        viommuRPCHeader header = viommuRPCHeaderRead(cases[i].bytes, cases[i].len);
        const viommuRPCCall *call = viommuRPCCallFind(&header);

        g_assert_false(viommuRPCCallRead(call, cases[i].bytes, cases[i].len).haveXML);
    }
}

/* libvirt takes 64 of them. */
static void
testManyParams(void)
{
    static const uint8_t number[] = { W(1), 'i', 0, 0, 0, W(1), W(9) };
    static const uint8_t xml[] = { W(4), 'd', 'x', 'm', 'l', W(7), XML };
    const viommuRPCHeader header = { .prog = VIOMMU_RPC_REMOTE, .vers = 1, .proc = 441 };
    unsigned count, i;

    for (count = 63; count <= 66; count++) {
        uint8_t head[] = { MESSAGE(0, 441, 0, 4, 0), W(count) };
        static const uint8_t flags[] = { W(0) };
        g_autoptr(GByteArray) message = g_byte_array_new();

        g_byte_array_append(message, head, sizeof(head));
        for (i = 1; i < count; i++)
            g_byte_array_append(message, number, sizeof(number));
        g_byte_array_append(message, xml, sizeof(xml));
        g_byte_array_append(message, flags, sizeof(flags));
        g_assert_true(viommuRPCCallRead(viommuRPCCallFind(&header), message->data, message->len).haveXML ==
                      (count <= 64));
    }
}

/* Calls that carry no XML in, or carry it out. */
static void
testOtherCalls(void)
{
    static const uint32_t procs[] = { 1, 9, 12, 14, 15, 135, 162, 201, 209, 235, 249, 303, 392, 421, 443, 456 };
    viommuRPCHeader header = { .prog = VIOMMU_RPC_REMOTE, .vers = 1 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(procs); i++) {
        header.proc = procs[i];
        g_assert_null(viommuRPCCallFind(&header));
    }
    header.proc = 11;
    g_assert_nonnull(viommuRPCCallFind(&header));
    header.prog++;
    g_assert_null(viommuRPCCallFind(&header));
    header.prog = VIOMMU_RPC_KEEPALIVE;
    g_assert_null(viommuRPCCallFind(&header));
}

static void
testErrorReply(void)
{
    static const uint8_t expected[] = {
        MESSAGE(112, 11, 1, 7, 1), W(67), W(0), W(1), W(9), 'V', '0', '2', ':', ' ', 'g', 'o', 'n', 'e',
        0, 0, 0, W(2), W(0), W(1), W(2), '%', 's', 0, 0, W(1), W(9), 'V', '0', '2', ':', ' ', 'g', 'o', 'n',
        'e', 0, 0, 0, W(0), W(0), W(0), W(0) };
    viommuRPCHeader call = viommuRPCHeaderRead(define, sizeof(define));
    g_autoptr(GByteArray) reply =
        viommuRPCErrorReply(&call, VIOMMU_RPC_ERR_CONFIG_UNSUPPORTED, "V02: gone");
    viommuRPCAnswer answer;

    g_assert_cmpmem(reply->data, reply->len, expected, sizeof(expected));
    answer = viommuRPCAnswerRead(reply->data, reply->len);
    g_assert_false(answer.ok);
    g_assert_cmpstr(answer.message, ==, "V02: gone");
    viommuRPCAnswerClear(&answer);
    g_assert_null(answer.message);
}

static void
testQuestions(void)
{
    static const uint8_t version[] = { MESSAGE(28, 157, 0, 0x80000007u, 0) };
    static const uint8_t lookup[] = { MESSAGE(40, 46, 0, 5, 0), W(5), 'v', 'f', 's', '-', 'a', 0, 0, 0 };
    static const uint8_t domain[] = { DOMAIN };
    static const uint8_t domainXML[] = { MESSAGE(60, 14, 0, 5, 0), DOMAIN, W(2) };
    g_autoptr(GByteArray) first = viommuRPCQuestion(VIOMMU_RPC_PROC_GET_LIB_VERSION, 0x80000007u);
    g_autoptr(GByteArray) second = viommuRPCQuestionName(VIOMMU_RPC_PROC_NETWORK_LOOKUP, 5, "vfs-a");
    static const uint8_t defined[] = { MESSAGE(56, 14, 0, 6, 0), W(0), 0xc7, 0xa5, 0xfd, 0xbd, 0xcd, 0xaf, 0x94, 0x55,
                                       0x92, 0x6a, 0xd6, 0x5c, 0x16, 0xdb, 0x18, 0x09, W(0xffffffffu), W(2) };
    g_autoptr(GByteArray) third =
        viommuRPCQuestionObject(VIOMMU_RPC_PROC_DOMAIN_XML, 5, domain, sizeof(domain), 2);
    g_autoptr(GByteArray) fourth = viommuRPCQuestionDefined(6, "c7a5fdbd-cdaf-9455-926a-D65C16DB1809", 2);

    g_assert_cmpmem(first->data, first->len, version, sizeof(version));
    g_assert_cmpmem(second->data, second->len, lookup, sizeof(lookup));
    g_assert_cmpmem(third->data, third->len, domainXML, sizeof(domainXML));
    g_assert_cmpmem(fourth->data, fourth->len, defined, sizeof(defined));
}

static void
testAnswers(void)
{
    static const uint8_t good[] = { MESSAGE(36, 157, 1, 1, 0), W(0), W(12008000) };
    static const uint8_t silent[] = { MESSAGE(40, 157, 1, 1, 1), W(1), W(0), W(0) };
    static const uint8_t broken[] = { MESSAGE(40, 157, 1, 1, 1), W(1), W(0), W(1) };
    static const uint8_t latin[] = { MESSAGE(48, 157, 1, 1, 1), W(1), W(0), W(1), W(1), 0xe4, 0, 0, 0 };
    viommuRPCAnswer answer = viommuRPCAnswerRead(good, sizeof(good));
    viommuXDRReader reader = { .data = answer.result, .len = answer.len };

    g_assert_true(answer.ok);
    g_assert_cmpuint(viommuXDRReadHyper(&reader), ==, 12008000);
    g_assert_false(reader.bad);
    answer = viommuRPCAnswerRead(silent, sizeof(silent));
    g_assert_false(answer.ok);
    g_assert_null(answer.message);
    answer = viommuRPCAnswerRead(broken, sizeof(broken));
    g_assert_false(answer.ok);
    g_assert_null(answer.message);
    answer = viommuRPCAnswerRead(latin, sizeof(latin));
    g_assert_cmpstr(answer.message, ==, "\xef\xbf\xbd");
    viommuRPCAnswerClear(&answer);
}

/* A reader that is bad stays so, and its place is where it was. */
static void
testReader(void)
{
    static const uint8_t bytes[] = { W(1), W(9), 'x', 0, 0, 0 };
    viommuXDRReader reader = { .data = bytes, .len = sizeof(bytes) };
    bool there = true;

    g_assert_cmpuint(viommuXDRReadUint(&reader), ==, 1);
    g_assert_cmpuint(viommuXDRReadString(&reader, 100).len, ==, 0);
    g_assert_true(reader.bad);
    g_assert_cmpuint(viommuXDRReadUint(&reader), ==, 0);
    g_assert_cmpuint(viommuXDRReadOptional(&reader, 100, &there).len, ==, 0);
    g_assert_false(there);
    /* Padding counts: a string of one byte takes four. */
    reader = (viommuXDRReader){ .data = bytes + 8, .len = 3 };
    viommuXDRReadOpaque(&reader, 1);
    g_assert_true(reader.bad);
    reader = (viommuXDRReader){ .data = bytes + 8, .len = 4 };
    viommuXDRReadOpaque(&reader, 1);
    g_assert_false(reader.bad);
    g_assert_cmpuint(reader.at, ==, 4);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rpc/messages", testMessages);
    g_test_add_func("/rpc/bad", testBad);
    g_test_add_func("/rpc/opaque", testOpaque);
    g_test_add_func("/rpc/calls", testCalls);
    g_test_add_func("/rpc/calls-cut", testCallsCut);
    g_test_add_func("/rpc/calls-without", testCallsWithout);
    g_test_add_func("/rpc/many-params", testManyParams);
    g_test_add_func("/rpc/other-calls", testOtherCalls);
    g_test_add_func("/rpc/error-reply", testErrorReply);
    g_test_add_func("/rpc/questions", testQuestions);
    g_test_add_func("/rpc/answers", testAnswers);
    g_test_add_func("/rpc/reader", testReader);
    return g_test_run();
}
