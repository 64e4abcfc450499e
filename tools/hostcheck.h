/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a host can give its devices to guests with nested SMMUs, as far as it tells without a
 * domain: the check of virt-host-validate for what viommu needs.
 */
#pragma once

#include "qemu_viommu_caps.h"
#include "viommu_domcaps.h"
#include "virsmmu.h"
#include "virsysfs.h"

#include <glib.h>
#include <stdbool.h>

/* One line of the check. */
typedef struct {
    const char *title; /* "Checking for SMMUv3 units": static */
    const char *id;    /* class of the finding, if it is one: static */
    enum {
        VIOMMU_VERDICT_PASS,
        VIOMMU_VERDICT_NOTE,
        VIOMMU_VERDICT_WARN,
        VIOMMU_VERDICT_FAIL,
    } verdict;
    char *text; /* what is wrong or not known; NULL if it passed */
    char *hint; /* what to do; of what passed, what was found; NULL: nothing */
} viommuVerdict;

/* Adds a line; @id and @title are static. @text and @hint may be NULL. */
void viommuHostCheckAdd(GPtrArray *verdicts, const char *id, const char *title, int verdict, const char *text,
                        const char *hint);

/* An empty list of verdicts. */
GPtrArray *viommuHostCheckNew(void);

/* Adds what libvirt and the QEMU that it runs can do (H10), with versions as 1000 * major + minor, 0: not known. */
void viommuHostCheckPeer(GPtrArray *verdicts, unsigned libvirt, unsigned qemu);

/* The same of a libvirt that is not here to be asked, 1000 * major + minor. */
void viommuHostCheckLibvirt(GPtrArray *verdicts, unsigned libvirt);

/* The same where libvirt cannot be reached: @why. */
void viommuHostCheckNoPeer(GPtrArray *verdicts, const char *why);

/* Adds what libvirt says of guests with KVM (H10): @caps, which may lack something; NULL: it does not tell, @silence is
 * why. @refusal: it would not define them. */
void viommuHostCheckGuests(GPtrArray *verdicts, const viommuDomainCaps *caps, const char *refusal, const char *silence);

/* Adds what the QEMU at @path can do (H12); that it cannot be asked by anybody: @why; that it was not asked: @why. */
void viommuHostCheckEmulator(GPtrArray *verdicts, const char *path, const qemuViommuCaps *caps);
void viommuHostCheckNoEmulator(GPtrArray *verdicts, const char *why);
void viommuHostCheckUnasked(GPtrArray *verdicts, const char *why);

/* Checks the host behind @fs; an array that owns viommuVerdict, or NULL with @error if the host
 * fails. @unprobed: why its SMMUs, or one of them, could not be probed; NULL: they were, or it was not asked for. */
GPtrArray *viommuHostCheck(virSMMUTopology *topo, virSysfs *fs, const char *unprobed, GError **error);

/* Why a device behind an SMMUv3, loaded with its details, cannot be given to a guest, or not alone: static; NULL:
 * nothing is known against it. */
const char *viommuHostRuleOut(const virSMMUTopology *topo, const virSMMUDevice *dev);

/* As virt-host-validate prints them, without warnings and notes if @quiet; and as findings. */
void viommuHostCheckFormat(const GPtrArray *verdicts, bool quiet, bool coloured, GString *out);
GPtrArray *viommuHostCheckFindings(const GPtrArray *verdicts);
