// SPDX-License-Identifier: GPL-3.0-or-later

/// The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, in each of which any number of interfaces with link types, snap
/// lengths and clocks of their own, as `mergecap` writes them.
struct BlockCapture {
    /// Of the block that begins a section; the same in both byte orders.
    static let magic: [UInt8] = [0x0a, 0x0d, 0x0d, 0x0a]

    private var bigEndian = false
    private var interfaces: [Interface] = []

    private struct Interface {
        var link: UInt16
        /// 0: no bound.
        var snapLength: UInt32
        var clock = Clock()
    }

    /// What a file's time stamps count.
    private struct Clock {
        /// Ticks in a second.
        var frequency: UInt64 = 1_000_000
        /// Seconds that are added.
        var offset: Int64 = 0

        /// In nanoseconds since 1970.
        func time(_ ticks: UInt64) -> Int64 {
            let (seconds, rest) = ticks.quotientAndRemainder(dividingBy: frequency)
            // Less than a second, so that it fits.
            let fraction = frequency.dividingFullWidth(rest.multipliedFullWidth(by: 1_000_000_000)).quotient
            return (Int64(truncatingIfNeeded: seconds) &+ offset) &* 1_000_000_000 &+ Int64(fraction)
        }
    }

    private enum Kind {
        static let section: UInt32 = 0x0a0d_0d0a
        static let interface: UInt32 = 1
        /// An older form of packets.
        static let packet: UInt32 = 2
        static let simplePacket: UInt32 = 3
        static let enhancedPacket: UInt32 = 6
    }

    private static let mostInterfaces = 65_536
    /// Of a block whose content matters; options and comments of a packet may be long.
    private static let mostBlockBytes = 16 << 20

    /// Nil at the end of the file.
    mutating func next(_ source: inout CaptureSource) throws(CaptureFault) -> FoundFrame? {
        while try source.hasMore() {
            try source.need(12, of: "a block")
            if (0..<4).allSatisfy({ source[$0] == Self.magic[$0] }) { try beginSection(source) }
            let kind = source.word(at: 0, bigEndian: bigEndian)
            let length = Int(source.word(at: 4, bigEndian: bigEndian))
            guard length >= 12, length.isMultiple(of: 4) else {
                throw .content("found a block of \(length) bytes, expected 12 at least, and a multiple of 4")
            }
            switch kind {
            case Kind.section, Kind.interface, Kind.packet, Kind.simplePacket, Kind.enhancedPacket:
                try whole(length, &source)
            default: break
            }
            switch kind {
            case Kind.section: try checkVersion(source, length)
            case Kind.interface: try addInterface(source, length)
            case Kind.packet, Kind.simplePacket, Kind.enhancedPacket: return try packet(kind, source, length)
            default: break
            }
            // What nobody asks for here may be of any length, and is not kept.
            let isThere: Bool
            do throws(CaptureError) { isThere = try source.skip(length) } catch { throw .source(error) }
            guard isThere else { throw .content("the file ends within a block; expected the whole file") }
        }
        return nil
    }

    /// The block is there, and says so at both of its ends.
    private func whole(_ length: Int, _ source: inout CaptureSource) throws(CaptureFault) {
        guard length <= Self.mostBlockBytes else {
            throw .content("found a block of \(length) bytes, expected \(Self.mostBlockBytes) at most")
        }
        try source.need(length, of: "a block")
        let last = Int(source.word(at: length - 4, bigEndian: bigEndian))
        guard last == length else {
            throw .content("found a block of \(length) bytes that says \(last) at its end, expected the same")
        }
    }

    /// Everything is of another section, byte order included.
    private mutating func beginSection(_ source: borrowing CaptureSource) throws(CaptureFault) {
        let mark = source.word(at: 8, bigEndian: true)
        guard mark == 0x1a2b_3c4d || mark.byteSwapped == 0x1a2b_3c4d else {
            throw .content("found a section without a byte order, expected 0x1a2b3c4d")
        }
        bigEndian = mark == 0x1a2b_3c4d
        interfaces = []
    }

