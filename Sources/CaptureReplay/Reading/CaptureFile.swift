// SPDX-License-Identifier: GPL-3.0-or-later

/// Why a capture could not be replayed.
package struct CaptureError: Error, CustomStringConvertible {
    package let description: String
    init(_ path: String, _ problem: String) { description = "\(path): \(problem)" }
}

/// What a capture says of a frame beside its bytes.
struct CapturedFrame {
    /// In the file, 1-based.
    var number: UInt64
    /// On the wire; never less than was captured.
    var fullLength: UInt32
    /// Nanoseconds since 1970.
    var time: Int64
    /// Nil for a link that cannot be replayed.
    var link: LinkType?
}

/// A pcap or pcapng file, compressed or not, frame by frame. Nothing that a file says decides how much memory it costs.
struct CaptureFile: ~Copyable {
    private var source: CaptureSource
    private var format: Format
    fileprivate var framesRead: UInt64 = 0
    private var canReplay = false
    /// A link type that cannot be replayed, of a frame.
    private var foreign: UInt16?

    private enum Format {
        case records(ClassicCapture)
        case blocks(BlockCapture)
    }

    /// More bytes of one frame are no frame: libpcap's and Wireshark's bound.
    static let mostFrameBytes = 262_144

    init(path: String) throws(CaptureError) {
        var source = try CaptureSource(path: path)
        format = try Self.format(of: &source)
        self.source = source
    }

    /// By its first bytes; what the header of a pcap file says has been read then.
    private static func format(of source: inout CaptureSource) throws(CaptureError) -> Format {
        guard try source.fill(4) else { throw refusal(source.path, []) }
        let begin = (0..<4).map { source[$0] }
        if begin == BlockCapture.magic { return .blocks(BlockCapture()) }
        guard var classic = ClassicCapture(magic: begin) else {
            throw refusal(source.path, (0..<min(source.available, Compression.mostMagicBytes)).map { source[$0] })
        }
        try classic.readHeader(&source)
        guard LinkType(classic.link) != nil else { throw refusal(source.path, link: classic.link) }
        return .records(classic)
    }

    /// Gives the next frame to `body`; false at the end of the file.
    ///
    /// - Parameter body: gets the captured bytes (borrowed for the call), and what the file says of them.
    /// - Returns: False at the end of the file.
    /// - Throws: What is wrong with the file from here on, or, at its end, that nothing in it can be replayed.
    mutating func next(_ body: (RawSpan, CapturedFrame) -> Void) throws(CaptureError) -> Bool {
        do throws(CaptureFault) {
            let found: FoundFrame?
            switch format {
            case .records(let classic): found = try classic.next(&source)
            case .blocks(var blocks):
                format = .blocks(BlockCapture())
                defer { format = .blocks(blocks) }
                found = try blocks.next(&source)
            }
            guard let found else { return try end() }
            framesRead += 1
            let link = LinkType(found.link)
            if link == nil { foreign = found.link } else { canReplay = true }
            let frame = CapturedFrame(
                number: framesRead, fullLength: max(found.fullLength, UInt32(found.count)), time: found.time, link: link
            )
            source.withBytes(found.offset..<found.offset + found.count) { body($0, frame) }
            source.consume(found.whole)
            return true
        } catch {
            switch error {
            case .source(let error): throw error
            case .content(let problem):
                throw CaptureError(source.path, "frame \(framesRead + 1): \(problem)")
            }
        }
    }

    private func end() throws(CaptureFault) -> Bool {
        guard !canReplay, let foreign else { return false }
        throw .source(Self.refusal(source.path, link: foreign))
    }

    /// How much of the file has been read, and how large it is; nil where that is not known.
    var progress: (read: Int64, size: Int64)? {
        guard let read = source.position, let size = source.size else { return nil }
        return (min(read, size), size)
    }

    private static func refusal(_ path: String, link: UInt16) -> CaptureError {
        CaptureError(
            path, "link type \(LinkType.name(link)) cannot be replayed; expected \(LinkType.replayed)")
    }

    /// Of a file that is none.
    private static func refusal(_ path: String, _ begin: [UInt8]) -> CaptureError {
        guard let compression = Compression(begin) else {
            return CaptureError(path, "expected a pcap or pcapng file, which begins otherwise")
        }
        // Only what has a name is given to another program.
        return CaptureError(
            path, "it is compressed with \(compression.program); decompress it before: \(compression.program) -dc")
    }
}

/// A frame whose bytes are in the source.
struct FoundFrame {
    var offset: Int
    /// Captured bytes.
    var count: Int
    /// Bytes up to what follows.
    var whole: Int
    var fullLength: UInt32
    var time: Int64
    var link: UInt16
}

/// What ends the reading of a file.
enum CaptureFault: Error {
    /// It cannot be read.
    case source(CaptureError)
    /// It says what cannot be: found and expected.
    case content(String)
}

extension CaptureSource {
    /// The same as `fill` with the end of the file as a fault: `what` ends too early.
    mutating func need(_ count: Int, of what: String) throws(CaptureFault) {
        let isThere: Bool
        do throws(CaptureError) { isThere = try fill(count) } catch { throw .source(error) }
        guard isThere else {
            throw .content(
                "the file ends within \(what): found \(available) bytes of \(count); expected the whole file")
        }
    }

    /// False at the very end of the file.
    mutating func hasMore() throws(CaptureFault) -> Bool {
        do throws(CaptureError) { return try fill(1) } catch { throw .source(error) }
    }

    /// Of the bytes that are there.
    func number(at offset: Int, _ count: Int, bigEndian: Bool) -> UInt64 {
        (0..<count).reduce(0) { $0 << 8 | UInt64(self[offset + (bigEndian ? $1 : count - 1 - $1)]) }
    }

    func word(at offset: Int, bigEndian: Bool) -> UInt32 { UInt32(number(at: offset, 4, bigEndian: bigEndian)) }
    func half(at offset: Int, bigEndian: Bool) -> UInt16 { UInt16(number(at: offset, 2, bigEndian: bigEndian)) }
}

/// How far a file has been read.
package struct CaptureProgress: Sendable {
    /// Frames so far.
    package var frames: UInt64
    /// Bytes of the file as it lies there, and how many it has; nil where that is not known, as of standard input.
    package var bytes: (read: Int64, size: Int64)?
}

extension CaptureFile {
    /// After each of so many frames; else nil.
    var progressNow: CaptureProgress? {
        guard framesRead.isMultiple(of: 2_048) else { return nil }
        return CaptureProgress(frames: framesRead, bytes: progress)
    }
}
