/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads qemu.conf, and looks at the nodes.
 */
#include "hostaccess.h"

#include "hostcheck.h"
#include "viommu_expand.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF "etc/libvirt/qemu.conf"
#define IOMMUFD "/dev/iommu"
#define VFIO_DEVICES "/dev/vfio/devices/"
/* So many nodes are asked for where none is there: a guest seldom has more devices. */
#define UNBOUND_MAX 16

/* More groups of one user are not looked at. */
#define GROUPS_MAX 256

#define TITLE "Checking if QEMU may open '/dev/iommu' and bound devices"

/* The first libvirt that opens them for QEMU, and passes descriptors: "since" of <driver iommufd=> in formatdomain. */
#define LIBVIRT_OPENS 12001u

/* What libvirt's own list has (qemu.conf of 9.0 to 12.8). */
static const char *const defaults[] = { "/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/dev/urandom",
                                        "/dev/ptmx", "/dev/kvm",  "/dev/userfaultfd", NULL };

/* Whom the packages of Debian and Fedora let QEMU run as. */
static const char *const users[] = { "libvirt-qemu", "qemu", NULL };

void
viommuQEMUConfFree(viommuQEMUConf *conf)
{
    if (!conf)
        return;
    g_free(conf->user);
    g_free(conf->group);
    g_strfreev(conf->devices);
    g_free(conf);
}

/* What stands behind "KEY =" at the beginning of a line, the first such, as libvirt reads it; NULL: none does. */
static const char *
findValue(const char *text, const char *key)
{
    const char *at;

    for (at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        const char *value = at + strspn(at, " \t");

        if (!g_str_has_prefix(value, key))
            continue;
        value += strlen(key);
        value += strspn(value, " \t");
        if (*value == '=')
            return value + 1 + strspn(value + 1, " \t");
    }
    return NULL;
}

/* Reads 'TEXT', "TEXT" or """TEXT""", in none of which a character stands for another. Returns what is behind it; NULL
 * with *@ret_text untouched: there is none. */
static const char *
readString(const char *at, char **ret_text)
{
    static const char triple[] = "\"\"\"";
    size_t quotes = !at ? 0 : g_str_has_prefix(at, triple) ? strlen(triple) : *at == '"' || *at == '\'';
    const char *end = NULL;

    if (quotes > 1)
        end = strstr(at + quotes, triple);
    else if (quotes)
        end = at + 1 + strcspn(at + 1, *at == '"' ? "\"\n" : "'\n");
    if (!end || *end != *at)
        return NULL;
    *ret_text = g_strndup(at + quotes, (size_t)(end - at) - quotes);
    return end + quotes;
}

/* Reads [ STRING, ... ], which can go on over lines and end with a comma; NULL: there is none. Free with g_strfreev. */
static char **
readList(const char *at)
{
    static const char blanks[] = " \t\r\n";
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);

    if (!at || *at != '[')
        return NULL;
    for (at++;; at++) {
        char *text = NULL;

        at += strspn(at, blanks);
        if (*at == ']')
            break;
        at = readString(at, &text);
        if (!at)
            return NULL;
        g_ptr_array_add(list, text);
        at += strspn(at, blanks);
        if (*at == ']')
            break;
        if (*at != ',')
            return NULL;
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_steal(list, NULL);
}

viommuQEMUConf *
viommuQEMUConfParse(const char *text)
{
    viommuQEMUConf *conf = g_new0(viommuQEMUConf, 1);
    const char *security = findValue(text, "security_driver");
    g_autofree char *driver = NULL;
    g_auto(GStrv) drivers = readList(security);
    g_auto(GStrv) namespaces = readList(findValue(text, "namespaces"));
    g_auto(GStrv) controllers = readList(findValue(text, "cgroup_controllers"));

    readString(findValue(text, "user"), &conf->user);
    readString(findValue(text, "group"), &conf->group);
    readString(security, &driver);
    conf->devices = readList(findValue(text, "cgroup_device_acl"));
    conf->open = namespaces && !g_strv_contains((const char *const *)namespaces, "mount") && controllers &&
                 !g_strv_contains((const char *const *)controllers, "devices");
    if (driver)
        conf->apparmor = strcmp(driver, "apparmor") == 0;
    else
        conf->apparmor = !drivers || g_strv_contains((const char *const *)drivers, "apparmor");
    return conf;
}

