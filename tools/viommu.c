/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommu(1): finds the command, reads the options, and only then lets the command open anything.
 * What a command gives is written in one piece, or not at all.
 */
#include "viommu.h"

#include "help.h"
#include "report.h"
#include "viommuerror.h"
#include "virtext.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const viommuCmd *const commands[] = {
    &viommuCmdHost,   &viommuCmdRecord, &viommuCmdPlan,   &viommuCmdExpand, &viommuCmdArgv,   &viommuCmdCheck,
    &viommuCmdDefine, &viommuCmdAttach, &viommuCmdDetach, &viommuCmdRun,    &viommuCmdVerify, &viommuCmdHelp,
    &viommuCmdComplete, NULL,
};

#define QEMU_DIALECTS "native|rfc-v3|rfc-accel|rfc-nested|rfc-machine"

/* As they stand on the command line. */
static struct {
    char *host;
    char *connect;
    char *format;
    char **networks;
    char *libvirtVersion;
    char *qemuVersion;
    char *emulator;
    char *dialect;
    char *diff;
    char *policy;
    gboolean quiet;
    gboolean full;
    gboolean validate;
    gboolean probe;
    gboolean dryRun;
    gboolean live;
    gboolean config;
    gboolean current;
    gboolean persistent;
    gboolean bind;
    char *user;
    char *qmp;
    gboolean help;
    gboolean version;
} given;

