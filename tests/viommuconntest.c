/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection between a client and a libvirt that are both played here, byte by byte, where the real ones can
 * not be brought to say it: who hangs up in the middle of what.
 */
#include "viommu_conn.h"
#include "viommu_rpc_message.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Turns of the main loop after which nothing more is to come. */
#define TURNS 200

typedef struct {
    viommuConfig *config;
    viommuConnCounts counts;
    viommuConnOptions options;
    viommuConn *conn;
    int client; /* our ends */
    int libvirt;
} testConn;

static virSysfs *
openNothing(const void *data, GError **error)
{
    g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no host here");
    return NULL;
}

static void
pairOf(int *ret_ours, int *ret_theirs)
{
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
    *ret_ours = pair[0];
    *ret_theirs = pair[1];
}

static void
begin(testConn *test)
{
    int client, libvirt;

    *test = (testConn){ .config = viommuConfigNew() };
    test->options = (viommuConnOptions){ .config = test->config, .client = "test", .counts = &test->counts,
                                         .rewrite = { VIOMMU_POLICY_OFF, openNothing, NULL, NULL } };
    pairOf(&test->client, &client);
    pairOf(&test->libvirt, &libvirt);
    test->conn = viommuConnNew(client, client, libvirt, &test->options);
}

static void
end(testConn *test)
{
    viommuConnFree(test->conn);
    viommuConfigFree(test->config);
    if (test->client >= 0)
        close(test->client);
    if (test->libvirt >= 0)
        close(test->libvirt);
}

static void
turn(void)
{
    int i;

    for (i = 0; i < TURNS; i++)
        g_main_context_iteration(NULL, FALSE);
}

/* libvirt hangs up, and that is the end. */
static void
endByLibvirt(testConn *test)
{
    close(test->libvirt);
    test->libvirt = -1;
    turn();
    g_assert_true(viommuConnIsOver(test->conn));
    end(test);
}

static void
say(int fd, const void *bytes, size_t len)
{
    g_assert_cmpint(send(fd, bytes, len, MSG_NOSIGNAL), ==, (ssize_t)len);
    turn();
}

/* All that has come. */
static GByteArray *
hear(int fd)
{
    GByteArray *out = g_byte_array_new();
    guint8 bytes[4096];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        g_byte_array_append(out, bytes, (guint)n);
    return out;
}

static void
expect(int fd, const void *bytes, size_t len)
{
    g_autoptr(GByteArray) came = hear(fd);

    g_assert_cmpmem(came->data, came->len, bytes, len);
}

/* The header of a message of the program REMOTE. */
#define W(value) (uint8_t)((value) >> 24), (uint8_t)((value) >> 16), (uint8_t)((value) >> 8), (uint8_t)(value)
#define MESSAGE(len, proc, type, serial, status)                                                   \
    W(len), 0x20, 0x00, 0x80, 0x86, W(1), W(proc), W(type), W(serial), W(status)

static const uint8_t call[] = { MESSAGE(28, 66, 0, 1, 0) };
static const uint8_t reply[] = { MESSAGE(32, 66, 1, 1, 0), W(0) };

/* A definition that asks, and is refused, as nothing can be read of the host. */
static GByteArray *
askingCall(uint32_t serial)
{
    static const char xml[] = "<domain><devices><iommu model='smmuv3' nested='yes'/></devices></domain>";

    return viommuRPCQuestionName(11, serial, xml);
}

static void
testPasses(void)
{
    testConn test;

    begin(&test);
    say(test.client, call, 10);
    expect(test.libvirt, NULL, 0); /* a header tells nothing before it is whole */
    say(test.client, call + 10, sizeof(call) - 10);
    expect(test.libvirt, call, sizeof(call));
    say(test.libvirt, reply, sizeof(reply));
    expect(test.client, reply, sizeof(reply));
    g_assert_cmpuint(test.counts.calls, ==, 1);
    g_assert_false(viommuConnIsOver(test.conn));
    endByLibvirt(&test);
}

