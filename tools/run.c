/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu run: starts QEMU with what it needs opened, and waits for it.
 */
#include "placed.h"
#include "qemu_viommu_args.h"
#include "qemu_viommu_fds.h"
#include "report.h"
#include "runchild.h"
#include "viommuerror.h"
#include "virvfiobind.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* As viommud's sockets, on a file system that a restart empties. */
#define RUN "/run/viommu"
#define LOCKS RUN "/run"
#define VFIO_DEVICES "/dev/vfio/devices/"

/* How long a node of a device that was bound may take to appear. */
#define NODE_TIME (5 * G_TIME_SPAN_SECOND)

/* A host device of the guest, from its lock to its descriptor. */
typedef struct {
    char *address;
    virVFIOTaken taken;
    bool bound;   /* by us */
    int lock;     /* -1 */
    int fd;       /* -1 */
} runDevice;

typedef struct {
    GPtrArray *devices; /* of runDevice, in the order of the arguments */
    int iommufd;        /* -1 */
} runState;

static void
freeDevice(void *data)
{
    runDevice *dev = data;

    if (dev->fd >= 0)
        close(dev->fd);
    if (dev->lock >= 0)
        close(dev->lock);
    g_free(dev->address);
    virVFIOTakenClear(&dev->taken);
    g_free(dev);
}

/* "WHAT: No such file or directory" */
static bool
fail(GError **error, const char *verb, const char *what)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "cannot %s %s: %s", verb, what, g_strerror(errno));
    return false;
}

/* Takes the lock on @fd, which others that start QEMU with the device take, too. */
static bool
lock(const runDevice *dev, int fd, GError **error)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return fail(error, "lock", dev->address);
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED, "'%s' is taken by another 'viommu run'", dev->address);
    return false;
}

/* Makes @path if it is missing, with @mode whatever the caller's umask is. */
static bool
makeDirectory(const char *path, mode_t mode)
{
    return mkdir(path, mode) == 0 ? chmod(path, mode) == 0 : errno == EEXIST;
}

/* The directory of the locks, and nothing that another user has put there; -1 with @error. */
static int
openLocks(GError **error)
{
    struct stat st;
    int fd;

    /* Others have sockets in the one above. */
    if (!makeDirectory(RUN, 0755) || !makeDirectory(LOCKS, 0700)) {
        fail(error, "make", LOCKS);
        return -1;
    }
    fd = open(LOCKS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid())
        return fd;
    if (fd < 0) {
        fail(error, "open", LOCKS);
    } else {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED, LOCKS " belongs to another user: remove it");
        close(fd);
    }
    return -1;
}

/* Only root can bind, and only binding comes before there is a node that could be locked. */
static bool
lockForBinding(runDevice *dev, GError **error)
{
    int locks = openLocks(error);

    if (locks < 0)
        return false;
    dev->lock = openat(locks, dev->address, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (dev->lock < 0)
        fail(error, "open the lock of", dev->address);
    close(locks);
    return dev->lock >= 0 && lock(dev, dev->lock, error);
}

static bool
bindDevice(runDevice *dev, GError **error)
{
    return lockForBinding(dev, error) && virVFIOBind("", dev->address, &dev->taken, &dev->bound, error);
}

/* The node of the device; it may have to be made by udev first. Free with g_free. */
static char *
findNode(const runDevice *dev, GError **error)
{
    g_autofree char *path = g_strdup_printf("/sys/bus/pci/devices/%s/vfio-dev", dev->address);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = dir ? g_dir_read_name(dir) : NULL;
    g_autofree char *node = name ? g_strconcat(VFIO_DEVICES, name, NULL) : NULL;
    gint64 end = g_get_monotonic_time() + NODE_TIME;

    if (!node) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                    "'%s' is not bound to a VFIO driver: bind it, or let --bind do so", dev->address);
        return NULL;
    }
    while (access(node, F_OK) < 0 && g_get_monotonic_time() < end)
        g_usleep(10000);
    if (access(node, F_OK) == 0)
        return g_steal_pointer(&node);
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                "there is no %s for '%s': the kernel needs CONFIG_VFIO_DEVICE_CDEV, and udev makes it", node,
                dev->address);
    return NULL;
}