char *
viommuQEMUConfWants(const viommuQEMUConf *conf, char *const *nodes)
{
    const char *const *has = conf->devices ? (const char *const *)conf->devices : defaults;
    g_autoptr(GString) line = g_string_new("cgroup_device_acl = [");
    bool missing = false;
    size_t i;

    for (i = 0; has[i]; i++)
        g_string_append_printf(line, "%s \"%s\"", i ? "," : "", has[i]);
    for (i = 0; nodes[i]; i++) {
        if (g_strv_contains(has, nodes[i]))
            continue;
        missing = true;
        g_string_append_printf(line, "%s \"%s\"", line->str[line->len - 1] == '[' ? "" : ",", nodes[i]);
    }
    g_string_append(line, " ]");
    return missing && !conf->open ? g_string_free(g_steal_pointer(&line), FALSE) : NULL;
}

/* Devices that libvirt binds at start get the lowest numbers, where none is bound. */
static void
addUnbound(GPtrArray *nodes, unsigned unbound)
{
    unsigned number;

    for (number = 0; number < unbound; number++)
        g_ptr_array_add(nodes, g_strdup_printf(VFIO_DEVICES "vfio%u", number));
}

/* The nodes that QEMU is to open: of devices that are bound; where none is, as many as there may be once libvirt has
 * bound some. Free with g_strfreev; NULL only with @error set. */
static char **
listNodes(const virSMMUTopology *topo, virSysfs *fs, GError **error)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(g_free);
    const GPtrArray *devices = virSMMUTopologyDevices(topo);
    unsigned unbound = 0;
    size_t i;

    g_ptr_array_add(nodes, g_strdup(IOMMUFD));
    for (i = 0; i < devices->len; i++) {
        const virSMMUDevice *dev = g_ptr_array_index(devices, i);
        g_autofree char *name = NULL;

        if (dev->bridge || !dev->smmu || dev->smmu->kind != VIR_SMMU_KIND_SMMUV3)
            continue;
        if (!virSMMUDeviceFetchCdev(fs, dev, &name, error))
            return NULL;
        if (name)
            g_ptr_array_add(nodes, g_strconcat(VFIO_DEVICES, name, NULL));
        else
            unbound++;
    }
    if (nodes->len == 1)
        addUnbound(nodes, MIN(unbound, UNBOUND_MAX));
    g_ptr_array_add(nodes, NULL);
    return (char **)g_ptr_array_steal(nodes, NULL);
}

/* The number that "+NUMBER" is, or NUMBER where no name is meant; false: it is none. */
static bool
readId(const char *name, guint64 *ret_id)
{
    return g_ascii_string_to_unsigned(name + (*name == '+'), 10, 0, UINT32_MAX - 1, ret_id, NULL);
}

/* The user that QEMU runs as, or NULL: that is not known. */
static const struct passwd *
findUser(const viommuQEMUConf *conf)
{
    const struct passwd *found = NULL;
    guint64 id;
    size_t i;

    for (i = 0; !conf->user && users[i] && !found; i++)
        found = getpwnam(users[i]);
    if (conf->user && *conf->user != '+')
        found = getpwnam(conf->user);
    return !found && conf->user && readId(conf->user, &id) ? getpwuid((uid_t)id) : found;
}

