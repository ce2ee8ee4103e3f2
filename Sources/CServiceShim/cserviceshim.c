// SPDX-License-Identifier: GPL-3.0-or-later

#define _GNU_SOURCE

#include "cserviceshim.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/// Fills in the address; returns its length, or 0 for one that is none.
static socklen_t make_address(const char *text, struct sockaddr_un *address) {
    const size_t length = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || length < 2 || length >= sizeof address->sun_path)
        return 0;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, text, length);
    const socklen_t used = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (text[0] != '@')
        return used + 1;
    address->sun_path[0] = 0;
    return used;
}

int cservice_send(const char *address, const uint8_t *message, size_t length, const int *descriptors, size_t count) {
    struct sockaddr_un to;
    const socklen_t to_length = make_address(address, &to);
    if (to_length == 0 || count > CSERVICE_DESCRIPTORS)
        return EINVAL;
    struct iovec part = {.iov_base = (void *)message, .iov_len = length};
    struct msghdr header = {.msg_name = &to, .msg_namelen = to_length, .msg_iov = &part, .msg_iovlen = 1};
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int) * CSERVICE_DESCRIPTORS)];
    if (count > 0) {
        memset(control, 0, sizeof control);
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
    }
    const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return errno;
    ssize_t sent;
    do {
        sent = sendmsg(descriptor, &header, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    const int error = sent < 0 ? errno : 0;
    close(descriptor);
    return error;
}

int cservice_await_attention(const char *address, int milliseconds) {
    static const char barrier[] = "BARRIER=1";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    int error = cservice_send(address, (const uint8_t *)barrier, sizeof barrier - 1, &ends[1], 1);
    close(ends[1]);
    if (error == 0) {
        // An end whose other ends are all closed is ready without being asked for anything.
        struct pollfd wanted = {.fd = ends[0]};
        const int ready = poll(&wanted, 1, milliseconds);
        error = ready < 0 ? errno : ready == 0 ? ETIMEDOUT : 0;
    }
    close(ends[0]);
    return error;
}

void cservice_give_memory_back(void) { malloc_trim(0); }
