/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a libvirt says that it can do: which emulator, machine and type of aarch64 guests, with what.
 */
#pragma once

#include "viommu_domcaps.h"
#include "viommu_libvirt.h"

#include <json-glib/json-glib.h>

typedef struct {
    viommuLibvirtVersions versions;
    viommuDomainCaps *caps; /* of what was asked; NULL: it refuses that, or does not tell */
    char *refusal;          /* its words, if it would define no such domain; NULL: it would */
    char *silence;          /* why it does not tell; NULL: it does */
} viommuPeerCaps;

/* Asks @conn of such domains, as viommuLibvirtDomainCaps does. That it does not tell is no error. Free what is in
 * *@ret_peer with viommuPeerCapsClear. */
void viommuPeerCapsAsk(viommuLibvirt *conn, const char *emulator, const char *machine, viommuVirtType type,
                   viommuPeerCaps *ret_peer);

/* The same for a host of guests with KVM, with the versions. Where it refuses KVM, caps are those of guests without.
 * False only with @error set. */
bool viommuPeerCapsAskHost(viommuLibvirt *conn, viommuPeerCaps *ret_peer, GError **error);
void viommuPeerCapsClear(viommuPeerCaps *peer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(viommuPeerCaps, viommuPeerCapsClear)

/* Lines below the tables of the command host; and "libvirt": {...} */
void viommuPeerCapsShow(const viommuPeerCaps *peer, const char *uri, GString *out);
void viommuPeerCapsJSON(JsonBuilder *json, const viommuPeerCaps *peer);
