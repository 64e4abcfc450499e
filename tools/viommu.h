/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command viommu(1): what its parts share. A command is a const struct in a file of its own;
 * the table of them, all options and the only writes to standard output are in viommu.c.
 */
#pragma once

#include "qemu_viommu_caps.h"
#include "viommu_expand.h"

#include <glib.h>
#include <stdbool.h>

typedef enum {
    VIOMMU_EXIT_DONE = 0,
    VIOMMU_EXIT_REFUSED = 1, /* refused, or findings of severity error */
    VIOMMU_EXIT_USAGE = 2,
    VIOMMU_EXIT_UNREACHABLE = 3, /* the host, a file or libvirt */
} viommuExit;

/* Options that only some commands take. */
typedef enum {
    VIOMMU_OPTION_NETWORK = 1 << 0,
    VIOMMU_OPTION_LIBVIRT_VERSION = 1 << 1,
    VIOMMU_OPTION_QEMU_VERSION = 1 << 2,
    VIOMMU_OPTION_DIALECT = 1 << 3,
    VIOMMU_OPTION_FULL = 1 << 4,
    VIOMMU_OPTION_VALIDATE = 1 << 5,
    VIOMMU_OPTION_POLICY = 1 << 6,
    VIOMMU_OPTION_PROBE = 1 << 7,
    VIOMMU_OPTION_RUN = 1 << 8,
    VIOMMU_OPTION_QEMU_DIALECT = 1 << 9, /* --dialect, with other values */
    VIOMMU_OPTION_EMULATOR = 1 << 10,
    VIOMMU_OPTION_AFFECT = 1 << 11,
    VIOMMU_OPTION_DRY_ATTACH = 1 << 12,
    VIOMMU_OPTION_DIFF = 1 << 13,
    VIOMMU_OPTION_QMP = 1 << 14, /* --qmp, in place of the argument */
    VIOMMU_OPTION_DRY_DEFINE = 1 << 15,
} viommuOptionSet;

typedef struct {
    const char *host;    /* NULL: this one */
    const char *connect; /* NULL: not given */
    const char *format;  /* never NULL for a command that has formats */
    char **networks;     /* NULL: none */
    const char *emulator; /* NULL: not given */
    const char *diff;    /* of plan: the old domain; NULL: not given */
    bool quiet;
    bool full;
    bool validate;
    bool probe;
    bool dryRun;         /* of run, attach and define */
    bool live;           /* these four: of attach and detach */
    bool config;
    bool current;
    bool persistent;
    bool bind;           /* these two: of run */
    const char *user;    /* NULL: who calls */
    const char *qmp;     /* of verify; NULL: not given */
    viommuDialect dialect;
    qemuViommuDialect qemuDialect; /* NONE: not given */
    viommuPolicy policy;
    unsigned libvirtVersion; /* 1000 * major + minor; 0: not given */
    unsigned qemuVersion;
} viommuOptions;

/* Runs a command. Its result is what it adds to @out, which is written only if no error is set.
 * With @error set the return value does not count: the error says how to exit. */
typedef viommuExit (*viommuCmdFunc)(const viommuOptions *opts, char **args, GString *out,
                                    GError **error);

#define VIOMMU_ARGS_ANY G_MAXINT

typedef struct {
    const char *name;
    const char *args;    /* for the synopsis: "DOMAIN.xml" */
    const char *help;    /* one line */
    const char *formats; /* "text|json", the default first; NULL: --format is not taken */
    unsigned options;    /* of viommuOptionSet, beside the global ones */
    int minArgs;
    int maxArgs; /* VIOMMU_ARGS_ANY: any number, and "--" may stand among them */
    bool hidden; /* not in the help */
    viommuCmdFunc run;
} viommuCmd;

extern const viommuCmd viommuCmdArgv;
extern const viommuCmd viommuCmdAttach;
extern const viommuCmd viommuCmdCheck;
extern const viommuCmd viommuCmdComplete;
extern const viommuCmd viommuCmdDefine;
extern const viommuCmd viommuCmdDetach;
extern const viommuCmd viommuCmdExpand;
extern const viommuCmd viommuCmdHelp;
extern const viommuCmd viommuCmdHost;
extern const viommuCmd viommuCmdPlan;
extern const viommuCmd viommuCmdRecord;
extern const viommuCmd viommuCmdRun;
extern const viommuCmd viommuCmdVerify;

/* All commands in the order of the help, ending with NULL; and the one of that name, or NULL. */
const viommuCmd *const *viommuCmdTable(void);
const viommuCmd *viommuCmdFind(const char *name);

/* Says on standard error that there is no command @name, and which one was probably meant. */
viommuExit viommuCmdUnknown(const char *name);

/* Calls @func for every option that @cmd takes, or for the global ones if @cmd is NULL: its long
 * name without dashes, its short name ('\0': none), the name or the choices of its value (NULL:
 * takes none), its help. */
typedef void (*viommuOptionFunc)(const char *name, char letter, const char *value, const char *help,
                                 void *data);
void viommuOptionsEach(const viommuCmd *cmd, viommuOptionFunc func, void *data);
