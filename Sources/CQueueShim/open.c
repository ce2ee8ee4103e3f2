// SPDX-License-Identifier: GPL-3.0-or-later

#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/// Netlink headers and all attributes of a packet beside its payload, generously.
#define ATTRIBUTES_BYTES 1024
/// Seven of the largest packets. More room would only spread a batch of 64 KiB segments over more cache.
#define AREA_BYTES (512 * 1024)
/// The kernel's limit, which it also takes 0 for.
#define COPY_BYTES_MOST 65531u

static uint32_t effective_copy(uint32_t bytes) {
    return bytes == 0 || bytes > COPY_BYTES_MOST ? COPY_BYTES_MOST : bytes;
}

struct prq_queue *prq_allocate(const struct prq_config *config) {
    size_t message = effective_copy(config->copy_bytes) + ATTRIBUTES_BYTES;
    size_t area = message * PRQ_BATCH < AREA_BYTES ? message * PRQ_BATCH : AREA_BYTES;
    // The area is written by the kernel before anyone reads it: only the part before it needs zeros, and pages that no
    // batch reaches stay untouched.
    struct prq_queue *queue = malloc(sizeof *queue + area);
    if (!queue)
        return NULL;
    memset(queue, 0, sizeof *queue);
    queue->number = config->number;
    queue->failure_verdict = config->failure_verdict;
    queue->busy_poll_microseconds = config->busy_poll_microseconds;
    queue->timeout_milliseconds = -1;
    queue->area_size = area;
    queue->message_size = message;
    return queue;
}

