/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of clients. What a child counts is in a page that it shares with its parent, and with nobody
 * else: no other child has it.
 */
#include "viommu_clients.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>

typedef struct {
    pid_t child;
    pid_t peer;
    uid_t uid;
    bool readOnly;
    gint64 since; /* seconds since 1970 */
    viommuConnCounts *counts;
} client;

struct viommuClients {
    GPtrArray *all; /* of client, in the order in which they came */
    uint64_t served;
    viommuConnCounts gone; /* of those that have left */
};

static void
clientFree(void *data)
{
    client *one = data;

    viommuClientsDropCounts(one->counts);
    g_free(one);
}

viommuClients *
viommuClientsNew(void)
{
    viommuClients *self = g_new0(viommuClients, 1);

    self->all = g_ptr_array_new_with_free_func(clientFree);
    return self;
}

void
viommuClientsFree(viommuClients *self)
{
    if (!self)
        return;
    g_ptr_array_unref(self->all);
    g_free(self);
}

unsigned
viommuClientsCount(const viommuClients *self)
{
    return self->all->len;
}

unsigned
viommuClientsCountOf(const viommuClients *self, uid_t uid)
{
    unsigned count = 0;
    size_t i;

    for (i = 0; i < self->all->len; i++)
        count += ((client *)g_ptr_array_index(self->all, i))->uid == uid;
    return count;
}

viommuConnCounts *
viommuClientsNewCounts(void)
{
    void *page = mmap(NULL, sizeof(viommuConnCounts), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

void
viommuClientsDropCounts(viommuConnCounts *counts)
{
    munmap(counts, sizeof(*counts));
}

void
viommuClientsKeepCounts(viommuConnCounts *counts)
{
    madvise(counts, sizeof(*counts), MADV_DONTFORK);
}

void
viommuClientsAdd(viommuClients *self, pid_t child, pid_t peer, uid_t uid, bool readOnly,
                 viommuConnCounts *counts)
{
    client *one = g_new0(client, 1);

    one->child = child;
    one->peer = peer;
    one->uid = uid;
    one->readOnly = readOnly;
    one->since = g_get_real_time() / G_USEC_PER_SEC;
    one->counts = counts;
    self->served++;
    g_ptr_array_add(self->all, one);
}

static void
addCounts(viommuConnCounts *sum, const viommuConnCounts *counts)
{
    sum->calls += counts->calls;
    sum->rewritten += counts->rewritten;
    sum->refused += counts->refused;
    sum->toLibvirt += counts->toLibvirt;
    sum->toClient += counts->toClient;
}

bool
viommuClientsRemove(viommuClients *self, pid_t child)
{
    size_t i;

    for (i = 0; i < self->all->len; i++) {
        const client *one = g_ptr_array_index(self->all, i);

        if (one->child != child)
            continue;
        addCounts(&self->gone, one->counts);
        g_ptr_array_remove_index(self->all, (guint)i);
        return true;
    }
    return false;
}

void
viommuClientsSignal(const viommuClients *self, int signal)
{
    size_t i;

    for (i = 0; i < self->all->len; i++)
        kill(((const client *)g_ptr_array_index(self->all, i))->child, signal);
}

char *
viommuClientsFormat(const viommuClients *self)
{
    static const char row[] = " %-8s   %-8s   %-8s   %-6s   %-20s   %-10s   %-9s   %s\n";
    GString *out = g_string_new(NULL);
    viommuConnCounts sum = self->gone;
    size_t rule, i;

    g_string_append_printf(out, row, "PID", "Client", "UID", "Access", "Since", "Calls",
                           "Rewritten", "Refused");
    rule = out->len;
    for (i = 1; i < rule; i++)
        g_string_append_c(out, '-');
    g_string_append_c(out, '\n');
    for (i = 0; i < self->all->len; i++) {
        const client *one = g_ptr_array_index(self->all, i);
        g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc(one->since);
        g_autofree char *since = g_date_time_format(when, "%Y-%m-%dT%H:%M:%SZ");
        g_autofree char *pid = g_strdup_printf("%d", (int)one->child);
        g_autofree char *peer = g_strdup_printf("%d", (int)one->peer);
        g_autofree char *uid = g_strdup_printf("%u", (unsigned)one->uid);
        g_autofree char *calls = g_strdup_printf("%" PRIu64, one->counts->calls);
        g_autofree char *rewritten = g_strdup_printf("%" PRIu64, one->counts->rewritten);
        g_autofree char *refused = g_strdup_printf("%" PRIu64, one->counts->refused);

        g_string_append_printf(out, row, pid, peer, uid, one->readOnly ? "read" : "write", since,
                               calls, rewritten, refused);
        addCounts(&sum, one->counts);
    }
    g_string_append_printf(out,
                           "\n%u connected, %" PRIu64 " served: %" PRIu64 " calls, %" PRIu64
                           " rewritten, %" PRIu64 " refused, %" PRIu64 " bytes to libvirt, %" PRIu64
                           " to clients\n",
                           self->all->len, self->served, sum.calls, sum.rewritten, sum.refused,
                           sum.toLibvirt, sum.toClient);
    return g_string_free(out, FALSE);
}
