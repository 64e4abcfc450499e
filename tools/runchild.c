/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fork, and what has to be right before exec.
 */
#include "runchild.h"

#include "viommuerror.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)

/* Which step failed in the child; it comes through a pipe that exec closes. */
typedef struct {
    int step;
    int code;
} childFailure;

enum { STEP_MEMORY, STEP_USER, STEP_FDS, STEP_EXEC };

static const char *const steps[] = {
    [STEP_MEMORY] = "cannot let it lock memory",
    [STEP_USER] = "cannot become the user",
    [STEP_FDS] = "cannot pass descriptors",
    [STEP_EXEC] = "cannot start it",
};

static const int passed[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

static volatile sig_atomic_t child;

/* Those that are passed on from viommuRunCatch() on, and what was blocked before. */
static bool isCatching;
static sigset_t caught;
static sigset_t before;

static void
passOn(int number)
{
    int saved = errno;

    if (child > 0)
        kill((pid_t)child, number);
    errno = saved;
}

uint64_t
viommuRunMemory(uint64_t bytes, unsigned count)
{
    return bytes > (UINT64_MAX - GIB) / MAX(count, 1) ? UINT64_MAX : bytes * MAX(count, 1) + GIB;
}

/* iommufd counts what a guest maps against the user; more than there was is for root. */
static bool
allowMemory(uint64_t wanted)
{
    struct rlimit limit;
    rlim_t hard;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return false;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return true;
    limit.rlim_cur = wanted;
    hard = limit.rlim_max;
    limit.rlim_max = MAX(hard, wanted);
    if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        return true;
    /* Who may not raise it may have enough as it is. */
    limit.rlim_cur = limit.rlim_max = hard;
    return errno == EPERM && setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
}

static bool
becomeUser(const struct passwd *user)
{
    if (!user)
        return true;
    return initgroups(user->pw_name, user->pw_gid) == 0 && setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0 &&
           setenv("HOME", user->pw_dir, 1) == 0 && setenv("USER", user->pw_name, 1) == 0 &&
           setenv("LOGNAME", user->pw_name, 1) == 0 && unsetenv("XDG_RUNTIME_DIR") == 0;
}

/* Another user gets no more than what is given. */
static bool
keepFds(const GArray *fds, const struct passwd *user)
{
    size_t i;

    if (user && close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return false;
    for (i = 0; i < fds->len; i++) {
        if (fcntl(g_array_index(fds, int, i), F_SETFD, 0) < 0)
            return false;
    }
    return true;
}

/* In the child, which is alone in its process: the library may be used until exec. */
static void
runExec(char *const *words, const GArray *fds, const struct passwd *user, uint64_t memory, pid_t parent, int report,
        const sigset_t *mask)
{
    childFailure failure = { STEP_MEMORY, 0 };
    ssize_t written;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(passed); i++) {
        if (sigismember(&caught, passed[i]) == 1)
            signal(passed[i], SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (allowMemory(memory)) {
        failure.step = STEP_USER;
        if (becomeUser(user)) {
            failure.step = STEP_FDS;
            /* After the user: a change of it takes the death signal back. */
            if (keepFds(fds, user) && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent) {
                failure.step = STEP_EXEC;
                execvp(words[0], words);
            }
        }
    }
    failure.code = errno;
    written = write(report, &failure, sizeof(failure));
    _exit(written == sizeof(failure) ? 127 : 126);
}

/* As long as it is not reaped its number is no other's, to which a signal could go. */
static int
waitFor(pid_t pid, GError **error)
{
    siginfo_t info;
    int status = 0;
    pid_t reaped;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue;
    child = 0;
    do {
        reaped = waitpid(pid, &status, 0);
    } while (reaped < 0 && errno == EINTR);
    if (reaped == pid)
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "cannot wait for process %d: %s", (int)pid, g_strerror(errno));
    return -1;
}

static bool
findUser(const char *name, const struct passwd **ret_user, GError **error)
{
    *ret_user = name ? getpwnam(name) : NULL;
    if (name && !*ret_user)
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "there is no user '%s'", name);
    return !name || *ret_user;
}

bool
viommuRunCheck(const char *program, const char *user, GError **error)
{
    g_autofree char *path = g_find_program_in_path(program);
    const struct passwd *who;

    if (!findUser(user, &who, error))
        return false;
    if (!path)
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "'%s': %s: %s", program, steps[STEP_EXEC],
                    g_strerror(access(program, F_OK) == 0 ? EACCES : ENOENT));
    return path;
}

void
viommuRunCatch(void)
{
    struct sigaction action = { .sa_handler = passOn };
    struct sigaction old;
    size_t i;

    if (isCatching)
        return;
    isCatching = true;
    sigemptyset(&caught);
    for (i = 0; i < G_N_ELEMENTS(passed); i++) {
        /* What the caller ignores stays so: nohup. */
        if (sigaction(passed[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue;
        sigaddset(&caught, passed[i]);
        sigaction(passed[i], &action, NULL);
    }
    /* Else the kernel keeps no status. */
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &caught, &before);
}

int
viommuRunChild(char *const *words, const GArray *fds, const char *user, uint64_t memory, GError **error)
{
    const struct passwd *who;
    childFailure failure;
    int report[2];
    pid_t parent = getpid();
    pid_t pid;
    ssize_t n;
    int saved;

    if (!findUser(user, &who, error))
        return -1;
    if (pipe2(report, O_CLOEXEC) < 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "cannot make a pipe: %s", g_strerror(errno));
        return -1;
    }
    /* None is lost: those that come before there is a child wait. */
    viommuRunCatch();
    pid = fork();
    saved = errno;
    child = pid;
    if (pid == 0)
        runExec(words, fds, who, memory, parent, report[1], &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    do {
        n = read(report[0], &failure, sizeof(failure));
    } while (n < 0 && errno == EINTR);
    close(report[0]);
    if (pid < 0) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "cannot start '%s': %s", words[0], g_strerror(saved));
        return -1;
    }
    if (n != sizeof(failure))
        return waitFor(pid, error);
    waitFor(pid, NULL);
    g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST, "'%s': %s: %s", words[0], steps[failure.step],
                g_strerror(failure.code));
    return -1;
}
