/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading and writing XDR.
 */
#include "viommu_xdr.h"

#include <string.h>

size_t
viommuXDRPadding(size_t len)
{
    return (4 - len % 4) % 4;
}

viommuXDRSpan
viommuXDRReadOpaque(viommuXDRReader *reader, size_t len)
{
    viommuXDRSpan span = { reader->at, len };
    size_t left = reader->len - reader->at;

    if (reader->bad || len > left || viommuXDRPadding(len) > left - len) {
        reader->bad = true;
        return (viommuXDRSpan){ 0 };
    }
    reader->at += len + viommuXDRPadding(len);
    return span;
}

uint32_t
viommuXDRReadUint(viommuXDRReader *reader)
{
    viommuXDRSpan span = viommuXDRReadOpaque(reader, 4);
    uint32_t word = 0;

    if (reader->bad)
        return 0;
    memcpy(&word, reader->data + span.at, sizeof(word));
    return GUINT32_FROM_BE(word);
}

uint64_t
viommuXDRReadHyper(viommuXDRReader *reader)
{
    uint64_t high = viommuXDRReadUint(reader);
    uint64_t low = viommuXDRReadUint(reader);

    return high << 32 | low;
}

viommuXDRSpan
viommuXDRReadString(viommuXDRReader *reader, size_t max)
{
    uint32_t len = viommuXDRReadUint(reader);

    if (len > max)
        reader->bad = true;
    return viommuXDRReadOpaque(reader, len);
}

viommuXDRSpan
viommuXDRReadOptional(viommuXDRReader *reader, size_t max, bool *ret_there)
{
    uint32_t there = viommuXDRReadUint(reader);

    if (there > 1)
        reader->bad = true;
    *ret_there = there == 1 && !reader->bad;
    return *ret_there ? viommuXDRReadString(reader, max) : (viommuXDRSpan){ 0 };
}

void
viommuXDRWriteUint(GByteArray *out, uint32_t value)
{
    uint32_t word = GUINT32_TO_BE(value);

    g_byte_array_append(out, (const guint8 *)&word, sizeof(word));
}

void
viommuXDRWriteString(GByteArray *out, const char *text, size_t len)
{
    static const guint8 zeroes[4];

    viommuXDRWriteUint(out, (uint32_t)len);
    g_byte_array_append(out, (const guint8 *)text, (guint)len);
    g_byte_array_append(out, zeroes, (guint)viommuXDRPadding(len));
}

void
viommuXDRWriteOptional(GByteArray *out, const char *text)
{
    viommuXDRWriteUint(out, text ? 1 : 0);
    if (text)
        viommuXDRWriteString(out, text, strlen(text));
}
