/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: an IORT, as it is and with its length and checksum mended, which chance seldom hits.
 * Each requester of a root complex goes to one of the table's SMMUs or to none.
 */
#include "fuzztarget.h"
#include "viriort.h"

#include <string.h>

#define LENGTH 4
#define CHECKSUM 9

static void
readTable(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virIORT) iort = virIORTParse(data, size, &error);
    size_t i;

    g_assert(!iort == !!error);
    for (i = 0; iort && i < iort->rootComplexes->len; i++) {
        const virIORTRootComplex *complex = g_ptr_array_index(iort->rootComplexes, i);
        uint32_t rid;

        for (rid = 0; rid <= UINT16_MAX; rid += 0xff) {
            const virIORTSMMU *smmu = virIORTMap(iort, complex, (uint16_t)rid);

            g_assert(!smmu || g_ptr_array_find(iort->smmus, smmu, NULL));
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *mended = NULL;
    uint8_t sum = 0;
    size_t i;

    readTable(data, size);
    if (size <= CHECKSUM)
        return 0;
    mended = g_memdup2(data, size);
    for (i = 0; i < sizeof(uint32_t); i++)
        mended[LENGTH + i] = (uint8_t)(size >> (8 * i));
    mended[CHECKSUM] = 0;
    for (i = 0; i < size; i++)
        sum = (uint8_t)(sum + mended[i]);
    mended[CHECKSUM] = (uint8_t)-sum;
    readTable(mended, size);
    return 0;
}
