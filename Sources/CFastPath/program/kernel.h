// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the program needs of the kernel's interface: numbers and fields of linux/bpf.h, which never change. That header itself is
// of a machine, and the program is built for none.

#ifndef FASTPATH_KERNEL_H
#define FASTPATH_KERNEL_H

#include "../include/fastpath_layout.h"

/// A packet, as programs of the type socket filter may read it.
struct __sk_buff {
    uint32_t len;
    uint32_t before_interface[8];
    uint32_t ingress_ifindex;
};

/// A map as the loader reads it from the section `maps`; it sets the number of entries of some by itself.
struct map_definition {
    uint32_t type, key_size, value_size, entries, flags;
};

enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_OF_PROGRAMS = 3, MAP_PER_CPU_ARRAY = 6 };
enum { MAP_IS_MAPPABLE = 1 << 10 };

static void *(*const map_lookup)(const void *map, const void *key) = (void *)1;
/// Goes on with a program of an array, and does not come back; where there is none, it does.
static long (*const tail_call)(void *packet, const void *programs, uint32_t index) = (void *)12;
static long (*const load_bytes)(const void *packet, uint32_t offset, void *to, uint32_t length) = (void *)26;
static uint64_t (*const ticks)(void) = (void *)118;
static uint64_t (*const coarse_clock)(void) = (void *)160;

#define SECTION(name) __attribute__((section(name), used))
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define IN_NETWORK_ORDER16(x) __builtin_bswap16(x)
#define IN_NETWORK_ORDER32(x) __builtin_bswap32(x)

#endif
