/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making messages, and reading replies.
 */
#include "viommu_rpc_message.h"

#include "viommu_xdr.h"

#include <string.h>

/* VIR_FROM_NONE and VIR_ERR_ERROR: libvirt/virterror.h */
#define FROM_NONE 0
#define LEVEL_ERROR 2

static GByteArray *
begin(uint32_t proc, uint32_t type, uint32_t serial, uint32_t status)
{
    GByteArray *out = g_byte_array_new();

    viommuXDRWriteUint(out, 0); /* the length: end() */
    viommuXDRWriteUint(out, VIOMMU_RPC_REMOTE);
    viommuXDRWriteUint(out, VIOMMU_RPC_VERSION);
    viommuXDRWriteUint(out, proc);
    viommuXDRWriteUint(out, type);
    viommuXDRWriteUint(out, serial);
    viommuXDRWriteUint(out, status);
    return out;
}

static GByteArray *
end(GByteArray *out)
{
    uint32_t len = GUINT32_TO_BE(out->len);

    memcpy(out->data, &len, sizeof(len));
    return out;
}

GByteArray *
viommuRPCErrorReply(const viommuRPCHeader *call, int code, const char *message)
{
    GByteArray *out = begin(call->proc, VIOMMU_RPC_REPLY, call->serial, VIOMMU_RPC_ERROR);

    /* virNetMessageError */
    viommuXDRWriteUint(out, (uint32_t)code);
    viommuXDRWriteUint(out, FROM_NONE);
    viommuXDRWriteOptional(out, message);
    viommuXDRWriteUint(out, LEVEL_ERROR);
    viommuXDRWriteUint(out, 0);              /* domain: none */
    viommuXDRWriteOptional(out, "%s");       /* str1, as virReportError fills it */
    viommuXDRWriteOptional(out, message);    /* str2 */
    viommuXDRWriteOptional(out, NULL);       /* str3 */
    viommuXDRWriteUint(out, 0);              /* int1 */
    viommuXDRWriteUint(out, 0);              /* int2 */
    viommuXDRWriteUint(out, 0);              /* network: none */
    return end(out);
}

GByteArray *
viommuRPCQuestion(uint32_t proc, uint32_t serial)
{
    return end(begin(proc, VIOMMU_RPC_CALL, serial, VIOMMU_RPC_OK));
}

GByteArray *
viommuRPCQuestionName(uint32_t proc, uint32_t serial, const char *name)
{
    GByteArray *out = begin(proc, VIOMMU_RPC_CALL, serial, VIOMMU_RPC_OK);

    viommuXDRWriteString(out, name, strlen(name));
    return end(out);
}

GByteArray *
viommuRPCQuestionObject(uint32_t proc, uint32_t serial, const uint8_t *object, size_t len,
                        uint32_t flags)
{
    GByteArray *out = begin(proc, VIOMMU_RPC_CALL, serial, VIOMMU_RPC_OK);

    g_byte_array_append(out, object, (guint)len);
    viommuXDRWriteUint(out, flags);
    return end(out);
}

/* virUUIDParse */
static void
writeUUID(GByteArray *out, const char *uuid)
{
    for (; uuid[0] && uuid[1]; uuid += uuid[0] == '-' ? 1 : 2) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(uuid[0]) << 4 | g_ascii_xdigit_value(uuid[1]));

        if (uuid[0] != '-')
            g_byte_array_append(out, &byte, 1);
    }
}

GByteArray *
viommuRPCQuestionDefined(uint32_t serial, const char *uuid, uint32_t flags)
{
    GByteArray *out = begin(VIOMMU_RPC_PROC_DOMAIN_XML, VIOMMU_RPC_CALL, serial, VIOMMU_RPC_OK);

    /* remote_nonnull_domain: libvirt finds it by the UUID alone */
    viommuXDRWriteString(out, "", 0);
    writeUUID(out, uuid);
    viommuXDRWriteUint(out, (uint32_t)-1);
    viommuXDRWriteUint(out, flags);
    return end(out);
}

viommuRPCAnswer
viommuRPCAnswerRead(const uint8_t *data, size_t len)
{
    viommuXDRReader reader = { .data = data, .len = len, .at = VIOMMU_RPC_START_BYTES };
    viommuRPCHeader header = viommuRPCHeaderRead(data, len);
    viommuRPCAnswer answer = { .ok = header.status == VIOMMU_RPC_OK };
    viommuXDRSpan message;
    bool there;

    if (answer.ok) {
        answer.result = data + VIOMMU_RPC_START_BYTES;
        answer.len = len - VIOMMU_RPC_START_BYTES;
        return answer;
    }
    viommuXDRReadUint(&reader); /* code */
    viommuXDRReadUint(&reader); /* domain */
    message = viommuXDRReadOptional(&reader, VIOMMU_RPC_STRING_MAX, &there);
    if (there && !reader.bad)
        answer.message = g_utf8_make_valid((const char *)data + message.at, (gssize)message.len);
    return answer;
}

void
viommuRPCAnswerClear(viommuRPCAnswer *answer)
{
    g_clear_pointer(&answer->message, g_free);
}
