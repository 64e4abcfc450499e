/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Single changes to an expanded domain, each of which breaks a rule for certain.
 */
#pragma once

#include "mutant.h"

typedef struct {
    const char *name;
    bool accel;                 /* breaks nothing in a domain without accel (TCG) */
    bool (*apply)(mutant *mut); /* false: there is nothing here to break so; the tree is as it was */
} mutation;

/* Which device is where: mutate.c */
extern const mutation mutationsOfPlaces[];
extern const size_t mutationsOfPlacesCount;

/* Controllers and vSMMUs: mutatebuses.c */
extern const mutation mutationsOfBuses[];
extern const size_t mutationsOfBusesCount;

/* The machine and the rest: mutatedomain.c */
extern const mutation mutationsOfDomain[];
extern const size_t mutationsOfDomainCount;

size_t mutateCount(void);
const mutation *mutateKind(size_t i);

/* @xml after mutation @kind, NULL if that does not apply. Free with g_free. */
char *mutateApply(const mutation *kind, const char *xml, const randomHost *host, GRand *rand);
