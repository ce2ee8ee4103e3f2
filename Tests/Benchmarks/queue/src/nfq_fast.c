// SPDX-License-Identifier: GPL-3.0-or-later
/* nfq_fast: reference agent with every cheap trick as a switch (raw netlink, no library).
 *   -q Q       first queue          -n N   number of queues, one thread and socket each (for --queue-balance)
 *   -b B       receive batch: recvmmsg of up to B messages (1 = plain recv)
 *   -z         receive with a loop of plain recv(MSG_DONTWAIT) into one hot buffer instead of recvmmsg; the verdict is still per batch
 *   -y         recvmmsg into a 2 KiB hot part plus a cold overflow part per message (small cache footprint at full copy range)
 *   -v one|concat|batch   verdicts: one sendto each / many NFQNL_MSG_VERDICT in one sendto /
 *                         NFQNL_MSG_VERDICT_BATCH (one message accepts every queued id <= the last one seen)
 *   -g         NFQA_CFG_F_GSO       -c N   copy range (0 = COPY_META, no payload)
 *   -r BYTES   SO_RCVBUFFORCE       -l N   queue maxlen
 *   -f         NFQA_CFG_F_FAIL_OPEN -s N   spin: poll the socket N times (MSG_DONTWAIT) before sleeping
 *   -M MARK    set NFQA_MARK on every verdict (for a connmark bypass rule)
 *   -R N       evaluate N five-tuple rules, none of which match, before the final accept (linear)
 *   -F         with -R: flow table; rules run for the first packet of a flow only
 *   -A         pin thread i to CPU (i mod ncpu)
 *   -w N       write the payload back on every Nth verdict (NFQA_PAYLOAD), to cost packet rewriting
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int q0 = 0, nq = 1, B = 1, gso = 0, copy = 65531, rcvbuf = 0, maxlen = 0, failopen = 0, spin = 0, nrules = 0, flowtab = 0, pin = 0, wr = 0, zloop = 0, split = 0;
static int vmode = 0; static uint32_t mark = 0;
enum { V_ONE, V_CONCAT, V_BATCH };

struct rule { uint32_t sa, sm, da, dm; uint16_t sp0, sp1, dp0, dp1; uint8_t proto, act; };
static struct rule *rules;
struct flow { uint32_t a, b; uint32_t ports; uint8_t proto, used, act, pad; };
#define FT (1u << 18)

struct th { pthread_t t; int q; struct flow *ft; };

static void die(const char *s) { perror(s); exit(1); }
static struct nlattr *put(char *m, int type, const void *d, int len) {
    struct nlmsghdr *h = (void *)m; struct nlattr *a = (void *)(m + NLMSG_ALIGN(h->nlmsg_len));
    a->nla_type = type; a->nla_len = NLA_HDRLEN + len;
    if (d) memcpy((char *)a + NLA_HDRLEN, d, len);
    h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + NLA_ALIGN(a->nla_len); return a;
}
static void hdr(char *m, int type, int q) {
    struct nlmsghdr *h = (void *)m; memset(h, 0, 20); h->nlmsg_len = 20; h->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | type;
    h->nlmsg_flags = NLM_F_REQUEST; struct nfgenmsg *g = (void *)(m + 16); g->nfgen_family = AF_UNSPEC; g->version = 0; g->res_id = htons(q);
}
static void cfg(int fd, int q, int type, const void *d, int len, int type2, const void *d2, int len2) {
    char m[256]; hdr(m, NFQNL_MSG_CONFIG, q); put(m, type, d, len); if (d2) put(m, type2, d2, len2);
    struct nlmsghdr *h = (void *)m; h->nlmsg_flags |= NLM_F_ACK;
    if (send(fd, m, h->nlmsg_len, 0) < 0) die("cfg send");
    char r[512]; if (recv(fd, r, sizeof r, 0) < 0) die("cfg recv");
    struct nlmsgerr *e = (void *)(r + 16);
    if (((struct nlmsghdr *)r)->nlmsg_type == NLMSG_ERROR && e->error) { errno = -e->error; perror("cfg"); exit(1); }
}
static inline uint8_t eval(uint32_t sa, uint32_t da, uint16_t sp, uint16_t dp, uint8_t proto) {
    for (int i = 0; i < nrules; i++) {
        struct rule *r = &rules[i];
        if (((sa ^ r->sa) & r->sm) == 0 && ((da ^ r->da) & r->dm) == 0 && (!r->proto || r->proto == proto) && sp >= r->sp0 && sp <= r->sp1 &&
            dp >= r->dp0 && dp <= r->dp1) return r->act;
    }
    return NF_ACCEPT;
}
static uint8_t decide(struct th *t, const uint8_t *p, int len) {
    if (!nrules || len < 20 || (p[0] >> 4) != 4) return NF_ACCEPT;
    int ihl = (p[0] & 15) * 4; uint32_t sa, da; uint16_t sp = 0, dp = 0; uint8_t proto = p[9];
    memcpy(&sa, p + 12, 4); memcpy(&da, p + 16, 4);
    if (len >= ihl + 4 && (proto == 6 || proto == 17)) { memcpy(&sp, p + ihl, 2); memcpy(&dp, p + ihl + 2, 2); }
    if (!flowtab) return eval(sa, da, ntohs(sp), ntohs(dp), proto);
    uint32_t a = sa, b = da, ports = ((uint32_t)sp << 16) | dp;
    if (a > b) { a = da; b = sa; ports = ((uint32_t)dp << 16) | sp; }
    uint64_t k = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15ull ^ (uint64_t)ports * 0xC2B2AE3D27D4EB4Full ^ proto; k ^= k >> 29; k *= 0xBF58476D1CE4E5B9ull; k ^= k >> 32;
    for (uint32_t i = 0; i < 8; i++) {
        struct flow *f = &t->ft[(k + i) & (FT - 1)];
        if (f->used && f->a == a && f->b == b && f->ports == ports && f->proto == proto) return f->act;
        if (!f->used || i == 7) { uint8_t v = eval(sa, da, ntohs(sp), ntohs(dp), proto); *f = (struct flow){ a, b, ports, proto, 1, v, 0 }; return v; }
    }
    return NF_ACCEPT;
}
static void *run(void *arg) {
    struct th *t = arg;
    if (pin) { cpu_set_t s; CPU_ZERO(&s); CPU_SET((t->q - q0) % sysconf(_SC_NPROCESSORS_ONLN), &s); sched_setaffinity(0, sizeof s, &s); }
    if (flowtab) t->ft = calloc(FT, sizeof(struct flow));
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), one = 1; if (fd < 0) die("socket");
    struct sockaddr_nl me = { .nl_family = AF_NETLINK }; if (bind(fd, (void *)&me, sizeof me)) die("bind");
    struct nfqnl_msg_config_cmd cmd = { .command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET) }; cfg(fd, t->q, NFQA_CFG_CMD, &cmd, sizeof cmd, 0, NULL, 0);
    if (maxlen) { uint32_t l = htonl(maxlen); cfg(fd, t->q, NFQA_CFG_QUEUE_MAXLEN, &l, 4, 0, NULL, 0); }
    uint32_t fl = htonl((gso ? NFQA_CFG_F_GSO : 0) | (failopen ? NFQA_CFG_F_FAIL_OPEN : 0)); cfg(fd, t->q, NFQA_CFG_FLAGS, &fl, 4, NFQA_CFG_MASK, &fl, 4);
    struct nfqnl_msg_config_params pp = { .copy_range = htonl(copy), .copy_mode = copy ? NFQNL_COPY_PACKET : NFQNL_COPY_META }; cfg(fd, t->q, NFQA_CFG_PARAMS, &pp, sizeof pp, 0, NULL, 0);
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof one);
    if (rcvbuf) { setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof rcvbuf); }
    size_t bs = (copy > 4096 ? 65536 : 4096) + 512; char *bufs = malloc(bs * B), *out = malloc(64 * B + 131072);
    struct iovec *iov = calloc(B, sizeof *iov); struct mmsghdr *mm = calloc(B, sizeof *mm);
    char *cold = NULL; struct iovec *iov2 = NULL;
    if (split) {
        bs = 2048; cold = malloc(65536 * (size_t)B); iov2 = calloc(2 * B, sizeof *iov2);
        for (int i = 0; i < B; i++) { iov2[2 * i] = (struct iovec){ bufs + i * bs, bs }; iov2[2 * i + 1] = (struct iovec){ cold + 65536 * (size_t)i, 65536 };
            mm[i].msg_hdr.msg_iov = &iov2[2 * i]; mm[i].msg_hdr.msg_iovlen = 2; }
    } else for (int i = 0; i < B; i++) { iov[i].iov_base = bufs + i * bs; iov[i].iov_len = bs; mm[i].msg_hdr.msg_iov = &iov[i]; mm[i].msg_hdr.msg_iovlen = 1; }
    uint32_t nmark = htonl(mark); uint64_t cnt = 0;
    for (;;) {
        int n = -1, off = 0, pending = 0, k = 0; uint32_t lastid = 0;
        if (zloop) {
            ssize_t r = -1;
            for (int s = 0; s < spin && r <= 0; s++) r = recv(fd, bufs, bs, MSG_DONTWAIT);
            if (r <= 0) r = recv(fd, bufs, bs, 0);
            if (r <= 0) continue;
            mm[0].msg_len = r; n = 1; goto process;
        }
        for (int s = 0; s < spin && n <= 0; s++) {
            if (B == 1) { ssize_t r = recv(fd, bufs, bs, MSG_DONTWAIT); if (r > 0) { mm[0].msg_len = r; n = 1; } }
            else n = recvmmsg(fd, mm, B, MSG_DONTWAIT, NULL);
        }
        if (n <= 0) {
            if (B == 1) { ssize_t r = recv(fd, bufs, bs, 0); if (r > 0) { mm[0].msg_len = r; n = 1; } }
            else n = recvmmsg(fd, mm, B, MSG_WAITFORONE, NULL);
        }
        if (n <= 0) { if (errno == ENOBUFS || errno == EINTR || errno == EAGAIN) continue; die("recv"); }
process:
        for (int i = 0; i < n; i++) {
            char *m = bufs + i * bs; struct nlmsghdr *h = (void *)m;
            if (mm[i].msg_len < 20 || h->nlmsg_type != ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET)) continue;
            uint32_t id = 0; const uint8_t *pl = NULL; int plen = 0;
            char *p = m + 20, *e = m + h->nlmsg_len; if (h->nlmsg_len > mm[i].msg_len) e = m + mm[i].msg_len;
            while (p + 4 <= e) { struct nlattr *a = (void *)p; if (a->nla_len < 4) break;
                int ty = a->nla_type & NLA_TYPE_MASK; if (ty == NFQA_PACKET_HDR) id = ((struct nfqnl_msg_packet_hdr *)(p + 4))->packet_id;
                else if (ty == NFQA_PAYLOAD) { pl = (uint8_t *)p + 4; plen = a->nla_len - 4; }
                p += NLA_ALIGN(a->nla_len); }
            uint8_t v = decide(t, pl, plen); cnt++;
            if (vmode == V_BATCH && v == NF_ACCEPT) { lastid = id; pending = 1; continue; }
            char *o = out + off; hdr(o, NFQNL_MSG_VERDICT, t->q);
            struct nfqnl_msg_verdict_hdr vh = { htonl(v), id }; put(o, NFQA_VERDICT_HDR, &vh, sizeof vh);
            if (mark) put(o, NFQA_MARK, &nmark, 4);
            if (wr && cnt % wr == 0 && pl && plen < 60000) put(o, NFQA_PAYLOAD, pl, plen);
            int l = ((struct nlmsghdr *)o)->nlmsg_len;
            if (vmode == V_ONE || off + l > 60000) { if (send(fd, out, off + l, 0) < 0 && errno != ENOENT) perror("verdict"); off = 0; } else off += l;
        }
        if (zloop && ++k < B) { ssize_t r = recv(fd, bufs, bs, MSG_DONTWAIT); if (r > 0) { mm[0].msg_len = r; goto process; } }
        if (pending) { char *o = out + off; hdr(o, NFQNL_MSG_VERDICT_BATCH, t->q);
            struct nfqnl_msg_verdict_hdr vh = { htonl(NF_ACCEPT), lastid }; put(o, NFQA_VERDICT_HDR, &vh, sizeof vh);
            if (mark) put(o, NFQA_MARK, &nmark, 4);
            off += ((struct nlmsghdr *)o)->nlmsg_len; }
        if (off && send(fd, out, off, 0) < 0 && errno != ENOENT) perror("verdict");
    }
    return NULL;
}
int main(int argc, char **argv) {
    int c;
    while ((c = getopt(argc, argv, "q:n:b:v:gc:r:l:fs:M:R:FAw:zy")) != -1) switch (c) {
        case 'q': q0 = atoi(optarg); break; case 'n': nq = atoi(optarg); break; case 'b': B = atoi(optarg); break;
        case 'v': vmode = !strcmp(optarg, "one") ? V_ONE : !strcmp(optarg, "concat") ? V_CONCAT : V_BATCH; break;
        case 'g': gso = 1; break; case 'c': copy = atoi(optarg); break; case 'r': rcvbuf = atoi(optarg); break;
        case 'l': maxlen = atoi(optarg); break; case 'f': failopen = 1; break; case 's': spin = atoi(optarg); break;
        case 'M': mark = strtoul(optarg, NULL, 0); break; case 'R': nrules = atoi(optarg); break; case 'F': flowtab = 1; break;
        case 'A': pin = 1; break; case 'z': zloop = 1; break; case 'y': split = 1; break; case 'w': wr = atoi(optarg); break; default: return 2; }
    if (B < 1 || B > 1024 || nq < 1 || nq > 64) return 2;
    if (nrules) { rules = calloc(nrules, sizeof *rules);
        for (int i = 0; i < nrules; i++) { uint32_t a = htonl(0xCB007100u | (i & 0xff)); /* 203.0.113.x: never on this lab's wire */
            rules[i] = (struct rule){ a, 0xffffffff, 0, 0, 0, 65535, 1 + i % 60000, 1 + i % 60000, i & 1 ? 6 : 17, NF_DROP }; } }
    struct th *t = calloc(nq, sizeof *t);
    for (int i = 0; i < nq; i++) { t[i].q = q0 + i; pthread_create(&t[i].t, NULL, run, &t[i]); }
    for (int i = 0; i < nq; i++) pthread_join(t[i].t, NULL);
    return 0;
}
