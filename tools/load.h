/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands open: files, the host, libvirt; and a domain together with what it needs of
 * them.
 */
#pragma once

#include "viommu.h"
#include "viommu_conf.h"
#include "viommu_libvirt.h"
#include "virsmmu.h"
#include "virsysfs.h"

#include <glib.h>

/* At most @limit bytes of the file @path ("-": standard input, once per run) with a NUL behind
 * them; whoever reads them refuses what is too long. Free with g_free. */
char *viommuLoadFile(const char *path, size_t limit, size_t *ret_len, GError **error);

/* Adds the name of a file in front of the message of an error. */
void viommuLoadPrefix(GError **error, const char *path);

/* The host of --host: a record, a directory, or without it this machine. */
virSysfs *viommuLoadHost(const viommuOptions *opts, GError **error);

/* A domain, and what was read for it. */
typedef struct {
    const viommuOptions *opts; /* borrowed, as is file */
    const char *file;
    char *text;
    size_t len;
    viommuDomain *dom;
    viommuLibvirt *conn; /* NULL: not asked for */
    virSysfs *fs;        /* this and topo: NULL before viommuInputLoad */
    virSMMUTopology *topo;
    GPtrArray *notes;    /* takes what is not known, as notes; NULL: it is an error. Borrowed */
    GPtrArray *networks; /* of viommuNetwork: those of --network, and those that libvirt gave */
} viommuInput;

/* Reads the domain and opens nothing else. Free with viommuInputFree. */
viommuInput *viommuInputNew(const viommuOptions *opts, const char *file, GError **error);
void viommuInputFree(viommuInput *input);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuInput, viommuInputFree)

/* Connects to libvirt if --connect is given, reads the networks of --network and the map of the
 * host, then what viommuInputBind reads. Refuses a libvirt on another host if --host is not given.
 */
bool viommuInputLoad(viommuInput *input, GError **error);

/* Looks up the host devices behind the networks of @dom, which is input's domain or an expansion of
 * it, and reads the details of all its host devices. */
bool viommuInputBind(viommuInput *input, viommuDomain *dom, GError **error);
