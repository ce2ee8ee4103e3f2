// SPDX-License-Identifier: GPL-3.0-or-later
/* flood: bounded source of hostile packets for the benchmark lab and the live tests, inside their own namespaces only.
 *   flood -k KIND[,KIND...] -i IFACE -m DSTMAC -d DST [-s BASE/LENGTH] [-p TCP-PORT] [-u ADMITTED] [-q REFUSED] [-r pps(0=max)]
 *         [-n packets] -t seconds [-b batch]
 * Each frame of the kinds in turn has another source, by chance, of the network BASE/LENGTH, and another source port, with right
 * checksums: syn and ack (to TCP-PORT; the latter of no connection), refused and admitted (datagrams to those ports), and
 * fragment (first and later ones in turn, of datagrams that never become whole).
 * Ends after `seconds`, after `packets`, or at SIGTERM, and prints one line: {"sent":N,"err":N,"sec":S}. Frames go through AF_PACKET
 * with the qdisc bypassed. With a rate it sleeps between batches.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifndef PACKET_QDISC_BYPASS
#define PACKET_QDISC_BYPASS 20
#endif

enum kind { SYN, ACK, REFUSED, ADMITTED, FRAGMENT, KINDS };
static const char *const names[KINDS] = {"syn", "ack", "refused", "admitted", "fragment"};
enum { ROOM = 256, MOST = 64, ETHERNET = 14, HEADER = 20 };

static volatile sig_atomic_t ended;
static uint32_t base, mask, target;
static int ports[KINDS];
static uint8_t link_header[ETHERNET];

static void end(int number) {
    (void)number;
    ended = 1;
}

static uint64_t now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* xorshift64*, Vigna 2016. */
static uint64_t chance(void) {
    static uint64_t state = 0x9e3779b97f4a7c15ull;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
}