static const struct {
    unsigned only; /* of viommuOptionSet; 0: a global one */
    GOptionEntry entry;
} optionTable[] = {
    { 0,
      { "host", 0, 0, G_OPTION_ARG_FILENAME, &given.host,
        "read the host from a record, or below a directory, instead of this machine",
        "FILE|DIR" } },
    { 0,
      { "connect", 'c', 0, G_OPTION_ARG_STRING, &given.connect, "connect to libvirt at URI",
        "URI" } },
    { 0, { "format", 0, 0, G_OPTION_ARG_STRING, &given.format, "form of the result", "FORMAT" } },
    { VIOMMU_OPTION_NETWORK,
      { "network", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &given.networks,
        "XML of a libvirt network that the domain uses (may be repeated)", "FILE" } },
    { VIOMMU_OPTION_DIFF,
      { "diff", 0, 0, G_OPTION_ARG_FILENAME, &given.diff,
        "show what changes for a guest that has the domain OLD.xml", "OLD.xml" } },
    { VIOMMU_OPTION_LIBVIRT_VERSION,
      { "libvirt-version", 0, 0, G_OPTION_ARG_STRING, &given.libvirtVersion,
        "version of the libvirt that will read the result", "VERSION" } },
    { VIOMMU_OPTION_QEMU_VERSION,
      { "qemu-version", 0, 0, G_OPTION_ARG_STRING, &given.qemuVersion,
        "version of the QEMU that will run the domain", "VERSION" } },
    { VIOMMU_OPTION_EMULATOR,
      { "emulator", 0, 0, G_OPTION_ARG_FILENAME, &given.emulator,
        "ask this QEMU what it can do, by running it", "PATH" } },
    { VIOMMU_OPTION_DIALECT,
      { "dialect", 0, 0, G_OPTION_ARG_STRING, &given.dialect,
        "words of the result (default: those that libvirt has)", "native|override|viommu" } },
    { VIOMMU_OPTION_QEMU_DIALECT,
      { "dialect", 0, 0, G_OPTION_ARG_STRING, &given.dialect,
        "words of the result (default: native, those of QEMU 11)", QEMU_DIALECTS } },
    { VIOMMU_OPTION_POLICY,
      { "policy", 0, 0, G_OPTION_ARG_STRING, &given.policy,
        "ask for domains that do not ask themselves, as viommud.conf can (default: off)",
        "off|smmuv3|aarch64" } },
    { VIOMMU_OPTION_PROBE,
      { "probe", 0, 0, G_OPTION_ARG_NONE, &given.probe,
        "read the SMMUs' registers through idle VFIO devices, which resets these", NULL } },
    { VIOMMU_OPTION_FULL,
      { "full", 0, 0, G_OPTION_ARG_NONE, &given.full, "the command line of the whole domain",
        NULL } },
    { VIOMMU_OPTION_VALIDATE,
      { "validate", 0, 0, G_OPTION_ARG_NONE, &given.validate,
        "let libvirt check the result against its schema", NULL } },
    { VIOMMU_OPTION_RUN,
      { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &given.dryRun, "print the command and start nothing", NULL } },
    { VIOMMU_OPTION_DRY_ATTACH,
      { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &given.dryRun, "print the device with its place and attach nothing",
        NULL } },
    { VIOMMU_OPTION_DRY_DEFINE,
      { "dry-run", 'n', 0, G_OPTION_ARG_NONE, &given.dryRun, "print the domain with its placement and define nothing",
        NULL } },
    { VIOMMU_OPTION_AFFECT,
      { "live", 0, 0, G_OPTION_ARG_NONE, &given.live, "change the running domain", NULL } },
    { VIOMMU_OPTION_AFFECT,
      { "config", 0, 0, G_OPTION_ARG_NONE, &given.config, "change what starts next", NULL } },
    { VIOMMU_OPTION_AFFECT,
      { "current", 0, 0, G_OPTION_ARG_NONE, &given.current, "change the domain as it is now (default)", NULL } },
    { VIOMMU_OPTION_AFFECT,
      { "persistent", 0, 0, G_OPTION_ARG_NONE, &given.persistent, "change what starts next, and what runs", NULL } },
    { VIOMMU_OPTION_RUN,
      { "bind", 0, 0, G_OPTION_ARG_NONE, &given.bind,
        "bind the host devices to vfio-pci, and give them back at the end", NULL } },
    { VIOMMU_OPTION_RUN,
      { "user", 0, 0, G_OPTION_ARG_STRING, &given.user, "run QEMU as this user", "NAME" } },
    { VIOMMU_OPTION_QMP,
      { "qmp", 0, 0, G_OPTION_ARG_FILENAME, &given.qmp,
        "ask the QEMU behind this socket of a monitor, without libvirt", "SOCKET" } },
    { 0, { "quiet", 'q', 0, G_OPTION_ARG_NONE, &given.quiet, "no warnings and notes", NULL } },
    { 0, { "help", 'h', 0, G_OPTION_ARG_NONE, &given.help, "show this help", NULL } },
    { 0, { "version", 'V', 0, G_OPTION_ARG_NONE, &given.version, "show the version", NULL } },
};

const viommuCmd *const *
viommuCmdTable(void)
{
    return commands;
}

const viommuCmd *
viommuCmdFind(const char *name)
{
    size_t i;

    for (i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

/* True if option @i may follow @cmd; NULL: may stand before the command. */
static bool
optionFits(size_t i, const viommuCmd *cmd)
{
    if (!cmd)
        return optionTable[i].only == 0;
    if (optionTable[i].entry.arg_data == &given.format)
        return cmd->formats;
    return optionTable[i].only == 0 || (optionTable[i].only & cmd->options);
}

void
viommuOptionsEach(const viommuCmd *cmd, viommuOptionFunc func, void *data)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(optionTable); i++) {
        const GOptionEntry *entry = &optionTable[i].entry;
        const char *value = entry->arg_description;

        if (!optionFits(i, cmd))
            continue;
        if (cmd && entry->arg_data == &given.format)
            value = cmd->formats;
        func(entry->long_name, entry->short_name, value, entry->description, data);
    }
}

static viommuExit
usage(const viommuCmd *cmd, const char *text)
{
    g_autofree char *lower = g_strdup(text);

    lower[0] = g_ascii_tolower(lower[0]); /* GLib's start with a capital letter */
    viommuReportError(lower);
    fprintf(stderr, "See 'viommu %s%s--help'.\n", cmd ? cmd->name : "", cmd ? " " : "");
    return VIOMMU_EXIT_USAGE;
}