static bool
openDevice(runDevice *dev, GError **error)
{
    g_autofree char *node = findNode(dev, error);

    if (!node)
        return false;
    dev->fd = open(node, O_RDWR | O_CLOEXEC);
    return dev->fd < 0 ? fail(error, "open", node) : lock(dev, dev->fd, error);
}

static bool
openAll(runState *state, bool bind, GError **error)
{
    size_t i;

    if (!state->devices->len)
        return true;
    state->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
    if (state->iommufd < 0)
        return fail(error, "open", "/dev/iommu");
    for (i = 0; i < state->devices->len; i++) {
        runDevice *dev = g_ptr_array_index(state->devices, i);

        if ((bind && !bindDevice(dev, error)) || !openDevice(dev, error))
            return false;
    }
    return true;
}

/* What was bound goes back, whatever became of the rest; false if something could not. */
static bool
giveBack(runState *state)
{
    bool good = true;
    size_t i;

    for (i = 0; i < state->devices->len; i++) {
        runDevice *dev = g_ptr_array_index(state->devices, i);
        g_autoptr(GError) error = NULL;

        if (dev->fd >= 0)
            close(dev->fd);
        dev->fd = -1;
        if (!dev->bound || virVFIOGiveBack("", dev->address, &dev->taken, &error))
            continue;
        viommuReport(VIOMMU_SEVERITY_WARNING, error->message);
        good = false;
    }
    return good;
}

static GArray *
listFds(const runState *state)
{
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
    size_t i;

    for (i = 0; i < state->devices->len; i++)
        g_array_append_val(fds, ((runDevice *)g_ptr_array_index(state->devices, i))->fd);
    return fds;
}

static void
findDevices(runState *state, const GPtrArray *argv)
{
    g_autoptr(GPtrArray) addresses = qemuViommuFdDevices(argv);
    size_t i;

    for (i = 0; i < addresses->len; i++) {
        runDevice *dev = g_new0(runDevice, 1);

        dev->address = g_strdup(g_ptr_array_index(addresses, i));
        dev->lock = dev->fd = -1;
        g_ptr_array_add(state->devices, dev);
    }
}

/* The words of the command line; free with g_ptr_array_unref. */
static GPtrArray *
listWords(const GPtrArray *argv, char **more)
{
    GPtrArray *words = g_ptr_array_new();
    size_t i;

    for (i = 0; i < argv->len; i++) {
        const qemuViommuArg *arg = g_ptr_array_index(argv, i);

        g_ptr_array_add(words, (void *)arg->option);
        if (arg->value)
            g_ptr_array_add(words, arg->value);
    }
    for (i = 0; more[i]; i++)
        g_ptr_array_add(words, more[i]);
    g_ptr_array_add(words, NULL);
    return words;
}

static bool
isDaemonize(const char *word)
{
    return g_strcmp0(word, "-daemonize") == 0 || g_strcmp0(word, "--daemonize") == 0;
}

static bool
hasDaemonize(const GPtrArray *argv, char *const *more)
{
    size_t i;

    for (i = 0; i < argv->len; i++) {
        const qemuViommuArg *arg = g_ptr_array_index(argv, i);

        if (isDaemonize(arg->option))
            return true;
    }
    for (; *more; more++) {
        if (isDaemonize(*more))
            return true;
    }
    return false;
}

/* With these QEMU would start, and be something else than was asked for. */
static bool
checkArgs(const GPtrArray *argv, char *const *more, bool bind, GError **error)
{
    g_autofree char *legacy = bind ? qemuViommuFdMissing(argv) : NULL;

    if (legacy)
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                    "'%s' goes through no iommufd, and --bind binds none such: write <iommufd enabled='yes'/>", legacy);
    else if (hasDaemonize(argv, more))
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                            "with -daemonize its devices would be given back while QEMU has them: leave it out");
    else
        return true;
    return false;
}

