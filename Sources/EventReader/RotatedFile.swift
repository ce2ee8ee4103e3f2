// SPDX-License-Identifier: GPL-3.0-or-later

import CZlib
import Glibc

/// Reads the lines of a file that nobody writes to any more, compressed with gzip or not.
@safe
struct RotatedFile: ~Copyable {
    private let path: String
    private let stream: gzFile
    private var buffer = LineBuffer()
    private var chunk = [UInt8](repeating: 0, count: 1 << 16)

    /// `-` is standard input.
    init(path: String) throws(ReadError) {
        self.path = path == "-" ? "standard input" : path
        errno = 0
        // zlib reads what is not compressed as it is.
        let opened = unsafe path == "-" ? gzdopen(dup(STDIN_FILENO), "re") : gzopen(path, "re")
        guard let stream = unsafe opened else {
            throw ReadError(path: self.path, code: errno == 0 ? ENOMEM : errno)
        }
        unsafe self.stream = stream
    }

    deinit { unsafe gzclose(stream) }

    /// The next complete line without its end; `nil` at the end. Throws where the rest cannot be read.
    mutating func next() throws(ReadError) -> [UInt8]? {
        while true {
            if let line = buffer.next() { return line }
            let count = unsafe gzread(stream, &chunk, UInt32(chunk.count))
            if count <= 0 {
                try checkEnd()
                return nil
            }
            buffer.append(chunk[..<Int(count)])
        }
    }

    /// A file that was cut short is read as far as it goes, and ends with this error.
    private func checkEnd() throws(ReadError) {
        var code: Int32 = Z_OK
        let message = unsafe gzerror(stream, &code).map { unsafe String(cString: $0) } ?? ""
        switch code {
        case Z_OK, Z_STREAM_END: return
        case Z_ERRNO: throw ReadError(path: path, code: errno)
        case Z_BUF_ERROR: throw ReadError(path: path, reason: "its compressed data ends too early")
        default: throw ReadError(path: path, reason: "its compressed data is damaged (\(message))")
        }
    }
}
