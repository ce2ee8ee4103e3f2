// SPDX-License-Identifier: GPL-3.0-or-later
/* tcpcrr: connect / request / response / close over TCP, HTTP-shaped.
 * server: tcpcrr -s -p PORT -t secs          client: tcpcrr -S ip[,ip..] -d DST -p PORT -c conc -t secs
 * Client sends a 78-byte GET, server answers 200 with 128 body bytes and closes first (as HTTP/1.0 does).
 * Prints one JSON line: completed connections, failures, per-second rate, whole-transaction percentiles (us).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static uint64_t now_ns(void) { struct timespec ts; clock_gettime(CLOCK_MONOTONIC, &ts); return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec; }
static int cmp(const void *a, const void *b) { uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b; return x < y ? -1 : x > y; }
static const char req[] = "GET /index.html HTTP/1.0\r\nHost: bench.example\r\nUser-Agent: tcpcrr/1\r\n\r\n";
static char resp[256]; static int resplen;
struct conn { int fd, sent; uint64_t t0; };
static char *ips[256]; static int nips; static struct sockaddr_in dst;
static uint64_t fails;
static int ep;
static int start(struct conn *c, int idx) {
    static unsigned rr;
    for (int tries = 0; tries < 16; tries++) {
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (c->fd < 0) return -1;
        int one = 1; setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        struct sockaddr_in a = { .sin_family = AF_INET };
        inet_pton(AF_INET, ips[rr++ % nips], &a.sin_addr);
        bind(c->fd, (void *)&a, sizeof a);
        c->t0 = now_ns(); c->sent = 0;
        if (connect(c->fd, (void *)&dst, sizeof dst) == 0 || errno == EINPROGRESS) {
            struct epoll_event ev = { .events = EPOLLOUT | EPOLLIN, .data.u32 = idx };
            epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev); return 0;
        }
        close(c->fd); fails++;
    }
    return -1;
}
int main(int argc, char **argv) {
    int server = 0, port = 9002, conc = 32, c; double secs = 2; char *src = NULL, *d = NULL;
    while ((c = getopt(argc, argv, "sS:d:p:c:t:")) != -1) switch (c) {
        case 's': server = 1; break; case 'S': src = optarg; break; case 'd': d = optarg; break;
        case 'p': port = atoi(optarg); break; case 'c': conc = atoi(optarg); break; case 't': secs = atof(optarg); break; default: return 2; }
    ep = epoll_create1(0); uint64_t begin = now_ns(), end = begin + (uint64_t)(secs * 1e9);
    struct epoll_event evs[256]; char buf[4096];
    if (server) {
        resplen = snprintf(resp, sizeof resp, "HTTP/1.0 200 OK\r\nContent-Length: 128\r\n\r\n"); memset(resp + resplen, 'a', 128); resplen += 128;
        int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1; setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        if (bind(l, (void *)&a, sizeof a) || listen(l, 4096)) { perror("listen"); return 1; }
        struct epoll_event ev = { .events = EPOLLIN, .data.fd = l }; epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
        while (now_ns() < end) {
            int n = epoll_wait(ep, evs, 256, 200);
            for (int i = 0; i < n; i++) {
                int fd = evs[i].data.fd;
                if (fd == l) { for (int k = 0; k < 64; k++) { int s = accept4(l, NULL, NULL, SOCK_NONBLOCK); if (s < 0) break;
                        struct epoll_event e = { .events = EPOLLIN, .data.fd = s }; epoll_ctl(ep, EPOLL_CTL_ADD, s, &e); } continue; }
                ssize_t r = read(fd, buf, sizeof buf);
                if (r > 0) { if (write(fd, resp, resplen) < 0) {} close(fd); }
                else if (r == 0 || errno != EAGAIN) close(fd);
            }
        }
        return 0;
    }
    if (!src || !d || conc < 1 || conc > 1024 || secs > 60) return 2;
    for (char *p = strtok(src, ","); p && nips < 256; p = strtok(NULL, ",")) ips[nips++] = p;
    dst.sin_family = AF_INET; dst.sin_port = htons(port); inet_pton(AF_INET, d, &dst.sin_addr);
    struct conn *cs = calloc(conc, sizeof *cs); size_t cap = 1 << 20, nl = 0; uint32_t *lat = malloc(cap * 4); uint64_t done = 0;
    for (int i = 0; i < conc; i++) start(&cs[i], i);
    uint64_t t;
    while ((t = now_ns()) < end) {
        int n = epoll_wait(ep, evs, 256, 100);
        for (int i = 0; i < n; i++) {
            struct conn *k = &cs[evs[i].data.u32];
            if (evs[i].events & EPOLLERR) { close(k->fd); fails++; start(k, evs[i].data.u32); continue; }
            if (!k->sent && (evs[i].events & EPOLLOUT)) {
                k->sent = 1; if (write(k->fd, req, sizeof req - 1) < 0) {}
                struct epoll_event ev = { .events = EPOLLIN, .data.u32 = evs[i].data.u32 }; epoll_ctl(ep, EPOLL_CTL_MOD, k->fd, &ev);
                continue;
            }
            if (evs[i].events & (EPOLLIN | EPOLLHUP)) {
                ssize_t r;
                while ((r = read(k->fd, buf, sizeof buf)) > 0) {}
                if (r < 0 && errno == EAGAIN) continue;
                uint32_t us = (now_ns() - k->t0) / 1000; close(k->fd);
                if (r == 0) { done++; if (nl < cap) lat[nl++] = us; } else fails++;
                start(k, evs[i].data.u32);
            }
        }
    }
    double s = (t - begin) / 1e9; qsort(lat, nl, 4, cmp);
    printf("{\"done\":%llu,\"fail\":%llu,\"sec\":%.4f,\"cps\":%.1f,\"p50\":%u,\"p99\":%u,\"max\":%u}\n", (unsigned long long)done,
           (unsigned long long)fails, s, done / s, nl ? lat[nl / 2] : 0, nl ? lat[(size_t)(nl * .99)] : 0, nl ? lat[nl - 1] : 0);
    return 0;
}
