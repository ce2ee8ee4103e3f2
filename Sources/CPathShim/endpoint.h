// SPDX-License-Identifier: GPL-3.0-or-later

#ifndef CPATHSHIM_ENDPOINT_H
#define CPATHSHIM_ENDPOINT_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "cpathshim.h"

union path_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/// Returns the length of the address.
socklen_t path_encode(const struct path_endpoint *endpoint, union path_address *address);
void path_decode(const union path_address *address, struct path_endpoint *endpoint);
void path_decode_v4(struct in_addr address, struct path_endpoint *endpoint);
void path_decode_v6(const struct in6_addr *address, struct path_endpoint *endpoint);

#endif
