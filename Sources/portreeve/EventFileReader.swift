// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import Glibc

/// Reads a growing file line by line, and follows its name when it is rotated.
struct EventFileReader {
    /// Longer lines are no events: packet data is at most 64 KiB, base64 makes a third more of it.
    private static let lineLimit = 1 << 20

    private let path: String
    private var descriptor: CInt
    private var buffer: [UInt8] = []
    /// Where in `buffer` the next line begins.
    private var start = 0
    private var isSkipping = false

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(path: String) throws(Failure) {
        self.path = path
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(
                description: "events file \(path.harmless): \(SystemError.text(errno))"
                    + (errno == ENOENT ? "; the agent makes it when it starts, or name another with --file" : ""))
        }
    }

    /// The next complete line; nil at what is the end for now.
    mutating func next() -> [UInt8]? {
        while true {
            if let end = buffer[start...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffer[start..<end])
                start = end + 1
                if !isSkipping { return line }
                isSkipping = false
                continue
            }
            buffer.removeFirst(start)
            start = 0
            if buffer.count > Self.lineLimit {
                buffer.removeAll()
                isSkipping = true
            }
            guard fill() else { return nil }
        }
    }

    private mutating func fill() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return false }
        buffer.append(contentsOf: chunk[..<count])
        return true
    }

    /// Goes on with the file that has the name now, if it is another one, and begins again where it was cut to nothing. To
    /// be called at the end of the file. As long as the successor is empty its writer may still be writing to the old one.
    mutating func lookForRotation() {
        var mine = stat()
        var named = stat()
        guard unsafe fstat(descriptor, &mine) == 0 else { return }
        if mine.st_size < lseek(descriptor, 0, SEEK_CUR) {
            lseek(descriptor, 0, SEEK_SET)
            forget()
        }
        guard unsafe stat(path, &named) == 0, named.st_ino != mine.st_ino || named.st_dev != mine.st_dev,
            named.st_size > 0, !fill()
        else { return }
        let successor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard successor >= 0 else { return }
        close(descriptor)
        descriptor = successor
        forget()
    }

    private mutating func forget() {
        buffer.removeAll()
        start = 0
        isSkipping = false
    }
}
