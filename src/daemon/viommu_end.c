/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading and writing the ends of a connection.
 */
#include "viommu_end.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors that may be waiting. libvirt sends at most 32 with a message, each with a byte of its own, and a read
 * gives those of one byte. */
#define FDS_WAITING 64

/* What is left of a message is moved to the front if there is less room than this behind it. */
#define READ_MIN (64 * 1024)

/* The bytes of the read that gave a descriptor, from the beginning of the connection. It belongs to one of them; of
 * libvirt's own to the last. */
typedef struct {
    uint64_t first;
    uint64_t last;
    int fd;
} viommuEndFD;

static bool
isSocket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

viommuEnd *
viommuEndNew(int in, int out)
{
    viommuEnd *self = g_new0(viommuEnd, 1);
    self->in = in;
    self->out = out;
    self->inIsSocket = isSocket(in);
    self->outIsSocket = isSocket(out);
    self->bytes = g_malloc(VIOMMU_END_BYTES);
    self->fds = g_array_new(FALSE, FALSE, sizeof(viommuEndFD));
    return self;
}

void
viommuEndFree(viommuEnd *self)
{
    if (!self)
        return;
    viommuEndDrop(self, viommuEndLen(self));
    close(self->in);
    if (self->out != self->in)
        close(self->out);
    g_array_unref(self->fds);
    g_free(self->bytes);
    g_free(self);
}

bool
viommuEndWantsMore(const viommuEnd *self)
{
    return !self->eof && viommuEndLen(self) < VIOMMU_END_BYTES && self->fds->len < FDS_WAITING;
}

/* The descriptor in a control message. Where it has several, there was room for one, and that is closed: libvirt sends
 * them one by one. */
static int
receivedFD(struct msghdr *msg)
{
    struct cmsghdr *control;
    int fd;

    for (control = CMSG_FIRSTHDR(msg); control; control = CMSG_NXTHDR(msg, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS ||
            control->cmsg_len < CMSG_LEN(sizeof(fd)))
            continue;
        memcpy(&fd, CMSG_DATA(control), sizeof(fd));
        if (!(msg->msg_flags & MSG_CTRUNC))
            return fd;
        close(fd);
    }
    return -1;
}

static ssize_t
receive(viommuEnd *self, int *ret_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { self->bytes + self->end, VIOMMU_END_BYTES - self->end };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (!self->inIsSocket)
        return read(self->in, iov.iov_base, iov.iov_len);
    /* Not CMSG_SPACE: its padding is room for a second one. */
    msg.msg_control = control.bytes;
    msg.msg_controllen = CMSG_LEN(sizeof(int));
    n = recvmsg(self->in, &msg, MSG_CMSG_CLOEXEC);
    if (n > 0)
        *ret_fd = receivedFD(&msg);
    return n;
}

void
viommuEndFill(viommuEnd *self)
{
    viommuEndFD item = { .fd = -1 };
    ssize_t n;

    if (self->begin && VIOMMU_END_BYTES - self->end < READ_MIN) {
        memmove(self->bytes, self->bytes + self->begin, viommuEndLen(self));
        self->end -= self->begin;
        self->begin = 0;
    }
    do {
        n = receive(self, &item.fd);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        self->eof = true;
        return;
    }
    item.first = self->taken + viommuEndLen(self);
    item.last = item.first + (uint64_t)n - 1;
    self->end += (size_t)n;
    if (item.fd >= 0)
        g_array_append_val(self->fds, item);
}

int
viommuEndPeekFD(const viommuEnd *self)
{
    const viommuEndFD *first = (const viommuEndFD *)(void *)self->fds->data;

    return self->fds->len && first->first <= self->taken ? first->fd : -1;
}

static void
dropFD(viommuEnd *self)
{
    close(g_array_index(self->fds, viommuEndFD, 0).fd);
    g_array_remove_index(self->fds, 0);
}

void
viommuEndDrop(viommuEnd *self, size_t len)
{
    self->begin += len;
    self->taken += len;
    if (self->begin == self->end)
        self->begin = self->end = 0;
    while (self->fds->len && g_array_index(self->fds, viommuEndFD, 0).last < self->taken)
        dropFD(self);
}

void
viommuEndDropFD(viommuEnd *self)
{
    dropFD(self);
    viommuEndDrop(self, 1);
}

static ssize_t
transmit(viommuEnd *self, const uint8_t *bytes, size_t len, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { (void *)bytes, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (!self->outIsSocket)
        return write(self->out, bytes, len);
    if (fd >= 0) {
        struct cmsghdr *head;

        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    }
    return sendmsg(self->out, &msg, MSG_NOSIGNAL);
}

size_t
viommuEndSend(viommuEnd *self, const uint8_t *bytes, size_t len, int fd)
{
    ssize_t n;

    if (self->dead)
        return len;
    do {
        n = transmit(self, bytes, len, fd);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (size_t)n;
    if (errno == EAGAIN)
        return 0;
    self->dead = true;
    if (errno != EPIPE && errno != ECONNRESET)
        self->eof = true;
    return len;
}
