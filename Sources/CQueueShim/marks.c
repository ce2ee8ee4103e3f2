// SPDX-License-Identifier: GPL-3.0-or-later

// Marks of tracked connections, through ctnetlink. Not of the packet path: at the agent's start and after a reload.
//
// The kernel lists the connections that have the bit, and each is changed by a message of its own, which names it by the
// tuple and zone that the listing gave. A listing may miss connections while the kernel's table grows, so it is repeated
// until one is empty.

#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#define LISTING_BYTES (32 << 10)
#define CHANGE_BYTES 1024
/// Nobody sets the bits meanwhile, so the second listing is empty unless the first missed some.
#define MOST_LISTINGS 16

struct clearing {
    struct mnl_socket *changes;
    uint32_t bit;
    uint32_t bits;
    uint32_t sequence;
    uint32_t found;
    int error;
};

static struct nlmsghdr *put_header(void *buffer, uint16_t type, uint16_t flags, uint8_t family, uint32_t sequence) {
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    message->nlmsg_seq = sequence;
    struct nfgenmsg *body = mnl_nlmsg_put_extra_header(message, sizeof *body);
    body->nfgen_family = family;
    body->version = NFNETLINK_V0;
    body->res_id = 0;
    return message;
}

static void put_mark(struct nlmsghdr *message, uint32_t mark, uint32_t mask) {
    mnl_attr_put_u32(message, CTA_MARK, htonl(mark));
    mnl_attr_put_u32(message, CTA_MARK_MASK, htonl(mask));
}

static struct mnl_socket *open_socket(void) {
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (!socket)
        return NULL;
    const struct timeval patience = {.tv_sec = 5};
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
        setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0)
        return socket;
    const int error = errno;
    mnl_socket_close(socket);
    errno = error;
    return NULL;
}

/// Sends one change and reads its answer; 0 or an errno value.
static int change(struct clearing *clearing, const struct nlmsghdr *message) {
    uint8_t answer[CHANGE_BYTES];
    if (mnl_socket_sendto(clearing->changes, message, message->nlmsg_len) < 0)
        return errno;
    const ssize_t length = mnl_socket_recvfrom(clearing->changes, answer, sizeof answer);
    if (length < 0)
        return errno;
    const uint32_t port = mnl_socket_get_portid(clearing->changes);
    return mnl_cb_run(answer, (size_t)length, message->nlmsg_seq, port, NULL, NULL) < 0 ? errno : 0;
}

static int clear_one(const struct nlmsghdr *listed, void *data) {
    struct clearing *clearing = data;
    const struct nfgenmsg *body = mnl_nlmsg_get_payload(listed);
    const struct nlattr *tuple = NULL, *zone = NULL, *mark = NULL, *attribute;
    mnl_attr_for_each(attribute, listed, sizeof *body) {
        switch (mnl_attr_get_type(attribute)) {
        case CTA_TUPLE_ORIG: tuple = attribute; break;
        case CTA_ZONE: zone = attribute; break;
        case CTA_MARK: mark = attribute; break;
        }
    }
    // A kernel that does not know the filter lists all connections.
    if (!tuple || !mark || mnl_attr_get_payload_len(mark) != sizeof(uint32_t) ||
        !(ntohl(mnl_attr_get_u32(mark)) & clearing->bit))
        return MNL_CB_OK;
    const uint16_t tuple_length = mnl_attr_get_payload_len(tuple);
    if (tuple_length > CHANGE_BYTES / 2)
        return MNL_CB_OK;
    clearing->found++;
    _Alignas(8) uint8_t buffer[CHANGE_BYTES];
    struct nlmsghdr *message =
        put_header(buffer, IPCTNL_MSG_CT_NEW, NLM_F_ACK, body->nfgen_family, ++clearing->sequence);
    mnl_attr_put(message, CTA_TUPLE_ORIG | NLA_F_NESTED, tuple_length, mnl_attr_get_payload(tuple));
    if (zone)
        mnl_attr_put(message, CTA_ZONE, mnl_attr_get_payload_len(zone), mnl_attr_get_payload(zone));
    put_mark(message, 0, clearing->bits);
    const int error = change(clearing, message);
    // A connection that has ended meanwhile has no mark any more.
    if (error != 0 && error != ENOENT) {
        clearing->error = error;
        return MNL_CB_ERROR;
    }
    return MNL_CB_OK;
}

/// One listing of the connections that have the bit; 0 or an errno value.
static int list_once(struct clearing *clearing) {
    struct mnl_socket *socket = open_socket();
    if (!socket)
        return errno;
    _Alignas(8) uint8_t buffer[LISTING_BYTES];
    const uint32_t sequence = (uint32_t)time(NULL);
    struct nlmsghdr *request = put_header(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, sequence);
    put_mark(request, clearing->bit, clearing->bit);
    int more = mnl_socket_sendto(socket, request, request->nlmsg_len) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
    while (more > MNL_CB_STOP) {
        const ssize_t length = mnl_socket_recvfrom(socket, buffer, sizeof buffer);
        more = length < 0 ? MNL_CB_ERROR
                          : mnl_cb_run(buffer, (size_t)length, sequence, mnl_socket_get_portid(socket), clear_one,
                                       clearing);
    }
    const int error = clearing->error != 0 ? clearing->error : more < 0 ? errno : 0;
    mnl_socket_close(socket);
    return error;
}

int64_t prq_clear_connection_marks(uint32_t bits) {
    struct clearing clearing = {.bits = bits, .changes = open_socket()};
    if (!clearing.changes)
        return -errno;
    int64_t cleared = 0;
    int error = 0;
    for (uint32_t rest = bits; rest != 0 && error == 0; rest &= rest - 1) {
        clearing.bit = rest & -rest;
        int listings = 0;
        do {
            clearing.found = 0;
            error = ++listings > MOST_LISTINGS ? EAGAIN : list_once(&clearing);
            cleared += clearing.found;
        } while (error == 0 && clearing.found > 0);
    }
    mnl_socket_close(clearing.changes);
    return error != 0 ? -error : cleared;
}
