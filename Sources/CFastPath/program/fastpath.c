// SPDX-License-Identifier: GPL-3.0-or-later
//
// The fast path: says of a packet whether the agent's tracker would pass it without a change of anything but the bounds that are
// kept here, or is an opening to a flooded listener, of which no entry would be kept. It stands in a rule before the queue's; what
// it says no to goes on to the queue, so that every drop, and every reason for one, is the agent's.
//
// What the rule names is a stub: it goes on with the program that stands in an array. The agent alone holds that array, and the kernel
// empties it when nobody does: whatever ends the agent closes the fast path at once.
//
// xt_bpf calls it with the packet from its IP header on. It reads no more than headers. A segment whose checksum is wrong may
// pass: its receiver drops it.

#include "kernel.h"

struct map_definition flows4 SECTION("maps") = {
    MAP_HASH, sizeof(struct fastpath_key4), sizeof(struct fastpath_reference), 1, 0};
struct map_definition flows6 SECTION("maps") = {
    MAP_HASH, sizeof(struct fastpath_key6), sizeof(struct fastpath_reference), 1, 0};
struct map_definition places SECTION("maps") = {
    MAP_ARRAY, sizeof(uint32_t), sizeof(struct fastpath_flow), 1, MAP_IS_MAPPABLE};
struct map_definition cells SECTION("maps") = {
    MAP_ARRAY, sizeof(uint32_t), sizeof(struct fastpath_cell), FASTPATH_CELLS, MAP_IS_MAPPABLE};
struct map_definition listeners SECTION("maps") = {
    MAP_HASH, sizeof(struct fastpath_listener_key), sizeof(struct fastpath_listener), FASTPATH_LISTENERS, 0};
struct map_definition outcomes SECTION("maps") = {
    MAP_PER_CPU_ARRAY, sizeof(uint32_t), sizeof(struct fastpath_processor), 1, 0};
struct map_definition programs SECTION("maps") = {
    MAP_OF_PROGRAMS, sizeof(uint32_t), sizeof(uint32_t), FASTPATH_PROGRAMS, 0};

enum { PASSES = 1, GOES_ON = 0 };
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };
enum { ECHO_REPLY = 0, ECHO_REQUEST = 8 };
enum { FLAG_SYN = 2, FLAG_PSH = 8, FLAG_ACK = 16 };
/// The first of a namespace is its loopback interface.
enum { LOOPBACK = 1 };

struct tcp_header {
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledgement;
    uint8_t offset, flags;
    uint16_t window, checksum, urgent;
};

struct udp_header {
    uint16_t source_port, destination_port, length, checksum;
};

/// Of a query (RFC 792).
struct icmp_header {
    uint8_t type, code;
    uint16_t checksum, identifier, sequence;
};

/// What follows the IP header. The ports are in the same place in both that have them.
union transport_header {
    struct tcp_header tcp;
    struct udp_header udp;
    struct icmp_header icmp;
};

ALWAYS_INLINE struct fastpath_processor *own_processor(void) {
    const uint32_t first = 0;
    return map_lookup(&outcomes, &first);
}

/// Read first is what is written last: where one run of the program comes in between another's, the clock is asked once more.
ALWAYS_INLINE uint64_t clock_of(struct fastpath_processor *own) {
    volatile struct fastpath_processor *const known = own;
    const uint64_t tick = ticks();
    if (known->tick != tick) {
        known->now = coarse_clock();
        known->tick = tick;
    }
    return known->now;
}

ALWAYS_INLINE int conclude(struct fastpath_processor *own, uint32_t outcome) {
    if (outcome < FASTPATH_OUTCOMES)
        ++own->counts[outcome];
    return outcome == FASTPATH_PASSED || outcome == FASTPATH_OPENING ? PASSES : GOES_ON;
}

ALWAYS_INLINE int is_after(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }
ALWAYS_INLINE uint32_t now_of(const uint32_t *bound) { return *(const volatile uint32_t *)bound; }

