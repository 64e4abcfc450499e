/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages that the service makes itself: errors for its client, questions to libvirt; and what
 * libvirt answers.
 */
#pragma once

#include "viommu_rpc.h"

/* VIR_ERR_SYSTEM_ERROR and so on: libvirt/virterror.h */
#define VIOMMU_RPC_ERR_SYSTEM_ERROR 38
#define VIOMMU_RPC_ERR_CONFIG_UNSUPPORTED 67
#define VIOMMU_RPC_ERR_RPC 39
#define VIOMMU_RPC_ERR_OPERATION_TIMEOUT 68

/* The reply to @call that says it failed. Free with g_byte_array_unref, as all of these. */
GByteArray *viommuRPCErrorReply(const viommuRPCHeader *call, int code, const char *message);

/* Procedures of the questions. */
enum {
    VIOMMU_RPC_PROC_GET_VERSION = 4,          /* CONNECT_GET_VERSION: of QEMU */
    VIOMMU_RPC_PROC_DOMAIN_XML = 14,          /* DOMAIN_GET_XML_DESC */
    VIOMMU_RPC_PROC_NETWORK_XML = 43,         /* NETWORK_GET_XML_DESC */
    VIOMMU_RPC_PROC_NETWORK_LOOKUP = 46,      /* NETWORK_LOOKUP_BY_NAME */
    VIOMMU_RPC_PROC_GET_LIB_VERSION = 157,    /* CONNECT_GET_LIB_VERSION */
};

/* A call without arguments. */
GByteArray *viommuRPCQuestion(uint32_t proc, uint32_t serial);

/* A call whose one argument is a string. */
GByteArray *viommuRPCQuestionName(uint32_t proc, uint32_t serial, const char *name);

/* A call whose arguments are an object, as it stands in another message, and flags. */
GByteArray *viommuRPCQuestionObject(uint32_t proc, uint32_t serial, const uint8_t *object, size_t len,
                                    uint32_t flags);

/* DOMAIN_GET_XML_DESC for the domain with that UUID, 36 characters, whatever its name. */
GByteArray *viommuRPCQuestionDefined(uint32_t serial, const char *uuid, uint32_t flags);

/* What a whole reply says. */
typedef struct {
    bool ok;
    char *message;         /* of an error: libvirt's text, or NULL. Free with viommuRPCAnswerClear */
    const uint8_t *result; /* of a good one: what stands behind the header. Borrowed */
    size_t len;
} viommuRPCAnswer;

viommuRPCAnswer viommuRPCAnswerRead(const uint8_t *data, size_t len);
void viommuRPCAnswerClear(viommuRPCAnswer *answer);
