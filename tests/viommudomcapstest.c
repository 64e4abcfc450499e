/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirts say that they can do: domcapsdata/NAME.xml, whose first line says whose words these are.
 */
#include "viommu_domcaps.h"

#include "viommuerror.h"

#include <string.h>

#define HEAD "<domainCapabilities><path>/q</path>"
#define FOOT "</domainCapabilities>"

static viommuDomainCaps *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    viommuDomainCaps *caps = viommuDomainCapsParse(text, strlen(text), &error);

    g_assert_no_error(error);
    return caps;
}

static void
checkFile(const char *name, const char *machine, virTristate iommufd)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "domcapsdata", name, NULL);
    g_autofree char *text = NULL;
    g_autoptr(viommuDomainCaps) caps = NULL;
    g_autoptr(GError) error = NULL;
    const char *remedy;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    caps = parse(text);
    g_assert_cmpstr(caps->path, ==, "/usr/bin/qemu-system-aarch64");
    g_assert_cmpstr(caps->machine, ==, machine);
    g_assert_cmpint(caps->virtType, ==, VIOMMU_VIRT_QEMU);
    g_assert_cmpint(caps->gicV3, ==, VIR_TRISTATE_YES);
    g_assert_cmpint(caps->iommufd, ==, iommufd);
    g_assert_cmpint(viommuDomainCapsLack(caps, &remedy) != NULL, ==, iommufd == VIR_TRISTATE_NO);
}

static void
testReal(void)
{
    checkFile("libvirt-12.8.xml", "virt-11.1", VIR_TRISTATE_YES);
    checkFile("libvirt-12.8-no-iommufd.xml", "virt-11.1", VIR_TRISTATE_NO);
    checkFile("libvirt-11.3.xml", "virt-11.1", VIR_TRISTATE_UNKNOWN);
    checkFile("libvirt-9.0.xml", "virt-7.2", VIR_TRISTATE_UNKNOWN);
}

static void
testLeast(void)
{
    g_autoptr(viommuDomainCaps) caps = parse(HEAD FOOT);

    g_assert_cmpstr(caps->path, ==, "/q");
    g_assert_null(caps->machine);
    g_assert_cmpint(caps->virtType, ==, VIOMMU_VIRT_OTHER);
    g_assert_cmpint(caps->gicV3, ==, VIR_TRISTATE_UNKNOWN);
    g_assert_cmpint(caps->iommufd, ==, VIR_TRISTATE_UNKNOWN);
}

static void
testGic(void)
{
    static const struct {
        const char *gic;
        virTristate expected;
    } cases[] = {
        { "<gic supported='no'/>", VIR_TRISTATE_NO },
        { "<gic supported='yes'/>", VIR_TRISTATE_UNKNOWN },
        { "<gic supported='yes'><enum name='version'><value>2</value></enum></gic>", VIR_TRISTATE_NO },
        { "<gic supported='yes'><enum name='version'><value>2</value><value>3</value></enum></gic>", VIR_TRISTATE_YES },
        { "<gic supported='yes'><enum name='kind'><value>3</value></enum></gic>", VIR_TRISTATE_UNKNOWN },
    };
    const char *remedy;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strconcat(HEAD "<domain>kvm</domain><features>", cases[i].gic, "</features>" FOOT, NULL);
        g_autoptr(viommuDomainCaps) caps = parse(text);

        g_test_message("%s", cases[i].gic);
        g_assert_cmpint(caps->virtType, ==, VIOMMU_VIRT_KVM);
        g_assert_cmpint(caps->gicV3, ==, cases[i].expected);
        g_assert_cmpint(viommuDomainCapsLack(caps, &remedy) != NULL, ==, cases[i].expected == VIR_TRISTATE_NO);
    }
}

static void
testBad(void)
{
    static const char *const texts[] = {
        "<capabilities><path>/q</path></capabilities>", "<domainCapabilities/>", HEAD, "",
        "<domainCapabilities><path> </path></domainCapabilities>",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", texts[i]);
        g_assert_null(viommuDomainCapsParse(texts[i], strlen(texts[i]), &error));
        g_assert_nonnull(error);
        g_assert_true(error->domain == VIOMMU_ERROR);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domcaps/real", testReal);
    g_test_add_func("/domcaps/least", testLeast);
    g_test_add_func("/domcaps/gic", testGic);
    g_test_add_func("/domcaps/bad", testBad);
    return g_test_run();
}
