// SPDX-License-Identifier: GPL-3.0-or-later

// One netlink message of the queue: an input is the message. Whatever lengths it claims, the packet it describes lies
// within it. The copy ends where the message does, so that the address sanitizer sees a read beyond.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cqueueshim.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length) {
    uint8_t *const message = malloc(length ? length : 1);
    memcpy(message, input, length);
    struct prq_packet packet = {0};
    int32_t error = 0;
    if (prq_parse(message, length, &packet, &error) == PRQ_MESSAGE_PACKET && packet.payload_length) {
        if (packet.payload < message || packet.payload + packet.payload_length > message + length)
            abort();
        volatile uint8_t seen = packet.payload[0] ^ packet.payload[packet.payload_length - 1];
        (void)seen;
        if (packet.full_length < packet.payload_length)
            abort();
    }
    free(message);
    return 0;
}
