/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line and the open files of a process.
 */
#include "qemuproc.h"

#include "qemu_viommu_fds.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4096
#define VFIO_DEVICES "/dev/vfio/devices/"

/* Where the libvirt of the system keeps them. */
#define PIDS "/run/libvirt/qemu"

/* Largest command line that is read; Linux lets nobody have a longer one without asking. */
#define CMDLINE_MAX (4 * 1024 * 1024)

/* The words of its command line, each ending with NUL; NULL if it may not be looked at. */
static GByteArray *
readCommandLine(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    guint8 chunk[CHUNK];
    ssize_t n = -1;

    while (fd >= 0 && bytes->len < CMDLINE_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0)
        g_byte_array_append(bytes, chunk, (guint)n);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return NULL;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    return g_steal_pointer(&bytes);
}

/* The address of the device behind descriptor @fd of the process, or NULL. */
static char *
findDevice(pid_t pid, int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int)pid, fd);
    g_autofree char *node = g_file_read_link(path, NULL);
    g_autofree char *link = NULL;
    g_autofree char *device = NULL;

    if (!node || !g_str_has_prefix(node, VFIO_DEVICES))
        return NULL;
    link = g_strdup_printf("/sys/class/vfio-dev/%s/device", node + strlen(VFIO_DEVICES));
    device = g_file_read_link(link, NULL);
    return device ? g_path_get_basename(device) : NULL;
}

bool
viommuProcFindHost(pid_t pid, const char *id, virPCIAddr *ret_host)
{
    g_autoptr(GByteArray) words = pid > 0 ? readCommandLine(pid) : NULL;
    size_t at;

    for (at = 0; words && at < words->len; at += strlen((const char *)words->data + at) + 1) {
        int fd = qemuViommuFdOf((const char *)words->data + at, id);
        g_autofree char *name = fd >= 0 ? findDevice(pid, fd) : NULL;

        if (fd >= 0)
            return name && virPCIAddrParse(name, ret_host);
    }
    return false;
}

pid_t
viommuProcOfDomain(const char *name)
{
    g_autofree char *path = strchr(name, '/') ? NULL : g_strdup_printf(PIDS "/%s.pid", name);
    g_autofree char *text = NULL;
    guint64 pid;

    if (!path || !g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    return g_ascii_string_to_unsigned(g_strstrip(text), 10, 1, G_MAXINT, &pid, NULL) ? (pid_t)pid : 0;
}
