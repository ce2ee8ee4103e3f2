// SPDX-License-Identifier: GPL-3.0-or-later

// What the files of the shim share.

#ifndef PRQ_QUEUE_H
#define PRQ_QUEUE_H

#include "cqueueshim.h"

#include <libmnl/libmnl.h>

#pragma clang assume_nonnull begin

/// The largest verdict message: netlink and netfilter headers, verdict, mark.
#define PRQ_VERDICT_BYTES 40
/// Room for the verdicts of a batch settled one by one, and as much again that an earlier send could not deliver.
#define PRQ_VERDICTS_BYTES (2 * PRQ_BATCH * PRQ_VERDICT_BYTES)

/// Consecutive packets with the same verdict and mark. One VERDICT_BATCH message settles them all.
struct prq_run {
    uint32_t count;
    /// The latest id of the run.
    uint32_t last;
    uint32_t verdict;
    uint32_t mark;
    bool has_mark;
};

struct prq_queue {
    /// NULL once closed.
    struct mnl_socket *_Nullable socket;
    int descriptor;
    uint16_t number;
    uint32_t failure_verdict;
    uint32_t busy_poll_microseconds;
    /// SO_RCVTIMEO as it was last set.
    int timeout_milliseconds;

    /// Number of the current batch; a packet of another one has no bytes any more.
    uint64_t batch;
    uint32_t count;
    uint32_t taken;
    /// The latest id that was received.
    uint32_t last_id;
    /// Packets handed out and not settled, of this batch or held since an earlier one.
    uint32_t outstanding;
    struct prq_packet packets[PRQ_BATCH];

    struct prq_run run;
    size_t verdicts_length;
    /// Messages among them.
    uint32_t verdicts_count;
    _Alignas(8) uint8_t verdicts[PRQ_VERDICTS_BYTES];

    struct prq_counters counters;

    /// Messages of the batch, one behind the other: a batch of small packets stays in the first-level cache, whatever
    /// the largest packet may be.
    size_t area_size;
    /// A batch ends when less than this is left.
    size_t message_size;
    uint8_t area[];
};

/// Sequence number of the messages of a takeover, by which their answers are known; all others have 0.
#define PRQ_TAKEOVER_SEQUENCE 1u

/// A queue without a socket, or NULL.
struct prq_queue *_Nullable prq_allocate(const struct prq_config *config);

/// Asks for the receive buffer.
void prq_set_buffer(const struct prq_queue *queue, uint32_t buffer);

/// Sends the settings of a queue that is running, without waiting for the answers, before which packets may stand. The
/// last is acknowledged with PRQ_TAKEOVER_SEQUENCE.
int prq_reconfigure(const struct prq_queue *queue, const struct prq_config *config);

/// The sequence number of a message, 0 of one that has no header.
uint32_t prq_sequence(const uint8_t *message, size_t length);

/// Frees a closed queue.
void prq_free(struct prq_queue *queue);

#pragma clang assume_nonnull end

#endif
