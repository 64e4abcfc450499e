/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a domain is not the plan's: two documents, of which one is an expansion of the other,
 * must be equal in it to the byte (P13). Reads XML in its own simple way, so that it shares no
 * mistake with src/conf.
 */
#pragma once

#include <glib.h>

/* Cuts what the plan owns out of the domain @before and out of its expansion @after, with the white
 * space in front of each piece. The results: free with g_free. */
void goldenCut(const char *before, const char *after, char **ret_before, char **ret_after);
