/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The QEMU that a domain is for, asked what it can do.
 */
#pragma once

#include "load.h"

/* Asks libvirt, if there is a connection, what it says of the emulator, machine and type of a domain that has to do
 * with SMMUv3s. That it does not tell is no error. Of an emulator that may not be run, and is not the one that libvirt
 * takes by itself, it is asked only if it gets the domain anyway. */
void viommuInputAskPeer(viommuInput *input);

/* Adds H10: libvirt would not define it, or its host lacks what an accelerated vSMMU needs. */
void viommuInputJudgePeer(const viommuInput *input, GPtrArray *findings);

/* Asks the QEMU of --emulator, else the one that the domain names, or libvirt for it. That the latter is not asked, or
 * does not answer, is no error, but for viommuInputJudgeEmulator to say. It is not asked for a domain that has nothing
 * to do with SMMUv3s, not where the host is a record, and not where a version or a dialect was given. */
bool viommuInputAskEmulator(viommuInput *input, GError **error);

/* True if it was asked, has no accelerated vSMMUs in any dialect, and is to have some: those of @plan; NULL: those that
 * the domain has or asks for. */
bool viommuInputLacksAccel(const viommuInput *input, const viommuPlan *plan);

/* Adds H12: that it lacks these, an error; or a note that it was not asked. That nobody can run it, or that it does not
 * answer, is an error if @strict, else a note, too. */
void viommuInputJudgeEmulator(const viommuInput *input, const viommuPlan *plan, bool strict, GPtrArray *findings);

/* Refuses one that cannot say what @plan needs in its dialect, or that does not speak that of --dialect. */
bool viommuInputFitDialect(const viommuInput *input, const viommuPlan *plan, GError **error);

/* Refuses one in whose words no libvirt can speak, if @placement, which is not refused, needs them. */
bool viommuInputFitEmulator(const viommuInput *input, const viommuPlacement *placement, GError **error);
