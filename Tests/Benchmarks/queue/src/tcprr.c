// SPDX-License-Identifier: GPL-3.0-or-later
/* tcprr: round trips of one byte on one established TCP connection.
 *   tcprr -s -p PORT             answers on one connection until its peer closes it
 *   tcprr -d DST -p PORT -n N    prints one JSON line, microseconds: {"n":N,"mean":M,"p50":..,"p99":..}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    int server = 0, count = 10000, option, one = 1;
    struct sockaddr_in where = { .sin_family = AF_INET };
    while ((option = getopt(argc, argv, "sd:p:n:")) != -1) switch (option) {
        case 's': server = 1; break;
        case 'd': inet_pton(AF_INET, optarg, &where.sin_addr); break;
        case 'p': where.sin_port = htons(atoi(optarg)); break;
        case 'n': count = atoi(optarg); break;
        default: return 2;
    }
    int line = socket(AF_INET, SOCK_STREAM, 0);
    char byte = 'x';
    if (server) {
        setsockopt(line, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(line, (void *)&where, sizeof where) || listen(line, 1)) { perror("listen"); return 1; }
        int peer = accept(line, NULL, NULL);
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        while (recv(peer, &byte, 1, 0) == 1 && send(peer, &byte, 1, 0) == 1) {}
        return 0;
    }
    if (count < 100 || count > 1000000) return 2;
    if (connect(line, (void *)&where, sizeof where)) { perror("connect"); return 1; }
    setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    uint64_t *times = calloc(count, sizeof *times), sum = 0;
    // The first ones decide the flow and fill caches.
    for (int i = -1000; i < count; i++) {
        uint64_t begun = now_ns();
        if (send(line, &byte, 1, 0) != 1 || recv(line, &byte, 1, 0) != 1) { perror("round trip"); return 1; }
        if (i >= 0) sum += times[i] = now_ns() - begun;
    }
    qsort(times, count, sizeof *times, compare);
    printf("{\"n\":%d,\"mean\":%.2f,\"p50\":%.2f,\"p99\":%.2f}\n", count, sum / 1e3 / count, times[count / 2] / 1e3, times[(int)(count * .99)] / 1e3);
    return 0;
}
