/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * External data representation (RFC 4506) as far as libvirt's messages need it: big-endian words of four
 * bytes, strings of a length and so many bytes, padded to four.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Reads from the front of some bytes. Where they end too early, or a length is out of range, it is bad from
 * then on and gives zeroes: what was read counts only if it is not bad in the end. */
typedef struct {
    const uint8_t *data; /* borrowed */
    size_t len;
    size_t at;
    bool bad;
} viommuXDRReader;

/* Bytes of the data, by offset. */
typedef struct {
    size_t at;
    size_t len;
} viommuXDRSpan;

uint32_t viommuXDRReadUint(viommuXDRReader *reader);
uint64_t viommuXDRReadHyper(viommuXDRReader *reader);

/* @len bytes and their padding. */
viommuXDRSpan viommuXDRReadOpaque(viommuXDRReader *reader, size_t len);

/* A string; bad if it is longer than @max. */
viommuXDRSpan viommuXDRReadString(viommuXDRReader *reader, size_t max);

/* A string that may be absent (a word 0 or 1 in front of it); then *@ret_there is false. */
viommuXDRSpan viommuXDRReadOptional(viommuXDRReader *reader, size_t max, bool *ret_there);

void viommuXDRWriteUint(GByteArray *out, uint32_t value);
void viommuXDRWriteString(GByteArray *out, const char *text, size_t len);
void viommuXDRWriteOptional(GByteArray *out, const char *text);

/* The bytes of a string that follow its text, so that its length is a multiple of four: 0 to 3. */
size_t viommuXDRPadding(size_t len);
