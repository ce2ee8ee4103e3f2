// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("The number of a connection")
struct FlowIDTests {
    private let there = PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10")
    private let back = PacketBuilder.ipv4(from: "192.0.2.10", to: "198.51.100.9")
    private let there6 = PacketBuilder.ipv6(from: "2001:db8::9", to: "fd00::1")
    private let back6 = PacketBuilder.ipv6(from: "fd00::1", to: "2001:db8::9")

    private func flow(_ packet: PacketBuilder, _ resolver: RecordResolver = bareResolver) -> UInt64? {
        resolver.fields(event(.deny, packet)).flowID
    }

    @Test("is the same for both directions, and another for every other tuple")
    func directions() {
        let pairs = [
            (there.tcp(1000, 80, [.syn]), back.tcp(80, 1000, [.syn, .ack])), (there.udp(1000, 80), back.udp(80, 1000)),
            (there.udp(1001, 80), back.udp(80, 1001)), (there6.udp(1000, 80), back6.udp(80, 1000)),
            (there.echoRequest(id: 7, seq: 1), back.echoReply(id: 7, seq: 2)),
            (there.echoRequest(id: 8, seq: 1), back.echoReply(id: 8, seq: 2)),
            (there6.echoRequest(id: 7, seq: 1), back6.echoReply(id: 7, seq: 2)),
            (there.upperLayer(47).payload([1]), back.upperLayer(47).payload([2])),
        ]
        for (one, other) in pairs {
            #expect(flow(one) != nil)
            #expect(flow(one) == flow(other))
        }
        #expect(Set(pairs.map { flow($0.0) }).count == pairs.count)
    }

    @Test("is that of the quoted packet for an ICMP error, whichever side or router sends it")
    func errors() {
        let segment = there.tcp(1000, 80, [.syn])
        #expect(flow(back.unreachable(code: 3, quoting: segment)) == flow(segment))
        let router = PacketBuilder.ipv4(from: "203.0.113.1", to: "198.51.100.9")
        #expect(flow(router.unreachable(code: 1, quoting: segment)) == flow(segment))
        let ping = there.echoRequest(id: 7, seq: 1)
        #expect(flow(router.unreachable(code: 1, quoting: ping)) == flow(ping))
        let datagram = there6.udp(1000, 80)
        #expect(flow(back6.unreachable(code: 4, quoting: datagram)) == flow(datagram))
    }

    @Test("is not 0 and fits what readers of JSON keep exactly; another run gives others, the same seed the same")
    func range() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<1000 {
            let source = IPAddress(v4: UInt32(truncatingIfNeeded: random.next()))
            let packet = PacketBuilder.ipv4(from: source, to: "192.0.2.10").udp(1, 2)
            let number = flow(packet) ?? 0
            #expect(number > 0 && number < 1 << 53)
            #expect(flow(packet, RecordResolver(host: nil, flowSeed: (1, 2))) == number)
            #expect(flow(packet, RecordResolver(host: nil, flowSeed: (1, 3))) != number)
        }
    }

    @Test("there is none where it is not known what the packet belongs to, nor for many packets")
    func unknown() {
        #expect(flow(there.udp(1, 2).payload(count: 100).fragment(64..<108)) == nil)
        let cutShort = event(.deny, there.tcp(1, 2, [.syn])) {
            ($0.headers.transport, $0.headers.sourcePort, $0.headers.destinationPort) = (.none, 0, 0)
        }
        #expect(bareResolver.fields(cutShort).flowID == nil)
        #expect(flow(.arpRequest(for: "192.0.2.1", from: "192.0.2.2")) == nil)
        var merged = MergedEvents()
        merged.merge(EventSummary(event(.deny)))
        let fields = bareResolver.fields(EventRecord(merged.summaries[0]))
        #expect(fields.flowID == nil && fields.communityID == nil)
    }
}
