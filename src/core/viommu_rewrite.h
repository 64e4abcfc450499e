/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of the XML in a call to libvirt: it stays as it is, is replaced, or the call is
 * refused. On the way something may have to be asked of libvirt, so that this goes in steps: run,
 * and as long as the verdict is ASK, answer the question and run again.
 */
#pragma once

#include "viommu_host.h"

typedef enum {
    VIOMMU_REWRITE_DOMAIN,   /* a <domain> */
    VIOMMU_REWRITE_DEFINE,   /* the same, which comes in the place of what libvirt has under its UUID */
    VIOMMU_REWRITE_EMBEDDED, /* a snapshot or checkpoint, with domains in it or not */
    VIOMMU_REWRITE_ATTACH,   /* a device for a domain that libvirt has */
    VIOMMU_REWRITE_UPDATE,   /* a device of a domain that libvirt has */
    VIOMMU_REWRITE_DETACH,   /* the same, which is to go: never replaced */
} viommuRewriteKind;

/* VIR_DOMAIN_AFFECT_LIVE and _CONFIG (libvirt-domain.h); neither: the domain as it is now. */
#define VIOMMU_REWRITE_LIVE (1u << 0)
#define VIOMMU_REWRITE_CONFIG (1u << 1)

typedef enum {
    VIOMMU_REWRITE_PASS,
    VIOMMU_REWRITE_REPLACE,
    VIOMMU_REWRITE_REFUSE,
    VIOMMU_REWRITE_ASK,
} viommuRewriteVerdict;

typedef enum {
    VIOMMU_ASK_LIBVIRT_VERSION, /* these two: 1000000 * major + 1000 * minor + release */
    VIOMMU_ASK_QEMU_VERSION,
    VIOMMU_ASK_NETWORK,         /* XML of the network of that name */
    VIOMMU_ASK_DOMAIN,          /* XML of the domain that the call is about, as it is now */
    VIOMMU_ASK_DOMAIN_INACTIVE, /* the same, as it will be when it starts next */
    VIOMMU_ASK_DEFINED,         /* that of the domain with that UUID */
} viommuQuestion;

/* What a connection has found out; zeroes at first, and viommuPeerClear in the end. */
typedef struct {
    unsigned libvirt; /* 1000 * major + minor; 0: not known, and asked for with the next call that needs it */
    unsigned qemu;
    viommuHost *host; /* as it was read last; NULL: not yet */
    char *hostMark;   /* of that time */
} viommuPeer;

void viommuPeerClear(viommuPeer *peer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(viommuPeer, viommuPeerClear)

/* What does not change from call to call. */
typedef struct {
    viommuPolicy policy;
    virSysfs *(*openHost)(const void *data, GError **error);
    /* Gives something that changes whenever a device comes, goes or changes its driver (free with
     * g_free): what was read of the host counts as long as it stays the same. Without it, or where
     * it gives NULL, the host is read for each call. */
    char *(*markHost)(void);
    const void *data; /* for openHost */
} viommuRewriteContext;

typedef struct viommuRewrite viommuRewrite;

/* @text need not end with NUL; it is copied. @peer and @context are borrowed. @flags: of ATTACH and UPDATE.
 * Free with viommuRewriteFree. */
viommuRewrite *viommuRewriteNew(viommuRewriteKind kind, const char *text, size_t len, unsigned flags,
                                const viommuRewriteContext *context, viommuPeer *peer);
void viommuRewriteFree(viommuRewrite *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuRewrite, viommuRewriteFree)

viommuRewriteVerdict viommuRewriteRun(viommuRewrite *self);

/* Of ASK: the question, and for a network its name, for DEFINED the UUID. */
viommuQuestion viommuRewriteQuestion(const viommuRewrite *self, const char **ret_name);

/* The answer to it: a version, a text, or why there is none. */
void viommuRewriteAnswerVersion(viommuRewrite *self, uint64_t version);
void viommuRewriteAnswerText(viommuRewrite *self, const char *text, size_t len);
void viommuRewriteAnswerError(viommuRewrite *self, const char *message);

/* Of REPLACE: the new text, borrowed; of at most VIOMMU_XML_MAX bytes. */
const char *viommuRewriteText(const viommuRewrite *self, size_t *ret_len);

/* Of REPLACE and REFUSE, one line for the log: what was done, without the domain. Of REFUSE it is also
 * what the client is told: rule, device, remedy. Borrowed. */
const char *viommuRewriteWords(const viommuRewrite *self);

/* The name of the domain that the text is about, or NULL if that is not known. Borrowed. */
const char *viommuRewriteName(const viommuRewrite *self);
