/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CPUs of a domain: model, number, topology.
 */
#include "qemu_viommu_full.h"

#include <string.h>

static bool
appendMode(const qemuViommuFull *full, const xmlNode *cpu, GString *out, GError **error)
{
    bool kvm = full->dom->virtType == VIOMMU_VIRT_KVM;
    const char *mode = qemuViommuAttrOr(cpu, "mode", NULL);
    g_autofree char *model = viommuXMLContent(viommuXMLChild(cpu, "model"));

    if (!mode)
        mode = model ? "custom" : kvm ? "host-passthrough" : "maximum";
    if (g_str_equal(mode, "maximum")) {
        g_string_append(out, "max");
        return true;
    }
    if (g_str_equal(mode, "host-passthrough") && kvm) {
        g_string_append(out, "host");
        return true;
    }
    if (g_str_equal(mode, "host-passthrough"))
        return qemuViommuRefuse(full, cpu, error,
                                "host-passthrough needs KVM; use <cpu mode='maximum'/> under emulation");
    if (g_str_equal(mode, "custom") && model) {
        g_autofree char *name = qemuViommuEscapeComma(model);

        g_string_append(out, name);
        return true;
    }
    return qemuViommuRefuseValue(full, cpu, "mode", "'host-passthrough', 'maximum', or 'custom' with <model>",
                                 error);
}

static bool
appendFeatures(const qemuViommuFull *full, const xmlNode *cpu, GString *out, GError **error)
{
    const xmlNode *node;

    for (node = viommuXMLChild(cpu, "feature"); node; node = viommuXMLNext(node, "feature")) {
        const char *policy = qemuViommuAttrOr(node, "policy", "require");
        const char *name = viommuXMLAttr(node, "name");
        bool on = g_str_equal(policy, "require") || g_str_equal(policy, "force");

        if (!name || strpbrk(name, ",="))
            return qemuViommuRefuseValue(full, node, "name", "the name of a CPU feature", error);
        if (!on && !g_str_equal(policy, "disable"))
            return qemuViommuRefuseValue(full, node, "policy", "'require', 'force' or 'disable'", error);
        g_string_append_printf(out, ",%s=%s", name, on ? "on" : "off");
    }
    return true;
}

/* <features><pmu> and <timer name='armvtimer'> are properties of QEMU's CPU. */
static bool
appendExtras(const qemuViommuFull *full, GString *out, GError **error)
{
    const xmlNode *pmu = viommuXMLChild(viommuXMLChild(full->dom->root, "features"), "pmu");
    const char *state = qemuViommuAttrOr(pmu, "state", "on");
    const xmlNode *clock = viommuXMLChild(full->dom->root, "clock");
    const xmlNode *timer;

    if (pmu && !g_str_equal(state, "on") && !g_str_equal(state, "off"))
        return qemuViommuRefuseValue(full, pmu, "state", "'on' or 'off'", error);
    if (pmu)
        g_string_append_printf(out, ",pmu=%s", state);
    for (timer = viommuXMLChild(clock, "timer"); timer; timer = viommuXMLNext(timer, "timer")) {
        const char *policy = qemuViommuAttrOr(timer, "tickpolicy", "");

        if (g_strcmp0(viommuXMLAttr(timer, "name"), "armvtimer") != 0)
            continue;
        if (!g_str_equal(policy, "discard") && !g_str_equal(policy, "delay"))
            return qemuViommuRefuseValue(full, timer, "tickpolicy", "'discard' or 'delay'", error);
        g_string_append_printf(out, ",kvm-no-adjvtime=%s", g_str_equal(policy, "discard") ? "on" : "off");
    }
    return true;
}

static bool
readCount(const qemuViommuFull *full, const xmlNode *node, const char *text, guint64 *ret_count,
          GError **error)
{
    if (g_ascii_string_to_unsigned(text, 10, 1, 4096, ret_count, NULL))
        return true;
    return qemuViommuRefuse(full, node, error, "<%s>: '%s' is no number of CPUs; give 1 to 4096",
                            (const char *)node->name, text);
}

static bool
smpArgs(qemuViommuFull *full, GError **error)
{
    static const char *const levels[] = { "sockets", "dies", "clusters", "cores", "threads" };
    const xmlNode *vcpu = viommuXMLChild(full->dom->root, "vcpu");
    const xmlNode *topology = viommuXMLChild(viommuXMLChild(full->dom->root, "cpu"), "topology");
    g_autofree char *text = viommuXMLContent(vcpu);
    g_autoptr(GString) smp = g_string_new(NULL);
    guint64 count = 1;
    guint64 product = 1;
    size_t i;

    if (text && !readCount(full, vcpu, text, &count, error))
        return false;
    g_string_append_printf(smp, "%" G_GUINT64_FORMAT, count);
    if (!topology)
        g_string_append_printf(smp, ",sockets=%" G_GUINT64_FORMAT ",cores=1,threads=1", count);
    for (i = 0; topology && i < G_N_ELEMENTS(levels); i++) {
        const char *value = viommuXMLAttr(topology, levels[i]);
        guint64 number;

        if (!value)
            continue;
        if (!readCount(full, topology, value, &number, error))
            return false;
        product *= number;
        g_string_append_printf(smp, ",%s=%s", levels[i], value);
    }
    if (topology && product != count)
        return qemuViommuRefuse(full, topology, error,
                                "the <topology> makes %" G_GUINT64_FORMAT " CPUs, but <vcpu> says %"
                                G_GUINT64_FORMAT "; make them equal", product, count);
    qemuViommuArgsAdd(full->args, "-smp", g_strdup(smp->str));
    return true;
}

bool
qemuViommuCPUArgs(qemuViommuFull *full, GError **error)
{
    const xmlNode *cpu = viommuXMLChild(full->dom->root, "cpu");
    g_autoptr(GString) out = g_string_new(NULL);

    if (!appendMode(full, cpu, out, error) || !appendFeatures(full, cpu, out, error) ||
        !appendExtras(full, out, error))
        return false;
    qemuViommuArgsAdd(full->args, "-cpu", g_strdup(out->str));
    return smpArgs(full, error);
}
