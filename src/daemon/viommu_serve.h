/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What both shapes of the service do once a client is there: serve it until it is gone.
 */
#pragma once

#include "viommu_conn.h"

/* Serves the client on these descriptors, which it takes over, with a connection to libvirt of its own. Returns
 * when it is over, or with @error set if libvirt cannot be reached. SIGTERM drains. */
bool viommuServe(int clientIn, int clientOut, bool readOnly, const viommuConnOptions *options,
                 GError **error);

/* How calls are rewritten on this host. */
viommuRewriteContext viommuServeRewrites(const viommuConfig *config);

/* A descriptor from which GLib's main loop sees that one of these signals (ending with 0) has come, or -1; they are
 * blocked from then on. GLib's own way needs a thread, and the daemon forks. */
int viommuSignalFD(const int *signals);
