// SPDX-License-Identifier: GPL-3.0-or-later

/// The pcap format (draft-ietf-opsawg-pcap): a header, then records of one link type.
struct ClassicCapture {
    private let bigEndian: Bool
    private let isNanoseconds: Bool
    /// Bytes of a record's header behind those that every one has.
    private let extra: Int
    /// Before version 2.4 some programs wrote both lengths in the other order.
    private var mayBeSwapped = false
    private(set) var link: UInt16 = 0

    private static let headerBytes = 24

    /// Nil where the file begins otherwise. The forms: microseconds, nanoseconds, and the one of Linux 2.2 with 8 bytes more in each
    /// record; each in both byte orders.
    init?(magic: [UInt8]) {
        let number = magic.reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
        let forms: [(number: UInt32, isNanoseconds: Bool, extra: Int)] = [
            (0xa1b2_c3d4, false, 0), (0xa1b2_3c4d, true, 0), (0xa1b2_cd34, false, 8),
        ]
        guard let form = forms.first(where: { $0.number == number || $0.number.byteSwapped == number }) else {
            return nil
        }
        bigEndian = form.number == number
        (isNanoseconds, extra) = (form.isNanoseconds, form.extra)
    }

    mutating func readHeader(_ source: inout CaptureSource) throws(CaptureError) {
        guard try source.fill(Self.headerBytes) else {
            throw CaptureError(source.path, "the file ends within its header; expected a pcap file")
        }
        let version = (source.half(at: 4, bigEndian: bigEndian), source.half(at: 6, bigEndian: bigEndian))
        guard version.0 == 2 else {
            throw CaptureError(source.path, "found version \(version.0).\(version.1) of pcap, expected 2")
        }
        mayBeSwapped = version.1 < 4
        // The upper bits say whether frames end in a check sequence.
        link = UInt16(truncatingIfNeeded: source.word(at: 20, bigEndian: bigEndian))
        _ = try source.skip(Self.headerBytes)
    }

    /// Nil at the end of the file.
    func next(_ source: inout CaptureSource) throws(CaptureFault) -> FoundFrame? {
        guard try source.hasMore() else { return nil }
        let header = 16 + extra
        try source.need(header, of: "a record's header")
        var count = source.word(at: 8, bigEndian: bigEndian)
        var fullLength = source.word(at: 12, bigEndian: bigEndian)
        if mayBeSwapped, count > fullLength { swap(&count, &fullLength) }
        guard count <= CaptureFile.mostFrameBytes else {
            throw .content("found \(count) captured bytes, expected \(CaptureFile.mostFrameBytes) at most")
        }
        try source.need(header + Int(count), of: "a record")
        let seconds = Int64(source.word(at: 0, bigEndian: bigEndian))
        let fraction = Int64(source.word(at: 4, bigEndian: bigEndian))
        return FoundFrame(
            offset: header, count: Int(count), whole: header + Int(count), fullLength: fullLength,
            time: seconds &* 1_000_000_000 &+ fraction &* (isNanoseconds ? 1 : 1_000), link: link)
    }
}
