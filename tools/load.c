/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens files, the host and libvirt.
 */
#include "load.h"

#include "viommu_finding.h"
#include "viommuerror.h"

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

virSysfs *
viommuLoadHost(const viommuOptions *opts, GError **error)
{
    g_autofree char *data = NULL;
    virSysfs *fs;
    size_t len = 0;

    if (!opts->host)
        return virSysfsOpenRoot("/", error);
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

static void
freeNetwork(void *data)
{
    viommuNetworkFree(data);
}

viommuInput *
viommuInputNew(const viommuOptions *opts, const char *file, GError **error)
{
    g_autoptr(viommuInput) input = g_new0(viommuInput, 1);

    input->opts = opts;
    input->file = file;
    input->networks = g_ptr_array_new_with_free_func(freeNetwork);
    input->text = viommuLoadFile(file, VIOMMU_XML_MAX + 1, &input->len, error);
    if (!input->text)
        return NULL;
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
    virSMMUTopologyFree(input->topo);
    virSysfsFree(input->fs);
    viommuLibvirtFree(input->conn);
    g_ptr_array_unref(input->networks);
    g_free(input->text);
    g_free(input);
}

static viommuNetwork *
findNetwork(const viommuInput *input, const char *name)
{
    size_t i;

    for (i = 0; i < input->networks->len; i++) {
        viommuNetwork *net = g_ptr_array_index(input->networks, i);

        if (g_strcmp0(net->name, name) == 0)
            return net;
    }
    return NULL;
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
    if (findNetwork(input, net->name)) {
        g_set_error(error, VIOMMU_ERROR, VIOMMU_ERROR_REFUSED,
                    "%s: the network '%s' is given twice with --network", fileName(file),
                    net->name);
        return false;
    }
    g_ptr_array_add(input->networks, g_steal_pointer(&net));
    return true;
}

/* Without --host the devices are looked up here, so libvirt must be here too. */
static bool
isSameHost(viommuLibvirt *conn, GError **error)
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
viommuInputLoad(viommuInput *input, GError **error)
{
    const viommuOptions *opts = input->opts;
    size_t i;

    for (i = 0; opts->networks && opts->networks[i]; i++) {
        if (!loadNetworkFile(input, opts->networks[i], error))
            return false;
    }
    if (opts->connect && !input->conn) {
        input->conn = viommuLibvirtOpen(opts->connect, VIOMMU_LIBVIRT_READ, error);
        if (!input->conn)
            return false;
    }
    if (input->conn && !opts->host && !isSameHost(input->conn, error))
        return false;
    input->fs = viommuLoadHost(opts, error);
    if (!input->fs)
        return false;
    input->topo = virSMMUTopologyRead(input->fs, error);
    return input->topo && viommuInputBind(input, input->dom, error);
}

/* What to do where nobody knows the network of @dev. */
static void
unknownNetwork(viommuInput *input, const viommuDevice *dev, GError **error)
{
    static const char remedy[] =
        "give its XML with --network, or the libvirt that has it with --connect";

    if (input->notes)
        viommuFindingsAdd(input->notes, "V05", VIOMMU_SEVERITY_NOTE, dev->line, NULL, remedy,
                          "the network '%s' may hand out host devices", dev->network);
    else
        viommuErrorAt(error, VIOMMU_ERROR_REFUSED, dev->line,
                      "the network '%s' may hand out host devices: %s", dev->network, remedy);
}

/* The network of @dev from --network, else from libvirt; NULL without @error: nobody knows it. */
static viommuNetwork *
getNetwork(viommuInput *input, const viommuDevice *dev, GError **error)
{
    viommuNetwork *net = findNetwork(input, dev->network);
    g_autofree char *text = NULL;

    if (net)
        return net;
    if (!input->conn) {
        unknownNetwork(input, dev, error);
        return NULL;
    }
    text = viommuLibvirtNetworkXML(input->conn, dev->network, error);
    if (!text)
        return NULL;
    net = viommuNetworkParse(text, strlen(text), error);
    if (!net) {
        g_prefix_error(error, "network '%s' of libvirt: ", dev->network);
        return NULL;
    }
    g_ptr_array_add(input->networks, net);
    return net;
}

/* The device that stands for all that the network @net hands out: they are behind one SMMU. NULL
 * without
 * @error: it hands out none. */
static const virSMMUDevice *
resolveNetwork(viommuInput *input, const viommuDevice *dev, const viommuNetwork *net,
               GError **error)
{
    const virSMMUDevice *first = NULL;
    size_t i;

    if (net->netdev) {
        first = virSMMUTopologyFindNetdev(input->topo, input->fs, net->netdev);
        if (!first)
            viommuErrorAt(
                error, VIOMMU_ERROR_REFUSED, dev->line,
                "the network '%s' hands out VFs of '%s', and the host has no network interface of that name on PCI",
                net->name, net->netdev);
        return first;
    }
    for (i = 0; i < net->devices->len; i++) {
        const virPCIAddr *addr = &g_array_index(net->devices, virPCIAddr, i);
        const virSMMUDevice *host = virSMMUTopologyFindDevice(input->topo, addr);
        char name[VIR_PCI_ADDR_BUFLEN];

        if (!host) {
            viommuErrorAt(error, VIOMMU_ERROR_REFUSED, dev->line,
                          "the network '%s' hands out '%s', which the host does not have",
                          net->name, virPCIAddrFormat(addr, name));
            return NULL;
        }
        if (first && first->smmu != host->smmu) {
            viommuErrorAt(
                error, VIOMMU_ERROR_REFUSED, dev->line,
                "the network '%s' hands out '%s' and '%s', which are behind different SMMUs: split it into one network per SMMU",
                net->name, first->name, host->name);
            return NULL;
        }
        first = first ? first : host;
    }
    return first;
}

/* True if a network of @dom decides something: a domain that neither asks for vSMMUs nor has any is
 * judged, and passed through, without. */
static bool
needsNetworks(const viommuDomain *dom)
{
    size_t i;

    for (i = 0; i < dom->iommus->len; i++) {
        const viommuIOMMU *iommu = g_ptr_array_index(dom->iommus, i);

        if (g_strcmp0(iommu->model, "smmuv3") == 0)
            return true;
    }
    return viommuDomainIsRequest(dom);
}

static bool
bindNetworks(viommuInput *input, viommuDomain *dom, GError **error)
{
    size_t i;

    if (!needsNetworks(dom))
        return true;
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);
        g_autoptr(GError) local = NULL;
        const virSMMUDevice *host;
        viommuNetwork *net;

        if (!dev->network || dev->haveSource)
            continue;
        net = getNetwork(input, dev, &local);
        host = net ? resolveNetwork(input, dev, net, &local) : NULL;
        if (local) {
            g_propagate_prefixed_error(error, g_steal_pointer(&local),
                                       "%s: ", fileName(input->file));
            return false;
        }
        if (host)
            viommuDomainBindNetwork(dom, dev->network, &host->addr);
    }
    return true;
}

bool
viommuInputBind(viommuInput *input, viommuDomain *dom, GError **error)
{
    size_t i;

    if (!bindNetworks(input, dom, error))
        return false;
    for (i = 0; i < dom->devices->len; i++) {
        const viommuDevice *dev = g_ptr_array_index(dom->devices, i);
        virSMMUDevice *host;

        if (dev->kind != VIOMMU_DEVICE_ASSIGNED || !dev->haveSource)
            continue;
        host = virSMMUTopologyFindDevice(input->topo, &dev->source);
        if (host && !host->haveDetails &&
            !virSMMUTopologyLoadDetails(input->topo, input->fs, host, error))
            return false;
    }
    return true;
}