viommuExit
viommuCmdUnknown(const char *name)
{
    const char *names[G_N_ELEMENTS(commands)] = { NULL };
    const char *meant;
    g_autofree char *text = NULL;
    size_t i, n = 0;

    for (i = 0; commands[i]; i++) {
        if (!commands[i]->hidden)
            names[n++] = commands[i]->name;
    }
    meant = virTextSimilar(name, names);
    text = g_strdup_printf("there is no command '%s'%s%s%s", name, meant ? ", did you mean '" : "", meant ? meant : "",
                           meant ? "'?" : "");
    return usage(NULL, text);
}

/* A value behind one of @entries that takes none, over which GLib passes: it could be meant to switch it off. */
static bool
refuseValues(const GOptionEntry *entries, char **argv, GError **error)
{
    size_t i, len;

    for (; *argv && strcmp(*argv, "--") != 0; argv++) {
        for (i = 0; entries[i].long_name; i++) {
            len = strlen(entries[i].long_name);
            if (entries[i].arg != G_OPTION_ARG_NONE || !g_str_has_prefix(*argv, "--") ||
                strncmp(*argv + strlen("--"), entries[i].long_name, len) != 0 || (*argv)[strlen("--") + len] != '=')
                continue;
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "option --%s takes no value",
                        entries[i].long_name);
            return false;
        }
    }
    return true;
}

/* Takes the options out of @argv: up to the command if @cmd is NULL, else all of them. */
static bool
parseOptions(const viommuCmd *cmd, int *argc, char ***argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    GOptionEntry entries[G_N_ELEMENTS(optionTable) + 1] = { 0 };
    size_t i, n = 0;

    for (i = 0; i < G_N_ELEMENTS(optionTable); i++) {
        if (optionFits(i, cmd))
            entries[n++] = optionTable[i].entry;
    }
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, !cmd);
    g_option_context_add_main_entries(context, entries, NULL);
    return refuseValues(entries, *argv, error) && g_option_context_parse(context, argc, argv, error);
}

/* True if the option @name may stand before the command. */
static bool
isGlobal(const char *name)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(optionTable); i++) {
        if (optionFits(i, NULL) && strcmp(optionTable[i].entry.long_name, name) == 0)
            return true;
    }
    return false;
}

/* @message of GLib about an option that is none, which it ends with, and what that was probably to be. Free with
 * g_free. */
static char *
unknownOption(const viommuCmd *cmd, const char *message)
{
    const char *names[G_N_ELEMENTS(optionTable) + 1] = { NULL };
    const char *begin = strstr(message, " -");
    g_auto(GStrv) word = g_strsplit(begin ? begin + strspn(begin, " -") : "", "=", 2);
    const char *meant;
    size_t i, n = 0;

    for (i = 0; i < G_N_ELEMENTS(optionTable); i++) {
        if (!cmd || optionFits(i, cmd))
            names[n++] = optionTable[i].entry.long_name;
    }
    meant = word[0] ? virTextSimilar(word[0], names) : NULL;
    if (!meant)
        return g_strdup(message);
    if (!cmd && strcmp(meant, word[0]) == 0 && !isGlobal(meant))
        return g_strdup_printf("%s here: it stands behind its command", message);
    return g_strdup_printf("%s, did you mean --%s?", message, meant);
}

static viommuExit
usageOfOptions(const viommuCmd *cmd, const GError *error)
{
    bool unknown = g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION);
    g_autofree char *text = unknown ? unknownOption(cmd, error->message) : g_strdup(error->message);

    return usage(cmd, text);
}

