// SPDX-License-Identifier: GPL-3.0-or-later

// What a service needs of the C library that Swift does not see: datagrams with descriptors to the service manager, whose
// control messages are laid out by macros (what is said in them is said elsewhere), and <malloc.h>.

#ifndef CSERVICESHIM_H
#define CSERVICESHIM_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// The most descriptors that go with one datagram; the kernel's own limit is 253 (SCM_MAX_FD).
#define CSERVICE_DESCRIPTORS 64

/// Sends one datagram to the Unix socket at `address`: a path, or a name of the abstract namespace after '@'.
/// Returns 0 or an errno value.
int cservice_send(const char *address, const uint8_t *message, size_t length, const int *_Nullable descriptors,
                  size_t count);

/// Waits until the manager has taken in every datagram sent before: it closes the descriptor that goes with BARRIER=1.
/// Returns 0, ETIMEDOUT, or another errno value.
int cservice_await_attention(const char *address, int milliseconds);

/// Has malloc(3) give the system the pages in which nothing lives any more, of all threads (malloc_trim(3)).
void cservice_give_memory_back(void);

#pragma clang assume_nonnull end

#endif
