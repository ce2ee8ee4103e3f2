// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What one worker counts; plain numbers, read under the worker's lock.
public struct EngineCounters: Sendable {
    /// Packets inspected, and those passed untouched (ignored interfaces, forwarded without inside interfaces).
    public var inspected: UInt64 = 0
    public var untouched: UInt64 = 0
    public var passed: UInt64 = 0
    /// Of those passed: SYNs of which no entry is kept, because their listener is flooded, and what answers or follows them
    /// before this host has said whether they opened a connection.
    public var admittedStateless: UInt64 = 0
    /// Connections that were opened so.
    public var openedByCookies: UInt64 = 0
    /// By `DropReason.rawValue`: packets dropped.
    public var dropped = [UInt64](repeating: 0, count: DropReason.count)
    /// Packets that a reason refused and that passed all the same: tap mode or failure open.
    public var refusedButPassed = [UInt64](repeating: 0, count: DropReason.count)
    /// Dropped packets whose event a setting silences.
    public var silenced = [UInt64](repeating: 0, count: DropReason.count)
    /// Dropped packets whose event found the outbox full: there is only the number.
    public var merged = [UInt64](repeating: 0, count: DropReason.count)
    /// Events of packets that passed, likewise.
    public var mergedOfPassed = [UInt64](repeating: 0, count: DropReason.count)
    /// Notices, which are no drops.
    public var noticed = [UInt64](repeating: 0, count: DropReason.count)
    /// Answers to refused packets by `Reply.rawValue`.
    public var answers = [UInt64](repeating: 0, count: Reply.allCases.count)
    /// Refused packets that were to be answered: more than the budget has, and such as nothing may answer (`Silence`).
    public var answersWithheld: UInt64 = 0
    public var unanswerable: UInt64 = 0
    /// Packets by the hook that delivered them (`Hook.rawValue` 0–4).
    public var hooks = [UInt64](repeating: 0, count: 5)
    /// Fragments seen: tells whether the hook in use shows them.
    public var fragments: UInt64 = 0
    /// Bytes of TCP that no retransmission of them can be compared with, where the policy compares them (`SentBytes`).
    public var bytesNotCompared: UInt64 = 0
    /// Bytes that were copied to compare others with them.
    public var bytesKept: UInt64 = 0

    public init() {}
}

/// Events, and bytes of packets for those that carry them, until the worker hands them on. Rigid: nothing grows.
public struct Outbox: Sendable {
    public private(set) var events: [Event] = []
    public private(set) var bytes: [UInt8] = []

    public static let capacity = 256
    public static let bytesCapacity = 64 * 1024
    /// Most bytes of one packet that an event carries (as in Deep Security: 1,500).
    public static let bytesPerEvent = 1500

    public init() {
        events.reserveCapacity(Outbox.capacity)
        bytes.reserveCapacity(Outbox.bytesCapacity)
    }

    /// The bytes kept with an event of this outbox; empty where there are none.
    public func bytes(of event: Event) -> ArraySlice<UInt8> {
        guard event.packetData >= 0 else { return [] }
        return bytes[Int(event.packetData)..<Int(event.packetData) + Int(event.packetDataCount)]
    }

    public mutating func removeAll() {
        events.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// False when full.
    mutating func append(_ event: Event) -> Bool {
        guard events.count < Outbox.capacity else { return false }
        events.append(event)
        return true
    }

    /// Keeps the first bytes of a packet; where, and how many.
    mutating func keep(_ packet: RawSpan) -> (offset: Int32, count: UInt16) {
        let count = min(packet.byteCount, Outbox.bytesPerEvent)
        guard bytes.count + count <= Outbox.bytesCapacity else { return (-1, 0) }
        let offset = bytes.count
        for i in 0..<count { bytes.append(packet.byte(at: i)) }
        return (Int32(offset), UInt16(count))
    }
}
