/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libFuzzer and localfuzzer.c call.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Takes any bytes, and returns 0. A fault is a crash: an assertion, or what a sanitizer finds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
