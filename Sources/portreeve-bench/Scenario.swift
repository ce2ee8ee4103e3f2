// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport

/// One thing to measure: a host in some state, and packets for it.
final class Scenario {
    let name: String
    /// Index of the scenario to which its ratio is formed.
    let reference: Int?
    /// Both are made at the first measurement: a run of some scenarios does not wait for the others' tables.
    private let makeHost: () -> Host
    private let makePackets: () -> [Segments.Packet]
    private var host: Host?
    /// Of the data, so that others can be compared with them.
    private(set) var bytesCopiedPerPacket = 0.0
    private var packets: [Segments.Packet] = []
    private let expected: Verdict?
    private var next = 0
    /// The one packet is readdressed each time to one of so many connections, in an order that no prefetcher guesses: what
    /// is far away then is the connection, not the packet, which the kernel has just written.
    private let connections: UInt64?
    private var random = SeededRandom(seed: 11)
    /// Packets open connections: after each round the table is emptied by time.
    private let opens: Bool
    /// The packets are one side's data and the other's acknowledgement of them, again and again with what comes next.
    private let streams: Bool

    private init(
        _ name: String, _ host: @autoclosure @escaping () -> Host,
        _ packets: @autoclosure @escaping () -> [Segments.Packet], expects: Verdict?, opens: Bool = false,
        streams: Bool = false, scattersOver connections: UInt64? = nil, reference: Int? = nil
    ) {
        self.name = name
        makeHost = host
        makePackets = packets
        expected = expects
        self.opens = opens
        self.streams = streams
        self.connections = connections
        self.reference = reference
    }

    /// CPU nanoseconds per packet. A verdict that is not the expected one ends the benchmark: it would measure another
    /// thing than its name says.
    func measure(_ count: Int) -> Double {
        var host = self.host.take() ?? makeHost()
        if packets.isEmpty { packets = makePackets() }
        if opens { host.pass(.seconds(120)) }
        let count = opens ? min(count, packets.count) : count
        var unexpected = 0
        let began = Stopwatch.cpuNanoseconds()
        for _ in 0..<count {
            if let connections { Segments.readdress(&packets[0].bytes, to: Int(random.next() % connections)) }
            if streams { Segments.advance(&packets, next) }
            let verdict = host.judge(packets[next].bytes, packets[next].metadata)
            if let expected, verdict != expected { unexpected += 1 }
            next = next + 1 == packets.count ? 0 : next + 1
        }
        let nanoseconds = Stopwatch.cpuNanoseconds() - began
        bytesCopiedPerPacket = Double(host.bytesKept) / Double(host.judged)
        self.host = consume host
        precondition(unexpected == 0, "\(name): \(unexpected) of \(count) packets got another verdict")
        return Double(nanoseconds) / Double(count)
    }

    static func all(quick: Bool) throws -> [Scenario] {
        var all = [
            Scenario("known TCP connection, 512 of them", known(PolicyDocument(), 512), data(512), expects: .pass),
            Scenario(
                "known TCP connection, 64 KiB segment", known(PolicyDocument(), 64), data(64, payload: 65_000),
                expects: .pass, reference: 0),
            Scenario(
                "new TCP connection, no rules", Host(PolicyDocument()), syns(20_000), expects: .pass, opens: true,
                reference: 0),
            Scenario(
                "malformed packet, dropped with its event", Host(PolicyDocument()), [Segments.malformed],
                expects: .drop,
                reference: 0),
            Scenario(
                "denied packet, dropped with its event", Host(denying), syns(1000), expects: .drop, reference: 0),
        ]
        for count in quick ? [1, 1000, 100_000] : [1, 1000, 1_000_000] {
            all.append(
                Scenario(
                    "known TCP connection, 1 of \(count)", known(PolicyDocument(), count), data(1), expects: .pass,
                    scattersOver: UInt64(count), reference: count == 1 ? nil : 5))
        }
        let lists = all.count
        for count in [1000, 1_000_000] {
            all.append(
                Scenario(
                    "denied by a list of \(count) addresses", Host(AddressLists.policy(count)),
                    AddressLists.syns(count), expects: .drop, opens: true, reference: count == 1000 ? nil : lists))
        }
        let first = all.count
        for count in ruleCounts(quick) {
            all.append(
                Scenario(
                    "known TCP connection, \(count) rules (acl)",
                    known(ruleSet(.acl, count).document, 512, forced: true),
                    data(512), expects: .pass, reference: count == 10 ? nil : first))
        }
        for shape in RuleSetShape.allCases {
            let first = all.count
            for count in ruleCounts(quick) {
                all.append(
                    Scenario(
                        "new TCP connection, \(count) rules (\(shape.rawValue))", Host(ruleSet(shape, count).document),
                        ruleSet(shape, count).syns, expects: nil, opens: true, reference: count == 10 ? nil : first))
            }
        }
        all += logged(all.count)
        all += dataRead(all.count)
        for payload in [100, 1_400, 65_000] {
            all.append(
                Scenario(
                    "known TCP connection, \(payload) bytes that the kernel has not verified",
                    known(PolicyDocument(), 64),
                    data(64, payload: payload).map(Segments.unverified), expects: .pass, reference: 0))
        }
        return all
    }

