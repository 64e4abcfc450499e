/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls with XML: held back, rewritten, with questions to libvirt where that needs them, and sent on or
 * answered.
 */
#include "viommu_conn_priv.h"
#include "viommu_log.h"
#include "viommu_rpc_message.h"

#include <string.h>
#include <syslog.h>

/* VIR_DOMAIN_XML_INACTIVE */
#define XML_INACTIVE (1u << 1)

/* VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE and VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE; without it libvirt
 * looks at no <domain>. */
#define REDEFINE (1u << 0)

/* AUTH_SASL_START and AUTH_SASL_STEP; their answers begin with whether the client is let in. */
#define PROC_SASL_START 68
#define PROC_SASL_STEP 69

/* Questions that may be left unanswered; a libvirt that does not answer so many is given up. */
#define ASKED_MAX 16

/* A serial that the client will not use soon: it counts on from its last. */
#define SERIALS_AWAY 0x80000000u

bool
viommuConnWantsCall(const viommuRPCHeader *header, const void *conn)
{
    return viommuRPCCallFind(header) != NULL;
}

static bool
isSaslAnswer(const viommuRPCHeader *header)
{
    return header->prog == VIOMMU_RPC_REMOTE && header->type == VIOMMU_RPC_REPLY &&
           header->status == VIOMMU_RPC_OK &&
           (header->proc == PROC_SASL_START || header->proc == PROC_SASL_STEP);
}

/* The place of the question that this reply answers, or -1. */
static int
findAsked(const viommuConn *self, const viommuRPCHeader *header)
{
    guint i;

    for (i = 0; i < self->asked->len; i++) {
        const viommuAsked *asked = &g_array_index(self->asked, viommuAsked, i);

        if (header->serial == asked->serial && header->proc == asked->proc &&
            header->prog == VIOMMU_RPC_REMOTE && header->type == VIOMMU_RPC_REPLY)
            return (int)i;
    }
    return -1;
}

bool
viommuConnWantsReply(const viommuRPCHeader *header, const void *conn)
{
    const viommuConn *self = conn;

    return findAsked(self, header) >= 0 || (self->options->untrustedWire && isSaslAnswer(header));
}

void
viommuConnRelease(viommuConn *self)
{
    g_clear_pointer(&self->held, g_byte_array_unref);
    g_clear_pointer(&self->rewrite, viommuRewriteFree);
    if (self->patience)
        g_source_destroy(self->patience);
    g_clear_pointer(&self->patience, g_source_unref);
}

void
viommuConnSettle(viommuConn *self)
{
    const char *name = self->doneCall ? viommuRewriteName(self->done) : NULL;

    if (self->doneCall)
        viommuLog(LOG_INFO, "%s: %s of '%s': %s", self->options->client, self->doneCall->name,
                  name ? name : "", viommuRewriteWords(self->done));
    self->doneCall = NULL;
    g_clear_pointer(&self->done, viommuRewriteFree);
}

/* Lets the held call go as @message. */
static void
sendHeld(viommuConn *self, const GByteArray *message)
{
    viommuConnSettle(self);
    self->done = g_steal_pointer(&self->rewrite);
    self->unanswered++;
    self->options->counts->calls++;
    self->options->counts->toLibvirt += message->len;
    viommuDirectionQueue(&self->up, message);
    viommuConnRelease(self);
}

static void
refuse(viommuConn *self, const viommuRPCHeader *header, const char *name, int code,
       const char *message)
{
    const viommuRPCCall *call = viommuRPCCallFind(header);
    g_autoptr(GByteArray) reply = viommuRPCErrorReply(header, code, message);

    /* In the order of the calls. */
    viommuConnSettle(self);
    viommuLog(LOG_WARNING, "%s: refused %s%s%s%s: %s", self->options->client,
              call ? call->name : "a call", name ? " of '" : "", name ? name : "", name ? "'" : "",
              message);
    self->options->counts->calls++;
    self->options->counts->refused++;
    viommuDirectionQueue(&self->down, reply);
}

static void
refuseHeld(viommuConn *self, int code, const char *message)
{
    refuse(self, &self->heldHeader, viommuRewriteName(self->rewrite), code, message);
    /* Its descriptors follow. */
    self->up.discarding = self->up.flow.fds > 0;
    viommuConnRelease(self);
}

static gboolean
onImpatience(void *data)
{
    viommuConn *self = data;
    g_autofree char *message = NULL;

    /* It reads no more calls of a client while it works on five of them (max_client_requests): a direct
     * call would wait, too. */
    if (self->unanswered)
        return G_SOURCE_CONTINUE;
    message =
        g_strdup_printf("viommu: libvirt did not answer what has to be known for this within %u seconds; try again, or raise query_timeout in viommud.conf",
                        self->options->config->queryTimeout);

    refuseHeld(self, VIOMMU_RPC_ERR_OPERATION_TIMEOUT, message);
    viommuConnPump(self);
    return G_SOURCE_REMOVE;
}

