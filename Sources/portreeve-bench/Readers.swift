// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import FirewallPolicy
import Glibc
import Synchronization
import TestSupport

/// A directory of the benchmark's own; a file is emptied before it is used again.
final class TemporaryFiles {
    let path: String

    init() {
        path = "/tmp/portreeve-bench-\(getpid())"
        unsafe mkdir(path, 0o700)
    }

    func fresh(_ name: String) -> String {
        unsafe unlink("\(path)/\(name)")
        return "\(path)/\(name)"
    }

    deinit {
        for name in ["events", "capture", "lines", "log"] { unsafe unlink("\(path)/\(name)") }
        unsafe rmdir(path)
    }
}

/// Receivers of syslog in this process, which read and throw away.
final class Readers: Sendable {
    let targets: [SyslogTarget]
    private let descriptors: [Int32]
    private let isOver = Atomic(false)

    init(in directory: String) throws {
        let local = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        let datagrams = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        let stream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        descriptors = [local, datagrams, stream]
        targets = [
            .local(path: "\(directory)/log"),
            .udp(RemoteEndpoint(host: "127.0.0.1", port: try Readers.bind(datagrams))),
            .tcp(RemoteEndpoint(host: "127.0.0.1", port: try Readers.bind(stream))),
        ]
        guard Readers.bind(local, "\(directory)/log"), listen(stream, 8) == 0 else {
            throw CleanExit.message("no sockets for the benchmark")
        }
        for descriptor in [local, datagrams] { _ = TestThread { self.read(descriptor) } }
        _ = TestThread { self.accept(stream) }
    }

    func stop() {
        isOver.store(true, ordering: .releasing)
        for descriptor in descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }

    private func read(_ descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        while !isOver.load(ordering: .acquiring) {
            guard unsafe recv(descriptor, &bytes, bytes.count, 0) > 0 else { return }
        }
    }

    private func accept(_ listener: Int32) {
        while !isOver.load(ordering: .acquiring) {
            let connection = Glibc.accept(listener, nil, nil)
            guard connection >= 0 else { return }
            _ = TestThread {
                self.read(connection)
                close(connection)
            }
        }
    }

    /// To a free port of this host, which is returned.
    private static func bind(_ descriptor: Int32) throws -> UInt16 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        unsafe inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let result = unsafe Glibc.bind(descriptor, address, length)
                let named = unsafe getsockname(descriptor, address, &length)
                return result == 0 && named == 0
            }
        }
        guard isBound else { throw CleanExit.message("no port for the benchmark") }
        return UInt16(bigEndian: address.sin_port)
    }

    private static func bind(_ descriptor: Int32, _ path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { field in
            for (place, byte) in path.utf8.prefix(107).enumerated() { unsafe field[place] = byte }
        }
        return unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let result = unsafe Glibc.bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_un>.size))
                return result == 0
            }
        }
    }
}
