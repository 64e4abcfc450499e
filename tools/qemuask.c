/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs an emulator and reads its answers.
 */
#include "qemuask.h"

#include "qemucache.h"
#include "viommuerror.h"
#include "virtext.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A QEMU that is to answer does so in a tenth of a second. */
#define SECONDS 10

/* Of what it says on standard error; the first line is shown. */
#define WORDS_MAX 4096

#define CHUNK 4096

typedef struct {
    GSubprocess *process;
    pid_t group;         /* itself, and the processes that it starts */
    GByteArray *answers; /* standard output */
    GByteArray *words;   /* standard error */
} askRun;

static bool
fail(GError **error, const char *path, const char *why)
{
    g_autoptr(GString) clean = g_string_new(NULL);

    virTextAppendClean(clean, why);
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "emulator '%s': %s", path, clean->str);
    return false;
}

/* In the child, before it becomes the emulator. A signal from the terminal does not reach it then, so that it has to be
 * ended when we are. */
static void
leadGroup(gpointer data)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static GSubprocess *
start(const char *path, GError **error)
{
    static const char *const options[] = { "-S",          "-M",   "none",  "-display", "none", "-nodefaults",
                                           "-no-user-config", "-qmp", "stdio", NULL };
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) local = NULL;
    GSubprocess *process;
    size_t i;

    g_ptr_array_add(argv, absolute);
    for (i = 0; i < G_N_ELEMENTS(options); i++)
        g_ptr_array_add(argv, (char *)options[i]);
    g_subprocess_launcher_set_cwd(launcher, "/");
    g_subprocess_launcher_setenv(launcher, "LC_ALL", "C", TRUE);
    g_subprocess_launcher_set_child_setup(launcher, leadGroup, NULL, NULL);
    process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, &local);
    if (!process)
        fail(error, path, local->message);
    return process;
}

/* A few hundred bytes, which an empty pipe takes at once. An emulator that is gone is told by its answers. */
static void
sendCommands(GSubprocess *process)
{
    int fd = g_unix_output_stream_get_fd(G_UNIX_OUTPUT_STREAM(g_subprocess_get_stdin_pipe(process)));
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    ssize_t n;

    sigaction(SIGPIPE, &ignore, &before);
    do {
        n = write(fd, qemuViommuCapsCommands, strlen(qemuViommuCapsCommands));
    } while (n < 0 && errno == EINTR);
    sigaction(SIGPIPE, &before, NULL);
}

typedef enum {
    READ_MORE,
    READ_END,
    READ_TOO_MUCH,
} readResult;

/* Reads what is there; of standard error what is beyond @limit is dropped. */
static readResult
readSome(int fd, GByteArray *bytes, size_t limit, bool drop)
{
    guint8 chunk[CHUNK];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    size_t room = limit - bytes->len;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? READ_MORE : READ_END;
    if (n == 0)
        return READ_END;
    if ((size_t)n > room && !drop)
        return READ_TOO_MUCH;
    g_byte_array_append(bytes, chunk, (guint)MIN((size_t)n, room));
    return READ_MORE;
}

static int
outputOf(GInputStream *stream)
{
    return g_unix_input_stream_get_fd(G_UNIX_INPUT_STREAM(stream));
}

/* Reads until both ends are closed. NULL, or why that did not come to an end. */
static const char *
readAnswers(askRun *run)
{
    gint64 end = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;
    struct pollfd fds[] = {
        { .fd = outputOf(g_subprocess_get_stdout_pipe(run->process)), .events = POLLIN },
        { .fd = outputOf(g_subprocess_get_stderr_pipe(run->process)), .events = POLLIN },
    };

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        gint64 left = (end - g_get_monotonic_time()) / 1000;
        readResult result;

        if (left <= 0)
            return "does not answer in " G_STRINGIFY(SECONDS) " seconds";
        if (poll(fds, G_N_ELEMENTS(fds), (int)left) < 0) {
            if (errno == EINTR)
                continue;
            return g_strerror(errno);
        }
        if (fds[0].revents) {
            result = readSome(fds[0].fd, run->answers, QEMU_VIOMMU_CAPS_MAX, false);
            if (result == READ_TOO_MUCH)
                return "says more than QEMU would ever say";
            if (result == READ_END)
                fds[0].fd = -1;
        }
        if (fds[1].revents && readSome(fds[1].fd, run->words, WORDS_MAX, true) == READ_END)
            fds[1].fd = -1;
    }
    return NULL;
}

