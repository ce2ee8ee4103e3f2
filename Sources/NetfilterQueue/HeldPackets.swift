// SPDX-License-Identifier: GPL-3.0-or-later

/// Packets that wait for a decision beyond their batch, under the tickets that name them. Rigid: room for
/// `HeldPackets.capacity`, looked through from the front, since it is nearly always empty.
package struct HeldPackets: ~Copyable {
    /// 64 fragments wait per worker, and each packet of a batch can make another one give way.
    package static let capacity = 128

    private var packets = InlineArray<128, QueuedPacket?> { _ in nil }
    private var tickets = InlineArray<128, UInt32>(repeating: 0)
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }

    /// Keeps a packet. Without room the packet gets the failure verdict and the answer is false.
    package mutating func hold(_ packet: consuming QueuedPacket, ticket: UInt32) -> Bool {
        guard count < Self.capacity else { return false }
        tickets[count] = ticket
        packets[count] = consume packet
        count += 1
        return true
    }

    /// Gives back the packet with this ticket, for settlement.
    package mutating func take(ticket: UInt32) -> QueuedPacket? {
        for slot in 0..<count where tickets[slot] == ticket {
            let packet = packets[slot].take()
            count -= 1
            // The last one fills the gap.
            if slot != count {
                packets[slot] = packets[count].take()
                tickets[slot] = tickets[count]
            }
            return packet
        }
        return nil
    }
}
