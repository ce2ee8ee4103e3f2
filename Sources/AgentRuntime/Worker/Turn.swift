// SPDX-License-Identifier: GPL-3.0-or-later

import AgentMetrics
import FastPath
import FirewallEngine
import NetfilterQueue
import PacketWire

/// What one worker's loop carries from turn to turn: packets that are not settled yet, and when upkeep is due.
struct Turn: ~Copyable {
    /// Fragments that wait for their datagram's first one.
    var held = HeldPackets()
    /// The queue that they are of: rules give all fragments to one.
    var holder: OpenQueue?
    /// Verdicts of held packets stand to be sent, perhaps by another queue's socket than the one at hand.
    var hasReleased = false
    /// Packets of this batch about which other workers must be asked.
    private var waiting = InlineArray<32, QueuedPacket?> { _ in nil }
    private var metadata = InlineArray<32, PacketMetadata>(repeating: PacketMetadata())
    var asked = 0
    var latency = LatencyHistogram()
    var fastPathBatch = FastPathBatch()
    /// Answers to what this batch has refused.
    var answers = Answers()
    private var upkeepDue = Instant(nanoseconds: 0)
    private var countingDue = Instant(nanoseconds: 0)

    /// Upkeep is cheap and bounded: a hundred times a second.
    private static let upkeepEvery = Instant.Span.milliseconds(10)

    mutating func isDue(_ now: Instant) -> Bool {
        guard now >= upkeepDue else { return false }
        upkeepDue = now + Turn.upkeepEvery
        return true
    }

    /// Once a second.
    mutating func isCountingDue(_ now: Instant) -> Bool {
        guard now >= countingDue else { return false }
        countingDue = now + .seconds(1)
        return true
    }

    mutating func ask(_ packet: consuming QueuedPacket, _ about: PacketMetadata) {
        waiting[asked] = consume packet
        metadata[asked] = about
        asked += 1
    }

    mutating func takeAsked(_ place: Int) -> QueuedPacket? { waiting[place].take() }

    func metadata(_ place: Int) -> PacketMetadata { metadata[place] }
}
