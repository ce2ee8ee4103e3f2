// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Who explores this host is told of; who merely fails at something is not.
@Suite("Reconnaissance")
struct ReconnaissanceTests {
    /// All detections on, a few ports open, the rest refused by the rules.
    private static let policy = """
        rules: [{ name: In, action: allow, direction: incoming, protocol: tcp, destination: { ports: [22, 80, 443, 8080] } }]
        reconnaissance: { block: 10m }
        """
    /// Without rules: the host itself refuses.
    private static let open = "reconnaissance: { block: 10m }"
    private static let scans: [DropReason] = [.portScan, .osFingerprint, .nullScan, .synfinScan, .xmasScan]

    private func told(_ engine: EngineUnderTest) -> [DropReason] {
        engine.events.filter { $0.action == .notice }.map(\.reason)
    }

    private func syn(
        _ engine: EngineUnderTest, _ port: UInt16, _ flags: TCPFlags = .syn, from source: IPAddress = .peer,
        sourcePort: UInt16 = 50_000, to destination: IPAddress = .host
    ) {
        engine.receives(.ipv4(from: source, to: destination).tcp(sourcePort, port, flags, seq: 77))
    }

    // MARK: What is told

    @Test("A fast scan is told of while it goes on, once", arguments: [TCPFlags.syn, .fin, [.fin, .psh]])
    func fastScan(_ flags: TCPFlags) throws {
        let engine = try EngineUnderTest(Self.policy)
        for port in UInt16(1_000)..<1_100 { syn(engine, port, flags) }
        #expect(told(engine) == [.portScan])
        #expect(engine.events.first { $0.reason == .portScan }.map { $0.headers.destinationPort < 1_060 } == true)
        for port in UInt16(2_000)..<4_000 { syn(engine, port, flags) }
        #expect(told(engine) == [.portScan])
        engine.waits(.minutes(6))
        for port in UInt16(1_000)..<1_100 { syn(engine, port, flags) }
        #expect(told(engine) == [.portScan, .portScan])
    }

    @Test("A slow scan is told of after four bins, ports refused by the host as well", arguments: [policy, open])
    func slowScan(_ yaml: String) throws {
        let engine = try EngineUnderTest(yaml)
        var seconds = 0.0
        for port in UInt16(1_000)..<1_100 where told(engine).isEmpty {
            syn(engine, port)
            engine.clock.advance(by: .milliseconds(400))
            seconds += 0.4
        }
        #expect(told(engine) == [.portScan])
        #expect(seconds > 10 && seconds < 25)
    }

    @Test("Nineteen ports are none, and probes fifteen seconds apart are none")
    func border() throws {
        let engine = try EngineUnderTest(Self.policy)
        for port in UInt16(1_000)..<1_019 { syn(engine, port) }
        for port in UInt16(2_000)..<2_100 {
            engine.clock.advance(by: .seconds(15))
            syn(engine, port)
        }
        #expect(told(engine).isEmpty)
    }

    @Test("One port at many addresses behind a router is a network scan")
    func networkScan() throws {
        let engine = try EngineUnderTest("interfaces: { inside: [eth1] }\n" + Self.policy)
        for last in 1...UInt8(100) {
            engine.forwards(
                .ipv4(from: .peer, to: IPAddress(v4: 0xcb00_7100 | UInt32(last))).tcp(50_000, 23, .syn), from: 2, to: 3)
        }
        #expect(told(engine) == [.portScan])
    }

    @Test("A scan with datagrams is told of")
    func udpScan() throws {
        let engine = try EngineUnderTest(Self.policy)
        for port in UInt16(1_000)..<1_100 { engine.receives(.toHost.udp(50_000, port).payload(count: 4)) }
        #expect(told(engine) == [.portScan])
    }

