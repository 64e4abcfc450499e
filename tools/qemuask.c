/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs an emulator and reads its answers.
 */
#include "qemuask.h"

#include "qemucache.h"
#include "trustfile.h"
#include "viommuerror.h"
#include "virtext.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <grp.h>
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

/* Who has no rights: nobody and nogroup of every distribution, the kernel's overflowuid. */
#define NOBODY 65534

/* What is run. */
typedef struct {
    const char *path; /* as it was named */
    const char *real; /* that is executed, absolute */
    bool named;       /* by a document, not by who runs us: it gets no rights and nothing of our environment */
} askProgram;

/* For the child, before it becomes the emulator. */
typedef struct {
    bool named;
    int report; /* takes errno if that fails; exec closes it */
} askChild;

typedef struct {
    GSubprocess *process;
    pid_t group;         /* itself, and the processes that it starts */
    GByteArray *answers; /* standard output */
    GByteArray *words;   /* standard error */
} askRun;

static bool
failAs(GError **error, int code, const char *path, const char *why)
{
    g_autoptr(GString) clean = g_string_new(NULL);

    virTextAppendClean(clean, why);
    g_set_error(error, VIOMMU_ERROR, code, "emulator '%s': %s", path, clean->str);
    return false;
}

static bool
fail(GError **error, const char *path, const char *why)
{
    return failAs(error, VIOMMU_ERROR_FILE, path, why);
}

/* Ambient capabilities are a service's, say, that is not root; and outlive a change of user where securebits say so. */
static bool
dropRights(void)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return false;
    if (geteuid() != 0)
        return true;
    return setgroups(0, NULL) == 0 &&
           setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* In the child, before it becomes the emulator. It has no terminal then, and a signal from there does not reach it, so
 * that it has to be ended when we are; a change of user would take that back. */
static void
prepare(gpointer data)
{
    const askChild *child = data;

    setsid();
    if (child->named && (!dropRights() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)) {
        int code = errno;

        _exit(write(child->report, &code, sizeof(code)) == sizeof(code) ? 126 : 127);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Without anything of ours, as libvirt starts it. */
static char **
environmentOfNamed(void)
{
    static const char *const words[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };

    return g_strdupv((char **)words);
}

static GSubprocess *
start(const askProgram *program, askChild *child, GError **error)
{
    static const char *const options[] = { "-S",          "-M",   "none",  "-display", "none", "-nodefaults",
                                           "-no-user-config", "-qmp", "stdio", NULL };
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_auto(GStrv) environment = program->named ? environmentOfNamed() : NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) local = NULL;
    GSubprocess *process;
    size_t i;

    g_ptr_array_add(argv, (char *)program->real);
    for (i = 0; i < G_N_ELEMENTS(options); i++)
        g_ptr_array_add(argv, (char *)options[i]);
    g_subprocess_launcher_set_cwd(launcher, "/");
    if (environment)
        g_subprocess_launcher_set_environ(launcher, environment);
    g_subprocess_launcher_setenv(launcher, "LC_ALL", "C", TRUE);
    g_subprocess_launcher_set_child_setup(launcher, prepare, child, NULL);
    process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, &local);
    if (!process)
        failAs(error, program->named ? VIOMMU_ERROR_REFUSED : VIOMMU_ERROR_FILE, program->path, local->message);
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

/* Ends all that is left of it, with what it has started: who has closed both ends has nothing more to say. */
static void
end(askRun *run)
{
    if (run->group > 0)
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

/* Runs it to its end; what it answered is in @answers too. */
static qemuViommuCaps *
runProcess(const askProgram *program, askChild *child, GByteArray *answers, GError **error)
{
    g_autoptr(GByteArray) words = g_byte_array_new();
    askRun run = { .answers = answers, .words = words };
    qemuViommuCaps *caps = NULL;
    const char *id, *why;

    run.process = start(program, child, error);
    if (!run.process)
        return NULL;
    id = g_subprocess_get_identifier(run.process);
    run.group = id ? (pid_t)g_ascii_strtoll(id, NULL, 10) : 0;
    sendCommands(run.process);
    why = readAnswers(&run);
    end(&run);
    if (why)
        fail(error, program->path, why);
    else
        caps = readCaps(program->path, &run, error);
    g_object_unref(run.process);
    return caps;
}

/* The same, and what went wrong before it was the emulator. */
static qemuViommuCaps *
runProgram(const askProgram *program, GByteArray *answers, GError **error)
{
    g_autoptr(GError) local = NULL;
    qemuViommuCaps *caps;
    int report[2], code;
    askChild child;

    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
        failAs(error, VIOMMU_ERROR_REFUSED, program->path, g_strerror(errno));
        return NULL;
    }
    child = (askChild){ program->named, report[1] };
    caps = runProcess(program, &child, answers, &local);
    if (read(report[0], &code, sizeof(code)) == sizeof(code)) {
        g_autofree char *why = g_strdup_printf("not run: cannot take all rights from it: %s", g_strerror(code));

        failAs(error, VIOMMU_ERROR_REFUSED, program->path, why);
    } else if (!caps) {
        g_propagate_error(error, g_steal_pointer(&local));
    }
    close(report[0]);
    close(report[1]);
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
keyOf(const askProgram *program, GError **error)
{
    const char *why = NULL;
    struct stat st;

    if (stat(program->real, &st) < 0)
        why = g_strerror(errno);
    else if (!S_ISREG(st.st_mode))
        why = "not a file";
    else if (access(program->real, X_OK) < 0)
        why = g_strerror(errno);
    if (!why)
        return viommuQemuCacheKey(program->real, &st);
    fail(error, program->path, why);
    return NULL;
}

/* What an earlier run was answered, if it can be used. */
static qemuViommuCaps *
fromCache(const char *key)
{
    size_t len = 0;
    g_autofree char *text = viommuQemuCacheRead(key, QEMU_VIOMMU_CAPS_MAX, &len);

    return text ? qemuViommuCapsParse(text, len, NULL) : NULL;
}

static qemuViommuCaps *
ask(const askProgram *program, GError **error)
{
    g_autofree char *key = keyOf(program, error);
    bool keep = key && isBinary(program->real);
    qemuViommuCaps *caps = keep ? fromCache(key) : NULL;
    g_autoptr(GByteArray) answers = NULL;
    g_autofree char *after = NULL;

    if (!key || caps)
        return caps;
    answers = g_byte_array_new();
    caps = runProgram(program, answers, error);
    after = caps && keep ? keyOf(program, NULL) : NULL;
    if (g_strcmp0(key, after) == 0)
        viommuQemuCacheWrite(key, (const char *)answers->data, answers->len);
    return caps;
}

qemuViommuCaps *
viommuQemuAsk(const char *path, GError **error)
{
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    const askProgram program = { path, absolute, false };

    return ask(&program, error);
}

qemuViommuCaps *
viommuQemuAskNamed(const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *real = viommuTrustProgram(path, &local);
    const askProgram program = { path, real, true };
    g_autofree char *why = NULL;

    if (real)
        return ask(&program, error);
    why = g_strconcat(local->code == VIOMMU_ERROR_REFUSED ? "not run: " : "", local->message, NULL);
    failAs(error, local->code, path, why);
    return NULL;
}
