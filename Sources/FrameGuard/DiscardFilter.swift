// SPDX-License-Identifier: GPL-3.0-or-later

package import CFrameShim

/// The classic BPF programs that accept a received frame only if the kernel discards it before any hook: for what `ip_rcv` and
/// `ip6_rcv` find wrong with the IP header, and what a reason stands for. A good frame costs some forty instructions.
///
/// They look at the frame from its network header on, of whatever EtherType: some kernels show them all. Frames for other hosts,
/// and those of a loopback device, are none of theirs. A merged segment of more than 65,535 bytes says legally that it has none
/// (BIG TCP).
package enum DiscardFilter {
    /// For EtherType 0x0800 (RFC 791 section 3.1).
    package static let ipv4: [cframe_instruction] = {
        var program = BPFProgram()
        program.passOverForeign(but: FrameSocket.Family.ipv4.etherType)
        program.acceptShorter(than: IPv4.header)
        program.acceptOther(version: 4)
        program.load(byte: 0)
        program.and(0xf)
        program.accept(unlessAtLeast: IPv4.header / 4)
        // Header length beyond the frame, or beyond the total length; total length beyond the frame.
        program.loadHeaderLengthToX()
        program.loadFrameLength()
        program.acceptBelowX()
        program.load(half: IPv4.totalLength)
        program.acceptTotalBelowX()
        program.load(half: IPv4.totalLength)
        program.moveToX()
        program.loadFrameLength()
        program.acceptBelowX()
        program.acceptWrongHeaderChecksum()
        return program.instructions
    }()

    /// For EtherType 0x86dd (RFC 8200 section 3).
    package static let ipv6: [cframe_instruction] = {
        var program = BPFProgram()
        program.passOverForeign(but: FrameSocket.Family.ipv6.etherType)
        program.acceptShorter(than: IPv6.header)
        program.acceptOther(version: 6)
        program.load(byte: IPv6.source)
        program.accept(if: 0xff)
        program.load(half: IPv6.payloadLength)
        program.add(IPv6.header)
        program.moveToX()
        program.loadFrameLength()
        program.acceptBelowX()
        program.acceptLoopback(at: IPv6.source)
        program.acceptLoopback(at: IPv6.destination)
        program.end()
        return program.instructions
    }()

    private enum IPv4 {
        static let header: UInt32 = 20
        static let totalLength: UInt32 = 2
    }

    private enum IPv6 {
        static let header: UInt32 = 40
        static let payloadLength: UInt32 = 4
        static let source: UInt32 = 8
        static let destination: UInt32 = 24
    }
}

/// A program under construction. Each test returns at once where it holds, so that every jump goes over a few instructions.
private struct BPFProgram {
    var instructions: [cframe_instruction] = []

    private enum Code {
        static let loadWord: UInt16 = 0x20
        static let loadHalf: UInt16 = 0x28
        static let loadByte: UInt16 = 0x30
        static let loadLength: UInt16 = 0x80
        /// Four times the lower half of a byte.
        static let loadHeaderLengthToX: UInt16 = 0xb1
        static let setX: UInt16 = 0x01
        static let loadXFromMemory: UInt16 = 0x61
        static let store: UInt16 = 0x02
        static let add: UInt16 = 0x04
        static let addX: UInt16 = 0x0c
        static let and: UInt16 = 0x54
        static let shiftRight: UInt16 = 0x74
        static let moveToX: UInt16 = 0x07
        static let moveFromX: UInt16 = 0x87
        static let jumpIfEqual: UInt16 = 0x15
        static let jumpIfAbove: UInt16 = 0x25
        static let jumpUnlessBelow: UInt16 = 0x35
        static let jumpUnlessBelowX: UInt16 = 0x3d
        static let `return`: UInt16 = 0x06
    }
    /// SKF_AD_OFF with SKF_AD_PROTOCOL, SKF_AD_PKTTYPE, SKF_AD_HATYPE and SKF_AD_VLAN_TAG (linux/filter.h).
    private static let etherType: UInt32 = 0xffff_f000
    private static let vlanTag: UInt32 = 0xffff_f000 + 44
    private static let packetType: UInt32 = 0xffff_f000 + 4
    private static let linkType: UInt32 = 0xffff_f000 + 28
    /// PACKET_HOST, PACKET_BROADCAST and PACKET_MULTICAST are below it.
    private static let otherHost: UInt32 = 3
    /// ARPHRD_LOOPBACK
    private static let loopback: UInt32 = 772
    /// The whole frame.
    private static let accepted: UInt32 = 0x4_0000

