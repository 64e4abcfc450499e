/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a domain must have before anything can be placed in it (P8, P15), and whether its request makes
 * sense.
 */
#include "viommu_plan_priv.h"
#include "viommu_words.h"

#include <string.h>

static void
checkMachine(planState *state)
{
    const viommuDomain *dom = state->dom;
    const viommuController *first = viommuDomainFindController(dom, 0);

    if (!dom->devicesNode)
        planRefuse(state, "V18", viommuXMLLine(dom->xml, dom->root), NULL, "write <devices>",
                   "the domain has no <devices>");
    if (first && first->model != VIOMMU_PCI_ROOT)
        planRefuse(state, "V18", first->line, "libvirt refuses it: The PCI controller with index='0' must be "
                   "model='pcie-root' for this machine type", "write model='pcie-root', or remove it",
                   "PCI controller 0 is no pcie-root");
    if (dom->arch && strcmp(dom->arch, "aarch64") != 0)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_ARCH, dom->osLine, dom->arch, NULL);
    if (dom->machine && strcmp(dom->machine, "virt") != 0 && !g_str_has_prefix(dom->machine, "virt-"))
        viommuWordsAdd(state->findings, VIOMMU_WORDS_MACHINE, dom->osLine, dom->machine, NULL);
    if (dom->virtType == VIOMMU_VIRT_OTHER)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_TYPE, viommuXMLLine(dom->xml, dom->root),
                       viommuXMLAttr(dom->root, "type") ? viommuXMLAttr(dom->root, "type") : "", NULL);
    if (dom->virtType == VIOMMU_VIRT_QEMU)
        viommuFindingsAdd(state->findings, "V18", VIOMMU_SEVERITY_NOTE,
                          viommuXMLLine(dom->xml, dom->root), NULL, NULL,
                          "a domain of type 'qemu' gets the same topology without accel and iommufd: "
                          "vSMMUs are emulated, host devices cannot work below them");
}

static void
checkFeatures(planState *state)
{
    const viommuDomain *dom = state->dom;

    if (!dom->acpi)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_ACPI, dom->featuresLine, NULL, NULL);
    if (dom->firmware == VIOMMU_FIRMWARE_NONE)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_FIRMWARE, dom->osLine, NULL, NULL);
    if (dom->gicVersion != VIOMMU_UNSET && dom->gicVersion != 0 && dom->gicVersion != 3)
        viommuWordsAdd(state->findings, VIOMMU_WORDS_GIC,
                       viommuXMLLine(dom->xml, viommuXMLChild(viommuXMLChild(dom->root, "features"), "gic")), NULL,
                       NULL);
    if (dom->ioapic)
        planReason(state, "P15", "domain",
                   "<ioapic> is dropped: it is for Intel IOMMUs, and libvirt refuses it on aarch64");
}

/* Was this <iommu> made by an earlier expansion? */
static bool
isOwned(const viommuDomain *dom, const viommuIOMMU *iommu)
{
    size_t i;

    for (i = 0; i < dom->placed->len; i++) {
        const viommuPlaced *placed = g_ptr_array_index(dom->placed, i);

        if (strcmp(iommu->model, "smmuv3") == 0 && iommu->pciBus >= 0 &&
            placed->controller == (unsigned)iommu->pciBus)
            return true;
    }
    return false;
}

/* What a client wrote for an IOMMU of another kind. */
static void
explainForeign(planState *state, const viommuIOMMU *iommu)
{
    if (iommu->automatic)
        planReason(state, "P15", "domain",
                   "<iommu model='virtio'> gives way: it was chosen for hw:viommu_model=auto");
    if (iommu->foreign)
        planReason(state, "P15", "domain",
                   "the attributes of other IOMMUs on <iommu model='smmuv3'> are dropped: libvirt "
                   "refuses them there");
}

static void
checkIOMMUs(planState *state)
{
    const viommuDomain *dom = state->dom;
    size_t i, j;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") != 0) {
            planRefuse(state, "V09", iommu->line,
                       "virt machine already has an iommu set. Doesn't support incompatible iommus",
                       dom->bySpecs ? "remove it, or the extra spec viommu:nested"
                                    : "remove one of the two", "<iommu model='%s'> stands beside a nested SMMUv3",
                       iommu->model);
        } else if (iommu->nested == 1 || iommu->nested == VIOMMU_BAD) {
            for (j = 0; j < iommu->strays->len; j++)
                viommuWordsStray(state->findings, g_ptr_array_index(iommu->strays, j));
            explainForeign(state, iommu);
            if (iommu->pciBus == VIOMMU_UNSET && viommuXMLChild(iommu->node, "alias"))
                planReason(state, "P15", "domain", "the alias of <iommu> is dropped: it stands for as many "
                           "vSMMUs as there are SMMUs");
            if (iommu->accel == 0 && state->plan->accel)
                planRefuse(state, "V05", iommu->line,
                           "memory listener initialization failed: device requires iommu MAP notifier",
                           "remove accel='off'", "a nested SMMUv3 is to be without accel");
        } else if (!isOwned(dom, iommu)) {
            planRefuse(state, "V09", iommu->line, NULL,
                       "add nested='yes' and <source smmu=.../> to it, or remove it",
                       "an <iommu model='smmuv3'> written by hand stands beside a request");
        }
    }
}

