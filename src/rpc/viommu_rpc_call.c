/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of calls with XML, and their arguments.
 */
#include "viommu_rpc_call.h"

#include <string.h>

/* VIR_UUID_BUFLEN */
#define UUID_BYTES 16

/* REMOTE_DOMAIN_RESTORE_PARAMS_MAX and the like; more are refused by libvirt. */
#define PARAMS_MAX 64

/* VIR_DOMAIN_SAVE_PARAM_DXML */
#define PARAM_XML "dxml"

/* virTypedParameterType */
enum {
    PARAM_INT = 1,
    PARAM_UINT = 2,
    PARAM_LLONG = 3,
    PARAM_ULLONG = 4,
    PARAM_DOUBLE = 5,
    PARAM_BOOLEAN = 6,
    PARAM_STRING = 7,
};

static const viommuRPCCall calls[] = {
    { 8, "DOMAIN_ATTACH_DEVICE", VIOMMU_RPC_XML_ATTACH, "dX" },
    { 10, "DOMAIN_CREATE_XML", VIOMMU_RPC_XML_DOMAIN, "Xu" },
    { 11, "DOMAIN_DEFINE_XML", VIOMMU_RPC_XML_DEFINE, "X" },
    { 13, "DOMAIN_DETACH_DEVICE", VIOMMU_RPC_XML_DETACH, "dX" },
    { 136, "CONNECT_DOMAIN_XML_TO_NATIVE", VIOMMU_RPC_XML_DOMAIN, "sXu" },
    { 160, "DOMAIN_ATTACH_DEVICE_FLAGS", VIOMMU_RPC_XML_ATTACH, "dXu" },
    { 161, "DOMAIN_DETACH_DEVICE_FLAGS", VIOMMU_RPC_XML_DETACH, "dXu" },
    { 174, "DOMAIN_UPDATE_DEVICE_FLAGS", VIOMMU_RPC_XML_UPDATE, "dXu" },
    { 185, "DOMAIN_SNAPSHOT_CREATE_XML", VIOMMU_RPC_XML_EMBEDDED, "dXu" },
    { 233, "DOMAIN_RESTORE_FLAGS", VIOMMU_RPC_XML_DOMAIN, "sOu" },
    { 236, "DOMAIN_SAVE_IMAGE_DEFINE_XML", VIOMMU_RPC_XML_DOMAIN, "sXu" },
    { 309, "DOMAIN_CREATE_XML_WITH_FILES", VIOMMU_RPC_XML_DOMAIN, "Xu" },
    { 350, "DOMAIN_DEFINE_XML_FLAGS", VIOMMU_RPC_XML_DEFINE, "Xu" },
    { 389, "DOMAIN_MANAGED_SAVE_DEFINE_XML", VIOMMU_RPC_XML_DOMAIN, "dOu" },
    { 411, "DOMAIN_CHECKPOINT_CREATE_XML", VIOMMU_RPC_XML_EMBEDDED, "dXu" },
    { 441, "DOMAIN_RESTORE_PARAMS", VIOMMU_RPC_XML_DOMAIN, "Pu" },
};

const viommuRPCCall *
viommuRPCCallFind(const viommuRPCHeader *header)
{
    size_t i;

    if (header->prog != VIOMMU_RPC_REMOTE || header->vers != VIOMMU_RPC_VERSION ||
        (header->type != VIOMMU_RPC_CALL && header->type != VIOMMU_RPC_CALL_WITH_FDS))
        return NULL;
    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (calls[i].proc == header->proc)
            return &calls[i];
    }
    return NULL;
}

/* remote_nonnull_domain */
static void
readDomain(viommuXDRReader *reader, viommuRPCArgs *args)
{
    args->domain.at = reader->at;
    viommuXDRReadString(reader, VIOMMU_RPC_STRING_MAX);
    viommuXDRReadOpaque(reader, UUID_BYTES);
    viommuXDRReadUint(reader);
    args->domain.len = reader->at - args->domain.at;
}

static void
readXML(viommuXDRReader *reader, viommuRPCArgs *args)
{
    args->xml = viommuXDRReadString(reader, VIOMMU_RPC_STRING_MAX);
    args->haveXML = true;
}

/* remote_typed_param */
static void
readParam(viommuXDRReader *reader, viommuRPCArgs *args)
{
    viommuXDRSpan field = viommuXDRReadString(reader, VIOMMU_RPC_STRING_MAX);
    uint32_t type = viommuXDRReadUint(reader);

    if (reader->bad)
        return;
    switch (type) {
    case PARAM_INT:
    case PARAM_UINT:
    case PARAM_BOOLEAN:
        viommuXDRReadUint(reader);
        break;
    case PARAM_LLONG:
    case PARAM_ULLONG:
    case PARAM_DOUBLE:
        viommuXDRReadHyper(reader);
        break;
    case PARAM_STRING:
        if (field.len == strlen(PARAM_XML) &&
            memcmp(reader->data + field.at, PARAM_XML, field.len) == 0)
            readXML(reader, args);
        else
            viommuXDRReadString(reader, VIOMMU_RPC_STRING_MAX);
        break;
    default:
        reader->bad = true;
    }
}

static void
readParams(viommuXDRReader *reader, viommuRPCArgs *args)
{
    uint32_t count = viommuXDRReadUint(reader);

    if (count > PARAMS_MAX)
        reader->bad = true;
    for (; count && !reader->bad; count--)
        readParam(reader, args);
}

static void
readArg(viommuXDRReader *reader, char kind, viommuRPCArgs *args)
{
    bool there = true;

    switch (kind) {
    case 'd':
        readDomain(reader, args);
        break;
    case 's':
        viommuXDRReadString(reader, VIOMMU_RPC_STRING_MAX);
        break;
    case 'O':
        args->xml = viommuXDRReadOptional(reader, VIOMMU_RPC_STRING_MAX, &there);
        args->haveXML = there;
        break;
    case 'X':
        readXML(reader, args);
        break;
    case 'P':
        readParams(reader, args);
        break;
    default: /* u */
        args->flags = viommuXDRReadUint(reader);
    }
}

viommuRPCArgs
viommuRPCCallRead(const viommuRPCCall *call, const uint8_t *data, size_t len)
{
    viommuXDRReader reader = { .data = data, .len = len };
    viommuRPCHeader header = viommuRPCHeaderRead(data, len);
    viommuRPCArgs args = { 0 };
    const char *kind;

    viommuXDRReadOpaque(&reader, VIOMMU_RPC_START_BYTES);
    if (viommuRPCHasFDs(&header))
        viommuXDRReadUint(&reader);
    for (kind = call->args; *kind; kind++)
        readArg(&reader, *kind, &args);
    return reader.bad ? (viommuRPCArgs){ 0 } : args;
}

GByteArray *
viommuRPCCallReplace(const uint8_t *data, size_t len, const viommuRPCArgs *args, const char *xml,
                     size_t xmlLen)
{
    size_t begin = args->xml.at - 4;
    size_t end = args->xml.at + args->xml.len + viommuXDRPadding(args->xml.len);
    GByteArray *out = g_byte_array_sized_new((guint)(len + xmlLen));
    uint32_t total;

    g_byte_array_append(out, data, (guint)begin);
    viommuXDRWriteString(out, xml, xmlLen);
    g_byte_array_append(out, data + end, (guint)(len - end));
    total = GUINT32_TO_BE(out->len);
    memcpy(out->data, &total, sizeof(total));
    return out;
}
