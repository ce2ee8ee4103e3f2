// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import Glibc
import PacketWire

/// The file by which one run of the agent hands its connections to the next.
///
/// It is believed only if it is a plain file of this agent's user that nobody else can write or read; who can make such a
/// file can do to the agent whatever he likes. What it says is checked all the same (`StateDecoder`).
struct StateFile {
    let path: String

    private static let chunkRecords = 1024

    /// Reads it whole, once to check it and once for `body`, which is told the header, the worker's place and the
    /// connection. False where there is none.
    ///
    /// - Throws: why it is not used.
    func read(
        boot: (high: UInt64, low: UInt64), _ body: (StateHeader, UInt16, Connection) -> Void
    ) throws(Trouble) -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return false }
            throw Trouble("opening \(path)")
        }
        defer { close(descriptor) }
        let length = try lengthOfOwn(descriptor)
        try pass(descriptor, length, boot) { _, _, _ in }
        try pass(descriptor, length, boot, body)
        return true
    }

    func remove() { _ = unsafe unlink(path) }

    private func lengthOfOwn(_ descriptor: Int32) throws(Trouble) -> Int {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw Trouble("looking at \(path)") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Trouble(refusing: path, "it is no plain file") }
        guard status.st_uid == geteuid() else { throw Trouble(refusing: path, "it belongs to user \(status.st_uid)") }
        guard status.st_mode & 0o077 == 0 else { throw Trouble(refusing: path, "others than its owner may use it") }
        return Int(status.st_size)
    }

    private func pass(
        _ descriptor: Int32, _ length: Int, _ boot: (high: UInt64, low: UInt64),
        _ body: (StateHeader, UInt16, Connection) -> Void
    ) throws(Trouble) {
        do {
            let head = chunk(descriptor, at: 0, StateFormat.headerBytes)
            var decoder = try StateDecoder(
                header: unsafe head.span.bytes, length: length, boot: boot, now: Clocks.sinceBoot())
            let header = decoder.header
            let size = ConnectionRecord.bytes(of: header.form)
            var position = StateFormat.headerBytes
            var left = decoder.records
            while left > 0 {
                let count = Int(min(left, UInt64(StateFile.chunkRecords)))
                let records = chunk(descriptor, at: position, count * size)
                guard records.count == count * size else { throw StateRefusal.torn }
                try decoder.take(unsafe records.span.bytes, now: Clocks.monotonic()) { body(header, $0, $1) }
                position += records.count
                left -= UInt64(count)
            }
            let trailer = chunk(descriptor, at: position, StateFormat.trailerBytes)
            try decoder.finish(unsafe trailer.span.bytes)
        } catch {
            throw Trouble(refusing: path, "\(error)")
        }
    }

    /// Fewer bytes only at the end of the file.
    private func chunk(_ descriptor: Int32, at position: Int, _ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = unsafe pread(descriptor, &bytes, count, off_t(position))
        bytes.removeLast(count - max(0, got))
        return bytes
    }

    /// What went wrong with which file.
    struct Trouble: Error, CustomStringConvertible {
        let description: String

        /// With the system's last error.
        init(_ action: String) { description = "\(action): \(unsafe String(cString: strerror(errno)))" }
        init(refusing path: String, _ why: String) { description = "\(path) is not used: \(why)" }
    }
}

/// Writes a state beside the old one; `finish` puts it in its place, so that a reader finds the one or the other. Without
/// that nothing stays.
struct StateFileWriter: ~Copyable {
    private let path: String
    private let descriptor: Int32
    private var encoder: StateEncoder
    private var isFinished = false

    private static let writeBytes = 256 << 10

    init(_ file: StateFile, _ header: StateHeader) throws(StateFile.Trouble) {
        path = file.path
        _ = unsafe unlink(path + ".new")
        descriptor = unsafe open(path + ".new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        encoder = StateEncoder(header)
        guard descriptor >= 0 else { throw StateFile.Trouble("opening \(path).new") }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if !isFinished { _ = unsafe unlink(path + ".new") }
    }

    mutating func append(_ connection: Connection, worker: UInt16) throws(StateFile.Trouble) {
        encoder.append(connection, worker: worker)
        if encoder.ready >= StateFileWriter.writeBytes { try write(encoder.take()) }
    }

    mutating func finish() throws(StateFile.Trouble) {
        try write(encoder.finish())
        guard unsafe rename(path + ".new", path) == 0 else { throw StateFile.Trouble("renaming \(path).new") }
        isFinished = true
    }

    private func write(_ bytes: [UInt8]) throws(StateFile.Trouble) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw StateFile.Trouble("writing \(path).new") }
            rest = rest.dropFirst(written)
        }
    }
}
