/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What QEMU may open where libvirt leaves it to it: qemu.conf, and the nodes.
 */
#include "hostaccess.h"

#include "hostcheck.h"
#include "hosttestutils.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

#define SMMU "smmu3.0x0000000011000000"
#define OWN                                                                                          \
    "\"/dev/null\", \"/dev/full\", \"/dev/zero\", \"/dev/random\", \"/dev/urandom\", \"/dev/ptmx\", "      \
    "\"/dev/kvm\", \"/dev/userfaultfd\""
#define NODES "\"/dev/iommu\", \"/dev/vfio/devices/vfio0\""

static void
testConf(void)
{
    static char *const nodes[] = { (char *)"/dev/iommu", (char *)"/dev/vfio/devices/vfio0", NULL };
    static const struct {
        const char *text;
        const char *user;
        bool apparmor;
        const char *wants;
    } some[] = {
        { NULL, NULL, true, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "#user = \"root\"\n# cgroup_device_acl = [ " NODES " ]\n", NULL, true,
          "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "user = \"root\"\ncgroup_device_acl = [\n    " OWN ",\n    " NODES "\n]\nsecurity_driver = \"none\"\n",
          "root", false, NULL },
        { "  user=\"+107\"\ncgroup_device_acl = [ \"/dev/iommu\" ] # ours\n", "+107", true,
          "cgroup_device_acl = [ " NODES " ]" },
        { "user_data = \"x\"\nuser = \"a\"\nuser = \"b\"\ncgroup_device_acl = [ ]\n", "a", true,
          "cgroup_device_acl = [ " NODES " ]" },
        /* As libvirt 9.0 reads them. */
        { "user='a'\ncgroup_device_acl = ['/dev/iommu',\n\n'/x y',]\n", "a", true,
          "cgroup_device_acl = [ \"/dev/iommu\", \"/x y\", \"/dev/vfio/devices/vfio0\" ]" },
        { "user = \"\"\"a\nuser = \"b\"\"\"\"\ncgroup_device_acl = [ " NODES " ]", "a\nuser = \"b", true, NULL },
        { "user = \"C:\\a\" # a comment\nsecurity_driver = 'apparmor'\ncgroup_device_acl = [ " NODES ", ]", "C:\\a",
          true, NULL },
        { "user = \"\xff\"\nsecurity_driver = [ 'selinux', ]\ncgroup_device_acl = [ \"\xff\", " NODES " ]", "\xff", false,
          NULL },
        { "user = \"a\ncgroup_device_acl = [ " NODES " \"/x\" ]\n", NULL, true,
          "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "user =\n\"a\"\ncgroup_device_acl = [ " NODES ", # a comment\n ]\n", NULL, true,
          "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "user = '\ncgroup_device_acl = [ \"/dev/iommu\",", NULL, true, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "user = \"\"\"a\ncgroup_device_acl = [[", NULL, true, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "user = 0\ncgroup_device_acl = [ \"/dev/iommu\"\nsecurity_driver = [ \"selinux\", \"apparmor\" ]\n", NULL,
          true, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "security_driver = [ \"none\" ]\n", NULL, false, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "user", NULL, true, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        /* The list counts where there is a namespace, or a cgroup for devices, as there are of their own accord. */
        { "namespaces = [ ]\ncgroup_controllers = [ \"cpu\", \"memory\" ]\n", NULL, true, NULL },
        { "namespaces = [ \"mount\" ]\ncgroup_controllers = [ ]\n", NULL, true,
          "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "namespaces = [ ]\ncgroup_controllers = [ \"devices\" ]\n", NULL, true,
          "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "namespaces = [ ]\n", NULL, true, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
        { "cgroup_controllers = [ ]\n", NULL, true, "cgroup_device_acl = [ " OWN ", " NODES " ]" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autoptr(viommuQEMUConf) conf = viommuQEMUConfParse(some[i].text);
        g_autofree char *wants = viommuQEMUConfWants(conf, nodes);

        g_assert_cmpstr(conf->user, ==, some[i].user);
        g_assert_cmpint(conf->apparmor, ==, some[i].apparmor);
        g_assert_cmpstr(wants, ==, some[i].wants);
    }
}

/* An SMMU with one device behind it, which is bound to vfio-pci. */
#define HOST                                                                                         \
    "sys/class/iommu/" SMMU " -> ../../devices/platform/s/iommu/" SMMU "\n"                           \
    "sys/devices/platform/s/iommu/" SMMU "/devices/0001:00:01.0 -> ../../../../../pci/0001:00:01.0\n" \
    "sys/bus/pci/devices/0001:00:01.0 -> ../../../devices/pci/0001:00:01.0\n"                         \
    "sys/devices/pci/0001:00:01.0/uevent = DRIVER=vfio-pci\\nPCI_CLASS=20000\\nPCI_ID=15B3:1021\n"     \
    "sys/devices/pci/0001:00:01.0/iommu -> ../../platform/s/iommu/" SMMU "\n"                         \
    "sys/devices/pci/0001:00:01.0/vfio-dev/vfio0/dev = 511:0\n"                                      \
    "dev/iommu =\ndev/vfio/devices/vfio0 =\n"

#define OTHER(name, class)                                                                             \
    "sys/devices/platform/s/iommu/" SMMU "/devices/" name " -> ../../../../../pci/" name "\n"          \
    "sys/bus/pci/devices/" name " -> ../../../devices/pci/" name "\n"                                  \
    "sys/devices/pci/" name "/uevent = PCI_CLASS=" class "\\nPCI_ID=15B3:1021\n"                       \
    "sys/devices/pci/" name "/iommu -> ../../platform/s/iommu/" SMMU "\n"

#define ACL "cgroup_device_acl = [ " OWN ", " NODES " ]\n"
#define LACKS "libvirt before 12.1 leaves it to QEMU, and cgroup_device_acl does not name them"
#define ARMOR "sys/module/apparmor/parameters/enabled = Y\n"
#define NO_ARMOR "sys/module/apparmor/parameters/enabled = N\n"

/* Whether qemu.conf is to be one that nobody may read. */
static bool closed;

/* The line of @libvirt, for a tree whose nodes have @mode and that has @conf, or for a record of it. NULL: none. */
static viommuVerdict *
judge(GPtrArray **ret_verdicts, const char *lines, const char *conf, mode_t mode, unsigned libvirt, bool record)
{
    g_autofree char *manifest = g_strconcat(HOST, lines, NULL);
    g_autoptr(virSysfs) recorded = testHostParse(manifest);
    g_autofree char *tree = testHostUnpack(recorded);
    g_autofree char *directory = g_build_filename(tree, "etc/libvirt", NULL);
    g_autofree char *file = g_build_filename(directory, "qemu.conf", NULL);
    g_autofree char *iommu = g_build_filename(tree, "dev/iommu", NULL);
    g_autofree char *node = g_build_filename(tree, "dev/vfio/devices/vfio0", NULL);
    g_autoptr(virSysfs) fs = virSysfsOpenRoot(tree, NULL);
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    bool root = geteuid() == 0;

    g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
    if (conf)
        g_assert_true(g_file_set_contents(file, conf, -1, NULL));
    g_assert_cmpint(chmod(iommu, 0666), ==, 0);
    g_assert_cmpint(chmod(node, mode), ==, 0);
    *ret_verdicts = viommuHostCheck(topo, fs, NULL, NULL);
    g_ptr_array_set_size(*ret_verdicts, 0);
    if (closed) {
        g_assert_cmpint(chmod(file, 0), ==, 0);
        g_assert_true(!root || setresuid(NOBODY, NOBODY, 0) == 0);
    }
    g_assert_true(viommuHostCheckAccess(*ret_verdicts, topo, fs, record ? NULL : tree, libvirt, NULL));
    if (closed)
        g_assert_true(!root || setresuid(0, 0, 0) == 0);
    testHostRemove(tree);
    return (*ret_verdicts)->len ? g_ptr_array_index(*ret_verdicts, 0) : NULL;
}

static void
testAccess(void)
{
    static const struct {
        const char *lines;
        const char *conf;
        mode_t mode;
        unsigned libvirt;
        bool record;
        int verdict; /* -1: there is no line */
        const char *text;
        const char *hint;
    } some[] = {
        { "", NULL, 0666, 12001, false, -1, NULL, NULL },
        { "", NULL, 0666, 8001, false, -1, NULL, NULL },
        { "", NULL, 0666, 0, false, -1, NULL, NULL },
        { "", NULL, 0666, 12000, false, VIOMMU_VERDICT_FAIL, LACKS, "write into /etc/libvirt/qemu.conf: cgroup_device_acl = [ "
          OWN ", " NODES " ]" },
        { "", "user = \"nobody\"\n" ACL, 0666, 8002, false, VIOMMU_VERDICT_PASS, NULL, "nobody" },
        { "", "user = \"nobody\"\n" ACL, 0660, 11003, false, VIOMMU_VERDICT_FAIL,
          "'nobody', as whom QEMU runs, may not open /dev/vfio/devices/vfio0",
          "give it to 'nobody': by a rule of udev for devices that are bound beforehand, in the hook /etc/libvirt/hooks/qemu at 'start begin' for those that libvirt binds" },
        { "", "user = \"nobody\"\n" ACL, 0664, 11003, false, VIOMMU_VERDICT_FAIL,
          "'nobody', as whom QEMU runs, may not open /dev/vfio/devices/vfio0",
          "give it to 'nobody': by a rule of udev for devices that are bound beforehand, in the hook /etc/libvirt/hooks/qemu at 'start begin' for those that libvirt binds" },
        { "", "user = \"root\"\n" ACL, 0600, 11003, false, VIOMMU_VERDICT_PASS, NULL, "root" },
        { "", "user = \"+0\"\n" ACL, 0, 11003, false, VIOMMU_VERDICT_PASS, NULL, "root" },
        { "", "user = \"0\"\n" ACL, 0600, 11003, false, VIOMMU_VERDICT_PASS, NULL, "root" },
        { "", "user = \"nobody-of-that-name\"\n" ACL, 0666, 11003, false, VIOMMU_VERDICT_NOTE,
          "not known: the user that QEMU runs as is not", "name it in /etc/libvirt/qemu.conf: user = \"NAME\"" },
        { ARMOR, "user = \"root\"\n" ACL, 0666, 11003, false, VIOMMU_VERDICT_WARN,
          "AppArmor confines QEMU, and may not let it",
          "add '/dev/iommu rw,' and '/dev/vfio/devices/* rw,' to /etc/apparmor.d/local/abstractions/libvirt-qemu" },
        { ARMOR, "user = \"root\"\nsecurity_driver = \"none\"\n" ACL, 0666, 11003, false, VIOMMU_VERDICT_PASS, NULL, "root" },
        { NO_ARMOR, "user = \"root\"\n" ACL, 0666, 11003, false, VIOMMU_VERDICT_PASS, NULL, "root" },
        { "", NULL, 0666, 11003, true, VIOMMU_VERDICT_NOTE, "not known: a record has neither qemu.conf nor nodes",
          "run it on that host" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autoptr(GPtrArray) verdicts = NULL;
        const viommuVerdict *verdict =
            judge(&verdicts, some[i].lines, some[i].conf, some[i].mode, some[i].libvirt, some[i].record);

        g_test_message("case %zu", i);
        g_assert_cmpint(verdict ? (int)verdict->verdict : -1, ==, some[i].verdict);
        g_assert_cmpstr(verdict ? verdict->id : "H11", ==, "H11");
        g_assert_cmpstr(verdict ? verdict->text : NULL, ==, some[i].text);
        g_assert_cmpstr(verdict ? verdict->hint : NULL, ==, some[i].hint);
    }
}

/* The nodes are of the group that QEMU runs with. */
static void
testGroup(void)
{
    g_autoptr(GPtrArray) verdicts = NULL;
    g_autofree char *conf = g_strdup_printf("user = \"nobody\"\ngroup = \"+%u\"\n" ACL, (unsigned)getgid());
    const viommuVerdict *verdict = judge(&verdicts, "", conf, 0660, 11003, false);

    g_assert_cmpint(verdict->verdict, ==, VIOMMU_VERDICT_PASS);
}

/* A qemu.conf that cannot be read says nothing: only libvirt's root can on most hosts. */
static void
testUnreadable(void)
{
    g_autofree char *large = g_strnfill(2 * 1024 * 1024, '#');
    g_autoptr(GPtrArray) verdicts = NULL;
    const viommuVerdict *verdict = judge(&verdicts, "", large, 0666, 11003, false);
    uid_t effective = geteuid();

    g_assert_cmpint(verdict->verdict, ==, VIOMMU_VERDICT_NOTE);
    g_assert_true(g_str_has_prefix(verdict->text, "not known: host file 'etc/libvirt/qemu.conf' is larger than "));
    g_clear_pointer(&verdicts, g_ptr_array_unref);
    closed = true;
    verdict = judge(&verdicts, "", ACL, 0666, 11003, false);
    closed = false;
    g_assert_cmpuint(geteuid(), ==, effective);
    g_assert_cmpint(verdict->verdict, ==, VIOMMU_VERDICT_NOTE);
    g_assert_cmpstr(verdict->text, ==, "not known: /etc/libvirt/qemu.conf cannot be read");
    g_assert_cmpstr(verdict->hint, ==, "run it as root");
}

/* Nothing is bound yet: of two devices and a bridge, two may be. */
static void
testUnbound(void)
{
    g_autoptr(virSysfs) fs = testHostParse(
        "sys/class/iommu/" SMMU " -> ../../devices/platform/s/iommu/" SMMU "\n"
        OTHER("0001:00:01.0", "20000") OTHER("0001:00:02.0", "20000") OTHER("0001:00:03.0", "60400"));
    g_autoptr(virSMMUTopology) topo = virSMMUTopologyRead(fs, NULL);
    g_autoptr(GPtrArray) verdicts = viommuHostCheck(topo, fs, NULL, NULL);

    g_ptr_array_set_size(verdicts, 0);
    g_assert_true(viommuHostCheckAccess(verdicts, topo, fs, "/nonexistent", 11003, NULL));
    g_assert_cmpuint(verdicts->len, ==, 1);
    g_assert_cmpstr(((viommuVerdict *)g_ptr_array_index(verdicts, 0))->hint, ==,
                    "write into /etc/libvirt/qemu.conf: cgroup_device_acl = [ " OWN ", " NODES
                    ", \"/dev/vfio/devices/vfio1\" ]");
}

/* Of many devices that are not bound, no more nodes are asked for than a guest has devices. */
static void
testManyUnbound(void)
{
    g_autoptr(GString) lines = g_string_new("sys/class/iommu/" SMMU " -> ../../devices/platform/s/iommu/" SMMU "\n");
    g_autoptr(virSysfs) fs = NULL;
    g_autoptr(virSMMUTopology) topo = NULL;
    g_autoptr(GPtrArray) verdicts = NULL;
    const char *hint;
    unsigned i;

    for (i = 1; i <= 17; i++) {
        g_autofree char *name = g_strdup_printf("0001:00:%02x.0", i);
        g_auto(GStrv) parts = g_strsplit(OTHER("NAME", "20000"), "NAME", -1);
        g_autofree char *text = g_strjoinv(name, parts);

        g_string_append(lines, text);
    }
    fs = testHostParse(lines->str);
    topo = virSMMUTopologyRead(fs, NULL);
    verdicts = viommuHostCheck(topo, fs, NULL, NULL);
    g_ptr_array_set_size(verdicts, 0);
    g_assert_true(viommuHostCheckAccess(verdicts, topo, fs, "/nonexistent", 11003, NULL));
    g_assert_cmpuint(verdicts->len, ==, 1);
    hint = ((viommuVerdict *)g_ptr_array_index(verdicts, 0))->hint;
    g_assert_true(g_str_has_suffix(hint, ", \"/dev/vfio/devices/vfio14\", \"/dev/vfio/devices/vfio15\" ]"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/access/conf", testConf);
    g_test_add_func("/access/nodes", testAccess);
    g_test_add_func("/access/group", testGroup);
    g_test_add_func("/access/unreadable", testUnreadable);
    g_test_add_func("/access/unbound", testUnbound);
    g_test_add_func("/access/many-unbound", testManyUnbound);
    return g_test_run();
}
