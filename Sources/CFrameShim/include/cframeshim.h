// SPDX-License-Identifier: GPL-3.0-or-later

// Packet sockets (packet(7)) as the frame guard needs them: their headers are none that Swift sees.

#ifndef CFRAMESHIM_H
#define CFRAMESHIM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// One instruction of a classic BPF program, as the kernel lays it out (struct sock_filter).
struct cframe_instruction {
    uint16_t code;
    uint8_t jump_true;
    uint8_t jump_false;
    uint32_t operand;
};

/// What the kernel says of a frame beside its bytes.
struct cframe_info {
    uint32_t interface;
    uint16_t ethertype;
    /// Bytes of the sender's link address in `source`; 0 where the link has none.
    uint8_t source_length;
    uint8_t source[6];
    /// Bytes from the network header on, of which fewer may have been copied.
    uint32_t length;
};

/// Opens a socket for received frames of this EtherType, of all interfaces, from the network header on, that the program
/// accepts; it may be shown others too. From Linux 6.15 on a socket of one EtherType comes after IP in the kernel's list, and
/// has it copy each packet's description; one of all comes before. The program can neither be taken off
/// nor exchanged afterwards, by anybody. Takes CAP_NET_RAW.
/// Returns the descriptor, or a negated errno value.
int cframe_open(uint16_t ethertype, const struct cframe_instruction *program, size_t count);

/// Whether a descriptor that came from somewhere else is such a socket: for this EtherType, its program locked.
int cframe_is_one(int descriptor, uint16_t ethertype);

/// Takes the next frame, without waiting. Returns the bytes copied, or a negated errno value.
ssize_t cframe_receive(int descriptor, uint8_t *buffer, size_t size, struct cframe_info *info);

/// Waits until one of them has something to read. At most `CFRAME_WAITED` descriptors.
#define CFRAME_WAITED 8
void cframe_wait(const int *descriptors, size_t count);

/// Frames that found no room in the socket since this was asked last.
uint32_t cframe_lost(int descriptor);

#pragma clang assume_nonnull end

#endif
