// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The file of a Unix socket, as it was found: another process may put its own in its place, and that one is not ours to
/// change or remove.
package struct SocketFile: Sendable {
    let path: String
    let isSocket: Bool
    private let device: UInt
    private let inode: UInt

    init(path: String) throws(ControlServerError) {
        var found = stat()
        guard unsafe lstat(path, &found) == 0 else { throw .failed(path, call: "lstat", errno: errno) }
        self.path = path
        isSocket = found.st_mode & S_IFMT == S_IFSOCK
        device = UInt(found.st_dev)
        inode = UInt(found.st_ino)
    }

    /// Removes it if it is still the one that was found.
    package func remove() {
        guard let now = try? SocketFile(path: path), now.device == device, now.inode == inode else { return }
        unsafe unlink(path)
    }
}

/// A path to listen on, with its socket. A socket that nobody answers on is replaced; one that is in use, or a path that is
/// no socket, is an error. The directory must exist.
package struct ClaimedSocket {
    /// Nobody's until NIO takes it.
    package let descriptor: CInt
    package let file: SocketFile

    /// Mode 0660. The file becomes the `group`'s where there is one of this name and this process may give it away.
    package init(path: String, group: String? = nil) throws(ControlServerError) {
        try ClaimedSocket.clear(path)
        descriptor = try BoundSocket(path: path).descriptor
        // Nobody can have connected: it does not listen yet.
        if let number = group.flatMap(GroupID.init(named:)) { _ = unsafe lchown(path, uid_t.max, number.rawValue) }
        file = try SocketFile(path: path)
    }

    private static func clear(_ path: String) throws(ControlServerError) {
        guard let found = try? SocketFile(path: path) else { return }
        guard found.isSocket else { throw ControlServerError.notASocket(path) }
        switch ControlClient(path: path, timeoutSeconds: 2).probe() {
        case .answers(let identity): throw ControlServerError.inUse(path, identity)
        case .somebodyElse: throw ControlServerError.inUse(path, nil)
        case .nobody: found.remove()
        }
    }
}

/// A Unix stream socket bound to a path. NIO could bind it too, but then the file would have a moment with the mode that
/// the umask leaves, and NIO would remove whatever lies under the path when it closes.
private struct BoundSocket {
    let descriptor: CInt

    /// Owner and group may connect. Linux makes the file with the mode of the unbound socket less the umask, so that nobody
    /// else ever may; what the umask took from the group is given back.
    init(path: String) throws(ControlServerError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // One byte stays 0 and ends the path.
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { throw .pathTooLong(path) }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { bytes in unsafe bytes.copyBytes(from: path.utf8) }
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .failed(path, call: "socket", errno: errno) }
        guard fchmod(descriptor, 0o660) == 0 else { throw failure("fchmod", path) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let isBound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(descriptor, address, length) == 0
            }
        }
        guard isBound else { throw failure("bind", path) }
        guard unsafe chmod(path, 0o660) == 0 else { throw failure("chmod", path) }
    }

    /// The error of the call that just failed; ends the socket.
    private func failure(_ call: String, _ path: String) -> ControlServerError {
        let error = ControlServerError.failed(path, call: call, errno: errno)
        close(descriptor)
        return error
    }
}

/// Names of `errno` values, so that what uses them needs no C library.
package enum SystemError {
    static let noEntry = ENOENT
    static let accessDenied = EACCES
    static let connectionRefused = ECONNREFUSED
    static let notPermitted = EPERM

    /// What the C library says about the number: "Permission denied".
    package static func text(_ number: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard unsafe strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
