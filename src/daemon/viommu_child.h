/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that serves one client as that client. It is made before the client comes, as making a process
 * takes longer than all else that a new connection needs.
 */
#pragma once

#include "viommu_conn.h"

#include <sys/types.h>

typedef struct {
    pid_t pid;
    int channel;              /* on which it gets its client */
    viommuConnCounts *counts; /* shared with it */
} viommuChild;

/* Forks one that waits for a client, and takes @config as it is now. NULL with errno set if it cannot be made. */
viommuChild *viommuChildNew(const viommuConfig *config);

/* Gives it the client on @fd. False if it is not there any more. */
bool viommuChildGive(viommuChild *self, int fd, bool readOnly);

/* Lets go of it: one without client ends. The counts are dropped unless they were taken (set to NULL). */
void viommuChildFree(viommuChild *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuChild, viommuChildFree)
