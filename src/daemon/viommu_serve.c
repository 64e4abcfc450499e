/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serving one client.
 */
#include "viommu_serve.h"

#include "viommu_end.h"
#include "viommu_rpc_message.h"
#include "viommu_sysfs.h"
#include "viommu_upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How long a message is waited for awake: what a small call takes libvirt, and some more. */
#define SPIN_USEC 200

/* How long a client that cannot be served is listened to. */
#define TELL_MSEC 5000

int
viommuSignalFD(const int *signals)
{
    sigset_t set;

    sigemptyset(&set);
    for (; *signals; signals++)
        sigaddset(&set, *signals);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static virSysfs *
openHost(const void *data, GError **error)
{
    return viommuSysfsOpen(data, "/", error);
}

/* The kernel counts what it announces to udev: devices that come and go, and drivers that are bound
 * (lib/kobject_uevent.c). */
static char *
markHost(void)
{
    char *count = NULL;

    g_file_get_contents("/sys/kernel/uevent_seqnum", &count, NULL, NULL);
    return count;
}

viommuRewriteContext
viommuServeRewrites(const viommuConfig *config)
{
    return (viommuRewriteContext){ config->policy, openHost, markHost, config };
}

static gboolean
onSignal(int fd, GIOCondition condition, void *data)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) == sizeof(info))
        viommuConnDrain(data);
    return G_SOURCE_CONTINUE;
}

static bool
setNonBlocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Waits a moment without sleeping; true if something has come. */
static bool
spin(void)
{
    gint64 end = g_get_monotonic_time() + SPIN_USEC;

    do {
        if (g_main_context_iteration(NULL, FALSE))
            return true;
        sched_yield();
    } while (g_get_monotonic_time() < end);
    return false;
}

/* Falling asleep and being woken takes longer than all else that is done for a call, so that the next message is first
 * waited for awake, as long as the last one from that side came soon. Whoever else wants the processor gets it
 * meanwhile. */
static void
loop(const viommuConn *conn)
{
    bool soon[2] = { false, false }; /* the next call, and the reply to one */

    while (!viommuConnIsOver(conn)) {
        gint64 begin = g_get_monotonic_time();
        bool *side = &soon[viommuConnAwaitsReply(conn)];

        if (*side && spin())
            continue;
        g_main_context_iteration(NULL, TRUE);
        *side = !viommuConnIsBulk(conn) && g_get_monotonic_time() - begin < SPIN_USEC;
    }
}

/* Reads what comes until @end; false if nothing does. */
static bool
await(viommuEnd *client, gint64 end)
{
    struct pollfd fd = { .fd = client->in, .events = POLLIN };
    gint64 left = (end - g_get_monotonic_time()) / 1000;

    if (!viommuEndWantsMore(client) || left <= 0 || poll(&fd, 1, (int)left) <= 0)
        return false;
    viommuEndFill(client);
    return true;
}

/* Tells the client why it cannot be served: as the answer to its first call, as it hears nothing else. */
static void
tellClient(int clientIn, int clientOut, const char *why)
{
    g_autoptr(viommuEnd) client = viommuEndNew(clientIn, clientOut);
    g_autoptr(GByteArray) reply = NULL;
    gint64 end = g_get_monotonic_time() + TELL_MSEC * 1000;
    viommuRPCHeader call;

    while (viommuEndLen(client) < VIOMMU_RPC_START_BYTES) {
        if (!await(client, end))
            return;
    }
    call = viommuRPCHeaderRead(viommuEndBytes(client), viommuEndLen(client));
    reply = viommuRPCErrorReply(&call, VIOMMU_RPC_ERR_SYSTEM_ERROR, why);
    viommuEndSend(client, reply->data, reply->len, -1);
    /* It hangs up when it has read that. */
    do {
        viommuEndDrop(client, viommuEndLen(client));
    } while (await(client, end));
}

bool
viommuServe(int clientIn, int clientOut, bool readOnly, const viommuConnOptions *options,
            GError **error)
{
    static const int signals[] = { SIGTERM, SIGINT, 0 };
    g_autoptr(GError) local = NULL;
    int libvirt = viommuUpstreamConnect(options->config, readOnly, clientIn, &local);
    int signalFD;
    g_autoptr(viommuConn) conn = NULL;

    if (libvirt < 0) {
        tellClient(clientIn, clientOut, local->message);
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    signalFD = viommuSignalFD(signals);
    if (signalFD < 0 || !setNonBlocking(clientIn) ||
        (clientOut != clientIn && !setNonBlocking(clientOut))) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot serve: %s",
                    g_strerror(errno));
        close(libvirt);
        return false;
    }
    conn = viommuConnNew(clientIn, clientOut, libvirt, options);
    g_unix_fd_add(signalFD, G_IO_IN, onSignal, conn);
    loop(conn);
    close(signalFD);
    return true;
}
