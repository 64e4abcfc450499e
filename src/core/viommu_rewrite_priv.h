/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the rewriter share. A rewrite is run from the beginning each time, with what was
 * answered so far at hand: a step that needs more asks, and ends the run.
 */
#pragma once

#include "viommu_finding.h"
#include "viommu_place.h"
#include "viommu_rewrite.h"

struct viommuRewrite {
    viommuRewriteKind kind;
    const viommuRewriteContext *context;
    viommuPeer *peer;
    char *text;
    size_t len;
    unsigned flags;

    viommuHost *host;     /* the peer's, with networks as they are answered */
    bool hostFresh;       /* its map is that of now */
    bool libvirtAsked;    /* these: for this call, whether it was answered or not */
    bool qemuAsked;
    GHashTable *unknown;  /* networks that libvirt does not give: name -> why */
    char *live;           /* answers to ASK_DOMAIN, and ASK_DOMAIN_INACTIVE or ASK_DEFINED, or NULL */
    char *inactive;

    viommuQuestion question;
    char *questionName;   /* NULL: none */
    viommuDomain *dom;    /* the last that was expanded, and how: freed with the rewrite, when nobody waits any more */
    viommuPlacement *placement;
    GString *result;      /* REPLACE */
    GString *words;
    char *name;
};

/* Each of these returns true to go on; if not, the verdict is in *@ret_verdict. */

/* Asks. */
bool viommuRewriteAsk(viommuRewrite *self, viommuQuestion question, const char *name,
                      viommuRewriteVerdict *ret_verdict);

/* Refuses, for the errors of @findings, or for @error, which is freed. */
bool viommuRewriteRefuse(viommuRewrite *self, const GPtrArray *findings,
                         viommuRewriteVerdict *ret_verdict);
bool viommuRewriteRefuseError(viommuRewrite *self, GError *error,
                              viommuRewriteVerdict *ret_verdict);

/* Finds out the networks that @dom needs, and reads the map of the host. */
bool viommuRewriteNeedHost(viommuRewrite *self, const viommuDomain *dom,
                           viommuRewriteVerdict *ret_verdict);

/* True if @text, which may be any, may ask for something, which takes one of @words; they end with NULL. */
bool viommuRewriteMayAsk(const char *text, size_t len, const char *const *words);

/* The words without which no domain asks, itself or by @policy. */
const char *const *viommuRewriteAskingWords(viommuPolicy policy);

/* "line 12: V16: what is wrong (what would happen); to fix it, what to change" */
void viommuRewriteAppendFinding(GString *out, const viommuFinding *f);

/* Takes the lines out of @findings: they are of XML that nobody sees. */
void viommuRewriteDropLines(GPtrArray *findings);

/* A text that may ask for something could not be read, for @error, which is freed: refuses it, as it cannot be passed
 * on unseen. Returns true where libvirt cannot read it either, and will say so. */
bool viommuRewriteUnreadable(viommuRewrite *self, GError *error, viommuRewriteVerdict *ret_verdict);

/* The parts: each returns the verdict. */
viommuRewriteVerdict viommuRewriteDomains(viommuRewrite *self);
viommuRewriteVerdict viommuRewriteDevice(viommuRewrite *self);
viommuRewriteVerdict viommuRewriteDetach(viommuRewrite *self);
