// SPDX-License-Identifier: GPL-3.0-or-later

#include "endpoint.h"

#include <endian.h>
#include <string.h>

static const uint64_t mapped = UINT64_C(0xffff) << 32;

socklen_t path_encode(const struct path_endpoint *endpoint, union path_address *address) {
    memset(address, 0, sizeof *address);
    if (!endpoint->is_ipv6) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(endpoint->port);
        address->v4.sin_addr.s_addr = htonl((uint32_t)endpoint->low);
        return sizeof address->v4;
    }
    uint64_t halves[2] = {htobe64(endpoint->high), htobe64(endpoint->low)};
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(endpoint->port);
    address->v6.sin6_scope_id = endpoint->scope;
    memcpy(&address->v6.sin6_addr, halves, sizeof halves);
    return sizeof address->v6;
}

void path_decode_v4(struct in_addr address, struct path_endpoint *endpoint) {
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->low = mapped | ntohl(address.s_addr);
}

void path_decode_v6(const struct in6_addr *address, struct path_endpoint *endpoint) {
    uint64_t halves[2];
    memcpy(halves, address, sizeof halves);
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->high = be64toh(halves[0]);
    endpoint->low = be64toh(halves[1]);
    endpoint->is_ipv6 = true;
}

void path_decode(const union path_address *address, struct path_endpoint *endpoint) {
    if (address->any.sa_family == AF_INET6) {
        path_decode_v6(&address->v6.sin6_addr, endpoint);
        endpoint->port = ntohs(address->v6.sin6_port);
        endpoint->scope = address->v6.sin6_scope_id;
    } else {
        path_decode_v4(address->v4.sin_addr, endpoint);
        endpoint->port = ntohs(address->v4.sin_port);
    }
}