/* The client hangs up: libvirt hears that, and its last words are not lost. */
static void
testClientEnds(void)
{
    testConn test;
    char byte;

    begin(&test);
    say(test.client, call, sizeof(call));
    shutdown(test.client, SHUT_WR);
    turn();
    expect(test.libvirt, call, sizeof(call));
    g_assert_cmpint(recv(test.libvirt, &byte, 1, 0), ==, 0);
    g_assert_false(viommuConnIsOver(test.conn));
    say(test.libvirt, reply, sizeof(reply));
    expect(test.client, reply, sizeof(reply));
    end(&test);
}

static void
testRefused(void)
{
    g_autoptr(GByteArray) asking = askingCall(7);
    g_autoptr(GByteArray) came = NULL;
    viommuRPCAnswer answer;
    testConn test;

    begin(&test);
    say(test.client, asking->data, asking->len);
    came = hear(test.client);
    g_assert_cmpuint(viommuRPCHeaderRead(came->data, came->len).serial, ==, 7);
    answer = viommuRPCAnswerRead(came->data, came->len);
    g_assert_cmpstr(answer.message, ==, "viommu: no host here");
    viommuRPCAnswerClear(&answer);
    expect(test.libvirt, NULL, 0);
    say(test.client, call, sizeof(call));
    expect(test.libvirt, call, sizeof(call));
    end(&test);
}

/* An answer of ours waits for the end of a message, which never comes. */
static void
testLibvirtEndsInMessage(void)
{
    g_autoptr(GByteArray) asking = askingCall(7);
    testConn test;

    begin(&test);
    say(test.libvirt, reply, 30);
    expect(test.client, reply, 30);
    say(test.client, asking->data, asking->len);
    expect(test.client, NULL, 0);
    g_assert_false(viommuConnIsOver(test.conn));
    endByLibvirt(&test);
}

/* The same, and the message ends: the answer stands behind it. */
static void
testAnswerBehindMessage(void)
{
    g_autoptr(GByteArray) asking = askingCall(7);
    g_autoptr(GByteArray) came = NULL;
    testConn test;

    begin(&test);
    say(test.libvirt, reply, 30);
    say(test.client, asking->data, asking->len);
    say(test.libvirt, reply + 30, 2);
    came = hear(test.client);
    g_assert_cmpuint(came->len, >, sizeof(reply) + 28);
    g_assert_cmpmem(came->data, sizeof(reply), reply, sizeof(reply));
    g_assert_cmpuint(viommuRPCHeaderRead(came->data + sizeof(reply), 28).serial, ==, 7);
    end(&test);
}

/* More refusals than a client reads at once: it gets them all. */
static void
testManyRefused(void)
{
    g_autoptr(GByteArray) came = g_byte_array_new();
    testConn test;
    guint at = 0, sent = 0, answers = 0;

    begin(&test);
    while (answers < 6000) {
        g_autoptr(GByteArray) part = NULL;

        while (sent < 6000) {
            g_autoptr(GByteArray) asking = askingCall(sent);

            if (send(test.client, asking->data, asking->len, MSG_NOSIGNAL) != (ssize_t)asking->len)
                break;
            sent++;
        }
        turn();
        part = hear(test.client);
        g_assert_cmpuint(part->len, >, 0);
        g_byte_array_append(came, part->data, part->len);
        for (; came->len - at >= 28; answers++) {
            viommuRPCHeader header = viommuRPCHeaderRead(came->data + at, came->len - at);

            if (header.len > came->len - at)
                break;
            g_assert_cmpuint(header.serial, ==, answers);
            at += header.len;
        }
    }
    end(&test);
}

/* A client that says no more, and begins to listen only then: the call behind more refusals than are kept for it
 * still reaches libvirt, which is told of no more only behind that. */
