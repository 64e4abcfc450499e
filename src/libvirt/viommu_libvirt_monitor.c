/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor of a running domain. libvirt's call has no limit in time and a QEMU that stands still never answers, so
 * it is made in a thread that can be left behind.
 */
#include "viommu_libvirt.h"

#include "viommu_libvirt_priv.h"
#include "viommuerror.h"

#include <string.h>

struct viommuLibvirtMonitor {
    viommuLibvirt *conn; /* borrowed */
    virDomainPtr dom;
    libvirtMonitorCall *monitor; /* NULL: not looked for yet */
};

/* Belongs to two threads; who is the last frees it. */
typedef struct {
    const libvirtCalls *calls;
    libvirtMonitorCall *monitor;
    virDomainPtr dom;
    char *command;
    GMutex lock;
    GCond finished;
    bool done;
    char *answer;
    GError *error;
} monitorCall;

viommuLibvirtMonitor *
viommuLibvirtMonitorOpen(viommuLibvirt *conn, const char *name, GError **error)
{
    g_autoptr(viommuLibvirtMonitor) self = g_new0(viommuLibvirtMonitor, 1);
    int active;

    self->conn = conn;
    if (g_strcmp0(conn->calls->virConnectGetType(conn->conn), "QEMU") != 0) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                            "this libvirt runs no QEMU: connect to one with --connect, such as qemu:///system");
        return NULL;
    }
    self->dom = viommuLibvirtLookup(conn, name, error);
    if (!self->dom)
        return NULL;
    active = conn->calls->virDomainIsActive(self->dom);
    if (active < 0) {
        viommuLibvirtSetError(conn->calls, error, "cannot ask libvirt whether the domain runs");
        return NULL;
    }
    if (active == 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                    "domain '%s' is not running: start it, or give its XML to 'viommu check'", name);
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
viommuLibvirtMonitorFree(viommuLibvirtMonitor *self)
{
    if (!self)
        return;
    if (self->dom && !self->conn->stuck)
        self->conn->calls->virDomainFree(self->dom);
    g_free(self);
}

char *
viommuLibvirtMonitorXML(viommuLibvirtMonitor *self, GError **error)
{
    char *xml = self->conn->calls->virDomainGetXMLDesc(self->dom, 0);

    if (!xml)
        viommuLibvirtSetError(self->conn->calls, error, "cannot read the XML of the domain");
    return xml;
}

static void
freeCall(void *data)
{
    monitorCall *call = data;

    g_mutex_clear(&call->lock);
    g_cond_clear(&call->finished);
    g_free(call->command);
    g_free(call->answer);
    g_clear_error(&call->error);
}

static void *
ask(void *data)
{
    monitorCall *call = data;
    g_autoptr(GError) error = NULL;
    char *answer = NULL;

    if (call->monitor(call->dom, call->command, &answer, VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT) < 0)
        viommuLibvirtSetError(call->calls, &error, "cannot ask QEMU");
    g_mutex_lock(&call->lock);
    call->answer = answer;
    call->error = g_steal_pointer(&error);
    call->done = true;
    g_cond_signal(&call->finished);
    g_mutex_unlock(&call->lock);
    g_atomic_rc_box_release_full(call, freeCall);
    return NULL;
}

/* True once it is done. */
static bool
await(monitorCall *call, unsigned seconds)
{
    gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    bool done;

    g_mutex_lock(&call->lock);
    while (!call->done && g_cond_wait_until(&call->finished, &call->lock, end))
        ;
    done = call->done;
    g_mutex_unlock(&call->lock);
    return done;
}

char *
viommuLibvirtMonitorAsk(viommuLibvirtMonitor *self, const char *command, unsigned seconds, GError **error)
{
    monitorCall *call;
    GThread *thread;
    char *answer = NULL;

    if (!self->monitor)
        self->monitor = libvirtMonitorCallGet(error);
    if (!self->monitor)
        return NULL;
    call = g_atomic_rc_box_new0(monitorCall);
    call->calls = self->conn->calls;
    call->monitor = self->monitor;
    call->dom = self->dom;
    call->command = g_strdup(command);
    g_mutex_init(&call->lock);
    g_cond_init(&call->finished);
    thread = g_thread_new("monitor", ask, g_atomic_rc_box_acquire(call));
    if (await(call, seconds)) {
        g_thread_join(thread);
    } else {
        g_thread_unref(thread);
        self->conn->stuck = true;
    }
    if (self->conn->stuck) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "QEMU's monitor gives no answer in %u seconds", seconds);
    } else if (call->answer) {
        answer = g_steal_pointer(&call->answer);
    } else if (call->error) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, call->error->message);
    } else {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_LIBVIRT, "libvirt gives no answer of QEMU");
    }
    g_atomic_rc_box_release_full(call, freeCall);
    return answer;
}
