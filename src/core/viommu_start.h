/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt's hook is told of a domain that is about to start here, or has come from elsewhere: does its placement
 * fit this host? Nothing can be asked of libvirt meanwhile. What only libvirt knows is unknown, and nothing unknown
 * stops a domain.
 */
#pragma once

#include "viommu_rewrite.h"

/* The most bytes of words: libvirt has cut errors at 1024 (VIR_ERROR_MAX_LENGTH), and puts the call of the hook before
 * them. */
#define VIOMMU_START_WORDS 700

/* Judges the domain @text as libvirt prints it when it starts: PASS, or REFUSE with one line in *@ret_words (free
 * with g_free). The host is opened only for a domain that has vSMMUs, or asks for them. Of @context only openHost is
 * used. */
viommuRewriteVerdict viommuStartJudge(const char *text, size_t len, const viommuRewriteContext *context,
                                      char **ret_words);

/* The same for a domain that migrates here, or is restored: REPLACE with *@ret_text (free with g_free), where it fits
 * once other SMMUs are noted in it, and the guest sees no difference. */
viommuRewriteVerdict viommuStartFilter(const char *text, size_t len, const viommuRewriteContext *context,
                                       char **ret_text, char **ret_words);
