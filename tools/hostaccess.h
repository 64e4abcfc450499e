/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a QEMU that libvirt starts may open iommufd and the devices itself, which it has to where libvirt does not
 * open them for it.
 */
#pragma once

#include "virsmmu.h"
#include "virsysfs.h"

/* What stands in qemu.conf of it. */
typedef struct {
    char *user;      /* that QEMU runs as; NULL: libvirt's own choice */
    char *group;     /* that QEMU runs with; NULL: libvirt's own choice */
    char **devices;  /* cgroup_device_acl; NULL: libvirt's own list */
    bool open;       /* neither a namespace nor a cgroup keeps QEMU from nodes that are not in that list */
    bool apparmor;   /* security_driver leaves it to libvirt, or names it */
} viommuQEMUConf;

/* Reads @text (NULL: there is no such file). Lines that are of no use here, or that libvirt would not take, are passed
 * over. Free with viommuQEMUConfFree. */
viommuQEMUConf *viommuQEMUConfParse(const char *text);
void viommuQEMUConfFree(viommuQEMUConf *conf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuQEMUConf, viommuQEMUConfFree)

/* The line of qemu.conf that lets QEMU have @nodes (paths, ending with NULL) beside what it has: "cgroup_device_acl =
 * [ ... ]"; NULL: it has them. Free with g_free. */
char *viommuQEMUConfWants(const viommuQEMUConf *conf, char *const *nodes);

/* Adds what a libvirt of that version needs for it (H11). @root: where the nodes and qemu.conf of @fs stand ("/"),
 * NULL: in a record, which has neither. False only with @error set. */
bool viommuHostCheckAccess(GPtrArray *verdicts, const virSMMUTopology *topo, virSysfs *fs, const char *root,
                           unsigned libvirt, GError **error);
