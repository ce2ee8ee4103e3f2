// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Why a file cannot be read.
package struct ReadError: Error, Hashable, Sendable, CustomStringConvertible {
    package let path: String
    /// The system call's `errno`.
    package let code: Int32

    package var description: String {
        let message = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
        return "cannot read \(path): \(message)"
    }
}

/// Reads the lines of a file that may grow, be rotated or be emptied while it is read.
///
/// A line is complete with its newline; what stands behind the last one is a line that is still being written, and comes
/// with `remainder`. Lines over `longestLine` are skipped: they are none of ours, and memory is bounded.
package struct LineReader: ~Copyable {
    package let path: String
    private var descriptor: Int32
    private var device: dev_t = 0
    private var inode: ino_t = 0
    /// Bytes read and not yet given out, from `start` on.
    private var buffer: [UInt8] = []
    private var start = 0
    /// Bytes of the buffer in which no newline was found.
    private var searched = 0
    private var isSkipping = false

    package static let longestLine = 1 << 20
    private static let chunk = 1 << 16

    package init(path: String) throws(ReadError) {
        self.path = path
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw ReadError(path: path, code: errno) }
        remember()
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The next complete line without its end; `nil` where there is none at present. After a rotation the rest of the old
    /// file comes before the new one.
    package mutating func next() throws(ReadError) -> [UInt8]? {
        while true {
            if let line = takeLine() { return line }
            if try fill() { continue }
            guard try moveOn() else { return nil }
        }
    }

    /// What stands behind the last complete line, and forgets it; for the end of reading.
    package mutating func remainder() -> [UInt8]? {
        let rest = Array(buffer[start...])
        buffer.removeAll()
        start = 0
        searched = 0
        return rest.isEmpty || isSkipping ? nil : rest
    }

    /// Goes to the beginning of the last so many complete lines of the file.
    package mutating func skipToLast(_ lines: Int) throws(ReadError) {
        let size = lseek(descriptor, 0, SEEK_END)
        guard size > 0 else { return }
        var position = size
        var missing = lines + 1
        while position > 0 && missing > 0 {
            let length = min(off_t(LineReader.chunk), position)
            position -= length
            var chunk = [UInt8](repeating: 0, count: Int(length))
            guard unsafe pread(descriptor, &chunk, chunk.count, position) == chunk.count else { break }
            for index in chunk.indices.reversed() where chunk[index] == LineReader.newline {
                missing -= 1
                if missing == 0 {
                    position += off_t(index) + 1
                    break
                }
            }
        }
        guard lseek(descriptor, missing == 0 ? position : 0, SEEK_SET) >= 0 else {
            throw ReadError(path: path, code: errno)
        }
    }

    private static let newline = UInt8(ascii: "\n")
}

extension LineReader {
    private mutating func takeLine() -> [UInt8]? {
        while let end = buffer[(start + searched)...].firstIndex(of: LineReader.newline) {
            let line = Array(buffer[start..<end])
            start = end + 1
            searched = 0
            if !isSkipping && line.count <= LineReader.longestLine { return line }
            isSkipping = false
        }
        searched = buffer.count - start
        if searched > LineReader.longestLine {
            isSkipping = true
            buffer.removeAll(keepingCapacity: true)
            start = 0
            searched = 0
        }
        return nil
    }

    /// Reads on; false at the end of the file.
    private mutating func fill() throws(ReadError) -> Bool {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        var chunk = [UInt8](repeating: 0, count: LineReader.chunk)
        while true {
            let count = unsafe read(descriptor, &chunk, chunk.count)
            if count > 0 {
                buffer.append(contentsOf: chunk[..<count])
                return true
            }
            if count == 0 || errno == EAGAIN { return false }
            if errno != EINTR { throw ReadError(path: path, code: errno) }
        }
    }

    /// At the end of the file: goes to the new file of the same path after a rotation, or back to the beginning of one
    /// that was emptied. False where neither has happened. As long as the new file is empty, its writer may not have opened
    /// it yet and still be writing to the old one; once it is not, what came to the old one before is read first.
    private mutating func moveOn() throws(ReadError) -> Bool {
        var here = stat()
        guard unsafe fstat(descriptor, &here) == 0, here.st_mode & S_IFMT == S_IFREG else { return false }
        if here.st_size < lseek(descriptor, 0, SEEK_CUR) {
            forget()
            return lseek(descriptor, 0, SEEK_SET) == 0
        }
        var there = stat()
        guard unsafe stat(path, &there) == 0, there.st_ino != inode || there.st_dev != device, there.st_size > 0 else {
            return false
        }
        if try fill() { return true }
        let next = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard next >= 0 else { return false }
        close(descriptor)
        descriptor = next
        remember()
        forget()
        return true
    }

    private mutating func remember() {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return }
        (device, inode) = (status.st_dev, status.st_ino)
    }

    private mutating func forget() {
        buffer.removeAll(keepingCapacity: true)
        start = 0
        searched = 0
        isSkipping = false
    }
}
