/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls that carry the XML of a domain, or of a device for one, into libvirt.
 */
#pragma once

#include "viommu_rpc.h"
#include "viommu_xdr.h"

typedef enum {
    VIOMMU_RPC_XML_DOMAIN,   /* a <domain> */
    VIOMMU_RPC_XML_DEFINE,   /* the same, to be defined */
    VIOMMU_RPC_XML_EMBEDDED, /* a snapshot or a checkpoint, which may have domains in it */
    VIOMMU_RPC_XML_ATTACH,   /* a device that is to come to a domain */
    VIOMMU_RPC_XML_UPDATE,   /* a device that is to be changed */
    VIOMMU_RPC_XML_DETACH,   /* a device that is to go */
} viommuRPCXMLKind;

typedef struct {
    uint32_t proc;
    const char *name; /* as in remote_protocol.x, without REMOTE_PROC_ */
    viommuRPCXMLKind kind;
    /* Its arguments: d domain, s string, u unsigned int; X, O:
     * a string, or one that may be absent, that is the XML; P: typed parameters of which "dxml" is the XML. */
    const char *args;
} viommuRPCCall;

/* The call that has this header and carries XML, or NULL. */
const viommuRPCCall *viommuRPCCallFind(const viommuRPCHeader *header);

/* Where the arguments stand in the message. */
typedef struct {
    bool haveXML;          /* false: absent, or the message cannot be read */
    viommuXDRSpan xml;     /* the text; its length stands in the four bytes before it */
    viommuXDRSpan domain;  /* the domain as it is in other calls: name, UUID and id. Empty: none */
    uint32_t flags;        /* 0 for calls without */
} viommuRPCArgs;

/* Reads the arguments of the message @data, which is whole. What cannot be read has no XML: libvirt will
 * say so to the client. */
viommuRPCArgs viommuRPCCallRead(const viommuRPCCall *call, const uint8_t *data, size_t len);

/* The message with another text for its XML, of at most VIOMMU_RPC_STRING_MAX bytes. All else stays, with what
 * stands behind the arguments. Free with g_byte_array_unref. */
GByteArray *viommuRPCCallReplace(const uint8_t *data, size_t len, const viommuRPCArgs *args,
                                 const char *xml, size_t xmlLen);
