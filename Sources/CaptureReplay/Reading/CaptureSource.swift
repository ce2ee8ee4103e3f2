// SPDX-License-Identifier: GPL-3.0-or-later

import CSpawnShim
import CZlib
import Glibc

/// The bytes of a capture, decompressed, as far as they are needed.
@safe struct CaptureSource: ~Copyable {
    let path: String
    private let stream: gzFile
    /// The file itself, for how far it is read.
    private let file: CInt
    /// Of a regular file.
    let size: Int64?
    private var child: (process: pid_t, program: String)?
    private var buffer: [UInt8] = []
    private var start = 0

    private static let chunk = 256 << 10

    /// - Parameter path: of a file, a FIFO or a device; `-` is standard input.
    /// - Throws: why it cannot be read.
    init(path: String) throws(CaptureError) {
        let opened = try unsafe Self.opened(path)
        self.path = path
        (size, file, child) = unsafe (opened.size, opened.file, opened.child)
        unsafe stream = opened.stream
    }

    deinit {
        // A program that still decompresses ends with its pipe.
        unsafe gzclose(stream)
        if file >= 0 { close(file) }
        if let child { _ = Self.status(of: child.process) }
    }

    /// How many bytes of the file, as it lies there, have been read; nil where that says nothing.
    var position: Int64? {
        guard size != nil, file >= 0 else { return nil }
        return child == nil ? unsafe Int64(gzoffset(stream)) : Int64(lseek(file, 0, SEEK_CUR))
    }

    /// Bytes that are there.
    var available: Int { buffer.count - start }

    /// Reads until so many bytes are there; false where the file ends before.
    mutating func fill(_ count: Int) throws(CaptureError) -> Bool {
        guard available < count else { return true }
        buffer.removeSubrange(..<start)
        start = 0
        while buffer.count < count {
            let before = buffer.count
            let wanted = max(Self.chunk, count - before)
            buffer.append(contentsOf: repeatElement(0, count: wanted))
            let read = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe gzread(stream, bytes.baseAddress?.advanced(by: before), UInt32(wanted))
            }
            buffer.removeLast(wanted - max(0, Int(read)))
            if read <= 0 {
                try checkEnd()
                return false
            }
        }
        return true
    }

    /// Gives so many bytes that are there to `body`, from so many on.
    func withBytes(_ range: Range<Int>, _ body: (RawSpan) -> Void) {
        body(unsafe buffer.span.bytes.extracting(start + range.lowerBound..<start + range.upperBound))
    }

    /// A byte that is there.
    subscript(offset: Int) -> UInt8 { buffer[start + offset] }

    /// Goes on behind so many bytes that are there.
    mutating func consume(_ count: Int) { start += count }

    /// Goes on behind so many bytes; false where the file ends before.
    mutating func skip(_ count: Int) throws(CaptureError) -> Bool {
        var left = count
        while left > available {
            left -= available
            start = buffer.count
            guard try fill(1) else { return false }
        }
        start += left
        return true
    }

    /// What is compressed may end too early, or be damaged.
    private mutating func checkEnd() throws(CaptureError) {
        var code: CInt = Z_OK
        let message = unsafe gzerror(stream, &code).map { unsafe String(cString: $0) } ?? ""
        switch code {
        case Z_OK, Z_STREAM_END: break
        case Z_ERRNO: throw CaptureError(path, Self.reason(errno))
        case Z_BUF_ERROR: throw CaptureError(path, "its compressed data ends too early; expected the whole file")
        default: throw CaptureError(path, "its compressed data is damaged (\(message)); expected a whole gzip file")
        }
        guard let ended = child else { return }
        child = nil
        let status = Self.status(of: ended.process)
        guard status == 0 else {
            throw CaptureError(path, "\(ended.program) could not decompress it to its end (status \(status))")
        }
    }
}

// MARK: - Opening

extension CaptureSource {
    @unsafe private struct Opened {
        let stream: gzFile
        let file: CInt
        let size: Int64?
        let child: (process: pid_t, program: String)?
    }

    private static func opened(_ path: String) throws(CaptureError) -> Opened {
        let found = try open(path)
        let file = fcntl(found.file, F_DUPFD_CLOEXEC, 3)
        guard let compression = magic(of: found).flatMap({ Compression($0) }), compression != .gzip else {
            return unsafe Opened(stream: try stream(found.file, path), file: file, size: found.size, child: nil)
        }
        defer { close(found.file) }
        let begun = try begin(compression, on: found.file, path)
        return unsafe Opened(
            stream: try stream(begun.output, path), file: file, size: found.size,
            child: (begun.process, compression.program))
    }

    /// zlib reads what is not compressed as it is.
    private static func stream(_ file: CInt, _ path: String) throws(CaptureError) -> gzFile {
        guard let stream = unsafe gzdopen(file, "r") else { throw CaptureError(path, "no memory for it") }
        _ = unsafe gzbuffer(stream, 128 << 10)
        return unsafe stream
    }

    private static func open(_ path: String) throws(CaptureError) -> (file: CInt, size: Int64?) {
        let file = path == "-" ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw CaptureError(path, reason(errno)) }
        var kind = stat()
        guard unsafe fstat(file, &kind) == 0, kind.st_mode & S_IFMT != S_IFDIR else {
            close(file)
            throw CaptureError(path, "is a directory; expected a pcap or pcapng file")
        }
        return (file, kind.st_mode & S_IFMT == S_IFREG ? Int64(kind.st_size) : nil)
    }

    /// The first bytes of a regular file, which are read again afterwards.
    private static func magic(of opened: (file: CInt, size: Int64?)) -> [UInt8]? {
        guard opened.size != nil else { return nil }
        var bytes = [UInt8](repeating: 0, count: Compression.mostMagicBytes)
        let count = unsafe pread(opened.file, &bytes, bytes.count, lseek(opened.file, 0, SEEK_CUR))
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }

    /// The program at the file, and what it writes.
    private static func begin(
        _ compression: Compression, on file: CInt, _ path: String
    ) throws(CaptureError) -> (process: pid_t, output: CInt) {
        var (process, output) = (pid_t(), CInt())
        let words = unsafe [strdup(compression.program), strdup("-dc")]
        defer { unsafe words.forEach { unsafe free($0) } }
        let error = unsafe cspawn_filter(
            "/usr/bin/\(compression.program)", words + [nil], file, &output, &process)
        guard error == 0 else {
            throw CaptureError(
                path,
                error == ENOENT
                    ? "\(compression.program) is not installed, which it is compressed with; on Debian: apt install "
                        + compression.package
                    : "\(compression.program): \(reason(error))")
        }
        return (process, output)
    }

    private static func reason(_ number: CInt) -> String { unsafe String(cString: strerror(number)) }

    /// Waits for its end; the number of a signal counts from 128 on.
    private static func status(of process: pid_t) -> Int {
        var status: CInt = 0
        while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
        return status & 0x7f == 0 ? Int(status >> 8 & 0xff) : 128 + Int(status & 0x7f)
    }
}
