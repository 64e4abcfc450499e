/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens files, the host and libvirt.
 */
#include "load.h"

#include "loademulator.h"
#include "report.h"
#include "viommuerror.h"
#include "virsmmuprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

static const char *
fileName(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

void
viommuLoadPrefix(GError **error, const char *path)
{
    g_prefix_error(error, "%s: ", fileName(path));
}

void
viommuLoadHint(GError **error, const char *format, ...)
{
    g_autofree char *hint = NULL;
    char *message;
    va_list args;

    if (!error || !*error)
        return;
    va_start(args, format);
    hint = g_strdup_vprintf(format, args);
    va_end(args);
    message = g_strconcat((*error)->message, "; ", hint, NULL);
    g_free((*error)->message);
    (*error)->message = message;
}

static bool
readAll(int fd, size_t limit, GByteArray *bytes)
{
    for (;;) {
        size_t want = MIN(CHUNK, limit - bytes->len);
        size_t had = bytes->len;
        ssize_t n;

        g_byte_array_set_size(bytes, (guint)(had + want));
        do {
            n = read(fd, bytes->data + had, want);
        } while (n < 0 && errno == EINTR);
        g_byte_array_set_size(bytes, (guint)(had + (size_t)MAX(n, 0)));
        if (n <= 0)
            return n == 0;
    }
}

char *
viommuLoadFile(const char *path, size_t limit, size_t *ret_len, GError **error)
{
    static bool stdinTaken;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    bool isStdin = strcmp(path, "-") == 0;
    int saved, fd = STDIN_FILENO;
    bool done;

    if (isStdin && stdinTaken) {
        g_set_error_literal(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE,
                            "standard input can be given for one file only");
        return NULL;
    }
    if (isStdin)
        stdinTaken = true;
    else
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    done = fd >= 0 && readAll(fd, limit, bytes);
    saved = errno;
    if (fd >= 0 && !isStdin)
        close(fd);
    if (!done) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_FILE, "cannot read '%s': %s", fileName(path),
                    g_strerror(saved));
        return NULL;
    }
    *ret_len = bytes->len;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

/* What became of an SMMU, in words; free with g_free. */
static char *
describeProbe(const virSMMUProbe *probe)
{
    GString *text = g_string_new(probe->smmu);

    if (probe->device)
        g_string_append_printf(text, ": registers read through %s", probe->device);
    else
        g_string_append(text, ": registers not read");
    if (probe->why)
        g_string_append_printf(text, probe->device ? " (%s)" : ": %s", probe->why);
    return g_string_free(text, FALSE);
}

/* Probes, and says what became of it. *@ret_unread: what was not read, of the first SMMU of which that is so. */
static bool
probeThisHost(const viommuOptions *opts, virSysfs *fs, char **ret_unread, GError **error)
{
    g_autoptr(GPtrArray) probes = virSMMUProbeHost(fs, &virIOMMUFDKernel, error);
    size_t i;

    for (i = 0; probes && i < probes->len; i++) {
        const virSMMUProbe *probe = g_ptr_array_index(probes, i);
        g_autofree char *text = describeProbe(probe);

        if (!opts->quiet)
            viommuReport(probe->device ? VIOMMU_SEVERITY_NOTE : VIOMMU_SEVERITY_WARNING, text);
        if (!probe->device && !*ret_unread)
            *ret_unread = g_steal_pointer(&text);
    }
    return probes;
}

virSysfs *
viommuLoadHostAnyway(const viommuOptions *opts, char **ret_unprobed, GError **error)
{
    g_autoptr(virSysfs) fs = opts->probe ? virSysfsOpenRoot("/", error) : viommuLoadHost(opts, error);
    g_autoptr(GError) local = NULL;

    *ret_unprobed = NULL;
    if (fs && opts->probe && !probeThisHost(opts, fs, ret_unprobed, &local))
        *ret_unprobed = g_strdup(local->message);
    return g_steal_pointer(&fs);
}

static virSysfs *
loadThisHost(const viommuOptions *opts, GError **error)
{
    g_autoptr(virSysfs) fs = virSysfsOpenRoot("/", error);
    g_autofree char *unread = NULL;

    return fs && opts->probe && !probeThisHost(opts, fs, &unread, error) ? NULL : g_steal_pointer(&fs);
}

