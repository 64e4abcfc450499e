/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bounds of messages.
 */
#include "viommu_rpc.h"

#include "viommu_xdr.h"

/* The count of descriptors stands behind the header of messages that have them. */
#define FDS_BYTES 4

bool
viommuRPCHasFDs(const viommuRPCHeader *header)
{
    return header->type == VIOMMU_RPC_CALL_WITH_FDS || header->type == VIOMMU_RPC_REPLY_WITH_FDS;
}

viommuRPCHeader
viommuRPCHeaderRead(const uint8_t *data, size_t len)
{
    viommuXDRReader reader = { .data = data, .len = len };
    viommuRPCHeader header = { 0 };

    header.len = viommuXDRReadUint(&reader);
    header.prog = viommuXDRReadUint(&reader);
    header.vers = viommuXDRReadUint(&reader);
    header.proc = viommuXDRReadUint(&reader);
    header.type = viommuXDRReadUint(&reader);
    header.serial = viommuXDRReadUint(&reader);
    header.status = viommuXDRReadUint(&reader);
    if (viommuRPCHasFDs(&header))
        header.nfds = viommuXDRReadUint(&reader);
    return header;
}

bool
viommuRPCFlowAtStart(const viommuRPCFlow *flow)
{
    return !flow->opaque && !flow->left && !flow->fds;
}

viommuRPCVerdict
viommuRPCFlowNext(const viommuRPCFlow *flow, const uint8_t *data, size_t len,
                  viommuRPCHeader *ret_header, size_t *ret_len, bool *ret_starts)
{
    *ret_starts = false;
    if (!len)
        return VIOMMU_RPC_MORE;
    if (flow->opaque || flow->left) {
        *ret_len = flow->opaque ? len : MIN(len, flow->left);
        return VIOMMU_RPC_PASS;
    }
    if (flow->fds) {
        *ret_len = 1;
        return VIOMMU_RPC_FD;
    }
    if (len < VIOMMU_RPC_LENGTH_BYTES)
        return VIOMMU_RPC_MORE;
    /* Bad lengths are seen before anything is waited for. */
    *ret_header = viommuRPCHeaderRead(data, len);
    if (ret_header->len < VIOMMU_RPC_START_BYTES ||
        ret_header->len > VIOMMU_RPC_LENGTH_BYTES + VIOMMU_RPC_MESSAGE_MAX)
        return VIOMMU_RPC_BAD;
    if (len < VIOMMU_RPC_START_BYTES)
        return VIOMMU_RPC_MORE;
    if (ret_header->type != flow->fdType)
        ret_header->nfds = 0;
    if (ret_header->type == flow->fdType) {
        if (ret_header->len < VIOMMU_RPC_START_BYTES + FDS_BYTES)
            return VIOMMU_RPC_BAD;
        if (len < VIOMMU_RPC_START_BYTES + FDS_BYTES)
            return VIOMMU_RPC_MORE;
        if (ret_header->nfds > VIOMMU_RPC_FDS_MAX)
            return VIOMMU_RPC_BAD;
    }
    *ret_starts = true;
    *ret_len = MIN(len, ret_header->len);
    return flow->isWanted(ret_header, flow->data) ? VIOMMU_RPC_TAKE : VIOMMU_RPC_PASS;
}

void
viommuRPCFlowPassed(viommuRPCFlow *flow, const viommuRPCHeader *started, size_t len)
{
    if (flow->opaque)
        return;
    if (started) {
        flow->left = started->len;
        flow->fds = started->nfds;
    }
    if (flow->left)
        flow->left -= (uint32_t)len;
    else
        flow->fds -= (uint32_t)len;
}

void
viommuRPCFlowTook(viommuRPCFlow *flow, const viommuRPCHeader *header)
{
    flow->fds = header->nfds;
}
