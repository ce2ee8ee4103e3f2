// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import NetfilterQueue

@Suite("A message of the queue subsystem")
struct MessageParsingTests {
    @Test("gives every attribute in host byte order")
    func everyAttribute() {
        var message = NetlinkMessage(family: 10)
        message.addPacketHeader(id: 0x0102_0304, etherType: 0x86dd, hook: 3)
        message.add(.mark, 0xdead_beef)
        message.add(.timestamp, NetlinkMessage.bigEndian(UInt64(1_700_000_000)) + NetlinkMessage.bigEndian(UInt64(42)))
        message.add(.inInterface, 11)
        message.add(.outInterface, 12)
        message.add(.physicalInInterface, 13)
        message.add(.physicalOutInterface, 14)
        message.add(.hardwareAddress, [0, 6, 0, 0, 2, 4, 6, 8, 10, 12, 0, 0])
        message.add(.fullLength, 9_000)
        message.add(.skbInfo, 0b111)
        message.add(.uid, 1_000)
        message.add(.gid, 100)
        let tag = NetlinkMessage.attribute(1, [0x81, 0x00]) + NetlinkMessage.attribute(2, [0x20, 0x05])
        message.add(.vlan, tag, flags: 0x8000)
        message.add(.payload, [0x60, 1, 2, 3, 4])

        let parsed = ParsedMessage(message.bytes)
        let packet = parsed.attributes
        #expect(parsed.kind == .packet)
        #expect(packet.id == 0x0102_0304)
        #expect(packet.etherType == 0x86dd)
        #expect(packet.hook == 3)
        #expect(packet.family == 10)
        #expect(packet.mark == 0xdead_beef)
        #expect(packet.timestamp == 1_700_000_000_000_042_000)
        #expect(packet.inInterface == 11)
        #expect(packet.outInterface == 12)
        #expect(packet.physicalInInterface == 13)
        #expect(packet.physicalOutInterface == 14)
        #expect(packet.sourceMAC == 0x0204_0608_0a0c)
        #expect(packet.fullLength == 9_000)
        #expect(packet.checksumNotReady && packet.isSegmentationOffload && packet.checksumNotVerified)
        #expect(packet.senderUID == 1_000)
        #expect(packet.senderGID == 100)
        #expect(packet.vlanProtocol == 0x8100)
        #expect(packet.vlanControl == 0x2005)
        #expect(parsed.payload == [0x60, 1, 2, 3, 4])
    }

