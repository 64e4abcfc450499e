/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes to sysfs. The kernel answers each write once it is done.
 */
#include "virvfiobind.h"

#include "viommuerror.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PCI "/sys/bus/pci/"

/* The driver that is bound for a guest. */
#define DRIVER "vfio-pci"

/* Writes @text to @path in one piece, as sysfs wants it. */
static bool
writeText(const char *path, const char *text, GError **error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));
    int saved = errno;

    if (fd >= 0)
        close(fd);
    if (written == (ssize_t)strlen(text))
        return true;
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "cannot write %s: %s", path,
                written < 0 ? g_strerror(saved) : "it took a part only");
    return false;
}

static char *
devicePath(const char *root, const char *address, const char *name)
{
    return g_strconcat(root, PCI "devices/", address, "/", name, NULL);
}

static bool
writeDevice(const char *root, const char *address, const char *name, const char *text, GError **error)
{
    g_autofree char *path = devicePath(root, address, name);

    return writeText(path, text, error);
}

/* The name of the driver that it is bound to, or NULL. Free with g_free. */
static char *
readDriver(const char *root, const char *address)
{
    g_autofree char *path = devicePath(root, address, "driver");
    g_autofree char *target = g_file_read_link(path, NULL);

    return target ? g_path_get_basename(target) : NULL;
}

static bool
isVFIO(const char *root, const char *address)
{
    g_autofree char *path = devicePath(root, address, "vfio-dev");

    return g_file_test(path, G_FILE_TEST_IS_DIR);
}

static bool
unbind(const char *root, const char *address, GError **error)
{
    g_autofree char *driver = readDriver(root, address);

    return !driver || writeDevice(root, address, "driver/unbind", address, error);
}

static bool
probe(const char *root, const char *address, GError **error)
{
    g_autofree char *path = g_strconcat(root, PCI "drivers_probe", NULL);

    return writeText(path, address, error);
}

/* The kernel shows none as "(null)". Free with g_free. */
static char *
readOverride(const char *root, const char *address)
{
    g_autofree char *path = devicePath(root, address, "driver_override");
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return g_strdup("");
    g_strchomp(text);
    return g_strdup(strcmp(text, "(null)") == 0 ? "" : text);
}

void
virVFIOTakenClear(virVFIOTaken *taken)
{
    g_clear_pointer(&taken->driver, g_free);
    g_clear_pointer(&taken->override, g_free);
}

bool
virVFIOBind(const char *root, const char *address, virVFIOTaken *ret_taken, bool *ret_bound, GError **error)
{
    virVFIOTaken taken = { NULL, NULL };
    g_autoptr(GError) local = NULL;
    g_autoptr(GError) undone = NULL;

    *ret_taken = taken;
    *ret_bound = false;
    if (isVFIO(root, address))
        return true;
    taken.driver = readDriver(root, address);
    taken.override = readOverride(root, address);
    *ret_taken = taken;
    if (!writeDevice(root, address, "driver_override", DRIVER "\n", error))
        return false;
    if (unbind(root, address, &local) && probe(root, address, &local) && isVFIO(root, address)) {
        *ret_bound = true;
        return true;
    }
    if (!local)
        g_set_error(&local, VIOMMU_ERROR, VIOMMU_ERROR_HOST,
                    DRIVER " does not take '%s': load the module '" DRIVER "'", address);
    if (!virVFIOGiveBack(root, address, &taken, &undone)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "%s; and giving it back failed, too: %s", local->message,
                    undone->message);
        return false;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return false;
}

/* It is offered to what its driver_override names, and so to vfio-pci no more. */
bool
virVFIOGiveBack(const char *root, const char *address, const virVFIOTaken *taken, GError **error)
{
    const char *driver = taken->driver;
    g_autofree char *override = g_strconcat(taken->override ? taken->override : "", "\n", NULL);
    g_autofree char *now = NULL;

    if (!writeDevice(root, address, "driver_override", override, error))
        return false;
    now = readDriver(root, address);
    if (g_strcmp0(now, driver) == 0)
        return true;
    if (!unbind(root, address, error) || (driver && !probe(root, address, error)))
        return false;
    g_free(now);
    now = readDriver(root, address);
    if (g_strcmp0(now, driver) == 0)
        return true;
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "'%s' was bound to %s, and now to %s", address,
                driver ? driver : "no driver", now ? now : "none");
    return false;
}
