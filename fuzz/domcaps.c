/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: what is said to be the capabilities of a libvirt. Either they name an emulator, or there is an error
 * that says something.
 */
#include "fuzztarget.h"
#include "viommu_domcaps.h"
#include "viommuerror.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(viommuDomainCaps) caps = viommuDomainCapsParse(size ? (const char *)data : "", size, &error);

    g_assert_true(!caps == !!error);
    if (!caps) {
        g_assert_true(error->domain == VIOMMU_ERROR && *error->message);
        return 0;
    }
    g_assert_true(*caps->path && (!caps->machine || *caps->machine));
    g_assert_true(caps->gicV3 >= VIR_TRISTATE_UNKNOWN && caps->gicV3 <= VIR_TRISTATE_YES);
    g_assert_true(caps->iommufd >= VIR_TRISTATE_UNKNOWN && caps->iommufd <= VIR_TRISTATE_YES);
    return 0;
}
