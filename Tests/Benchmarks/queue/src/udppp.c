// SPDX-License-Identifier: GPL-3.0-or-later
/* udppp: UDP ping-pong. `udppp -s -p PORT -t secs` echoes; `udppp -d DST -p PORT -n N -g gap_us` measures RTT.
 * Prints one JSON line with percentiles in microseconds. One packet outstanding at a time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
static uint64_t now_ns(void) { struct timespec ts; clock_gettime(CLOCK_MONOTONIC, &ts); return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec; }
static int cmp(const void *a, const void *b) { uint64_t x = *(uint64_t *)a, y = *(uint64_t *)b; return x < y ? -1 : x > y; }
int main(int argc, char **argv) {
    int server = 0, port = 9001, n = 1000, gap = 300, c, len = 32; double secs = 60; char *dst = NULL;
    while ((c = getopt(argc, argv, "sd:p:n:g:t:l:")) != -1) switch (c) {
        case 's': server = 1; break; case 'd': dst = optarg; break; case 'p': port = atoi(optarg); break;
        case 'n': n = atoi(optarg); break; case 'g': gap = atoi(optarg); break; case 't': secs = atof(optarg); break;
        case 'l': len = atoi(optarg); break; default: return 2; }
    prctl(PR_SET_TIMERSLACK, 1000);
    int fd = socket(AF_INET, SOCK_DGRAM, 0); char buf[2048]; memset(buf, 0, sizeof buf);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    uint64_t start = now_ns();
    if (server) {
        if (bind(fd, (void *)&a, sizeof a)) { perror("bind"); return 1; }
        while (now_ns() - start < secs * 1e9) {
            struct pollfd p = { fd, POLLIN, 0 };
            if (poll(&p, 1, 200) <= 0) continue;
            struct sockaddr_in f; socklen_t fl = sizeof f;
            ssize_t r = recvfrom(fd, buf, sizeof buf, 0, (void *)&f, &fl);
            if (r > 0) sendto(fd, buf, r, 0, (void *)&f, fl);
        }
        return 0;
    }
    if (!dst || n < 1 || n > 1000000) return 2;
    inet_pton(AF_INET, dst, &a.sin_addr);
    connect(fd, (void *)&a, sizeof a);
    uint64_t *v = calloc(n, 8); int got = 0, lost = 0; uint32_t seq = 0;
    for (int i = 0; i < n && now_ns() - start < secs * 1e9; i++) {
        seq++; memcpy(buf, &seq, 4);
        uint64_t t = now_ns(); send(fd, buf, len, 0);
        for (;;) {
            struct pollfd p = { fd, POLLIN, 0 };
            if (poll(&p, 1, 200) <= 0) { lost++; break; }
            char rb[2048]; ssize_t r = recv(fd, rb, sizeof rb, 0); uint32_t s;
            if (r < 4) { lost++; break; }
            memcpy(&s, rb, 4); if (s != seq) continue;
            v[got++] = now_ns() - t; break;
        }
        if (gap) { struct timespec ts = { 0, gap * 1000L }; nanosleep(&ts, NULL); }
    }
    if (!got) { printf("{\"n\":0,\"lost\":%d}\n", lost); return 0; }
    qsort(v, got, 8, cmp);
    printf("{\"n\":%d,\"lost\":%d,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n", got, lost, v[got / 2] / 1e3,
           v[(int)(got * .9)] / 1e3, v[(int)(got * .99)] / 1e3, v[got - 1] / 1e3);
    return 0;
}