/* Reads "12.8" or "12.8.0". */
static bool
parseVersion(const char *text, unsigned *ret_version)
{
    unsigned major = 0, minor = 0;

    if (!text)
        return true;
    if (!g_regex_match_simple("^[0-9]{1,3}\\.[0-9]{1,3}(\\.[0-9]{1,3})?$", text,
                              G_REGEX_DOLLAR_ENDONLY, 0))
        return false;
    sscanf(text, "%u.%u", &major, &minor);
    *ret_version = VIOMMU_VERSION_QEMU(major, minor);
    return *ret_version != 0;
}

static char *
readQemuDialect(viommuOptions *opts)
{
    opts->qemuDialect = qemuViommuDialectParse(given.dialect);
    if (given.dialect && !opts->qemuDialect)
        return g_strdup_printf("no dialect '%s', but " QEMU_DIALECTS, given.dialect);
    if (given.qemuVersion && opts->qemuDialect > QEMU_VIOMMU_DIALECT_NATIVE)
        return g_strdup("--qemu-version says nothing of a patched QEMU: leave it out, or --dialect");
    return NULL;
}

static char *
readDialect(const viommuCmd *cmd, viommuOptions *opts)
{
    if (cmd->options & VIOMMU_OPTION_QEMU_DIALECT)
        return readQemuDialect(opts);
    if (g_strcmp0(given.dialect, "viommu") == 0)
        opts->dialect = VIOMMU_DIALECT_VIOMMU;
    else if (g_strcmp0(given.dialect, "override") == 0)
        opts->dialect = VIOMMU_DIALECT_OVERRIDE;
    else if (given.dialect && strcmp(given.dialect, "native") != 0)
        return g_strdup_printf("no dialect '%s', but native|override|viommu", given.dialect);
    else if (given.dialect && opts->libvirtVersion && opts->libvirtVersion < VIOMMU_LIBVIRT_NATIVE)
        return g_strdup_printf("libvirt %s does not have the dialect native: leave out --dialect, or --libvirt-version",
                               given.libvirtVersion);
    return NULL;
}

/* Checks the values of options; returns what is wrong (free with g_free) or NULL. */
static char *
readValues(const viommuCmd *cmd, viommuOptions *opts)
{
    g_auto(GStrv) formats = g_strsplit(cmd->formats ? cmd->formats : "", "|", -1);

    opts->host = given.host;
    opts->connect = given.connect;
    opts->networks = given.networks;
    opts->emulator = given.emulator;
    opts->diff = given.diff;
    opts->quiet = given.quiet;
    opts->full = given.full;
    opts->validate = given.validate;
    opts->probe = given.probe;
    opts->dryRun = given.dryRun;
    opts->live = given.live;
    opts->config = given.config;
    opts->current = given.current;
    opts->persistent = given.persistent;
    opts->bind = given.bind;
    opts->user = given.user;
    opts->qmp = given.qmp;
    if (given.current + given.persistent + (given.live || given.config) > 1)
        return g_strdup("--current, --persistent, and --live or --config exclude one another");
    if (given.validate && given.dryRun)
        return g_strdup("libvirt validates only what it defines: leave out --validate, or --dry-run");
    if (given.probe && given.host)
        return g_strdup("--probe reads the registers of this machine: leave out --host, or --probe");
    if (given.format && !cmd->formats)
        return g_strdup_printf("'%s' has one form only: leave out --format", cmd->name);
    if (given.format && !g_strv_contains((const char *const *)formats, given.format))
        return g_strdup_printf("'%s' has no format '%s', but %s", cmd->name, given.format,
                               cmd->formats);
    if (given.diff && g_strcmp0(given.format, "dot") == 0)
        return g_strdup("a difference has no format 'dot', but text|json");
    opts->format = given.format ? given.format : g_intern_string(formats[0]);
    if (given.emulator && given.qemuVersion)
        return g_strdup("--emulator tells the version of QEMU: leave out --qemu-version, or --emulator");
    if (given.policy && !viommuPolicyParse(given.policy, &opts->policy))
        return g_strdup_printf("no policy '%s', but off|smmuv3|aarch64", given.policy);
    if (!parseVersion(given.libvirtVersion, &opts->libvirtVersion))
        return g_strdup_printf("'%s' is no version such as 12.8", given.libvirtVersion);
    if (!parseVersion(given.qemuVersion, &opts->qemuVersion))
        return g_strdup_printf("'%s' is no version such as 11.1", given.qemuVersion);
    return readDialect(cmd, opts);
}