static viommuExit
startQEMU(const viommuOptions *opts, const viommuInput *input, GPtrArray *argv, char **more, GError **error)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(freeDevice);
    runState state = { devices, -1 };
    g_autoptr(GPtrArray) words = NULL;
    g_autoptr(GArray) fds = NULL;
    int status = VIOMMU_EXIT_UNREACHABLE;

    /* From here on a signal is for QEMU, and waits until there is one: what was bound has to go back. */
    viommuRunCatch();
    findDevices(&state, argv);
    if (openAll(&state, opts->bind, error)) {
        fds = listFds(&state);
        qemuViommuGiveFds(argv, state.iommufd, fds);
        if (state.iommufd >= 0)
            g_array_append_val(fds, state.iommufd);
        words = listWords(argv, more);
        status = viommuRunChild((char **)words->pdata, fds, opts->user,
                                viommuRunMemory(input->dom->memoryBytes, devices->len), error);
    }
    if (state.iommufd >= 0)
        close(state.iommufd);
    /* What is said to nobody does not keep the next one from going back. */
    signal(SIGPIPE, SIG_IGN);
    if (!giveBack(&state) && status == 0)
        status = VIOMMU_EXIT_UNREACHABLE;
    return status;
}

/* What can be known before anything is changed, so that a dry run refuses what the other would. */
static bool
checkHere(const viommuOptions *opts, const GPtrArray *argv, GError **error)
{
    const qemuViommuArg *program = g_ptr_array_index(argv, 0);
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(freeDevice);
    runState state = { devices, -1 };
    size_t i;

    if (!viommuRunCheck(program->option, opts->user, error))
        return false;
    if (opts->bind || !opts->dryRun)
        return true;
    findDevices(&state, argv);
    for (i = 0; i < devices->len; i++) {
        g_autofree char *node = findNode(g_ptr_array_index(devices, i), error);

        if (!node)
            return false;
    }
    return true;
}

static viommuExit
cmdRun(const viommuOptions *opts, char **args, GString *out, GError **error)
{
    g_autoptr(viommuInput) input = viommuInputNew(opts, args[0], error);
    g_autoptr(viommuPlacement) placement = NULL;
    g_autoptr(GPtrArray) argv = NULL;
    g_autofree char *text = NULL;
    viommuExit status;
    char **more = args[1] && strcmp(args[1], "--") == 0 ? args + 2 : args + 1;

    if (!input)
        return VIOMMU_EXIT_UNREACHABLE;
    if (opts->host && !opts->dryRun) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                            "QEMU is started on this machine: leave out --host, or let --dry-run show the command");
        return VIOMMU_EXIT_REFUSED;
    }
    if (!viommuInputLoad(input, error))
        return VIOMMU_EXIT_UNREACHABLE;
    status = viommuInputPlaceAndSay(input, &placement, error);
    if (status != VIOMMU_EXIT_DONE)
        return status;
    argv = viommuInputArgs(input, placement, true, error);
    if (!argv)
        return VIOMMU_EXIT_REFUSED;
    if (!checkArgs(argv, more, opts->bind, error))
        return VIOMMU_EXIT_REFUSED;
    if (!opts->host && !checkHere(opts, argv, error))
        return VIOMMU_EXIT_UNREACHABLE;
    if (!opts->dryRun)
        return startQEMU(opts, input, argv, more, error);
    for (; *more; more++)
        qemuViommuArgsAdd(argv, g_intern_string(*more), NULL);
    text = qemuViommuFormatShell(argv);
    g_string_append(out, text);
    return VIOMMU_EXIT_DONE;
}

const viommuCmd viommuCmdRun = {
    .name = "run",
    .args = "DOMAIN.xml [-- ARG...]",
    .help = "start QEMU with a domain, without libvirt, and wait for it",
    .options = VIOMMU_OPTION_POLICY | VIOMMU_OPTION_QEMU_VERSION | VIOMMU_OPTION_QEMU_DIALECT |
               VIOMMU_OPTION_EMULATOR | VIOMMU_OPTION_PROBE | VIOMMU_OPTION_RUN,
    .minArgs = 1,
    .maxArgs = VIOMMU_ARGS_ANY,
    .run = cmdRun,
};
