// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("Folding")
struct FolderTests {
    /// The records that a folder with this window makes of events, in order.
    private func fold(
        _ events: [Event], window: Instant.Span = .seconds(1), limits: FoldLimits = FoldLimits()
    ) -> [EventRecord] {
        var folder = Folder(window: window, limits: limits)
        var records: [EventRecord] = []
        for event in events { folder.add(event, into: &records) }
        folder.flushAll(into: &records)
        #expect(folder.isEmpty)
        return records
    }

    @Test("like events within the window become one, with count, first and last")
    func likeEvents() {
        let records = fold([0, 300, 999].map { event(.deny, at: .ms($0)) })
        #expect(records.count == 1)
        #expect(records[0].summary.count == 3)
        #expect(records[0].summary.first == .ms(0))
        #expect(records[0].summary.last == .ms(999))
        #expect(records[0].summary.shared == .all)
    }

    @Test("the window is counted from the first event, not from the last")
    func windowFromFirst() {
        let records = fold([0, 900, 1000, 1900, 2000].map { event(.deny, at: .ms($0)) })
        #expect(records.map(\.summary.count) == [2, 2, 1])
        #expect(records.map(\.summary.first) == [.ms(0), .ms(1000), .ms(2000)])
    }

    @Test("the unit of a sender is asked once for each record, and of nothing else")
    func units() {
        var folder = Folder(window: .seconds(1))
        folder.unitOfSender = { "\($0.metadata.senderUID).service" }
        var records: [EventRecord] = []
        for time in [0, 10] {
            folder.add(
                event(.deny, at: .ms(Int64(time))) { ($0.metadata.direction, $0.metadata.senderUID) = (.outgoing, 33) },
                into: &records)
            folder.add(event(.deny, at: .ms(Int64(time))) { $0.metadata.direction = .outgoing }, into: &records)
        }
        folder.flushAll(into: &records)
        #expect(records.map(\.unit) == ["33.service", nil])
    }

    @Test("without a window every event is a record of its own")
    func noWindow() {
        let records = fold([0, 0, 0].map { event(.deny, at: .ms($0)) }, window: .zero)
        #expect(records.map(\.summary.count) == [1, 1, 1])
    }

    @Test("what may differ between folded events", arguments: Difference.folded)
    func folds(difference: Difference) {
        let records = fold([difference.plain, difference.other])
        #expect(records.map(\.summary.count) == [2], "\(difference.name)")
        #expect(records.first?.summary.event.headers.sourcePort == difference.plain.headers.sourcePort)
    }

    @Test("what keeps two events apart", arguments: Difference.apart)
    func staysApart(difference: Difference) {
        let records = fold([difference.plain, difference.other])
        #expect(records.map(\.summary.count) == [1, 1], "\(difference.name)")
    }

    @Test("records leave in the order of their first events, each when its window is over")
    func order() {
        var folder = Folder(window: .seconds(1))
        var records: [EventRecord] = []
        folder.add(event(.deny, source: 1, at: .ms(0)), into: &records)
        folder.add(event(.deny, source: 2, at: .ms(400)), into: &records)
        folder.add(event(.deny, source: 1, at: .ms(800)), into: &records)
        folder.flush(at: .ms(999), into: &records)
        #expect(records.isEmpty)
        folder.flush(at: .ms(1000), into: &records)
        #expect(records.map(\.summary.count) == [2])
        folder.flush(at: .ms(1399), into: &records)
        #expect(records.count == 1)
        folder.flush(at: .ms(1400), into: &records)
        #expect(records.map(\.summary.first) == [.ms(0), .ms(400)])
        #expect(folder.isEmpty)
    }

    @Test("the packet bytes of the first event stay with the record")
    func packetBytes() {
        var folder = Folder(window: .seconds(1))
        var records: [EventRecord] = []
        folder.add(event(.deny), packet: [1, 2, 3], into: &records)
        folder.add(event(.deny), packet: [4], into: &records)
        folder.flushAll(into: &records)
        #expect(records.map(\.packet) == [[1, 2, 3]])
    }

    @Test("a clock that jumps back ends open records, one that differs by less folds on")
    func clockGoesBack() {
        let jump = fold([5000, 1000, 1100].map { event(.deny, at: .ms($0)) })
        #expect(jump.map(\.summary.count) == [1, 2])
        let skew = fold([5000, 4990, 5010].map { event(.deny, at: .ms($0)) })
        #expect(skew.map(\.summary.count) == [3])
        #expect(skew.first?.summary.first == .ms(4990))
        let extremes = fold([Int64.max, .min, 0, .max, .min].map { event(.deny, at: Instant(nanoseconds: $0)) })
        #expect(extremes.map(\.summary.count).reduce(0, +) == 5)
    }

