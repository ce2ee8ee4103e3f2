// SPDX-License-Identifier: GPL-3.0-or-later
/* frames: sends prepared Ethernet frames in turn, through AF_PACKET with the qdisc bypassed.
 *   frames -i IFACE -f FILE -r pps (0: as fast as it goes) -t seconds [-b batch]
 * FILE: each frame behind its length in two bytes, most significant first; at most 4,096 frames.
 * Prints one JSON line: {"sent":N,"err":N,"sec":S}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifndef PACKET_QDISC_BYPASS
#define PACKET_QDISC_BYPASS 20
#endif
#define MOST 4096

static uint64_t now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

int main(int argc, char **argv) {
    const char *interface = NULL, *path = NULL;
    double rate = 0, seconds = 2;
    int batch = 16, option;
    while ((option = getopt(argc, argv, "i:f:r:t:b:")) != -1) switch (option) {
        case 'i': interface = optarg; break;
        case 'f': path = optarg; break;
        case 'r': rate = atof(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'b': batch = atoi(optarg); break;
        default: return 2;
    }
    if (!interface || !path || batch < 1 || batch > 64 || seconds > 60) return 2;
    if (rate > 0 && rate / 2000 < batch) batch = rate < 4000 ? 1 : rate / 2000;
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); return 1; }
    static struct iovec parts[MOST + 64];
    static struct mmsghdr messages[MOST + 64];
    int count = 0;
    for (uint8_t head[2]; count < MOST && fread(head, 1, 2, file) == 2; count++) {
        size_t length = head[0] << 8 | head[1];
        uint8_t *frame = malloc(length ? length : 1);
        if (!frame || fread(frame, 1, length, file) != length) { fprintf(stderr, "%s: cut short\n", path); return 1; }
        parts[count] = (struct iovec){ frame, length };
    }
    fclose(file);
    if (!count) { fprintf(stderr, "%s: no frame\n", path); return 1; }
    // A batch may begin with the last frame.
    for (int i = 0; i < count + 64; i++) {
        parts[i] = parts[i % count];
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int socket_ = socket(AF_PACKET, SOCK_RAW, 0), one = 1, room = 8 << 20;
    struct sockaddr_ll where = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(interface), .sll_protocol = htons(ETH_P_IP) };
    if (socket_ < 0 || bind(socket_, (void *)&where, sizeof where)) { perror(interface); return 1; }
    setsockopt(socket_, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(socket_, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    uint64_t sent = 0, failed = 0, begun = now_ns(), now = begun, end = begun + (uint64_t)(seconds * 1e9);
    for (int at = 0; now < end; now = now_ns()) {
        if (rate > 0 && sent + failed >= (uint64_t)((now - begun) * rate / 1e9)) continue;
        int done = sendmmsg(socket_, messages + at, batch, 0);
        if (done < 0) done = 0;
        sent += done;
        failed += batch - done;
        at = (at + batch) % count;
    }
    printf("{\"sent\":%llu,\"err\":%llu,\"sec\":%.6f}\n", (unsigned long long)sent, (unsigned long long)failed, (now - begun) / 1e9);
    return 0;
}
