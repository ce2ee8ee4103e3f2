// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "endpoint.h"

static int result(int value) { return value < 0 ? -errno : value; }

static int enable(int socket, int level, int option) {
    int on = 1;
    return result(setsockopt(socket, level, option, &on, sizeof on));
}

int path_socket(bool is_ipv6, bool is_tcp) {
    int type = (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    return result(socket(is_ipv6 ? AF_INET6 : AF_INET, type, 0));
}

int path_prepare_probe(int socket, bool is_ipv6, bool is_tcp) {
    int error = enable(socket, IPPROTO_IP, IP_RECVERR);
    if (is_ipv6) {
        if (error == 0 || error == -ENOPROTOOPT) error = enable(socket, IPPROTO_IPV6, IPV6_RECVERR);
        if (error == 0) error = enable(socket, IPPROTO_IPV6, IPV6_V6ONLY);
    }
    if (error == 0 && is_tcp) error = enable(socket, IPPROTO_TCP, TCP_NODELAY);
    // What the other end does not take is then seen as unsent, and not hidden in a buffer.
    int room = 16 << 10;
    if (error == 0 && is_tcp) error = result(setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof room));
    return error;
}

int path_bind(int socket, const struct path_endpoint *endpoint) {
    union path_address address;
    socklen_t length = path_encode(endpoint, &address);
    return result(bind(socket, &address.any, length));
}

int path_connect(int socket, const struct path_endpoint *endpoint) {
    union path_address address;
    socklen_t length = path_encode(endpoint, &address);
    return result(connect(socket, &address.any, length));
}

int path_local(int socket, struct path_endpoint *endpoint) {
    union path_address address;
    socklen_t length = sizeof address;
    if (getsockname(socket, &address.any, &length) < 0) return -errno;
    path_decode(&address, endpoint);
    return 0;
}

int path_peer(int socket, struct path_endpoint *endpoint) {
    union path_address address;
    socklen_t length = sizeof address;
    if (getpeername(socket, &address.any, &length) < 0) return -errno;
    path_decode(&address, endpoint);
    return 0;
}

static int prepare_listener(int socket, bool is_ipv6, bool is_tcp) {
    int error = is_ipv6 ? enable(socket, IPPROTO_IPV6, IPV6_V6ONLY) : 0;
    // Connections of an earlier lease that wait for their end must not keep its port.
    if (error == 0 && is_tcp) error = enable(socket, SOL_SOCKET, SO_REUSEADDR);
    if (error == 0 && !is_tcp)
        error = is_ipv6 ? enable(socket, IPPROTO_IPV6, IPV6_RECVTCLASS) : enable(socket, IPPROTO_IP, IP_RECVTOS);
    if (error == 0 && !is_tcp)
        error = is_ipv6 ? enable(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO) : enable(socket, IPPROTO_IP, IP_PKTINFO);
    return error;
}

int path_limit_hops(int socket, bool is_ipv6, int hops) {
    int level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    return result(setsockopt(socket, level, is_ipv6 ? IPV6_UNICAST_HOPS : IP_TTL, &hops, sizeof hops));
}

int path_mark(int socket, bool is_ipv6, int traffic_class) {
    int level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    return result(
        setsockopt(socket, level, is_ipv6 ? IPV6_TCLASS : IP_TOS, &traffic_class, sizeof traffic_class));
}

int path_keep_whole(int socket, bool is_ipv6) {
    int mode = is_ipv6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;
    int level = is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    int error = result(setsockopt(socket, level, is_ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &mode, sizeof mode));
    return error == 0 && is_ipv6 ? enable(socket, IPPROTO_IPV6, IPV6_DONTFRAG) : error;
}

int path_listener(const struct path_endpoint *endpoint, bool is_tcp, int backlog) {
    int socket = path_socket(endpoint->is_ipv6, is_tcp);
    if (socket < 0) return socket;
    int error = prepare_listener(socket, endpoint->is_ipv6, is_tcp);
    if (error == 0) error = path_bind(socket, endpoint);
    if (error == 0 && is_tcp) error = result(listen(socket, backlog));
    if (error == 0) return socket;
    close(socket);
    return error;
}

int path_accept(int socket, struct path_endpoint *peer) {
    union path_address address;
    socklen_t length = sizeof address;
    int accepted = accept4(socket, &address.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) return -errno;
    path_decode(&address, peer);
    enable(accepted, IPPROTO_TCP, TCP_NODELAY);
    return accepted;
}

ssize_t path_send(int socket, const void *bytes, size_t count) {
    ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

ssize_t path_receive(int socket, void *bytes, size_t count) {
    ssize_t received = recv(socket, bytes, count, 0);
    return received < 0 ? -errno : received;
}