    @Test("Flags that no stack sends are told of and dropped; the nearest that one does is neither")
    func flags() throws {
        let all: TCPFlags = [.fin, .syn, .rst, .psh, .ack, .urg]
        let cases: [(TCPFlags, DropReason)] = [
            ([], .nullScan), (.syn | .fin, .synfinScan), ([.fin, .psh, .urg], .xmasScan), (all, .xmasScan),
            (TCPFlags(rawValue: 0xff), .xmasScan),
        ]
        for (flags, reason) in cases {
            let engine = try EngineUnderTest(Self.policy)
            engine.receives(.toHost.tcp(50_000, 80, flags, seq: 77))
            #expect(told(engine) == [reason], "\(flags)")
            #expect(engine.events.count == 2, "\(flags): the drop has an event of its own")
            for _ in 0..<10 { engine.receives(.toHost.tcp(50_000, 80, flags, seq: 77)) }
            #expect(told(engine) == [reason], "once")
        }
        for flags in [
            TCPFlags.syn, .ack, .rst, .fin, .fin | .ack, [.fin, .psh, .ack], .rst | .ack, [.psh, .ack, .urg],
        ] {
            let engine = try EngineUnderTest(Self.policy)
            engine.receives(.toHost.tcp(50_000, 80, flags, seq: 77))
            #expect(told(engine).isEmpty, "\(flags)")
        }
    }

    @Test("Two different probes of a fingerprinting are told of, one kind alone is not")
    func fingerprint() throws {
        let options: [TCPOption] = [.windowScale(10), .mss(265), .timestamps(.max, echo: 0), .sackPermitted]
        let probes: [PacketBuilder] = [
            .toHost.tcp(50_000, 80, .syn, options: options),
            .toHost.tcp(50_001, 80, [.fin, .syn, .urg, .psh], options: options),
            .toHost.tcp(50_002, 1, .ack, options: options),
            .toHost.icmpEcho(code: 9),
        ]
        for a in probes.indices {
            let alone = try EngineUnderTest(Self.policy)
            for _ in 0..<5 { alone.receives(probes[a]) }
            #expect(told(alone).isEmpty)
            for b in probes.indices where b != a {
                let engine = try EngineUnderTest(Self.policy)
                engine.receives(probes[a])
                engine.receives(probes[b])
                #expect(told(engine) == [.osFingerprint])
                let slow = try EngineUnderTest(Self.policy)
                slow.receives(probes[a])
                slow.clock.advance(by: .seconds(11))
                slow.receives(probes[b])
                #expect(told(slow).isEmpty)
            }
        }
    }

    @Test("Each kind has a switch, and ignore spares a source", arguments: scans)
    func switches(_ reason: DropReason) throws {
        func explore(_ engine: EngineUnderTest) -> Set<DropReason> {
            for port in UInt16(1_000)..<1_100 { syn(engine, port) }
            for flags in [TCPFlags(), .syn | .fin, [.fin, .psh, .urg], [.fin, .syn, .urg, .psh]] {
                engine.receives(.toHost.tcp(50_000, 80, flags, options: [.mss(265)]))
            }
            return Set(told(engine))
        }
        #expect(explore(try EngineUnderTest(Self.open)) == Set(Self.scans))
        let off = try EngineUnderTest("reconnaissance: { detect: { \(reason.row.slug): false } }")
        #expect(explore(off) == Set(Self.scans).subtracting([reason]))
        for (ignore, isTold) in [
            ("[198.51.100.0/24]", false), ("[192.0.2.1]", true), ("{ not: [198.51.100.7] }", true),
        ] {
            let engine = try EngineUnderTest("reconnaissance: { ignore: \(ignore) }")
            #expect(explore(engine).isEmpty == !isTold, "\(ignore)")
        }
    }

    // MARK: What is not

    @Test("Leftovers of the closed connections of a busy client are no scan")
    func leftovers() throws {
        let engine = try EngineUnderTest(Self.open)
        for port in UInt16(32_768)..<33_268 {
            for flags in [TCPFlags.ack, .fin | .ack, .rst, .rst | .ack, .syn | .ack] {
                engine.receives(.toHost.tcp(443, port, flags, seq: 5, ack: 9))
            }
        }
        for port in UInt16(1_024)..<1_524 { engine.receives(.toHost.tcp(443, port, .rst, seq: 5)) }
        #expect(told(engine).isEmpty)
    }

    @Test("A browser that opens many connections to one server is no scan, answered or not", arguments: [true, false])
    func browser(_ isAnswered: Bool) throws {
        let engine = try EngineUnderTest(Self.policy)
        for i in UInt16(0)..<500 {
            let talk = TCPTalk(engine, hostPort: 443, peerPort: 20_000 + i)
            if isAnswered { talk.open() } else { talk.send(.peer, .syn) }
        }
        #expect(told(engine).isEmpty)
    }