static void
startPatience(viommuConn *self)
{
    if (self->patience)
        return;
    self->patience = g_timeout_source_new_seconds(self->options->config->queryTimeout);
    g_source_set_callback(self->patience, onImpatience, self, NULL);
    g_source_attach(self->patience, NULL);
}

/* Sends a question, which it frees. */
static void
ask(viommuConn *self, uint32_t proc, GByteArray *message)
{
    viommuAsked asked = { viommuRPCHeaderRead(message->data, message->len).serial, proc };

    if (self->asked->len >= ASKED_MAX) {
        self->broken = true;
    } else {
        g_array_append_val(self->asked, asked);
        self->current = asked.serial;
        viommuDirectionQueue(&self->up, message);
        startPatience(self);
    }
    g_byte_array_unref(message);
}

static uint32_t
nextSerial(viommuConn *self)
{
    return self->lastSerial + SERIALS_AWAY + self->questions++;
}

static void
askDomain(viommuConn *self, uint32_t flags)
{
    ask(self, VIOMMU_RPC_PROC_DOMAIN_XML,
        viommuRPCQuestionObject(VIOMMU_RPC_PROC_DOMAIN_XML, nextSerial(self),
                                self->held->data + self->heldArgs.domain.at,
                                self->heldArgs.domain.len, flags));
}

static void
askRewrite(viommuConn *self)
{
    const char *name;

    switch (viommuRewriteQuestion(self->rewrite, &name)) {
    case VIOMMU_ASK_LIBVIRT_VERSION:
        ask(self, VIOMMU_RPC_PROC_GET_LIB_VERSION,
            viommuRPCQuestion(VIOMMU_RPC_PROC_GET_LIB_VERSION, nextSerial(self)));
        break;
    case VIOMMU_ASK_QEMU_VERSION:
        ask(self, VIOMMU_RPC_PROC_GET_VERSION,
            viommuRPCQuestion(VIOMMU_RPC_PROC_GET_VERSION, nextSerial(self)));
        break;
    case VIOMMU_ASK_NETWORK:
        ask(self, VIOMMU_RPC_PROC_NETWORK_LOOKUP,
            viommuRPCQuestionName(VIOMMU_RPC_PROC_NETWORK_LOOKUP, nextSerial(self), name));
        break;
    case VIOMMU_ASK_DOMAIN:
        askDomain(self, 0);
        break;
    case VIOMMU_ASK_DOMAIN_INACTIVE:
        askDomain(self, XML_INACTIVE);
        break;
    case VIOMMU_ASK_DEFINED:
        ask(self, VIOMMU_RPC_PROC_DOMAIN_XML, viommuRPCQuestionDefined(nextSerial(self), name, XML_INACTIVE));
        break;
    }
}

static void
replaceHeld(viommuConn *self)
{
    size_t len;
    const char *text = viommuRewriteText(self->rewrite, &len);
    g_autoptr(GByteArray) message =
        viommuRPCCallReplace(self->held->data, self->held->len, &self->heldArgs, text, len);

    self->options->counts->rewritten++;
    sendHeld(self, message);
    self->doneCall = self->heldCall;
}

/* Goes on with the held call as far as it goes. */
static void
runHeld(viommuConn *self)
{
    switch (viommuRewriteRun(self->rewrite)) {
    case VIOMMU_REWRITE_PASS:
        sendHeld(self, self->held);
        break;
    case VIOMMU_REWRITE_REPLACE:
        replaceHeld(self);
        break;
    case VIOMMU_REWRITE_REFUSE:
        refuseHeld(self, VIOMMU_RPC_ERR_CONFIG_UNSUPPORTED, viommuRewriteWords(self->rewrite));
        break;
    case VIOMMU_REWRITE_ASK:
        askRewrite(self);
        break;
    }
}

static viommuRewriteKind
rewriteKind(viommuRPCXMLKind kind)
{
    switch (kind) {
    case VIOMMU_RPC_XML_DOMAIN:
        return VIOMMU_REWRITE_DOMAIN;
    case VIOMMU_RPC_XML_DEFINE:
        return VIOMMU_REWRITE_DEFINE;
    case VIOMMU_RPC_XML_EMBEDDED:
        return VIOMMU_REWRITE_EMBEDDED;
    case VIOMMU_RPC_XML_ATTACH:
        return VIOMMU_REWRITE_ATTACH;
    case VIOMMU_RPC_XML_UPDATE:
        return VIOMMU_REWRITE_UPDATE;
    case VIOMMU_RPC_XML_DETACH:
        return VIOMMU_REWRITE_DETACH;
    }
    return VIOMMU_REWRITE_DOMAIN;
}

