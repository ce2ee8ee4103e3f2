// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the program in the kernel and the agent have in common: the layouts of the maps. Both sides are built from this file.
//
// The hash of flows holds no more than where a flow's state lies and which use of that place is meant. The state itself lies in one
// array that the agent maps into its memory: both sides change it in place, and nothing that one writes is undone by the other.
// Each bound of a flow only grows, by compare and swap, and each is written by the packets of one side only.

#ifndef FASTPATH_LAYOUT_H
#define FASTPATH_LAYOUT_H

#include <stdint.h>

/// The endpoints of an IPv4 flow as they stand in the packet; the low one has the lower address, or the lower port at equal
/// addresses, by their values. The identifier of an echo stands for both ports.
struct fastpath_key4 {
    uint32_t low_address, high_address;
    uint16_t low_port, high_port;
    uint32_t protocol;
};

/// The same of IPv6.
struct fastpath_key6 {
    uint32_t low_address[4], high_address[4];
    uint16_t low_port, high_port;
    uint32_t protocol;
};

/// What a flow's key leads to. A place that is used again has another generation.
struct fastpath_reference {
    uint32_t place;
    uint32_t generation;
};

/// What the packets of one side move, and what they are held against. Sequence numbers in host order.
struct fastpath_side {
    /// After the highest byte that this side was seen to send.
    uint32_t end;
    /// The highest acknowledgement plus window that this side has sent: what the other side may send up to.
    uint32_t edge;
    /// The largest window that this side has offered, in bytes.
    uint32_t window;
    /// The highest acknowledgement that this side has sent.
    uint32_t acknowledged;
    /// Where `is_young` says so, the number of its SYN: nothing lies before that.
    uint32_t start;
    /// Where `has_timestamp` says so, its latest time stamp value.
    uint32_t timestamp;
    /// Where `has_gap` says so, a number before which something was not seen.
    uint32_t gap;
    /// The interface by which its packets come; 0 for those that this host sends.
    uint32_t interface;
    /// Only packets of a side that is open may pass.
    uint8_t is_open;
    uint8_t is_young;
    uint8_t has_timestamp;
    uint8_t has_gap;
    /// The shift of the windows that it offers.
    uint8_t scale;
    /// Of an exchange of echoes: the type of the messages that this side sends.
    uint8_t message;
    /// The windows were learnt in mid-stream: what lies far from all that was seen is for the engine.
    uint8_t is_learnt;
    /// Nothing is known of it that its packets could be held against: a Bypass rule lets them by.
    uint8_t is_bypassed;
    /// What has passed here; bytes from the IP header on, as the queue counts them.
    uint64_t packets;
    uint64_t bytes;
};

/// The state of one flow.
struct fastpath_flow {
    /// 0 is the side of the key's low endpoint.
    struct fastpath_side side[2];
    /// When the last packet passed, by the coarse monotonic clock, in nanoseconds.
    uint64_t last_passed;
    /// Of the place's present use; 0 for one that nothing uses.
    uint32_t generation;
    /// What the owner's cell has to say for packets to pass.
    uint32_t epoch;
    /// Whose cell that is.
    uint32_t owner;
    uint32_t unused[3];
};

/// What holds for all flows of one worker.
struct fastpath_cell {
    /// After this time, by the coarse monotonic clock, nothing passes.
    uint64_t lease_end;
    /// The worker's generation of policy, schedules and interfaces.
    uint32_t epoch;
    /// How far a time stamp may lie behind the latest one, in ticks of a millisecond.
    uint32_t timestamp_window;
    uint64_t unused[6];
};

/// A listener of this host; IPv4 addresses in mapped form. Everything as it stands in the packet, but the version.
struct fastpath_listener_key {
    uint32_t address[4];
    uint16_t port;
    uint16_t version;
};

/// What holds for openings to a listener. Written once, by the agent; then only the program changes it.
struct fastpath_listener {
    /// What the cell of listeners has to say for them to pass.
    uint32_t epoch;
    uint32_t unused;
    /// SYNs that passed.
    uint64_t passed;
};

enum {
    /// Counted up with every change of this file that an agent or a program of before would misread.
    FASTPATH_LAYOUT = 3,
    /// The most workers, one cell each.
    FASTPATH_OWNERS = 64,
    /// The cell after theirs holds for listeners.
    FASTPATH_CELL_OF_LISTENERS = FASTPATH_OWNERS,
    FASTPATH_CELLS = FASTPATH_OWNERS + 1,
    FASTPATH_LISTENERS = 256,
    /// The places in the array of programs.
    FASTPATH_PROGRAM4 = 0,
    FASTPATH_PROGRAM6 = 1,
    FASTPATH_PROGRAMS = 2,
    /// The least by which a segment may lie behind the highest one: a small window says little about how long a path delays
    /// what it has doubled.
    FASTPATH_LEAST_REACH = 66000,
    /// Bytes after which the sequence numbers before a SYN begin to mean later ones.
    FASTPATH_YOUTH = 1 << 30,
    /// The most that a learnt window is trusted with.
    FASTPATH_LEARNT_DISTANCE = 1 << 24,
    /// No segment is this long.
    FASTPATH_LONGEST_SEGMENT = 1 << 24,
};

/// Why a packet goes on to the queue; `FASTPATH_PASSED` and `FASTPATH_OPENING` for one that does not. The program counts by these.
enum fastpath_outcome {
    FASTPATH_PASSED,
    /// Neither TCP, nor UDP with data, nor an ICMPv4 echo, over IP without options; or a length that is not the packet's.
    FASTPATH_OTHER_PROTOCOL,
    FASTPATH_FRAGMENT,
    /// Not ACK alone or with PSH.
    FASTPATH_FLAGS,
    FASTPATH_UNKNOWN_FLOW,
    FASTPATH_EPOCH,
    FASTPATH_LEASE,
    /// The agent has not opened this side, or not for such a message.
    FASTPATH_SIDE,
    FASTPATH_INTERFACE,
    /// TCP options other than time stamps and selective acknowledgements as every stack lays them out.
    FASTPATH_OPTIONS,
    /// Outside the windows.
    FASTPATH_SEQUENCE,
    FASTPATH_ACKNOWLEDGEMENT,
    /// A time stamp that a posture row has to judge.
    FASTPATH_TIMESTAMP,
    /// Too many processors at the same bound at once.
    FASTPATH_CONTENTION,
    /// It passed: a SYN to a listener that answers by cookies, and is open to everybody, or its SYN+ACK.
    FASTPATH_OPENING,
    FASTPATH_OUTCOMES,
};

/// What each processor has for itself.
struct fastpath_processor {
    /// How often it came to each outcome.
    uint64_t counts[FASTPATH_OUTCOMES];
    /// The coarse monotonic clock, in nanoseconds, as it stood when the kernel's count of ticks was this one: it moves with that, and the
    /// count is had for a tenth of what the clock costs.
    uint64_t now;
    uint64_t tick;
};

#endif
