/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay. Each direction is a loop: what stands at the front of what was read passes, is taken
 * out, or has to wait. It is entered again whenever something has changed.
 */
#include "viommu_conn.h"

#include "viommu_conn_priv.h"
#include "viommu_log.h"

#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>

/* Largest message that is taken out: one string of libvirt's longest, and names, paths and flags. */
#define TAKE_MAX (VIOMMU_RPC_STRING_MAX + 1024 * 1024)

/* Our own answers that a client has not read; beyond that no more of its calls are looked at. */
#define OWN_MAX (64 * 1024)

/* Streams that are counted, so that a drain can wait for them. */
#define STREAMS_MAX 64

void
viommuDirectionQueue(viommuDirection *dir, const GByteArray *message)
{
    g_byte_array_append(dir->own, message->data, message->len);
}

static void
directionInit(viommuDirection *dir, viommuEnd *from, viommuEnd *to, viommuConn *conn)
{
    dir->from = from;
    dir->to = to;
    dir->own = g_byte_array_new();
    dir->flow.data = conn;
}

static void
directionClear(viommuDirection *dir)
{
    g_byte_array_unref(dir->own);
    g_clear_pointer(&dir->taking, g_byte_array_unref);
}

/* May a message of ours go now? Those to libvirt go in front of a held call, whose descriptors follow. */
static bool
mayInsert(const viommuDirection *dir)
{
    return !dir->flow.left && (dir->isUp || !dir->flow.fds);
}

/* Sends what is ours; false if not all of it went. */
static bool
sendOwn(viommuDirection *dir)
{
    while (dir->ownSent < dir->own->len) {
        size_t n = viommuEndSend(dir->to, dir->own->data + dir->ownSent,
                                 dir->own->len - dir->ownSent, -1);

        if (!n)
            return false;
        dir->ownSent += n;
    }
    /* Not kept: a message can have megabytes. */
    g_byte_array_unref(dir->own);
    dir->own = g_byte_array_new();
    dir->ownSent = 0;
    return true;
}

static void
setStream(viommuConn *self, uint32_t serial, bool open)
{
    guint i;

    for (i = 0; i < self->streams->len; i++) {
        if (g_array_index(self->streams, uint32_t, i) != serial)
            continue;
        if (!open)
            g_array_remove_index_fast(self->streams, i);
        return;
    }
    if (open && self->streams->len < STREAMS_MAX)
        g_array_append_val(self->streams, serial);
}

/* Counts a message that begins to pass. */
static void
noteMessage(viommuConn *self, const viommuDirection *dir, const viommuRPCHeader *header)
{
    if (header->prog == VIOMMU_RPC_KEEPALIVE)
        return;
    switch ((viommuRPCType)header->type) {
    case VIOMMU_RPC_CALL:
    case VIOMMU_RPC_CALL_WITH_FDS:
        if (dir->isUp) {
            self->unanswered++;
            self->options->counts->calls++;
            self->lastSerial = header->serial;
        }
        break;
    case VIOMMU_RPC_REPLY:
    case VIOMMU_RPC_REPLY_WITH_FDS:
        if (!dir->isUp && self->unanswered)
            self->unanswered--;
        break;
    case VIOMMU_RPC_STREAM:
        /* The end is libvirt's to say, an abort anybody's. */
        if (header->status == VIOMMU_RPC_CONTINUE)
            setStream(self, header->serial, true);
        else if (!dir->isUp || header->status == VIOMMU_RPC_ERROR)
            setStream(self, header->serial, false);
        break;
    case VIOMMU_RPC_EVENT:
    case VIOMMU_RPC_STREAM_HOLE:
        break;
    }
}

/* Passes bytes on, or, of a refused call, away; false if that has to wait. */
static bool
passBytes(viommuConn *self, viommuDirection *dir, const viommuRPCHeader *started, size_t len)
{
    uint64_t *count =
        dir->isUp ? &self->options->counts->toLibvirt : &self->options->counts->toClient;

    if (!dir->discarding) {
        len = viommuEndSend(dir->to, viommuEndBytes(dir->from), len, -1);
        *count += len;
    }
    if (!len)
        return false;
    if (started && !dir->discarding)
        noteMessage(self, dir, started);
    viommuRPCFlowPassed(&dir->flow, started, len);
    viommuEndDrop(dir->from, len);
    return true;
}

static bool
passFD(viommuConn *self, viommuDirection *dir)
{
    int fd = viommuEndPeekFD(dir->from);

    if (fd < 0) {
        viommuConnSettle(self);
        viommuLog(LOG_WARNING, "%s: a message came without the descriptors that it announces",
                  self->options->client);
        self->broken = true;
        return false;
    }
    if (!dir->discarding && !viommuEndSend(dir->to, viommuEndBytes(dir->from), 1, fd))
        return false;
    viommuRPCFlowPassed(&dir->flow, NULL, 1);
    viommuEndDropFD(dir->from);
    return true;
}

