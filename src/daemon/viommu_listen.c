/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening.
 */
#include "viommu_listen.h"

#include "viommu_upstream.h"
#include "viommuerror.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* Clients that may wait to be accepted: libvirtd's max_queued_clients is 1000. */
#define BACKLOG 1000

/* For the admin socket: root's alone. */
#define ADMIN_PERMS 0600

static const char *const names[] = {
    [VIOMMU_LISTEN_RW] = "libvirt-sock",
    [VIOMMU_LISTEN_RO] = "libvirt-sock-ro",
    [VIOMMU_LISTEN_ADMIN] = "viommud-admin-sock",
};

char *
viommuListenPath(const viommuConfig *config, viommuListenKind kind)
{
    return g_build_filename(config->sockDir, names[kind], NULL);
}

static bool
failed(GError **error, const char *what, const char *path)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "cannot %s '%s': %s", what, path,
                g_strerror(errno));
    return false;
}

static bool
fillAddress(struct sockaddr_un *addr, const char *path, GError **error)
{
    *addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(addr->sun_path)) {
        errno = ENAMETOOLONG;
        return failed(error, "listen on", path);
    }
    memcpy(addr->sun_path, path, strlen(path) + 1);
    return true;
}

/* Removes a socket that nobody listens on any more. */
static bool
removeStale(const struct sockaddr_un *addr, GError **error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
    int saved = errno;
    GStatBuf st;

    if (fd >= 0)
        close(fd);
    if (result == 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE,
                    "somebody listens on '%s' already: stop it, or set another unix_sock_dir",
                    addr->sun_path);
        return false;
    }
    if (saved == ECONNREFUSED && g_lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        g_unlink(addr->sun_path);
    return true;
}

static bool
setGroup(const viommuConfig *config, const char *path, GError **error)
{
    const struct group *group = getgrnam(config->sockGroup);

    if (!group) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE,
                    "unix_sock_group: there is no group '%s'", config->sockGroup);
        return false;
    }
    return chown(path, (uid_t)-1, group->gr_gid) == 0 || failed(error, "change the group of", path);
}

static bool
make(viommuListen *self, const viommuConfig *config, viommuListenKind kind, GError **error)
{
    unsigned perms = kind == VIOMMU_LISTEN_RW   ? config->rwPerms
                     : kind == VIOMMU_LISTEN_RO ? config->roPerms
                                                : ADMIN_PERMS;
    g_autofree char *path = viommuListenPath(config, kind);
    struct sockaddr_un addr;
    mode_t mask;
    int bound;

    if (!fillAddress(&addr, path, error) || !removeStale(&addr, error))
        return false;
    self->fds[kind] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Nobody gets in before the group is set. */
    mask = umask(0777);
    bound = bind(self->fds[kind], (struct sockaddr *)&addr, sizeof(addr));
    umask(mask);
    if (bound < 0)
        return failed(error, "listen on", path);
    self->paths[kind] = g_steal_pointer(&path);
    if (kind != VIOMMU_LISTEN_ADMIN && config->sockGroup &&
        !setGroup(config, self->paths[kind], error))
        return false;
    if (chmod(self->paths[kind], perms) < 0 || listen(self->fds[kind], BACKLOG) < 0)
        return failed(error, "listen on", self->paths[kind]);
    return true;
}

/* The sockets of viommud*.socket, known by their paths. */
static bool
takePassed(viommuListen *self, GError **error)
{
    int count = sd_listen_fds(1);
    int i, kind;

    for (i = 0; i < count; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        struct sockaddr_un addr = { 0 };
        socklen_t len = sizeof(addr);
        g_autofree char *name = NULL;

        if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && addr.sun_family == AF_UNIX)
            name = g_path_get_basename(addr.sun_path);
        for (kind = 0; kind < VIOMMU_LISTEN_COUNT && g_strcmp0(name, names[kind]) != 0; kind++)
            ;
        if (kind == VIOMMU_LISTEN_COUNT || self->fds[kind] >= 0) {
            g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE,
                        "systemd passes a socket '%s' that nothing is known of", name ? name : "?");
            return false;
        }
        self->fds[kind] = fd;
    }
    return true;
}

static bool
leadElsewhere(const viommuListen *self, const viommuConfig *config, GError **error)
{
    return viommuUpstreamLeadsElsewhere(config, false, self->fds[VIOMMU_LISTEN_RW], error) &&
           viommuUpstreamLeadsElsewhere(config, true, self->fds[VIOMMU_LISTEN_RO], error);
}

viommuListen *
viommuListenOpen(const viommuConfig *config, GError **error)
{
    g_autoptr(viommuListen) self = g_new0(viommuListen, 1);
    int kind;

    for (kind = 0; kind < VIOMMU_LISTEN_COUNT; kind++)
        self->fds[kind] = -1;
    if (!takePassed(self, error))
        return NULL;
    if (g_mkdir_with_parents(config->sockDir, 0755) < 0) {
        failed(error, "make", config->sockDir);
        return NULL;
    }
    /* Where systemd passes one, the others are those that the administrator wants. */
    for (kind = 0; kind < VIOMMU_LISTEN_COUNT; kind++) {
        bool passed = self->fds[VIOMMU_LISTEN_RW] >= 0 && !self->paths[VIOMMU_LISTEN_RW];

        if (self->fds[kind] < 0 && (kind == VIOMMU_LISTEN_ADMIN || !passed) &&
            !make(self, config, (viommuListenKind)kind, error))
            return NULL;
    }
    if (!leadElsewhere(self, config, error))
        return NULL;
    return g_steal_pointer(&self);
}

void
viommuListenFree(viommuListen *self)
{
    int kind;

    if (!self)
        return;
    for (kind = 0; kind < VIOMMU_LISTEN_COUNT; kind++) {
        if (self->paths[kind])
            g_unlink(self->paths[kind]);
        if (self->fds[kind] >= 0)
            close(self->fds[kind]);
        g_free(self->paths[kind]);
    }
    g_free(self);
}
