// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// An open event file: a regular file, a FIFO or a character device. Nothing here blocks on a reader.
struct EventFile: ~Copyable {
    enum Kind { case regular, stream }

    let path: String
    let kind: Kind
    let descriptor: Int32
    private let device: dev_t
    private let inode: ino_t

    /// What a file is made of.
    enum Content { case lines, capture }

    /// Opens for appending and creates a regular file (mode 0640) where there is nothing.
    init(opening path: String, _ content: Content = .lines) throws(EventFileError) {
        // O_NONBLOCK: opening a FIFO without a reader fails (ENXIO) instead of waiting for one.
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let descriptor = unsafe open(path, flags, 0o640)
        guard descriptor >= 0 else { throw EventFile.refusal(path, errno) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            let code = errno
            close(descriptor)
            throw EventFileError(path: path, cause: .cannotOpen(code))
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .regular
        case S_IFIFO, S_IFCHR: kind = .stream
        default:
            close(descriptor)
            throw EventFileError(path: path, cause: .isOfUnknownKind)
        }
        self.path = path
        self.descriptor = descriptor
        device = status.st_dev
        inode = status.st_ino
        if kind == .regular, content == .lines { endTornLine(size: status.st_size) }
    }

    deinit { close(descriptor) }

    /// Whether `path` still leads to this file; not after it was removed or rotated away.
    var isInPlace: Bool {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return false }
        return status.st_dev == device && status.st_ino == inode
    }

    /// Writes as much as goes of what lies before `end`: the number of bytes, or the error.
    func write(_ bytes: [UInt8], from start: Int, to end: Int) throws(EventFileError) -> Int {
        while true {
            let count = writeOnce(bytes, from: start, to: end)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN: throw EventFileError(path: path, cause: .readerDoesNotRead)
            case EPIPE: throw EventFileError(path: path, cause: .hasNoReader)
            case let code: throw EventFileError(path: path, cause: .cannotWrite(code))
            }
        }
    }

    /// Cuts a regular file to this size.
    ///
    /// - Returns: whether it could be done; not in an append-only file.
    func truncate(to size: Int64) -> Bool { ftruncate(descriptor, off_t(size)) == 0 }

    /// Bytes in a regular file; `nil` for a stream.
    var size: Int64? {
        guard kind == .regular else { return nil }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return nil }
        return Int64(status.st_size)
    }

    /// Waits until a stream takes bytes again, at most so long.
    func waitUntilWritable(milliseconds: Int32) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe poll(&entry, 1, milliseconds)
    }

    private func writeOnce(_ bytes: [UInt8], from start: Int, to end: Int) -> Int {
        unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            return withoutDeadlySignals { unsafe Glibc.write(descriptor, base + start, end - start) }
        }
    }

    /// An agent that was killed in the middle of a line left it without its end: the next record gets a line of its own.
    private func endTornLine(size: off_t) {
        guard size > 0 else { return }
        let reader = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return }
        defer { close(reader) }
        var last: UInt8 = 0
        guard unsafe pread(reader, &last, 1, size - 1) == 1, last != UInt8(ascii: "\n") else { return }
        _ = writeOnce([UInt8(ascii: "\n")], from: 0, to: 1)
    }

    /// Takes back the block of a capture that an agent was about to write when it was killed.
    func endTornBlock() throws(EventFileError) {
        guard let size, size > 0 else { return }
        let reader = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { throw EventFileError(path: path, cause: .cannotOpen(errno)) }
        defer { close(reader) }
        guard let end = CaptureEnd.find(in: reader, size: size) else {
            throw EventFileError(path: path, cause: .isNoCapture)
        }
        if end < size { _ = truncate(to: end) }
    }

    private static func refusal(_ path: String, _ code: Int32) -> EventFileError {
        switch code {
        case EISDIR: return EventFileError(path: path, cause: .isDirectory)
        case ENXIO:
            // ENXIO means a FIFO without a reader, or a socket.
            var status = stat()
            let isFIFO = unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
            return EventFileError(path: path, cause: isFIFO ? .hasNoReader : .isOfUnknownKind)
        default: return EventFileError(path: path, cause: .cannotOpen(code))
        }
    }
}

/// Keeps a reader that went away (SIGPIPE) and a limit on the size of files (SIGXFSZ) from ending the process: both
/// signals are sent to the writing thread itself, which blocks them for the call and takes them back before it unblocks
/// them. The call's error remains.
private func withoutDeadlySignals(_ call: () -> Int) -> Int {
    var deadly = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&deadly)
    unsafe sigaddset(&deadly, SIGPIPE)
    unsafe sigaddset(&deadly, SIGXFSZ)
    unsafe pthread_sigmask(SIG_BLOCK, &deadly, &before)
    let result = call()
    let code = errno
    if result < 0 && (code == EPIPE || code == EFBIG) {
        var atOnce = timespec(tv_sec: 0, tv_nsec: 0)
        _ = unsafe sigtimedwait(&deadly, nil, &atOnce)
    }
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    errno = code
    return result
}
