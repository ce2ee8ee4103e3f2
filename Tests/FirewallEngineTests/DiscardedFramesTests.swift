// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import PolicyFile
import TestSupport
import Testing

@Suite("What the kernel discards before any hook is told of by its reason, and what is whole is not")
struct DiscardedFramesTests {
    private static let v4 = PacketBuilder.ipv4(from: .peer, to: .host).udp(1, 2).payload("datagram")
    private static let v6 = PacketBuilder.ipv6(from: .peer6, to: .host6).udp(1, 2).payload("datagram")
    private static func from6(_ source: IPAddress, to destination: IPAddress = .host6) -> PacketBuilder {
        PacketBuilder.ipv6(from: source, to: destination).udp(1, 2)
    }

    static let frames: [(reason: DropReason, cause: Cause, type: UInt16, bad: [UInt8], good: [UInt8])] = [
        (.invalidIPDatagramLength, .malformed, 0x0800, v4.totalLength(37).bytes, v4.bytes),
        (.ipVersionUnknown, .malformed, 0x0800, v4.version(5).bytes, v4.bytes),
        (.ipVersionUnknown, .malformed, 0x86dd, v6.version(5).bytes, v6.bytes),
        (.unreadableIPv4Header, .malformed, 0x0800, v4.cut(to: 19), v4.bytes),
        (.unreadableIPv4Header, .malformed, 0x0800, v4.totalLength(19).bytes, v4.bytes),
        (.unknownIPVersion, .malformed, 0x0800, v6.bytes, v4.bytes),
        (.unknownIPVersion, .malformed, 0x86dd, v4.bytes, v6.bytes),
        (.invalidChecksum, .headerChecksum, 0x0800, v4.headerChecksum(1).bytes, v4.bytes),
        (.ipv6SourceIsMulticast, .multicastSource, 0x86dd, from6("ff02::1").bytes, from6("fe80::1").bytes),
        (.invalidIPv6Address, .ipv6Bogon, 0x86dd, from6("::1").bytes, from6("2001:db8::1").bytes),
        (.invalidIPv6Address, .ipv6Bogon, 0x86dd, from6(.peer6, to: "::1").bytes, from6(.peer6, to: "::2").bytes),
        (.invalidIPHeaderLength, .malformed, 0x0800, v4.headerLength(words: 4).bytes, v4.bytes),
        (.unreadableIPv6Header, .malformed, 0x86dd, v6.payloadLength(17).bytes, v6.bytes),
        (.unreadableIPv6Header, .malformed, 0x86dd, v6.cut(to: 39), v6.bytes),
    ]

    static func event(
        of bytes: [UInt8], type: UInt16, policy yaml: String = "", on interface: UInt32 = 2
    ) throws -> (event: Event?, frames: DiscardedFrames) {
        let policy = try EngineUnderTest.policy(yaml, epoch: 3)
        var frames = DiscardedFrames(policy, interfaces: EngineUnderTest.interfaces(policy))
        var metadata = PacketMetadata()
        metadata.hook = .none
        metadata.inInterface = interface
        metadata.etherType = type
        metadata.fullLength = UInt32(bytes.count)
        let event = unsafe frames.event(of: bytes.span.bytes, metadata, at: ManualClock().now)
        return (event, frames)
    }

    @Test("By reason and cause", arguments: frames.indices)
    func tells(_ place: Int) throws {
        let (reason, cause, type, bad, good) = Self.frames[place]
        let event = try #require(try Self.event(of: bad, type: type).event)
        #expect(event.reason == reason && event.cause == cause && event.action == .observed)
        #expect(event.remedy.isEmpty && event.policyEpoch == 3)
        #expect(event.note == (reason == .invalidChecksum ? .ipHeader : .none))
        #expect(reason.causes.contains(cause))
        #expect(try Self.event(of: good, type: type).event == nil)
    }

    @Test("Not of an interface that is ignored, nor what a setting silences")
    func silent() throws {
        let bad = Self.v4.totalLength(37).bytes
        #expect(try Self.event(of: bad, type: 0x0800, policy: "interfaces: { ignore: [eth0] }").event == nil)
        #expect(try Self.event(of: bad, type: 0x0800, policy: "interfaces: { ignore: [eth1] }").event != nil)
        let (event, frames) = try Self.event(
            of: bad, type: 0x0800, policy: "events: { ignore: [invalid-ip-datagram-length] }")
        #expect(event == nil)
        #expect(frames.silenced[Int(DropReason.invalidIPDatagramLength.rawValue)] == 1)
    }

    @Test("Observed, whatever the mode and the failure settings")
    func modes() throws {
        for policy in ["mode: tap", "failure: { sanity: open }"] {
            let event = try #require(
                try Self.event(of: Self.v4.totalLength(37).bytes, type: 0x0800, policy: policy).event)
            #expect(event.action == .observed)
        }
    }
}
