/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clients that are connected: a child process each.
 */
#pragma once

#include "viommu_conn.h"

#include <sys/types.h>

typedef struct viommuClients viommuClients;

viommuClients *viommuClientsNew(void);
void viommuClientsFree(viommuClients *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuClients, viommuClientsFree)

unsigned viommuClientsCount(const viommuClients *self);
unsigned viommuClientsCountOf(const viommuClients *self, uid_t uid);

/* Counts that a child which is forked now shares with its parent; NULL with errno if there is no memory. */
viommuConnCounts *viommuClientsNewCounts(void);
void viommuClientsDropCounts(viommuConnCounts *counts);

/* Keeps them from the children that are forked from now on. */
void viommuClientsKeepCounts(viommuConnCounts *counts);

/* Takes over @counts. */
void viommuClientsAdd(viommuClients *self, pid_t child, pid_t peer, uid_t uid, bool readOnly,
                      viommuConnCounts *counts);

/* The child has ended. False if it is none of these. */
bool viommuClientsRemove(viommuClients *self, pid_t child);

/* Sends a signal to all of them. */
void viommuClientsSignal(const viommuClients *self, int signal);

/* A table of them, as virsh prints its own, and a line of sums since the start. Free with g_free. */
char *viommuClientsFormat(const viommuClients *self);
