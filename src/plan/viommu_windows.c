/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "viommu_windows.h"

/* What is larger is no BAR, and sums of such stay within 64 bits. */
#define BAR_MAX (UINT64_C(1) << 56)

uint64_t
viommuWindowRound(uint64_t value)
{
    uint64_t power = 1;

    while (power < value && power < UINT64_C(1) << 63)
        power <<= 1;
    return power;
}

/* BARs each stand at a multiple of their own size, so that a power of two has room for all. */
viommuWindows
viommuWindowsOf(const virSMMUDevice *host)
{
    viommuWindows need = { 0 };
    size_t i;

    for (i = 0; host->haveDetails && i < host->bars->len; i++) {
        const virSMMUBar *bar = &g_array_index(host->bars, virSMMUBar, i);

        if (bar->size >= BAR_MAX)
            continue;
        if (bar->memory64 && bar->prefetch)
            need.pref64 += bar->size;
        else
            need.mem += bar->size;
    }
    if (need.pref64)
        need.pref64 = viommuWindowRound(need.pref64);
    if (need.mem)
        need.mem = viommuWindowRound(need.mem);
    return need;
}
