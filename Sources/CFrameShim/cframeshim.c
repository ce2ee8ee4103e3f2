// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include "cframeshim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

_Static_assert(sizeof(struct cframe_instruction) == sizeof(struct sock_filter), "one instruction");

/// Whether IP comes before a socket of one EtherType.
static int comes_after_ip(void) {
    struct utsname name;
    int major = 0, minor = 0;
    return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2
        && (major > 6 || (major == 6 && minor >= 15));
}

int cframe_open(uint16_t ethertype, const struct cframe_instruction *program, size_t count) {
    // Of no protocol, so that no frame comes before the program is in place.
    const int descriptor = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -errno;
    const struct sock_fprog filter = {.len = (unsigned short)count, .filter = (struct sock_filter *)program};
    const struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(comes_after_ip() ? ETH_P_ALL : ethertype)};
    const int one = 1;
    if (setsockopt(descriptor, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0
        || setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0
        || setsockopt(descriptor, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one) < 0
        || bind(descriptor, (const struct sockaddr *)&address, sizeof address) < 0) {
        const int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

static int option(int descriptor, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

int cframe_is_one(int descriptor, uint16_t ethertype) {
    struct sockaddr_ll address = {0};
    socklen_t length = sizeof address;
    return option(descriptor, SO_DOMAIN) == AF_PACKET && option(descriptor, SO_TYPE) == SOCK_DGRAM
        && option(descriptor, SO_LOCK_FILTER) == 1
        && getsockname(descriptor, (struct sockaddr *)&address, &length) == 0
        && (address.sll_protocol == htons(ethertype) || address.sll_protocol == htons(ETH_P_ALL));
}

ssize_t cframe_receive(int descriptor, uint8_t *buffer, size_t size, struct cframe_info *info) {
    struct sockaddr_ll from = {0};
    socklen_t from_length = sizeof from;
    ssize_t length;
    do {
        length = recvfrom(descriptor, buffer, size, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_length);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return -errno;
    memset(info, 0, sizeof *info);
    info->interface = (uint32_t)from.sll_ifindex;
    info->ethertype = ntohs(from.sll_protocol);
    info->length = (uint32_t)length;
    if (from.sll_halen == sizeof info->source) {
        info->source_length = from.sll_halen;
        memcpy(info->source, from.sll_addr, sizeof info->source);
    }
    return length < (ssize_t)size ? length : (ssize_t)size;
}

void cframe_wait(const int *descriptors, size_t count) {
    struct pollfd waited[CFRAME_WAITED];
    if (count > CFRAME_WAITED)
        count = CFRAME_WAITED;
    for (size_t i = 0; i < count; i++)
        waited[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
    poll(waited, count, -1);
}

uint32_t cframe_lost(int descriptor) {
    struct tpacket_stats statistics = {0};
    socklen_t length = sizeof statistics;
    return getsockopt(descriptor, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) < 0 ? 0 : statistics.tp_drops;
}