/* A bus that request @at names is not named for another SMMU before. */
static void
checkOwnBus(planState *state, size_t at)
{
    const viommuRequest *request = g_ptr_array_index(state->dom->requests, at);
    size_t i;

    for (i = 0; i < at && request->pciBus >= 0; i++) {
        const viommuRequest *other = g_ptr_array_index(state->dom->requests, i);

        if (other->pciBus == request->pciBus && g_strcmp0(other->smmu, request->smmu) != 0)
            planRefuse(state, "V06", request->line,
                       "An iommu is already attached to this bus",
                       "change one pciBus, or leave it out; viommu makes the bus",
                       "expander bus %d is named for two SMMUs, first in line %u", request->pciBus,
                       other->line);
    }
}

/* pciBus as it stands; empty for one that metadata keeps. */
static const char *
busText(const planState *state, const viommuRequest *request)
{
    size_t i;

    for (i = 0; i < state->dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(state->dom->iommus, i);

        if (iommu->line == request->line && iommu->pciBus == request->pciBus)
            return viommuXMLAttr(viommuXMLChild(iommu->node, "driver"), "pciBus");
    }
    return "";
}

/* A bus that a request names is one that can have a vSMMU, and says which. */
static void
checkBus(planState *state, const viommuRequest *request)
{
    const viommuController *bus = NULL;

    if (request->pciBus == VIOMMU_UNSET)
        return;
    if (!request->smmu)
        planRefuse(state, "V07", request->line, NULL,
                   "add <source smmu=.../>, or remove pciBus; viommu makes the bus",
                   "pciBus is given, but not for which SMMU that bus is");
    if (request->pciBus >= 0)
        bus = viommuDomainFindController(state->dom, (unsigned)request->pciBus);
    if (!bus || bus->model != VIOMMU_PCI_EXPANDER)
        planRefuse(state, "V07", request->line, "SMMU should be attached to a default PCIe root "
                   "complex(pcie.0) or a pxb-pcie based root complex",
                   "name the index of a pcie-expander-bus, or leave pciBus out",
                   "pciBus='%s' names no pcie-expander-bus", busText(state, request));
}

/* Requests name SMMUs that exist, each once. */
static void
checkRequests(planState *state)
{
    const viommuDomain *dom = state->dom;
    size_t i;
    size_t j;

    for (i = 0; i < dom->requests->len; i++) {
        const viommuRequest *request = g_ptr_array_index(dom->requests, i);

        const virSMMU *smmu = request->smmu ? virSMMUTopologyFindSMMU(state->host, request->smmu) : NULL;

        if (request->smmu && (!smmu || smmu->kind != VIR_SMMU_KIND_SMMUV3))
            planRefuse(state, "V02", request->line, NULL,
                       request->kept ? "write the name that 'viommu host' shows for it now into this <request> of the "
                                       "metadata"
                                     : "name one that 'viommu host' lists, or leave <source> out",
                       smmu ? "'%s' is no SMMUv3" : "the host has no SMMU '%s'", request->smmu);
        checkBus(state, request);
        for (j = 0; j < i; j++) {
            const viommuRequest *other = g_ptr_array_index(dom->requests, j);

            /* The split vSMMUs of one SMMU each stand on a bus of their own. */
            if (g_strcmp0(request->smmu, other->smmu) == 0 &&
                (request->pciBus == VIOMMU_UNSET || other->pciBus == VIOMMU_UNSET ||
                 request->pciBus == other->pciBus))
                break;
        }
        if (j < i)
            planRefuse(state, "V06", request->line, NULL, "keep one of the two",
                       "two <iommu nested='yes'> elements are for %s%s%s",
                       request->smmu ? "'" : "", request->smmu ? request->smmu : "all SMMUs",
                       request->smmu ? "'" : "");
        checkOwnBus(state, i);
    }
}

bool
planCheckDomain(planState *state)
{
    const viommuDomain *dom = state->dom;
    size_t i;

    checkMachine(state);
    checkFeatures(state);
    if (dom->byPolicy)
        planReason(state, "P15", "domain", "the policy asks for it, the domain does not");
    checkIOMMUs(state);
    for (i = 0; i < dom->strays->len; i++)
        viommuWordsSpec(state->findings, g_ptr_array_index(dom->strays, i));
    checkRequests(state);
    if (state->plan->accel && (dom->iommufd == 0 || dom->iommufd == VIOMMU_BAD))
        planRefuse(state, "V04", viommuXMLLine(dom->xml, dom->iommufdNode),
                   "vfio-pci endpoint devices without an iommufd backend not allowed when using "
                   "arm-smmuv3,accel=on", "write <iommufd enabled='yes'/>, or remove the element",
                   "iommufd is %s, but nested translation needs it",
                   dom->iommufd == 0 ? "disabled" : "neither enabled nor disabled");
    return !viommuFindingsHaveError(state->findings);
}

bool
planCheckHost(planState *state)
{
    const viommuRequest *request = g_ptr_array_index(state->dom->requests, 0);

    if (!state->plan->accel || virSMMUTopologyHasIommufd(state->host) != VIR_TRISTATE_NO)
        return true;
    planRefuse(state, "H03", request->line,
               "libvirt cannot start it: cannot open VFIO device /dev/vfio/devices/vfioN",
               "boot the host with a kernel that has CONFIG_IOMMUFD, CONFIG_VFIO_DEVICE_CDEV and "
               "CONFIG_ARM_SMMU_V3_IOMMUFD; if they are modules, load 'iommufd'",
               "the host has no /dev/iommu");
    return false;
}
