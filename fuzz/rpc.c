/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: libvirt's RPC. The first byte says which direction it is, and seeds the pieces in which the rest
 * comes: what is done with it must not depend on them. Then the same bytes are the arguments of a call, a reply, and an
 * object.
 */
#include "fuzztarget.h"
#include "viommu_rpc_call.h"
#include "viommu_rpc_message.h"

#include <string.h>

/* Calls that carry XML, and one that does not. */
static const uint32_t procs[] = { 8, 10, 11, 136, 160, 174, 185, 233, 236, 309, 350, 389, 411, 441, 1 };

static bool
isWanted(const viommuRPCHeader *header, const void *data)
{
    return viommuRPCCallFind(header) != NULL;
}

static size_t
nextPiece(uint32_t *state)
{
    /* xorshift32 (G. Marsaglia, 2003) */
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return 1 + (*state & 8 ? *state % 7 : *state % 61);
}

/* A call with XML, which is replaced by others of several lengths and reads back as that. */
static void
checkReplace(const viommuRPCCall *call, const uint8_t *data, size_t len, const viommuRPCArgs *args, size_t xmlLen)
{
    static const char xml[] = "<domain/>";
    g_autoptr(GByteArray) out = viommuRPCCallReplace(data, len, args, xml, xmlLen);
    size_t end = args->xml.at + args->xml.len + viommuXDRPadding(args->xml.len);
    viommuRPCHeader before = viommuRPCHeaderRead(data, len);
    viommuRPCHeader after = viommuRPCHeaderRead(out->data, out->len);
    viommuRPCArgs read = viommuRPCCallRead(call, out->data, out->len);

    g_assert_cmpuint(after.len, ==, out->len);
    before.len = after.len;
    g_assert_cmpint(memcmp(&before, &after, sizeof(before)), ==, 0);
    g_assert_true(read.haveXML);
    g_assert_cmpuint(read.xml.at, ==, args->xml.at);
    g_assert_cmpmem(out->data + read.xml.at, read.xml.len, xml, xmlLen);
    g_assert_cmpuint(read.flags, ==, args->flags);
    g_assert_cmpmem(out->data + read.domain.at, read.domain.len, data + args->domain.at, args->domain.len);
    g_assert_cmpmem(out->data + VIOMMU_RPC_LENGTH_BYTES, args->xml.at - 4 - VIOMMU_RPC_LENGTH_BYTES,
                    data + VIOMMU_RPC_LENGTH_BYTES, args->xml.at - 4 - VIOMMU_RPC_LENGTH_BYTES);
    g_assert_cmpuint(out->len, >=, len - end);
    g_assert_cmpint(memcmp(out->data + out->len - (len - end), data + end, len - end), ==, 0);
}

static void
checkCall(const uint8_t *data, size_t len)
{
    viommuRPCHeader header = viommuRPCHeaderRead(data, len);
    const viommuRPCCall *call = viommuRPCCallFind(&header);
    viommuRPCArgs args;
    size_t i;

    if (!call)
        return;
    args = viommuRPCCallRead(call, data, len);
    if (!args.haveXML)
        return;
    g_assert_cmpuint(args.xml.at, >=, VIOMMU_RPC_START_BYTES + 4);
    g_assert_cmpuint(args.xml.at, <=, len);
    g_assert_cmpuint(args.xml.len + viommuXDRPadding(args.xml.len), <=, len - args.xml.at);
    g_assert_cmpuint(args.domain.at + args.domain.len, <=, len);
    if (args.domain.len) {
        g_assert_cmpuint(args.domain.len, >=, 4 + 16 + 4);
    }
    for (i = 0; i <= strlen("<domain/>"); i++)
        checkReplace(call, data, len, &args, i);
}

/* What the direction does, as text, with bytes that come in pieces; *@state 0: all at once. Bytes of one message that
 * pass are added up. */
static char *
follow(viommuRPCFlow flow, const uint8_t *data, size_t size, uint32_t *state)
{
    GString *out = g_string_new(NULL);
    size_t come = *state ? 0 : size;
    size_t at = 0, passing = 0, taken = 0;

    for (;;) {
        viommuRPCHeader header;
        size_t len = 0;
        bool starts = false;
        g_autofree uint8_t *seen = g_memdup2(data + at, come - at);
        viommuRPCVerdict verdict = viommuRPCFlowNext(&flow, seen ? seen : data, come - at, &header, &len, &starts);

        g_assert(starts == (verdict == VIOMMU_RPC_TAKE || (verdict == VIOMMU_RPC_PASS && viommuRPCFlowAtStart(&flow))));
        if (verdict == VIOMMU_RPC_MORE || (verdict == VIOMMU_RPC_TAKE && header.len > come - at)) {
            if (come == size)
                break;
            come += nextPiece(state);
            come = MIN(come, size);
            continue;
        }
        if (passing && (starts || verdict == VIOMMU_RPC_FD)) {
            g_string_append_printf(out, "p%zu ", passing);
            passing = 0;
        }
        if (verdict == VIOMMU_RPC_BAD) {
            g_string_append_c(out, '!');
            break;
        }
        if (verdict == VIOMMU_RPC_TAKE) {
            g_assert_true(isWanted(&header, NULL));
            viommuRPCFlowTook(&flow, &header);
            g_string_append_printf(out, "t%u ", header.len);
            len = header.len;
            taken += len;
            checkCall(data + at, len);
        } else if (verdict == VIOMMU_RPC_FD) {
            len = 1;
            viommuRPCFlowPassed(&flow, NULL, len);
            g_string_append(out, "f ");
        } else {
            g_assert_cmpuint(len, >, 0);
            g_assert_cmpuint(len, <=, come - at);
            viommuRPCFlowPassed(&flow, starts ? &header : NULL, len);
            passing += len;
        }
        at += len;
        g_assert_cmpuint(at, <=, come);
        g_assert_cmpuint(flow.fds, <=, VIOMMU_RPC_FDS_MAX);
    }
    g_string_append_printf(out, "p%zu, %zu left, %zu taken", passing, size - at, taken);
    return g_string_free(out, FALSE);
}

