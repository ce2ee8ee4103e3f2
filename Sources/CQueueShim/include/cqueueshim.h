// SPDX-License-Identifier: GPL-3.0-or-later

// One netfilter queue: claim it, receive packets in batches, send verdicts in batches.
//
// Every system call of the packet path is made here, because netlink messages are built and read in memory that is
// reused, which Swift could only do in unsafe code. No policy and no logging: failures are negative errno values and
// counters, and the caller makes sentences of them.
//
// A queue belongs to one thread at a time. Only prq_waker_* may be called from others.

#ifndef CQUEUESHIM_H
#define CQUEUESHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma clang assume_nonnull begin

/// Most packets of one batch. More than 32 gained nothing measurable and makes the first packet wait for the last.
#define PRQ_BATCH 32

/// NF_DROP and NF_ACCEPT under names that need no kernel header.
#define PRQ_DROP 0u
#define PRQ_ACCEPT 1u

struct prq_queue;

struct prq_config {
    /// Number of the queue, as in `-j NFQUEUE --queue-num`.
    uint16_t number;
    /// Packets that may wait for a verdict before the kernel drops (or, failing open, passes) new ones.
    uint32_t length;
    /// Bytes of each packet that are copied; the kernel's most is 65,531, which 0 stands for too.
    uint32_t copy_bytes;
    /// Wanted receive buffer of the socket in bytes.
    uint32_t socket_buffer;
    /// Spin this long for a packet before sleeping; 0 never spins.
    uint32_t busy_poll_microseconds;
    /// Verdict of a packet that nobody settled: PRQ_DROP or PRQ_ACCEPT.
    uint32_t failure_verdict;
    /// Let packets pass unjudged when the queue or the socket buffer is full.
    bool fail_open;
};

/// What prq_open was doing when it failed; decides which cure is worth telling.
enum prq_step {
    PRQ_STEP_MEMORY,
    PRQ_STEP_SOCKET,
    PRQ_STEP_CLAIM,
    PRQ_STEP_LENGTH,
    PRQ_STEP_FLAGS,
    PRQ_STEP_START,
    PRQ_STEP_ORPHANS,
};

/// A packet as the kernel describes it, all numbers in host byte order.
struct prq_packet {
    /// The packet from its IP header on; borrowed until the next prq_receive.
    const uint8_t *_Nullable payload;
    /// Bytes at `payload`.
    uint32_t payload_length;
    /// Bytes of the packet at the hook; more than `payload_length` where the copy range cut it.
    uint32_t full_length;
    uint32_t id;
    uint32_t mark;
    /// Interface indices; 0 where there is none. The physical ones are ports of a bridge.
    uint32_t in_interface;
    uint32_t out_interface;
    uint32_t physical_in_interface;
    uint32_t physical_out_interface;
    /// Owner of the sending socket, UINT32_MAX where the kernel names none.
    uint32_t uid;
    uint32_t gid;
    /// Kernel time of arrival in nanoseconds since 1970; 0 where the kernel took none (it does so only while some
    /// socket of the host asks for time stamps).
    int64_t timestamp;
    /// EtherType.
    uint16_t ether_type;
    /// EtherType and control information of a VLAN tag that the device took off; 0 without one.
    uint16_t vlan_protocol;
    uint16_t vlan_tci;
    /// NF_INET_PRE_ROUTING (0) … NF_INET_POST_ROUTING (4).
    uint8_t hook;
    /// AF_INET, AF_INET6, AF_BRIDGE.
    uint8_t family;
    /// Source hardware address and how many bytes of it count; 0 on packets that this host sends.
    uint8_t hardware_address[8];
    uint8_t hardware_address_length;
    /// Destination hardware address of a frame of a bridge; the length is 6, or 0 without one.
    uint8_t destination_address[6];
    uint8_t destination_address_length;
    /// The transport checksum is still to be filled in by a device (NFQA_SKB_CSUMNOTREADY).
    bool checksum_not_ready;
    /// Nobody verified the checksum (NFQA_SKB_CSUM_NOTVERIFIED).
    bool checksum_not_verified;
    /// Several segments in one packet (NFQA_SKB_GSO).
    bool is_gso;
};

/// Losses that the shim sees itself; each only grows.
struct prq_counters {
    /// Messages that did not fit the socket's receive buffer: SK_MEMINFO_DROPS.
    uint32_t socket_overflows;
    /// Verdict messages that the kernel refused, and its last reason (an errno value).
    uint64_t refused_verdicts;
    int32_t last_refusal;
    /// Sends of verdicts that succeeded, and how many messages they carried: one for a packet or a run of them.
    uint64_t sends;
    uint64_t sent_messages;
    /// Sends that failed, and the last reason. Their verdicts are kept and sent again.
    uint64_t failed_sends;
    int32_t last_send_failure;
    /// Verdicts given up because sending failed until there was no room to keep more.
    uint64_t unsent_verdicts;
    /// Messages that were not what the protocol allows.
    uint64_t malformed_messages;
};

/// Claims a queue and starts it. Returns 0, or a negative errno value with the failed step in `step`.
/// Exists because the order of the steps decides whether a packet can be lost between them (see open.c).
int prq_open(const struct prq_config *config, struct prq_queue *_Nullable *_Nonnull queue, enum prq_step *step);

