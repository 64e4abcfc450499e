/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * viommud.conf(5), in the form of libvirt's files: lines "key = value", where a value is a number or a
 * string in double quotes; # begins a comment.
 */
#pragma once

#include "viommu_conf.h"

#include <glib.h>

typedef struct {
    viommuPolicy policy;
    char *registers;      /* a record that has those of the SMMUs; NULL: they are not known */
    char *sockDir;        /* where the service listens */
    char *sockGroup;      /* NULL: the service's own */
    unsigned rwPerms;     /* modes of the sockets */
    unsigned roPerms;
    char *libvirtSock;    /* where libvirt listens; NULL: found out for each connection */
    char *libvirtSockRO;
    unsigned maxClients;
    unsigned maxClientsPerUser; /* but for root; 0: no limit of its own */
    unsigned drainTimeout;      /* seconds */
    unsigned queryTimeout;      /* seconds */
} viommuConfig;

/* What counts where nothing is written. Free with viommuConfigFree. */
viommuConfig *viommuConfigNew(void);
void viommuConfigFree(viommuConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuConfig, viommuConfigFree)

/* Reads @text, of the file @name, over @config. A line that cannot be read, an unknown key and a value out of
 * range are VIOMMU_ERROR_FILE with the line. */
bool viommuConfigParse(viommuConfig *config, const char *name, const char *text, GError **error);

/* The same from the file @path; without one (NULL) from the installed place, where it need not exist. */
bool viommuConfigLoad(viommuConfig *config, const char *path, GError **error);
