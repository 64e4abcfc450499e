/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that is started: what it gets, what comes back, and signals on their way.
 */
#include "runchild.h"

#include "viommuerror.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs @script with sh as @user, with descriptors @one and @two; its result and what it wrote to descriptor 9. */
static int
run(const char *script, const char *user, const GArray *fds, GError **error)
{
    const char *words[] = { "sh", "-c", script, NULL };
    g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(int));

    return viommuRunChild((char *const *)words, fds ? fds : none, user, 0, error);
}

static void
testStatus(void)
{
    static const struct {
        const char *script;
        int status;
    } some[] = { { "exit 0", 0 }, { "exit 7", 7 }, { "exit 255", 255 },
                 { "kill -KILL $$", 137 }, { "kill -TERM $$", 143 } };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(run(some[i].script, NULL, NULL, &error), ==, some[i].status);
        g_assert_no_error(error);
    }
}

/* Those that are passed are there, and no others beside the standard ones. */
static void
testFds(void)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    int given = open("/dev/null", O_RDWR | O_CLOEXEC);
    int kept = open("/dev/zero", O_RDWR | O_CLOEXEC);
    g_autofree char *script = g_strdup_printf(
        "test \"$(readlink /proc/$$/fd/%d)\" = /dev/null && test ! -e /proc/$$/fd/%d", given, kept);
    g_autoptr(GError) error = NULL;

    g_array_append_val(fds, given);
    g_assert_cmpint(run(script, NULL, fds, &error), ==, 0);
    g_assert_no_error(error);
    /* a descriptor that is not open */
    g_array_index(fds, int, 0) = 900;
    g_assert_cmpint(run("exit 0", NULL, fds, &error), ==, -1);
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, "'sh': cannot pass descriptors: Bad file descriptor");
    close(given);
    close(kept);
}

static void
testNotStarted(void)
{
    const char *words[] = { "/nonexistent/qemu", NULL };
    g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(int));
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(viommuRunChild((char *const *)words, none, NULL, 0, &error), ==, -1);
    g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, "'/nonexistent/qemu': cannot start it: No such file or directory");
}

/* The same is known without starting anything. */
static void
testCheck(void)
{
    static const struct {
        const char *program;
        const char *user;
        const char *said; /* NULL: good */
    } some[] = {
        { "sh", NULL, NULL },
        { "/bin/sh", "nobody", NULL },
        { "nothing-of-that-name", NULL, "'nothing-of-that-name': cannot start it: No such file or directory" },
        { "/nonexistent/qemu", NULL, "'/nonexistent/qemu': cannot start it: No such file or directory" },
        { "/dev/null", NULL, "'/dev/null': cannot start it: Permission denied" },
        { "sh", "nobody-of-that-name", "there is no user 'nobody-of-that-name'" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        const char *words[] = { some[i].program, "-c", "exit 0", NULL };
        g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(int));
        g_autoptr(GError) error = NULL;
        g_autoptr(GError) later = NULL;

        g_assert_cmpint(viommuRunCheck(some[i].program, some[i].user, &error), ==, !some[i].said);
        g_assert_cmpstr(error ? error->message : NULL, ==, some[i].said);
        if (!some[i].said)
            continue;
        g_assert_error(error, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
        g_assert_cmpint(viommuRunChild((char *const *)words, none, some[i].user, 0, &later), ==, -1);
        g_assert_cmpstr(later->message, ==, some[i].said);
    }
}

static void
testUser(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) unknown = NULL;

    g_assert_cmpint(run("exit 0", "nobody-of-that-name", NULL, &unknown), ==, -1);
    g_assert_error(unknown, VIOMMU_ERROR, VIOMMU_ERROR_HOST);
    g_assert_cmpstr(unknown->message, ==, "there is no user 'nobody-of-that-name'");
    if (geteuid() != 0) {
        g_assert_cmpint(run("exit 0", "nobody", NULL, &error), ==, -1);
        g_assert_cmpstr(error->message, ==, "'sh': cannot become the user: Operation not permitted");
        return;
    }
    g_assert_cmpint(run("test \"$(id -un)\" = nobody && test \"$(id -G)\" = \"$(id -g)\"", "nobody", NULL, &error), ==,
                    0);
    g_assert_no_error(error);
}

