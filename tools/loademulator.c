/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which QEMU is asked, and what follows from its answers.
 */
#include "loademulator.h"

#include "emulator.h"
#include "qemu_viommu_words.h"
#include "qemuask.h"
#include "viommu_finding.h"
#include "viommuerror.h"

/* Answers of the one that the domain names count here only, and only if nobody says otherwise. */
static bool
isNamedAsked(const viommuInput *input)
{
    const viommuOptions *opts = input->opts;

    return !opts->host && !opts->qemuVersion && !opts->qemuDialect && input->dom->emulator &&
           (viommuInputIsRequest(input) || viommuDomainHasSMMUv3(input->dom));
}

bool
viommuInputAskEmulator(viommuInput *input, GError **error)
{
    const char *given = input->opts->emulator;
    g_autoptr(GError) local = NULL;

    if (input->caps || (!given && !isNamedAsked(input)))
        return true;
    input->emulator = g_strdup(given ? given : input->dom->emulator);
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