/* Goes on with a message that is wanted whole; true once it is. */
static bool
take(viommuConn *self, viommuDirection *dir)
{
    size_t len = MIN(viommuEndLen(dir->from), dir->header.len - dir->taking->len);
    GByteArray *message;

    g_byte_array_append(dir->taking, viommuEndBytes(dir->from), (guint)len);
    viommuEndDrop(dir->from, len);
    if (dir->taking->len < dir->header.len)
        return false;
    viommuRPCFlowTook(&dir->flow, &dir->header);
    message = g_steal_pointer(&dir->taking);
    if (dir->isUp)
        viommuConnTakeCall(self, &dir->header, message);
    else
        viommuConnTakeReply(self, &dir->header, message);
    return true;
}

/* A ping or a pong, which may overtake: it is no longer than its header. */
static bool
isKeepalive(const viommuRPCHeader *header)
{
    return header->prog == VIOMMU_RPC_KEEPALIVE && header->type == VIOMMU_RPC_EVENT &&
           header->len == VIOMMU_RPC_START_BYTES;
}

/* Must what comes next wait, with all behind it? */
static bool
mustWait(const viommuConn *self, const viommuDirection *dir, bool starts,
         const viommuRPCHeader *header)
{
    bool isCall = starts && (header->type == VIOMMU_RPC_CALL ||
                             header->type == VIOMMU_RPC_CALL_WITH_FDS);

    if (!dir->isUp || (starts && isKeepalive(header)))
        return false;
    return self->held || (isCall && (self->draining || self->down.own->len > OWN_MAX));
}

/* One step; false if there is none at the moment. */
static bool
step(viommuConn *self, viommuDirection *dir)
{
    viommuRPCHeader header;
    bool starts;
    size_t len = 0;
    viommuRPCVerdict verdict;

    if (mayInsert(dir) && dir->own->len) {
        dir->blocked = !sendOwn(dir);
        return !dir->blocked;
    }
    if (dir->taking)
        return take(self, dir);
    if (viommuRPCFlowAtStart(&dir->flow))
        dir->discarding = false;
    verdict = viommuRPCFlowNext(&dir->flow, viommuEndBytes(dir->from), viommuEndLen(dir->from),
                                &header, &len, &starts);
    dir->waiting = verdict != VIOMMU_RPC_MORE && verdict != VIOMMU_RPC_BAD &&
                   mustWait(self, dir, starts, &header);
    if (dir->waiting)
        return false;
    switch (verdict) {
    case VIOMMU_RPC_MORE:
        return false;
    case VIOMMU_RPC_TAKE:
        if (header.len <= TAKE_MAX) {
            dir->header = header;
            dir->taking = g_byte_array_new();
            return true;
        }
        viommuConnRefuseBig(self, &header);
        dir->discarding = true;
        return passBytes(self, dir, &header, len);
    case VIOMMU_RPC_PASS:
        dir->blocked = !passBytes(self, dir, starts ? &header : NULL, len);
        return !dir->blocked;
    case VIOMMU_RPC_FD:
        dir->blocked = !passFD(self, dir);
        return !dir->blocked;
    case VIOMMU_RPC_BAD:
        viommuConnSettle(self);
        viommuLog(LOG_WARNING, "%s: closed, as what came from %s is no message of libvirt's",
                  self->options->client, dir->isUp ? "the client" : "libvirt");
        self->broken = true;
        return false;
    }
    return false;
}

/* Has all gone that came from there? What is left of a message that will not end does not count, nor what of ours would
 * have come behind it. */
static bool
isDrained(const viommuDirection *dir)
{
    return dir->from->eof && !dir->blocked && !dir->waiting &&
           (dir->ownSent == dir->own->len || !mayInsert(dir));
}

static unsigned
eventsIn(const viommuEnd *end)
{
    return viommuEndWantsMore(end) ? G_IO_IN : 0;
}

/* An end that nothing is waited for is not looked at: it could only say that it has hung up. */
static void
watch(GSource *source, viommuWatch *watched, int fd, unsigned events)
{
    if (events == watched->events)
        return;
    if (!events)
        g_source_remove_unix_fd(source, watched->tag);
    else if (watched->tag)
        g_source_modify_unix_fd(source, watched->tag, (GIOCondition)events);
    else
        watched->tag = g_source_add_unix_fd(source, fd, (GIOCondition)events);
    watched->events = events;
    if (!events)
        watched->tag = NULL;
}

static void
watchAll(viommuConn *self)
{
    unsigned out = self->down.blocked ? G_IO_OUT : 0;

    watch(self->source, &self->libvirtBoth, self->libvirt->in,
          eventsIn(self->libvirt) | (self->up.blocked ? G_IO_OUT : 0));
    if (self->client->in == self->client->out) {
        watch(self->source, &self->clientIn, self->client->in, eventsIn(self->client) | out);
    } else {
        watch(self->source, &self->clientIn, self->client->in, eventsIn(self->client));
        watch(self->source, &self->clientOut, self->client->out, out);
    }
}

