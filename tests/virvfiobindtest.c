/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Binding a device, as far as files can stand for sysfs: what is written where, and that it is taken back. tests/e2e
 * binds real ones.
 */
#include "virvfiobind.h"

#include "hosttestutils.h"
#include "viommuerror.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define DEVICE "0001:00:01.0"
#define DRIVERS "sys/bus/pci/drivers/"
#define FILES "sys/bus/pci/devices/" DEVICE "/driver_override =\n" "sys/bus/pci/drivers_probe =\n"
#define NVME DRIVERS "nvme/unbind =\n" "sys/bus/pci/devices/" DEVICE "/driver -> ../../drivers/nvme\n"
#define VFIO DRIVERS "vfio-pci/unbind =\n" "sys/bus/pci/devices/" DEVICE "/driver -> ../../drivers/vfio-pci\n" \
    "sys/bus/pci/devices/" DEVICE "/vfio-dev/vfio0/dev = 511:0\n"

static const virVFIOTaken nvme = { (char *)"nvme", (char *)"" };

static char *
readFile(const char *tree, const char *name)
{
    g_autofree char *path = g_build_filename(tree, name, NULL);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return text ? g_strchomp(text) : NULL;
}

static void
expect(const char *tree, const char *name, const char *wanted)
{
    g_autofree char *text = readFile(tree, name);

    g_assert_cmpstr(text, ==, wanted);
}

static char *
unpack(const char *manifest)
{
    g_autoptr(virSysfs) fs = testHostParse(manifest);

    return testHostUnpack(fs);
}

/* Here no driver takes the device: it goes back. */
static void
testNotTaken(void)
{
    g_autofree char *tree = unpack("sys/bus/pci/devices/" DEVICE "/driver_override = mine\nsys/bus/pci/drivers_probe =\n" NVME);
    virVFIOTaken taken = { NULL, NULL };
    g_autoptr(GError) error = NULL;
    bool bound = true;

    g_assert_false(virVFIOBind(tree, DEVICE, &taken, &bound, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, "vfio-pci does not take '" DEVICE "': load the module 'vfio-pci'");
    g_assert_false(bound);
    g_assert_cmpstr(taken.driver, ==, "nvme");
    g_assert_cmpstr(taken.override, ==, "mine");
    /* A file of a tree keeps what was longer. */
    expect(tree, "sys/bus/pci/devices/" DEVICE "/driver_override", "mine\npci");
    expect(tree, DRIVERS "nvme/unbind", DEVICE);
    expect(tree, "sys/bus/pci/drivers_probe", DEVICE);
    virVFIOTakenClear(&taken);
    testHostRemove(tree);
}

/* The kernel's word for no override is not taken for one. */
static void
testNoOverride(void)
{
    g_autofree char *tree =
        unpack("sys/bus/pci/devices/" DEVICE "/driver_override = (null)\nsys/bus/pci/drivers_probe =\n" NVME);
    virVFIOTaken taken = { NULL, NULL };
    g_autoptr(GError) error = NULL;
    bool bound = true;

    g_assert_false(virVFIOBind(tree, DEVICE, &taken, &bound, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(taken.override, ==, "");
    expect(tree, "sys/bus/pci/devices/" DEVICE "/driver_override", "\nfio-pci");
    virVFIOTakenClear(&taken);
    testHostRemove(tree);
}

/* A driver of the family has it: it is left alone. */
static void
testTaken(void)
{
    g_autofree char *tree = unpack(FILES VFIO);
    virVFIOTaken taken = { NULL, NULL };
    g_autoptr(GError) error = NULL;
    bool bound = true;

    g_assert_true(virVFIOBind(tree, DEVICE, &taken, &bound, &error));
    g_assert_no_error(error);
    g_assert_false(bound);
    expect(tree, "sys/bus/pci/devices/" DEVICE "/driver_override", "");
    expect(tree, DRIVERS "vfio-pci/unbind", "");
    testHostRemove(tree);
}

/* It is where it was: only the override goes. */
static void
testGiveBackSame(void)
{
    g_autofree char *tree = unpack(FILES NVME);
    g_autoptr(GError) error = NULL;

    g_assert_true(virVFIOGiveBack(tree, DEVICE, &nvme, &error));
    g_assert_no_error(error);
    expect(tree, DRIVERS "nvme/unbind", "");
    testHostRemove(tree);
}

/* The host does not take it back: that is said. */
static void
testGiveBackFails(void)
{
    static const struct {
        const char *driver;
        const char *said;
    } some[] = {
        { "nvme", "'" DEVICE "' was bound to nvme, and now to vfio-pci" },
        { NULL, "'" DEVICE "' was bound to no driver, and now to vfio-pci" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autofree char *tree = unpack(FILES VFIO);
        g_autoptr(GError) error = NULL;

        g_assert_false(virVFIOGiveBack(tree, DEVICE, &(virVFIOTaken){ (char *)some[i].driver, (char *)"" }, &error));
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
        g_assert_cmpstr(error->message, ==, some[i].said);
        expect(tree, DRIVERS "vfio-pci/unbind", DEVICE);
        /* a device that had none is not offered to any */
        expect(tree, "sys/bus/pci/drivers_probe", some[i].driver ? DEVICE : "");
        testHostRemove(tree);
    }
}

static void
testAbsent(void)
{
    g_autofree char *tree = unpack("sys/bus/pci/drivers_probe =\n");
    virVFIOTaken taken = { NULL, NULL };
    g_autofree char *said = g_strconcat("cannot write ", tree, "/sys/bus/pci/devices/" DEVICE
                                        "/driver_override: No such file or directory", NULL);
    g_autoptr(GError) error = NULL;
    bool bound;

    g_assert_false(virVFIOBind(tree, DEVICE, &taken, &bound, &error));
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, said);
    virVFIOTakenClear(&taken);
    testHostRemove(tree);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/bind/not-taken", testNotTaken);
    g_test_add_func("/bind/no-override", testNoOverride);
    g_test_add_func("/bind/taken", testTaken);
    g_test_add_func("/bind/give-back-same", testGiveBackSame);
    g_test_add_func("/bind/give-back-fails", testGiveBackFails);
    g_test_add_func("/bind/absent", testAbsent);
    return g_test_run();
}
