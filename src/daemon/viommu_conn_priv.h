/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two files of a connection share: the relay (viommu_conn.c) and the calls that are held back
 * while they are rewritten (viommu_conn_call.c).
 */
#pragma once

#include "viommu_conn.h"
#include "viommu_end.h"
#include "viommu_rpc_call.h"

/* From one end to the other. */
typedef struct {
    viommuEnd *from;
    viommuEnd *to;
    viommuRPCFlow flow;
    bool isUp;            /* to libvirt */
    GByteArray *own;      /* messages of ours, which go at the next place where one may begin */
    size_t ownSent;
    GByteArray *taking;   /* a message that is wanted as a whole, as far as it has come; NULL: none */
    viommuRPCHeader header; /* its header */
    bool discarding;      /* what passes is not sent: it belongs to a call that was refused */
    bool blocked;         /* waits for room to send */
    bool waiting;         /* has something that may not go yet */
} viommuDirection;

/* A question that libvirt has not answered yet. */
typedef struct {
    uint32_t serial;
    uint32_t proc;
} viommuAsked;

/* A descriptor that is waited for; zeroes: it is not. */
typedef struct {
    void *tag;
    unsigned events; /* of GIOCondition */
} viommuWatch;

struct viommuConn {
    const viommuConnOptions *options;
    viommuEnd *client;
    viommuEnd *libvirt;
    viommuDirection up;
    viommuDirection down;

    /* The call that is being rewritten; nothing behind it goes up but keepalive messages. */
    GByteArray *held; /* NULL: none */
    viommuRPCHeader heldHeader;
    const viommuRPCCall *heldCall;
    viommuRPCArgs heldArgs;
    viommuRewrite *rewrite;
    viommuRewrite *done;             /* of a call that was let go; NULL: none */
    const viommuRPCCall *doneCall;   /* that, if it was changed; else NULL */
    viommuPeer peer;
    GArray *asked;        /* of viommuAsked; with those that were given up, which may still be answered */
    uint32_t current;     /* serial of the one for the held call */
    unsigned questions;   /* so far */
    uint32_t lastSerial;  /* of the client */
    GSource *patience;    /* for the held call; NULL: nothing was asked for it */

    GSource *source;
    viommuWatch clientIn;
    viommuWatch clientOut;
    viommuWatch libvirtBoth;
    unsigned unanswered;  /* calls that libvirt has and has not answered */
    GArray *streams;      /* of uint32_t: serials of streams that are open */
    bool halfClosed;      /* libvirt was told that the client is gone */
    bool broken;
    bool draining;
    GSource *drainTimer;
};

/* Adds a message of ours. */
void viommuDirectionQueue(viommuDirection *dir, const GByteArray *message);

/* What calls are looked at, and which replies. */
bool viommuConnWantsCall(const viommuRPCHeader *header, const void *conn);
bool viommuConnWantsReply(const viommuRPCHeader *header, const void *conn);

/* A wanted message has come, which these take over. */
void viommuConnTakeCall(viommuConn *self, const viommuRPCHeader *header, GByteArray *message);
void viommuConnTakeReply(viommuConn *self, const viommuRPCHeader *header, GByteArray *message);

/* The same for one that is too big to be taken. */
void viommuConnRefuseBig(viommuConn *self, const viommuRPCHeader *header);

/* Frees what belongs to the held call. */
void viommuConnRelease(viommuConn *self);

/* What is left to do for a call that was let go, and that libvirt need not wait for: a line in the log, and freeing. */
void viommuConnSettle(viommuConn *self);

/* Goes on with all that can go on. */
void viommuConnPump(viommuConn *self);
