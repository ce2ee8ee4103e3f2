// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport

extension AllocationPath {
    /// Every way through the engine that a remote computer can make a packet take.
    static let all: [AllocationPath] =
        tcp + flooded + dataRead + datagrams + refused + fragments

    /// 10,000 rules that pass everything but Telnet, whose drops keep packet data; a small table, and per-computer limits,
    /// so that every count is kept.
    static let document: PolicyDocument = {
        let place = SourcePosition(file: "bench", line: 1, column: 1)
        var generator = RuleSetGenerator(.acl, seed: 42)
        var document = generator.document(rules: 10_000)
        for direction in Direction.allCases {
            document.rules.append(
                Rule(
                    name: "All \(direction)", action: .forceAllow, priority: 3, direction: direction, position: place))
        }
        var telnet = Rule(name: "Telnet", action: .deny, priority: 4, direction: .incoming, position: place)
        telnet.protocols = Criterion(.number(IPProtocol.tcp))
        document.portLists.append(NamedList(name: nil, values: [PortRange(first: 23, last: 23)], position: place))
        telnet.destination.ports = Criterion(document.portLists.count - 1)
        telnet.packetData = true
        document.rules.append(telnet)
        document.stateful.limits.incoming = 1_000_000
        document.stateful.limits.outgoing = 1_000_000
        document.stateful.limits.halfOpen = 1_000_000
        document.engine.limits.tcp = 1100
        return document
    }()

    private static var tcp: [AllocationPath] {
        let stamped = v4.tcp(
            2000, 80, .ack, seq: 1101, ack: 5102, options: [.timestamps(7, echo: 9), .sack([(5001, 5101)])])
        return [
            AllocationPath(
                "known TCP connection", after: Segments.handshake(0), [Segments.data(0, payload: 100)], .pass),
            AllocationPath(
                "known TCP connection, 64 KiB segment", after: Segments.handshake(0),
                [Segments.data(0, payload: 65_000)], .pass),
            AllocationPath(
                "known TCP connection, time stamps and SACK", after: Array(conversation(v4, back, 2000).prefix(6)),
                [packet(.prerouting, stamped)], .pass),
            AllocationPath("new TCP connection", syns(1024), .pass),
            AllocationPath("new TCP connection in a full table", after: syns(1024), syns(3000), .pass),
            AllocationPath(
                "TCP from SYN to TIME-WAIT", (0..<125).flatMap { conversation(v4, back, 2000 + $0) }, .pass),
            AllocationPath(
                "TCP from SYN to TIME-WAIT, connections logged", under: logging,
                (0..<125).flatMap { conversation(v4, back, 2000 + $0) }, .pass),
            AllocationPath(
                "TCP over IPv6 from SYN to TIME-WAIT", (0..<125).flatMap { conversation(v6, back6, 2000 + $0) }, .pass),
            AllocationPath(
                "new TCP connection within the rate of its rule", under: rated(1_000_000, .seconds(1)), syns(1024),
                .pass),
            AllocationPath(
                "SYN beyond the rate of its rule", under: rated(1, .hours(24)),
                after: [packet(.prerouting, v4.tcp(900, 80, .syn, seq: 1))],
                [packet(.prerouting, v4.tcp(901, 80, .syn, seq: 1))], .drop),
        ]
    }

    private static var logging: PolicyDocument {
        var document = document
        document.events.newConnections = [.tcp, .udp, .icmp]
        document.events.closedConnections = [.tcp, .udp, .icmp]
        return document
    }

    /// Whose rule has a rate.
    private static func rated(_ count: UInt32, _ span: Instant.Span) -> PolicyDocument {
        var document = document
        for index in document.rules.indices where document.rules[index].name.hasPrefix("All ") {
            document.rules[index].rate = OpeningRate(count: count, span: span)
        }
        return document
    }

    /// To a listener that answers by cookies.
    private static var flooded: [AllocationPath] {
        var cookies = document
        cookies.stateful.synFlood.usesCookies = true
        cookies.stateful.synFlood.threshold = 1
        let refused = (0..<100).flatMap { number in
            let port = UInt16(5000 + number)
            return [
                packet(.prerouting, v4.tcp(port, 80, .syn, seq: 1)),
                packet(.prerouting, v4.tcp(port, 80, .ack, seq: 2, ack: 77)),
                packet(.output, back.tcp(80, port, .rst, seq: 77, ack: 0)),
            ]
        }
        return [
            AllocationPath(
                "TCP from SYN to TIME-WAIT, opened by a SYN cookie", under: cookies, after: syns(3000),
                (0..<125).flatMap { conversation(v4, back, 5000 + $0) }, .pass),
            AllocationPath(
                "SYN without an entry, and an ACK with a wrong cookie", under: cookies, after: syns(3000), refused,
                .pass),
        ]
    }

