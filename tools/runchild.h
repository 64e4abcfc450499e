/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that is started, and that signals go to until it ends.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Blocks the signals that are passed on until there is a child to pass them to: what is to be undone if it fails can be
 * done now. viommuRunChild does it itself otherwise, and ends it. A signal that the caller ignores stays ignored. */
void viommuRunCatch(void);

/* True if viommuRunChild could find @program and @user (NULL: none needed); else the @error that it would give. Changes
 * nothing, and what only root may is not tried. */
bool viommuRunCheck(const char *program, const char *user, GError **error);

/* What a guest of @bytes with @count devices may have to lock: that once for each, and a GiB. UINT64_MAX: no limit. */
uint64_t viommuRunMemory(uint64_t bytes, unsigned count);

/* Runs @words (ending with NULL; the first is looked for in PATH) with the descriptors @fds (of int) beside the
 * standard ones, as @user (NULL: as who calls, with what that one left open) with that user's groups, and waits for it.
 * It may lock @memory bytes.
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on; if the caller dies, it gets SIGTERM.
 * Returns its exit status, or 128 and the signal that ended it, as a shell does; -1 with @error (VIOMMU_ERROR_HOST) if
 * it could not be started. */
int viommuRunChild(char *const *words, const GArray *fds, const char *user, uint64_t memory, GError **error);