/* Standard output was closed when the program began. What stands there now is /dev/null. */
static bool outputIsClosed;

static viommuExit
writeResult(const GString *out)
{
    if (outputIsClosed && out->len)
        errno = EBADF;
    else if (fwrite(out->str, 1, out->len, stdout) == out->len && fflush(stdout) == 0)
        return VIOMMU_EXIT_DONE;
    g_autofree char *text = g_strdup_printf("cannot write the result: %s", g_strerror(errno));

    viommuReportError(text);
    return VIOMMU_EXIT_UNREACHABLE;
}

static viommuExit
exitOfError(const GError *err)
{
    if (err->domain == VIOMMU_ERROR &&
        (err->code == VIOMMU_ERROR_SYNTAX || err->code == VIOMMU_ERROR_XML || err->code == VIOMMU_ERROR_REFUSED))
        return VIOMMU_EXIT_REFUSED;
    return VIOMMU_EXIT_UNREACHABLE;
}

static viommuExit
runCommand(const viommuCmd *cmd, const viommuOptions *opts, char **args)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    viommuExit status = cmd->run(opts, args, out, &error);
    viommuExit written;

    if (error) {
        viommuReportError(error->message);
        return exitOfError(error);
    }
    written = writeResult(out);
    return written == VIOMMU_EXIT_DONE ? status : written;
}

static viommuExit
showText(char *text)
{
    g_autoptr(GString) out = g_string_new(text);

    g_free(text);
    return writeResult(out);
}

/* A standard stream that is closed would be the next file that is opened. */
static void
openStandard(void)
{
    int fd;

    outputIsClosed = fcntl(STDOUT_FILENO, F_GETFD) < 0;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *wrong = NULL;
    viommuOptions opts = { 0 };
    const viommuCmd *cmd;
    int count;

    setlocale(LC_ALL, "");
    openStandard();
    if (!parseOptions(NULL, &argc, &argv, &error))
        return usageOfOptions(NULL, error);
    if (given.version)
        return showText(g_strdup("viommu " VIOMMU_VERSION "\n"));
    if (given.help)
        return showText(viommuHelp());
    if (argc < 2)
        return usage(NULL, "no command is given");
    cmd = viommuCmdFind(argv[1]);
    if (!cmd)
        return viommuCmdUnknown(argv[1]);
    argc--;
    argv++;
    if (cmd != &viommuCmdComplete && !parseOptions(cmd, &argc, &argv, &error))
        return usageOfOptions(cmd, error);
    if (given.version)
        return showText(g_strdup("viommu " VIOMMU_VERSION "\n"));
    if (given.help)
        return showText(viommuHelpCommand(cmd));
    count = argc - 1;
    if (count < cmd->minArgs || count > cmd->maxArgs) {
        wrong = g_strdup_printf("'%s' takes %s", cmd->name, cmd->args ? cmd->args : "no argument");
        return usage(cmd, wrong);
    }
    wrong = readValues(cmd, &opts);
    if (wrong)
        return usage(cmd, wrong);
    if ((cmd->options & VIOMMU_OPTION_QMP) && (count > 0) == !!opts.qmp)
        return usage(cmd, "either a domain or --qmp is needed, and not both");
    if (opts.qmp && opts.connect)
        return usage(cmd, "--qmp asks no libvirt: leave out --connect, or --qmp");
    return runCommand(cmd, &opts, argv + 1);
}
