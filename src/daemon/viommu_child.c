/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a child does.
 */
#include "viommu_child.h"

#include "viommu_clients.h"
#include "viommu_log.h"
#include "viommu_serve.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

/* Where the child has its channel, above standard error; all else of its parent's is closed. */
#define CHANNEL_FD 3

/* Who is not root cannot give up groups, so that it may have none that the client has not. */
static bool
hasNoOtherGroup(const gid_t *theirs, size_t count, gid_t primary)
{
    gid_t ours[NGROUPS_MAX / 64];
    int n = getgroups(G_N_ELEMENTS(ours), ours);
    size_t j;
    int i;

    for (i = 0; i < n; i++) {
        for (j = 0; j < count && theirs[j] != ours[i]; j++)
            ;
        if (j == count && ours[i] != primary) {
            errno = EPERM;
            return false;
        }
    }
    return n >= 0;
}

/* Gives up all that the client does not have. */
static bool
becomeClient(int fd, const struct ucred *peer)
{
    gid_t few[64];
    socklen_t len = sizeof(few);
    g_autofree gid_t *many = NULL;
    gid_t *groups = few;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &len) < 0) {
        if (errno != ERANGE)
            return false;
        groups = many = g_malloc(len);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, many, &len) < 0)
            return false;
    }
    if (geteuid() == 0 ? setgroups(len / sizeof(gid_t), groups) < 0
                       : !hasNoOtherGroup(groups, len / sizeof(gid_t), peer->gid))
        return false;
    return setresgid(peer->gid, peer->gid, peer->gid) == 0 &&
           setresuid(peer->uid, peer->uid, peer->uid) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* Waits for a client; -1: there will be none. */
static int
receiveClient(bool *ret_readOnly)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char flag;
    struct iovec iov = { &flag, 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *head;
    int fd;

    if (recvmsg(CHANNEL_FD, &msg, MSG_CMSG_CLOEXEC) != 1)
        return -1;
    head = CMSG_FIRSTHDR(&msg);
    if (!head)
        return -1;
    memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    *ret_readOnly = flag;
    return fd;
}

/* Serves the client on @fd; returns the exit status. */
static int
serve(const viommuConfig *config, viommuConnCounts *counts, int fd, bool readOnly, pid_t parent)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    g_autofree char *client = NULL;
    viommuConnOptions options = { .config = config, .counts = counts,
                                  .rewrite = viommuServeRewrites(config) };
    g_autoptr(GError) error = NULL;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || !becomeClient(fd, &peer)) {
        viommuLog(LOG_ERR, "cannot take the client's identity: %s", g_strerror(errno));
        return EXIT_FAILURE;
    }
    /* Changing the identity has cleared it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        return EXIT_FAILURE;
    client = g_strdup_printf("uid %u", (unsigned)peer.uid);
    options.client = client;
    if (viommuServe(fd, fd, readOnly, &options, &error))
        return EXIT_SUCCESS;
    viommuLog(LOG_ERR, "%s: %s", client, error->message);
    return EXIT_FAILURE;
}

G_GNUC_NORETURN static void
runChild(const viommuConfig *config, viommuConnCounts *counts, int channel, pid_t parent)
{
    bool readOnly = false;
    int fd;

    if (dup2(channel, CHANNEL_FD) < 0 || close_range(CHANNEL_FD + 1, ~0u, 0) < 0)
        _exit(EXIT_FAILURE);
    g_main_context_default();
    fd = receiveClient(&readOnly);
    close(CHANNEL_FD);
    _exit(fd < 0 ? EXIT_SUCCESS : serve(config, counts, fd, readOnly, parent));
}

viommuChild *
viommuChildNew(const viommuConfig *config)
{
    g_autoptr(viommuChild) self = g_new0(viommuChild, 1);
    int pair[2];

    self->channel = -1;
    self->counts = viommuClientsNewCounts();
    if (!self->counts || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return NULL;
    self->channel = pair[0];
    self->pid = fork();
    if (self->pid == 0)
        runChild(config, self->counts, pair[1], getppid());
    close(pair[1]);
    if (self->pid < 0)
        return NULL;
    viommuClientsKeepCounts(self->counts);
    return g_steal_pointer(&self);
}

bool
viommuChildGive(viommuChild *self, int fd, bool readOnly)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char flag = readOnly;
    struct iovec iov = { &flag, 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    return sendmsg(self->channel, &msg, MSG_NOSIGNAL) == 1;
}

void
viommuChildFree(viommuChild *self)
{
    if (!self)
        return;
    if (self->channel >= 0)
        close(self->channel);
    if (self->counts)
        viommuClientsDropCounts(self->counts);
    g_free(self);
}
