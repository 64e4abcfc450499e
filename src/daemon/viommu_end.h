/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One end of a connection: bytes that have come from it, and the descriptors that came with them.
 * Nothing here knows what the bytes mean.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is read ahead. libvirt sends streams in messages of 256 KiB (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX). */
#define VIOMMU_END_BYTES (256 * 1024)

typedef struct {
    int in;        /* these two may be the same */
    int out;
    bool inIsSocket;  /* descriptors can come */
    bool outIsSocket; /* and go */
    uint8_t *bytes;
    size_t begin;  /* what has come and has not been taken: bytes[begin] to bytes[end] */
    size_t end;
    uint64_t taken; /* bytes taken from the beginning of the connection */
    GArray *fds;    /* of viommuEndFD, in the order of their bytes */
    bool eof;       /* nothing more will come */
    bool dead;      /* nothing more can be sent */
} viommuEnd;

/* Neither descriptor may block; both are closed with the end. */
viommuEnd *viommuEndNew(int in, int out);
void viommuEndFree(viommuEnd *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuEnd, viommuEndFree)

/* True if there is room to read into, and something may come. */
bool viommuEndWantsMore(const viommuEnd *self);

/* Reads once. An error of the other side counts as its end. */
void viommuEndFill(viommuEnd *self);

static inline const uint8_t *
viommuEndBytes(const viommuEnd *self)
{
    return self->bytes + self->begin;
}

static inline size_t
viommuEndLen(const viommuEnd *self)
{
    return self->end - self->begin;
}

/* Takes @len bytes away; descriptors that came with them are closed. */
void viommuEndDrop(viommuEnd *self, size_t len);

/* The descriptor that came with the next byte, or -1. */
int viommuEndPeekFD(const viommuEnd *self);

/* Takes that byte away, and closes that descriptor. */
void viommuEndDropFD(viommuEnd *self);

/* Sends some of the bytes, with @fd (-1: none) beside the first. Returns how many went, 0 if none can at the
 * moment; where the other side is gone all count as sent. Any other error ends the connection: both ways. */
size_t viommuEndSend(viommuEnd *self, const uint8_t *bytes, size_t len, int fd);