    private func checkVersion(_ source: borrowing CaptureSource, _ length: Int) throws(CaptureFault) {
        guard length >= 28 else { throw .content("found a section header of \(length) bytes, expected 28 at least") }
        let major = source.half(at: 12, bigEndian: bigEndian)
        guard major == 1 else { throw .content("found version \(major) of pcapng, expected 1") }
    }

    private mutating func addInterface(_ source: borrowing CaptureSource, _ length: Int) throws(CaptureFault) {
        guard length >= 20 else { throw .content("found an interface of \(length) bytes, expected 20 at least") }
        guard interfaces.count < Self.mostInterfaces else {
            throw .content("found more than \(Self.mostInterfaces) interfaces, expected fewer")
        }
        var interface = Interface(
            link: source.half(at: 8, bigEndian: bigEndian), snapLength: source.word(at: 12, bigEndian: bigEndian))
        var place = 16
        while place + 4 <= length - 4 {
            let code = source.half(at: place, bigEndian: bigEndian)
            let size = Int(source.half(at: place + 2, bigEndian: bigEndian))
            guard code != 0, place + 4 + size <= length - 4 else { break }
            switch (code, size) {
            case (9, 1): interface.clock.frequency = try Self.frequency(source[place + 4])
            case (14, 8):
                interface.clock.offset = Int64(bitPattern: source.number(at: place + 4, 8, bigEndian: bigEndian))
            default: break
            }
            place += 4 + (size + 3) / 4 * 4
        }
        interfaces.append(interface)
    }

    /// Ticks in a second: a power of ten, or of two with the highest bit.
    private static func frequency(_ resolution: UInt8) throws(CaptureFault) -> UInt64 {
        let power = resolution & 0x7f
        if resolution & 0x80 != 0, power < 64 { return 1 << UInt64(power) }
        guard resolution & 0x80 == 0, power < 20 else {
            throw .content("found a clock of resolution \(resolution), expected 0 to 19, or 128 to 191")
        }
        return (0..<power).reduce(1) { value, _ in value * 10 }
    }

    private func packet(
        _ kind: UInt32, _ source: borrowing CaptureSource, _ length: Int
    ) throws(CaptureFault) -> FoundFrame {
        let head = kind == Kind.simplePacket ? 12 : 28
        guard length >= head + 4 else {
            throw .content("found a packet's block of \(length) bytes, expected \(head + 4) at least")
        }
        let number: Int =
            switch kind {
            case Kind.simplePacket: 0
            case Kind.packet: Int(source.half(at: 8, bigEndian: bigEndian))
            default: Int(source.word(at: 8, bigEndian: bigEndian))
            }
        guard number < interfaces.count else {
            throw .content(
                "found a packet of interface \(number), expected one of \(interfaces.count) that were described")
        }
        let interface = interfaces[number]
        var found = FoundFrame(
            offset: head, count: 0, whole: length, fullLength: source.word(at: head - 4, bigEndian: bigEndian), time: 0,
            link: interface.link)
        if kind == Kind.simplePacket {
            // It says its length on the wire alone, and no time.
            let bound = interface.snapLength == 0 ? UInt32.max : interface.snapLength
            found.count = min(Int(min(found.fullLength, bound)), length - head - 4)
        } else {
            found.count = Int(source.word(at: 20, bigEndian: bigEndian))
            let ticks =
                UInt64(source.word(at: 12, bigEndian: bigEndian)) << 32
                | UInt64(source.word(at: 16, bigEndian: bigEndian))
            found.time = interface.clock.time(ticks)
        }
        guard found.count <= min(CaptureFile.mostFrameBytes, length - head - 4) else {
            throw .content(
                "found \(found.count) captured bytes in a block of \(length), expected no more than it has, and "
                    + "\(CaptureFile.mostFrameBytes) at most")
        }
        return found
    }
}
