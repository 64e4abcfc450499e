/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a domain must have before anything can be placed in it (P8, P15), and whether its request makes
 * sense.
 */
#include "viommu_plan_priv.h"

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
        planRefuse(state, "V18", dom->osLine, NULL,
                   "write <type arch='aarch64' machine='virt'>, or remove nested='yes'",
                   "the guest is '%s', but only aarch64 guests have an SMMUv3", dom->arch);
    if (dom->machine && strcmp(dom->machine, "virt") != 0 && !g_str_has_prefix(dom->machine, "virt-"))
        planRefuse(state, "V18", dom->osLine, NULL, "write <type arch='aarch64' machine='virt'>",
                   "the machine is '%s', but vSMMUs exist on 'virt' only", dom->machine);
    if (dom->virtType == VIOMMU_VIRT_OTHER)
        planRefuse(state, "V18", viommuXMLLine(dom->xml, dom->root),
                   "SMMUv3 accel=on requires KVM with kernel-irqchip=on support",
                   "write <domain type='kvm'>", "the domain's type is '%s'",
                   viommuXMLAttr(dom->root, "type") ? viommuXMLAttr(dom->root, "type") : "missing");
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
        planRefuse(state, "V18", dom->featuresLine, "SMMUv3 with accel=on not supported for DT",
                   "write <features><acpi/></features>", "the guest has no ACPI");
    if (dom->firmware == VIOMMU_FIRMWARE_NONE)
        planRefuse(state, "V18", dom->osLine, "SMMUv3 with accel=on not supported for DT",
                   "write <os firmware='efi'>", "the guest has no UEFI firmware");
    if (dom->gicVersion != VIOMMU_UNSET && dom->gicVersion != 0 && dom->gicVersion != 3)
        planRefuse(state, "V18", dom->featuresLine, NULL, "write <gic version='3'/>",
                   "the guest's interrupt controller is no GICv3");
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

static const char *
allowedValues(const char *name)
{
    static const struct {
        const char *name;
        const char *remedy;
    } allowed[] = {
        { "nested", "write nested='yes' or nested='no'" },
        { "viommu:nested", "write 'yes' or 'no'" },
        { "accel", "remove it: viommu writes it" },
        { "cmdqv", "write 'on', 'off' or 'auto'" },
        { "ats", "write 'on', 'off' or 'auto'" },
        { "ril", "write 'on', 'off' or 'auto'" },
        { "ssidsize", "write a number from 0 to 20, or 'auto'" },
        { "oas", "write '44', '48' or 'auto'" },
        { "sparePorts", "write a number from 0 to 255" },
        { "spare_ports", "write a number from 0 to 255" },
        { "pref64Reserve", "write a number of KiB from 2048 to 4294967295" },
        { "pref64_reserve", "write a number of KiB from 2048 to 4294967295" },
        { "smmus", "write 'assigned' or 'all'" },
    };
    const char *word = g_str_has_prefix(name, "viommu:") ? name + strlen("viommu:") : name;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(allowed); i++) {
        if (strcmp(name, allowed[i].name) == 0)
            return allowed[i].remedy;
    }
    for (i = 0; i < G_N_ELEMENTS(allowed); i++) {
        if (strcmp(word, allowed[i].name) == 0)
            return allowed[i].remedy;
    }
    return "remove it";
}

/* Extra specs are seen by somebody who knows no XML. */
static void
checkSpecs(planState *state)
{
    const GPtrArray *strays = state->dom->strays;
    size_t i;

    for (i = 0; i < strays->len; i++) {
        const viommuStray *stray = g_ptr_array_index(strays, i);
        const char *remedy = allowedValues(stray->name);
        g_autofree char *rename = stray->meant ? g_strdup_printf("write %s", stray->meant)
                                  : stray->near ? g_strdup_printf("did you mean %s?", stray->near)
                                                : NULL;

        if (rename || strcmp(remedy, "remove it") == 0)
            planRefuse(state, "V13", stray->line, NULL, rename ? rename : remedy,
                       "there is no extra spec '%s'", stray->name);
        else
            planRefuse(state, "V13", stray->line, NULL, remedy, "the extra spec '%s' is '%s'",
                       stray->name, stray->value);
    }
}

static void
checkStrays(planState *state, const GPtrArray *strays)
{
    size_t i;

    for (i = 0; i < strays->len; i++) {
        const viommuStray *stray = g_ptr_array_index(strays, i);
        g_autofree char *remedy = stray->meant
                                      ? g_strdup_printf("write %s='%s'", stray->meant, stray->value)
                                  : stray->near
                                      ? g_strdup_printf("did you mean %s='%s'?", stray->near, stray->value)
                                  : stray->misplaced
                                      ? g_strdup("write it on <driver> or <placement>, or remove it")
                                      : g_strdup(allowedValues(stray->name));

        planRefuse(state, "V13", stray->line, NULL, remedy, "%s='%s' means nothing there", stray->name,
                   stray->value);
    }
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
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (strcmp(iommu->model, "smmuv3") != 0) {
            planRefuse(state, "V09", iommu->line,
                       "virt machine already has an iommu set. Doesn't support incompatible iommus",
                       dom->bySpecs ? "remove it, or the extra spec viommu:nested"
                                    : "remove one of the two", "<iommu model='%s'> stands beside a nested SMMUv3",
                       iommu->model);
        } else if (iommu->nested == 1 || iommu->nested == VIOMMU_BAD) {
            checkStrays(state, iommu->strays);
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
                       "name one that 'viommu host' lists, or leave <source> out",
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

    checkMachine(state);
    checkFeatures(state);
    if (dom->byPolicy)
        planReason(state, "P15", "domain", "the policy asks for it, the domain does not");
    checkIOMMUs(state);
    checkSpecs(state);
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
