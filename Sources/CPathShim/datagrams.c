// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/uio.h>

#include "endpoint.h"

union control {
    struct cmsghdr alignment;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

static void take_class(struct msghdr *message, int *traffic_class) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            *traffic_class = *CMSG_DATA(c);
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
            memcpy(traffic_class, CMSG_DATA(c), sizeof *traffic_class);
    }
}

static void take_local(struct msghdr *message, struct path_endpoint *local) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            path_decode_v4(info.ipi_addr, local);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            path_decode_v6(&info.ipi6_addr, local);
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) local->scope = info.ipi6_ifindex;
        }
    }
}

ssize_t path_receive_from(
    int socket, void *bytes, size_t count, struct path_endpoint *from, struct path_endpoint *local, int *traffic_class) {
    union path_address address;
    union control control;
    struct iovec part = {bytes, count};
    struct msghdr message = {&address, sizeof address, &part, 1, &control, sizeof control, 0};
    ssize_t received = recvmsg(socket, &message, MSG_TRUNC);
    if (received < 0) return -errno;
    path_decode(&address, from);
    *traffic_class = -1;
    take_class(&message, traffic_class);
    if (local != NULL) {
        memset(local, 0, sizeof *local);
        take_local(&message, local);
    }
    return received;
}

static void give_local(struct msghdr *message, union control *control, const struct path_endpoint *local) {
    union path_address address;
    path_encode(local, &address);
    memset(control, 0, sizeof *control);
    message->msg_control = control;
    message->msg_controllen = sizeof *control;
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (local->is_ipv6) {
        struct in6_pktinfo info = {address.v6.sin6_addr, local->scope};
        *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof info);
        message->msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in_pktinfo info = {0, address.v4.sin_addr, {0}};
        *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof info);
        message->msg_controllen = CMSG_SPACE(sizeof info);
    }
}

ssize_t path_send_to(
    int socket, const void *bytes, size_t count, const struct path_endpoint *to, const struct path_endpoint *local) {
    union path_address address;
    union control control;
    struct iovec part = {(void *)bytes, count};
    struct msghdr message = {&address, path_encode(to, &address), &part, 1, NULL, 0, 0};
    if (local != NULL) give_local(&message, &control, local);
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}