/// The netlink port of a socket by which a queue can be taken over: a netfilter socket of this network namespace. 0, or a
/// negative errno value: EPROTOTYPE for anything but a netfilter socket, EXDEV for one of another namespace.
int prq_socket_port(int descriptor, uint32_t *port);

/// Goes on with the queue of a socket whose reader is gone. `last_id` is the latest id that the kernel's table shows for
/// it. What that reader had received and not settled gets the failure verdict; what waits in the socket comes with the
/// next prq_receive. Returns as prq_open does; on an error the descriptor stays the caller's.
int prq_take_over(const struct prq_config *config, int descriptor, uint32_t last_id,
                  struct prq_queue *_Nullable *_Nonnull queue, enum prq_step *step);

/// Closes this process's socket without giving the queue up: another process has the socket, and reads on.
void prq_leave(struct prq_queue *queue);

/// Settles everything that waits in the kernel with `verdict`, gives the queue up and closes its socket. Packets still
/// handed out may be settled afterwards, to no effect; the memory goes with the last of them.
void prq_close(struct prq_queue *queue, uint32_t verdict);

/// Sends what is left of the last batch, then waits for packets: up to `timeout_milliseconds`, not at all for 0,
/// for ever if negative. Returns how many there are, 0 after the time-out, a signal or a wake-up, or a negative errno
/// value. Packets of the last batch that nobody took are settled with the failure verdict.
int prq_receive(struct prq_queue *queue, int timeout_milliseconds);

/// The queue's socket, for prq_await; belongs to the queue.
int prq_descriptor(const struct prq_queue *queue);

/// Waits until one of `count` sockets (at most 32) can be received from: up to `timeout_milliseconds`, the first
/// `spin_microseconds` of them without sleeping. Returns a bit for each that can, the first in the lowest; 0 after the time-out
/// or a signal. Exists because sleeping in prq_receive is sleeping on one queue.
uint32_t prq_await(const int *descriptors, uint32_t count, int timeout_milliseconds, uint32_t spin_microseconds);

/// Hands the next packet of the batch out, or returns NULL after the last. Each handed-out packet must be settled.
/// `place` says where it is, for prq_packet_at.
const struct prq_packet *_Nullable prq_take(struct prq_queue *queue, uint64_t *place);

/// The packet at `place`, or NULL if its batch is over and its bytes are gone.
const struct prq_packet *_Nullable prq_packet_at(const struct prq_queue *queue, uint64_t place);

/// Settles a packet that prq_take handed out: at the next prq_flush or prq_receive, together with its neighbours.
/// With `has_mark` the packet's whole mark becomes `mark`.
void prq_settle(struct prq_queue *queue, uint32_t id, uint32_t verdict, bool has_mark, uint32_t mark);

/// The same with the queue's failure verdict.
void prq_settle_failed(struct prq_queue *queue, uint32_t id);

/// Sends the collected verdicts. What the kernel does not take is counted and kept for the next try.
void prq_flush(struct prq_queue *queue);

/// How many packets are handed out and not settled.
uint32_t prq_outstanding(const struct prq_queue *queue);

void prq_read_counters(const struct prq_queue *queue, struct prq_counters *counters);

/// A file descriptor by which another thread can wake a sleeping prq_receive, or a negative errno value. It is a
/// duplicate, so that it stays valid however the queue ends; it does not keep the kernel's queue alive.
int prq_waker_open(const struct prq_queue *queue);

/// Makes prq_receive return: asks the kernel to acknowledge a message that does nothing. A second descriptor to poll
/// would cost every batch one more system call; this costs the packet path nothing.
void prq_waker_signal(int descriptor);

void prq_waker_close(int descriptor);

/// Clears these bits of the marks of all connections that the kernel tracks in this network namespace, and leaves the other
/// bits. Returns how many had one of them, or a negative errno value. Nobody may set the bits meanwhile.
int64_t prq_clear_connection_marks(uint32_t bits);

/// What a received netlink message is.
enum prq_message {
    PRQ_MESSAGE_PACKET,
    /// An acknowledgement (errno 0) or a refusal.
    PRQ_MESSAGE_REPLY,
    /// Well-formed, of no interest.
    PRQ_MESSAGE_OTHER,
    PRQ_MESSAGE_MALFORMED,
};

/// Reads one netlink message of `length` bytes; never reads beyond them, whatever lengths the message claims.
/// Declared here, and not private, for its tests.
enum prq_message prq_parse(const uint8_t *message, size_t length, struct prq_packet *packet, int32_t *error);

/// Reads up to `capacity` bytes of a file of procfs (whose size is not known before); returns how many, or a negative
/// errno value. Exists so that no Swift file has to hold a pointer for it.
ssize_t prq_read_file(const char *path, uint8_t *buffer, size_t capacity);

/// The same from the start of a file that is open already, if that is a file of procfs whose path ends with `name`;
/// -EBADF otherwise. Exists for files of procfs that only root can open: who starts the agent can.
ssize_t prq_read_inherited(int descriptor, const char *name, uint8_t *buffer, size_t capacity);

/// The kernel's sentence for an errno value; valid for ever. Not strerror, which threads share.
const char *prq_error_text(int error);

/// The process that has the socket with this inode open, or 0 if none can be seen.
pid_t prq_socket_owner(uint64_t inode);

#pragma clang assume_nonnull end

#ifdef __cplusplus
}
#endif

#endif
