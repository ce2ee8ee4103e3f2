// SPDX-License-Identifier: GPL-3.0-or-later

/// The blocks of a capture file (draft-ietf-opsawg-pcapng), in this host's order of bytes as the format wants it.
enum PCAPNG {
    /// LINKTYPE_ETHERNET, LINKTYPE_RAW.
    enum Link: UInt16 { case ethernet = 1, raw = 101 }

    static let sectionType: UInt32 = 0x0a0d_0d0a
    private static let interfaceType: UInt32 = 1
    private static let packetType: UInt32 = 6
    static let orderMagic: UInt32 = 0x1a2b_3c4d

    static func appendSection(program: String, to text: inout [UInt8]) {
        appendBlock(sectionType, to: &text) { text in
            append(orderMagic, to: &text)
            // Version 1.0, of a length that is not said.
            append(UInt16(1), to: &text)
            append(UInt16(0), to: &text)
            append(UInt64.max, to: &text)
            appendOption(4, Array(program.utf8), to: &text)
        }
    }

    static func appendInterface(_ name: String, _ link: Link, to text: inout [UInt8]) {
        appendBlock(interfaceType, to: &text) { text in
            append(link.rawValue, to: &text)
            append(UInt16(0), to: &text)
            append(UInt32(0), to: &text)
            appendOption(2, Array(name.utf8), to: &text)
            // Nanoseconds.
            appendOption(9, [9], to: &text)
        }
    }

    /// - Parameters:
    ///   - interface: its number in the section.
    ///   - time: nanoseconds since 1970.
    ///   - header: bytes before those of the packet.
    ///   - packet: the packet, or its first bytes.
    ///   - length: of header and whole packet.
    ///   - flags: 1 for what came in, 2 for what goes out.
    ///   - comment: what is said of it.
    ///   - text: the file.
    static func appendPacket(
        interface: Int, time: UInt64, _ header: [UInt8], _ packet: [UInt8], length: UInt32, flags: UInt32,
        comment: String, to text: inout [UInt8]
    ) {
        appendBlock(packetType, to: &text) { text in
            append(UInt32(interface), to: &text)
            append(UInt32(time >> 32), to: &text)
            append(UInt32(truncatingIfNeeded: time), to: &text)
            append(UInt32(header.count + packet.count), to: &text)
            append(max(length, UInt32(header.count + packet.count)), to: &text)
            text += header
            text += packet
            pad(&text, header.count + packet.count)
            appendOption(1, wholeCharacters(comment, atMost: mostOfComment), to: &text)
            appendOption(2, (0..<4).map { UInt8(truncatingIfNeeded: flags.littleEndian >> UInt32(8 * $0)) }, to: &text)
        }
    }

    /// How many interfaces blocks of this form describe.
    static func countInterfaces(_ blocks: ArraySlice<UInt8>) -> Int {
        var count = 0
        var place = blocks.startIndex
        while place + 8 <= blocks.endIndex {
            if number(blocks, place) == interfaceType { count += 1 }
            let length = Int(number(blocks, place + 4))
            guard length >= 12 else { break }
            place += length
        }
        return count
    }

    static func number(_ bytes: ArraySlice<UInt8>, _ place: Int) -> UInt32 {
        let value = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
        return UInt32(littleEndian: value)
    }

    private static let mostOfComment = 8000

    private static func appendBlock(
        _ type: UInt32, to text: inout [UInt8], _ body: (inout [UInt8]) -> Void
    ) {
        let start = text.count
        append(type, to: &text)
        append(UInt32(0), to: &text)
        body(&text)
        // The end of options.
        append(UInt32(0), to: &text)
        let length = UInt32(text.count - start + 4)
        append(length, to: &text)
        for place in 0..<4 {
            text[start + 4 + place] = UInt8(truncatingIfNeeded: length.littleEndian >> UInt32(8 * place))
        }
    }

    private static func appendOption(_ code: UInt16, _ value: [UInt8], to text: inout [UInt8]) {
        append(code, to: &text)
        append(UInt16(value.count), to: &text)
        text += value
        pad(&text, value.count)
    }

    private static func pad(_ text: inout [UInt8], _ count: Int) {
        for _ in 0..<((4 - count % 4) % 4) { text.append(0) }
    }

    private static func append(_ number: some FixedWidthInteger, to text: inout [UInt8]) {
        let value = number.littleEndian
        for place in 0..<(number.bitWidth / 8) { text.append(UInt8(truncatingIfNeeded: value >> (8 * place))) }
    }

    private static func wholeCharacters(_ text: String, atMost limit: Int) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard bytes.count > limit else { return bytes }
        var end = limit
        while end > 0, bytes[end] & 0xc0 == 0x80 { end -= 1 }
        return Array(bytes[..<end])
    }
}
