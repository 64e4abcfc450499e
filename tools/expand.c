/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu expand: the domain with its placement written out.
 */
#include "loademulator.h"
#include "placed.h"

static viommuExit
cmdExpand(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, args[0], error);
    g_autoptr(viommuPlacement) placement = NULL;
    g_autofree char *other = NULL;
    viommuExit status;
    size_t len = 0;

    if (!input)
        return VIOMMU_EXIT_UNREACHABLE;
    if (viommuInputIsRequest(input) && !viommuInputLoad(input, error))
        return VIOMMU_EXIT_UNREACHABLE;
    if (!viommuDomainIsRequest(input->dom)) {
        viommuInputSayWords(input);
        g_string_append_len(out, input->text, (gssize)input->len);
        return VIOMMU_EXIT_DONE;
    }
    status = viommuInputPlaceAndSay(input, &placement, error);
    if (status != VIOMMU_EXIT_DONE)
        return status;
    if (opts->dialect == VIOMMU_DIALECT_NATIVE) {
        if (!viommuInputFit(input, placement, error))
            return VIOMMU_EXIT_REFUSED;
        g_string_append_len(out, placement->text, (gssize)placement->textLen);
        return VIOMMU_EXIT_DONE;
    }
    if (opts->dialect == VIOMMU_DIALECT_OVERRIDE && (!viommuPlacementFitsLibvirt(opts->libvirtVersion, error) ||
                                                     !viommuInputFitEmulator(input, placement, error)))
        return VIOMMU_EXIT_REFUSED;
    if (opts->dialect == VIOMMU_DIALECT_OVERRIDE && opts->libvirtVersion)
        other = viommuExpandFor(input->dom, placement->plan, MIN(opts->libvirtVersion, VIOMMU_LIBVIRT_NATIVE - 1), &len,
                                error);
    else
        other = viommuExpand(input->dom, placement->plan, opts->dialect, &len, error);
    if (!other)
        return VIOMMU_EXIT_REFUSED;
    g_string_append_len(out, other, (gssize)len);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdExpand = {
    .name = "expand",
    .args = "DOMAIN.xml",
    .help = "print a domain with its vSMMUs, buses, ports and addresses",
    .options = VIOMMU_OPTION_NETWORK | VIOMMU_OPTION_POLICY | VIOMMU_OPTION_LIBVIRT_VERSION |
               VIOMMU_OPTION_QEMU_VERSION | VIOMMU_OPTION_EMULATOR |
               VIOMMU_OPTION_DIALECT | VIOMMU_OPTION_PROBE,
    .minArgs = 1,
    .maxArgs = 1,
    .run = cmdExpand,
};