/// Opens the socket and fixes what must be so before the kernel knows of the queue.
static int open_socket(struct prq_queue *queue, uint32_t buffer) {
    queue->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (!queue->socket || mnl_socket_bind(queue->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    queue->descriptor = mnl_socket_get_fd(queue->socket);

    // Connected to the kernel, the socket refuses messages that other processes send to it.
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (connect(queue->descriptor, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
        return -errno;

    // Losses are counted, not signalled. With ENOBUFS on, the kernel discards everything from the first overflow until
    // the receiver has emptied its buffer; without, only what does not fit. SK_MEMINFO_DROPS counts either way.
    const int on = 1;
    if (setsockopt(queue->descriptor, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on) < 0)
        return -errno;

    prq_set_buffer(queue, buffer);
    return 0;
}

void prq_set_buffer(const struct prq_queue *queue, uint32_t buffer) {
    // Beyond net.core.rmem_max only for a process with CAP_NET_ADMIN over the whole host; otherwise what there is.
    const int size = buffer < INT32_MAX ? (int)buffer : INT32_MAX;
    if (setsockopt(queue->descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(queue->descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

/// Sends one configuration message and waits for the kernel's answer to it.
static int configure(struct prq_queue *queue, struct nlmsghdr *message) {
    message->nlmsg_flags |= NLM_F_ACK;
    if (send(queue->descriptor, message, message->nlmsg_len, 0) < 0)
        return -errno;
    _Alignas(8) uint8_t answer[1024];
    struct prq_packet packet;
    int32_t error = 0;
    ssize_t length;
    do {
        length = recv(queue->descriptor, answer, sizeof answer, 0);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return -errno;
    return prq_parse(answer, (size_t)length, &packet, &error) == PRQ_MESSAGE_REPLY ? -error : -EPROTO;
}

static int claim(struct prq_queue *queue) {
    _Alignas(8) char buffer[256];
    struct nlmsghdr *message = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue->number);
    nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    return configure(queue, message);
}

static struct nlmsghdr *put_length(const struct prq_queue *queue, char *buffer, uint32_t length) {
    struct nlmsghdr *message = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue->number);
    nfq_nlmsg_cfg_put_qmaxlen(message, length);
    return message;
}

static int set_length(struct prq_queue *queue, uint32_t length) {
    _Alignas(8) char buffer[256];
    return configure(queue, put_length(queue, buffer, length));
}

static struct nlmsghdr *put_flags(const struct prq_queue *queue, char *buffer, bool fail_open) {
    struct nlmsghdr *message = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue->number);
    const uint32_t always = NFQA_CFG_F_GSO | NFQA_CFG_F_UID_GID;
    mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(always | NFQA_CFG_F_FAIL_OPEN));
    mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(always | (fail_open ? NFQA_CFG_F_FAIL_OPEN : 0)));
    return message;
}

static int set_flags(struct prq_queue *queue, bool fail_open) {
    _Alignas(8) char buffer[256];
    return configure(queue, put_flags(queue, buffer, fail_open));
}

/// Lets packets flow. The kernel queues nothing before it knows how much to copy, so this is the last step; it is not
/// acknowledged, because packets could stand before the answer, and it cannot be refused to the queue's owner.
static int start(struct prq_queue *queue, uint32_t copy_bytes) {
    _Alignas(8) char buffer[256];
    struct nlmsghdr *message = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue->number);
    nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, (int)effective_copy(copy_bytes));
    return send(queue->descriptor, message, message->nlmsg_len, 0) < 0 ? -errno : 0;
}

int prq_reconfigure(const struct prq_queue *queue, const struct prq_config *config) {
    _Alignas(8) char buffer[768];
    struct nlmsghdr *flags = put_flags(queue, buffer, config->fail_open);
    char *next = buffer + MNL_ALIGN(flags->nlmsg_len);
    struct nlmsghdr *range = nfq_nlmsg_put(next, NFQNL_MSG_CONFIG, queue->number);
    nfq_nlmsg_cfg_put_params(range, NFQNL_COPY_PACKET, (int)effective_copy(config->copy_bytes));
    next += MNL_ALIGN(range->nlmsg_len);
    struct nlmsghdr *length = put_length(queue, next, config->length);
    length->nlmsg_flags |= NLM_F_ACK;
    length->nlmsg_seq = PRQ_TAKEOVER_SEQUENCE;
    next += MNL_ALIGN(length->nlmsg_len);
    return send(queue->descriptor, buffer, (size_t)(next - buffer), 0) < 0 ? -errno : 0;
}

int prq_open(const struct prq_config *config, struct prq_queue **result, enum prq_step *step) {
    *result = NULL;
    *step = PRQ_STEP_MEMORY;
    struct prq_queue *queue = prq_allocate(config);
    if (!queue)
        return -ENOMEM;

    *step = PRQ_STEP_SOCKET;
    int status = open_socket(queue, config->socket_buffer);
    if (!status) {
        *step = PRQ_STEP_CLAIM;
        status = claim(queue);
    }
    if (!status) {
        *step = PRQ_STEP_LENGTH;
        status = set_length(queue, config->length);
    }
    if (!status) {
        *step = PRQ_STEP_FLAGS;
        status = set_flags(queue, config->fail_open);
    }
    if (!status) {
        *step = PRQ_STEP_START;
        status = start(queue, config->copy_bytes);
    }
    if (status) {
        if (queue->socket)
            mnl_socket_close(queue->socket);
        free(queue);
        return status;
    }
    *result = queue;
    return 0;
}

/// Settles all that waits and gives the queue up, in one send: a packet that arrives between the two messages is
/// dropped by the kernel, and nothing makes that gap smaller.
static void release(struct prq_queue *queue, uint32_t verdict) {
    _Alignas(8) char buffer[512];
    struct nlmsghdr *settle = nfq_nlmsg_put(buffer, NFQNL_MSG_VERDICT_BATCH, queue->number);
    // Ids are compared as serial numbers (RFC 1982): a quarter of their range ahead of the last one seen is behind all
    // that wait, also behind those held for long.
    nfq_nlmsg_verdict_put(settle, (int)(queue->last_id + (1u << 30)), (int)verdict);
    char *next = buffer + MNL_ALIGN(settle->nlmsg_len);
    struct nlmsghdr *unbind = nfq_nlmsg_put(next, NFQNL_MSG_CONFIG, queue->number);
    nfq_nlmsg_cfg_put_cmd(unbind, AF_UNSPEC, NFQNL_CFG_CMD_UNBIND);
    send(queue->descriptor, buffer, (size_t)(next - buffer) + unbind->nlmsg_len, 0);
}

void prq_close(struct prq_queue *queue, uint32_t verdict) {
    prq_flush(queue);
    release(queue, verdict);
    prq_leave(queue);
}

void prq_leave(struct prq_queue *queue) {
    prq_flush(queue);
    mnl_socket_close(queue->socket);
    queue->socket = NULL;
    queue->descriptor = -1;
    queue->batch++;
    queue->count = 0;
    if (queue->outstanding == 0)
        prq_free(queue);
}

void prq_free(struct prq_queue *queue) { free(queue); }

void prq_read_counters(const struct prq_queue *queue, struct prq_counters *counters) {
    *counters = queue->counters;
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof memory;
    if (getsockopt(queue->descriptor, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0)
        counters->socket_overflows = memory[SK_MEMINFO_DROPS];
}

int prq_waker_open(const struct prq_queue *queue) {
    int descriptor = fcntl(queue->descriptor, F_DUPFD_CLOEXEC, 0);
    return descriptor < 0 ? -errno : descriptor;
}

void prq_waker_signal(int descriptor) {
    const struct nlmsghdr nothing = {
        .nlmsg_len = sizeof nothing, .nlmsg_type = NLMSG_NOOP, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK};
    send(descriptor, &nothing, sizeof nothing, MSG_DONTWAIT);
}

void prq_waker_close(int descriptor) { close(descriptor); }
