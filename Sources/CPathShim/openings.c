// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cpathshim.h"

// Over the bytes from the network header on. Kept are TCP segments with SYN or RST: of IPv4 those that are no later fragment,
// of IPv6 those without extension headers, as every stack sends them.
static struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)),  // 0
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 1, 0),                           // 1
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 6, 12),                        // 2
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),                                         // 3: IPv4
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 10),                       // 4
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),                                         // 5
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 8, 0),                            // 6
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),                                        // 7
    BPF_JUMP(BPF_JMP | BPF_JA, 3, 0, 0),                                           // 8
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),                                         // 9: IPv6
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 4),                        // 10
    BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 40),                                       // 11
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, 13),                                        // 12
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x06, 0, 1),                              // 13
    BPF_STMT(BPF_RET | BPF_K, 160),                                                // 14
    BPF_STMT(BPF_RET | BPF_K, 0),                                                  // 15
};

static int failure(int socket) {
    int error = errno;
    close(socket);
    return -error;
}

int path_opening_watch(void) {
    // Of no protocol yet, so that nothing comes before the filter is there.
    int watch = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (watch < 0) return -errno;
    struct sock_fprog filter = {sizeof program / sizeof program[0], program};
    int buffer = 4 << 20;
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    if (setsockopt(watch, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0) return failure(watch);
    setsockopt(watch, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(watch, (struct sockaddr *)&all, sizeof all) < 0) return failure(watch);
    return watch;
}

ssize_t path_take_opening(int watch, void *bytes, size_t count, bool *is_outgoing) {
    struct sockaddr_ll from;
    socklen_t length = sizeof from;
    ssize_t taken = recvfrom(watch, bytes, count, 0, (struct sockaddr *)&from, &length);
    if (taken < 0) return -errno;
    *is_outgoing = from.sll_pkttype == PACKET_OUTGOING;
    return taken;
}

bool path_missed_openings(int watch) {
    struct tpacket_stats counts = {0};
    socklen_t length = sizeof counts;
    return getsockopt(watch, SOL_PACKET, PACKET_STATISTICS, &counts, &length) < 0 || counts.tp_drops > 0;
}
