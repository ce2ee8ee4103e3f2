// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// From the kernel's errno to the cause. The kernel says EPERM both for a missing capability and for a queue of another
/// socket, and EINVAL where no part of it knows queues; what is true is asked of procfs.
extension QueueError {
    init(opening queue: UInt16, step: OpeningStep, errno: Int32) {
        self.init(queue: queue, cause: Self.cause(of: errno, at: step, queue: queue))
    }

    /// That another process has it.
    package init(held queue: UInt16) { self.init(queue: queue, cause: Self.refusedClaim(queue)) }

    private static func cause(of errno: Int32, at step: OpeningStep, queue: UInt16) -> Cause {
        switch (step, errno) {
        case (.socket, EPROTONOSUPPORT), (.claim, EINVAL), (.claim, EOPNOTSUPP): .missingInKernel
        case (.claim, EPERM), (.claim, EBUSY): refusedClaim(queue)
        case (.flags, EOPNOTSUPP), (.flags, EINVAL): .kernelTooOld
        default: .system(step.action, SystemErrorNumber(rawValue: errno))
        }
    }

    private static func refusedClaim(_ queue: UInt16) -> Cause {
        guard let row = try? QueueTable.read().row(of: queue) else { return .notPermitted }
        return .held(by: QueueHolder(ofNetlinkPort: row.portID))
    }
}

extension OpeningStep {
    /// Completes "… failed".
    fileprivate var action: String {
        switch self {
        case .memory: "reserving the receive buffer"
        case .socket: "opening the netlink socket"
        case .claim: "claiming the queue"
        case .length: "setting the queue's length"
        case .flags: "setting the queue's flags"
        case .start: "starting the queue"
        case .orphans: "settling what the last reader left"
        }
    }
}

extension QueueHolder {
    /// The process whose socket has this netlink port. The port is often the process id, but only for the first
    /// netlink socket of a process; so the socket's inode is looked up, and who has it open.
    init?(ofNetlinkPort port: UInt32) {
        guard case .success(let text) = readProcFile("/proc/thread-self/net/netlink"),
            let inode = NetlinkSocketTable.inode(ofPort: port, in: text),
            let process = processHolding(socketInode: inode)
        else { return nil }
        self.init(process: process, command: Self.command(of: process))
    }

    private static func command(of process: Int32) -> String {
        if case .success(let line) = readProcFile("/proc/\(process)/cmdline"), !line.isEmpty {
            let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.joined(separator: " ")
        }
        guard case .success(let name) = readProcFile("/proc/\(process)/comm") else { return "unknown" }
        return String(decoding: name.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}

/// `/proc/net/netlink`: one line per netlink socket; sk, protocol, port, groups, rmem, wmem, dump, locks, drops, inode.
enum NetlinkSocketTable {
    /// `NETLINK_NETFILTER` of linux/netlink.h.
    private static let netfilter: UInt64 = 12
    private static let protocolColumn = 1
    private static let portColumn = 2
    private static let inodeColumn = 9

    /// Inode of the NETLINK_NETFILTER socket with this port.
    static func inode(ofPort port: UInt32, in text: [UInt8]) -> UInt64? {
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            guard fields.count > inodeColumn, UInt64(fields[protocolColumn]) == netfilter,
                UInt32(fields[portColumn]) == port
            else { continue }
            return UInt64(fields[inodeColumn])
        }
        return nil
    }
}