    /// Where the policy has the data of segments read.
    private static var dataRead: [AllocationPath] {
        var comparing = document
        comparing.engine.antiEvasion.evasiveRetransmit = .deny
        let said = (0..<125).flatMap { conversation(v4, back, 2000 + $0) }
        let handshake = Array(said.prefix(3))
        let first = v4.tcp(2000, 80, [.ack, .psh], seq: 1001, ack: 5001)
        return [
            AllocationPath("TCP from SYN to TIME-WAIT, what is sent again compared", under: comparing, said, .pass),
            AllocationPath(
                "a retransmission that differs", under: comparing,
                after: handshake + [packet(.prerouting, first.payload(count: 1_400))],
                [packet(.prerouting, first.payload("other"))], .drop),
            AllocationPath(
                "FTP control connection, its announcement and the data connection", under: following,
                (0..<100).flatMap { transfer(2000 + 2 * $0) }, .pass),
        ]
    }

    private static var following: PolicyDocument {
        var document = PolicyDocument()
        document.stateful.ftp.controlPorts = [80]
        document.stateful.ftp.admitsIncomingPassive = true
        document.stateful.ftp.admitsIncomingActive = true
        return document
    }

    /// A control connection from this port, a command and a reply that announce data connections, and one of these.
    private static func transfer(_ port: Int) -> [Segments.Packet] {
        let control = UInt16(port)
        let active = "PORT 198,18,0,1,200,13\r\nPASV\r\n"
        let passive = "227 Entering Passive Mode (198,19,0,1,200,13)\r\n"
        return Array(conversation(v4, back, port).prefix(3)) + [
            packet(.prerouting, v4.tcp(control, 80, [.ack, .psh], seq: 1001, ack: 5001).payload(active)),
            packet(
                .output,
                back.tcp(80, control, [.ack, .psh], seq: 5001, ack: 1001 + UInt32(active.utf8.count)).payload(passive)),
            packet(.prerouting, v4.tcp(control + 1, 51_213, .syn, seq: 7)),
        ]
    }

    private static var datagrams: [AllocationPath] {
        let query = v4.udp(5353, 53).payload(count: 40)
        let flow = (0..<1000).map { packet(.prerouting, v4.udp(UInt16(2000 + $0), 53).payload(count: 40)) }
        let query6 = back6.udp(5353, 53).payload(count: 40)
        let own = PacketBuilder.ipv4(from: "198.19.0.1", to: "224.0.0.251").udp(5353, 5353).payload(count: 400)
        let ping = v4.echoRequest(id: 7, seq: 1).payload(count: 56)
        let answer = back.echoReply(id: 7, seq: 1).payload(count: 56)
        return [
            AllocationPath(
                "known UDP exchange", after: [packet(.prerouting, query)], [packet(.prerouting, query)], .pass),
            AllocationPath("new UDP exchange", flow, .pass),
            AllocationPath("ping and its answer", [packet(.prerouting, ping), packet(.output, answer)], .pass),
            AllocationPath(
                "ICMP error about a known exchange", after: [packet(.prerouting, query)],
                [packet(.output, back.unreachable(code: 3, quoting: query))], .pass),
            AllocationPath(
                "ICMPv6 error about a known exchange", after: [packet(.output, query6)],
                [packet(.prerouting, v6.packetTooBig(mtu: 1280, quoting: query6))], .pass),
            AllocationPath(
                "own datagram to a group, and its copy", [packet(.output, own), packet(.prerouting, own)], .pass),
            AllocationPath("UDP over IPv6", [packet(.prerouting, v6.udp(5353, 53).payload(count: 40))], .pass),
            AllocationPath("ping over IPv6", [packet(.prerouting, v6.echoRequest(id: 7, seq: 1))], .pass),
            AllocationPath("another protocol", [packet(.prerouting, v4.upperLayer(47).payload(count: 40))], .pass),
        ]
    }

