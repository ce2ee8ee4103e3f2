// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Reads the lines of a file that may grow, be rotated or be emptied while it is read.
///
/// A line is complete with its newline; what stands behind the last one is a line that is still being written.
package struct LineReader: ~Copyable {
    package let path: String
    private var descriptor: Int32
    private(set) var identity = FileIdentity()
    private var buffer = LineBuffer()

    private static let chunk = 1 << 16

    /// - Parameters:
    ///   - path: the file.
    ///   - isFromEnd: what stands in it by now is left out.
    /// - Throws: where the file cannot be opened.
    package init(path: String, isFromEnd: Bool = false) throws(ReadError) {
        self.path = path
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw ReadError(path: path, code: errno) }
        identity = FileIdentity(descriptor)
        if isFromEnd { lseek(descriptor, 0, SEEK_END) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The next complete line without its end; `nil` where there is none at present. After a rotation the rest of the old
    /// file comes before the new one.
    package mutating func next() throws(ReadError) -> [UInt8]? {
        while true {
            if let line = buffer.next() { return line }
            if try fill() { continue }
            guard try moveOn() else { return nil }
        }
    }

    /// Reads on; false at the end of the file.
    private mutating func fill() throws(ReadError) -> Bool {
        var chunk = [UInt8](repeating: 0, count: LineReader.chunk)
        while true {
            let count = unsafe read(descriptor, &chunk, chunk.count)
            if count > 0 {
                buffer.append(chunk[..<count])
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
            buffer.removeAll()
            return lseek(descriptor, 0, SEEK_SET) == 0
        }
        var there = stat()
        guard unsafe stat(path, &there) == 0, FileIdentity(there) != identity, there.st_size > 0 else { return false }
        if try fill() { return true }
        let next = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard next >= 0 else { return false }
        close(descriptor)
        descriptor = next
        identity = FileIdentity(descriptor)
        buffer.removeAll()
        return true
    }
}

/// Which file it is, whatever its name.
struct FileIdentity: Hashable {
    private var device: dev_t = 0
    private var inode: ino_t = 0

    init() {}

    init(_ status: stat) { (device, inode) = (status.st_dev, status.st_ino) }

    init(_ descriptor: Int32) {
        var status = stat()
        if unsafe fstat(descriptor, &status) == 0 { self.init(status) } else { self.init() }
    }
}