/// Moves a sequence number up; false where others do so all the time.
ALWAYS_INLINE int raise(uint32_t *bound, uint32_t to) {
    uint32_t old = now_of(bound);
#pragma unroll
    for (int tries = 0; tries < 8; tries++) {
        if (!is_after(to, old))
            return 1;
        const uint32_t seen = __sync_val_compare_and_swap(bound, old, to);
        if (seen == old)
            return 1;
        old = seen;
    }
    return 0;
}

/// The same of a size.
ALWAYS_INLINE int raise_size(uint32_t *bound, uint32_t to) {
    uint32_t old = now_of(bound);
#pragma unroll
    for (int tries = 0; tries < 8; tries++) {
        if (to <= old)
            return 1;
        const uint32_t seen = __sync_val_compare_and_swap(bound, old, to);
        if (seen == old)
            return 1;
        old = seen;
    }
    return 0;
}

/// As TCPEndpoint.reach: how far behind the highest byte a segment may lie, for a receiver with this window.
ALWAYS_INLINE uint32_t reach(uint32_t window) {
    const uint32_t half = window > 1u << 29 ? 1u << 29 : window;
    return half * 2 < FASTPATH_LEAST_REACH ? FASTPATH_LEAST_REACH : half * 2;
}

/// As TCPEndpoint.lowest(within:).
ALWAYS_INLINE uint32_t lowest(const struct fastpath_side *side, uint32_t end, uint32_t reach) {
    const uint32_t low = end - reach;
    return side->is_young && is_after(side->start, low) ? side->start : low;
}

/// As TCPTracker.isFarFetched, for one number: whether it lies further from `end` than half of a reach.
ALWAYS_INLINE int is_far(uint32_t number, uint32_t end, uint32_t reach) {
    const uint32_t half = reach / 2, distance = half < FASTPATH_LEARNT_DISTANCE ? half : FASTPATH_LEARNT_DISTANCE;
    return number - (end - distance) >= 2 * distance;
}

/// The time stamp of a segment that begins its options with one, and the selective acknowledgements behind it.
struct options {
    uint32_t timestamp;
    int has_timestamp;
    /// The highest byte acknowledged selectively; valid where there are blocks.
    uint32_t sack_highest;
    int block_count;
};

/// False for what is laid out in any other way than by two NOPs before each option.
ALWAYS_INLINE int read_options(struct __sk_buff *packet, uint32_t at, uint32_t length, struct options *options) {
    struct {
        uint32_t kind, value, echo;
    } stamp = {0};
    if (length >= 12) {
        if (load_bytes(packet, at, &stamp, sizeof stamp))
            return 0;
        if (stamp.kind == IN_NETWORK_ORDER32(0x0101080a)) {
            options->timestamp = IN_NETWORK_ORDER32(stamp.value);
            options->has_timestamp = 1;
            at += 12;
            length -= 12;
        }
    }
    if (length == 0)
        return 1;
    struct {
        uint8_t first, second, kind, length;
        uint32_t edge[8];
    } sack = {0};
    if (length == 12) {
        if (load_bytes(packet, at, &sack, 12))
            return 0;
    } else if (length == 20) {
        if (load_bytes(packet, at, &sack, 20))
            return 0;
    } else if (length == 28) {
        if (load_bytes(packet, at, &sack, 28))
            return 0;
    } else if (length == 36) {
        if (load_bytes(packet, at, &sack, 36))
            return 0;
    } else {
        return 0;
    }
    if (sack.first != 1 || sack.second != 1 || sack.kind != 5 || sack.length + 2u != length)
        return 0;
    options->block_count = 1;
    options->sack_highest = IN_NETWORK_ORDER32(sack.edge[1]);
#pragma unroll
    for (int block = 1; block < 4; block++) {
        const uint32_t right = IN_NETWORK_ORDER32(sack.edge[2 * block + 1]);
        if (length >= 12u + 8u * block && is_after(right, options->sack_highest))
            options->sack_highest = right;
    }
    return 1;
}

