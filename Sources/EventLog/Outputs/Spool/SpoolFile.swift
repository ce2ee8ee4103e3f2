// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// A file that is read and written as a ring of bytes, with the positions of its beginning and end in front. Positions only
/// grow; where one is in the file is its remainder by the capacity.
///
/// The space is reserved before it is used and given back once the ring is empty: a disk that fills up takes no event away.
final class SpoolFile {
    let descriptor: Int32
    private(set) var capacity: UInt64
    private(set) var head: UInt64
    private(set) var tail: UInt64

    /// Opens what is there, or makes an empty one.
    ///
    /// - Throws: what is wrong, in words that follow the path.
    init(opening path: String, capacity: UInt64) throws(SpoolFault) {
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        self.capacity = capacity
        head = 0
        tail = 0
        guard descriptor >= 0 else { throw SpoolFault(.cannotOpen(errno)) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw SpoolFault(.isNoFile)
        }
        guard status.st_size > 0 else { return }
        let words = try readHeader()
        guard words[0] == SpoolFile.magic, 1...(1 << 40) ~= words[1], words[2] <= words[3],
            words[3] - words[2] <= words[1]
        else { throw SpoolFault(.isDamaged) }
        (self.capacity, head, tail) = (words[1], words[2], words[3])
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var isEmpty: Bool { head == tail }
    var used: UInt64 { tail - head }

    /// Reserves the space, so that `append` finds it.
    func reserve(_ wanted: UInt64) throws(SpoolFault) {
        guard isEmpty else { return }
        (capacity, head, tail) = (wanted, 0, 0)
        let code = posix_fallocate(descriptor, 0, off_t(SpoolFile.start + wanted))
        guard code == 0 else {
            _ = ftruncate(descriptor, 0)
            throw SpoolFault(.cannotWrite(code))
        }
        try writeHeader()
    }

    /// Writes bytes behind the end, which there must be room for.
    func append(_ bytes: [UInt8]) throws(SpoolFault) {
        var written = 0
        while written < bytes.count {
            let position = (tail + UInt64(written)) % capacity
            let count = min(bytes.count - written, Int(capacity - position))
            let result = unsafe bytes.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return 0 }
                return unsafe pwrite(descriptor, base + written, count, off_t(SpoolFile.start + position))
            }
            guard result > 0 else { throw SpoolFault(.cannotWrite(result == 0 ? EIO : errno)) }
            written += result
        }
        tail += UInt64(bytes.count)
        try writeHeader()
    }

    /// Bytes from a position on, at most so many.
    func read(from position: UInt64, atMost limit: Int) throws(SpoolFault) -> [UInt8] {
        let wanted = min(Int(tail - position), limit)
        var bytes = [UInt8](repeating: 0, count: wanted)
        var filled = 0
        while filled < wanted {
            let place = (position + UInt64(filled)) % capacity
            let count = min(wanted - filled, Int(capacity - place))
            let result = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return 0 }
                return unsafe pread(descriptor, base + filled, count, off_t(SpoolFile.start + place))
            }
            guard result > 0 else { throw SpoolFault(result == 0 ? .isDamaged : .cannotRead(errno)) }
            filled += result
        }
        return bytes
    }

    /// Forgets what lies before a position. An empty ring gives its space back.
    func forget(upTo position: UInt64) throws(SpoolFault) {
        head = position
        if isEmpty {
            head = 0
            tail = 0
            _ = ftruncate(descriptor, 0)
        } else {
            try writeHeader()
        }
    }

    private func readHeader() throws(SpoolFault) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: 4)
        let size = words.count * MemoryLayout<UInt64>.size
        let count = unsafe words.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, size, 0) }
        guard count == size else { throw SpoolFault(.isDamaged) }
        return words.map { UInt64(littleEndian: $0) }
    }

    private func writeHeader() throws(SpoolFault) {
        let words = [SpoolFile.magic, capacity, head, tail].map(\.littleEndian)
        let count = unsafe words.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard count == 32 else { throw SpoolFault(.cannotWrite(errno)) }
    }

    private static let magic: UInt64 = 0x0a31_4c50_5354_5250  // "PRTSPL1\n"
    /// Of the ring in the file.
    private static let start: UInt64 = 4096
}

/// What is wrong with a spool.
struct SpoolFault: Error {
    enum Cause {
        case cannotOpen(Int32)
        case cannotWrite(Int32)
        case cannotRead(Int32)
        case isNoFile
        case isDamaged
    }

    let cause: Cause
    init(_ cause: Cause) { self.cause = cause }

    /// In words that follow the file's path.
    var text: String {
        switch cause {
        case .cannotOpen(let code), .cannotWrite(let code), .cannotRead(let code):
            "\(unsafe String(cString: strerror(code))); let the agent's user write there, and see that the disk has room"
        case .isNoFile: "it is no regular file; remove it"
        case .isDamaged: "it is damaged, and what it held is left out; it was renamed, and a new one takes its place"
        }
    }
}