/* Whether QEMU is in @group: as one of its user's, or as the one that it runs with. */
static bool
isInGroup(const viommuQEMUConf *conf, const struct passwd *user, gid_t group)
{
    const struct group *own = conf->group && *conf->group != '+' ? getgrnam(conf->group) : NULL;
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    guint64 id;
    int i;

    if (own ? own->gr_gid == group : conf->group && readId(conf->group, &id) && id == group)
        return true;
    getgrouplist(user->pw_name, user->pw_gid, groups, &count);
    for (i = 0; i < MIN(count, GROUPS_MAX); i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

/* The first of @nodes below @root that @user may not read and write, or NULL. One that is not there is another
 * line's. */
static const char *
findClosed(const viommuQEMUConf *conf, const char *root, char *const *nodes, const struct passwd *user)
{
    size_t i;

    for (i = 0; nodes[i] && user->pw_uid; i++) {
        g_autofree char *path = g_strconcat(root, nodes[i], NULL);
        struct stat st;
        mode_t mode;

        if (stat(path, &st) < 0)
            continue;
        mode = st.st_uid == user->pw_uid             ? st.st_mode >> 6
               : isInGroup(conf, user, st.st_gid) ? st.st_mode >> 3
                                                     : st.st_mode;
        if ((mode & (S_IROTH | S_IWOTH)) != (S_IROTH | S_IWOTH))
            return nodes[i];
    }
    return NULL;
}

static void
judgeAccess(GPtrArray *verdicts, virSysfs *fs, const char *root, const viommuQEMUConf *conf, char *const *nodes)
{
    g_autofree char *line = viommuQEMUConfWants(conf, nodes);
    g_autofree char *apparmor = virSysfsReadText(fs, "sys/module/apparmor/parameters/enabled", NULL);
    const struct passwd *user = findUser(conf);
    const char *closed = user ? findClosed(conf, root, nodes, user) : NULL;
    g_autofree char *text = NULL;
    g_autofree char *hint = NULL;

    if (line) {
        hint = g_strdup_printf("write into /" CONF ": %s", line);
        viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_FAIL,
                           "libvirt before 12.1 leaves it to QEMU, and cgroup_device_acl does not name them", hint);
    } else if (closed) {
        text = g_strdup_printf("'%s', as whom QEMU runs, may not open %s", user->pw_name, closed);
        hint = g_strdup_printf("give it to '%s': by a rule of udev for devices that are bound beforehand, in the hook "
                               "/etc/libvirt/hooks/qemu at 'start begin' for those that libvirt binds", user->pw_name);
        viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_FAIL, text, hint);
    } else if (!user) {
        viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_NOTE, "not known: the user that QEMU runs as is not",
                           "name it in /" CONF ": user = \"NAME\"");
    } else if (conf->apparmor && g_strcmp0(apparmor, "Y") == 0) {
        viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_WARN, "AppArmor confines QEMU, and may not let it",
                           "add '/dev/iommu rw,' and '/dev/vfio/devices/* rw,' to "
                           "/etc/apparmor.d/local/abstractions/libvirt-qemu");
    } else {
        viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_PASS, NULL, user->pw_name);
    }
}

/* Reads qemu.conf below @root, if there is one; false: what is in it is not known, and @verdicts say so. */
static bool
readConf(GPtrArray *verdicts, virSysfs *fs, const char *root, char **ret_text)
{
    g_autofree char *path = g_build_filename(root, CONF, NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    if (access(path, R_OK) < 0 && errno == EACCES) {
        viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_NOTE, "not known: /" CONF " cannot be read",
                           "run it as root");
        return false;
    }
    if (virSysfsFetchText(fs, CONF, ret_text, &error))
        return true;
    text = g_strdup_printf("not known: %s", error->message);
    viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_NOTE, text, "correct it");
    return false;
}

bool
viommuHostCheckAccess(GPtrArray *verdicts, const virSMMUTopology *topo, virSysfs *fs, const char *root,
                      unsigned libvirt, GError **error)
{
    g_auto(GStrv) nodes = NULL;
    g_autofree char *text = NULL;
    g_autoptr(viommuQEMUConf) conf = NULL;

    if (libvirt >= LIBVIRT_OPENS || libvirt < VIOMMU_LIBVIRT_OVERRIDE)
        return true;
    if (!root) {
        viommuHostCheckAdd(verdicts, "H11", TITLE, VIOMMU_VERDICT_NOTE, "not known: a record has neither qemu.conf nor nodes",
                           "run it on that host");
        return true;
    }
    nodes = listNodes(topo, fs, error);
    if (!nodes)
        return false;
    if (!readConf(verdicts, fs, root, &text))
        return true;
    conf = viommuQEMUConfParse(text);
    judgeAccess(verdicts, fs, root, conf, nodes);
    return true;
}