void
viommuConnPump(viommuConn *self)
{
    bool moved = true;

    while (moved && !self->broken) {
        self->up.blocked = self->down.blocked = false;
        moved = false;
        while (!self->broken && step(self, &self->up))
            moved = true;
        while (!self->broken && step(self, &self->down))
            moved = true;
    }
    if (isDrained(&self->up) && !self->held && !self->halfClosed) {
        self->halfClosed = true;
        shutdown(self->libvirt->out, SHUT_WR);
    }
    viommuConnSettle(self);
    watchAll(self);
}

static gboolean
hasEvents(GSource *source, const viommuWatch *watched)
{
    return watched->tag && g_source_query_unix_fd(source, watched->tag);
}

typedef struct {
    GSource source;
    viommuConn *conn;
} connSource;

static gboolean
check(GSource *source)
{
    const viommuConn *self = ((connSource *)source)->conn;

    return hasEvents(source, &self->clientIn) || hasEvents(source, &self->clientOut) ||
           hasEvents(source, &self->libvirtBoth);
}

static gboolean
dispatch(GSource *source, GSourceFunc callback, void *data)
{
    viommuConn *self = ((connSource *)source)->conn;

    if (hasEvents(source, &self->clientIn) && viommuEndWantsMore(self->client))
        viommuEndFill(self->client);
    if (hasEvents(source, &self->libvirtBoth) && viommuEndWantsMore(self->libvirt))
        viommuEndFill(self->libvirt);
    viommuConnPump(self);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs sourceFuncs = { .check = check, .dispatch = dispatch };

viommuConn *
viommuConnNew(int clientIn, int clientOut, int libvirt, const viommuConnOptions *options)
{
    viommuConn *self = g_new0(viommuConn, 1);

    self->options = options;
    self->client = viommuEndNew(clientIn, clientOut);
    self->libvirt = viommuEndNew(libvirt, libvirt);
    directionInit(&self->up, self->client, self->libvirt, self);
    directionInit(&self->down, self->libvirt, self->client, self);
    self->up.isUp = true;
    self->up.flow.isWanted = viommuConnWantsCall;
    self->up.flow.fdType = VIOMMU_RPC_CALL_WITH_FDS;
    self->down.flow.fdType = VIOMMU_RPC_REPLY_WITH_FDS;
    self->down.flow.isWanted = viommuConnWantsReply;
    self->asked = g_array_new(FALSE, FALSE, sizeof(viommuAsked));
    self->streams = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    self->source = g_source_new(&sourceFuncs, sizeof(connSource));
    ((connSource *)self->source)->conn = self;
    watchAll(self);
    /* Else GLib takes its descriptors out of the poll for each message, and wakes itself for that. */
    g_source_set_can_recurse(self->source, TRUE);
    g_source_attach(self->source, NULL);
    return self;
}

static void
clearTimer(GSource **timer)
{
    if (*timer)
        g_source_destroy(*timer);
    g_clear_pointer(timer, g_source_unref);
}

void
viommuConnFree(viommuConn *self)
{
    if (!self)
        return;
    viommuConnRelease(self);
    viommuConnSettle(self);
    viommuPeerClear(&self->peer);
    clearTimer(&self->drainTimer);
    g_source_destroy(self->source);
    g_source_unref(self->source);
    directionClear(&self->up);
    directionClear(&self->down);
    viommuEndFree(self->client);
    viommuEndFree(self->libvirt);
    g_array_unref(self->asked);
    g_array_unref(self->streams);
    g_free(self);
}

/* Is nothing on the way? */
static bool
isQuiet(const viommuConn *self)
{
    return !self->unanswered && !self->held && !self->streams->len &&
           viommuRPCFlowAtStart(&self->up.flow) && viommuRPCFlowAtStart(&self->down.flow) &&
           self->up.ownSent == self->up.own->len && self->down.ownSent == self->down.own->len &&
           !viommuEndLen(self->libvirt);
}

bool
viommuConnAwaitsReply(const viommuConn *self)
{
    return self->unanswered > 0;
}

bool
viommuConnIsBulk(const viommuConn *self)
{
    return self->streams->len || self->up.blocked || self->down.blocked;
}

bool
viommuConnIsOver(const viommuConn *self)
{
    return self->broken || isDrained(&self->down) || (self->draining && isQuiet(self));
}

static gboolean
onDrainTimeout(void *data)
{
    viommuConn *self = data;

    viommuLog(LOG_WARNING, "%s: closed with %u calls that libvirt has not answered",
              self->options->client, self->unanswered);
    self->broken = true;
    return G_SOURCE_REMOVE;
}

void
viommuConnDrain(viommuConn *self)
{
    if (self->draining)
        return;
    self->draining = true;
    self->drainTimer = g_timeout_source_new_seconds(self->options->config->drainTimeout);
    g_source_set_callback(self->drainTimer, onDrainTimeout, self, NULL);
    g_source_attach(self->drainTimer, NULL);
    viommuConnPump(self);
}