    /// Each with its event.
    private static var refused: [AllocationPath] {
        [
            AllocationPath("malformed", [Segments.malformed], .drop),
            AllocationPath(
                "denied by a rule, with packet data",
                [packet(.prerouting, v4.tcp(2000, 23, .syn).payload(count: 1400))], .drop),
            AllocationPath(
                "denied by a rule, and answered by a reset", under: answering(.reset),
                [packet(.prerouting, v4.tcp(2000, 23, .syn))], .drop),
            AllocationPath(
                "denied by a rule, and answered by an ICMPv6 error", under: answering(.prohibited),
                [packet(.prerouting, v6.tcp(2000, 23, .syn).payload(count: 1400))], .drop),
            AllocationPath("out of connection", [packet(.prerouting, v4.tcp(2000, 80, .ack, seq: 1, ack: 1))], .drop),
            AllocationPath("invalid flags", [packet(.prerouting, v4.tcp(2000, 80, [.syn, .fin], seq: 1))], .drop),
            AllocationPath(
                "invalid sequence", after: Array(conversation(v4, back, 2000).prefix(3)),
                [packet(.prerouting, v4.tcp(2000, 80, .ack, seq: 900_000_000, ack: 5001))], .drop),
        ]
    }

    private static func answering(_ reply: Reply) -> PolicyDocument {
        var document = document
        for place in document.rules.indices where document.rules[place].name == "Telnet" {
            document.rules[place].reply = reply
        }
        return document
    }

    private static var fragments: [AllocationPath] {
        let datagram = v4.udp(2000, 53).payload(count: 2000)
        let segment = v4.tcp(2000, 80, [.ack, .psh], seq: 1001, ack: 5001).payload(count: 2000)
        let whole = (UInt32(0)..<250).flatMap {
            datagram.identification($0).fragmented(at: 512).map { packet(.prerouting, $0) }
        }
        let reversed = (UInt32(0)..<500).flatMap {
            segment.identification($0).fragmented(at: 1024).reversed().map { packet(.prerouting, $0) }
        }
        let six = (UInt32(0)..<250).flatMap {
            v6.udp(2000, 53).payload(count: 4000).identification($0).fragmented(at: 1280).map {
                packet(.prerouting, $0)
            }
        }
        let overlapping = (UInt32(0)..<500).flatMap { number -> [Segments.Packet] in
            let pieces = datagram.identification(number)
            return [packet(.prerouting, pieces.fragment(0..<512)), packet(.prerouting, pieces.fragment(256..<1024))]
        }
        return [
            AllocationPath("fragments in order", whole, .pass),
            AllocationPath("fragments over IPv6", six, .pass),
            AllocationPath(
                "fragments held for the first one", after: Array(conversation(v4, back, 2000).prefix(3)), reversed,
                .hold, .pass),
            AllocationPath("overlapping fragments", overlapping, .pass, .drop),
        ]
    }

    // MARK: Packets

    private static var v4: PacketBuilder { .ipv4(from: "198.18.0.1", to: "198.19.0.1") }
    private static var back: PacketBuilder { .ipv4(from: "198.19.0.1", to: "198.18.0.1") }
    private static var v6: PacketBuilder { .ipv6(from: "fd00::1", to: "fd00::2") }
    private static var back6: PacketBuilder { .ipv6(from: "fd00::2", to: "fd00::1") }

    private static func packet(_ hook: Hook, _ builder: PacketBuilder) -> Segments.Packet {
        var metadata = PacketMetadata(hook, builder.bytes)
        metadata.etherType = builder.etherType
        return (builder.bytes, metadata)
    }

    private static func syns(_ first: Int) -> [Segments.Packet] {
        (first..<first + 1200).map { packet(.prerouting, v4.tcp(UInt16($0), 80, .syn, seq: 1)) }
    }

    /// Handshake, a request and its answer, and the end by both sides: eight packets.
    private static func conversation(_ there: PacketBuilder, _ back: PacketBuilder, _ port: Int) -> [Segments.Packet] {
        let port = UInt16(port)
        let options: [TCPOption] = [.mss(1460), .sackPermitted, .timestamps(5, echo: 0), .windowScale(7)]
        return [
            packet(.prerouting, there.tcp(port, 80, .syn, seq: 1000, options: options)),
            packet(.output, back.tcp(80, port, [.syn, .ack], seq: 5000, ack: 1001, options: options)),
            packet(.prerouting, there.tcp(port, 80, .ack, seq: 1001, ack: 5001)),
            packet(.prerouting, there.tcp(port, 80, [.ack, .psh], seq: 1001, ack: 5001).payload(count: 100)),
            packet(.output, back.tcp(80, port, [.ack, .fin], seq: 5001, ack: 1101).payload(count: 100)),
            packet(.prerouting, there.tcp(port, 80, .ack, seq: 1101, ack: 5102)),
            packet(.prerouting, there.tcp(port, 80, [.ack, .fin], seq: 1101, ack: 5102)),
            packet(.output, back.tcp(80, port, .ack, seq: 5102, ack: 1102)),
        ]
    }
}