static void put16(uint8_t *at, uint32_t value) {
    at[0] = value >> 8;
    at[1] = value;
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* RFC 1071. */
static uint32_t sum(const uint8_t *bytes, int count, uint32_t total) {
    for (int i = 0; i < count; i += 2)
        total += bytes[i] << 8 | bytes[i + 1];
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

static int tcp(uint8_t *at, enum kind kind, uint64_t random) {
    put16(at, 1024 + random % 60000);
    put16(at + 2, ports[kind]);
    put32(at + 4, random >> 20);
    put32(at + 8, kind == ACK ? random >> 12 : 0);
    at[12] = 5 << 4;
    at[13] = kind == SYN ? 0x02 : 0x10;
    put16(at + 14, 64240);
    return 20;
}

static int udp(uint8_t *at, enum kind kind, uint64_t random) {
    put16(at, 1024 + random % 60000);
    put16(at + 2, ports[kind]);
    put16(at + 4, 26);
    memset(at + 8, 'x', 18);
    return 26;
}

/* One frame at `frame`; returns its length. */
static int make(uint8_t *frame, enum kind kind) {
    uint64_t random = chance();
    uint8_t *ip = frame + ETHERNET, *body = ip + HEADER;
    memset(frame, 0, ROOM);
    memcpy(frame, link_header, ETHERNET);
    ip[0] = 0x45;
    ip[8] = 64;
    put32(ip + 12, base | ((uint32_t)chance() & ~mask));
    put32(ip + 16, target);
    put16(ip + 4, random >> 40);
    int length;
    if (kind == SYN || kind == ACK) {
        ip[9] = IPPROTO_TCP;
        length = tcp(body, kind, random);
    } else if (kind == FRAGMENT) {
        /* Large enough for the agent's least size of a first fragment. */
        ip[9] = IPPROTO_UDP;
        length = ROOM - ETHERNET - HEADER - 2;
        length -= length % 8;
        int later = random >> 63;
        put16(ip + 6, 0x2000 | (later ? 64 : 0));
        memset(body, 'y', length);
        if (!later) {
            udp(body, ADMITTED, random);
            put16(body + 4, 1400);
        }
    } else {
        ip[9] = IPPROTO_UDP;
        length = udp(body, kind, random);
    }
    put16(ip + 2, HEADER + length);
    put16(ip + 10, ~sum(ip, HEADER, 0));
    if (kind != FRAGMENT) {
        uint32_t total = sum(ip + 12, 8, ip[9] + length);
        int place = ip[9] == IPPROTO_TCP ? 16 : 6;
        uint32_t check = ~sum(body, length, total) & 0xffff;
        put16(body + place, check ? check : 0xffff);
    }
    int whole = ETHERNET + HEADER + length;
    return whole < 60 ? 60 : whole;
}

static int parse_kinds(char *text, enum kind *kinds) {
    int count = 0;
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        int kind = 0;
        while (kind < KINDS && strcmp(names[kind], word))
            kind++;
        if (kind == KINDS || count == 16)
            return 0;
        kinds[count++] = kind;
    }
    return count;
}

static int open_interface(const char *name, const char *mac) {
    unsigned m[6];
    int one = 1, room = 8 << 20, s = socket(AF_PACKET, SOCK_RAW, 0);
    struct ifreq request = {0};
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(name), .sll_protocol = htons(ETH_P_IP)};
    if (s < 0 || sscanf(mac, "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6)
        return -1;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(s, SIOCGIFHWADDR, &request) || bind(s, (void *)&address, sizeof address))
        return -1;
    setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    for (int i = 0; i < 6; i++)
        link_header[i] = m[i];
    memcpy(link_header + 6, request.ifr_hwaddr.sa_data, 6);
    put16(link_header + 12, ETH_P_IP);
    return s;
}

int main(int argc, char **argv) {
    enum kind kinds[16];
    char *sources = strdup("198.18.64.0/18"), *interface = NULL, *mac = NULL;
    int count = 0, batch = 32, option;
    double rate = 0, seconds = 0;
    uint64_t most = UINT64_MAX;
    ports[SYN] = ports[ACK] = 80, ports[ADMITTED] = 53, ports[REFUSED] = 9;
    while ((option = getopt(argc, argv, "k:i:m:d:s:p:u:q:r:n:t:b:")) != -1) switch (option) {
        case 'k': count = parse_kinds(optarg, kinds); break;
        case 'i': interface = optarg; break;
        case 'm': mac = optarg; break;
        case 'd': target = ntohl(inet_addr(optarg)); break;
        case 's': sources = strdup(optarg); break;
        case 'p': ports[SYN] = ports[ACK] = atoi(optarg); break;
        case 'u': ports[ADMITTED] = atoi(optarg); break;
        case 'q': ports[REFUSED] = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'n': most = strtoull(optarg, NULL, 10); break;
        case 't': seconds = atof(optarg); break;
        case 'b': batch = atoi(optarg); break;
        default: return 2;
    }
    char *slash = strchr(sources, '/');
    int prefix = slash ? atoi(slash + 1) : 32;
    if (slash)
        *slash = 0;
    mask = prefix ? ~0u << (32 - prefix) : 0;
    base = ntohl(inet_addr(sources)) & mask;
    /* RFC 2544 addresses only: this is no tool for any other network. */
    if (!count || !interface || !mac || batch < 1 || batch > MOST || !(seconds > 0 && seconds <= 7200) || prefix < 15 ||
        (base & 0xfffe0000u) != 0xc6120000u || (target & 0xfffe0000u) != 0xc6120000u)
        return 2;
    int s = open_interface(interface, mac);
    if (s < 0) {
        perror(interface);
        return 1;
    }
    signal(SIGTERM, end);
    static uint8_t frames[MOST][ROOM];
    struct iovec parts[MOST];
    struct mmsghdr messages[MOST];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < MOST; i++)
        parts[i].iov_base = frames[i], messages[i].msg_hdr.msg_iov = &parts[i], messages[i].msg_hdr.msg_iovlen = 1;
    if (rate > 0 && rate / 500 < batch)
        batch = rate / 500 < 1 ? 1 : rate / 500;
    uint64_t sent = 0, failed = 0, begun = now_ns(), now = begun, last = begun + (uint64_t)(seconds * 1e9), turn = 0;
    while (!ended && now < last && sent < most) {
        if (rate > 0) {
            uint64_t due = begun + (uint64_t)((sent + failed) * 1e9 / rate);
            if (due > now) {
                struct timespec pause = {.tv_sec = (due - now) / 1000000000, .tv_nsec = (due - now) % 1000000000};
                nanosleep(&pause, NULL);
                now = now_ns();
                continue;
            }
        }
        int size = most - sent < (uint64_t)batch ? (int)(most - sent) : batch;
        for (int i = 0; i < size; i++)
            parts[i].iov_len = make(frames[i], kinds[turn++ % count]);
        int done = sendmmsg(s, messages, size, 0);
        sent += done > 0 ? done : 0;
        failed += size - (done > 0 ? done : 0);
        now = now_ns();
    }
    printf("{\"sent\":%llu,\"err\":%llu,\"sec\":%.6f}\n", (unsigned long long)sent, (unsigned long long)failed,
           (now - begun) / 1e9);
    return 0;
}
