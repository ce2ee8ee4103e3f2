// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@testable import AgentRuntime

@Suite("A queue without packets is worth a word")
struct QueueFeedingTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    /// Connections of this host with one peer after another, last heard of after the start.
    private func connections(with peers: Int, seen: Instant.Span = .seconds(70)) -> [Connection] {
        (0..<peers).compactMap { number in
            let packet = PacketBuilder.ipv4(from: IPAddress(v4: 0xc612_0000 + UInt32(number)), to: "198.19.0.1")
            guard let keyed = ConnectionKey.make(packet.tcp(40_000, 22, [.syn]).headers) else { return nil }
            return Connection(key: keyed.key, opener: keyed.sender, openingDirection: .incoming, at: start + seen)
        }
    }

    private func complaint(of idle: [UInt16], queues: Int, _ connections: [Connection]) -> String? {
        var feeding = QueueFeeding(queues: queues)
        feeding.note(connections, since: start)
        return feeding.complaint(idle: idle)
    }

    @Test("if no queue got any, whatever else is known")
    func none() throws {
        let text = try #require(complaint(of: [0, 1, 2, 3], queues: 4, []))
        #expect(text.hasPrefix("no packet has come to queues 0-3 since the start: no rule feeds them"))
        #expect(complaint(of: [7], queues: 1, [])?.contains("to queue 7 since the start: no rule feeds it;") == true)
    }

    @Test("if so many address pairs came to the others that the kernel's hash cannot be the cause")
    func misses() throws {
        let text = try #require(complaint(of: [1, 2, 3], queues: 4, connections(with: 64)))
        #expect(text.hasPrefix("no packet has come to queues 1-3 since the start, though those of 64 address pairs"))
        #expect(complaint(of: [1, 3], queues: 4, connections(with: 64))?.contains("queues 1, 3 since") == true)
    }

    @Test("but not on a quiet host: few pairs, or the same one again and again")
    func quiet() {
        #expect(complaint(of: [1, 2, 3], queues: 4, connections(with: 63)) == nil)
        #expect(complaint(of: [1], queues: 2, Array(repeating: connections(with: 1)[0], count: 10_000)) == nil)
    }

    @Test("nor by connections of the run before that said nothing since")
    func restored() {
        #expect(complaint(of: [1, 2, 3], queues: 4, connections(with: 1_000, seen: .seconds(-1))) == nil)
    }

    @Test("and never if all are fed")
    func fed() { #expect(complaint(of: [], queues: 4, connections(with: 1_000)) == nil) }
}
