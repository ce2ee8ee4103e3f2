// SPDX-License-Identifier: GPL-3.0-or-later

// Sockets to receivers of syslog, and TLS over them.
//
// Socket addresses, options and OpenSSL are C's; what is sent, when, and what an error means is decided in Swift. Nothing
// here waits, but for the resolver. Failures are negative errno values, or sentences where TLS has them.

#ifndef CSYSLOGSHIM_H
#define CSYSLOGSHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// An address and a port of the receiver. IPv4 stands in its mapped form.
typedef struct csyslog_peer {
    uint8_t address[16];
    uint16_t port;
    bool is_v6;
} csyslog_peer;

/// The addresses of a host, at most `room` of them; this may wait for a name server.
/// Returns how many, or a negative code for `csyslog_resolver_text`.
int csyslog_resolve(const char *host, uint16_t port, csyslog_peer *peers, size_t room);
const char *csyslog_resolver_text(int code);

/// A socket connected to a Unix socket, of datagrams or, where the other end is one, a stream.
int csyslog_open_local(const char *path, bool *is_stream);
/// A UDP socket connected to a receiver, its packets marked where the kernel allows that. Datagrams above the path's MTU are
/// fragmented.
int csyslog_open_datagrams(const csyslog_peer *peer, uint32_t mark);
/// A TCP socket that is being connected, its packets marked likewise.
int csyslog_open_stream(const csyslog_peer *peer, uint32_t mark);

/// Whether a TCP socket is connected: 0, -EINPROGRESS, or why it cannot be.
int csyslog_connected(int descriptor);
/// Sends what goes without waiting; the number of bytes.
ssize_t csyslog_send(int descriptor, const uint8_t *bytes, size_t count);
/// Throws away what the receiver sent. 0, -EPIPE when it has closed its end, or another error of the socket.
int csyslog_drain(int descriptor);
/// Bytes that the receiver's TCP has not acknowledged.
int64_t csyslog_unacknowledged(int descriptor);

/// One TLS session as a client.
typedef struct csyslog_tls csyslog_tls;

enum csyslog_tls_result {
    csyslog_tls_done = 0,
    csyslog_tls_wants_read = -1,
    csyslog_tls_wants_write = -2,
    csyslog_tls_failed = -3,
    csyslog_tls_closed = -4,
};

/// A session over a connected socket, which stays the caller's. The receiver's certificate has to lead to one of `authorities` (a
/// file, or NULL for those that the system trusts) and be for `name`, a host name or an address. `certificate` and `key` are
/// files or both NULL. NULL, with a sentence in `message`, where one of the files cannot be used.
csyslog_tls *_Nullable csyslog_tls_new(int descriptor, const char *name, const char *_Nullable authorities,
                                       const char *_Nullable certificate, const char *_Nullable key, char *message,
                                       size_t room);
int csyslog_tls_handshake(csyslog_tls *session);
/// Bytes taken (above 0), or a result.
ssize_t csyslog_tls_send(csyslog_tls *session, const uint8_t *bytes, size_t count);
/// Throws away what the receiver sent: `csyslog_tls_done` for something, `wants_read` for nothing.
int csyslog_tls_drain(csyslog_tls *session);
/// Bytes written to the socket, and read from it, since the beginning.
uint64_t csyslog_tls_written(csyslog_tls *session);
uint64_t csyslog_tls_read(csyslog_tls *session);
/// Why the last call failed.
void csyslog_tls_failure(csyslog_tls *session, char *message, size_t room);
/// Says goodbye and frees the session.
void csyslog_tls_free(csyslog_tls *session);

#pragma clang assume_nonnull end

#endif
