// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import PacketWire

/// What the event writer's thread costs: folding, and one line of each record.
struct Records: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "CPU time per event record.")

    @Option(help: "Rounds.")
    var rounds = 15

    @Option(help: "Records in a round.")
    var records = 20_000

    func run() throws {
        #if DEBUG
            print("a debug build measures nothing: build with -c release")
            throw ExitCode.failure
        #else
            let events = try Records.denied(records)
            report("resolving and a line of JSON", (0..<rounds).map { _ in Records.line(events) })
            report("resolving", (0..<rounds).map { _ in Records.resolve(events) })
            report("folding", (0..<rounds).map { _ in Records.fold(events) })
        #endif
    }

    private func report(_ name: String, _ values: [Double]) {
        let series = Series(values: values)
        print(
            "\(name): \(fixed(series.median, 0)) ns (\(fixed(series.least, 0)) - \(fixed(series.most, 0))), "
                + "\(fixed(1e9 / series.median, 0)) per second")
    }

    /// Drops of SYNs from as many ports, by a rule with a place in a file.
    static func denied(_ count: Int) throws -> [Event] {
        try (0..<count).map { number in
            let (bytes, metadata) = Segments.syn(from: 0xc633_6409, UInt16(1024 + number % 60_000), to: 0xc000_020a, 23)
            var headers = PacketHeaders()
            let traits = PacketTraits(fullLength: metadata.fullLength)
            try unsafe headers.decodePacket(bytes.span.bytes, etherType: 0x0800, traits)
            var event = Event(
                reason: .deny, action: .deny, instant: Instant(nanoseconds: Int64(number) * 1000), metadata: metadata,
                headers: headers)
            event.metadata.inInterface = 2
            event.headers.sourceMAC = MACAddress(bits: 0x5254_00aa_00fe)
            event.headers.destinationMAC = MACAddress(bits: 0x5254_00aa_0001)
            event.policyEpoch = 1
            event.rule = 0
            event.cause = .denyRule
            event.remedy.insert(.denyRule)
            event.remedyRule = 0
            return event
        }
    }

    private static func makeResolver() -> RecordResolver {
        var resolver = RecordResolver(host: "web-01", flowSeed: (9, 10))
        let rule = Rule(
            name: "No telnet", action: .deny, priority: 2, direction: .incoming,
            position: SourcePosition(file: "/etc/portreeve/policy.yaml", line: 12, column: 5))
        resolver.register(PolicyNames(epoch: 1, mode: .inline, rules: [rule]))
        resolver.interfaces = InterfaceNames([2: "eth0"])
        return resolver
    }

    private static let clockOffset = Instant.Span.seconds(1_795_252_502)

    private static func line(_ events: [Event]) -> Double {
        var resolver = makeResolver()
        var text: [UInt8] = []
        var place = RecordPlace(sequence: 1)
        let began = Stopwatch.cpuNanoseconds()
        for event in events {
            if text.count > 1 << 20 { text.removeAll(keepingCapacity: true) }
            let fields = resolver.fields(EventRecord(EventSummary(event)), clockOffset: clockOffset)
            EventFormat.json.append(fields, at: place, to: &text)
            place.sequence += 1
        }
        return Double(Stopwatch.cpuNanoseconds() - began) / Double(events.count)
    }

    private static func resolve(_ events: [Event]) -> Double {
        var resolver = makeResolver()
        var identifiers: UInt64 = 0
        let began = Stopwatch.cpuNanoseconds()
        for event in events {
            let fields = resolver.fields(EventRecord(EventSummary(event)), clockOffset: clockOffset)
            identifiers ^= fields.flowID ?? 0
        }
        let nanoseconds = Double(Stopwatch.cpuNanoseconds() - began) / Double(events.count)
        precondition(identifiers != 0)
        return nanoseconds
    }

    private static func fold(_ events: [Event]) -> Double {
        var folder = Folder(window: .milliseconds(1))
        var records: [EventRecord] = []
        let began = Stopwatch.cpuNanoseconds()
        for event in events { folder.add(event, into: &records) }
        return Double(Stopwatch.cpuNanoseconds() - began) / Double(events.count)
    }
}
