/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Made-up domains by seed that ask for nested SMMUs on a made-up host: passed-through devices in several
 * forms, emulated ones, ports and expander buses that the user wrote, NUMA cells, requests for all SMMUs or
 * for some. Some ask for what cannot be.
 */
#pragma once

#include "randomhost.h"

/* One child of <devices>. */
typedef struct {
    char *text;   /* lines with relative indentation of two spaces, quoted by ' */
    char *source; /* name of the host device, NULL: none */
    bool movable; /* may change places with others that are movable */
} randomElement;

typedef struct {
    bool accel;          /* not for TCG */
    char *rootAttrs;     /* of <domain> */
    GString *head;       /* children of <domain> in front of <devices>, and behind: lines */
    GString *tail;
    GPtrArray *devices;  /* of randomElement */
    char *network;       /* source of the network 'vfs': a host device; NULL: not used */
    const char *indent;  /* NULL: no white space at all */
    const char *newline;
    bool doubleQuotes;
} randomDomain;

randomDomain *randomDomainNew(const randomHost *host, GRand *rand);
void randomDomainFree(randomDomain *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(randomDomain, randomDomainFree)

/* The XML; with its hostdevs in another order if @shuffle is not NULL. */
char *randomDomainFormat(const randomDomain *dom, GRand *shuffle);

/* A <hostdev> without guest address, as lines. */
char *randomHostdevText(const randomDevice *device, bool managed);

/* @text with the newlines, indentation and quotes of @dom, @depth levels deep. */
char *randomDomainStyle(const randomDomain *dom, const char *text, unsigned depth);
