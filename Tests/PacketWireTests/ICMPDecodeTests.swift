// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("ICMP and ICMPv6")
struct ICMPDecodeTests {
    let v4 = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
    let back4 = PacketBuilder.ipv4(from: "203.0.113.1", to: "198.18.0.1")
    let v6 = PacketBuilder.ipv6(from: "fd00::1", to: "fd00::2")
    let back6 = PacketBuilder.ipv6(from: "fd00::ffff", to: "fd00::1")

    @Test(
        "queries and replies have identifier and sequence number", arguments: [0, 8, 13, 14, 15, 16, 17, 18] as [UInt8])
    func queries(type: UInt8) {
        let headers = v4.icmpQuery(type, id: 0x1234, seq: 0x5678).headers
        #expect(headers.transport == .icmp)
        #expect(headers.icmp.type == type)
        #expect(headers.icmp.identifier == 0x1234)
        #expect(headers.icmp.sequence == 0x5678)
        #expect(!headers.icmp.isError)
    }

    @Test("ICMPv6 echo has identifier and sequence number", arguments: [128, 129] as [UInt8])
    func queriesV6(type: UInt8) {
        let headers = v6.icmpQuery(type, id: 0x1234, seq: 0x5678).headers
        #expect(headers.transport == .icmpv6)
        #expect(headers.icmp.type == type)
        #expect(headers.icmp.identifier == 0x1234)
        #expect(headers.icmp.sequence == 0x5678)
    }

    @Test("other messages have neither", arguments: [6, 9, 10, 19, 30, 42, 255] as [UInt8])
    func otherMessages(type: UInt8) {
        let headers = v4.icmp(type, code: 4, rest: 0x1234_5678).payload(count: 40).headers
        #expect(headers.icmp.type == type)
        #expect(headers.icmp.code == 4)
        #expect(headers.icmp.identifier == 0 && headers.icmp.sequence == 0)
        #expect(!headers.icmp.isError)
        #expect(headers.quoted.network == .none)
    }

    @Test("other ICMPv6 messages have neither", arguments: [0, 5, 127, 130, 133, 134, 135, 136, 138, 143] as [UInt8])
    func otherMessagesV6(type: UInt8) {
        let headers = v6.icmp(type, rest: 0x1234_5678).payload(count: 40).headers
        #expect(headers.icmp.type == type)
        #expect(headers.icmp.identifier == 0 && headers.icmp.sequence == 0)
        #expect(!headers.icmp.isError)
    }

    @Test("every error quotes", arguments: [3, 4, 5, 11, 12] as [UInt8])
    func errors(type: UInt8) {
        let headers = back4.icmpError(type, code: 1, quoting: v4.tcp(40_000, 80, [.syn], seq: 0xfeed_beef)).headers
        #expect(headers.icmp.isError)
        #expect(headers.icmp.type == type && headers.icmp.code == 1)
        #expect(headers.source == "203.0.113.1")
        #expect(headers.quoted.network == .ipv4)
        #expect(headers.quoted.source == "198.18.0.1")
        #expect(headers.quoted.destination == "198.18.0.2")
        #expect(headers.quoted.transport == .tcp)
        #expect(headers.quoted.protocolNumber == 6)
        #expect(headers.quoted.sourcePort == 40_000)
        #expect(headers.quoted.destinationPort == 80)
        #expect(headers.quoted.tcpSequence == 0xfeed_beef)
    }

    @Test("so does a redirect of IPv6, in one of its options, if it has it")
    func redirectV6() {
        let headers = back6.redirect(quoting: v6.udp(40_000, 53)).headers
        #expect(headers.icmp.isError)
        #expect(headers.quoted.source == "fd00::1" && headers.quoted.destination == "fd00::2")
        #expect(headers.quoted.sourcePort == 40_000 && headers.quoted.isLongEnough)
        #expect(back6.redirect(quoting: nil).headers.quoted.network == .none)
        // An option of no length ends the search.
        #expect(back6.icmp(137).payload([UInt8](repeating: 0, count: 200)).headers.quoted.network == .none)
    }

    @Test("a quotation is long enough with eight bytes after its header, and no sooner")
    func lengthOfQuotations() {
        for (back, quoted, header) in [(back4, v4, 20), (back6, v6, 40)] {
            let whole = quoted.upperLayer(47).payload(count: 30)
            for (bytes, isEnough) in [(header - 1, false), (header, false), (header + 7, false), (header + 8, true)] {
                #expect(back.timeExceeded(quoting: whole, bytes: bytes).headers.quoted.isLongEnough == isEnough)
            }
        }
    }

    @Test("every ICMPv6 error quotes", arguments: [1, 2, 3, 4] as [UInt8])
    func errorsV6(type: UInt8) {
        let headers = back6.icmpError(type, quoting: v6.tcp(40_000, 80, [.syn], seq: 0xfeed_beef)).headers
        #expect(headers.icmp.isError)
        #expect(headers.quoted.network == .ipv6)
        #expect(headers.quoted.source == "fd00::1")
        #expect(headers.quoted.destination == "fd00::2")
        #expect(headers.quoted.transport == .tcp)
        #expect(headers.quoted.sourcePort == 40_000)
        #expect(headers.quoted.destinationPort == 80)
        #expect(headers.quoted.tcpSequence == 0xfeed_beef)
    }

