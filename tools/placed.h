/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a loaded domain to what is printed or started: placed, with its findings said, and as arguments of QEMU.
 */
#pragma once

#include "load.h"
#include "viommu.h"

/* Places the loaded @input and says the findings. Returns DONE with *@ret_placement, or how to exit. */
viommuExit viommuInputPlaceAndSay(viommuInput *input, viommuPlacement **ret_placement, GError **error);

/* Says what was to be a word of ours in a domain that asks for nothing, and so is not placed. */
void viommuInputSayWords(const viommuInput *input);

/* The arguments of @placement: of the whole command line if @full, else of the vSMMU part, in the words of the QEMU of
 * --dialect or --emulator, else of the newest. NULL with VIOMMU_ERROR_REFUSED. Free with g_ptr_array_unref. */
GPtrArray *viommuInputArgs(const viommuInput *input, const viommuPlacement *placement, bool full, GError **error);
