/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stands for a QEMU in emulator-test.py and namedemulator-test.py. Next to the program PROGRAM.runs gets a line for
 * each run: "run PID", its rights and its environment; and PROGRAM.does says what it does: "answer FILE", "flood",
 * "hang" (with a child that holds on to the output), "wait", "close" (its output, and go on). It answers if it was
 * started as it should be, and was sent all commands.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PATIENCE 60

static FILE *
openBeside(const char *program, const char *suffix, const char *mode)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s%s", program, suffix);
    file = fopen(path, mode);
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static bool
isStartedWell(int argc, char **argv)
{
    static const char *const expected[] = { "-S",          "-M",   "none",  "-display", "none", "-nodefaults",
                                            "-no-user-config", "-qmp", "stdio" };
    char cwd[4096];
    size_t i;

    if (argc != 1 + (int)(sizeof(expected) / sizeof(*expected)))
        return false;
    for (i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        if (strcmp(argv[i + 1], expected[i]) != 0)
            return false;
    }
    return getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/") == 0 && argv[0][0] == '/';
}

/* Whether "quit" comes after all others. */
static bool
readCommands(void)
{
    char line[1024];

    while (fgets(line, sizeof(line), stdin)) {
        if (strstr(line, "\"quit\""))
            return true;
    }
    return false;
}

static void
answer(const char *path)
{
    FILE *file = fopen(path, "r");
    int c;

    while (file && (c = getc(file)) != EOF)
        putchar(c);
    fflush(stdout);
}

static void
report(FILE *runs)
{
    uid_t user[3];
    gid_t group[3];
    char **one;

    getresuid(&user[0], &user[1], &user[2]);
    getresgid(&group[0], &group[1], &group[2]);
    fprintf(runs, "run %ld user=%u,%u,%u group=%u,%u,%u groups=%d nnp=%d leader=%d env=", (long)getpid(), user[0],
            user[1], user[2], group[0], group[1], group[2], getgroups(0, NULL),
            prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), getsid(0) == getpid());
    for (one = environ; *one; one++)
        fprintf(runs, "%s%.*s", one == environ ? "" : ",", (int)strcspn(*one, "="), *one);
    fputc('\n', runs);
}

int
main(int argc, char **argv)
{
    FILE *runs = openBeside(argv[0], ".runs", "a");
    FILE *does = openBeside(argv[0], ".does", "r");
    static char what[4096];

    report(runs);
    fclose(runs);
    if (!fgets(what, sizeof(what), does))
        return 1;
    what[strcspn(what, "\n")] = '\0';
    if (strcmp(what, "flood") == 0) {
        while (puts("{\"event\": \"again\"}") >= 0)
            ;
    } else if (strcmp(what, "hang") == 0) {
        fork();
        sleep(PATIENCE);
    } else if (strcmp(what, "wait") == 0) {
        sleep(PATIENCE);
    } else if (strcmp(what, "close") == 0) {
        close(STDOUT_FILENO);
        close(STDERR_FILENO);
        sleep(PATIENCE);
    } else if (isStartedWell(argc, argv) && readCommands()) {
        answer(what + strlen("answer "));
    }
    return 0;
}
