/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommud(8): accepts clients, and gives each to a child, which becomes the client before it
 * connects to libvirt. The parent never reads a byte of theirs.
 */
#include "viommu_child.h"
#include "viommu_clients.h"
#include "viommu_listen.h"
#include "viommu_log.h"
#include "viommu_program.h"
#include "viommu_serve.h"
#include "viommu_upstream.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static const char summary[] =
    "Stands between libvirt and its clients, and places the host devices of domains that\n"
    "ask for nested SMMUs.";

/* Children that wait for a client. */
#define SPARES 2

/* How much longer than their own limit children may take to drain. */
#define DRAIN_GRACE 5

static char *configPath;
static gboolean show;

static const GOptionEntry entries[] = {
    { "config", 'f', 0, G_OPTION_ARG_FILENAME, &configPath,
      "read FILE (default: " VIOMMU_SYSCONFDIR "/viommu/viommud.conf, if it is there)", "FILE" },
    { "show", 0, 0, G_OPTION_ARG_NONE, &show, "print the connections of the running service", NULL },
    { 0 },
};

typedef struct {
    /* Not the default one, which is the children's. */
    GMainContext *context;
    viommuConfig *config;
    viommuListen *listen;
    GSource *sources[VIOMMU_LISTEN_COUNT];
    viommuClients *clients;
    GPtrArray *spares; /* of viommuChild: without client yet */
    unsigned processes; /* children of all kinds */
    bool stopping;
} daemonState;

static bool
hasRoom(const daemonState *state, const struct ucred *peer)
{
    if (viommuClientsCount(state->clients) >= state->config->maxClients) {
        viommuLog(LOG_WARNING, "uid %u: closed, as there are max_clients = %u", (unsigned)peer->uid,
                  state->config->maxClients);
        return false;
    }
    if (peer->uid != 0 && state->config->maxClientsPerUser &&
        viommuClientsCountOf(state->clients, peer->uid) >= state->config->maxClientsPerUser) {
        viommuLog(LOG_WARNING, "uid %u: closed, as it has max_clients_per_user = %u",
                  (unsigned)peer->uid, state->config->maxClientsPerUser);
        return false;
    }
    return true;
}

/* Makes the children that wait for clients. */
static gboolean
makeSpares(void *data)
{
    daemonState *state = data;

    while (!state->stopping && state->spares->len < SPARES) {
        viommuChild *child = viommuChildNew(state->config);

        if (!child)
            break;
        state->processes++;
        g_ptr_array_add(state->spares, child);
    }
    return G_SOURCE_REMOVE;
}

static void
giveClient(daemonState *state, int fd, const struct ucred *peer, bool readOnly)
{
    g_autoptr(GSource) later = g_idle_source_new();

    if (!state->spares->len)
        makeSpares(state);
    while (state->spares->len) {
        g_autoptr(viommuChild) child = g_ptr_array_steal_index(state->spares, 0);

        if (!viommuChildGive(child, fd, readOnly))
            continue;
        viommuClientsAdd(state->clients, child->pid, peer->pid, peer->uid, readOnly,
                         g_steal_pointer(&child->counts));
        /* The client does not wait for that. */
        g_source_set_callback(later, makeSpares, state, NULL);
        g_source_attach(later, state->context);
        return;
    }
    viommuLog(LOG_ERR, "uid %u: closed, as no process can be made: %s", (unsigned)peer->uid,
              g_strerror(errno));
}

/* The client still waits, and would wake us at once for ever. */
static void
rest(void)
{
    viommuLog(LOG_ERR, "cannot accept a client: %s; trying again", g_strerror(errno));
    g_usleep(G_USEC_PER_SEC / 10);
}

static gboolean
onClient(int fd, GIOCondition condition, void *data)
{
    daemonState *state = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (client < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
            rest();
        return G_SOURCE_CONTINUE;
    }
    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && hasRoom(state, &peer))
        giveClient(state, client, &peer, fd == state->listen->fds[VIOMMU_LISTEN_RO]);
    close(client);
    return G_SOURCE_CONTINUE;
}

/* Tells who asks; a child does it, as that may not read. */
static gboolean
onAdmin(int fd, GIOCondition condition, void *data)
{
    daemonState *state = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    g_autofree char *text = NULL;
    struct timeval limit = { .tv_sec = DRAIN_GRACE };
    pid_t child;

    if (client < 0)
        return G_SOURCE_CONTINUE;
    text = viommuClientsFormat(state->clients);
    child = fork();
    if (child == 0) {
        size_t left = strlen(text);
        const char *at = text;
        ssize_t n = 1;

        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        for (; left && n > 0; left -= (size_t)n, at += n)
            n = send(client, at, left, MSG_NOSIGNAL);
        _exit(EXIT_SUCCESS);
    }
    state->processes += child > 0;
    close(client);
    return G_SOURCE_CONTINUE;
}

static void
reap(daemonState *state)
{
    int status;
    pid_t child;

    while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
        state->processes--;
        if (WIFSIGNALED(status))
            viommuLog(LOG_ERR, "the process %d of a client ended by signal %d", (int)child,
                      WTERMSIG(status));
        viommuClientsRemove(state->clients, child);
    }
}

