// SPDX-License-Identifier: GPL-3.0-or-later
/* nfq_simple: the textbook agent - libmnl + libnetfilter_queue, one recv, one verdict, accept all.
 *   nfq_simple QUEUE
 * This is what every tutorial and language binding does per packet; it is the floor an agent must beat.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static struct mnl_socket *nl; static int qn;
static int cb(const struct nlmsghdr *nlh, void *data) {
    struct nlattr *attr[NFQA_MAX + 1] = {0};
    (void)data;
    if (nfq_nlmsg_parse(nlh, attr) < 0 || !attr[NFQA_PACKET_HDR]) return MNL_CB_OK;
    struct nfqnl_msg_packet_hdr *ph = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
    char buf[MNL_SOCKET_BUFFER_SIZE];
    struct nlmsghdr *v = nfq_nlmsg_put(buf, NFQNL_MSG_VERDICT, qn);
    nfq_nlmsg_verdict_put(v, ntohl(ph->packet_id), NF_ACCEPT);
    if (mnl_socket_sendto(nl, v, v->nlmsg_len) < 0) perror("verdict");
    return MNL_CB_OK;
}
int main(int argc, char **argv) {
    if (argc != 2) return 2;
    qn = atoi(argv[1]);
    size_t sz = 0xffff + MNL_SOCKET_BUFFER_SIZE / 2; char *buf = malloc(sz);
    nl = mnl_socket_open(NETLINK_NETFILTER);
    if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) { perror("mnl"); return 1; }
    unsigned port = mnl_socket_get_portid(nl);
    struct nlmsghdr *h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, qn);
    nfq_nlmsg_cfg_put_cmd(h, AF_INET, NFQNL_CFG_CMD_BIND);
    if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0) { perror("bind"); return 1; }
    h = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, qn);
    nfq_nlmsg_cfg_put_params(h, NFQNL_COPY_PACKET, 0xffff);
    if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0) { perror("params"); return 1; }
    int on = 1; mnl_socket_setsockopt(nl, NETLINK_NO_ENOBUFS, &on, sizeof on);
    for (;;) {
        ssize_t r = mnl_socket_recvfrom(nl, buf, sz);
        if (r < 0) { if (errno == ENOBUFS || errno == EINTR) continue; perror("recv"); return 1; }
        mnl_cb_run(buf, r, 0, port, cb, NULL);
    }
}