    @Test("100,000 random sources: a bounded table, few records, and not one count lost", arguments: [7 as UInt64, 8])
    func flood(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var folder = Folder(window: .seconds(1))
        var records: [EventRecord] = []
        var largest = 0
        for number in 0..<100_000 {
            let source = UInt32(truncatingIfNeeded: random.next())
            folder.add(
                event(.outOfAllowedPolicy, source: source, at: .ms(Int64(number) / 50)), into: &records)
            largest = max(largest, folder.openRecords)
        }
        folder.flushAll(into: &records)
        #expect(records.reduce(0) { $0 + $1.summary.count } == 100_000)
        // 1,024 in the first second; 128 in the second one, because the reason floods; and the merged ones.
        #expect(largest <= 1024 + 1)
        #expect(records.count <= 1024 + 128 + 3)
        let merged = records.filter { !$0.summary.shared.contains(.source) }
        #expect(merged.count <= 3)
        #expect(merged.allSatisfy { $0.summary.shared.isSuperset(of: [.destination, .destinationPort, .transport]) })
        #expect(merged.allSatisfy { !$0.summary.shared.contains(.packet) })
    }

    @Test("a flood of one reason leaves room for another")
    func floodIsFair() {
        var folder = Folder(window: .seconds(1))
        var records: [EventRecord] = []
        for number in 0..<10_000 {
            folder.add(event(.outOfAllowedPolicy, source: UInt32(number)), into: &records)
        }
        folder.add(event(.sameSourceAndDestinationIP, source: 77), into: &records)
        folder.flushAll(into: &records)
        let other = records.filter { $0.summary.event.reason == .sameSourceAndDestinationIP }
        #expect(other.count == 1)
        #expect(other.first?.summary.shared == .all)
    }

    @Test("a flood over all reasons fills the table to its limit and no further")
    func wideFlood() {
        var folder = Folder(window: .seconds(1))
        var records: [EventRecord] = []
        for reason in DropReason.allCases {
            for number in 0..<1000 {
                folder.add(event(reason, source: UInt32(number)), into: &records)
            }
        }
        #expect(folder.openRecords <= 4096 + DropReason.count)
        folder.flushAll(into: &records)
        #expect(records.reduce(0) { $0 + $1.summary.count } == UInt64(DropReason.count) * 1000)
    }

    @Test("after the flood, single events are told apart again")
    func calm() {
        var folder = Folder(window: .seconds(1))
        var records: [EventRecord] = []
        func offer(_ count: Int, at instant: Instant) -> Int {
            for number in 0..<count {
                folder.add(event(.deny, source: UInt32(number), at: instant), into: &records)
            }
            records.removeAll()
            folder.flushAll(into: &records)
            defer { records.removeAll() }
            return records.filter { $0.summary.shared == .all }.count
        }
        #expect(offer(2000, at: .ms(0)) == 1024)
        #expect(offer(500, at: .ms(2000)) == 128)
        #expect(offer(500, at: .ms(20_000)) == 500)
    }

    @Test("a spoofed flood through a rule is counted for that rule")
    func floodOfRules() {
        let limits = small
        let events = (0..<300).map { number in
            event(.deny, source: UInt32(number)) { $0.rule = Int32(number % 3) }
        }
        let merged = fold(events, limits: limits).filter { !$0.summary.shared.contains(.source) }
        #expect(Set(merged.map(\.summary.event.rule)) == [0, 1, 2])
        #expect(merged.allSatisfy { $0.summary.shared.contains(.rule) })
        #expect(merged.reduce(0) { $0 + $1.summary.count } == 292)
    }

    @Test("directions and actions are never merged with each other")
    func mergedKinds() {
        let events = (0..<400).map { (number: UInt32) -> Event in
            var made = event(.deny, source: number)
            made.action = number % 2 == 0 ? .deny : .tapDeny
            made.metadata.direction = number % 4 < 2 ? .incoming : .outgoing
            return made
        }
        let merged = fold(events, limits: small).filter { !$0.summary.shared.contains(.source) }
        #expect(merged.count == 4)
        #expect(merged.reduce(0) { $0 + $1.summary.count } == 392)
    }

