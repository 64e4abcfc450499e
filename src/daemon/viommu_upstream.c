/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connecting to libvirt.
 */
#include "viommu_upstream.h"

#include "viommuerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* remote_sockets.c of libvirt, mode "auto": the modular daemon if it is there, else the monolithic
 * one or virtproxyd. */
static const char *const modular[] = { "/run/libvirt/virtqemud-sock", "/run/libvirt/virtqemud-sock-ro" };
static const char *const monolithic[] = { "/run/libvirt/libvirt-sock", "/run/libvirt/libvirt-sock-ro" };

static char *
upstreamPath(const viommuConfig *config, bool readOnly)
{
    const char *given = readOnly ? config->libvirtSockRO : config->libvirtSock;

    if (given)
        return g_strdup(given);
    if (readOnly && config->libvirtSock)
        return g_strconcat(config->libvirtSock, "-ro", NULL);
    return g_strdup(g_access(modular[readOnly], F_OK) == 0 ? modular[readOnly]
                                                           : monolithic[readOnly]);
}

char *
viommuUpstreamBoundPath(int fd)
{
    struct sockaddr_un addr = { 0 };
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 || addr.sun_family != AF_UNIX ||
        !addr.sun_path[0])
        return NULL;
    return g_strndup(addr.sun_path, sizeof(addr.sun_path));
}

bool
viommuUpstreamLeadsElsewhere(const viommuConfig *config, bool readOnly, int own, GError **error)
{
    g_autofree char *path = upstreamPath(config, readOnly);
    g_autofree char *bound = viommuUpstreamBoundPath(own);
    GStatBuf theirs, ours;

    if (!bound || g_stat(path, &theirs) < 0 || g_stat(bound, &ours) < 0 ||
        theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino)
        return true;
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT,
                "libvirt's socket '%s' is the service's own: set %s in viommud.conf", path,
                readOnly ? "libvirt_sock_ro" : "libvirt_sock");
    return false;
}

int
viommuUpstreamConnect(const viommuConfig *config, bool readOnly, int own, GError **error)
{
    g_autofree char *path = upstreamPath(config, readOnly);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int saved, fd;

    if (!viommuUpstreamLeadsElsewhere(config, readOnly, own, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    saved = errno;

    if (fd >= 0 && strlen(path) >= sizeof(addr.sun_path)) {
        saved = ENAMETOOLONG;
    } else if (fd >= 0) {
        memcpy(addr.sun_path, path, strlen(path) + 1);
        if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
            fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
            return fd;
        saved = errno;
    }
    if (fd >= 0)
        close(fd);
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT,
                "cannot connect to libvirt at '%s': %s; is libvirtd or virtqemud running?", path,
                g_strerror(saved));
    return -1;
}