static void
closeAll(daemonState *state)
{
    int kind;

    for (kind = 0; kind < VIOMMU_LISTEN_COUNT; kind++) {
        if (state->sources[kind])
            g_source_destroy(state->sources[kind]);
        g_clear_pointer(&state->sources[kind], g_source_unref);
    }
    g_clear_pointer(&state->listen, viommuListenFree);
}

static gboolean
onDrainTimeout(void *data)
{
    daemonState *state = data;

    viommuLog(LOG_WARNING, "ending %u connections that do not end", viommuClientsCount(state->clients));
    viommuClientsSignal(state->clients, SIGKILL);
    return G_SOURCE_REMOVE;
}

static void
stop(daemonState *state)
{
    g_autoptr(GSource) timer = NULL;

    if (state->stopping)
        return;
    state->stopping = true;
    sd_notify(0, "STOPPING=1");
    closeAll(state);
    g_ptr_array_set_size(state->spares, 0);
    viommuClientsSignal(state->clients, SIGTERM);
    timer = g_timeout_source_new_seconds(state->config->drainTimeout + DRAIN_GRACE);
    g_source_set_callback(timer, onDrainTimeout, state, NULL);
    g_source_attach(timer, state->context);
}

/* New connections get what is written by now. Sockets stay where they are. */
static void
reload(daemonState *state)
{
    g_autoptr(viommuConfig) fresh = viommuConfigNew();
    g_autoptr(GError) error = NULL;

    if (!viommuConfigLoad(fresh, configPath, &error)) {
        viommuLog(LOG_ERR, "the configuration stays as it was: %s", error->message);
        return;
    }
    viommuConfigFree(state->config);
    state->config = g_steal_pointer(&fresh);
    g_ptr_array_set_size(state->spares, 0);
    makeSpares(state);
    viommuLog(LOG_INFO, "the configuration was read again");
}

static gboolean
onSignal(int fd, GIOCondition condition, void *data)
{
    daemonState *state = data;
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(state);
        else if (info.ssi_signo == SIGHUP)
            reload(state);
        else
            stop(state);
    }
    return G_SOURCE_CONTINUE;
}

static GSource *
watchFD(daemonState *state, int fd, GUnixFDSourceFunc func)
{
    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);

    g_source_set_callback(source, G_SOURCE_FUNC(func), state, NULL);
    g_source_attach(source, state->context);
    return source;
}

static void
logSockets(const viommuListen *listening)
{
    int kind;

    for (kind = 0; kind < VIOMMU_LISTEN_ADMIN; kind++) {
        g_autofree char *path =
            listening->fds[kind] >= 0 ? viommuUpstreamBoundPath(listening->fds[kind]) : NULL;

        if (path)
            viommuLog(LOG_INFO, "serving on '%s'%s", path,
                      kind == VIOMMU_LISTEN_RO ? ", read-only" : "");
    }
}

static void
run(daemonState *state)
{
    static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP, 0 };
    int signalFD = viommuSignalFD(signals);
    g_autoptr(GSource) source = NULL;
    int kind;

    state->context = g_main_context_new();
    source = watchFD(state, signalFD, onSignal);
    for (kind = 0; kind < VIOMMU_LISTEN_COUNT; kind++) {
        if (state->listen->fds[kind] >= 0)
            state->sources[kind] = watchFD(state, state->listen->fds[kind],
                                           kind == VIOMMU_LISTEN_ADMIN ? onAdmin : onClient);
    }
    if (geteuid() != 0)
        viommuLog(LOG_WARNING, "not started by root: clients of other users cannot be served");
    makeSpares(state);
    sd_notify(0, "READY=1");
    logSockets(state->listen);
    while (!state->stopping || state->processes)
        g_main_context_iteration(state->context, TRUE);
    viommuLog(LOG_INFO, "stopped");
    g_source_destroy(source);
    close(signalFD);
    g_main_context_unref(state->context);
}

/* --show: what the admin socket says. */
static int
showClients(const viommuConfig *config)
{
    g_autofree char *path = viommuListenPath(config, VIOMMU_LISTEN_ADMIN);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char buf[4096];
    ssize_t n;

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        fprintf(stderr, "error: cannot ask viommud at '%s': %s; is it running, and are you root?\n",
                path, g_strerror(errno));
        return VIOMMU_PROGRAM_UNREACHABLE;
    }
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    close(fd);
    return n == 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : VIOMMU_PROGRAM_UNREACHABLE;
}

static void
freeChild(void *data)
{
    viommuChildFree(data);
}

int
main(int argc, char **argv)
{
    daemonState state = { .config = viommuConfigNew() };
    g_autoptr(GError) error = NULL;
    int status;

    if (!viommuProgramBegin("viommud", NULL, summary, entries, &argc, &argv, &status))
        return status;
    if (!viommuConfigLoad(state.config, configPath, &error))
        return viommuProgramFail(VIOMMU_PROGRAM_UNREACHABLE, error->message);
    if (show)
        return showClients(state.config);
    viommuLogOpen("viommud", VIOMMU_LOG_STDERR);
    state.listen = viommuListenOpen(state.config, &error);
    if (!state.listen)
        return viommuProgramFail(VIOMMU_PROGRAM_UNREACHABLE, error->message);
    state.clients = viommuClientsNew();
    state.spares = g_ptr_array_new_with_free_func(freeChild);
    run(&state);
    g_ptr_array_unref(state.spares);
    viommuClientsFree(state.clients);
    viommuConfigFree(state.config);
    return EXIT_SUCCESS;
}
