// SPDX-License-Identifier: GPL-3.0-or-later
//
// Going on with a queue whose reader is gone. While any process has the socket open the kernel keeps the queue, goes on
// queueing, and the messages wait in the socket. What the dead reader had received and not settled waits in the kernel
// too, and nothing names it any more: its ids are all older than the first message that waits in the socket.

#define _GNU_SOURCE

#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static bool has_option(int descriptor, int option, int wanted) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
}

/// Network namespaces have different cookies; a kernel without them (before Linux 5.14) cannot say.
static uint64_t namespace_of(int descriptor) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return getsockopt(descriptor, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

static bool is_in_this_namespace(int descriptor) {
    const int own = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (own < 0)
        return false;
    const bool is_same = namespace_of(own) == namespace_of(descriptor);
    close(own);
    return is_same;
}

int prq_socket_port(int descriptor, uint32_t *port) {
    struct sockaddr_nl address = {0};
    socklen_t length = sizeof address;
    if (!has_option(descriptor, SO_DOMAIN, AF_NETLINK) || !has_option(descriptor, SO_PROTOCOL, NETLINK_NETFILTER))
        return -EPROTOTYPE;
    if (getsockname(descriptor, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    if (length < sizeof address || !is_in_this_namespace(descriptor))
        return -EXDEV;
    *port = address.nl_pid;
    return 0;
}

static int adopt(struct prq_queue *queue, int descriptor, uint32_t buffer) {
    const int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
        fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    queue->socket = mnl_socket_fdopen(descriptor);
    if (!queue->socket)
        return -errno;
    queue->descriptor = descriptor;
    prq_set_buffer(queue, buffer);
    return 0;
}

/// Looks at the first message, which stays; returns its length, or 0 where there is none.
static size_t peek(const struct prq_queue *queue, uint8_t *message, size_t room) {
    const ssize_t length = recv(queue->descriptor, message, room, MSG_DONTWAIT | MSG_PEEK);
    return length > 0 ? (size_t)length : 0;
}

/// The latest id that the dead reader can have received. `last_id` was the latest that the kernel had given out before
/// the acknowledgement with PRQ_TAKEOVER_SEQUENCE was asked for, so all messages up to that id stand before it.
static uint32_t latest_received(const struct prq_queue *queue, uint32_t last_id) {
    _Alignas(8) uint8_t message[2048];
    size_t length;
    while ((length = peek(queue, message, sizeof message)) > 0) {
        struct prq_packet packet;
        int32_t error = 0;
        const enum prq_message kind = prq_parse(message, length, &packet, &error);
        if (kind == PRQ_MESSAGE_PACKET)
            return packet.id - 1;
        recv(queue->descriptor, message, sizeof message, MSG_DONTWAIT);
        if (kind == PRQ_MESSAGE_REPLY && prq_sequence(message, length) == PRQ_TAKEOVER_SEQUENCE)
            break;
    }
    return last_id;
}

static int settle_up_to(const struct prq_queue *queue, uint32_t id, uint32_t verdict) {
    _Alignas(8) char buffer[256];
    struct nlmsghdr *message = nfq_nlmsg_put(buffer, NFQNL_MSG_VERDICT_BATCH, queue->number);
    message->nlmsg_seq = PRQ_TAKEOVER_SEQUENCE;
    nfq_nlmsg_verdict_put(message, (int)id, (int)verdict);
    return send(queue->descriptor, buffer, message->nlmsg_len, 0) < 0 ? -errno : 0;
}

int prq_take_over(const struct prq_config *config, int descriptor, uint32_t last_id,
                  struct prq_queue *_Nullable *_Nonnull result, enum prq_step *step) {
    *result = NULL;
    *step = PRQ_STEP_MEMORY;
    struct prq_queue *queue = prq_allocate(config);
    if (!queue)
        return -ENOMEM;
    *step = PRQ_STEP_SOCKET;
    int status = adopt(queue, descriptor, config->socket_buffer);
    if (!status) {
        *step = PRQ_STEP_LENGTH;
        status = prq_reconfigure(queue, config);
    }
    if (!status) {
        *step = PRQ_STEP_ORPHANS;
        const uint32_t received = latest_received(queue, last_id);
        queue->last_id = received;
        status = settle_up_to(queue, received, config->failure_verdict);
    }
    if (status) {
        // The descriptor stays the caller's.
        free(queue->socket);
        free(queue);
        return status;
    }
    *result = queue;
    return 0;
}