/// The tests of the tracker on one segment, and what it teaches. `at` is where the TCP header begins.
ALWAYS_INLINE uint32_t judge_segment(
    struct __sk_buff *packet, struct fastpath_side *side, struct fastpath_side *other, const struct fastpath_cell *cell,
    const struct tcp_header *header, uint32_t at
) {
    const uint32_t header_length = (header->offset >> 4) * 4;
    if (header_length < 20 || at + header_length > packet->len)
        return FASTPATH_OTHER_PROTOCOL;
    struct options options = {0};
    if (header_length > 20 && !read_options(packet, at + 20, header_length - 20, &options))
        return FASTPATH_OPTIONS;
    if (side->is_bypassed)
        return FASTPATH_PASSED;
    const uint32_t length = packet->len - at - header_length;
    const uint32_t sequence = IN_NETWORK_ORDER32(header->sequence);
    const uint32_t acknowledgement = IN_NETWORK_ORDER32(header->acknowledgement);
    const uint32_t end = sequence + length;
    const uint32_t own_end = now_of(&side->end), other_end = now_of(&other->end);
    if (length > FASTPATH_LONGEST_SEGMENT || is_after(end, now_of(&other->edge)) ||
        is_after(lowest(side, own_end, reach(now_of(&other->window))), end))
        return FASTPATH_SEQUENCE;
    if (is_after(acknowledgement, other_end) ||
        is_after(lowest(other, other_end, reach(now_of(&side->window))), acknowledgement))
        return FASTPATH_ACKNOWLEDGEMENT;
    // Nor is an empty segment ahead of what was seen, which tells the tracker of more.
    if (side->is_learnt && ((length == 0 && is_after(sequence, own_end)) ||
                            is_far(sequence, own_end, reach(now_of(&other->window))) ||
                            is_far(acknowledgement, other_end, reach(now_of(&side->window)))))
        return FASTPATH_SEQUENCE;
    if (options.block_count > 0 && is_after(options.sack_highest, other_end))
        return FASTPATH_ACKNOWLEDGEMENT;
    const uint32_t timestamp = now_of(&side->timestamp);
    const int is_stamped = side->has_timestamp;
    if (options.has_timestamp && is_stamped) {
        const int32_t lead = (int32_t)(timestamp - options.timestamp);
        if (options.timestamp == 0 || lead > (int32_t)cell->timestamp_window)
            return FASTPATH_TIMESTAMP;
    }
    // What a packet teaches is there before it can reach its receiver, and so before the answer to it. The order does not matter,
    // nor does it if the queue decides after some of it: each bound is one that the tracker would have set.
    if (length > 0 && is_after(sequence, own_end)) {
        if (!side->has_gap)
            side->gap = sequence;
        side->has_gap = 1;
        if (!raise(&side->gap, sequence))
            return FASTPATH_CONTENTION;
    }
    const uint32_t window = (uint32_t)IN_NETWORK_ORDER16(header->window) << (side->scale & 15);
    if ((length > 0 && !raise(&side->end, end)) || !raise(&side->edge, acknowledgement + window) ||
        !raise(&side->acknowledged, acknowledgement) || !raise_size(&side->window, window))
        return FASTPATH_CONTENTION;
    if (side->is_young && length > 0 && is_after(end, own_end) && end - side->start > FASTPATH_YOUTH)
        side->is_young = 0;
    if (options.has_timestamp && (!is_stamped || is_after(options.timestamp, timestamp))) {
        if (!is_stamped)
            side->timestamp = options.timestamp;
        side->has_timestamp = 1;
        if (!raise(&side->timestamp, options.timestamp))
            return FASTPATH_CONTENTION;
    }
    return FASTPATH_PASSED;
}