    @Test("more rules than places: the rest goes to one record without a rule")
    func moreRulesThanPlaces() {
        var merged = MergedEvents()
        for rule in 0..<1000 {
            for _ in 0..<2 { merged.merge(EventSummary(event(.deny) { $0.rule = Int32(rule) })) }
        }
        #expect(merged.summaries.count == 65)
        let total: UInt64 = merged.summaries.reduce(0) { $0 + $1.count }
        #expect(total == 2000)
        let rest = merged.summaries.filter { !$0.shared.contains(.rule) }
        let beyond: UInt64 = 2 * (1000 - 64)
        #expect(rest.map(\.count) == [beyond])
        merged.removeAll()
        #expect(merged.isEmpty)
        merged.merge(EventSummary(event(.deny) { $0.rule = 999 }))
        #expect(merged.summaries.map(\.event.rule) == [999])
    }

    @Test("random events at random times: the sum is kept, and the same events give the same records")
    func model() {
        for seed in 0..<8 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var now: Int64 = 0
            let events = (0..<1000).map { _ in
                now += Int64.random(in: -3...30, using: &random)
                if Int.random(in: 0..<500, using: &random) == 0 { now -= 100_000 }
                let source = UInt32.random(in: 0..<40, using: &random)
                let reason = DropReason.allCases.randomElement(using: &random) ?? .deny
                return event(reason, source: source, at: .ms(now))
            }
            let first = fold(events, window: .milliseconds(200), limits: small)
            #expect(first.reduce(0) { $0 + $1.summary.count } == 1000, "seed \(seed)")
            let second = fold(events, window: .milliseconds(200), limits: small)
            #expect(first.map { bareResolver.line($0) } == second.map { bareResolver.line($0) }, "seed \(seed)")
        }
    }

    private var small: FoldLimits {
        var limits = FoldLimits()
        limits.total = 64
        limits.perReason = 8
        limits.perFloodingReason = 4
        return limits
    }
}

/// Two events that differ in one thing.
struct Difference: CustomTestStringConvertible, Sendable {
    let name: String
    let plain: Event
    let other: Event

    var testDescription: String { name }

    init(_ name: String, of plain: Event = event(.deny), _ change: (inout Event) -> Void) {
        self.name = name
        self.plain = plain
        var other = plain
        change(&other)
        self.other = other
    }

    static let folded = [
        Difference("source port") { $0.headers.sourcePort = 1 },
        Difference("TCP flags") { $0.headers.tcp.flags = [.syn] },
        Difference("sequence number") { $0.headers.tcp.sequence = 9 },
        Difference("hop limit") { $0.headers.timeToLive = 1 },
        Difference("length") { $0.headers.length = 1000 },
        Difference("source MAC") { $0.headers.sourceMAC = "02:00:00:00:00:09" },
        Difference("queue") { $0.metadata.queue = 5 },
        Difference("note") { $0.note = .condemnedDatagram },
        Difference("frame number") { $0.metadata.frameNumber = 2 },
        Difference("policy epoch, where no rule decides") { $0.policyEpoch = 9 },
        Difference("time, by less than the window") { $0.instant = .ms(999) },
    ]

    static let apart = [
        Difference("reason") { $0.reason = .logOnly },
        Difference("rule") { $0.rule = 1 },
        Difference("policy epoch of a rule", of: event(.deny) { $0.rule = 1 }) { $0.policyEpoch = 9 },
        Difference("action") { $0.action = .tapDeny },
        Difference("what decided") { $0.cause = .pawsZeroRow },
        Difference("the rule to turn") { $0.remedyRule = 2 },
        Difference("what has to be turned") { $0.remedy.insert(.pawsZeroRow) },
        Difference("direction") { $0.metadata.direction = .outgoing },
        Difference("the user who sent it") { $0.metadata.senderUID = 33 },
        Difference("interface it came by") { $0.metadata.inInterface = 3 },
        Difference("interface it leaves by") { $0.metadata.outInterface = 3 },
        Difference("IP version") { $0.headers.network = .ipv6 },
        Difference("protocol") { $0.headers.protocolNumber = IPProtocol.udp },
        Difference("source") { $0.headers.source = "198.51.100.10" },
        Difference("destination") { $0.headers.destination = "192.0.2.11" },
        Difference("destination port") { $0.headers.destinationPort = 444 },
        Difference("ICMP type", of: event(.deny, ping)) { $0.headers.icmp.type = 13 },
        Difference("ICMP code", of: event(.deny, ping)) { $0.headers.icmp.code = 1 },
        Difference("time, by the window") { $0.instant = .ms(1000) },
    ]

    private static let ping = PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").echoRequest(id: 1, seq: 1)
}
