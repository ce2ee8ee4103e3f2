// SPDX-License-Identifier: GPL-3.0-or-later

// Datagrams with descriptors to the service manager. Control messages are laid out by macros of the C library, which Swift
// does not see; what is said in them is said elsewhere.

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

#pragma clang assume_nonnull end

#endif