    @Test("Connections to many ports that are established are no scan, such as data connections of FTP")
    func manyPorts() throws {
        let engine = try EngineUnderTest(Self.open)
        for port in UInt16(40_000)..<40_200 {
            TCPTalk(engine, hostPort: port, peerPort: 20_000).open()
            engine.clock.advance(by: .milliseconds(100))
        }
        #expect(told(engine).isEmpty)
    }

    @Test("Late answers of DNS and NTP servers are no scan", arguments: [UInt16(53), 123, 443])
    func lateAnswers(_ server: UInt16) throws {
        let engine = try EngineUnderTest(Self.policy)
        for port in UInt16(1_024)..<2_000 { engine.receives(.toHost.udp(server, port).payload(count: 40)) }
        for port in UInt16(32_768)..<33_000 { engine.receives(.toHost.udp(server + 5_000, port).payload(count: 40)) }
        #expect(told(engine).isEmpty)
        #expect(engine.events(of: .outOfAllowedPolicy) == 976 + 232)
    }

    @Test("Answers after the timeout of the exchange are no scan, whatever the ports")
    func afterTheTimeout() throws {
        let engine = try EngineUnderTest(Self.open)
        for port in UInt16(2_000)..<2_100 { engine.sends(.fromHost.udp(port, 5_060).payload(count: 4)) }
        engine.waits(.seconds(30))
        for port in UInt16(2_000)..<2_100 { engine.receives(.toHost.udp(5_060, port).payload(count: 4)) }
        #expect(told(engine).isEmpty)
    }

    @Test("Monitoring that tries the same dozen closed ports every minute is no scan")
    func monitoring() throws {
        let engine = try EngineUnderTest(Self.policy)
        for _ in 0..<100 {
            for port in UInt16(9_000)..<9_012 { syn(engine, port) }
            engine.waits(.seconds(60))
        }
        #expect(told(engine).isEmpty)
    }

    @Test("A load balancer's health checks are no scan while all is down, and block nobody", arguments: [80, 2_000])
    func healthChecks(_ milliseconds: Int64) throws {
        let engine = try EngineUnderTest(Self.open)
        for i in UInt16(0)..<600 {
            syn(engine, 80, sourcePort: 20_000 + i)
            syn(engine, 443, sourcePort: 20_000 + i)
            engine.clock.advance(by: .milliseconds(milliseconds))
        }
        #expect(told(engine).isEmpty)
    }

    @Test("Datagrams to a group or to all are no scan")
    func groups() throws {
        let engine = try EngineUnderTest(Self.policy)
        for port in UInt16(1_000)..<1_100 {
            engine.receives(.ipv4(from: .peer, to: "192.0.2.255").udp(5_000, port).payload(count: 4))
            engine.receives(.ipv4(from: .peer, to: "239.1.2.3").udp(5_000, port).payload(count: 4))
        }
        #expect(told(engine).isEmpty)
    }

    // MARK: Who is blocked

    /// As connect() and close() do it.
    private func connects(
        _ engine: EngineUnderTest, _ port: UInt16, data: Int = 0, from: IPAddress = .peer, round: UInt16 = 0
    ) {
        let talk = TCPTalk(engine, hostPort: port, peerPort: 20_000 + round * 1_000 + port, peer: from)
        talk.open()
        if data > 0 { talk.send(.peer, [.psh, .ack], data: data) }
        talk.send(.peer, .rst | .ack)
    }

    @Test("A scan that has acknowledged our numbers on three ports is blocked, before the scan is told of or after")
    func proven() throws {
        for isBefore in [true, false] {
            let engine = try EngineUnderTest(Self.policy)
            let ports: [UInt16] = [22, 80, 443]
            if isBefore { for port in ports { connects(engine, port) } }
            for port in UInt16(1_000)..<1_100 { syn(engine, port) }
            if !isBefore { for port in ports { connects(engine, port) } }
            #expect(told(engine) == [.portScan])
            #expect(engine.engine.takeScannersToBlock().map(\.address) == [.peer])
            for port in UInt16(2_000)..<2_100 { syn(engine, port) }
            #expect(engine.engine.takeScannersToBlock().isEmpty, "once")
        }
    }

    @Test("Who scans in the name of a monitor, which connects to ports again and again without data, blocks it not")
    func monitor() throws {
        let engine = try EngineUnderTest(Self.policy)
        for round in 0..<4 as Range<UInt16> {
            for port in [22, 80, 443, 8_080] as [UInt16] { connects(engine, port, round: round) }
            if round > 0 { for port in UInt16(1_000)..<1_100 { syn(engine, port) } }
            engine.clock.advance(by: .seconds(10))
        }
        #expect(told(engine) == [.portScan])
        #expect(engine.engine.takeScannersToBlock().isEmpty)
    }

