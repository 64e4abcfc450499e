/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's RPC as bytes: where a message begins and ends, which of its bytes carry a file descriptor, and
 * which messages have to be looked at as a whole. All else passes as it is, in pieces of any size.
 *
 * Numbers are those of libvirt's src/rpc/virnetprotocol.x and src/remote/remote_protocol.x; they are frozen.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* VIR_NET_MESSAGE_LEN_MAX, VIR_NET_MESSAGE_HEADER_MAX and VIR_NET_MESSAGE_MAX; the length in front of a
 * message counts itself. */
#define VIOMMU_RPC_LENGTH_BYTES 4
#define VIOMMU_RPC_HEADER_BYTES 24
#define VIOMMU_RPC_MESSAGE_MAX 33554432
/* VIR_NET_MESSAGE_NUM_FDS_MAX */
#define VIOMMU_RPC_FDS_MAX 32
/* REMOTE_STRING_MAX */
#define VIOMMU_RPC_STRING_MAX 4194304

/* REMOTE_PROGRAM and KEEPALIVE_PROGRAM, with the one version that each has. */
#define VIOMMU_RPC_REMOTE 0x20008086u
#define VIOMMU_RPC_KEEPALIVE 0x6b656570u
#define VIOMMU_RPC_VERSION 1u

/* virNetMessageType */
typedef enum {
    VIOMMU_RPC_CALL = 0,
    VIOMMU_RPC_REPLY = 1,
    VIOMMU_RPC_EVENT = 2, /* VIR_NET_MESSAGE */
    VIOMMU_RPC_STREAM = 3,
    VIOMMU_RPC_CALL_WITH_FDS = 4,
    VIOMMU_RPC_REPLY_WITH_FDS = 5,
    VIOMMU_RPC_STREAM_HOLE = 6,
} viommuRPCType;

/* virNetMessageStatus */
typedef enum {
    VIOMMU_RPC_OK = 0,
    VIOMMU_RPC_ERROR = 1,
    VIOMMU_RPC_CONTINUE = 2,
} viommuRPCStatus;

/* virNetMessageHeader with the length in front, and behind it the number of descriptors. */
typedef struct {
    uint32_t len; /* of the whole message; descriptors come behind it */
    uint32_t prog;
    uint32_t vers;
    uint32_t proc;
    uint32_t type;
    uint32_t serial;
    uint32_t status;
    uint32_t nfds; /* 0 for messages without */
} viommuRPCHeader;

/* What is to be done with the next bytes of a direction. */
typedef enum {
    VIOMMU_RPC_MORE, /* they do not tell yet */
    VIOMMU_RPC_PASS, /* so many pass as they are */
    VIOMMU_RPC_FD,   /* one byte that carries a descriptor */
    VIOMMU_RPC_TAKE, /* they begin a message that is wanted as a whole */
    VIOMMU_RPC_BAD,  /* no message: libvirt would close the connection */
} viommuRPCVerdict;

/* One direction of a connection. Zeroes are its beginning, but for isWanted and fdType. */
typedef struct {
    /* Is a message with this header wanted as a whole? */
    bool (*isWanted)(const viommuRPCHeader *header, const void *data);
    const void *data;
    viommuRPCType fdType; /* messages of this type alone have descriptors: CALL_WITH_FDS to libvirt, REPLY_WITH_FDS
                           * from it. Of the other one libvirt takes none either */
    bool opaque;    /* messages cannot be seen any more: all passes */
    uint32_t left;  /* bytes of the message that is passing */
    uint32_t fds;   /* descriptors behind it */
} viommuRPCFlow;

/* True if the next byte begins a message. */
bool viommuRPCFlowAtStart(const viommuRPCFlow *flow);

/* Says what to do with the first of @len bytes. With PASS, *@ret_len is how many of them. With TAKE, *@ret_header
 * is the message's. *@ret_starts is true if a message begins (PASS and TAKE). */
viommuRPCVerdict viommuRPCFlowNext(const viommuRPCFlow *flow, const uint8_t *data, size_t len,
                                   viommuRPCHeader *ret_header, size_t *ret_len, bool *ret_starts);

/* Says that so many bytes have gone through: of PASS with the header that began the message, if one began;
 * or one byte, of FD. */
void viommuRPCFlowPassed(viommuRPCFlow *flow, const viommuRPCHeader *started, size_t len);

/* Says that a message with this header was taken out; its descriptors follow. */
void viommuRPCFlowTook(viommuRPCFlow *flow, const viommuRPCHeader *header);

/* Reads length and header from at least so many bytes; nfds from the four behind it, if there are. */
#define VIOMMU_RPC_START_BYTES (VIOMMU_RPC_LENGTH_BYTES + VIOMMU_RPC_HEADER_BYTES)
viommuRPCHeader viommuRPCHeaderRead(const uint8_t *data, size_t len);

/* True for the two types whose messages have their number in front of what they say. */
bool viommuRPCHasFDs(const viommuRPCHeader *header);