virSysfs *
viommuLoadHost(const viommuOptions *opts, GError **error)
{
    g_autofree char *data = NULL;
    virSysfs *fs;
    size_t len = 0;

    if (!opts->host)
        return loadThisHost(opts, error);
    if (g_file_test(opts->host, G_FILE_TEST_IS_DIR))
        return virSysfsOpenRoot(opts->host, error);
    data = viommuLoadFile(opts->host, VIR_SYSFS_MANIFEST_MAX + 1, &len, error);
    if (!data)
        return NULL;
    fs = virSysfsNewManifest(data, len, error);
    if (!fs)
        viommuLoadPrefix(error, opts->host);
    return fs;
}

viommuInput *
viommuInputNew(const viommuOptions *opts, const char *file, GError **error)
{
    g_autoptr(viommuInput) input = g_new0(viommuInput, 1);

    input->opts = opts;
    input->file = file;
    input->host = viommuHostNew();
    input->text = viommuLoadFile(file, VIOMMU_XML_MAX + 1, &input->len, error);
    if (!input->text) {
        /* Other programs take the names of domains there. */
        if (strcmp(file, "-") != 0 && !strpbrk(file, "./") && access(file, F_OK) != 0)
            viommuLoadHint(error, "of a domain of libvirt 'virsh dumpxml %s' gives the XML", file);
        return NULL;
    }
    input->dom = viommuDomainParse(input->text, input->len, error);
    if (!input->dom) {
        viommuLoadPrefix(error, file);
        return NULL;
    }
    return g_steal_pointer(&input);
}

void
viommuInputFree(viommuInput *input)
{
    if (!input)
        return;
    viommuDomainFree(input->dom);
    if (!input->beside) {
        viommuLibvirtFree(input->conn);
        viommuPeerCapsClear(&input->peer);
        g_free(input->emulator);
        g_free(input->unasked);
        qemuViommuCapsFree(input->caps);
        viommuHostFree(input->host);
    }
    g_free(input->text);
    g_free(input);
}

static bool
loadNetworkFile(viommuInput *input, const char *file, GError **error)
{
    size_t len = 0;
    g_autofree char *text = viommuLoadFile(file, VIOMMU_XML_MAX + 1, &len, error);
    g_autoptr(viommuNetwork) net = NULL;

    if (!text)
        return false;
    net = viommuNetworkParse(text, len, error);
    if (!net) {
        viommuLoadPrefix(error, file);
        return false;
    }
    if (viommuHostFindNetwork(input->host, net->name)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                    "%s: the network '%s' is given twice with --network", fileName(file),
                    net->name);
        return false;
    }
    viommuHostAddNetwork(input->host, g_steal_pointer(&net));
    return true;
}

/* Without --host the devices are looked up here, so libvirt must be here too. */
bool
viommuLoadIsHere(viommuLibvirt *conn, GError **error)
{
    g_autofree char *theirs = viommuLibvirtHostname(conn, error);
    const char *ours = g_get_host_name();

    if (!theirs)
        return false;
    if (strcspn(theirs, ".") == strcspn(ours, ".") &&
        strncmp(theirs, ours, strcspn(ours, ".")) == 0)
        return true;
    g_set_error(
        error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
        "libvirt is on host '%s', and this is '%s': give that host's record ('viommu record' there) with --host",
        theirs, ours);
    return false;
}

bool
viommuInputIsRequest(const viommuInput *input)
{
    return viommuDomainIsRequest(input->dom) ||
           viommuDomainFitsPolicy(input->dom, input->opts->policy);
}

/* Asks libvirt for the networks of the domain that nobody has given. */
static bool
fetchNetworks(viommuInput *input, GError **error)
{
    g_autoptr(GPtrArray) names = viommuHostMissingNetworks(input->host, input->dom);
    size_t i;

    for (i = 0; input->conn && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *text = viommuLibvirtNetworkXML(input->conn, name, error);
        viommuNetwork *net = text ? viommuNetworkParse(text, strlen(text), error) : NULL;

        if (!net) {
            if (text)
                g_prefix_error(error, "network '%s' of libvirt: ", name);
            viommuLoadPrefix(error, input->file);
            return false;
        }
        viommuHostAddNetwork(input->host, net);
    }
    return true;
}

static bool
bind(viommuInput *input, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (viommuHostBind(input->host, input->dom, input->notes, &local))
        return true;
    if (g_error_matches(local, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED))
        viommuLoadPrefix(&local, input->file);
    g_propagate_error(error, g_steal_pointer(&local));
    return false;
}