    @Test("Many hosts behind one address, each of which uses a few services, are no scan, in a flood of SYNs neither")
    func pool() throws {
        let services = (1...40 as ClosedRange<UInt16>).map { 7_000 + $0 }
        for threshold in [0, 1] {
            let cookies = threshold == 0 ? "" : "stateful: { tcp: { syn-flood: { cookies: on, threshold: 1 } } }\n"
            let engine = try EngineUnderTest(Self.open + "\n" + cookies)
            var ports = ListeningPorts()
            for port in services { ports.insert(tcp: port) }
            engine.engine.listeningPorts = ports
            engine.engine.hasSYNCookies = true
            if threshold > 0 { for port in services { engine.flood(2, to: port) } }
            for round in 0..<5 as Range<UInt16> {
                for port in services {
                    let talk = TCPTalk(engine, hostPort: port, peerPort: 10_000 + round * 1_000 + port)
                    talk.send(.peer, .syn)
                    talk.send(.host, .syn | .ack)
                    talk.send(.peer, .ack)
                    // What no cookie is needed for ends like this as well.
                    talk.send(.host, .psh | .ack, data: 100)
                    talk.send(.peer, .ack)
                }
                engine.clock.advance(by: .milliseconds(100))
            }
            #expect(told(engine) == [])
            #expect(engine.engine.takeScannersToBlock().isEmpty)
            #expect(engine.engine.counters.openedByCookies > 0 || threshold == 0)
        }
    }

    @Test("A scan of SYNs, of datagrams, or of odd flags blocks nobody")
    func unproven() throws {
        let engine = try EngineUnderTest(Self.open)
        for port in UInt16(1)..<1_000 {
            syn(engine, port)
            // An open port's answer, and the RST with which an unasked host refuses it.
            engine.sends(.fromHost.tcp(port, 50_000, .syn | .ack, seq: 9, ack: 78))
            syn(engine, port, .rst)
            engine.receives(.toHost.udp(50_000, port).payload(count: 4))
            syn(engine, port, TCPFlags())
        }
        #expect(told(engine).contains(.portScan))
        #expect(engine.engine.takeScannersToBlock().isEmpty)
    }

    @Test("Who scans in the name of a client blocks it not, whatever the client does", arguments: [0, 100])
    func victim(_ data: Int) throws {
        let engine = try EngineUnderTest(Self.policy)
        for port in UInt16(1_000)..<1_200 {
            syn(engine, port)
            // The client goes on with what it does: two services, with data or as a health check without.
            if port % 50 == 0 {
                connects(engine, 80, data: data)
                connects(engine, 443, data: data)
                if data > 0 { connects(engine, 22) }
                engine.clock.advance(by: .seconds(20))
            }
        }
        #expect(told(engine).contains(.portScan))
        #expect(engine.engine.takeScannersToBlock().isEmpty)
    }

    @Test("Decoys and a flood of spoofed sources take no memory, and the scan behind them is told of")
    func flood() throws {
        let engine = try EngineUnderTest(Self.policy)
        for port in UInt16(1_000)..<1_100 {
            for decoy in 0..<UInt32(40) {
                syn(engine, port, from: IPAddress(v4: 0x0a00_0000 | UInt32(port) << 8 &+ decoy &* 7_919))
            }
            syn(engine, port)
        }
        let of = engine.events.filter { $0.reason == .portScan }.map(\.headers.source)
        #expect(of.contains(.peer))
        #expect(engine.engine.takeScannersToBlock().isEmpty)
        #expect(engine.engine.scannersKnown(at: engine.clock.now) >= 1)
    }

    @Test("Nothing is asked for where the policy blocks nobody")
    func blockOff() throws {
        let engine = try EngineUnderTest("reconnaissance: { block: off }")
        for port in UInt16(1_000)..<1_100 { syn(engine, port) }
        for port: UInt16 in [22, 80, 443] { connects(engine, port) }
        #expect(told(engine) == [.portScan])
        #expect(engine.engine.takeScannersToBlock().isEmpty)
    }
}

extension PacketBuilder {
    fileprivate func icmpEcho(code: UInt8) -> PacketBuilder { icmp(8, code: code, rest: 0x0001_0001) }
}
