/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines to and from a monitor, each within a time.
 */
#include "qmpsocket.h"

#include "qemu_viommu_json.h"
#include "qemu_viommu_live.h"
#include "viommuerror.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK 65536

/* Events between two answers; a guest makes some, and not that many in the time of one. */
#define EVENTS_MAX 1000

/* Opening brackets of a line. Whoever reads an answer has a limit of its own. */
#define OPENING_MAX 5000

struct viommuQmp {
    int fd;
    GByteArray *pending;
};

void
viommuQmpFree(viommuQmp *qmp)
{
    if (!qmp)
        return;
    if (qmp->fd >= 0)
        close(qmp->fd);
    g_byte_array_unref(qmp->pending);
    g_free(qmp);
}

static bool
fail(GError **error, const char *text)
{
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "QEMU's monitor %s", text);
    return false;
}

/* Waits until the socket is ready for @events; false with @error at @end. */
static bool
await(viommuQmp *qmp, short events, gint64 end, GError **error)
{
    struct pollfd fd = { .fd = qmp->fd, .events = events };

    for (;;) {
        gint64 left = (end - g_get_monotonic_time()) / 1000;
        int n = left > 0 ? poll(&fd, 1, (int)left) : 0;

        if (n > 0)
            return true;
        if (n == 0)
            return fail(error, "gives no answer in time: is another client connected to it?");
        if (errno != EINTR)
            return fail(error, g_strerror(errno));
    }
}

static bool
sendText(viommuQmp *qmp, const char *text, gint64 end, GError **error)
{
    size_t len = strlen(text);

    while (len > 0) {
        ssize_t n = send(qmp->fd, text, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return fail(error, "cannot be written to: it has closed the connection");
        if (n < 0 && !await(qmp, POLLOUT, end, error))
            return false;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return true;
}

/* The next line, without its end. */
static char *
readLine(viommuQmp *qmp, gint64 end, GError **error)
{
    for (;;) {
        const guint8 *newline = qmp->pending->len ? memchr(qmp->pending->data, '\n', qmp->pending->len) : NULL;
        guint8 chunk[CHUNK / 16];
        ssize_t n;

        if (newline) {
            guint len = (guint)(newline - qmp->pending->data);
            char *line = g_strndup((const char *)qmp->pending->data, len);

            g_byte_array_remove_range(qmp->pending, 0, len + 1);
            return line;
        }
        if (qmp->pending->len > QEMU_VIOMMU_ANSWER_MAX) {
            fail(error, "says more than QEMU would ever say");
            return NULL;
        }
        if (!await(qmp, POLLIN, end, error))
            return NULL;
        n = recv(qmp->fd, chunk, sizeof(chunk), 0);
        if (n > 0)
            g_byte_array_append(qmp->pending, chunk, (guint)n);
        else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
            fail(error, "has closed the connection");
            return NULL;
        }
    }
}

/* The next line that is no event: an answer, or what stands in for one. */
static char *
readAnswer(viommuQmp *qmp, gint64 end, GError **error)
{
    unsigned events;

    for (events = 0; events < EVENTS_MAX; events++) {
        g_autofree char *line = readLine(qmp, end, error);
        g_autoptr(JsonNode) node = line ? qemuViommuJsonParse(line, OPENING_MAX) : NULL;

        if (!line)
            return NULL;
        if (!node || !JSON_NODE_HOLDS_OBJECT(node) || !json_object_has_member(json_node_get_object(node), "event"))
            return g_steal_pointer(&line);
    }
    fail(error, "sends events without end");
    return NULL;
}

static bool
connectTo(viommuQmp *qmp, const char *path, GError **error)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(addr.sun_path)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "'%s' is too long for the path of a socket", path);
        return false;
    }
    strcpy(addr.sun_path, path);
    qmp->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (qmp->fd >= 0 && connect(qmp->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return true;
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "cannot connect to '%s': %s", path, g_strerror(errno));
    return false;
}

viommuQmp *
viommuQmpOpen(const char *path, unsigned seconds, GError **error)
{
    g_autoptr(viommuQmp) qmp = g_new0(viommuQmp, 1);
    gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    g_autofree char *greeting = NULL;
    g_autofree char *answer = NULL;
    g_autoptr(JsonNode) node = NULL;

    qmp->pending = g_byte_array_new();
    qmp->fd = -1;
    if (!connectTo(qmp, path, error))
        return NULL;
    greeting = readAnswer(qmp, end, error);
    if (!greeting)
        return NULL;
    node = qemuViommuJsonParse(greeting, OPENING_MAX);
    if (!node || !JSON_NODE_HOLDS_OBJECT(node) || !json_object_has_member(json_node_get_object(node), "QMP")) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "'%s' is no monitor that speaks QMP", path);
        return NULL;
    }
    answer = viommuQmpAsk(qmp, "{\"execute\":\"qmp_capabilities\"}", seconds, error);
    return answer ? g_steal_pointer(&qmp) : NULL;
}

char *
viommuQmpAsk(viommuQmp *qmp, const char *command, unsigned seconds, GError **error)
{
    g_autofree char *line = g_strconcat(command, "\n", NULL);
    gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;

    return sendText(qmp, line, end, error) ? readAnswer(qmp, end, error) : NULL;
}

pid_t
viommuQmpPid(const viommuQmp *qmp)
{
    struct ucred peer = { 0 };
    socklen_t len = sizeof(peer);

    return getsockopt(qmp->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}