/* Ends all that is left of it. Who has closed both ends is about to exit. */
static void
end(askRun *run, bool kill_group)
{
    if (kill_group && run->group > 0)
        kill(-run->group, SIGKILL);
    g_subprocess_force_exit(run->process);
    g_subprocess_wait(run->process, NULL, NULL);
}

/* The first line that it said on standard error; NULL: nothing. Free with g_free. */
static char *
firstWords(const askRun *run)
{
    size_t len = 0;

    while (len < run->words->len && !strchr("\r\n", run->words->data[len]))
        len++;
    return len ? g_strndup((const char *)run->words->data, len) : NULL;
}

static qemuViommuCaps *
readCaps(const char *path, const askRun *run, GError **error)
{
    g_autoptr(GError) local = NULL;
    const char *text = run->answers->len ? (const char *)run->answers->data : "";
    qemuViommuCaps *caps = qemuViommuCapsParse(text, run->answers->len, &local);
    g_autofree char *words = NULL;

    if (caps)
        return caps;
    words = firstWords(run);
    if (words) {
        g_autofree char *all = g_strdup_printf("%s: %s", local->message, words);

        fail(error, path, all);
    } else {
        fail(error, path, local->message);
    }
    return NULL;
}

/* Runs it; what it answered is in @answers too. */
static qemuViommuCaps *
runEmulator(const char *path, GByteArray *answers, GError **error)
{
    g_autoptr(GByteArray) words = g_byte_array_new();
    askRun run = { .answers = answers, .words = words };
    qemuViommuCaps *caps = NULL;
    const char *id, *why;

    run.process = start(path, error);
    if (!run.process)
        return NULL;
    id = g_subprocess_get_identifier(run.process);
    run.group = id ? (pid_t)g_ascii_strtoll(id, NULL, 10) : 0;
    sendCommands(run.process);
    why = readAnswers(&run);
    end(&run, why != NULL);
    if (why)
        fail(error, path, why);
    else
        caps = readCaps(path, &run, error);
    g_object_unref(run.process);
    return caps;
}

/* A program itself, not a script that starts one. */
static bool
isBinary(const char *path)
{
    char head[2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is = fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head) && memcmp(head, "#!", sizeof(head)) != 0;

    if (fd >= 0)
        close(fd);
    return is;
}

static char *
keyOf(const char *path, GError **error)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        fail(error, path, g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        fail(error, path, "not a file");
        return NULL;
    }
    if (access(path, X_OK) < 0) {
        fail(error, path, g_strerror(errno));
        return NULL;
    }
    return viommuQemuCacheKey(path, &st);
}

/* What an earlier run was answered, if it can be used. */
static qemuViommuCaps *
fromCache(const char *key)
{
    size_t len = 0;
    g_autofree char *text = viommuQemuCacheRead(key, QEMU_VIOMMU_CAPS_MAX, &len);

    return text ? qemuViommuCapsParse(text, len, NULL) : NULL;
}

qemuViommuCaps *
viommuQemuAsk(const char *path, GError **error)
{
    g_autofree char *key = keyOf(path, error);
    bool keep = key && isBinary(path);
    qemuViommuCaps *caps = keep ? fromCache(key) : NULL;
    g_autoptr(GByteArray) answers = NULL;
    g_autofree char *after = NULL;

    if (!key || caps)
        return caps;
    answers = g_byte_array_new();
    caps = runEmulator(path, answers, error);
    after = caps && keep ? keyOf(path, NULL) : NULL;
    if (g_strcmp0(key, after) == 0)
        viommuQemuCacheWrite(key, (const char *)answers->data, answers->len);
    return caps;
}
