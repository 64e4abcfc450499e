/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets that the service listens on: made here, or passed by systemd (sd_listen_fds(3)).
 */
#pragma once

#include "viommu_config.h"

typedef enum {
    VIOMMU_LISTEN_RW,    /* "libvirt-sock" */
    VIOMMU_LISTEN_RO,    /* "libvirt-sock-ro": leads to libvirt's read-only socket */
    VIOMMU_LISTEN_ADMIN, /* "viommud-admin-sock": tells root what is going on */
    VIOMMU_LISTEN_COUNT,
} viommuListenKind;

typedef struct {
    int fds[VIOMMU_LISTEN_COUNT];      /* -1: none */
    char *paths[VIOMMU_LISTEN_COUNT];  /* of those made here; NULL: passed, and not ours to remove */
} viommuListen;

/* Makes the sockets that systemd does not pass, as its units name them: a path ending in the name above. An error
 * leaves none behind. */
viommuListen *viommuListenOpen(const viommuConfig *config, GError **error);

/* Closes them all, and removes those made here. */
void viommuListenFree(viommuListen *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuListen, viommuListenFree)

/* The path of a socket of @config. Free with g_free. */
char *viommuListenPath(const viommuConfig *config, viommuListenKind kind);
