// SPDX-License-Identifier: GPL-3.0-or-later
/* udpblast: bounded UDP packet source for the benchmark lab.
 *   udpblast -S ip[,ip...] -d DST -p PORT -F flows -l payload -r pps(0=max) -t seconds [-b batch]
 *   with -i IFACE -m DSTMAC it writes prebuilt Ethernet frames through AF_PACKET with the qdisc bypassed, which costs the
 *   sender far less than UDP sockets do, so that the firewall and not the generator is what saturates.
 * Sends from `flows` connected sockets, spread over the source addresses, so that both
 * flow tables and NFQUEUE --queue-balance (which hashes addresses only) see variety.
 * Prints one JSON line: {"sent":N,"err":N,"sec":S}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#ifndef PACKET_QDISC_BYPASS
#define PACKET_QDISC_BYPASS 20
#endif

static uint64_t now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

int main(int argc, char **argv) {
    char *src = NULL, *dst = NULL, *ifn = NULL, *mac = NULL;
    int port = 9000, flows = 64, len = 18, batch = 16, c;
    double rate = 0, secs = 2;
    while ((c = getopt(argc, argv, "S:d:p:F:l:r:t:b:i:m:")) != -1) switch (c) {
        case 'S': src = optarg; break;
        case 'd': dst = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 'F': flows = atoi(optarg); break;
        case 'l': len = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 't': secs = atof(optarg); break;
        case 'i': ifn = optarg; break;
        case 'm': mac = optarg; break;
        case 'b': batch = atoi(optarg); break;
        default: return 2;
    }
    if (!src || !dst || flows < 1 || flows > 4096 || len < 1 || len > 1472 || batch < 1 || batch > 64 || secs > 60) return 2;
    char *ips[256]; int nips = 0;
    for (char *p = strtok(src, ","); p && nips < 256; p = strtok(NULL, ",")) ips[nips++] = p;
    if (rate > 0 && rate / 2000 < batch) { batch = rate / 2000; if (batch < 1) batch = 1; }
    uint64_t sent = 0, err = 0, t0, end, t;
    if (ifn && mac) {
        int s = socket(AF_PACKET, SOCK_RAW, 0), one = 1; if (s < 0) { perror("packet"); return 1; }
        setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one); int sb = 8 << 20; setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &sb, sizeof sb);
        struct ifreq ifr; memset(&ifr, 0, sizeof ifr); strncpy(ifr.ifr_name, ifn, IFNAMSIZ - 1); ioctl(s, SIOCGIFHWADDR, &ifr);
        struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(ifn), .sll_protocol = htons(ETH_P_IP) };
        if (bind(s, (void *)&ll, sizeof ll)) { perror("bind"); return 1; }
        int fl = 14 + 28 + len; if (fl < 60) fl = 60;
        uint8_t *frames = calloc(flows, 1600); struct iovec *io = calloc(flows + 64, sizeof *io); struct mmsghdr *ms = calloc(flows + 64, sizeof *ms);
        unsigned m[6]; if (sscanf(mac, "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) return 2;
        for (int i = 0; i < flows; i++) {
            uint8_t *f = frames + i * 1600; for (int k = 0; k < 6; k++) f[k] = m[k];
            memcpy(f + 6, ifr.ifr_hwaddr.sa_data, 6); f[12] = 8; uint8_t *ip = f + 14; int tl = 28 + len;
            ip[0] = 0x45; ip[2] = tl >> 8; ip[3] = tl; ip[6] = 0x40; ip[8] = 64; ip[9] = 17;
            inet_pton(AF_INET, ips[i % nips], ip + 12); inet_pton(AF_INET, dst, ip + 16);
            uint32_t cs = 0; for (int k = 0; k < 20; k += 2) cs += ip[k] << 8 | ip[k + 1]; while (cs >> 16) cs = (cs & 0xffff) + (cs >> 16); cs = ~cs; ip[10] = cs >> 8; ip[11] = cs;
            uint8_t *u = ip + 20; int sp = 20000 + i; u[0] = sp >> 8; u[1] = sp; u[2] = port >> 8; u[3] = port; u[4] = (8 + len) >> 8; u[5] = 8 + len; memset(u + 8, 'x', len);
        }
        for (int i = 0; i < flows + 64; i++) { io[i].iov_base = frames + (i % flows) * 1600; io[i].iov_len = fl; ms[i].msg_hdr.msg_iov = &io[i]; ms[i].msg_hdr.msg_iovlen = 1; }
        t = t0 = now_ns(); end = t0 + (uint64_t)(secs * 1e9); int f = 0;
        while (t < end) {
            if (rate > 0 && sent + err >= (uint64_t)((t - t0) * rate / 1e9)) { t = now_ns(); continue; }
            int r = sendmmsg(s, ms + f, batch, 0);
            if (r > 0) sent += r;
            if (r < batch) err += batch - (r > 0 ? r : 0);
            f = (f + batch) % flows; t = now_ns();
        }
        printf("{\"sent\":%llu,\"err\":%llu,\"sec\":%.6f}\n", (unsigned long long)sent, (unsigned long long)err, (t - t0) / 1e9);
        return 0;
    }
    int *fd = calloc(flows, sizeof *fd);
    for (int i = 0; i < flows; i++) {
        fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(20000 + i) };
        inet_pton(AF_INET, ips[i % nips], &a.sin_addr);
        if (bind(fd[i], (void *)&a, sizeof a)) { perror("bind"); return 1; }
        struct sockaddr_in d = { .sin_family = AF_INET, .sin_port = htons(port) };
        inet_pton(AF_INET, dst, &d.sin_addr);
        if (connect(fd[i], (void *)&d, sizeof d)) { perror("connect"); return 1; }
    }
    char buf[1500]; memset(buf, 'x', sizeof buf);
    struct iovec iov = { buf, len };
    struct mmsghdr mm[64]; memset(mm, 0, sizeof mm);
    for (int i = 0; i < 64; i++) { mm[i].msg_hdr.msg_iov = &iov; mm[i].msg_hdr.msg_iovlen = 1; }
    t = t0 = now_ns(); end = t0 + (uint64_t)(secs * 1e9);
    int f = 0;
    while (t < end) {
        if (rate > 0) {
            uint64_t due = (uint64_t)((t - t0) * rate / 1e9);
            if (sent + err >= due) { t = now_ns(); continue; }
        }
        int r = sendmmsg(fd[f], mm, batch, 0);
        if (r > 0) sent += r;
        if (r < batch) err += batch - (r > 0 ? r : 0);
        if (++f == flows) f = 0;
        t = now_ns();
    }
    printf("{\"sent\":%llu,\"err\":%llu,\"sec\":%.6f}\n", (unsigned long long)sent, (unsigned long long)err, (t - t0) / 1e9);
    return 0;
}
