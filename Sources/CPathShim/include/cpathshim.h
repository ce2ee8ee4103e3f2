// SPDX-License-Identifier: GPL-3.0-or-later

// The sockets of a path test. What Swift's view of the C library leaves out stands here: the error queue with the sender of
// an ICMP message, TCP_INFO, the address that a datagram was sent to, epoll. No policy: a failure is a negative errno value.

#ifndef CPATHSHIM_H
#define CPATHSHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// An address and a port in host order. IPv4 stands in its mapped form, as PacketWire has it; `is_ipv6` tells them apart.
struct path_endpoint {
    uint64_t high;
    uint64_t low;
    /// Interface of a link-local address; 0 elsewhere.
    uint32_t scope;
    uint16_t port;
    bool is_ipv6;
};

/// A non-blocking socket, closed on exec: TCP, or UDP.
int path_socket(bool is_ipv6, bool is_tcp);

/// What every probe's socket has: ICMP errors with their senders (IP_RECVERR; on IPv6 sockets both families'), no delay of
/// small segments, and a small send buffer.
int path_prepare_probe(int socket, bool is_ipv6, bool is_tcp);

/// Time to live, or hop limit, of what the socket sends.
int path_limit_hops(int socket, bool is_ipv6, int hops);

/// IP_BIND_ADDRESS_NO_PORT is not set: the port is known before the first packet.
int path_bind(int socket, const struct path_endpoint *endpoint);
int path_connect(int socket, const struct path_endpoint *endpoint);
int path_local(int socket, struct path_endpoint *endpoint);
int path_peer(int socket, struct path_endpoint *endpoint);

/// A bound socket that listens, or for UDP one that says where each datagram was sent to. IPv6 ones take no IPv4.
int path_listener(const struct path_endpoint *endpoint, bool is_tcp, int backlog);

/// The next connection, non-blocking; its sender is in `peer`. -EAGAIN where none waits.
int path_accept(int socket, struct path_endpoint *peer);

/// Reads and clears the socket's pending error; 0 where it has none, which is also what a failure to ask gives.
int path_take_error(int socket);

/// One message of the error queue (ip(7), IP_RECVERR).
struct path_error {
    int error;
    /// 1 this host, 2 ICMP, 3 ICMPv6.
    uint8_t origin;
    uint8_t type;
    uint8_t code;
    bool has_offender;
    /// Who sent the ICMP message, without a port.
    struct path_endpoint offender;
    /// Of an error about a packet that is too large: what would fit; else 0.
    uint32_t mtu;
};

/// What the IP headers of all that the socket sends have for DSCP and ECN. 0 or a negative errno value.
int path_mark(int socket, bool is_ipv6, int traffic_class);

/// Has what the socket sends go out as it is, or not at all: nobody on the way may take it apart, and what this host knows of the way is
/// not asked. 0 or a negative errno value.
int path_keep_whole(int socket, bool is_ipv6);

/// False where the queue is empty.
bool path_take_queued_error(int socket, struct path_error *error);

/// Of TCP_INFO (tcp(7), linux/tcp.h).
struct path_tcp_info {
    uint32_t retransmissions;
    /// Since the start; the SYN counts as one for who connects.
    uint64_t bytes_acked;
    uint64_t bytes_received;
    uint32_t rtt_microseconds;
    /// The MSS option that this side sends.
    uint32_t offered_segment_size;
};

bool path_read_tcp_info(int socket, struct path_tcp_info *info);

/// Bytes written and not yet acknowledged by the peer, or a negative errno value.
int path_unacknowledged(int socket);

/// Both give bytes, 0 at the end of the stream, or a negative errno value. Neither raises SIGPIPE.
ssize_t path_send(int socket, const void *bytes, size_t count);
ssize_t path_receive(int socket, void *bytes, size_t count);

/// One datagram, its sender, and the address that it was sent to (without a port). A longer datagram than `count` gives its
/// true length. `traffic_class` is what its IP header has for DSCP and ECN, or -1 where that is not known.
ssize_t path_receive_from(
    int socket, void *bytes, size_t count, struct path_endpoint *from, struct path_endpoint *_Nullable local,
    int *traffic_class);

/// `local`, if given, is the address that the datagram comes from.
ssize_t path_send_to(
    int socket, const void *bytes, size_t count, const struct path_endpoint *to,
    const struct path_endpoint *_Nullable local);

/// A packet socket (packet(7)) that sees the segments with SYN or RST of all interfaces, from the network header on, before
/// this host's filter has those that arrive and after it has had those that leave. Takes CAP_NET_RAW.
int path_opening_watch(void);
/// One of these, at most 160 bytes; -EAGAIN where none waits.
ssize_t path_take_opening(int watch, void *bytes, size_t count, bool *is_outgoing);
/// Whether some were lost for lack of room since this was asked last.
bool path_missed_openings(int watch);

/// What became of a descriptor that is watched.
struct path_event {
    uint64_t token;
    uint32_t what;
};

#define PATH_READABLE 1u
#define PATH_WRITABLE 4u
#define PATH_ERROR 8u
#define PATH_HANGUP 16u

int path_poller(void);
/// Watches a descriptor, or changes for what it is watched. Errors and hang-ups are always told.
int path_watch(int poller, int descriptor, uint64_t token, uint32_t what, bool is_new);
int path_unwatch(int poller, int descriptor);
/// Waits at most this long; -1 without end. Returns the number of events.
int path_wait(int poller, struct path_event *events, int count, int64_t nanoseconds);

/// CLOCK_MONOTONIC in nanoseconds.
int64_t path_now(void);

/// A descriptor that reads as a signal arrives (SIGINT, SIGTERM), which then has no other effect. Wakes a poller.
int path_signals(void);
/// The signal that arrived, 0 where none did.
int path_take_signal(int descriptor);

/// Raises the limit of open descriptors as far as this process may; returns it.
uint64_t path_raise_descriptor_limit(void);

/// A pipe whose ends are closed on exec: the end to read from and the one to write to.
int path_pipe(int *ends);

/// Fills with random bytes from the kernel; a negative errno value where it has none.
int path_random(void *bytes, size_t count);

#pragma clang assume_nonnull end

#endif