/// By what is known of the flow. A datagram, for which both headers are null, has nothing else to be held against.
ALWAYS_INLINE uint32_t judge(
    struct fastpath_processor *own, struct __sk_buff *packet, const struct fastpath_reference *reference, uint32_t from,
    const struct tcp_header *segment, const struct icmp_header *echo, uint32_t at
) {
    const uint32_t place = reference->place;
    struct fastpath_flow *const flow = map_lookup(&places, &place);
    if (!flow || now_of(&flow->generation) != reference->generation)
        return FASTPATH_UNKNOWN_FLOW;
    const uint32_t owner = flow->owner;
    const struct fastpath_cell *const cell = map_lookup(&cells, &owner);
    if (!cell)
        return FASTPATH_UNKNOWN_FLOW;
    if (now_of(&cell->epoch) != now_of(&flow->epoch))
        return FASTPATH_EPOCH;
    const uint64_t now = clock_of(own);
    if (now > *(const volatile uint64_t *)&cell->lease_end)
        return FASTPATH_LEASE;
    struct fastpath_side *const side = from ? &flow->side[1] : &flow->side[0];
    struct fastpath_side *const other = from ? &flow->side[0] : &flow->side[1];
    if (!*(const volatile uint8_t *)&side->is_open)
        return FASTPATH_SIDE;
    if (side->interface != packet->ingress_ifindex)
        return FASTPATH_INTERFACE;
    if (echo && side->message != echo->type)
        return FASTPATH_SIDE;
    const uint32_t outcome = segment ? judge_segment(packet, side, other, cell, segment, at) : FASTPATH_PASSED;
    if (outcome != FASTPATH_PASSED)
        return outcome;
    __sync_fetch_and_add(&side->packets, 1);
    __sync_fetch_and_add(&side->bytes, packet->len);
    // A reply renews nothing: an exchange lasts as long as somebody asks.
    if (flow->last_passed != now && !(echo && echo->type == ECHO_REPLY))
        flow->last_passed = now;
    return FASTPATH_PASSED;
}

/// SYN alone, or with ACK, and none of the bits that were added later.
ALWAYS_INLINE int is_opening(const struct tcp_header *header) {
    return (header->flags & ~FLAG_ACK) == FLAG_SYN && !(header->offset & 15);
}

/// Whether openings to a listener pass, or what this host answers them: it is flooded, and the policy admits them from any source.
/// `at` is where the TCP header begins; `is_from_host` tells whether this host sends the packet.
ALWAYS_INLINE uint32_t judge_opening(
    struct fastpath_processor *own, struct __sk_buff *packet, const struct fastpath_listener_key *key,
    const struct tcp_header *header, uint32_t at, int is_from_host
) {
    const uint32_t place = FASTPATH_CELL_OF_LISTENERS;
    const struct fastpath_cell *const cell = map_lookup(&cells, &place);
    if (!cell || clock_of(own) > *(const volatile uint64_t *)&cell->lease_end)
        return FASTPATH_FLAGS;
    struct fastpath_listener *const listener = map_lookup(&listeners, key);
    if (!listener || listener->epoch != now_of(&cell->epoch))
        return FASTPATH_FLAGS;
    // Data in a SYN are for the engine.
    if (at + (header->offset >> 4) * 4 != packet->len)
        return FASTPATH_FLAGS;
    if (!is_from_host)
        __sync_fetch_and_add(&listener->passed, 1);
    return FASTPATH_OPENING;
}

/// Whether a SYN comes from outside and has no ACK, or this host sends a SYN+ACK.
ALWAYS_INLINE int is_way_of_opening(const struct __sk_buff *packet, const struct tcp_header *header, int *is_from_host) {
    *is_from_host = packet->ingress_ifindex == 0;
    if (*is_from_host)
        return header->flags == (FLAG_SYN | FLAG_ACK);
    return header->flags == FLAG_SYN && packet->ingress_ifindex != LOOPBACK;
}

/// Whether no setting of stage V can have anything against a source: unicast, and of no special use.
ALWAYS_INLINE int is_common4(uint32_t address) {
    const uint32_t value = IN_NETWORK_ORDER32(address), first = value >> 24;
    return first >= 1 && first <= 223 && first != 127 && value >> 16 != 0xa9fe;
}

/// The same of IPv6: global or unique local, and neither documentation, 6to4, nor of the first ranges of 2001::/16.
ALWAYS_INLINE int is_common6(const uint32_t *address) {
    const uint32_t value = IN_NETWORK_ORDER32(address[0]), first = value >> 16;
    if (first >> 9 == 0xfc >> 1)
        return 1;
    return first == 0x2001 ? value >= 0x20010200 && value != 0x20010db8 : first >= 0x2003 && first < 0x3ffe;
}