static void
testClientEndsUnanswered(void)
{
    static const guint refused = 1500;
    g_autoptr(GByteArray) came = g_byte_array_new();
    g_autoptr(GByteArray) passed = NULL;
    testConn test;
    guint8 byte;
    guint i, at, answers = 0;

    begin(&test);
    for (i = 0; i < refused; i++) {
        g_autoptr(GByteArray) asking = askingCall(i);

        say(test.client, asking->data, asking->len);
    }
    say(test.client, call, sizeof(call));
    shutdown(test.client, SHUT_WR);
    turn();
    expect(test.libvirt, NULL, 0);
    for (i = 0; i < 20; i++) {
        g_autoptr(GByteArray) part = hear(test.client);

        g_byte_array_append(came, part->data, part->len);
        turn();
    }
    for (at = 0; at < came->len; at += viommuRPCHeaderRead(came->data + at, came->len - at).len)
        answers++;
    g_assert_cmpuint(answers, ==, refused);
    passed = hear(test.libvirt);
    g_assert_cmpmem(passed->data, passed->len, call, sizeof(call));
    g_assert_cmpint(recv(test.libvirt, &byte, 1, 0), ==, 0);
    end(&test);
}

/* A drain lets the reply of a call through, passes no further call, and ends. */
static void
testDrain(void)
{
    testConn test;

    begin(&test);
    say(test.client, call, sizeof(call));
    expect(test.libvirt, call, sizeof(call));
    viommuConnDrain(test.conn);
    g_assert_false(viommuConnIsOver(test.conn));
    say(test.client, call, sizeof(call));
    expect(test.libvirt, NULL, 0);
    say(test.libvirt, reply, sizeof(reply));
    expect(test.client, reply, sizeof(reply));
    g_assert_true(viommuConnIsOver(test.conn));
    end(&test);
}

/* A descriptor goes with its byte, and with none other. */
static void
testDescriptor(void)
{
    static const uint8_t open[] = { MESSAGE(32, 443, 4, 3, 0), W(1) };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char byte = 0;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    int zero = 0, received = -1;
    guint8 bytes[sizeof(open)];
    testConn test;

    begin(&test);
    say(test.client, open, sizeof(open));
    zero = fcntl(test.client, F_DUPFD_CLOEXEC, 0);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &zero, sizeof(int));
    g_assert_cmpint(sendmsg(test.client, &msg, MSG_NOSIGNAL), ==, 1);
    close(zero);
    turn();
    g_assert_cmpint(recv(test.libvirt, bytes, sizeof(bytes), 0), ==, sizeof(open));
    g_assert_cmpmem(bytes, sizeof(bytes), open, sizeof(open));
    memset(&control, 0, sizeof(control));
    msg.msg_controllen = sizeof(control.bytes);
    g_assert_cmpint(recvmsg(test.libvirt, &msg, MSG_CMSG_CLOEXEC), ==, 1);
    head = CMSG_FIRSTHDR(&msg);
    if (head)
        memcpy(&received, CMSG_DATA(head), sizeof(int));
    g_assert_cmpint(received, >=, 0);
    close(received);
    /* Without one where one is announced, there is no going on. */
    say(test.client, open, sizeof(open));
    say(test.client, "", 1);
    g_assert_true(viommuConnIsOver(test.conn));
    end(&test);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/conn/passes", testPasses);
    g_test_add_func("/conn/client-ends", testClientEnds);
    g_test_add_func("/conn/refused", testRefused);
    g_test_add_func("/conn/libvirt-ends-in-message", testLibvirtEndsInMessage);
    g_test_add_func("/conn/answer-behind-message", testAnswerBehindMessage);
    g_test_add_func("/conn/many-refused", testManyRefused);
    g_test_add_func("/conn/client-ends-unanswered", testClientEndsUnanswered);
    g_test_add_func("/conn/drain", testDrain);
    g_test_add_func("/conn/descriptor", testDescriptor);
    return g_test_run();
}