/* What a program takes for its home and name is that user's. */
static void
testEnvironment(void)
{
    static const char *const names[] = { "HOME", "USER", "LOGNAME" };
    const struct passwd *nobody = getpwnam("nobody");
    const char *wanted[G_N_ELEMENTS(names)];
    size_t i;

    if (geteuid() != 0) {
        g_test_skip("only root can become another user");
        return;
    }
    g_assert_nonnull(nobody);
    wanted[0] = nobody->pw_dir;
    wanted[1] = wanted[2] = nobody->pw_name;
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *script = g_strdup_printf("test \"$%s\" = '%s'", names[i], wanted[i]);
        g_autofree char *before = g_strdup(g_getenv(names[i]));
        g_autoptr(GError) error = NULL;

        g_setenv(names[i], "another", TRUE);
        g_assert_cmpint(run(script, "nobody", NULL, &error), ==, 0);
        g_assert_no_error(error);
        if (before)
            g_setenv(names[i], before, TRUE);
        else
            g_unsetenv(names[i]);
    }
}

/* What the caller left open and what is the caller's alone are not for another user. */
static void
testApart(void)
{
    g_autofree char *before = g_strdup(g_getenv("XDG_RUNTIME_DIR"));
    g_autofree char *script = NULL;
    g_autofree char *kept = NULL;
    int open1 = open("/dev/zero", O_RDWR);

    if (geteuid() != 0) {
        g_test_skip("only root can become another user");
        close(open1);
        return;
    }
    script = g_strdup_printf("test ! -e /proc/$$/fd/%d && test -z \"$XDG_RUNTIME_DIR\"", open1);
    kept = g_strdup_printf("test -e /proc/$$/fd/%d && test \"$XDG_RUNTIME_DIR\" = /run/user/7", open1);
    g_setenv("XDG_RUNTIME_DIR", "/run/user/7", TRUE);
    g_assert_cmpint(run(script, "nobody", NULL, NULL), ==, 0);
    g_assert_cmpint(run(kept, NULL, NULL, NULL), ==, 0);
    if (before)
        g_setenv("XDG_RUNTIME_DIR", before, TRUE);
    else
        g_unsetenv("XDG_RUNTIME_DIR");
    close(open1);
}

/* Only the first in a process sets signals up: the test runs in one of its own. False: this is not it. */
static bool
isAlone(void)
{
    if (g_test_subprocess())
        return true;
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    return false;
}

/* The groups of the caller are not the user's. */
static void
testGroups(void)
{
    const gid_t group = 1;

    if (geteuid() != 0) {
        g_test_skip("only root can become another user");
        return;
    }
    if (!isAlone())
        return;
    g_assert_cmpint(setgroups(1, &group), ==, 0);
    g_assert_cmpint(run("test \"$(id -G)\" = \"$(id -g)\"", "nobody", NULL, NULL), ==, 0);
}

/* What is ignored stays so for the program, too: nohup. */
static void
testIgnored(void)
{
    if (!isAlone())
        return;
    signal(SIGHUP, SIG_IGN);
    g_assert_cmpint(run("kill -HUP $$; exit 3", NULL, NULL, NULL), ==, 3);
}

/* A caller that does not wait for its children has no status of them. */
static void
testChildIgnored(void)
{
    if (!isAlone())
        return;
    signal(SIGCHLD, SIG_IGN);
    g_assert_cmpint(run("exit 7", NULL, NULL, NULL), ==, 7);
}

/* One that comes before there is a program is for it. Without it the program would end by the other, which comes
 * later. */
static void
testEarly(void)
{
    if (!isAlone())
        return;
    viommuRunCatch();
    raise(SIGTERM);
    g_assert_cmpint(run("trap 'exit 40' USR2; while :; do kill -USR2 $PPID; sleep 0.01; done", NULL, NULL, NULL), ==,
                    128 + SIGTERM);
}

/* What waits until there is a program is not blocked in it. */
static void
testMask(void)
{
    if (!isAlone())
        return;
    g_assert_cmpint(run("kill -TERM $$; exit 3", NULL, NULL, NULL), ==, 128 + SIGTERM);
}