static void
checkFlow(uint8_t choice, const uint8_t *data, size_t size)
{
    viommuRPCFlow flow = { .isWanted = isWanted,
                           .fdType = choice & 1 ? VIOMMU_RPC_CALL_WITH_FDS : VIOMMU_RPC_REPLY_WITH_FDS,
                           .opaque = (choice & 0x3e) == 0x3e };
    uint32_t none = 0;
    uint32_t pieces = choice + 1u;
    g_autofree char *whole = follow(flow, data, size, &none);
    g_autofree char *split = follow(flow, data, size, &pieces);

    g_assert_cmpstr(split, ==, whole);
}

static GByteArray *
makeMessage(uint32_t proc, uint32_t type, uint32_t status, const uint8_t *body, size_t len)
{
    GByteArray *out = g_byte_array_new();

    viommuXDRWriteUint(out, (uint32_t)(VIOMMU_RPC_START_BYTES + len));
    viommuXDRWriteUint(out, VIOMMU_RPC_REMOTE);
    viommuXDRWriteUint(out, VIOMMU_RPC_VERSION);
    viommuXDRWriteUint(out, proc);
    viommuXDRWriteUint(out, type);
    viommuXDRWriteUint(out, 5);
    viommuXDRWriteUint(out, status);
    g_byte_array_append(out, body, (guint)len);
    return out;
}

static void
checkAnswer(const uint8_t *data, size_t size, uint32_t status)
{
    g_autoptr(GByteArray) reply = makeMessage(11, VIOMMU_RPC_REPLY, status, data, size);
    viommuRPCAnswer answer = viommuRPCAnswerRead(reply->data, reply->len);

    g_assert(answer.ok == (status == VIOMMU_RPC_OK));
    if (answer.ok)
        g_assert_cmpmem(answer.result, answer.len, data, size);
    g_assert_true(!answer.message || (!answer.ok && g_utf8_validate(answer.message, -1, NULL)));
    viommuRPCAnswerClear(&answer);
}

/* Messages that are made read back as what they were made of. */
static void
checkMade(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    g_autofree char *clean = g_utf8_make_valid(text, -1);
    const viommuRPCHeader call = { .proc = 11, .serial = 0xfffffff0u };
    g_autoptr(GByteArray) error = viommuRPCErrorReply(&call, VIOMMU_RPC_ERR_RPC, text);
    g_autoptr(GByteArray) name = viommuRPCQuestionName(46, 1, text);
    g_autoptr(GByteArray) object = viommuRPCQuestionObject(14, 2, data, size, 3);
    viommuRPCAnswer answer = viommuRPCAnswerRead(error->data, error->len);
    viommuXDRReader reader = { .data = name->data, .len = name->len, .at = VIOMMU_RPC_START_BYTES };
    viommuXDRSpan span = viommuXDRReadString(&reader, G_MAXUINT32);

    g_assert_false(answer.ok);
    g_assert_cmpstr(answer.message, ==, clean);
    viommuRPCAnswerClear(&answer);
    g_assert_cmpuint(error->len % 4, ==, 0);
    g_assert_cmpuint(viommuRPCHeaderRead(error->data, error->len).len, ==, error->len);
    g_assert_cmpmem(name->data + span.at, span.len, text, strlen(text));
    g_assert_false(reader.bad);
    g_assert_cmpuint(reader.at, ==, name->len);
    g_assert_cmpuint(object->len, ==, VIOMMU_RPC_START_BYTES + size + 4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choice = size ? data[0] : 0;
    size_t i;

    if (size) {
        data++;
        size--;
    }
    checkFlow(choice, data, size);
    if (size > 65536)
        return 0;
    for (i = 0; i < G_N_ELEMENTS(procs); i++) {
        g_autoptr(GByteArray) call = makeMessage(procs[i], VIOMMU_RPC_CALL, VIOMMU_RPC_OK, data, size);
        g_autoptr(GByteArray) fds = makeMessage(procs[i], VIOMMU_RPC_CALL_WITH_FDS, VIOMMU_RPC_OK, data, size);

        checkCall(call->data, call->len);
        checkCall(fds->data, fds->len);
    }
    checkAnswer(data, size, VIOMMU_RPC_OK);
    checkAnswer(data, size, VIOMMU_RPC_ERROR);
    checkMade(data, size);
    return 0;
}