void
viommuConnTakeCall(viommuConn *self, const viommuRPCHeader *header, GByteArray *message)
{
    const viommuRPCCall *call = viommuRPCCallFind(header);
    viommuRPCArgs args = viommuRPCCallRead(call, message->data, message->len);

    self->lastSerial = header->serial;
    self->held = message;
    if (!args.haveXML || (call->kind == VIOMMU_RPC_XML_EMBEDDED && !(args.flags & REDEFINE))) {
        sendHeld(self, message);
        return;
    }
    self->heldHeader = *header;
    self->heldCall = call;
    self->heldArgs = args;
    self->rewrite = viommuRewriteNew(rewriteKind(call->kind), (const char *)message->data + args.xml.at,
                                     args.xml.len, args.flags, &self->options->rewrite, &self->peer);
    runHeld(self);
}

void
viommuConnRefuseBig(viommuConn *self, const viommuRPCHeader *header)
{
    if (header->type == VIOMMU_RPC_CALL || header->type == VIOMMU_RPC_CALL_WITH_FDS) {
        refuse(self, header, NULL, VIOMMU_RPC_ERR_RPC,
               "viommu: the message is longer than XML of libvirt's can be");
        return;
    }
    /* No answer to a question of ours is so long. */
    self->broken = true;
}

/* The network's name was looked up: its XML is next. */
static bool
askNetworkXML(viommuConn *self, const viommuAsked *asked, const viommuRPCAnswer *answer)
{
    if (asked->proc != VIOMMU_RPC_PROC_NETWORK_LOOKUP || !answer->ok)
        return false;
    ask(self, VIOMMU_RPC_PROC_NETWORK_XML,
        viommuRPCQuestionObject(VIOMMU_RPC_PROC_NETWORK_XML, nextSerial(self), answer->result,
                                answer->len, 0));
    return true;
}

static void
answerRewrite(viommuConn *self, const viommuAsked *asked, const viommuRPCAnswer *answer)
{
    viommuXDRReader reader = { .data = answer->result, .len = answer->len };
    viommuXDRSpan text;
    uint64_t version;

    if (!answer->ok) {
        viommuRewriteAnswerError(self->rewrite,
                                 answer->message ? answer->message : "it gives no reason");
        return;
    }
    if (asked->proc == VIOMMU_RPC_PROC_GET_LIB_VERSION || asked->proc == VIOMMU_RPC_PROC_GET_VERSION) {
        version = viommuXDRReadHyper(&reader);
        viommuRewriteAnswerVersion(self->rewrite, reader.bad ? 0 : version);
        return;
    }
    text = viommuXDRReadString(&reader, VIOMMU_RPC_STRING_MAX);
    if (reader.bad)
        viommuRewriteAnswerError(self->rewrite, "its answer cannot be read");
    else
        viommuRewriteAnswerText(self->rewrite, (const char *)answer->result + text.at, text.len);
}

/* From here on the client's messages may be encrypted. */
static void
endOfSight(viommuConn *self, const GByteArray *message)
{
    viommuXDRReader reader = { .data = message->data, .len = message->len,
                               .at = VIOMMU_RPC_START_BYTES };

    if (self->unanswered)
        self->unanswered--;
    viommuDirectionQueue(&self->down, message);
    if (viommuXDRReadUint(&reader) != 1 || reader.bad)
        return;
    viommuLog(LOG_WARNING, "%s: SASL encrypts this connection: it is relayed, and nothing is placed",
              self->options->client);
    self->up.flow.opaque = self->down.flow.opaque = true;
}

void
viommuConnTakeReply(viommuConn *self, const viommuRPCHeader *header, GByteArray *taken)
{
    g_autoptr(GByteArray) message = taken;
    int place = findAsked(self, header);
    viommuRPCAnswer answer;
    viommuAsked asked;

    if (place < 0) {
        endOfSight(self, message);
        return;
    }
    asked = g_array_index(self->asked, viommuAsked, place);
    g_array_remove_index(self->asked, (guint)place);
    /* The call may have been given up, and another be held by now. */
    if (!self->held || asked.serial != self->current)
        return;
    answer = viommuRPCAnswerRead(message->data, message->len);
    if (!askNetworkXML(self, &asked, &answer)) {
        answerRewrite(self, &asked, &answer);
        runHeld(self);
    }
    viommuRPCAnswerClear(&answer);
}