/// ACK, with PSH or without, and none of the bits that were added later.
ALWAYS_INLINE int is_plain(const struct tcp_header *header) {
    return (header->flags & ~FLAG_PSH) == FLAG_ACK && !(header->offset & 15);
}

/// Whether it says the length of its packet, and has data: one without is for a check of the agent's.
ALWAYS_INLINE int is_whole(const struct udp_header *header, uint32_t length) {
    return IN_NETWORK_ORDER16(header->length) == length && length > sizeof *header;
}

/// A request or a reply, as every program sends them.
ALWAYS_INLINE int is_echo(const struct icmp_header *header) {
    return (header->type == ECHO_REQUEST || header->type == ECHO_REPLY) && header->code == 0;
}

SECTION("socket/judge4") int judge4(struct __sk_buff *packet) {
    struct fastpath_processor *const own = own_processor();
    if (!own)
        return GOES_ON;
    struct {
        uint8_t version_and_length, service;
        uint16_t total_length, identification, fragment;
        uint8_t hops, protocol;
        uint16_t checksum;
        uint32_t source, destination;
        union transport_header transport;
    } header = {0};
    // A datagram may be shorter than the header of a segment.
    if ((load_bytes(packet, 0, &header, sizeof header) && load_bytes(packet, 0, &header, 20 + sizeof(struct udp_header))) ||
        header.version_and_length != 0x45 || IN_NETWORK_ORDER16(header.total_length) != packet->len)
        return conclude(own, FASTPATH_OTHER_PROTOCOL);
    // All but "don't fragment".
    if (header.fragment & IN_NETWORK_ORDER16(0xbfff))
        return conclude(own, FASTPATH_FRAGMENT);
    const int is_segment = header.protocol == PROTOCOL_TCP, is_message = header.protocol == PROTOCOL_ICMP;
    if (!is_segment && !(is_message && is_echo(&header.transport.icmp)) &&
        (header.protocol != PROTOCOL_UDP || !is_whole(&header.transport.udp, packet->len - 20)))
        return conclude(own, FASTPATH_OTHER_PROTOCOL);
    if (is_segment && is_opening(&header.transport.tcp)) {
        int is_from_host = 0;
        if (!is_way_of_opening(packet, &header.transport.tcp, &is_from_host) || !is_common4(header.source) ||
            !is_common4(header.destination) || header.source == header.destination)
            return conclude(own, FASTPATH_FLAGS);
        struct fastpath_listener_key key = {{0, 0, IN_NETWORK_ORDER32(0xffff), 0}, 0, 4};
        key.address[3] = is_from_host ? header.source : header.destination;
        key.port = is_from_host ? header.transport.tcp.source_port : header.transport.tcp.destination_port;
        return conclude(own, judge_opening(own, packet, &key, &header.transport.tcp, 20, is_from_host));
    }
    if (is_segment && !is_plain(&header.transport.tcp))
        return conclude(own, FASTPATH_FLAGS);
    // An identifier stands for both ports.
    const uint16_t source_port = is_message ? header.transport.icmp.identifier : header.transport.udp.source_port;
    const uint16_t destination_port = is_message ? source_port : header.transport.udp.destination_port;
    const uint64_t source = (uint64_t)IN_NETWORK_ORDER32(header.source) << 16 | IN_NETWORK_ORDER16(source_port);
    const uint64_t destination =
        (uint64_t)IN_NETWORK_ORDER32(header.destination) << 16 | IN_NETWORK_ORDER16(destination_port);
    const uint32_t from = source > destination;
    struct fastpath_key4 key = {0};
    key.low_address = from ? header.destination : header.source;
    key.high_address = from ? header.source : header.destination;
    key.low_port = from ? destination_port : source_port;
    key.high_port = from ? source_port : destination_port;
    key.protocol = header.protocol;
    const struct fastpath_reference *const reference = map_lookup(&flows4, &key);
    if (!reference)
        return conclude(own, FASTPATH_UNKNOWN_FLOW);
    const struct tcp_header *const segment = is_segment ? &header.transport.tcp : 0;
    const struct icmp_header *const message = is_message ? &header.transport.icmp : 0;
    return conclude(own, judge(own, packet, reference, from, segment, message, 20));
}

