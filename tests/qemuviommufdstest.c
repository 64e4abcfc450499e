/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors in the place of host addresses.
 */
#include "qemu_viommu_fds.h"

#include "qemu_viommu_args.h"

#include <string.h>

#define VFIO "{\"driver\":\"vfio-pci\","

static GPtrArray *
makeArgs(void)
{
    static const char *const values[][2] = {
        { "qemu-system-aarch64", NULL },
        { "-machine", "virt" },
        { "-object", "{\"qom-type\":\"memory-backend-ram\",\"id\":\"m\"}" },
        { "-object", "{\"qom-type\":\"iommufd\",\"id\":\"iommufd0\"}" },
        { "-device", VFIO "\"host\":\"0002:01:00.0\",\"id\":\"hostdev0\",\"iommufd\":\"iommufd0\"}" },
        /* by a VFIO group, which QEMU opens */
        { "-device", "{\"driver\":\"vfio-pci\",\"host\":\"0004:01:00.0\",\"id\":\"hostdev1\"}" },
        /* the user's own, of any form */
        { "-device", "vfio-pci,host=0005:01:00.0,iommufd=iommufd0" },
        { "-device", "{\"driver\":\"vfio-pci\"" },
        { "-device", "{\"driver\":[\"vfio-pci\"]}" },
        { "-device", VFIO "\"host\":[\"0007:01:00.0\"],\"iommufd\":\"iommufd0\"}" },
        { "-device", VFIO "\"host\":\"0006:01:00.0\",\"id\":\"hostdev2\",\"iommufd\":\"iommufd0\"}" },
    };
    GPtrArray *args = qemuViommuArgsNew();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(values); i++)
        qemuViommuArgsAdd(args, values[i][0], g_strdup(values[i][1]));
    return args;
}

static const char *
value(const GPtrArray *args, size_t i)
{
    return ((qemuViommuArg *)g_ptr_array_index(args, i))->value;
}

static void
testFds(void)
{
    g_autoptr(GPtrArray) args = makeArgs();
    g_autoptr(GPtrArray) before = makeArgs();
    g_autoptr(GPtrArray) devices = qemuViommuFdDevices(args);
    g_autoptr(GPtrArray) left = NULL;
    g_autofree char *missing = qemuViommuFdMissing(args);
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    const int numbers[] = { 21, 22 };
    size_t i;

    g_assert_cmpuint(devices->len, ==, 2);
    g_assert_cmpstr(missing, ==, "0004:01:00.0");
    g_assert_cmpstr(g_ptr_array_index(devices, 0), ==, "0002:01:00.0");
    g_assert_cmpstr(g_ptr_array_index(devices, 1), ==, "0006:01:00.0");
    g_array_append_vals(fds, numbers, 2);
    qemuViommuGiveFds(args, 20, fds);
    g_assert_cmpstr(value(args, 3), ==, "{\"qom-type\":\"iommufd\",\"id\":\"iommufd0\",\"fd\":\"20\"}");
    g_assert_cmpstr(value(args, 4), ==,
                    "{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"iommufd\":\"iommufd0\",\"fd\":\"21\"}");
    g_assert_cmpstr(value(args, 10), ==,
                    "{\"driver\":\"vfio-pci\",\"id\":\"hostdev2\",\"iommufd\":\"iommufd0\",\"fd\":\"22\"}");
    for (i = 0; i < args->len; i++) {
        if (i != 3 && i != 4 && i != 10)
            g_assert_cmpstr(value(args, i), ==, value(before, i));
    }
    left = qemuViommuFdDevices(args);
    g_assert_cmpuint(left->len, ==, 0);
}

/* A domain whose devices are by VFIO groups keeps its iommufd object as it is. */
static void
testNone(void)
{
    g_autoptr(GPtrArray) args = makeArgs();
    g_autoptr(GPtrArray) before = makeArgs();
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    size_t i;

    qemuViommuGiveFds(args, -1, fds);
    for (i = 0; i < args->len; i++)
        g_assert_cmpstr(value(args, i), ==, value(before, i));
}

static void
testFdOf(void)
{
    static const struct {
        const char *value;
        int fd;
    } cases[] = {
        { "{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"iommufd\":\"iommufd0\",\"fd\":\"16\"}", 16 },
        { "{\"driver\":\"vfio-pci\",\"id\":\"hostdev1\",\"iommufd\":\"iommufd0\",\"fd\":\"17\"}", -1 },
        { "{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"host\":\"0000:01:00.0\"}", -1 },
        { "{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"fd\":\"-1\"}", -1 },
        { "{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"fd\":\"2147483648\"}", -1 },
        { "{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"fd\":\"name\"}", -1 },
        { "{\"driver\":\"vfio-pci\",\"id\":\"hostdev0\",\"fd\":16}", -1 },
        { "{\"qom-type\":\"iommufd\",\"id\":\"hostdev0\",\"fd\":\"16\"}", -1 },
        { "vfio-pci,id=hostdev0,fd=16", -1 },
        { "{\"driver\":", -1 },
        { "", -1 },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(qemuViommuFdOf(cases[i].value, "hostdev0"), ==, cases[i].fd);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/qemu/fds", testFds);
    g_test_add_func("/qemu/fds/none", testNone);
    g_test_add_func("/qemu/fds/of", testFdOf);
    return g_test_run();
}
