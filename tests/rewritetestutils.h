/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversations with the rewriter: a test says what the other side would answer, and sees what was asked.
 */
#pragma once

#include "viommu_rewrite.h"

/* What is answered. */
typedef struct {
    const char *host;     /* one of hosts/; NULL: it cannot be read, "no host here" */
    viommuPolicy policy;
    uint64_t libvirt;     /* versions; 0: an error */
    uint64_t qemu;
    const char *network;  /* XML for every network; NULL: the error "not here" */
    const char *live;     /* the domain; NULL: an error */
    const char *inactive; /* the same, as it will be */
    bool marks;           /* there is markHost, which gives: */
    const char *mark;
} testWorld;

/* That host, below libvirt 12.8 and QEMU 11.1, with no networks and no domains. */
testWorld testWorldOf(const char *host);

typedef struct {
    viommuRewriteVerdict verdict;
    char *text;  /* of REPLACE, else NULL */
    char *words; /* of REPLACE and REFUSE, else NULL */
    char *name;
    char *asked; /* in this order: "network fast, host, libvirt, qemu"; host: it was read */
} testOutcome;

void testOutcomeFree(testOutcome *outcome);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(testOutcome, testOutcomeFree)

/* Runs until there is a verdict, and once more, which gives the same without a question. @len may be -1. @peer is
 * that of a connection; NULL: of a new one. Free with testOutcomeFree. */
testOutcome *testRewrite(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                         gssize len, viommuPeer *peer);

/* The same with a verdict that is expected; @asked NULL: no matter. */
void testPasses(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                const char *asked);
void testRefuses(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                 const char *words);
void testReplaces(const testWorld *world, viommuRewriteKind kind, unsigned flags, const char *text,
                  const char *expected);

/* The file of that name of qemuxml2argvdata, or NULL. */
char *testGoldenRead(const char *name);

/* @text with its one @from changed into @to. */
char *testChange(const char *text, const char *from, const char *to);
