// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import Glibc
import Testing

extension Trait where Self == ConditionTrait {
    /// Skips what cannot run here, and says so.
    static var needsKernel: Self {
        .enabled(
            if: LiveKernel.isAvailable,
            "needs network namespaces, iptables and nfnetlink_queue: run as root, or under `unshare -Urn`")
    }
}

/// A network namespace per test. A namespace belongs to a thread, so each test's kernel part runs on one of its own,
/// and what it starts inherits the namespace. `#expect` knows its test only on the test's own thread: bodies return
/// what is to be expected.
enum LiveKernel {
    static let isAvailable: Bool = {
        do {
            try inNamespace { try queueUDP(port: 1, to: 1) }
            return true
        } catch {
            return false
        }
    }()

    struct Unavailable: Error {}

    /// Runs `body` in a new namespace with loopback up, and waits for it.
    static func inNamespace<Outcome: Sendable>(_ body: @escaping @Sendable () throws -> Outcome) throws -> Outcome {
        try onThread {
            guard leaveNetwork() else { throw Unavailable() }
            try run("ip link set lo up")
            return try body()
        }
    }

    /// Runs `body` on a thread of its own, in the caller's namespace, and waits for it.
    static func onThread<Outcome: Sendable>(_ body: @escaping @Sendable () throws -> Outcome) throws -> Outcome {
        let thread = BackgroundThread(body)
        return try thread.join()
    }

    /// `unshare(CLONE_NEWNET)`, which Glibc's module does not declare.
    private static func leaveNetwork() -> Bool {
        typealias Unshare = @convention(c) (Int32) -> Int32
        guard let symbol = unsafe dlsym(nil, "unshare") else { return false }
        return unsafe unsafeBitCast(symbol, to: Unshare.self)(0x4000_0000) == 0
    }

    struct CommandFailed: Error {
        let command: String
        let output: String
    }

    /// Runs a shell command in the caller's namespace and returns what it printed.
    @discardableResult
    static func run(_ command: String) throws -> String {
        guard let pipe = unsafe popen("PATH=/usr/sbin:/usr/bin:/sbin:/bin; exec 2>&1; " + command, "r") else {
            throw Unavailable()
        }
        var text = [UInt8]()
        var chunk = [UInt8](repeating: 0, count: 4096)
        while case let length = unsafe fread(&chunk, 1, chunk.count, pipe), length > 0 { text += chunk.prefix(length) }
        let output = String(decoding: text, as: UTF8.self)
        guard unsafe pclose(pipe) == 0 else { throw CommandFailed(command: command, output: output) }
        return output
    }

    /// What the initial user namespace calls this id: the kernel reports senders by its numbers.
    static func initialID(_ id: UInt32, map: String) throws -> UInt32? {
        let line = try run("cat /proc/self/\(map)").split(separator: "\n").first ?? ""
        let columns = line.split(separator: " ").compactMap { UInt32($0) }
        return columns.count == 3 && id >= columns[0] ? id - columns[0] + columns[1] : nil
    }

    /// Sends what leaves for `port` over UDP to `queue`.
    static func queueUDP(port: UInt16, to queue: UInt16) throws {
        try run("iptables -w -t mangle -A OUTPUT -p udp --dport \(port) -j NFQUEUE --queue-num \(queue)")
    }
}

/// A thread whose outcome can be waited for.
final class BackgroundThread<Outcome: Sendable>: @unchecked Sendable {
    private let finished = DispatchSemaphore(value: 0)
    private var outcome: Result<Outcome, any Error>?

    init(_ body: @escaping @Sendable () throws -> Outcome) {
        let thread = Thread { [self] in
            outcome = Result { try body() }
            finished.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }

    func join() throws -> Outcome {
        finished.wait()
        guard let outcome else { throw LiveKernel.Unavailable() }
        return try outcome.get()
    }
}

/// A UDP socket on loopback.
struct UDPSocket: ~Copyable {
    private let descriptor: Int32

    /// Bound to `port`; a receive waits for a second at most.
    init(port: UInt16) {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = Self.loopback(port)
        let status = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        precondition(status == 0, "cannot bind port \(port)")
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8], to port: UInt16) {
        var address = Self.loopback(port)
        _ = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// The next datagram, or nil when none comes; without `waiting` only one that is there.
    func receive(waiting: Bool = true) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let flags = waiting ? 0 : Int32(MSG_DONTWAIT)
        let length = unsafe recv(descriptor, &bytes, bytes.count, flags)
        return length >= 0 ? Array(bytes.prefix(length)) : nil
    }

    /// First byte of each of the next `count` datagrams, as far as they come, and of any that is there beyond them.
    func firstBytes(_ count: Int) -> [UInt8] {
        var seen: [UInt8] = []
        while seen.count < count, let bytes = receive() { seen.append(bytes.first ?? 0) }
        while let bytes = receive(waiting: false) { seen.append(bytes.first ?? 0) }
        return seen
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}