/// Whether the first address, or the first port where both addresses are the same, is the higher one.
ALWAYS_INLINE uint32_t is_higher(const uint32_t *a, const uint32_t *b, uint16_t port_of_a, uint16_t port_of_b) {
#pragma unroll
    for (int word = 0; word < 4; word++) {
        if (a[word] != b[word])
            return IN_NETWORK_ORDER32(a[word]) > IN_NETWORK_ORDER32(b[word]);
    }
    return IN_NETWORK_ORDER16(port_of_a) > IN_NETWORK_ORDER16(port_of_b);
}

SECTION("socket/judge6") int judge6(struct __sk_buff *packet) {
    struct fastpath_processor *const own = own_processor();
    if (!own)
        return GOES_ON;
    struct {
        uint32_t version;
        uint16_t payload_length;
        uint8_t next, hops;
        uint32_t source[4], destination[4];
        union transport_header transport;
    } header = {0};
    if ((load_bytes(packet, 0, &header, sizeof header) && load_bytes(packet, 0, &header, 40 + sizeof(struct udp_header))) ||
        (header.version & IN_NETWORK_ORDER32(0xf0000000)) != IN_NETWORK_ORDER32(0x60000000) ||
        IN_NETWORK_ORDER16(header.payload_length) + 40u != packet->len)
        return conclude(own, FASTPATH_OTHER_PROTOCOL);
    const int is_segment = header.next == PROTOCOL_TCP;
    if (!is_segment && (header.next != PROTOCOL_UDP || !is_whole(&header.transport.udp, packet->len - 40)))
        return conclude(own, FASTPATH_OTHER_PROTOCOL);
    if (is_segment && is_opening(&header.transport.tcp)) {
        int is_from_host = 0;
        if (!is_way_of_opening(packet, &header.transport.tcp, &is_from_host) || !is_common6(header.source) ||
            !is_common6(header.destination))
            return conclude(own, FASTPATH_FLAGS);
        struct fastpath_listener_key key = {{0}, 0, 6};
        uint32_t differences = 0;
#pragma unroll
        for (int word = 0; word < 4; word++) {
            key.address[word] = is_from_host ? header.source[word] : header.destination[word];
            differences |= header.source[word] ^ header.destination[word];
        }
        if (!differences)
            return conclude(own, FASTPATH_FLAGS);
        key.port = is_from_host ? header.transport.tcp.source_port : header.transport.tcp.destination_port;
        return conclude(own, judge_opening(own, packet, &key, &header.transport.tcp, 40, is_from_host));
    }
    if (is_segment && !is_plain(&header.transport.tcp))
        return conclude(own, FASTPATH_FLAGS);
    const uint16_t source_port = header.transport.udp.source_port, destination_port = header.transport.udp.destination_port;
    const uint32_t from = is_higher(header.source, header.destination, source_port, destination_port);
    struct fastpath_key6 key = {0};
    if (from) {
        __builtin_memcpy(key.low_address, header.destination, 16);
        __builtin_memcpy(key.high_address, header.source, 16);
    } else {
        __builtin_memcpy(key.low_address, header.source, 16);
        __builtin_memcpy(key.high_address, header.destination, 16);
    }
    key.low_port = from ? destination_port : source_port;
    key.high_port = from ? source_port : destination_port;
    key.protocol = header.next;
    const struct fastpath_reference *const reference = map_lookup(&flows6, &key);
    if (!reference)
        return conclude(own, FASTPATH_UNKNOWN_FLOW);
    return conclude(own, judge(own, packet, reference, from, is_segment ? &header.transport.tcp : 0, 0, 40));
}

SECTION("socket/fast4") int fast4(struct __sk_buff *packet) {
    tail_call(packet, &programs, FASTPATH_PROGRAM4);
    return GOES_ON;
}

SECTION("socket/fast6") int fast6(struct __sk_buff *packet) {
    tail_call(packet, &programs, FASTPATH_PROGRAM6);
    return GOES_ON;
}

// The kernel asks each program for its licence.
char own_licence[] SECTION("license") = "GPL";