static void
testMemory(void)
{
    const uint64_t gib = UINT64_C(1) << 30;

    g_assert_cmpuint(viommuRunMemory(4 * gib, 0), ==, 5 * gib);
    g_assert_cmpuint(viommuRunMemory(4 * gib, 1), ==, 5 * gib);
    g_assert_cmpuint(viommuRunMemory(4 * gib, 3), ==, 13 * gib);
    g_assert_cmpuint(viommuRunMemory(UINT64_C(1) << 62, 4), ==, UINT64_MAX);
    g_assert_cmpuint(viommuRunMemory(UINT64_C(1) << 62, 5), ==, UINT64_MAX);
    g_assert_cmpuint(viommuRunMemory(UINT64_MAX - gib + 1, 1), ==, UINT64_MAX);
}

/* Who may not raise what may be locked gets what there is. */
static void
testMemoryLimit(void)
{
    static const struct {
        uint64_t memory;
        unsigned soft;
    } some[] = { { 0, 65536 }, { 65536, 65536 }, { 102400, 102400 }, { 131072, 131072 },
                 { UINT64_C(1) << 32, 131072 } };
    const struct rlimit limit = { 65536, 131072 };
    g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(int));
    size_t i;

    if (!isAlone())
        return;
    g_assert_true(geteuid() != 0 || setuid(65534) == 0);
    g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &limit), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(some); i++) {
        g_autofree char *script = g_strdup_printf(
            "set -- $(grep '^Max locked' /proc/$$/limits); test $4 = %u && test $5 = 131072", some[i].soft);
        const char *words[] = { "sh", "-c", script, NULL };
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(viommuRunChild((char *const *)words, none, NULL, some[i].memory, &error), ==, 0);
        g_assert_no_error(error);
    }
}

/* Starts a process that runs @script, with the end of a pipe for it to write to; *@ret_from is the other. */
static pid_t
start(const char *script, int *ret_from)
{
    int ends[2];
    pid_t pid;

    g_assert_cmpint(pipe(ends), ==, 0);
    pid = fork();
    if (pid == 0) {
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_autofree char *text = g_strdup_printf("exec 3>&%d; %s", ends[1], script);

        close(ends[0]);
        g_array_append_val(fds, ends[1]);
        _exit(run(text, NULL, fds, NULL));
    }
    close(ends[1]);
    *ret_from = ends[0];
    return pid;
}

static void
expect(int from, char what)
{
    char byte = 0;
    ssize_t n;

    do {
        n = read(from, &byte, 1);
    } while (n < 0 && errno == EINTR);
    g_assert_cmpint(n == 1 ? byte : 0, ==, what);
}

/* The program answers a signal that its parent gets, and its status is the parent's. */
static void
testSignals(void)
{
    static const int all[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
    static const char *const names[] = { "INT", "TERM", "HUP", "QUIT", "USR1", "USR2" };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autofree char *script = g_strdup_printf("trap 'exit 40' %s; printf r >&3; while :; do sleep 0.01; done", names[i]);
        int from, status;
        pid_t pid = start(script, &from);

        expect(from, 'r');
        kill(pid, all[i]);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 40);
        close(from);
    }
}

/* A parent that is killed leaves no program behind. */
static void
testDeath(void)
{
    int from, status;
    pid_t pid = start("trap 'printf t >&3; exit 0' TERM; printf r >&3; while :; do sleep 0.01; done", &from);

    expect(from, 'r');
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    expect(from, 't');
    expect(from, 0);
    close(from);
}

int
main(int argc, char **argv)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD };
    size_t i;

    /* In the background of a script, or under nohup, some are ignored. */
    for (i = 0; i < G_N_ELEMENTS(numbers); i++)
        signal(numbers[i], SIG_DFL);
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/run/status", testStatus);
    g_test_add_func("/run/fds", testFds);
    g_test_add_func("/run/not-started", testNotStarted);
    g_test_add_func("/run/check", testCheck);
    g_test_add_func("/run/user", testUser);
    g_test_add_func("/run/environment", testEnvironment);
    g_test_add_func("/run/apart", testApart);
    g_test_add_func("/run/groups", testGroups);
    g_test_add_func("/run/ignored", testIgnored);
    g_test_add_func("/run/child-ignored", testChildIgnored);
    g_test_add_func("/run/early", testEarly);
    g_test_add_func("/run/mask", testMask);
    g_test_add_func("/run/memory", testMemory);
    g_test_add_func("/run/memory-limit", testMemoryLimit);
    g_test_add_func("/run/signals", testSignals);
    g_test_add_func("/run/death", testDeath);
    return g_test_run();
}
