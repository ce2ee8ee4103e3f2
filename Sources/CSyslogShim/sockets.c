// SPDX-License-Identifier: GPL-3.0-or-later

#include "csyslogshim.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int csyslog_resolve(const char *host, uint16_t port, csyslog_peer *peers, size_t room) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0) return code < 0 ? code : -code;
    size_t count = 0;
    for (struct addrinfo *entry = found; entry != NULL && count < room; entry = entry->ai_next) {
        csyslog_peer *peer = &peers[count];
        memset(peer, 0, sizeof *peer);
        peer->port = port;
        if (entry->ai_family == AF_INET) {
            peer->address[10] = peer->address[11] = 0xff;
            memcpy(peer->address + 12, &((struct sockaddr_in *)entry->ai_addr)->sin_addr, 4);
        } else if (entry->ai_family == AF_INET6) {
            peer->is_v6 = true;
            memcpy(peer->address, &((struct sockaddr_in6 *)entry->ai_addr)->sin6_addr, 16);
        } else {
            continue;
        }
        count += 1;
    }
    freeaddrinfo(found);
    return (int)count;
}

const char *csyslog_resolver_text(int code) { return gai_strerror(code); }

static socklen_t put(const csyslog_peer *peer, struct sockaddr_storage *place) {
    memset(place, 0, sizeof *place);
    if (peer->is_v6) {
        struct sockaddr_in6 *address = (struct sockaddr_in6 *)place;
        address->sin6_family = AF_INET6;
        address->sin6_port = htons(peer->port);
        memcpy(&address->sin6_addr, peer->address, 16);
        return sizeof *address;
    }
    struct sockaddr_in *address = (struct sockaddr_in *)place;
    address->sin_family = AF_INET;
    address->sin_port = htons(peer->port);
    memcpy(&address->sin_addr, peer->address + 12, 4);
    return sizeof *address;
}

static int give_up(int descriptor) {
    int code = errno;
    close(descriptor);
    return -code;
}

int csyslog_open_local(const char *path, bool *is_stream) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    *is_stream = false;
    for (;;) {
        int type = *is_stream ? SOCK_STREAM : SOCK_DGRAM;
        int descriptor = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (descriptor < 0) return -errno;
        // Room for the longest message.
        int size = 256 << 10;
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
        int result = give_up(descriptor);
        if (result != -EPROTOTYPE || *is_stream) return result;
        *is_stream = true;
    }
}

int csyslog_open_datagrams(const csyslog_peer *peer, uint32_t mark) {
    struct sockaddr_storage address;
    socklen_t length = put(peer, &address);
    int descriptor = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -errno;
    setsockopt(descriptor, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    int never = peer->is_v6 ? IPV6_PMTUDISC_DONT : IP_PMTUDISC_DONT;
    setsockopt(descriptor, peer->is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, peer->is_v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
               &never, sizeof never);
    if (connect(descriptor, (struct sockaddr *)&address, length) != 0) return give_up(descriptor);
    return descriptor;
}

int csyslog_open_stream(const csyslog_peer *peer, uint32_t mark) {
    struct sockaddr_storage address;
    socklen_t length = put(peer, &address);
    int descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -errno;
    // Whoever was there and answers no more is given up after half a minute; the kernel's own time is a quarter of an hour.
    int yes = 1, size = 256 << 10, idle = 30, every = 10, probes = 3;
    unsigned patience = 30000;
    setsockopt(descriptor, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    if (connect(descriptor, (struct sockaddr *)&address, length) != 0 && errno != EINPROGRESS) return give_up(descriptor);
    return descriptor;
}

int csyslog_connected(int descriptor) {
    struct pollfd entry = {.fd = descriptor, .events = POLLOUT};
    if (poll(&entry, 1, 0) == 0) return -EINPROGRESS;
    int code = 0;
    socklen_t length = sizeof code;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) != 0) return -errno;
    return -code;
}

ssize_t csyslog_send(int descriptor, const uint8_t *bytes, size_t count) {
    for (;;) {
        ssize_t sent = send(descriptor, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) return sent;
        if (errno != EINTR) return -errno;
    }
}

int csyslog_drain(int descriptor) {
    uint8_t bytes[1024];
    // A receiver has nothing to say: what says more than this is heard next time.
    for (int round = 0; round < 16; round++) {
        ssize_t count = recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count == 0) return -EPIPE;
        if (count > 0 || errno == EINTR) continue;
        return errno == EAGAIN ? 0 : -errno;
    }
    return 0;
}

int64_t csyslog_unacknowledged(int descriptor) {
    int count = 0;
    return ioctl(descriptor, SIOCOUTQ, &count) == 0 ? count : -errno;
}
