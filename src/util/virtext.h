/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values as libvirt writes them in text: sizes with a unit, and sets of numbers; and text for people.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Largest number in a set: Linux has nodes and CPUs below 8192 (NR_CPUS, MAX_NUMNODES). */
#define VIR_TEXT_SET_MAX 8191

/* Reads a size: @text is a decimal number of @unit (NULL: KiB), one of libvirt's (b, bytes, KB, k, KiB ...
 * E, EiB). Returns false for anything else, and for what does not fit into 64 bits. */
bool virTextParseSize(const char *text, const char *unit, uint64_t *ret_bytes);

/* Reads a set such as "0-2,5,^1" and returns its members in ascending order, as unsigned, each once; NULL
 * if @text is not a set. Free with g_array_unref. */
GArray *virTextParseSet(const char *text);

/* Appends @text, which may come from a document: control characters become '?'. */
void virTextAppendClean(GString *out, const char *text);

/* The one of @known, ending with NULL, that @word was probably to be: at most two letters put in, left out or replaced,
 * and fewer than half of them, the nearest and then the first one; NULL: none is that near. Case, '-' and '_' count for
 * nothing, so that a word that differs in these alone is nearest. */
const char *virTextSimilar(const char *word, const char *const *known);
