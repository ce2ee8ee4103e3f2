// SPDX-License-Identifier: GPL-3.0-or-later

import CServiceShim
import FirewallPolicy
import Glibc
import Logging

/// Who started the agent and wants to hear how it goes: the protocol of sd_notify(3), without its library. Under no such
/// manager there is none of these.
///
/// The manager also keeps descriptors for a process's next run (the file-descriptor store of systemd.service(5)).
final class ServiceManager: Sendable {
    private let address: String
    /// Within which time it wants to hear WATCHDOG=1; nil if it does not.
    let watchdogMicroseconds: UInt64?

    /// From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    init?() {
        guard let address = Environment["NOTIFY_SOCKET"], !address.isEmpty else { return nil }
        self.address = address
        let isMeant = Environment["WATCHDOG_PID"].map { Int32($0) == getpid() } ?? true
        watchdogMicroseconds = isMeant ? Environment["WATCHDOG_USEC"].flatMap { UInt64($0) }.filter { $0 > 0 } : nil
    }

    /// Sends assignments such as `READY=1`, and descriptors with them. False if the manager did not get it.
    @discardableResult
    func tell(_ assignments: [String], _ descriptors: [Int32] = []) -> Bool {
        let message = Array(assignments.joined(separator: "\n").utf8)
        return unsafe cservice_send(address, message, message.count, descriptors, descriptors.count) == 0
    }

    /// Waits until the manager has taken in everything told before. A manager that does not know `BARRIER=1` closes what
    /// comes with it too.
    func awaitAttention(milliseconds: Int32 = 5000) -> Bool {
        unsafe cservice_await_attention(address, milliseconds) == 0
    }
}

extension ServiceManager {
    /// Has a socket kept under a name. It is not to be watched: the manager would throw a queue's socket away at its first
    /// overflow.
    func store(_ socket: Int32, name: String) -> Bool { tell(["FDSTORE=1", "FDNAME=\(name)", "FDPOLL=0"], [socket]) }

    /// Has everything kept under that name closed.
    func forget(name: String) { tell(["FDSTOREREMOVE=1", "FDNAME=\(name)"]) }
}

/// A socket that the manager kept from the run before.
struct InheritedSocket {
    let name: String
    let descriptor: Int32

    /// All of them, by LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES (sd_listen_fds_with_names(3)); to be asked once.
    static func all() -> [InheritedSocket] {
        guard Environment["LISTEN_PID"].flatMap({ Int32($0) }) == getpid(),
            let count = Environment["LISTEN_FDS"].flatMap({ Int($0) }), 1...1024 ~= count
        else { return [] }
        let names = (Environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        return (0..<count).map { place in
            let descriptor = firstDescriptor + Int32(place)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            return InheritedSocket(name: place < names.count ? String(names[place]) : "", descriptor: descriptor)
        }
    }

    /// SD_LISTEN_FDS_START.
    private static let firstDescriptor: Int32 = 3

    /// Established queues are named as in releases that had no others.
    static func name(_ kind: QueueKind, _ number: UInt16) -> String {
        kind == .established ? "queue-\(number)" : "\(kind.word)-\(number)"
    }

    /// The inherited sockets by queue number, if those of what is established are of exactly these queues. With others than
    /// before the kernel spreads connections differently, and packets that wait are in the wrong ones: then all sockets are
    /// closed, here and with the manager, and with them what waits. Queues for floods may come and go.
    static func ofQueues(
        _ layout: QueueLayout, among all: [InheritedSocket], _ manager: ServiceManager?, _ logger: Logger
    ) -> [UInt16: Int32] {
        guard !all.isEmpty else { return [:] }
        var names: [String: UInt16] = [:]
        for (kind, numbers) in layout.ranges { for number in numbers { names[name(kind, number)] = number } }
        let established = all.filter { $0.name.hasPrefix("queue-") }
        let isSame =
            established.count == layout.width && Set(established.compactMap { names[$0.name] }).count == layout.width
        if !isSame {
            let names = all.map { $0.name }.joined(separator: ", ")
            logger.notice("the queues are not those of the run before (\(names)): they are opened anew")
        }
        var sockets: [UInt16: Int32] = [:]
        for socket in all {
            if isSame, let number = names[socket.name], sockets[number] == nil {
                sockets[number] = socket.descriptor
            } else {
                close(socket.descriptor)
                manager?.forget(name: socket.name)
            }
        }
        if sockets.count < all.count { _ = manager?.awaitAttention() }
        return sockets
    }
}

/// The process's environment.
enum Environment {
    static subscript(name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }
}

extension Optional {
    fileprivate func filter(_ isWanted: (Wrapped) -> Bool) -> Wrapped? { flatMap { isWanted($0) ? $0 : nil } }
}
