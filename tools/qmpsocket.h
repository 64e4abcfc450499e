/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A QEMU that is reached by the socket of its monitor (-qmp unix:PATH,server=on,wait=off), without libvirt.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct viommuQmp viommuQmp;

/* Connects to @path and waits at most @seconds for QMP's greeting. Errors are VIOMMU_ERROR_LIBVIRT. Free with
 * viommuQmpFree. */
viommuQmp *viommuQmpOpen(const char *path, unsigned seconds, GError **error);
void viommuQmpFree(viommuQmp *qmp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuQmp, viommuQmpFree)

/* The answer to @command, a line of JSON; events are passed over. Free with g_free. */
char *viommuQmpAsk(viommuQmp *qmp, const char *command, unsigned seconds, GError **error);

/* The process that made the socket; 0: not known. */
pid_t viommuQmpPid(const viommuQmp *qmp);
