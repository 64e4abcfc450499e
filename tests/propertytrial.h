/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One seed of propertytest: a made-up host and domain, and what the properties do with them.
 */
#pragma once

#include "randomdomain.h"
#include "viommu_expand.h"

/* One seed. */
typedef struct {
    unsigned seed;
    GRand *rand;
    GRand *mutations; /* apart: which are tried depends on the seeds before */
    randomHost *host;
    randomDomain *dom;
    char *manifest;
    char *input;
    virSysfs *fs;
    virSMMUTopology *topology;
    viommuPlanOptions options;
} trial;

/* One planning. Cleared by g_auto. */
typedef struct {
    viommuDomain *dom;
    viommuPlan *plan;    /* NULL: refused */
    GPtrArray *findings;
    char *text;          /* of the dialect that was asked for */
} outcome;

void trialClearOutcome(outcome *out);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(outcome, trialClearOutcome)

/* Fails the test, and leaves the documents. @other: the one that fails, if it is not the input. */
void trialComplain(const trial *one, const char *other, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Binds the network and reads what the domain needs of the host. This and the next two return false where they have
 * complained. */
bool trialLoadDetails(const trial *one, virSysfs *fs, virSMMUTopology *topology, viommuDomain *dom);

/* Plans @xml, and expands it in that dialect if it is not refused. */
bool trialPlanOn(const trial *one, virSysfs *fs, virSMMUTopology *topology, const char *xml, viommuDialect dialect,
                 outcome *out);

/* The same on the host of the seed. */
bool trialPlan(const trial *one, const char *xml, viommuDialect dialect, outcome *out);

/* Errors and warnings, a line each. Free with g_free. */
char *trialFormatFindings(const GPtrArray *findings);
