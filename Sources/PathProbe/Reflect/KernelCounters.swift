// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc

/// What the kernel counts in this network namespace, of `/proc/net/netstat` and `/proc/net/snmp` (proc(5)).
struct KernelCounters {
    var listenOverflows = 0
    var listenDrops = 0
    var receiveBufferErrors = 0

    static func now() -> KernelCounters {
        var counters = KernelCounters()
        let extended = values(of: "TcpExt", in: "/proc/self/net/netstat")
        counters.listenOverflows = extended["ListenOverflows"] ?? 0
        counters.listenDrops = extended["ListenDrops"] ?? 0
        counters.receiveBufferErrors = values(of: "Udp", in: "/proc/self/net/snmp")["RcvbufErrors"] ?? 0
        return counters
    }

    /// A line of names and, below it, one of numbers, both of which begin with the group.
    private static func values(of group: String, in path: String) -> [String: Int] {
        let lines = text(path).split(separator: "\n").filter { $0.hasPrefix(group + ":") }
        guard lines.count == 2 else { return [:] }
        let names = lines[0].split(separator: " ").dropFirst().map(String.init)
        let numbers = lines[1].split(separator: " ").dropFirst().map { Int($0) ?? 0 }
        return Dictionary(zip(names, numbers), uniquingKeysWith: { first, _ in first })
    }

    private static func text(_ path: String) -> String {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 32 << 10)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
