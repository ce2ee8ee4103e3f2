// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
package import PacketWire

/// What was tried, by events and captures, in bounded memory: each attempt once, with how often it was made and what came of it. The
/// order in which it is told does not matter, as long as there is room.
package struct SeenTraffic: Sendable {
    /// A packet of which it is not known yet who had opened its exchange.
    package struct Loose: Hashable, Sendable {
        package var direction: Direction
        package var isTCP: Bool
        package var isIPv6: Bool
        package var source: IPAddress
        package var sourcePort: UInt16
        package var destination: IPAddress
        package var destinationPort: UInt16
        package var interface: String?

        package init(
            _ direction: Direction, isTCP: Bool, isIPv6: Bool, from source: (IPAddress, UInt16),
            to destination: (IPAddress, UInt16), interface: String? = nil
        ) {
            self.direction = direction
            self.isTCP = isTCP
            self.isIPv6 = isIPv6
            (self.source, sourcePort) = source
            (self.destination, destinationPort) = destination
            self.interface = interface
        }

        /// If its sender had opened it.
        var asOpener: Attempt {
            Attempt(
                direction, isTCP ? .tcp(destinationPort) : .udp(destinationPort), from: source, to: destination,
                isIPv6: isIPv6, interface: interface)
        }

        /// If its receiver had.
        var asAnswer: Attempt {
            Attempt(
                direction.opposite, isTCP ? .tcp(sourcePort) : .udp(sourcePort), from: destination, to: source,
                isIPv6: isIPv6, interface: interface)
        }
    }

    private struct LooseTally {
        var packets: UInt64 = 0
        var first = Int64.max
        var last = Int64.min
        var hasReset = false
    }

    private let mostAttempts: Int
    private let mostLoose: Int
    private var tallies: [Attempt: AttemptTally] = [:]
    private var loose: [Loose: LooseTally] = [:]
    /// Sources that the agent has told of as scanning, and how often.
    private var notices: [IPAddress: UInt64] = [:]
    /// Packets that were refused for what no rule decides.
    package private(set) var uncurable: [DropReason: UInt64] = [:]
    /// Packets of attempts for which there was no room.
    package private(set) var withoutRoom: UInt64 = 0
    /// Packets whose record does not say enough to tell what was tried, such as one of many sources.
    package private(set) var nameless: UInt64 = 0
    /// Packets in the midst of exchanges whose opening was not seen.
    package private(set) var withoutOpening: UInt64 = 0
    /// Datagrams from a server's port to one of those that clients have.
    package private(set) var lateAnswers: UInt64 = 0

    package init(mostAttempts: Int = 1 << 18, mostLoose: Int = 1 << 17) {
        self.mostAttempts = mostAttempts
        self.mostLoose = mostLoose
    }

    /// Somebody tried something, in so many packets of his.
    ///
    /// - Parameters:
    ///   - attempt: what it was.
    ///   - packets: how many.
    ///   - openings: how many exchanges they are of, at least.
    ///   - first: microseconds since 1970.
    ///   - last: the same.
    ///   - outcome: what is known of it.
    ///   - tapped: its answers would be told of too.
    package mutating func add(
        _ attempt: Attempt, packets: UInt64, openings: UInt64 = 1, first: Int64, last: Int64, _ outcome: AttemptOutcome,
        tapped: Bool = false
    ) {
        change(attempt, packets) {
            $0.add(packets: packets, openings: openings, first: first, last: last)
            $0.note(outcome)
            if tapped { $0.noteTapped() }
        }
    }

    /// The side that was asked has answered; the attempt may be told of later.
    package mutating func addAnswer(to attempt: Attempt, packets: UInt64, isReset: Bool = false) {
        change(attempt, packets) { $0.addAnswers(packets, isReset: isReset) }
    }

    private mutating func change(_ attempt: Attempt, _ packets: UInt64, _ body: (inout AttemptTally) -> Void) {
        guard tallies[attempt] != nil || tallies.count < mostAttempts else {
            withoutRoom = withoutRoom.added(packets)
            return
        }
        body(&tallies[attempt, default: AttemptTally()])
    }

    /// Packets of an exchange, from either side.
    package mutating func add(_ packet: Loose, packets: UInt64, first: Int64, last: Int64, isReset: Bool) {
        if loose[packet] == nil, loose.count >= mostLoose { settleLoose() }
        var tally = loose[packet] ?? LooseTally()
        tally.packets = tally.packets.added(packets)
        tally.first = min(tally.first, first)
        tally.last = max(tally.last, last)
        tally.hasReset = tally.hasReset || isReset
        loose[packet] = tally
    }

    package mutating func addNotice(ofScanBy source: IPAddress, times: UInt64) {
        guard notices[source] != nil || notices.count < Self.mostNotices else { return }
        notices[source] = (notices[source] ?? 0).added(times)
    }

    package mutating func addUncurable(_ reason: DropReason, packets: UInt64) {
        uncurable[reason] = (uncurable[reason] ?? 0).added(packets)
    }

    package mutating func addNameless(packets: UInt64) { nameless = nameless.added(packets) }
    package mutating func addWithoutOpening(packets: UInt64) { withoutOpening = withoutOpening.added(packets) }
    package mutating func addLateAnswer(packets: UInt64) { lateAnswers = lateAnswers.added(packets) }

    private static let mostNotices = 1 << 16

    func notices(of source: IPAddress) -> UInt64 { notices[source] ?? 0 }

    /// All that was tried and opened, in one order.
    package mutating func settled() -> [(attempt: Attempt, tally: AttemptTally)] {
        settleLoose()
        for (attempt, tally) in tallies where tally.openings == 0 {
            withoutOpening = withoutOpening.added(tally.answers)
            tallies[attempt] = nil
        }
        return tallies.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Finds out of what exchange each loose packet is. Where both sides have tried the other's port, the lower one is taken for a
    /// server's.
    private mutating func settleLoose() {
        for (packet, tally) in loose {
            let (forth, back) = (packet.asOpener, packet.asAnswer)
            let knows = (forth: tallies[forth]?.openings ?? 0 > 0, back: tallies[back]?.openings ?? 0 > 0)
            let isForth = knows.forth && (!knows.back || packet.destinationPort <= packet.sourcePort)
            if isForth {
                tallies[forth]?.add(packets: tally.packets, openings: 0, first: tally.first, last: tally.last)
            } else if knows.back {
                tallies[back]?.addAnswers(tally.packets, isReset: tally.hasReset)
            } else {
                withoutOpening = withoutOpening.added(tally.packets)
            }
        }
        loose.removeAll(keepingCapacity: true)
    }
}