    /// The log of connections, off and on: for what is established, and from SYN to TIME-WAIT.
    private static func logged(_ first: Int) -> [Scenario] {
        var logging = PolicyDocument()
        logging.events.newConnections = [.tcp, .udp, .icmp]
        logging.events.closedConnections = [.tcp, .udp, .icmp]
        return [
            Scenario("established, connections not logged", known(PolicyDocument(), 512), data(512), expects: .pass),
            Scenario(
                "established, connections logged", known(logging, 512), data(512), expects: .pass, reference: first),
            Scenario(
                "from SYN to TIME-WAIT, not logged", Host(PolicyDocument()), Segments.conversations(2_500),
                expects: .pass, opens: true),
            Scenario(
                "from SYN to TIME-WAIT, logged", Host(logging), Segments.conversations(2_500), expects: .pass,
                opens: true, reference: first + 2),
        ]
    }

    /// One connection whose data nobody reads, and the same where the policy has it read.
    private static func dataRead(_ first: Int) -> [Scenario] {
        var comparing = PolicyDocument()
        comparing.engine.antiEvasion.evasiveRetransmit = .deny
        var following = PolicyDocument()
        following.stateful.ftp.admitsIncomingPassive = true
        var followed = following
        followed.stateful.ftp.controlPorts = [80]
        var allowing = PolicyDocument()
        allowing.engine.antiEvasion.tcpAuthOption = .allow
        var strict = PolicyDocument()
        strict.engine.antiEvasion = .strict
        var verifying = PolicyDocument()
        verifying.engine.sanity.verifyTCPChecksum = true
        var scenarios: [Scenario] = []
        for payload in [1_448, 65_000] {
            let reference = first + scenarios.count
            for (what, document) in [
                ("nothing read", PolicyDocument()), ("authentication options allowed", allowing),
                ("checksums verified", verifying),
                ("retransmissions compared", comparing), ("anti-evasion strict", strict),
                ("FTP on, another port", following), ("FTP on, a control connection", followed),
            ] {
                scenarios.append(
                    Scenario(
                        "\(payload) bytes and their ACK: \(what)", known(document, 1),
                        Segments.stream(payload: payload), expects: .pass, streams: true,
                        reference: first + scenarios.count == reference ? nil : reference))
            }
        }
        return scenarios
    }

    private static func ruleCounts(_ quick: Bool) -> [Int] {
        quick ? [10, 1000, 10_000] : [10, 1000, 10_000, 100_000]
    }

    private static var denying: PolicyDocument {
        var document = PolicyDocument()
        document.rules = [
            Rule(
                name: "Nothing", action: .deny, priority: 0, direction: .incoming,
                position: SourcePosition(file: "bench", line: 1, column: 1))
        ]
        return document
    }

    private static func known(_ document: PolicyDocument, _ connections: Int, forced: Bool = false) -> Host {
        var document = document
        if forced { document.rules.append(admitting) }
        var host = Host(document)
        host.openConnections(connections)
        return host
    }

    /// So that the connections of the scenario exist whatever the generated rules say.
    private static var admitting: Rule {
        Rule(
            name: "Everything", action: .forceAllow, priority: 4, direction: .incoming,
            position: SourcePosition(file: "bench", line: 1, column: 1))
    }

    private static func data(_ connections: Int, payload: Int = 100) -> [Segments.Packet] {
        (0..<connections).map { Segments.data($0, payload: payload) }
    }

    private static func syns(_ count: Int) -> [Segments.Packet] {
        (0..<count).map { Segments.syn(from: 0xc612_0001, UInt16(1024 + $0 % 60_000), to: 0xc613_0001, 80) }
    }

    private static func ruleSet(
        _ shape: RuleSetShape, _ count: Int
    ) -> (document: PolicyDocument, syns: [Segments.Packet]) {
        var generator = RuleSetGenerator(shape, seed: 42)
        let document = generator.document(rules: count)
        let syns = generator.subjects(20_000).map {
            Segments.syn(from: $0.source.v4, $0.sourcePort, to: $0.destination.v4, $0.destinationPort)
        }
        return (document, syns)
    }
}
