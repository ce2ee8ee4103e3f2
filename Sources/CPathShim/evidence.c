// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

// Needs `struct timespec`.
#include <linux/errqueue.h>

#include "endpoint.h"

int path_take_error(int socket) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? 0 : error;
}

static bool is_error(const struct cmsghdr *c) {
    return (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
           (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
}

// The sender's address follows the kernel's record (SO_EE_OFFENDER).
static void take(const struct cmsghdr *c, struct path_error *error) {
    struct {
        struct sock_extended_err record;
        union path_address offender;
    } data;
    memset(&data, 0, sizeof data);
    size_t length = c->cmsg_len - CMSG_LEN(0);
    memcpy(&data, CMSG_DATA(c), length < sizeof data ? length : sizeof data);
    error->error = (int)data.record.ee_errno;
    error->origin = data.record.ee_origin;
    error->type = data.record.ee_type;
    error->code = data.record.ee_code;
    if (data.record.ee_errno == EMSGSIZE) error->mtu = data.record.ee_info;
    sa_family_t family = data.offender.any.sa_family;
    error->has_offender = family == AF_INET || family == AF_INET6;
    if (error->has_offender) path_decode(&data.offender, &error->offender);
    error->offender.port = 0;
}

bool path_take_queued_error(int socket, struct path_error *error) {
    char payload[1];
    union {
        struct cmsghdr alignment;
        char bytes[512];
    } control;
    struct iovec part = {payload, sizeof payload};
    struct msghdr message = {NULL, 0, &part, 1, &control, sizeof control, 0};
    memset(error, 0, sizeof *error);
    if (recvmsg(socket, &message, MSG_ERRQUEUE) < 0) return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c))
        if (is_error(c)) take(c, error);
    return true;
}

/// A time stamp option with what fills it up to whole words (RFC 7323 appendix A).
enum { TIMESTAMP_ROOM = 12 };

bool path_read_tcp_info(int socket, struct path_tcp_info *info) {
    struct tcp_info kernel;
    socklen_t length = sizeof kernel;
    memset(&kernel, 0, sizeof kernel);
    memset(info, 0, sizeof *info);
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &kernel, &length) < 0) return false;
    info->retransmissions = kernel.tcpi_total_retrans;
    info->bytes_acked = kernel.tcpi_bytes_acked;
    info->bytes_received = kernel.tcpi_bytes_received;
    info->rtt_microseconds = kernel.tcpi_rtt;
    // Once the peer has answered with a time stamp the kernel takes the room for that off.
    info->offered_segment_size =
        kernel.tcpi_advmss + (kernel.tcpi_options & TCPI_OPT_TIMESTAMPS ? TIMESTAMP_ROOM : 0);
    return true;
}

int path_unacknowledged(int socket) {
    int bytes = 0;
    return ioctl(socket, SIOCOUTQ, &bytes) < 0 ? -errno : bytes;
}
