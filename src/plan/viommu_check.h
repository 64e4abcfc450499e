/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judges a domain, written by hand or expanded. It shares no code with the planner but words, so that each
 * tests the other. The classes are listed in docs/findings.rst.
 */
#pragma once

#include "viommu_conf.h"
#include "viommu_finding.h"
#include "viommu_users.h"
#include "virsmmu.h"

typedef struct {
    const virSMMUTopology *host; /* NULL: unknown. Details of the domain's devices are loaded */
    const GPtrArray *users;      /* of viommuDeviceUser, of running domains; NULL: unknown */
    unsigned qemu;               /* that is to run it, 1000 * major + minor; 0: the newest that is known */
    unsigned libvirt;            /* that is to read it, in the same way; 0: one that has all words */
    bool saving;                 /* say, too, that it can be neither migrated nor saved */
    bool later;                  /* the domain is not to start now: others may use its devices meanwhile (V20) */
} viommuCheckContext;

/* Adds what is wrong with @dom to @findings, sorted. A domain without <iommu model='smmuv3'> is judged
 * only by what applies to it. What the host does not tell gives at most a note. */
void viommuCheckDomain(const viommuDomain *dom, const viommuCheckContext *context, GPtrArray *findings);

/* Adds what was to be a word of ours in @dom and is none, as warnings; viommuCheckDomain does so, too. */
void viommuCheckWords(const viommuDomain *dom, GPtrArray *findings);
