/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks a libvirt what it can do, and shows that.
 */
#include "peercaps.h"

#include "json.h"
#include "viommuerror.h"
#include "virtext.h"

#include <string.h>

void
viommuPeerCapsAsk(viommuLibvirt *conn, const char *emulator, const char *machine, viommuVirtType type,
              viommuPeerCaps *ret_peer)
{
    const char *name = type == VIOMMU_VIRT_KVM ? "kvm" : "qemu";
    g_autoptr(GError) error = NULL;
    g_autofree char *text = viommuLibvirtDomainCaps(conn, emulator, machine, name, &error);

    viommuPeerCapsClear(ret_peer);
    if (text)
        ret_peer->caps = viommuDomainCapsParse(text, strlen(text), &error);
    if (ret_peer->caps)
        return;
    if (g_error_matches(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED))
        ret_peer->refusal = g_strdup(error->message);
    else
        ret_peer->silence = g_strdup(error->message);
}

bool
viommuPeerCapsAskHost(viommuLibvirt *conn, viommuPeerCaps *ret_peer, GError **error)
{
    viommuLibvirtVersions versions;

    if (!viommuLibvirtGetVersions(conn, &versions, error))
        return false;
    if (versions.libvirt)
        viommuPeerCapsAsk(conn, NULL, "virt", VIOMMU_VIRT_KVM, ret_peer);
    if (ret_peer->refusal) {
        g_auto(viommuPeerCaps) other = { 0 };

        viommuPeerCapsAsk(conn, NULL, "virt", VIOMMU_VIRT_QEMU, &other);
        ret_peer->caps = g_steal_pointer(&other.caps);
    }
    ret_peer->versions = versions;
    return true;
}

void
viommuPeerCapsClear(viommuPeerCaps *peer)
{
    g_clear_pointer(&peer->caps, viommuDomainCapsFree);
    g_clear_pointer(&peer->refusal, g_free);
    g_clear_pointer(&peer->silence, g_free);
}

static const char *
nameOf(virTristate value)
{
    return value == VIR_TRISTATE_UNKNOWN ? "unknown" : value == VIR_TRISTATE_YES ? "yes" : "no";
}

/* Whether it has KVM for them: it refuses, or says that it is about such guests. */
static virTristate
hasKVM(const viommuPeerCaps *peer)
{
    if (peer->refusal)
        return VIR_TRISTATE_NO;
    return peer->caps && peer->caps->virtType == VIOMMU_VIRT_KVM ? VIR_TRISTATE_YES : VIR_TRISTATE_UNKNOWN;
}

void
viommuPeerCapsShow(const viommuPeerCaps *peer, const char *uri, GString *out)
{
    const viommuLibvirtVersions *versions = &peer->versions;
    const char *words = peer->refusal ? peer->refusal : peer->silence;

    g_string_append(out, " Connection ");
    virTextAppendClean(out, uri);
    if (!versions->libvirt) {
        g_string_append(out, ": this libvirt runs no QEMU\n\n");
        return;
    }
    g_string_append_printf(out, ": libvirt %u.%u\n", versions->libvirt / 1000, versions->libvirt % 1000);
    if (peer->caps) {
        g_string_append(out, "   emulator: ");
        virTextAppendClean(out, peer->caps->path);
        g_string_append(out, ", machine ");
        virTextAppendClean(out, peer->caps->machine ? peer->caps->machine : "unknown");
        g_string_append_printf(out, "\n   guests of aarch64: KVM %s, GICv3 %s, iommufd %s\n", nameOf(hasKVM(peer)),
                               nameOf(peer->caps->gicV3), nameOf(peer->caps->iommufd));
    }
    if (words) {
        g_string_append(out, peer->refusal ? "   it refuses guests with KVM: " : "   it does not tell more: ");
        virTextAppendClean(out, words);
        g_string_append_c(out, '\n');
    }
    g_string_append_c(out, '\n');
}

static void
jsonVersion(JsonBuilder *json, const char *key, unsigned version)
{
    g_autofree char *text = version ? g_strdup_printf("%u.%u", version / 1000, version % 1000) : NULL;

    viommuJsonString(json, key, text);
}

void
viommuPeerCapsJSON(JsonBuilder *json, const viommuPeerCaps *peer)
{
    const viommuDomainCaps *caps = peer->caps;

    json_builder_set_member_name(json, "libvirt");
    json_builder_begin_object(json);
    jsonVersion(json, "version", peer->versions.libvirt);
    jsonVersion(json, "qemuVersion", peer->versions.qemu);
    viommuJsonString(json, "emulator", caps ? caps->path : NULL);
    viommuJsonString(json, "machine", caps ? caps->machine : NULL);
    viommuJsonTristate(json, "kvm", hasKVM(peer));
    viommuJsonTristate(json, "gicV3", caps ? caps->gicV3 : VIR_TRISTATE_UNKNOWN);
    viommuJsonTristate(json, "iommufd", caps ? caps->iommufd : VIR_TRISTATE_UNKNOWN);
    viommuJsonString(json, "reason", peer->refusal ? peer->refusal : peer->silence);
    json_builder_end_object(json);
}
