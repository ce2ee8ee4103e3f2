// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import Testing

@testable import PolicyAnalysis

@Suite("What the packets of a capture tell of what was wanted")
struct CapturedExchangeTests {
    private static let peer = Suggesting.peer(5)

    private static func headers(
        _ transport: TransportProtocol, isAnswer: Bool, _ ports: (UInt16, UInt16)
    ) -> PacketHeaders {
        var headers = PacketHeaders()
        headers.network = .ipv4
        headers.transport = transport
        headers.protocolNumber =
            transport == .tcp ? IPProtocol.tcp : transport == .udp ? IPProtocol.udp : IPProtocol.icmp
        (headers.source, headers.destination) = isAnswer ? (Suggesting.host, peer) : (peer, Suggesting.host)
        (headers.sourcePort, headers.destinationPort) = isAnswer ? (ports.1, ports.0) : ports
        return headers
    }

    /// "S", "<SA", "A", "P", "<P", "<R": flags, and `<` for the side that was asked.
    private static func outcome(_ packets: String) -> AttemptOutcome? {
        var exchanges = CapturedExchanges(addingTo: SeenTraffic())
        for word in packets.split(separator: " ") {
            let isAnswer = word.first == "<"
            var headers = headers(.tcp, isAnswer: isAnswer, (40_000, 22))
            let letters = isAnswer ? word.dropFirst() : word
            headers.tcp.flags = TCPFlags(words: letters == "P" ? "PA" : String(letters)) ?? []
            headers.tcp.dataLength = letters == "P" ? 10 : 0
            headers.tcp.acknowledgement = isAnswer ? 0 : 1
            exchanges.add(headers, isAnswer ? .outgoing : .incoming, at: 1)
        }
        var traffic = exchanges.ended()
        let settled = traffic.settled()
        guard settled.count == 1, settled[0].attempt == Suggesting.incoming(.tcp(22), from: peer) else { return nil }
        return settled[0].tally.outcome(of: .tcp(22))
    }

    @Test(
        "A connection",
        arguments: [
            ("S", .silent), ("S S S", .silent), ("S <RA", .refused), ("S <SA", .halfOpen), ("S <SA R", .halfOpen),
            ("S <SA A", .completed), ("S <SA A FA <FA A", .completed), ("S <SA A P <A", .used), ("S <SA A <P A", .used),
            ("S <SA A P <RA", .used), ("<SA A P", .used), ("S <RA S <SA A P", .used),
        ] as [(String, AttemptOutcome)])
    func tcp(_ packets: String, _ outcome: AttemptOutcome) { #expect(Self.outcome(packets) == outcome) }

    @Test("Segments of a connection that was open before tell no service")
    func midstream() {
        var exchanges = CapturedExchanges(addingTo: SeenTraffic())
        var headers = Self.headers(.tcp, isAnswer: false, (40_000, 22))
        headers.tcp.flags = .ack
        exchanges.add(headers, .incoming, at: 1)
        var traffic = exchanges.ended()
        #expect(traffic.settled().isEmpty && traffic.withoutOpening == 1)
    }

    @Test("Who asked first is asked by no datagram's port; late answers ask nothing")
    func udp() {
        var exchanges = CapturedExchanges(addingTo: SeenTraffic())
        exchanges.add(Self.headers(.udp, isAnswer: false, (40_000, 53)), .incoming, at: 1)
        exchanges.add(Self.headers(.udp, isAnswer: true, (40_000, 53)), .outgoing, at: 2)
        exchanges.add(Self.headers(.udp, isAnswer: false, (53, 40_001)), .incoming, at: 3)
        exchanges.add(Self.headers(.udp, isAnswer: false, (40_002, 514)), .incoming, at: 4)
        var unreachable = Self.headers(.icmp, isAnswer: true, (0, 0))
        unreachable.icmp.type = ICMPType.destinationUnreachable
        unreachable.icmp.code = 3
        unreachable.icmp.isError = true
        unreachable.quoted.network = .ipv4
        (unreachable.quoted.source, unreachable.quoted.destination) = (Self.peer, Suggesting.host)
        (unreachable.quoted.sourcePort, unreachable.quoted.destinationPort) = (40_002, 514)
        unreachable.quoted.protocolNumber = IPProtocol.udp
        exchanges.add(unreachable, .outgoing, at: 5)
        exchanges.add(Self.headers(.udp, isAnswer: false, (40_003, 515)), .incoming, at: 6)
        var traffic = exchanges.ended()
        let found = traffic.settled().map { ($0.attempt.service, $0.tally.outcome(of: $0.attempt.service)) }
        #expect(traffic.lateAnswers == 1)
        #expect(found.map(\.0) == [.udp(53), .udp(514), .udp(515)])
        #expect(found.map(\.1) == [.used, .refused, .unknown])
    }

    @Test("Of more exchanges at once than there is room for those that are there count as ended")
    func room() {
        var exchanges = CapturedExchanges(addingTo: SeenTraffic(), most: 10)
        for port in 40_000..<40_100 as Range<UInt16> {
            var headers = Self.headers(.tcp, isAnswer: false, (port, 22))
            headers.tcp.flags = .syn
            exchanges.add(headers, .incoming, at: 1)
        }
        var traffic = exchanges.ended()
        #expect(traffic.settled().first?.tally.openings == 100)
    }
}