bool
viommuInputLoad(viommuInput *input, GError **error)
{
    const viommuOptions *opts = input->opts;
    virSysfs *fs;
    size_t i;

    for (i = 0; opts->networks && opts->networks[i]; i++) {
        if (!loadNetworkFile(input, opts->networks[i], error))
            return false;
    }
    if (opts->emulator && !viommuInputAskEmulator(input, error))
        return false;
    if (opts->connect && !input->conn) {
        input->conn = viommuLibvirtOpen(opts->connect, VIOMMU_LIBVIRT_READ, error);
        if (!input->conn)
            return false;
    }
    if (input->conn && !opts->host && !viommuLoadIsHere(input->conn, error))
        return false;
    viommuInputAskPeer(input);
    if (!opts->emulator && !viommuInputAskEmulator(input, error))
        return false;
    if (input->conn) {
        input->host->users = viommuLibvirtDeviceUsers(input->conn, input->dom->name, error);
        if (!input->host->users)
            return false;
    }
    fs = viommuLoadHost(opts, error);
    input->host->policy = opts->policy;
    return fs && viommuHostRead(input->host, fs, error) && fetchNetworks(input, error) &&
           bind(input, error);
}

bool
viommuInputLoadBeside(viommuInput *input, viommuInput *other, GError **error)
{
    viommuPolicy policy = other->host->policy;
    bool done;

    viommuHostFree(input->host);
    input->beside = true;
    input->conn = other->conn;
    input->emulator = other->emulator;
    input->caps = other->caps;
    input->host = other->host;
    input->host->policy = VIOMMU_POLICY_OFF;
    done = fetchNetworks(input, error) && bind(input, error);
    input->host->policy = policy;
    return done;
}

/* The versions that count: those of the options, else those of the peer. */
static bool
getVersions(const viommuInput *input, viommuLibvirtVersions *ret_versions, GError **error)
{
    *ret_versions = (viommuLibvirtVersions){ 0 };
    if (input->conn && !viommuLibvirtGetVersions(input->conn, ret_versions, error))
        return false;
    if (input->opts->libvirtVersion)
        ret_versions->libvirt = input->opts->libvirtVersion;
    if (input->opts->qemuVersion)
        ret_versions->qemu = input->opts->qemuVersion;
    if (input->caps)
        ret_versions->qemu = qemuViommuCapsPlanVersion(input->caps);
    /* A patched QEMU has what the newest has, whatever its number is. */
    if (input->opts->qemuDialect > QEMU_VIOMMU_DIALECT_NATIVE)
        ret_versions->qemu = 0;
    return true;
}

bool
viommuInputQemu(const viommuInput *input, unsigned *ret_qemu, GError **error)
{
    viommuLibvirtVersions versions;
    const char *why;

    if (!getVersions(input, &versions, error))
        return false;
    /* What such a one lacks is what H12 says. */
    *ret_qemu = input->caps && !qemuViommuCapsDialect(input->caps, &why) ? 0 : versions.qemu;
    return true;
}

bool
viommuInputLibvirt(const viommuInput *input, unsigned *ret_libvirt, GError **error)
{
    viommuLibvirtVersions versions;
    bool good = getVersions(input, &versions, error);

    *ret_libvirt = versions.libvirt;
    return good;
}

viommuPlacement *
viommuInputPlace(viommuInput *input, GError **error)
{
    g_autoptr(viommuPlacement) placement = NULL;
    viommuLibvirtVersions versions;
    unsigned qemu;

    if (!getVersions(input, &versions, error))
        return NULL;
    qemu = viommuInputLacksAccel(input, NULL) ? 0 : versions.qemu;
    placement = viommuPlacementNewAfter(input->dom, input->before, input->host, qemu, error);
    if (!placement)
        return NULL;
    viommuInputJudgeEmulator(input, placement->plan, false, placement->findings);
    viommuFindingsSort(placement->findings);
    placement->refused = viommuFindingsHaveError(placement->findings);
    if (!placement->refused && !viommuInputFitDialect(input, placement->plan, error))
        return NULL;
    return g_steal_pointer(&placement);
}

bool
viommuInputFitLibvirt(const viommuInput *input, viommuPlacement *placement, GError **error)
{
    unsigned libvirt;

    return viommuInputLibvirt(input, &libvirt, error) && viommuPlacementFit(placement, libvirt, error);
}

bool
viommuInputFit(const viommuInput *input, viommuPlacement *placement, GError **error)
{
    return viommuInputFitEmulator(input, placement, error) && viommuInputFitLibvirt(input, placement, error);
}