    @Test("without optional attributes says so in each")
    func nothingOptional() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 1)
        message.add(.payload, [0x45])
        let packet = ParsedMessage(message.bytes).attributes
        #expect(packet.senderUID == .max && packet.senderGID == .max)
        #expect(packet.timestamp == 0 && packet.mark == 0)
        #expect(packet.inInterface == 0 && packet.outInterface == 0)
        #expect(packet.sourceMAC == .max && packet.destinationMAC == .max)
        #expect(packet.vlanProtocol == 0 && packet.vlanControl == 0)
        #expect(packet.fullLength == 1 && packet.copiedLength == 1)
        #expect(!packet.checksumNotReady && !packet.isSegmentationOffload && !packet.checksumNotVerified)
    }

    @Test("each bit of the buffer's flags stands for itself", arguments: 0..<8 as Range<UInt32>)
    func skbFlags(bits: UInt32) {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 1)
        message.add(.skbInfo, bits)
        let packet = ParsedMessage(message.bytes).attributes
        #expect(packet.checksumNotReady == (bits & 1 != 0))
        #expect(packet.isSegmentationOffload == (bits & 2 != 0))
        #expect(packet.checksumNotVerified == (bits & 4 != 0))
    }

    @Test("that is cut anywhere is never read beyond its end, and keeps its id where that is complete")
    func cutAnywhere() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 77)
        message.add(.mark, 5)
        message.add(.hardwareAddress, [0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0])
        message.add(.vlan, NetlinkMessage.attribute(1, [0x81, 0]) + NetlinkMessage.attribute(2, [0, 5]))
        message.add(.payload, Array(0..<40))
        let whole = message.bytes
        let headerEnd = 16 + 4 + 4 + 7
        for length in 0..<whole.count {
            let parsed = ParsedMessage(Array(whole.prefix(length)))
            #expect(parsed.kind == (length < headerEnd ? .malformed : .packet), "\(length) bytes")
            if length >= headerEnd { #expect(parsed.attributes.id == 77) }
            #expect(parsed.payload.count <= max(0, length - (whole.count - 40)))
        }
    }

    @Test("whose payload claims more than is there gives what is there, and the claim as its full length")
    func payloadClaimsTooMuch() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.add(.payload, [1, 2, 3, 4], claiming: 0xffff)
        let parsed = ParsedMessage(message.bytes)
        #expect(parsed.kind == .packet)
        #expect(parsed.payload == [1, 2, 3, 4])
        #expect(parsed.attributes.fullLength == 0xffff - 4)
    }

    @Test("ends at an attribute that claims less than its own header", arguments: 0..<4 as Range<UInt16>)
    func attributeClaimsTooLittle(length: UInt16) {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.add(.mark, NetlinkMessage.bigEndian(UInt32(9)), claiming: length)
        message.add(.uid, 7)
        let parsed = ParsedMessage(message.bytes)
        #expect(parsed.kind == .packet)
        #expect(parsed.attributes.mark == 0 && parsed.attributes.senderUID == .max)
    }

    @Test("ignores a value that is too short for its type")
    func shortValues() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.add(.mark, [1, 2, 3])
        message.add(.timestamp, [UInt8](repeating: 1, count: 15))
        message.add(.hardwareAddress, [0, 6, 0, 0, 1, 2, 3, 4])
        message.add(.vlan, NetlinkMessage.attribute(1, [0x81]))
        let packet = ParsedMessage(message.bytes).attributes
        #expect(packet.mark == 0 && packet.timestamp == 0 && packet.sourceMAC == .max)
        #expect(packet.vlanProtocol == 0)
    }

    @Test("has a MAC only if it has six bytes, whatever it claims", arguments: [0, 6, 8, 9, 20, 0xffff])
    func hardwareAddressLength(claimed: UInt16) {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.add(.hardwareAddress, NetlinkMessage.bigEndian(claimed) + [0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
        let packet = ParsedMessage(message.bytes).attributes
        #expect(packet.sourceMAC == (claimed == 6 ? 0x0102_0304_0506 : .max))
    }

    @Test("of a bridge has both MACs, and its ports for its ways in and out")
    func bridge() {
        var message = NetlinkMessage(family: 7)
        message.addPacketHeader(id: 1, etherType: 0x0806, hook: 2)
        message.add(.inInterface, 3)
        message.add(.physicalInInterface, 4)
        message.add(.outInterface, 3)
        message.add(.physicalOutInterface, 5)
        message.add(.hardwareAddress, [0, 6, 0, 0, 2, 4, 6, 8, 10, 12, 0, 0])
        message.add(.linkHeader, [1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12, 8, 6])
        message.add(.payload, [0, 1])
        let packet = ParsedMessage(message.bytes).attributes
        #expect(packet.sourceMAC == 0x0204_0608_0a0c)
        #expect(packet.destinationMAC == 0x0103_0507_090b)
        #expect(packet.entrance == 4 && packet.exit == 5)
    }

    @Test("has no destination MAC if its link header is short or absent", arguments: [4, 6, 12, 13])
    func shortLinkHeader(length: Int) {
        var message = NetlinkMessage(family: 7)
        message.addPacketHeader(id: 1)
        message.add(.inInterface, 3)
        message.add(.linkHeader, [UInt8](repeating: 1, count: length))
        let packet = ParsedMessage(message.bytes).attributes
        #expect(packet.destinationMAC == .max && packet.sourceMAC == .max)
        #expect(packet.entrance == 3 && packet.exit == 0)
    }

    @Test("of a routed packet keeps the interfaces of its route, though it crossed a bridge")
    func routed() {
        var message = NetlinkMessage(family: 2)
        message.addPacketHeader(id: 1)
        message.add(.inInterface, 3)
        message.add(.physicalInInterface, 4)
        #expect(ParsedMessage(message.bytes).attributes.entrance == 3)
    }

    @Test("with a tag that claims more than its attribute holds stays inside it")
    func hostileTag() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.add(.vlan, NetlinkMessage.attribute(1, [0x88, 0xa8], claiming: 0xfff0))
        message.add(.mark, 3)
        let packet = ParsedMessage(message.bytes).attributes
        #expect(packet.vlanProtocol == 0x88a8)
        #expect(packet.mark == 3)
    }

    @Test("survives a time stamp of hostile size")
    func hostileTimestamp() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.add(.timestamp, [UInt8](repeating: 0xff, count: 16))
        #expect(ParsedMessage(message.bytes).kind == .packet)
    }

    @Test("is read no further than its header claims")
    func headerClaimsLess() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.claimedLength = UInt32(message.bytes.count)
        message.add(.mark, 3)
        #expect(ParsedMessage(message.bytes).attributes.mark == 0)
    }

    @Test("is read no further than it goes, whatever its header claims")
    func headerClaimsMore() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        message.claimedLength = .max
        #expect(ParsedMessage(message.bytes).kind == .packet)
    }

    @Test("without a packet header cannot be settled and is malformed")
    func noPacketHeader() {
        var message = NetlinkMessage()
        message.add(.payload, [0x45, 0, 0, 20])
        #expect(ParsedMessage(message.bytes).kind == .malformed)
    }

    @Test("may lack the packet itself: it can be settled all the same")
    func noPayload() {
        var message = NetlinkMessage()
        message.addPacketHeader(id: 5)
        let parsed = ParsedMessage(message.bytes)
        #expect(parsed.kind == .packet)
        #expect(parsed.payload.isEmpty && parsed.attributes.fullLength == 0)
    }

    @Test(
        "that refuses a verdict gives the reason, one that acknowledges gives 0", arguments: [0, 1, 2, 105] as [Int32])
    func reply(errno: Int32) {
        let message = NetlinkMessage(type: NetlinkMessage.errorType, body: NetlinkMessage.hostOrder(-errno))
        let parsed = ParsedMessage(message.bytes)
        #expect(parsed.kind == .reply)
        #expect(parsed.error == errno)
    }

    @Test(
        "that replies with a number that is no errno does not pass for an acknowledgement",
        arguments: [5, .min] as [Int32])
    func hostileReply(number: Int32) {
        let message = NetlinkMessage(type: NetlinkMessage.errorType, body: NetlinkMessage.hostOrder(number))
        #expect(ParsedMessage(message.bytes).error > 0)
    }

    @Test("that replies without a number is malformed")
    func emptyReply() {
        #expect(ParsedMessage(NetlinkMessage(type: 2, body: [0, 0]).bytes).kind == .malformed)
    }

    @Test("of another kind is left alone", arguments: [1, 3, 3 << 8 | 1, 1 << 8, 0xffff] as [UInt16])
    func otherKind(type: UInt16) {
        #expect(ParsedMessage(NetlinkMessage(type: type, body: [2, 0, 0, 0]).bytes).kind == .other)
    }

    @Test("of random bytes behind a valid header never reads beyond its end", arguments: 0..<32 as Range<UInt64>)
    func randomBytes(seed: UInt64) {
        var generator = SplitMix(state: seed)
        for _ in 0..<500 {
            var bytes = NetlinkMessage().bytes
            for _ in 0..<Int.random(in: 0..<120, using: &generator) {
                bytes.append(UInt8.random(in: 0...31, using: &generator))
            }
            let length = UInt32(bytes.count)
            bytes.replaceSubrange(0..<4, with: NetlinkMessage.hostOrder(length))
            let parsed = ParsedMessage(bytes)
            #expect(parsed.payload.count < bytes.count, "seed \(seed)")
        }
    }
}

/// A generator with a printable seed (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
