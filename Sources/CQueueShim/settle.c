// SPDX-License-Identifier: GPL-3.0-or-later

// Verdicts are collected and sent together, in order of arrival: the kernel searches its list of waiting packets from
// the front, and packets of a connection leave in the order in which they came.
//
// NFQNL_MSG_VERDICT_BATCH settles every waiting packet up to the id that it names. So it may stand for a run of
// packets only while nothing older is undecided, and while a packet is held all later ones are settled singly. What
// keeps this true: a packet joins a run only if it is the only one that is handed out, so an open run's ids are all
// older than any packet handed out now; and a run is appended before any single verdict that follows it.

#include "queue.h"

#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>

/// Whether serial number `a` comes after `b` (RFC 1982); ids wrap.
static bool is_later(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }

static bool has_room(const struct prq_queue *queue) {
    return queue->verdicts_length + PRQ_VERDICT_BYTES <= sizeof queue->verdicts;
}

static void send_verdicts(struct prq_queue *queue) {
    if (queue->verdicts_length == 0)
        return;
    if (send(queue->descriptor, queue->verdicts, queue->verdicts_length, MSG_DONTWAIT) < 0) {
        queue->counters.failed_sends++;
        queue->counters.last_send_failure = errno;
        return;
    }
    queue->counters.sends++;
    queue->counters.sent_messages += queue->verdicts_count;
    queue->verdicts_length = 0;
    queue->verdicts_count = 0;
}

/// Appends one message for `count` packets.
static void append(struct prq_queue *queue, int type, const struct prq_run *run) {
    if (!has_room(queue))
        send_verdicts(queue);
    if (!has_room(queue)) {
        queue->counters.unsent_verdicts += run->count;
        return;
    }
    struct nlmsghdr *message =
        nfq_nlmsg_put((char *)queue->verdicts + queue->verdicts_length, type, queue->number);
    nfq_nlmsg_verdict_put(message, (int)run->last, (int)run->verdict);
    if (run->has_mark)
        nfq_nlmsg_verdict_put_mark(message, run->mark);
    queue->verdicts_length += MNL_ALIGN(message->nlmsg_len);
    queue->verdicts_count++;
}

static void close_run(struct prq_queue *queue) {
    if (queue->run.count > 0)
        append(queue, queue->run.count > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT, &queue->run);
    queue->run.count = 0;
}

/// Whether `next` has the run's verdict and mark.
static bool continues(const struct prq_run *run, const struct prq_run *next) {
    return run->count > 0 && run->verdict == next->verdict && run->has_mark == next->has_mark &&
           run->mark == next->mark;
}

void prq_settle(struct prq_queue *queue, uint32_t id, uint32_t verdict, bool has_mark, uint32_t mark) {
    queue->outstanding--;
    if (!queue->socket) {
        // Closed: the kernel has settled it. The last packet takes the memory with it.
        if (queue->outstanding == 0)
            prq_free(queue);
        return;
    }
    const struct prq_run single = {
        .count = 1, .last = id, .verdict = verdict, .has_mark = has_mark, .mark = has_mark ? mark : 0};
    if (queue->outstanding > 0) {
        close_run(queue);
        append(queue, NFQNL_MSG_VERDICT, &single);
    } else if (continues(&queue->run, &single)) {
        queue->run.count++;
        if (is_later(id, queue->run.last))
            queue->run.last = id;
    } else {
        close_run(queue);
        queue->run = single;
    }
}

void prq_settle_failed(struct prq_queue *queue, uint32_t id) {
    prq_settle(queue, id, queue->failure_verdict, false, 0);
}

void prq_flush(struct prq_queue *queue) {
    close_run(queue);
    send_verdicts(queue);
}