    @Test("a quoted UDP datagram has its ports, a quoted query its identifier")
    func quotedKinds() {
        let udp = back4.unreachable(code: 3, quoting: v4.ipOptions([1, 1, 1, 0]).udp(5353, 53)).headers.quoted
        #expect(udp.transport == .udp)
        #expect(udp.sourcePort == 5353 && udp.destinationPort == 53)
        #expect(udp.tcpSequence == 0)
        let echo = back4.timeExceeded(quoting: v4.echoRequest(id: 7, seq: 9)).headers.quoted
        #expect(echo.transport == .icmp)
        #expect(echo.icmp.type == 8 && echo.icmp.identifier == 7 && echo.icmp.sequence == 9)
        #expect(echo.sourcePort == 0)
        let echo6 = back6.timeExceeded(quoting: v6.echoRequest(id: 7, seq: 9)).headers.quoted
        #expect(echo6.transport == .icmpv6)
        #expect(echo6.icmp.type == 128 && echo6.icmp.identifier == 7)
    }

    @Test("the quoted chain of extension headers is stepped over")
    func quotedChain() {
        let quoted = v6.hopByHop().destinationOptions().authentication().udp(5353, 53)
        let headers = back6.timeExceeded(quoting: quoted).headers
        #expect(headers.quoted.transport == .udp)
        #expect(headers.quoted.protocolNumber == 17)
        #expect(headers.quoted.destinationPort == 53)
        #expect(!headers.hasRoutingHeaderZero)
    }

    @Test("a quoted later fragment has no ports, a quoted first one has")
    func quotedFragments() {
        for parts in [v4.udp(5353, 53).payload(count: 100), v6.udp(5353, 53).payload(count: 100)].map({
            $0.fragmented(at: 48)
        }) {
            let back = parts[0].headers.network == .ipv4 ? back4 : back6
            let first = back.timeExceeded(quoting: parts[0]).headers
            #expect(first.quoted.transport == .udp && !first.quoted.isLaterFragment)
            #expect(!first.fragment.isFragment)
            let later = back.timeExceeded(quoting: parts[1]).headers
            #expect(later.quoted.transport == .none && later.quoted.isLaterFragment)
            #expect(later.quoted.network == first.quoted.network)
        }
    }

    @Test("a quoted error, and a quoted message that is no query, has no transport")
    func quotedError() {
        let inner = v4.unreachable(code: 3, quoting: back4.udp(1, 2))
        let headers = back4.timeExceeded(quoting: inner, bytes: 56).headers
        #expect(headers.quoted.network == .ipv4)
        #expect(headers.quoted.protocolNumber == 1)
        #expect(headers.quoted.transport == .none && headers.quoted.isError)
        #expect(!back6.unreachable(code: 3, quoting: v6.icmp(135).payload(count: 16)).headers.quoted.isError)
        #expect(
            back6.unreachable(code: 3, quoting: v6.unreachable(code: 4, quoting: v6.udp(1, 2))).headers.quoted.isError)
        #expect(back6.unreachable(code: 3, quoting: v6.icmp(135).payload(count: 16)).headers.quoted.transport == .none)
    }

    @Test("an error that quotes too little, or nonsense, is an error without a quote, and no malformation")
    func poorQuotes() {
        let segment = v4.tcp(1, 2, [.ack])
        #expect(back4.unreachable(code: 3, quoting: segment, bytes: 0).headers.quoted.network == .none)
        #expect(back4.unreachable(code: 3, quoting: segment, bytes: 19).headers.quoted.network == .none)
        let seven = back4.unreachable(code: 3, quoting: segment, bytes: 27).headers.quoted
        #expect(seven.network == .ipv4 && seven.transport == .none && seven.protocolNumber == 6)
        #expect(back4.unreachable(code: 3, quoting: segment.version(6)).headers.quoted.network == .none)
        #expect(back4.unreachable(code: 3, quoting: segment.headerLength(words: 4)).headers.quoted.network == .none)
        #expect(back4.unreachable(code: 3, quoting: segment.headerLength(words: 15)).headers.quoted.transport == .none)
        #expect(back4.unreachable(code: 3, quoting: v6.udp(1, 2), bytes: 48).headers.quoted.network == .none)
        #expect(back6.unreachable(code: 3, quoting: v4.udp(1, 2).payload(count: 60)).headers.quoted.network == .none)
        #expect(back6.unreachable(code: 3, quoting: v6.udp(1, 2), bytes: 39).headers.quoted.network == .none)
        let chain = back6.unreachable(code: 3, quoting: v6.destinationOptions().udp(1, 2), bytes: 44).headers
        #expect(chain.quoted.network == .ipv6 && chain.quoted.transport == .none && !chain.isCut)
        let loop = (0..<17).reduce(v6.udp(1, 2)) { packet, _ in packet.destinationOptions() }
        #expect(back6.unreachable(code: 3, quoting: loop).headers.quoted.transport == .none)
    }

    @Test("a quote that the copy cut is marked, one that the sender cut is not")
    func cutQuote() throws {
        let bytes = back4.unreachable(code: 3, quoting: v4.tcp(1, 2, [.ack])).bytes
        let headers = try PacketHeaders(decoding: Array(bytes.prefix(50)), fullLength: bytes.count)
        #expect(headers.isCut)
        #expect(headers.quoted.network == .ipv4)
        #expect(headers.quoted.transport == .none)
        #expect(!back4.unreachable(code: 3, quoting: v4.tcp(1, 2, [.ack]), bytes: 22).headers.isCut)
    }
}
