// SPDX-License-Identifier: GPL-3.0-or-later

#include "queue.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static int64_t microseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/// Polls without sleeping for as long as is allowed.
static ssize_t receive_spinning(const struct prq_queue *queue, uint8_t *at, size_t room, int64_t microseconds) {
    const int64_t deadline = microseconds_now() + microseconds;
    ssize_t length;
    do {
        length = recv(queue->descriptor, at, room, MSG_DONTWAIT | MSG_TRUNC);
    } while (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && microseconds_now() < deadline);
    return length;
}

/// Sleeps until there is a message. The time-out is a property of the socket, so that sleeping and receiving are one
/// system call; callers use the same one again and again.
static ssize_t receive_sleeping(struct prq_queue *queue, uint8_t *at, size_t room, int timeout_milliseconds) {
    const int wanted = timeout_milliseconds < 0 ? 0 : timeout_milliseconds;
    if (queue->timeout_milliseconds != wanted) {
        const struct timeval limit = {.tv_sec = wanted / 1000, .tv_usec = wanted % 1000 * 1000};
        if (setsockopt(queue->descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
            return -1;
        queue->timeout_milliseconds = wanted;
    }
    return recv(queue->descriptor, at, room, MSG_TRUNC);
}

static ssize_t receive_first(struct prq_queue *queue, uint8_t *at, size_t room, int timeout_milliseconds) {
    if (timeout_milliseconds == 0)
        return recv(queue->descriptor, at, room, MSG_DONTWAIT | MSG_TRUNC);
    if (queue->busy_poll_microseconds) {
        ssize_t length = receive_spinning(queue, at, room, queue->busy_poll_microseconds);
        if (length >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            return length;
    }
    return receive_sleeping(queue, at, room, timeout_milliseconds);
}

/// Takes one message of `length` bytes at `at` into the batch, or into the counters.
static void accept_message(struct prq_queue *queue, const uint8_t *at, size_t length) {
    int32_t error = 0;
    switch (prq_parse(at, length, &queue->packets[queue->count], &error)) {
    case PRQ_MESSAGE_PACKET:
        queue->last_id = queue->packets[queue->count].id;
        queue->count++;
        break;
    case PRQ_MESSAGE_REPLY:
        // That nothing was left to settle at the takeover is no trouble.
        if (error && !(error == ENOENT && prq_sequence(at, length) == PRQ_TAKEOVER_SEQUENCE)) {
            queue->counters.refused_verdicts++;
            queue->counters.last_refusal = error;
        }
        break;
    case PRQ_MESSAGE_MALFORMED:
        queue->counters.malformed_messages++;
        break;
    case PRQ_MESSAGE_OTHER:
        break;
    }
}

/// Errors that end the waiting and are none: time-out, signal, and an overflow, which is counted elsewhere.
static bool is_interruption(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOBUFS;
}

static void settle_untaken(struct prq_queue *queue) {
    uint64_t place;
    for (const struct prq_packet *packet; (packet = prq_take(queue, &place));)
        prq_settle_failed(queue, packet->id);
}

int prq_receive(struct prq_queue *queue, int timeout_milliseconds) {
    settle_untaken(queue);
    // What could not be sent is kept and sent with the next batch.
    prq_flush(queue);
    queue->batch++;
    queue->count = queue->taken = 0;

    size_t used = 0;
    ssize_t length = receive_first(queue, queue->area, queue->area_size, timeout_milliseconds);
    if (length < 0)
        return is_interruption(errno) ? 0 : -errno;
    // The kernel sends one message per packet. After an error the next receive meets it again and reports it.
    while (length >= 0) {
        const size_t room = queue->area_size - used;
        const size_t present = (size_t)length < room ? (size_t)length : room;
        accept_message(queue, queue->area + used, present);
        used += MNL_ALIGN(present);
        if (queue->count == PRQ_BATCH || queue->area_size < used + queue->message_size)
            break;
        length = recv(queue->descriptor, queue->area + used, queue->area_size - used, MSG_DONTWAIT | MSG_TRUNC);
    }
    return (int)queue->count;
}

int prq_descriptor(const struct prq_queue *queue) { return queue->descriptor; }

static uint32_t poll_once(struct pollfd *polled, uint32_t count, int timeout_milliseconds) {
    uint32_t ready = 0;
    if (poll(polled, count, timeout_milliseconds) > 0)
        for (uint32_t i = 0; i < count; i++)
            ready |= (polled[i].revents ? 1u : 0u) << i;
    return ready;
}

uint32_t prq_await(const int *descriptors, uint32_t count, int timeout_milliseconds, uint32_t spin_microseconds) {
    struct pollfd polled[32];
    if (count > 32)
        count = 32;
    for (uint32_t i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
    uint32_t ready = 0;
    if (spin_microseconds) {
        const int64_t deadline = microseconds_now() + spin_microseconds;
        do {
            ready = poll_once(polled, count, 0);
        } while (!ready && microseconds_now() < deadline);
    }
    return ready ? ready : poll_once(polled, count, timeout_milliseconds);
}

const struct prq_packet *prq_take(struct prq_queue *queue, uint64_t *place) {
    if (queue->taken == queue->count)
        return NULL;
    *place = queue->batch * PRQ_BATCH + queue->taken;
    queue->outstanding++;
    return &queue->packets[queue->taken++];
}

const struct prq_packet *prq_packet_at(const struct prq_queue *queue, uint64_t place) {
    const uint64_t index = place % PRQ_BATCH;
    return place / PRQ_BATCH == queue->batch && index < queue->count ? &queue->packets[index] : NULL;
}

uint32_t prq_outstanding(const struct prq_queue *queue) { return queue->outstanding; }
