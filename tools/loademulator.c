/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which QEMU is asked, and what follows from its answers.
 */
#include "loademulator.h"

#include "emulator.h"
#include "qemu_viommu_words.h"
#include "qemuask.h"
#include "trustfile.h"
#include "viommu_finding.h"
#include "viommuerror.h"

#include <string.h>

/* It has to do with SMMUv3s. */
static bool
isConcerned(const viommuInput *input)
{
    return viommuInputIsRequest(input) || viommuDomainHasSMMUv3(input->dom);
}

/* The emulator of the domain, or else libvirt's for it. Its answers count here only, and only if nobody says
 * otherwise. */
static const char *
findNamed(const viommuInput *input)
{
    const viommuOptions *opts = input->opts;

    if (opts->host || opts->qemuVersion || opts->qemuDialect || !isConcerned(input))
        return NULL;
    if (input->dom->emulator)
        return input->dom->emulator;
    return input->peer.caps ? input->peer.caps->path : NULL;
}

/* The emulator is the one that libvirt takes by itself. */
static bool
isDefault(const viommuInput *input)
{
    g_auto(viommuPeerCaps) peer = { 0 };

    viommuPeerCapsAsk(input->conn, NULL, NULL, VIOMMU_VIRT_QEMU, &peer);
    return peer.caps && strcmp(peer.caps->path, input->dom->emulator) == 0;
}

/* libvirt runs what it is asked about, with the rights of its guests. */
static bool
mayRun(const viommuInput *input)
{
    g_autofree char *real = NULL;

    if (input->given || !input->dom->emulator)
        return true;
    real = input->opts->host ? NULL : viommuTrustProgram(input->dom->emulator, NULL);
    return real || isDefault(input);
}

void
viommuInputAskPeer(viommuInput *input)
{
    const viommuDomain *dom = input->dom;

    if (input->conn && isConcerned(input) && dom->virtType != VIOMMU_VIRT_OTHER &&
        (!dom->arch || strcmp(dom->arch, "aarch64") == 0) && mayRun(input))
        viommuPeerCapsAsk(input->conn, dom->emulator, dom->machine, dom->virtType, &input->peer);
}

bool
viommuInputAskEmulator(viommuInput *input, GError **error)
{
    const char *given = input->opts->emulator;
    const char *path = given ? given : findNamed(input);
    g_autoptr(GError) local = NULL;

    if (input->caps || !path)
        return true;
    input->emulator = g_strdup(path);
    input->caps = given ? viommuQemuAsk(given, &local) : viommuQemuAskNamed(input->emulator, &local);
    if (input->caps)
        return true;
    if (given) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    input->unasked = g_strdup(local->message);
    input->unusable = !g_error_matches(local, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED);
    return true;
}

/* An accelerated vSMMU is in @plan, or without any in it in the domain as it stands; @plan NULL: is or will be. */
static bool
needsAccel(const viommuDomain *dom, const viommuPlan *plan)
{
    bool request = viommuDomainIsRequest(dom);

    if (!plan)
        return viommuDomainHasAccel(dom) || (request && dom->virtType == VIOMMU_VIRT_KVM);
    return plan->vsmmus->len ? plan->accel : !request && viommuDomainHasAccel(dom);
}

bool
viommuInputLacksAccel(const viommuInput *input, const viommuPlan *plan)
{
    const char *why;

    return input->caps && !input->opts->qemuDialect && needsAccel(input->dom, plan) &&
           !qemuViommuCapsDialect(input->caps, &why);
}

/* Of that of --emulator the domain has no line. */
static unsigned
lineOf(const viommuInput *input)
{
    return input->opts->emulator ? 0 : input->dom->emulatorLine;
}

void
viommuInputJudgeEmulator(const viommuInput *input, const viommuPlan *plan, bool strict, GPtrArray *findings)
{
    if (input->unasked && input->unusable) {
        viommuFindingsAdd(findings, "H12", strict ? VIOMMU_SEVERITY_ERROR : VIOMMU_SEVERITY_NOTE, lineOf(input), NULL,
                          "name a qemu-system-aarch64 that runs here, or say with --qemu-version what it is", "%s",
                          input->unasked);
    } else if (input->unasked) {
        viommuFindingsAdd(findings, "H12", VIOMMU_SEVERITY_NOTE, lineOf(input), NULL,
                          "--emulator asks it all the same, --qemu-version says what it is", "%s", input->unasked);
    } else if (viommuInputLacksAccel(input, plan)) {
        g_autofree char *words = viommuEmulatorWords(input->caps);
        const char *remedy = qemuViommuCapsRemedy(input->caps);
        g_autofree char *named = g_strdup_printf("%s, or say with --qemu-version for which other one this is", remedy);

        viommuFindingsAdd(findings, "H12", VIOMMU_SEVERITY_ERROR, lineOf(input), NULL,
                          input->opts->emulator ? remedy : named, "emulator '%s', %s", input->emulator, words);
    }
}

