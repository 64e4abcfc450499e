/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of what planner and checker both find. How each finds it is its own matter.
 */
#pragma once

#include "viommu_conf.h"
#include "viommu_finding.h"

typedef enum {
    VIOMMU_WORDS_ABSENT,     /* of host devices, which @about names */
    VIOMMU_WORDS_NO_IOMMU,
    VIOMMU_WORDS_NO_SMMUV3,  /* @other: the IOMMU */
    VIOMMU_WORDS_BRIDGE,
    VIOMMU_WORDS_DIRECT,
    VIOMMU_WORDS_ALIASED,
    VIOMMU_WORDS_TWICE,      /* @other: the line of the first */
    VIOMMU_WORDS_CHILD,      /* @other: "hostdev '...' in line N" */
    VIOMMU_WORDS_ARCH,       /* of the domain; @about: its architecture */
    VIOMMU_WORDS_MACHINE,    /* @about: its machine */
    VIOMMU_WORDS_TYPE,       /* @about: its type */
    VIOMMU_WORDS_ACPI,
    VIOMMU_WORDS_FIRMWARE,
    VIOMMU_WORDS_GIC,
} viommuWords;

/* Adds an error; @about and @other are NULL where nothing is said of them. Returns it, borrowed. */
viommuFinding *viommuWordsAdd(GPtrArray *findings, viommuWords words, unsigned line, const char *about,
                              const char *other);

/* Adds what is wrong with @stray of a request, which is refused for it. */
void viommuWordsStray(GPtrArray *findings, const viommuStray *stray);

/* The same for one of Nova's extra specs. */
void viommuWordsSpec(GPtrArray *findings, const viommuStray *stray);
