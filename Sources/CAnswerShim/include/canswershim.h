// SPDX-License-Identifier: GPL-3.0-or-later

// Raw sockets on which packets go out that were written elsewhere, and nothing comes in. Their options and control messages are
// laid out by macros that Swift does not see.

#ifndef CANSWERSHIM_H
#define CANSWERSHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum canswer_kind {
    /// Whole IPv4 packets.
    CANSWER_IPV4,
    /// Whole IPv6 packets.
    CANSWER_IPV6,
    /// ICMPv6 messages, whose header and checksum the kernel makes.
    CANSWER_ICMPV6,
};

/// Opens one, which takes CAP_NET_RAW. Returns a descriptor or a negative errno value.
int canswer_open(int kind);

/// Sets the mark of the packets that go out on it (SO_MARK). Returns 0 or an errno value.
int canswer_mark(int descriptor, uint32_t mark);

/// One packet's way. Addresses are IPv6 ones, or IPv4 ones in the first four bytes.
struct canswer_way {
    uint8_t destination[16];
    /// By which it is routed, and whose it is where the kernel writes the header; zeros: the kernel chooses.
    uint8_t source[16];
    /// The interface on whose link a link-local destination is; otherwise 0.
    uint32_t link;
};

/// Sends one packet without waiting for anything. Returns 0 or an errno value.
int canswer_send(int descriptor, int kind, const uint8_t *bytes, size_t length, const struct canswer_way *way);

/// Gives up the right to open raw sockets (CAP_NET_RAW), for this thread and those that it starts. Returns 0 or an errno value.
int canswer_give_up_right(void);

#pragma clang assume_nonnull end

#endif