/* That it has no iommufd the host's own map may have told already (H03). */
static bool
isToldAlready(const viommuInput *input)
{
    return input->host->topo && virSMMUTopologyHasIommufd(input->host->topo) == VIR_TRISTATE_NO &&
           input->peer.caps->iommufd == VIR_TRISTATE_NO;
}

void
viommuInputJudgePeer(const viommuInput *input, GPtrArray *findings)
{
    const viommuDomain *dom = input->dom;
    const viommuPeerCaps *peer = &input->peer;
    unsigned line = dom->emulatorLine ? dom->emulatorLine : dom->osLine;
    const char *remedy = NULL;
    const char *lack = peer->caps && needsAccel(dom, NULL) ? viommuDomainCapsLack(peer->caps, &remedy) : NULL;

    if (peer->refusal)
        viommuFindingsAdd(findings, "H10", VIOMMU_SEVERITY_ERROR, line, "libvirt refuses to define the domain",
                          "name an emulator, a machine and a type that it has: 'virsh domcapabilities --arch aarch64'",
                          "libvirt: %s", peer->refusal);
    else if (lack && !isToldAlready(input))
        viommuFindingsAdd(findings, "H10", VIOMMU_SEVERITY_ERROR, line, "libvirt cannot start the domain", remedy, "%s",
                          lack);
}

static bool
refuse(const viommuInput *input, const char *why, GError **error)
{
    const qemuViommuCaps *caps = input->caps;

    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED, "emulator '%s', QEMU %u.%u.%u: %s", input->emulator,
                caps->major, caps->minor, caps->micro, why);
    return false;
}

/* It speaks the dialect of --dialect, which counts where there is something to say in it. */
static bool
fitGiven(const viommuInput *input, qemuViommuDialect dialect, const char *why, GError **error)
{
    const char *asked = qemuViommuDialectName(input->opts->qemuDialect);
    g_autofree char *text = NULL;

    if (dialect == input->opts->qemuDialect)
        return true;
    if (dialect)
        text = g_strdup_printf("it does not speak the dialect %s, but %s: leave out --dialect, or --emulator", asked,
                               qemuViommuDialectName(dialect));
    else
        text = g_strdup_printf("it does not speak the dialect %s: %s; %s, or leave out --emulator", asked, why,
                               qemuViommuCapsRemedy(input->caps));
    return refuse(input, text, error);
}

bool
viommuInputFitDialect(const viommuInput *input, const viommuPlan *plan, GError **error)
{
    qemuViommuDialect given = input->opts->qemuDialect;
    const char *why = NULL;
    qemuViommuDialect dialect;
    qemuViommuWords words;

    if (!input->caps)
        return true;
    dialect = qemuViommuCapsDialect(input->caps, &why);
    if (given && needsAccel(input->dom, plan) && !fitGiven(input, dialect, why, error))
        return false;
    if (!plan->vsmmus->len)
        return true;
    if (!dialect && !input->caps->perBus) {
        g_autofree char *text = g_strdup_printf("%s; %s", why, qemuViommuCapsRemedy(input->caps));

        return refuse(input, text, error);
    }
    dialect = given ? given : dialect ? dialect : QEMU_VIOMMU_DIALECT_NATIVE;
    qemuViommuWordsInit(&words, dialect, input->caps);
    if (qemuViommuWordsFit(&words, input->dom, plan, error))
        return true;
    viommuLoadPrefix(error, input->file);
    return false;
}

/* libvirt has the words of QEMU 11, and no others. */
bool
viommuInputFitEmulator(const viommuInput *input, const viommuPlacement *placement, GError **error)
{
    const viommuPlan *plan = placement->plan;
    const char *why = NULL;
    qemuViommuDialect dialect = input->caps ? qemuViommuCapsDialect(input->caps, &why) : QEMU_VIOMMU_DIALECT_NATIVE;
    g_autofree char *text = NULL;

    if (dialect <= QEMU_VIOMMU_DIALECT_NATIVE || !plan->accel || !plan->vsmmus->len)
        return true;
    text = g_strdup_printf("libvirt has no words for its dialect %s; use QEMU 11.0 or newer, or 'viommu argv'",
                           qemuViommuDialectName(dialect));
    return refuse(input, text, error);
}
