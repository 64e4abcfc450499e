/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way to libvirt's own socket.
 */
#pragma once

#include "viommu_config.h"

/* Connects to the socket of @config, or else to the one that libvirt's clients would take; returns a
 * descriptor that does not block, or -1 with @error set (VIOMMU_ERROR_LIBVIRT). It may wait for libvirt to
 * accept. @own is as below. */
int viommuUpstreamConnect(const viommuConfig *config, bool readOnly, int own, GError **error);

/* False with @error set if that is the socket that @own, which listens or was accepted, is bound to: the service would
 * serve itself for ever. @own may be anything else. */
bool viommuUpstreamLeadsElsewhere(const viommuConfig *config, bool readOnly, int own,
                                  GError **error);

/* The path that a socket is bound to, or NULL. Free with g_free. */
char *viommuUpstreamBoundPath(int fd);
