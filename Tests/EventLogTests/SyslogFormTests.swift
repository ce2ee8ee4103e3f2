// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport
import Testing

@testable import EventLog

@Suite("Messages of syslog")
struct SyslogFormTests {
    private let remote = RemoteEndpoint(host: "192.0.2.1", port: 514)

    private func message(
        _ fields: RecordFields, _ target: SyslogTarget? = nil, sequence: UInt64 = 1,
        _ change: (inout SyslogSettings) -> Void = { _ in }
    ) -> String {
        var settings = SyslogSettings(target ?? .udp(remote))
        settings.format = .json
        change(&settings)
        var text: [UInt8] = []
        SyslogForm(settings).append(fields, at: RecordPlace(sequence: sequence), to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    private var fields: RecordFields { someResolver().fields(event(.deny)) }

    private func json(_ fields: RecordFields, sequence: UInt64 = 1) -> String {
        var text: [UInt8] = []
        EventFormat.json.append(fields, at: RecordPlace(sequence: sequence), to: &text)
        return String(decoding: text.dropLast(), as: UTF8.self)
    }

    @Test("header, structured data and text, each as RFC 5424 has it")
    func header() {
        let expected =
            "<132>1 2026-11-21T09:15:02.000000Z web-01 portreeve \(getpid()) deny "
            + "[origin software=\"Portreeve\" swVersion=\"\(Release.version)\"][meta sequenceId=\"1\"] "
        #expect(message(fields) == expected + json(fields))
    }

    @Test("facility, severity, name and mark of the byte order follow the settings; severity else follows the event")
    func settings() {
        let all = message(fields) {
            $0.facility = .authpriv
            $0.severity = .error
            $0.appName = "wall"
            $0.hasByteOrderMark = true
        }
        #expect(all.hasPrefix("<83>1 ") && all.contains(" web-01 wall "))
        #expect(all.contains("\"] \u{feff}{"))
        let resolver = someResolver()
        #expect(message(resolver.fields(event(.portScan, action: .notice))).hasPrefix("<132>"))
        #expect(message(resolver.fields(event(.logOnly, action: .logOnly))).hasPrefix("<134>"))
    }

    @Test("a host without a printable name is nil, and a long one is cut")
    func host() {
        #expect(message(bareResolver.fields(event(.deny))).contains("000000Z - portreeve"))
        var resolver = bareResolver
        resolver.host = "a b\u{e9}" + String(repeating: "c", count: 300)
        let expected = "Z ab" + String(repeating: "c", count: 253) + " portreeve"
        #expect(message(resolver.fields(event(.deny))).contains(expected))
    }

    @Test("every reason's name fits MSGID")
    func identifiers() {
        for reason in DropReason.allCases {
            #expect(1...32 ~= reason.row.slug.utf8.count && reason.row.slug.utf8.allSatisfy { 0x21...0x7e ~= $0 })
        }
    }

    @Test("the number of the message goes round below 2^31")
    func sequence() {
        #expect(message(fields, sequence: 0x7fff_ffff).contains("sequenceId=\"2147483647\""))
        #expect(message(fields, sequence: 0x8000_0000).contains("sequenceId=\"1\""))
    }

    @Test("streams have the length in front, Unix sockets NUL behind, datagrams neither")
    func framing() {
        let plain = message(fields)
        #expect(message(fields, .tcp(remote)) == "\(plain.utf8.count) \(plain)")
        #expect(message(fields, .tls(remote)) == "\(plain.utf8.count) \(plain)")
        #expect(message(fields, .local(path: "/dev/log")) == plain + "\0")
    }

    @Test("what is too long loses the packet first, then its texts, and what is left is cut at a whole character")
    func long() {
        var one = event(.deny) {
            $0.rule = 0
            $0.policyEpoch = 4
        }
        one.remedy = CauseSet()
        let record = EventRecord(EventSummary(one), packet: Array(repeating: 7, count: 1500))
        let fields = someResolver().fields(record)
        #expect(message(fields).contains("\"packet\":"))
        let whole = message(fields)
        let shorter = message(fields) { $0.messageSize = UInt32(whole.utf8.count - 1) }
        #expect(!shorter.contains("\"packet\":") && shorter.hasSuffix("}"))
        for size in UInt32(480)..<600 {
            let cut = message(fields) {
                $0.messageSize = size
                $0.appName = "x"
            }
            #expect(cut.utf8.count <= Int(size) && !cut.contains("\u{fffd}"))
        }
    }
}

@Suite("Events of the outputs' own packets")
struct OwnPeersTests {
    private let peers = OwnPeers()

    private func fields(_ packet: PacketBuilder, _ direction: Direction) -> RecordFields {
        bareResolver.fields(event(.deny, packet) { $0.metadata.direction = direction })
    }

    private func datagram(to destination: IPAddress, _ port: UInt16) -> PacketBuilder {
        .ipv4(from: "192.0.2.10", to: destination).udp(40_000, port)
    }

    init() {
        peers.add([.init(address: IPAddress(v4: 0xc000_0201), port: 514, protocolNumber: 17)], of: "a")
        peers.add([.init(address: IPAddress(v4: 0xc000_0201), port: 601, protocolNumber: 6)], of: "b")
    }

    @Test("are those to a receiver, and TCP from one")
    func own() {
        #expect(peers.concern(fields(datagram(to: "192.0.2.1", 514), .outgoing)))
        let answer = PacketBuilder.ipv4(from: "192.0.2.1", to: "192.0.2.10").tcp(601, 40_000, [.ack], seq: 1)
        #expect(peers.concern(fields(answer, .incoming)))
    }

    @Test("are not those to another port, host or protocol, nor datagrams that claim to come from one")
    func others() {
        #expect(!peers.concern(fields(datagram(to: "192.0.2.1", 515), .outgoing)))
        #expect(!peers.concern(fields(datagram(to: "192.0.2.2", 514), .outgoing)))
        #expect(!peers.concern(fields(datagram(to: "192.0.2.1", 601), .outgoing)))
        let claimed = PacketBuilder.ipv4(from: "192.0.2.1", to: "192.0.2.10").udp(514, 40_000)
        #expect(!peers.concern(fields(claimed, .incoming)))
        #expect(!OwnPeers().concern(fields(datagram(to: "192.0.2.1", 514), .outgoing)))
    }
}
