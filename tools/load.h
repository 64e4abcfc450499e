/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands open: files, the host, libvirt; and a domain together with what it needs of
 * them.
 */
#pragma once

#include "peercaps.h"
#include "qemu_viommu_caps.h"
#include "viommu.h"
#include "viommu_libvirt.h"
#include "viommu_place.h"

#include <glib.h>

/* At most @limit bytes of the file @path ("-": standard input, once per run) with a NUL behind
 * them; whoever reads them refuses what is too long. Free with g_free. */
char *viommuLoadFile(const char *path, size_t limit, size_t *ret_len, GError **error);

/* Adds the name of a file in front of the message of an error. */
void viommuLoadPrefix(GError **error, const char *path);

/* Adds to the end of the message what may be meant. */
void viommuLoadHint(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The host of --host: a record, a directory, or without it this machine. */
virSysfs *viommuLoadHost(const viommuOptions *opts, GError **error);

/* The same, and probing that fails is no error: *@ret_unprobed is why it failed, for the first SMMU at least, or NULL.
 * Free it with g_free. */
virSysfs *viommuLoadHostAnyway(const viommuOptions *opts, char **ret_unprobed, GError **error);

/* True if libvirt is on this machine; an error says that its host's record is needed. */
bool viommuLoadIsHere(viommuLibvirt *conn, GError **error);

/* A domain, and what was read for it. */
typedef struct {
    const viommuOptions *opts; /* borrowed, as is file */
    const char *file;
    char *text;
    size_t len;
    viommuDomain *dom;
    viommuLibvirt *conn; /* NULL: not asked for */
    bool given;          /* it is given to libvirt, which runs its emulator then */
    char *emulator;      /* the QEMU that is asked: of --emulator, or that the domain names; NULL: none is */
    qemuViommuCaps *caps; /* what it answered; NULL: it did not, or nothing is loaded yet */
    char *unasked;       /* why the one that the domain names was not asked, or did not answer; NULL */
    bool unusable;       /* that is so for whoever runs it */
    viommuPeerCaps peer;     /* what libvirt says of the domain's emulator, machine and type; empty: not asked */
    viommuHost *host;    /* with the networks of --network, and those that libvirt gave */
    bool beside;         /* conn, emulator, caps and host are those of another input */
    const viommuDomain *before; /* that in whose place it comes, or NULL. Borrowed */
    GPtrArray *notes;    /* takes what is not known, as notes; NULL: it is an error. Borrowed */
} viommuInput;

/* Reads the domain and opens nothing else. Free with viommuInputFree. */
viommuInput *viommuInputNew(const viommuOptions *opts, const char *file, GError **error);
void viommuInputFree(viommuInput *input);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(viommuInput, viommuInputFree)

/* True if the domain asks for a placement, or --policy may ask for it. */
bool viommuInputIsRequest(const viommuInput *input);

/* Asks the QEMU of --emulator or of the domain (viommuInputAskEmulator), connects to libvirt if --connect is given,
 * reads the networks of --network and of libvirt and the map of the host, and binds the domain to it. Refuses a libvirt
 * on another host if --host is not given. */
bool viommuInputLoad(viommuInput *input, GError **error);

/* The QEMU that @input is for: that of the options, the emulator that was asked, or else of the connection,
 * 1000 * major + minor; 0: not known, or one that libvirt and versions say nothing of. False only with @error set. */
bool viommuInputQemu(const viommuInput *input, unsigned *ret_qemu, GError **error);

/* The same of libvirt; 0: not known. */
bool viommuInputLibvirt(const viommuInput *input, unsigned *ret_libvirt, GError **error);

/* The same for a second domain, of which nothing else is read than for the first, @other, which is loaded and has to
 * outlive it. No policy asks for it. */
bool viommuInputLoadBeside(viommuInput *input, viommuInput *other, GError **error);

/* Places the loaded @input for the QEMU that it is for (viommuInputQemu). What is to be said of an emulator that was
 * asked is among the findings (H12). NULL with @error set where something cannot be read, and where that emulator
 * lacks words that the plan needs (VIOMMU_ERROR_REFUSED). Borrows from @input. */
viommuPlacement *viommuInputPlace(viommuInput *input, GError **error);

/* Lets @placement, which is not refused, speak to the libvirt of the options or else of the connection; an older one
 * may be refused. */
bool viommuInputFitLibvirt(const viommuInput *input, viommuPlacement *placement, GError **error);

/* That, and refuses an emulator whose words libvirt does not have. */
bool viommuInputFit(const viommuInput *input, viommuPlacement *placement, GError **error);