    private mutating func emit(_ code: UInt16, _ operand: UInt32 = 0, then: Int = 0, otherwise: Int = 0) {
        instructions.append(
            cframe_instruction(code: code, jump_true: UInt8(then), jump_false: UInt8(otherwise), operand: operand))
    }

    mutating func load(byte offset: UInt32) { emit(Code.loadByte, offset) }
    mutating func load(half offset: UInt32) { emit(Code.loadHalf, offset) }
    mutating func loadFrameLength() { emit(Code.loadLength) }
    mutating func loadHeaderLengthToX() { emit(Code.loadHeaderLengthToX) }
    mutating func moveToX() { emit(Code.moveToX) }
    mutating func and(_ mask: UInt32) { emit(Code.and, mask) }
    mutating func add(_ number: UInt32) { emit(Code.add, number) }
    /// Of what was not accepted so far.
    mutating func end() { emit(Code.return, 0) }

    mutating func accept(if value: UInt32) {
        emit(Code.jumpIfEqual, value, otherwise: 1)
        emit(Code.return, Self.accepted)
    }

    mutating func accept(unlessAtLeast least: UInt32) {
        emit(Code.jumpUnlessBelow, least, then: 1)
        emit(Code.return, Self.accepted)
    }

    mutating func acceptBelowX() {
        emit(Code.jumpUnlessBelowX, then: 1)
        emit(Code.return, Self.accepted)
    }

    /// A frame of a VLAN is seen again at the interface of that, as the kernel's own.
    mutating func passOverForeign(but etherType: UInt16) {
        emit(Code.loadHalf, Self.etherType)
        emit(Code.jumpIfEqual, UInt32(etherType), then: 1)
        end()
        emit(Code.loadHalf, Self.vlanTag)
        and(0xfff)
        emit(Code.jumpIfEqual, 0, then: 1)
        end()
        emit(Code.loadHalf, Self.linkType)
        emit(Code.jumpIfEqual, Self.loopback, otherwise: 1)
        end()
        emit(Code.loadByte, Self.packetType)
        emit(Code.jumpUnlessBelow, Self.otherHost, otherwise: 1)
        end()
    }

    mutating func acceptShorter(than header: UInt32) {
        loadFrameLength()
        accept(unlessAtLeast: header)
    }

    mutating func acceptOther(version: UInt32) {
        load(byte: 0)
        emit(Code.shiftRight, 4)
        emit(Code.jumpIfEqual, version, then: 1)
        emit(Code.return, Self.accepted)
    }

    /// A total length below the header length in X, but for 0 of a frame that is longer than any could say.
    mutating func acceptTotalBelowX() {
        emit(Code.jumpUnlessBelowX, then: 4)
        emit(Code.jumpIfEqual, 0, otherwise: 2)
        loadFrameLength()
        emit(Code.jumpIfAbove, 0xffff, then: 1)
        emit(Code.return, Self.accepted)
    }

    /// ::1
    mutating func acceptLoopback(at offset: UInt32) {
        for (place, word) in [UInt32(0), 0, 0, 1].enumerated() {
            emit(Code.loadWord, offset + 4 * UInt32(place))
            // Over what is left of this test.
            emit(Code.jumpIfEqual, word, otherwise: 2 * (3 - place) + 1)
        }
        emit(Code.return, Self.accepted)
    }

    /// The one's complement sum over a header is 0xffff (RFC 1071). Up to thirty halves cannot overflow 32 bits, and two folds
    /// leave no carry.
    mutating func acceptWrongHeaderChecksum() {
        emit(Code.setX, 0)
        for half in UInt32(0)..<10 { addToX(half: half) }
        for word in UInt32(5)..<15 {
            load(byte: 0)
            and(0xf)
            // Over this word's six instructions and the tests of the words behind it.
            emit(Code.jumpIfAbove, word, otherwise: 6 + 9 * Int(14 - word))
            addToX(half: 2 * word)
            addToX(half: 2 * word + 1)
        }
        emit(Code.moveFromX)
        fold()
        fold()
        emit(Code.jumpIfEqual, 0xffff, then: 1)
        emit(Code.return, Self.accepted)
        end()
    }

    private mutating func addToX(half: UInt32) {
        load(half: 2 * half)
        emit(Code.addX)
        moveToX()
    }

    private mutating func fold() {
        moveToX()
        emit(Code.shiftRight, 16)
        emit(Code.store)
        emit(Code.moveFromX)
        and(0xffff)
        emit(Code.loadXFromMemory)
        emit(Code.addX)
    }
}
