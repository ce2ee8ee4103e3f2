// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include "canswershim.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int canswer_open(int kind) {
    const int family = kind == CANSWER_IPV4 ? AF_INET : AF_INET6;
    const int protocol = kind == CANSWER_ICMPV6 ? IPPROTO_ICMPV6 : IPPROTO_RAW;
    const int descriptor = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (descriptor < 0)
        return -errno;
    // A program that accepts nothing: a raw socket receives whatever is of its protocol. It takes no more than what came before it.
    struct sock_filter nothing[] = {{.code = BPF_RET | BPF_K, .k = 0}};
    const struct sock_fprog filter = {.len = 1, .filter = nothing};
    const int one = 1;
    if (setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0
        || setsockopt(descriptor, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one) < 0) {
        const int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

int canswer_mark(int descriptor, uint32_t mark) {
    return setsockopt(descriptor, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ? errno : 0;
}

static const uint8_t nobody[16];

// The header that was written has its source; this one is for the choice of the route.
static size_t put_ipv4(const struct canswer_way *way, struct sockaddr_storage *address, struct msghdr *message) {
    struct sockaddr_in *to = (struct sockaddr_in *)address;
    to->sin_family = AF_INET;
    memcpy(&to->sin_addr, way->destination, sizeof to->sin_addr);
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    control->cmsg_level = IPPROTO_IP;
    control->cmsg_type = IP_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    struct in_pktinfo info = {.ipi_ifindex = (int)way->link};
    memcpy(&info.ipi_spec_dst, way->source, sizeof info.ipi_spec_dst);
    memcpy(CMSG_DATA(control), &info, sizeof info);
    message->msg_namelen = sizeof *to;
    return CMSG_SPACE(sizeof info);
}

static size_t put_ipv6(const struct canswer_way *way, struct sockaddr_storage *address, struct msghdr *message) {
    struct sockaddr_in6 *to = (struct sockaddr_in6 *)address;
    to->sin6_family = AF_INET6;
    to->sin6_scope_id = way->link;
    memcpy(&to->sin6_addr, way->destination, sizeof to->sin6_addr);
    message->msg_namelen = sizeof *to;
    if (memcmp(way->source, nobody, sizeof nobody) == 0)
        return 0;
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    control->cmsg_level = IPPROTO_IPV6;
    control->cmsg_type = IPV6_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo));
    struct in6_pktinfo info = {.ipi6_ifindex = way->link};
    memcpy(&info.ipi6_addr, way->source, sizeof info.ipi6_addr);
    memcpy(CMSG_DATA(control), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
}

int canswer_send(int descriptor, int kind, const uint8_t *bytes, size_t length, const struct canswer_way *way) {
    struct sockaddr_storage address = {0};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
    struct msghdr message = {.msg_name = &address,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    const size_t used =
        kind == CANSWER_IPV4 ? put_ipv4(way, &address, &message) : put_ipv6(way, &address, &message);
    message.msg_controllen = used;
    if (used == 0)
        message.msg_control = NULL;
    return sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

int canswer_give_up_right(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, sets) < 0)
        return errno;
    const uint32_t others = ~CAP_TO_MASK(CAP_NET_RAW);
    struct __user_cap_data_struct *set = &sets[CAP_TO_INDEX(CAP_NET_RAW)];
    set->effective &= others;
    set->permitted &= others;
    set->inheritable &= others;
    return syscall(SYS_capset, &header, sets) < 0 ? errno : 0;
}
