// SPDX-License-Identifier: GPL-3.0-or-later

// Counts heap allocations by thread, in the process that it is linked or preloaded into.

#ifndef PAC_ALLOCATION_COUNTER_H
#define PAC_ALLOCATION_COUNTER_H

#include <stdint.h>

/// Allocations that this thread has made since it began: malloc, calloc, realloc, and the aligned ones.
uint64_t pac_allocations(void);

#endif
