/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection of a client to libvirt. All passes as it is, but for the calls with the XML of a
 * domain (rpc/viommu_rpc_call.h), which are rewritten or answered here. What has to be asked of libvirt for
 * that is asked on the same connection, with the client's own rights.
 */
#pragma once

#include "viommu_config.h"
#include "viommu_rewrite.h"

/* What went through, for whoever wants to know. May be in memory that is shared with another
 * process. */
typedef struct {
    uint64_t calls;     /* from the client */
    uint64_t rewritten;
    uint64_t refused;
    uint64_t toLibvirt; /* bytes */
    uint64_t toClient;
} viommuConnCounts;

typedef struct {
    const viommuConfig *config;
    viommuRewriteContext rewrite;
    const char *client;  /* who it is, for the log: "uid 1000" */
    bool untrustedWire;  /* the client encrypts after SASL, as the wire is not known to be local */
    viommuConnCounts *counts;
} viommuConnOptions;

typedef struct viommuConn viommuConn;

/* Takes over the descriptors, none of which may block: the client's (both may be the same) and libvirt's. Borrows
 * @options. Serves in GLib's default main context. */
viommuConn *viommuConnNew(int clientIn, int clientOut, int libvirt,
                          const viommuConnOptions *options);
void viommuConnFree(viommuConn *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuConn, viommuConnFree)

/* True once one side is gone and all that it said was passed on. */
bool viommuConnIsOver(const viommuConn *self);

/* True if libvirt has a call that it has not answered. */
bool viommuConnAwaitsReply(const viommuConn *self);

/* True while there is more on the way than calls and their replies: a stream, or what has to wait for room. */
bool viommuConnIsBulk(const viommuConn *self);

/* Lets what has begun end, within the time of the options, and takes no more calls. */
void viommuConnDrain(viommuConn *self);
